/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory calls: what may be asked of mappings besides making and removing them. The kernel serves all of it;
 * what is done here is that visor's own mappings are holes in the guest's address space.
 */
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory.h"
#include "personality/linux/syscalls.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#define MADV_GUARD_INSTALL_ADVICE 102
#define MADV_COLLAPSE_ADVICE      25

/*
 * Makes a host call (address, length, x, y) for a range that the guest gives, on those parts that it has
 * mapped. For a range with holes in it Linux gives -ENOMEM, most calls at the first hole, some after all that
 * is there has been served (`goes_on`). Also if nothing is mapped, the kernel is to check the other arguments
 * first.
 */
static int64_t on_guest_parts(struct linux_thread *thread, long number, const uint64_t a[6], bool goes_on)
{
    struct address_range part;
    uint64_t start = a[0], length = ALIGN_UP(a[1], GUEST_PAGE_SIZE);

    if (LIKELY(length && linux_memory_is_guest(thread->process, start, length)))
        return linux_host_syscall(thread, number, start, a[1], a[2], a[3], 0, 0);
    int64_t result = linux_plain_syscall(number, start, 0, a[2], a[3], 0, 0);
    if (result < 0 || !a[1])
        return result;
    if (length < a[1] || start + length < start)
        return -EINVAL;

    uint64_t end = start + length;
    bool hole = false;
    while (result >= 0 && start < end && linux_memory_next_guest(thread->process, start, &part) &&
           part.start < end) {
        hole |= part.start > start;
        if (hole && !goes_on)
            return -ENOMEM;
        start = MAX(start, part.start);
        part.end = MIN(part.end, end);
        result = linux_plain_syscall(number, start, part.end - start, a[2], a[3], 0, 0);
        start = part.end;
    }
    return result >= 0 && (hole || start < end) ? -ENOMEM : result;
}

/* -- advice ---------------------------------------------------------------------------------------------- */

static bool discards(uint64_t advice)
{
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
           advice == MADV_DONTNEED_LOCKED || advice == MADV_GUARD_INSTALL_ADVICE;
}

int64_t linux_sys_madvise(struct linux_thread *thread, const uint64_t a[6])
{
    int64_t result = on_guest_parts(thread, SYS_madvise, a, true);
    if (discards(a[2]) && (result >= 0 || result == -ENOMEM))
        linux_memory_invalidate(thread->process, a[0], a[1]);
    if ((a[2] == MADV_DONTFORK || a[2] == MADV_DOFORK) && (result >= 0 || result == -ENOMEM))
        linux_memory_leave_out(thread->process, a[0], a[1], a[2] == MADV_DONTFORK);
    return result;
}

/* Advice that the kernel takes for other processes, too. It loses nothing. */
static bool is_for_others(uint64_t advice)
{
    return advice == MADV_COLD || advice == MADV_PAGEOUT || advice == MADV_WILLNEED ||
           advice == MADV_COLLAPSE_ADVICE;
}

/* For itself a process may give any advice from Linux 6.13 on: the kernel says whether it is that, without
 * any ranges. */
int64_t linux_sys_process_madvise(struct linux_thread *thread, const uint64_t a[6])
{
    int64_t total = 0;
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    if (is_for_others(a[3]))
        return linux_is_32bit(thread->process)
                   ? linux_compat_syscall(thread, SYS_process_madvise, a) /* the same number */
                   : linux_host_syscall(thread, SYS_process_madvise, a[0], a[1], a[2], a[3], a[4], 0);
    const uint64_t word = thread->process->arch->word_size;
    int64_t result = linux_host_syscall(thread, SYS_process_madvise, a[0], a[1], 0, a[3], a[4], 0);
    if (result >= 0 && a[2] > IOV_MAX)
        result = -EINVAL;
    for (uint64_t i = 0; result >= 0 && i < a[2]; i++) {
        uint64_t range[2]; /* struct iovec */
        result = linux_read_word(thread->process, a[1] + 2 * i * word, &range[0]);
        if (result >= 0)
            result = linux_read_word(thread->process, a[1] + (2 * i + 1) * word, &range[1]);
        if (result >= 0)
            result = linux_sys_madvise(thread, (const uint64_t[6]){range[0], range[1], a[3]});
        if (result >= 0)
            total += (int64_t)range[1];
    }
    return result < 0 && !total ? result : total;
}

int64_t linux_sys_msync(struct linux_thread *thread, const uint64_t a[6])
{
    return on_guest_parts(thread, SYS_msync, a, true);
}

/* For calls that demand that all of a range is mapped; others of its faults the kernel finds. */
static int64_t on_whole_range(struct linux_thread *thread, long number, const uint64_t a[6])
{
    uint64_t length = ALIGN_UP(a[1], GUEST_PAGE_SIZE);
    if (a[0] % GUEST_PAGE_SIZE || !length || linux_memory_is_guest(thread->process, a[0], length))
        return linux_host_syscall(thread, number, a[0], a[1], a[2], 0, 0, 0);
    return -ENOMEM;
}

