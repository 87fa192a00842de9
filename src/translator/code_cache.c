/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "translator/code_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/code_memory.h"
#include "translator/pages.h"

/* Of an entry of by_pc. */
#define BLOCK_BITS 22
#define BLOCK_MASK ((1u << BLOCK_BITS) - 1)
_Static_assert(CODE_BLOCKS_MOST < BLOCK_MASK, "which has one more than the block");

int code_cache_new(struct code_cache **out, const struct guest_isa *isa, size_t size, bool passing,
                   struct error *error)
{
    struct code_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return error_set(error, -ENOMEM, "cannot make a code cache: out of memory");

    cache->size = ALIGN_UP(size, (size_t)4096);
    cache->has_passing = passing;
    int code = code_memory_make(cache, isa);
    if (code < 0) {
        code_cache_free(cache);
        return error_set(error, code, "cannot make a code cache of %zu MiB: %s", size >> 20, strerror(-code));
    }
    *out = cache;
    return 0;
}

void code_cache_free(struct code_cache *cache)
{
    if (cache)
        code_memory_free(cache);
    free(cache);
}

/* -- finding ------------------------------------------------------------------------------------------ */

static uint64_t hash_whole(uint64_t key)
{
    return key * 0x9e3779b97f4a7c15u;
}

static uint32_t hash(uint64_t key)
{
    return (uint32_t)(hash_whole(key) >> 32);
}

/* Where a key's block may be in by_pc: entries that differ in `tag` need not be looked at further, which
 * would touch the block. */
struct by_pc_place {
    uint32_t index, tag;
};

static struct by_pc_place place_of(const struct code_cache *cache, const struct block_key *key)
{
    const uint64_t hashed = hash_whole(key->physical + (key->pc & -GUEST_PAGE) * 5);
    return (struct by_pc_place){(uint32_t)(hashed >> 32) & (cache->by_pc_size - 1), (uint32_t)(hashed >> 16)
                                                                                        << BLOCK_BITS};
}

/* Of a used entry with this tag. */
static inline uint32_t block_of(uint32_t entry)
{
    return (entry & BLOCK_MASK) - 1;
}

static uint64_t second_page(const struct code_block *block)
{
    return block->crosses ? block->guest_start[1] & -GUEST_PAGE : NO_PAGE;
}

static struct block_key key_of(const struct code_block *block)
{
    return (struct block_key){block->pc, code_block_physical(block), second_page(block), block->mode,
                              block->careful};
}

static bool has_key(const struct code_block *block, const struct block_key *key)
{
    return block->pc == key->pc && block->mode == key->mode && block->careful == key->careful &&
           code_block_physical(block) == key->physical &&
           (key->second == ANY_PAGE || second_page(block) == key->second);
}

/* The place of a block of this key, which is not ANY_PAGE's; valid or not. */
static uint32_t *find_entry(const struct code_cache *cache, const struct block_key *key, uint32_t *tag)
{
    const struct by_pc_place place = place_of(cache, key);
    const uint32_t mask = cache->by_pc_size - 1;
    uint32_t i = place.index;
    for (; cache->by_pc[i]; i = (i + 1) & mask) {
        const uint32_t entry = cache->by_pc[i];
        if ((entry & ~BLOCK_MASK) == place.tag && has_key(&cache->blocks[block_of(entry)], key))
            break;
    }
    *tag = place.tag;
    return &cache->by_pc[i];
}

uint32_t code_cache_find(const struct code_cache *cache, const struct block_key *key)
{
    const struct by_pc_place place = place_of(cache, key);
    const uint32_t mask = cache->by_pc_size - 1;
    for (uint32_t i = place.index; cache->by_pc[i]; i = (i + 1) & mask) {
        const uint32_t entry = cache->by_pc[i];
        if ((entry & ~BLOCK_MASK) != place.tag)
            continue;
        const struct code_block *block = &cache->blocks[block_of(entry)];
        if (block->valid && has_key(block, key))
            return block_of(entry);
    }
    return NO_BLOCK;
}

