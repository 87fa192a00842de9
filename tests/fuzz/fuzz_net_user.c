/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_net_user: the user network's frames and ring. Whatever a guest or libslirp makes of a frame, what
 * comes out has the size that was announced and lies within bounds; whatever one side writes into the ring's
 * numbers, the other gets frames within the ring or learns that it is broken.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/net/user/channel.h"
#include "backend/net/user/frames.h"
#include "base/buffer.h"
#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static uint8_t *reserved;
static uint32_t reserved_size;
static bool refuse;

static uint8_t *output_reserve(void *opaque, uint32_t size)
{
    (void)opaque;
    check(!reserved && size >= NET_HEADER_SIZE && size <= NET_FRAME_MAX);
    if (refuse)
        return NULL;
    reserved_size = size;
    reserved = malloc(size); /* exactly, for the sanitizer */
    return reserved;
}

static void output_commit(void *opaque, uint32_t size)
{
    (void)opaque;
    check(reserved && size == reserved_size);
    volatile uint8_t sum = 0;
    for (uint32_t i = 0; i < size; i++) /* all of it has been written */
        sum = (uint8_t)(sum + reserved[i]);
    free(reserved);
    reserved = NULL;
}

static void try_frames(struct reader *reader)
{
    static struct frames frames;
    memset(&frames, 0, sizeof frames);
    frames.large_mss = 16384;
    frames.output = (struct frames_output){output_reserve, output_commit, NULL};
    while (reader->left && !reader->failed) {
        uint8_t what = (uint8_t)reader_take_integer(reader, 1);
        size_t size = MIN(reader_take_integer(reader, 2), reader->left);
        size_t padding = what & 0x40 ? 3000 + (what & 7) * 1000u : 0; /* large frames of small inputs */
        const uint8_t *bytes = reader_take(reader, size);
        uint8_t *copy = malloc(size + padding + 1);
        if (!bytes || !copy) {
            free(copy);
            return;
        }
        memcpy(copy, bytes, size);
        memset(copy + size, what, padding);
        frames.offloads = what & 7;
        refuse = what & 0x20;
        if (what & 0x80)
            frames_from_guest(&frames, copy, size + padding);
        else
            frames_to_guest(&frames, copy, size + padding);
        free(copy);
    }
}

static void try_ring(struct reader *reader)
{
    static struct channel_ring ring;
    static uint8_t *bytes;
    if (!bytes) {
        int fd = memfd_create("ring", MFD_CLOEXEC);
        check(fd >= 0 && !ftruncate(fd, CHANNEL_RING));
        bytes = channel_map(fd, 0);
        check(bytes);
        close(fd);
    }
    memset(&ring, 0, sizeof ring);
    uint32_t start = (uint32_t)reader_take_integer(reader, 4) & ~7u;
    struct channel_end producer = {&ring, bytes, start, start}, consumer = {&ring, bytes, start, start};
    atomic_store(&ring.head, start);
    atomic_store(&ring.tail, start);
    for (unsigned steps = 0; reader->left && steps < 200; steps++) {
        uint32_t size = 0, value = (uint32_t)reader_take_integer(reader, 4);
        uint8_t *frame = NULL;
        switch (reader_take_integer(reader, 1) % 6) {
        case 0: atomic_store(&ring.head, value); break;
        case 1: atomic_store(&ring.tail, value); break;
        case 2: memcpy(bytes + consumer.position % CHANNEL_RING, &value, sizeof value); break;
        case 3:
            size = NET_HEADER_SIZE + value % (NET_FRAME_MAX - NET_HEADER_SIZE);
            frame = channel_reserve(&producer, size);
            check(!frame || (frame > bytes && frame + size <= bytes + 2 * CHANNEL_RING));
            if (frame)
                memset(frame, 1, size);
            if (frame)
                channel_commit(&producer, size);
            break;
        case 4:
            if (channel_peek(&consumer, &frame, &size) == CHANNEL_FRAME) {
                check(size >= NET_HEADER_SIZE && size <= NET_FRAME_MAX && frame > bytes &&
                      frame + size <= bytes + 2 * CHANNEL_RING);
                channel_release(&consumer, size);
            }
            break;
        default:
            channel_usable(&producer);
            channel_wait(&consumer);
            channel_must_wake(&producer);
            channel_wait_room(&producer, value % NET_FRAME_MAX);
            channel_must_wake_producer(&consumer);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = {.data = data, .left = size};
    if (reader_take_integer(&reader, 1) & 1)
        try_ring(&reader);
    else
        try_frames(&reader);
    return 0;
}
