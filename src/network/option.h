/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * option: what follows --net where it is a network's name, and --publish.
 *
 *     NAME[,ip=A][,mac=M][,alias=N]...[,vhost=on|off|auto]
 *     [IP:]HOSTPORT:PORT[/tcp|/udp]
 */
#ifndef VISOR_NETWORK_OPTION_H
#define VISOR_NETWORK_OPTION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "backend/vhost/vhost.h"
#include "base/error.h"

#define NETWORK_NAME_MAX    63
#define NETWORK_ALIASES_MAX 8
#define NETWORK_HOST_MAX    63 /* a label of a domain name */

struct network_option {
    char name[NETWORK_NAME_MAX + 1];
    struct in_addr address; /* 0: one is found */
    bool has_mac;
    uint8_t mac[6];
    unsigned alias_count;
    char aliases[NETWORK_ALIASES_MAX][NETWORK_HOST_MAX + 1];
    enum vhost_wish vhost; /* of machines */
};

struct network_port {
    bool udp;
    struct in_addr host; /* 0: all of the host's addresses */
    uint16_t host_port, port;
};

struct network_subnet {
    struct in_addr address, gateway;
    unsigned prefix; /* bits; 0: none */
};

/* -EINVAL: it is no name for a network. */
int network_name_check(const char *name, struct error *error);
int network_option_parse(struct network_option *option, const char *text, struct error *error);
int network_port_parse(struct network_port *port, const char *text, struct error *error);
/* A.B.C.D/BITS, 8 to 29. The gateway is its first address. */
int network_subnet_parse(struct network_subnet *subnet, const char *text, struct error *error);
bool network_subnets_overlap(const struct network_subnet *one, const struct network_subnet *two);
/* Whether it can be a domain's: within the subnet, not its first, last or the gateway. */
bool network_subnet_has(const struct network_subnet *subnet, struct in_addr address);

#endif
