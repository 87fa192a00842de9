/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * terminal: raw mode for visor's terminal, and its end.
 *
 * exit() is the usual way; against a crash and SIGKILL there is the keeper, a process that does nothing but
 * wait at a pipe for visor's end, or for a byte: then there is nothing left to do. It leaves the terminal
 * alone if somebody else has taken it over: shells with job control do that at once, and set its modes
 * themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char/host_private.h"

/* A process has one terminal. */
static struct {
    int fd;
    struct termios before;
    int keeper_pipe;
    pid_t keeper;
    pid_t owner; /* children of visor that exit() do not restore anything */
    bool taken, registered;
} terminal;

bool char_terminal_is_ours(int fd, pid_t group)
{
    const pid_t foreground = tcgetpgrp(fd);
    return foreground < 0 ? errno == ENOTTY : foreground == group;
}

/* The keeper: `fd` and the pipe become its only descriptors, since others are locks, or what somebody waits
 * for the end of. */
static void keeper_main(int fd, int pipe, pid_t group)
{
    sigset_t all;
    char byte;

    prctl(PR_SET_NAME, "visor-terminal");
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL); /* SIGTTOU too: it is in the background */
    close_range(0, (unsigned)fd - 1, 0);
    if (pipe > fd + 1)
        close_range((unsigned)fd + 1, (unsigned)pipe - 1, 0);
    close_range((unsigned)pipe + 1, ~0u, 0);
    ssize_t said;
    while ((said = read(pipe, &byte, 1)) < 0 && errno == EINTR) {
    }
    if (!said && char_terminal_is_ours(fd, group))
        tcsetattr(fd, TCSANOW, &terminal.before);
    _exit(0);
}

static int keeper_start(int fd)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) < 0)
        return -errno;
    pid_t group = getpgrp();
    terminal.keeper = fork();
    if (!terminal.keeper) {
        fd = fcntl(fd, F_DUPFD, 3);
        keeper_main(fd, fcntl(pair[0], F_DUPFD, fd + 1), group);
    }
    close(pair[0]);
    if (terminal.keeper < 0) {
        int code = -errno;
        close(pair[1]);
        return code;
    }
    terminal.keeper_pipe = pair[1];
    return 0;
}

/* As after a signal nobody but visor itself may touch it. */
static int terminal_set(const struct termios *modes)
{
    sigset_t output, old;
    sigemptyset(&output);
    sigaddset(&output, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &output, &old);
    int code = tcsetattr(terminal.fd, TCSADRAIN, modes) ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return code;
}

void char_terminal_give_back(void)
{
    if (!terminal.taken || getpid() != terminal.owner)
        return;
    terminal.taken = false;
    terminal_set(&terminal.before);
    if (write(terminal.keeper_pipe, "", 1) == 1) /* else it has been killed */
        waitpid(terminal.keeper, NULL, 0);
    close(terminal.keeper_pipe);
}

int char_terminal_take(int fd, struct error *error)
{
    if (terminal.taken)
        return error_set(error, -EBUSY, "the terminal can be only one console's");
    if (tcgetattr(fd, &terminal.before) < 0)
        return error_set(error, -errno, "cannot read the terminal's modes: %s", strerror(errno));
    int code = keeper_start(fd);
    if (code)
        return error_set(error, code, "cannot start a process: %s", strerror(-code));
    terminal.fd = fd;
    terminal.owner = getpid();
    terminal.taken = true;
    if (!terminal.registered)
        atexit(char_terminal_give_back);
    terminal.registered = true;

    struct termios raw = terminal.before;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* so that visor's own messages begin at the left */
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    code = terminal_set(&raw);
    if (code) {
        char_terminal_give_back();
        return error_set(error, code, "cannot set the terminal's modes: %s", strerror(-code));
    }
    return 0;
}
