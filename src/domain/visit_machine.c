/* SPDX-License-Identifier: GPL-2.0-or-later */
/* visit_machine: a machine that runs is reached by the agent in its guest, over vsock (docs/agent.md). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/vsock/option.h"
#include "base/macros.h"
#include "base/visible.h"
#include "control/agent/client.h"
#include "domain/process.h"
#include "domain/visit_kinds.h"

#define PATIENCE_MS 10000 /* for the agent's next answer; not for the end of a program */

void domain_machine_agent(const struct domain_visit *visit, char path[PATH_MAX], struct agent_host *host)
{
    const char *text = visit->config.machine.vsock;
    *host = (struct agent_host){.cid = visit->state.vsock_cid, .timeout_ms = PATIENCE_MS};
    if (host->cid)
        return;
    domain_run_path(visit->domain, DOMAIN_VSOCK_FILE, path);
    host->path = text && !vsock_option_is_kernel(text) ? text : path;
}

int domain_machine_error(const struct domain_visit *visit, int code, struct error *error)
{
    const bool no_socket = code == -ENOENT || code == -ECONNREFUSED || code == -ENODEV;
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

/* -- files ----------------------------------------------------------------------------------------------- */

#define SAID_MOST 4096 /* bytes that a guest can say */

/* What the guest's programs say goes here, and no more than that. */
static int said_make(struct error *error)
{
    int fd = memfd_create("said", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, SAID_MOST) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) < 0)
        return error_set(error, -errno, "cannot make a file in memory: %s", strerror(errno));
    return fd;
}

/* Its first line, as a terminal may have it. */
static void said_read(int fd, char line[160])
{
    ssize_t size = pread(fd, line, 159, 0);
    line[MAX(size, 0)] = '\0';
    line[strcspn(line, "\n")] = '\0';
    visible_make(line, strlen(line));
    close(fd);
}

/* Runs a program of the guest's; one that fails is an error. Descriptors may be -1: nothing. */
static int run_in_guest(const struct domain_visit *visit, char *const *words, int input, int output,
                        struct error *error)
{
    struct agent_host host;
    char path[PATH_MAX], line[160];
    int status = 0, null = open("/dev/null", O_RDWR | O_CLOEXEC), said = said_make(error);
    if (said < 0)
        return said;
    const struct agent_run run = {
        .exec = {.flags = input >= 0 ? AGENT_STDIN : 0, .user = "", .directory = "/", .arguments = words},
        .input = input,
        .output = output >= 0 ? output : null,
        .errors = said,
        .signals = -1,
    };
    domain_machine_agent(visit, path, &host);
    int code = agent_run(&host, &run, &status, error);
    said_read(said, line);
    if (null >= 0)
        close(null);
    if (code)
        return domain_machine_error(visit, code, error);
    return status
               ? error_set(error, -EIO, "the guest cannot: %s (status %d)", line[0] ? line : words[0], status)
               : 0;
}

static int machine_look(struct domain_visit *visit, const struct domain_transfer *transfer,
                        struct domain_file *file, struct error *error)
{
    static char script[] =
        "if [ -L \"$1\" ] && [ -z \"$2\" ]; then echo link; elif [ -d \"$1\" ]; then echo directory; "
        "elif [ -f \"$1\" ]; then echo file $(wc -c <\"$1\"); elif [ -e \"$1\" ]; then echo other; "
        "else echo none; fi";
    char *const words[] = {
        "sh", "-c", script, "sh", (char *)(uintptr_t)transfer->path, transfer->follow ? "f" : "", NULL};
    char line[160];
    int answer = said_make(error), code = answer < 0 ? answer : run_in_guest(visit, words, -1, answer, error);
    if (code) {
        if (answer >= 0)
            close(answer);
        return code;
    }
    said_read(answer, line);
    file->type = !strcmp(line, "directory")       ? DOMAIN_FILE_DIRECTORY
                 : !strcmp(line, "link")          ? DOMAIN_FILE_LINK
                 : !strcmp(line, "other")         ? DOMAIN_FILE_OTHER
                 : strncmp(line, "file ", 5) == 0 ? DOMAIN_FILE_OTHER
                                                  : DOMAIN_FILE_NONE;
    if (strncmp(line, "file ", 5) == 0)
        file->size = strtoull(line + 5, NULL, 10);
    return 0;
}

static int machine_put(struct domain_visit *visit, const struct domain_transfer *transfer,
                       struct error *error)
{
    char *const words[] = {"tar", "-x", "-f", "-", "-C", (char *)(uintptr_t)transfer->path, NULL};
    return run_in_guest(visit, words, transfer->stream, -1, error);
}

/* Its names are the guest's: who unpacks gives them others. */
static int machine_get(struct domain_visit *visit, const struct domain_transfer *transfer,
                       struct error *error)
{
    static char all
        [] = "cd \"$1\" && exec tar -c -f - .",
     one[] =
         "p=$1; [ -z \"$2\" ] || p=$(readlink -f \"$1\") || exit 1; cd \"${p%/*}/\" && exec tar -c -f - \"./${p##*/}\"";
    char *const words[] = {"sh",
                           "-c",
                           transfer->as ? one : all,
                           "sh",
                           (char *)(uintptr_t)transfer->path,
                           transfer->follow ? "f" : "",
                           NULL};
    const char *slash = strrchr(transfer->path, '/');
    if (transfer->as && (!slash || !slash[1] || strcmp(slash, "/..") == 0)) {
        error_set(error, -EINVAL, "%s has no name of its own", transfer->path);
        error_hint(error, "copy it into a directory that there is");
        return -EINVAL;
    }
    return run_in_guest(visit, words, -1, transfer->stream, error);
}

const struct domain_visits domain_machine_visits = {
    .exec = machine_exec,
    .look = machine_look,
    .put = machine_put,
    .get = machine_get,
    .stats = domain_machine_stats,
    .top = domain_machine_top,
    .update = domain_machine_update,
};
