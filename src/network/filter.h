/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * filter: a network's table of nftables: translation of addresses, published ports, and what may pass.
 *
 * The table is made anew as a whole in one transaction, from the list of leases. libnftables does it in a
 * program of its own (nft/main.c), since it is only to be had as a shared library.
 */
#ifndef VISOR_NETWORK_FILTER_H
#define VISOR_NETWORK_FILTER_H

#include <stdio.h>

#include "network/lease.h"

/* The commands, as nft(8) reads them. */
void filter_write(FILE *out, const struct lease_list *list);
/* -ENOENT: the host has no libnftables. */
int filter_set(const struct lease_list *list, struct error *error);
int filter_remove(const char *table, struct error *error);

#endif
