/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_routes: what the host reaches already, and how. */
#ifndef VISOR_NETWORK_HOST_ROUTES_H
#define VISOR_NETWORK_HOST_ROUTES_H

#include "network/option.h"

/* Whether a route of the host, other than the default one, leads to a part of the subnet. */
bool host_routes_overlap(const struct network_subnet *subnet);
/* The resolvers in /etc/resolv.conf, at most `most`; how many. */
unsigned host_resolvers(struct in_addr *resolvers, unsigned most);

#endif
