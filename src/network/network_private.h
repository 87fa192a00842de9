/* SPDX-License-Identifier: GPL-2.0-or-later */
/* network_private: what the files of network.h have in common. */
#ifndef VISOR_NETWORK_NETWORK_PRIVATE_H
#define VISOR_NETWORK_NETWORK_PRIVATE_H

#include "network/network.h"

/* Waits for the lock, unless not `wait`: -EAGAIN. What is half made is removed. */
int networks_lock(struct networks *networks, bool wait, struct error *error);
void networks_unlock(struct networks *networks);

/* -- with the lock held (up.c) --------------------------------------------------------------------------- */

/* The leases of a network, without those of dead processes, whose interfaces are removed; `dropped` says
 * whether there were such. An empty list if it is not up. */
int network_load(const struct networks *networks, const char *name, struct lease_list *list, bool *dropped,
                 struct error *error);
/* An empty list of a network. */
void network_begin_list(struct lease_list *list, const struct network *network);
/* Takes a lease away, and its interface, for which the kernel would take its time. */
void network_drop_lease(struct lease_list *list, unsigned index);
/* Makes what is there be what the list says, and writes it down; without leases the network goes down.
 * `filter`: the rules are to be others. */
int network_settle(const struct networks *networks, struct lease_list *list, bool filter,
                   struct error *error);

#endif
