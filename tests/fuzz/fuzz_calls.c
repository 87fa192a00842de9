/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_calls: any system calls with any arguments and any bytes where they point. In place of the host's
 * kernel there is one of this file's own, which looks that no call reaches it with a descriptor of visor's
 * or for a page of visor's, writes results into visor's buffers as the real one does, and answers anything.
 *
 * The input: the number of calls (1 byte); for each its number (2 bytes), what the kernel answers (8), and
 * its arguments (6 times 8); then the guest's memory from WINDOW on. Guest addresses are no host addresses
 * here. In the middle of the window are two pages of visor's.
 *
 * Left out are calls that end the task or execute a program, for which there is fuzz_exec, and rt_sigreturn,
 * for which there is fuzz_sigreturn.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "personality/linux/convert.h"
#include "personality/linux/host.h"
#include "personality/linux/memory.h"
#include "personality/linux/shell.h"
#include "personality/linux/signal.h"
#include "personality/linux/syscalls.h"
#include "translator/guest/arm64/arm64.h"

#define WINDOW      0x10000ull
#define WINDOW_SIZE 0x10000ull
#define WINDOW_END  (WINDOW + WINDOW_SIZE)
#define VISOR_START 0x14000ull
#define VISOR_END   0x16000ull
/* Of visor's descriptors; the guest is never given such numbers. */
#define FIRST_OWN_FD   1000
#define CALLS_MAX      4
#define HOST_CALLS_MAX 200

enum { RECORD = 2 + 8 + 6 * 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t window[WINDOW_SIZE];
static uint64_t arguments[6]; /* of the guest's call */
static uint64_t answers;
static unsigned host_calls;
static bool obliging; /* the kernel refuses nothing */
static struct linux_process *process;
static struct linux_thread *thread;
static uint64_t attached[CALLS_MAX];
static unsigned attached_count;
static uint8_t ring[4096] __attribute__((aligned(4096))); /* where visor maps one of the kernel's */
static bool ring_is_new;

/* -- guest memory ---------------------------------------------------------------------------------------- */

static bool in_window(uint64_t address, uint64_t length)
{
    return address >= WINDOW && length <= WINDOW_SIZE && address - WINDOW <= WINDOW_SIZE - length;
}

int guest_read(void *to, uint64_t from, size_t length)
{
    if (!in_window(from, length))
        return -EFAULT;
    memcpy(to, window + (from - WINDOW), length);
    return 0;
}

int guest_write(uint64_t to, const void *from, size_t length)
{
    if (!in_window(to, length))
        return -EFAULT;
    memcpy(window + (to - WINDOW), from, length);
    return 0;
}

ssize_t guest_strlen(uint64_t address, size_t max)
{
    for (size_t length = 0; length < max; length++) {
        if (!in_window(address + length, 1))
            return -EFAULT;
        if (!window[address + length - WINDOW])
            return (ssize_t)length;
    }
    return -ENAMETOOLONG;
}

ssize_t guest_read_string(char *buffer, size_t size, uint64_t address)
{
    ssize_t length = guest_strlen(address, size);
    if (length >= 0)
        memcpy(buffer, window + (address - WINDOW), (size_t)length + 1);
    return length;
}

/* -- what the kernel answers ----------------------------------------------------------------------------- */

static uint64_t next_answer(void)
{
    uint64_t answer = answers;
    answers ^= answers << 13;
    answers ^= answers >> 7;
    answers ^= answers << 17;
    return answer;
}

static bool is_refused(void)
{
    return !obliging && next_answer() % 8 == 0;
}

static bool is_of_guest(uint64_t pointer)
{
    for (unsigned i = 0; i < ARRAY_SIZE(arguments); i++) {
        if (pointer == arguments[i])
            return true;
    }
    return !pointer;
}

/* The kernel reads a buffer of visor's: the sanitizer looks. */
static void take(uint64_t pointer, size_t size)
{
    static volatile uint8_t sum;
    for (size_t i = 0; !is_of_guest(pointer) && i < size; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)pointer)[i]);
}

/* The kernel writes to a buffer of visor's. */
static void give(uint64_t pointer, size_t size)
{
    for (size_t i = 0; !is_of_guest(pointer) && i < size; i++)
        ((uint8_t *)pointer)[i] = (uint8_t)next_answer();
}

