/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signal delivery: from a signal that waits in the thread to the guest's handler, or to the default action.
 *
 * The order and the masks are those of the kernel's get_signal(), setup of frames and sigreturn. Of several
 * signals that wait, each gets its frame on top of the last.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "personality/linux/debug.h"
#include "personality/linux/signal.h"

static bool ignored_by_default(int signal)
{
    return signal == SIGCHLD || signal == SIGURG || signal == SIGWINCH || signal == SIGCONT;
}

static bool stops_by_default(int signal)
{
    return signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
}

bool linux_signal_ends(int signal)
{
    return signal != SIGSTOP && !ignored_by_default(signal) && !stops_by_default(signal);
}

void linux_die(int signal)
{
    if (linux_current())
        linux_debug_killed(linux_current(), signal);
    const struct host_sigaction by_default = {0};
    const uint64_t mask = ~SIGNAL_BIT(signal);
    uint64_t process = (uint64_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    uint64_t thread = (uint64_t)linux_plain_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);

    host_sigaction(signal, &by_default, NULL);
    linux_plain_syscall(SYS_tgkill, process, thread, (uint64_t)signal, 0, 0, 0);
    linux_plain_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&mask, 0, 8, 0, 0);
    _exit(128 + signal); /* not reached: it was a signal that kills */
}

/* -- the alternate stack --------------------------------------------------------------------------------- */

#ifndef SS_AUTODISARM
#define SS_AUTODISARM ((int32_t)(1u << 31))
#endif

bool linux_on_signal_stack(const struct linux_thread_signals *signals, uint64_t sp)
{
    return !(signals->stack_flags & SS_AUTODISARM) && sp > signals->stack_base &&
           sp - signals->stack_base <= signals->stack_size;
}

int linux_set_signal_stack(struct linux_thread *thread, uint64_t base, int32_t flags, uint64_t size)
{
    struct linux_thread_signals *signals = thread->signals;
    int32_t mode = flags & ~SS_AUTODISARM;

    if (linux_on_signal_stack(signals, thread->process->arch->sp(thread->cpu)))
        return -EPERM;
    if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
        return -EINVAL;
    if (mode == SS_DISABLE) {
        base = size = 0;
    } else if (size < thread->process->arch->minimum_signal_stack) {
        return -ENOMEM;
    }
    signals->stack_base = base;
    signals->stack_size = size;
    signals->stack_flags = flags;
    return 0;
}

/* -- taking ---------------------------------------------------------------------------------------------- */

void linux_signal_put_back(const siginfo_t *info)
{
    uint64_t process = (uint64_t)linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    uint64_t thread = (uint64_t)linux_plain_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    linux_plain_syscall(SYS_rt_tgsigqueueinfo, process, thread, (uint64_t)info->si_signo, (uintptr_t)info, 0,
                        0);
}

/* The next signal to be delivered, the thread's own faults first. All host signals are blocked, but for
 * SIGSEGV and SIGBUS, which go to `held`. */
static bool take(struct linux_thread_signals *signals, siginfo_t *info, bool *forced)
{
    uint64_t blocked = signals->has_temporary_mask ? signals->temporary_mask : signals->mask;

    *forced = signals->forced;
    if (signals->forced) {
        *info = signals->forced_info;
        signals->forced = false;
        return true;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (signals->held[i] && !(blocked & SIGNAL_BIT(i ? SIGBUS : SIGSEGV))) {
            *info = signals->held_info[i];
            signals->held[i] = false;
            return true;
        }
    }
    if (!signals->taken)
        return false;
    *info = signals->taken_info;
    signals->taken = false;
    if (!(blocked & SIGNAL_BIT(info->si_signo)))
        return true;
    linux_signal_put_back(info);
    return false;
}

/* The guest's action for the signal, as it will be used up by this delivery. */
static struct host_sigaction take_action(struct linux_process *process, int signal, bool blocked, bool forced)
{
    struct linux_actions *actions = process->actions;
    struct host_sigaction *action = &actions->actions[signal];

    lock_take(&actions->lock);
    if (forced && (blocked || action->handler == (uintptr_t)SIG_IGN)) {
        action->handler = (uintptr_t)SIG_DFL;
        linux_action_install(actions, signal);
    }
    struct host_sigaction result = *action;
    bool handled = result.handler != (uintptr_t)SIG_DFL && result.handler != (uintptr_t)SIG_IGN;
    if (handled && result.flags & SA_RESETHAND) {
        action->handler = (uintptr_t)SIG_DFL;
        linux_action_install(actions, signal);
    }
    lock_release(&actions->lock);
    return result;
}

static void trace_signal(const struct linux_thread *thread, const siginfo_t *info)
{
    const char *name = sigabbrev_np(info->si_signo);
    char text[160];
    int length;

    if (name)
        length = snprintf(text, sizeof text, "[%d] --- SIG%s code %d", thread->tid, name, info->si_code);
    else
        length = snprintf(text, sizeof text, "[%d] --- SIGRT_%d code %d", thread->tid, info->si_signo - 32,
                          info->si_code);
    if (info->si_code > 0)
        length += snprintf(text + length, sizeof text - (size_t)length, " address %p", info->si_addr);
    else
        length += snprintf(text + length, sizeof text - (size_t)length, " from %d", info->si_pid);
    length += snprintf(text + length, sizeof text - (size_t)length, " at pc %#lx ---\n",
                       thread->process->arch->pc(thread->cpu));
    linux_plain_syscall(SYS_write, (uint64_t)thread->process->own_fds[OWN_TRACE], (uintptr_t)text,
                        (uint64_t)length, 0, 0, 0);
}

