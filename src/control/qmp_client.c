/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/qmp_client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "control/qmp_frame.h"

#define INPUT_SIZE 16384

/* Of what a server says: an answer may be longer than a command. */
static const struct qmp_limits limits = {.bytes = 64u << 20, .values = 4000000, .depth = 256};

struct qmp_client {
    int fd, timeout_ms;
    struct qmp_frame frame;
    char input[INPUT_SIZE];
    size_t input_taken, input_size;
    json_t *events; /* an array: the oldest first */
    json_int_t id;  /* of the last command */
    enum qmp_class error_class;
    int passed; /* goes with the next command; -1: nothing */
    int idle_ms;
    void (*idle)(void *opaque); /* NULL: nothing */
    void *idle_opaque;
};

/* -- time ------------------------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int64_t deadline_in(int timeout_ms)
{
    return timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
}

/* Until the descriptor is ready for `events`. A deadline of -1 is none. */
static int wait_for(const struct qmp_client *client, short events, int64_t deadline, struct error *error)
{
    for (;;) {
        struct pollfd look = {.fd = client->fd, .events = events};
        int64_t left = deadline < 0 ? -1 : MAX(deadline - now_ms(), 0);
        const int64_t most = client->idle ? client->idle_ms : 1 << 30;
        int count = poll(&look, 1, (int)(left < 0 ? (client->idle ? most : -1) : MIN(left, most)));
        if (count > 0)
            return 0;
        if (!count && client->idle)
            client->idle(client->idle_opaque);
        if (!count && left >= 0 && left <= most)
            return error_set(error, -ETIMEDOUT, "the control socket gave no answer in time");
        if (count < 0 && errno != EINTR)
            return error_set(error, -errno, "cannot wait for the control socket: %s", strerror(errno));
    }
}

/* -- messages -------------------------------------------------------------------------------------------- */

static int closed(struct error *error)
{
    return error_set(error, -ECONNRESET, "the control socket was closed by the other end");
}

/* The descriptor that is to be passed goes with the first byte. */
static ssize_t send_some(struct qmp_client *client, const char *text, size_t left)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)text, left};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (client->passed >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.align = (struct cmsghdr){
            .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.align), &client->passed, sizeof(int));
    }
    ssize_t size = sendmsg(client->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size > 0)
        client->passed = -1;
    return size;
}

static int send_all(struct qmp_client *client, const char *text, int64_t deadline, struct error *error)
{
    for (size_t left = strlen(text); left;) {
        ssize_t size = send_some(client, text, left);
        int code = 0;
        if (size >= 0) {
            text += size;
            left -= (size_t)size;
        } else if (errno == EAGAIN) {
            code = wait_for(client, POLLOUT, deadline, error);
        } else if (errno != EINTR) {
            return closed(error);
        }
        if (code)
            return code;
    }
    return 0;
}

static int receive(struct qmp_client *client, int64_t deadline, struct error *error)
{
    int code = wait_for(client, POLLIN, deadline, error);
    if (code)
        return code;
    ssize_t size = recv(client->fd, client->input, sizeof client->input, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size <= 0)
        return closed(error);
    client->input_taken = 0;
    client->input_size = (size_t)size;
    return 0;
}

/* The next object that the server sends. */
static int next_message(struct qmp_client *client, int64_t deadline, json_t **message, struct error *error)
{
    for (;;) {
        size_t taken = 0;
        enum qmp_frame_state state = QMP_FRAME_MORE;
        if (client->input_taken < client->input_size)
            state = qmp_frame_take(&client->frame, client->input + client->input_taken,
                                   client->input_size - client->input_taken, &taken, error);
        client->input_taken += taken;
        if (state == QMP_FRAME_OBJECT)
            *message = qmp_frame_parse(&client->frame, error);
        if (state == QMP_FRAME_OBJECT && *message)
            return 0;
        if (state != QMP_FRAME_MORE) {
            error_prefix(error, "the control socket: ");
            if (error)
                error->code = -EPROTO;
            return -EPROTO;
        }
        int code = receive(client, deadline, error);
        if (code)
            return code;
    }
}

static void keep_event(struct qmp_client *client, json_t *event)
{
    if (json_array_size(client->events) == QMP_CLIENT_EVENTS_MAX)
        json_array_remove(client->events, 0);
    json_array_append_new(client->events, event);
}

/* The next that is no event. */
static int next_answer(struct qmp_client *client, json_t **answer, struct error *error)
{
    const int64_t deadline = deadline_in(client->timeout_ms);
    for (;;) {
        int code = next_message(client, deadline, answer, error);
        if (code || !json_object_get(*answer, "event"))
            return code;
        keep_event(client, *answer);
    }
}

/* -- commands -------------------------------------------------------------------------------------------- */

