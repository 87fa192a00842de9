/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats_container: what a container uses: as its control groups count it, and where they do not, as an
 * ordinary user's often, its processes together. */
#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"
#include "domain/container_place.h"
#include "domain/process_facts.h"
#include "domain/stats_processes.h"
#include "domain/visit_kinds.h"
#include "personality/container/cgroup.h"
#include "personality/container/container.h"
#include "personality/container/store.h"

int domain_container_processes(const struct domain_visit *visit, pid_t **pids, size_t *count,
                               struct error *error)
{
    char state_root[PATH_MAX];
    domain_container_root(visit->domain->store, state_root);
    int code = container_processes(state_root, visit->domain->id, pids, count, error);
    if (code != -ENOENT)
        return code;
    *pids = NULL; /* it has ended, or waits to be started again */
    *count = 0;
    return 0;
}

static void take(struct domain_amount *amount, const struct cgroup_value *value)
{
    if (value->known)
        *amount = stats_amount(value->value);
}

static void take_limit(struct domain_amount *amount, const struct cgroup_value *value)
{
    if (value->known && value->value != UINT64_MAX)
        *amount = stats_amount(value->value);
}

/* What the kernel would give back first is not counted, as other tools do it. */
static void take_all(struct domain_stats *stats, const struct cgroup_statistics *all)
{
    take(&stats->cpu, &all->cpu.usage);
    take(&stats->cpu_periods, &all->cpu.periods);
    take(&stats->cpu_throttled, &all->cpu.throttled);
    take(&stats->cpu_throttled_time, &all->cpu.throttled_time);
    take(&stats->memory, &all->memory.usage);
    if (all->memory.usage.known && all->memory.inactive_file.known)
        stats->memory.value -= MIN(stats->memory.value, all->memory.inactive_file.value);
    take_limit(&stats->memory_limit, &all->memory.limit);
    take(&stats->processes, &all->pids.current);
    take_limit(&stats->processes_limit, &all->pids.limit);
    take(&stats->block_read, &all->io.read_bytes);
    take(&stats->block_written, &all->io.write_bytes);
}

int domain_container_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error)
{
    char state_root[PATH_MAX];
    struct cgroup_statistics all;
    pid_t *pids, first;
    size_t count;
    domain_container_root(visit->domain->store, state_root);
    int code = container_statistics(state_root, visit->domain->id, &all, &first, error);
    if (code == -ENOENT) /* it has ended, or waits to be started again */
        return 0;
    if (!code && (!all.cpu.usage.known || !all.memory.usage.known)) {
        code = domain_container_processes(visit, &pids, &count, error);
        if (!code) {
            stats_add_processes(stats, pids, count);
            free(pids);
        }
    }
    if (code)
        return code;
    take_all(stats, &all);
    uint64_t received, sent;
    if (process_facts_network(first, &received, &sent)) {
        stats->net_received = stats_amount(received);
        stats->net_sent = stats_amount(sent);
    }
    return 0;
}
