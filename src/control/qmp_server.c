/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp_server: sockets and clients. A client's end is freed only where nobody is in the middle of it: at the
 * end of its own callback, or in the server's `work`; all else marks it as dead.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "control/qmp_private.h"

/* A client that has so much to read first is not asked for more. */
#define OUTPUT_ENOUGH (64u * 1024)

#define BACKLOG 32

static const struct qmp_limits limits = {
    .bytes = QMP_MESSAGE_MAX, .values = QMP_VALUES_MAX, .depth = QMP_DEPTH_MAX};

static void client_watch(struct qmp_client_end *client);
static void hang_up(int fd);

/* -- output ---------------------------------------------------------------------------------------------- */

static size_t output_waiting(const struct qmp_client_end *client)
{
    return client->output.size - client->output_sent;
}

static void client_die(struct qmp_client_end *client)
{
    client->dead = true;
    loop_post(client->server->loop, &client->server->work);
}

/* Sends what the socket takes. */
static void client_flush(struct qmp_client_end *client)
{
    while (!client->dead && output_waiting(client)) {
        ssize_t size = send(client->fd, client->output.data + client->output_sent, output_waiting(client),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size >= 0)
            client->output_sent += (size_t)size;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            client_die(client);
    }
    if (!output_waiting(client)) {
        client->output_sent = 0;
        client->output.size = 0;
        if (client->output.capacity > OUTPUT_ENOUGH)
            buffer_free(&client->output);
    }
}

void qmp_client_end_send(struct qmp_client_end *client, json_t *message)
{
    char *text = message ? json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(message);
    if (!text || client->dead) {
        free(text);
        client_die(client);
        return;
    }
    if (client->output_sent) { /* bytes that nobody needs any more make room */
        memmove(client->output.data, client->output.data + client->output_sent, output_waiting(client));
        client->output.size -= client->output_sent;
        client->output_sent = 0;
    }
    buffer_append(&client->output, text, strlen(text));
    buffer_append(&client->output, "\r\n", 2);
    free(text);
    client_flush(client);
    if (client->output.failed || output_waiting(client) > QMP_OUTPUT_MAX)
        client_die(client);
    client_watch(client);
}

/* -- input ----------------------------------------------------------------------------------------------- */

static bool client_may_run(const struct qmp_client_end *client)
{
    return !client->dead && !client->call && output_waiting(client) < OUTPUT_ENOUGH;
}

/* Runs what there is, until the client must wait. */
static void client_process(struct qmp_client_end *client)
{
    while (client_may_run(client) && client->input_taken < client->input_size) {
        struct error error = ERROR_INIT;
        size_t taken;
        enum qmp_frame_state state = qmp_frame_take(&client->frame, client->input + client->input_taken,
                                                    client->input_size - client->input_taken, &taken, &error);
        client->input_taken += taken;
        if (state == QMP_FRAME_OBJECT)
            qmp_dispatch(client);
        else if (state == QMP_FRAME_BAD)
            qmp_client_end_send(client, qmp_error(QMP_GENERIC_ERROR, &error, NULL));
    }
    if (client->ended && !client->call && client->input_taken == client->input_size &&
        !output_waiting(client))
        client_die(client);
}

/* Of the descriptors that came with a message the first is kept, for the next command that takes one. */
static void client_take_descriptors(struct qmp_client_end *client, struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            int *place = i ? &fd : &client->passed;
            if (*place >= 0)
                close(*place);
            if (!i)
                client->passed = fd;
        }
    }
}

static void client_receive(struct qmp_client_end *client)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec iov = {client->input, sizeof client->input};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (client->ended || client->input_taken < client->input_size)
        return;
    ssize_t size = recvmsg(client->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size >= 0)
        client_take_descriptors(client, &message);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 0) {
        client_die(client);
        return;
    }
    client->ended = !size;
    client->input_taken = 0;
    client->input_size = (size_t)size;
}

/* Waits for what the client may do next. */
static void client_watch(struct qmp_client_end *client)
{
    const bool reads = client_may_run(client) && !client->ended && client->input_taken == client->input_size;
    if (!client->dead)
        loop_watch_change(client->watch, (reads ? LOOP_READ : 0) | (output_waiting(client) ? LOOP_WRITE : 0));
}

