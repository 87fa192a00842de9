/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * perf: perf_event_open(). What the kernel counts by itself (software events, tracepoints, accesses to
 * data at an address) is as true of the guest as of its process. The host's CPU counts visor's
 * work, and where it takes a sample, the registers are the host's: such events do not exist for the guest, as
 * on a machine without performance counters, to which programs are used.
 */
#include <errno.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include "personality/linux/syscalls.h"

#define HOST_STATE                                                                                           \
    (PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_BRANCH_STACK | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER |     \
     PERF_SAMPLE_REGS_INTR | PERF_SAMPLE_IP)

/* 0, or why there is no such event. */
static int judge_event(const struct perf_event_attr *event)
{
    switch (event->type) {
    case PERF_TYPE_SOFTWARE:
    case PERF_TYPE_TRACEPOINT: break;
    case PERF_TYPE_BREAKPOINT:
        if (event->bp_type & HW_BREAKPOINT_X)
            return -EOPNOTSUPP;
        break;
    default: return -ENOENT;
    }
    return event->sample_period && event->sample_type & HOST_STATE ? -EOPNOTSUPP : 0;
}

int64_t linux_sys_perf_event_open(struct linux_thread *thread, const uint64_t a[6])
{
    /* The part that every version of the structure has, and with it all that is looked at here. */
    struct perf_event_attr event = {0};
    if (linux_is_own_fd(thread->process, (int)a[3]))
        return -EBADF;
    if (guest_read(&event, a[0], PERF_ATTR_SIZE_VER0) < 0)
        return -EFAULT;
    int result = judge_event(&event);
    if (result < 0)
        return result;
    return linux_host_syscall(thread, SYS_perf_event_open, a[0], a[1], a[2], a[3], a[4], 0);
}
