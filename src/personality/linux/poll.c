/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * poll: waiting for descriptors. struct epoll_event is packed on x86-64 and nowhere else; signal masks that
 * stand for the time of the call go through signal.c. What is polled for and time limits are the same.
 */
#include <errno.h>
#include <limits.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/convert.h"
#include "personality/linux/syscalls.h"

static bool is_own(struct linux_thread *thread, uint64_t fd)
{
    return linux_is_own_fd(thread->process, (int)fd);
}

/* Length of the kernel's signal set. */
#define SIGNAL_SET_SIZE 8

/*
 * Like linux_temporary_mask(); *host_address becomes what the host's call takes: the address of *host, or 0
 * if the guest gave no mask.
 */
static int take_mask(struct linux_thread *thread, uint64_t address, uint64_t size, uint64_t *host,
                     uint64_t *host_address)
{
    *host_address = address ? (uint64_t)host : 0;
    return address ? linux_temporary_mask(thread, address, size, host) : 0;
}

int64_t linux_sys_ppoll(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t mask, mask_address;
    int result = take_mask(thread, a[3], a[4], &mask, &mask_address);
    if (result < 0)
        return result;
    return linux_host_syscall(thread, SYS_ppoll, a[0], a[1], a[2], mask_address, SIGNAL_SET_SIZE, 0);
}

/* The sixth argument of pselect6 and io_pgetevents: where the mask is, and its size. */
struct mask_argument {
    uint64_t address;
    uint64_t size;
};

/* As take_mask(), of a struct mask_argument; *argument is made for the host. */
static int take_mask_argument(struct linux_thread *thread, uint64_t from, struct mask_argument *argument,
                              uint64_t *host, uint64_t *host_address)
{
    *host_address = 0;
    if (!from)
        return 0;
    int result = guest_read(argument, from, sizeof *argument);
    if (result < 0)
        return result;
    uint64_t mask_address;
    result = take_mask(thread, argument->address, argument->size, host, &mask_address);
    argument->address = mask_address;
    argument->size = SIGNAL_SET_SIZE;
    *host_address = (uint64_t)argument;
    return result;
}

int64_t linux_sys_pselect6(struct linux_thread *thread, const uint64_t a[6])
{
    struct mask_argument argument;
    uint64_t mask, argument_address;
    int result = take_mask_argument(thread, a[5], &argument, &mask, &argument_address);
    if (result < 0)
        return result;
    return linux_host_syscall(thread, SYS_pselect6, a[0], a[1], a[2], a[3], a[4], argument_address);
}

int64_t linux_sys_io_pgetevents(struct linux_thread *thread, const uint64_t a[6])
{
    struct mask_argument argument;
    uint64_t mask, argument_address;
    int result = take_mask_argument(thread, a[5], &argument, &mask, &argument_address);
    if (result < 0)
        return result;
    return linux_host_syscall(thread, SYS_io_pgetevents, a[0], a[1], a[2], a[3], a[4], argument_address);
}

/* -- epoll ------------------------------------------------------------------------------ */

int64_t linux_sys_epoll_ctl(struct linux_thread *thread, const uint64_t a[6])
{
    struct arm64_epoll_event guest;
    struct epoll_event host;
    uint64_t event = 0;
    if (thread->process->arch->host_abi) {
        event = a[3];
    } else if ((int)a[1] != EPOLL_CTL_DEL) {
        int result = guest_read(&guest, a[3], sizeof guest);
        if (result < 0)
            return result;
        linux_epoll_event_to_host(&host, &guest);
        event = (uint64_t)&host;
    }
    if (is_own(thread, a[0]) || is_own(thread, a[2]))
        return -EBADF;
    return linux_host_syscall(thread, SYS_epoll_ctl, a[0], a[1], a[2], event, 0, 0);
}

/*
 * Makes `count` packed events at `buffer` into the guest's longer ones, in place: from the last to the first,
 * in groups, since each event moves to a higher address.
 */
static int expand_events(uint64_t buffer, uint64_t count)
{
    struct epoll_event host[32];
    struct arm64_epoll_event guest[ARRAY_SIZE(host)];
    while (count) {
        uint64_t group = MIN(count, ARRAY_SIZE(host));
        count -= group;
        if (guest_read(host, buffer + count * sizeof host[0], group * sizeof host[0]) < 0)
            return -EFAULT;
        for (uint64_t i = 0; i < group; i++)
            linux_epoll_event_from_host(&guest[i], &host[i]);
        if (guest_write(buffer + count * sizeof guest[0], guest, group * sizeof guest[0]) < 0)
            return -EFAULT;
    }
    return 0;
}

/* Both epoll waits, which differ in the time limit only. */
static int64_t epoll_wait_host(struct linux_thread *thread, long number, const uint64_t a[6])
{
    uint64_t mask, mask_address;
    int result = take_mask(thread, a[4], a[5], &mask, &mask_address);
    if (result < 0)
        return result;
    if (is_own(thread, a[0]))
        return -EBADF;
    if ((int)a[2] <= 0 || (size_t)(int)a[2] > INT_MAX / sizeof(struct arm64_epoll_event))
        return -EINVAL;

    int64_t count = linux_host_syscall(thread, number, a[0], a[1], a[2], a[3], mask_address, SIGNAL_SET_SIZE);
    if (count > 0 && !thread->process->arch->host_abi && expand_events(a[1], (uint64_t)count) < 0)
        return -EFAULT;
    return count;
}

int64_t linux_sys_epoll_pwait(struct linux_thread *thread, const uint64_t a[6])
{
    return epoll_wait_host(thread, SYS_epoll_pwait, a);
}

int64_t linux_sys_epoll_pwait2(struct linux_thread *thread, const uint64_t a[6])
{
    return epoll_wait_host(thread, SYS_epoll_pwait2, a);
}
