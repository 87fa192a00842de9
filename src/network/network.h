/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * network: named networks of domains, with names, addresses and a way outside.
 *
 *     STORE/networks/.lock       taken (flock) for all that follows
 *     STORE/networks/NAME/       config.json; .new-NAME/: is being made; .dead-NAME/: is being removed
 *     RUN/networks/NAME/         while it is up: leases.json: who is attached
 *
 * A network is up while domains are attached to it. Then it has, in the host's network namespace, a bridge, a
 * table of nftables, both called as `bridge` says, and a process, visor-network, that serves names and
 * addresses (server.h). What there is to be is told by leases.json alone, which is written before anything is
 * made: each operation first makes what is there be what it says, less the leases of processes that have
 * died. So what a killed one has left is put right, or removed, by the next.
 *
 * A process that attaches a domain holds its lease until it detaches it or ends. It attaches in two steps,
 * since a container's files tell its address, and its namespace comes later:
 *
 *     network_attach(&networks, &request, &attachment, &error)
 *     network_connect_container(&attachment, namespace, "eth0", first, &error); or network_connect_tap()
 *     network_detach(&networks, name, domain)
 *
 * The lock comes after domains' locks, and before the store's. All of it needs CAP_NET_ADMIN, but for
 * definitions.
 */
#ifndef VISOR_NETWORK_NETWORK_H
#define VISOR_NETWORK_NETWORK_H

#include <jansson.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>

#include "base/error.h"
#include "network/lease.h"
#include "network/option.h"

struct networks {
    int store, run; /* directories; -1: there are none yet */
    int lock;       /* while it is held; else -1 */
    char path[PATH_MAX], run_path[PATH_MAX];
};

/* `store` and `run`: the directories of the domains' store. `make`: the networks' are made if need be. */
int networks_open(struct networks *networks, const char *store, const char *run, bool make,
                  struct error *error);
void networks_close(struct networks *networks);

/* -- definitions: no rights are needed ------------------------------------------------------------------- */

struct network {
    char name[NETWORK_NAME_MAX + 1];
    char bridge[IFNAMSIZ];
    struct network_subnet subnet;
    bool internal;   /* no way outside */
    json_t *labels;  /* an object of texts */
    int64_t created; /* nanoseconds since 1970 */
};

/* `*network` has name, subnet (prefix 0: one is found), internal and labels; it gets the rest. -EEXIST: there
 * is one of this name; -EADDRINUSE: the subnet overlaps with another network's or the host's. */
int network_create(struct networks *networks, struct network *network, struct error *error);
/* -ENOENT. network_release() in the end. */
int network_read(const struct networks *networks, const char *name, struct network *network,
                 struct error *error);
void network_release(struct network *network);
/* -EBUSY: domains are attached. */
int network_remove(struct networks *networks, const char *name, struct error *error);
/* All names, NULL after the last, sorted; free each and the array. */
int networks_list(const struct networks *networks, char ***names, struct error *error);
/* Who is attached. lease_list_free() in the end. */
int network_leases(const struct networks *networks, const char *name, struct lease_list *leases,
                   struct error *error);

/* -- domains --------------------------------------------------------------------------------------------- */

struct network_request {
    const struct network_option *option;
    const char *domain, *name; /* its id and name */
    const struct network_port *ports;
    unsigned port_count;
};

struct network_attachment {
    struct network_subnet subnet; /* its gateway is the name server, and the router unless it is internal */
    char network[NETWORK_NAME_MAX + 1];
    char bridge[IFNAMSIZ], interface[IFNAMSIZ]; /* interface: the host's end */
    struct in_addr address;
    uint8_t mac[6];
    bool internal;
};

/* -ENOENT: no such network; -EPERM; -EADDRINUSE: the address, or a port, is somebody else's. */
int network_attach(struct networks *networks, const struct network_request *request,
                   struct network_attachment *attachment, struct error *error);
/* Gives a network namespace, by its descriptor, an interface of that name. `first`: with the default route.
 */
int network_connect_container(const struct network_attachment *attachment, int namespace, const char *name,
                              bool first, struct error *error);
/* The tap device `attachment->interface` exists. */
int network_connect_tap(const struct network_attachment *attachment, struct error *error);
/* The lease ends, and the network is down if it was the last. What cannot be done now the next operation
 * does. */
void network_detach(struct networks *networks, const char *name, const char *domain);

/* What dead domains have left, of all networks; does nothing if somebody has the lock, or without rights. */
void networks_repair(const char *store, const char *run);

#endif
