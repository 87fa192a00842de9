/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Makes a domain's directories, and what version 2 and cpusets want besides. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "personality/container/cgroup_private.h"

#define DIRECTORY_MODE 0755
#define CPUSET_DEPTH   32
#define MAKE_TRIES     5 /* another visor may remove a directory above before this one is in it */

const char cgroup_delegate_hint[] =
    "ask systemd for a place: --systemd-cgroup, or systemd-run --user --scope -p Delegate=yes COMMAND";

const char cgroup_v1_hint[] =
    "cgroup version 1 cannot be delegated; boot with systemd.unified_cgroup_hierarchy=1 for version 2";

bool cgroup_is_refusal(int code)
{
    return code == -EACCES || code == -EPERM || code == -EROFS;
}

char *cgroup_full_path(const struct cgroup_mount *mount, const char *path)
{
    char *text = NULL;
    const char *point = strcmp(mount->point, "/") != 0 ? mount->point : "";
    return asprintf(&text, "%s%s", point, path) < 0 ? NULL : text;
}

/* mkdir -p. *made: length of the first part of the path that was not there; 0: all was. */
static int make_path(const char *path, size_t start, size_t *made)
{
    int result = 0;
    *made = 0;
    for (unsigned tries = 0; tries < MAKE_TRIES; tries++) {
        if (mkdir(path, DIRECTORY_MODE) == 0) {
            *made = *made ? *made : strlen(path);
            return 0;
        }
        if (errno != ENOENT)
            return errno == EEXIST ? 0 : -errno;
        result = -errno;
        for (const char *slash = strchr(path + start + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
            char *part = strndup(path, (size_t)(slash - path));
            int failed = !part ? ENOMEM : mkdir(part, DIRECTORY_MODE) < 0 ? errno : 0;
            free(part);
            if (!failed && !*made)
                *made = (size_t)(slash - path);
            if (failed && failed != EEXIST && failed != ENOENT)
                return -failed;
        }
    }
    return result;
}

/* Somebody is in it who was there before. */
static bool is_populated(int directory, int version)
{
    ssize_t size;
    char *text = cgroup_read_file(directory, version == 2 ? "cgroup.events" : "cgroup.procs", &size);
    bool populated = text && (version == 2 ? strstr(text, "populated 1") != NULL : size > 0);
    free(text);
    return populated;
}

static const struct cgroup_mount *tracking_mount(const struct cgroup_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count && mounts->items[0].version == 1; i++)
        if (mounts->items[i].controllers & CONTROLLER_BIT(CONTROLLER_FREEZER))
            return &mounts->items[i];
    return mounts->items; /* version 2; or any */
}

static int taken(const char *path, struct error *error)
{
    return error_set(error, -EBUSY, "the cgroup %s has processes in it: another container uses it", path);
}

int cgroup_check_free(struct cgroup *cgroup, struct error *error)
{
    const struct cgroup_mount *mount = tracking_mount(&cgroup->mounts);
    char *path = cgroup_full_path(mount, cgroup->path);
    int directory = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, result = 0;
    if (directory >= 0 && is_populated(directory, mount->version))
        result = taken(path, error);
    if (directory >= 0)
        close(directory);
    free(path);
    return result;
}

static int make_place(struct cgroup *cgroup, struct cgroup_place *place, bool shared, struct error *error)
{
    char *path = cgroup_full_path(place->mount, cgroup->path);
    if (!path)
        return error_set(error, -ENOMEM, "no memory for a cgroup's path");
    size_t prefix = strlen(path) - strlen(cgroup->path), made;
    int result = make_path(path, prefix, &made);
    if (result == 0 && made) {
        place->made = made - prefix;
    }
    if (result == 0) {
        place->directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = place->directory < 0 ? -errno : 0;
    }
    if (result < 0) {
        error_set(error, result, "cannot make the cgroup %s: %s", path, strerror(-result));
        if (cgroup_is_refusal(result))
            error_hint(error, "%s", place->mount->version == 2 ? cgroup_delegate_hint : cgroup_v1_hint);
    } else if (!made && !shared && is_populated(place->directory, place->mount->version)) {
        result = taken(path, error);
    }
    free(path);
    return result;
}

/* Processors and nodes of a version 1 cpuset are empty at first, and nobody can enter it: as above, then.
 */
static int inherit_cpuset(int directory, unsigned depth)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    int result = 0;
    for (size_t i = 0; result == 0 && i < 2; i++) {
        ssize_t size;
        char *text = cgroup_read_file(directory, files[i], &size);
        bool empty = text && (size == 0 || *text == '\n');
        free(text);
        if (!empty)
            continue;
        int above = depth ? openat(directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        result = above < 0 ? -errno : inherit_cpuset(above, depth - 1);
        text = result == 0 ? cgroup_read_file(above, files[i], &size) : NULL;
        if (text) {
            text[strcspn(text, "\n")] = '\0';
            result = cgroup_write(directory, files[i], text);
        }
        free(text);
        if (above >= 0)
            close(above);
    }
    return result;
}

static unsigned controllers_of(int directory)
{
    ssize_t size;
    char *text = cgroup_read_file(directory, "cgroup.controllers", &size);
    unsigned controllers = text ? cgroup_controllers_parse(text, " \n", 2) : 0;
    free(text);
    return controllers;
}

