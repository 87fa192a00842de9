/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unix_socket: stream sockets that have a path. One longer than an address has room for (107 bytes) is
 * reached through its directory, if /proc is there.
 */
#ifndef VISOR_BASE_UNIX_SOCKET_H
#define VISOR_BASE_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/error.h"

/*
 * A descriptor, non-blocking and closed at exec, that listens at `path`, which is made with `mode` less the
 * umask: nobody else can connect in between. A socket that a dead process has left there is replaced.
 * Or a negative errno with the reason, which names the path; -EADDRINUSE: something is there.
 */
int unix_socket_listen(const char *path, mode_t mode, int backlog, struct error *error);

/*
 * A blocking descriptor, closed at exec, that is connected to who listens at `path`. Or a negative errno:
 * -ENOENT, -ECONNREFUSED: nobody does; -EAGAIN: it did not take the connection in `timeout_ms` (-1: no end).
 */
int unix_socket_connect(const char *path, int timeout_ms, struct error *error);

#endif
