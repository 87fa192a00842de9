/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Split virtqueues (virtio 1.2, 2.7): descriptor table, driver area ("available ring") and device area ("used
 * ring") in guest memory, which other processors of the guest may change at any time. So each field is read
 * once and checked afterwards.
 */
#include <string.h>

#include "device/virtio/virtio_private.h"

#define DESCRIPTOR_SIZE 16
#define NEXT            1
#define WRITE           2
#define INDIRECT        4

#define AVAILABLE_NO_INTERRUPT 1

/* Offsets in the driver and the device area. */
#define RING_INDEX 2
#define RING       4

static uint16_t load16(const uint8_t *from)
{
    return __atomic_load_n((const uint16_t *)from, __ATOMIC_ACQUIRE);
}

static void store16(uint8_t *to, uint16_t value)
{
    __atomic_store_n((uint16_t *)to, value, __ATOMIC_RELEASE);
}

static uint8_t *queue_event(const struct virtio_queue *queue) /* of the device: when to notify it */
{
    return queue->host_device + RING + 8 * queue->size;
}

static uint64_t device_area_size(const struct virtio_queue *queue)
{
    return RING + 8u * queue->size + 2;
}

static void device_area_written(const struct virtio_queue *queue)
{
    memory_backing_written(queue->backing, queue->backing_offset, device_area_size(queue));
}

/* Finds the queue in host memory again if memory has changed. */
static bool queue_find(struct virtio_device *device, struct virtio_queue *queue)
{
    uint64_t generation = atomic_load_explicit(&device->memory->generation, memory_order_acquire);
    if (LIKELY(queue->found && queue->generation == generation))
        return true;
    queue->found = false;
    const struct memory_range *range = memory_find(device->memory, queue->device);
    queue->host_descriptors =
        memory_pointer(device->memory, queue->descriptors, (uint64_t)queue->size * DESCRIPTOR_SIZE, false);
    queue->host_driver = memory_pointer(device->memory, queue->driver, RING + 2u * queue->size + 2, false);
    queue->host_device = memory_pointer(device->memory, queue->device, device_area_size(queue), true);
    if (!range || !queue->host_descriptors || !queue->host_driver || !queue->host_device) {
        virtio_break(device, "a queue is not in memory");
        return false;
    }
    queue->backing = range->region->backing;
    queue->backing_offset = range->region->backing_offset + range->offset + (queue->device - range->start);
    queue->generation = generation;
    queue->found = true;
    return true;
}

/* NULL: there is no such queue, or the device must not touch it. What was taken is given back even when the
 * guest has taken away the right to access memory since. */
static struct virtio_queue *queue_usable(struct virtio_device *device, unsigned number)
{
    struct virtio_queue *queue = &device->queues[number];
    bool live = (device->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK;
    return number < device->queue_count && queue->enabled && live && !device->resetting &&
                   queue_find(device, queue)
               ? queue
               : NULL;
}

bool virtio_queue_place(struct virtio_device *device, unsigned number)
{
    return queue_usable(device, number);
}

void virtio_queue_stands(struct virtio_device *device, unsigned number, uint16_t available)
{
    struct virtio_queue *queue = &device->queues[number];
    queue->available = available;
    queue->used = queue->published = load16(queue->host_device + RING_INDEX);
    device_area_written(queue);
}

/* Whether there is a chain to take. If not, the guest is to notify; what it added just now is seen. */
static bool queue_filled(struct virtio_device *device, struct virtio_queue *queue)
{
    const uint8_t *index = queue->host_driver + RING_INDEX;
    uint16_t waiting = (uint16_t)(load16(index) - queue->available);
    if (!waiting && virtio_has(device, VIRTIO_F_EVENT_IDX)) {
        if (load16(queue_event(queue)) != queue->available) {
            store16(queue_event(queue), queue->available);
            device_area_written(queue);
        }
        atomic_thread_fence(memory_order_seq_cst); /* our wish first, then the look at what there is */
        waiting = (uint16_t)(load16(index) - queue->available);
    }
    if (waiting > queue->size) {
        virtio_break(device, "a queue has more chains than descriptors");
        return false;
    }
    return waiting;
}

bool virtio_has_work(struct virtio_device *device, unsigned number)
{
    struct virtio_queue *queue = queue_usable(device, number);
    return queue && pci_is_master(&device->pci) && queue_filled(device, queue);
}

struct descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

static struct descriptor descriptor_read(const uint8_t *table, unsigned index)
{
    uint64_t words[2];
    const uint8_t *from = table + (size_t)index * DESCRIPTOR_SIZE;
    struct descriptor descriptor;
    for (unsigned i = 0; i < 2; i++)
        words[i] = __atomic_load_n((const uint64_t *)(from + 8 * i), __ATOMIC_RELAXED);
    descriptor.address = words[0];
    descriptor.length = (uint32_t)words[1];
    descriptor.flags = (uint16_t)(words[1] >> 32);
    descriptor.next = (uint16_t)(words[1] >> 48);
    return descriptor;
}

/* An indirect table can be at any address. */
static struct descriptor descriptor_read_indirect(const uint8_t *table, unsigned index)
{
    uint64_t aligned[2];
    memcpy(aligned, table + (size_t)index * DESCRIPTOR_SIZE, DESCRIPTOR_SIZE);
    return descriptor_read((const uint8_t *)aligned, 0);
}

/* Adds the pieces of one buffer; returns why not, or NULL. */
static const char *chain_add(struct virtio_device *device, struct virtio_chain *chain,
                             const struct descriptor *descriptor)
{
    uint64_t address = descriptor->address;
    uint32_t left = descriptor->length;
    bool write = descriptor->flags & WRITE;
    if (!left)
        return "a buffer is empty";
    if (!write && chain->in_count)
        return "a buffer to read comes after one to write";
    while (left) {
        const struct memory_range *range = memory_find(device->memory, address);
        unsigned count = chain->out_count + chain->in_count;
        if (!range || !range->host || (write && range->region->kind != MEMORY_RAM))
            return "a buffer is not in memory";
        if (count == VIRTIO_CHAIN_MAX)
            return "a chain is too long";
        uint64_t most = range->last - address;
        uint32_t some = most < left ? (uint32_t)most + 1 : left;
        chain->pieces[count] = (struct iovec){range->host + (address - range->start), some};
        chain->addresses[count] = address;
        *(write ? &chain->in_count : &chain->out_count) += 1;
        *(write ? &chain->in_size : &chain->out_size) += some;
        left -= some;
        address += some;
    }
    return NULL;
}

/* Follows the chain; returns what is wrong with it, or NULL. */
static const char *chain_read(struct virtio_device *device, const struct virtio_queue *queue,
                              struct virtio_chain *chain)
{
    const uint8_t *table = queue->host_descriptors;
    unsigned size = queue->size, index = chain->head, steps = 0;
    bool indirect = false;
    for (;;) {
        if (index >= size)
            return "a chain leads out of its table";
        if (steps++ >= size)
            return "a chain is a loop";
        struct descriptor descriptor =
            indirect ? descriptor_read_indirect(table, index) : descriptor_read(table, index);
        if (descriptor.flags & INDIRECT) {
            if (indirect || (descriptor.flags & NEXT) || !virtio_has(device, VIRTIO_F_INDIRECT))
                return "an indirect descriptor is where none may be";
            if (!descriptor.length || descriptor.length % DESCRIPTOR_SIZE)
                return "an indirect table has no valid size";
            table = memory_pointer(device->memory, descriptor.address, descriptor.length, false);
            if (!table)
                return "an indirect table is not in memory";
            size = descriptor.length / DESCRIPTOR_SIZE;
            index = steps = 0;
            indirect = true;
            continue;
        }
        const char *wrong = chain_add(device, chain, &descriptor);
        if (wrong)
            return wrong;
        if (!(descriptor.flags & NEXT))
            return NULL;
        index = descriptor.next;
    }
}

static bool chain_take(struct virtio_device *device, struct virtio_queue *queue, uint16_t head,
                       struct virtio_chain *chain)
{
    chain->head = head;
    chain->out_count = chain->in_count = 0;
    chain->out_size = chain->in_size = 0;
    const char *wrong = chain_read(device, queue, chain);
    if (wrong) {
        virtio_break(device, wrong);
        return false;
    }
    chain->out = chain->pieces;
    chain->in = chain->pieces + chain->out_count;
    chain->in_addresses = chain->addresses + chain->out_count;
    return true;
}

bool virtio_pop(struct virtio_device *device, unsigned number, struct virtio_chain *chain)
{
    struct virtio_queue *queue = queue_usable(device, number);
    if (!queue || !pci_is_master(&device->pci) || !queue_filled(device, queue))
        return false;
    uint16_t head = load16(queue->host_driver + RING + 2 * (queue->available & (queue->size - 1)));
    queue->available++;
    return chain_take(device, queue, head, chain);
}

bool virtio_pop_head(struct virtio_device *device, unsigned number, uint16_t head, struct virtio_chain *chain)
{
    struct virtio_queue *queue = queue_usable(device, number);
    return queue && chain_take(device, queue, head, chain);
}

void virtio_unpop(struct virtio_device *device, unsigned number, unsigned count)
{
    device->queues[number].available = (uint16_t)(device->queues[number].available - count);
}

void virtio_unpush(struct virtio_device *device, unsigned number, unsigned count)
{
    device->queues[number].used = (uint16_t)(device->queues[number].used - count);
}

bool virtio_is_full(struct virtio_device *device, unsigned number)
{
    struct virtio_queue *queue = queue_usable(device, number);
    return queue && (uint16_t)(load16(queue->host_driver + RING_INDEX) - queue->used) >= queue->size;
}

void virtio_written(struct virtio_device *device, const struct virtio_chain *chain, size_t written)
{
    for (unsigned i = 0; i < chain->in_count && written; i++) {
        size_t some = MIN(written, chain->in[i].iov_len);
        memory_written(device->memory, chain->in_addresses[i], some);
        written -= some;
    }
}

void virtio_push(struct virtio_device *device, unsigned number, const struct virtio_chain *chain,
                 size_t written)
{
    virtio_written(device, chain, written);
    struct virtio_queue *queue = queue_usable(device, number);
    if (!queue)
        return;
    uint8_t *element = queue->host_device + RING + 8 * (queue->used & (queue->size - 1));
    __atomic_store_n((uint32_t *)element, chain->head, __ATOMIC_RELAXED);
    __atomic_store_n((uint32_t *)(element + 4), (uint32_t)written, __ATOMIC_RELAXED);
    queue->used++;
}

/* Whether the guest wants to hear that the index it sees has gone from `old` to what it is now. */
static bool wants_interrupt(const struct virtio_device *device, const struct virtio_queue *queue,
                            uint16_t old)
{
    if (!virtio_has(device, VIRTIO_F_EVENT_IDX))
        return !(load16(queue->host_driver) & AVAILABLE_NO_INTERRUPT);
    uint16_t event = load16(queue->host_driver + RING + 2 * queue->size);
    return (uint16_t)(queue->used - event - 1) < (uint16_t)(queue->used - old);
}

void virtio_publish(struct virtio_device *device, unsigned number)
{
    struct virtio_queue *queue = queue_usable(device, number);
    if (!queue || queue->published == queue->used)
        return;
    uint16_t old = queue->published;
    store16(queue->host_device + RING_INDEX, queue->used);
    queue->published = queue->used;
    device_area_written(queue);
    atomic_thread_fence(memory_order_seq_cst); /* the index first, then the look at the guest's wish */
    if (wants_interrupt(device, queue, old))
        virtio_interrupt(device, queue->vector, 1);
}

size_t virtio_copy_out(const struct virtio_chain *chain, size_t offset, void *buffer, size_t size)
{
    size_t done = 0;
    for (unsigned i = 0; i < chain->out_count && done < size; i++) {
        size_t length = chain->out[i].iov_len;
        if (offset >= length) {
            offset -= length;
            continue;
        }
        size_t some = MIN(length - offset, size - done);
        memcpy((uint8_t *)buffer + done, (const uint8_t *)chain->out[i].iov_base + offset, some);
        done += some;
        offset = 0;
    }
    return done;
}

size_t virtio_copy_in(const struct virtio_chain *chain, size_t offset, const void *buffer, size_t size)
{
    size_t done = 0;
    for (unsigned i = 0; i < chain->in_count && done < size; i++) {
        size_t length = chain->in[i].iov_len;
        if (offset >= length) {
            offset -= length;
            continue;
        }
        size_t some = MIN(length - offset, size - done);
        memcpy((uint8_t *)chain->in[i].iov_base + offset, (const uint8_t *)buffer + done, some);
        done += some;
        offset = 0;
    }
    return done;
}