/* A table in the place of one that is full. */
static void *new_table(const struct code_cache *cache, size_t size)
{
    void *table = pages_new(size);
    if (table && cache->wiped)
        pages_wipe_on_fork(table, size, true);
    return table;
}

static bool grow_by_pc(struct code_cache *cache)
{
    uint32_t *old = cache->by_pc;
    uint32_t old_size = cache->by_pc_size;

    uint32_t *table = new_table(cache, old_size * 2 * sizeof *table);
    if (!table)
        return false;
    cache->by_pc = table;
    cache->by_pc_size = old_size * 2;
    for (uint32_t i = 0; i < old_size; i++) {
        if (!old[i])
            continue;
        const struct code_block *block = &cache->blocks[block_of(old[i])];
        const struct block_key key = key_of(block);
        uint32_t tag;
        *find_entry(cache, &key, &tag) = old[i];
    }
    pages_free(old, old_size * sizeof *old);
    return true;
}

static struct page_entry *find_page(const struct code_cache *cache, uint64_t page)
{
    uint32_t mask = cache->by_page_size - 1;
    uint32_t i = hash(page) & mask;
    while (cache->by_page[i].page && cache->by_page[i].page != page + 1)
        i = (i + 1) & mask;
    return &cache->by_page[i];
}

static bool grow_by_page(struct code_cache *cache)
{
    struct page_entry *old = cache->by_page;
    uint32_t old_size = cache->by_page_size;

    struct page_entry *table = new_table(cache, old_size * 2 * sizeof *table);
    if (!table)
        return false;
    cache->by_page = table;
    cache->by_page_size = old_size * 2;
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].page)
            *find_page(cache, old[i].page - 1) = old[i];
    }
    pages_free(old, old_size * sizeof *old);
    return true;
}

static const struct code_arena *arena_at(const struct code_cache *cache, uint32_t offset)
{
    for (unsigned i = ARENA_LASTING; i < ARENA_COUNT - 1; i++)
        if (offset < cache->arenas[i].parts[TABLE_CODE].limit)
            return &cache->arenas[i];
    return &cache->arenas[ARENA_COUNT - 1];
}

uint32_t code_cache_block_at(const struct code_cache *cache, uint64_t host_pc)
{
    if (!code_cache_contains(cache, host_pc))
        return NO_BLOCK;

    const uint32_t offset = (uint32_t)(host_pc - (uintptr_t)cache->executable);
    const struct code_part *blocks = &arena_at(cache, offset)->parts[TABLE_BLOCKS];
    const uint32_t end = atomic_load_explicit(&blocks->end, memory_order_acquire);
    uint32_t low = blocks->first, high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cache->blocks[middle].code + cache->blocks[middle].size <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == end || cache->blocks[low].code > offset)
        return NO_BLOCK;
    return low;
}

uint64_t code_cache_guest_pc(const struct code_cache *cache, uint32_t index, uint64_t host_pc,
                             unsigned *state)
{
    const struct code_block *block = &cache->blocks[index];
    uint32_t offset = (uint32_t)(host_pc - (uintptr_t)cache->executable) - block->code;
    const struct host_insn *insns = &cache->insns[block->insns];
    uint32_t delta = 0;
    *state = 0;
    for (unsigned i = 0; i < block->insn_count && insns[i].start <= offset; i++) {
        delta = insns[i].pc_delta;
        *state = insns[i].state;
    }
    return block->pc + delta;
}

uint64_t code_cache_restart(const struct code_cache *cache, uint32_t index, uint64_t host_pc)
{
    const struct code_block *block = &cache->blocks[index];
    uint32_t offset = (uint32_t)(host_pc - (uintptr_t)cache->executable) - block->code;
    for (unsigned i = 0; i < block->restart_count; i++) {
        const struct host_restart *r = &cache->restarts[block->restarts + i];
        if (offset >= r->start && offset < r->end)
            return host_pc - (offset - r->start);
    }
    return host_pc;
}

/* -- adding ------------------------------------------------------------------------------------------- */

/* Changes the displacement at `slot` to lead to `destination`. It lies within eight aligned bytes, which
 * change at once: threads that run this code see the old displacement or the new one. */
