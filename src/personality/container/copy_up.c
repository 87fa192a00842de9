/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/copy_up.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 128

static int copy_directory(int from, int to, unsigned depth);

static int copy_owner(int directory, const char *name, const struct stat *status)
{
    const struct timespec times[2] = {status->st_atim, status->st_mtim};
    if (fchownat(directory, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISLNK(status->st_mode) && fchmodat(directory, name, status->st_mode & 07777, 0) < 0)
        return -errno;
    return utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int copy_file(int from, int to, const char *name, const struct stat *status)
{
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0)
        return -errno;
    int copy = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int code = copy < 0 ? -errno : 0;
    for (off_t left = status->st_size; code == 0 && left > 0;) {
        ssize_t sent = sendfile(copy, source, NULL, (size_t)left);
        if (sent <= 0) {
            code = sent < 0 ? -errno : 0;
            break;
        }
        left -= sent;
    }
    close(source);
    if (copy >= 0)
        close(copy);
    return code;
}

static int copy_link(int from, int to, const char *name)
{
    char target[PATH_MAX];
    ssize_t size = readlinkat(from, name, target, sizeof target - 1);
    if (size < 0)
        return -errno;
    target[size] = '\0';
    return symlinkat(target, to, name) < 0 ? -errno : 0;
}

static int copy_child(int from, int to, const char *name, unsigned depth)
{
    if (mkdirat(to, name, 0700) < 0)
        return -errno;
    int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (source < 0)
        return -errno;
    int copy = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int code = copy < 0 ? -errno : copy_directory(source, copy, depth + 1);
    close(source);
    if (copy >= 0)
        close(copy);
    return code;
}

static int copy_entry(int from, int to, const char *name, unsigned depth)
{
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    int code = -ENOTSUP;
    if (S_ISREG(status.st_mode))
        code = copy_file(from, to, name, &status);
    else if (S_ISLNK(status.st_mode))
        code = copy_link(from, to, name);
    else if (S_ISDIR(status.st_mode))
        code = depth < DEPTH_MAX ? copy_child(from, to, name, depth) : -ELOOP;
    return code < 0 ? code : copy_owner(to, name, &status);
}

static int copy_directory(int from, int to, unsigned depth)
{
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = copy < 0 ? NULL : fdopendir(copy);
    if (!directory) {
        int code = -errno;
        if (copy >= 0)
            close(copy);
        return code;
    }
    const struct dirent *entry;
    int code = 0;
    while (code == 0 && (entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            code = copy_entry(from, to, entry->d_name, depth);
    }
    closedir(directory);
    return code;
}

int copy_up(int source, int destination, struct error *error)
{
    int code = copy_directory(source, destination, 0);
    if (code < 0)
        return error_set(error, code, "cannot copy what is there into the tmpfs: %s",
                         code == -ENOTSUP ? "there is something else than files, directories and links"
                                          : strerror(-code));
    return 0;
}
