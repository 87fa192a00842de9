/* SPDX-License-Identifier: GPL-2.0-or-later */
/* memory: see memory.h. The kernel keeps the maps; only what it cannot know is kept here. */
#include "personality/linux/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/statfs.h>

#include "base/lock.h"
#include "base/macros.h"
#include "personality/linux/ranges.h"
#include "personality/linux/syscalls.h"

/* Bits of mmap's flags that only x86 has: MAP_32BIT and MAP_ABOVE4G. */
#define HOST_ONLY_MAP_FLAGS 0xc0u
#define HEAP_ROOM           (256ull << 20)
#define LAYOUT_ROOM         (64ull << 30)
#define LARGE_PAGE          (2ull << 20)
#define PROTECTION_MASK     (PROT_READ | PROT_WRITE | PROT_EXEC)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef ST_NOEXEC
#define ST_NOEXEC 8
#endif

/* Lock order: `lock`, then the translator's. */
struct linux_memory {
    struct lock lock; /* held across the host's call, as the kernel holds its own */
    struct address_ranges executable;
    struct address_ranges lasting; /* of these, what is as it was mapped from a file */
    uint64_t next, low;            /* memory without a wish goes below `next` and not below `low` */
    struct address_ranges own;     /* visor's, constant after the start */
};

/* -- start ----------------------------------------------------------------------------------------------- */

/* Best effort: what visor maps later lies where the kernel puts it, which no guest has a reason to name. */
static int note_own_ranges(struct address_ranges *own)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return 0;

    char line[512];
    int code = 0;
    while (!code && fgets(line, sizeof line, maps)) {
        unsigned long start, end;
        if (sscanf(line, "%lx-%lx", &start, &end) != 2)
            continue;
        if (strstr(line, "[heap]"))
            end += HEAP_ROOM;
        code = ranges_reserve(own);
        if (!code)
            ranges_add(own, start, end);
    }
    fclose(maps);
    return code;
}

int linux_memory_new(struct linux_process *process)
{
    struct linux_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    process->memory = memory;
    memory->next = process->layout;
    memory->low = process->layout ? process->layout - LAYOUT_ROOM : 0;
    return note_own_ranges(&memory->own);
}

void linux_memory_free(struct linux_process *process)
{
    struct linux_memory *memory = process->memory;
    if (!memory)
        return;
    ranges_free(&memory->executable);
    ranges_free(&memory->lasting);
    ranges_free(&memory->own);
    free(memory);
    process->memory = NULL;
}

void linux_memory_lock(struct linux_process *process)
{
    lock_take(&process->memory->lock);
}

void linux_memory_unlock(struct linux_process *process)
{
    lock_release(&process->memory->lock);
}

void linux_memory_recover(struct linux_process *process, uint32_t lock_number)
{
    if (lock_inherit(&process->memory->lock, lock_number))
        lock_release(&process->memory->lock);
}

/* -- what may be executed ----------------------------------------------------------------------------------
 */

int linux_memory_fetch_fault(struct linux_process *process, uint64_t pc, int *code)
{
    int signal = SIGSEGV;
    uint32_t word;

    linux_memory_lock(process); /* the maps and what is known of them agree */
    if (!ranges_end(&process->memory->executable, pc)) {
        *code = linux_memory_is_mapped(pc) ? SEGV_ACCERR : SEGV_MAPERR;
    } else if (guest_read(&word, pc, sizeof word) < 0) {
        signal = SIGBUS; /* beyond the end of the file */
        *code = BUS_ADRERR;
    } else {
        signal = 0;
    }
    linux_memory_unlock(process);
    return signal;
}

/* Another thread may unmap the code meanwhile, and a mapping may reach further than its file. */
size_t linux_memory_fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    struct linux_process *process = context;

    linux_memory_lock(process);
    uint64_t end = ranges_end(&process->memory->executable, pc);
    linux_memory_unlock(process);
    if (!end)
        return 0;
    size = MIN(size, end - pc);
    if (guest_read(bytes, pc, size) == 0)
        return size;
    size_t first = MIN(size, GUEST_PAGE_SIZE - pc % GUEST_PAGE_SIZE);
    return first < size && guest_read(bytes, pc, first) == 0 ? first : 0;
}

bool linux_memory_is_lasting(void *context, uint64_t start, uint64_t end)
{
    struct linux_memory *memory = ((struct linux_process *)context)->memory;
    lock_take(&memory->lock);
    bool lasting = ranges_end(&memory->lasting, start) >= end;
    lock_release(&memory->lock);
    return lasting;
}

