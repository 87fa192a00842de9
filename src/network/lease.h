/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lease: who is attached to a network, and with which address; a document that says all that is to be there
 * while the network is up.
 */
#ifndef VISOR_NETWORK_LEASE_H
#define VISOR_NETWORK_LEASE_H

#include <jansson.h>
#include <net/if.h>

#include "base/process_id.h"
#include "network/option.h"

#define LEASE_ID_MAX        64
#define LEASE_RESOLVERS_MAX 3

struct lease {
    char domain[LEASE_ID_MAX + 1], name[NETWORK_HOST_MAX + 1];
    struct process_id process; /* with its end the lease ends */
    struct in_addr address;
    uint8_t mac[6];
    char interface[IFNAMSIZ]; /* the host's end */
    unsigned alias_count;
    char aliases[NETWORK_ALIASES_MAX][NETWORK_HOST_MAX + 1];
    struct network_port *ports; /* of malloc() */
    unsigned port_count;
};

struct lease_list {
    char network[NETWORK_NAME_MAX + 1], bridge[IFNAMSIZ];
    struct network_subnet subnet;
    bool internal;
    bool settled;                                  /* what is there was made to be what this says */
    struct in_addr resolvers[LEASE_RESOLVERS_MAX]; /* the host's */
    unsigned resolver_count;
    struct process_id server;
    struct lease *leases; /* sorted by address */
    unsigned count;
};

void lease_list_free(struct lease_list *list);
/* NULL: out of memory. */
json_t *lease_list_json(const struct lease_list *list);
/* Fills a list that is all zeros. -EINVAL: it is none. */
int lease_list_load(struct lease_list *list, const json_t *document, struct error *error);

/* A lease for people and programs, without what is visor's own. NULL: out of memory. */
json_t *lease_describe(const struct lease *lease);

/* Copies the lease into its place; its ports are the list's then. -ENOMEM. */
int lease_add(struct lease_list *list, const struct lease *lease);
void lease_drop(struct lease_list *list, unsigned index);
/* Of a domain. NULL: none. */
struct lease *lease_find(const struct lease_list *list, const char *domain);
/* Removes the leases of dead processes. True: there were some. */
bool lease_drop_dead(struct lease_list *list);

/* `wanted`, or with 0 the lowest free one. -EINVAL: not of the subnet; -EADDRINUSE; -ENOSPC. */
int lease_choose(const struct lease_list *list, struct in_addr wanted, struct in_addr *address,
                 struct error *error);
/* Whether all ports are free. -EADDRINUSE. */
int lease_check_ports(const struct lease_list *list, const struct network_port *ports, unsigned count,
                      struct error *error);
/* The address of Ethernet that goes with one of IPv4. */
void lease_mac(struct in_addr address, uint8_t mac[6]);

#endif
