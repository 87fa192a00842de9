/* SPDX-License-Identifier: GPL-2.0-or-later */
/* visit_program: what a command's process can do with a program that runs. */
#include "domain/visit_kinds.h"

const struct domain_visits domain_program_visits = {
    .stats = domain_program_stats,
    .top = domain_program_top,
    .update = domain_program_update,
};
