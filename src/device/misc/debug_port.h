/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * debug_port: ports by which test kernels speak without drivers: one that ends the machine with a status, at
 * an address of the user's, and the characters of port E9h, which reads as E9h where somebody listens.
 */
#ifndef VISOR_DEVICE_MISC_DEBUG_PORT_H
#define VISOR_DEVICE_MISC_DEBUG_PORT_H

#include "backend/char/char.h"
#include "memory/io_space.h"

#define DEBUG_CONSOLE_PORT 0xe9

/* What is written is `value`; the exit status that test kernels expect of it is 2 * value + 1. */
struct debug_exit {
    void (*exit)(void *opaque, uint32_t value);
    void *opaque;
};

/* Four ports from `port` on. The struct stays the caller's, as the backend. */
int debug_exit_attach(struct debug_exit *exit, struct io_space *io, uint16_t port, struct error *error);
int debug_console_attach(struct char_backend *backend, struct io_space *io, struct error *error);

#endif
