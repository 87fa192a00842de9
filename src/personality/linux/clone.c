/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clone: new tasks. The guest's flags go to the kernel, which judges them and does what they say; here is
 * what visor itself needs for each of three kinds of task:
 *
 * - A copy of the process (no CLONE_VM) is made through libc's fork(), in which the kernel's call is
 *   exchanged for the guest's: so libc's locks are in order in the child, whatever the flags.
 * - A thread, or a process that runs in the same memory beside its creator, runs on a shell (shell.h).
 * - A process in the same memory whose creator waits (vfork) uses the creator's thread-local storage.
 *
 * A process in the same memory has a struct linux_process of its own; it shares the translator and what
 * else belongs to the memory. It may be killed at any time, or leave by exec: its creator frees
 * what it leaves behind and takes over the locks that it held.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/lock.h"
#include "base/macros.h"
#include "personality/linux/debug.h"
#include "personality/linux/memory.h"
#include "personality/linux/session.h"
#include "personality/linux/shell.h"
#include "personality/linux/signal.h"
#include "personality/linux/syscalls.h"
#include "personality/linux/thread.h"

#define VFORK_POLL_NS    50000000
#define EXTENDED_LEAST   64 /* CLONE_ARGS_SIZE_VER0 */
#define CLEAR_SIGHAND    0x100000000ull
#define ROBUST_HEAD_SIZE 24

/* What the guest asks for. */
struct request {
    struct host_clone clone; /* `stack` and `stack_size` 0: the child has the creator's stack pointer */
    bool extended;           /* clone3() */
};

/* Flags that are about the guest's registers and handlers only. */
#define OWN_FLAGS (CLONE_SETTLS | CLEAR_SIGHAND)

static void set_registers(struct linux_thread *thread, const struct request *request)
{
    const struct linux_arch *arch = thread->process->arch;
    const struct host_clone *clone = &request->clone;

    if (clone->stack)
        arch->set_sp(thread->cpu, clone->stack + clone->stack_size);
    if (clone->flags & CLONE_SETTLS)
        arch->set_thread_pointer(thread->cpu, clone->tls);
}

/* -- processes in the same memory ------------------------------------------------------------------------ */

/* One that runs beside its creator. */
struct linux_child {
    struct linux_child *next;
    struct linux_thread *thread; /* owned when the child has gone */
    pid_t pid, creator;          /* process ids in the creator's namespace */
};

