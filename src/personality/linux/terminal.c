/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * terminal: ioctl(). Request numbers and structures of terminals, sockets, block devices and so on are the
 * same on both sides, as both use the kernel's generic ones and lay out 64-bit structures alike: so requests
 * that visor has never heard of go through as well. The exceptions are here.
 */
#include <asm/ioctls.h>
#include <errno.h>
#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/loop.h>
#include <linux/perf_event.h>

#include "personality/linux/arch.h"
#include "personality/linux/convert.h"
#include "personality/linux/syscalls.h"

/* Requests to /dev/kvm, its machines and processors: they are about the host's kind of CPU. */
#define IOCTL_TYPE_KVM   0xae
#define COMPAT_IOCTL     54   /* the host's for 32-bit programs */
#define IOCTL_KVM_NUMBER 0x20 /* the lower ones have no direction, and others use the type from there on */

/* Kinds whose argument is a descriptor. */
static bool takes_descriptor(uint32_t request)
{
    switch (request) {
    case FICLONE:
    case LOOP_SET_FD:
    case LOOP_CHANGE_FD:
    case PERF_EVENT_IOC_SET_OUTPUT:
    case PERF_EVENT_IOC_SET_BPF: return true;
    default: return false;
    }
}

static bool is_kvm(uint32_t request)
{
    return _IOC_TYPE(request) == IOCTL_TYPE_KVM &&
           (_IOC_DIR(request) != _IOC_NONE || _IOC_NR(request) < IOCTL_KVM_NUMBER);
}

/* The old requests about loop devices, 0x4c02 and 0x4c03. */
static int64_t loop_status(struct linux_thread *thread, const uint64_t a[6])
{
    struct arm64_loop_info guest;
    struct loop_info host;
    bool set = (uint32_t)a[1] == LOOP_SET_STATUS;
    if (set && guest_read(&guest, a[2], sizeof guest) < 0)
        return -EFAULT;
    if (set)
        linux_loop_info_to_host(&host, &guest);
    int64_t result = linux_host_syscall(thread, SYS_ioctl, a[0], a[1], (uint64_t)&host, 0, 0, 0);
    if (set || result < 0)
        return result;
    linux_loop_info_from_host(&guest, &host);
    return guest_write(a[2], &guest, sizeof guest);
}

int64_t linux_sys_ioctl(struct linux_thread *thread, const uint64_t a[6])
{
    uint32_t request = (uint32_t)a[1];
    uint64_t argument = a[2];

    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    if (takes_descriptor(request) && linux_is_own_fd(thread->process, (int)argument))
        return -EBADF;
    if (is_kvm(request))
        return -ENOTTY;
    if ((request == LOOP_SET_STATUS || request == LOOP_GET_STATUS) && !thread->process->arch->host_abi)
        return loop_status(thread, a);
    if (request == TIOCGPTPEER) /* opens the other side of a pseudoterminal, with these flags */
        argument = linux_guest_open_flags(thread->process, (uint32_t)argument);
    if (linux_is_32bit(thread->process))
        return linux_compat_syscall(thread, COMPAT_IOCTL, (const uint64_t[6]){a[0], a[1], argument});
    return linux_host_syscall(thread, SYS_ioctl, a[0], a[1], argument, 0, 0, 0);
}
