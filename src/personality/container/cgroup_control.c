/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Listing, freezing, killing, giving and deleting what is in a domain's cgroups. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define FREEZE_MILLISECONDS                                                                                  \
    10000 /* a process in an uninterruptible wait does not stand still before it is over */
#define DEPTH_MAX   64
#define KILL_ROUNDS 100

static int walk(int directory, unsigned depth, int (*visit)(int directory, void *opaque), void *opaque)
{
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (!stream) {
        result = -errno;
        if (copy >= 0)
            close(copy);
        return result;
    }
    struct dirent *entry;
    while (result == 0 && depth && (entry = readdir(stream))) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int child = openat(copy, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (child < 0)
            continue; /* gone meanwhile */
        result = walk(child, depth - 1, visit, opaque);
        close(child);
    }
    closedir(stream);
    return result == 0 ? visit(directory, opaque) : result;
}

int cgroup_walk(int directory, int (*visit)(int directory, void *opaque), void *opaque)
{
    return walk(directory, DEPTH_MAX, visit, opaque);
}

static int absent(const char *what, struct error *error)
{
    return error_set(error, -ENOTSUP, "cannot %s: the container has no cgroups", what);
}

struct list {
    pid_t *pids;
    size_t count, capacity;
};

static int list_directory(int directory, void *opaque)
{
    struct list *list = opaque;
    ssize_t size;
    char *text = cgroup_read_file(directory, "cgroup.procs", &size), *next = text;
    if (!text) /* it is gone; or threaded: its processes are listed above */
        return size == -ENOENT || size == -ENODEV || size == -EOPNOTSUPP ? 0 : (int)size;
    while (*next) {
        long pid = strtol(next, &next, 10);
        next += strcspn(next, "0123456789");
        if (list->count == list->capacity) {
            size_t capacity = list->capacity ? list->capacity * 2 : 64;
            pid_t *more = realloc(list->pids, capacity * sizeof *more);
            if (!more) {
                free(text);
                return -ENOMEM;
            }
            list->pids = more;
            list->capacity = capacity;
        }
        if (pid > 0) /* 0: of another PID namespace */
            list->pids[list->count++] = (pid_t)pid;
    }
    free(text);
    return 0;
}

