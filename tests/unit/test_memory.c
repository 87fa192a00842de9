/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guest-physical memory and I/O ports: who answers where, splitting, readers, and a random comparison with a
 * model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "memory/io_space.h"
#include "memory/memory_map.h"

/* A device that remembers its last accesses and reads as where it was read. */
struct probe {
    unsigned reads, writes, size;
    uint64_t offset, value, sum;
    unsigned released;
};

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    struct probe *probe = opaque;
    assert_true(size == 1 || size == 2 || size == 4 || size == 8);
    assert_int_equal(offset % size, 0);
    probe->reads++;
    probe->offset = offset;
    probe->size = size;
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)(uint8_t)(offset + i) << (8 * i);
    return value;
}

static void probe_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    struct probe *probe = opaque;
    assert_int_equal(offset % size, 0);
    probe->writes++;
    probe->offset = offset;
    probe->size = size;
    probe->value = value;
    probe->sum += value;
}

static void probe_released(void *opaque)
{
    ((struct probe *)opaque)->released++;
}

static const struct access_ops probe_ops = {probe_read, probe_write, 0};
static const struct access_ops byte_ops = {probe_read, probe_write, 1};

static struct memory_backing *new_backing(uint64_t size)
{
    struct error error = ERROR_INIT;
    struct memory_backing *backing = memory_backing_create("test", size, &error);
    assert_non_null(backing);
    assert_int_equal((uintptr_t)backing->host % (2 << 20), 0);
    return backing;
}

static void test_ram(void **state)
{
    (void)state;
    struct memory_map map;
    struct error error = ERROR_INIT;
    assert_int_equal(memory_map_init(&map, 0xffffffffff, &error), 0);
    struct memory_backing *ram = new_backing(0x10000);
    assert_non_null(memory_add_ram(&map, "low", 0, 0x8000, 0, ram, 0, &error));
    assert_non_null(memory_add_ram(&map, "high", 0x100000000, 0x8000, 0, ram, 0x8000, &error));

    uint32_t value = 0x12345678, back = 0;
    assert_int_equal(memory_write(&map, 0x1001, &value, 4), 0);
    assert_int_equal(memory_read(&map, 0x1001, &back, 4), 0);
    assert_int_equal(back, value);
    assert_int_equal(memory_write(&map, 0x100000010, &value, 4), 0);
    assert_int_equal(memcmp(ram->host + 0x8010, &value, 4), 0);

    assert_ptr_equal(memory_pointer(&map, 0x7ffc, 4, true), ram->host + 0x7ffc);
    assert_null(memory_pointer(&map, 0x7ffd, 4, true));
    assert_null(memory_pointer(&map, 0x7ffd, UINT64_MAX, true));
    assert_null(memory_pointer(&map, 0x7ffd, 0, true));
    assert_null(memory_pointer(&map, 0x9000, 1, false));

    uint8_t bytes[16] = {0};
    assert_int_equal(memory_read(&map, 0x7ff8, bytes, 16), -EFAULT);
    assert_int_equal(memory_write(&map, 0xfffffffffff8, bytes, 16), -EFAULT);
    assert_int_equal(memory_write(&map, UINT64_MAX - 3, bytes, 16), -EFAULT);
    uint64_t wide = 0;
    assert_int_equal(memory_mmio_read(&map, 0x7ffe, 4, &wide), -EFAULT);
    assert_int_equal(wide, 0xffff0000);
    memory_map_destroy(&map);
    memory_backing_free(ram);
}

/* What the guest gives back reads as zeros: whole pages only. */
static void test_discard(void **state)
{
    (void)state;
    struct memory_map map;
    struct error error = ERROR_INIT;
    assert_int_equal(memory_map_init(&map, 0xffffff, &error), 0);
    struct memory_backing *ram = new_backing(0x10000);
    assert_non_null(memory_add_ram(&map, "low", 0, 0x8000, 0, ram, 0, &error));
    assert_non_null(memory_add_ram(&map, "high", 0x8000, 0x8000, 0, ram, 0x8000, &error));
    memset(ram->host, 0x5a, 0x10000);
    memory_discard(&map, 0x2800, 0x9000);
    for (unsigned i = 0; i < 0x10000; i++)
        assert_int_equal(ram->host[i], i >= 0x3000 && i < 0xb000 ? 0 : 0x5a);
    memory_map_destroy(&map);
    memory_backing_free(ram);
}

