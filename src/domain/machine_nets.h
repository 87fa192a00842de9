/* SPDX-License-Identifier: GPL-2.0-or-later */
/* machine_nets: the networks of a machine's configuration, as options of its board: a named network is a tap
 * device, which is connected to it when the board has made it. For kind_machine. */
#ifndef VISOR_DOMAIN_MACHINE_NETS_H
#define VISOR_DOMAIN_MACHINE_NETS_H

#include "backend/net/options.h"
#include "domain/kind.h"
#include "domain/nets.h"

struct machine_nets {
    unsigned count;
    struct net_options options[DOMAIN_NETS_MAX];
    bool is_named[DOMAIN_NETS_MAX];
    struct network_attachment attachments[DOMAIN_NETS_MAX];
    struct domain_nets named;
};

/* What fields alone cannot say. */
int machine_nets_check(const struct domain_config *config, struct error *error);
/* `nets` is zeros. Before the board is made. */
int machine_nets_prepare(struct machine_nets *nets, const struct domain_run *run, struct error *error);
/* Whether the host's kernel may be asked to serve a card's queues. */
bool machine_nets_may_use_vhost(const struct machine_nets *nets);
/* When it is made. */
int machine_nets_connect(const struct machine_nets *nets, struct error *error);
/* When it is no more. */
void machine_nets_release(struct machine_nets *nets);

#endif
