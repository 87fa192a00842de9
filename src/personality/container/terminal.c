/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "personality/container/channel.h"
#include "personality/container/inside.h"
#include "personality/container/unix_path.h"

int terminal_make(struct container_terminal *terminal, int root, const struct oci_process *process,
                  struct error *error)
{
    int unlock = 0;
    terminal->master = inside_open(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY);
    if (terminal->master < 0) {
        error_set(error, terminal->master, "process.terminal: cannot make a terminal: /dev/pts/ptmx: %s",
                  strerror(-terminal->master));
        error_hint(error, "the configuration must mount a devpts on /dev/pts");
        return terminal->master;
    }
    /* the other end by the master's own, not by a name that may lead elsewhere */
    terminal->slave = ioctl(terminal->master, TIOCSPTLCK, &unlock) < 0
                          ? -1
                          : ioctl(terminal->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal->slave < 0) {
        error_set(error, -errno, "process.terminal: /dev/pts/ptmx in the container is no terminal: %s",
                  strerror(errno));
        close(terminal->master);
        return error->code;
    }
    if (process->has_console_size) {
        const struct winsize size = {.ws_row = (unsigned short)process->console_size.height,
                                     .ws_col = (unsigned short)process->console_size.width};
        ioctl(terminal->master, TIOCSWINSZ, &size);
    }
    if (process->user.uid && fchown(terminal->slave, process->user.uid, (gid_t)-1) < 0 && errno != EPERM)
        return error_set(error, -errno, "process.terminal: cannot give it to user %u: %s", process->user.uid,
                         strerror(errno));
    return 0;
}

int terminal_connect(const char *path, struct error *error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    int code = unix_path_connect(fd, path);
    if (code < 0) {
        close(fd);
        return error_set(error, code, "--console-socket: cannot connect to %s: %s", path, strerror(-code));
    }
    return fd;
}

static int send_master(const struct container_terminal *terminal, int socket, struct error *error)
{
    char name[] = "/dev/pts/ptmx";
    struct iovec data = {.iov_base = name, .iov_len = sizeof name - 1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr header = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &terminal->master, sizeof terminal->master);
    if (sendmsg(socket, &header, MSG_NOSIGNAL) < 0)
        return error_set(error, -errno, "--console-socket: cannot send the terminal: %s", strerror(errno));
    return 0;
}

int terminal_hand_over(struct container_terminal *terminal, int socket, int channel, struct error *error)
{
    int code;
    if (socket >= 0) {
        code = send_master(terminal, socket, error);
    } else {
        channel_send(channel, CHANNEL_TERMINAL, terminal->master);
        code = channel_expect(channel, CHANNEL_TAKEN, error);
    }
    close(terminal->master);
    terminal->master = -1;
    return code;
}

int terminal_control(int slave, struct error *error)
{
    return ioctl(slave, TIOCSCTTY, 0) < 0
               ? error_set(error, -errno, "cannot take the terminal: %s", strerror(errno))
               : 0;
}

int terminal_take(int slave, struct error *error)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (dup2(slave, fd) < 0)
            return error_set(error, -errno, "cannot take the terminal: %s", strerror(errno));
    }
    return 0;
}
