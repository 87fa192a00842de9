/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "personality/container/copy_up.h"
#include "personality/container/id_map.h"
#include "personality/container/inside.h"
#include "personality/container/mounting.h"

/* The user namespace whose ids an idmapped mount shows. */
static int mount_user_namespace(const struct rootfs *rootfs, const struct oci_mount *mount,
                                struct error *error)
{
    const struct oci_linux *platform = &rootfs->config->platform;
    if (mount->uid_maps_count)
        return id_map_namespace(mount->uid_maps, mount->uid_maps_count, mount->gid_maps,
                                mount->gid_maps_count, error);
    if (platform->uid_maps_count)
        return id_map_namespace(platform->uid_maps, platform->uid_maps_count, platform->gid_maps,
                                platform->gid_maps_count, error);
    const struct oci_namespace *joined = oci_config_namespace(rootfs->config, CLONE_NEWUSER);
    int fd = open(joined->path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? error_set(error, -errno, "cannot open %s: %s", joined->path, strerror(errno)) : fd;
}

/* A bind mount's source as a detached mount, its ids mapped if that is asked for. */
static int copy_source(const struct rootfs *rootfs, const struct oci_mount *mount, struct error *error)
{
    int copy = mounting_copy(rootfs->bundle, mount->source, mount->parsed.recursive_bind, error);
    if (copy < 0 || (!mount->parsed.idmap && !mount->uid_maps_count))
        return copy;
    int namespace = mount_user_namespace(rootfs, mount, error);
    int code = namespace;
    if (namespace >= 0) {
        struct mount_options only_ids = {.recursive_idmap = mount->parsed.recursive_idmap};
        code = mounting_change(copy, &only_ids, namespace, mount->source, error);
        close(namespace);
    }
    if (code < 0)
        close(copy);
    return code < 0 ? code : copy;
}

/* What is mounted on the host later shows in the container, where that was so before, and never the other way
 * round. */
static int make_slave(int mount, const char *name, struct error *error)
{
    struct mount_attr attributes = {.propagation = MS_SLAVE};
    if (mount_setattr(mount, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
        return error_set(error, -errno, "cannot cut %s off from the host's mounts: %s", name,
                         strerror(errno));
    return 0;
}

/* Whether what is mounted there is one of several that show each other's mounts: mountinfo says "shared:N".
 */
static bool is_shared(int directory, const char *path)
{
    struct statx status;
    char line[PATH_MAX * 2];
    bool found = false;
    if (statx(directory, path, 0, STATX_MNT_ID, &status) < 0)
        return true;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && !found && fgets(line, sizeof line, file)) {
        char *end = strstr(line, " - ");
        if (strtoull(line, NULL, 10) != status.stx_mnt_id || !end)
            continue;
        *end = '\0';
        found = strstr(line, " shared:") != NULL;
        break;
    }
    if (file)
        fclose(file);
    return found;
}

int rootfs_prepare(struct rootfs *rootfs, struct error *error)
{
    const struct oci_config *config = rootfs->config;
    bool other_user = (config->platform.new_namespaces | config->platform.joined_namespaces) & CLONE_NEWUSER;
    bool able = other_user && geteuid() == 0;
    int code = 0;
    rootfs->tree = -1;
    rootfs->sources = malloc((config->mounts_count + 1) * sizeof *rootfs->sources);
    if (!rootfs->sources)
        return error_set(error, -ENOMEM, "cannot prepare the mounts: out of memory");
    for (unsigned i = 0; i < config->mounts_count; i++)
        rootfs->sources[i] = -1;
    for (unsigned i = 0; i < config->mounts_count && code >= 0; i++) {
        const struct oci_mount *mount = &config->mounts[i];
        /* what is shared must be copied where the host's mounts are, not from a slave of theirs */
        bool shared = mount->parsed.propagation & MS_SHARED && mount->source &&
                      is_shared(rootfs->bundle, mount->source);
        if (!mount->parsed.bind || mount->parsed.remount ||
            (!able && !shared && !mount->parsed.idmap && !mount->uid_maps_count))
            continue;
        code = rootfs->sources[i] = copy_source(rootfs, mount, error);
        if (code >= 0 && !shared)
            code = make_slave(rootfs->sources[i], mount->source, error);
        if (code < 0)
            error_prefix(error, "mounts[%u]: ", i);
    }
    if (code >= 0 && able)
        code = rootfs->tree = mounting_copy(AT_FDCWD, rootfs->path, true, error);
    if (code < 0)
        rootfs_release(rootfs);
    return code < 0 ? code : 0;
}

void rootfs_release(struct rootfs *rootfs)
{
    for (unsigned i = 0; rootfs->sources && i < rootfs->config->mounts_count; i++) {
        if (rootfs->sources[i] >= 0)
            close(rootfs->sources[i]);
    }
    free(rootfs->sources);
    rootfs->sources = NULL;
    if (rootfs->tree >= 0)
        close(rootfs->tree);
    rootfs->tree = -1;
}

int rootfs_attach(struct rootfs *rootfs, struct error *error)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_set(error, -errno, "cannot cut the mounts off from the host's: %s", strerror(errno));
    if (rootfs->tree < 0)
        rootfs->tree = mounting_copy(AT_FDCWD, rootfs->path, true, error);
    int code = rootfs->tree < 0 ? rootfs->tree : make_slave(rootfs->tree, rootfs->path, error);
    if (code < 0)
        return code;
    int target = open(rootfs->path, O_PATH | O_CLOEXEC);
    if (target < 0 && errno == EACCES) /* another user's way: over everything is as good for what comes */
        target = open("/", O_PATH | O_CLOEXEC);
    if (target < 0)
        return error_set(error, -errno, "cannot open %s: %s", rootfs->path, strerror(errno));
    code = mounting_attach(rootfs->tree, target, rootfs->path, error);
    close(target);
    return code;
}

static bool is_type(const struct oci_mount *mount, const char *type)
{
    return mount->type && strcmp(mount->type, type) == 0;
}

/* A tmpfs is read-only only after what belongs into it is there. */
static bool protected_later(const struct oci_mount *mount)
{
    return !mount->parsed.bind && !mount->parsed.remount && is_type(mount, "tmpfs") &&
           (mount->parsed.set & MOUNT_ATTR_RDONLY);
}

/* A new tmpfs over a directory has its mode, unless told otherwise. */
static bool lacks_mode(const struct oci_mount *mount)
{
    for (unsigned i = 0; i < mount->parsed.data_count; i++) {
        if (strncmp(mount->parsed.data[i], "mode=", 5) == 0)
            return false;
    }
    return is_type(mount, "tmpfs");
}

static int make_new(const struct rootfs *rootfs, const struct oci_mount *mount, int target,
                    struct error *error)
{
    struct mount_options options = mount->parsed;
    if (protected_later(mount))
        options.set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
    const char *label = rootfs->config->platform.mount_label;
    bool labelled = label && !is_type(mount, "proc") && !is_type(mount, "sysfs") && !is_type(mount, "mqueue");
    int copy = mounting_new(mount->type, mount->source, &options, labelled ? label : NULL, error);
    if (copy < 0)
        return copy;
    int code =
        mounting_change(copy,
                        &(struct mount_options){.propagation = options.propagation,
                                                .propagation_recursive = options.propagation_recursive},
                        -1, mount->destination, error);
    struct stat status;
    if (code == 0 && lacks_mode(mount) && fstat(target, &status) == 0) {
        int directory = openat(copy, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory >= 0) {
            fchmod(directory, status.st_mode & 07777);
            close(directory);
        }
    }
    if (code == 0 && options.copy_up)
        code = copy_up(target, copy, error);
    if (code < 0)
        close(copy);
    return code < 0 ? code : copy;
}

static int change_existing(const struct rootfs *rootfs, const struct oci_mount *mount, struct error *error)
{
    int target = inside_open(rootfs->tree, mount->destination, O_PATH);
    if (target < 0)
        return error_set(error, target, "cannot remount %s: %s", mount->destination, strerror(-target));
    int code = mounting_change(target, &mount->parsed, -1, mount->destination, error);
    close(target);
    return code;
}

/* What is left of a path below a mount's destination, NULL: it is not there. */
static const char *below(const struct oci_mount *mount, const char *path)
{
    size_t length = strlen(mount->destination);
    while (length > 1 && mount->destination[length - 1] == '/')
        length--;
    if (strncmp(path, mount->destination, length) != 0 || (path[length] && path[length] != '/'))
        return NULL;
    return path + length + strspn(path + length, "/");
}

static bool has_below(const struct oci_mount *mount, const char *const *paths, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (below(mount, paths[i]))
            return true;
    }
    return false;
}