/* What the first failure on the way down was, which is why a controller is not there. */
static int cannot_enable(const char *path, enum cgroup_controller controller, int reason, struct error *error)
{
    const char *name = cgroup_controller_name(controller, 2);
    error_set(error, reason ? reason : -ENOTSUP, "the cgroup controller '%s' cannot be had at %s: %s", name,
              path,
              reason == -EBUSY ? "processes are in a cgroup above it"
              : reason         ? strerror(-reason)
                               : "it is not delegated this far");
    if (reason == -EACCES || reason == -EPERM || reason == 0)
        error_hint(error, "%s", cgroup_delegate_hint);
    return reason ? reason : -ENOTSUP;
}

/* Version 2: a directory has the controllers that the one above lists in cgroup.subtree_control. */
int cgroup_enable_controllers(struct cgroup *cgroup, struct cgroup_place *place, unsigned needed,
                              unsigned wanted, struct error *error)
{
    unsigned all = (needed | wanted) & place->mount->controllers;
    unsigned missing = all ? all & ~controllers_of(place->directory) : 0;
    char *path = missing ? cgroup_full_path(place->mount, cgroup->path) : NULL;
    int reason = 0;
    if (!missing)
        return 0;
    if (!path)
        return error_set(error, -ENOMEM, "no memory for a cgroup's path");
    size_t length = strlen(path) - strlen(cgroup->path);
    while (path[length]) {
        char above[PATH_MAX];
        snprintf(above, sizeof above, "%.*s/cgroup.subtree_control", (int)length, path);
        for (unsigned i = 0; i < CONTROLLERS; i++) {
            char text[32];
            if (!(missing & CONTROLLER_BIT(i)))
                continue;
            snprintf(text, sizeof text, "+%s", cgroup_controller_name(i, 2));
            int result = cgroup_write(AT_FDCWD, above, text);
            if (result < 0 && !reason && needed & CONTROLLER_BIT(i))
                reason = result;
        }
        length += strcspn(path + length + 1, "/") + 1;
    }
    missing = needed & all & ~controllers_of(place->directory);
    int result =
        missing ? cannot_enable(path, (enum cgroup_controller)__builtin_ctz(missing), reason, error) : 0;
    free(path);
    return result;
}

/* Which of the host's hierarchies are to have a directory: where processes are tracked, and what
 * controllers need. */
static bool needs_place(struct cgroup *cgroup, const struct cgroup_mount *mount, unsigned controllers)
{
    if (cgroup->scope && !strcmp(mount->names, "name=systemd"))
        return true; /* by which systemd knows what is in the scope */
    return mount == tracking_mount(&cgroup->mounts) ||
           (mount->version == 1 && mount->controllers & controllers);
}

int cgroup_make_places(struct cgroup *cgroup, unsigned needed, unsigned wanted, struct error *error)
{
    bool shared = cgroup->scope != NULL;
    for (size_t i = 0; i < cgroup->mounts.count; i++) {
        struct cgroup_place *place = &cgroup->places[i];
        if (!needs_place(cgroup, place->mount, needed | wanted))
            continue;
        int result = make_place(cgroup, place, shared, error);
        if (result == 0 && cgroup->place_holder) /* else it would be above, where it keeps controllers back */
            result = cgroup_move(cgroup, place, cgroup->place_holder, error);
        if (result == 0 && place->mount->version == 2)
            result = cgroup_enable_controllers(cgroup, place, needed, wanted, error);
        else if (result == 0 && place->mount->controllers & CONTROLLER_BIT(CONTROLLER_CPUSET))
            inherit_cpuset(place->directory, CPUSET_DEPTH); /* if it cannot, entering says so */
        if (result < 0)
            return result;
    }
    return 0;
}

void cgroup_remove_made(struct cgroup *cgroup)
{
    for (size_t i = 0; i < cgroup->mounts.count; i++) {
        struct cgroup_place *place = &cgroup->places[i];
        char *path = place->made ? cgroup_full_path(place->mount, cgroup->path) : NULL;
        size_t prefix = path ? strlen(path) - strlen(cgroup->path) : 0;
        while (path && strlen(path) >= prefix + place->made && rmdir(path) == 0)
            *strrchr(path, '/') = '\0';
        free(path);
    }
}

/* Puts all processes of the domain into a directory that was made after them. */
static int move_all(struct cgroup *cgroup, const struct cgroup_place *place, struct error *error)
{
    size_t before = SIZE_MAX, moved = 0;
    int result = 0;
    while (result == 0 && moved != before) { /* until nobody has been born meanwhile */
        pid_t *pids;
        size_t count;
        before = moved;
        moved = 0;
        result = cgroup_processes(cgroup, &pids, &count, error);
        for (size_t i = 0; result == 0 && i < count; i++) {
            int written = cgroup_move(cgroup, place, pids[i], error);
            result = written == -ESRCH ? 0 : written;
            moved += written == 0;
        }
        if (result == 0)
            free(pids);
    }
    return result;
}

/* Directories of version 1 controllers that no limit has needed until now. */
int cgroup_add_places(struct cgroup *cgroup, unsigned controllers, struct error *error)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < cgroup->mounts.count; i++) {
        struct cgroup_place *place = &cgroup->places[i];
        if (place->directory >= 0 || place->mount->version == 2 || !(place->mount->controllers & controllers))
            continue;
        result = make_place(cgroup, place, true, error);
        if (result == 0 && place->mount->controllers & CONTROLLER_BIT(CONTROLLER_CPUSET))
            inherit_cpuset(place->directory, CPUSET_DEPTH);
        if (result == 0)
            result = move_all(cgroup, place, error);
    }
    return result;
}
