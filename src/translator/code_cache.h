/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * code_cache: where translated blocks live, how they are found, joined and forgotten. Private to
 * the translator's run time.
 *
 * Memory: shared memory, mapped twice, writable and executable: no mapping is both. Blocks are appended
 * and never moved; a cache that is full is retired as a whole and a new one begun. A retired cache has all of
 * its exits unlinked, so that threads leave it at their next exit; it is freed when the last one has.
 *
 * Arenas: what is worth keeping, a kernel's code above all, is apart from what passes: copies of code at the
 * addresses of one process, which are made quickly and of no use when it has ended. For these there are two
 * arenas, in turn: when one is half full, what is in the other is dropped, and when it is full, the other is
 * empty and all threads have left it. A thread has when it has entered code of the cache since its epoch
 * changed, which each drop does.
 *
 * Lock: every function needs the translator's lock, but for those marked [signal], which only read
 * published entries and store single aligned words.
 */
#ifndef VISOR_TRANSLATOR_CODE_CACHE_H
#define VISOR_TRANSLATOR_CODE_CACHE_H

#include "translator/host/host.h"

struct error;

#define NO_BLOCK UINT32_MAX
#define NO_EXIT  UINT32_MAX

#define GUEST_PAGE_BITS 12
#define GUEST_PAGE      ((uint64_t)1 << GUEST_PAGE_BITS)

/* For block_key.second; no page has such an address. */
#define NO_PAGE  ((uint64_t)1)
#define ANY_PAGE ((uint64_t)2)

/* What a block is found by. */
struct block_key {
    uint64_t pc;       /* guest address of its first instruction */
    uint64_t physical; /* the address that its bytes are known by: in system mode the physical one, else pc */
    uint64_t second;   /* system mode: the page on which its only instruction ends, else NO_PAGE; to find a
                          block, ANY_PAGE: either */
    unsigned mode;     /* that it was made for: guest_isa.mode */
    bool careful;      /* without REACHes: reached by exits only that say so */
};

/* Guest bytes that code depends on, by the addresses that they are known by: within one page. */
struct code_range {
    uint64_t start;
    uint32_t size; /* 0: none */
};

/* A place in the code where it leaves for a known guest address. */
struct block_exit {
    uint64_t target;      /* guest address */
    uint32_t slot;        /* offset in the cache of the rel32; 0: it looks in the jump cache, never linked */
    uint32_t stub;        /* offset in the cache of its unlinked destination */
    uint16_t direct;      /* host_exit.direct: offset in the block, 0: none; */
    uint16_t store;       /* its unlinked destination, likewise */
    uint32_t linked;      /* block that the slot leads to, or NO_BLOCK */
    uint32_t next;        /* next exit that leads to the same block */
    uint32_t block : 31;  /* whose exit it is */
    uint32_t careful : 1; /* as host_exit's */
};

struct code_block {
    uint64_t pc;             /* guest address of the first instruction */
    uint64_t guest_start[2]; /* guest bytes that the code depends on, by the addresses that they are known */
    uint16_t guest_size[2];  /* by, each on one page: a change of any makes it invalid */
    uint32_t code, size;     /* in the cache, bytes; what is linked to it leads to its begin, */
    uint32_t exits;          /* index of the first exit; they are consecutive */
    uint32_t restarts;       /* index of the first restart range, likewise */
    uint32_t insns;          /* index of the first instruction entry, likewise */
    uint16_t exit_count, restart_count, insn_count;
    bool valid : 1;
    bool flags_dead : 1; /* as host_code's */
    bool careful : 1;    /* as block_key's */
    bool crosses : 1;    /* block_key.second is a page: that of guest_start[1] */
    uint8_t lookups : 2; /* how often indirect branches came here by way of the run time; stops at the most */
    uint8_t entry;       /* and the jump cache so many bytes further: host_code.entry */
    uint32_t mode;       /* that it was made for: guest_isa.mode */
    uint32_t incoming;   /* first exit that leads here, or NO_EXIT */
    uint32_t next_in_page[2]; /* of the pages of guest_start[], or NO_BLOCK */
};

