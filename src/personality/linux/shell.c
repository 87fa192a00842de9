/* SPDX-License-Identifier: GPL-2.0-or-later */
/* shell: see shell.h. */
#include "personality/linux/shell.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/lock.h"
#include "base/macros.h"
#include "personality/linux/signal.h"
#include "personality/linux/start.h"

#define LIBC_SIGNAL 33 /* SIGSETXID */
#define PROBE_MAX   4  /* shells that are looked at whether their last task has ended */
#define FRAME_ROOM  1024

struct linux_shells {
    struct lock lock;
    struct linux_shell *shells; /* not in use; owned */
    struct linux_shell *stacks; /* likewise, without storage */
    bool prepared;              /* libc has made a thread */
};

int linux_shells_new(struct linux_process *process)
{
    process->shells = calloc(1, sizeof *process->shells);
    return process->shells ? 0 : -ENOMEM;
}

/* -- making ---------------------------------------------------------------------------------------------- */

struct creation {
    struct linux_shell *shell;
    _Atomic uint32_t alive; /* the kernel clears it */
};

static void *creation_main(void *opaque)
{
    struct creation *creation = opaque;
    struct linux_shell *shell = creation->shell;
    const uint64_t frame = (uintptr_t)__builtin_frame_address(0);

    shell->storage = host_thread_storage();
    shell->stack_top = ALIGN_DOWN(frame - FRAME_ROOM, 64ul);
    shell->stack = shell->stack_top - LINUX_HOST_STACK / 2; /* what lies lower belongs to it as well */
    linux_plain_syscall(SYS_set_tid_address, (uintptr_t)&creation->alive, 0, 0, 0, 0, 0);
    host_exit_task();
}

static void await_end(struct creation *creation)
{
    while (creation->alive)
        linux_plain_syscall(SYS_futex, (uintptr_t)&creation->alive, FUTEX_WAIT, 1, 0, 0, 0);
}

/*
 * libc's first pthread_create() takes over the signal by which it changes user ids in all threads, and
 * unblocks it: the same signal that the guest's libc uses. This gives it back to the guest.
 */
static void take_back_signal(struct linux_process *process)
{
    struct linux_shells *shells = process->space->shells;
    if (shells->prepared)
        return;
    lock_take(&process->actions->lock);
    linux_action_install(process->actions, LIBC_SIGNAL);
    lock_release(&process->actions->lock);
    shells->prepared = true;
}

static struct linux_shell *make_shell(struct linux_process *process)
{
    struct creation creation = {calloc(1, sizeof *creation.shell), 1};
    pthread_attr_t attributes;
    pthread_t host;

    if (!creation.shell)
        return NULL;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LINUX_HOST_STACK);
    int code = pthread_create(&host, &attributes, creation_main, &creation);
    pthread_attr_destroy(&attributes);
    if (code != 0) {
        free(creation.shell);
        return NULL;
    }
    await_end(&creation);
    take_back_signal(process);
    return creation.shell;
}

static struct linux_shell *make_stack(void)
{
    struct linux_shell *shell = calloc(1, sizeof *shell);
    if (!shell)
        return NULL;
    void *stack =
        mmap(NULL, LINUX_HOST_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, GUEST_PAGE_SIZE, PROT_NONE) < 0) {
        if (stack != MAP_FAILED)
            munmap(stack, LINUX_HOST_STACK);
        free(shell);
        return NULL;
    }
    shell->stack = (uintptr_t)stack + GUEST_PAGE_SIZE;
    shell->stack_top = (uintptr_t)stack + LINUX_HOST_STACK;
    return shell;
}

/* -- using ----------------------------------------------------------------------------------------------- */

/* The ids of another process may be those of another PID namespace. */
static bool is_free(struct linux_shell *shell)
{
    const pid_t process = (pid_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    if (shell->task &&
        (process != shell->process ||
         linux_plain_syscall(SYS_tgkill, (uint64_t)process, (uint64_t)shell->task, 0, 0, 0, 0) != -ESRCH))
        return false;
    shell->task = 0;
    return true;
}

static struct linux_shell *take(struct linux_shells *shells, struct linux_shell **from)
{
    struct linux_shell *found = NULL;

    lock_take(&shells->lock);
    for (unsigned i = 0; i < PROBE_MAX && *from && !found; i++) {
        if (is_free(*from)) {
            found = *from;
            *from = found->next;
        } else {
            from = &(*from)->next;
        }
    }
    lock_release(&shells->lock);
    return found;
}

struct linux_shell *linux_shell_take(struct linux_process *process)
{
    struct linux_shells *shells = process->space->shells;
    struct linux_shell *shell = take(shells, &shells->shells);
    return shell ? shell : make_shell(process);
}

struct linux_shell *linux_shell_take_stack(struct linux_process *process)
{
    struct linux_shells *shells = process->space->shells;
    struct linux_shell *shell = take(shells, &shells->stacks);
    return shell ? shell : make_stack();
}

void linux_shell_give(struct linux_process *process, struct linux_shell *shell, pid_t task)
{
    struct linux_shells *shells = process->space->shells;
    struct linux_shell **to = shell->storage ? &shells->shells : &shells->stacks;

    shell->process = (pid_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    lock_take(&shells->lock);
    shell->task = task;
    shell->next = *to;
    *to = shell;
    lock_release(&shells->lock);
}

void linux_shells_recover(struct linux_process *process, uint32_t lock_number)
{
    struct linux_shells *shells = process->space->shells;
    if (lock_inherit(&shells->lock, lock_number))
        lock_release(&shells->lock);
}

void linux_shells_lock(struct linux_process *process)
{
    lock_take(&process->space->shells->lock);
}

void linux_shells_unlock(struct linux_process *process)
{
    lock_release(&process->space->shells->lock);
}

void linux_shells_fork_child(struct linux_process *process)
{
    struct linux_shells *shells = process->space->shells;
    while (shells->shells) {
        struct linux_shell *next = shells->shells->next;
        free(shells->shells);
        shells->shells = next;
    }
}
