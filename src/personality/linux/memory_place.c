/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory place: where mappings go. The kernel decides that for a guest whose addresses are the host's, but
 * for what is visor's; for one with 32-bit addresses visor does.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/macros.h"
#include "personality/linux/memory_private.h"

#define COMPAT_MMAP2 192
#define LOWEST_PLACE 0x10000ull /* of what the guest does not place itself: vm.mmap_min_addr */
#define LARGE_PAGE   (2ull << 20)

/*
 * The first part of [start, end) that is not the guest's. False: there is none.
 */
static bool next_gap(const struct linux_memory *memory, uint64_t start, uint64_t end,
                     struct address_range *gap)
{
    struct address_range next;

    uint64_t taken = ranges_end(&memory->guest, start);
    gap->start = taken ? taken : start;
    if (gap->start >= end)
        return false;
    gap->end = ranges_next(&memory->guest, gap->start, &next) ? MIN(next.start, end) : end;
    return true;
}

void memory_release_gaps(const struct linux_memory *memory, uint64_t start, uint64_t end)
{
    struct address_range gap;
    for (; next_gap(memory, start, end, &gap); start = gap.end)
        linux_plain_syscall(SYS_munmap, gap.start, gap.end - gap.start, 0, 0, 0, 0);
}

int memory_take_gaps(const struct linux_memory *memory, uint64_t start, uint64_t end)
{
    struct address_range gap;
    for (uint64_t at = start; next_gap(memory, at, end, &gap); at = gap.end) {
        int64_t code = linux_plain_syscall(SYS_mmap, gap.start, gap.end - gap.start, PROT_NONE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                                           (uint64_t)-1, 0);
        if (code < 0) {
            memory_release_gaps(memory, start, gap.start);
            return code == -EPERM ? -EPERM : -ENOMEM; /* too low, or occupied */
        }
    }
    return 0;
}

/* Where a mapping goes if the guest leaves it to the kernel; 0: the kernel decides. With the lock held. */
static uint64_t place(const struct linux_memory *memory, uint64_t length, unsigned flags)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_HUGETLB | MAP_32BIT) ||
        length > memory->next - memory->low)
        return 0;
    uint64_t at = memory->next - length;
    at = ALIGN_DOWN(at, length % LARGE_PAGE ? GUEST_PAGE_SIZE : LARGE_PAGE);
    return at < memory->low ? 0 : at;
}

/* mmap() of the host with MAP_FIXED in place of anything but visor's. With the lock held. */
static int64_t replace(const struct linux_memory *memory, uint64_t address, uint64_t length,
                       unsigned protection, unsigned flags, int fd, uint64_t offset)
{
    const uint64_t end = address + ALIGN_UP(length, GUEST_PAGE_SIZE);
    int64_t result = memory_take_gaps(memory, address, end);
    if (result < 0)
        return result;
    result = linux_plain_syscall(SYS_mmap, address, length, protection, flags, (uint64_t)fd, offset);
    if (result < 0)
        memory_release_gaps(memory, address, end);
    return result;
}

uint64_t memory_find_low_place(const struct linux_process *process, uint64_t wish, uint64_t length,
                               uint64_t alignment)
{
    const struct linux_memory *memory = process->memory;
    length = ALIGN_UP(length, GUEST_PAGE_SIZE);
    wish = ALIGN_UP(wish, alignment);
    if (wish >= LOWEST_PLACE && !memory_beyond_end(process, wish, length) &&
        !ranges_overlap(&memory->guest, wish, wish + length) &&
        !ranges_overlap(&memory->own_low, wish, wish + length))
        return wish;
    return ranges_find_room(&memory->guest, &memory->own_low, LOWEST_PLACE, process->map_top, length,
                            alignment);
}

