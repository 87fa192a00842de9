/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qmp_dispatch: from an object that a client has sent to a command and its answer; what all servers can. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/qmp_private.h"

/* -- answers --------------------------------------------------------------------------------------------- */

static json_t *with_id(json_t *message, const json_t *id)
{
    if (id)
        json_object_set(message, "id", (json_t *)(uintptr_t)id);
    return message;
}

json_t *qmp_error(enum qmp_class error_class, const struct error *error, const json_t *id)
{
    char text[sizeof error->message + sizeof error->hint + 4];
    snprintf(text, sizeof text, "%s%s%s", error->message, error->hint[0] ? "; " : "", error->hint);
    return with_id(
        json_pack("{s:{s:s, s:o}}", "error", "class", qmp_class_name(error_class), "desc", qmp_text(text)),
        id);
}

static void fail(struct qmp_client_end *client, const json_t *id, enum qmp_class error_class,
                 const char *format, const char *argument)
{
    struct error error = ERROR_INIT;
    error_set(&error, -EINVAL, format, argument);
    qmp_client_end_send(client, qmp_error(error_class, &error, id));
}

/* -- calls ----------------------------------------------------------------------------------------------- */

void *qmp_call_opaque(const struct qmp_call *call)
{
    return call->opaque;
}

const struct qmp_command *qmp_call_command(const struct qmp_call *call)
{
    return call->command;
}

struct qmp_server *qmp_call_server(const struct qmp_call *call)
{
    return call->server;
}

int qmp_call_take_descriptor(struct qmp_call *call)
{
    const int fd = call->client ? call->client->passed : -1;
    if (fd >= 0)
        call->client->passed = -1;
    return fd;
}

void qmp_call_await_leave(struct qmp_call *call, struct qmp_leave *leave)
{
    leave->next = call->client->leaves;
    call->client->leaves = leave;
}

void qmp_call_set_class(struct qmp_call *call, enum qmp_class error_class)
{
    call->error_class = error_class;
}

static void call_free(struct qmp_call *call)
{
    struct qmp_call **link = call->server ? &call->server->calls : NULL;
    while (link && *link != call)
        link = &(*link)->next;
    if (link)
        *link = call->next;
    json_decref(call->id);
    free(call);
}

/* Sends the answer, given away, if somebody is still there. */
static void call_end(struct qmp_call *call, json_t *answer)
{
    struct qmp_client_end *client = call->client;
    if (client) {
        client->call = NULL;
        call->client = NULL;
        qmp_client_end_send(client, answer);
        if (call->later) /* it may go on */
            loop_post(call->server->loop, &call->server->work);
    } else {
        json_decref(answer);
    }
    if (call->running)
        call->answered = true;
    else
        call_free(call);
}

void qmp_call_return(struct qmp_call *call, json_t *result)
{
    call_end(call, with_id(json_pack("{s:o}", "return", result ? result : json_object()), call->id));
}

void qmp_call_fail(struct qmp_call *call, enum qmp_class error_class, const struct error *error)
{
    call_end(call, qmp_error(error_class, error, call->id));
}

static void call_run(struct qmp_call *call, const json_t *arguments)
{
    struct error error = ERROR_INIT;
    json_t *result = NULL;
    call->running = true;
    int code = call->command->run(call, arguments, &result, &error);
    call->running = false;
    call->later = code == QMP_LATER;
    if (call->answered)
        call_free(call);
    else if (code < 0)
        qmp_call_fail(call, call->error_class, &error);
    else if (code != QMP_LATER)
        qmp_call_return(call, result);
}

static void call_new(struct qmp_client_end *client, const struct qmp_command *command, void *opaque,
                     const json_t *arguments, json_t *id)
{
    struct qmp_call *call = calloc(1, sizeof *call);
    if (!call) {
        fail(client, id, QMP_GENERIC_ERROR, "out of memory for %s", command->name);
        return;
    }
    *call = (struct qmp_call){.server = client->server,
                              .client = client,
                              .command = command,
                              .opaque = opaque,
                              .id = json_incref(id),
                              .next = client->server->calls};
    client->server->calls = call;
    client->call = call;
    call_run(call, arguments);
}

