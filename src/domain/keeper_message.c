/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/keeper_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/visible.h"

#define FDS_MOST 4

size_t keeper_request_size(uint32_t ask)
{
    const size_t head = offsetof(struct keeper_request, prepared);
    switch ((enum keeper_ask)ask) {
    case KEEPER_PREPARED: return head + sizeof(struct keeper_prepared);
    case KEEPER_CAGED: return head + sizeof(struct error);
    case KEEPER_NEWS: return head + sizeof(struct keeper_news);
    case KEEPER_DIAL:
    case KEEPER_THREAD: return head + sizeof(uint32_t);
    case KEEPER_ENDED: return head + sizeof(struct domain_end);
    }
    return 0;
}

static bool end_check(struct domain_end *end)
{
    unsigned char bools[2];
    memcpy(&bools[0], &end->failed, 1);
    memcpy(&bools[1], &end->asked, 1);
    end->reason[sizeof end->reason - 1] = '\0';
    visible_make(end->reason, strlen(end->reason));
    return bools[0] <= 1 && bools[1] <= 1 && end->status >= 0 && end->status <= 255;
}

bool keeper_request_check(struct keeper_request *request, size_t size)
{
    if (size < sizeof request->ask || size != keeper_request_size(request->ask))
        return false;
    switch ((enum keeper_ask)request->ask) {
    case KEEPER_NEWS: return request->news.paused <= 1 && request->news.asked <= 1;
    case KEEPER_DIAL:
    case KEEPER_THREAD: return true;
    case KEEPER_ENDED: return end_check(&request->end);
    case KEEPER_PREPARED:
    case KEEPER_CAGED: break;
    }
    return false;
}

int keeper_send(int socket, const void *data, size_t size, const int *fds, unsigned count)
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

ssize_t keeper_receive(int socket, void *data, size_t size, int *fds, unsigned *count)
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
    while ((got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR) {
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