/* Opens a path that is to be hidden or protected. What it lies in was mounted by us and is known by its
 * descriptor: its name may lead elsewhere by now, through links of the image into what was mounted later, or
 * because somebody else has the same files (CVE-2019-19921, CVE-2023-27561). */
static int open_made(const struct rootfs *rootfs, const char *path)
{
    int from = rootfs->tree;
    const char *rest = path;
    for (unsigned i = 0; i < rootfs->config->mounts_count; i++) {
        const char *left = rootfs->sources[i] < 0 ? NULL : below(&rootfs->config->mounts[i], path);
        if (left) { /* what comes later lies over what was before */
            from = rootfs->sources[i];
            rest = left;
        }
    }
    return inside_open(from, rest, O_PATH);
}

/* The kernel's own file systems and /dev are never put where links of the image lead to: everybody expects
 * them under their names, visor as well, which would put device nodes into a volume of the host's. */
static bool must_be_plain(const struct oci_mount *mount)
{
    const char *rest = below(mount, "/dev");
    return !mount->parsed.bind && (is_type(mount, "proc") || is_type(mount, "sysfs") || (rest && !rest[0]));
}

/* Where a mount is to be, made if it is missing. */
static int make_target(const struct rootfs *rootfs, const struct oci_mount *mount, bool directory,
                       struct error *error)
{
    int target = inside_make(rootfs->tree, mount->destination, directory, error);
    if (target < 0 || !must_be_plain(mount))
        return target;
    close(target);
    target = inside_open_plain(rootfs->tree, mount->destination, O_PATH | O_DIRECTORY);
    if (target < 0)
        error_set(error, target, "cannot mount %s on %s: %s", mount->type, mount->destination,
                  target == -ELOOP ? "a symbolic link of the image leads elsewhere" : strerror(-target));
    return target;
}