static pid_t own_pid(void)
{
    return (pid_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

/* Does the process not use this memory any more? */
static bool has_left(pid_t pid)
{
    int64_t order = linux_plain_syscall(SYS_kcmp, (uint64_t)own_pid(), (uint64_t)pid, KCMP_VM, 0, 0, 0);
    if (order == -ESRCH || order > 0)
        return true;
    if (order == 0)
        return false;
    /* The kernel does not say. An exec goes unnoticed then. */
    return linux_plain_syscall(SYS_kill, (uint64_t)pid, 0, 0, 0, 0, 0) == -ESRCH;
}

static void push_child(struct linux_process *space, struct linux_child *child)
{
    child->next = space->children;
    while (!atomic_compare_exchange_weak(&space->children, &child->next, child))
        continue;
}

/* Frees what children of this process have left behind. */
static void reap(struct linux_process *space)
{
    const pid_t self = own_pid();
    struct linux_child *child = atomic_exchange(&space->children, NULL);

    while (child) {
        struct linux_child *next = child->next;
        if (child->creator == self && has_left(child->pid)) {
            linux_thread_abandon(child->thread);
            free(child);
        } else {
            push_child(space, child);
        }
        child = next;
    }
}

/* A lock is not to be had: perhaps a dead child holds it. */
static void reap_stalled(void)
{
    const struct linux_thread *thread = linux_current();
    if (thread && thread->process->space->children)
        reap(thread->process->space);
}

/* NULL: out of memory. */
static struct linux_process *new_process(const struct linux_process *creator, uint64_t flags)
{
    struct linux_process *process = malloc(sizeof *process);
    if (!process)
        return NULL;
    memcpy(process, creator, sizeof *process);
    process->thread_count = 1;
    process->session_lock = LOCK_INIT;
    process->debugger = NULL;
    process->actions = linux_actions_copy(creator->actions, flags);
    if (!process->actions) {
        free(process);
        return NULL;
    }
    if (!(flags & CLONE_FILES)) {
        memcpy(process->own_fd_numbers, creator->own_fds, sizeof process->own_fd_numbers);
        process->own_fds = process->own_fd_numbers;
    }
    return process;
}

static void discard_process(struct linux_process *process)
{
    linux_actions_release(process->actions);
    free(process);
}

/* -- tasks in the same memory ---------------------------------------------------------------------------- */

static void thread_main(void *thread)
{
    linux_thread_main(thread);
}

static void process_main(void *opaque)
{
    struct linux_thread *thread = opaque;
    if (thread->clears_actions)
        linux_actions_clear(thread->process->actions);
    linux_thread_main(thread);
}

/* The new task's structures, or NULL: out of memory. */
static struct linux_thread *prepare_task(struct linux_thread *creator, const struct request *request)
{
    const uint64_t flags = request->clone.flags;
    struct linux_process *process = creator->process;

    if (flags & CLONE_FILES && !(flags & CLONE_THREAD) && linux_share_own_fds(process) < 0)
        return NULL;
    if (!(flags & CLONE_THREAD))
        process = new_process(process, flags);
    struct linux_thread *thread = process ? linux_thread_new(creator, process) : NULL;
    if (!thread && process && process != creator->process)
        discard_process(process);
    if (!thread)
        return NULL;

    set_registers(thread, request);
    thread->leader = thread->outlived = !(flags & CLONE_THREAD);
    thread->shares_files = flags & CLONE_FILES;
    thread->clears_actions = flags & CLEAR_SIGHAND;
    if (flags & CLONE_VFORK && !(flags & CLONE_THREAD))
        linux_signals_copy_stack(thread, creator);
    return thread;
}

static void discard_task(struct linux_thread *creator, struct linux_thread *thread)
{
    struct linux_process *process = thread->process;
    linux_thread_discard(thread);
    if (process != creator->process)
        discard_process(process);
}

/* -ENOMEM, or what the kernel says. */
static int64_t start_task(struct linux_thread *creator, const struct request *request,
                          struct linux_shell *shell)
{
    const bool is_thread = request->clone.flags & CLONE_THREAD;
    const bool waits = !shell->storage; /* until the child has left */
    struct linux_process *process = creator->process;
    struct host_clone clone = request->clone;
    struct linux_child *child = is_thread || waits ? NULL : malloc(sizeof *child);
    struct linux_thread *thread = prepare_task(creator, request);

    if (!thread || (!child && !is_thread && !waits)) {
        if (thread)
            discard_task(creator, thread);
        free(child);
        return -ENOMEM;
    }
    thread->shell = shell;
    clone.flags = (clone.flags & ~OWN_FLAGS) | (waits ? 0 : CLONE_SETTLS);
    clone.tls = shell->storage;
    clone.stack = shell->stack;
    clone.stack_size = shell->stack_top - shell->stack;
    if (is_thread)
        process->thread_count++;

    int64_t result = host_clone(&clone, request->extended, is_thread ? thread_main : process_main, thread);
    if (waits) {
        lock_set_self(creator->lock_number);
        linux_signals_return(creator);
    }
    if (result < 0) {
        if (is_thread)
            process->thread_count--;
        discard_task(creator, thread);
        free(child);
    } else if (waits) {
        linux_thread_abandon(thread);
    } else if (child) {
        *child = (struct linux_child){.thread = thread, .pid = (pid_t)result, .creator = own_pid()};
        push_child(process->space, child);
    }
    return result;
}

/* LINUX_RESTART: a signal came meanwhile, and none are blocked. */
static int64_t run_on_shell(struct linux_thread *thread, const struct request *request, bool waits)
{
    struct linux_process *process = thread->process;
    struct linux_shell *shell = waits ? linux_shell_take_stack(process) : linux_shell_take(process);
    int64_t result = waits ? -ENOMEM : -EAGAIN;
    if (!linux_signals_block(thread))
        result = LINUX_RESTART;
    else if (shell)
        result = start_task(thread, request, shell);
    if (shell && result < 0)
        linux_shell_give(process, shell, 0);
    return result;
}

static int64_t clone_shared(struct linux_thread *thread, const struct request *request)
{
    struct linux_process *process = thread->process;
    const bool waits = request->clone.flags & CLONE_VFORK && !(request->clone.flags & CLONE_THREAD);

    if (!linux_signals_block(thread))
        return LINUX_RESTART;
    lock_stalled = reap_stalled;
    if (process->space->children)
        reap(process->space);
    if (!(request->clone.flags & CLONE_THREAD)) {
        linux_session_lock(process);
        linux_session_before_clone(process, request->clone.flags);
        linux_session_unlock(process);
    }
    int64_t result = run_on_shell(thread, request, waits);
    if (result == -ENOMEM && waits) { /* for lack of mappings, perhaps, of which the kernel would need none */
        linux_memory_lock(process);
        linux_memory_spend_spares(process);
        linux_memory_unlock(process);
        result = run_on_shell(thread, request, waits);
        linux_memory_lock(process);
        linux_memory_restore_spares(process);
        linux_memory_unlock(process);
    }
    if (result != LINUX_RESTART)
        linux_signals_unblock(thread);
    return result;
}

/* -- copies ---------------------------------------------------------------------------------------------- */

/*
 * CLONE_VFORK with memory of its own: the creator may not wait in the kernel, since it holds all locks there.
 * The child owns a robust futex in this page, shared by both, and the kernel releases such locks at the two
 * events that end the wait.
 */
struct linux_vfork {
    struct {
        uint64_t next;
        int64_t futex_offset;
        uint64_t pending;
    } head;
    uint64_t entry; /* the list's only one: points back to the head */
    _Atomic uint32_t word;
};
_Static_assert(offsetof(struct linux_vfork, entry) == ROBUST_HEAD_SIZE, "struct robust_list_head");

static struct linux_vfork *vfork_new(void)
{
    struct linux_vfork *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? NULL : page;
}

static void vfork_enter_child(struct linux_vfork *page)
{
    page->head.next = (uintptr_t)&page->entry;
    page->head.futex_offset =
        (int64_t)(offsetof(struct linux_vfork, word) - offsetof(struct linux_vfork, entry));
    page->entry = (uintptr_t)&page->head;
    page->word = (uint32_t)gettid() | FUTEX_WAITERS;
    linux_plain_syscall(SYS_set_robust_list, (uintptr_t)&page->head, sizeof page->head, 0, 0, 0, 0);
}

static bool has_ended(pid_t child)
{
    siginfo_t info = {0};
    int64_t code = linux_plain_syscall(SYS_waitid, P_PID, (uint64_t)child, (uintptr_t)&info,
                                       WEXITED | WNOHANG | WNOWAIT | __WALL, 0, 0);
    return code < 0 || info.si_pid == child;
}

/* With all signals blocked: the kernel lets only SIGKILL end a parent's wait, too. */
static void vfork_wait(struct linux_vfork *page, pid_t child)
{
    const struct timespec pause = {0, VFORK_POLL_NS};
    uint32_t word;

    while (!((word = page->word) & FUTEX_OWNER_DIED)) {
        int64_t code =
            linux_plain_syscall(SYS_futex, (uintptr_t)&page->word, FUTEX_WAIT, word, (uintptr_t)&pause, 0, 0);
        if (code == -ETIMEDOUT && has_ended(child)) /* before it could enter */
            break;
    }
}

/* What libc's fork() is to ask the kernel for. */
static _Thread_local const struct request *asked;

#if VISOR_STATIC
pid_t __real__Fork(void);
pid_t __wrap__Fork(void);

/* fork() calls this, by the linker's --wrap. */
pid_t __wrap__Fork(void)
{
    if (!asked)
        return __real__Fork();
    heap_lock();
    int64_t result = host_clone(&asked->clone, asked->extended, NULL, NULL);
    heap_unlock();
    if (result < 0)
        errno = (int)-result;
    return result < 0 ? -1 : (pid_t)result;
}

static int64_t host_fork(const struct request *request)
{
    asked = request;
    pid_t child = fork();
    asked = NULL;
    return child < 0 ? -errno : child;
}
#else
/* With a dynamic libc, for builds with sanitizers: libc's locks may be held by threads that the child lacks.
 */
static int64_t host_fork(const struct request *request)
{
    asked = request;
    return host_clone(&asked->clone, asked->extended, NULL, NULL);
}
#endif

static void before_fork(struct linux_process *process)
{
    linux_shells_lock(process);
    lock_take(&process->actions->lock);
    linux_memory_lock(process);
    translator_fork_prepare(process->translator);
}

static void after_fork(struct linux_process *process)
{
    linux_memory_unlock(process);
    lock_release(&process->actions->lock);
    linux_shells_unlock(process);
}

static void enter_child(struct linux_thread *thread, const struct request *request, struct linux_vfork *page)
{
    struct linux_process *process = thread->process;

    linux_memory_spend_spares(process);
    if (translator_fork_child(process->translator, thread->cpu) < 0)
        linux_die(SIGKILL);
    linux_memory_restore_spares(process);
    linux_shells_fork_child(process);
    linux_memory_fork_child(process);
    after_fork(process);
    process->space->children = NULL; /* they are not of this memory */
    process->thread_count = 1;
    if (!(request->clone.flags & CLONE_FILES))
        linux_unshare_own_fds(process);
    if (request->clone.flags & CLEAR_SIGHAND)
        linux_actions_clear(process->actions);
    linux_debug_fork_child(thread, request->clone.flags & CLONE_FILES);
    thread->tid = gettid();
    thread->leader = true;
    thread->outlived = false;
    thread->vfork = page;
    if (page)
        vfork_enter_child(page);
    set_registers(thread, request);
}

static int64_t clone_copy(struct linux_thread *thread, const struct request *request)
{
    struct linux_process *process = thread->process;
    struct request host = *request;
    struct linux_vfork *page = NULL;

    if (!linux_signals_block(thread))
        return LINUX_RESTART;
    if (request->clone.flags & CLONE_VFORK && !(page = vfork_new())) {
        linux_signals_unblock(thread);
        return -ENOMEM;
    }
    host.clone.flags &= ~(OWN_FLAGS | CLONE_VFORK);
    host.clone.stack = host.clone.stack_size = 0;
    int64_t child = request->clone.flags & CLONE_FILES ? linux_share_own_fds(process) : 0;
    if (child == 0) {
        linux_session_lock(process);
        linux_session_before_clone(process, request->clone.flags);
        before_fork(process);
        linux_signals_fork_prepare();
        child = host_fork(&host);
        if (child == 0) {
            linux_signals_fork_child(thread);
            enter_child(thread, request, page);
            linux_session_unlock(process);
            linux_signals_unblock(thread);
            return 0;
        }
        linux_signals_fork_parent();
        translator_fork_parent(process->translator);
        after_fork(process);
        linux_session_unlock(process);
    }
    if (child > 0 && page)
        vfork_wait(page, (pid_t)child);
    if (page)
        munmap(page, sizeof *page);
    linux_signals_unblock(thread);
    return child;
}

/* -- the calls ------------------------------------------------------------------------------------------- */

static int64_t clone_any(struct linux_thread *thread, const struct request *request)
{
    const uint64_t flags = request->clone.flags;
    const struct linux_arch *arch = thread->process->arch;
    if (flags & CLEAR_SIGHAND && flags & CLONE_SIGHAND)
        return -EINVAL;
    const int code = flags & CLONE_SETTLS && arch->check_thread_pointer
                         ? arch->check_thread_pointer(request->clone.tls)
                         : 0;
    if (code < 0)
        return code;
    return flags & CLONE_VM ? clone_shared(thread, request) : clone_copy(thread, request);
}

int64_t linux_sys_clone(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t ordered[5];
    thread->process->arch->clone_arguments(a, ordered);
    const uint64_t flags = (uint32_t)ordered[0];
    const struct request request = {
        .clone = {.flags = flags & ~(uint64_t)CSIGNAL,
                  .exit_signal = flags & CSIGNAL,
                  .stack = ordered[1],
                  .pidfd = ordered[2],
                  .parent_tid = ordered[2],
                  .child_tid = ordered[3],
                  .tls = ordered[4]},
    };
    return clone_any(thread, &request);
}

/* The kernel's copy_struct_from_user(): what visor does not know must be zero. */
static int read_arguments(struct host_clone *clone, uint64_t address, uint64_t size)
{
    uint8_t rest[64];

    if (size < EXTENDED_LEAST)
        return -EINVAL;
    if (size > GUEST_PAGE_SIZE)
        return -E2BIG;
    if (guest_read(clone, address, MIN(size, sizeof *clone)) < 0)
        return -EFAULT;
    for (uint64_t at = sizeof *clone; at < size; at += sizeof rest) {
        size_t length = MIN(size - at, sizeof rest);
        if (guest_read(rest, address + at, length) < 0)
            return -EFAULT;
        for (size_t i = 0; i < length; i++) {
            if (rest[i])
                return -E2BIG;
        }
    }
    return 0;
}

int64_t linux_sys_clone3(struct linux_thread *thread, const uint64_t a[6])
{
    struct request request = {.extended = true};
    struct host_clone *clone = &request.clone;

    int code = read_arguments(clone, a[0], a[1]);
    if (code < 0)
        return code;
    if (!clone->stack != !clone->stack_size || clone->stack > GUEST_ADDRESS_END ||
        clone->stack_size > GUEST_ADDRESS_END - clone->stack)
        return -EINVAL;
    return clone_any(thread, &request);
}

/* x86-64's own. */
int64_t linux_sys_fork(struct linux_thread *thread, const uint64_t a[6])
{
    const struct request request = {.clone = {.exit_signal = SIGCHLD}};
    (void)a;
    return clone_any(thread, &request);
}

int64_t linux_sys_vfork(struct linux_thread *thread, const uint64_t a[6])
{
    const struct request request = {.clone = {.flags = CLONE_VFORK | CLONE_VM, .exit_signal = SIGCHLD}};
    (void)a;
    return clone_any(thread, &request);
}
