/* SPDX-License-Identifier: GPL-2.0-or-later */
/* code_memory: see code_memory.h. */
#include "translator/code_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/macros.h"
#include "translator/pages.h"

#define ROUTINES_MAX 16384
/* Of memory that is prepared ahead: as much as there is already, but for these. */
#define PREPARE_LEAST (8u << 10)
#define PREPARE_MOST  (64u << 10)
#define BY_PC_FIRST   4096u
#define BY_PAGE_FIRST 512u

/* Of the arrays: bytes of code per entry (on average every block, exit, ... takes more) and bytes of one. */
static const struct {
    uint32_t code, size;
} table_entry[TABLE_COUNT] = {
    [TABLE_CODE] = {1, 1},
    [TABLE_BLOCKS] = {CODE_BLOCK_ALIGNMENT, sizeof(struct code_block)},
    [TABLE_EXITS] = {16, sizeof(struct block_exit)},
    [TABLE_RESTARTS] = {32, sizeof(struct host_restart)},
    [TABLE_INSNS] = {4, sizeof(struct host_insn)},
};

/* Each of the arenas for what passes is this part of the cache. */
#define PASSING_PART 8

/*
 * A file in memory for a cache, or -1. The limits of open files and of a file's size, which are the guest's,
 * may forbid it; exceeding the latter would even be a signal. Then anonymous memory does as well, if more
 * slowly at fork().
 */
static int new_file(size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) < 0 || limit.rlim_cur < size)
        return -1;
    int fd = memfd_create("visor-code", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)size) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Shared memory of this file, or of none if fd is -1, mapped writable. NULL: there is none. */
static uint8_t *new_memory(size_t size, int fd)
{
    int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    return p == MAP_FAILED ? NULL : pages_hide_from_dumps(p, size);
}

static void close_file(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Maps the cache's memory a second time: where the executable mapping is, or at a new address if there is
 * none yet. */
static int map_executable(struct code_cache *cache)
{
    void *old = (void *)cache->executable;
    int fixed = old ? MREMAP_FIXED : 0;

    /* Of a shared mapping, an old size of 0 means the same memory once more: mremap(2). */
    void *p = mremap(cache->writable, 0, cache->size, MREMAP_MAYMOVE | fixed, old);
    if (p == MAP_FAILED)
        return -errno;
    cache->executable = p;
    return mprotect(p, cache->size, PROT_READ | PROT_EXEC) < 0 ? -errno : 0;
}

/* Every page of the hash tables is used soon, unless there are many. */
static void prepare_hashes(struct code_cache *cache)
{
    pages_prepare(cache->by_pc, MIN(cache->by_pc_size, BY_PC_FIRST) * sizeof *cache->by_pc);
    pages_prepare(cache->by_page, MIN(cache->by_page_size, BY_PAGE_FIRST) * sizeof *cache->by_page);
}

struct mapping {
    void *memory;
    size_t size;
};
enum { MAPPING_COUNT = 6 };

static size_t table_size(const struct code_cache *cache, enum code_table table)
{
    return cache->size / table_entry[table].code * table_entry[table].size;
}

/* The arrays and hash tables. */
static void list_mappings(const struct code_cache *cache, struct mapping mappings[MAPPING_COUNT])
{
    const struct mapping list[MAPPING_COUNT] = {
        {cache->blocks, table_size(cache, TABLE_BLOCKS)},
        {cache->exits, table_size(cache, TABLE_EXITS)},
        {cache->restarts, table_size(cache, TABLE_RESTARTS)},
        {cache->insns, table_size(cache, TABLE_INSNS)},
        {cache->by_pc, cache->by_pc_size * sizeof *cache->by_pc},
        {cache->by_page, cache->by_page_size * sizeof *cache->by_page},
    };
    memcpy(mappings, list, sizeof list);
}

static int allocate_tables(struct code_cache *cache)
{
    cache->blocks = pages_new(table_size(cache, TABLE_BLOCKS));
    cache->exits = pages_new(table_size(cache, TABLE_EXITS));
    cache->restarts = pages_new(table_size(cache, TABLE_RESTARTS));
    cache->insns = pages_new(table_size(cache, TABLE_INSNS));
    cache->by_pc_size = BY_PC_FIRST;
    cache->by_pc = pages_new(cache->by_pc_size * sizeof *cache->by_pc);
    cache->by_page_size = BY_PAGE_FIRST;
    cache->by_page = pages_new(cache->by_page_size * sizeof *cache->by_page);
    if (!cache->blocks || !cache->exits || !cache->restarts || !cache->insns || !cache->by_pc ||
        !cache->by_page)
        return -ENOMEM;
    prepare_hashes(cache);
    return 0;
}

/* Makes the arena, without anything in it, that of [begin, end) of the code. */
static void place_arena(struct code_arena *arena, uint32_t begin, uint32_t end)
{
    for (unsigned i = 0; i < TABLE_COUNT; i++) {
        struct code_part *part = &arena->parts[i];
        part->first = ALIGN_UP(begin, table_entry[i].code) / table_entry[i].code;
        part->limit = end / table_entry[i].code;
        part->ready = ALIGN_DOWN((size_t)part->first * table_entry[i].size, (size_t)PREPARE_LEAST);
        atomic_store(&part->end, part->first);
    }
    arena->parts[TABLE_BLOCKS].limit = MIN(arena->parts[TABLE_BLOCKS].limit, CODE_BLOCKS_MOST);
    arena->dropped = 0;
}

/* `begin`: behind the routines. */
static void place_arenas(struct code_cache *cache, uint32_t begin)
{
    const uint32_t size = (uint32_t)cache->size;
    const uint32_t passing = cache->has_passing ? ALIGN_DOWN(size / PASSING_PART, 4096u) : 0;
    place_arena(&cache->arenas[ARENA_LASTING], begin, size - 2 * passing);
    for (unsigned i = 0; i < 2; i++)
        place_arena(&cache->arenas[ARENA_PASSING + i], size - (2 - i) * passing, size - (1 - i) * passing);
    cache->passing = cache->has_passing ? ARENA_PASSING : ARENA_LASTING;
}

int code_memory_make(struct code_cache *cache, const struct guest_isa *isa)
{
    int fd = new_file(cache->size);
    cache->writable = new_memory(cache->size, fd);
    close_file(fd);
    int code = cache->writable ? map_executable(cache) : -ENOMEM;
    if (code == 0)
        code = allocate_tables(cache);
    if (code < 0)
        return code;
    cache->routines_end = (uint32_t)host_emit_routines(isa, cache->writable, ROUTINES_MAX, cache->routines);
    place_arenas(cache, cache->routines_end);
    return 0;
}

void code_memory_free(struct code_cache *cache)
{
    struct mapping mappings[MAPPING_COUNT];
    pages_free(cache->writable, cache->size);
    pages_free((void *)cache->executable, cache->size);
    list_mappings(cache, mappings);
    for (unsigned i = 0; i < MAPPING_COUNT; i++)
        pages_free(mappings[i].memory, mappings[i].size);
}

/* Prepares memory, whose first *ready bytes are prepared already, up to `wanted`. */
static void prepare(void *memory, size_t *ready, size_t wanted)
{
    if (wanted <= *ready)
        return;
    size_t step = MAX(PREPARE_LEAST, MIN(*ready, PREPARE_MOST));
    size_t size = ALIGN_UP(wanted - *ready, (size_t)PREPARE_LEAST);
    size = MAX(size, step);
    pages_prepare((uint8_t *)memory + *ready, size);
    *ready += size;
}

void code_memory_prepare(const struct code_cache *cache, struct code_arena *arena, enum code_table table,
                         uint32_t end)
{
    void *const memory[TABLE_COUNT] = {
        [TABLE_CODE] = cache->writable,     [TABLE_BLOCKS] = cache->blocks, [TABLE_EXITS] = cache->exits,
        [TABLE_RESTARTS] = cache->restarts, [TABLE_INSNS] = cache->insns,
    };
    prepare(memory[table], &arena->parts[table].ready, (size_t)end * table_entry[table].size);
}

/* -- fork ------------------------------------------------------------------------------------------------ */

/* Rather than through a mapping, which would fault on every page. */
static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, bytes + done, size - done, (off_t)done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n < 0 ? 0 : (size_t)n;
    }
    return true;
}