static bool next_range(const struct address_ranges *set, uint64_t address, struct address_range *range)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->ranges[i].end > address) {
            *range = set->ranges[i];
            return true;
        }
    }
    return false;
}

bool linux_memory_next_executable(struct linux_process *process, uint64_t address,
                                  struct address_range *range)
{
    linux_memory_lock(process);
    bool found = next_range(&process->memory->executable, address, range);
    linux_memory_unlock(process);
    return found;
}

bool linux_memory_next_own(struct linux_process *process, uint64_t address, struct address_range *range)
{
    return next_range(&process->memory->own, address, range);
}

bool linux_memory_is_mapped(uint64_t address)
{
    unsigned char resident;
    return linux_plain_syscall(SYS_mincore, ALIGN_DOWN(address, GUEST_PAGE_SIZE), GUEST_PAGE_SIZE,
                               (uintptr_t)&resident, 0, 0, 0) == 0;
}

/* Room for one more range, so that what the kernel has done can be recorded. */
static int reserve(struct linux_memory *memory)
{
    int code = ranges_reserve(&memory->executable);
    return code < 0 ? code : ranges_reserve(&memory->lasting);
}

/* Records that the pages of [start, start + length) are now executable or not, and forgets translations of
 * what was there before. With the lock held, after reserve(). */
static void note_executable(struct linux_process *process, uint64_t start, uint64_t length, bool executable)
{
    struct address_ranges *set = &process->memory->executable;
    uint64_t end = start + ALIGN_UP(length, GUEST_PAGE_SIZE);
    bool was = ranges_overlap(set, start, end);

    if (executable)
        ranges_add(set, start, end);
    else if (was)
        ranges_remove(set, start, end);
    if (was) {
        ranges_remove(&process->memory->lasting, start, end);
        translator_invalidate(process->translator, start, end - start);
    }
}

static bool overlaps_own(const struct linux_process *process, uint64_t start, uint64_t length)
{
    return ranges_overlap(&process->memory->own, start, start + length);
}

static bool beyond_end(uint64_t start, uint64_t length)
{
    return length > GUEST_ADDRESS_END || start > GUEST_ADDRESS_END - length;
}

static unsigned host_protection(unsigned protection)
{
    unsigned host = protection & (PROT_READ | PROT_WRITE | PROT_GROWSDOWN | PROT_GROWSUP);
    return protection & PROT_EXEC ? host | PROT_READ : host;
}

/* -- mapping ------------------------------------------------------------------------------------------------
 */

/* The kernel would refuse to map a file of such a file system as executable; it is not asked to. */
static bool is_noexec(int fd)
{
    struct statfs fs;
    return linux_plain_syscall(SYS_fstatfs, (uint64_t)fd, (uintptr_t)&fs, 0, 0, 0, 0) == 0 &&
           fs.f_flags & ST_NOEXEC;
}

/* Where a mapping goes if the guest leaves it to the kernel; 0: the kernel decides. With the lock held. */
static uint64_t place(const struct linux_memory *memory, uint64_t length, unsigned flags)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_HUGETLB) || length > memory->next - memory->low)
        return 0;
    uint64_t at = memory->next - length;
    at = ALIGN_DOWN(at, length % LARGE_PAGE ? GUEST_PAGE_SIZE : LARGE_PAGE);
    return at < memory->low ? 0 : at;
}

/* mmap() of the host; where the guest leaves the choice, in the process's layout if possible. With the lock
 * held. */
static int64_t host_map(struct linux_memory *memory, uint64_t address, uint64_t length, unsigned protection,
                        unsigned flags, int fd, uint64_t offset)
{
    uint64_t at = address ? 0 : place(memory, length, flags);
    if (at) {
        int64_t result = linux_plain_syscall(SYS_mmap, at, length, protection, flags, (uint64_t)fd, offset);
        if (result == (int64_t)at)
            memory->next = at;
        if (result >= 0)
            return result; /* else: some devices want to choose themselves */
    }
    return linux_plain_syscall(SYS_mmap, address, length, protection, flags, (uint64_t)fd, offset);
}