#define FILE_PAGES 4u

/* What a file has at page n is n + 1 in all bytes. */
static int make_pages(void)
{
    uint8_t page[4096];
    int fd = memfd_create("pages", MFD_CLOEXEC);
    for (unsigned i = 0; i < FILE_PAGES; i++) {
        memset(page, (int)i + 1, sizeof page);
        assert_int_equal(pwrite(fd, page, sizeof page, i * sizeof page), (ssize_t)sizeof page);
    }
    return fd;
}

static void assert_pages(const struct memory_backing *ram, const char *wanted)
{
    for (unsigned i = 0; wanted[i]; i++) {
        assert_int_equal(ram->host[i * 4096ull], wanted[i] - '0');
        assert_int_equal(ram->host[i * 4096ull + 4095], wanted[i] - '0');
    }
}

/* Pages are a file's until they are written, which the file is not; given back, they are zeros, and not the
 * file's again. */
static void test_file(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct memory_backing *ram = new_backing(0x10000);
    bool touched[16];
    uint8_t byte;
    int fd = make_pages();
    assert_int_equal(memory_backing_map_file(ram, 0x1000, 0x1000, fd, 0x3000), 0);
    assert_int_equal(memory_backing_map_file(ram, 0x2000, 0x2000, fd, 0), 0);
    assert_int_equal(memory_backing_map_file(ram, 0x8000, 0x2000, fd, 0x1000), 0);
    assert_int_equal(memory_backing_map_file(ram, 0xb000, 0x1000, fd, 1), -EINVAL);
    assert_int_equal(ram->piece_count, 2);
    memory_backing_touched(ram, 0, 16, touched);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(touched[i], (i >= 1 && i < 4) || i == 8 || i == 9);
    memory_backing_touched(ram, 3, 6, touched);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(touched[i], i == 0 || i == 5);
    assert_pages(ram, "0412000023000000");
    memset(ram->host + 0x2000, 7, 0x1000);
    memset(ram->host + 0xf000, 8, 0x1000);
    assert_pages(ram, "0472000023000008");
    assert_int_equal(pread(fd, &byte, 1, 0), 1);
    assert_int_equal(byte, 1);
    memory_backing_discard(ram, 0x2000, 0x7000);
    assert_pages(ram, "0400000003000008");
    memory_backing_discard(ram, 0, 0x10000);
    assert_pages(ram, "0000000000000000");
    memory_backing_touched(ram, 15, 1, touched); /* looking has touched it */
    assert_true(touched[0]);
    assert_int_equal(memory_backing_map_file(ram, 0xc000, 0x1000, fd, 0), 0);
    assert_int_equal(memory_backing_clear(ram, &error), 0);
    assert_int_equal(ram->piece_count, 0);
    memory_backing_touched(ram, 0, 16, touched);
    for (unsigned i = 0; i < 16; i++)
        assert_false(touched[i]);
    assert_pages(ram, "0000000000000000");
    memory_backing_free(ram);
    close(fd);
}

