/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-balloon: memory that the guest gives back to the host, on demand (inflating), because it is free
 * anyway (reporting), until it needs it itself (deflate on OOM); and what the guest tells of its memory.
 */
#ifndef VISOR_DEVICE_VIRTIO_BALLOON_H
#define VISOR_DEVICE_VIRTIO_BALLOON_H

#include "device/virtio/virtio.h"

struct virtio_balloon;

/* In bytes or counts; UINT64_MAX: the guest has not told. */
struct virtio_balloon_statistics {
    uint64_t swap_in, swap_out, major_faults, minor_faults, free_memory, total_memory, available_memory,
        disk_caches, hugetlb_allocations, hugetlb_failures;
    uint64_t time; /* of the machine's clock when the guest told; 0: never */
};

int virtio_balloon_new(struct virtio_balloon **out, const struct virtio_place *place, struct timers *timers,
                       struct error *error);
void virtio_balloon_free(struct virtio_balloon *balloon);
/* Is called when the guest has said how large it is now; NULL: nobody. */
void virtio_balloon_observe(struct virtio_balloon *balloon, void (*changed)(void *opaque), void *opaque);
/* Whether the guest has a driver that minds the target. */
bool virtio_balloon_is_used(const struct virtio_balloon *balloon);
/* How large the balloon is to be, and is. */
void virtio_balloon_set_target(struct virtio_balloon *balloon, uint64_t bytes);
uint64_t virtio_balloon_target(const struct virtio_balloon *balloon);
uint64_t virtio_balloon_size(const struct virtio_balloon *balloon);
/* Asks for statistics each so many seconds; 0: only by the next function. */
void virtio_balloon_set_interval(struct virtio_balloon *balloon, unsigned seconds);
void virtio_balloon_ask(struct virtio_balloon *balloon);
/* What the guest told last. */
const struct virtio_balloon_statistics *virtio_balloon_statistics(const struct virtio_balloon *balloon);

#endif
