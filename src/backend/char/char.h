/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * char: where the characters of a serial port or console go to and come from: stdio, a pty, a socket, a file.
 *
 * Both sides only offer. The device gives characters to write(), which may take fewer, and says when it has
 * taken more of those it got, with readable(). The backend looks at the device's room before it hands over
 * what came in, and tells the device when it can take more. All of that under the machine's lock.
 */
#ifndef VISOR_BACKEND_CHAR_CHAR_H
#define VISOR_BACKEND_CHAR_CHAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct char_backend {
    /* How many were taken. NULL: there is nobody, all characters are lost. */
    size_t (*write)(void *opaque, const uint8_t *data, size_t size);
    void (*readable)(void *opaque);           /* the device has room again; may be NULL */
    void (*set_break)(void *opaque, bool on); /* may be NULL */
    void *opaque;
};

/* The device's side: the same the other way round. */
struct char_client {
    size_t (*room)(void *opaque); /* how many characters it can take now */
    void (*receive)(void *opaque, const uint8_t *data, size_t size);
    void (*receive_break)(void *opaque); /* may be NULL */
    void (*writable)(void *opaque);      /* after write() has taken fewer: there is room again; may be NULL */
    void (*set_connected)(void *opaque, bool connected); /* somebody came or went; may be NULL */
    void *opaque;
};

#endif
