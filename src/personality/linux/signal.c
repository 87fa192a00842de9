/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signal: see signal.h. Here: the host's side, that is handlers, masks and the life cycle. */
#include "personality/linux/signal.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/debug.h"

#define HOST_STACK_SIZE (64 * 1024)
#define ALL_SIGNALS     (~0ull)

static _Thread_local struct linux_thread *current;

struct linux_thread *linux_current(void)
{
    return current;
}

/* -- masks -------------------------------------------------------------------------------------------------
 */

static uint64_t set_host_mask(uint64_t mask)
{
    uint64_t old = 0;
    mask &= ~ALWAYS_HANDLED;
    linux_plain_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&mask, (uintptr_t)&old, 8, 0, 0);
    return old;
}

bool linux_signals_block(struct linux_thread *thread)
{
    if (thread->signal_pending)
        return false;
    uint64_t old = set_host_mask(ALL_SIGNALS);
    if (!thread->signal_pending)
        return true;
    if (!thread->signals->taken) /* a held one: nothing else blocks signals */
        set_host_mask(old);
    return false;
}

void linux_signals_unblock(struct linux_thread *thread)
{
    set_host_mask(thread->signals->mask);
}

void linux_signals_set_mask(struct linux_thread *thread, uint64_t mask)
{
    thread->signals->mask = mask & ~UNBLOCKABLE;
    set_host_mask(thread->signals->mask);
}

/* -- the host's handler ---------------------------------------------------------------------------------- */

/* Says what happened, and lets the faulting instruction run again under the default action. */
static void report_own_fault(int signal, const siginfo_t *info, const void *ucontext)
{
    char text[200];
    uint64_t pc = current && current->cpu ? current->process->arch->pc(current->cpu) : 0;
    int length =
        snprintf(text, sizeof text,
                 "visor: internal error: signal %d at host address %#lx, accessing %p; guest pc near %#lx\n",
                 signal, host_instruction(ucontext), info->si_addr, pc);
    if (length > 0)
        linux_plain_syscall(SYS_write, STDERR_FILENO, (uintptr_t)text, (uint64_t)length, 0, 0, 0);

    const struct host_sigaction by_default = {0};
    host_sigaction(signal, &by_default, NULL);
}

static bool is_fault(int signal, const siginfo_t *info)
{
    bool kind =
        signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGTRAP;
    return kind && info->si_code > 0; /* else it was sent by a process */
}

static void handle(int signal, siginfo_t *info, void *ucontext)
{
    struct linux_thread *thread = current;

    if (is_fault(signal, info)) {
        if (!host_recover_copy(ucontext) &&
            !(thread && thread->cpu && translator_fault(thread->cpu, signal, info, ucontext)))
            report_own_fault(signal, info, ucontext);
        return;
    }
    if (!thread)
        return; /* cannot be: handled signals are blocked in threads that run no guest */

    struct linux_thread_signals *signals = thread->signals;
    if (UNLIKELY(linux_debug_asks(thread, info))) {
        thread->woken = true;
    } else if (SIGNAL_BIT(signal) & ALWAYS_HANDLED) {
        signals->held_info[signal == SIGBUS] = *info;
        signals->held[signal == SIGBUS] = true;
        if (signals->mask & SIGNAL_BIT(signal))
            return; /* stays there until the guest unblocks it */
    } else {
        const uint64_t mask = ALL_SIGNALS & ~ALWAYS_HANDLED;
        signals->taken_info = *info;
        signals->taken = true;
        memcpy(&((ucontext_t *)ucontext)->uc_sigmask, &mask, sizeof mask);
    }
    thread->signal_pending = 1;
    host_restart_syscall(ucontext);
    translator_interrupt(thread->cpu, ucontext);
}

int linux_action_install(struct linux_actions *actions, int signal)
{
    const struct host_sigaction *guest = &actions->actions[signal];
    struct host_sigaction host = {.handler = guest->handler, .mask = ALL_SIGNALS};

    host.flags = guest->flags & (SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART);
    const bool tells = actions->told && guest->handler == (uintptr_t)SIG_DFL && linux_signal_ends(signal);
    if (SIGNAL_BIT(signal) & ALWAYS_HANDLED || tells ||
        (guest->handler != (uintptr_t)SIG_DFL && guest->handler != (uintptr_t)SIG_IGN)) {
        host.handler = (uintptr_t)handle;
        host.flags |= SA_SIGINFO | SA_ONSTACK;
    }
    return host_sigaction(signal, &host, NULL);
}

void linux_actions_tell(struct linux_actions *actions)
{
    lock_take(&actions->lock);
    actions->told = true;
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++)
        linux_action_install(actions, signal);
    lock_release(&actions->lock);
}

/* -- life cycle ------------------------------------------------------------------------------------------ */

int linux_signals_new_process(struct linux_process *process)
{
    struct linux_actions *actions = calloc(1, sizeof *actions);
    if (!actions)
        return -ENOMEM;

    actions->users = 1;
    process->actions = actions;
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++) {
        struct host_sigaction host;
        if (host_sigaction(signal, NULL, &host) == 0 && host.handler == (uintptr_t)SIG_IGN)
            actions->actions[signal].handler = host.handler;
        if (SIGNAL_BIT(signal) & ALWAYS_HANDLED)
            linux_action_install(actions, signal);
    }
    return 0;
}

