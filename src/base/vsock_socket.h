/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_socket: AF_VSOCK sockets, by which the host's kernel reaches guests. Who may connect is no question
 * of a file's rights: every program of the host may, in whatever namespaces it is. So a guest asks whether
 * its caller speaks from a port below 1024, which needs CAP_NET_BIND_SERVICE.
 */
#ifndef VISOR_BASE_VSOCK_SOCKET_H
#define VISOR_BASE_VSOCK_SOCKET_H

#include <stdint.h>

#include "base/error.h"

/* The host's ports that visor connects from. */
#define VSOCK_PORT_RESERVED_FIRST 512u
#define VSOCK_PORT_RESERVED_LAST  1023u

/*
 * A blocking descriptor, closed at exec, that is connected to who listens at a guest's port, from a reserved
 * one. Or a negative errno: -EACCES: this process may have no such port; -ENODEV: there is no such guest;
 * -ECONNRESET: nobody listens there; -ETIMEDOUT: the guest gave no answer in `timeout_ms` (-1: a day).
 */
int vsock_socket_connect(uint32_t cid, uint32_t port, int timeout_ms, struct error *error);

#endif