static void store_displacement(struct code_cache *cache, uint32_t slot, uint32_t destination)
{
    uint64_t *word = (uint64_t *)(void *)(cache->writable + ALIGN_DOWN(slot, 8u));
    uint64_t old = __atomic_load_n(word, __ATOMIC_RELAXED), new;
    uint32_t displacement = destination - (slot + 4);
    if (!memcmp((const uint8_t *)&old + slot % 8, &displacement, sizeof displacement))
        return;
    do {
        new = old;
        memcpy((uint8_t *)&new + slot % 8, &displacement, sizeof displacement);
    } while (!__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
}

static void put32(struct code_cache *cache, uint32_t offset, uint32_t value)
{
    memcpy(cache->writable + offset, &value, sizeof value);
}

/* For what is in use now. */
static void prepare_block(struct code_cache *cache, struct code_arena *arena)
{
    static const enum code_table tables[] = {TABLE_CODE, TABLE_EXITS, TABLE_INSNS};
    for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
        code_memory_prepare(cache, arena, tables[i], arena->parts[tables[i]].end);
}

static bool has_page_room(struct code_cache *cache)
{
    return (cache->by_page_used + 2) * 2 <= cache->by_page_size || grow_by_page(cache);
}

static bool has_arena_room(const struct code_arena *arena, const uint32_t wanted[TABLE_COUNT])
{
    for (unsigned i = 0; i < TABLE_COUNT; i++)
        if (arena->parts[i].limit - arena->parts[i].end < wanted[i])
            return false;
    return true;
}

static bool has_hash_room(struct code_cache *cache)
{
    return ((cache->by_pc_used + 1) * 2 <= cache->by_pc_size || grow_by_pc(cache)) && has_page_room(cache);
}

static void copy_code(struct code_cache *cache, uint32_t index, const struct code_parts *code)
{
    const struct code_block *block = &cache->blocks[index];
    memcpy(cache->writable + block->code, code->bytes, code->size);
    for (unsigned i = 0; i < code->reloc_count; i++) {
        uint32_t at = block->code + code->relocs[i].offset;
        put32(cache, at, cache->routines[code->relocs[i].routine] - (at + 4));
    }
    for (unsigned i = 0; i < code->exit_count; i++) {
        const struct host_exit *from = &code->exits[i];
        cache->exits[block->exits + i] = (struct block_exit){
            .target = from->target,
            .slot = from->probe ? 0 : block->code + from->slot,
            .stub = block->code + from->stub,
            .direct = (uint16_t)from->direct,
            .store = (uint16_t)from->store,
            .linked = NO_BLOCK,
            .next = NO_EXIT,
            .block = index,
            .careful = from->careful,
        };
        put32(cache, block->code + from->stub + HOST_STUB_NUMBER, block->exits + i);
        if (!from->probe)
            put32(cache, block->code + from->slot, from->stub - (from->slot + 4));
        if (from->direct)
            put32(cache, block->code + from->direct, from->store - (from->direct + 4));
    }
    if (code->restart_count) /* without any there may be no array */
        memcpy(&cache->restarts[block->restarts], code->restarts,
               code->restart_count * sizeof *code->restarts);
    if (code->insn_count)
        memcpy(&cache->insns[block->insns], code->insns, code->insn_count * sizeof *code->insns);
}

/* The entry of the page of an address; there is room. */
static struct page_entry *make_page(struct code_cache *cache, uint64_t address)
{
    struct page_entry *entry = find_page(cache, address >> GUEST_PAGE_BITS);
    if (!entry->page) {
        *entry = (struct page_entry){.page = (address >> GUEST_PAGE_BITS) + 1, .first = NO_BLOCK};
        cache->by_page_used++;
    }
    return entry;
}

struct page_entry *code_cache_watch(struct code_cache *cache, uint64_t address)
{
    if (!has_page_room(cache))
        return NULL;
    struct page_entry *entry = make_page(cache, address);
    if (!entry->changes)
        entry->changes = 1;
    return entry;
}

uint64_t code_cache_changes(const struct code_cache *cache, uint64_t address)
{
    const struct page_entry *entry = find_page(cache, address >> GUEST_PAGE_BITS);
    return entry->page ? entry->changes : 0;
}

/* Bits of the 64th parts of a page that [start, end), which is cut to the page, touches. */
static uint64_t parts_of(uint64_t page, uint64_t start, uint64_t end)
{
    const unsigned shift = GUEST_PAGE_BITS - 6;
    uint64_t base = page << GUEST_PAGE_BITS;
    unsigned first = start > base ? (unsigned)((start - base) >> shift) : 0;
    unsigned last = end - base < GUEST_PAGE ? (unsigned)((end - 1 - base) >> shift) : 63;
    return ~(uint64_t)0 << first & ~(uint64_t)0 >> (63 - last);
}

static uint64_t parts_of_block(const struct code_block *block, uint64_t page)
{
    uint64_t parts = 0;
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t start = block->guest_start[i];
        if (block->guest_size[i] && start >> GUEST_PAGE_BITS == page)
            parts |= parts_of(page, start, start + block->guest_size[i]);
    }
    return parts;
}

