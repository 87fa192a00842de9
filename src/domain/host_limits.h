/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_limits: processor time for domains that are processes of this host, machines and programs, by control
 * groups (cgroup.h). Containers have theirs by container.h.
 *
 * There is a cgroup only where there is a limit. It is made by the domain's process before it runs, or later
 * by a command that updates it. What RUN/ID/cgroup says was written down before it was made, so that it is
 * found whoever is killed; domain_remove_run() removes it.
 */
#ifndef VISOR_DOMAIN_HOST_LIMITS_H
#define VISOR_DOMAIN_HOST_LIMITS_H

#include "domain/stats.h"
#include "domain/store.h"

struct cgroup;

/* The limits of a configuration. */
struct host_limits {
    const char *cpus;    /* "1.5" processors' time; NULL: no limit */
    uint64_t cpu_shares; /* weight; 0: as others */
};
struct host_limits host_limits_of(const struct domain_config *config);

/*
 * The cgroup of a domain that is about to run; NULL: its configuration wants none. The process that is to be
 * limited then calls cgroup_enter_self(), while it has one thread. The caller closes it. -EPERM: the user may
 * have no limits, and the hint says how he may.
 */
int host_limits_make(struct cgroup **out, const struct domain *domain, const struct domain_config *config,
                     struct error *error);

/* By a command: other limits for a domain that runs as these processes of the host. */
int host_limits_update(const struct domain *domain, const struct domain_config *config, const pid_t *pids,
                       size_t count, struct error *error);

/* How long it has been held back. */
void host_limits_stats(const struct domain *domain, struct domain_stats *stats);

/* What is still in it is killed, and it is removed; the calling process goes back to where it was. */
void host_limits_remove(const struct domain *domain);

#endif
