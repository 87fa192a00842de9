/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cgroup file systems the host has mounted, and which controllers they have. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

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
    char *root, *point, *type, *options;
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
    line->root = words[3];
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

static int add(struct cgroup_mounts *mounts, struct line *line)
{
    int version = !strcmp(line->type, "cgroup2") ? 2 : 1;
    if (version == 1)
        keep_names(line->options);
    const char *hierarchy = version == 2 ? "" : line->options;
    if (version == 1 && !*hierarchy)
        return 0;
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->items[i].version == version && !strcmp(mounts->items[i].names, hierarchy))
            return 0;
    struct cgroup_mount *more = realloc(mounts->items, (mounts->count + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    mounts->items = more;
    unescape(line->root);
    unescape(line->point);
    struct cgroup_mount *mount = &mounts->items[mounts->count++];
    *mount = (struct cgroup_mount){
        .version = version,
        .controllers = version == 1 ? cgroup_controllers_parse(hierarchy, ",", 1) : 0,
        .names = strdup(hierarchy),
        .point = strdup(line->point),
        .root = strdup(line->root),
    };
    bool whole = mount->names && mount->point && mount->root;
    if (version == 2 && mount != mounts->items) {
        struct cgroup_mount first = mounts->items[0];
        mounts->items[0] = *mount;
        *mount = first;
    }
    return whole ? 0 : -ENOMEM;
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
        else if (split(copy, &line) && (!strcmp(line.type, "cgroup") || !strcmp(line.type, "cgroup2")))
            result = add(mounts, &line);
        free(copy);
        if (result < 0) {
            cgroup_mounts_free(mounts);
            return error_set(error, result, "no memory for the list of cgroup file systems");
        }
    }
    return 0;
}

static void read_v2_controllers(struct cgroup_mount *mount)
{
    char path[PATH_MAX];
    ssize_t size;
    snprintf(path, sizeof path, "%s/cgroup.controllers", mount->point);
    char *text = cgroup_read_file(AT_FDCWD, path, &size);
    if (text)
        mount->controllers = cgroup_controllers_parse(text, " \n", 2);
    free(text);
}

int cgroup_mounts_read(struct cgroup_mounts *mounts, struct error *error)
{
    ssize_t size;
    char *text = cgroup_read_file(AT_FDCWD, "/proc/self/mountinfo", &size);
    *mounts = (struct cgroup_mounts){0};
    if (!text)
        return error_set(error, (int)size, "cannot read /proc/self/mountinfo: %s", strerror((int)-size));
    int result = cgroup_mounts_parse(mounts, text, (size_t)size, error);
    free(text);
    for (size_t i = 0; result == 0 && i < mounts->count; i++)
        if (mounts->items[i].version == 2)
            read_v2_controllers(&mounts->items[i]);
    return result;
}

void cgroup_mounts_free(struct cgroup_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->items[i].names);
        free(mounts->items[i].point);
        free(mounts->items[i].root);
    }
    free(mounts->items);
    *mounts = (struct cgroup_mounts){0};
}

const struct cgroup_mount *cgroup_mounts_v2(const struct cgroup_mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->items[i].version == 2)
            return &mounts->items[i];
    return NULL;
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
        const char *names_start = memchr(text, ':', length);
        const char *path =
            names_start ? memchr(names_start + 1, ':', (size_t)(text + length - names_start - 1)) : NULL;
        if (path) {
            size_t names_length = (size_t)(path - names_start - 1);
            if (names_length == strlen(mount->names) && !memcmp(names_start + 1, mount->names, names_length))
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
    int result = cgroup_mounts_read(&mounts, error);
    *facts = (struct cgroup_host_facts){0};
    if (result < 0)
        return result;
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
