/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * user namespace: the calling process becomes root in a user and mount namespace of its own.
 *
 * As podman does it, the caller is mapped to 0 and, where /etc/subuid allows and newuidmap is installed,
 * further users behind. Where the caller has all rights, all users keep their numbers.
 */
#ifndef VISOR_DOMAIN_USER_NAMESPACE_H
#define VISOR_DOMAIN_USER_NAMESPACE_H

#include <stdbool.h>

struct error;

/* What follows the calling user in his namespaces; counts of 0: nothing. */
struct user_ranges {
    unsigned uids_first, uids_count, gids_first, gids_count;
};
/* By /etc/subuid and /etc/subgid. False: he has none, or there is no tool to map them. */
bool user_namespace_ranges(struct user_ranges *ranges);

/* Changes the calling process for good. 0, or a negative errno and *error. */
int user_namespace_enter(struct error *error);

#endif
