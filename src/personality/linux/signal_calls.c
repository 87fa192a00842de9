/* SPDX-License-Identifier: GPL-2.0-or-later */
/* signal calls: the system calls about signals. */
#include <errno.h>
#include <string.h>

#include "personality/linux/signal.h"
#include "personality/linux/syscalls.h"

/* Flags of sigaction() that the kernel knows; it clears the others. SA_RESTORER and SA_EXPOSE_TAGBITS
 * included. */
#define KNOWN_FLAGS                                                                                          \
    ((uint64_t)(uint32_t)(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |  \
                          SA_RESETHAND) |                                                                    \
     0x04000000u | 0x800u)

int linux_change_action(struct linux_thread *thread, int signal, struct host_sigaction *new,
                        struct host_sigaction *old)
{
    struct linux_actions *actions = thread->process->actions;

    if (signal < 1 || signal > SIGNAL_COUNT || (new &&SIGNAL_BIT(signal) & UNBLOCKABLE))
        return -EINVAL;

    /* No signal may come that the guest and the host see differently. */
    if (!linux_signals_block(thread))
        return LINUX_RESTART;
    lock_take(&actions->lock);
    *old = actions->actions[signal];
    int result = 0;
    if (new) {
        new->flags &= KNOWN_FLAGS;
        new->mask &= ~UNBLOCKABLE;
        actions->actions[signal] = *new;
        result = linux_action_install(actions, signal);
    }
    lock_release(&actions->lock);
    linux_signals_unblock(thread);
    return result;
}

int64_t linux_sys_rt_sigaction(struct linux_thread *thread, const uint64_t a[6])
{
    struct host_sigaction new, old;

    if (a[3] != 8)
        return -EINVAL;
    if (a[1] && guest_read(&new, a[1], sizeof new) < 0)
        return -EFAULT;
    const int result = linux_change_action(thread, (int)a[0], a[1] ? &new : NULL, &old);
    if (!result && a[2] && guest_write(a[2], &old, sizeof old) < 0)
        return -EFAULT;
    return result;
}

static bool held_is_unblocked(const struct linux_thread_signals *signals)
{
    return (signals->held[0] && !(signals->mask & SIGNAL_BIT(SIGSEGV))) ||
           (signals->held[1] && !(signals->mask & SIGNAL_BIT(SIGBUS)));
}

/* 0, or what the host's call gives. */
static int64_t change_mask(struct linux_thread *thread, uint64_t set)
{
    struct linux_thread_signals *signals = thread->signals;
    set &= ~UNBLOCKABLE;
    uint64_t host = set & ~ALWAYS_HANDLED;
    if ((set ^ signals->mask) & ~ALWAYS_HANDLED) {
        int64_t result =
            linux_host_syscall(thread, SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&host, 0, 8, 0, 0);
        if (result < 0)
            return result;
    }
    signals->mask = set;
    if (held_is_unblocked(signals))
        thread->signal_pending = 1;
    return 0;
}

int64_t linux_combine_mask(struct linux_thread *thread, int how, uint64_t set)
{
    const uint64_t old = thread->signals->mask;
    switch (how) {
    case SIG_BLOCK: return change_mask(thread, old | set);
    case SIG_UNBLOCK: return change_mask(thread, old & ~set);
    case SIG_SETMASK: return change_mask(thread, set);
    default: return -EINVAL;
    }
}

int64_t linux_sys_rt_sigprocmask(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t old = thread->signals->mask, set;

    if (a[3] != 8)
        return -EINVAL;
    if (a[1]) {
        if (guest_read(&set, a[1], sizeof set) < 0)
            return -EFAULT;
        const int64_t result = linux_combine_mask(thread, (int)a[0], set);
        if (result < 0)
            return result;
    }
    if (a[2] && guest_write(a[2], &old, sizeof old) < 0)
        return -EFAULT;
    return 0;
}

int64_t linux_sys_rt_sigpending(struct linux_thread *thread, const uint64_t a[6])
{
    const struct linux_thread_signals *signals = thread->signals;
    uint64_t set = 0;

    if (a[1] > 8)
        return -EINVAL;
    int64_t result = linux_host_syscall(thread, SYS_rt_sigpending, (uintptr_t)&set, 8, 0, 0, 0, 0);
    if (result < 0)
        return result;
    set |= (signals->held[0] ? SIGNAL_BIT(SIGSEGV) : 0) | (signals->held[1] ? SIGNAL_BIT(SIGBUS) : 0);
    return guest_write(a[0], &set, a[1]);
}

int linux_temporary_mask(struct linux_thread *thread, uint64_t address, uint64_t size, uint64_t *host)
{
    struct linux_thread_signals *signals = thread->signals;
    uint64_t mask;

    if (!address)
        return 0;
    if (size != 8)
        return -EINVAL;
    if (guest_read(&mask, address, sizeof mask) < 0)
        return -EFAULT;
    signals->temporary_mask = mask & ~UNBLOCKABLE;
    signals->has_temporary_mask = true;
    *host = signals->temporary_mask & ~ALWAYS_HANDLED;
    return 0;
}

