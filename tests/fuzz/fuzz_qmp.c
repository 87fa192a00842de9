/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client that says anything to a QMP server, which has commands of all kinds of arguments, answers at once
 * and later, and events; what it answers must be JSON, a line each. Or, by the first byte, a server that says
 * anything to the client library. The second byte is how much is said at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "control/qmp_client.h"
#include "control/qmp_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* -- what is served -------------------------------------------------------------------------------------- */

static int echo(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)call, (void)error;
    *result = json_deep_copy(arguments);
    return 0;
}

static int refuse(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    const char *text = json_string_value(json_object_get(arguments, "text"));
    (void)result;
    qmp_call_set_class(call, QMP_DEVICE_NOT_FOUND);
    qmp_server_event(qmp_call_server(call), "RARE", json_pack("{s:i}", "number", 1));
    return error_set(error, -ENODEV, "no %s", text ? text : "device");
}

struct later {
    struct loop_call call;
    struct qmp_call *answer;
};

static void answer(void *opaque)
{
    struct later *later = opaque;
    qmp_call_return(later->answer, json_pack("{s:i}", "number", 2));
    free(later);
}

static int later(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    struct later *later = calloc(1, sizeof *later);
    (void)arguments, (void)result, (void)error;
    *later = (struct later){{.function = answer, .opaque = later}, call};
    qmp_server_event(qmp_call_server(call), "OFTEN", NULL);
    loop_post(qmp_call_opaque(call), &later->call);
    return QMP_LATER;
}

static const char *const colours[] = {"red", "green", NULL};
static const struct qmp_type colour = {.kind = QMP_ENUM, .values = colours};
static const struct qmp_field point_fields[] = {
    {"x", &qmp_integer, false}, {"y", &qmp_number, true}, {"colour", &colour, true}, {0}};
static const struct qmp_type point = {.kind = QMP_OBJECT, .fields = point_fields},
                             points = {.kind = QMP_ARRAY, .element = &point};
static const struct qmp_field fields[] = {{"text", &qmp_string, true},   {"on", &qmp_boolean, true},
                                          {"any", &qmp_any, true},       {"points", &points, true},
                                          {"names", &qmp_strings, true}, {0}};
static const struct qmp_field text_field[] = {{"text", &qmp_string, false}, {0}};
static const struct qmp_type all = {.kind = QMP_OBJECT, .fields = fields};
static const struct qmp_command commands[] = {
    {"echo", fields, &all, echo, false},
    {"refuse", text_field, &qmp_nothing, refuse, false},
    {"later", NULL, &qmp_any, later, false},
    {"free", NULL, &qmp_any, echo, true},
    {0},
};
static const struct qmp_event events[] = {{"RARE", NULL, 3600 * 1000}, {"OFTEN", NULL, 0}, {0}};
static const struct qmp_table table = {commands, events};

/* -- the client's end ------------------------------------------------------------------------------------ */

struct end {
    int fd;
    struct loop *loop;
    struct loop_watch *watch;
    const uint8_t *data;
    size_t left, step;
    struct buffer heard;
};

static void check_lines(const struct buffer *heard)
{
    const char *at = (const char *)heard->data, *end = at + heard->size;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        json_t *message = stop ? json_loadb(at, (size_t)(stop - at), 0, NULL) : NULL;
        if (!json_is_object(message))
            abort();
        json_decref(message);
        at = stop + 1;
    }
}

static void end_ready(void *opaque, unsigned loop_events)
{
    struct end *end = opaque;
    char text[65536];
    if (loop_events & LOOP_WRITE) {
        ssize_t size = send(end->fd, end->data, MIN(end->step, end->left), MSG_DONTWAIT | MSG_NOSIGNAL);
        end->data += MAX(size, 0);
        end->left -= (size_t)MAX(size, 0);
        if (!end->left || (size < 0 && errno != EAGAIN)) {
            shutdown(end->fd, SHUT_WR);
            loop_watch_change(end->watch, LOOP_READ);
        }
    }
    if (loop_events & LOOP_READ) {
        ssize_t size = recv(end->fd, text, sizeof text, MSG_DONTWAIT);
        if (size > 0)
            buffer_append(&end->heard, text, (size_t)size);
        else if (!size || errno != EAGAIN)
            loop_stop(end->loop);
    }
}

static void fuzz_server(const uint8_t *data, size_t size, size_t step)
{
    struct error error = ERROR_INIT;
    struct qmp_server *server;
    struct end end = {.data = data, .left = size, .step = step};
    int pair[2];
    if (loop_new(&end.loop, &lock, NULL, &error) || qmp_server_new(&server, end.loop, &error) ||
        qmp_server_add(server, &table, end.loop, &error) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
        qmp_server_adopt(server, pair[1], &error))
        abort();
    end.fd = pair[0];
    end.watch = loop_watch_add(end.loop, end.fd, LOOP_READ | LOOP_WRITE, end_ready, &end, &error);
    if (!end.watch)
        abort();
    loop_run(end.loop);
    loop_watch_remove(end.watch);
    close(end.fd);
    qmp_server_free(server);
    loop_free(end.loop);
    check_lines(&end.heard);
    buffer_free(&end.heard);
}

static void fuzz_client(const uint8_t *data, size_t size)
{
    struct error error = ERROR_INIT;
    struct qmp_client *client;
    json_t *value;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || send(pair[1], data, size, MSG_DONTWAIT) != (ssize_t)size)
        abort();
    shutdown(pair[1], SHUT_WR);
    if (!qmp_client_adopt(&client, pair[0], 1000, &error)) {
        if (!qmp_client_execute(client, "query-status", NULL, &value, &error))
            json_decref(value);
        while (!qmp_client_event(client, 1000, &value, &error))
            json_decref(value);
        qmp_client_close(client);
    }
    close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 65536)
        return 0;
    if (data[0] & 1)
        fuzz_client(data + 2, size - 2);
    else
        fuzz_server(data + 2, size - 2, data[1] ? data[1] : size);
    return 0;
}
