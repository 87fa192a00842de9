/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * networks: those between a group's domains, made before the first domain is and removed after the last. They
 * are ordinary networks (network/network.h) with two of the labels of group.h.
 */
#ifndef VISOR_GROUP_NETWORKS_H
#define VISOR_GROUP_NETWORKS_H

#include "group/work.h"

/* Makes those that are missing, and makes anew those of which the file says something else. `made`: a flag
 * for each that is new; also after an error, which says which network it is about. -EEXIST: one of the name
 * is not the group's; -EBUSY: one has changed, and domains are attached. */
int group_networks_make(const struct group_work *work, bool made[GROUP_NETWORKS_MAX], struct error *error);
/* Removes those that group_networks_make() has made. */
void group_networks_unmake(const struct group_work *work, const bool made[GROUP_NETWORKS_MAX]);
/* Removes all that there are of the group. */
int group_networks_remove(const struct group_work *work, struct error *error);

#endif