int cgroup_processes(struct cgroup *cgroup, pid_t **pids, size_t *count, struct error *error)
{
    struct cgroup_place *place = cgroup_place_tracking(cgroup);
    struct list list = {0};
    *pids = NULL;
    *count = 0;
    if (!place)
        return cgroup->path ? 0 : absent("list processes", error);
    int result = cgroup_walk(place->directory, list_directory, &list);
    if (result < 0) {
        free(list.pids);
        return error_set(error, result, "cannot list the processes of the cgroup %s: %s", cgroup->path,
                         strerror(-result));
    }
    *pids = list.pids;
    *count = list.count;
    return 0;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static void sleep_milliseconds(long count)
{
    nanosleep(&(struct timespec){count / 1000, count % 1000 * 1000000}, NULL);
}

/* 1, 0 or a negative errno. */
static int read_frozen(int directory, int version)
{
    ssize_t size;
    char *text = cgroup_read_file(directory, version == 2 ? "cgroup.events" : "freezer.state", &size);
    if (!text)
        return (int)size;
    int frozen = strstr(text, version == 2 ? "frozen 1" : "FROZEN") != NULL;
    free(text);
    return frozen;
}

static int wait_v2(int directory, bool freeze, int64_t deadline)
{
    int events = openat(directory, "cgroup.events", O_RDONLY | O_CLOEXEC), result;
    if (events < 0)
        return -errno;
    for (;;) {
        char text[256];
        ssize_t size = pread(events, text, sizeof text - 1, 0);
        int64_t left = deadline - milliseconds();
        result = size < 0 ? -errno : 0;
        if (result < 0)
            break;
        text[size] = '\0';
        if ((strstr(text, "frozen 1") != NULL) == freeze)
            break;
        result = left > 0 ? 0 : -ETIMEDOUT;
        if (result < 0)
            break;
        poll(&(struct pollfd){.fd = events, .events = POLLPRI}, 1, (int)left);
    }
    close(events);
    return result;
}

/* Version 1 has to be asked, and be told again when processes are born while it freezes. */
static int wait_v1(int directory, bool freeze, int64_t deadline)
{
    for (long pause = 0;; pause = MIN(pause + 1, 20)) {
        int frozen = read_frozen(directory, 1);
        if (frozen < 0 || frozen == freeze)
            return MIN(frozen, 0);
        if (milliseconds() > deadline)
            return -ETIMEDOUT;
        sleep_milliseconds(pause);
        cgroup_write(directory, "freezer.state", freeze ? "FROZEN" : "THAWED");
    }
}

static struct cgroup_place *freezer(struct cgroup *cgroup)
{
    struct cgroup_place *v2 = cgroup_place_of(cgroup, CONTROLLER_CORE);
    return v2 ? v2 : cgroup_place_of(cgroup, CONTROLLER_FREEZER);
}

int cgroup_freeze(struct cgroup *cgroup, bool freeze, struct error *error)
{
    struct cgroup_place *place = freezer(cgroup);
    if (!place)
        return absent(freeze ? "pause" : "resume", error);
    bool v2 = place->mount->version == 2;
    const char *file = v2 ? "cgroup.freeze" : "freezer.state";
    const char *text = v2 ? (freeze ? "1" : "0") : freeze ? "FROZEN" : "THAWED";
    int64_t deadline = milliseconds() + FREEZE_MILLISECONDS;
    int result = cgroup_write(place->directory, file, text);
    if (result == 0)
        result =
            v2 ? wait_v2(place->directory, freeze, deadline) : wait_v1(place->directory, freeze, deadline);
    if (result == 0)
        return 0;
    if (freeze)
        cgroup_write(place->directory, file, v2 ? "0" : "THAWED");
    return error_set(error, result, "cannot %s the cgroup %s: %s", freeze ? "freeze" : "thaw", cgroup->path,
                     result == -ETIMEDOUT ? "a process of it does not come to stand still"
                                          : strerror(-result));
}

int cgroup_frozen(struct cgroup *cgroup, struct error *error)
{
    struct cgroup_place *place = freezer(cgroup);
    if (!place)
        return cgroup->path ? 0 : absent("tell whether it is paused", error);
    int result = read_frozen(place->directory, place->mount->version);
    if (result < 0)
        return error_set(error, result, "cannot tell whether the cgroup %s is frozen: %s", cgroup->path,
                         strerror(-result));
    return result;
}

int cgroup_signal(struct cgroup *cgroup, int signal, struct error *error)
{
    pid_t *pids;
    size_t count;
    int result = cgroup_processes(cgroup, &pids, &count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; result == 0 && i < count; i++)
        if (kill(pids[i], signal) < 0 && errno != ESRCH)
            result = error_set(error, -errno, "cannot send signal %d to process %d: %s", signal, pids[i],
                               strerror(errno));
    free(pids);
    return result;
}

/* Without cgroup.kill: nobody is born while all stand still, so that one round reaches all. */
static int kill_frozen(struct cgroup *cgroup, struct error *error)
{
    int result = 0;
    for (unsigned round = 0; result == 0 && round < KILL_ROUNDS; round++) {
        pid_t *pids = NULL;
        size_t count;
        bool frozen = cgroup_freeze(cgroup, true, NULL) == 0;
        result = cgroup_signal(cgroup, SIGKILL, error);
        if (frozen)
            cgroup_freeze(cgroup, false, NULL);
        if (result == 0)
            result = cgroup_processes(cgroup, &pids, &count, error);
        free(pids);
        if (result < 0 || count == 0 || frozen)
            break;
        sleep_milliseconds(1);
    }
    return result;
}

int cgroup_kill(struct cgroup *cgroup, struct error *error)
{
    struct cgroup_place *place = cgroup_place_tracking(cgroup);
    if (!place)
        return cgroup->path ? 0 : absent("kill all processes", error);
    int result = place->mount->version == 2 ? cgroup_write(place->directory, "cgroup.kill", "1") : -ENOENT;
    if (result == 0 || result == -ENODEV)
        return 0;
    if (result != -ENOENT && result != -EOPNOTSUPP)
        return error_set(error, result, "cannot kill the processes of the cgroup %s: %s", cgroup->path,
                         strerror(-result));
    return kill_frozen(cgroup, error);
}

static int remove_tree(int above, const char *name, unsigned depth)
{
    if (unlinkat(above, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    int result = -errno;
    int directory =
        errno == EBUSY && depth ? openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
    DIR *stream = directory >= 0 ? fdopendir(directory) : NULL;
    if (!stream) {
        if (directory >= 0)
            close(directory);
        return result;
    }
    struct dirent *entry;
    bool children = false;
    while ((entry = readdir(stream)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            children = true;
            remove_tree(directory, entry->d_name, depth - 1);
        }
    closedir(stream);
    if (!children)
        return result;
    return unlinkat(above, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

/* Where systemd does not know of its scope's directory, which had to be made above the domain's, nobody else
 * removes it. */
static void remove_scope(const struct cgroup *cgroup, const struct cgroup_mount *mount, char *path)
{
    if (cgroup->scope && mount->version == 1 && strcmp(mount->names, "name=systemd") != 0) {
        *strrchr(path, '/') = '\0';
        rmdir(path);
    }
}

int cgroup_delete(struct cgroup *cgroup, unsigned limit, struct error *error)
{
    int64_t deadline = milliseconds() + limit;
    long pause = 1;
    for (size_t i = 0; cgroup->path && i < cgroup->mounts.count; i++) {
        struct cgroup_place *place = &cgroup->places[i];
        char *path = NULL;
        int result = 0;
        if (place->directory < 0)
            continue;
        if (asprintf(&path, "%s%s", place->mount->point, cgroup->path) < 0)
            return error_set(error, -ENOMEM, "no memory for a cgroup's path");
        while ((result = remove_tree(AT_FDCWD, path, DEPTH_MAX)) == -EBUSY && milliseconds() < deadline) {
            sleep_milliseconds(pause);
            pause = MIN(pause * 2, 50);
        }
        if (result < 0) {
            error_set(error, result, "cannot remove the cgroup %s: %s", path,
                      result == -EBUSY ? "processes are still in it" : strerror(-result));
            free(path);
            return result;
        }
        remove_scope(cgroup, place->mount, path);
        free(path);
        close(place->directory);
        place->directory = -1;
    }
    cgroup->hierarchy_count = 0;
    return 0;
}

int cgroup_give(struct cgroup *cgroup, uid_t uid, struct error *error)
{
    static const char fallback[] = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";
    struct cgroup_place *place = cgroup_place_of(cgroup, CONTROLLER_CORE);
    ssize_t size;
    if (!place)
        return 0;
    char *list = cgroup_read_file(AT_FDCWD, "/sys/kernel/cgroup/delegate", &size);
    if (!list && !(list = strdup(fallback)))
        return error_set(error, -ENOMEM, "no memory for a list of files");
    int result = fchown(place->directory, uid, (gid_t)-1) < 0 ? -errno : 0;
    char *rest = list, *file;
    while (result == 0 && (file = strsep(&rest, "\n")))
        if (*file && fchownat(place->directory, file, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 &&
            errno != ENOENT)
            result = -errno;
    free(list);
    if (result < 0)
        return error_set(error, result, "cannot give the cgroup %s to user %u: %s", cgroup->path, uid,
                         strerror(-result));
    return 0;
}
