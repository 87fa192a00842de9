/* SPDX-License-Identifier: GPL-2.0-or-later */
/* visit_machine: what a command's process can do with a machine that runs. */
#include "domain/visit_kinds.h"

const struct domain_visits domain_machine_visits = {
    .stats = domain_machine_stats,
    .update = domain_machine_update,
};