static int make_mount(struct rootfs *rootfs, unsigned index, struct error *error)
{
    const struct oci_mount *mount = &rootfs->config->mounts[index];
    const struct oci_linux *platform = &rootfs->config->platform;
    int copy = rootfs->sources[index];
    rootfs->sources[index] = -1;
    if (mount->parsed.remount)
        return change_existing(rootfs, mount, error);
    if (!mount->parsed.bind && (is_type(mount, "cgroup") || is_type(mount, "cgroup2")))
        return cgroup_mount_make(rootfs, mount, error);

    bool directory = true;
    if (mount->parsed.bind) {
        struct stat status;
        if (copy < 0)
            copy = copy_source(rootfs, mount, error);
        if (copy < 0)
            return copy;
        if (fstat(copy, &status) == 0)
            directory = S_ISDIR(status.st_mode);
    }
    int code, target = make_target(rootfs, mount, directory, error);
    if (target >= 0 && copy < 0)
        copy = make_new(rootfs, mount, target, error);
    else if (target >= 0 &&
             (code = mounting_change(copy, &mount->parsed, -1, mount->destination, error)) < 0) {
        close(copy);
        copy = code;
    }
    code = target < 0 ? target : copy < 0 ? copy : mounting_attach(copy, target, mount->destination, error);
    if (code == 0 && (has_below(mount, platform->masked_paths, platform->masked_paths_count) ||
                      has_below(mount, platform->readonly_paths, platform->readonly_paths_count)))
        rootfs->sources[index] = copy;
    else if (copy >= 0)
        close(copy);
    if (target >= 0)
        close(target);
    return code;
}

