/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory private: what memory.c and memory_place.c share. */
#ifndef VISOR_PERSONALITY_LINUX_MEMORY_PRIVATE_H
#define VISOR_PERSONALITY_LINUX_MEMORY_PRIVATE_H

#include "base/lock.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory.h"
#include "personality/linux/ranges.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Lock order: `lock`, then the translator's. */
struct linux_memory {
    struct lock lock; /* held across the host's call, as the kernel holds its own */
    struct address_ranges executable;
    struct address_ranges lasting;    /* of these, what is as it was mapped from a file */
    struct address_ranges unreadable; /* of these, what the guest wants to execute only */
    struct address_ranges writable;   /* of these, what the guest may write as well */
    struct address_ranges watched;  /* of these, what the host may not, since there are translations of it */
    struct address_ranges left_out; /* where the guest has advised that children do not get it */
    uint64_t next, low;             /* memory without a wish goes below `next` and not below `low` */
    struct address_ranges guest;    /* all that the guest has mapped; what else is mapped is visor's */
    struct address_ranges
        own_low;  /* that is visor's below the end of addresses, if that is below the host's */
    uint64_t end; /* of the guest's addresses */
    struct address_range *segments; /* of System V shared memory, as they were attached; owned */
    size_t segment_count;
    uint64_t changes; /* of the sets, so far */
    void *spares;     /* NULL: spent */
    uint64_t limit;   /* of the guest's address space; the host's is higher */
};

/* The guest has 32-bit addresses: its mappings are placed here, since the kernel knows of no such end. */
static inline bool memory_is_low(const struct linux_memory *memory)
{
    return memory->end < GUEST_ADDRESS_END;
}

/* Does the range reach where the guest has no addresses? */
static inline bool memory_beyond_end(const struct linux_process *process, uint64_t start, uint64_t length)
{
    const uint64_t end = process->arch->address_end;
    return length > end || start > end - length;
}

/* What follows is to be called with the lock held. */

/*
 * Before the guest replaces what is in a range, which may be nothing: takes what is not the guest's yet, so
 * that nothing of visor's can be or come there. -ENOMEM: something is. If the replacing fails,
 * memory_release_gaps() takes it back.
 */
int memory_take_gaps(const struct linux_memory *memory, uint64_t start, uint64_t end);
void memory_release_gaps(const struct linux_memory *memory, uint64_t start, uint64_t end);

/* The highest free place of a guest with 32-bit addresses, or its wish if that is free; 0: there is none. */
uint64_t memory_find_low_place(const struct linux_process *process, uint64_t wish, uint64_t length,
                               uint64_t alignment);

/* mmap() of the host: where the guest leaves the choice, in the process's layout if possible; with MAP_FIXED
 * in place of anything but visor's. */
int64_t memory_host_map(const struct linux_process *process, uint64_t address, uint64_t length,
                        unsigned protection, unsigned flags, int fd, uint64_t offset);

/* mremap() of the host, which may move a mapping to where the guest's addresses reach only. */
int64_t memory_host_remap(const struct linux_process *process, uint64_t old, uint64_t old_length,
                          uint64_t length, uint64_t flags, uint64_t new);

#endif
