/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost: virtio queues that the host's kernel serves (Linux: drivers/vhost, <linux/vhost.h>). It reads and
 * writes guest memory by itself, hears of the guest by eventfds, and interrupts it by others.
 *
 * Where a queue stands is the device's own before a start and after a stop: the kernel has it only meanwhile.
 */
#ifndef VISOR_BACKEND_VHOST_VHOST_H
#define VISOR_BACKEND_VHOST_VHOST_H

#include "base/error.h"
#include "memory/memory_pieces.h"

/* Of a device, those that the kernel serves, which are its first. */
#define VHOST_QUEUES 2

/* Where the host is asked. */
struct vhost_host {
    int (*open)(const char *path);                                 /* a descriptor, or a negative errno */
    int (*control)(int fd, unsigned long request, void *argument); /* ioctl(); or a negative errno */
};

extern const struct vhost_host vhost_host; /* this one */

/* When it is asked for. */
enum vhost_wish {
    VHOST_AUTO, /* if there is one, and it may be used */
    VHOST_ON,   /* or it is an error */
    VHOST_OFF,
};

/* "on", "off" or "auto". -EINVAL. */
int vhost_wish_parse(enum vhost_wish *wish, const char *text, struct error *error);

struct vhost_queue {
    uint16_t size;
    uint16_t available; /* index of what is taken next; a stop sets it */
    const uint8_t *descriptors, *driver;
    uint8_t *device;
    int kick, call; /* eventfds: of the guest's notifications, and of what it is to be interrupted for */
};

struct vhost;

struct vhost_ops {
    /* The kernel works for this process from now on, by a thread of its own that runs where the caller may: a
     * start asks for it otherwise. A negative errno: then it is tried again. */
    int (*own)(struct vhost *vhost);
    /* The kernel serves the queues, of which `features` were agreed on, with what is in `pieces`; `errors`
     * is an eventfd by which it tells that it cannot go on with one. `target` is the device's: of a network
     * card, a tap device; -1: it needs none. A negative errno: it serves none. */
    int (*start)(struct vhost *vhost, uint64_t features, const struct memory_pieces *pieces,
                 struct vhost_queue queues[VHOST_QUEUES], int errors, int target);
    /* It touches nothing any more when this returns. */
    void (*stop)(struct vhost *vhost, struct vhost_queue queues[VHOST_QUEUES]);
    void (*close)(struct vhost *vhost);
};

struct vhost {
    const struct vhost_ops *ops;
    uint64_t features; /* virtio's that it can */
};

/* For a network card, whose target is a tap device of which frames have a header of virtio's. -ENOTSUP: it
 * lacks one of `features`. */
int vhost_net_open(struct vhost **out, const struct vhost_host *host, uint64_t features, struct error *error);
/* For a vsock, whose guest is the host's context *cid as long as it is open; 0: the first that nobody has,
 * which it is then. What of `wished` it can is in its features, besides `features`. -EADDRINUSE: somebody has
 * it. */
int vhost_vsock_open(struct vhost **out, const struct vhost_host *host, uint64_t features, uint64_t wished,
                     uint32_t *cid, struct error *error);
void vhost_close(struct vhost *vhost); /* may be NULL */

#endif
