/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * socket: messages that may carry descriptors. Everything else about sockets is the same on both sides and
 * passed on by the table.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/socket.h"
#include "personality/linux/syscalls.h"

/* The host's calls for 32-bit programs. */
enum { COMPAT_SENDMSG = 370, COMPAT_SENDMMSG = 345 };

/* struct cmsghdr begins with its length, a word of the guest's size; level and type follow. */
static bool read_header(struct linux_thread *thread, uint64_t address, struct cmsghdr *header, size_t *size)
{
    const size_t word = thread->process->arch->word_size;
    uint64_t length;
    *size = word + 2 * sizeof(int);
    if (linux_read_word(thread->process, address, &length) < 0 ||
        guest_read(&header->cmsg_level, address + word, sizeof header->cmsg_level) < 0 ||
        guest_read(&header->cmsg_type, address + word + sizeof(int), sizeof header->cmsg_type) < 0)
        return false;
    header->cmsg_len = length;
    return true;
}

/* True if the control data of the message, `length` bytes at `address`, would send a descriptor of visor's.
 */
static bool sends_own_fd(struct linux_thread *thread, uint64_t address, uint64_t length)
{
    const uint64_t word = thread->process->arch->word_size;
    while (length >= word + 2 * sizeof(int)) {
        struct cmsghdr header;
        size_t size;
        if (!read_header(thread, address, &header, &size))
            return false; /* the kernel finds the same */
        if (header.cmsg_len < size || header.cmsg_len > length)
            return false;
        bool rights = header.cmsg_level == SOL_SOCKET && header.cmsg_type == SCM_RIGHTS;
        for (size_t at = size; rights && at + sizeof(int) <= header.cmsg_len; at += sizeof(int)) {
            int fd;
            if (guest_read(&fd, address + at, sizeof fd) < 0)
                return false;
            if (linux_is_own_fd(thread->process, fd))
                return true;
        }
        uint64_t step = MIN(ALIGN_UP((uint64_t)header.cmsg_len, word), length);
        address += step;
        length -= step;
    }
    return false;
}

/* struct msghdr is words but for numbers with padding, which begin as words do: name, its length, vectors,
 * their number, control data, its length, flags. */
enum { WORD_CONTROL = 4, WORD_CONTROL_LENGTH = 5, MESSAGE_WORDS = 7 };

bool linux_message_sends_own_fd(struct linux_thread *thread, uint64_t address)
{
    const uint64_t word = thread->process->arch->word_size;
    uint64_t control, length;
    if (linux_read_word(thread->process, address + WORD_CONTROL * word, &control) < 0 || !control ||
        linux_read_word(thread->process, address + WORD_CONTROL_LENGTH * word, &length) < 0)
        return false;
    return sends_own_fd(thread, control, length);
}

int64_t linux_sys_sendmsg(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]) || linux_message_sends_own_fd(thread, a[1]))
        return -EBADF;
    if (linux_is_32bit(thread->process))
        return linux_compat_syscall(thread, COMPAT_SENDMSG, a);
    return linux_host_syscall(thread, SYS_sendmsg, a[0], a[1], a[2], 0, 0, 0);
}

int64_t linux_sys_sendmmsg(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    /* struct mmsghdr: a message and its length as sent */
    const uint64_t size = (MESSAGE_WORDS + 1ull) * thread->process->arch->word_size;
    uint32_t count = MIN((uint32_t)a[2], 1024u); /* the kernel's limit */
    for (uint32_t i = 0; i < count; i++) {
        if (linux_message_sends_own_fd(thread, a[1] + i * size))
            return -EBADF;
    }
    if (linux_is_32bit(thread->process))
        return linux_compat_syscall(thread, COMPAT_SENDMMSG, a);
    return linux_host_syscall(thread, SYS_sendmmsg, a[0], a[1], a[2], a[3], 0, 0);
}
