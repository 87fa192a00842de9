/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/unix_socket.h"

#define PIECE_SIZE 16384
#define INPUT_SIZE 4096

struct console_client {
    struct domain_console *console;
    int fd; /* -1: free */
    struct loop_watch *watch;
};

struct console_source {
    struct domain_console *console;
    struct domain_output output; /* no descriptor: none */
    struct loop_watch *watch;
};

struct domain_console {
    struct loop *loop;
    struct domain_log *log;
    struct console_source sources[DOMAIN_OUTPUTS];
    int into, listener; /* -1: none */
    struct loop_watch *into_watch, *listener_watch;
    char *path;
    struct console_client clients[DOMAIN_CONSOLE_CLIENTS];
    uint8_t input[INPUT_SIZE]; /* for the domain, which has not taken it yet */
    size_t input_size;
};

/* Without the loop there are no watches. */
static void watch_change(struct loop_watch *watch, unsigned events)
{
    if (watch)
        loop_watch_change(watch, events);
}

static void watch_remove(struct loop_watch **watch)
{
    if (*watch)
        loop_watch_remove(*watch);
    *watch = NULL;
}

/* -- from those who are connected ------------------------------------------------------------------------ */

static void client_close(struct console_client *client)
{
    if (client->fd < 0)
        return;
    watch_remove(&client->watch);
    close(client->fd);
    client->fd = -1;
    watch_change(client->console->listener_watch, LOOP_READ);
}

/* Clients are listened to when the domain has taken what they have said. */
static void clients_listen(struct domain_console *console, bool on)
{
    for (unsigned i = 0; i < DOMAIN_CONSOLE_CLIENTS; i++) {
        if (console->clients[i].fd >= 0)
            watch_change(console->clients[i].watch, on ? LOOP_READ | LOOP_HANGUP : 0);
    }
}

static void input_send(struct domain_console *console)
{
    ssize_t done = console->input_size && console->into >= 0
                       ? write(console->into, console->input, console->input_size)
                       : (ssize_t)console->input_size;
    if (done < 0 && errno != EAGAIN && errno != EINTR)
        done = (ssize_t)console->input_size; /* nobody will take it */
    if (done > 0) {
        console->input_size -= (size_t)done;
        memmove(console->input, console->input + done, console->input_size);
    }
    clients_listen(console, !console->input_size);
    watch_change(console->into_watch, console->input_size ? LOOP_WRITE : 0);
}

static void client_ready(void *opaque, unsigned events)
{
    struct console_client *client = opaque;
    struct domain_console *console = client->console;
    (void)events;
    ssize_t size = recv(client->fd, console->input + console->input_size, INPUT_SIZE - console->input_size,
                        MSG_DONTWAIT);
    if (size > 0) {
        console->input_size += (size_t)size;
        input_send(console);
    } else if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        client_close(client);
    }
}

static void client_came(void *opaque, unsigned events)
{
    struct domain_console *console = opaque;
    struct console_client *client = console->clients;
    (void)events;
    while (client < console->clients + DOMAIN_CONSOLE_CLIENTS && client->fd >= 0)
        client++;
    if (client == console->clients + DOMAIN_CONSOLE_CLIENTS) { /* until somebody goes */
        watch_change(console->listener_watch, 0);
        return;
    }
    client->fd = accept4(console->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client->fd < 0)
        return;
    client->watch =
        loop_watch_add(console->loop, client->fd, console->input_size ? 0 : LOOP_READ | LOOP_HANGUP,
                       client_ready, client, NULL);
    if (!client->watch) {
        close(client->fd);
        client->fd = -1;
    }
}

/* -- from the domain ------------------------------------------------------------------------------------- */

/* One piece. False: there is none now. */
static bool output_take(struct console_source *source)
{
    struct domain_console *console = source->console;
    uint8_t data[PIECE_SIZE];
    ssize_t size = source->output.fd < 0 ? 0 : read(source->output.fd, data, sizeof data);
    if (size <= 0) {
        if (size == 0 || (errno != EAGAIN && errno != EINTR))
            watch_change(source->watch, 0); /* it has closed its console */
        return false;
    }
    domain_log_write(console->log, source->output.name, data, (size_t)size);
    for (unsigned i = 0; i < DOMAIN_CONSOLE_CLIENTS; i++) {
        struct console_client *client = &console->clients[i];
        if (client->fd >= 0 && send(client->fd, data, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
            errno != EAGAIN && errno != EINTR)
            client_close(client);
    }
    return true;
}

static void output_ready(void *opaque, unsigned events)
{
    (void)events;
    output_take(opaque);
}

static void into_ready(void *opaque, unsigned events)
{
    (void)events;
    input_send(opaque);
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static int console_listen(struct domain_console *console, const char *path, struct error *error)
{
    console->listener = unix_socket_listen(path, 0600, 8, error);
    if (console->listener < 0)
        return console->listener;
    console->path = strdup(path);
    console->listener_watch =
        loop_watch_add(console->loop, console->listener, LOOP_READ, client_came, console, error);
    return console->listener_watch && console->path ? 0 : -ENOMEM;
}

static int console_watch(struct domain_console *console, struct error *error)
{
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) {
        struct console_source *source = &console->sources[i];
        if (source->output.fd < 0)
            continue;
        source->watch =
            loop_watch_add(console->loop, source->output.fd, LOOP_READ, output_ready, source, error);
        if (!source->watch)
            return -ENOMEM;
    }
    if (console->into >= 0) {
        console->into_watch = loop_watch_add(console->loop, console->into, 0, into_ready, console, error);
        if (!console->into_watch)
            return -ENOMEM;
    }
    return 0;
}

int domain_console_new(struct domain_console **out, struct domain_run *run, struct domain_log *log,
                       const char *path, struct error *error)
{
    struct domain_console *console = calloc(1, sizeof *console);
    if (!console)
        return error_set(error, -ENOMEM, "out of memory");
    *console = (struct domain_console){.loop = run->loop, .log = log, .into = run->input, .listener = -1};
    for (unsigned i = 0; i < DOMAIN_CONSOLE_CLIENTS; i++)
        console->clients[i] = (struct console_client){.console = console, .fd = -1};
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) {
        console->sources[i] = (struct console_source){.console = console, .output = run->outputs[i]};
        run->outputs[i].fd = -1;
    }
    run->input = -1;
    int code = console_watch(console, error);
    if (!code)
        code = console_listen(console, path, error);
    if (code) {
        domain_console_free(console);
        return code;
    }
    *out = console;
    return 0;
}

void domain_console_detach(struct domain_console *console)
{
    if (!console)
        return;
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) {
        while (output_take(&console->sources[i])) {
        }
        watch_remove(&console->sources[i].watch);
    }
    for (unsigned i = 0; i < DOMAIN_CONSOLE_CLIENTS; i++)
        watch_remove(&console->clients[i].watch);
    watch_remove(&console->listener_watch);
    watch_remove(&console->into_watch);
}

void domain_console_free(struct domain_console *console)
{
    if (!console)
        return;
    domain_console_detach(console);
    for (unsigned i = 0; i < DOMAIN_CONSOLE_CLIENTS; i++)
        client_close(&console->clients[i]);
    if (console->listener >= 0)
        close(console->listener);
    if (console->path)
        unlink(console->path);
    for (unsigned i = 0; i < DOMAIN_OUTPUTS; i++) {
        if (console->sources[i].output.fd == console->into)
            console->into = -1;
        if (console->sources[i].output.fd >= 0)
            close(console->sources[i].output.fd);
    }
    if (console->into >= 0)
        close(console->into);
    free(console->path);
    free(console);
}
