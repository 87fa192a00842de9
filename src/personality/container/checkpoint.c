/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checkpoint: a container's processes are written to files. */
#include "personality/container/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "personality/container/criu.h"
#include "personality/container/held.h"

/* The number of the mount that the descriptor's file is on; -1: unknown. */
static long mount_of(pid_t pid, unsigned number)
{
    char path[64], line[128];
    long mount = -1;
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%u", (int)pid, number);
    FILE *file = fopen(path, "re");
    while (file && mount < 0 && fgets(line, sizeof line, file))
        sscanf(line, "mnt_id: %ld", &mount);
    if (file)
        fclose(file);
    return mount;
}

static bool is_inside(pid_t pid, long mount)
{
    char path[64], line[PATH_MAX * 2];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/mountinfo", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = strtol(line, NULL, 10) == mount;
    if (file)
        fclose(file);
    return found;
}

/* By what CRIU knows a standard stream that comes from outside; "": it is the container's own. */
static void name_stream(pid_t pid, unsigned number, char name[CHECKPOINT_STREAM])
{
    char path[64], target[CHECKPOINT_STREAM];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/fd/%u", (int)pid, number);
    ssize_t size = readlink(path, target, sizeof target - 1);
    name[0] = '\0';
    if (size < 0 || stat(path, &status) < 0)
        return;
    target[size] = '\0';
    long mount = mount_of(pid, number);
    if (S_ISFIFO(status.st_mode) && strncmp(target, "pipe:[", 6) == 0)
        snprintf(name, CHECKPOINT_STREAM, "%s", target);
    else if (!S_ISSOCK(status.st_mode) && mount >= 0 && !is_inside(pid, mount))
        snprintf(name, CHECKPOINT_STREAM, "file[%lx:%llx]", (unsigned long)mount,
                 (unsigned long long)status.st_ino);
}

/* Kept beside the checkpoint, so that who restores it can put his own streams there. */
static int write_streams(const char *images, char names[3][CHECKPOINT_STREAM], struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", images, CHECKPOINT_STREAMS_FILE);
    json_t *document = json_pack("[s, s, s]", names[0], names[1], names[2]);
    int failed = document ? json_dump_file(document, path, JSON_COMPACT) : -1;
    json_decref(document);
    return failed ? error_set(error, -EIO, "cannot write %s: %s", path, strerror(errno)) : 0;
}

static int add_externals(struct criu *criu, const struct store_record *record,
                         const struct oci_config *config, const struct cgroup *cgroup, struct error *error)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root", record->pid);
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    int code = criu_add_externals(criu, config, record->bundle, cgroup, root, error);
    close(root);
    return code;
}

static int dump(const struct container_checkpoint *checkpoint, const struct store_record *record,
                const struct oci_config *config, struct error *error)
{
    struct criu criu;
    struct cgroup *cgroup = NULL;
    char names[3][CHECKPOINT_STREAM];
    int code = criu_begin(&criu, checkpoint->pre_dump ? "pre-dump" : "dump", checkpoint, error);
    if (code == 0)
        code = cgroup_open(&cgroup, record->cgroup_path, record->cgroup_scope, error);
    if (code == 0)
        code = add_externals(&criu, record, config, cgroup, error);
    cgroup_close(cgroup);
    if (code == 0) {
        criu_add(&criu, "--tree");
        criu_add(&criu, "%d", record->pid);
        if (checkpoint->pre_dump || checkpoint->parent_path)
            criu_add(&criu, "--track-mem");
        if (checkpoint->leave_running && !checkpoint->pre_dump)
            criu_add(&criu, "--leave-running");
        if (checkpoint->status_fd >= 0) {
            criu_add(&criu, "--status-fd");
            criu_add(&criu, "%d", checkpoint->status_fd);
        }
        for (unsigned i = 0; i < 3; i++) {
            name_stream(record->pid, i, names[i]);
            if (names[i][0] == 'f') {
                criu_add(&criu, "--external");
                criu_add(&criu, "%s", names[i]);
            }
        }
        code = write_streams(checkpoint->image_path, names, error);
    }
    if (code == 0)
        code = criu_run(&criu, NULL, NULL, error);
    criu_end(&criu);
    return code;
}

int container_checkpoint(const char *state_root, const char *id,
                         const struct container_checkpoint *checkpoint, struct error *error)
{
    struct held held;
    struct oci_config *config = NULL;
    int code = held_take(&held, state_root, id, true, error);
    if (code < 0)
        return code;
    enum container_status status = state_status(&held.entry->record, held.directory);
    if (status != CONTAINER_RUNNING && status != CONTAINER_PAUSED)
        code = error_set(error, -EINVAL, "cannot checkpoint container \"%s\": it is %s", id,
                         container_status_name(status));
    if (code == 0)
        code = store_config(held.entry, &config, error);
    if (code == 0 && config->process.terminal)
        code = error_set(error, -ENOTSUP,
                         "cannot checkpoint container \"%s\": process.terminal is true, and its other end is "
                         "somebody else's",
                         id);
    if (code == 0)
        code = dump(checkpoint, &held.entry->record, config, error);
    oci_config_free(config);
    held_release(&held);
    if (code < 0 || checkpoint->leave_running || checkpoint->pre_dump)
        return code;
    return container_delete(state_root, id, true, error); /* its processes have ended */
}
