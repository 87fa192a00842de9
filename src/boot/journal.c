/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The format is that of Linux's jbd2, all numbers big endian. A transaction is descriptor blocks, each
 * followed by the blocks that it describes, blocks of revocations, and a commit block; all have the
 * transaction's number. The journal is a ring, whose superblock says where the oldest transaction is that may
 * not be in place yet; the first block that does not go on with it is the end.
 */
#include "boot/journal.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <ext2fs/ext2fs.h>

#include "base/macros.h"

#define MAGIC 0xc03b3998

enum { DESCRIPTOR = 1, COMMIT = 2, SUPERBLOCK_1 = 3, SUPERBLOCK_2 = 4, REVOKE = 5 };

/* Of the superblock: features that one must know. */
enum { WIDE = 2, ASYNC_COMMIT = 4, CHECKSUM_2 = 8, CHECKSUM_3 = 16, FAST_COMMIT = 32 };
#define KNOWN (1 | WIDE | ASYNC_COMMIT | CHECKSUM_2 | CHECKSUM_3 | FAST_COMMIT)

/* Of a tag, which describes a block. */
enum { ESCAPED = 1, SAME_UUID = 2, LAST_TAG = 8 };

#define HEADER_SIZE   12
#define CRC32C_TYPE   4
#define CHECKSUM_SIZE 4
#define UUID_SIZE     16

struct entry {
    uint64_t block; /* of the file system */
    uint32_t place; /* block of the journal */
    uint32_t sequence;
    uint32_t order; /* the later one counts */
    bool escaped;   /* begins with MAGIC, which the journal does not show */
};

struct revocation {
    uint64_t block;
    uint32_t sequence; /* up to this transaction */
};

struct journal {
    struct boot_file *log;
    uint32_t block_size, first, end; /* of the ring, in blocks */
    uint32_t features, seed;
    struct entry *entries;
    size_t entry_count, entry_room;
    struct revocation *revocations;
    size_t revocation_count, revocation_room;
    uint8_t *block, *data; /* two buffers */
};

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) << 16 | get16(at + 2);
}

static bool has_checksums(const struct journal *journal)
{
    return journal->features & (CHECKSUM_2 | CHECKSUM_3);
}

static bool read_block(const struct journal *journal, uint32_t place, uint8_t *to)
{
    return !boot_file_read(journal->log, (uint64_t)place * journal->block_size, to, journal->block_size,
                           NULL);
}

static uint32_t next_place(const struct journal *journal, uint32_t place)
{
    return place + 1 < journal->end ? place + 1 : journal->first;
}

/* Of a block that has its own checksum in it at `at`. */
static bool block_is_whole(const struct journal *journal, uint8_t *block, uint32_t at)
{
    if (!has_checksums(journal))
        return true;
    uint32_t stored = get32(block + at);
    memset(block + at, 0, CHECKSUM_SIZE);
    return ext2fs_crc32c_le(journal->seed, block, journal->block_size) == stored;
}

static void *list_grow(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    size_t more = *room ? *room * 2 : 64;
    void *grown = realloc(list, more * size);
    if (grown)
        *room = more;
    return grown;
}

/* -- one transaction ------------------------------------------------------------------------------------- */

struct tag {
    uint64_t block;
    uint32_t flags, checksum;
};

static uint32_t tag_size(const struct journal *journal)
{
    if (journal->features & CHECKSUM_3)
        return 16;
    return (journal->features & WIDE ? 12 : 8) + (journal->features & CHECKSUM_2 ? 2 : 0);
}

static struct tag read_tag(const struct journal *journal, const uint8_t *at)
{
    const bool new = journal->features &CHECKSUM_3;
    struct tag tag = {.block = get32(at),
                      .flags = new ? get32(at + 4) : get16(at + 6),
                      .checksum = new ? get32(at + 12) : get16(at + 4)};
    if (journal->features & WIDE)
        tag.block |= (uint64_t)get32(at + 8) << 32;
    return tag;
}

static bool data_is_whole(const struct journal *journal, uint32_t place, const struct tag *tag,
                          uint32_t sequence)
{
    if (!has_checksums(journal))
        return true;
    if (!read_block(journal, place, journal->data))
        return false;
    const uint32_t number = htobe32(sequence);
    uint32_t sum = ext2fs_crc32c_le(journal->seed, (const unsigned char *)&number, sizeof number);
    sum = ext2fs_crc32c_le(sum, journal->data, journal->block_size);
    return journal->features & CHECKSUM_3 ? sum == tag->checksum : (sum & 0xffff) == tag->checksum;
}

