/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-net: a network card. Frames go between the backend and guest memory without copies of ours.
 *
 * The copy of a machine has a card with another address on a shared network, while its guest goes on with the
 * one that it has read once, which is the first machine's. Until it has taken the card's, by itself, by
 * whoever is in it or by a new start, the card has no link.
 */
#ifndef VISOR_DEVICE_VIRTIO_NET_H
#define VISOR_DEVICE_VIRTIO_NET_H

#include "backend/net/net.h"
#include "device/virtio/vhost_queues.h"

/* What the host's kernel has to know to serve a card. */
#define VIRTIO_NET_VHOST_FEATURES (VHOST_QUEUES_FEATURES | UINT64_C(1) << 15) /* merged buffers */

struct virtio_net;

struct virtio_net_options {
    struct net_backend *backend; /* borrowed; its client is set */
    uint8_t mac[6];
    bool shared; /* others are on its network: no two may have one address */
};

int virtio_net_new(struct virtio_net **out, const struct virtio_place *place,
                   const struct virtio_net_options *options, struct error *error);
/* What the guest has received and sent since the device was made; bytes are those of frames. */
struct virtio_net_statistics {
    uint64_t received_frames, received_bytes, sent_frames, sent_bytes;
};
struct virtio_net_statistics virtio_net_statistics(const struct virtio_net *net);
/* The host's kernel sends and receives whenever it can, by `vhost`, which is borrowed, what is in `ram`. For
 * a backend that can be lent. */
int virtio_net_use_vhost(struct virtio_net *net, struct vhost *vhost, struct memory_backing *ram,
                         struct error *error);
/* The machine stands still, or no longer. */
void virtio_net_stand(struct virtio_net *net, bool still);
bool virtio_net_in_kernel(const struct virtio_net *net); /* which sends and receives now */
void virtio_net_free(struct virtio_net *net);            /* the backend is told nothing any more */
/* backend->link_up has changed. */
void virtio_net_link_changed(struct virtio_net *net);
/* After it was loaded: the guest is to make its address known again, or to find out that it has no link. */
void virtio_net_announce(struct virtio_net *net);

#endif
