/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* The address of a path. `directory` is -1, or a descriptor that the address goes through, which stays open
 * until it is no longer needed. */
static int address_of(const char *path, struct sockaddr_un *address, int *directory)
{
    const char *name = strrchr(path, '/');
    char parent[4096];

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *directory = -1;
    if (!*path || strlen(path) >= sizeof parent)
        return *path ? -ENAMETOOLONG : -EINVAL;
    if (strlen(path) < sizeof address->sun_path) {
        strcpy(address->sun_path, path);
        return 0;
    }
    if (!name)
        return -ENAMETOOLONG;
    memcpy(parent, path, (size_t)(name - path) + 1);
    parent[name - path + 1] = '\0';
    int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int size = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d%s", fd, name);
    if ((size_t)size >= sizeof address->sun_path) {
        close(fd);
        return -ENAMETOOLONG;
    }
    *directory = fd;
    return 0;
}

static void close_directory(int directory)
{
    if (directory >= 0)
        close(directory);
}

/* Whether there is a socket that somebody has left behind. */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool stale = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
                 errno == ECONNREFUSED;
    struct stat status;
    if (fd >= 0)
        close(fd);
    return stale && !lstat(address->sun_path, &status) && S_ISSOCK(status.st_mode);
}

/* A socket's own mode is that of the file which bind() makes. */
static int listen_at(int fd, const struct sockaddr_un *address, mode_t mode, int backlog)
{
    const struct sockaddr *generic = (const struct sockaddr *)address;
    int code = fchmod(fd, mode);
    if (!code)
        code = bind(fd, generic, sizeof *address);
    if (code && errno == EADDRINUSE) {
        if (!is_stale(address)) {
            errno = EADDRINUSE;
            return -1;
        }
        code = unlink(address->sun_path) ? -1 : bind(fd, generic, sizeof *address);
    }
    return code ? code : listen(fd, backlog);
}

int unix_socket_listen(const char *path, mode_t mode, int backlog, struct error *error)
{
    struct sockaddr_un address;
    int directory, code = address_of(path, &address, &directory);
    if (code)
        return error_set(error, code, "cannot listen at \"%s\": %s", path, strerror(-code));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    code = fd < 0 ? -errno : listen_at(fd, &address, mode, backlog) ? -errno : 0;
    close_directory(directory);
    if (!code)
        return fd;
    if (fd >= 0)
        close(fd);
    if (code == -EADDRINUSE)
        return error_set(error, code, "%s exists already, or another program listens there", path);
    return error_set(error, code, "cannot listen at %s: %s", path, strerror(-code));
}

int unix_socket_connect(const char *path, int timeout_ms, struct error *error)
{
    struct sockaddr_un address;
    int directory, code = address_of(path, &address, &directory);
    if (code)
        return error_set(error, code, "cannot connect to \"%s\": %s", path, strerror(-code));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* How long connect() waits for room in the listener's queue; 0 is no end. */
    const int wait = timeout_ms == 0 ? 1 : timeout_ms < 0 ? 0 : timeout_ms;
    const struct timeval limit = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000}, none = {0};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none))
        code = -errno;
    close_directory(directory);
    if (!code)
        return fd;
    if (fd >= 0)
        close(fd);
    return error_set(error, code, "cannot connect to %s: %s", path, strerror(-code));
}