/* The descriptor is in journal->block. `place` goes on to what follows the blocks that it describes; false:
 * it is damaged. `left` counts down the blocks of the ring, which nothing may go round twice. */
static bool take_descriptor(struct journal *journal, uint32_t sequence, uint32_t *place, uint32_t *left)
{
    const uint32_t end = journal->block_size - (has_checksums(journal) ? CHECKSUM_SIZE : 0);
    if (!block_is_whole(journal, journal->block, end % journal->block_size))
        return false;
    for (uint32_t at = HEADER_SIZE; at + tag_size(journal) <= end;) {
        const struct tag tag = read_tag(journal, journal->block + at);
        if (!*left || !data_is_whole(journal, *place, &tag, sequence))
            return false;
        struct entry *grown =
            list_grow(journal->entries, journal->entry_count, &journal->entry_room, sizeof *grown);
        if (!grown)
            return false;
        journal->entries = grown;
        grown[journal->entry_count] = (struct entry){.block = tag.block,
                                                     .place = *place,
                                                     .sequence = sequence,
                                                     .order = (uint32_t)journal->entry_count,
                                                     .escaped = tag.flags & ESCAPED};
        journal->entry_count++;
        *place = next_place(journal, *place);
        --*left;
        at += tag_size(journal) + (tag.flags & SAME_UUID ? 0 : UUID_SIZE);
        if (tag.flags & LAST_TAG)
            break;
    }
    return true;
}

static bool take_revocations(struct journal *journal, uint32_t sequence)
{
    const uint32_t end = journal->block_size - (has_checksums(journal) ? CHECKSUM_SIZE : 0),
                   size = journal->features & WIDE ? 8 : 4, used = get32(journal->block + HEADER_SIZE);
    if (!block_is_whole(journal, journal->block, end % journal->block_size) || used > end)
        return false;
    for (uint32_t at = HEADER_SIZE + 4; at + size <= used; at += size) {
        const uint8_t *from = journal->block + at;
        struct revocation *grown = list_grow(journal->revocations, journal->revocation_count,
                                             &journal->revocation_room, sizeof *grown);
        if (!grown)
            return false;
        journal->revocations = grown;
        grown[journal->revocation_count++] = (struct revocation){
            size == 8 ? (uint64_t)get32(from) << 32 | get32(from + 4) : get32(from), sequence};
    }
    return true;
}

/* Goes from transaction to transaction; what is not committed is taken back. */
static void take_transactions(struct journal *journal, uint32_t place, uint32_t sequence)
{
    const uint32_t commit_checksum = 16;
    size_t entries = 0, revocations = 0;
    bool goes_on = true;
    for (uint32_t left = journal->end - journal->first; goes_on && left;) {
        uint8_t *block = journal->block;
        if (!read_block(journal, place, block) || get32(block) != MAGIC || get32(block + 8) != sequence)
            break;
        place = next_place(journal, place);
        left--;
        switch (get32(block + 4)) {
        case DESCRIPTOR: goes_on = take_descriptor(journal, sequence, &place, &left); break;
        case REVOKE: goes_on = take_revocations(journal, sequence); break;
        case COMMIT:
            goes_on = block_is_whole(journal, block, commit_checksum);
            if (!goes_on)
                break;
            sequence++;
            entries = journal->entry_count;
            revocations = journal->revocation_count;
            break;
        default: goes_on = false;
        }
    }
    journal->entry_count = entries;
    journal->revocation_count = revocations;
}

/* -- of all of them together -------------------------------------------------------------------------------
 */

/* The numbers of transactions go round. */
static bool sequence_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static int revocation_compare(const void *left, const void *right)
{
    const struct revocation *a = left, *b = right;
    return (a->block > b->block) - (a->block < b->block);
}

static int entry_compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->block != b->block)
        return a->block > b->block ? 1 : -1;
    return (a->order > b->order) - (a->order < b->order);
}

/* Of each block the last revocation. */
static void sort_revocations(struct journal *journal)
{
    struct revocation *list = journal->revocations;
    size_t kept = 0;
    if (journal->revocation_count)
        qsort(list, journal->revocation_count, sizeof *list, revocation_compare);
    for (size_t i = 0; i < journal->revocation_count; i++) {
        if (!kept || list[kept - 1].block != list[i].block)
            list[kept++] = list[i];
        else if (sequence_after(list[i].sequence, list[kept - 1].sequence))
            list[kept - 1].sequence = list[i].sequence;
    }
    journal->revocation_count = kept;
}

