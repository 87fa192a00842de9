/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cgroup_mount: what a container sees of the cgroups, by mounts of type cgroup: its own directory of each
 * hierarchy in which it has one, and nothing of the others. Of type cgroup2: only that of version 2, for
 * programs that would not make do with several. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "personality/container/cgroup.h"
#include "personality/container/inside.h"
#include "personality/container/limits.h"
#include "personality/container/mounting.h"
#include "personality/container/rootfs.h"

static int copy_hierarchy(const struct cgroup_hierarchy *hierarchy, const struct oci_mount *mount,
                          struct error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s%s", hierarchy->mount_point, hierarchy->directory);
    int copy = mounting_copy(-1, path, false, error);
    int code = copy < 0 ? copy : mounting_change(copy, &mount->parsed, -1, mount->destination, error);
    if (code < 0 && copy >= 0)
        close(copy);
    return code < 0 ? code : copy;
}

/* "cpu" leads to "cpu,cpuacct", where those are one. */
static void link_controllers(int directory, const char *names)
{
    char name[64];
    if (!strchr(names, ','))
        return;
    for (const char *n = names; *n;) {
        size_t length = strcspn(n, ",");
        snprintf(name, sizeof name, "%.*s", (int)length, n);
        symlinkat(names, directory, name);
        n += length + (n[length] == ',');
    }
}

/* One hierarchy of several, below the directory that holds them. */
static int attach_below(int directory, const struct cgroup_hierarchy *hierarchy,
                        const struct oci_mount *mount, struct error *error)
{
    const char *name = cgroup_hierarchy_name(hierarchy);
    int target = inside_make(directory, name, true, error);
    if (target < 0)
        return target;
    int copy = copy_hierarchy(hierarchy, mount, error);
    int code = copy < 0 ? copy : mounting_attach(copy, target, mount->destination, error);
    if (copy >= 0)
        close(copy);
    close(target);
    link_controllers(directory, name);
    return code;
}

/* A small directory with one directory per hierarchy, as hosts with version 1 have it. */
static int attach_several(int target, const struct cgroup_hierarchy *hierarchies, size_t count,
                          const struct oci_mount *mount, const char *label, struct error *error)
{
    static const char *data[] = {"mode=755"};
    struct mount_options options = {
        .set = mount->parsed.set & ~(uint64_t)MOUNT_ATTR_RDONLY, .data = data, .data_count = 1};
    int top = mounting_new("tmpfs", "cgroup", &options, label, error);
    if (top < 0)
        return top;
    int code = mounting_attach(top, target, mount->destination, error);
    for (size_t i = 0; i < count && code == 0; i++)
        code = attach_below(top, &hierarchies[i], mount, error);
    if (code == 0 && mount->parsed.set & MOUNT_ATTR_RDONLY)
        code = mounting_attribute(top, MOUNT_ATTR_RDONLY, false);
    close(top);
    return code;
}

static int attach_one(int target, const struct cgroup_hierarchy *hierarchy, const struct oci_mount *mount,
                      struct error *error)
{
    int copy = copy_hierarchy(hierarchy, mount, error);
    int code = copy < 0 ? copy : mounting_attach(copy, target, mount->destination, error);
    if (copy >= 0)
        close(copy);
    return code;
}

/* NULL: the container has none of version 2. */
static const struct cgroup_hierarchy *find_unified(const struct cgroup_hierarchy *hierarchies, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (hierarchies[i].version == 2)
            return &hierarchies[i];
    }
    return NULL;
}

int cgroup_mount_make(struct rootfs *rootfs, const struct oci_mount *mount, struct error *error)
{
    const struct cgroup_hierarchy *hierarchies;
    size_t count = cgroup_hierarchies(rootfs->limits->cgroup, &hierarchies);
    int target = inside_make(rootfs->tree, mount->destination, true, error);
    if (target < 0)
        return target;
    int code;
    bool alone = cgroup_mode(rootfs->limits->cgroup) == CGROUP_V2;
    const struct cgroup_hierarchy *unified = find_unified(hierarchies, count);
    if (strcmp(mount->type, "cgroup2") == 0 && !unified) {
        code = error_set(error, -ENOTSUP, "%s: the container has no cgroup of version 2", mount->destination);
    } else if (unified && (alone || strcmp(mount->type, "cgroup2") == 0)) {
        code = attach_one(target, unified, mount, error);
    } else {
        code = attach_several(target, hierarchies, count, mount, rootfs->config->platform.mount_label, error);
    }
    close(target);
    return code;
}
