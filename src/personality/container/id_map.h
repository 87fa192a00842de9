/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * id_map: which users and groups of the host a user namespace knows, and as which.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_ID_MAP_H
#define VISOR_PERSONALITY_CONTAINER_ID_MAP_H

#include <sys/types.h>

#include "personality/container/oci_config.h"

/* Gives the user namespace of the process `pid`, a new one, its maps. Without the rights to do so
 * newuidmap(1) and newgidmap(1) are asked, except for one's own id. */
int id_map_write(pid_t pid, const struct oci_linux *platform, struct error *error);

/* A user namespace that nobody is in, for idmapped mounts: a descriptor. */
int id_map_namespace(const struct oci_id_map *uids, unsigned uid_count, const struct oci_id_map *gids,
                     unsigned gid_count, struct error *error);

#endif
