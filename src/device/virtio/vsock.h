/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio-vsock: stream connections between programs in the guest and on the host, by numbers of ports.
 *
 * On the host they are Unix sockets, as Firecracker does it. With a path P: a program of the host connects to
 * P, writes "CONNECT <port>\n" and reads "OK <its own port>\n" when a program of the guest listens there. A
 * program of the guest that connects to port N of the host (context 2) reaches who listens on "P_N".
 *
 * Or they are the host's kernel's (backend/vhost), which then serves the queues of packets: AF_VSOCK sockets.
 *
 * Connections are not saved: a guest that was loaded is told that they are all gone, and reads its context
 * anew.
 */
#ifndef VISOR_DEVICE_VIRTIO_VSOCK_H
#define VISOR_DEVICE_VIRTIO_VSOCK_H

#include "backend/vsock/vsock.h"
#include "device/virtio/vhost_queues.h"
#include "device/virtio/virtio.h"

struct virtio_vsock;

/* The backend is borrowed; its client is set. */
int virtio_vsock_new(struct virtio_vsock **out, const struct virtio_place *place,
                     struct vsock_backend *backend, uint32_t guest_cid, struct error *error);

/* Of vhost's features, those that the device has beside others'. */
#define VIRTIO_VSOCK_VHOST_FEATURES (UINT64_C(1) << 1) /* SOCK_SEQPACKET */

/* The kernel's: `vhost`, which is borrowed, reaches what is in `ram`. -ENOTSUP: the engine makes no signals.
 */
int virtio_vsock_new_vhost(struct virtio_vsock **out, const struct virtio_place *place, struct vhost *vhost,
                           struct memory_backing *ram, uint32_t guest_cid, struct error *error);
void virtio_vsock_free(struct virtio_vsock *vsock); /* closes all connections */
/* The machine goes on after it was loaded. */
void virtio_vsock_resume(struct virtio_vsock *vsock);
/* The machine stands still from now on, or no longer. */
void virtio_vsock_stand(struct virtio_vsock *vsock, bool still);

#endif
