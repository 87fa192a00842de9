/* SPDX-License-Identifier: GPL-2.0-or-later */
/* networks: those between a group's domains, made before the first domain is and removed after the last. */
#ifndef VISOR_GROUP_NETWORKS_H
#define VISOR_GROUP_NETWORKS_H

#include "group/group.h"

/* Makes those that are missing. */
int group_networks_make(const struct group *group, struct error *error);
/* Removes those that there are. */
int group_networks_remove(const struct group *group, struct error *error);

#endif