int64_t linux_sys_rt_sigsuspend(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t mask;

    if (a[1] != 8)
        return -EINVAL;
    int code = a[0] ? linux_temporary_mask(thread, a[0], a[1], &mask) : -EFAULT;
    if (code < 0)
        return code;
    return linux_host_syscall(thread, SYS_rt_sigsuspend, (uintptr_t)&mask, 8, 0, 0, 0, 0);
}

int linux_take_held(struct linux_thread *thread, uint64_t set, siginfo_t *info)
{
    struct linux_thread_signals *signals = thread->signals;
    static const int numbers[] = {SIGBUS, SIGSEGV}; /* the lower one first */

    for (unsigned i = 0; i < 2; i++) {
        const unsigned which = numbers[i] == SIGBUS;
        if (!signals->held[which] || !(set & SIGNAL_BIT(numbers[i])))
            continue;
        signals->held[which] = false;
        *info = signals->held_info[which];
        return numbers[i];
    }
    return -EAGAIN;
}

static int64_t take_held(struct linux_thread *thread, uint64_t set, uint64_t to)
{
    siginfo_t info;
    const int signal = linux_take_held(thread, set, &info);
    return signal > 0 && to && guest_write(to, &info, sizeof info) < 0 ? -EFAULT : signal;
}

int64_t linux_sys_rt_sigtimedwait(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t set;

    if (a[3] != 8)
        return -EINVAL;
    if (guest_read(&set, a[0], sizeof set) < 0)
        return -EFAULT;
    int64_t result = take_held(thread, set, a[1]);
    if (result != -EAGAIN)
        return result;
    result = linux_host_syscall(thread, SYS_rt_sigtimedwait, a[0], a[1], a[2], a[3], 0, 0);
    if (result != -EINTR || !(set & ALWAYS_HANDLED))
        return result;
    const int64_t held = take_held(thread, set, a[1]); /* came meanwhile */
    return held == -EAGAIN ? result : held;
}

int64_t linux_sys_rt_sigqueueinfo(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_rt_sigqueueinfo, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_rt_tgsigqueueinfo(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_rt_tgsigqueueinfo, a[0], a[1], a[2], a[3], 0, 0);
}

int64_t linux_sys_kill(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_kill, a[0], a[1], 0, 0, 0, 0);
}

int64_t linux_sys_tkill(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_tkill, a[0], a[1], 0, 0, 0, 0);
}

int64_t linux_sys_tgkill(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_tgkill, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_pidfd_send_signal(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    return linux_host_syscall(thread, SYS_pidfd_send_signal, a[0], a[1], a[2], a[3], 0, 0);
}

int linux_change_signal_stack(struct linux_thread *thread, const struct linux_signal_stack *new,
                              struct linux_signal_stack *old)
{
    const struct linux_thread_signals *signals = thread->signals;

    *old = (struct linux_signal_stack){signals->stack_base, 0, 0, signals->stack_size};
    if (!signals->stack_size)
        old->flags = SS_DISABLE;
    else if (linux_on_signal_stack(signals, thread->process->arch->sp(thread->cpu)))
        old->flags = SS_ONSTACK;
    old->flags |= signals->stack_flags & (int32_t)(1u << 31); /* SS_AUTODISARM */
    return new ? linux_set_signal_stack(thread, new->base, new->flags, new->size) : 0;
}

int64_t linux_sys_sigaltstack(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_signal_stack old, new;

    if (a[0] && guest_read(&new, a[0], sizeof new) < 0)
        return -EFAULT;
    int code = linux_change_signal_stack(thread, a[0] ? &new : NULL, &old);
    if (!code && a[1])
        code = guest_write(a[1], &old, sizeof old);
    return code;
}

int64_t linux_leave_handler(struct linux_thread *thread,
                            int (*pop_frame)(struct linux_thread *thread, struct linux_signal_frame *frame))
{
    struct linux_signal_frame frame;

    if (!linux_signals_block(thread))
        return LINUX_RESTART;
    thread->keep_result = true;
    if (pop_frame(thread, &frame) < 0) {
        /* The address is what the kernel looks at, not what is wrong; there is always something mapped above.
         */
        const uint64_t sp = thread->process->arch->sp(thread->cpu);
        if (thread->process->arch->host_abi)
            linux_force_signal(thread, SIGSEGV, SI_KERNEL, 0);
        else
            linux_force_signal(thread, SIGSEGV, sp < GUEST_ADDRESS_END ? SEGV_ACCERR : SEGV_MAPERR, sp);
        return 0;
    }
    linux_set_signal_stack(thread, frame.stack_base, frame.stack_flags, frame.stack_size);
    linux_signals_set_mask(thread, frame.mask);
    if (held_is_unblocked(thread->signals))
        thread->signal_pending = 1;
    return 0;
}

int64_t linux_sys_rt_sigreturn(struct linux_thread *thread, const uint64_t a[6])
{
    (void)a;
    return linux_leave_handler(thread, thread->process->arch->pop_frame);
}