static void add_to_page(struct code_cache *cache, uint32_t index, unsigned which)
{
    struct code_block *block = &cache->blocks[index];
    struct page_entry *entry = make_page(cache, block->guest_start[which]);
    block->next_in_page[which] = entry->first;
    entry->first = index;
    entry->live++;
    entry->parts |= parts_of_block(block, entry->page - 1);
}

static void set_ranges(struct code_block *block, const struct code_range ranges[2])
{
    for (unsigned i = 0; i < 2; i++) {
        block->guest_start[i] = ranges[i].start;
        block->guest_size[i] = (uint16_t)ranges[i].size;
    }
}

/* -- joining and forgetting ---------------------------------------------------------------------------- */

/* Takes an exit out of the list of the block that it is linked to. */
static void leave_target(struct code_cache *cache, uint32_t index)
{
    struct block_exit *exit = &cache->exits[index];
    if (exit->linked == NO_BLOCK)
        return;
    uint32_t *from = &cache->blocks[exit->linked].incoming;
    while (*from != index)
        from = &cache->exits[*from].next;
    *from = exit->next;
    exit->linked = NO_BLOCK;
    exit->next = NO_EXIT;
}

void code_cache_link(struct code_cache *cache, uint32_t exit_index, uint32_t block,
                     const _Atomic uint32_t *interrupts)
{
    struct block_exit *exit = &cache->exits[exit_index];

    if (exit->linked != block) { /* of an instruction that crosses, there may be one for each second page */
        leave_target(cache, exit_index);
        exit->linked = block;
        exit->next = cache->blocks[block].incoming;
        cache->blocks[block].incoming = exit_index;
    }
    store_displacement(cache, exit->slot, cache->blocks[block].code);
    if (exit->direct && cache->blocks[block].flags_dead)
        store_displacement(cache, cache->blocks[exit->block].code + exit->direct, cache->blocks[block].code);
    /* A signal handler that unlinked this exit just before has raised the count before: seen here. */
    if (atomic_load(interrupts))
        code_cache_unlink(cache, exit_index);
}

void code_cache_unlink(struct code_cache *cache, uint32_t index)
{
    const struct block_exit *exit = &cache->exits[index];
    if (!exit->slot)
        return;
    store_displacement(cache, exit->slot, exit->stub);
    if (exit->direct) {
        const uint32_t code = cache->blocks[exit->block].code;
        store_displacement(cache, code + exit->direct, code + exit->store);
    }
}

void code_cache_unlink_block(struct code_cache *cache, uint32_t block)
{
    for (unsigned i = 0; i < cache->blocks[block].exit_count; i++)
        code_cache_unlink(cache, cache->blocks[block].exits + i);
}

