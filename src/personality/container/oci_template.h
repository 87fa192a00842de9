/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oci_template: a configuration of the OCI runtime specification to begin with: what a usual Linux program
 * expects of its surroundings, and nothing of the host's in sight.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_OCI_TEMPLATE_H
#define VISOR_PERSONALITY_CONTAINER_OCI_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct oci_template {
    bool rootless;     /* by an ordinary user: with a user namespace, and no limits */
    bool host_network; /* it shares the caller's */
    /* With `rootless`: so many users and groups from these on follow the caller, who is 0; 0: none. */
    unsigned uids_first, uids_count, gids_first, gids_count;
};

/* A new reference, of which all is the caller's to change; NULL: out of memory. */
json_t *oci_template_make(const struct oci_template *what);

#endif