int64_t linux_sys_mincore(struct linux_thread *thread, const uint64_t a[6])
{
    return on_whole_range(thread, SYS_mincore, a);
}

/* -- locks and seals ---------------------------------------------------------------------------------------
 */

int64_t linux_sys_mlock(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_mlock2(thread, (const uint64_t[6]){a[0], a[1]});
}

/* An address in the middle of a page means the page. */
int64_t linux_sys_mlock2(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t offset = a[0] % GUEST_PAGE_SIZE;
    const uint64_t range[6] = {a[0] - offset, a[1] ? ALIGN_UP(a[1] + offset, GUEST_PAGE_SIZE) : 0, a[2]};
    return on_guest_parts(thread, SYS_mlock2, range, false);
}

int64_t linux_sys_munlock(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t offset = a[0] % GUEST_PAGE_SIZE;
    const uint64_t range[6] = {a[0] - offset, a[1] ? ALIGN_UP(a[1] + offset, GUEST_PAGE_SIZE) : 0};
    return on_guest_parts(thread, SYS_munlock, range, false);
}

/* Where the stack of the first thread has been used: the kernel's has its size from that. */
static uint64_t used_stack(const struct linux_thread *thread)
{
    const struct linux_process *process = thread->process;
    uint64_t sp = thread->process->arch->sp(thread->cpu);
    if (sp < process->stack_start || sp >= process->stack_end)
        sp = process->stack_end;
    return MAX(ALIGN_DOWN(sp, GUEST_PAGE_SIZE), process->stack_start + LINUX_FIRST_STACK) - LINUX_FIRST_STACK;
}

/* The guest's next range from `at` on, without the stack's unused part. */
static bool next_to_lock(const struct linux_thread *thread, uint64_t at, struct address_range *part)
{
    struct linux_process *process = thread->process;
    if (!linux_memory_next_guest(process, at, part))
        return false;
    part->start = MAX(part->start, at);
    if (part->start < process->stack_start && part->end > process->stack_start)
        part->end = process->stack_start;
    else if (part->start >= process->stack_start && part->start < process->stack_end)
        part->start = MAX(part->start, used_stack(thread));
    return true;
}

/* What the guest has is within the limit, while what the process has is not: locks only the guest's. */
static int64_t lock_guest(struct linux_thread *thread, uint64_t flags)
{
    struct rlimit limit;
    struct address_range part;
    uint64_t sum = 0;
    int64_t result = linux_plain_syscall(SYS_prlimit64, 0, RLIMIT_MEMLOCK, 0, (uintptr_t)&limit, 0, 0);
    for (uint64_t at = 0; next_to_lock(thread, at, &part); at = part.end)
        sum += part.end - part.start;
    if (result == 0 && sum > limit.rlim_cur)
        result = -ENOMEM;
    if (result == 0 && flags & MCL_FUTURE)
        result = linux_plain_syscall(SYS_mlockall, MCL_FUTURE | MCL_ONFAULT, 0, 0, 0, 0, 0);
    for (uint64_t at = 0; result == 0 && next_to_lock(thread, at, &part); at = part.end)
        result = linux_plain_syscall(SYS_mlock2, part.start, part.end - part.start, MLOCK_ONFAULT, 0, 0, 0);
    return result;
}

/* Pages are locked as they come into use: visor's large reserves, which the kernel locks as well, must not be
 * filled. */
int64_t linux_sys_mlockall(struct linux_thread *thread, const uint64_t a[6])
{
    if (!a[0] || a[0] == MCL_ONFAULT || a[0] & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
        return -EINVAL;
    int64_t result = linux_host_syscall(thread, SYS_mlockall, a[0] | MCL_ONFAULT, 0, 0, 0, 0, 0);
    return result == -ENOMEM && a[0] & MCL_CURRENT ? lock_guest(thread, a[0]) : result;
}

int64_t linux_sys_munlockall(struct linux_thread *thread, const uint64_t a[6])
{
    (void)a;
    return linux_host_syscall(thread, SYS_munlockall, 0, 0, 0, 0, 0, 0);
}

/* All or nothing; what visor keeps of the mapping changes only when the guest changes it, which the kernel
 * refuses from now on. */
int64_t linux_sys_mseal(struct linux_thread *thread, const uint64_t a[6])
{
    return on_whole_range(thread, SYS_mseal, a);
}

/* -- files in memory ----------------------------------------------------------------------------------- */

int64_t linux_sys_memfd_create(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_memfd_create, a[0], a[1], 0, 0, 0, 0);
}

int64_t linux_sys_remap_file_pages(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t length = ALIGN_DOWN(a[1], GUEST_PAGE_SIZE), start = ALIGN_DOWN(a[0], GUEST_PAGE_SIZE);
    if (length && !linux_memory_is_guest(thread->process, start, length))
        return -EINVAL;
    int64_t result = linux_host_syscall(thread, SYS_remap_file_pages, a[0], a[1], a[2], a[3], a[4], 0);
    if (result >= 0)
        linux_memory_invalidate(thread->process, start, length);
    return result;
}
