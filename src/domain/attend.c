/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/attend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK        16384
#define END_OF_INPUT 4
#define REST         64 /* chunks: what a pipe has when its writer ends is less, and others may write for ever */

struct input {
    char data[CHUNK]; /* read, and from `sent` on not yet taken */
    size_t size, sent;
};

struct source {
    int *end; /* closed if nobody hears it any more, so that who writes is told; -1: it is closed */
    int to;
    bool silent;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Waits for who takes it. */
static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t done = write(fd, data, size);
        struct pollfd look = {.fd = fd, .events = POLLOUT};
        if (done < 0 && errno == EAGAIN)
            poll(&look, 1, -1);
        else if (done < 0 && errno != EINTR)
            return false;
        data += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* False: there is no more for now, or for good. A terminal stays open: its program may open it again. */
static bool hear(struct source *source)
{
    char data[CHUNK];
    if (source->silent || *source->end < 0)
        return false;
    ssize_t size = read(*source->end, data, sizeof data);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    source->silent = size <= 0;
    if (size > 0 && !write_all(source->to, data, (size_t)size))
        close_end(source->end);
    return size > 0;
}

static void read_input(struct attend *attend, struct input *input)
{
    ssize_t size = read(attend->input, input->data, sizeof input->data);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    input->size = size > 0 ? (size_t)size : 0;
    input->sent = 0;
    if (size > 0)
        return;
    attend->input = -1;
    if (attend->end && attend->terminal >= 0)
        input->data[input->size++] = END_OF_INPUT;
}

/* A terminal is not hung up because nobody types any more. */
static void send_input(struct attend *attend, struct input *input)
{
    int *to = attend->terminal >= 0 ? &attend->terminal : &attend->streams[0];
    ssize_t size = write(*to, input->data + input->sent, input->size - input->sent);
    if (size < 0 && errno != EAGAIN && errno != EINTR) {
        attend->input = -1;
        input->sent = input->size;
        close_end(&attend->streams[0]);
    }
    input->sent += size > 0 ? (size_t)size : 0;
}

void attend_resize(const struct attend *attend)
{
    struct winsize size;
    if (attend->terminal >= 0 && attend->input >= 0 && ioctl(attend->input, TIOCGWINSZ, &size) == 0)
        ioctl(attend->terminal, TIOCSWINSZ, &size);
}

static void take_signals(const struct attend *attend)
{
    struct signalfd_siginfo info;
    while (read(attend->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGWINCH)
            attend_resize(attend);
        else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE && info.ssi_signo != SIGURG)
            kill(attend->pid, (int)info.ssi_signo);
    }
}

/* False: it has ended. */
static bool turn(struct attend *attend, struct source sources[3], struct input *input, int process)
{
    const int to = attend->terminal >= 0 ? attend->terminal : attend->streams[0];
    const bool waits = input->sent < input->size;
    struct pollfd looks[] = {
        {.fd = process, .events = POLLIN},
        {.fd = attend->signals, .events = POLLIN},
        {.fd = sources[0].silent ? -1 : *sources[0].end, .events = POLLIN},
        {.fd = sources[1].silent ? -1 : *sources[1].end, .events = POLLIN},
        {.fd = sources[2].silent ? -1 : *sources[2].end, .events = POLLIN},
        {.fd = waits || to < 0 ? -1 : attend->input, .events = POLLIN},
        {.fd = waits ? to : -1, .events = POLLOUT},
    };
    if (!waits && attend->input < 0)
        close_end(&attend->streams[0]); /* the end of its input */
    if (poll(looks, sizeof looks / sizeof looks[0], -1) < 0)
        return true;
    if (looks[1].revents)
        take_signals(attend);
    for (unsigned i = 0; i < 3; i++) {
        if (looks[2 + i].revents)
            hear(&sources[i]);
    }
    if (looks[5].revents)
        read_input(attend, input);
    if (looks[6].revents && to >= 0)
        send_input(attend, input);
    return !looks[0].revents;
}

static void set_nonblocking(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int attend_until_end(struct attend *attend)
{
    struct input input = {0};
    int status = 0, process = pidfd_open(attend->pid, 0);
    struct source sources[] = {{.end = &attend->terminal, .to = attend->output},
                               {.end = &attend->streams[1], .to = attend->output},
                               {.end = &attend->streams[2], .to = attend->errors}};
    set_nonblocking(attend->terminal);
    for (unsigned i = 0; i < 3; i++)
        set_nonblocking(attend->streams[i]);
    while (process >= 0 && turn(attend, sources, &input, process))
        ;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < REST && hear(&sources[i]); j++)
            ;
    }
    while (waitpid(attend->pid, &status, 0) < 0 && errno == EINTR)
        ;
    close_end(&attend->terminal);
    for (unsigned i = 0; i < 3; i++)
        close_end(&attend->streams[i]);
    if (process >= 0)
        close(process);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
