/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "personality/container/cgroup.h"
#include "personality/container/held.h"

const char *container_status_name(enum container_status status)
{
    static const char *const names[] = {
        [CONTAINER_CREATING] = "creating", [CONTAINER_CREATED] = "created", [CONTAINER_RUNNING] = "running",
        [CONTAINER_PAUSED] = "paused",     [CONTAINER_STOPPED] = "stopped",
    };
    return names[status];
}

uint64_t state_process_start(pid_t pid)
{
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    char *word = strrchr(text, ')'); /* the name before it may hold anything */
    if (!word || word[1] != ' ' || strchr("ZX", word[2]))
        return 0;
    for (unsigned field = 2; field < 22 && word; field++) /* see proc(5): 22 is the start time */
        word = strchr(word + 1, ' ');
    return word ? strtoull(word + 1, NULL, 10) : 0;
}

int state_open_process(const struct store_record *record)
{
    if (!record->pid)
        return -ESRCH;
    int fd = (int)syscall(SYS_pidfd_open, record->pid, 0);
    if (fd < 0)
        return -errno;
    if (state_process_start(record->pid) != record->start_time) { /* another one has the number now */
        close(fd);
        return -ESRCH;
    }
    return fd;
}

/* A running container stands still if its cgroup does. */
static bool is_frozen(const struct store_record *record)
{
    struct error ignored = ERROR_INIT;
    struct cgroup *cgroup;
    if (!record->cgroup_path || cgroup_open(&cgroup, record->cgroup_path, record->cgroup_scope, &ignored) < 0)
        return false;
    bool frozen = cgroup_frozen(cgroup, &ignored) == 1;
    cgroup_close(cgroup);
    return frozen;
}

enum container_status state_status(const struct store_record *record, int directory)
{
    if (!record->pid)
        return CONTAINER_CREATING;
    if (state_process_start(record->pid) != record->start_time)
        return CONTAINER_STOPPED;
    if (!record->made)
        return CONTAINER_CREATING;
    if (faccessat(directory, "start", F_OK, 0) == 0)
        return CONTAINER_CREATED;
    return is_frozen(record) ? CONTAINER_PAUSED : CONTAINER_RUNNING;
}

static json_t *annotations_document(const struct json_pair *annotations, unsigned count)
{
    json_t *document = json_object();
    for (unsigned i = 0; i < count; i++)
        json_object_set_new(document, annotations[i].name, json_string(annotations[i].value));
    return document;
}

char *state_text(const struct oci_config *config, const char *id, const char *bundle,
                 enum container_status status, pid_t pid)
{
    json_t *document =
        json_pack("{s:s, s:s, s:s, s:i, s:s, s:o}", "ociVersion", OCI_VERSION, "id", id, "status",
                  container_status_name(status), "pid", (int)pid, "bundle", bundle, "annotations",
                  annotations_document(config->annotations, config->annotations_count));
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    return text;
}

json_t *container_state_document(const struct container_state *state)
{
    const struct store_record *record = &state->entry->record;
    bool alive = state->status != CONTAINER_STOPPED;
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:o}", "ociVersion", OCI_VERSION, "id", record->id,
                     "pid", alive ? record->pid : 0, "status", container_status_name(state->status), "bundle",
                     record->bundle, "rootfs", record->root, "created", record->created, "annotations",
                     annotations_document(record->annotations, record->annotations_count));
}

int held_take(struct held *held, const char *state_root, const char *id, bool lock, struct error *error)
{
    *held = (struct held){.directory = store_open(state_root, id, lock, error)};
    if (held->directory < 0)
        return held->directory;
    int code = store_read(held->directory, &held->entry, error);
    if (code < 0) {
        error_prefix(error, "container \"%s\": ", id);
        close(held->directory);
        held->directory = -1;
    }
    return code;
}

void held_release(struct held *held)
{
    store_entry_free(held->entry);
    if (held->directory >= 0)
        close(held->directory);
}

int container_state(const char *state_root, const char *id, struct container_state *state,
                    struct error *error)
{
    struct held held;
    *state = (struct container_state){.status = CONTAINER_CREATING};
    int code = held_take(&held, state_root, id, false, error);
    if (code < 0)
        return code;
    state->entry = held.entry;
    state->status = state_status(&held.entry->record, held.directory);
    close(held.directory);
    return 0;
}

void container_state_free(struct container_state *state)
{
    store_entry_free(state->entry);
    state->entry = NULL;
}
