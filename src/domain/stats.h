/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats: what a domain that runs uses of its host. */
#ifndef VISOR_DOMAIN_STATS_H
#define VISOR_DOMAIN_STATS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct domain_visit;

struct domain_amount {
    bool known;
    uint64_t value;
};

/* How often processors left guest code, by reason. */
struct domain_exits {
    unsigned count;
    struct {
        char reason[24];
        uint64_t value;
    } reasons[16];
};

/* Each as far as it is known. Counters begin with the domain's run. */
struct domain_stats {
    struct domain_amount cpu; /* time of processors, nanoseconds */
    /* Where time is limited: periods, in how many it was held back, and for how long, nanoseconds of all its
     * threads. */
    struct domain_amount cpu_periods, cpu_throttled, cpu_throttled_time;
    struct domain_amount memory, memory_limit;      /* bytes of the host's memory, and how many it may have */
    struct domain_amount guest_memory, guest_total; /* bytes in use, and that there are, as a guest sees it */
    struct domain_amount guest_free, guest_available, guest_caches; /* bytes, likewise */
    struct domain_amount guest_swap_in, guest_swap_out;             /* bytes since its start */
    struct domain_amount guest_major_faults, guest_minor_faults;    /* counts since its start */
    struct domain_amount balloon;                    /* bytes that the guest has given away on demand */
    struct domain_amount merged;                     /* bytes of `memory` that are one with equal pages */
    struct domain_amount net_received, net_sent;     /* bytes, by its own cards or interfaces */
    struct domain_amount block_read, block_written;  /* bytes */
    struct domain_amount processes, processes_limit; /* processes, or of containers threads */
    struct domain_exits exits;                       /* of machines under `kvm`: of all their processors */
};

/* -ESRCH: it has come to its end meanwhile. */
int domain_visit_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error);

/* The members that are known, by their names. NULL: out of memory. */
json_t *domain_stats_json(const struct domain_stats *stats);

#endif
