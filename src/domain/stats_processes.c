/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/stats_processes.h"

#include "domain/process_facts.h"

static void add(struct domain_amount *amount, uint64_t value)
{
    amount->known = true;
    amount->value += value;
}

void stats_add_processes(struct domain_stats *stats, const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct process_facts facts;
        if (!process_facts_read(pids[i], true, &facts))
            continue;
        add(&stats->cpu, facts.cpu + facts.children_cpu);
        add(&stats->memory, facts.memory);
        add(&stats->processes, 1);
        if (facts.has_io) {
            add(&stats->block_read, facts.read_bytes);
            add(&stats->block_written, facts.write_bytes);
        }
    }
}
