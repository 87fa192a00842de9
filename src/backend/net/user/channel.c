/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/net/user/channel.h"

#include <stddef.h>
#include <sys/mman.h>

#include "base/macros.h"

_Static_assert(sizeof(struct channel_shared) <= CHANNEL_TO_USER, "the rings begin after it");

uint8_t *channel_map(int fd, uint32_t offset)
{
    uint8_t *space =
        mmap(NULL, 2 * CHANNEL_RING, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED)
        return NULL;
    for (unsigned i = 0; i < 2; i++)
        if (mmap(space + i * CHANNEL_RING, CHANNEL_RING, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
                 (off_t)offset) == MAP_FAILED) {
            munmap(space, 2 * CHANNEL_RING);
            return NULL;
        }
    return space;
}

static uint32_t record_size(uint32_t size)
{
    return ALIGN_UP(CHANNEL_RECORD + size, 8u);
}

/* Producer. */

static uint32_t room(const struct channel_end *end)
{
    uint32_t used = end->position - atomic_load_explicit(&end->ring->tail, memory_order_acquire);
    return used <= CHANNEL_RING ? CHANNEL_RING - used : 0;
}

bool channel_usable(const struct channel_end *producer)
{
    return producer->position - atomic_load(&producer->ring->tail) <= CHANNEL_RING;
}

uint8_t *channel_reserve(struct channel_end *end, uint32_t size)
{
    if (record_size(size) > room(end))
        return NULL;
    uint8_t *record = end->data + end->position % CHANNEL_RING;
    *(uint32_t *)record = size;
    return record + CHANNEL_RECORD;
}

void channel_commit(struct channel_end *end, uint32_t size)
{
    end->position += record_size(size);
    atomic_store_explicit(&end->ring->head, end->position, memory_order_release);
}

bool channel_wait_room(struct channel_end *end, uint32_t size)
{
    atomic_store(&end->ring->producer_waits, 1);
    atomic_thread_fence(memory_order_seq_cst);
    return record_size(size) <= room(end);
}

bool channel_must_wake(struct channel_end *end)
{
    if (end->told == end->position)
        return false;
    end->told = end->position;
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&end->ring->consumer_waits, memory_order_relaxed) &&
           atomic_exchange(&end->ring->consumer_waits, 0);
}

/* Consumer. */

enum channel_take channel_peek(const struct channel_end *end, uint8_t **frame, uint32_t *size)
{
    uint32_t there = atomic_load_explicit(&end->ring->head, memory_order_acquire) - end->position;
    if (!there)
        return CHANNEL_EMPTY;
    uint8_t *record = end->data + end->position % CHANNEL_RING;
    *size = *(volatile uint32_t *)record;
    if (there > CHANNEL_RING || end->position % 8 || *size < NET_HEADER_SIZE || *size > NET_FRAME_MAX ||
        record_size(*size) > there)
        return CHANNEL_BROKEN;
    *frame = record + CHANNEL_RECORD;
    return CHANNEL_FRAME;
}

void channel_release(struct channel_end *end, uint32_t size)
{
    end->position += record_size(size);
    atomic_store_explicit(&end->ring->tail, end->position, memory_order_release);
}

bool channel_wait(struct channel_end *end)
{
    atomic_store(&end->ring->consumer_waits, 1);
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load(&end->ring->head) != end->position;
}

bool channel_must_wake_producer(struct channel_end *end)
{
    atomic_thread_fence(memory_order_seq_cst);
    return atomic_load_explicit(&end->ring->producer_waits, memory_order_relaxed) &&
           atomic_exchange(&end->ring->producer_waits, 0);
}
