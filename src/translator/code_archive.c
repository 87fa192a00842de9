/* SPDX-License-Identifier: GPL-2.0-or-later */
/* code_archive: see code_archive.h. */
#include "translator/code_archive.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define KEY_BITS                                                                                             \
    17 /* a few times as many as there are entries: each step of a list is a miss of the caches */
#define PAGE_BITS 12

/* Bytes of all entries: for more, all are forgotten. What is still in use comes again. */
#define SIZE_MOST ((size_t)32 << 20)

struct entry {
    struct entry *next;         /* of the same hash of their keys, */
    struct entry *next_in_page; /* of their pages */
    uint64_t physical, pc;
    uint64_t last; /* see code_archive_find() */
    struct code_range range;
    uint32_t size; /* of all, with what follows */
    uint32_t code_size;
    uint32_t mode;
    uint16_t exit_count, restart_count, reloc_count, insn_count, move_count;
    bool flags_dead;
    uint8_t parts[]; /* as list_parts() has them */
};

struct code_archive {
    size_t size; /* of all entries */
    struct entry *by_key[1 << KEY_BITS], *by_page[1 << PAGE_BITS];
};

struct code_archive *code_archive_new(void)
{
    return calloc(1, sizeof(struct code_archive));
}

static void forget_all(struct code_archive *archive)
{
    for (unsigned i = 0; i < ARRAY_SIZE(archive->by_page); i++) {
        for (struct entry *entry = archive->by_page[i], *next; entry; entry = next) {
            next = entry->next_in_page;
            free(entry);
        }
    }
    memset(archive, 0, sizeof *archive);
}

void code_archive_free(struct code_archive *archive)
{
    if (archive)
        forget_all(archive);
    free(archive);
}

static unsigned hash(uint64_t number, unsigned bits)
{
    return (unsigned)(number * 0x9e3779b97f4a7c15u >> (64 - bits));
}

static unsigned key_slot(uint64_t physical, unsigned mode)
{
    return hash(physical ^ (uint64_t)mode << 48, KEY_BITS);
}

static unsigned page_slot(uint64_t physical)
{
    return hash(physical >> GUEST_PAGE_BITS, PAGE_BITS);
}

/* -- adding and finding ---------------------------------------------------------------------------------- */

struct part {
    void *bytes;
    size_t size;
};
enum { PART_COUNT = 6 };

/* What there is of the code, by its counts; returns the size of all. */
static size_t list_parts(const struct host_code *code, struct part parts[PART_COUNT])
{
    const struct part list[PART_COUNT] = {
        {(void *)code->exits, code->exit_count * sizeof code->exits[0]},
        {(void *)code->restarts, code->restart_count * sizeof code->restarts[0]},
        {(void *)code->relocs, code->reloc_count * sizeof code->relocs[0]},
        {(void *)code->moves, code->move_count * sizeof code->moves[0]},
        {(void *)code->insns, code->insn_count * sizeof code->insns[0]},
        {(void *)code->bytes, code->size},
    };
    size_t size = 0;
    for (unsigned i = 0; i < PART_COUNT; i++) {
        parts[i] = list[i];
        size += list[i].size;
    }
    return size;
}

static struct entry *find(const struct code_archive *archive, uint64_t physical, unsigned mode)
{
    struct entry *entry = archive->by_key[key_slot(physical, mode)];
    while (entry && (entry->physical != physical || entry->mode != mode))
        entry = entry->next;
    return entry;
}

void code_archive_add(struct code_archive *archive, const struct block_key *key, struct code_range range,
                      const struct host_code *code)
{
    struct part parts[PART_COUNT];
    const size_t size = sizeof(struct entry) + list_parts(code, parts);
    if (find(archive, key->physical, key->mode))
        return;
    if (archive->size + size > SIZE_MOST)
        forget_all(archive);
    struct entry *entry = malloc(size);
    if (!entry)
        return;
    struct entry **by_key = &archive->by_key[key_slot(key->physical, key->mode)];
    struct entry **by_page = &archive->by_page[page_slot(key->physical)];
    *entry = (struct entry){
        .next = *by_key,
        .next_in_page = *by_page,
        .physical = key->physical,
        .pc = key->pc,
        .last = key->pc,
        .range = range,
        .size = (uint32_t)size,
        .code_size = code->size,
        .mode = key->mode,
        .exit_count = (uint16_t)code->exit_count,
        .restart_count = (uint16_t)code->restart_count,
        .reloc_count = (uint16_t)code->reloc_count,
        .insn_count = (uint16_t)code->insn_count,
        .move_count = (uint16_t)code->move_count,
        .flags_dead = code->flags_dead,
    };
    uint8_t *to = entry->parts;
    for (unsigned i = 0; i < PART_COUNT; to += parts[i++].size)
        memcpy(to, parts[i].bytes, parts[i].size);
    *by_key = *by_page = entry;
    archive->size += size;
}

bool code_archive_find(struct code_archive *archive, const struct guest_isa *isa, const struct block_key *key,
                       struct code_range *range, struct host_code *code, uint64_t **last)
{
    struct entry *entry = find(archive, key->physical, key->mode);
    struct part parts[PART_COUNT];
    if (!entry)
        return false;
    *last = &entry->last;
    *range = entry->range;
    code->size = entry->code_size;
    code->exit_count = entry->exit_count;
    code->restart_count = entry->restart_count;
    code->reloc_count = entry->reloc_count;
    code->insn_count = entry->insn_count;
    code->move_count = entry->move_count;
    code->flags_dead = entry->flags_dead;
    code->entry = 0;
    list_parts(code, parts);
    const uint8_t *from = entry->parts;
    for (unsigned i = 0; i < PART_COUNT; from += parts[i++].size)
        memcpy(parts[i].bytes, from, parts[i].size);
    return host_move(isa, code, key->pc - entry->pc);
}

/* -- forgetting ------------------------------------------------------------------------------------------ */

static void remove_entry(struct code_archive *archive, struct entry *entry)
{
    struct entry **at = &archive->by_key[key_slot(entry->physical, entry->mode)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    archive->size -= entry->size;
    free(entry);
}

/* Of one list, what is on the pages [first, last]. */
static void forget_pages(struct code_archive *archive, struct entry **at, uint64_t first, uint64_t last)
{
    while (*at) {
        struct entry *entry = *at;
        const uint64_t page = entry->physical >> GUEST_PAGE_BITS;
        if (page >= first && page <= last) {
            *at = entry->next_in_page;
            remove_entry(archive, entry);
        } else {
            at = &entry->next_in_page;
        }
    }
}

void code_archive_forget(struct code_archive *archive, uint64_t start, uint64_t end)
{
    if (start >= end)
        return;
    const uint64_t first = start >> GUEST_PAGE_BITS, last = (end - 1) >> GUEST_PAGE_BITS;
    if (last - first >= ARRAY_SIZE(archive->by_page)) {
        for (unsigned i = 0; i < ARRAY_SIZE(archive->by_page); i++)
            forget_pages(archive, &archive->by_page[i], first, last);
        return;
    }
    for (uint64_t page = first; page <= last; page++)
        forget_pages(archive, &archive->by_page[page_slot(page << GUEST_PAGE_BITS)], page, page);
}
