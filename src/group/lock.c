/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "group/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"

#define AGAIN_MS 50

static bool is_taken(int code)
{
    return code == -EACCES || code == -EAGAIN;
}

/* A signal that comes just before the wait for a lock would not end it: whoever can be interrupted asks
 * again and again. */
static int lock_wait(int fd, struct flock *range, bool (*interrupted)(void))
{
    int code = -EAGAIN;
    if (!interrupted)
        return fcntl(fd, F_SETLKW, range) < 0 ? -errno : 0;
    while (is_taken(code)) {
        if (interrupted())
            return -EINTR;
        poll(NULL, 0, AGAIN_MS);
        code = fcntl(fd, F_SETLK, range) < 0 ? -errno : 0;
    }
    return code;
}

int group_lock(const struct domain_store *store, const char *name, void (*waits)(const char *name),
               bool (*interrupted)(void), struct error *error)
{
    char path[PATH_MAX + 8];
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    range.l_start = (off_t)(hash_bytes(name, strlen(name)) >> 2);
    snprintf(path, sizeof path, "%s/groups", store->path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    int code = fcntl(fd, F_SETLK, &range) < 0 ? -errno : 0;
    if (is_taken(code)) {
        if (waits)
            waits(name);
        code = lock_wait(fd, &range, interrupted);
    }
    if (!code)
        return fd;
    close(fd);
    return error_set(error, code, "cannot lock the group %s: %s", name, strerror(-code));
}

void group_unlock(int lock)
{
    close(lock);
}
