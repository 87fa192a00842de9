/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visit_container: a container that runs is entered by its namespaces. Nothing of the command's is handed in:
 * a program in it has a terminal of the container's, or pipes; of a file of the host's that it had itself it
 * could make more than its user has meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tree.h"
#include "domain/attend.h"
#include "domain/child.h"
#include "domain/container_place.h"
#include "domain/visit_kinds.h"
#include "personality/container/container.h"
#include "personality/container/enter.h"
#include "personality/container/inside.h"
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

/* `ours` are the ends that attend.h wants, `its` the program's. A null device becomes the container's own. */
static int stream_make(const struct domain_exec *exec, int number, int ours[3], int its[3],
                       struct error *error)
{
    int ends[2];
    if (!number && (exec->terminal || !exec->interactive))
        return child_no_input(&its[number], error);
    if (exec->terminal || exec->detach) {
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
        .end = true,
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

/* -- files ----------------------------------------------------------------------------------------------- */

/* Of a container that does not run: its tree, in which the same directory may be another's volume. */
static int tree_path(const struct domain_visit *visit, char path[PATH_MAX], struct error *error)
{
    const char *bundle = visit->config.container.bundle;
    struct oci_config *config = NULL;
    if (!bundle) {
        snprintf(path, PATH_MAX, "%s", visit->config.container.root);
        return 0;
    }
    int directory = open(bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int code = directory < 0 ? error_set(error, -errno, "cannot open %s: %s", bundle, strerror(errno))
                             : oci_config_read(&config, directory, "config.json", error);
    if (directory >= 0)
        close(directory);
    if (code)
        return code;
    const char *root = config->root.path;
    if (snprintf(path, PATH_MAX, "%s%s%s", root[0] == '/' ? "" : bundle, root[0] == '/' ? "" : "/", root) >=
        PATH_MAX)
        code = error_set(error, -ENAMETOOLONG, "root.path: the path is too long");
    oci_config_free(config);
    return code;
}

/* Its root, for good. */
static int enter_root(const struct domain_visit *visit, const int *kept, unsigned count, struct error *error)
{
    char path[PATH_MAX];
    if (domain_state_lives(&visit->state)) {
        domain_container_root(visit->domain->store, path);
        return container_enter(path, visit->domain->id, kept, count, error);
    }
    int code = tree_path(visit, path, error);
    return code ? code : container_enter_tree(path, kept, count, error);
}

/* This process is in the container from here on: its root, and what is at the path (O_PATH), or -1 if there
 * is nothing and that is allowed. */
static int enter(const struct domain_visit *visit, const struct domain_transfer *transfer, const int *kept,
                 unsigned count, int *object, struct error *error)
{
    int root = enter_root(visit, kept, count, error);
    if (root < 0)
        return root;
    *object = inside_open(root, transfer->path, O_PATH | (transfer->follow ? 0 : O_NOFOLLOW));
    close(root);
    return *object < 0 ? error_set(error, *object, "cannot open %s in %s: %s", transfer->path,
                                   domain_visit_name(visit), strerror(-*object))
                       : 0;
}

static int container_look(struct domain_visit *visit, const struct domain_transfer *transfer,
                          struct domain_file *file, struct error *error)
{
    struct stat status;
    int object = -1, code = enter(visit, transfer, &transfer->report, 1, &object, error);
    *file = (struct domain_file){0};
    if (code)
        return code == -ENOENT || code == -ENOTDIR ? 0 : code;
    if (fstat(object, &status) < 0)
        return error_set(error, -errno, "cannot look at %s: %s", transfer->path, strerror(errno));
    file->type = S_ISDIR(status.st_mode)   ? DOMAIN_FILE_DIRECTORY
                 : S_ISLNK(status.st_mode) ? DOMAIN_FILE_LINK
                                           : DOMAIN_FILE_OTHER;
    file->size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    return 0;
}

static int container_put(struct domain_visit *visit, const struct domain_transfer *transfer,
                         struct error *error)
{
    const struct tree_options options = {
        .owner = transfer->owner, .special = true, .self = tree_open_self(error)};
    const int kept[] = {transfer->report, transfer->stream, options.self};
    struct tree_unpack where = {.directory = -1};
    if (visit->config.container.read_only && !domain_state_lives(&visit->state))
        return error_set(error, -EROFS, "the root of %s is read-only", domain_visit_name(visit));
    int code = options.self < 0 ? options.self : enter(visit, transfer, kept, 3, &where.directory, error);
    return code ? code : tree_unpack(&where, transfer->stream, &options, error);
}

static void tell_left_out(void *opaque, const char *path, const char *why)
{
    const struct domain_transfer *transfer = opaque;
    transfer->left_out(transfer->opaque, path, why);
}

static int container_get(struct domain_visit *visit, const struct domain_transfer *transfer,
                         struct error *error)
{
    struct tree_options options = {.owner = transfer->owner,
                                   .special = true,
                                   .self = tree_open_self(error),
                                   .left_out = transfer->left_out ? tell_left_out : NULL,
                                   .opaque = (void *)(uintptr_t)transfer};
    const int kept[] = {transfer->report, transfer->stream, options.self};
    int object = -1, code = options.self < 0 ? options.self : enter(visit, transfer, kept, 3, &object, error);
    return code ? code
                : tree_pack(object, transfer->as ? transfer->as : "", transfer->stream, &options, error);
}

const struct domain_visits domain_container_visits = {
    .exec = container_exec,
    .files_at_rest = true,
    .look = container_look,
    .put = container_put,
    .get = container_get,
    .stats = domain_container_stats,
    .top = domain_container_top,
    .update = domain_container_update,
};
