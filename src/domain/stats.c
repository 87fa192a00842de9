/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/stats.h"

#include <errno.h>
#include <stddef.h>

#include "base/macros.h"
#include "domain/visit.h"

int domain_visit_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error)
{
    const struct domain_visits *visits = visit->kind->visits;
    *stats = (struct domain_stats){0};
    return visits && visits->stats ? visits->stats(visit, stats, error)
                                   : domain_kind_cannot(visit->kind, "measured", error);
}

#define AMOUNT(member)                                                                                       \
    {                                                                                                        \
#member, offsetof(struct domain_stats, member)                                                       \
    }

json_t *domain_stats_json(const struct domain_stats *stats)
{
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {
        AMOUNT(cpu_periods),        AMOUNT(cpu_throttled), AMOUNT(memory),         AMOUNT(memory_limit),
        AMOUNT(guest_memory),       AMOUNT(guest_total),   AMOUNT(guest_free),     AMOUNT(guest_available),
        AMOUNT(guest_caches),       AMOUNT(guest_swap_in), AMOUNT(guest_swap_out), AMOUNT(guest_major_faults),
        AMOUNT(guest_minor_faults), AMOUNT(balloon),       AMOUNT(merged),         AMOUNT(net_received),
        AMOUNT(net_sent),           AMOUNT(block_read),    AMOUNT(block_written),  AMOUNT(processes),
        AMOUNT(processes_limit),
    };
    json_t *object = json_object();
    int failed = !object;
    if (stats->cpu.known)
        failed |= json_object_set_new(object, "cpu_time", json_real((double)stats->cpu.value / 1e9));
    if (stats->cpu_throttled_time.known)
        failed |= json_object_set_new(object, "cpu_throttled_time",
                                      json_real((double)stats->cpu_throttled_time.value / 1e9));
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct domain_amount *amount = (const void *)((const char *)stats + rows[i].offset);
        if (amount->known)
            failed |= json_object_set_new(object, rows[i].name, json_integer((json_int_t)amount->value));
    }
    json_t *exits = stats->exits.count ? json_object() : NULL;
    for (unsigned i = 0; i < stats->exits.count; i++)
        failed |= json_object_set_new(exits, stats->exits.reasons[i].reason,
                                      json_integer((json_int_t)stats->exits.reasons[i].value));
    if (exits)
        failed |= json_object_set_new(object, "exits", exits);
    if (!failed)
        return object;
    json_decref(object);
    return NULL;
}