static void drop(struct code_cache *cache, uint32_t index)
{
    struct code_block *block = &cache->blocks[index];

    block->valid = false;
    for (unsigned i = 0; i < 2; i++)
        if (block->guest_size[i])
            find_page(cache, block->guest_start[i] >> GUEST_PAGE_BITS)->live--;
    for (uint32_t e = block->incoming; e != NO_EXIT;) {
        uint32_t next = cache->exits[e].next;
        code_cache_unlink(cache, e);
        cache->exits[e].linked = NO_BLOCK;
        cache->exits[e].next = NO_EXIT;
        e = next;
    }
    block->incoming = NO_EXIT;
}

/* Both ranges may be on the same page; then its list goes by the first. */
static uint32_t *next_in_page(struct code_cache *cache, uint32_t index, uint64_t page)
{
    struct code_block *block = &cache->blocks[index];
    return &block->next_in_page[block->guest_start[0] >> GUEST_PAGE_BITS == page ? 0 : 1];
}

static void drop_of_page(struct code_cache *cache, struct page_entry *entry, uint64_t start, uint64_t end,
                         const struct code_cache_listener *listener)
{
    const uint64_t page = entry->page - 1;
    uint32_t *from = &entry->first;

    entry->parts = 0;
    while (*from != NO_BLOCK) {
        uint32_t index = *from;
        struct code_block *block = &cache->blocks[index];
        uint32_t *next = next_in_page(cache, index, page);
        if (block->valid && code_block_overlaps(block, start, end)) {
            drop(cache, index);
            listener->dropped(listener->context, block);
        }
        if (!block->valid) {
            *from = *next; /* the other page's list drops it when it is walked */
            continue;
        }
        entry->parts |= parts_of_block(block, page);
        from = next;
    }
}

static void invalidate_page(struct code_cache *cache, struct page_entry *entry, uint64_t start, uint64_t end,
                            const struct code_cache_listener *listener)
{
    const uint64_t page = entry->page - 1;

    entry->changes++;
    if (entry->parts & parts_of(page, start, end))
        drop_of_page(cache, entry, start, end, listener);
    if (!entry->live && listener->page_empty)
        listener->page_empty(listener->context, page << GUEST_PAGE_BITS);
}

void code_cache_invalidate(struct code_cache *cache, uint64_t start, uint64_t end,
                           const struct code_cache_listener *listener)
{
    if (start >= end)
        return;

    uint64_t first = start >> GUEST_PAGE_BITS, last = (end - 1) >> GUEST_PAGE_BITS;
    if (last - first >= cache->by_page_size) {
        for (uint32_t i = 0; i < cache->by_page_size; i++) {
            struct page_entry *entry = &cache->by_page[i];
            if (entry->page && entry->page - 1 >= first && entry->page - 1 <= last)
                invalidate_page(cache, entry, start, end, listener);
        }
        return;
    }
    for (uint64_t page = first; page <= last; page++) {
        struct page_entry *entry = find_page(cache, page);
        if (entry->page)
            invalidate_page(cache, entry, start, end, listener);
        else if (listener->page_empty)
            listener->page_empty(listener->context, page << GUEST_PAGE_BITS);
    }
}

static void unlink_arena(struct code_cache *cache, const struct code_arena *arena)
{
    const struct code_part *exits = &arena->parts[TABLE_EXITS];
    for (uint32_t i = exits->first; i < exits->end; i++)
        code_cache_unlink(cache, i);
}

static bool contains(const struct code_part *part, uint32_t index)
{
    return index >= part->first && index < part->end;
}

/* Takes the exits of the arena out of the lists of the blocks elsewhere that they lead to. */
static void leave_incoming(struct code_cache *cache, const struct code_arena *arena)
{
    const struct code_part *exits = &arena->parts[TABLE_EXITS];
    for (uint32_t i = exits->first; i < exits->end; i++) {
        if (!contains(&arena->parts[TABLE_BLOCKS], cache->exits[i].linked))
            leave_target(cache, i);
    }
}