static bool touches_visor(uint64_t start, uint64_t length)
{
    return start < VISOR_END && length > 0 && (start >= VISOR_START || length > VISOR_START - start);
}

static void must_not_touch(uint64_t start, uint64_t length)
{
    if (touches_visor(start, length))
        abort();
}

static bool is_bad_range(uint64_t start, uint64_t length)
{
    return start % GUEST_PAGE_SIZE || length > GUEST_ADDRESS_END || start > GUEST_ADDRESS_END - length;
}

/* Somewhere outside of what is visor's, as far as there is such a place. */
static int64_t choose_address(uint64_t length)
{
    uint64_t at = WINDOW + ALIGN_DOWN(next_answer() % (4 * WINDOW_SIZE), GUEST_PAGE_SIZE);
    if (length > GUEST_ADDRESS_END / 2)
        return -ENOMEM;
    return (int64_t)(touches_visor(at, length) ? VISOR_END : at);
}

/* The calls that give memory. */
static int64_t map(uint64_t address, uint64_t length, uint64_t flags)
{
    const uint64_t fixed = MAP_FIXED | MAP_FIXED_NOREPLACE;
    length = ALIGN_UP(length, GUEST_PAGE_SIZE);
    if (!length || (flags & fixed && address % GUEST_PAGE_SIZE))
        return -EINVAL;
    if (length > GUEST_ADDRESS_END || (flags & fixed && address > GUEST_ADDRESS_END - length))
        return -ENOMEM;
    if (flags & MAP_FIXED_NOREPLACE && touches_visor(address, length))
        return -EEXIST;
    if (flags & MAP_FIXED && !(flags & MAP_FIXED_NOREPLACE))
        must_not_touch(address, length);
    if (is_refused())
        return -ENOMEM;
    return flags & fixed ? (int64_t)address : choose_address(length);
}

static int64_t attach(uint64_t address, uint64_t flags)
{
    if (flags & SHM_RND)
        address = ALIGN_DOWN(address, GUEST_PAGE_SIZE);
    if (address % GUEST_PAGE_SIZE || attached_count == ARRAY_SIZE(attached))
        return -EINVAL;
    if (address && flags & SHM_REMAP)
        must_not_touch(address, 1); /* how long it is the caller has asked */
    else if (address && touches_visor(address, GUEST_ADDRESS_END - MIN(address, GUEST_ADDRESS_END)))
        return -EINVAL;
    attached[attached_count] = address ? address : VISOR_END;
    return (int64_t)attached[attached_count++];
}

static int64_t move(const uint64_t a[6])
{
    uint64_t old = ALIGN_UP(a[1], GUEST_PAGE_SIZE), new = ALIGN_UP(a[2], GUEST_PAGE_SIZE);
    if (is_bad_range(a[0], old) || !new || (a[3] & MREMAP_FIXED && !(a[3] & MREMAP_MAYMOVE)))
        return -EINVAL;
    must_not_touch(a[0], MAX(old, 1));
    if (a[3] & MREMAP_FIXED && (is_bad_range(a[4], new) || (a[4] < a[0] + old && a[0] < a[4] + new)))
        return -EINVAL;
    if (a[3] & MREMAP_FIXED)
        must_not_touch(a[4], new);
    if (is_refused())
        return -ENOMEM;
    if (a[3] & MREMAP_FIXED)
        return (int64_t)a[4];
    if (a[3] & MREMAP_MAYMOVE)
        return choose_address(new);
    return is_bad_range(a[0], new) || touches_visor(a[0], new) ? -ENOMEM : (int64_t)a[0];
}

static int64_t read_link(uint64_t to, uint64_t room)
{
    static const char *const targets[] = {
        "/proc/self", "/proc/self/fd", "/proc/17/task/18/fdinfo", "/proc", "17", "/", "/mnt/proc/17", ""};
    const char *target = targets[next_answer() % ARRAY_SIZE(targets)];
    size_t length = MIN(strlen(target), room);
    if (!is_of_guest(to))
        memcpy((void *)to, target, length);
    return (int64_t)length;
}

