/* SPDX-License-Identifier: GPL-2.0-or-later */
/* uring_convert: what of a submission queue entry has to be changed for the host's kernel. See uring.h. */
#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/convert.h"
#include "personality/linux/socket.h"
#include "personality/linux/uring.h"

/* What the fields of a request are, if that concerns visor. */
enum {
    FD = 1 << 0,          /* fd: a descriptor, or a directory's */
    FD_IN_LEN = 1 << 1,   /* len: another directory's descriptor */
    FD_IN_OFF = 1 << 2,   /* off: another descriptor */
    FD_SPLICE = 1 << 3,   /* splice_fd_in: as it says */
    FD_ARRAY = 1 << 4,    /* addr: len descriptors */
    OPEN_FLAGS = 1 << 5,  /* open_flags: of open() or pipe2() */
    OPEN_HOW = 1 << 6,    /* off: struct open_how of len bytes */
    EPOLL_EVENT = 1 << 7, /* addr: struct epoll_event, unless it is removed */
    MESSAGE = 1 << 8,     /* addr: struct msghdr that may carry descriptors */
    REFUSED = 1 << 9,     /* is made an unknown request: the host would write its own structures later */
};

static const uint16_t kinds[] = {
    [IORING_OP_READV] = FD,
    [IORING_OP_WRITEV] = FD,
    [IORING_OP_FSYNC] = FD,
    [IORING_OP_READ_FIXED] = FD,
    [IORING_OP_WRITE_FIXED] = FD,
    [IORING_OP_POLL_ADD] = FD,
    [IORING_OP_SYNC_FILE_RANGE] = FD,
    [IORING_OP_SENDMSG] = FD | MESSAGE,
    [IORING_OP_RECVMSG] = FD,
    [IORING_OP_ACCEPT] = FD,
    [IORING_OP_CONNECT] = FD,
    [IORING_OP_FALLOCATE] = FD,
    [IORING_OP_OPENAT] = FD | OPEN_FLAGS,
    [IORING_OP_CLOSE] = FD,
    [IORING_OP_FILES_UPDATE] = FD_ARRAY,
    [IORING_OP_STATX] = FD,
    [IORING_OP_READ] = FD,
    [IORING_OP_WRITE] = FD,
    [IORING_OP_FADVISE] = FD,
    [IORING_OP_SEND] = FD,
    [IORING_OP_RECV] = FD,
    [IORING_OP_OPENAT2] = FD | OPEN_HOW,
    [IORING_OP_EPOLL_CTL] = FD | FD_IN_OFF | EPOLL_EVENT,
    [IORING_OP_SPLICE] = FD | FD_SPLICE,
    [IORING_OP_TEE] = FD | FD_SPLICE,
    [IORING_OP_SHUTDOWN] = FD,
    [IORING_OP_RENAMEAT] = FD | FD_IN_LEN,
    [IORING_OP_UNLINKAT] = FD,
    [IORING_OP_MKDIRAT] = FD,
    [IORING_OP_SYMLINKAT] = FD,
    [IORING_OP_LINKAT] = FD | FD_IN_LEN,
    [IORING_OP_MSG_RING] = FD,
    [41 /* FSETXATTR */] = FD,
    [43 /* FGETXATTR */] = FD,
    [46 /* URING_CMD */] = FD,
    [47 /* SEND_ZC */] = FD,
    [48 /* SENDMSG_ZC */] = FD | MESSAGE,
    [49 /* READ_MULTISHOT */] = FD,
    [55 /* FTRUNCATE */] = FD,
    [56 /* BIND */] = FD,
    [57 /* LISTEN */] = FD,
    [58 /* RECV_ZC */] = FD,
    [URING_OP_EPOLL_WAIT] = REFUSED,
    [60 /* READV_FIXED */] = FD,
    [61 /* WRITEV_FIXED */] = FD,
    [62 /* PIPE */] = OPEN_FLAGS,
    [URING_OP_URING_CMD128] = FD,
};

/* No descriptor has this number, as RLIMIT_NOFILE is lower; -1 and -2 have meanings. */
#define NO_FD INT_MAX

bool uring_names_own_fd(struct linux_thread *thread, uint64_t address, uint64_t count)
{
    int fds[128];
    while (count) {
        size_t group = MIN(count, ARRAY_SIZE(fds));
        if (guest_read(fds, address, group * sizeof fds[0]) < 0)
            return false;
        for (size_t i = 0; i < group; i++) {
            if (linux_is_own_fd(thread->process, fds[i]))
                return true;
        }
        address += group * sizeof fds[0];
        count -= group;
    }
    return false;
}

static struct uring_patch *new_patch(struct uring_patch **patches, uint64_t address, uint32_t size,
                                     uint64_t before, uint64_t after, size_t data_size)
{
    struct uring_patch *patch = malloc(sizeof *patch + data_size);
    if (!patch)
        return NULL;
    *patch = (struct uring_patch){
        .next = *patches, .size = size, .address = address, .before = before, .after = after};
    *patches = patch;
    return patch;
}

