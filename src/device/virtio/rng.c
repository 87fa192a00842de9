/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device/virtio/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define QUEUE_SIZE 64
#define MOST       4096 /* bytes for one request: nobody asks for so many, and the machine's lock is held */

struct virtio_rng {
    struct virtio_device virtio;
    struct virtio_chain chain; /* what notify() is at */
};

static const struct device_field rng_fields[] = {
    DEVICE_PART(struct virtio_rng, virtio, virtio_device_fields),
};

static size_t fill(const struct virtio_chain *chain)
{
    size_t done = 0;
    for (unsigned i = 0; i < chain->in_count && done < MOST; i++) {
        size_t want = MIN(chain->in[i].iov_len, MOST - done);
        ssize_t got = getrandom(chain->in[i].iov_base, want, 0);
        if (got > 0)
            done += (size_t)got;
        if (got < (ssize_t)want)
            break;
    }
    return done;
}

static void rng_notify(struct virtio_device *device, unsigned queue)
{
    struct virtio_rng *rng = (struct virtio_rng *)device;
    while (virtio_pop(device, queue, &rng->chain))
        virtio_push(device, queue, &rng->chain, fill(&rng->chain));
    virtio_publish(device, queue);
}

static void rng_reset(void *opaque)
{
    struct virtio_rng *rng = opaque;
    virtio_reset(&rng->virtio);
}

static int rng_loaded(void *opaque, struct error *error)
{
    struct virtio_rng *rng = opaque;
    return virtio_loaded(&rng->virtio, error);
}

static const struct device_type rng_type = {
    .name = "virtio-rng",
    .version = 1,
    .fields = rng_fields,
    .field_count = ARRAY_SIZE(rng_fields),
    .reset = rng_reset,
    .loaded = rng_loaded,
};

static const struct virtio_ops rng_ops = {
    .id = 4,
    .pci_class = 0x00ff00,
    .notify = rng_notify,
};

int virtio_rng_new(struct virtio_rng **out, const struct virtio_place *place, struct error *error)
{
    struct virtio_rng *rng = calloc(1, sizeof *rng);
    if (!rng)
        return error_set(error, -ENOMEM, "no memory for device \"%s\"", place->name);
    struct virtio_parameters parameters = {.ops = &rng_ops, .queue_count = 1, .queue_size = QUEUE_SIZE};
    int code = virtio_add(&rng->virtio, place, &parameters, &rng_type, rng, error);
    if (code) {
        free(rng);
        return code;
    }
    *out = rng;
    return 0;
}

void virtio_rng_free(struct virtio_rng *rng)
{
    free(rng);
}
