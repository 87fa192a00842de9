/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio_private: between virtio.c, virtio_pci.c and virtio_queue.c. */
#ifndef VISOR_DEVICE_VIRTIO_VIRTIO_PRIVATE_H
#define VISOR_DEVICE_VIRTIO_VIRTIO_PRIVATE_H

#include "device/virtio/virtio.h"

/* The registers of the common configuration (virtio 1.2, 4.1.4.3). */
uint32_t virtio_common_read(struct virtio_device *device, unsigned offset);
void virtio_common_write(struct virtio_device *device, unsigned offset, unsigned size, uint32_t value);
/* The guest has written to a queue's notification address. */
void virtio_notified(struct virtio_device *device, unsigned queue);
/* Somebody else begins to serve a queue: it is found in host memory. False: there is none that could be. */
bool virtio_queue_place(struct virtio_device *device, unsigned queue);
/* And has served it as far as this: the rest is in guest memory. */
void virtio_queue_stands(struct virtio_device *device, unsigned queue, uint16_t available);
/* Looks at all queues, as after a notification of each. */
void virtio_notify_all(struct virtio_device *device);

/* The interrupt of a vector, or of the wire with this bit in the ISR. */
void virtio_interrupt(struct virtio_device *device, uint16_t vector, uint8_t isr);

/* While the driver runs, the engine may tell of notifications without leaving guest code. */
void virtio_signals_open(struct virtio_device *device);
void virtio_signals_close(struct virtio_device *device);

int virtio_pci_init(struct virtio_device *device, const struct virtio_place *place, struct error *error);

#endif