struct linux_actions *linux_actions_copy(struct linux_actions *actions, uint64_t flags)
{
    if (flags & CLONE_SIGHAND) {
        actions->users++;
        return actions;
    }
    struct linux_actions *copy = malloc(sizeof *copy);
    if (!copy)
        return NULL;
    lock_take(&actions->lock);
    memcpy(copy->actions, actions->actions, sizeof copy->actions);
    copy->told = actions->told;
    lock_release(&actions->lock);
    copy->lock = LOCK_INIT;
    copy->users = 1;
    return copy;
}

void linux_actions_recover(struct linux_actions *actions, uint32_t lock_number)
{
    if (lock_inherit(&actions->lock, lock_number))
        lock_release(&actions->lock);
}

void linux_actions_release(struct linux_actions *actions)
{
    if (--actions->users == 0)
        free(actions);
}

void linux_actions_clear(struct linux_actions *actions)
{
    lock_take(&actions->lock);
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++) {
        struct host_sigaction *action = &actions->actions[signal];
        if (action->handler == (uintptr_t)SIG_IGN)
            continue;
        memset(action, 0, sizeof *action);
        linux_action_install(actions, signal);
    }
    lock_release(&actions->lock);
}

void linux_signals_return(struct linux_thread *thread)
{
    current = thread;
}

int linux_signals_new_thread(struct linux_thread *thread, const struct linux_thread *creator)
{
    struct linux_thread_signals *signals = calloc(1, sizeof *signals);
    if (!signals)
        return -ENOMEM;
    signals->stack_flags = SS_DISABLE;
    if (creator)
        signals->mask = creator->signals->mask;
    else
        linux_plain_syscall(SYS_rt_sigprocmask, SIG_SETMASK, 0, (uintptr_t)&signals->mask, 8, 0, 0);

    signals->host_stack =
        mmap(NULL, HOST_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (signals->host_stack == MAP_FAILED) {
        free(signals);
        return -ENOMEM;
    }
    thread->signals = signals;
    return 0;
}

void linux_signals_copy_stack(struct linux_thread *thread, const struct linux_thread *creator)
{
    thread->signals->stack_base = creator->signals->stack_base;
    thread->signals->stack_size = creator->signals->stack_size;
    thread->signals->stack_flags = creator->signals->stack_flags;
}

void linux_signals_enter(struct linux_thread *thread)
{
    const stack_t stack = {.ss_sp = thread->signals->host_stack, .ss_size = HOST_STACK_SIZE};

    current = thread;
    linux_plain_syscall(SYS_sigaltstack, (uintptr_t)&stack, 0, 0, 0, 0, 0);
    set_host_mask(thread->signals->mask);
}

void linux_signals_discard(struct linux_thread *thread)
{
    munmap(thread->signals->host_stack, HOST_STACK_SIZE);
    free(thread->signals);
    thread->signals = NULL;
}

void linux_signals_leave(struct linux_thread *thread)
{
    const stack_t none = {.ss_flags = SS_DISABLE};

    current = NULL;
    (void)thread;
    linux_plain_syscall(SYS_sigaltstack, (uintptr_t)&none, 0, 0, 0, 0, 0);
}

static void mask_always_handled(int how)
{
    const uint64_t set = ALWAYS_HANDLED;
    linux_plain_syscall(SYS_rt_sigprocmask, (uint64_t)how, (uintptr_t)&set, 0, 8, 0, 0);
}

void linux_signals_fork_prepare(void)
{
    mask_always_handled(SIG_BLOCK);
}

void linux_signals_fork_parent(void)
{
    mask_always_handled(SIG_UNBLOCK);
}

void linux_signals_fork_child(struct linux_thread *thread)
{
    struct linux_thread_signals *signals = thread->signals;
    signals->held[0] = signals->held[1] = false;
    mask_always_handled(SIG_UNBLOCK);
}

static const int always_handled[] = {SIGSEGV, SIGBUS};

void linux_signals_before_exec(struct linux_thread *thread)
{
    struct linux_actions *actions = thread->process->actions;
    for (unsigned i = 0; i < 2; i++) {
        const struct host_sigaction ignore = {.handler = (uintptr_t)SIG_IGN};
        if (actions->actions[always_handled[i]].handler == ignore.handler)
            host_sigaction(always_handled[i], &ignore, NULL);
    }
    linux_plain_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&thread->signals->mask, 0, 8, 0, 0);
    for (unsigned i = 0; i < 2; i++) { /* the kernel keeps them for the new program, or gives them back */
        if (thread->signals->held[i])
            linux_signal_put_back(&thread->signals->held_info[i]);
        thread->signals->held[i] = false;
    }
}

void linux_signals_after_exec(struct linux_thread *thread)
{
    for (unsigned i = 0; i < 2; i++)
        linux_action_install(thread->process->actions, always_handled[i]);
    set_host_mask(ALL_SIGNALS);
}