int64_t linux_memory_map(struct linux_process *process, uint64_t address, uint64_t length,
                         unsigned protection, unsigned flags, int fd, uint64_t offset)
{
    bool executable = protection & PROT_EXEC;

    flags &= ~HOST_ONLY_MAP_FLAGS;
    if (beyond_end(address, length)) {
        if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
            return -ENOMEM;
        address = 0; /* only a hint, which a host with larger addresses might follow */
    }
    if (flags & MAP_FIXED && overlaps_own(process, address, length))
        return -ENOMEM;
    if (executable && !(flags & MAP_ANONYMOUS) && is_noexec(fd))
        return -EPERM;

    linux_memory_lock(process);
    int64_t result = reserve(process->memory);
    if (!result)
        result = host_map(process->memory, address, length, host_protection(protection), flags, fd, offset);
    if (result >= 0) {
        uint64_t start = (uint64_t)result;
        note_executable(process, start, length, executable);
        if (executable && !(protection & PROT_WRITE) && !(flags & MAP_ANONYMOUS))
            ranges_add(&process->memory->lasting, start, start + ALIGN_UP(length, GUEST_PAGE_SIZE));
    }
    linux_memory_unlock(process);
    return result;
}

int64_t linux_memory_unmap(struct linux_process *process, uint64_t address, uint64_t length)
{
    if (beyond_end(address, length) || overlaps_own(process, address, length))
        return -EINVAL;

    linux_memory_lock(process);
    int64_t result = reserve(process->memory);
    if (!result)
        result = linux_plain_syscall(SYS_munmap, address, length, 0, 0, 0, 0);
    if (result >= 0) {
        if (address == process->memory->next)
            process->memory->next = MIN(address + ALIGN_UP(length, GUEST_PAGE_SIZE), process->layout);
        note_executable(process, address, length, false);
    }
    linux_memory_unlock(process);
    return result;
}

int64_t linux_memory_protect(struct linux_process *process, uint64_t address, uint64_t length,
                             unsigned protection)
{
    if (protection & ~(unsigned)(PROTECTION_MASK | 8 /* PROT_SEM */ | PROT_GROWSDOWN | PROT_GROWSUP))
        return -EINVAL;
    if (beyond_end(address, length) || overlaps_own(process, address, length))
        return -ENOMEM;

    linux_memory_lock(process);
    int64_t result = reserve(process->memory);
    if (!result)
        result = linux_plain_syscall(SYS_mprotect, address, length, host_protection(protection), 0, 0, 0);
    if (result >= 0)
        note_executable(process, address, length, protection & PROT_EXEC);
    linux_memory_unlock(process);
    return result;
}

/* What the guest asks for, as its personality() has it. */
static unsigned wanted_protection(const struct linux_process *process, uint64_t protection)
{
    bool more = process->read_implies_exec && protection & PROT_READ;
    return (unsigned)protection | (more ? PROT_EXEC : 0);
}

int64_t linux_sys_mmap(struct linux_thread *thread, const uint64_t a[6])
{
    if (!(a[3] & MAP_ANONYMOUS) && linux_is_own_fd(thread->process, (int)a[4]))
        return -EBADF;
    int64_t result = linux_memory_map(thread->process, a[0], a[1], wanted_protection(thread->process, a[2]),
                                      (unsigned)a[3], (int)a[4], a[5]);
    if (UNLIKELY(thread->process->rings) && result >= 0 && !(a[3] & MAP_ANONYMOUS))
        linux_uring_mapped(thread->process, (int)a[4], a[5], (uint64_t)result);
    return result;
}

int64_t linux_sys_munmap(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_memory_unmap(thread->process, a[0], a[1]);
}

int64_t linux_sys_mprotect(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_memory_protect(thread->process, a[0], a[1], wanted_protection(thread->process, a[2]));
}

int64_t linux_sys_mremap(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process;
    uint64_t old = a[0], old_length = a[1], length = a[2];

    if (beyond_end(old, old_length) || overlaps_own(process, old, old_length))
        return -EFAULT;
    if (a[3] & MREMAP_FIXED && (beyond_end(a[4], length) || overlaps_own(process, a[4], length)))
        return -EINVAL;

    linux_memory_lock(process);
    int64_t result = reserve(process->memory);
    if (!result)
        result = linux_plain_syscall(SYS_mremap, old, old_length, length, a[3], a[4], 0);
    if (result >= 0) {
        bool executable = ranges_end(&process->memory->executable, old) != 0;
        note_executable(process, old, old_length, false);
        if (reserve(process->memory) == 0)
            note_executable(process, (uint64_t)result, length, executable);
    }
    linux_memory_unlock(process);
    return result;
}

