/* SPDX-License-Identifier: GPL-2.0-or-later */
/* visit_container: what a command's process can do with a container that runs. */
#include "domain/visit_kinds.h"

const struct domain_visits domain_container_visits = {
    .stats = domain_container_stats,
    .top = domain_container_top,
    .update = domain_container_update,
};
