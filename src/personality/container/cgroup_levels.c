/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What memory the cgroups around a process let it have, up to the root. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define NO_LIMIT (UINT64_C(1) << 62) /* version 1 says "none" by the largest multiple of a page */

static int open_file(int directory, const char *name)
{
    return openat(directory, name, O_RDONLY | O_CLOEXEC);
}

/* False: nothing of it is there. */
static bool open_level(struct cgroup_level *level, int directory, int version)
{
    *level = (struct cgroup_level){.version = version, .pressure = -1};
    level->limit = open_file(directory, version == 2 ? "memory.max" : "memory.limit_in_bytes");
    level->usage = open_file(directory, version == 2 ? "memory.current" : "memory.usage_in_bytes");
    level->statistics = open_file(directory, "memory.stat");
    if (version == 2) {
        level->pressure = openat(directory, "memory.pressure", O_RDWR | O_CLOEXEC);
        level->triggers = level->pressure >= 0;
        if (!level->triggers)
            level->pressure = open_file(directory, "memory.pressure");
    }
    if (level->limit >= 0 || level->pressure >= 0)
        return true;
    cgroup_levels_close(level, 1);
    return false;
}

/* From the process's own up to the root; that has no files in version 2, unless it is a namespace's. */
static int open_mount(struct cgroup_level *levels, size_t *count, const struct cgroup_mount *mount, char *own)
{
    for (bool root = false; !root && *count < CGROUP_LEVELS_MAX;) {
        char *path = cgroup_full_path(mount, own);
        int directory = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        free(path);
        if (!path)
            return -ENOMEM;
        if (directory >= 0) {
            *count += open_level(&levels[*count], directory, mount->version);
            close(directory);
        }
        char *slash = strrchr(own, '/');
        root = !slash || !own[1];
        if (slash)
            slash[slash == own] = '\0'; /* "/a" is in "/" */
    }
    return 0;
}

int cgroup_levels_open(struct cgroup_level levels[CGROUP_LEVELS_MAX], size_t *count, struct error *error)
{
    struct cgroup_mounts mounts;
    ssize_t size;
    *count = 0;
    int result = cgroup_mounts_read(&mounts, false, error);
    if (result < 0)
        return result;
    char *text = cgroup_read_file(AT_FDCWD, "/proc/self/cgroup", &size);
    for (size_t i = 0; text && result == 0 && i < mounts.count; i++) {
        const struct cgroup_mount *mount = &mounts.items[i];
        if (mount->version == 1 && !(mount->controllers & CONTROLLER_BIT(CONTROLLER_MEMORY)))
            continue;
        char *own = cgroup_own_path(text, mount);
        if (own)
            result = open_mount(levels, count, mount, own);
        free(own);
    }
    free(text);
    cgroup_mounts_free(&mounts);
    if (result < 0) {
        cgroup_levels_close(levels, *count);
        *count = 0;
        return error_set(error, result, "no memory for the cgroups of this process");
    }
    return 0;
}

void cgroup_levels_close(struct cgroup_level *levels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int files[] = {levels[i].limit, levels[i].usage, levels[i].statistics, levels[i].pressure};
        for (unsigned j = 0; j < ARRAY_SIZE(files); j++) {
            if (files[j] >= 0)
                close(files[j]);
        }
        levels[i] = (struct cgroup_level){.limit = -1, .usage = -1, .statistics = -1, .pressure = -1};
    }
}

static bool read_text(int fd, char *text, size_t size)
{
    ssize_t length = fd >= 0 ? pread(fd, text, size - 1, 0) : -1;
    text[length > 0 ? length : 0] = '\0';
    return length > 0;
}

static bool read_number(int fd, uint64_t *value)
{
    char text[32];
    return read_text(fd, text, sizeof text) && sscanf(text, "%" SCNu64, value) == 1;
}

/* Of a line "KEY NUMBER"; 0: there is none. */
static uint64_t find_number(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at && (at == text || at[-1] == '\n') ? strtoull(at + strlen(key), NULL, 10) : 0;
}

bool cgroup_level_look(const struct cgroup_level *level, uint64_t *limit, uint64_t *available)
{
    const bool v2 = level->version == 2;
    char text[8192];
    uint64_t usage;
    if (!read_number(level->limit, limit) || *limit >= NO_LIMIT || !read_number(level->usage, &usage))
        return false;
    read_text(level->statistics, text, sizeof text);
    const uint64_t cold = find_number(text, v2 ? "inactive_file " : "total_inactive_file "),
                   warm = find_number(text, v2 ? "active_file " : "total_active_file ");
    usage -= MIN(usage, cold + warm / 2); /* what was used of late is not free for nothing */
    *available = *limit - MIN(*limit, usage);
    return true;
}
