/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * balance_policy: how much memory a machine is to have: a function of what its host and its guest have told,
 * and of nothing else. balance.h asks it again and again.
 *
 * The host is short of memory if little of it is left, or if processes wait for it (PSI). A machine then
 * gives back what its guest does not need, and if that does not help, all down to its least. When the host is
 * at ease again, a machine whose guest needs more gets more, step by step, up to its most.
 */
#ifndef VISOR_DOMAIN_BALANCE_POLICY_H
#define VISOR_DOMAIN_BALANCE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* What the host has for this machine and its neighbours; balance_host_begin(), then add. */
struct balance_host {
    uint64_t lack;      /* bytes by which it has less than it should: the most of all places */
    uint64_t available; /* bytes that could be used: the least of all places */
    uint64_t until;     /* bytes until it is short of them: the least of all places */
    unsigned left;      /* permille of what there is that is available: the least of all places */
    bool short_of, very_short;
    unsigned stalled; /* permille of the time since the last look in which somebody waited for memory */
};

void balance_host_begin(struct balance_host *host);
/* A place that memory comes from, the host or a cgroup with a limit: bytes of it, and of these available. */
void balance_host_add(struct balance_host *host, uint64_t total, uint64_t available);

struct balance_bounds {
    uint64_t least, most; /* bytes */
};

struct balance_guest {
    uint64_t size;      /* bytes that it has */
    uint64_t target;    /* and that it is to have; they differ while its driver works, or cannot */
    bool has_told;      /* of late: */
    uint64_t total;     /* bytes, as its kernel counts */
    uint64_t available; /* bytes that it could use without swapping */
    bool strained;      /* it has brought pages in from its swap since the last look */
};

enum balance_mood {
    BALANCE_CALM,
    BALANCE_WARY,    /* nobody gets more */
    BALANCE_PRESSED, /* guests give back what they do not need */
    BALANCE_GRAVE,   /* and what they do need */
};

struct balance_decision {
    enum balance_mood mood;
    uint64_t target; /* bytes that the guest is to have */
    unsigned wait;   /* milliseconds until it is to be asked again */
};

struct balance_decision balance_decide(const struct balance_bounds *bounds, const struct balance_host *host,
                                       const struct balance_guest *guest);
const char *balance_mood_name(enum balance_mood mood);

#endif
