/* SPDX-License-Identifier: GPL-2.0-or-later */
/* update_container: other limits for a container that runs. */
#include <errno.h>
#include <string.h>

#include "domain/container_document.h"
#include "domain/container_place.h"
#include "domain/update.h"
#include "domain/visit_kinds.h"
#include "personality/container/container.h"
#include "personality/container/resources.h"

#define SHARES_USUAL 1024

/* A limit of which nothing is said is none. */
static struct resource_number number(uint64_t value)
{
    return (struct resource_number){.set = true, .value = value ? (int64_t)value : -1};
}

/* The limits that have changed, as the configuration has them. */
static void limits_make(struct resources *limits, const struct domain_config *config,
                        struct domain_change *changes, unsigned count)
{
    *limits = (struct resources){0};
    const bool memory = domain_change_find(changes, count, "memory"),
               swap = domain_change_find(changes, count, "memory_swap");
    if (memory || swap)
        limits->memory.limit = number(config->container.memory);
    if (swap || (memory && config->container.memory_swap))
        limits->memory.swap = number(config->container.memory_swap);
    if (domain_change_find(changes, count, "cpus")) {
        limits->cpu.quota = number((uint64_t)container_cpu_quota(config->container.cpus));
        limits->cpu.period = number(CONTAINER_CPU_PERIOD);
    }
    if (domain_change_find(changes, count, "cpu_shares"))
        limits->cpu.shares =
            number(config->container.cpu_shares ? config->container.cpu_shares : SHARES_USUAL);
    if (domain_change_find(changes, count, "pin"))
        limits->cpu.cpus = config->container.pin;
    if (domain_change_find(changes, count, "pids"))
        limits->pids = number(config->container.pids     ? config->container.pids
                              : config->container.bundle ? 0
                                                         : CONTAINER_PROCESSES_MOST);
}

int domain_container_update(struct domain_visit *visit, const struct domain_config *wanted,
                            struct domain_change *changes, unsigned count, struct error *error)
{
    struct resources limits;
    char state_root[PATH_MAX];
    domain_container_root(visit->domain->store, state_root);
    limits_make(&limits, wanted, changes, count);
    if (limits.memory.limit.set && limits.memory.limit.value > 0) /* nothing in it shall be killed for this */
        limits.memory.check_before_update = number(1);
    int code = container_update(state_root, visit->domain->id, &limits, error);
    if (!code || code == -ENOENT)
        return code ? -ESRCH : 0;
    limits_make(&limits, &visit->config, changes, count); /* those that came before the one that failed */
    container_update(state_root, visit->domain->id, &limits, NULL);
    return code;
}