/* Takes the blocks of an arena out of the list of a page, once. */
static void leave_page(struct code_cache *cache, struct page_entry *entry, const struct code_part *blocks)
{
    const uint64_t page = entry->page - 1;
    uint32_t *from = &entry->first;

    if (entry->dropped == cache->epoch)
        return;
    entry->dropped = cache->epoch;
    entry->parts = 0;
    while (*from != NO_BLOCK) {
        const uint32_t index = *from;
        uint32_t *next = next_in_page(cache, index, page);
        if (contains(blocks, index) || !cache->blocks[index].valid) {
            *from = *next;
            continue;
        }
        entry->parts |= parts_of_block(&cache->blocks[index], page);
        from = next;
    }
}

/* The table anew, of the valid blocks. */
static void rebuild_by_pc(struct code_cache *cache)
{
    memset(cache->by_pc, 0, cache->by_pc_size * sizeof *cache->by_pc);
    cache->by_pc_used = 0;
    for (unsigned a = 0; a < ARENA_COUNT; a++) {
        const struct code_part *blocks = &cache->arenas[a].parts[TABLE_BLOCKS];
        for (uint32_t i = blocks->first; i < blocks->end; i++) {
            if (!cache->blocks[i].valid)
                continue;
            const struct block_key key = key_of(&cache->blocks[i]);
            uint32_t tag, *entry = find_entry(cache, &key, &tag);
            *entry = tag | (i + 1);
            cache->by_pc_used++;
        }
    }
}

/* Nothing of the arena is found any more, nor leads or is led to. Threads may still be inside. */
static void drop_arena(struct code_cache *cache, struct code_arena *arena)
{
    const struct code_part *blocks = &arena->parts[TABLE_BLOCKS];
    arena->dropped = ++cache->epoch;
    leave_incoming(cache, arena);
    for (uint32_t i = blocks->first; i < blocks->end; i++)
        if (cache->blocks[i].valid)
            drop(cache, i);
    unlink_arena(cache, arena);
    for (uint32_t i = blocks->first; i < blocks->end; i++)
        for (unsigned k = 0; k < 2; k++)
            if (cache->blocks[i].guest_size[k])
                leave_page(cache, find_page(cache, cache->blocks[i].guest_start[k] >> GUEST_PAGE_BITS),
                           blocks);
    rebuild_by_pc(cache);
}

void code_cache_retire(struct code_cache *cache)
{
    for (unsigned i = 0; i < ARENA_COUNT; i++)
        unlink_arena(cache, &cache->arenas[i]);
}

/* -- arenas ------------------------------------------------------------------------------------------ */

static unsigned other_passing(const struct code_cache *cache)
{
    return cache->passing == ARENA_PASSING ? ARENA_PASSING + 1 : ARENA_PASSING;
}

/* When the arena for what passes is half full, the other is to be empty soon. */
static void make_way(struct code_cache *cache, const struct code_arena *arena)
{
    const struct code_part *code = &arena->parts[TABLE_CODE];
    struct code_arena *other = &cache->arenas[other_passing(cache)];
    if (cache->has_passing && !other->dropped && code->end - code->first > (code->limit - code->first) / 2)
        drop_arena(cache, other);
}

bool code_cache_turn(struct code_cache *cache, uint64_t entered)
{
    struct code_arena *other = &cache->arenas[other_passing(cache)];
    if (!cache->has_passing || cache->full != cache->passing || !other->dropped || entered < other->dropped)
        return false;
    for (unsigned i = 0; i < TABLE_COUNT; i++)
        other->parts[i].end = other->parts[i].first;
    other->dropped = 0;
    cache->passing = other_passing(cache);
    return true;
}

/* The next entries of an arena's part; `count` of them are in use from now on. */
static uint32_t take(struct code_part *part, uint32_t count)
{
    const uint32_t first = part->end;
    part->end = first + count;
    return first;
}

/* Where the parts of a block will be; there is room. */
static void take_room(struct code_arena *arena, struct code_block *block, const struct code_parts *code)
{
    struct code_part *parts = arena->parts;
    const uint32_t end = parts[TABLE_CODE].end;
    parts[TABLE_CODE].end = ALIGN_UP(end, CODE_BLOCK_ALIGNMENT);
    block->code = take(&parts[TABLE_CODE], code->size);
    block->exits = take(&parts[TABLE_EXITS], code->exit_count);
    block->restarts = take(&parts[TABLE_RESTARTS], code->restart_count);
    block->insns = take(&parts[TABLE_INSNS], code->insn_count);
}

