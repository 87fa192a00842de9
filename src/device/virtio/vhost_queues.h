/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_queues: the first queues of a virtio device, served by the host's kernel (backend/vhost) whenever
 * that can be: the driver is ready, the machine does not stand still, nobody keeps which pages are written,
 * and the engine makes signals of notifications. Else the device serves them itself, and the guest sees no
 * difference: where a queue stands goes from one to the other.
 *
 * A queue that the kernel cannot go on with is the device's until the driver begins anew: it serves what the
 * kernel does not, or finds what rule was broken.
 *
 * Interrupts are messages that the engine sends by itself where it can (struct msi_port); while a vector is
 * masked, and for the wire, the machine's loop hears of them.
 *
 * All of it under the machine's lock.
 */
#ifndef VISOR_DEVICE_VIRTIO_VHOST_QUEUES_H
#define VISOR_DEVICE_VIRTIO_VHOST_QUEUES_H

#include "backend/vhost/vhost.h"
#include "device/virtio/virtio.h"

/* Of all devices' features, those that concern who serves a queue. */
#define VHOST_QUEUES_FEATURES (VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

struct vhost_queues;

struct vhost_queues_options {
    struct vhost *vhost;        /* borrowed */
    struct memory_backing *ram; /* what the kernel reaches */
    /* Whether the device has no reason against it. NULL: it never has. */
    bool (*may)(struct virtio_device *device);
    /* The kernel takes over, or gives back, what is at the host's end of the device; returns its target.
     * NULL: there is nothing but the kernel, nor can the device serve the queues: while the kernel does not
     * they wait, and what it cannot go on with breaks the device. */
    int (*lend)(struct virtio_device *device, bool lent);
};

/* Becomes device->vhost. -ENOMEM; -ENOTSUP: the engine makes no signals. */
int vhost_queues_new(struct virtio_device *device, const struct vhost_queues_options *options,
                     struct error *error);
void vhost_queues_free(struct vhost_queues *queues); /* may be NULL */

/* The machine stands still from now on, and the queues are as they are saved; or no longer. */
void vhost_queues_stand(struct vhost_queues *queues, bool still);
/* Anything has changed that decides who serves the queues, or what interrupts are. */
void vhost_queues_follow(struct vhost_queues *queues);
/* Who serves them is the device, before it forgets what they are. */
void vhost_queues_stop(struct vhost_queues *queues);
/* The driver begins: what was wrong before is over. */
void vhost_queues_begin(struct vhost_queues *queues);
/* Hands a notification on, if the kernel serves the queue. */
bool vhost_queues_notify(struct vhost_queues *queues, unsigned queue);
bool vhost_queues_active(const struct vhost_queues *queues);

#endif
