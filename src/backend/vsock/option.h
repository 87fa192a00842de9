/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * option: whose a machine's vsock is, as its user says it:
 *
 *     PATH            visor's: Unix sockets (virtio/vsock.h)
 *     cid=N, cid=auto the host's kernel's: AF_VSOCK sockets, by which the guest is the context N of the host
 *
 * A path that begins like that can be written ./cid=...
 */
#ifndef VISOR_BACKEND_VSOCK_OPTION_H
#define VISOR_BACKEND_VSOCK_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define VSOCK_CID_HOST  2
#define VSOCK_CID_FIRST 3 /* that a guest may have */
#define VSOCK_CID_LAST  (UINT32_MAX - 1)

#define VSOCK_OPTION_KERNEL "cid=" /* how the kernel's begin */
#define VSOCK_OPTION_AUTO   "cid=auto"

struct vsock_option {
    const char *path; /* in the text; NULL: it is the kernel's */
    uint32_t cid;     /* the kernel's; 0: the first that nobody has */
};

/* -EINVAL: it is no path, and no number that a guest may have. */
int vsock_option_parse(struct vsock_option *option, const char *text, struct error *error);
bool vsock_option_is_kernel(const char *text);

#endif
