/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * container_nets: a container's networks: interfaces eth0, eth1 ... in its network namespace, and files that
 * tell of them. For kind_container:
 *
 *     container_nets_prepare()    before it is made; ports are published, addresses known
 *     container_nets_document()   what its OCI document has of that
 *     container_nets_connect()    when its first process is there, and does not yet run its program
 *     container_nets_free()       when it has ended, before the loop is freed
 *
 * The user network is the backend of machines; its frames go through the domain's process, from and to a tap
 * device in the container's namespace.
 */
#ifndef VISOR_DOMAIN_CONTAINER_NETS_H
#define VISOR_DOMAIN_CONTAINER_NETS_H

#include <jansson.h>

#include "domain/kind.h"

struct container_nets;

/* What fields alone cannot say. */
int container_nets_check(const struct domain_config *config, struct error *error);
/* Whether it shares the host's. */
bool container_nets_are_hosts(const struct domain_config *config);

/* The run has its loop. */
int container_nets_prepare(struct container_nets **out, struct domain_run *run, struct error *error);
int container_nets_document(struct container_nets *nets, json_t *document, struct error *error);
/* By descriptors of its namespaces. */
int container_nets_connect(struct container_nets *nets, int users, int network, struct error *error);
/* NULL: nothing. */
void container_nets_free(struct container_nets *nets);

#endif