static void client_free(struct qmp_client_end *client)
{
    struct qmp_server *server = client->server;
    struct qmp_client_end **link = &server->clients;
    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    server->client_count--;
    if (client->call)
        client->call->client = NULL;
    loop_watch_remove(client->watch);
    hang_up(client->fd);
    if (client->passed >= 0)
        close(client->passed);
    qmp_frame_free(&client->frame);
    buffer_free(&client->output);
    struct qmp_leave *leaves = client->leaves;
    free(client);
    for (struct qmp_leave *next; leaves; leaves = next) {
        next = leaves->next;
        leaves->gone(leaves->opaque);
    }
}

static void client_ready(void *opaque, unsigned events)
{
    struct qmp_client_end *client = opaque;
    if (client->dead)
        return;
    if (events & LOOP_WRITE)
        client_flush(client);
    if (events & LOOP_READ)
        client_receive(client);
    client_process(client);
    client_watch(client);
}

/* Clients that must go, and those whose commands can go on. */
static void server_work(void *opaque)
{
    struct qmp_server *server = opaque;
    for (struct qmp_client_end *client = server->clients, *next; client; client = next) {
        client_process(client);
        next = client->next;
        if (client->dead)
            client_free(client);
        else
            client_watch(client);
    }
}

/* -- clients come ---------------------------------------------------------------------------------------- */

/* Takes the descriptor over. */
static int client_new(struct qmp_server *server, int fd, struct error *error)
{
    struct qmp_client_end *client = calloc(1, sizeof *client);
    if (!client) {
        close(fd);
        return error_set(error, -ENOMEM, "out of memory for a client");
    }
    client->watch = loop_watch_add(server->loop, fd, LOOP_READ, client_ready, client, error);
    if (!client->watch) {
        int code = error ? error->code : -ENOMEM;
        close(fd);
        free(client);
        return code;
    }
    client->server = server;
    client->fd = fd;
    client->passed = -1;
    qmp_frame_init(&client->frame, limits);
    client->next = server->clients;
    server->clients = client;
    server->client_count++;
    qmp_client_end_send(client, qmp_greeting());
    return 0;
}

/* Of the user who has made the server, or root. */
static bool is_trusted(const struct qmp_server *server, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && (peer.uid == server->user || !peer.uid);
}