/* -- requests -------------------------------------------------------------------------------------------- */

const struct qmp_command *qmp_command_find(const struct qmp_server *server, const char *name, void **opaque)
{
    for (unsigned i = 0; i < server->table_count; i++) {
        const struct qmp_command *command = server->tables[i].table->commands;
        while (command && command->name && strcmp(command->name, name) != 0)
            command++;
        if (command && command->name) {
            *opaque = server->tables[i].opaque;
            return command;
        }
    }
    return NULL;
}

static void run_command(struct qmp_client_end *client, const char *name, const json_t *arguments, json_t *id)
{
    struct error error = ERROR_INIT;
    void *opaque;
    const struct qmp_command *command = qmp_command_find(client->server, name, &opaque);
    const bool negotiates = !strcmp(name, "qmp_capabilities");
    if (!client->negotiated && !negotiates) {
        fail(client, id, QMP_COMMAND_NOT_FOUND, "%.64s: the first command must be qmp_capabilities", name);
    } else if (client->negotiated && negotiates) {
        fail(client, id, QMP_COMMAND_NOT_FOUND, "%s: the capabilities are negotiated already", name);
    } else if (!command) {
        fail(client, id, QMP_COMMAND_NOT_FOUND, "there is no command '%.64s'", name);
    } else {
        const struct qmp_type type = {.kind = QMP_OBJECT, .fields = command->arguments};
        if (!command->any_arguments && qmp_check(arguments, &type, "", &error))
            qmp_client_end_send(client, qmp_error(QMP_GENERIC_ERROR, &error, id));
        else
            call_new(client, command, opaque, arguments, id);
    }
}

/* The member of a request that should not be there, or NULL. */
static const char *unknown_member(const json_t *request)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)request, key, value)
    {
        if (strcmp(key, "execute") != 0 && strcmp(key, "exec-oob") != 0 && strcmp(key, "arguments") != 0 &&
            strcmp(key, "id") != 0)
            return key;
    }
    return NULL;
}

static void run_request(struct qmp_client_end *client, const json_t *request)
{
    json_t *id = json_object_get(request, "id");
    const json_t *name = json_object_get(request, "execute"),
                 *arguments = json_object_get(request, "arguments");
    const char *unknown = unknown_member(request);
    if (unknown)
        fail(client, id, QMP_GENERIC_ERROR, "a command has no member '%.64s'", unknown);
    else if (json_object_get(request, "exec-oob"))
        fail(client, id, QMP_GENERIC_ERROR, "exec-oob: %s",
             "out-of-band commands are not among the capabilities");
    else if (!name)
        fail(client, id, QMP_GENERIC_ERROR, "a command needs the member '%s'", "execute");
    else if (!json_is_string(name))
        fail(client, id, QMP_GENERIC_ERROR, "'%s' must be a string", "execute");
    else if (arguments && !json_is_object(arguments))
        fail(client, id, QMP_GENERIC_ERROR, "'%s' must be an object", "arguments");
    else {
        json_t *given = arguments ? json_incref((json_t *)(uintptr_t)arguments) : json_object();
        run_command(client, json_string_value(name), given, id);
        json_decref(given);
    }
}

void qmp_dispatch(struct qmp_client_end *client)
{
    struct error error = ERROR_INIT;
    json_t *request = qmp_frame_parse(&client->frame, &error);
    if (request)
        run_request(client, request);
    else
        qmp_client_end_send(client, qmp_error(QMP_GENERIC_ERROR, &error, NULL));
    json_decref(request);
}

/* -- what all servers can -------------------------------------------------------------------------------- */