static void enter_into_hashes(struct code_cache *cache, uint32_t index, const struct block_key *key)
{
    uint32_t tag, *entry = find_entry(cache, key, &tag);
    if (!*entry)
        cache->by_pc_used++;
    *entry = tag | (index + 1);
    for (unsigned i = 0; i < 2; i++)
        if (cache->blocks[index].guest_size[i])
            add_to_page(cache, index, i);
}

uint32_t code_cache_add(struct code_cache *cache, const struct block_key *key,
                        const struct code_range ranges[2], const struct code_parts *code)
{
    const uint32_t wanted[TABLE_COUNT] = {
        [TABLE_CODE] = code->size + CODE_BLOCK_ALIGNMENT,
        [TABLE_BLOCKS] = 1,
        [TABLE_EXITS] = code->exit_count,
        [TABLE_RESTARTS] = code->restart_count,
        [TABLE_INSNS] = code->insn_count,
    };
    cache->full = code->passes ? cache->passing : ARENA_LASTING;
    struct code_arena *arena = &cache->arenas[cache->full];
    if (!has_arena_room(arena, wanted) || !has_hash_room(cache))
        return NO_BLOCK;

    _Atomic uint32_t *end = &arena->parts[TABLE_BLOCKS].end;
    const uint32_t index = atomic_load(end);
    struct code_block *block = &cache->blocks[index];
    code_memory_prepare(cache, arena, TABLE_BLOCKS, index + 1);
    *block = (struct code_block){
        .pc = key->pc,
        .size = code->size,
        .exit_count = (uint16_t)code->exit_count,
        .restart_count = (uint16_t)code->restart_count,
        .insn_count = (uint16_t)code->insn_count,
        .valid = true,
        .flags_dead = code->flags_dead,
        .careful = key->careful,
        .crosses = key->second != NO_PAGE,
        .entry = (uint8_t)code->entry,
        .mode = key->mode,
        .incoming = NO_EXIT,
        .next_in_page = {NO_BLOCK, NO_BLOCK},
    };
    set_ranges(block, ranges);
    take_room(arena, block, code);
    prepare_block(cache, arena);
    copy_code(cache, index, code);
    enter_into_hashes(cache, index, key);
    atomic_store_explicit(end, index + 1, memory_order_release);
    if (cache->full == cache->passing)
        make_way(cache, arena);
    return index;
}

/* -- fork ----------------------------------------------------------------------------------------------- */

/* Makes a slot lead to `to`. Most do: their pages stay untouched. */
static void take_back(struct code_cache *cache, uint32_t slot, uint32_t to)
{
    uint32_t displacement;
    memcpy(&displacement, cache->executable + slot, sizeof displacement);
    if (displacement != to - (slot + 4))
        store_displacement(cache, slot, to);
}

/* The parent went on while this was copied: it may have linked exits to blocks that only it has. */
static void take_back_links(struct code_cache *cache)
{
    const struct code_part *exits = &cache->arenas[ARENA_LASTING].parts[TABLE_EXITS];
    for (uint32_t i = exits->first; i < exits->end; i++) {
        const struct block_exit *exit = &cache->exits[i];
        const struct code_block *to = exit->linked == NO_BLOCK ? NULL : &cache->blocks[exit->linked];
        if (!exit->slot)
            continue;
        take_back(cache, exit->slot, to ? to->code : exit->stub);
        const uint32_t code = cache->blocks[exit->block].code;
        if (exit->direct)
            take_back(cache, code + exit->direct, to && to->flags_dead ? to->code : code + exit->store);
    }
}

int code_cache_unshare(struct code_cache *cache)
{
    int code = code_memory_copy(cache);
    if (code == 0)
        take_back_links(cache);
    return code;
}

int code_cache_begin_again(struct code_cache *cache)
{
    int code = code_memory_empty(cache);
    if (code == 0)
        cache->epoch++;
    return code;
}
