/* SPDX-License-Identifier: GPL-2.0-or-later */
/* join: two networks whose frames go from each to the other, as by a cable between them. */
#ifndef VISOR_BACKEND_NET_JOIN_H
#define VISOR_BACKEND_NET_JOIN_H

#include "backend/net/net.h"

struct net_join;

/* Takes both over, which have no client. NULL: out of memory; they stay the caller's. */
struct net_join *net_join_new(struct net_backend *one, struct net_backend *other);
/* Closes both. NULL: nothing. */
void net_join_free(struct net_join *join);

#endif
