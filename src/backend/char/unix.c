/* SPDX-License-Identifier: GPL-2.0-or-later */
/* unix: a Unix socket with one client at a time; others wait until it has gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend/char/host_private.h"
#include "base/unix_socket.h"

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

int char_unix_open(struct char_host *host, struct error *error)
{
    const char *path = host->options.path;

    signal(SIGPIPE, SIG_IGN);
    int fd = unix_socket_listen(path, 0777, 4, error);
    if (fd < 0)
        return fd;
    host->listen_fd = fd;
    host->path = strdup(path);
    if (!host->path) {
        unlink(path);
        return error_set(error, -ENOMEM, "out of memory");
    }
    host->listen_watch = loop_watch_add(host->loop, host->listen_fd, LOOP_READ, unix_accept, host, error);
    return host->listen_watch ? 0 : -ENOMEM;
}
