/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/visit.h"

#include <errno.h>

int domain_visit_begin(struct domain_visit *visit, struct domain *domain, struct error *error)
{
    *visit = (struct domain_visit){.domain = domain};
    const char *name = domain_visit_name(visit);
    int code = domain_look(domain, &visit->state, error);
    if (!code && !domain_state_lives(&visit->state)) {
        code = error_set(error, -ESRCH, "%s does not run", name);
        error_hint(error, "visor start %s", name);
    }
    if (!code)
        code = domain_read_config(domain, &visit->config, error);
    if (code)
        domain_visit_end(visit);
    else
        visit->kind = domain_kind_of(&visit->config);
    return code;
}

const char *domain_visit_name(const struct domain_visit *visit)
{
    return visit->domain->name[0] ? visit->domain->name : visit->domain->id;
}

void domain_visit_end(struct domain_visit *visit)
{
    domain_config_free(&visit->config);
}