int rootfs_mount(struct rootfs *rootfs, struct error *error)
{
    for (unsigned i = 0; i < rootfs->config->mounts_count; i++) {
        int code = make_mount(rootfs, i, error);
        if (code < 0) {
            error_prefix(error, "mounts[%u]: ", i);
            return code;
        }
    }
    return devices_make(rootfs, error);
}

/* What is put over hidden paths: the host's null device, and an empty directory. Made when first needed. */
struct masks {
    int null, directory;
};

static int make_directory_mask(struct masks *masks, struct error *error)
{
    static const struct mount_options options = {.set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
                                                        MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};
    if (masks->directory >= 0)
        return mounting_copy(masks->directory, "", false, error);
    int mount = mounting_new("tmpfs", "tmpfs", &options, NULL, error);
    if (mount >= 0) /* the first one is put up itself: to drop a mount that nobody has takes long */
        masks->directory = fcntl(mount, F_DUPFD_CLOEXEC, 0);
    return mount;
}

static int make_mask(struct masks *masks, bool directory, struct error *error)
{
    struct stat status;
    if (directory)
        return make_directory_mask(masks, error);
    if (masks->null < 0) {
        masks->null = open("/dev/null", O_PATH | O_CLOEXEC);
        if (masks->null < 0 || fstat(masks->null, &status) < 0 || !S_ISCHR(status.st_mode) ||
            status.st_rdev != makedev(1, 3))
            return error_set(error, -ENODEV, "the host's /dev/null is not the null device");
    }
    return mounting_copy(masks->null, "", false, error);
}

static int mask_path(const struct rootfs *rootfs, struct masks *masks, const char *path, struct error *error)
{
    struct stat status;
    int target = open_made(rootfs, path);
    if (target == -ENOENT || target == -ENOTDIR || target == -EACCES)
        return 0; /* nothing there to hide */
    if (target < 0 || fstat(target, &status) < 0)
        return error_set(error, target < 0 ? target : -errno, "cannot hide %s: %s", path,
                         strerror(target < 0 ? -target : errno));
    int code = make_mask(masks, S_ISDIR(status.st_mode), error);
    if (code >= 0) {
        int mask = code;
        code = mounting_attach(mask, target, path, error);
        close(mask);
    }
    close(target);
    return code;
}

static int protect_path(const struct rootfs *rootfs, const char *path, struct error *error)
{
    int target = open_made(rootfs, path);
    if (target == -ENOENT || target == -ENOTDIR || target == -EACCES)
        return 0;
    if (target < 0)
        return error_set(error, target, "cannot protect %s: %s", path, strerror(-target));
    int copy = mounting_copy(target, "", true, error);
    int code = copy;
    if (copy >= 0) {
        code = mounting_attribute(copy, MOUNT_ATTR_RDONLY, true);
        if (code < 0)
            error_set(error, code, "cannot make %s read-only: %s", path, strerror(-code));
        else
            code = mounting_attach(copy, target, path, error);
        close(copy);
    }
    close(target);
    return code;
}

static int protect_late(const struct rootfs *rootfs, const struct oci_mount *mount, struct error *error)
{
    int target = inside_open(rootfs->tree, mount->destination, O_PATH);
    int code = target < 0 ? target : mounting_attribute(target, MOUNT_ATTR_RDONLY, false);
    if (target >= 0)
        close(target);
    return code < 0
               ? error_set(error, code, "cannot make %s read-only: %s", mount->destination, strerror(-code))
               : 0;
}

