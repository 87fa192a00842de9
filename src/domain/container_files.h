/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * container_files: /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, as files in its directory
 * for run time that its OCI document binds over the root's own.
 */
#ifndef VISOR_DOMAIN_CONTAINER_FILES_H
#define VISOR_DOMAIN_CONTAINER_FILES_H

#include <jansson.h>

#include "domain/nets.h"
#include "network/dns.h"

#define CONTAINER_ZONE_MAX (NETWORK_NAME_MAX + sizeof "." DNS_ZONE)

struct container_files {
    bool host; /* the network is the host's: so are its files */
    const char *name;
    unsigned address_count, resolver_count, search_count;
    struct in_addr addresses[DOMAIN_NETS_MAX], resolvers[DOMAIN_NETS_MAX]; /* no resolvers: no resolv.conf */
    char search[DOMAIN_NETS_MAX][CONTAINER_ZONE_MAX];
};

/* Writes them and adds them to the document's mounts: those that the document does not mount itself, and for
 * which there is a place in the root. */
int container_files_show(const struct container_files *files, const struct domain *domain,
                         const struct domain_config *config, json_t *document, struct error *error);

#endif
