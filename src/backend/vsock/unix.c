/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unix: a guest's connections as Unix sockets. Programs of the host connect to one path and say to which
 * port; for each port that the guest connects to there is a path of its own, at which such a program listens.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/vsock/dial.h"
#include "backend/vsock/vsock.h"
#include "base/unix_socket.h"

#define LINE_MAX_SIZE 32 /* "CONNECT 4294967295\n" */

struct unix_vsock {
    struct vsock_backend backend;
    struct loop *loop;
    int fd;
    struct loop_watch *watch;
    char *path;
    struct vsock_dial dial;
    const struct vsock_dialer *dialer; /* NULL: `dial` is used here */
    struct unix_host *callers;         /* have not yet said where to */
    bool full; /* the last caller could not be accepted: the next waits until one is gone */
};

struct unix_host {
    struct vsock_host host;
    struct unix_vsock *vsock; /* of a caller */
    char line[LINE_MAX_SIZE];
    unsigned length;
    int fd;
    unsigned wanted;
    struct loop_watch *watch;
    struct unix_host *next; /* of the callers */
};

static struct unix_host *unix_of(struct vsock_host *host)
{
    return (struct unix_host *)((char *)host - offsetof(struct unix_host, host));
}

static void unix_close(struct vsock_host *host)
{
    struct unix_host *one = unix_of(host);
    struct unix_vsock *vsock = (struct unix_vsock *)host->backend;
    loop_watch_remove(one->watch);
    close(one->fd);
    free(one);
    if (vsock->full)
        loop_watch_change(vsock->watch, LOOP_READ);
    vsock->full = false;
}

static void caller_forget(struct unix_host *one)
{
    struct unix_host **link = &one->vsock->callers;
    while (*link != one)
        link = &(*link)->next;
    *link = one->next;
}

/* The port that a line asks for, or -1. */
static int64_t line_port(const char *line)
{
    char *end;
    if (strncmp(line, "CONNECT ", 8) || line[8] < '0' || line[8] > '9')
        return -1;
    unsigned long value = strtoul(line + 8, &end, 10);
    return !*end && value <= UINT32_MAX ? (int64_t)value : -1;
}

/* The first line of a caller, byte by byte since what follows is the guest's. False: it is not complete. */
static bool read_line(struct unix_host *one, int64_t *port)
{
    *port = -1;
    for (;;) {
        char *to = &one->line[one->length];
        ssize_t size = recv(one->fd, to, 1, 0);
        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (size <= 0 || one->length == sizeof one->line - 1)
            return true;
        one->length++;
        if (*to == '\n') {
            *to = '\0';
            *port = line_port(one->line);
            return true;
        }
    }
}

static void caller_ready(struct unix_host *one)
{
    const struct vsock_client *client = one->vsock->backend.client;
    int64_t port;
    if (!read_line(one, &port))
        return;
    caller_forget(one);
    loop_watch_change(one->watch, 0);
    one->wanted = 0;
    one->vsock = NULL;
    if (port < 0 || !client || !client->request(client->opaque, &one->host, (uint32_t)port))
        unix_close(&one->host);
}

static void unix_ready(void *opaque, unsigned events)
{
    struct unix_host *one = opaque;
    const struct vsock_client *client = one->host.backend->client;
    if (one->vsock) {
        caller_ready(one);
        return;
    }
    events &= one->wanted;
    one->wanted = 0;
    loop_watch_change(one->watch, 0);
    if (events && client)
        client->ready(one->host.connection, events);
}

/* The descriptor is taken over. */
static struct unix_host *host_new(struct unix_vsock *vsock, int fd, unsigned events)
{
    struct unix_host *one = calloc(1, sizeof *one);
    if (one) {
        one->host.backend = &vsock->backend;
        one->fd = fd;
        one->wanted = events;
        one->watch = loop_watch_add(vsock->loop, fd, events, unix_ready, one, NULL);
    }
    if (one && one->watch)
        return one;
    free(one);
    close(fd);
    return NULL;
}

static void unix_accept(void *opaque, unsigned events)
{
    struct unix_vsock *vsock = opaque;
    (void)events;
    int fd = accept4(vsock->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct unix_host *one = fd >= 0 ? host_new(vsock, fd, LOOP_READ) : NULL;
    if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
        vsock->full = true;
        loop_watch_change(vsock->watch, 0);
    }
    if (!one)
        return;
    one->vsock = vsock;
    one->next = vsock->callers;
    vsock->callers = one;
}

