/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/vsock_socket.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define DAY_MS 86400000

/* Each process begins elsewhere, lest a guest takes a connection for one that it has just closed. */
static int bind_reserved(int fd)
{
    const unsigned count = VSOCK_PORT_RESERVED_LAST - VSOCK_PORT_RESERVED_FIRST + 1;
    int code = -EADDRINUSE;
    for (unsigned i = 0; i < count && code == -EADDRINUSE; i++) {
        const struct sockaddr_vm own = {.svm_family = AF_VSOCK,
                                        .svm_port =
                                            VSOCK_PORT_RESERVED_FIRST + ((unsigned)getpid() + i) % count,
                                        .svm_cid = VMADDR_CID_ANY};
        code = bind(fd, (const struct sockaddr *)&own, sizeof own) ? -errno : 0;
    }
    return code;
}

static int connect_to(int fd, uint32_t cid, uint32_t port, int timeout_ms)
{
    const int wait = timeout_ms < 0 ? DAY_MS : timeout_ms;
    const struct timeval limit = {.tv_sec = wait / 1000, .tv_usec = wait % 1000 * 1000};
    const struct sockaddr_vm guest = {.svm_family = AF_VSOCK, .svm_port = port, .svm_cid = cid};
    if (setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit, sizeof limit) ||
        connect(fd, (const struct sockaddr *)&guest, sizeof guest))
        return -errno;
    return 0;
}

int vsock_socket_connect(uint32_t cid, uint32_t port, int timeout_ms, struct error *error)
{
    const int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(error, -errno, "cannot make a socket of AF_VSOCK: %s", strerror(errno));
    int code = bind_reserved(fd);
    if (code) {
        error_set(error, code, "cannot connect from a reserved port of vsock: %s", strerror(-code));
        if (code == -EACCES)
            error_hint(error,
                       "who reaches a guest by its context (CID) is root, or has CAP_NET_BIND_SERVICE");
    } else {
        code = connect_to(fd, cid, port, timeout_ms);
        if (code)
            error_set(error, code, "cannot connect to port %u of the vsock context (CID) %u: %s", port, cid,
                      strerror(-code));
    }
    if (!code)
        return fd;
    close(fd);
    return code;
}
