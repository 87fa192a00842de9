/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "domain/user_namespace.h"

static int enter_namespaces(struct error *error)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {
        int code = user_namespace_enter(error);
        if (code < 0)
            return code;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_set(error, -errno, "cannot make mounts private: %s", strerror(errno));
    return 0;
}

/* -- mounts ---------------------------------------------------------------------------------------------- */

/* root + path, resolved inside root is the caller's business: only used for paths that are no symbolic links.
 */
static int join(char *out, const char *root, const char *path, struct error *error)
{
    int length = snprintf(out, PATH_MAX, "%s%s%s", root, path[0] == '/' ? "" : "/", path);
    if (length >= PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "path too long: %s%s", root, path);
    return 0;
}

/* Opens a path below root, with symbolic links resolved inside it, as O_PATH. */
static int open_inside(int root_fd, const char *path)
{
    struct stat status;
    int fd = openat(root_fd, path[0] == '/' ? path + 1 : path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &status) < 0 || S_ISLNK(status.st_mode))) {
        close(fd);
        errno = ELOOP;
        return -1;
    }
    return fd;
}

static int bind_at(const char *source, int destination_fd, bool read_only)
{
    char destination[32];
    snprintf(destination, sizeof destination, "/proc/self/fd/%d", destination_fd);
    if (mount(source, destination, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -errno;
    if (!read_only)
        return 0;
    char resolved[PATH_MAX];
    ssize_t length = readlink(destination, resolved, sizeof resolved - 1);
    if (length < 0)
        return -errno;
    resolved[length] = '\0';
    return mount(NULL, resolved, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_REC, NULL) < 0 ? -errno : 0;
}

/* What programs expect of any system; a root that lacks the directory does without. */
static int bind_system(const char *root, struct error *error)
{
    static const char *const paths[] = {"/proc", "/sys", "/dev", "/etc/resolv.conf"};
    int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_set(error, -errno, "root %s: %s", root, strerror(errno));

    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        int fd = open_inside(root_fd, paths[i]);
        int code = fd >= 0 && access(paths[i], F_OK) == 0 ? bind_at(paths[i], fd, false) : 0;
        if (fd >= 0)
            close(fd);
        if (code < 0) {
            close(root_fd);
            return error_set(error, code, "cannot mount %s into the root: %s", paths[i], strerror(-code));
        }
    }
    close(root_fd);
    return 0;
}

static int make_mount_point(const char *path, bool directory)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    if (directory)
        return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
    int fd = open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int bind_volume(const char *root, const struct root_volume *volume, struct error *error)
{
    char path[PATH_MAX];
    struct stat status;
    int code = join(path, root, volume->destination, error);
    if (code < 0)
        return code;
    if (stat(volume->source, &status) < 0)
        return error_set(error, -errno, "volume %s: %s", volume->source, strerror(errno));
    if (access(path, F_OK) < 0) {
        code = make_mount_point(path, S_ISDIR(status.st_mode));
        if (code < 0)
            return error_set(error, code, "volume %s: cannot make the mount point %s: %s", volume->source,
                             volume->destination, strerror(-code));
    }
    int fd = open(path, O_PATH | O_CLOEXEC);
    code = fd < 0 ? -errno : bind_at(volume->source, fd, volume->read_only);
    if (fd >= 0)
        close(fd);
    if (code < 0)
        return error_set(error, code, "volume %s: cannot mount it at %s: %s", volume->source,
                         volume->destination, strerror(-code));
    return 0;
}

/* The root's absolute path; empty for the host's own. */
static int resolve_root(const char *directory, char *resolved, struct error *error)
{
    struct stat status;
    resolved[0] = '\0';
    if (!directory)
        return 0;
    if (!realpath(directory, resolved) || stat(resolved, &status) < 0)
        return error_set(error, -errno, "root %s: %s", directory, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(error, -ENOTDIR, "root %s: not a directory", directory);
    if (strcmp(resolved, "/") == 0)
        resolved[0] = '\0';
    return 0;
}

/*
 * The root becomes a mount of its own, so that it can be the namespace's root: in a mere chroot() the kernel
 * makes no user namespaces, and programs find no mount at "/".
 */
static int mount_root(const char *root, struct error *error)
{
    if (mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0)
        return error_set(error, -errno, "cannot mount %s: %s", root, strerror(errno));
    return 0;
}

static int change_root(const char *root, struct error *error)
{
    bool changed = false;
    int code = chdir(root) < 0 ? -errno : 0;
    /* Puts the old root on top of the new one, from where it is taken away. An initial ramdisk cannot be
     * replaced. */
    if (code == 0 && syscall(SYS_pivot_root, ".", ".") == 0) {
        changed = true;
        code = umount2(".", MNT_DETACH) < 0 ? -errno : 0;
    }
    if (code == 0 && ((!changed && chroot(".") < 0) || chdir("/") < 0))
        code = -errno;
    if (code < 0)
        return error_set(error, code, "cannot change the root to %s: %s", root, strerror(-code));
    return 0;
}

int root_enter(const struct root *root, struct error *error)
{
    char resolved[PATH_MAX];
    int code = resolve_root(root->directory, resolved, error);
    if (code < 0 || (!resolved[0] && root->volume_count == 0))
        return code;

    code = enter_namespaces(error);
    if (code == 0 && resolved[0])
        code = mount_root(resolved, error);
    if (code == 0 && resolved[0])
        code = bind_system(resolved, error);
    for (unsigned i = 0; code == 0 && i < root->volume_count; i++)
        code = bind_volume(resolved, &root->volumes[i], error);
    if (code == 0 && resolved[0])
        code = change_root(resolved, error);
    return code;
}