static int unix_connect(struct vsock_backend *backend, uint32_t port, struct vsock_host **out)
{
    struct unix_vsock *vsock = (struct unix_vsock *)backend;
    const struct vsock_dialer *dialer = vsock->dialer;
    const int fd = dialer ? dialer->dial(dialer->opaque, port) : vsock_dial(&vsock->dial, port);
    if (fd < 0)
        return fd;
    struct unix_host *one = host_new(vsock, fd, 0);
    if (!one)
        return -ENOMEM;
    *out = &one->host;
    return 0;
}

static ssize_t unix_read(struct vsock_host *host, const struct iovec *iov, unsigned count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    ssize_t size = recvmsg(unix_of(host)->fd, &message, MSG_DONTWAIT);
    return size < 0 ? (errno == EINTR ? -EAGAIN : -errno) : size;
}

static ssize_t unix_write(struct vsock_host *host, const struct iovec *iov, unsigned count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = count};
    ssize_t size = sendmsg(unix_of(host)->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return size < 0 ? (errno == EINTR ? -EAGAIN : -errno) : size;
}

static void unix_want(struct vsock_host *host, unsigned events)
{
    struct unix_host *one = unix_of(host);
    if (one->wanted == events)
        return;
    one->wanted = events;
    loop_watch_change(one->watch,
                      (events & VSOCK_READ ? LOOP_READ : 0) | (events & VSOCK_WRITE ? LOOP_WRITE : 0));
}

static bool unix_is_closed(struct vsock_host *host)
{
    struct pollfd look = {.fd = unix_of(host)->fd};
    return poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR));
}

static void unix_shut_down(struct vsock_host *host)
{
    shutdown(unix_of(host)->fd, SHUT_WR);
}

static void unix_established(struct vsock_host *host, uint32_t port)
{
    char line[LINE_MAX_SIZE];
    struct iovec iov = {line, (size_t)snprintf(line, sizeof line, "OK %u\n", port)};
    unix_write(host, &iov, 1); /* the first that is written: there is room, or nobody */
}

static const struct vsock_ops unix_ops = {
    .connect = unix_connect,
    .read = unix_read,
    .write = unix_write,
    .want = unix_want,
    .is_closed = unix_is_closed,
    .shut_down = unix_shut_down,
    .close = unix_close,
    .established = unix_established,
};

static int unix_listen(struct unix_vsock *vsock, struct error *error)
{
    vsock->fd = unix_socket_listen(vsock->path, 0777, 16, error);
    if (vsock->fd < 0) {
        error_prefix(error, "vsock: ");
        return vsock->fd;
    }
    vsock->watch = loop_watch_add(vsock->loop, vsock->fd, LOOP_READ, unix_accept, vsock, error);
    if (!vsock->watch) {
        unlink(vsock->path);
        close(vsock->fd);
        return error->code;
    }
    return 0;
}

static void unix_free(struct unix_vsock *vsock)
{
    vsock_dial_close(&vsock->dial);
    free(vsock->path);
    free(vsock);
}

int vsock_unix_open(struct vsock_backend **out, struct loop *loop, const char *path,
                    const struct vsock_dialer *dialer, struct error *error)
{
    struct unix_vsock *vsock = calloc(1, sizeof *vsock);
    if (!vsock || !(vsock->path = strdup(path))) {
        free(vsock);
        return error_set(error, -ENOMEM, "no memory for a vsock");
    }
    vsock->backend.ops = &unix_ops;
    vsock->loop = loop;
    vsock->dialer = dialer;
    int code = vsock_dial_open(&vsock->dial, path, error);
    if (dialer)
        vsock_dial_close(&vsock->dial); /* it was to be seen whether it can be */
    if (!code)
        code = unix_listen(vsock, error);
    if (code) {
        unix_free(vsock);
        return code;
    }
    *out = &vsock->backend;
    return 0;
}

void vsock_unix_close(struct vsock_backend *backend)
{
    struct unix_vsock *vsock = (struct unix_vsock *)backend;
    while (vsock->callers) {
        struct unix_host *one = vsock->callers;
        caller_forget(one);
        unix_close(&one->host);
    }
    loop_watch_remove(vsock->watch);
    close(vsock->fd);
    unlink(vsock->path);
    unix_free(vsock);
}
