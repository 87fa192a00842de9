/* SPDX-License-Identifier: GPL-2.0-or-later */
/* members: which domains of the store are of a group, and how they differ from what its file says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "group/group.h"

const char *group_label(const struct domain_config *config, const char *name)
{
    const size_t length = strlen(name);
    for (unsigned i = 0; i < config->labels.count; i++) {
        if (strncmp(config->labels.items[i], name, length) == 0 && config->labels.items[i][length] == '=')
            return config->labels.items[i] + length + 1;
    }
    return NULL;
}

static void copy_label(char *to, size_t size, const struct domain_config *config, const char *name)
{
    const char *value = group_label(config, name);
    snprintf(to, size, "%s", value ? value : "");
}

/* False: it is none of the group, or no more. */
static bool member_read(struct group_member *member, struct domain *domain, const char *group)
{
    struct domain_config config;
    const char *label;
    bool is_member = false;
    if (!domain_read_config(domain, &config, NULL) && (label = group_label(&config, GROUP_LABEL)) &&
        strcmp(label, group) == 0 && !domain_look(domain, &member->state, NULL)) {
        memcpy(member->id, domain->id, sizeof member->id);
        memcpy(member->full_name, domain->name, sizeof member->full_name);
        copy_label(member->name, sizeof member->name, &config, GROUP_LABEL_DOMAIN);
        copy_label(member->hash, sizeof member->hash, &config, GROUP_LABEL_HASH);
        member->stop_timeout = (unsigned)config.stop_timeout;
        is_member = true;
    }
    domain_config_free(&config);
    return is_member;
}

int group_members(struct domain_store *store, const char *name, struct group_member **members,
                  unsigned *count, struct error *error)
{
    struct domain_store_entry *entries;
    unsigned entry_count;
    *members = NULL;
    *count = 0;
    int code = domain_store_list(store, &entries, &entry_count, error);
    if (code)
        return code;
    *members = calloc(entry_count + 1, sizeof **members);
    for (unsigned i = 0; *members && i < entry_count; i++) {
        struct domain domain = {0};
        if (domain_open(&domain, store, entries[i].id, NULL))
            continue; /* it was removed meanwhile */
        snprintf(domain.name, sizeof domain.name, "%s", entries[i].name[0] ? entries[i].name : entries[i].id);
        *count += member_read(&(*members)[*count], &domain, name);
        domain_close(&domain);
    }
    free(entries);
    return *members ? 0 : error_set(error, -ENOMEM, "out of memory");
}

static const struct group_member *member_of(const struct group_member *members, unsigned count,
                                            const char *name)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(members[i].name, name) == 0)
            return &members[i];
    }
    return NULL;
}

/* Marks a domain, and what it needs; there are no circles. */
static void want(const struct group *group, unsigned index, struct group_step *steps)
{
    if (steps[index].wanted)
        return;
    steps[index].wanted = true;
    for (unsigned i = 0; i < group->domains[index].need_count; i++)
        want(group, group->domains[index].needs[i].domain, steps);
}

void group_plan(const struct group *group, const struct group_member *members, unsigned count,
                const bool *wanted, bool recreate, struct group_step *steps)
{
    memset(steps, 0, group->count * sizeof *steps);
    for (unsigned i = 0; i < group->count; i++) {
        if (!wanted || wanted[i])
            want(group, i, steps);
    }
    for (unsigned i = 0; i < group->count; i++) {
        const struct group_domain *domain = &group->domains[i];
        const struct group_member *member = member_of(members, count, domain->name);
        steps[i].member = member;
        if (!steps[i].wanted)
            steps[i].action = GROUP_NOTHING;
        else if (!member)
            steps[i].action = GROUP_CREATE;
        else if (recreate || strcmp(member->hash, domain->hash) != 0)
            steps[i].action = GROUP_RECREATE;
        else if (!domain_state_lives(&member->state))
            steps[i].action = GROUP_START;
    }
}
