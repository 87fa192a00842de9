/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_devices: network devices of the host that a container gets: `linux.netDevices` of the OCI runtime
 * specification 1.3 (config-linux.md, "Network Devices"). With the container's network namespace they go
 * where the kernel puts them; before it is made, after a failure, they come back.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_NET_DEVICES_H
#define VISOR_PERSONALITY_CONTAINER_NET_DEVICES_H

#include <net/if.h>
#include <sys/types.h>

#include "base/error.h"
#include "personality/container/oci_config.h"

struct net_devices {
    const struct oci_config *config;
    int namespace;              /* the container's, or -1 */
    unsigned moved;             /* of the configuration's, from the first on */
    char (*names)[IF_NAMESIZE]; /* which they have there */
};

/* Moves them, with their addresses, and switches them on; `pid` is in the container's network namespace, if
 * it is a new one. After an error some may have been moved. */
int net_devices_move(struct net_devices *devices, const struct oci_config *config, pid_t pid,
                     struct error *error);
/* Those that were moved, by their old names. What cannot be is reported. */
void net_devices_return(struct net_devices *devices);
void net_devices_release(struct net_devices *devices);

#endif
