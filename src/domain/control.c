/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/control.h"

#include <errno.h>
#include <stdlib.h>

#include "control/qmp_server.h"
#include "domain/control_option.h"
#include "domain/save.h"

struct domain_control {
    struct domain_run *run;
    struct qmp_server *server;
    const struct domain_kind *kind;
    bool added; /* the kind's own commands */
};

/* -- commands -------------------------------------------------------------------------------------------- */

static struct domain_run *run_of(const struct qmp_call *call)
{
    const struct domain_control *control = qmp_call_opaque(call);
    return control->run;
}

static const struct domain_kind *kind_of(const struct qmp_call *call)
{
    return domain_kind_of(run_of(call)->config);
}

static int control_stop(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    const struct domain_kind *kind = kind_of(call);
    (void)arguments;
    (void)result;
    return kind->pause ? kind->pause(run_of(call), error) : domain_kind_cannot(kind, "paused", error);
}

static int control_cont(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    const struct domain_kind *kind = kind_of(call);
    (void)arguments;
    (void)result;
    return kind->resume ? kind->resume(run_of(call), error) : domain_kind_cannot(kind, "resumed", error);
}

static int control_powerdown(struct qmp_call *call, const json_t *arguments, json_t **result,
                             struct error *error)
{
    const struct domain_kind *kind = kind_of(call);
    (void)arguments;
    (void)result;
    run_of(call)->asked = true;
    return kind->stop(run_of(call), error);
}

static int control_quit(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)arguments;
    (void)result;
    (void)error;
    run_of(call)->asked = true;
    kind_of(call)->kill(run_of(call));
    return 0;
}

static int control_status(struct qmp_call *call, const json_t *arguments, json_t **result,
                          struct error *error)
{
    bool paused = run_of(call)->paused;
    (void)arguments;
    *result = json_pack("{s:s, s:b}", "status", paused ? "paused" : "running", "running", !paused);
    return *result ? 0 : error_set(error, -ENOMEM, "out of memory");
}

static int control_resize(struct qmp_call *call, const json_t *arguments, json_t **result,
                          struct error *error)
{
    const json_int_t rows = json_integer_value(json_object_get(arguments, "rows"));
    const json_int_t columns = json_integer_value(json_object_get(arguments, "columns"));
    const struct domain_kind *kind = kind_of(call);
    (void)result;
    if (rows < 1 || rows > UINT16_MAX || columns < 1 || columns > UINT16_MAX)
        return error_set(error, -EINVAL, "a terminal has 1 to %d rows and columns", UINT16_MAX);
    return kind->resize ? kind->resize(run_of(call), (unsigned)rows, (unsigned)columns, error)
                        : domain_kind_cannot(kind, "given a size", error);
}

static const struct qmp_field resize_arguments[] = {
    {.name = "rows", .type = &qmp_integer},
    {.name = "columns", .type = &qmp_integer},
    {0},
};

static const char *const status_names[] = {"running", "paused", NULL};
static const struct qmp_type status_name = {.kind = QMP_ENUM, .values = status_names};
static const struct qmp_field status_fields[] = {
    {.name = "status", .type = &status_name},
    {.name = "running", .type = &qmp_boolean},
    {0},
};
static const struct qmp_type status_type = {.kind = QMP_OBJECT, .fields = status_fields};

static const struct qmp_command commands[] = {
    {.name = "stop", .returns = &qmp_nothing, .run = control_stop},
    {.name = "cont", .returns = &qmp_nothing, .run = control_cont},
    {.name = "system_powerdown", .returns = &qmp_nothing, .run = control_powerdown},
    {.name = "quit", .returns = &qmp_nothing, .run = control_quit},
    {.name = "console-resize", .arguments = resize_arguments, .returns = &qmp_nothing, .run = control_resize},
    {.name = "query-status", .returns = &status_type, .run = control_status},
    {0},
};

static const struct qmp_field shutdown_fields[] = {
    {.name = "guest", .type = &qmp_boolean},
    {.name = "reason", .type = &qmp_string},
    {0},
};

static const struct qmp_event events[] = {
    {.name = "STOP"},
    {.name = "RESUME"},
    {.name = "SHUTDOWN", .data = shutdown_fields},
    {0},
};

static const struct qmp_table table = {.commands = commands, .events = events};

/* -- the socket ------------------------------------------------------------------------------------------ */

static int control_add(struct domain_control *control, struct error *error)
{
    if (!control->kind->control)
        return qmp_server_add(control->server, &table, control, error);
    int code = control->kind->control(control->run, control->server, error);
    control->added = !code;
    if (!code && control->kind->save)
        code = qmp_server_add(control->server, &domain_save_control, control->run, error);
    return code;
}

/* Where the configuration wants it, too. */
static int listen_too(struct domain_control *control, const char *option, struct error *error)
{
    char *path;
    int code = option ? domain_control_option_parse(option, &path, error) : 0;
    if (code || !option)
        return code;
    code = qmp_server_listen(control->server, path, error);
    if (code)
        error_prefix(error, "--qmp: ");
    free(path);
    return code;
}

int domain_control_new(struct domain_control **out, struct domain_run *run, const char *path,
                       struct error *error)
{
    struct domain_control *control = calloc(1, sizeof *control);
    if (!control)
        return error_set(error, -ENOMEM, "out of memory");
    *control = (struct domain_control){.run = run, .kind = domain_kind_of(run->config)};
    int code = qmp_server_new(&control->server, run->loop, error);
    if (!code)
        code = control_add(control, error);
    if (!code && path)
        code = qmp_server_listen(control->server, path, error);
    if (!code)
        code = listen_too(control, run->config->machine.qmp, error);
    if (code) {
        domain_control_free(control, NULL);
        return code;
    }
    *out = control;
    return 0;
}

void domain_control_paused(struct domain_control *control, bool paused)
{
    if (control && !control->added)
        qmp_server_event(control->server, paused ? "STOP" : "RESUME", NULL);
}

void domain_control_free(struct domain_control *control, const struct domain_end *end)
{
    if (!control)
        return;
    if (end && !control->added)
        qmp_server_event(control->server, "SHUTDOWN",
                         json_pack("{s:b, s:s}", "guest", !end->asked, "reason", end->reason));
    if (control->added)
        control->kind->uncontrol(control->run);
    if (control->server)
        qmp_server_free(control->server);
    free(control);
}
