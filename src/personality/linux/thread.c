/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread: the life of a guest's thread, which is a task of the host's. What the kernel does at the end of a
 * task (words to be cleared, robust locks) it does for the guest's addresses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/lock.h"
#include "personality/linux/debug.h"
#include "personality/linux/memory.h"
#include "personality/linux/shell.h"
#include "personality/linux/signal.h"
#include "personality/linux/start.h"
#include "personality/linux/syscalls.h"
#include "personality/linux/thread.h"

/* -- beginning ------------------------------------------------------------------------------------------- */

struct linux_thread *linux_thread_new(const struct linux_thread *creator, struct linux_process *process)
{
    struct linux_thread *thread = calloc(1, sizeof *thread);
    struct error error = ERROR_INIT;

    if (!thread)
        return NULL;
    thread->process = process;
    thread->tagged_addresses = creator->tagged_addresses;
    thread->under_debugger = creator->under_debugger;
    if (translator_cpu_new(process->translator, &thread->cpu, &error) < 0) {
        free(thread);
        return NULL;
    }
    if (linux_signals_new_thread(thread, creator) < 0) {
        translator_cpu_free(thread->cpu);
        free(thread);
        return NULL;
    }
    thread->cpu->owner = thread;
    process->arch->copy(thread->cpu, creator->cpu);
    return thread;
}

static void give_low_page(struct linux_thread *thread)
{
    if (thread->low_page)
        linux_memory_give_low_page(thread->process, thread->low_page);
}

void linux_thread_discard(struct linux_thread *thread)
{
    linux_signals_discard(thread);
    translator_cpu_free(thread->cpu);
    free(thread);
}

void linux_thread_main(struct linux_thread *thread)
{
    thread->tid = (pid_t)linux_plain_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    lock_set_self(0); /* whoever had this storage before has another one */
    thread->lock_number = lock_self();
    linux_signals_enter(thread);
    linux_thread_run(thread);
    linux_thread_finish(thread);
}

/* -- the end --------------------------------------------------------------------------------------------- */

static _Noreturn void exit_task(int status)
{
    for (;;)
        linux_plain_syscall(SYS_exit, (uint64_t)status, 0, 0, 0, 0, 0);
}

void linux_thread_finish(struct linux_thread *thread)
{
    struct linux_process *process = thread->process;
    struct linux_shell *shell = thread->shell;
    const int status = thread->exit_status;
    const bool leader = thread->leader;
    const pid_t tid = thread->tid;

    linux_debug_leave(thread);
    process->thread_count--;
    if (leader)
        translator_share(process->translator);
    if (thread->outlived) {
        linux_signals_leave(thread);
        exit_task(status);
    }
    linux_signals_leave(thread);
    linux_signals_discard(thread);
    give_low_page(thread);
    translator_cpu_free(thread->cpu);
    free(thread);
    if (leader)
        exit_task(status);
    linux_shell_give(process, shell, tid);
    host_exit_task();
}

/* The creator's part, which is all if the thread was killed. */
void linux_thread_abandon(struct linux_thread *thread)
{
    struct linux_process *process = thread->process;
    const uint32_t number = thread->lock_number;

    heap_recover(number);
    translator_cpu_abandon(thread->cpu, number);
    linux_memory_recover(process, number);
    linux_shells_recover(process, number);
    linux_exec_recover(thread);
    give_low_page(thread);
    linux_signals_discard(thread);
    linux_shell_give(process, thread->shell, 0);
    linux_actions_recover(process->actions, number);
    if (process->thread_count == (thread->exiting ? 0 : 1)) { /* else it has threads that live on */
        linux_actions_release(process->actions);
        free(process);
    }
    free(thread);
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
    linux_debug_exited(thread, (int)a[0]);
    for (;;)
        linux_plain_syscall(SYS_exit_group, a[0], 0, 0, 0, 0, 0);
}

int64_t linux_sys_set_tid_address(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_set_tid_address, a[0], 0, 0, 0, 0, 0);
}

int64_t linux_sys_set_robust_list(struct linux_thread *thread, const uint64_t a[6])
{
    if (thread->vfork)
        return a[1] == 24 ? 0 : -EINVAL; /* struct robust_list_head; visor has one there, see clone.c */
    return linux_host_syscall(thread, SYS_set_robust_list, a[0], a[1], 0, 0, 0, 0);
}

int64_t linux_sys_get_robust_list(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_get_robust_list, a[0], a[1], a[2], 0, 0, 0);
}
