/* SPDX-License-Identifier: GPL-2.0-or-later */
/* container_tap: a tap device in a container's network namespace, whose other end is this process's. */
#ifndef VISOR_DOMAIN_CONTAINER_TAP_H
#define VISOR_DOMAIN_CONTAINER_TAP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct container_tap {
    const char *name;
    struct in_addr address, gateway;
    unsigned prefix;
    const uint8_t *mac;                 /* NULL: the kernel chooses it */
    bool first;                         /* with the default routes */
    struct in6_addr address6, gateway6; /* of a prefix of 64 bits */
};

/* The device is up, and gone with the descriptor that this returns; or a negative errno. The caller may be an
 * ordinary user whose container it is: a child enters the namespaces, of which these are descriptors. */
int container_tap_make(const struct container_tap *tap, int users, int network, struct error *error);

#endif
