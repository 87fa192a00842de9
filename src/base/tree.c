/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 32

/* What is in a directory, whose descriptor is taken over. */
static int remove_content(int fd, unsigned depth)
{
    int code = 0;
    DIR *directory = fdopendir(fd);
    if (!directory) {
        close(fd);
        return -ENOMEM;
    }
    for (struct dirent *entry; (entry = readdir(directory));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || unlinkat(fd, name, 0) == 0)
            continue;
        int one = -errno;
        int inner = depth ? openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
        if (inner >= 0)
            one = remove_content(inner, depth - 1);
        if (inner >= 0 && !one && unlinkat(fd, name, AT_REMOVEDIR) < 0)
            one = -errno;
        code = code ? code : one;
    }
    closedir(directory);
    return code;
}

int tree_remove(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int code = remove_content(fd, DEPTH_MAX);
    return !code && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : code;
}