int rootfs_protect(struct rootfs *rootfs, struct error *error)
{
    const struct oci_config *config = rootfs->config;
    struct masks masks = {-1, -1};
    int code = 0;
    for (unsigned i = 0; i < config->mounts_count && code == 0; i++) {
        if (protected_later(&config->mounts[i]))
            code = protect_late(rootfs, &config->mounts[i], error);
    }
    for (unsigned i = 0; i < config->platform.readonly_paths_count && code == 0; i++)
        code = protect_path(rootfs, config->platform.readonly_paths[i], error);
    for (unsigned i = 0; i < config->platform.masked_paths_count && code == 0; i++)
        code = mask_path(rootfs, &masks, config->platform.masked_paths[i], error);
    if (masks.null >= 0)
        close(masks.null);
    if (masks.directory >= 0)
        close(masks.directory);
    if (code == 0 && config->root.readonly) {
        code = mounting_attribute(rootfs->tree, MOUNT_ATTR_RDONLY, false);
        if (code < 0)
            error_set(error, code, "cannot make the root read-only: %s", strerror(-code));
    }
    return code;
}

/* Not where a link of the image leads to: the terminal would lie over what is to be protected there
 * (CVE-2025-52565). */
static int open_console(const struct rootfs *rootfs, struct error *error)
{
    char name[NAME_MAX + 1];
    int directory = inside_parent(rootfs->tree, "/dev/console", name, error);
    if (directory < 0)
        return directory;
    int target = inside_open_plain(directory, name, O_PATH);
    if (target == -ENOENT)
        target = inside_make(directory, name, false, error);
    else if (target < 0)
        error_set(error, target, "cannot put the terminal on /dev/console: %s",
                  target == -ELOOP ? "it is a symbolic link in the image" : strerror(-target));
    close(directory);
    return target;
}

int rootfs_console(struct rootfs *rootfs, int terminal, struct error *error)
{
    int target = open_console(rootfs, error);
    if (target < 0)
        return target;
    int copy = mounting_copy(terminal, "", false, error);
    int code = copy < 0 ? copy : mounting_attach(copy, target, "/dev/console", error);
    if (copy >= 0)
        close(copy);
    close(target);
    return code;
}

static int leave_root(const struct rootfs *rootfs, struct error *error)
{
    if (fchdir(rootfs->tree) < 0)
        return error_set(error, -errno, "cannot change to %s: %s", rootfs->path, strerror(errno));
    if (rootfs->no_pivot) {
        if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
            return error_set(error, -errno, "cannot move %s to /: %s", rootfs->path, strerror(errno));
        return 0;
    }
    if (syscall(SYS_pivot_root, ".", ".") < 0) {
        error_set(error, -errno, "cannot make %s the root: %s", rootfs->path, strerror(errno));
        error_hint(error, "if the host runs from a RAM disk, give --no-pivot");
        return error->code;
    }
    /* the old root lies over the new one now; what is unmounted here must not be unmounted on the host */
    if (mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0 || umount2(".", MNT_DETACH) < 0)
        return error_set(error, -errno, "cannot leave the host's root: %s", strerror(errno));
    return 0;
}

int rootfs_enter(struct rootfs *rootfs, struct error *error)
{
    int code = leave_root(rootfs, error);
    if (code == 0 && chdir("/") < 0)
        code = error_set(error, -errno, "cannot change to the container's root: %s", strerror(errno));
    uint64_t propagation = rootfs->config->platform.propagation;
    if (code == 0 && propagation && mount(NULL, "/", NULL, propagation, NULL) < 0)
        code = error_set(error, -errno, "cannot set linux.rootfsPropagation %s: %s",
                         rootfs->config->platform.rootfs_propagation, strerror(errno));
    return code;
}
