/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lookups in the flat view, and accesses by them. */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "memory/memory_map.h"

const struct memory_range *memory_find(struct memory_map *map, uint64_t address)
{
    const struct memory_view *view = atomic_load_explicit(&map->view, memory_order_acquire);
    unsigned low = 0, high = view->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (view->ranges[middle].last < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < view->count && view->ranges[low].start <= address ? &view->ranges[low] : NULL;
}

/* What is read where nothing answers, and the bits that an access of that size has. */
static uint64_t ones(unsigned size)
{
    return size < 8 ? (UINT64_C(1) << (8 * size)) - 1 : UINT64_MAX;
}

void memory_backing_written(struct memory_backing *backing, uint64_t offset, uint64_t length)
{
    if (!length)
        return;
    /* The bytes first, then the look at the flags: a translator sets its flag first, then reads the bytes. */
    atomic_thread_fence(memory_order_seq_cst);
    bool dirty = atomic_load_explicit(&backing->tracks_dirty, memory_order_relaxed), code = false;
    for (uint64_t page = offset >> MEMORY_PAGE_SHIFT; page <= (offset + length - 1) >> MEMORY_PAGE_SHIFT;
         page++) {
        uint8_t flags = atomic_load_explicit(&backing->page_flags[page], memory_order_relaxed);
        code |= flags & MEMORY_PAGE_CODE;
        if (dirty)
            memory_backing_mark_dirty(backing, page);
    }
    if (code && backing->code_written)
        backing->code_written(backing->opaque, backing, offset, length);
}

/* Aligned pieces at once, so that another processor never sees half an index or a descriptor's address. */
static void copy_from_guest(uint8_t *to, const uint8_t *guest, size_t length)
{
    uint64_t value;
    if ((length != 2 && length != 4 && length != 8) || (uintptr_t)guest % length) {
        memcpy(to, guest, length);
        return;
    }
    switch (length) {
    case 2: value = __atomic_load_n((const uint16_t *)guest, __ATOMIC_RELAXED); break;
    case 4: value = __atomic_load_n((const uint32_t *)guest, __ATOMIC_RELAXED); break;
    default: value = __atomic_load_n((const uint64_t *)guest, __ATOMIC_RELAXED); break;
    }
    memcpy(to, &value, length);
}

static void copy_to_guest(uint8_t *guest, const uint8_t *from, size_t length)
{
    uint64_t value = 0;
    if ((length != 2 && length != 4 && length != 8) || (uintptr_t)guest % length) {
        memcpy(guest, from, length);
        return;
    }
    memcpy(&value, from, length);
    switch (length) {
    case 2: __atomic_store_n((uint16_t *)guest, (uint16_t)value, __ATOMIC_RELAXED); break;
    case 4: __atomic_store_n((uint32_t *)guest, (uint32_t)value, __ATOMIC_RELAXED); break;
    default: __atomic_store_n((uint64_t *)guest, value, __ATOMIC_RELAXED); break;
    }
}

/* How much of an access that begins at this offset of a device's region is one access of the device. */
static unsigned device_piece(const struct memory_range *range, uint64_t offset, uint64_t length)
{
    unsigned size = range->region->ops && range->region->ops->max_size ? range->region->ops->max_size : 8;
    while (size > length || offset % size)
        size /= 2;
    return size;
}

static uint64_t device_read(const struct memory_range *range, uint64_t offset, unsigned size)
{
    const struct access_ops *ops = range->region->ops;
    return ops && ops->read ? ops->read(range->region->opaque, offset, size) & ones(size) : ones(size);
}

static void device_write(const struct memory_range *range, uint64_t offset, unsigned size, uint64_t value)
{
    const struct access_ops *ops = range->region->ops;
    if (ops && ops->write)
        ops->write(range->region->opaque, offset, size, value & ones(size));
}

/* Reads a part of [address, address + length) and says how much; 0: there is nothing. */
static size_t read_some(struct memory_map *map, uint64_t address, uint8_t *buffer, size_t length)
{
    const struct memory_range *range = memory_find(map, address);
    if (!range)
        return 0;
    uint64_t left = range->last - address;
    size_t most = left < length ? (size_t)left + 1 : length;
    if (range->host) {
        copy_from_guest(buffer, range->host + (address - range->start), most);
        return most;
    }
    uint64_t offset = range->offset + (address - range->start);
    unsigned size = device_piece(range, offset, most);
    uint64_t value = device_read(range, offset, size);
    memcpy(buffer, &value, size);
    return size;
}

static size_t write_some(struct memory_map *map, uint64_t address, const uint8_t *buffer, size_t length)
{
    const struct memory_range *range = memory_find(map, address);
    if (!range)
        return 0;
    uint64_t left = range->last - address;
    size_t most = left < length ? (size_t)left + 1 : length;
    uint64_t offset = range->offset + (address - range->start);
    struct memory_region *region = range->region;
    if (region->kind == MEMORY_RAM) {
        copy_to_guest(range->host + (address - range->start), buffer, most);
        memory_backing_written(region->backing, region->backing_offset + offset, most);
        return most;
    }
    if (!region->ops || !region->ops->write)
        return most;
    unsigned size = device_piece(range, offset, most);
    uint64_t value = 0;
    memcpy(&value, buffer, size);
    device_write(range, offset, size, value);
    return size;
}

int memory_read(struct memory_map *map, uint64_t address, void *buffer, size_t length)
{
    for (uint8_t *to = buffer; length;) {
        size_t some = read_some(map, address, to, length);
        if (!some || (some < length && address + some < address))
            return -EFAULT;
        address += some;
        to += some;
        length -= some;
    }
    return 0;
}

int memory_write(struct memory_map *map, uint64_t address, const void *buffer, size_t length)
{
    for (const uint8_t *from = buffer; length;) {
        size_t some = write_some(map, address, from, length);
        if (!some || (some < length && address + some < address))
            return -EFAULT;
        address += some;
        from += some;
        length -= some;
    }
    return 0;
}

/* The range of RAM, or of ROM for reading, that has all of [address, address + length). */
static const struct memory_range *find_memory(struct memory_map *map, uint64_t address, uint64_t length,
                                              bool write)
{
    const struct memory_range *range = memory_find(map, address);
    if (!range || !range->host || (write && range->region->kind != MEMORY_RAM) || !length ||
        length - 1 > range->last - address)
        return NULL;
    return range;
}

uint8_t *memory_pointer(struct memory_map *map, uint64_t address, uint64_t length, bool write)
{
    const struct memory_range *range = find_memory(map, address, length, write);
    return range ? range->host + (address - range->start) : NULL;
}

void memory_written(struct memory_map *map, uint64_t address, uint64_t length)
{
    const struct memory_range *range = find_memory(map, address, length, true);
    if (range)
        memory_backing_written(range->region->backing,
                               range->region->backing_offset + range->offset + (address - range->start),
                               length);
}

void memory_discard(struct memory_map *map, uint64_t address, uint64_t length)
{
    while (length) {
        const struct memory_range *range = memory_find(map, address);
        if (!range)
            return;
        uint64_t left = range->last - address, some = left < length ? left + 1 : length;
        struct memory_backing *backing = range->region->backing;
        if (range->host && range->region->kind == MEMORY_RAM && !backing->pinned) {
            uint64_t offset = range->region->backing_offset + range->offset + (address - range->start);
            uint64_t start = ALIGN_UP(offset, MEMORY_PAGE_SIZE),
                     end = ALIGN_DOWN(offset + some, MEMORY_PAGE_SIZE);
            if (start < end)
                memory_backing_discard(backing, start, end - start);
        }
        if (some == length || address + some < address)
            return;
        address += some;
        length -= some;
    }
}

int memory_mmio_read(struct memory_map *map, uint64_t address, unsigned size, uint64_t *value)
{
    uint8_t bytes[8] = {0};
    int code = 0;
    for (unsigned at = 0; at < size;) {
        size_t some = at <= map->last - address ? read_some(map, address + at, bytes + at, size - at) : 0;
        if (!some) {
            bytes[at] = 0xff;
            code = -EFAULT;
            some = 1;
        }
        at += (unsigned)some;
    }
    memcpy(value, bytes, 8);
    return code;
}

int memory_mmio_write(struct memory_map *map, uint64_t address, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    memcpy(bytes, &value, 8);
    int code = 0;
    for (unsigned at = 0; at < size;) {
        size_t some = at <= map->last - address ? write_some(map, address + at, bytes + at, size - at) : 0;
        if (!some) {
            code = -EFAULT;
            some = 1;
        }
        at += (unsigned)some;
    }
    return code;
}
