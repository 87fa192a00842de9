/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/descriptors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"

#define FDS_MOST 4

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void descriptors_close_others(int *keep, unsigned count)
{
    int next = STDERR_FILENO + 1;
    qsort(keep, count, sizeof *keep, compare);
    for (unsigned i = 0; i < count; i++) {
        if (keep[i] > next)
            close_range((unsigned)next, (unsigned)keep[i] - 1, 0);
        next = MAX(next, keep[i] + 1);
    }
    close_range((unsigned)next, ~0u, 0);
}

int descriptors_send(int socket, const void *data, size_t size, const int *fds, unsigned count)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(FDS_MOST * sizeof *fds)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
        control.head = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(count * sizeof *fds), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof *fds);
    }
    ssize_t sent;
    while ((sent = sendmsg(socket, &message, MSG_NOSIGNAL)) < 0 && errno == EINTR) {
    }
    return sent < 0 ? -errno : 0;
}

ssize_t descriptors_receive(int socket, void *data, size_t size, int *fds, unsigned *count)
{
    struct iovec part = {data, size};
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(FDS_MOST * sizeof *fds)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    const unsigned room = count ? MIN(*count, FDS_MOST) : 0;
    if (room) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(room * sizeof *fds);
        *count = 0;
    }
    ssize_t got;
    /* ECONNRESET, once: the other has ended and not read all; what it has sent comes after that. */
    while ((got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 &&
           (errno == EINTR || errno == ECONNRESET)) {
    }
    if (got < 0)
        return -errno;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
            continue;
        const unsigned came = (unsigned)((head->cmsg_len - CMSG_LEN(0)) / sizeof *fds);
        for (unsigned i = 0; i < came; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
            if (*count < room)
                fds[(*count)++] = fd;
            else
                close(fd);
        }
    }
    return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : got;
}