/* -- entering the handler -----------------------------------------------------------------------------------
 */

/* -EFAULT if the guest's stack cannot take the frame. */
static int enter_handler(struct linux_thread *thread, const siginfo_t *info,
                         const struct host_sigaction *action)
{
    const struct linux_arch *arch = thread->process->arch;
    struct linux_thread_signals *signals = thread->signals;
    struct linux_signal_frame frame = {
        .info = *info,
        .handler = action->handler,
        .flags = action->flags,
        .restorer = action->restorer,
        .mask = signals->mask,
        .sp = arch->sp(thread->cpu),
        .stack_base = signals->stack_base,
        .stack_size = signals->stack_size,
        .stack_flags = signals->stack_flags,
    };
    if (action->flags & SA_ONSTACK && signals->stack_size && !linux_on_signal_stack(signals, frame.sp))
        frame.sp = signals->stack_base + signals->stack_size;

    int code = arch->push_frame(thread, &frame);
    if (code < 0)
        return code;

    if (signals->stack_flags & SS_AUTODISARM) {
        signals->stack_base = signals->stack_size = 0;
        signals->stack_flags = SS_DISABLE;
    }
    uint64_t mask = signals->has_temporary_mask ? signals->temporary_mask : signals->mask;
    signals->has_temporary_mask = false;
    mask |= action->mask;
    if (!(action->flags & SA_NODEFER))
        mask |= SIGNAL_BIT(info->si_signo);
    signals->mask = mask & ~UNBLOCKABLE;
    return 0;
}

static void make_segv(siginfo_t *info)
{
    memset(info, 0, sizeof *info);
    info->si_signo = SIGSEGV;
    info->si_code = SI_KERNEL;
}

/* True if a handler was entered. */
static bool deliver_one(struct linux_thread *thread, siginfo_t *info, bool forced,
                        const struct linux_call **call)
{
    struct linux_process *process = thread->process;
    if (process->trace & LINUX_TRACE_SIGNAL)
        trace_signal(thread, info);

    for (;;) {
        int signal = info->si_signo;
        bool blocked = thread->signals->mask & SIGNAL_BIT(signal);
        struct host_sigaction action = take_action(process, signal, blocked, forced);

        if (action.handler == (uintptr_t)SIG_IGN)
            return false;
        if (action.handler == (uintptr_t)SIG_DFL) {
            if (!forced && ignored_by_default(signal))
                return false;
            if (!stops_by_default(signal))
                linux_die(signal);
            linux_signal_put_back(info); /* the kernel stops us as soon as nothing is blocked */
            return false;
        }
        if (*call) {
            if ((*call)->result == LINUX_RESTART)
                process->arch->restart(thread->cpu, *call);
            *call = NULL;
        }
        if (enter_handler(thread, info, &action) == 0)
            return true;

        /* The kernel's force_sigsegv(): a handler for SIGSEGV that cannot be entered is not tried again. */
        if (signal == SIGSEGV)
            linux_die(SIGSEGV);
        make_segv(info);
        forced = true;
    }
}

void linux_signals_deliver(struct linux_thread *thread, const struct linux_call *call)
{
    struct linux_process *process = thread->process;
    struct linux_thread_signals *signals = thread->signals;
    const uint64_t all = ~ALWAYS_HANDLED;
    siginfo_t info;
    bool forced, any = thread->woken, entered = false;

    thread->woken = false;
    if (call && call->result != LINUX_RESTART)
        process->arch->set_result(thread->cpu, call->result);
    if (call && call->result == LINUX_RESTART)
        signals->has_temporary_mask = false; /* its system call has not begun */

    if (!signals->taken)
        linux_plain_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&all, 0, 8, 0, 0);
    thread->signal_pending = 0;
    const struct linux_call *interrupted = call;
    while (take(signals, &info, &forced)) {
        const uint64_t pc = process->arch->pc(thread->cpu);
        const bool wanted = linux_debug_signal(thread, &info);
        if (process->arch->pc(thread->cpu) != pc) /* the debugger's choice, too */
            interrupted = NULL;
        any = true;
        if (!wanted)
            continue;
        entered |= deliver_one(thread, &info, forced, &interrupted);
    }
    signals->has_temporary_mask = false;

    /* What did not end in a handler must not be seen as an interruption. */
    if (interrupted && (call->result == LINUX_RESTART || (any && !entered && call->result == -EINTR)))
        process->arch->restart(thread->cpu, call);
    linux_signals_set_mask(thread, signals->mask);
}

void linux_force_signal(struct linux_thread *thread, int signal, int code, uint64_t address)
{
    siginfo_t *info = &thread->signals->forced_info;
    memset(info, 0, sizeof *info);
    info->si_signo = signal;
    info->si_code = code;
    info->si_addr = (void *)address;
    thread->signals->forced = true;
    linux_signals_deliver(thread, NULL);
}
