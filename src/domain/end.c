/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "control/qmp_client.h"
#include "domain/control.h"
#include "domain/events.h"
#include "domain/process.h"

#define ANSWER_MS 5000 /* how long a process may take to answer, or to end when it has been told to */

/* Runs a command of the control socket. -ENOENT, -ECONNREFUSED: there is none now. */
static int ask_with(const struct domain *domain, const char *command, json_t *arguments, struct error *error)
{
    struct qmp_client *client;
    char path[PATH_MAX];
    domain_run_path(domain, DOMAIN_CONTROL_FILE, path);
    int code = qmp_client_connect(&client, path, ANSWER_MS, error);
    if (code) {
        json_decref(arguments);
        return code;
    }
    code = qmp_client_execute(client, command, arguments, NULL, error);
    qmp_client_close(client);
    return code;
}

static int ask(const struct domain *domain, const char *command, struct error *error)
{
    return ask_with(domain, command, NULL, error);
}

int domain_resize_console(struct domain *domain, unsigned rows, unsigned columns, struct error *error)
{
    return ask_with(domain, "console-resize",
                    json_pack("{s:I, s:I}", "rows", (json_int_t)rows, "columns", (json_int_t)columns), error);
}

static int wait_for_status(struct qmp_client *client, bool paused, struct error *error)
{
    for (;;) {
        json_t *status = NULL, *event = NULL;
        int code = qmp_client_execute(client, "query-status", NULL, &status, error);
        const bool done = json_is_true(json_object_get(status, "running")) != paused;
        json_decref(status);
        if (code || done)
            return code;
        code = qmp_client_event(client, ANSWER_MS, &event, error);
        json_decref(event);
        if (code)
            return code;
    }
}

int domain_set_paused(struct domain *domain, bool paused, struct error *error)
{
    struct domain_state state;
    struct qmp_client *client;
    char path[PATH_MAX];
    int code = domain_look(domain, &state, error);
    if (code)
        return code;
    if (!domain_state_lives(&state))
        return error_set(error, -ESRCH, "the domain %s does not run", domain->name);
    domain_run_path(domain, DOMAIN_CONTROL_FILE, path);
    code = qmp_client_connect(&client, path, ANSWER_MS, error);
    if (code)
        return code;
    code = qmp_client_execute(client, paused ? "stop" : "cont", NULL, NULL, error);
    if (!code)
        code = wait_for_status(client, paused, error);
    qmp_client_close(client);
    if (code)
        error_prefix(error, "domain %s: ", domain->name);
    return code;
}

/* Whether the process has ended, after at most so many milliseconds; -1: for ever. */
static bool ended(int process, int milliseconds)
{
    struct pollfd wait = {.fd = process, .events = POLLIN};
    int code;
    while ((code = poll(&wait, 1, milliseconds)) < 0 && errno == EINTR) {
    }
    return code > 0;
}

/* A descriptor of its process; -ESRCH: it has none. */
static int process_open(struct domain *domain, struct domain_state *state, struct error *error)
{
    int code = domain_look(domain, state, error);
    if (code)
        return code;
    int fd = domain_state_lives(state) ? process_id_open(&state->process) : -ESRCH;
    return fd < 0 ? error_set(error, fd, "the domain %s does not run", domain->name) : fd;
}

/* Its end is written down, if it could not do so itself. */
static int look_at_end(struct domain *domain, struct error *error)
{
    struct domain_state state;
    int code = domain_look(domain, &state, error);
    return code == -ENOENT ? 0 : code;
}

/* Tells of it, too. */
static int signal_send(const struct domain *domain, int process, int number)
{
    const char *name = sigabbrev_np(number);
    if (pidfd_send_signal(process, number, NULL, 0) < 0)
        return -errno;
    domain_event_put(domain, DOMAIN_EVENT_KILL,
                     name ? json_pack("{s:s}", "signal", name) : json_pack("{s:i}", "signal", number));
    return 0;
}

int domain_stop(struct domain *domain, unsigned seconds, struct error *error)
{
    struct domain_state state;
    int process = process_open(domain, &state, error);
    if (process < 0)
        return process == -ESRCH || process == -ENOENT ? 0 : process;
    if (seconds && state.status == DOMAIN_PAUSED)
        ask(domain, "cont", NULL); /* nobody in it would hear anything */
    if (seconds && ask(domain, "system_powerdown", NULL))
        pidfd_send_signal(process, SIGTERM, NULL, 0); /* it waits to be started again, say */
    bool done = seconds && ended(process, (int)seconds * 1000);
    if (!done && ask(domain, "quit", NULL) == 0)
        done = ended(process, ANSWER_MS);
    if (!done) {
        signal_send(domain, process, SIGKILL);
        ended(process, -1);
    }
    close(process);
    return look_at_end(domain, error);
}

int domain_signal(struct domain *domain, int number, struct error *error)
{
    struct domain_state state;
    int process = process_open(domain, &state, error);
    if (process < 0)
        return process;
    int code = signal_send(domain, process, number);
    if (code)
        error_set(error, code, "cannot send a signal to the domain %s: %s", domain->name, strerror(-code));
    if (!code && number == SIGKILL) {
        ended(process, -1);
        code = look_at_end(domain, error);
    }
    close(process);
    return code;
}

/* The exit status that its process has written down; or that of one that was killed. */
static int status_read(int file)
{
    char text[16] = "";
    return file >= 0 && pread(file, text, sizeof text - 1, 0) > 0 ? atoi(text) : 128 + SIGKILL;
}

int domain_wait(struct domain *domain, int *status, struct error *error)
{
    struct domain_state state;
    /* Opened twice: before it can be removed, and that of this run, should it just have begun. */
    int file = openat(domain->directory, DOMAIN_EXIT_FILE, O_RDONLY | O_CLOEXEC);
    int process = process_open(domain, &state, error);
    int newer = openat(domain->directory, DOMAIN_EXIT_FILE, O_RDONLY | O_CLOEXEC);
    if (newer >= 0) {
        if (file >= 0)
            close(file);
        file = newer;
    }
    int code = process < 0 && process != -ESRCH ? process : 0;
    if (process >= 0) {
        ended(process, -1);
        close(process);
        code = look_at_end(domain, error);
        *status = status_read(file);
    } else if (!code && domain_state_lives(&state)) { /* it has just ended */
        code = look_at_end(domain, error);
        *status = status_read(file);
    } else if (!code) {
        *status = state.end.status;
        if (!state.finished)
            code = error_set(error, -ESRCH, "the domain %s has never run", domain->name);
    }
    if (file >= 0)
        close(file);
    return code;
}
