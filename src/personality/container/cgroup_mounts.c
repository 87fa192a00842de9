/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cgroup file systems the host has mounted, and which controllers they have. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define USUAL_PLACE "/sys/fs/cgroup" /* by systemd's example */

static const char *const names[CONTROLLERS][2] = {
    [CONTROLLER_CPU] = {"cpu", "cpu"},
    [CONTROLLER_CPUACCT] = {"cpuacct", ""},
    [CONTROLLER_CPUSET] = {"cpuset", "cpuset"},
    [CONTROLLER_MEMORY] = {"memory", "memory"},
    [CONTROLLER_DEVICES] = {"devices", ""},
    [CONTROLLER_FREEZER] = {"freezer", ""},
    [CONTROLLER_BLOCK_IO] = {"blkio", "io"},
    [CONTROLLER_PIDS] = {"pids", "pids"},
    [CONTROLLER_NET_CLS] = {"net_cls", ""},
    [CONTROLLER_NET_PRIO] = {"net_prio", ""},
    [CONTROLLER_HUGETLB] = {"hugetlb", "hugetlb"},
    [CONTROLLER_RDMA] = {"rdma", "rdma"},
    [CONTROLLER_MISC] = {"misc", "misc"},
};

const char *cgroup_controller_name(enum cgroup_controller controller, int version)
{
    return controller < CONTROLLERS ? names[controller][version - 1] : "cgroup";
}

unsigned cgroup_controllers_parse(const char *text, const char *separators, int version)
{
    unsigned controllers = 0;
    while (*text) {
        size_t length = strcspn(text, separators);
        for (unsigned i = 0; i < CONTROLLERS; i++) {
            const char *name = names[i][version - 1];
            if (length && strlen(name) == length && !memcmp(name, text, length))
                controllers |= CONTROLLER_BIT(i);
        }
        text += length;
        text += strspn(text, separators);
    }
    return controllers;
}

char *cgroup_read_file(int directory, const char *name, ssize_t *size)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    size_t capacity = 4096, used = 0;
    char *text = NULL;
    if (fd < 0) {
        *size = -errno;
        return NULL;
    }
    for (;;) {
        char *more = text && capacity - used > 1 ? text : realloc(text, text ? capacity *= 2 : capacity);
        if (!more) {
            errno = ENOMEM;
            break;
        }
        text = more;
        ssize_t got = read(fd, text + used, capacity - used - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        if (got == 0) {
            close(fd);
            text[used] = '\0';
            *size = (ssize_t)used;
            return text;
        }
        used += (size_t)got;
    }
    *size = -errno;
    close(fd);
    free(text);
    return NULL;
}

/* A line of mountinfo, see proc(5): "ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAG...] - TYPE SOURCE
 * SUPEROPTIONS". */
struct line {
    char *point, *type, *options;
};

static bool split(char *text, struct line *line)
{
    char *words[5], *rest = text;
    for (unsigned i = 0; i < 5; i++)
        if (!(words[i] = strsep(&rest, " ")))
            return false;
    char *dash = rest ? strstr(rest, " - ") : NULL;
    if (!dash)
        return false;
    rest = dash + 3;
    line->point = words[4];
    line->type = strsep(&rest, " ");
    strsep(&rest, " "); /* the source */
    line->options = rest;
    return line->options != NULL;
}

/* "\040" is how the kernel writes a space in a path. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++)
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' &&
            from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    *to = '\0';
}

/* Of a version 1 mount's options, those that say which hierarchy it is; in place. */
static void keep_names(char *options)
{
    char *to = options, *rest = options, *word;
    while ((word = strsep(&rest, ","))) {
        size_t length = strlen(word);
        bool named = !strncmp(word, "name=", 5);
        if (!named && !cgroup_controllers_parse(word, ",", 1) && strcmp(word, "perf_event") != 0)
            continue;
        if (to != options)
            *to++ = ',';
        memmove(to, word, length);
        to += length;
    }
    *to = '\0';
}

