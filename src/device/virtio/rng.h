/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-rng: random numbers from the host's kernel. */
#ifndef VISOR_DEVICE_VIRTIO_RNG_H
#define VISOR_DEVICE_VIRTIO_RNG_H

#include "device/virtio/virtio.h"

struct virtio_rng;

int virtio_rng_new(struct virtio_rng **out, const struct virtio_place *place, struct error *error);
void virtio_rng_free(struct virtio_rng *rng);

#endif