/* Never fails: returns the break that is in force afterwards. */
int64_t linux_sys_brk(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process->space;
    uint64_t wanted = a[0];

    linux_memory_lock(process);
    uint64_t old_top = ALIGN_UP(process->brk_end, GUEST_PAGE_SIZE);
    if (wanted >= process->brk_start && wanted <= process->brk_limit) {
        uint64_t top = ALIGN_UP(wanted, GUEST_PAGE_SIZE);
        int64_t result = 0;
        if (top > old_top)
            result = linux_plain_syscall(SYS_mmap, old_top, top - old_top, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
        else if (top < old_top)
            result = linux_plain_syscall(SYS_munmap, top, old_top - top, 0, 0, 0, 0);
        if (result >= 0)
            process->brk_end = wanted;
    }
    int64_t end = (int64_t)process->brk_end;
    linux_memory_unlock(process);
    return end;
}

/* -- the rest of mm/
 * ------------------------------------------------------------------------------------------ */

int64_t linux_sys_madvise(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process;
    if (beyond_end(a[0], a[1]) || overlaps_own(process, a[0], a[1]))
        return -ENOMEM;

    int64_t result = linux_plain_syscall(SYS_madvise, a[0], a[1], a[2], 0, 0, 0);
    bool discards = a[2] == MADV_DONTNEED || a[2] == MADV_FREE || a[2] == MADV_REMOVE;
    if (result >= 0 && discards) {
        linux_memory_lock(process);
        if (ranges_overlap(&process->memory->executable, a[0], a[0] + a[1]))
            translator_invalidate(process->translator, a[0], a[1]);
        linux_memory_unlock(process);
    }
    return result;
}

int64_t linux_sys_process_madvise(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    return linux_host_syscall(thread, SYS_process_madvise, a[0], a[1], a[2], a[3], a[4], 0);
}

int64_t linux_sys_msync(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_msync, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_mincore(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_mincore, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_mlock(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_mlock, a[0], a[1], 0, 0, 0, 0);
}

int64_t linux_sys_mlock2(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_mlock2, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_munlock(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_munlock, a[0], a[1], 0, 0, 0, 0);
}

/* Locks visor's memory as well, so pages are locked as they come into use: its large reserves must not be
 * filled. */
int64_t linux_sys_mlockall(struct linux_thread *thread, const uint64_t a[6])
{
    if (!a[0] || a[0] == MCL_ONFAULT || a[0] & ~(uint64_t)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT))
        return -EINVAL;
    return linux_host_syscall(thread, SYS_mlockall, a[0] | MCL_ONFAULT, 0, 0, 0, 0, 0);
}

int64_t linux_sys_munlockall(struct linux_thread *thread, const uint64_t a[6])
{
    (void)a;
    return linux_host_syscall(thread, SYS_munlockall, 0, 0, 0, 0, 0, 0);
}

int64_t linux_sys_memfd_create(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_memfd_create, a[0], a[1], 0, 0, 0, 0);
}

/* -- System V shared memory
 * ------------------------------------------------------------------------------------- */

int64_t linux_sys_shmget(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_shmget, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_shmctl(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_shmctl, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_shmat(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process;
    struct shmid_ds segment;

    int64_t result = linux_plain_syscall(SYS_shmctl, a[0], IPC_STAT, (uintptr_t)&segment, 0, 0, 0);
    if (result < 0)
        return result;
    if (a[1] && (beyond_end(a[1], segment.shm_segsz) || overlaps_own(process, a[1], segment.shm_segsz)))
        return -EINVAL;

    linux_memory_lock(process);
    result = ranges_reserve(&process->memory->executable);
    if (!result)
        result = linux_plain_syscall(SYS_shmat, a[0], a[1], a[2] & ~(uint64_t)SHM_EXEC, 0, 0, 0);
    if (result >= 0)
        note_executable(process, (uint64_t)result, segment.shm_segsz, a[2] & SHM_EXEC);
    linux_memory_unlock(process);
    return result;
}

int64_t linux_sys_shmdt(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process;

    linux_memory_lock(process);
    uint64_t end = ranges_end(&process->memory->executable, a[0]);
    int64_t result = reserve(process->memory);
    if (!result)
        result = linux_plain_syscall(SYS_shmdt, a[0], 0, 0, 0, 0, 0);
    if (result >= 0 && end && !linux_memory_is_mapped(a[0]))
        note_executable(process, a[0], end - a[0], false);
    linux_memory_unlock(process);
    return result;
}

/* Of no use since Linux 4.0, which emulates it slowly. */
int64_t linux_sys_remap_file_pages(struct linux_thread *thread, const uint64_t a[6])
{
    (void)thread;
    (void)a;
    return -ENOSYS;
}
