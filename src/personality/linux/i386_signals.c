/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i386 signals: the calls about signals whose structures have words of 32 bits, or sets of 32 signals as they
 * were once; and waits during which another mask counts, which the host's calls for 32-bit programs find in a
 * page of visor's.
 */
#include <errno.h>

#include "personality/linux/i386.h"
#include "personality/linux/memory.h"
#include "personality/linux/signal.h"
#include "personality/linux/syscalls.h"

#define SET_SIZE 8
#define LOW_SET  0xffffffffull

/* -- actions ------------------------------------------------------------------------------------------- */

struct action {
    uint32_t handler, flags, restorer;
    uint32_t mask[2];
};

struct old_action {
    uint32_t handler, mask, flags, restorer;
};

int64_t linux_i386_rt_sigaction(struct linux_thread *thread, const uint64_t a[6])
{
    struct host_sigaction new, old;
    struct action guest;

    if (a[3] != SET_SIZE)
        return -EINVAL;
    if (a[1] && guest_read(&guest, a[1], sizeof guest) < 0)
        return -EFAULT;
    if (a[1])
        new = (struct host_sigaction){guest.handler, guest.flags, guest.restorer,
                                      (uint64_t)guest.mask[1] << 32 | guest.mask[0]};
    const int result = linux_change_action(thread, (int)a[0], a[1] ? &new : NULL, &old);
    guest = (struct action){(uint32_t)old.handler,
                            (uint32_t)old.flags,
                            (uint32_t)old.restorer,
                            {(uint32_t)old.mask, (uint32_t)(old.mask >> 32)}};
    return !result && a[2] ? guest_write(a[2], &guest, sizeof guest) : result;
}

int64_t linux_i386_sigaction(struct linux_thread *thread, const uint64_t a[6])
{
    struct host_sigaction new, old;
    struct old_action guest;

    if (a[1] && guest_read(&guest, a[1], sizeof guest) < 0)
        return -EFAULT;
    if (a[1])
        new = (struct host_sigaction){guest.handler, guest.flags, guest.restorer, guest.mask};
    const int result = linux_change_action(thread, (int)a[0], a[1] ? &new : NULL, &old);
    guest = (struct old_action){(uint32_t)old.handler, (uint32_t)old.mask, (uint32_t)old.flags,
                                (uint32_t)old.restorer};
    return !result && a[2] ? guest_write(a[2], &guest, sizeof guest) : result;
}

/* As System V had it: the handler is for one signal, and may be interrupted by another. */
int64_t linux_i386_signal(struct linux_thread *thread, const uint64_t a[6])
{
    struct host_sigaction new = {.handler = a[1], .flags = (uint32_t)(SA_RESETHAND | SA_NODEFER)}, old;
    const int result = linux_change_action(thread, (int)a[0], &new, &old);
    return result < 0 ? result : (int64_t)old.handler;
}

int64_t linux_i386_sigreturn(struct linux_thread *thread, const uint64_t a[6])
{
    (void)a;
    return linux_leave_handler(thread, i386_pop_old_frame);
}

int64_t linux_i386_rt_sigreturn(struct linux_thread *thread, const uint64_t a[6])
{
    (void)a;
    return linux_leave_handler(thread, i386_pop_frame);
}

struct signal_stack {
    uint32_t base;
    int32_t flags;
    uint32_t size;
};

int64_t linux_i386_sigaltstack(struct linux_thread *thread, const uint64_t a[6])
{
    struct linux_signal_stack old, new;
    struct signal_stack guest;

    if (a[0] && guest_read(&guest, a[0], sizeof guest) < 0)
        return -EFAULT;
    if (a[0])
        new = (struct linux_signal_stack){guest.base, guest.flags, 0, guest.size};
    const int code = linux_change_signal_stack(thread, a[0] ? &new : NULL, &old);
    guest = (struct signal_stack){(uint32_t)old.base, old.flags, (uint32_t)old.size};
    return !code && a[1] ? guest_write(a[1], &guest, sizeof guest) : code;
}

/* -- sets of 32 signals: the others stay as they are --------------------------------------------------- */

int64_t linux_i386_sigprocmask(struct linux_thread *thread, const uint64_t a[6])
{
    const uint64_t before = thread->signals->mask;
    const uint32_t old = (uint32_t)before;
    uint32_t set;

    if (a[1]) {
        if (guest_read(&set, a[1], sizeof set) < 0)
            return -EFAULT;
        const uint64_t kept = (int)a[0] == SIG_SETMASK ? before & ~LOW_SET : 0;
        const int64_t result = linux_combine_mask(thread, (int)a[0], kept | set);
        if (result < 0)
            return result;
    }
    return a[2] ? guest_write(a[2], &old, sizeof old) : 0;
}

int64_t linux_i386_sgetmask(struct linux_thread *thread, const uint64_t a[6])
{
    (void)a;
    return (uint32_t)thread->signals->mask;
}

