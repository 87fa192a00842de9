/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/inside.h"

#include <errno.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel has it */

static int resolve(int root, const char *path, uint64_t flags, uint64_t how_to_resolve)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | how_to_resolve,
    };
    long fd;
    do { /* -EAGAIN: something was renamed meanwhile, and the kernel could not be sure */
        fd = syscall(SYS_openat2, root, path[0] ? path : ".", &how, sizeof how);
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd < 0 ? -errno : (int)fd;
}

int inside_open(int root, const char *path, uint64_t flags)
{
    return resolve(root, path, flags, 0);
}

int inside_open_plain(int root, const char *path, uint64_t flags)
{
    return resolve(root, path, flags, RESOLVE_NO_SYMLINKS);
}

/* One more directory or file, in a directory that is open. */
static int make_one(int parent, const char *name, bool directory)
{
    if (directory)
        return mkdirat(parent, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
    int fd = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    close(fd);
    return 0;
}

static int make_path(int root, const char *path, size_t length, bool directory, unsigned links);

/* `name` in the directory `parent` is a link to what is not there: that is made. `prefix`: the parent's path.
 */
static int make_target(int root, int parent, const char *prefix, const char *name, bool directory,
                       unsigned links)
{
    char target[PATH_MAX], path[PATH_MAX];
    ssize_t size = readlinkat(parent, name, target, sizeof target - 1);
    if (size < 0)
        return -errno;
    target[size] = '\0';
    if (links == LINKS_MAX)
        return -ELOOP;
    int length = snprintf(path, sizeof path, "%s/%s", target[0] == '/' ? "" : prefix, target);
    return length < (int)sizeof path ? make_path(root, path, (size_t)length, directory, links + 1)
                                     : -ENAMETOOLONG;
}

/* path[0…length) is there, or made; what is before its last slash is there. */
static int make_prefix(int root, const char *path, size_t length, bool directory, unsigned links)
{
    char prefix[PATH_MAX], last[NAME_MAX + 1];
    if (length >= sizeof prefix)
        return -ENAMETOOLONG;
    memcpy(prefix, path, length);
    prefix[length] = '\0';
    int fd = inside_open(root, prefix, O_PATH);
    if (fd != -ENOENT)
        return fd;

    char *slash = strrchr(prefix, '/');
    const char *name = slash ? slash + 1 : prefix;
    if (strlen(name) > NAME_MAX)
        return -ENAMETOOLONG;
    strcpy(last, name);
    *(slash ? slash : prefix) = '\0';
    int parent = inside_open(root, prefix, O_PATH | O_DIRECTORY);
    if (parent < 0)
        return parent;
    int code = make_one(parent, last, directory);
    if (code == 0)
        fd = inside_open(parent, last, O_PATH | O_NOFOLLOW);
    struct stat status;
    if (code == 0 && fd >= 0 && fstat(fd, &status) == 0 && S_ISLNK(status.st_mode)) {
        close(fd);
        fd = make_target(root, parent, prefix, last, directory, links);
    }
    close(parent);
    return code < 0 ? code : fd;
}

static int make_path(int root, const char *path, size_t length, bool directory, unsigned links)
{
    while (length && path[length - 1] == '/')
        length--;
    int fd = make_prefix(root, path, length, directory, links); /* mostly only the last part is missing */
    if (fd != -ENOENT)
        return fd;
    for (size_t i = 1; i < length; i++) {
        if (path[i] != '/' || path[i - 1] == '/')
            continue;
        fd = make_prefix(root, path, i, true, links);
        if (fd < 0)
            return fd;
        close(fd);
    }
    return make_prefix(root, path, length, directory, links);
}

int inside_make(int root, const char *path, bool directory, struct error *error)
{
    int fd = inside_open(root, path, O_PATH);
    if (fd == -ENOENT)
        fd = make_path(root, path, strlen(path), directory, 0);
    if (fd < 0)
        return error_set(error, fd, "cannot make %s in the container's root: %s", path,
                         fd == -ELOOP ? "symbolic links go in circles, or lead through /proc"
                                      : strerror(-fd));
    return fd;
}

int inside_parent(int root, const char *path, char name[NAME_MAX + 1], struct error *error)
{
    size_t length = strlen(path), start;
    while (length && path[length - 1] == '/')
        length--;
    for (start = length; start && path[start - 1] != '/'; start--)
        ;
    size_t size = length - start;
    char parent[PATH_MAX];
    if (!size || size > NAME_MAX || start >= sizeof parent || strncmp(path + start, "..", size) == 0)
        return error_set(error, -EINVAL, "%s is not the path of something to be made", path);
    memcpy(name, path + start, size);
    name[size] = '\0';
    memcpy(parent, path, start);
    parent[start] = '\0';
    return inside_make(root, parent, true, error);
}
