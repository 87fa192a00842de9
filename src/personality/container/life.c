/* SPDX-License-Identifier: GPL-2.0-or-later */
/* life: what is done with a container once it is created. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "personality/container/cgroup.h"
#include "personality/container/channel.h"
#include "personality/container/container.h"
#include "personality/container/held.h"
#include "personality/container/hook.h"
#include "personality/container/members.h"
#include "personality/container/rdt.h"
#include "personality/container/state.h"
#include "personality/container/store.h"
#include "personality/container/unix_path.h"

/* How long a killed process may take to be gone: it may have much memory to give back. */
#define KILL_MILLISECONDS 10000

static int run_hooks(const struct held *held, enum oci_hook_kind kind, enum container_status status,
                     struct error *error)
{
    const struct store_record *record = &held->entry->record;
    struct oci_config *config;
    int code = store_config(held->entry, &config, error);
    if (code < 0)
        return code;
    char *state =
        state_text(config, record->id, record->bundle, status, status == CONTAINER_STOPPED ? 0 : record->pid);
    code = state ? hooks_run(config, kind, state, error) : error_set(error, -ENOMEM, "out of memory");
    free(state);
    oci_config_free(config);
    return code;
}

/* Kills the first process and waits for its end. */
static int end_process(const struct store_record *record, struct error *error)
{
    int process = state_open_process(record);
    if (process < 0)
        return 0;
    struct pollfd watch = {.fd = process, .events = POLLIN};
    pidfd_send_signal(process, SIGKILL, NULL, 0);
    int ready;
    do {
        ready = poll(&watch, 1, KILL_MILLISECONDS);
    } while (ready < 0 && errno == EINTR);
    close(process);
    return ready == 1 ? 0 : error_set(error, -ETIMEDOUT, "process %d does not end", record->pid);
}

/* What execve() has said of the program, which the configuration names. */
static int not_executed(const char *state_root, const char *id, int code, struct error *error)
{
    struct oci_config *config = NULL;
    struct held held;
    if (held_take(&held, state_root, id, false, error) == 0) {
        store_config(held.entry, &config, error);
        held_release(&held);
    }
    error_set(error, code, "exec: \"%s\": %s", config ? config->process.args[0] : "", strerror(-code));
    oci_config_free(config);
    return code;
}

/* Says START, and hears what becomes of it: the end of the connection is execve()'s doing. */
static int say_start(int channel, const char *state_root, const char *id, struct error *error)
{
    struct channel_message message;
    bool started = false;
    channel_send(channel, CHANNEL_START, -1);
    for (;;) {
        channel_receive(channel, &message);
        if (message.kind == CHANNEL_ERROR) {
            *error = message.error;
            return message.error.code < 0 ? message.error.code : -EIO;
        }
        if (message.kind == CHANNEL_NOT_EXECUTED)
            return not_executed(state_root, id, message.pid, error);
        if (message.kind == CHANNEL_END)
            return started ? 0 : error_set(error, -EPIPE, "the container's first process has ended");
        started |= message.kind == CHANNEL_STARTED;
    }
}

static int after_start(const struct held *held, struct error *error)
{
    if (!held->entry->record.poststart)
        return 0;
    int code = run_hooks(held, OCI_HOOK_POSTSTART, CONTAINER_RUNNING, error);
    if (code < 0) {
        struct error ignored = ERROR_INIT;
        end_process(&held->entry->record, &ignored);
    }
    return code;
}

int container_go(const struct container_options *options, struct container_new *made, struct error *error)
{
    struct held held;
    int code = say_start(made->channel, options->state_root, options->id, error);
    close(made->channel);
    made->channel = -1;
    if (code < 0 || !made->poststart)
        return code;
    code = held_take(&held, options->state_root, options->id, true, error);
    if (code < 0)
        return code;
    code = after_start(&held, error);
    held_release(&held);
    return code;
}