/* Once for each hierarchy. */
static int add(struct cgroup_mounts *mounts, int version, const char *hierarchy, const char *point)
{
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->items[i].version == version && !strcmp(mounts->items[i].names, hierarchy))
            return 0;
    struct cgroup_mount *more = realloc(mounts->items, (mounts->count + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    mounts->items = more;
    struct cgroup_mount *mount = &mounts->items[mounts->count++];
    *mount = (struct cgroup_mount){
        .version = version,
        .controllers = version == 1 ? cgroup_controllers_parse(hierarchy, ",", 1) : 0,
        .names = strdup(hierarchy),
        .point = strdup(point),
    };
    bool whole = mount->names && mount->point;
    if (version == 2 && mount != mounts->items) {
        struct cgroup_mount first = mounts->items[0];
        mounts->items[0] = *mount;
        *mount = first;
    }
    return whole ? 0 : -ENOMEM;
}

static int add_line(struct cgroup_mounts *mounts, struct line *line)
{
    bool v2 = !strcmp(line->type, "cgroup2");
    if (!v2 && strcmp(line->type, "cgroup") != 0)
        return 0;
    if (!v2)
        keep_names(line->options);
    if (!v2 && !*line->options)
        return 0;
    unescape(line->point);
    return add(mounts, v2 ? 2 : 1, v2 ? "" : line->options, line->point);
}

int cgroup_mounts_parse(struct cgroup_mounts *mounts, const char *text, size_t size, struct error *error)
{
    *mounts = (struct cgroup_mounts){0};
    const char *end = text + size, *next;
    for (; text < end; text = next) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t length = (size_t)((newline ? newline : end) - text);
        struct line line;
        int result = 0;
        next = newline ? newline + 1 : end;
        if (!memmem(text, length, " - cgroup", 9) || memchr(text, '\0', length))
            continue;
        char *copy = strndup(text, length);
        if (!copy)
            result = -ENOMEM;
        else if (split(copy, &line))
            result = add_line(mounts, &line);
        free(copy);
        if (result < 0) {
            cgroup_mounts_free(mounts);
            return error_set(error, result, "no memory for the list of cgroup file systems");
        }
    }
    return 0;
}

void cgroup_mounts_read_controllers(struct cgroup_mounts *mounts)
{
    char path[PATH_MAX];
    ssize_t size;
    if (mounts->count == 0 || mounts->items[0].version != 2)
        return;
    snprintf(path, sizeof path, "%s/cgroup.controllers", mounts->items[0].point);
    char *text = cgroup_read_file(AT_FDCWD, path, &size);
    if (text)
        mounts->items[0].controllers = cgroup_controllers_parse(text, " \n", 2);
    free(text);
}

/* A directory of the usual place by the name that everybody gives to it, if something is mounted there. */
static int add_usual(struct cgroup_mounts *mounts, int directory, dev_t device, const char *name)
{
    struct stat status;
    char point[sizeof USUAL_PLACE + NAME_MAX + 1];
    bool v2 = !strcmp(name, "unified"), systemd = !strcmp(name, "systemd");
    if (!v2 && !systemd && !cgroup_controllers_parse(name, ",", 1))
        return 0;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_dev == device)
        return 0;
    snprintf(point, sizeof point, USUAL_PLACE "/%s", name);
    return add(mounts, v2 ? 2 : 1, v2 ? "" : systemd ? "name=systemd" : name, point);
}

static int read_usual(struct cgroup_mounts *mounts, int directory)
{
    struct statfs type;
    struct stat status;
    if (fstatfs(directory, &type) < 0 || fstat(directory, &status) < 0)
        return 0;
    if (type.f_type == CGROUP2_SUPER_MAGIC)
        return add(mounts, 2, "", USUAL_PLACE);
    int copy = type.f_type == TMPFS_MAGIC ? fcntl(directory, F_DUPFD_CLOEXEC, 0) : -1;
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    struct dirent *entry;
    int result = 0;
    while (stream && result == 0 && (entry = readdir(stream)))
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            result = add_usual(mounts, directory, status.st_dev, entry->d_name);
    if (stream)
        closedir(stream);
    else if (copy >= 0)
        close(copy);
    return result;
}

