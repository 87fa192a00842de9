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
#include "device/virtio/virtio.h"

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
const struct virtio_net_statistics *virtio_net_statistics(const struct virtio_net *net);
void virtio_net_free(struct virtio_net *net); /* the backend is told nothing any more */
/* backend->link_up has changed. */
void virtio_net_link_changed(struct virtio_net *net);
/* After it was loaded: the guest is to make its address known again, or to find out that it has no link. */
void virtio_net_announce(struct virtio_net *net);

#endif
