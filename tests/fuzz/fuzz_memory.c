/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_memory: regions come, go and move anywhere in the address space, and accesses of any length reach only
 * what is there: what was written to RAM is read back, devices are accessed in aligned pieces within their
 * regions. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "memory/memory_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REGIONS 16
#define BACKING 0x8000

static uint64_t device_size[REGIONS];
static unsigned accesses;

static void check(bool good)
{
    if (!good)
        abort();
}

static void device_access(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t region_size = *(uint64_t *)opaque;
    check((size == 1 || size == 2 || size == 4 || size == 8) && offset % size == 0 && offset < region_size &&
          size <= region_size - offset);
    accesses++;
}

static uint64_t device_read(void *opaque, uint64_t offset, unsigned size)
{
    device_access(opaque, offset, size);
    return offset;
}

static void device_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)value;
    device_access(opaque, offset, size);
}

static const struct access_ops wide_ops = {device_read, device_write, 0};
static const struct access_ops byte_ops = {device_read, device_write, 1};

/* Small addresses, so that things meet, and now and then the ends of the space. */
static uint64_t pick_address(struct reader *reader)
{
    uint16_t value = (uint16_t)reader_take_integer(reader, 2);
    uint64_t low = value & 0x3fff;
    switch (value >> 14) {
    case 3: return UINT64_MAX - low;
    case 2: return (UINT64_C(1) << 40) - low;
    default: return low * 4 + (value >> 14);
    }
}

static void add_region(struct memory_map *map, struct memory_region **region, struct memory_backing *backing,
                       unsigned i, struct reader *reader)
{
    struct error error = ERROR_INIT;
    uint8_t kind = (uint8_t)reader_take_integer(reader, 1);
    uint64_t base = pick_address(reader), size = reader_take_integer(reader, 2), offset = kind >> 4 << 11;
    const struct access_ops *ops = kind & 4 ? &byte_ops : &wide_ops;
    int priority = kind >> 3 & 1;
    device_size[i] = size;
    if ((kind & 3) == 0)
        *region = memory_add_ram(map, "ram", base, size, priority, backing, offset, &error);
    else if ((kind & 3) == 1)
        *region =
            memory_add_rom(map, "rom", base, size, priority, backing, offset, ops, &device_size[i], &error);
    else
        *region = memory_add_mmio(map, "mmio", base, size, priority, ops, &device_size[i], &error);
    check(*region || error.message[0]);
}

static void access_memory(struct memory_map *map, struct memory_backing *backing, struct reader *reader)
{
    static uint8_t buffer[0x4000], again[0x4000];
    uint8_t how = (uint8_t)reader_take_integer(reader, 1);
    uint64_t address = pick_address(reader), length = reader_take_integer(reader, 2) % sizeof buffer,
             value = 0;
    unsigned size = 1u << (how >> 4 & 3);
    const uint8_t *pointer = memory_pointer(map, address, length, true);
    if (pointer)
        check(pointer >= backing->host && pointer + length <= backing->host + backing->size);
    memory_written(map, address, length);
    switch (how & 3) {
    case 0: memory_read(map, address, buffer, length); break;
    case 1:
        memset(buffer, how, length);
        if (!memory_write(map, address, buffer, length) && pointer)
            check(!memory_read(map, address, again, length) && !memcmp(buffer, again, length));
        break;
    case 2: memory_mmio_read(map, address, size, &value); break;
    case 3: memory_mmio_write(map, address, size, UINT64_C(0x0123456789abcdef)); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = {data, size, false};
    struct memory_region *regions[REGIONS] = {0};
    struct memory_map map;
    struct memory_reader other = {0};
    struct error error = ERROR_INIT;
    static struct memory_backing *backing;
    if (!backing)
        backing = memory_backing_create("fuzz", BACKING, &error);
    check(backing && !memory_map_init(&map, size & 1 ? UINT64_MAX : (UINT64_C(1) << 40) - 1, &error));
    memory_reader_add(&map, &other);
    for (unsigned step = 0; step < 1000 && reader.left; step++) {
        uint8_t what = (uint8_t)reader_take_integer(&reader, 1);
        unsigned i = what >> 4;
        memory_reader_pass(&map, &other);
        if ((what & 7) < 4)
            access_memory(&map, backing, &reader);
        else if (!regions[i])
            add_region(&map, &regions[i], backing, i, &reader);
        else if ((what & 7) < 7)
            check(!memory_region_place(regions[i], pick_address(&reader), what & 8, &error));
        else
            check(!memory_region_remove(regions[i], &error)), regions[i] = NULL;
    }
    memory_reader_pass(&map, &other);
    check(memory_map_reclaim(&map));
    memory_reader_remove(&map, &other);
    memory_map_destroy(&map);
    return 0;
}
