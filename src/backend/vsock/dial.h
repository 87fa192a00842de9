/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dial: programs of the host that listen for a guest: for each port a Unix socket of its own, PATH_PORT.
 */
#ifndef VISOR_BACKEND_VSOCK_DIAL_H
#define VISOR_BACKEND_VSOCK_DIAL_H

#include <stdint.h>
#include <sys/un.h>

#include "base/error.h"

struct vsock_dial {
    /* The path, or a longer one's way through its directory, which stays open; -1: that is not needed. */
    struct sockaddr_un address;
    int directory;
};

/* -EINVAL: the path is empty or too long. */
int vsock_dial_open(struct vsock_dial *dial, const char *path, struct error *error);
void vsock_dial_close(struct vsock_dial *dial);
/* A descriptor that does not block, or a negative errno, -ENOENT and -ECONNREFUSED: nobody listens. */
int vsock_dial(const struct vsock_dial *dial, uint32_t port);

#endif
