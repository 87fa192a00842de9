/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-blk: a disk. Requests go to the backend as lists of pieces of guest memory.
 *
 * When the host has no room (-ENOSPC) the device keeps what failed and takes nothing more; the machine, told
 * by blocked(), pauses the guest and calls virtio_block_resume() when it goes on.
 */
#ifndef VISOR_DEVICE_VIRTIO_BLOCK_H
#define VISOR_DEVICE_VIRTIO_BLOCK_H

#include "backend/block/block.h"
#include "device/virtio/virtio.h"

struct virtio_block;

struct virtio_block_options {
    struct block_backend *backend;            /* borrowed; has no other user */
    const char *serial;                       /* up to 20 characters; NULL: none */
    unsigned queues;                          /* as many as there are vCPUs is best; at least 1, capped */
    bool write_through;                       /* each write is on stable storage before it is done */
    void (*blocked)(void *opaque, int error); /* -ENOSPC; once until virtio_block_resume() */
    /* May be NULL: the guest was told of an error, a negative errno, that the host had. */
    void (*failed)(void *opaque, enum block_operation operation, int error);
    void *opaque;
};

/* What the guest has had done since the device was made, by operation. */
struct virtio_block_statistics {
    struct {
        uint64_t done, failed;
        uint64_t bytes; /* of what was done */
    } of[BLOCK_OPERATIONS];
};

int virtio_block_new(struct virtio_block **out, const struct virtio_place *place,
                     const struct virtio_block_options *options, struct error *error);
/* Nothing is under way in the backend. */
void virtio_block_free(struct virtio_block *block);
/* The machine goes on, after blocked() or after the device was loaded. */
void virtio_block_resume(struct virtio_block *block);
/* Requests under way in guest memory; the machine runs its loop until this is 0 before it resets its devices
 * or gives up its memory. Requests that blocked() was called for are not among them. */
unsigned virtio_block_pending(const struct virtio_block *block);
/* blocked() was called for requests that have not gone on yet. */
bool virtio_block_is_blocked(const struct virtio_block *block);
const struct virtio_block_statistics *virtio_block_statistics(const struct virtio_block *block);

#endif
