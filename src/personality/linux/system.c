/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system: the time of day. Programs ask for it often, and the guest has no vDSO that would answer without a
 * system call, so visor answers from the host's. And calls that need nothing.
 */
#include <errno.h>
#include <sys/time.h>
#include <time.h>

#include "personality/linux/syscalls.h"

int64_t linux_sys_clock_gettime(struct linux_thread *thread, const uint64_t a[6])
{
    struct timespec now;
    (void)thread;
    if (clock_gettime((clockid_t)a[0], &now) < 0)
        return -errno;
    return guest_write(a[1], &now, sizeof now);
}

int64_t linux_sys_gettimeofday(struct linux_thread *thread, const uint64_t a[6])
{
    struct timeval now;
    (void)thread;
    if (!a[0] || a[1]) /* the obsolete time zone: rare */
        return linux_plain_syscall(SYS_gettimeofday, a[0], a[1], 0, 0, 0, 0);
    if (gettimeofday(&now, NULL) < 0)
        return -errno;
    return guest_write(a[0], &now, sizeof now);
}

/* The kernel has its callers' programs make this call where a call was interrupted. Visor goes on with such
 * calls by itself; who makes this one has nothing to go on with. */
int64_t linux_sys_restart_syscall(struct linux_thread *thread, const uint64_t a[6])
{
    (void)thread;
    (void)a;
    return -EINTR;
}