static bool is_revoked(const struct journal *journal, const struct entry *entry)
{
    const struct revocation key = {.block = entry->block}, *found = NULL;
    if (journal->revocation_count)
        found =
            bsearch(&key, journal->revocations, journal->revocation_count, sizeof key, revocation_compare);
    return found && !sequence_after(entry->sequence, found->sequence);
}

/* Of each block the last one, in order of their numbers. */
static void sort_entries(struct journal *journal)
{
    struct entry *list = journal->entries;
    size_t kept = 0;
    if (journal->entry_count)
        qsort(list, journal->entry_count, sizeof *list, entry_compare);
    for (size_t i = 0; i < journal->entry_count; i++) {
        if (is_revoked(journal, &list[i]))
            continue;
        if (kept && list[kept - 1].block == list[i].block)
            kept--;
        list[kept++] = list[i];
    }
    journal->entry_count = kept;
}

/* -- the journal ----------------------------------------------------------------------------------------- */

/* Where the ring is, from the superblock in journal->block; false: this cannot be read. */
static bool take_superblock(struct journal *journal)
{
    const uint8_t *super = journal->block;
    const uint32_t kind = get32(super + 4), length = get32(super + 16);
    const bool new = kind == SUPERBLOCK_2;
    if (get32(super) != MAGIC || (!new &&kind != SUPERBLOCK_1) || get32(super + 12) != journal->block_size)
        return false;
    journal->features = new ? get32(super + 40) : 0;
    journal->first = get32(super + 20);
    journal->end = length;
    if (journal->features & ~(uint32_t)KNOWN || (has_checksums(journal) && super[80] != CRC32C_TYPE))
        return false;
    if (journal->features & FAST_COMMIT) { /* what changes the last transaction a little, at the end */
        uint32_t blocks = get32(super + 84) ? get32(super + 84) : 256;
        journal->end = blocks < length ? length - blocks : 0;
    }
    journal->seed = ext2fs_crc32c_le(~0u, super + 48, UUID_SIZE);
    return journal->first && journal->first < journal->end &&
           length <= journal->log->size / journal->block_size;
}

int journal_open(struct journal **out, struct boot_file *log, uint32_t block_size)
{
    struct journal *journal = calloc(1, sizeof *journal);
    if (!journal)
        return -ENOMEM;
    *journal = (struct journal){.block_size = block_size};
    journal->log = log;
    journal->block =
        calloc(1, block_size + sizeof(uint64_t[2])); /* where a short tag is read as a long one */
    journal->data = malloc(block_size);
    int code = !journal->block || !journal->data ? -ENOMEM
               : block_size < 1024 || !read_block(journal, 0, journal->block) || !take_superblock(journal)
                   ? -EINVAL
                   : 0;
    if (code) {
        journal->log = NULL;
        journal_close(journal);
        return code;
    }
    const uint32_t sequence = get32(journal->block + 24), start = get32(journal->block + 28);
    if (start >= journal->first && start < journal->end)
        take_transactions(journal, start, sequence);
    sort_revocations(journal);
    sort_entries(journal);
    *out = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    boot_file_close(journal->log);
    free(journal->entries);
    free(journal->revocations);
    free(journal->block);
    free(journal->data);
    free(journal);
}

/* The first entry whose block is not before this one. */
static const struct entry *find_entry(const struct journal *journal, uint64_t block)
{
    size_t low = 0, high = journal->entry_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (journal->entries[middle].block < block)
            low = middle + 1;
        else
            high = middle;
    }
    return low < journal->entry_count ? &journal->entries[low] : NULL;
}

uint64_t journal_next(const struct journal *journal, uint64_t block)
{
    const struct entry *entry = find_entry(journal, block);
    return entry ? entry->block : UINT64_MAX;
}

int journal_read(const struct journal *journal, uint64_t block, uint32_t offset, void *buffer,
                 uint32_t length)
{
    static const uint8_t magic[4] = {MAGIC >> 24, MAGIC >> 16 & 0xff, MAGIC >> 8 & 0xff, MAGIC & 0xff};
    const struct entry *entry = find_entry(journal, block);
    if (!entry || entry->block != block)
        return -ENOENT;
    int code = boot_file_read(journal->log, (uint64_t)entry->place * journal->block_size + offset, buffer,
                              length, NULL);
    for (uint32_t i = offset; !code && entry->escaped && i < sizeof magic && i - offset < length; i++)
        ((uint8_t *)buffer)[i - offset] = magic[i];
    return code;
}
