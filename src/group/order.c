/* SPDX-License-Identifier: GPL-2.0-or-later */
/* order: which domains need which others, and what follows of that for the order of their starts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/similar.h"
#include "domain/visit.h"
#include "group/private.h"

const char *const group_conditions[] = {
    [GROUP_RUNNING] = "running", [GROUP_COMPLETED] = "completed", [GROUP_READY] = "ready", NULL};

unsigned group_find(const struct group *group, const char *name)
{
    unsigned i = 0;
    while (i < group->count && strcmp(group->domains[i].name, name) != 0)
        i++;
    return i;
}

/* -- needs ----------------------------------------------------------------------------------------------- */

struct names {
    const struct group *group;
    unsigned next;
};

static const char *name_next(void *opaque)
{
    struct names *names = opaque;
    return names->next < names->group->count ? names->group->domains[names->next++].name : NULL;
}

/* Whether a domain can come to an end that somebody sees. */
static int completed_check(const struct group_domain *domain, const struct group_domain *other,
                           struct error *error)
{
    enum domain_restart policy;
    unsigned most;
    int code = domain_restart_parse(other->config.restart, &policy, &most, error);
    if (!code && (policy == RESTART_ALWAYS || policy == RESTART_UNLESS_STOPPED))
        code =
            error_set(error, -EINVAL, "domains.%s.needs: %s is never completed, since its restart is \"%s\"",
                      domain->name, other->name, other->config.restart);
    if (!code && other->config.remove)
        code = error_set(error, -EINVAL,
                         "domains.%s.needs: nobody can tell how %s ended, since it is then removed",
                         domain->name, other->name);
    return code;
}

static int ready_check(const struct group_domain *domain, const struct group_domain *other,
                       struct error *error)
{
    if (other->ready.count)
        return 0;
    error_set(error, -EINVAL, "domains.%s.needs: %s does not say by what it is known to be ready",
              domain->name, other->name);
    error_hint(error, "%s: ready: [PROGRAM, ARGUMENT...], which is run in it until it ends with status 0",
               other->name);
    return -EINVAL;
}

static int need_add(const struct group *group, struct group_domain *domain, const char *name,
                    enum group_condition condition, struct error *error)
{
    const unsigned index = group_find(group, name);
    if (index == group->count) {
        struct names names = {.group = group};
        const char *meant = similar_find(name, name_next, &names);
        error_set(error, -EINVAL, "domains.%s.needs: there is no domain \"%.64s\"", domain->name, name);
        if (meant)
            error_hint(error, "did you mean %s?", meant);
        return -EINVAL;
    }
    if (&group->domains[index] == domain)
        return error_set(error, -EINVAL, "domains.%s.needs: it would need itself", domain->name);
    for (unsigned i = 0; i < domain->need_count; i++) {
        if (domain->needs[i].domain == index)
            return error_set(error, -EINVAL, "domains.%s.needs: %s is there twice", domain->name, name);
    }
    int code = condition == GROUP_COMPLETED ? completed_check(domain, &group->domains[index], error)
               : condition == GROUP_READY   ? ready_check(domain, &group->domains[index], error)
                                            : 0;
    if (code)
        return code;
    struct group_need *needs = realloc(domain->needs, (domain->need_count + 1) * sizeof *needs);
    if (!needs)
        return error_set(error, -ENOMEM, "out of memory");
    domain->needs = needs;
    needs[domain->need_count++] = (struct group_need){.domain = index, .condition = condition};
    return 0;
}

/* The condition that a text names; nothing is the first. */
static int condition_parse(const struct document_value *value, const char *domain, const char *name,
                           enum group_condition *condition, struct error *error)
{
    const char *text = value->type == DOCUMENT_TEXT ? value->text : "";
    for (unsigned i = 0; group_conditions[i]; i++) {
        *condition = (enum group_condition)i;
        if (strcmp(text, group_conditions[i]) == 0)
            return 0;
    }
    error_set(error, -EINVAL,
              "domains.%s.needs.%.64s \"%.40s\" is not known; there are running, completed and ready", domain,
              name, text);
    return -EINVAL;
}