/* Puts a copy of the code, in memory of its own, in the place of the writable mapping. */
static int copy_memory(struct code_cache *cache)
{
    int fd = new_file(cache->size), code = 0;
    if (fd >= 0 && write_all(fd, cache->executable, cache->arenas[ARENA_LASTING].parts[TABLE_CODE].end)) {
        if (mmap(cache->writable, cache->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
            MAP_FAILED)
            code = -errno;
        else
            pages_hide_from_dumps(cache->writable, cache->size);
        close_file(fd);
        return code;
    }
    close_file(fd);
    uint8_t *copy = new_memory(cache->size, -1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, cache->executable, cache->arenas[ARENA_LASTING].parts[TABLE_CODE].end);
    if (mremap(copy, cache->size, cache->size, MREMAP_MAYMOVE | MREMAP_FIXED, cache->writable) ==
        MAP_FAILED) {
        code = -errno;
        pages_free(copy, cache->size);
    }
    return code;
}

int code_memory_copy(struct code_cache *cache)
{
    int code = copy_memory(cache);
    return code == 0 ? map_executable(cache) : code;
}

int code_memory_empty(struct code_cache *cache)
{
    place_arenas(cache, cache->routines_end);
    int code = code_memory_copy(cache);
    if (code < 0)
        return code;
    pages_clear(cache->by_pc, cache->by_pc_size * sizeof *cache->by_pc);
    pages_clear(cache->by_page, cache->by_page_size * sizeof *cache->by_page);
    prepare_hashes(cache);
    cache->by_pc_used = cache->by_page_used = 0;
    return 0;
}

void code_cache_wipe_on_fork(struct code_cache *cache, bool wipe)
{
    struct mapping mappings[MAPPING_COUNT];
    bool kept = true;

    if (cache->wiped == wipe)
        return;
    list_mappings(cache, mappings);
    for (unsigned i = 0; i < MAPPING_COUNT; i++)
        kept &= pages_wipe_on_fork(mappings[i].memory, mappings[i].size, wipe);
    cache->wiped = wipe || !kept;
}
