/* SPDX-License-Identifier: GPL-2.0-or-later */
/* visit_machine: a machine that runs is reached by the agent in its guest, over vsock (docs/agent.md). */
#include <errno.h>
#include <string.h>

#include "control/agent/client.h"
#include "domain/process.h"
#include "domain/visit_kinds.h"

#define PATIENCE_MS 10000 /* for the agent's next answer; not for the end of a program */

void domain_machine_agent(const struct domain_visit *visit, char path[PATH_MAX], struct agent_host *host)
{
    *host = (struct agent_host){.path = visit->config.machine.vsock, .timeout_ms = PATIENCE_MS};
    if (host->path)
        return;
    domain_run_path(visit->domain, DOMAIN_VSOCK_FILE, path);
    host->path = path;
}

int domain_machine_error(const struct domain_visit *visit, int code, struct error *error)
{
    const bool no_socket = code == -ENOENT || code == -ECONNREFUSED;
    if (!no_socket && code != -ENOTCONN && code != -ETIMEDOUT)
        return code;
    error_set(error, code, no_socket ? "the machine %s has no vsock" : "no agent answers in the guest of %s",
              domain_visit_name(visit));
    if (no_socket)
        error_hint(error, "visor logs %s tells why", domain_visit_name(visit));
    else
        error_hint(error,
                   "\"visor image build\" puts visor-agent in; it may still be starting, and the guest's "
                   "kernel needs vsock (docs/agent.md)");
    return code;
}

/* Nobody hears a program that is left to itself, which the guest's shell does: its own end is the answer. */
static char *const alone[] = {
    "sh", "-c", "command -v \"$1\" >/dev/null || exit 127; \"$@\" </dev/null >/dev/null 2>&1 &", "sh", NULL};
enum { ALONE = sizeof alone / sizeof alone[0] - 1 };

static int alone_make(char ***words, char *const *arguments, struct error *error)
{
    size_t count = 0;
    while (arguments[count])
        count++;
    *words = calloc(ALONE + count + 1, sizeof **words);
    if (!*words)
        return error_set(error, -ENOMEM, "out of memory");
    memcpy(*words, alone, ALONE * sizeof **words);
    memcpy(*words + ALONE, arguments, count * sizeof **words);
    return 0;
}

static int machine_exec(struct domain_visit *visit, const struct domain_exec *exec, int *status,
                        struct error *error)
{
    struct agent_host host;
    char path[PATH_MAX], **words = NULL;
    struct agent_run run = {
        .exec = {.flags = (exec->terminal ? AGENT_TTY : 0u) | (exec->interactive ? AGENT_STDIN : 0u),
                 .rows = exec->rows,
                 .columns = exec->columns,
                 .user = exec->user ? exec->user : "",
                 .directory = exec->workdir ? exec->workdir : "",
                 .arguments = exec->arguments,
                 .environment = exec->environment},
        .input = exec->input,
        .output = exec->output,
        .errors = exec->errors,
        .signals = exec->signals,
    };
    domain_machine_agent(visit, path, &host);
    int code = exec->detach ? alone_make(&words, exec->arguments, error) : 0;
    if (words)
        run.exec.arguments = words;
    if (!code)
        code = domain_exec_raw(exec, error);
    if (!code)
        code = agent_run(&host, &run, status, error);
    domain_exec_cooked(exec);
    free(words);
    if (code == -EREMOTEIO)
        return *status == DOMAIN_NOT_FOUND ? -ENOENT : -EACCES;
    if (!code && exec->detach && *status == DOMAIN_NOT_FOUND)
        return error_set(error, -ENOENT, "cannot start %s: no such program in the guest", exec->arguments[0]);
    return domain_machine_error(visit, code, error);
}

const struct domain_visits domain_machine_visits = {
    .exec = machine_exec,
    .stats = domain_machine_stats,
    .update = domain_machine_update,
};