static int read_all(struct cgroup_mounts *mounts, struct error *error)
{
    ssize_t size;
    char *text = cgroup_read_file(AT_FDCWD, "/proc/self/mountinfo", &size);
    if (!text)
        return error_set(error, (int)size, "cannot read /proc/self/mountinfo: %s", strerror((int)-size));
    int result = cgroup_mounts_parse(mounts, text, (size_t)size, error);
    free(text);
    return result;
}

int cgroup_mounts_read(struct cgroup_mounts *mounts, bool thorough, struct error *error)
{
    *mounts = (struct cgroup_mounts){0};
    int directory = thorough ? -1 : open(USUAL_PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = directory >= 0 ? read_usual(mounts, directory) : 0;
    if (directory >= 0)
        close(directory);
    if (result < 0) {
        cgroup_mounts_free(mounts);
        return error_set(error, result, "no memory for the list of cgroup file systems");
    }
    if (mounts->count == 0)
        result = read_all(mounts, error);
    if (mounts->count == 1) /* where there is version 1, what it has is all that most need */
        cgroup_mounts_read_controllers(mounts);
    return result;
}

void cgroup_mounts_free(struct cgroup_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->items[i].names);
        free(mounts->items[i].point);
    }
    free(mounts->items);
    *mounts = (struct cgroup_mounts){0};
}

const struct cgroup_mount *cgroup_mounts_v2(const struct cgroup_mounts *mounts)
{
    return mounts->count && mounts->items[0].version == 2 ? mounts->items : NULL;
}

enum cgroup_mode cgroup_mounts_mode(const struct cgroup_mounts *mounts)
{
    bool v2 = cgroup_mounts_v2(mounts) != NULL;
    if (mounts->count == 0)
        return CGROUP_NONE;
    return !v2 ? CGROUP_V1 : mounts->count > 1 ? CGROUP_HYBRID : CGROUP_V2;
}

unsigned cgroup_mounts_controllers(const struct cgroup_mounts *mounts, int version)
{
    unsigned controllers = 0;
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->items[i].version == version)
            controllers |= mounts->items[i].controllers;
    return controllers;
}

char *cgroup_own_path(const char *text, const struct cgroup_mount *mount)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        const char *hierarchystart = memchr(text, ':', length);
        const char *path = hierarchystart
                               ? memchr(hierarchystart + 1, ':', (size_t)(text + length - hierarchystart - 1))
                               : NULL;
        if (path) {
            size_t hierarchylength = (size_t)(path - hierarchystart - 1);
            if (hierarchylength == strlen(mount->names) &&
                !memcmp(hierarchystart + 1, mount->names, hierarchylength))
                return strndup(path + 1, (size_t)(text + length - path - 1));
        }
        text += length + (text[length] == '\n');
    }
    return NULL;
}

static void list_names(unsigned controllers, int version, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = 0; i < CONTROLLERS; i++)
        if (controllers & CONTROLLER_BIT(i) && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? "," : "",
                                     cgroup_controller_name(i, version));
}

int cgroup_host(struct cgroup_host_facts *facts, struct error *error)
{
    struct cgroup_mounts mounts;
    int result = cgroup_mounts_read(&mounts, true, error);
    *facts = (struct cgroup_host_facts){0};
    if (result < 0)
        return result;
    cgroup_mounts_read_controllers(&mounts);
    const struct cgroup_mount *v2 = cgroup_mounts_v2(&mounts);
    facts->mode = cgroup_mounts_mode(&mounts);
    facts->systemd = cgroup_systemd_runs();
    if (v2)
        snprintf(facts->v2_mount, sizeof facts->v2_mount, "%s", v2->point);
    list_names(cgroup_mounts_controllers(&mounts, 1), 1, facts->v1_controllers, sizeof facts->v1_controllers);
    list_names(cgroup_mounts_controllers(&mounts, 2), 2, facts->v2_controllers, sizeof facts->v2_controllers);
    cgroup_mounts_free(&mounts);
    return 0;
}