/* A ring as the kernel makes it. */
static void set_up_ring(uint64_t entries, uint64_t pointer)
{
    struct io_uring_params *p = (struct io_uring_params *)pointer;
    p->sq_entries = 1u << entries % 8;
    p->cq_entries = 2 * p->sq_entries;
    ring_is_new = true;
    p->sq_off = (struct io_sqring_offsets){.head = 0, .tail = 4, .flags = 8, .array = 64};
}

/* What the kernel reads and writes in buffers that are visor's. */
static void use_buffers(long number, const uint64_t a[6])
{
    switch (number) {
    case SYS_fstat: give(a[1], sizeof(struct stat)); break;
    case SYS_newfstatat: give(a[2], sizeof(struct stat)); break;
    case SYS_statfs:
    case SYS_fstatfs:
        give(a[1], sizeof(struct statfs));
        if (!is_of_guest(a[1]) && next_answer() & 1)
            ((struct statfs *)a[1])->f_type = PROC_SUPER_MAGIC;
        break;
    case SYS_uname: give(a[0], sizeof(struct utsname)); break;
    case SYS_rt_sigpending: give(a[0], 8); break;
    case SYS_rt_sigprocmask:
        take(a[1], 8);
        give(a[2], 8);
        break;
    case SYS_rt_sigsuspend: take(a[0], 8); break;
    case SYS_epoll_ctl: take(a[3], sizeof(struct epoll_event)); break;
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2: take(a[4], 8); break;
    case SYS_ppoll: take(a[3], 8); break;
    case SYS_pselect6:
    case SYS_io_pgetevents: take(a[5], 16); break;
    case SYS_openat2: take(a[2], a[3]); break;
    case SYS_shmctl:
        if (a[1] == IPC_STAT)
            give(a[2], sizeof(struct shmid_ds));
        break;
    case SYS_semctl:
        if ((int)a[2] == IPC_SET)
            take(a[3], sizeof(struct host_semid_ds));
        else
            give(a[3], sizeof(struct host_semid_ds));
        break;
    case SYS_ioctl:
        if ((uint32_t)a[1] == LOOP_GET_STATUS)
            give(a[2], sizeof(struct loop_info));
        else if ((uint32_t)a[1] == LOOP_SET_STATUS)
            take(a[2], sizeof(struct loop_info));
        break;
    case SYS_prlimit64:
        take(a[2], sizeof(struct rlimit));
        give(a[3], sizeof(struct rlimit));
        break;
    case SYS_io_uring_setup: set_up_ring(a[0], a[1]); break;
    default: break;
    }
}

/* By the formats of the table, of the calls that have the same arguments here and there. */
static void check_descriptors(long number, const uint64_t a[6])
{
    static const struct {
        long number;
        const char *format;
    } calls[] = {
#define CALL(guest, name, format) {SYS_##name, format},
#define PASS(guest, name, format) {SYS_##name, format},
#define NONE(guest, name, format)
#include "personality/linux/syscalls.def"
#undef CALL
#undef PASS
#undef NONE
    };
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        const char *letter = calls[i].format;
        for (unsigned at = 0; calls[i].number == number && *letter && at < 6; letter++) {
            if (*letter == '!' || *letter == '>')
                continue;
            if ((*letter == 'f' || *letter == 'F') && linux_is_own_fd(process, (int)a[at]))
                abort();
            at++;
        }
    }
}

/* Visor itself names its descriptors to the kernel where it means them. */
static bool means_own_fd(long number, const uint64_t a[6])
{
    if (number == SYS_mmap)
        return a[3] & MAP_ANONYMOUS;  /* which needs none */
    if (number == SYS_io_uring_enter) /* an index perhaps */
        return a[3] & IORING_ENTER_REGISTERED_RING;
    if (number == SYS_io_uring_register)
        return a[1] & 1u << 31;
    bool looks = number == SYS_newfstatat || number == SYS_statx || number == SYS_faccessat2;
    return looks && (int)a[0] == process->own_fds[OWN_EXE] && !is_of_guest(a[1]);
}

