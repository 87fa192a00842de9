/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach and console: this terminal as a domain's console. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char/host.h"
#include "backend/char/terminal.h"
#include "base/unix_socket.h"
#include "cli/attach.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/end.h"
#include "domain/process.h"

static const struct command_option options[] = {
    {.name = "escape", .argument = "KEY", .help = "What leaves the console: ^], ^A or another; or none; ^]"},
    {0},
};

static struct char_options console = {.escape = CHAR_ESCAPE_DEFAULT};

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    char text[32];
    (void)context;
    (void)index;
    snprintf(text, sizeof text, "stdio,escape=%s", argument);
    return char_options_parse(&console, text, error);
}

static bool write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno != EINTR)
            return false;
        data += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* What was typed. False: it was the key that leaves. */
static bool send_input(int fd, const char *data, size_t size, bool is_terminal)
{
    const char *escape = is_terminal && console.escape ? memchr(data, console.escape, size) : NULL;
    write_all(fd, data, escape ? (size_t)(escape - data) : size);
    return !escape;
}

/* A console that is a terminal gets the size of this one; others have none. */
static void pass_size(struct domain *domain)
{
    struct winsize size;
    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
        domain_resize_console(domain, size.ws_row, size.ws_col, NULL);
}

/* False: the signal is the end. */
static bool took_signal(struct domain *domain, int signals, bool is_terminal)
{
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != sizeof info || info.ssi_signo != SIGWINCH)
        return false;
    if (is_terminal)
        pass_size(domain);
    return true;
}

/* True: the domain has closed its console; false: its user has left it. */
static bool talk(struct domain *domain, int fd, int signals, bool is_terminal)
{
    struct pollfd wait[3] = {{.fd = fd, .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = signals, .events = POLLIN}};
    char data[16384];
    for (;;) {
        if (poll(wait, 3, -1) < 0 && errno != EINTR)
            return false;
        if (wait[2].revents && !took_signal(domain, signals, is_terminal))
            return false;
        if (wait[0].revents) {
            ssize_t size = read(fd, data, sizeof data);
            if (size <= 0)
                return true;
            if (!write_all(STDOUT_FILENO, data, (size_t)size))
                return false;
        }
        if (wait[1].revents) {
            ssize_t size = read(STDIN_FILENO, data, sizeof data);
            if (size <= 0)
                wait[1].fd = -1; /* it only listens from now on */
            else if (!send_input(fd, data, (size_t)size, is_terminal))
                return false;
        }
    }
}

static int signals_take(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGWINCH);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int connect_console(struct domain *domain, struct error *error)
{
    struct domain_state state;
    char path[PATH_MAX];
    int code = domain_look(domain, &state, error);
    if (code)
        return code;
    if (!domain_state_lives(&state)) {
        error_set(error, -ESRCH, "the domain %s does not run", domain->name);
        error_hint(error, "visor start %s", domain->name);
        return -ESRCH;
    }
    domain_run_path(domain, DOMAIN_CONSOLE_FILE, path);
    int fd = unix_socket_connect(path, 5000, error);
    if (fd == -ENOENT)
        error_set(error, fd, "the console of %s is on the terminal that it was started from", domain->name);
    return fd;
}

int console_attach(struct domain *domain, bool wants_status, struct error *error)
{
    int status = STATUS_OK, fd = connect_console(domain, error);
    if (fd < 0)
        return fd;
    const bool is_terminal = isatty(STDIN_FILENO) && char_terminal_is_ours(STDIN_FILENO, getpgrp());
    int code = 0, signals = signals_take();
    if (is_terminal && console.escape)
        fprintf(stderr, "visor: this is the console of %s; Ctrl-%c leaves it\n", domain->name,
                console.escape + '@');
    if (is_terminal)
        code = char_terminal_take(STDIN_FILENO, error);
    if (is_terminal && !code)
        pass_size(domain);
    bool ended = !code && talk(domain, fd, signals, is_terminal);
    if (is_terminal)
        char_terminal_give_back();
    close(fd);
    close(signals);
    if (is_terminal)
        fprintf(stderr, "\n");
    if (ended && wants_status && !code)
        code = domain_wait(domain, &status, error);
    return code ? code : status;
}

static int run_console(const char *command, bool wants_status, int count, char **words)
{
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    if (count > 1) {
        fprintf(stderr, "visor: %s: name one domain\n  hint: visor %s NAME\n", command, command);
        return STATUS_USAGE;
    }
    int status = domain_one_open(command, &store, &domain, words[0]);
    if (status)
        return status;
    int code = console_attach(&domain, wants_status, &error);
    domain_close(&domain);
    domain_store_close(&store);
    if (code >= 0)
        return code;
    error_report(&error);
    return STATUS_FAILED;
}

static int run_attach(void *context, int count, char **words)
{
    (void)context;
    return run_console("attach", true, count, words);
}

static int run_console_command(void *context, int count, char **words)
{
    (void)context;
    return run_console("console", false, count, words);
}

const struct command command_attach = {
    .name = "attach",
    .arguments = "NAME",
    .domains = true,
    .summary = "Makes this terminal a domain's console until its end, whose exit status it takes",
    .details = "Ctrl-] leaves the console; the domain goes on.\n",
    .options = options,
    .option = set_option,
    .run = run_attach,
};

const struct command command_console = {
    .name = "console",
    .arguments = "NAME",
    .domains = true,
    .summary = "Makes this terminal a domain's console",
    .details = "Ctrl-] leaves the console; the domain goes on.\n",
    .options = options,
    .option = set_option,
    .run = run_console_command,
};
