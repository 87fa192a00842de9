/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/char/terminal.h"

struct relay {
    int master, terminal; /* the terminal by a descriptor of our own: it does not block, those of others do */
    struct loop_watch *from_master, *from_terminal;
};

bool relay_is_possible(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && char_terminal_is_ours(STDIN_FILENO, getpgrp());
}

/* Waits for who takes it. */
static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            poll(&wait, 1, -1);
        } else if (done < 0 && errno != EINTR) {
            return false;
        }
        data += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* False: nothing will come from there any more. */
static bool copy(int from, int to)
{
    char data[16384];
    ssize_t size = read(from, data, sizeof data);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    return size > 0 && write_all(to, data, (size_t)size);
}

static void master_says(void *opaque, unsigned events)
{
    struct relay *relay = opaque;
    (void)events;
    if (!copy(relay->master, STDOUT_FILENO))
        loop_watch_change(relay->from_master, 0);
}

static void terminal_says(void *opaque, unsigned events)
{
    struct relay *relay = opaque;
    (void)events;
    if (!copy(relay->terminal, relay->master))
        loop_watch_change(relay->from_terminal, 0);
}

void relay_resize(struct relay *relay)
{
    struct winsize size;
    if (ioctl(relay->terminal, TIOCGWINSZ, &size) == 0)
        ioctl(relay->master, TIOCSWINSZ, &size);
}

int relay_new(struct relay **out, struct loop *loop, int master, struct error *error)
{
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return error_set(error, -ENOMEM, "out of memory");
    relay->master = master;
    relay->terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int code =
        relay->terminal < 0 ? error_set(error, -errno, "cannot open /dev/tty: %s", strerror(errno)) : 0;
    if (!code)
        relay_resize(relay);
    if (!code)
        code = char_terminal_take(STDIN_FILENO, error);
    if (!code) {
        relay->from_master = loop_watch_add(loop, master, LOOP_READ, master_says, relay, error);
        relay->from_terminal = loop_watch_add(loop, relay->terminal, LOOP_READ, terminal_says, relay, error);
        code = relay->from_master && relay->from_terminal ? 0 : -ENOMEM;
    }
    if (code) {
        relay_free(relay);
        return code;
    }
    *out = relay;
    return 0;
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    struct pollfd rest = {.fd = relay->master, .events = POLLIN};
    while (poll(&rest, 1, 0) > 0 && rest.revents & POLLIN && copy(relay->master, STDOUT_FILENO))
        ;
    if (relay->from_master)
        loop_watch_remove(relay->from_master);
    if (relay->from_terminal)
        loop_watch_remove(relay->from_terminal);
    char_terminal_give_back();
    if (relay->terminal >= 0)
        close(relay->terminal);
    free(relay);
}
