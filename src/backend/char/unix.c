/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unix: a Unix socket with one client at a time; others wait until it has gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "backend/char/host_private.h"

static void unix_close_client(struct char_host *host)
{
    char_end_close(&host->out);
    char_end_close(&host->in);
}

static void unix_accept(void *opaque, unsigned events)
{
    struct char_host *host = opaque;
    (void)events;
    int fd = accept4(host->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    int other = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (other < 0 || char_end_open(host, &host->in, fd, true, char_host_input_ready, NULL) ||
        char_end_open(host, &host->out, other, true, char_host_output_ready, NULL)) {
        if (host->in.fd < 0)
            close(fd);
        if (other >= 0)
            close(other);
        char_end_close(&host->in);
        return;
    }
    loop_watch_change(host->listen_watch, 0);
    char_host_connect(host, true);
}

void char_unix_hang_up(struct char_host *host)
{
    unix_close_client(host);
    char_host_connect(host, false);
    loop_watch_change(host->listen_watch, LOOP_READ);
}

/* Whether a socket is what somebody has left behind. */
static bool unix_is_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
                 errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return stale;
}

int char_unix_open(struct char_host *host, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = host->options.path;

    signal(SIGPIPE, SIG_IGN);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    host->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (host->listen_fd < 0)
        return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    int code = bind(host->listen_fd, (struct sockaddr *)&address, sizeof address);
    if (code < 0 && errno == EADDRINUSE && unix_is_stale(&address) && !unlink(path))
        code = bind(host->listen_fd, (struct sockaddr *)&address, sizeof address);
    if (code < 0 && errno == EADDRINUSE)
        return error_set(error, -errno, "%s exists already, or another program listens there", path);
    if (code < 0)
        return error_set(error, -errno, "cannot make the socket %s: %s", path, strerror(errno));
    host->path = strdup(path);
    if (!host->path || listen(host->listen_fd, 4) < 0)
        return error_set(error, -errno, "cannot listen at %s: %s", path, strerror(errno));
    host->listen_watch = loop_watch_add(host->loop, host->listen_fd, LOOP_READ, unix_accept, host, error);
    return host->listen_watch ? 0 : -ENOMEM;
}
