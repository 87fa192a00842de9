/* SPDX-License-Identifier: GPL-2.0-or-later */
/* update_program: other shares of the host's processors for a program that runs, and all that it has started.
 */
#include <errno.h>
#include <stdlib.h>

#include "domain/host_limits.h"
#include "domain/pin.h"
#include "domain/update.h"
#include "domain/visit_kinds.h"

static int apply(const struct domain *domain, const struct domain_config *config,
                 struct domain_change *changes, unsigned count, const pid_t *pids, size_t pid_count,
                 struct error *error)
{
    int code = 0;
    if (domain_change_find(changes, count, "pin")) {
        for (size_t i = 0; !code && i < pid_count; i++)
            code = pin_process(config->program.pin, pids[i], error);
    }
    if (!code &&
        (domain_change_find(changes, count, "cpus") || domain_change_find(changes, count, "cpu_shares")))
        code = host_limits_update(domain, config, pids, pid_count, error);
    return code;
}

int domain_program_update(struct domain_visit *visit, const struct domain_config *wanted,
                          struct domain_change *changes, unsigned count, struct error *error)
{
    pid_t *pids;
    size_t pid_count;
    int code = domain_program_processes(visit, &pids, &pid_count, error);
    if (code)
        return code;
    code = pid_count ? apply(visit->domain, wanted, changes, count, pids, pid_count, error) : -ESRCH;
    if (code && code != -ESRCH)
        apply(visit->domain, &visit->config, changes, count, pids, pid_count, NULL);
    free(pids);
    return code;
}