static int64_t serve_memory(long number, const uint64_t a[6])
{
    switch (number) {
    case SYS_mmap: return ring_is_new ? (int64_t)ring : map(a[0], a[1], a[3]);
    case SYS_mremap: return move(a);
    case SYS_shmat: return attach(a[1], a[2]);
    case SYS_remap_file_pages:
        must_not_touch(ALIGN_DOWN(a[0], GUEST_PAGE_SIZE), ALIGN_DOWN(a[1], GUEST_PAGE_SIZE));
        return 0;
    default:
        if (is_bad_range(a[0], ALIGN_UP(a[1], GUEST_PAGE_SIZE)) || ALIGN_UP(a[1], GUEST_PAGE_SIZE) < a[1])
            return -EINVAL;
        must_not_touch(a[0], a[1]);
        return is_refused() ? -ENOMEM : 0;
    }
}

static int64_t serve(long number, const uint64_t a[6])
{
    if (gettid() != getpid()) /* see host_exit_task() */
        return syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (++host_calls > HOST_CALLS_MAX)
        return -EIO; /* an end to what waits for a change */
    if (!means_own_fd(number, a))
        check_descriptors(number, a);

    int64_t answer = obliging ? 0 : (int16_t)next_answer();
    answer = answer < 0 ? -(-answer & 0xff) : answer % FIRST_OWN_FD;
    if (answer >= 0)
        use_buffers(number, a);
    switch (number) {
    case SYS_mmap:
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_mremap:
    case SYS_madvise:
    case SYS_mlock2:
    case SYS_munlock:
    case SYS_msync:
    case SYS_mincore:
    case SYS_mseal:
    case SYS_remap_file_pages:
    case SYS_shmat: return serve_memory(number, a);
    case SYS_process_madvise: /* of what may be lost visor gives each range as another call */
        if (a[2] && a[3] != MADV_COLD && a[3] != MADV_PAGEOUT && a[3] != MADV_WILLNEED &&
            a[3] != 25 /* MADV_COLLAPSE */)
            abort();
        return answer;
    case SYS_shmdt:
    case SYS_fstat:
    case SYS_newfstatat:
    case SYS_statfs:
    case SYS_fstatfs:
    case SYS_uname: return MIN(answer, 0);
    case SYS_readlinkat: return answer < 0 ? answer : read_link(a[2], a[3]);
    case SYS_getdents64:
    case SYS_epoll_pwait:
    case SYS_epoll_pwait2: return MIN(answer, (int64_t)(uint32_t)a[2]);
    default: return answer;
    }
}

int64_t linux_host_syscall(struct linux_thread *self, long number, uint64_t a, uint64_t b, uint64_t c,
                           uint64_t d, uint64_t e, uint64_t f)
{
    (void)self;
    return serve(number, (const uint64_t[6]){a, b, c, d, e, f});
}

int64_t linux_plain_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                            uint64_t f)
{
    return serve(number, (const uint64_t[6]){a, b, c, d, e, f});
}

/* The process is an arm64 one. */
int64_t linux_compat_syscall(struct linux_thread *self, long number, const uint64_t a[6])
{
    (void)self, (void)number, (void)a;
    abort();
}

int64_t linux_plain_compat_syscall(long number, const uint64_t a[6])
{
    (void)number, (void)a;
    abort();
}

bool host_has_compat(void)
{
    return false;
}

int host_sigaction(int signal, const struct host_sigaction *action, struct host_sigaction *old)
{
    (void)signal, (void)action;
    if (old)
        memset(old, 0, sizeof *old);
    return 0;
}

int64_t host_clone(const struct host_clone *clone, bool extended, void (*run)(void *), void *argument)
{
    (void)clone, (void)extended, (void)run, (void)argument;
    return -EAGAIN;
}

uint64_t host_thread_storage(void)
{
    return (uintptr_t)&arguments;
}

/* Of the thread that makes a stack for a new task. */
void host_exit_task(void)
{
    for (;;)
        syscall(SYS_exit, 0);
}

void host_restart_syscall(void *ucontext)
{
    (void)ucontext;
}

bool host_recover_copy(void *ucontext)
{
    (void)ucontext;
    return false;
}

uint64_t host_instruction(const void *ucontext)
{
    (void)ucontext;
    return 0;
}

/* -- the guest ------------------------------------------------------------------------------------------- */

static size_t fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    (void)context;
    return guest_read(bytes, pc, size) == 0 ? size : 0;
}