/* mmap() of the host for a guest with 32-bit addresses that leaves the choice. With the lock held. */
static int64_t map_low(const struct linux_process *process, uint64_t address, uint64_t length,
                       unsigned protection, unsigned flags, int fd, uint64_t offset)
{
    const bool aligned = flags & MAP_HUGETLB, large = aligned || (length && length % LARGE_PAGE == 0);
    const uint64_t wish = aligned ? ALIGN_DOWN(address, LARGE_PAGE) : ALIGN_DOWN(address, GUEST_PAGE_SIZE);
    uint64_t at = 0;
    if (aligned || (large && !address))
        at = memory_find_low_place(process, wish, ALIGN_UP(length, LARGE_PAGE), LARGE_PAGE);
    if (!at && !aligned)
        at = memory_find_low_place(process, wish, length, GUEST_PAGE_SIZE);
    if (length && !at)
        return -ENOMEM;
    if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE) /* not with MAP_FIXED_NOREPLACE */
        return replace(process->memory, at, length, protection, flags | MAP_FIXED, fd, offset);
    const int64_t result = linux_plain_syscall(SYS_mmap, at, length, protection, flags | MAP_FIXED_NOREPLACE,
                                               (uint64_t)fd, offset);
    if (result != -EEXIST || offset / GUEST_PAGE_SIZE > UINT32_MAX)
        return result;
    /* The kernel has placed something itself, a ring of io_setup() perhaps; it does so for this call, too. */
    return linux_plain_compat_syscall(
        COMPAT_MMAP2,
        (const uint64_t[6]){0, length, protection, flags, (uint64_t)fd, offset / GUEST_PAGE_SIZE});
}

int64_t memory_host_map(const struct linux_process *process, uint64_t address, uint64_t length,
                        unsigned protection, unsigned flags, int fd, uint64_t offset)
{
    struct linux_memory *memory = process->memory;
    if (memory_is_low(memory) && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
        return map_low(process, address, length, protection, flags, fd, offset);
    bool replaces =
        flags & MAP_FIXED && !(flags & MAP_FIXED_NOREPLACE) && length && !(address % GUEST_PAGE_SIZE);

    uint64_t at = address ? 0 : place(memory, length, flags);
    if (at) {
        int64_t placed = linux_plain_syscall(SYS_mmap, at, length, protection, flags, (uint64_t)fd, offset);
        if (placed == (int64_t)at)
            memory->next = at;
        if (placed >= 0)
            return placed; /* else: some devices want to choose themselves */
    }
    return replaces ? replace(memory, address, length, protection, flags, fd, offset)
                    : linux_plain_syscall(SYS_mmap, address, length, protection, flags, (uint64_t)fd, offset);
}

int64_t memory_host_remap(const struct linux_process *process, uint64_t old, uint64_t old_length,
                          uint64_t length, uint64_t flags, uint64_t new)
{
    int64_t result = -ENOMEM;
    if (!memory_is_low(process->memory) || flags & MREMAP_FIXED)
        return linux_plain_syscall(SYS_mremap, old, old_length, length, flags, new, 0);
    if (!(flags & MREMAP_DONTUNMAP) && old_length && !memory_beyond_end(process, old, length))
        result = linux_plain_syscall(SYS_mremap, old, old_length, length, 0, 0, 0);
    if (result != -ENOMEM || !(flags & MREMAP_MAYMOVE))
        return result;
    const uint64_t at = memory_find_low_place(process, 0, length, GUEST_PAGE_SIZE);
    return at ? linux_plain_syscall(SYS_mremap, old, old_length, length, flags | MREMAP_FIXED, at, 0)
              : -ENOMEM;
}

uint64_t linux_memory_take_low_page(struct linux_process *process)
{
    struct linux_memory *memory = process->memory;
    linux_memory_lock(process);
    uint64_t at = ranges_reserve(&memory->own_low) == 0 && memory_is_low(memory)
                      ? memory_find_low_place(process, 0, GUEST_PAGE_SIZE, GUEST_PAGE_SIZE)
                      : 0;
    if (at && linux_plain_syscall(SYS_mmap, at, GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0) < 0)
        at = 0;
    if (at)
        ranges_add(&memory->own_low, at, at + GUEST_PAGE_SIZE);
    linux_memory_unlock(process);
    return at;
}

void linux_memory_give_low_page(struct linux_process *process, uint64_t address)
{
    struct linux_memory *memory = process->memory;
    linux_memory_lock(process);
    if (ranges_reserve(&memory->own_low) == 0) {
        linux_plain_syscall(SYS_munmap, address, GUEST_PAGE_SIZE, 0, 0, 0, 0);
        ranges_remove(&memory->own_low, address, address + GUEST_PAGE_SIZE);
    }
    linux_memory_unlock(process);
}
