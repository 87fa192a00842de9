/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * link: network interfaces of the kernel: bridges, their ports, addresses, routes (rtnetlink(7)).
 *
 * A struct link is a socket in one network namespace, that of the process or of another one. Functions return
 * 0 or a negative errno, with an error that names the interface.
 */
#ifndef VISOR_NETWORK_LINK_H
#define VISOR_NETWORK_LINK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

struct link {
    int fd;
    uint32_t sequence;
};

int link_open(struct link *link, struct error *error);
/* In the namespace that a descriptor is of; the calling thread is there for a moment. */
int link_open_in(struct link *link, int namespace, struct error *error);
void link_close(struct link *link);

/* A bridge that is up, with this address and MAC. One that exists is no error, and gets them. */
int link_make_bridge(struct link *link, const char *name, const uint8_t mac[6], struct in_addr address,
                     unsigned prefix, struct error *error);
/* A pair: one end is a port of the bridge, the other is in the other namespace. */
struct link_pair {
    const char *name, *bridge; /* of this end, which is up */
    const char *peer;
    int namespace; /* of the peer */
    const uint8_t *mac;
};
int link_make_pair(struct link *link, const struct link_pair *pair, struct error *error);
/* Makes an interface a port of a bridge, and up. */
int link_join(struct link *link, const char *name, const char *bridge, struct error *error);
/* None of that name is no error. */
int link_remove(struct link *link, const char *name, struct error *error);
int link_up(struct link *link, const char *name, struct error *error);
int link_set_mac(struct link *link, const char *name, const uint8_t mac[6], struct error *error);
int link_add_address(struct link *link, const char *name, struct in_addr address, unsigned prefix,
                     struct error *error);
int link_add_default_route(struct link *link, const char *name, struct in_addr gateway, struct error *error);
int link_add_default_route6(struct link *link, const char *name, struct in6_addr gateway,
                            struct error *error);
/* An address that is to stay, of any family, as the kernel gives it. */
struct link_address {
    uint8_t family, prefix;
    bool has_local, has_broadcast;
    uint8_t address[16], local[16], broadcast[16];
};
/* Those of an interface that are permanent and of global scope; of malloc(). */
int link_list_addresses(struct link *link, const char *name, struct link_address **addresses, unsigned *count,
                        struct error *error);
int link_take_address(struct link *link, const char *name, const struct link_address *address,
                      struct error *error);
/* Into another network namespace, where it has this name and is down. -EEXIST: the name is taken there. */
int link_move(struct link *link, const char *name, int namespace, const char *new_name, struct error *error);

/* Its index; 0: there is none. */
unsigned link_index(struct link *link, const char *name);

#endif