/* What an answer says; it is taken over. */
static int read_answer(struct qmp_client *client, json_t *answer, json_t **result, struct error *error)
{
    json_t *value = json_object_get(answer, "return");
    const json_t *refusal = json_object_get(answer, "error"), *id = json_object_get(answer, "id");
    int code = 0;
    if (!refusal && (!value || json_integer_value(id) != client->id)) {
        code = error_set(error, -EPROTO, "the control socket gave an answer to something else");
    } else if (refusal) {
        const char *name = json_string_value(json_object_get(refusal, "class"));
        const char *reason = json_string_value(json_object_get(refusal, "desc"));
        client->error_class = qmp_class_find(name ? name : "");
        code = error_set(error, -EREMOTEIO, "%s", reason ? reason : "it was refused without a reason");
    } else if (result) {
        *result = json_incref(value);
    }
    json_decref(answer);
    return code;
}

int qmp_client_execute(struct qmp_client *client, const char *command, json_t *arguments, json_t **result,
                       struct error *error)
{
    json_t *answer, *request = json_pack("{s:s, s:I}", "execute", command, "id", ++client->id);
    if (request && arguments)
        json_object_set(request, "arguments", arguments);
    json_decref(arguments);
    char *text = request ? json_dumps(request, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(request);
    if (!text)
        return error_set(error, -ENOMEM, "out of memory for the command %s", command);
    int code = send_all(client, text, deadline_in(client->timeout_ms), error);
    free(text);
    if (!code)
        code = next_answer(client, &answer, error);
    return code ? code : read_answer(client, answer, result, error);
}

void qmp_client_pass(struct qmp_client *client, int fd)
{
    client->passed = fd;
}

void qmp_client_set_idle(struct qmp_client *client, int interval_ms, void (*idle)(void *opaque), void *opaque)
{
    client->idle_ms = interval_ms;
    client->idle = idle;
    client->idle_opaque = opaque;
}

enum qmp_class qmp_client_class(const struct qmp_client *client)
{
    return client->error_class;
}

void qmp_client_set_timeout(struct qmp_client *client, int timeout_ms)
{
    client->timeout_ms = timeout_ms;
}

int qmp_client_event(struct qmp_client *client, int timeout_ms, json_t **event, struct error *error)
{
    const int64_t deadline = deadline_in(timeout_ms);
    if (json_array_size(client->events)) {
        *event = json_incref(json_array_get(client->events, 0));
        json_array_remove(client->events, 0);
        return 0;
    }
    for (;;) {
        int code = next_message(client, deadline, event, error);
        if (code || json_object_get(*event, "event"))
            return code;
        json_decref(*event); /* an answer that came too late for who waited for it */
    }
}

int qmp_client_fd(const struct qmp_client *client)
{
    return client->fd;
}

/* -- connecting ------------------------------------------------------------------------------------------ */

static int negotiate(struct qmp_client *client, struct error *error)
{
    json_t *greeting;
    int code = next_answer(client, &greeting, error);
    if (code)
        return code;
    const bool greets = json_is_object(json_object_get(greeting, "QMP"));
    const char *reason = json_string_value(json_object_get(json_object_get(greeting, "error"), "desc"));
    if (!greets && reason)
        code = error_set(error, -EUSERS, "refused: %s", reason);
    else if (!greets)
        code = error_set(error, -EPROTO, "the control socket does not speak QMP");
    json_decref(greeting);
    return code ? code : qmp_client_execute(client, "qmp_capabilities", NULL, NULL, error);
}

int qmp_client_adopt(struct qmp_client **out, int fd, int timeout_ms, struct error *error)
{
    struct qmp_client *client = calloc(1, sizeof *client);
    *out = NULL;
    if (!client) {
        close(fd);
        return error_set(error, -ENOMEM, "out of memory for a client of the control socket");
    }
    client->fd = fd;
    client->passed = -1;
    client->timeout_ms = timeout_ms;
    client->events = json_array();
    qmp_frame_init(&client->frame, limits);
    int code = negotiate(client, error);
    if (code)
        qmp_client_close(client);
    else
        *out = client;
    return code;
}

int qmp_client_connect(struct qmp_client **out, const char *path, int timeout_ms, struct error *error)
{
    *out = NULL;
    int fd = unix_socket_connect(path, timeout_ms, error);
    if (fd == -EAGAIN)
        return error_set(error, -ETIMEDOUT, "%s: nobody took the connection in time", path);
    if (fd < 0)
        return fd;
    int code = qmp_client_adopt(out, fd, timeout_ms, error);
    if (code)
        error_prefix(error, "%s: ", path);
    return code;
}

void qmp_client_close(struct qmp_client *client)
{
    if (!client)
        return;
    close(client->fd);
    qmp_frame_free(&client->frame);
    json_decref(client->events);
    free(client);
}
