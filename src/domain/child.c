/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int child_no_input(int *end, struct error *error)
{
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    close(pipe[1]);
    *end = pipe[0];
    return 0;
}

int child_streams_make(struct domain_run *run, int ends[3], struct error *error)
{
    static const char *const names[DOMAIN_OUTPUTS] = {"stdout", "stderr"};
    int code = child_no_input(&ends[0], error);
    if (code)
        return code;
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) {
        int pipe[2];
        if (pipe2(pipe, O_CLOEXEC) < 0)
            return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
        run->outputs[i] = (struct domain_output){.fd = pipe[0], .name = names[i]};
        ends[1 + i] = pipe[1];
    }
    return 0;
}

void child_streams_close(int ends[3])
{
    for (unsigned i = 0; i < 3; i++) {
        if (ends[i] >= 0)
            close(ends[i]);
        ends[i] = -1;
    }
}

int child_resize(int master, unsigned rows, unsigned columns, struct error *error)
{
    const struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    if (ioctl(master, TIOCSWINSZ, &size) == 0)
        return 0;
    return error_set(error, master < 0 ? -ENOTTY : -errno, "there is no terminal that could have a size");
}

void child_wait(pid_t pid, const struct domain_run *run, struct domain_end *end)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    *end = (struct domain_end){.status = WEXITSTATUS(status), .reason = "exited", .asked = run->asked};
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status));
        end->status = 128 + WTERMSIG(status);
        snprintf(end->reason, sizeof end->reason, "signal %s", name ? name : "of real time");
    }
    end->failed = end->status != 0;
}