static void make_process(void)
{
    const struct translator_callbacks callbacks = {.fetch = fetch};
    const struct translator_options options = {.cache_size = 4 << 20};
    struct error error = ERROR_INIT;

    process = calloc(1, sizeof *process);
    thread = calloc(1, sizeof *thread);
    if (!process || !thread)
        abort();
    process->space = process;
    process->arch = &linux_arm64;
    process->own_fds = process->own_fd_numbers;
    process->exe_path = strdup("/usr/bin/program");
    process->session_failed = true;
    process->thread_count = 1;
    thread->process = process;
    thread->leader = true;
    thread->lock_number = lock_self();
    if (translator_new(&process->translator, &arm64_guest, &options, &callbacks, &error) < 0 ||
        translator_cpu_new(process->translator, &thread->cpu, &error) < 0 || linux_memory_new(process) < 0 ||
        linux_shells_new(process) < 0 || linux_signals_new_process(process) < 0 ||
        linux_signals_new_thread(thread, NULL) < 0)
        abort();
    thread->cpu->owner = thread;
}

static void reset_memory(void)
{
    struct address_range range;
    while (attached_count)
        linux_sys_shmdt(thread, (const uint64_t[6]){attached[--attached_count]});
    while (linux_memory_next_guest(process, 0, &range)) {
        host_calls = 0;
        linux_memory_unmap(process, range.start, range.end - range.start);
    }
    linux_memory_leave_out(process, 0, GUEST_ADDRESS_END, false);
    linux_memory_map(process, WINDOW, VISOR_START - WINDOW, PROT_READ | PROT_WRITE | PROT_EXEC,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    linux_memory_map(process, VISOR_END, WINDOW_END - VISOR_END, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Rings last as long as their process. These are kept for the leak checker's eyes. */
static void forget_rings(void)
{
    static struct kept {
        struct kept *next;
        struct linux_rings *rings;
    } * all;
    struct kept *kept = process->rings ? malloc(sizeof *kept) : NULL;
    if (!kept)
        return;
    *kept = (struct kept){all, process->rings};
    all = kept;
    process->rings = NULL;
    memset(thread->registered_rings, 0, sizeof thread->registered_rings);
}

/* All is as it was before the first call. */
static void reset(void)
{
    host_calls = 0;
    memset(arguments, 0, sizeof arguments);
    obliging = true;
    ring_is_new = false;
    reset_memory();
    obliging = false;
    for (unsigned i = 0; i < OWN_FD_COUNT; i++)
        process->own_fds[i] = i == OWN_STORE ? -1 : FIRST_OWN_FD + (int)i;
    forget_rings();
    thread->tagged_addresses = false;
    thread->signals->mask = 0;
    thread->signals->has_temporary_mask = false;
    thread->signals->stack_size = 0;
    process->read_implies_exec = false;
    process->published = false;
    process->brk_start = process->brk_end = 0x100000;
    process->brk_limit = 0x200000;
    process->stack_start = 0x18000;
    process->stack_end = 0x1a000;
    process->auxv_address = WINDOW;
    process->auxv_size = 320;
}

static bool is_left_out(const struct linux_syscall *call)
{
    return !call || !call->run || call->run == linux_sys_exit || call->run == linux_sys_exit_group ||
           call->run == linux_sys_execve || call->run == linux_sys_execveat ||
           call->run == linux_sys_rt_sigreturn;
}

static void run_call(const uint8_t *record)
{
    uint16_t number;
    memcpy(&number, record, sizeof number);
    const struct linux_syscall *call = linux_syscall_by_number(&linux_arm64_calls, number % 512);
    if (is_left_out(call))
        return;
    memcpy(&answers, record + 2, sizeof answers);
    memcpy(arguments, record + 10, sizeof arguments);
    host_calls = 0;
    ring_is_new = false;
    thread->signal_pending = 0;
    call->run(thread, arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!process)
        make_process();
    if (!size)
        return 0;
    size_t count = 1 + data[0] % CALLS_MAX;
    if (size < 1 + count * RECORD)
        return 0;
    reset();
    const uint8_t *memory = data + 1 + count * RECORD;
    size_t memory_size = MIN(size - (size_t)(memory - data), sizeof window);
    memset(window, 0, sizeof window);
    memcpy(window, memory, memory_size);
    for (size_t i = 0; i < count; i++)
        run_call(data + 1 + i * RECORD);
    return 0;
}