struct page_entry {
    uint64_t page;    /* guest address / GUEST_PAGE, plus 1; 0 = empty */
    uint32_t first;   /* block, or NO_BLOCK */
    uint32_t live;    /* valid blocks in the list */
    uint64_t parts;   /* bits: 64th parts of the page that valid blocks may depend on */
    uint64_t changes; /* how often code_cache_invalidate() was told of it */
    uint64_t dropped; /* the epoch at which the blocks of an arena were taken out last */
};

/* What code_cache_invalidate() tells. */
struct code_cache_listener {
    void (*dropped)(void *context, const struct code_block *block);
    void (*page_empty)(void *context, uint64_t page); /* by its address: no valid blocks; may be NULL */
    void *context;
};

/* The arrays of a cache, of which every arena has a part. */
enum code_table { TABLE_CODE, TABLE_BLOCKS, TABLE_EXITS, TABLE_RESTARTS, TABLE_INSNS, TABLE_COUNT };

enum code_arena_kind { ARENA_LASTING, ARENA_PASSING, ARENA_COUNT = ARENA_PASSING + 2 };

/* An arena's part of one of them. Indices; of the code offsets. */
struct code_part {
    uint32_t first, limit;
    _Atomic uint32_t end; /* [first, end) is in use. Of blocks, published last: [signal] readers search below
                             it */
    size_t ready;         /* offset in bytes up to which the kernel has prepared the memory */
};

struct code_arena {
    struct code_part parts[TABLE_COUNT];
    uint64_t dropped; /* the epoch since which nothing of it is to be found; 0: all is */
};

struct code_cache {
    uint8_t *writable;         /* owned mapping */
    const uint8_t *executable; /* owned mapping of the same memory */
    size_t size;
    uint32_t routines[HOST_ROUTINE_COUNT]; /* offsets */
    uint32_t routines_end;

    struct code_arena arenas[ARENA_COUNT];
    bool has_passing;              /* else they have no room, and all is in the other */
    unsigned passing;              /* the arena that what passes is added to */
    unsigned full;                 /* the arena that code_cache_add() had no room in last */
    struct code_block *blocks;     /* owned, in each arena ascending by `code`; address space for the most
                                      there can be */
    struct block_exit *exits;      /* owned, likewise */
    struct host_restart *restarts; /* owned, likewise, relative to the block */
    struct host_insn *insns;       /* owned, likewise, relative to the block */

    uint32_t *by_pc; /* owned hash table of blocks, plus 1, with bits of the hash above; 0 = empty; linear
                        probing, power of two */
    uint32_t by_pc_size, by_pc_used;
    struct page_entry *by_page; /* owned, likewise */
    uint32_t by_page_size, by_page_used;

    bool wiped; /* of a fork's child the tables may be empty: it must begin again */

    uint64_t epoch;          /* grows with each drop and from cache to cache of one translator */
    unsigned users;          /* threads that may be inside */
    struct code_cache *next; /* older retired cache */
};

/* The code of a block to be added: as in struct host_code, wherever its parts are. */
struct code_parts {
    uint32_t size;
    unsigned exit_count, restart_count, reloc_count, insn_count;
    const struct host_exit *exits;
    const struct host_restart *restarts;
    const struct host_reloc *relocs;
    const struct host_insn *insns;
    const uint8_t *bytes;
    bool flags_dead; /* as host_code's */
    uint32_t entry;  /* likewise, less than 256 */
    bool passes;     /* see code_cache.passing */
};

/* `passing`: with arenas for what passes; else all lasts. */
int code_cache_new(struct code_cache **out, const struct guest_isa *isa, size_t size, bool passing,
                   struct error *error);
void code_cache_free(struct code_cache *cache);

