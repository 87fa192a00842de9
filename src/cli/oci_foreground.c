/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci foreground: stays with a container's process: the terminal, signals, and its end. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/oci.h"
#include "personality/container/container.h"

static sigset_t held, before;

void oci_hold_signals(void)
{
    sigfillset(&held);
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL,  SIGFPE,  SIGTRAP,
                              SIGABRT, SIGSYS, SIGTSTP, SIGTTIN, SIGTTOU};
    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&held, own[i]);
    sigprocmask(SIG_BLOCK, &held, &before);
}

/* Copies what is there now. False: this direction has ended. */
static bool relay(int from, int to)
{
    char bytes[4096];
    ssize_t size = read(from, bytes, sizeof bytes);
    if (size < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    for (ssize_t done = 0; done < size;) {
        ssize_t wrote = write(to, bytes + done, (size_t)(size - done));
        if (wrote < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        done += wrote > 0 ? wrote : 0;
    }
    return size > 0;
}

static void copy_size(int terminal)
{
    struct winsize size;
    if (terminal >= 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0)
        ioctl(terminal, TIOCSWINSZ, &size);
}

/* True: the process has ended, with *status. */
static bool take_signals(int signals, const struct container_new *made, int *status)
{
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGWINCH)
            copy_size(made->terminal);
        else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE && info.ssi_signo != SIGURG)
            kill(made->pid, (int)info.ssi_signo);
    }
    return waitpid(made->pid, status, WNOHANG) == made->pid;
}

static void watch(int signals, const struct container_new *made, int *status)
{
    struct pollfd watches[] = {
        {.fd = signals, .events = POLLIN},
        {.fd = made->terminal, .events = POLLIN},
        {.fd = made->terminal >= 0 ? STDIN_FILENO : -1, .events = POLLIN},
    };
    while (waitpid(made->pid, status, WNOHANG) == 0) {
        if (poll(watches, 3, -1) < 0)
            continue;
        if (watches[1].revents && !relay(made->terminal, STDOUT_FILENO))
            watches[1].fd = -1;
        if (watches[2].revents && !relay(STDIN_FILENO, made->terminal))
            watches[2].fd = -1;
        if (watches[0].revents && take_signals(signals, made, status))
            break;
    }
    /* what it has written last */
    while (watches[1].fd >= 0 && poll(&watches[1], 1, 0) > 0 && relay(made->terminal, STDOUT_FILENO))
        ;
}

int oci_foreground(struct container_new *made)
{
    struct termios raw, saved;
    bool is_terminal = made->terminal >= 0 && tcgetattr(STDIN_FILENO, &saved) == 0;
    if (is_terminal) {
        raw = saved;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        copy_size(made->terminal);
    }
    int status = 0;
    int signals = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK);
    watch(signals, made, &status);
    if (is_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    close(signals);
    if (made->terminal >= 0)
        close(made->terminal);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