/* A child does not have it: the parent's pages need no copies. */
static void test_fork(void **state)
{
    (void)state;
    struct memory_backing *ram = new_backing(0x1000);
    unsigned char resident;
    ram->host[0] = 1;
    assert_int_equal(mincore(ram->host, 0x1000, &resident), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(mincore(ram->host, 0x1000, &resident) < 0 && errno == ENOMEM ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    memory_backing_free(ram);
}

static void test_refused(void **state)
{
    (void)state;
    struct memory_map map;
    struct error error = ERROR_INIT;
    assert_int_equal(memory_map_init(&map, 0xffffff, &error), 0);
    struct memory_backing *ram = new_backing(0x4000);
    struct probe probe = {0};
    assert_null(memory_add_ram(&map, "ram", 0, 0x5000, 0, ram, 0, &error));
    assert_null(memory_add_ram(&map, "ram", 0, 0x2000, 0, ram, 0x3000, &error));
    assert_null(memory_add_ram(&map, "ram", 0, 0x2000, 0, ram, UINT64_MAX, &error));
    assert_null(memory_add_mmio(&map, "device", 0xfff000, 0x2000, 0, &probe_ops, &probe, &error));
    assert_null(memory_add_mmio(&map, "device", 0x1000000, 1, 0, &probe_ops, &probe, &error));
    assert_null(memory_add_mmio(&map, "device", 0, 0, 0, &probe_ops, &probe, &error));
    assert_true(strstr(error.message, "device") != NULL);
    assert_null(memory_backing_create("odd", 0x1001, &error));
    assert_null(memory_backing_create("none", 0, &error));
    memory_map_destroy(&map);
    memory_backing_free(ram);
}

/* Huge pages that are reserved: what they cannot do is done otherwise, and means the same. */
static void test_huge(void **state)
{
    (void)state;
    const uint64_t huge = UINT64_C(2) << 20;
    struct error error = ERROR_INIT;
    bool touched[1024];
    assert_null(memory_backing_create_huge("odd", huge + MEMORY_PAGE_SIZE, &error));
    assert_int_equal(error.code, -EINVAL);
    struct memory_backing *ram = memory_backing_create_huge("huge", 2 * huge, &error);
    if (!ram) { /* most hosts have set none aside */
        assert_true(strstr(error.message, "2 huge pages of 2 MiB are needed") != NULL);
        assert_true(strstr(error.hint, "nr_hugepages") != NULL);
        return;
    }
    assert_int_equal((uintptr_t)ram->host % huge, 0);
    memory_backing_touched(ram, 0, 1024, touched);
    assert_false(touched[0] || touched[600]);
    memset(ram->host, 1, 2 * huge);
    memory_backing_touched(ram, 0, 1024, touched);
    assert_true(touched[0] && touched[1023]);
    memory_backing_discard(ram, MEMORY_PAGE_SIZE, MEMORY_PAGE_SIZE);
    assert_int_equal(ram->host[MEMORY_PAGE_SIZE - 1], 1);
    assert_int_equal(ram->host[MEMORY_PAGE_SIZE], 0);
    assert_int_equal(ram->host[2 * MEMORY_PAGE_SIZE], 1);
    memory_backing_discard(ram, huge, huge);
    assert_int_equal(ram->host[huge - 1], 1);
    assert_int_equal(ram->host[huge], 0);
    assert_int_equal(memory_backing_map_file(ram, 0, MEMORY_PAGE_SIZE, 0, 0), -ENOTSUP);
    assert_int_equal(memory_backing_clear(ram, &error), 0);
    assert_int_equal(ram->host[0], 0);
    memory_backing_free(ram);
}

static void test_overlap(void **state)
{
    (void)state;
    struct memory_map map;
    struct error error = ERROR_INIT;
    struct probe hole = {0}, bar = {0}, second = {0};
    assert_int_equal(memory_map_init(&map, 0xffffffff, &error), 0);
    struct memory_backing *ram = new_backing(0x100000), *rom = new_backing(0x1000);
    rom->host[0] = 0xea;
    memory_add_ram(&map, "ram", 0, 0x100000, 0, ram, 0, &error);
    struct memory_region *vga = memory_add_mmio(&map, "vga", 0xa0000, 0x20000, 1, &probe_ops, &hole, &error);
    memory_add_rom(&map, "rom", 0xff000, 0x1000, 1, rom, 0, NULL, NULL, &error);

    uint64_t value = 0;
    assert_int_equal(memory_mmio_read(&map, 0xa0010, 4, &value), 0);
    assert_int_equal(hole.offset, 0x10);
    /* Half RAM, half device. */
    ram->host[0x9ffff] = 0x55;
    assert_int_equal(memory_mmio_read(&map, 0x9ffff, 2, &value), 0);
    assert_int_equal(value, 0x0055);
    /* A ROM reads as memory and ignores writes. */
    assert_int_equal(memory_mmio_write(&map, 0xff000, 1, 0), 0);
    assert_int_equal(*memory_pointer(&map, 0xff000, 1, false), 0xea);
    assert_null(memory_pointer(&map, 0xff000, 1, true));

    /* The later one of two equals; a moved one counts as later. */
    struct memory_region *first =
        memory_add_mmio(&map, "bar", 0xe0000000, 0x1000, 0, &probe_ops, &bar, &error);
    memory_add_mmio(&map, "second", 0xe0000800, 0x1000, 0, &probe_ops, &second, &error);
    memory_mmio_read(&map, 0xe0000800, 1, &value);
    assert_int_equal(second.reads, 1);
    assert_int_equal(memory_region_place(first, 0xe0000400, true, &error), 0);
    memory_mmio_read(&map, 0xe0000800, 1, &value);
    assert_int_equal(second.reads, 1);
    assert_int_equal(bar.offset, 0x400);

    /* Hidden, the RAM below shows; moved beyond the end, nothing. */
    assert_int_equal(memory_region_place(vga, 0xa0000, false, &error), 0);
    assert_non_null(memory_pointer(&map, 0, 0xff000, true));
    assert_int_equal(memory_region_place(vga, 0x100000000, true, &error), 0);
    assert_int_equal(memory_mmio_read(&map, 0x100000000, 1, &value), -EFAULT);
    assert_int_equal(memory_region_place(first, 0xfffffc00, true, &error), 0);
    assert_int_equal(memory_mmio_read(&map, 0xffffffff, 1, &value), 0);
    assert_int_equal(bar.offset, 0x3ff);
    memory_map_destroy(&map);
    memory_backing_free(ram);
    memory_backing_free(rom);
}

static void test_split(void **state)
{
    (void)state;
    struct io_space io;
    struct error error = ERROR_INIT;
    struct probe a = {0}, b = {0};
    assert_int_equal(io_space_init(&io, &error), 0);
    io_add(&io, "bytes", 0x60, 2, 0, &byte_ops, &a, &error);
    io_add(&io, "wide", 0xcf8, 8, 0, &probe_ops, &b, &error);

    assert_int_equal(io_read(&io, 0x60, 2), 0x0100);
    assert_int_equal(a.reads, 2);
    assert_int_equal(io_read(&io, 0x60, 4), 0xffff0100);
    assert_int_equal(io_read(&io, 0x61, 1), 1);
    assert_int_equal(io_read(&io, 0x80, 1), 0xff);
    assert_int_equal(io_read(&io, 0xcfc, 4), 0x07060504);
    assert_int_equal(b.reads, 1);
    assert_int_equal(io_read(&io, 0xcf9, 4), 0x04030201); /* 1 + 2 + 1 */
    assert_int_equal(b.reads, 4);
    io_write(&io, 0x60, 2, 0xaabb);
    assert_int_equal(a.writes, 2);
    assert_int_equal(a.value, 0xaa);
    io_write(&io, 0xffff, 4, 0x01020304);
    assert_int_equal(io_read(&io, 0xfffe, 4), 0xffffffff);
    io_space_destroy(&io);
}

static unsigned told;
static uint64_t told_offset, told_length;

static void code_written(void *opaque, struct memory_backing *backing, uint64_t offset, uint64_t length)
{
    (void)opaque, (void)backing;
    told++;
    told_offset = offset;
    told_length = length;
}

static void test_page_flags(void **state)
{
    (void)state;
    struct memory_map map;
    struct error error = ERROR_INIT;
    assert_int_equal(memory_map_init(&map, 0xffffffff, &error), 0);
    struct memory_backing *ram = new_backing(0x8000);
    ram->code_written = code_written;
    memory_add_ram(&map, "ram", 0x10000, 0x4000, 0, ram, 0x4000, &error);
    uint8_t bytes[0x2000] = {0};
    assert_int_equal(memory_write(&map, 0x10000, bytes, sizeof bytes), 0);
    assert_int_equal(told, 0);
    atomic_fetch_or(&ram->page_flags[5], MEMORY_PAGE_CODE);
    assert_int_equal(memory_write(&map, 0x10ffe, bytes, 2), 0);
    assert_int_equal(told, 0);
    assert_int_equal(memory_write(&map, 0x10ffe, bytes, 3), 0);
    assert_int_equal(told, 1);
    assert_int_equal(told_offset, 0x4ffe);
    assert_int_equal(told_length, 3);
    memory_written(&map, 0x11000, 0x1000);
    assert_int_equal(told, 2);

    assert_int_equal(ram->page_flags[4] & MEMORY_PAGE_DIRTY, 0);
    ram->tracks_dirty = true;
    memory_mmio_write(&map, 0x10000, 8, 1);
    assert_int_equal(ram->page_flags[4] & MEMORY_PAGE_DIRTY, MEMORY_PAGE_DIRTY);
    assert_int_equal(ram->page_flags[6] & MEMORY_PAGE_DIRTY, 0);
    memory_map_destroy(&map);
    memory_backing_free(ram);
}

static unsigned changes;

static void count_change(void *opaque, const struct memory_view *old, const struct memory_view *now)
{
    (void)opaque;
    assert_ptr_not_equal(old, now);
    changes++;
}

/* What a reader may still look at stays until it has passed. */
static void test_readers(void **state)
{
    (void)state;
    struct memory_map map;
    struct error error = ERROR_INIT;
    struct probe probe = {0};
    struct memory_reader reader = {0}, sleeper = {0};
    struct memory_listener listener = {.changed = count_change};
    assert_int_equal(memory_map_init(&map, 0xffffffff, &error), 0);
    memory_reader_add(&map, &reader);
    memory_reader_add(&map, &sleeper);
    memory_reader_sleep(&sleeper);
    memory_listener_add(&map, &listener);
    struct memory_region *region = memory_add_mmio(&map, "device", 0x1000, 16, 0, &probe_ops, &probe, &error);
    region->released = probe_released;
    assert_int_equal(changes, 1);
    assert_false(memory_map_reclaim(&map));
    memory_reader_pass(&map, &reader);
    assert_true(memory_map_reclaim(&map));

    const struct memory_range *range = memory_find(&map, 0x100f);
    assert_int_equal(range->last, 0x100f);
    assert_int_equal(memory_region_remove(region, &error), 0);
    assert_int_equal(changes, 2);
    assert_null(memory_find(&map, 0x1000));
    assert_false(memory_map_reclaim(&map));
    assert_int_equal(probe.released, 0);
    assert_int_equal(range->region->ops->read(range->region->opaque, 0, 1), 0);
    memory_reader_pass(&map, &reader);
    assert_true(memory_map_reclaim(&map));
    assert_int_equal(probe.released, 1);

    memory_reader_wake(&map, &sleeper);
    region = memory_add_mmio(&map, "device", 0x1000, 16, 0, &probe_ops, &probe, &error);
    memory_reader_pass(&map, &reader);
    assert_false(memory_map_reclaim(&map));
    memory_reader_remove(&map, &sleeper);
    assert_true(memory_map_reclaim(&map));
    memory_listener_remove(&map, &listener);
    memory_reader_remove(&map, &reader);
    memory_map_destroy(&map);
}

struct searcher {
    struct memory_map *map;
    struct memory_reader reader;
    _Atomic bool *stop;
    _Atomic unsigned found;
};

/* A device's place is either not there, or there with all it needs. */
static void *search(void *opaque)
{
    struct searcher *searcher = opaque;
    while (!atomic_load_explicit(searcher->stop, memory_order_relaxed)) {
        for (unsigned i = 0; i < 100; i++) {
            const struct memory_range *range = memory_find(searcher->map, 0x1000 + i * 16);
            if (range && range->region->kind == MEMORY_MMIO) {
                if (range->region->ops != &probe_ops || range->region->size != 0x200)
                    abort();
                searcher->found++;
            }
        }
        memory_reader_pass(searcher->map, &searcher->reader);
        if (searcher->found % 7 == 0) {
            memory_reader_sleep(&searcher->reader);
            memory_reader_wake(searcher->map, &searcher->reader);
        }
    }
    memory_reader_sleep(&searcher->reader);
    return NULL;
}

/* Regions come and go while threads look things up without a lock. */
static void test_threads(void **state)
{
    (void)state;
    struct memory_map map;
    struct error error = ERROR_INIT;
    struct probe probe = {0};
    struct searcher searchers[2] = {0};
    pthread_t threads[2];
    _Atomic bool stop = false;
    assert_int_equal(memory_map_init(&map, 0xffffffff, &error), 0);
    for (unsigned i = 0; i < 2; i++) {
        searchers[i].map = &map;
        searchers[i].stop = &stop;
        memory_reader_add(&map, &searchers[i].reader);
        assert_int_equal(pthread_create(&threads[i], NULL, search, &searchers[i]), 0);
    }
    unsigned added = 0;
    for (unsigned i = 0; i < 20000 || !searchers[0].found; i++) {
        struct memory_region *region =
            memory_add_mmio(&map, "device", 0x1000 + i % 8 * 0x80, 0x200, 0, &probe_ops, &probe, &error);
        assert_non_null(region);
        region->released = probe_released;
        added++;
        assert_int_equal(memory_region_place(region, 0x1400, true, &error), 0);
        assert_int_equal(memory_region_remove(region, &error), 0);
    }
    stop = true;
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_true(memory_map_reclaim(&map));
    assert_int_equal(probe.released, added);
    memory_map_destroy(&map);
}

#define MODEL_REGIONS 12
#define MODEL_SPACE   64

/* Random regions in a small space against asking each region in turn. */
static void test_random(void **state)
{
    (void)state;
    struct probe probes[MODEL_REGIONS] = {0};
    struct memory_region *regions[MODEL_REGIONS] = {0};
    unsigned order[MODEL_REGIONS] = {0}, orders = 0;
    struct memory_map map;
    struct error error = ERROR_INIT;
    srand(1);
    assert_int_equal(memory_map_init(&map, MODEL_SPACE - 1, &error), 0);
    for (unsigned round = 0; round < 20000; round++) {
        unsigned i = (unsigned)rand() % MODEL_REGIONS;
        uint64_t base = (uint64_t)rand() % (MODEL_SPACE + 8);
        if (!regions[i]) {
            uint64_t size = 1 + (uint64_t)rand() % 20;
            regions[i] = memory_add_mmio(&map, "r", base, size, rand() % 3, &probe_ops, &probes[i], &error);
            assert_int_equal(regions[i] != NULL, base < MODEL_SPACE && base + size <= MODEL_SPACE);
        } else if (rand() % 3) {
            bool enabled = rand() % 4;
            if (regions[i]->base == base && regions[i]->enabled == enabled)
                continue;
            assert_int_equal(memory_region_place(regions[i], base, enabled, &error), 0);
        } else {
            assert_int_equal(memory_region_remove(regions[i], &error), 0);
            regions[i] = NULL;
        }
        order[i] = ++orders;
        for (uint64_t address = 0; address < MODEL_SPACE; address++) {
            const struct memory_region *best = NULL;
            unsigned best_order = 0;
            for (unsigned j = 0; j < MODEL_REGIONS; j++) {
                const struct memory_region *region = regions[j];
                if (region && region->enabled && address >= region->base &&
                    address - region->base < region->size &&
                    (!best || region->priority > best->priority ||
                     (region->priority == best->priority && order[j] > best_order))) {
                    best = region;
                    best_order = order[j];
                }
            }
            const struct memory_range *range = memory_find(&map, address);
            assert_ptr_equal(range ? range->region : NULL, best);
            if (range)
                assert_int_equal(range->offset + (address - range->start), address - best->base);
        }
    }
    assert_true(memory_map_reclaim(&map));
    memory_map_destroy(&map);
}

/* Whether the kernel may merge the page at an address: VmFlags of /proc/self/smaps. */
static bool is_mergeable(const uint8_t *at)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    bool inside = false, mergeable = false;
    char line[512];
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        uintptr_t start, end;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
            inside = (uintptr_t)at >= start && (uintptr_t)at < end;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            mergeable = strstr(line, " mg") != NULL;
    }
    fclose(file);
    return mergeable;
}

