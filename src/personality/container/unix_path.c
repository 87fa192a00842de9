/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int make_address(struct sockaddr_un *address, int directory, const char *name)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int length =
        snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", directory, name);
    return length < (int)sizeof address->sun_path ? 0 : -ENAMETOOLONG;
}

int unix_path_bind_at(int socket, int directory, const char *name)
{
    struct sockaddr_un address;
    int code = make_address(&address, directory, name);
    if (code == 0 && bind(socket, (const struct sockaddr *)&address, sizeof address) < 0)
        code = -errno;
    return code;
}

int unix_path_connect_at(int socket, int directory, const char *name)
{
    struct sockaddr_un address;
    int code = make_address(&address, directory, name);
    if (code == 0 && connect(socket, (const struct sockaddr *)&address, sizeof address) < 0)
        code = -errno;
    return code;
}

int unix_path_connect(int socket, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
        return connect(socket, (const struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
    }
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) >= sizeof parent)
        return -ENAMETOOLONG;
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    int directory = open(slash == path ? "/" : parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    int code = unix_path_connect_at(socket, directory, slash + 1);
    close(directory);
    return code;
}
