/* SPDX-License-Identifier: GPL-2.0-or-later */
/* devices: the nodes and links in a container's /dev (config-linux.md, "Default Devices"). */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/inside.h"
#include "personality/container/mounting.h"
#include "personality/container/rootfs.h"

static const struct oci_device defaults[] = {
    {.type = "c", .path = "/dev/null", .major = 1, .minor = 3, .has_mode = true, .mode = 0666},
    {.type = "c", .path = "/dev/zero", .major = 1, .minor = 5, .has_mode = true, .mode = 0666},
    {.type = "c", .path = "/dev/full", .major = 1, .minor = 7, .has_mode = true, .mode = 0666},
    {.type = "c", .path = "/dev/random", .major = 1, .minor = 8, .has_mode = true, .mode = 0666},
    {.type = "c", .path = "/dev/urandom", .major = 1, .minor = 9, .has_mode = true, .mode = 0666},
    {.type = "c", .path = "/dev/tty", .major = 5, .minor = 0, .has_mode = true, .mode = 0666},
};

static const struct {
    const char *name, *target;
} links[] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

static mode_t device_type(const struct oci_device *device)
{
    switch (device->type[0]) {
    case 'b': return S_IFBLK;
    case 'p': return S_IFIFO;
    default: return S_IFCHR;
    }
}

static bool same_device(const struct stat *status, const struct oci_device *device)
{
    return (status->st_mode & S_IFMT) == device_type(device) &&
           (device->type[0] == 'p' ||
            status->st_rdev == makedev((unsigned)device->major, (unsigned)device->minor));
}

/* In a user namespace no devices can be made: the host's is bound. */
static int bind_device(struct rootfs *rootfs, const struct oci_device *device, struct error *error)
{
    struct stat status;
    int copy = mounting_copy(AT_FDCWD, device->path, false, error);
    if (copy < 0)
        return copy;
    int code = 0, target = -1;
    if (fstat(copy, &status) < 0 || !same_device(&status, device))
        code = error_set(error, -ENODEV, "the host's %s is another device than the one of this name",
                         device->path);
    if (code == 0)
        code = target = inside_make(rootfs->tree, device->path, false, error);
    if (code >= 0)
        code = mounting_attach(copy, target, device->path, error);
    if (target >= 0)
        close(target);
    close(copy);
    return code;
}

static int make_node(int directory, const char *name, const struct oci_device *device, struct error *error)
{
    mode_t mode = (device->has_mode ? device->mode : 0666) & 07777;
    dev_t number = device->type[0] == 'p' ? 0 : makedev((unsigned)device->major, (unsigned)device->minor);
    if (mknodat(directory, name, device_type(device) | mode, number) < 0) {
        struct stat status;
        int code = -errno;
        if (code == -EEXIST && fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            same_device(&status, device))
            return 0;
        if (code == -EEXIST)
            return error_set(error, code, "cannot make the device %s: something else is there", device->path);
        return error_set(error, code, "cannot make the device %s: %s", device->path, strerror(-code));
    }
    if (fchownat(directory, name, device->uid, device->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return error_set(error, -errno, "cannot give the device %s to user %u: %s", device->path, device->uid,
                         strerror(errno));
    return 0;
}

static int make_device(struct rootfs *rootfs, const struct oci_device *device, bool bind, struct error *error)
{
    char name[NAME_MAX + 1];
    if (bind && device->type[0] != 'p')
        return bind_device(rootfs, device, error);
    int directory = inside_parent(rootfs->tree, device->path, name, error);
    if (directory < 0)
        return directory;
    int code = make_node(directory, name, device, error);
    close(directory);
    if (code == -EPERM && device->type[0] != 'p') /* no CAP_MKNOD here after all */
        return bind_device(rootfs, device, error);
    return code;
}

static bool is_configured(const struct oci_linux *platform, const char *path)
{
    for (unsigned i = 0; i < platform->devices_count; i++) {
        if (strcmp(platform->devices[i].path, path) == 0)
            return true;
    }
    return false;
}

/* The bundle has brought a /dev of the host's or its own: nothing is to be made in it. */
static bool has_bound_dev(const struct oci_config *config)
{
    for (unsigned i = 0; i < config->mounts_count; i++) {
        const struct oci_mount *mount = &config->mounts[i];
        if (strcmp(mount->destination, "/dev") == 0 || strcmp(mount->destination, "/dev/") == 0)
            return mount->parsed.bind;
    }
    return false;
}

static int make_links(struct rootfs *rootfs, struct error *error)
{
    int directory = inside_make(rootfs->tree, "/dev", true, error);
    if (directory < 0)
        return directory;
    int code = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(links) && code == 0; i++) {
        if (strcmp(links[i].name, "ptmx") == 0) /* of the image, it would be the host's */
            unlinkat(directory, links[i].name, 0);
        if (symlinkat(links[i].target, directory, links[i].name) < 0 && errno != EEXIST)
            code =
                error_set(error, -errno, "cannot make the link /dev/%s: %s", links[i].name, strerror(errno));
    }
    close(directory);
    return code;
}

int devices_make(struct rootfs *rootfs, struct error *error)
{
    const struct oci_linux *platform = &rootfs->config->platform;
    bool bind = (platform->new_namespaces | platform->joined_namespaces) & CLONE_NEWUSER;
    if (has_bound_dev(rootfs->config))
        return 0;
    mode_t mask = umask(0);
    int code = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(defaults) && code == 0; i++) {
        if (!is_configured(platform, defaults[i].path))
            code = make_device(rootfs, &defaults[i], bind, error);
    }
    for (unsigned i = 0; i < platform->devices_count && code == 0; i++)
        code = make_device(rootfs, &platform->devices[i], bind, error);
    umask(mask);
    return code < 0 ? code : make_links(rootfs, error);
}
