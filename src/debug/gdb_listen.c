/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb: the port at which a debugger is waited for. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "debug/gdb.h"

int gdb_port_parse(const char *text, uint16_t *port, bool *wait, struct error *error)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    *wait = strcmp(end, ",wait") == 0;
    if (end == text || (*end && !*wait) || !number || number > UINT16_MAX)
        return error_set(error, -EINVAL, "--gdb \"%s\" is not PORT or PORT,wait", text);
    *port = (uint16_t)number;
    return 0;
}

int gdb_listen(uint16_t port, struct error *error)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0)
        return fd;
    const int code = -errno;
    if (fd >= 0)
        close(fd);
    return error_set(error, code, "--gdb %u: cannot listen at 127.0.0.1, port %u: %s", port, port,
                     strerror(-code));
}
