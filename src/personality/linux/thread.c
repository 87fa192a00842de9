/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread: clone() and the ends of threads.
 *
 * A guest thread is a host thread; a guest process is a forked host process. Limits: a child with
 * CLONE_VFORK | CLONE_VM gets a copy of the memory, though its parent does wait for it; CLONE_VM for a
 * process of its own without CLONE_VFORK is refused.
 */
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "personality/linux/memory.h"
#include "personality/linux/session.h"
#include "personality/linux/signal.h"
#include "personality/linux/start.h"
#include "personality/linux/syscalls.h"

#define ROBUST_LIST_LIMIT 2048
#define LIBC_SIGNAL       33 /* SIGSETXID */
#define VFORK_POLL_NS     50000000

struct clone_arguments {
    uint64_t flags, stack, parent_tid, child_tid, tls;
};

/* -- the end of a thread
 * ------------------------------------------------------------------------------------- */

struct robust_head {
    uint64_t next;
    int64_t futex_offset;
    uint64_t pending;
};
_Static_assert(sizeof(struct robust_head) == 24, "struct robust_list_head");

/* Tells those who wait for a lock that this thread, its owner, is gone. */
static void release_robust(const struct linux_thread *thread, uint64_t entry, int64_t offset)
{
    uint64_t address = (entry & ~1ull) + (uint64_t)offset;
    uint32_t word, found;

    if (address & 3 || guest_read(&word, address, sizeof word) < 0)
        return;
    while ((word & FUTEX_TID_MASK) == (uint32_t)thread->tid) {
        if (guest_compare_exchange(address, word, (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &found) < 0)
            return;
        if (found == word) {
            if (word & FUTEX_WAITERS && !(entry & 1))
                linux_plain_syscall(SYS_futex, address, FUTEX_WAKE, 1, 0, 0, 0);
            return;
        }
        word = found;
    }
}

/* The kernel knows the list too and would walk it, but only after the thread has been reported as ended. */
static void release_robust_list(const struct linux_thread *thread)
{
    struct robust_head head;
    uint64_t entry;

    if (!thread->robust_list || guest_read(&head, thread->robust_list, sizeof head) < 0)
        return;
    entry = head.next;
    for (unsigned n = 0; n < ROBUST_LIST_LIMIT && (entry & ~1ull) != thread->robust_list; n++) {
        uint64_t next;
        int code = guest_read(&next, entry & ~1ull, sizeof next);
        if (entry != head.pending)
            release_robust(thread, entry, head.futex_offset);
        if (code < 0)
            return;
        entry = next;
    }
    if (head.pending)
        release_robust(thread, head.pending, head.futex_offset);
}

void linux_thread_finish(struct linux_thread *thread)
{
    const uint32_t zero = 0;
    const bool leader = thread->leader;
    const int status = thread->exit_status;
    const uint64_t clear = thread->clear_child_tid;

    release_robust_list(thread);
    linux_signals_leave(thread);
    if (leader)
        translator_share(thread->process->translator);
    translator_cpu_free(thread->cpu);
    free(thread);
    /* Last of all: who waits for this takes the thread to have ended. */
    if (clear && guest_write(clear, &zero, sizeof zero) == 0)
        linux_plain_syscall(SYS_futex, clear, FUTEX_WAKE, 1, 0, 0, 0);
    while (leader)
        linux_plain_syscall(SYS_exit, (uint64_t)status, 0, 0, 0, 0, 0);
}

int64_t linux_sys_exit(struct linux_thread *thread, const uint64_t a[6])
{
    if (!linux_signals_block(thread))
        return LINUX_RESTART;
    thread->exiting = true;
    thread->keep_result = true;
    thread->exit_status = (int)(a[0] & 0xff);
    return 0;
}

int64_t linux_sys_exit_group(struct linux_thread *thread, const uint64_t a[6])
{
    translator_share(thread->process->translator);
    for (;;)
        linux_plain_syscall(SYS_exit_group, a[0], 0, 0, 0, 0, 0);
}

/* -- threads
 * ---------------------------------------------------------------------------------------------------------
 */

struct creation {
    struct linux_thread *thread;
    const struct clone_arguments *arguments;
    sem_t ready;
    pid_t tid;
};

static void write_tids(struct linux_thread *thread, const struct clone_arguments *arguments, bool parent_too)
{
    uint32_t tid = (uint32_t)thread->tid;
    if (parent_too && arguments->flags & CLONE_PARENT_SETTID)
        guest_write(arguments->parent_tid, &tid, sizeof tid);
    if (arguments->flags & CLONE_CHILD_SETTID)
        guest_write(arguments->child_tid, &tid, sizeof tid);
    thread->clear_child_tid = arguments->flags & CLONE_CHILD_CLEARTID ? arguments->child_tid : 0;
}

static void *thread_main(void *opaque)
{
    struct creation *creation = opaque;
    struct linux_thread *thread = creation->thread;
    uint64_t separate = ~creation->arguments->flags & (CLONE_FS | CLONE_FILES);

    thread->tid = gettid();
    write_tids(thread, creation->arguments, true);
    if (separate) /* host threads share these to begin with */
        linux_plain_syscall(SYS_unshare, separate, 0, 0, 0, 0, 0);
    creation->tid = thread->tid;
    sem_post(&creation->ready); /* *creation is gone after this */

    linux_signals_enter(thread);
    linux_thread_run(thread);
    linux_thread_finish(thread);
    return NULL;
}

static struct linux_thread *new_thread(struct linux_thread *creator, const struct clone_arguments *arguments)
{
    const struct linux_arch *arch = creator->process->arch;
    struct linux_thread *thread = calloc(1, sizeof *thread);
    struct error error = ERROR_INIT;

    if (!thread)
        return NULL;
    thread->process = creator->process;
    if (translator_cpu_new(creator->process->translator, &thread->cpu, &error) < 0) {
        free(thread);
        return NULL;
    }
    if (linux_signals_new_thread(thread, creator) < 0) {
        translator_cpu_free(thread->cpu);
        free(thread);
        return NULL;
    }
    thread->cpu->owner = thread;
    arch->copy(thread->cpu, creator->cpu);
    if (arguments->stack)
        arch->set_sp(thread->cpu, arguments->stack);
    if (arguments->flags & CLONE_SETTLS)
        arch->set_thread_pointer(thread->cpu, arguments->tls);
    return thread;
}

static void discard_thread(struct linux_thread *thread)
{
    linux_signals_discard(thread);
    translator_cpu_free(thread->cpu);
    free(thread);
}

static int start_host_thread(pthread_t *host, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LINUX_HOST_STACK);
    int code = pthread_create(host, &attributes, run, argument);
    pthread_attr_destroy(&attributes);
    return -code;
}

