/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/visit.h"

#include <errno.h>
#include <unistd.h>

#include "backend/char/terminal.h"
#include "domain/visit_kinds.h"

static int begin(struct domain_visit *visit, struct domain *domain, bool files, struct error *error)
{
    *visit = (struct domain_visit){.domain = domain};
    const char *name = domain_visit_name(visit);
    int code = domain_look(domain, &visit->state, error);
    if (!code)
        code = domain_read_config(domain, &visit->config, error);
    if (!code)
        visit->kind = domain_kind_of(&visit->config);
    const struct domain_visits *visits = code ? NULL : visit->kind->visits;
    if (!code && !domain_state_lives(&visit->state) && !(files && visits && visits->files_at_rest)) {
        code = error_set(error, -ESRCH, "%s does not run", name);
        error_hint(error, "visor start %s", name);
    }
    if (code)
        domain_visit_end(visit);
    return code;
}

int domain_visit_begin(struct domain_visit *visit, struct domain *domain, struct error *error)
{
    return begin(visit, domain, false, error);
}

int domain_visit_begin_files(struct domain_visit *visit, struct domain *domain, struct error *error)
{
    return begin(visit, domain, true, error);
}

const char *domain_visit_name(const struct domain_visit *visit)
{
    return visit->domain->name[0] ? visit->domain->name : visit->domain->id;
}

int domain_visit_check(const struct domain_visit *visit, bool can, const char *what, struct error *error)
{
    const char *name = domain_visit_name(visit);
    if (!can)
        return domain_kind_cannot(visit->kind, what, error);
    if (visit->state.status != DOMAIN_PAUSED)
        return 0;
    error_set(error, -EBUSY, "%s is paused", name);
    error_hint(error, "visor resume %s", name);
    return -EBUSY;
}

int domain_visit_exec(struct domain_visit *visit, const struct domain_exec *exec, int *status,
                      struct error *error)
{
    const struct domain_visits *visits = visit->kind->visits;
    int code = domain_visit_check(visit, visits && visits->exec, "entered", error);
    return code ? code : visits->exec(visit, exec, status, error);
}

static bool is_raw(const struct domain_exec *exec)
{
    return exec->terminal && exec->interactive && isatty(exec->input);
}

int domain_exec_raw(const struct domain_exec *exec, struct error *error)
{
    return is_raw(exec) ? char_terminal_take(exec->input, error) : 0;
}

void domain_exec_cooked(const struct domain_exec *exec)
{
    if (is_raw(exec))
        char_terminal_give_back();
}

void domain_visit_end(struct domain_visit *visit)
{
    domain_config_free(&visit->config);
}