/* Whatever is mapped there anew stays as it was asked for. */
static void test_merge(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    struct memory_backing *ram = memory_backing_create("ram", 0x10000, &error);
    assert_non_null(ram);
    assert_false(is_mergeable(ram->host));
    int code = memory_backing_merge(ram, true, &error);
    if (code == -EOPNOTSUPP) {
        memory_backing_free(ram);
        skip();
    }
    assert_int_equal(code, 0);
    assert_true(is_mergeable(ram->host) && is_mergeable(ram->host + 0xf000));
    assert_int_equal(memory_backing_clear(ram, &error), 0);
    assert_true(is_mergeable(ram->host + 0x3000));
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(memory_backing_map_file(ram, 0x2000, 0x4000, fd, 0), 0);
    close(fd);
    memory_backing_discard(ram, 0x3000, 0x1000);
    assert_true(is_mergeable(ram->host + 0x3000));
    assert_int_equal(memory_backing_merge(ram, false, &error), 0);
    assert_false(is_mergeable(ram->host) || is_mergeable(ram->host + 0x3000));
    memory_backing_free(ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_discard), cmocka_unit_test(test_fork),    cmocka_unit_test(test_ram),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_huge),    cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_split),   cmocka_unit_test(test_readers), cmocka_unit_test(test_page_flags),
        cmocka_unit_test(test_random),  cmocka_unit_test(test_threads), cmocka_unit_test(test_file),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
