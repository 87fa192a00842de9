/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats_program: what a program of another CPU uses: it and what is in its process group. */
#include <errno.h>
#include <stdlib.h>

#include "domain/host_limits.h"
#include "domain/process_facts.h"
#include "domain/stats_processes.h"
#include "domain/visit_kinds.h"

int domain_program_processes(const struct domain_visit *visit, pid_t **pids, size_t *count,
                             struct error *error)
{
    pid_t program = process_facts_child(visit->state.process.pid);
    if (program <= 0) {
        *pids = NULL;
        *count = 0;
        return 0; /* it has ended, or waits to be started again */
    }
    return process_facts_group(program, pids, count, error);
}

int domain_program_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error)
{
    pid_t *pids;
    size_t count;
    int code = domain_program_processes(visit, &pids, &count, error);
    if (code)
        return code;
    stats_add_processes(stats, pids, count);
    host_limits_stats(visit->domain, stats);
    free(pids);
    return 0;
}
