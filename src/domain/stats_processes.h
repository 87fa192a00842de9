/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats_processes: what processes of the host use, added up. */
#ifndef VISOR_DOMAIN_STATS_PROCESSES_H
#define VISOR_DOMAIN_STATS_PROCESSES_H

#include <sys/types.h>

#include "domain/stats.h"

/* Adds to *stats: CPU time, memory, what was read from and written to disks, and how many they are. Those
 * that have ended are left out. */
void stats_add_processes(struct domain_stats *stats, const pid_t *pids, size_t count);

static inline struct domain_amount stats_amount(uint64_t value)
{
    return (struct domain_amount){true, value};
}

#endif
