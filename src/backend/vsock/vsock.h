/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock: what is at the host's end of a guest's stream connections.
 *
 * A host end (vsock_host) is like a socket that does not block: read(), write(), and ready() when what was
 * wanted can be done. All of it under the machine's lock.
 */
#ifndef VISOR_BACKEND_VSOCK_VSOCK_H
#define VISOR_BACKEND_VSOCK_VSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "backend/vsock/option.h"
#include "base/error.h"
#include "base/loop.h"

enum { VSOCK_READ = 1, VSOCK_WRITE = 2 };

struct vsock_backend;
struct vsock_host;

/* The device's side. */
struct vsock_client {
    /* A program of the host wants to connect to a port of the guest. False: it cannot be, close() follows by
     * the backend. True: the device calls established() or close() later. */
    bool (*request)(void *opaque, struct vsock_host *host, uint32_t port);
    /* Can be read or written now; not wanted any more. */
    void (*ready)(void *connection, unsigned events);
    void *opaque;
};

struct vsock_ops {
    /* To what listens for the guest at a port of the host. 0, or a negative errno. */
    int (*connect)(struct vsock_backend *backend, uint32_t port, struct vsock_host **out);
    /* Bytes, or a negative errno, -EAGAIN: not now; 0 from read: the other end has sent its last byte. */
    ssize_t (*read)(struct vsock_host *host, const struct iovec *iov, unsigned count);
    ssize_t (*write)(struct vsock_host *host, const struct iovec *iov, unsigned count);
    void (*want)(struct vsock_host *host, unsigned events);
    bool (*is_closed)(struct vsock_host *host); /* the other end neither sends nor receives any more */
    void (*shut_down)(struct vsock_host *host); /* what was written was the last */
    void (*close)(struct vsock_host *host);
    /* The guest has accepted what request() was called for; `port` is the connection's at the host. */
    void (*established)(struct vsock_host *host, uint32_t port);
};

struct vsock_backend {
    const struct vsock_ops *ops;
    const struct vsock_client *client; /* NULL until there is one: nobody can connect */
};

struct vsock_host {
    struct vsock_backend *backend;
    void *connection; /* the device's */
};

/* Who connects to what listens for the guest (dial.h), if this process cannot. */
struct vsock_dialer {
    int (*dial)(void *opaque, uint32_t port); /* as vsock_dial() */
    void *opaque;
};

/* Unix sockets, see virtio/vsock.h. `dialer`, which is kept, may be NULL. -EADDRINUSE: something listens at
 * `path` already. */
int vsock_unix_open(struct vsock_backend **out, struct loop *loop, const char *path,
                    const struct vsock_dialer *dialer, struct error *error);
/* The device is gone. */
void vsock_unix_close(struct vsock_backend *backend);

#endif