int container_start(const char *state_root, const char *id, struct error *error)
{
    struct held held;
    int code = held_take(&held, state_root, id, true, error);
    if (code < 0)
        return code;
    enum container_status status = state_status(&held.entry->record, held.directory);
    int channel = -1;
    if (status != CONTAINER_CREATED)
        code = error_set(error, -EINVAL, "cannot start container \"%s\": it is %s", id,
                         container_status_name(status));
    else if ((channel = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) < 0)
        code = error_set(error, -errno, "cannot make a socket: %s", strerror(errno));
    else if ((code = unix_path_connect_at(channel, held.directory, "start")) < 0)
        error_set(error, code, "cannot start container \"%s\": its first process does not listen: %s", id,
                  strerror(-code));
    if (code == 0) {
        code = say_start(channel, state_root, id, error);
        unlinkat(held.directory, "start", 0); /* it has been started, or is dead */
    }
    if (channel >= 0)
        close(channel);
    if (code == 0)
        code = after_start(&held, error);
    held_release(&held);
    return code;
}

static int open_cgroup(const struct store_record *record, struct cgroup **cgroup, struct error *error)
{
    return cgroup_open(cgroup, record->cgroup_path, record->cgroup_scope, error);
}

static int signal_all(const struct store_record *record, int signal, struct error *error)
{
    struct cgroup *cgroup = NULL;
    int code = open_cgroup(record, &cgroup, error);
    if (code == 0)
        code = members_signal(record, cgroup, signal, error);
    cgroup_close(cgroup);
    return code;
}

/* The cgroup of a container that is not stopped, which is to be done `what` with. */
static int open_live_cgroup(struct held *held, const char *id, const char *what, struct cgroup **cgroup,
                            struct error *error)
{
    enum container_status status = state_status(&held->entry->record, held->directory);
    if (status == CONTAINER_STOPPED || status == CONTAINER_CREATING)
        return error_set(error, -EINVAL, "cannot %s container \"%s\": it is %s", what, id,
                         container_status_name(status));
    return open_cgroup(&held->entry->record, cgroup, error);
}

int container_freeze(const char *state_root, const char *id, bool freeze, struct error *error)
{
    struct held held;
    struct cgroup *cgroup = NULL;
    int code = held_take(&held, state_root, id, true, error);
    if (code < 0)
        return code;
    code = open_live_cgroup(&held, id, freeze ? "pause" : "resume", &cgroup, error);
    if (code == 0)
        code = cgroup_freeze(cgroup, freeze, error);
    cgroup_close(cgroup);
    held_release(&held);
    return code;
}

int container_update(const char *state_root, const char *id, const struct resources *resources,
                     struct error *error)
{
    struct held held;
    struct cgroup *cgroup = NULL;
    int code = held_take(&held, state_root, id, true, error);
    if (code < 0)
        return code;
    code = open_live_cgroup(&held, id, "update", &cgroup, error);
    if (code == 0)
        code = cgroup_update(cgroup, resources, error);
    cgroup_close(cgroup);
    held_release(&held);
    return code;
}

int container_processes(const char *state_root, const char *id, pid_t **pids, size_t *count,
                        struct error *error)
{
    struct held held;
    struct cgroup *cgroup = NULL;
    int code = held_take(&held, state_root, id, false, error);
    if (code < 0)
        return code;
    code = open_cgroup(&held.entry->record, &cgroup, error);
    if (code == 0)
        code = members_list(&held.entry->record, cgroup, pids, count, error);
    cgroup_close(cgroup);
    held_release(&held);
    return code;
}

int container_kill(const char *state_root, const char *id, int signal, bool all, struct error *error)
{
    struct held held;
    int code = held_take(&held, state_root, id, false, error);
    if (code < 0)
        return code;
    int process = state_open_process(&held.entry->record);
    if (all)
        code = signal_all(&held.entry->record, signal, error);
    else if (process < 0)
        code = error_set(error, -ESRCH, "cannot signal container \"%s\": container not running", id);
    else if (pidfd_send_signal(process, signal, NULL, 0) < 0)
        code = error_set(error, -errno, "cannot signal container \"%s\": %s", id, strerror(errno));
    if (process >= 0)
        close(process);
    held_release(&held);
    return code;
}