static void *do_nothing(void *argument)
{
    return argument;
}

/*
 * libc's first pthread_create() takes over the signal by which it changes user ids in all threads, and
 * unblocks it: the same signal that the guest's libc uses. Makes that happen, and undoes it. To be called
 * with signals blocked; that one may not be any more.
 */
static int prepare_threads(struct linux_process *process)
{
    pthread_t first;

    if (process->threads_prepared)
        return 0;
    int code = start_host_thread(&first, do_nothing, NULL);
    if (code < 0)
        return code;
    pthread_join(first, NULL);
    pthread_mutex_lock(&process->actions->lock);
    linux_action_install(process->actions, LIBC_SIGNAL);
    pthread_mutex_unlock(&process->actions->lock);
    process->threads_prepared = true;
    return 0;
}

static int64_t clone_thread(struct linux_thread *thread, const struct clone_arguments *arguments)
{
    struct creation creation = {.arguments = arguments};

    if ((arguments->flags & (CLONE_VM | CLONE_SIGHAND)) != (CLONE_VM | CLONE_SIGHAND))
        return -EINVAL;
    if (!linux_signals_block(thread)) /* the new host thread starts with everything blocked */
        return LINUX_RESTART;
    int64_t result = prepare_threads(thread->process);
    if (!linux_signals_block(thread))
        return LINUX_RESTART;
    if (result == 0)
        creation.thread = new_thread(thread, arguments);
    if (result == 0 && !creation.thread)
        result = -ENOMEM;
    if (creation.thread) {
        sem_init(&creation.ready, 0, 0);
        pthread_t host;
        result = start_host_thread(&host, thread_main, &creation);
        if (result == 0) {
            pthread_detach(host);
            while (sem_wait(&creation.ready) < 0)
                continue;
            result = creation.tid;
        } else {
            discard_thread(creation.thread);
            result = -EAGAIN;
        }
        sem_destroy(&creation.ready);
    }
    linux_signals_unblock(thread);
    return result;
}

/* -- processes
 * ---------------------------------------------------------------------------------------------------------
 */

/*
 * How a parent waits until its child has called exec or ended, whatever ended it: the child owns a robust
 * futex in this page, shared by both, and the kernel releases such locks at exactly these two events.
 */
struct linux_vfork {
    struct robust_head head;
    uint64_t entry; /* the list's only one: points back to the head */
    _Atomic uint32_t word;
};

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

static void before_fork(struct linux_process *process, uint64_t flags)
{
    linux_session_lock(process);
    linux_session_before_clone(process, flags);
    pthread_mutex_lock(&process->actions->lock);
    linux_memory_lock(process);
    translator_fork_prepare(process->translator);
}

