/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-console with one port, hvc0. Characters go through char.h as those of a serial port do. */
#ifndef VISOR_DEVICE_VIRTIO_CONSOLE_H
#define VISOR_DEVICE_VIRTIO_CONSOLE_H

#include "backend/char/char.h"
#include "device/virtio/virtio.h"

struct virtio_console;

int virtio_console_new(struct virtio_console **out, const struct virtio_place *place,
                       struct char_backend backend, struct error *error);
void virtio_console_free(struct virtio_console *console);

/* What the backend hands its characters to. */
struct char_client virtio_console_client(struct virtio_console *console);
/* The size of the terminal. */
void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows);

#endif
