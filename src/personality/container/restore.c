/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore: a container's processes come back from files. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "personality/container/checkpoint.h"
#include "personality/container/criu.h"
#include "personality/container/making.h"
#include "personality/container/pid_file.h"

#define PID_FILE "restored" /* in the container's directory, while it is restored */

/* In CRIU's process: it and what it restores are in the container's cgroups, and the root is a mount, which
 * CRIU wants. */
static int before_restore(void *opaque, struct error *error)
{
    struct making *making = opaque;
    int code = cgroup_enter_self(making->first.limits.cgroup, false, error);
    if (code < 0)
        return code;
    /* a cgroup namespace begins where its maker is */
    int namespaces = CLONE_NEWNS | (int)(making->config->platform.new_namespaces & CLONE_NEWCGROUP);
    if (unshare(namespaces) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
        mount(making->root, making->root, NULL, MS_BIND | MS_REC, NULL) < 0)
        return error_set(error, -errno, "cannot make %s a mount: %s", making->root, strerror(errno));
    return 0;
}

/* The caller's own streams take the place of those that came from outside. */
static int add_streams(struct criu *criu, const char *images, struct error *error)
{
    char path[PATH_MAX];
    json_error_t problem;
    snprintf(path, sizeof path, "%s/%s", images, CHECKPOINT_STREAMS_FILE);
    json_t *document = json_load_file(path, 0, &problem);
    if (!document || json_array_size(document) != 3) {
        json_decref(document);
        return error_set(error, -EINVAL, "%s is not what a checkpoint has", path);
    }
    for (unsigned i = 0; i < 3; i++) {
        const char *name = json_string_value(json_array_get(document, i));
        if (!name || !name[0] || strlen(name) >= CHECKPOINT_STREAM)
            continue;
        criu_add(criu, "--inherit-fd");
        criu_add(criu, "fd[%u]:%s", i, name);
    }
    json_decref(document);
    return 0;
}

static int read_pid(const struct making *making, pid_t *pid, struct error *error)
{
    char text[16];
    int fd = openat(making->directory, PID_FILE, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (fd >= 0)
        close(fd);
    unlinkat(making->directory, PID_FILE, 0);
    text[size > 0 ? size : 0] = '\0';
    *pid = (pid_t)strtol(text, NULL, 10);
    return *pid > 0 ? 0 : error_set(error, -EIO, "CRIU does not tell which process it has restored");
}

static int restore(struct making *making, const struct container_checkpoint *checkpoint, struct error *error)
{
    struct criu criu;
    int code = criu_begin(&criu, "restore", checkpoint, error);
    if (code == 0)
        code =
            criu_add_externals(&criu, making->config, making->bundle, making->first.limits.cgroup, -1, error);
    if (code == 0)
        code = add_streams(&criu, checkpoint->image_path, error);
    if (code == 0) {
        criu_add(&criu, "--root");
        criu_add(&criu, "%s", making->root);
        criu_add(&criu, "--restore-detached");
        criu_add(&criu, "--restore-sibling"); /* as this process's child */
        criu_add(&criu, "--pidfile");
        criu_add(&criu, "%s/%s/" PID_FILE, making->options->state_root, making->options->id);
        code = criu_run(&criu, before_restore, making, error);
    }
    criu_end(&criu);
    return code < 0 ? code : read_pid(making, &making->pid, error);
}

int container_restore(const struct container_options *options, const struct container_checkpoint *checkpoint,
                      struct container_new *made, struct error *error)
{
    struct making making;
    int code = making_open(&making, options, error);
    if (code == 0 && making.config->process.terminal)
        code = error_set(error, -ENOTSUP, "process.terminal is true: such containers have no checkpoints");
    if (code == 0)
        code = making_claim(&making, error);
    if (code == 0)
        code = restore(&making, checkpoint, error);
    if (code == 0)
        code = rdt_enter(&making.rdt, making.pid, error);
    if (code == 0)
        code = making_note(&making, true, error);
    if (code == 0 && options->pid_file)
        code = pid_file_write(options->pid_file, making.pid, error);
    if (code < 0)
        making_undo(&making);
    *made =
        (struct container_new){.pid = making.pid, .channel = -1, .terminal = -1, .users = -1, .network = -1};
    making_release(&making);
    return code;
}
