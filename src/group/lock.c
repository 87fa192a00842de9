/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "group/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"

int group_lock(const struct domain_store *store, const char *name, void (*waits)(const char *name),
               struct error *error)
{
    char path[PATH_MAX + 8];
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    range.l_start = (off_t)(hash_bytes(name, strlen(name)) >> 2);
    snprintf(path, sizeof path, "%s/groups", store->path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    int code = fcntl(fd, F_SETLK, &range) < 0 ? -errno : 0;
    if ((code == -EACCES || code == -EAGAIN) && waits)
        waits(name);
    if (code == -EACCES || code == -EAGAIN)
        code = fcntl(fd, F_SETLKW, &range) < 0 ? -errno : 0;
    if (!code)
        return fd;
    close(fd);
    return error_set(error, code, "cannot lock the group %s: %s", name, strerror(-code));
}

void group_unlock(int lock)
{
    close(lock);
}
