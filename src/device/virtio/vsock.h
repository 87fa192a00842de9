/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-vsock: stream connections between programs in the guest and on the host, by numbers of ports.
 *
 * On the host they are Unix sockets, as Firecracker does it. With a path P: a program of the host connects to
 * P, writes "CONNECT <port>\n" and reads "OK <its own port>\n" when a program of the guest listens there. A
 * program of the guest that connects to port N of the host (context 2) reaches who listens on "P_N".
 */
#ifndef VISOR_DEVICE_VIRTIO_VSOCK_H
#define VISOR_DEVICE_VIRTIO_VSOCK_H

#include "base/loop.h"
#include "device/virtio/virtio.h"

struct virtio_vsock;

int virtio_vsock_new(struct virtio_vsock **out, const struct virtio_place *place, struct loop *loop,
                     uint64_t guest_cid, const char *path, struct error *error);
void virtio_vsock_free(struct virtio_vsock *vsock);

#endif