static json_t *version(void)
{
    unsigned major = 0, minor = 0, micro = 0;
    sscanf(VISOR_VERSION, "%u.%u.%u", &major, &minor, &micro);
    return json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", (int)major, "minor", (int)minor, "micro",
                     (int)micro, "package", "visor " VISOR_VERSION);
}

json_t *qmp_greeting(void)
{
    return json_pack("{s:{s:o, s:[]}}", "QMP", "version", version(), "capabilities");
}

static int qmp_capabilities(struct qmp_call *call, const json_t *arguments, json_t **result,
                            struct error *error)
{
    const json_t *first = json_array_get(json_object_get(arguments, "enable"), 0);
    (void)result;
    if (first)
        return error_set(error, -ENOTSUP, "capability %s is not among those of the greeting",
                         json_string_value(first));
    call->client->negotiated = true;
    return 0;
}

static int query_version(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)call, (void)arguments, (void)error;
    *result = version();
    return 0;
}

static int query_commands(struct qmp_call *call, const json_t *arguments, json_t **result,
                          struct error *error)
{
    const struct qmp_server *server = qmp_call_opaque(call);
    (void)arguments, (void)error;
    *result = json_array();
    for (unsigned i = 0; i < server->table_count; i++) {
        const struct qmp_command *command = server->tables[i].table->commands;
        for (; command && command->name; command++)
            json_array_append_new(*result, json_pack("{s:s}", "name", command->name));
    }
    return 0;
}

static int query_events(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    const struct qmp_server *server = qmp_call_opaque(call);
    (void)arguments, (void)error;
    *result = json_array();
    for (unsigned i = 0; i < server->table_count; i++) {
        const struct qmp_event *event = server->tables[i].table->events;
        for (; event && event->name; event++)
            json_array_append_new(*result, json_pack("{s:s}", "name", event->name));
    }
    return 0;
}

static int query_schema(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)arguments;
    *result = qmp_schema(qmp_call_opaque(call));
    return *result ? 0 : error_set(error, -ENOMEM, "out of memory for the schema");
}

static const char *const capabilities[] = {"oob", NULL};
static const struct qmp_type capability = {.kind = QMP_ENUM, .values = capabilities},
                             capability_list = {.kind = QMP_ARRAY, .element = &capability};
static const struct qmp_field capabilities_arguments[] = {{"enable", &capability_list, true}, {0}};

static const struct qmp_field numbers_fields[] = {
    {.name = "major", .type = &qmp_integer},
    {.name = "minor", .type = &qmp_integer},
    {.name = "micro", .type = &qmp_integer},
    {0},
};
static const struct qmp_type numbers = {.kind = QMP_OBJECT, .fields = numbers_fields};
static const struct qmp_field version_fields[] = {
    {.name = "qemu", .type = &numbers}, {.name = "package", .type = &qmp_string}, {0}};
static const struct qmp_type version_type = {.kind = QMP_OBJECT, .fields = version_fields};

static const struct qmp_field name_fields[] = {{.name = "name", .type = &qmp_string}, {0}};
static const struct qmp_type name_type = {.kind = QMP_OBJECT, .fields = name_fields},
                             name_list = {.kind = QMP_ARRAY, .element = &name_type},
                             schema_list = {.kind = QMP_ARRAY, .element = &qmp_any};

static const struct qmp_command builtin_commands[] = {
    {.name = "qmp_capabilities",
     .arguments = capabilities_arguments,
     .returns = &qmp_nothing,
     .run = qmp_capabilities},
    {.name = "query-version", .returns = &version_type, .run = query_version},
    {.name = "query-commands", .returns = &name_list, .run = query_commands},
    {.name = "query-events", .returns = &name_list, .run = query_events},
    {.name = "query-qmp-schema", .returns = &schema_list, .run = query_schema},
    {0},
};

const struct qmp_table qmp_builtin = {.commands = builtin_commands};
