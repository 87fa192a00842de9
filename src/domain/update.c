/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/update.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "domain/visit.h"

#define TRIES 8 /* with a domain that is started anew each time */

struct updating {
    struct domain_update *update;
    struct domain *domain;
    struct domain_config old, wanted;
    struct domain_state state;
};

static const char *field_text(const struct domain_field *field, char text[DOMAIN_WHERE_MAX])
{
    snprintf(text, DOMAIN_WHERE_MAX, "%s%s%s", field->section ? field->section : "",
             field->section ? "." : "", field->name);
    return text;
}

struct domain_change *domain_change_find(struct domain_change *changes, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(changes[i].field->name, name) == 0)
            return &changes[i];
    }
    return NULL;
}

/* -- what is to be changed ------------------------------------------------------------------------------- */

static int changes_find(struct updating *updating, struct error *error)
{
    struct domain_update *update = updating->update;
    char text[DOMAIN_WHERE_MAX];
    const struct domain_field **fields = domain_config_differences(&updating->old, &updating->wanted);
    domain_update_free(update);
    unsigned count = 0;
    while (fields && fields[count])
        count++;
    update->changes = fields ? calloc(count + 1, sizeof *update->changes) : NULL;
    int code = update->changes ? 0 : error_set(error, -ENOMEM, "out of memory");
    for (unsigned i = 0; !code && i < count; i++) {
        update->changes[update->count++] = (struct domain_change){.field = fields[i]};
        if (fields[i]->when == DOMAIN_NEVER)
            code = error_set(error, -EOPNOTSUPP, "the %s of a domain cannot be changed",
                             field_text(fields[i], text));
    }
    free(fields);
    return code;
}

/* With the lock. */
static int read_all(struct updating *updating,
                    int (*change)(struct domain_config *config, void *opaque, struct error *error),
                    void *opaque, struct error *error)
{
    domain_config_free(&updating->old);
    domain_config_free(&updating->wanted);
    int code = domain_look(updating->domain, &updating->state, error);
    if (!code)
        code = domain_read_config(updating->domain, &updating->old, error);
    if (!code)
        code = domain_read_config(updating->domain, &updating->wanted, error);
    if (!code)
        code = change(&updating->wanted, opaque, error);
    if (!code)
        code = changes_find(updating, error);
    return code ? code : domain_config_check(&updating->wanted, error);
}

/* -- having it ------------------------------------------------------------------------------------------- */

/* A domain that waits to be started again has nothing that could be changed. */
static bool runs(const struct domain_state *state)
{
    return domain_state_lives(state) && state->status != DOMAIN_RESTARTING;
}

/* Those that the kind may apply come first, and are counted. */
static unsigned changes_sort(struct domain_update *update)
{
    unsigned by_kind = 0;
    for (unsigned i = 0; i < update->count; i++) {
        struct domain_change change = update->changes[i];
        update->changes[i].waits = change.field->when == DOMAIN_AT_START;
        if (change.field->when != DOMAIN_BY_KIND)
            continue;
        memmove(&update->changes[by_kind + 1], &update->changes[by_kind], (i - by_kind) * sizeof change);
        update->changes[by_kind++] = change;
    }
    return by_kind;
}

static int apply(struct updating *updating, const struct domain_config *to, struct error *error)
{
    struct domain_visit visit;
    struct domain_update *update = updating->update;
    unsigned count = changes_sort(update);
    if (!count)
        return 0;
    int code = domain_visit_begin(&visit, updating->domain, error);
    if (code)
        return code;
    const struct domain_visits *visits = visit.kind->visits;
    if (visits && visits->update)
        code = visits->update(&visit, to, update->changes, count, error);
    else
        for (unsigned i = 0; i < count; i++)
            update->changes[i].waits = true;
    domain_visit_end(&visit);
    return code;
}

static json_t *fields_json(const struct domain_update *update)
{
    char text[DOMAIN_WHERE_MAX];
    json_t *fields = json_array();
    for (unsigned i = 0; i < update->count; i++)
        json_array_append_new(fields, json_string(field_text(update->changes[i].field, text)));
    return fields;
}

static int store(struct updating *updating, struct error *error)
{
    return domain_write_config(updating->domain, &updating->wanted, fields_json(updating->update), error);
}

/* Whether it is the same run of the domain. */
static bool is_same_run(const struct domain_state *one, const struct domain_state *two)
{
    return runs(one) && runs(two) && one->started == two->started;
}

/* What was applied is stored, if it is still the run that it was applied to: else -EAGAIN. */
static int store_applied(struct updating *updating, struct error *error)
{
    struct domain_state now;
    int code = domain_lock(updating->domain, error);
    if (code)
        return code;
    code = domain_look(updating->domain, &now, error);
    if (!code)
        code = is_same_run(&updating->state, &now) ? store(updating, error) : -EAGAIN;
    domain_unlock(updating->domain);
    if (code && code != -EAGAIN)
        apply(updating, &updating->old, NULL);
    return code;
}

static int update_once(struct updating *updating,
                       int (*change)(struct domain_config *config, void *opaque, struct error *error),
                       void *opaque, struct error *error)
{
    int code = domain_lock(updating->domain, error);
    if (code)
        return code;
    code = read_all(updating, change, opaque, error);
    const bool live = runs(&updating->state);
    if (!code && updating->update->count && !live)
        code = store(updating, error);
    domain_unlock(updating->domain);
    if (code || !updating->update->count || !live)
        return code;
    code = apply(updating, &updating->wanted, error);
    if (!code)
        return store_applied(updating, error);
    return code == -ESRCH ? -EAGAIN : code; /* it has just come to its end */
}

static int lock_updates(const struct domain *domain, struct error *error)
{
    int code;
    while ((code = flock(domain->directory, LOCK_EX)) < 0 && errno == EINTR) {
    }
    return code < 0 ? error_set(error, -errno, "cannot lock the domain %s: %s", domain->name, strerror(errno))
                    : 0;
}

int domain_update(struct domain_update *update, struct domain *domain,
                  int (*change)(struct domain_config *config, void *opaque, struct error *error),
                  void *opaque, struct error *error)
{
    struct updating updating = {.update = update, .domain = domain};
    *update = (struct domain_update){0};
    int code = lock_updates(domain, error);
    if (code)
        return code;
    code = -EAGAIN;
    for (unsigned i = 0; i < TRIES && code == -EAGAIN; i++)
        code = update_once(&updating, change, opaque, error);
    if (code == -EAGAIN)
        error_set(error, code, "the domain %s is started again and again meanwhile", domain->name);
    flock(domain->directory, LOCK_UN);
    domain_config_free(&updating.old);
    domain_config_free(&updating.wanted);
    return code;
}

void domain_update_free(struct domain_update *update)
{
    free(update->changes);
    *update = (struct domain_update){0};
}
