/* SPDX-License-Identifier: GPL-2.0-or-later */
/* container_place: where the containers of a store's domains are, for container.h: the state root that all of
 * them share; each has its domain's id. */
#ifndef VISOR_DOMAIN_CONTAINER_PLACE_H
#define VISOR_DOMAIN_CONTAINER_PLACE_H

#include <limits.h>

#include "domain/store.h"

void domain_container_root(const struct domain_store *store, char path[PATH_MAX]);

#endif