/* Whoever is left in its cgroups ends with it. */
static int remove_cgroups(const struct store_record *record, struct error *error)
{
    struct cgroup *cgroup;
    int code = open_cgroup(record, &cgroup, error);
    if (code < 0)
        return code;
    if (cgroup_exists(cgroup)) {
        code = cgroup_kill(cgroup, error);
        if (code == 0)
            code = cgroup_delete(cgroup, KILL_MILLISECONDS, error);
    }
    cgroup_close(cgroup);
    return code;
}

static int leave_class(const struct oci_config *config, const char *id, struct error *error)
{
    struct rdt rdt;
    rdt_open(&rdt, &config->platform, id);
    return rdt_remove(&rdt, error);
}

/* Poststop hooks come when nothing is left; their failure is worth a warning only. */
static int delete_held(struct held *held, const char *state_root, const char *id, struct error *error)
{
    struct store_record *record = &held->entry->record;
    struct oci_config *config = NULL;
    struct error failure = ERROR_INIT;
    char *state = NULL;
    if ((record->poststop || record->rdt) && store_config(held->entry, &config, &failure) == 0 &&
        record->poststop)
        state = state_text(config, id, record->bundle, CONTAINER_STOPPED, 0);
    int code = remove_cgroups(record, error);
    if (code == 0 && record->rdt && config)
        code = leave_class(config, id, error);
    if (code == 0)
        code = store_remove(state_root, id, held->directory, error);
    if (code == 0 && state && hooks_run(config, OCI_HOOK_POSTSTOP, state, &failure) < 0)
        error_report(&failure);
    free(state);
    oci_config_free(config);
    return code;
}

/* What a killed `create` has left: nobody has the lock, since it is ours. */
static int delete_unfinished(const char *state_root, const char *id, struct error *error)
{
    int directory = store_open(state_root, id, true, error);
    if (directory < 0)
        return directory;
    int code = store_remove(state_root, id, directory, error);
    close(directory);
    return code;
}

int container_delete(const char *state_root, const char *id, bool force, struct error *error)
{
    struct held held;
    int code = held_take(&held, state_root, id, true, error);
    if (code == -ENOENT && force) {
        struct error ignored = ERROR_INIT;
        delete_unfinished(state_root, id, &ignored);
        return 0;
    }
    if (code < 0)
        return code;
    enum container_status status = state_status(&held.entry->record, held.directory);
    if (status != CONTAINER_STOPPED && held.entry->record.pid && !force) {
        code = error_set(error, -EBUSY, "cannot delete container \"%s\": it is %s", id,
                         container_status_name(status));
        error_hint(error, "stop it first, or give --force");
    } else {
        code = end_process(&held.entry->record, error);
    }
    if (code == 0)
        code = delete_held(&held, state_root, id, error);
    held_release(&held);
    return code;
}

int container_statistics(const char *state_root, const char *id, struct cgroup_statistics *statistics,
                         pid_t *first, struct error *error)
{
    struct held held;
    struct cgroup *cgroup = NULL;
    *statistics = (struct cgroup_statistics){0};
    int code = held_take(&held, state_root, id, false, error);
    if (code < 0)
        return code;
    *first = held.entry->record.pid;
    code = open_cgroup(&held.entry->record, &cgroup, error);
    if (code == 0 && cgroup_present(cgroup))
        code = cgroup_statistics(cgroup, statistics, error);
    cgroup_close(cgroup);
    held_release(&held);
    return code;
}

int container_cgroup(const char *state_root, const char *id, struct cgroup **out, struct error *error)
{
    struct held held;
    *out = NULL;
    int code = held_take(&held, state_root, id, false, error);
    if (code < 0)
        return code;
    code = open_cgroup(&held.entry->record, out, error);
    held_release(&held);
    return code;
}