#define CHANGE(field, value)                                                                                 \
    new_patch(patches, address + offsetof(struct io_uring_sqe, field), sizeof sqe->field,                    \
              (uint64_t)sqe->field, (uint64_t)(value), 0)

/* The field is made to point to a copy of `length` bytes at `from`. */
#define REPLACE(field, from, length)                                                                         \
    replace(patches, address + offsetof(struct io_uring_sqe, field), sqe->field, from, length)

static struct uring_patch *replace(struct uring_patch **patches, uint64_t address, uint64_t before,
                                   const void *from, size_t length)
{
    struct uring_patch *patch = new_patch(patches, address, sizeof before, before, 0, length);
    if (!patch)
        return NULL;
    memcpy(patch->data, from, length);
    patch->after = (uint64_t)patch->data;
    return patch;
}

/* True if the request names one of visor's descriptors. */
static bool names_own_fd(struct linux_thread *thread, const struct io_uring_sqe *sqe, unsigned kind)
{
    const struct linux_process *process = thread->process;
    if (kind & FD && !(sqe->flags & IOSQE_FIXED_FILE) && linux_is_own_fd(process, sqe->fd))
        return true;
    if (kind & FD_IN_LEN && linux_is_own_fd(process, (int)sqe->len))
        return true;
    if (kind & FD_IN_OFF && linux_is_own_fd(process, (int)sqe->off))
        return true;
    return kind & MESSAGE && linux_message_sends_own_fd(thread, sqe->addr);
}

static bool convert_epoll_event(const struct io_uring_sqe *sqe, uint64_t address,
                                struct uring_patch **patches)
{
    struct arm64_epoll_event guest;
    struct epoll_event host;
    if ((int)sqe->len == EPOLL_CTL_DEL || guest_read(&guest, sqe->addr, sizeof guest) < 0)
        return true; /* the kernel finds what is wrong */
    linux_epoll_event_to_host(&host, &guest);
    return REPLACE(addr, &host, sizeof host);
}

static bool convert_open_how(const struct linux_process *process, const struct io_uring_sqe *sqe,
                             uint64_t address, struct uring_patch **patches)
{
    /* The structure may be longer than visor knows: the kernel judges the rest. */
    union {
        struct open_how how;
        uint8_t bytes[GUEST_PAGE_SIZE];
    } buffer;
    if (sqe->len < sizeof buffer.how || sqe->len > sizeof buffer ||
        guest_read(&buffer, sqe->off, sqe->len) < 0)
        return true;
    buffer.how.flags = linux_guest_open_flags(process, buffer.how.flags);
    return REPLACE(off, &buffer, sqe->len);
}

static bool convert(struct linux_thread *thread, const struct io_uring_sqe *sqe, uint64_t address,
                    unsigned kind, struct uring_patch **patches)
{
    if (kind & REFUSED)
        return CHANGE(opcode, UCHAR_MAX); /* -EINVAL, as from a kernel that does not know it */
    if (names_own_fd(thread, sqe, kind))
        return CHANGE(fd, -1) &&
               (!(sqe->flags & IOSQE_FIXED_FILE) || CHANGE(flags, sqe->flags & ~(unsigned)IOSQE_FIXED_FILE));
    if (kind & FD_SPLICE && !(sqe->splice_flags & SPLICE_F_FD_IN_FIXED) &&
        linux_is_own_fd(thread->process, sqe->splice_fd_in) && !CHANGE(splice_fd_in, NO_FD))
        return false;
    if (kind & FD_ARRAY && uring_names_own_fd(thread, sqe->addr, sqe->len)) {
        int none = NO_FD;
        return REPLACE(addr, &none, sizeof none) && CHANGE(len, 1);
    }
    const uint64_t open_flags = linux_guest_open_flags(thread->process, sqe->open_flags);
    if (kind & OPEN_FLAGS && open_flags != sqe->open_flags)
        return CHANGE(open_flags, open_flags);
    if (kind & OPEN_HOW)
        return convert_open_how(thread->process, sqe, address, patches);
    if (kind & EPOLL_EVENT && !thread->process->arch->host_abi)
        return convert_epoll_event(sqe, address, patches);
    return true;
}

int uring_convert(struct linux_thread *thread, const struct io_uring_sqe *sqe, uint64_t address,
                  struct uring_patch **patches)
{
    unsigned kind = sqe->opcode < ARRAY_SIZE(kinds) ? kinds[sqe->opcode] : 0;
    struct uring_patch *before = *patches;
    if (!kind || convert(thread, sqe, address, kind, patches))
        return 0;
    while (*patches != before) {
        struct uring_patch *patch = *patches;
        *patches = patch->next;
        free(patch);
    }
    return -ENOMEM;
}
