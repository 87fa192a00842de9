/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nets: the networks that a domain's configuration names: looked at when it is made, attached to when it
 * starts; and ports that are published. For kinds of domains.
 *
 * A network is "none", "host" (for containers), "user[,...]" or "tap[=NAME][,...]" (backend/net/options.h),
 * or one made by "visor network create" (network/option.h).
 */
#ifndef VISOR_DOMAIN_NETS_H
#define VISOR_DOMAIN_NETS_H

#include "domain/config.h"
#include "domain/store.h"
#include "network/network.h"

#define DOMAIN_NETS_MAX  8
#define DOMAIN_PORTS_MAX 64

/* Whether a text has the name of a network; else one of the words above. */
bool domain_net_is_named(const char *text);
/* Whether a text is understood. -EINVAL. */
int domain_net_check(const char *text, struct error *error);
/* That all networks which a configuration names are there. -ENODEV: one is not. */
int domain_nets_look(const struct domain_store *store, const struct domain_config *config,
                     struct error *error);

/* How a domain is attached to the named networks of its configuration: an object of their names. NULL: out of
 * memory. */
json_t *domain_nets_json(const struct domain *domain, const struct domain_config *config);

/* The addresses of a running machine's cards on named networks, in the order of its configuration: how many
 * cards. Zeros: one that is elsewhere. */
unsigned domain_nets_addresses(const struct domain *domain, const struct domain_config *config,
                               uint8_t addresses[DOMAIN_NETS_MAX][6]);

struct domain_ports {
    unsigned count;
    struct network_port ports[DOMAIN_PORTS_MAX];
};
int domain_ports_parse(struct domain_ports *ports, const struct domain_list *publish, struct error *error);
/* As a user network has them. -E2BIG. */
struct net_options;
int domain_ports_forward(const struct domain_ports *ports, struct net_options *options, struct error *error);

/* What a domain's process is attached to, and the sockets that keep its published ports from others. */
struct domain_nets {
    const struct domain *domain;
    unsigned count, socket_count;
    char names[DOMAIN_NETS_MAX][NETWORK_NAME_MAX + 1];
    int sockets[DOMAIN_PORTS_MAX];
};
/* `nets` is zeros before the first. `ports`, perhaps NULL, are published. */
int domain_nets_attach(struct domain_nets *nets, const struct domain *domain, const char *text,
                       const struct domain_ports *ports, struct network_attachment *attachment,
                       struct error *error);
/* From all of them. */
void domain_nets_detach(struct domain_nets *nets);

#endif
