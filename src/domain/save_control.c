/* SPDX-License-Identifier: GPL-2.0-or-later */
/* save_control: the commands by which a domain is saved, in its own process. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/qmp_table.h"
#include "domain/kind.h"
#include "domain/save.h"

struct save_call {
    struct domain_save save;
    struct qmp_call *call;
};

static void save_done(struct domain_save *save, int code, const struct error *error)
{
    struct save_call *saving = (struct save_call *)save; /* its first member */
    if (code)
        qmp_call_fail(saving->call, QMP_GENERIC_ERROR, error);
    else
        qmp_call_return(saving->call, NULL);
    close(save->fd);
    free(saving);
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
        saving->call = call;
        saving->save = (struct domain_save){
            .fd = fd, .compress = json_is_true(json_object_get(arguments, "compress")), .done = save_done};
        code = domain_kind_of(run->config)->save(run, &saving->save, error);
    }
    if (!code)
        return QMP_LATER;
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

static const struct qmp_field save_arguments[] = {{"compress", &qmp_boolean, true}, {0}};
static const struct qmp_field end_arguments[] = {{"keep-running", &qmp_boolean, true}, {0}};

static const struct qmp_command commands[] = {
    {.name = "save", .arguments = save_arguments, .returns = &qmp_nothing, .run = save},
    {.name = "save-end", .arguments = end_arguments, .returns = &qmp_nothing, .run = save_end},
    {0},
};

const struct qmp_table domain_save_control = {.commands = commands};
