/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scopes of systemd. visor asks at the manager's own socket, which needs no bus and sends the signals of jobs
 * unasked. The domain's cgroup is one below the scope's, since systemd sets the scope's own files as it sees
 * fit (at daemon-reload, for one), and those below a delegated one never.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"
#include "personality/container/dbus.h"

#define SYSTEM_SOCKET "/run/systemd/private"
#define MILLISECONDS  30000 /* for a job: systemd itself gives up on others after 90 s */
#define BELOW         "/container"

bool cgroup_systemd_runs(void)
{
    struct stat status;
    return lstat("/run/systemd/system", &status) == 0 && S_ISDIR(status.st_mode); /* sd_booted(3) */
}

static int open_manager(bool user, struct error *error)
{
    char path[200];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (!user)
        snprintf(path, sizeof path, SYSTEM_SOCKET);
    else if (runtime)
        snprintf(path, sizeof path, "%.150s/systemd/private", runtime);
    else
        snprintf(path, sizeof path, "/run/user/%u/systemd/private", geteuid());
    int fd = dbus_connect(path, error);
    if (fd < 0)
        error_hint(error,
                   user ? "leave out --systemd-cgroup, or start the user's manager: loginctl enable-linger"
                        : "leave out --systemd-cgroup where the host's init is not systemd");
    return fd;
}

static void put_property(struct buffer *message, const char *name, const char *signature)
{
    dbus_align(message, 8);
    dbus_put_text(message, name);
    dbus_put_signature(message, signature);
}

static void put_text_property(struct buffer *message, const char *name, const char *value)
{
    put_property(message, name, "s");
    dbus_put_text(message, value);
}

static void put_flag_property(struct buffer *message, const char *name, bool value)
{
    put_property(message, name, "b");
    dbus_put_integer(message, value, 4);
}

/* StartTransientUnit(s name, s mode, a(sv) properties, a(sa(sv)) others) */
static int ask(int fd, const char *slice, const char *scope, int pid)
{
    struct buffer message = {0};
    size_t array, pids;
    dbus_begin_call(&message, 1, "StartTransientUnit", "ssa(sv)a(sa(sv))");
    size_t body = message.size;
    dbus_put_text(&message, scope);
    dbus_put_text(&message, "fail");
    dbus_begin_array(&message, 8, &array);
    put_text_property(&message, "Description", "visor container");
    put_text_property(&message, "Slice", slice);
    put_text_property(&message, "CollectMode", "inactive-or-failed");
    put_flag_property(&message, "Delegate", true);
    put_flag_property(&message, "DefaultDependencies", false);
    put_property(&message, "PIDs", "au");
    dbus_begin_array(&message, 4, &pids);
    dbus_put_integer(&message, (uint64_t)pid, 4);
    dbus_end_array(&message, 4, pids);
    dbus_end_array(&message, 8, array);
    dbus_begin_array(&message, 8, &array);
    dbus_end_array(&message, 8, array);
    dbus_end_call(&message, body);
    int result = dbus_send(fd, &message);
    buffer_free(&message);
    return result;
}

/* The call's answer is the job's name; a signal says what became of the job. The signal may be there first.
 */
struct job {
    char path[200], removed[200], result[64];
};

static int handle(struct job *job, const struct dbus_message *message, const char *scope, struct error *error)
{
    size_t position = 0;
    if (message->type == DBUS_ERROR && message->reply_serial == 1) {
        const char *text = message->signature[0] == 's' ? dbus_take_text(message, &position) : NULL;
        return error_set(error, strstr(message->error_name, "AccessDenied") ? -EACCES : -EIO,
                         "systemd does not start the scope %s: %s", scope, text ? text : message->error_name);
    }
    if (message->type == DBUS_RETURN && message->reply_serial == 1) {
        const char *path = dbus_take_text(message, &position);
        snprintf(job->path, sizeof job->path, "%s", path ? path : "");
    }
    if (message->type == DBUS_SIGNAL && !strcmp(message->member, "JobRemoved") &&
        !strcmp(message->signature, "uoss")) {
        uint32_t number;
        bool whole = dbus_take_integer(message, &position, &number);
        const char *path = whole ? dbus_take_text(message, &position) : NULL;
        const char *unit = path ? dbus_take_text(message, &position) : NULL;
        const char *result = unit ? dbus_take_text(message, &position) : NULL;
        if (result && !strcmp(unit, scope)) {
            snprintf(job->removed, sizeof job->removed, "%s", path);
            snprintf(job->result, sizeof job->result, "%s", result);
        }
    }
    return 0;
}

static int wait_for_job(int fd, const char *scope, struct error *error)
{
    struct buffer storage = {0};
    struct job job = {0};
    int result = 0;
    while (result == 0 && (!job.path[0] || strcmp(job.path, job.removed) != 0)) {
        struct dbus_message message;
        result = dbus_receive(fd, MILLISECONDS, &storage, &message);
        if (result < 0)
            error_set(error, result, "no answer from systemd about the scope %s: %s", scope,
                      strerror(-result));
        else
            result = handle(&job, &message, scope, error);
    }
    buffer_free(&storage);
    if (result == 0 && strcmp(job.result, "done") != 0)
        result =
            error_set(error, -EIO, "systemd could not start the scope %s: its job is %s", scope, job.result);
    return result;
}

/* Where systemd has put the process. */
static int find(int pid, char **path, struct error *error)
{
    char name[48];
    ssize_t size;
    static const struct cgroup_mount v2 = {.version = 2, .names = ""},
                                     v1 = {.version = 1, .names = "name=systemd"};
    snprintf(name, sizeof name, "/proc/%d/cgroup", pid);
    char *text = cgroup_read_file(AT_FDCWD, name, &size);
    char *legacy = text ? cgroup_own_path(text, &v1) : NULL; /* on hybrid hosts, the two are one path */
    char *own = legacy ? legacy : text ? cgroup_own_path(text, &v2) : NULL;
    int code = text ? -ENOMEM : (int)size;
    free(text);
    int length = own ? asprintf(path, "%s" BELOW, own) : -1;
    free(own);
    if (length < 0) {
        *path = NULL;
        return error_set(error, code, "cannot tell which cgroup a scope is in");
    }
    return 0;
}

int cgroup_systemd_start(const char *slice, const char *scope, bool user, int pid, char **path,
                         struct error *error)
{
    *path = NULL;
    int fd = open_manager(user, error);
    if (fd < 0)
        return fd;
    int result = ask(fd, slice, scope, pid);
    if (result < 0)
        error_set(error, result, "cannot ask systemd for the scope %s: %s", scope, strerror(-result));
    else
        result = wait_for_job(fd, scope, error);
    close(fd);
    return result == 0 ? find(pid, path, error) : result;
}