int64_t linux_i386_ssetmask(struct linux_thread *thread, const uint64_t a[6])
{
    const uint32_t old = (uint32_t)thread->signals->mask;
    const int64_t result = linux_combine_mask(thread, SIG_SETMASK, a[0]);
    return result < 0 ? result : old;
}

int64_t linux_i386_sigpending(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_rt_sigpending(thread, (const uint64_t[6]){a[0], sizeof(uint32_t)});
}

int64_t linux_i386_sigsuspend(struct linux_thread *thread, const uint64_t a[6])
{
    const uint64_t set = a[2]; /* two arguments are history */
    return linux_sys_rt_sigsuspend(thread, (const uint64_t[6]){(uintptr_t)&set, sizeof set});
}

/* -- waits --------------------------------------------------------------------------------------------- */

enum { RT_SIGTIMEDWAIT = 177, RT_SIGTIMEDWAIT_TIME64 = 421 };

static int64_t take_held(struct linux_thread *thread, uint64_t set, uint64_t to)
{
    uint8_t guest[I386_SIGINFO_SIZE];
    siginfo_t info;
    const int signal = linux_take_held(thread, set, &info);
    if (signal < 0 || !to)
        return signal;
    i386_siginfo_from_host(guest, &info);
    return guest_write(to, guest, sizeof guest) < 0 ? -EFAULT : signal;
}

static int64_t wait_for_signal(struct linux_thread *thread, long number, const uint64_t a[6])
{
    uint64_t set;

    if (a[3] != SET_SIZE)
        return -EINVAL;
    if (guest_read(&set, a[0], sizeof set) < 0)
        return -EFAULT;
    int64_t result = take_held(thread, set, a[1]);
    if (result != -EAGAIN)
        return result;
    result = linux_compat_syscall(thread, number, a);
    if (result != -EINTR || !(set & ALWAYS_HANDLED))
        return result;
    const int64_t held = take_held(thread, set, a[1]); /* came meanwhile */
    return held == -EAGAIN ? result : held;
}

int64_t linux_i386_rt_sigtimedwait(struct linux_thread *thread, const uint64_t a[6])
{
    return wait_for_signal(thread, RT_SIGTIMEDWAIT, a);
}

int64_t linux_i386_rt_sigtimedwait_time64(struct linux_thread *thread, const uint64_t a[6])
{
    return wait_for_signal(thread, RT_SIGTIMEDWAIT_TIME64, a);
}

/* The page of the calling thread: a mask, and what pselect6() is given instead of one. */
struct wait_page {
    uint64_t mask;
    uint32_t mask_address, mask_size;
};

/* Takes the guest's mask: the page's address with the host's in it, or a negative errno. */
static int64_t take_mask(struct linux_thread *thread, uint64_t address, uint64_t size)
{
    struct wait_page page = {.mask_size = SET_SIZE};
    const int code = linux_temporary_mask(thread, address, size, &page.mask);
    if (code < 0)
        return code;
    if (!thread->low_page)
        thread->low_page = linux_memory_take_low_page(thread->process);
    page.mask_address = (uint32_t)thread->low_page;
    if (!thread->low_page || guest_write(thread->low_page, &page, sizeof page) < 0)
        return -ENOMEM;
    return (int64_t)thread->low_page;
}

static int64_t wait_with_mask(struct linux_thread *thread, long number, const uint64_t a[6])
{
    if (!a[3])
        return linux_compat_syscall(thread, number, a);
    const int64_t page = take_mask(thread, a[3], a[4]);
    if (page < 0)
        return page;
    return linux_compat_syscall(thread, number,
                                (const uint64_t[6]){a[0], a[1], a[2], (uint64_t)page, SET_SIZE});
}

/* The sixth argument points to the mask's address and size. */
static int64_t wait_with_pointer(struct linux_thread *thread, long number, const uint64_t a[6])
{
    uint32_t given[2] = {0};
    if (a[5] && guest_read(given, a[5], sizeof given) < 0)
        return -EFAULT;
    if (!given[0])
        return linux_compat_syscall(thread, number, a);
    const int64_t page = take_mask(thread, given[0], given[1]);
    if (page < 0)
        return page;
    const uint64_t pointer = (uint64_t)page + offsetof(struct wait_page, mask_address);
    return linux_compat_syscall(thread, number, (const uint64_t[6]){a[0], a[1], a[2], a[3], a[4], pointer});
}

#define WAIT(name, wait, number)                                                                             \
    int64_t linux_i386_##name(struct linux_thread *thread, const uint64_t a[6])                              \
    {                                                                                                        \
        return wait(thread, number, a);                                                                      \
    }
WAIT(ppoll, wait_with_mask, 309)
WAIT(pselect6, wait_with_pointer, 308)
WAIT(pselect6_time64, wait_with_pointer, 413)
WAIT(io_pgetevents, wait_with_pointer, 385)
WAIT(io_pgetevents_time64, wait_with_pointer, 416)
