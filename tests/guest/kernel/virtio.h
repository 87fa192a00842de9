/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio: a driver's side of virtio over PCI (virtio 1.2), small: split queues, one chain at a time or a few.
 */
#ifndef VISOR_TEST_KERNEL_VIRTIO_H
#define VISOR_TEST_KERNEL_VIRTIO_H

#include "kernel.h"

enum { VIRTIO_NET = 1, VIRTIO_BLOCK = 2, VIRTIO_CONSOLE = 3 };
enum { VIRTIO_QUEUES = 2, VIRTIO_QUEUE_SIZE = 8 };
enum { VIRTIO_VECTOR = 0x48 }; /* of changes of the configuration; those of queues follow */

/* Where they are: this and the rings of queue 0 and 1. */
#define VIRTIO_MEMORY 0xe00000
#define VIRTIO_DATA   0xe10000

struct virtio_queue {
    uint32_t ring; /* descriptors, at 100h what the driver has put in, at 200h what the device has used */
    uint32_t notify;
    uint16_t next_descriptor, available, used;
};

struct virtio {
    unsigned slot, id;
    uint32_t common, notify, isr, config, multiplier, msix_table;
    unsigned msix; /* the capability */
    struct virtio_queue queues[VIRTIO_QUEUES];
};

/* A buffer of a chain. */
struct virtio_piece {
    uint32_t address, size;
    bool written; /* by the device */
};

/* -- virtio.c -- */

/* False: there is no such device. */
bool virtio_find(struct virtio *device, unsigned id);
/* From a reset to DRIVER_OK: `features` of bits 0 to 31. With messages, or by the wire. */
void virtio_start(struct virtio *device, uint32_t features, bool messages);
void virtio_stop(struct virtio *device);
void virtio_put(struct virtio *device, unsigned queue, const struct virtio_piece *pieces, unsigned count);
void virtio_notify(struct virtio *device, unsigned queue);
/* Halts until the device has used a chain; returns how much it has written. */
uint32_t virtio_wait(struct virtio *device, unsigned queue);
/* The same, with what came before. */
uint32_t virtio_do(struct virtio *device, unsigned queue, const struct virtio_piece *pieces, unsigned count);
/* Interrupts have come by a queue's vector, or by the wire. */
bool virtio_interrupted(const struct virtio *device, unsigned queue);

uint8_t read8(uint32_t address);
uint16_t read16(uint32_t address);
void write8(uint32_t address, uint8_t value);
void write16(uint32_t address, uint16_t value);

/* The ISR register of the device whose wire is listened to, read by the handler; 0: of none. */
extern volatile uint32_t virtio_wire;
extern volatile uint32_t virtio_wire_count;

#endif
