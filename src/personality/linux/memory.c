/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: see memory.h. The kernel keeps the maps; only what it cannot know is kept here: what is executable,
 * and which of the mappings are the guest's. To a guest, the others are holes that cannot be filled, as if
 * the address space ended there.
 */
#include "personality/linux/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/statfs.h>

#include "base/lock.h"
#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory_private.h"
#include "personality/linux/other.h"
#include "personality/linux/ranges.h"
#include "personality/linux/syscalls.h"

/* Bits of mmap's flags that only x86 has: MAP_32BIT and MAP_ABOVE4G. */
#define HOST_ONLY_MAP_FLAGS 0xc0u
#define LAYOUT_ROOM         (64ull << 30)
#define SPARE_COUNT         16u
#define PROTECTION_MASK     (PROT_READ | PROT_WRITE | PROT_EXEC)

#ifndef ST_NOEXEC
#define ST_NOEXEC 8
#endif

/* -- start ----------------------------------------------------------------------------------------------- */

/*
 * Mappings kept in reserve, neighbours that the kernel cannot join. A guest may use up all that a process may
 * have (vm.max_map_count); a child that it forks then still needs a code cache of its own.
 */
static void take_spares(struct linux_memory *memory)
{
    char *spares = mmap(NULL, SPARE_COUNT * GUEST_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (spares == MAP_FAILED)
        return;
    for (unsigned i = 1; i < SPARE_COUNT; i += 2)
        mprotect(spares + i * GUEST_PAGE_SIZE, GUEST_PAGE_SIZE, PROT_READ);
    memory->spares = spares;
}

void linux_memory_spend_spares(struct linux_process *process)
{
    if (process->memory->spares)
        munmap(process->memory->spares, SPARE_COUNT * GUEST_PAGE_SIZE);
    process->memory->spares = NULL;
}

void linux_memory_restore_spares(struct linux_process *process)
{
    if (!process->memory->spares)
        take_spares(process->memory);
}

int linux_memory_new(struct linux_process *process)
{
    struct linux_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return -ENOMEM;
    process->memory = memory;
    memory->end = process->arch->address_end;
    memory->next = process->map_top;
    memory->low = process->map_top > LAYOUT_ROOM ? process->map_top - LAYOUT_ROOM : 0;
    memory->limit = linux_address_limit();
    take_spares(memory);
    return 0;
}

void linux_memory_set_limit(struct linux_process *process, uint64_t limit)
{
    linux_memory_lock(process);
    process->memory->limit = limit;
    linux_memory_unlock(process);
}

/* Would the guest have more than its limit if it mapped so much more? Only the kernel knows how far the stack
 * has been used, so that counts as it begins. With the lock held. */
static bool exceeds_limit(const struct linux_process *process, uint64_t more)
{
    const struct linux_memory *memory = process->memory;
    uint64_t sum = 0;
    if (LIKELY(memory->limit == RLIM_INFINITY))
        return false;
    for (size_t i = 0; i < memory->guest.count; i++)
        sum += memory->guest.ranges[i].end - memory->guest.ranges[i].start;
    const uint64_t unused = process->stack_end - process->stack_start;
    sum -= MIN(sum, unused - MIN(unused, LINUX_FIRST_STACK));
    return sum > memory->limit || more > memory->limit - sum;
}

/* How much of [start, end) is the guest's. With the lock held. */
static uint64_t guest_part(const struct linux_memory *memory, uint64_t start, uint64_t end)
{
    struct address_range part;
    uint64_t sum = 0;
    for (; ranges_next(&memory->guest, start, &part) && part.start < end; start = part.end)
        sum += MIN(part.end, end) - MAX(part.start, start);
    return sum;
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

/* -- another process's ------------------------------------------------------------------------------------
 */

static bool copy_ranges(const struct linux_reader *reader, struct address_ranges *to,
                        const struct address_ranges *from)
{
    const size_t most = 1u << 20; /* more than a process may have mappings */
    *to = (struct address_ranges){.count = from->count, .capacity = from->count};
    if (from->count > most)
        return false;
    size_t size = from->count * sizeof *to->ranges;
    to->ranges = size ? malloc(size) : NULL;
    return !size || (to->ranges && reader->read(reader, to->ranges, (uintptr_t)from->ranges, size) &&
                     ranges_are_sound(to));
}

/* True if nobody has been changing the sets since `before` was read. */
static bool is_steady(const struct linux_reader *reader, const struct linux_memory *before, uint64_t address)
{
    struct linux_memory now;
    return reader->read(reader, &now, address, sizeof now) && !before->lock.word && !now.lock.word &&
           now.changes == before->changes;
}

struct linux_memory *linux_memory_copy(const struct linux_reader *reader, uint64_t address)
{
    struct linux_memory from;
    for (unsigned tries = 100; reader->read(reader, &from, address, sizeof from); tries--) {
        struct linux_memory *copy = calloc(1, sizeof *copy);
        bool sound = copy && copy_ranges(reader, &copy->guest, &from.guest) &&
                     copy_ranges(reader, &copy->executable, &from.executable) &&
                     copy_ranges(reader, &copy->unreadable, &from.unreadable);
        /* Who holds the lock may have been stopped: what is sound serves in the end. */
        if (sound && (!tries || is_steady(reader, &from, address)))
            return copy;
        linux_memory_free(copy);
        if (!tries)
            break;
        linux_plain_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    }
    return NULL;
}

void linux_memory_free(struct linux_memory *copy)
{
    if (!copy)
        return;
    ranges_free(&copy->guest);
    ranges_free(&copy->executable);
    ranges_free(&copy->unreadable);
    free(copy);
}

/* -- what may be executed ----------------------------------------------------------------------------------
 */

/* Is the number of changes still this? */
static bool is_unchanged(struct linux_process *process, uint64_t changes)
{
    linux_memory_lock(process);
    bool unchanged = process->memory->changes == changes;
    linux_memory_unlock(process);
    return unchanged;
}

int linux_memory_fetch_fault(struct linux_process *process, uint64_t pc, int *code)
{
    uint32_t word;

    linux_memory_lock(process);
    const uint64_t changes = process->memory->changes;
    bool mapped = ranges_end(&process->memory->guest, pc);
    bool executable = ranges_end(&process->memory->executable, pc);
    linux_memory_unlock(process);
    if (!executable) {
        *code = mapped ? SEGV_ACCERR : SEGV_MAPERR;
        return SIGSEGV;
    }
    /* Without the lock, since reading may wait for a handler of userfaultfd. */
    if (guest_read(&word, pc, sizeof word) == 0 || !is_unchanged(process, changes))
        return 0;
    *code = BUS_ADRERR; /* beyond the end of the file */
    return SIGBUS;
}

/*
 * For processors that see changed code at once: takes the host's permission to write from pages that
 * translations are to be made of, before their bytes are read. False: they cannot be kept like that. With the
 * lock held.
 */
static bool watch(struct linux_memory *memory, uint64_t start, uint64_t end)
{
    struct address_range range;
    start = ALIGN_DOWN(start, GUEST_PAGE_SIZE), end = ALIGN_UP(end, GUEST_PAGE_SIZE);
    for (; start < end && ranges_next(&memory->writable, start, &range) && range.start < end;
         start = range.end) {
        range.start = MAX(range.start, start);
        range.end = MIN(range.end, end);
        const uint64_t watched = ranges_end(&memory->watched, range.start);
        if (watched >= range.end)
            continue;
        if (ranges_reserve(&memory->watched) < 0 ||
            linux_plain_syscall(SYS_mprotect, range.start, range.end - range.start, PROT_READ, 0, 0, 0) < 0)
            return false;
        ranges_add(&memory->watched, range.start, range.end);
    }
    return true;
}

bool linux_memory_unwatch(struct linux_process *process, uint64_t start, uint64_t length)
{
    struct linux_memory *memory = process->memory;
    struct address_range range;
    bool any = false;

    if (!memory->watched.count || start >= GUEST_ADDRESS_END)
        return false;
    const uint64_t end = ALIGN_UP(MIN(start + length, GUEST_ADDRESS_END), GUEST_PAGE_SIZE);
    start = ALIGN_DOWN(start, GUEST_PAGE_SIZE);
    linux_memory_lock(process);
    for (; start < end && ranges_next(&memory->watched, start, &range) && range.start < end;
         start = range.end) {
        range.start = MAX(range.start, start);
        range.end = MIN(range.end, end);
        if (ranges_reserve(&memory->watched) < 0 ||
            linux_plain_syscall(SYS_mprotect, range.start, range.end - range.start, PROT_READ | PROT_WRITE, 0,
                                0, 0) < 0)
            break;
        ranges_remove(&memory->watched, range.start, range.end);
        translator_invalidate(process->translator, range.start, range.end - range.start);
        any = true;
    }
    linux_memory_unlock(process);
    return any;
}

/* Another thread may unmap the code meanwhile, and a mapping may reach further than its file. */
size_t linux_memory_fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    struct linux_process *process = context;
    const struct linux_thread *thread = linux_current();

    linux_memory_lock(process);
    uint64_t end = ranges_end(&process->memory->executable, pc);
    if (end && process->arch->coherent_code && !(thread && thread->stepping) &&
        !watch(process->memory, pc, MIN(pc + size, end)))
        end = 0;
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

/* Room for one more range in each set, so that what the kernel has done can be recorded. */
static int reserve(struct linux_memory *memory)
{
    int code = ranges_reserve(&memory->executable);
    if (code == 0)
        code = ranges_reserve(&memory->lasting);
    if (code == 0)
        code = ranges_reserve(&memory->unreadable);
    if (code == 0)
        code = ranges_reserve(&memory->writable);
    if (code == 0)
        code = ranges_reserve(&memory->watched);
    return code < 0 ? code : ranges_reserve(&memory->guest);
}

/* Records that the pages of [start, start + length) are now executable or not, and forgets translations of
 * what was there before. With the lock held, after reserve(). */
static void note_executable(struct linux_process *process, uint64_t start, uint64_t length, bool executable)
{
    struct address_ranges *set = &process->memory->executable;
    uint64_t end = start + ALIGN_UP(length, GUEST_PAGE_SIZE);
    bool was = ranges_overlap(set, start, end);

    process->memory->changes++;
    if (executable)
        ranges_add(set, start, end);
    else if (was)
        ranges_remove(set, start, end);
    if (was) {
        ranges_remove(&process->memory->lasting, start, end);
        ranges_remove(&process->memory->unreadable, start, end);
        ranges_remove(&process->memory->writable, start, end);
        ranges_remove(&process->memory->watched, start, end);
        translator_invalidate(process->translator, start, end - start);
    }
}

/* The host's protection is not the guest's: what it reads to execute it shows as readable. After
 * note_executable(). */
static void note_protection(struct linux_process *process, uint64_t start, uint64_t length,
                            unsigned protection)
{
    const uint64_t end = start + ALIGN_UP(length, GUEST_PAGE_SIZE);
    if ((protection & PROTECTION_MASK) == PROT_EXEC)
        ranges_add(&process->memory->unreadable, start, end);
    if (protection & PROT_EXEC && protection & PROT_WRITE)
        ranges_add(&process->memory->writable, start, end);
}

/* As note_executable() for pages that the guest has mapped or unmapped. */
static void note_mapped(struct linux_process *process, uint64_t start, uint64_t length, bool executable)
{
    note_executable(process, start, length, executable);
    ranges_add(&process->memory->guest, start, start + ALIGN_UP(length, GUEST_PAGE_SIZE));
}

static void note_unmapped(struct linux_process *process, uint64_t start, uint64_t length)
{
    note_executable(process, start, length, false);
    ranges_remove(&process->memory->guest, start, start + ALIGN_UP(length, GUEST_PAGE_SIZE));
}

bool linux_memory_next_executable(struct linux_process *process, uint64_t address,
                                  struct address_range *range)
{
    linux_memory_lock(process);
    bool found = ranges_next(&process->memory->executable, address, range);
    linux_memory_unlock(process);
    return found;
}

bool linux_memory_next_unreadable(struct linux_process *process, uint64_t address,
                                  struct address_range *range)
{
    linux_memory_lock(process);
    bool found = ranges_next(&process->memory->unreadable, address, range);
    linux_memory_unlock(process);
    return found;
}

bool linux_memory_next_guest(struct linux_process *process, uint64_t address, struct address_range *range)
{
    linux_memory_lock(process);
    bool found = ranges_next(&process->memory->guest, address, range);
    linux_memory_unlock(process);
    return found;
}

void linux_memory_invalidate(struct linux_process *process, uint64_t start, uint64_t length)
{
    linux_memory_lock(process);
    if (ranges_overlap(&process->memory->executable, start, start + length))
        translator_invalidate(process->translator, start, length);
    linux_memory_unlock(process);
}

void linux_memory_disown(struct linux_process *process, uint64_t start, uint64_t length)
{
    struct linux_memory *memory = process->memory;
    linux_memory_lock(process);
    if (reserve(memory) == 0)
        note_unmapped(process, start, length);
    if (memory_is_low(memory) && ranges_reserve(&memory->own_low) == 0)
        ranges_add(&memory->own_low, start, start + ALIGN_UP(length, GUEST_PAGE_SIZE));
    linux_memory_unlock(process);
}

/* -- what children do not get ---------------------------------------------------------------------------- */

void linux_memory_leave_out(struct linux_process *process, uint64_t start, uint64_t length, bool left_out)
{
    struct address_ranges *set = &process->memory->left_out;
    if (start >= GUEST_ADDRESS_END)
        return;
    uint64_t end = start + ALIGN_UP(MIN(length, GUEST_ADDRESS_END - start), GUEST_PAGE_SIZE);
    linux_memory_lock(process);
    if (ranges_reserve(set) == 0 && left_out)
        ranges_add(set, start, end);
    else if (!left_out && ranges_overlap(set, start, end))
        ranges_remove(set, start, end);
    linux_memory_unlock(process);
}

/* Forgets the pages of [start, end) that are not there. */
static void forget_missing(struct linux_process *process, uint64_t start, uint64_t end)
{
    if (linux_plain_syscall(SYS_msync, start, end - start, MS_ASYNC, 0, 0, 0) != -ENOMEM)
        return;
    int64_t taken = linux_plain_syscall(SYS_mmap, start, end - start, PROT_NONE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
                                        (uint64_t)-1, 0);
    if (taken >= 0) {
        linux_plain_syscall(SYS_munmap, start, end - start, 0, 0, 0, 0);
        if (reserve(process->memory) == 0)
            note_unmapped(process, start, end - start);
    } else if (end - start > GUEST_PAGE_SIZE) {
        uint64_t middle = ALIGN_DOWN(start + (end - start) / 2, GUEST_PAGE_SIZE);
        forget_missing(process, start, middle);
        forget_missing(process, middle, end);
    }
}

/* The advice may be about pages that have been replaced since: the kernel knows what has come along. */
void linux_memory_fork_child(struct linux_process *process)
{
    struct address_range range;
    for (uint64_t at = 0; ranges_next(&process->memory->left_out, at, &range); at = range.end)
        forget_missing(process, range.start, range.end);
}

bool linux_memory_is_guest(struct linux_process *process, uint64_t start, uint64_t length)
{
    linux_memory_lock(process);
    uint64_t end = ranges_end(&process->memory->guest, start);
    linux_memory_unlock(process);
    return end && length <= end - start;
}

/* Code is read; what may be written can be. */
static unsigned host_protection(unsigned protection)
{
    unsigned host = protection & (PROT_READ | PROT_WRITE | PROT_GROWSDOWN | PROT_GROWSUP);
    return protection & PROT_EXEC && !(protection & PROT_WRITE) ? host | PROT_READ : host;
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

int64_t linux_memory_map(struct linux_process *process, uint64_t address, uint64_t length,
                         unsigned protection, unsigned flags, int fd, uint64_t offset)
{
    bool executable = protection & PROT_EXEC;

    if (!process->arch->host_abi || memory_is_low(process->memory))
        flags &= ~HOST_ONLY_MAP_FLAGS;
    if (memory_beyond_end(process, address, length)) {
        if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
            return -ENOMEM;
        address = 0; /* only a hint, which a host with larger addresses might follow */
    }
    if (executable && !(flags & MAP_ANONYMOUS) && is_noexec(fd))
        return -EPERM;

    linux_memory_lock(process);
    int64_t result = reserve(process->memory);
    if (!result)
        result = memory_host_map(process, address, length, host_protection(protection), flags, fd, offset);
    if (result >= 0) {
        uint64_t start = (uint64_t)result;
        note_mapped(process, start, length, executable);
        note_protection(process, start, length, protection);
        if (executable && !(protection & PROT_WRITE) && !(flags & MAP_ANONYMOUS))
            ranges_add(&process->memory->lasting, start, start + ALIGN_UP(length, GUEST_PAGE_SIZE));
    }
    linux_memory_unlock(process);
    return result;
}

/* The parts of the range that are the guest's go; that visor has something in it cannot be seen. */
int64_t linux_memory_unmap(struct linux_process *process, uint64_t address, uint64_t length)
{
    struct linux_memory *memory = process->memory;
    struct address_range part;
    int64_t result = 0;

    if (memory_beyond_end(process, address, length) || address % GUEST_PAGE_SIZE || !length)
        return -EINVAL;
    uint64_t end = address + ALIGN_UP(length, GUEST_PAGE_SIZE);
    linux_memory_lock(process);
    while (result >= 0 && ranges_next(&memory->guest, address, &part) && part.start < end) {
        part.start = MAX(part.start, address);
        part.end = MIN(part.end, end);
        result = reserve(memory);
        if (!result)
            result = linux_plain_syscall(SYS_munmap, part.start, part.end - part.start, 0, 0, 0, 0);
        if (result >= 0) {
            if (part.start == memory->next)
                memory->next = MIN(part.end, process->map_top);
            note_unmapped(process, part.start, part.end - part.start);
        }
        address = part.end;
    }
    linux_memory_unlock(process);
    return result;
}

/* How much of a range, from its start on, is the guest's. With the lock held. */
static uint64_t guest_length(const struct linux_memory *memory, uint64_t start, uint64_t length)
{
    uint64_t end = ranges_end(&memory->guest, start);
    return end ? MIN(end - start, length) : 0;
}

int64_t linux_memory_protect(struct linux_process *process, uint64_t address, uint64_t length,
                             unsigned protection)
{
    if (protection & ~(unsigned)(PROTECTION_MASK | 8 /* PROT_SEM */ | PROT_GROWSDOWN | PROT_GROWSUP) ||
        address % GUEST_PAGE_SIZE)
        return -EINVAL;
    if (memory_beyond_end(process, address, length))
        return -ENOMEM;
    /* The stack has its full size from the start. */
    if (protection & PROT_GROWSDOWN &&
        address - process->stack_start < process->stack_end - process->stack_start) {
        length += address - process->stack_start;
        address = process->stack_start;
        protection &= ~(unsigned)PROT_GROWSDOWN;
    }

    length = ALIGN_UP(length, GUEST_PAGE_SIZE);
    linux_memory_lock(process);
    uint64_t covered = guest_length(process->memory, address, length);
    int64_t result = reserve(process->memory);
    if (!result)
        result = linux_plain_syscall(SYS_mprotect, address, covered, host_protection(protection), 0, 0, 0);
    if (result >= 0 && covered) {
        note_executable(process, address, covered, protection & PROT_EXEC);
        note_protection(process, address, covered, protection);
    }
    linux_memory_unlock(process);
    return result >= 0 && covered < length ? -ENOMEM : result;
}

/* What the guest asks for, as its personality() has it. */
static unsigned wanted_protection(const struct linux_process *process, uint64_t protection)
{
    bool more = process->read_implies_exec && protection & PROT_READ;
    return (unsigned)protection | (more ? PROT_EXEC : 0);
}

/* Before mmap(): 0 or -ENOMEM. What is replaced does not count twice. */
static int check_limit(struct linux_process *process, const uint64_t a[6])
{
    uint64_t length = ALIGN_UP(a[1], GUEST_PAGE_SIZE);
    linux_memory_lock(process);
    bool replaces = a[3] & MAP_FIXED && !memory_beyond_end(process, a[0], length);
    uint64_t replaced = replaces ? guest_part(process->memory, a[0], a[0] + length) : 0;
    bool exceeds = exceeds_limit(process, length - replaced);
    linux_memory_unlock(process);
    return exceeds ? -ENOMEM : 0;
}

int64_t linux_sys_mmap(struct linux_thread *thread, const uint64_t a[6])
{
    if (!(a[3] & MAP_ANONYMOUS) && linux_is_own_fd(thread->process, (int)a[4]))
        return -EBADF;
    int code = a[1] ? check_limit(thread->process, a) : 0;
    if (code < 0)
        return code;
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

/* What was executable is so where it has been moved to, and in what it has been extended by. With the lock
 * held. */
static void note_moved(struct linux_process *process, uint64_t old, uint64_t old_length, uint64_t new,
                       uint64_t length, bool old_stays)
{
    struct linux_memory *memory = process->memory;
    uint64_t end = ranges_end(&memory->executable, old);
    bool all = end && end - old >= old_length, writable = ranges_overlap(&memory->writable, old, old + 1);

    bool left_out = ranges_overlap(&memory->left_out, old, old + MAX(old_length, GUEST_PAGE_SIZE));

    if (!old_stays)
        note_unmapped(process, old, old_length);
    if (reserve(memory) < 0 || (left_out && ranges_reserve(&memory->left_out) < 0)) {
        linux_plain_syscall(SYS_munmap, new, length, 0, 0, 0, 0); /* lost, but not unknown */
        return;
    }
    if (left_out) /* at least in part: see linux_memory_fork_child() */
        ranges_add(&memory->left_out, new, new + length);
    note_mapped(process, new, length, all);
    if (!end || reserve(memory) < 0)
        return;
    if (!all)
        note_executable(process, new, MIN(end - old, length), true); /* only its first part was */
    if (writable)
        ranges_add(&memory->writable, new, new + MIN(end - old, length));
}

/* Only the first page has to be there. */
static int64_t shrink(struct linux_process *process, uint64_t old, uint64_t old_length, uint64_t length)
{
    if (!linux_memory_is_guest(process, old, 1))
        return -EFAULT;
    int64_t result = old_length > length ? linux_memory_unmap(process, old + length, old_length - length) : 0;
    return result < 0 ? result : (int64_t)old;
}

int64_t linux_sys_mremap(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process;
    struct linux_memory *memory = process->memory;
    uint64_t old = a[0], old_length = ALIGN_UP(a[1], GUEST_PAGE_SIZE);
    uint64_t length = ALIGN_UP(a[2], GUEST_PAGE_SIZE), flags = a[3], new = a[4];
    bool fixed = flags & MREMAP_FIXED;

    if (flags & ~(uint64_t)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || old % GUEST_PAGE_SIZE ||
        !length || (fixed && (new % GUEST_PAGE_SIZE || memory_beyond_end(process, new, length))))
        return -EINVAL;
    if (memory_beyond_end(process, old, old_length))
        return -EFAULT;
    if (old_length >= length && !(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
        return shrink(process, old, old_length, length);
    linux_memory_unwatch(process, old, old_length); /* the permission goes along */
    linux_memory_lock(process);
    int64_t result = reserve(memory);
    const uint64_t needed =
        MAX(old_length, GUEST_PAGE_SIZE); /* length 0: a second mapping of what is there */
    if (!result && guest_length(memory, old, needed) < needed)
        result = -EFAULT;
    if (!result && length > old_length && exceeds_limit(process, length - old_length))
        result = -ENOMEM;
    bool overlap = fixed && new < old + old_length &&old < new + length;
    bool takes = fixed && flags & MREMAP_MAYMOVE && !overlap;
    if (!result && takes)
        result = memory_take_gaps(memory, new, new + length);
    if (!result) {
        result = memory_host_remap(process, old, a[1], length, flags, new);
        if (result < 0 && takes)
            memory_release_gaps(memory, new, new + length);
    }
    if (result >= 0)
        note_moved(process, old, old_length, (uint64_t)result, length, flags & MREMAP_DONTUNMAP);
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
        int64_t result = reserve(process->memory);
        if (!result && top > old_top && exceeds_limit(process, top - old_top))
            result = -ENOMEM;
        if (!result && top > old_top)
            result = linux_plain_syscall(SYS_mmap, old_top, top - old_top, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
        else if (!result && top < old_top)
            result = linux_plain_syscall(SYS_munmap, top, old_top - top, 0, 0, 0, 0);
        if (result >= 0) {
            process->brk_end = wanted;
            if (top > old_top)
                note_mapped(process, old_top, top - old_top, false);
            else if (top < old_top)
                note_unmapped(process, top, old_top - top);
        }
    }
    int64_t end = (int64_t)process->brk_end;
    linux_memory_unlock(process);
    return end;
}

/* -- System V shared memory ------------------------------------------------------------------------------ */

int64_t linux_sys_shmget(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_shmget, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_shmctl(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_shmctl, a[0], a[1], a[2], 0, 0, 0);
}

static int reserve_segment(struct linux_memory *memory)
{
    struct address_range *segments =
        realloc(memory->segments, (memory->segment_count + 1) * sizeof *segments);
    if (!segments)
        return -ENOMEM;
    memory->segments = segments;
    return reserve(memory);
}

int64_t linux_sys_shmat(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process;
    struct shmid_ds segment;

    int64_t result = linux_plain_syscall(SYS_shmctl, a[0], IPC_STAT, (uintptr_t)&segment, 0, 0, 0);
    if (result < 0)
        return result;
    uint64_t address = a[2] & SHM_RND ? ALIGN_DOWN(a[1], GUEST_PAGE_SIZE) : a[1], attached = a[1];
    uint64_t end = address + ALIGN_UP(segment.shm_segsz, GUEST_PAGE_SIZE);
    bool replaces = address && a[2] & SHM_REMAP && !(address % GUEST_PAGE_SIZE);
    if (address && memory_beyond_end(process, address, segment.shm_segsz))
        return -EINVAL;

    linux_memory_lock(process);
    result = reserve_segment(process->memory);
    if (!result && exceeds_limit(process, segment.shm_segsz))
        result = -ENOMEM;
    if (!result && replaces && memory_take_gaps(process->memory, address, end) < 0)
        result = -EINVAL;
    if (!result && !address && memory_is_low(process->memory)) {
        attached = memory_find_low_place(process, 0, segment.shm_segsz, GUEST_PAGE_SIZE);
        result = attached ? 0 : -ENOMEM;
    }
    if (!result) {
        result = linux_plain_syscall(SYS_shmat, a[0], attached, a[2] & ~(uint64_t)SHM_EXEC, 0, 0, 0);
        if (result < 0 && replaces)
            memory_release_gaps(process->memory, address, end);
    }
    if (result >= 0) {
        uint64_t start = (uint64_t)result;
        note_mapped(process, start, segment.shm_segsz, a[2] & SHM_EXEC);
        process->memory->segments[process->memory->segment_count++] =
            (struct address_range){start, start + ALIGN_UP(segment.shm_segsz, GUEST_PAGE_SIZE)};
    }
    linux_memory_unlock(process);
    return result;
}

int64_t linux_sys_shmdt(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_process *process = thread->process;
    struct linux_memory *memory = process->memory;

    linux_memory_lock(process);
    int64_t result = reserve(memory);
    if (!result)
        result = linux_plain_syscall(SYS_shmdt, a[0], 0, 0, 0, 0, 0);
    for (size_t i = 0; result >= 0 && i < memory->segment_count; i++) {
        struct address_range segment = memory->segments[i];
        if (segment.start != a[0])
            continue;
        memory->segments[i] = memory->segments[--memory->segment_count];
        note_unmapped(process, segment.start, segment.end - segment.start);
        break;
    }
    linux_memory_unlock(process);
    return result;
}