/* What was sent and not read would make the other end's kernel forget what it has not read. */
static void hang_up(int fd)
{
    char rest[4096];
    shutdown(fd, SHUT_RD);
    while (recv(fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
    close(fd);
}

/* There is always room in the socket for one line. */
static void refuse(int fd, const char *reason)
{
    struct error error = ERROR_INIT;
    error_set(&error, -EUSERS, "%s", reason);
    json_t *message = qmp_error(QMP_GENERIC_ERROR, &error, NULL);
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
    json_decref(message);
    if (text && send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        send(fd, "\r\n", 2, MSG_DONTWAIT | MSG_NOSIGNAL);
    free(text);
    hang_up(fd);
}

static const char too_many[] = "the control socket has enough clients";

static int accept_one(const struct qmp_listener *listener)
{
    return accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static int spare_make(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* No more descriptors: the one that was kept for this lets the client be told. */
static void accept_without_room(const struct qmp_listener *listener)
{
    struct qmp_server *server = listener->server;
    close(server->spare_fd);
    int fd = accept_one(listener);
    if (fd >= 0)
        refuse(fd, "the process has no more descriptors");
    server->spare_fd = spare_make(listener->fd);
    if (server->spare_fd < 0) /* somebody was faster; rather none than a loop that spins */
        loop_watch_change(listener->watch, 0);
}

static void server_accept(void *opaque, unsigned events)
{
    const struct qmp_listener *listener = opaque;
    struct qmp_server *server = listener->server;
    (void)events;
    int fd = accept_one(listener);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE)
            accept_without_room(listener);
        return;
    }
    if (!is_trusted(server, fd))
        close(fd);
    else if (server->client_count >= QMP_CLIENTS_MAX)
        refuse(fd, too_many);
    else
        client_new(server, fd, NULL);
}

int qmp_server_adopt(struct qmp_server *server, int fd, struct error *error)
{
    if (server->client_count < QMP_CLIENTS_MAX)
        return client_new(server, fd, error);
    refuse(fd, too_many);
    return error_set(error, -EUSERS, "%s", too_many);
}

int qmp_server_listen_fd(struct qmp_server *server, int fd, struct error *error)
{
    struct qmp_listener *listener = &server->listeners[server->listener_count];
    if (server->listener_count == QMP_LISTENERS_MAX)
        return error_set(error, -EBUSY, "there are %d control sockets already", QMP_LISTENERS_MAX);
    if (server->spare_fd < 0)
        server->spare_fd = spare_make(fd);
    if (server->spare_fd < 0)
        return error_set(error, -errno, "cannot listen for commands: %s", strerror(errno));
    *listener = (struct qmp_listener){.server = server, .fd = fd};
    listener->watch = loop_watch_add(server->loop, fd, LOOP_READ, server_accept, listener, error);
    if (!listener->watch)
        return -ENOMEM;
    server->listener_count++;
    return 0;
}

int qmp_server_listen(struct qmp_server *server, const char *path, struct error *error)
{
    int fd = unix_socket_listen(path, 0600, BACKLOG, error);
    if (fd < 0)
        return fd;
    char *copy = strdup(path);
    int code = copy ? qmp_server_listen_fd(server, fd, error) : error_set(error, -ENOMEM, "out of memory");
    if (!code) {
        server->listeners[server->listener_count - 1].path = copy;
        return 0;
    }
    free(copy);
    unlink(path);
    close(fd);
    return code;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

int qmp_server_new(struct qmp_server **out, struct loop *loop, struct error *error)
{
    struct qmp_server *server = calloc(1, sizeof *server);
    if (!server)
        return error_set(error, -ENOMEM, "out of memory for a control server");
    server->loop = loop;
    server->user = geteuid();
    server->spare_fd = server->timer_fd = -1;
    server->work = (struct loop_call){.function = server_work, .opaque = server};
    server->tables[server->table_count++] = (struct qmp_entry){&qmp_builtin, server};
    *out = server;
    return 0;
}

/* Whether a name is there. */
static bool has_command(const struct qmp_server *server, const char *name)
{
    void *opaque;
    return qmp_command_find(server, name, &opaque) != NULL;
}

int qmp_server_add(struct qmp_server *server, const struct qmp_table *table, void *opaque,
                   struct error *error)
{
    const struct qmp_command *command = table->commands;
    const struct qmp_event *event = table->events;
    if (server->table_count == QMP_TABLES_MAX)
        return error_set(error, -ENOSPC, "more than %d tables of commands", QMP_TABLES_MAX);
    for (; command && command->name; command++) {
        if (has_command(server, command->name))
            return error_set(error, -EEXIST, "there is a command %s already", command->name);
    }
    for (; event && event->name; event++) {
        if (qmp_event_find(server, event->name))
            return error_set(error, -EEXIST, "there is an event %s already", event->name);
    }
    server->tables[server->table_count++] = (struct qmp_entry){table, opaque};
    return 0;
}

unsigned qmp_server_clients(const struct qmp_server *server)
{
    return server->client_count;
}

void qmp_server_free(struct qmp_server *server)
{
    if (!server)
        return;
    while (server->clients) {
        client_flush(server->clients);
        client_free(server->clients);
    }
    for (struct qmp_call *call = server->calls; call; call = call->next)
        call->server = NULL;
    qmp_events_free(server);
    for (unsigned i = 0; i < server->listener_count; i++) {
        loop_watch_remove(server->listeners[i].watch);
        close(server->listeners[i].fd);
        if (server->listeners[i].path)
            unlink(server->listeners[i].path);
        free(server->listeners[i].path);
    }
    if (server->spare_fd >= 0)
        close(server->spare_fd);
    loop_cancel(server->loop, &server->work);
    free(server);
}