/* In the child of a fork: the memory is still shared with the parent; makes a private copy in place. */
int code_cache_unshare(struct code_cache *cache);

/* Before a fork: whether the child will begin again, so that the kernel need not copy the tables, nor either
 * process what it changes of them. A wish: cache->wiped says what must be. */
void code_cache_wipe_on_fork(struct code_cache *cache, bool wipe);

/* As code_cache_unshare(), but with an empty cache, of another epoch, in place of a copy. */
int code_cache_begin_again(struct code_cache *cache);

/* The block, or NO_BLOCK. */
uint32_t code_cache_find(const struct code_cache *cache, const struct block_key *key);

/* Appends a block whose code depends on these guest bytes. Returns its index, or NO_BLOCK if the cache is
 * full. */
uint32_t code_cache_add(struct code_cache *cache, const struct block_key *key,
                        const struct code_range ranges[2], const struct code_parts *code);

/* The arena that had no room for a block has some again, without another cache: all threads have left the
 * other arena, if every one that is inside has entered at the epoch `entered` or later. */
bool code_cache_turn(struct code_cache *cache, uint64_t entered);

/* Before the bytes of a page are read to translate them: its entry, or NULL if there is no room. */
struct page_entry *code_cache_watch(struct code_cache *cache, uint64_t address);
/* Its `changes`: as they were, if the bytes read are those that are there. 0: there is no entry. */
uint64_t code_cache_changes(const struct code_cache *cache, uint64_t address);

/* Joins an exit to a block; undone at once if *interrupts is not zero (see translator_interrupt). */
void code_cache_link(struct code_cache *cache, uint32_t exit, uint32_t block,
                     const _Atomic uint32_t *interrupts);

/* [signal] Makes an exit, or all exits of a block, lead to the run time again. The link's record stays:
 * linking again is one store. */
void code_cache_unlink(struct code_cache *cache, uint32_t exit);
void code_cache_unlink_block(struct code_cache *cache, uint32_t block);

/* Forgets blocks that depend on any of [start, end). */
void code_cache_invalidate(struct code_cache *cache, uint64_t start, uint64_t end,
                           const struct code_cache_listener *listener);

/* Unlinks everything, so that no thread stays inside. */
void code_cache_retire(struct code_cache *cache);

/* [signal] The block whose code contains a host address, or NO_BLOCK. */
uint32_t code_cache_block_at(const struct code_cache *cache, uint64_t host_pc);

/* [signal] Guest address of the instruction that the code at an offset of a block belongs to. */
uint64_t code_cache_guest_pc(const struct code_cache *cache, uint32_t block, uint64_t host_pc,
                             unsigned *state);

/* [signal] Start of the restart range that contains host_pc, or host_pc itself. */
uint64_t code_cache_restart(const struct code_cache *cache, uint32_t block, uint64_t host_pc);

/* The address that the block's first instruction is known by. */
static inline uint64_t code_block_physical(const struct code_block *block)
{
    return (block->guest_start[0] & -GUEST_PAGE) | (block->pc & (GUEST_PAGE - 1));
}

/* Whether the block depends on any of [start, end). */
static inline bool code_block_overlaps(const struct code_block *block, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < 2; i++)
        if (block->guest_start[i] < end && block->guest_start[i] + block->guest_size[i] > start &&
            block->guest_size[i])
            return true;
    return false;
}

/* For who knows that it is still the code for its address. */
static inline const void *code_cache_code(const struct code_cache *cache, uint32_t block)
{
    return cache->executable + cache->blocks[block].code + cache->blocks[block].entry;
}

static inline const void *code_cache_routine(const struct code_cache *cache, enum host_routine routine)
{
    return cache->executable + cache->routines[routine];
}

/* [signal] Whether a host address lies in the cache at all. */
static inline bool code_cache_contains(const struct code_cache *cache, uint64_t host_pc)
{
    return host_pc - (uintptr_t)cache->executable < cache->size;
}

#endif