static int read_needs_of(struct group_reading *reading, struct group_domain *domain,
                         const struct document_value *value, struct error *error)
{
    int code = 0;
    if (value->type == DOCUMENT_TEXT) {
        error_set(error, -EINVAL, "domains.%s.needs: a list of names is wanted, or a map of name: condition",
                  domain->name);
        error_hint(error, "needs: [%.64s]", value->text);
        return group_at(reading, value->line, value->column, error);
    }
    for (unsigned i = 0; !code && i < value->count; i++) {
        const struct document_entry *entry = &value->entries[i];
        const char *name = value->type == DOCUMENT_MAP ? entry->name : entry->value->text;
        enum group_condition condition = GROUP_RUNNING;
        if (!name)
            code = error_set(error, -EINVAL, "domains.%s.needs[%u]: a name is wanted", domain->name, i);
        else if (value->type == DOCUMENT_MAP)
            code = condition_parse(entry->value, domain->name, name, &condition, error);
        if (!code)
            code = need_add(reading->group, domain, name, condition, error);
        if (code)
            group_at(reading, entry->line, entry->column, error);
    }
    return code;
}

/* -- the order ------------------------------------------------------------------------------------------- */

enum mark { UNSEEN, OPEN, DONE };

/* Puts a domain into the order, after those that it needs. */
static int visit(struct group *group, unsigned index, enum mark *marks, unsigned *placed, struct error *error)
{
    struct group_domain *domain = &group->domains[index];
    marks[index] = OPEN;
    for (unsigned i = 0; i < domain->need_count; i++) {
        const unsigned other = domain->needs[i].domain;
        int code = 0;
        if (marks[other] == OPEN)
            return error_set(error, -EINVAL, "domains.%s needs %s, which needs %s in turn", domain->name,
                             group->domains[other].name, domain->name);
        if (marks[other] == UNSEEN)
            code = visit(group, other, marks, placed, error);
        if (code)
            return code;
        domain->level = MAX(domain->level, group->domains[other].level + 1);
    }
    marks[index] = DONE;
    group->order[(*placed)++] = index;
    return 0;
}

static int read_ready(struct group_reading *reading, struct group_domain *domain,
                      const struct document_entry *entry, struct error *error)
{
    const struct document_value *value = entry->value;
    const struct domain_visits *visits = domain_kind_of(&domain->config)->visits;
    bool good = value->type == DOCUMENT_LIST && value->count;
    for (unsigned i = 0; good && i < value->count; i++)
        good = value->entries[i].value->type == DOCUMENT_TEXT;
    int code = 0;
    if (!good)
        code = error_set(error, -EINVAL,
                         "domains.%s.ready: a program and its arguments are wanted, as a list", domain->name);
    else if (!visits || !visits->exec)
        code = error_set(error, -EINVAL, "domains.%s.ready: no program can be run in a %s that runs",
                         domain->name, domain->config.kind);
    if (code)
        return group_at(reading, value->line, value->column, error);
    for (unsigned i = 0; !code && i < value->count; i++)
        code = domain_list_add(&domain->ready, value->entries[i].value->text, error);
    return code;
}

int group_read_needs(struct group_reading *reading, const struct document_value *domains, struct error *error)
{
    struct group *group = reading->group;
    enum mark marks[GROUP_DOMAINS_MAX] = {UNSEEN};
    unsigned placed = 0;
    int code = 0;
    for (unsigned i = 0; !code && i < group->count; i++) {
        const struct document_entry *ready = document_find(domains->entries[i].value, "ready");
        if (ready)
            code = read_ready(reading, &group->domains[i], ready, error);
    }
    for (unsigned i = 0; !code && i < group->count; i++) {
        const struct document_entry *needs = document_find(domains->entries[i].value, "needs");
        if (needs)
            code = read_needs_of(reading, &group->domains[i], needs->value, error);
    }
    for (unsigned i = 0; !code && i < group->count; i++) {
        if (marks[i] == UNSEEN && (code = visit(group, i, marks, &placed, error)))
            group_at(reading, domains->entries[i].line, domains->entries[i].column, error);
    }
    return code;
}
