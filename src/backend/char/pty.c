/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pty: a pseudo-terminal. While nobody has it open the master cannot be waited for, so inotify tells of who
 * opens. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char/host_private.h"

static void pty_opened(void *opaque, unsigned events)
{
    struct char_host *host = opaque;
    char buffer[4096];
    (void)events;
    while (read(host->listen_fd, buffer, sizeof buffer) > 0) {
    }
    char_host_connect(host, true);
}

void char_pty_hang_up(struct char_host *host)
{
    char_host_connect(host, false);
    if (host->in.watch)
        loop_watch_change(host->in.watch, 0);
}

static int pty_prepare(struct char_host *host, int master, struct error *error)
{
    char name[64];
    struct termios modes;

    if (grantpt(master) < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof name))
        return error_set(error, -errno, "cannot make a pseudo-terminal: %s", strerror(errno));
    /* Once opened and closed it reports a hang-up until somebody else opens it. */
    int slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return error_set(error, -errno, "cannot open %s: %s", name, strerror(errno));
    tcgetattr(slave, &modes);
    cfmakeraw(&modes);
    tcsetattr(slave, TCSANOW, &modes);
    close(slave);

    host->path = strdup(name);
    host->listen_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (!host->path || host->listen_fd < 0 || inotify_add_watch(host->listen_fd, name, IN_OPEN) < 0)
        return error_set(error, -errno, "cannot watch %s: %s", name, strerror(errno));
    host->listen_watch = loop_watch_add(host->loop, host->listen_fd, LOOP_READ, pty_opened, host, error);
    return host->listen_watch ? 0 : -ENOMEM;
}

int char_pty_open(struct char_host *host, struct error *error)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        return error_set(error, -errno, "cannot make a pseudo-terminal: %s", strerror(errno));
    int code = pty_prepare(host, master, error);
    if (!code)
        code = char_end_open(host, &host->in, master, true, char_host_input_ready, error);
    if (code) {
        close(master);
        return code;
    }
    /* Each direction has its own watch, and so its own descriptor. */
    int other = fcntl(master, F_DUPFD_CLOEXEC, 0);
    if (other < 0)
        return error_set(error, -errno, "cannot open %s: %s", host->path, strerror(errno));
    code = char_end_open(host, &host->out, other, true, char_host_output_ready, error);
    if (code) {
        close(other);
        return code;
    }
    fprintf(stderr, "visor: the console is %s\n", host->path);
    return 0;
}
