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

/* For the backend: how many characters can be received (more than those are lost), those, and that it takes
 * more now. */
size_t virtio_console_room(struct virtio_console *console);
void virtio_console_receive(struct virtio_console *console, const uint8_t *data, size_t size);
void virtio_console_writable(struct virtio_console *console);
/* The size of the terminal. */
void virtio_console_resize(struct virtio_console *console, uint16_t columns, uint16_t rows);

#endif
