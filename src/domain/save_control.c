/* SPDX-License-Identifier: GPL-2.0-or-later */
/* save_control: the commands by which a domain is saved, in its own process. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/qmp_table.h"
#include "domain/kind.h"
#include "domain/save.h"

/* Of the client that asks, until it leaves. */
struct save_call {
    struct domain_save save;
    struct qmp_leave leave;
    struct domain_run *run;
    struct qmp_call *call; /* NULL: it was answered */
    bool gone;             /* who asked has left before */
};

/* Nobody is there to say what is to become of it. Whoever was told already, or has had it go on, is right. */
static void abandon(struct save_call *saving)
{
    domain_kind_of(saving->run->config)->saved(saving->run, false, NULL);
    free(saving);
}

static void save_left(void *opaque)
{
    struct save_call *saving = opaque;
    if (saving->call)
        saving->gone = true;
    else
        abandon(saving);
}

static void save_done(struct domain_save *save, int code, const struct error *error)
{
    struct save_call *saving = (struct save_call *)save; /* its first member */
    if (code)
        qmp_call_fail(saving->call, QMP_GENERIC_ERROR, error);
    else
        qmp_call_return(saving->call, NULL);
    close(save->fd);
    saving->call = NULL;
    if (saving->gone)
        abandon(saving);
}

QMP_COMMAND(save)
{
    struct domain_run *run = qmp_call_opaque(call);
    const int fd = qmp_call_take_descriptor(call);
    (void)result;
    if (fd < 0)
        return error_set(error, -EBADF, "save needs a file's descriptor, which comes with the command");
    struct save_call *saving = calloc(1, sizeof *saving);
    int code = saving ? 0 : error_set(error, -ENOMEM, "out of memory");
    if (!code) {
        saving->run = run;
        saving->call = call;
        saving->leave = (struct qmp_leave){.gone = save_left, .opaque = saving};
        saving->save = (struct domain_save){.fd = fd,
                                            .compress = json_is_true(json_object_get(arguments, "compress")),
                                            .share = json_is_true(json_object_get(arguments, "share")),
                                            .done = save_done};
        code = domain_kind_of(run->config)->save(run, &saving->save, error);
    }
    if (!code) {
        qmp_call_await_leave(call, &saving->leave);
        return QMP_LATER;
    }
    close(fd);
    free(saving);
    return code;
}

QMP_COMMAND(save_end)
{
    struct domain_run *run = qmp_call_opaque(call);
    const bool keep = json_is_true(json_object_get(arguments, "keep-running"));
    (void)result;
    return domain_kind_of(run->config)->saved(run, !keep, error);
}

static const struct qmp_field save_arguments[] = {
    {"compress", &qmp_boolean, true}, {"share", &qmp_boolean, true}, {0}};
static const struct qmp_field end_arguments[] = {{"keep-running", &qmp_boolean, true}, {0}};

static const struct qmp_command commands[] = {
    {.name = "save", .arguments = save_arguments, .returns = &qmp_nothing, .run = save},
    {.name = "save-end", .arguments = end_arguments, .returns = &qmp_nothing, .run = save_end},
    {0},
};

const struct qmp_table domain_save_control = {.commands = commands};
