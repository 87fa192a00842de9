/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket: messages that may carry descriptors. Everything else about sockets is the same on both sides and
 * passed on by the table.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "personality/linux/socket.h"
#include "personality/linux/syscalls.h"

/* True if the control data of the message, `length` bytes at `address`, would send a descriptor of visor's.
 */
static bool sends_own_fd(struct linux_thread *thread, uint64_t address, uint64_t length)
{
    while (length >= sizeof(struct cmsghdr)) {
        struct cmsghdr header;
        if (guest_read(&header, address, sizeof header) < 0)
            return false; /* the kernel finds the same */
        if (header.cmsg_len < sizeof header || header.cmsg_len > length)
            return false;
        bool rights = header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS;
        for (size_t at = sizeof header; rights && at + sizeof(int) <= header.cmsg_len; at += sizeof(int)) {
            int fd;
            if (guest_read(&fd, address + at, sizeof fd) < 0)
                return false;
            if (linux_is_own_fd(thread->process, fd))
                return true;
        }
        uint64_t step = MIN(ALIGN_UP((uint64_t)header.cmsg_len, sizeof(uint64_t)), length);
        address += step;
        length -= step;
    }
    return false;
}

bool linux_message_sends_own_fd(struct linux_thread *thread, uint64_t address)
{
    struct msghdr message;
    if (guest_read(&message, address, sizeof message) < 0 || !message.msg_control)
        return false;
    return sends_own_fd(thread, (uint64_t)message.msg_control, message.msg_controllen);
}

int64_t linux_sys_sendmsg(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]) || linux_message_sends_own_fd(thread, a[1]))
        return -EBADF;
    return linux_host_syscall(thread, SYS_sendmsg, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_sendmmsg(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    uint32_t count = MIN((uint32_t)a[2], 1024u); /* the kernel's limit */
    for (uint32_t i = 0; i < count; i++) {
        if (linux_message_sends_own_fd(thread, a[1] + i * sizeof(struct mmsghdr)))
            return -EBADF;
    }
    return linux_host_syscall(thread, SYS_sendmmsg, a[0], a[1], a[2], a[3], 0, 0);
}
