/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtio.h"

/* Registers of the common configuration (4.1.4.3). */
enum {
    DEVICE_SELECT = 0x00,
    DEVICE_FEATURES = 0x04,
    DRIVER_SELECT = 0x08,
    DRIVER_FEATURES = 0x0c,
    CONFIG_VECTOR = 0x10,
    STATUS = 0x14,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY = 0x1e,
    QUEUE_ADDRESSES = 0x20,
};
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8 };
enum { NEXT = 1, WRITE = 2 };
enum { AVAILABLE = 0x100, USED = 0x200, RING_SIZE = 0x1000 };

volatile uint32_t virtio_wire, virtio_wire_count;

uint8_t read8(uint32_t address)
{
    uint8_t value;
    __asm__ volatile("movb (%1), %0" : "=q"(value) : "r"(address) : "memory");
    return value;
}

uint16_t read16(uint32_t address)
{
    uint16_t value;
    __asm__ volatile("movw (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}

void write8(uint32_t address, uint8_t value)
{
    __asm__ volatile("movb %0, (%1)" : : "q"(value), "r"(address) : "memory");
}

void write16(uint32_t address, uint16_t value)
{
    __asm__ volatile("movw %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

/* -- configuration space --------------------------------------------------------------------------------- */

static uint32_t config_read(unsigned slot, unsigned offset)
{
    out32(0xcf8, 0x80000000 | slot << 11 | (offset & ~3u));
    return in32(0xcfc) >> 8 * (offset & 3);
}

static void config_write(unsigned slot, unsigned offset, uint32_t value)
{
    out32(0xcf8, 0x80000000 | slot << 11 | offset);
    out32(0xcfc, value);
}

/* A capability of virtio's: which structure is where. All are in BAR 0. */
static void take_structure(struct virtio *device, unsigned at, uint32_t bar)
{
    const uint32_t where = bar + config_read(device->slot, at + 8);
    switch (config_read(device->slot, at + 3) & 0xff) {
    case 1: device->common = where; break;
    case 2:
        device->notify = where;
        device->multiplier = config_read(device->slot, at + 16);
        break;
    case 3: device->isr = where; break;
    case 4: device->config = where; break;
    }
}

static void take_capabilities(struct virtio *device)
{
    const uint32_t bar = config_read(device->slot, 0x10) & ~15u;
    for (unsigned at = config_read(device->slot, 0x34) & 0xff; at;
         at = config_read(device->slot, at + 1) & 0xff) {
        const unsigned id = config_read(device->slot, at) & 0xff;
        if (id == 0x09)
            take_structure(device, at, bar);
        if (id == 0x11) {
            device->msix = at;
            device->msix_table = bar + (config_read(device->slot, at + 4) & ~7u);
        }
    }
}

bool virtio_find(struct virtio *device, unsigned id)
{
    for (unsigned slot = 1; slot < 32; slot++) {
        if (config_read(slot, 0) != ((0x1040 + id) << 16 | 0x1af4))
            continue;
        device->slot = slot;
        device->id = id;
        take_capabilities(device);
        return true;
    }
    return false;
}

/* -- its life -------------------------------------------------------------------------------------------- */

static void set_vector(uint32_t table, unsigned vector)
{
    write32(table, LAPIC);
    write32(table + 4, 0);
    write32(table + 8, vector);
    write32(table + 12, 0);
}

static void use_messages(const struct virtio *device, bool on)
{
    for (unsigned i = 0; on && i <= VIRTIO_QUEUES; i++)
        set_vector(device->msix_table + 16 * i, VIRTIO_VECTOR + i);
    config_write(device->slot, device->msix,
                 (config_read(device->slot, device->msix) & 0x7fffffff) | (uint32_t)on << 31);
}

/* The wire, by the 8259s, whose output is at LINT0. */
static void use_wire(const struct virtio *device, bool on)
{
    const unsigned irq = config_read(device->slot, 0x3c) & 0xff;
    virtio_wire = on ? device->isr : 0;
    virtio_wire_count = 0;
    lapic_write(0x350, on ? 0x700 : 0x10000);
    out8(0x21, on ? 0xfb : 0xff);
    out8(0xa1, on ? (uint8_t) ~(1u << (irq - 8)) : 0xff);
}

static void start_queue(struct virtio *device, unsigned number, bool messages)
{
    struct virtio_queue *queue = &device->queues[number];
    queue->ring = VIRTIO_MEMORY + number * RING_SIZE;
    queue->next_descriptor = queue->available = queue->used = 0;
    for (uint32_t i = 0; i < RING_SIZE; i += 4)
        write32(queue->ring + i, 0);
    const uint32_t addresses[] = {queue->ring, queue->ring + AVAILABLE, queue->ring + USED};
    write16(device->common + QUEUE_SELECT, (uint16_t)number);
    tell("  queue of", read16(device->common + QUEUE_SIZE));
    write16(device->common + QUEUE_SIZE, VIRTIO_QUEUE_SIZE);
    if (messages)
        write16(device->common + QUEUE_VECTOR, (uint16_t)(number + 1));
    for (unsigned i = 0; i < 3; i++) {
        write32(device->common + QUEUE_ADDRESSES + 8 * i, addresses[i]);
        write32(device->common + QUEUE_ADDRESSES + 8 * i + 4, 0);
    }
    queue->notify = device->notify + read16(device->common + QUEUE_NOTIFY) * device->multiplier;
    write16(device->common + QUEUE_ENABLE, 1);
}

void virtio_start(struct virtio *device, uint32_t features, bool messages)
{
    const uint32_t common = device->common;
    config_write(device->slot, 4, config_read(device->slot, 4) | 4); /* it may use memory by itself */
    write8(common + STATUS, 0);
    tell("status after reset", read8(common + STATUS));
    use_messages(device, messages);
    if (!messages)
        use_wire(device, true);
    write8(common + STATUS, ACKNOWLEDGE);
    write8(common + STATUS, ACKNOWLEDGE | DRIVER);
    for (unsigned i = 0; i < 2; i++) {
        write32(common + DEVICE_SELECT, i);
        tell("features", read32(common + DEVICE_FEATURES));
        write32(common + DRIVER_SELECT, i);
        write32(common + DRIVER_FEATURES, i ? 1 : features);
    }
    write8(common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
    if (messages)
        write16(common + CONFIG_VECTOR, 0);
    const unsigned queues = device->id == VIRTIO_BLOCK ? 1 : 2;
    for (unsigned i = 0; i < queues; i++)
        start_queue(device, i, messages);
    for (unsigned i = 0; i <= VIRTIO_QUEUES; i++)
        counts[VIRTIO_VECTOR + i] = 0;
    write8(common + STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
    tell("status", read8(common + STATUS));
}

void virtio_stop(struct virtio *device)
{
    write8(device->common + STATUS, 0);
    while (read8(device->common + STATUS))
        ;
    use_wire(device, false);
    use_messages(device, false);
}

/* -- chains ---------------------------------------------------------------------------------------------- */

void virtio_put(struct virtio *device, unsigned number, const struct virtio_piece *pieces, unsigned count)
{
    struct virtio_queue *queue = &device->queues[number];
    const uint16_t head = queue->next_descriptor % VIRTIO_QUEUE_SIZE;
    for (unsigned i = 0; i < count; i++) {
        const unsigned at = queue->next_descriptor++ % VIRTIO_QUEUE_SIZE,
                       next = queue->next_descriptor % VIRTIO_QUEUE_SIZE;
        const uint32_t flags = (i + 1 < count ? NEXT : 0) | (pieces[i].written ? WRITE : 0);
        write32(queue->ring + 16 * at, pieces[i].address);
        write32(queue->ring + 16 * at + 4, 0);
        write32(queue->ring + 16 * at + 8, pieces[i].size);
        write32(queue->ring + 16 * at + 12, next << 16 | flags);
    }
    const uint32_t ring = queue->ring + AVAILABLE;
    write16(ring + 4 + 2 * (queue->available++ % VIRTIO_QUEUE_SIZE), head);
    write16(ring + 2, queue->available);
}

void virtio_notify(struct virtio *device, unsigned queue)
{
    write16(device->queues[queue].notify, (uint16_t)queue);
}

uint32_t virtio_wait(struct virtio *device, unsigned number)
{
    struct virtio_queue *queue = &device->queues[number];
    const uint32_t ring = queue->ring + USED;
    __asm__ volatile("cli");
    while (read16(ring + 2) == queue->used)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    return read32(ring + 4 + 8 * (queue->used++ % VIRTIO_QUEUE_SIZE) + 4);
}

uint32_t virtio_do(struct virtio *device, unsigned queue, const struct virtio_piece *pieces, unsigned count)
{
    virtio_put(device, queue, pieces, count);
    virtio_notify(device, queue);
    return virtio_wait(device, queue);
}

/* What has been used may be seen before the interrupt. */
bool virtio_interrupted(const struct virtio *device, unsigned queue)
{
    (void)device;
    for (;;) {
        if (virtio_wire ? virtio_wire_count : counts[VIRTIO_VECTOR + 1 + queue])
            return true;
        __asm__ volatile("sti; hlt; cli" : : : "memory");
    }
}
