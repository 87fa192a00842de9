/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net: where the Ethernet frames of a network device go to and come from: the host's sockets (user), a tap
 * device.
 *
 * Both sides only offer, as in char.h; all under the machine's lock. Each frame begins with a virtio_net_hdr
 * of twelve bytes, all zeros where the backend has no offloads.
 */
#ifndef VISOR_BACKEND_NET_NET_H
#define VISOR_BACKEND_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

#define NET_HEADER_SIZE 12
#define NET_FRAME_MAX   (65550 + NET_HEADER_SIZE) /* with offloads */

/* The device's side. */
struct net_client {
    /* A frame for the guest. False: there is no room; it stays the backend's, which goes on at
     * receive_ready(). */
    bool (*receive)(void *opaque, const struct iovec *iov, unsigned count, size_t size);
    void (*send_ready)(void *opaque);   /* after send() has refused a frame: there is room again */
    void (*link_changed)(void *opaque); /* link_up is another; may be NULL */
    void *opaque;
};

/* What a backend takes and gives, and a device may offer to the guest: bits of virtio-net's features. */
enum net_offload {
    NET_OFFLOAD_CHECKSUM = 1 << 0,
    NET_OFFLOAD_TSO4 = 1 << 1,
    NET_OFFLOAD_TSO6 = 1 << 2,
    NET_OFFLOAD_UFO = 1 << 3,
};

/* Of frames, and their bytes: sent by the guest, and received. */
struct net_counts {
    uint64_t sent_frames, sent_bytes, received_frames, received_bytes;
};

struct net_backend;

struct net_ops {
    /* A frame from the guest. False: not now. */
    bool (*send)(struct net_backend *backend, const struct iovec *iov, unsigned count, size_t size);
    void (*flush)(struct net_backend *backend);         /* after the last of several frames; may be NULL */
    void (*receive_ready)(struct net_backend *backend); /* the guest has given buffers again */
    /* What the guest is ready to receive (enum net_offload). */
    void (*set_offloads)(struct net_backend *backend, unsigned offloads);
    void (*close)(struct net_backend *backend);
    /* Of a backend that the host's kernel can send to and receive from by itself; NULL: it cannot. What that
     * takes is opened before the first time, while files can be. */
    void (*prepare_lend)(struct net_backend *backend);
    /* From now on the kernel does, or no longer. Returns the descriptor that it does it by. */
    int (*lend)(struct net_backend *backend, bool lent);
    /* What has come and gone since it was lent. False: nobody knows. */
    bool (*count)(const struct net_backend *backend, struct net_counts *counts);
};

struct net_backend {
    const struct net_ops *ops;
    const struct net_client *client; /* NULL until there is one: nothing is received */
    unsigned offloads;               /* what it can */
    uint16_t mtu;                    /* 0: 1500 */
    bool link_up;
};

#endif
