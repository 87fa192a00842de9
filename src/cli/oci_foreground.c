/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci foreground: stays with a container's process: the terminal, signals, and its end. */
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "cli/oci.h"
#include "domain/attend.h"
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

int oci_foreground(struct container_new *made)
{
    struct termios raw, saved;
    bool is_terminal = made->terminal >= 0 && tcgetattr(STDIN_FILENO, &saved) == 0;
    struct attend attend = {
        .pid = made->pid,
        .terminal = made->terminal,
        .streams = {-1, -1, -1}, /* it has ours */
        .input = made->terminal >= 0 ? STDIN_FILENO : -1,
        .output = STDOUT_FILENO,
        .signals = signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK),
    };
    if (is_terminal) {
        raw = saved;
        cfmakeraw(&raw);
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        attend_resize(&attend);
    }
    int status = attend_until_end(&attend);
    if (is_terminal)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
    close(attend.signals);
    return status;
}
