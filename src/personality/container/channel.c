/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/channel.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct packet {
    int32_t kind, pid;
    struct error error; /* only for CHANNEL_ERROR */
};

int channel_pair(int ends[2], struct error *error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return error_set(error, -errno, "cannot make a pair of sockets: %s", strerror(errno));
    return 0;
}

static void send_packet(int channel, const struct packet *packet, size_t size, int fd)
{
    struct iovec data = {.iov_base = (void *)packet, .iov_len = size};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
    if (fd >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    while (sendmsg(channel, &header, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

void channel_send(int channel, enum channel_kind kind, int fd)
{
    struct packet packet = {.kind = (int32_t)kind};
    send_packet(channel, &packet, offsetof(struct packet, error), fd);
}

void channel_send_pid(int channel, enum channel_kind kind, int pid)
{
    struct packet packet = {.kind = (int32_t)kind, .pid = pid};
    send_packet(channel, &packet, offsetof(struct packet, error), -1);
}

void channel_send_error(int channel, const struct error *error)
{
    struct packet packet = {.kind = CHANNEL_ERROR, .error = *error};
    send_packet(channel, &packet, sizeof packet, -1);
}

void channel_receive(int channel, struct channel_message *message)
{
    struct packet packet = {0};
    struct iovec data = {.iov_base = &packet, .iov_len = sizeof packet};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr header = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    *message = (struct channel_message){.kind = CHANNEL_END, .fd = -1};
    ssize_t size;
    do {
        size = recvmsg(channel, &header, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < (ssize_t)offsetof(struct packet, error))
        return;
    packet.error.message[sizeof packet.error.message - 1] = '\0';
    packet.error.hint[sizeof packet.error.hint - 1] = '\0';
    message->kind = (enum channel_kind)packet.kind;
    message->pid = packet.pid;
    message->error = packet.error;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(&message->fd, CMSG_DATA(c), sizeof message->fd);
}

int channel_expect(int channel, enum channel_kind kind, struct error *error)
{
    struct channel_message message;
    channel_receive(channel, &message);
    if (message.fd >= 0)
        close(message.fd);
    if (message.kind == kind)
        return 0;
    if (message.kind == CHANNEL_ERROR) {
        *error = message.error;
        return message.error.code < 0 ? message.error.code : -EIO;
    }
    return error_set(error, -EPIPE, "the other process has ended before its work was done");
}
