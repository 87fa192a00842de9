/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_store: any bytes as the only entry of a store of translations are no entry, or one whose parts can be
 * read and put into a code cache. (Whether its code is right nobody can check: see docs/architecture.md.) */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "translator/code_store.h"
#include "translator/guest/arm64/arm64.h"

#define PC         0x2aaaaaaab000ull
#define ENTRY_MAX  65536
#define CACHE_SIZE (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct code_store *store;
static struct code_cache *cache;
static uint8_t *entry; /* writable mapping */

/* One entry, at the place that the index has for PC, and where that is. */
static void make_store(void)
{
    static const struct translator_key key = {{1}};
    static const uint8_t bytes[64], guest[8];
    const struct host_exit exits[] = {{4, 8, PC + 64, 0, 0, false, false}};
    const struct host_restart restarts[] = {{16, 20}};
    const struct host_reloc relocs[] = {{24, HOST_LINK}};
    const struct host_insn insns[] = {{0, 0, 0}, {3, 4, 1}};
    const struct stored_code made = {
        .start = PC,
        .end = PC + sizeof guest,
        .guest = guest,
        .code = {sizeof bytes, 1, 1, 1, 2, exits, restarts, relocs, insns, bytes, false, 0, false},
    };
    struct stat status;

    int fd = code_store_create(&key);
    store = code_store_new();
    if (fd < 0 || !store || !code_store_use(store, fd, &key) || fstat(fd, &status) < 0)
        abort();
    code_store_add(store, PC, &made);
    code_store_flush(store);
    uint8_t *file = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED)
        abort();
    for (size_t at = 0; !entry && at < (size_t)status.st_size - ENTRY_MAX; at += 8) {
        if (*(const uint64_t *)(const void *)(file + at) == PC)
            entry = file + at;
    }
    if (!entry)
        abort();
}

static void add_to_cache(const struct stored_code *found)
{
    static const struct block_key key = {PC, PC, NO_PAGE, 0, false};
    const struct code_range ranges[2] = {{found->start, (uint32_t)(found->end - found->start) & 0xfff}};
    struct error error = ERROR_INIT;
    if (cache && code_cache_add(cache, &key, ranges, &found->code) != NO_BLOCK)
        return;
    code_cache_free(cache);
    if (code_cache_new(&cache, &arm64_guest, CACHE_SIZE, false, &error) < 0)
        abort();
    code_cache_add(cache, &key, ranges, &found->code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stored_code found;
    unsigned cursor = 0, sum = 0;

    if (!store)
        make_store();
    if (size > ENTRY_MAX)
        return 0;
    memcpy(entry + 8, data, size); /* PC stays */
    while (code_store_find(store, PC, &cursor, &found)) {
        for (size_t i = 0; i < found.end - found.start; i++)
            sum += found.guest[i];
        add_to_cache(&found);
    }
    return sum == 0xffffffff;
}
