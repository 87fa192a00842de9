/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "backend/vsock/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESS_MOST 90 /* bytes of a path that is the address itself: a port comes behind it */

int vsock_dial_open(struct vsock_dial *dial, const char *path, struct error *error)
{
    const char *const slash = strrchr(path, '/');
    const int length = slash ? (int)(slash - path) : 0;
    *dial = (struct vsock_dial){.address.sun_family = AF_UNIX, .directory = -1};
    if (*path && strlen(path) <= ADDRESS_MOST) {
        strcpy(dial->address.sun_path, path);
        return 0;
    }
    if (!slash || strlen(slash) > ADDRESS_MOST / 2)
        return error_set(error, -EINVAL, "vsock: the path \"%s\" is empty or too long", path);
    char directory[PATH_MAX];
    snprintf(directory, sizeof directory, "%.*s", length, path);
    dial->directory = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dial->directory < 0)
        return error_set(error, -errno, "vsock: cannot open %s: %s", directory, strerror(errno));
    snprintf(dial->address.sun_path, sizeof dial->address.sun_path, "/proc/self/fd/%d%s", dial->directory,
             slash);
    return 0;
}

void vsock_dial_close(struct vsock_dial *dial)
{
    if (dial->directory >= 0)
        close(dial->directory);
    dial->directory = -1;
}

int vsock_dial(const struct vsock_dial *dial, uint32_t port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.96s_%u", dial->address.sun_path, port);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    const int code = -errno;
    close(fd);
    return code;
}
