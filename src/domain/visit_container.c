/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visit_container: a container that runs is entered by its namespaces. Nothing of the command's is handed in:
 * a program in it has a terminal of the container's, or pipes; of a file of the host's that it had itself it
 * could make more than its user has meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "domain/attend.h"
#include "domain/child.h"
#include "domain/container_place.h"
#include "domain/visit_kinds.h"
#include "personality/container/container.h"
#include "personality/container/self_exe.h"

static void change_process(struct oci_process *process, void *opaque)
{
    const struct domain_exec *exec = opaque;
    process->args = (const char **)(uintptr_t)exec->arguments;
    for (process->args_count = 0; exec->arguments[process->args_count];)
        process->args_count++;
    process->terminal = exec->terminal;
    process->has_console_size = exec->terminal;
    process->console_size.height = exec->rows;
    process->console_size.width = exec->columns;
    if (exec->workdir)
        process->cwd = exec->workdir;
}

/* `ours` are the ends that attend.h wants, `its` the program's; a direction that is not wanted is the null
 * device. */
static int stream_make(const struct domain_exec *exec, int number, int ours[3], int its[3],
                       struct error *error)
{
    int ends[2];
    if (exec->terminal || exec->detach || (!number && !exec->interactive)) {
        its[number] = open("/dev/null", O_RDWR | O_CLOEXEC);
        return its[number] < 0 ? error_set(error, -errno, "cannot open /dev/null: %s", strerror(errno)) : 0;
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    ours[number] = ends[!number];
    its[number] = ends[!!number];
    return 0;
}

static int attend(const struct domain_exec *exec, struct attend *attending, int *status, struct error *error)
{
    int code = domain_exec_raw(exec, error);
    *status = attend_until_end(attending);
    domain_exec_cooked(exec);
    return code;
}

static int container_exec(struct domain_visit *visit, const struct domain_exec *exec, int *status,
                          struct error *error)
{
    char state_root[PATH_MAX];
    int its[3] = {-1, -1, -1};
    struct container_new made;
    struct attend attending = {
        .streams = {-1, -1, -1},
        .input = exec->interactive ? exec->input : -1,
        .output = exec->output,
        .errors = exec->errors,
        .signals = exec->signals,
    };
    const struct container_execution execution = {
        .state_root = state_root,
        .id = visit->domain->id,
        .change = change_process,
        .opaque = (void *)(uintptr_t)exec,
        .user = exec->user,
        .environment = (const char *const *)exec->environment,
        .stdio = its,
    };
    domain_container_root(visit->domain->store, state_root);
    int code = self_exe_protect(error);
    for (int i = 0; !code && i < 3; i++)
        code = stream_make(exec, i, attending.streams, its, error);
    if (!code)
        code = container_execute(&execution, &made, error);
    child_streams_close(its);
    if (code)
        child_streams_close(attending.streams);
    if (code) /* it may be a file of visor's or the container's that is missing, and not the program */
        return strncmp(error->message, "exec: ", 6) == 0 || code != -ENOENT ? code : -EINVAL;
    attending.pid = made.pid;
    attending.terminal = made.terminal;
    return exec->detach ? 0 : attend(exec, &attending, status, error);
}

const struct domain_visits domain_container_visits = {
    .exec = container_exec,
    .stats = domain_container_stats,
    .top = domain_container_top,
    .update = domain_container_update,
};