static void after_fork(struct linux_process *process)
{
    linux_memory_unlock(process);
    pthread_mutex_unlock(&process->actions->lock);
    linux_session_unlock(process);
}

static void enter_child(struct linux_thread *thread, const struct clone_arguments *arguments,
                        struct linux_vfork *page)
{
    struct linux_process *process = thread->process;

    if (translator_fork_child(process->translator, thread->cpu) < 0)
        linux_die(SIGKILL);
    after_fork(process);
    linux_signals_fork_child(thread);
    thread->tid = gettid();
    thread->leader = true;
    thread->robust_list = 0;
    thread->vfork = page;
    if (page)
        vfork_enter_child(page);
    write_tids(thread, arguments, false);
    if (arguments->stack)
        process->arch->set_sp(thread->cpu, arguments->stack);
    if (arguments->flags & CLONE_SETTLS)
        process->arch->set_thread_pointer(thread->cpu, arguments->tls);
}

#define HANDLED_HERE                                                                                         \
    (CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_VM |             \
     CLONE_SIGHAND)
#define WITHOUT_EFFECT (CLONE_DETACHED | CLONE_UNTRACED | CLONE_SYSVSEM)

/* libc's fork() keeps its own locks in order, but knows one kind of child only. */
static int64_t host_fork(const struct clone_arguments *arguments, bool *waits)
{
    uint64_t flags = arguments->flags & ~(uint64_t)(HANDLED_HERE | WITHOUT_EFFECT);

    *waits = flags == (CLONE_VFORK | SIGCHLD);
    if (*waits || flags == SIGCHLD) {
        pid_t child = fork();
        return child < 0 ? -errno : child;
    }
    return linux_plain_syscall(SYS_clone, flags, 0, arguments->parent_tid, 0, 0, 0);
}

static int64_t clone_process(struct linux_thread *thread, const struct clone_arguments *arguments)
{
    struct linux_process *process = thread->process;
    struct linux_vfork *page = NULL;
    bool waits;

    if (arguments->flags & CLONE_VM && !(arguments->flags & CLONE_VFORK))
        return -EINVAL;
    if (arguments->flags & CLONE_SIGHAND && !(arguments->flags & CLONE_VM))
        return -EINVAL;
    if (!linux_signals_block(thread))
        return LINUX_RESTART;
    if (arguments->flags & CLONE_VFORK && !(page = vfork_new())) {
        linux_signals_unblock(thread);
        return -ENOMEM;
    }

    before_fork(process, arguments->flags);
    int64_t child = host_fork(arguments, &waits);
    if (child == 0) {
        enter_child(thread, arguments, waits ? page : NULL);
    } else {
        translator_fork_parent(process->translator);
        after_fork(process);
        uint32_t tid = (uint32_t)child;
        if (child > 0 && arguments->flags & CLONE_PARENT_SETTID)
            guest_write(arguments->parent_tid, &tid, sizeof tid);
        if (child > 0 && waits)
            vfork_wait(page, (pid_t)child);
        if (page)
            munmap(page, sizeof *page);
    }
    linux_signals_unblock(thread);
    return child;
}

int64_t linux_sys_clone(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t ordered[5];
    thread->process->arch->clone_arguments(a, ordered);
    const struct clone_arguments arguments = {ordered[0], ordered[1], ordered[2], ordered[3], ordered[4]};

    return arguments.flags & CLONE_THREAD ? clone_thread(thread, &arguments)
                                          : clone_process(thread, &arguments);
}

/* C libraries fall back on clone(). */
int64_t linux_sys_clone3(struct linux_thread *thread, const uint64_t a[6])
{
    (void)thread;
    (void)a;
    return -ENOSYS;
}

/* -- what the kernel does at the end of a thread
 * ----------------------------------------------------------------------- */

int64_t linux_sys_set_tid_address(struct linux_thread *thread, const uint64_t a[6])
{
    thread->clear_child_tid = a[0];
    return thread->tid;
}

/* The kernel is told as well: it walks the list if the process is killed. */
int64_t linux_sys_set_robust_list(struct linux_thread *thread, const uint64_t a[6])
{
    if (a[1] != sizeof(struct robust_head))
        return -EINVAL;
    thread->robust_list = a[0];
    if (thread->vfork)
        return 0;
    return linux_plain_syscall(SYS_set_robust_list, a[0], a[1], 0, 0, 0, 0);
}

int64_t linux_sys_get_robust_list(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t size = sizeof(struct robust_head);

    if ((pid_t)a[0] && (pid_t)a[0] != thread->tid)
        return linux_plain_syscall(SYS_get_robust_list, a[0], a[1], a[2], 0, 0, 0);
    if (guest_write(a[2], &size, sizeof size) < 0)
        return -EFAULT;
    return guest_write(a[1], &thread->robust_list, sizeof thread->robust_list);
}
