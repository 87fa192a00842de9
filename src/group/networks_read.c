/* SPDX-License-Identifier: GPL-2.0-or-later */
/* networks_read: the networks of a file, by a table of what can be said of one, and what domains call them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/similar.h"
#include "domain/nets.h"
#include "group/private.h"

/* -- what can be said of one ----------------------------------------------------------------------------- */

static int check_subnet(const json_t *value, struct error *error)
{
    struct network_subnet subnet;
    return network_subnet_parse(&subnet, json_string_value(value), error);
}

static int check_labels(const json_t *value, struct error *error)
{
    const char *name;
    json_t *text;
    json_object_foreach((json_t *)value, name, text)
    {
        if (!json_is_string(text))
            return error_set(error, -EINVAL, "%.64s: a text is wanted", name);
        if (group_label_is_own(name))
            return error_set(error, -EINVAL, "the label %s is visor's own", name);
    }
    return 0;
}

static const struct network_field {
    const char *name;
    json_type type; /* JSON_FALSE: true or false */
    int (*check)(const json_t *value, struct error *error);
    bool external; /* also of networks that are not the group's */
    const char *wanted, *schema_type, *help;
} fields[] = {
    {"subnet", JSON_STRING, check_subnet, false, "a text such as 10.9.0.0/24", "string",
     "Its addresses; free ones are found"},
    {"internal", JSON_FALSE, NULL, false, "true or false", "boolean", "Its domains reach only each other"},
    {"labels", JSON_OBJECT, check_labels, false, "a map of texts", "object",
     "What you want to remember about it"},
    {"external", JSON_FALSE, NULL, true, "true or false", "boolean",
     "It was made by \"visor network create\", and is neither made nor removed"},
};

json_t *group_network_schema(void)
{
    json_t *properties = json_object();
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
        json_object_set_new(
            properties, fields[i].name,
            json_pack("{s:s, s:s}", "type", fields[i].schema_type, "description", fields[i].help));
    return json_pack("{s:[ss], s:b, s:o}", "type", "object", "null", "additionalProperties", 0, "properties",
                     properties);
}

static const char *field_next(void *opaque)
{
    unsigned *next = opaque;
    return *next < ARRAY_SIZE(fields) ? fields[(*next)++].name : NULL;
}

static const struct network_field *field_find(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

/* -- reading --------------------------------------------------------------------------------------------- */

static int unknown_field(const char *network, const char *name, struct error *error)
{
    unsigned next = 0;
    const char *meant = similar_find(name, field_next, &next);
    error_set(error, -EINVAL, "networks.%.64s.%.64s: there is no such field", network, name);
    if (meant)
        error_hint(error, "did you mean %s?", meant);
    else
        error_hint(error, "there are subnet, internal, labels and external");
    return -EINVAL;
}

static int read_field(struct group_network *network, const struct document_entry *entry, struct error *error)
{
    const struct network_field *field = field_find(entry->name);
    if (!field)
        return unknown_field(network->name, entry->name, error);
    const bool plain =
        field->type == JSON_FALSE && entry->value->type == DOCUMENT_TEXT && entry->value->had_variables;
    json_t *value =
        plain ? document_plain_json(entry->value) : document_json(entry->value, field->type != JSON_FALSE);
    const bool good =
        field->type == JSON_FALSE ? json_is_boolean(value) : value && json_typeof(value) == field->type;
    int code = 0;
    if (!good)
        code = error_set(error, -EINVAL, "%s is wanted", field->wanted);
    else if (field->check)
        code = field->check(value, error);
    if (code)
        error_prefix(error, "networks.%.64s.%s: ", network->name, field->name);
    else if (json_object_set(network->options, field->name, value))
        code = error_set(error, -ENOMEM, "out of memory");
    json_decref(value);
    return code;
}

static int check_external(const struct group_network *network, struct error *error)
{
    for (unsigned i = 0; network->external && i < ARRAY_SIZE(fields); i++) {
        if (!fields[i].external && json_object_get(network->options, fields[i].name))
            return error_set(error, -EINVAL, "networks.%s: %s cannot be said of a network that is external",
                             network->name, fields[i].name);
    }
    return 0;
}

static int name_network(const struct group *group, struct group_network *network, struct error *error)
{
    int code = network_name_check(network->name, error);
    int length = snprintf(network->full_name, sizeof network->full_name,
                          network->external ? "%.0s%s" : "%s-%s", group->name, network->name);
    if (!code && length > NETWORK_NAME_MAX)
        code = error_set(error, -EINVAL, "the name %s-%s is longer than %d letters", group->name,
                         network->name, NETWORK_NAME_MAX);
    if (!code)
        code = network_name_check(network->full_name, error);
    if (code)
        error_prefix(error, "networks: ");
    return code;
}

static int read_network(struct group_reading *reading, const struct document_entry *entry,
                        struct error *error)
{
    struct group_network *network = &reading->group->networks[reading->group->network_count++];
    const struct document_value *value = entry->value;
    const bool empty = value->type == DOCUMENT_TEXT && value->plain && !value->text[0];
    int code = 0;
    network->name = strdup(entry->name);
    network->options = json_object();
    if (!network->name || !network->options)
        return error_set(error, -ENOMEM, "out of memory");
    if (value->type != DOCUMENT_MAP && !empty) {
        error_set(error, -EINVAL, "networks.%.64s: a map is wanted, which can be empty", entry->name);
        return group_at(reading, value->line, value->column, error);
    }
    for (unsigned i = 0; value->type == DOCUMENT_MAP && i < value->count; i++) {
        const struct document_entry *field = &value->entries[i];
        code = read_field(network, field, error);
        if (code)
            return group_at(reading, field->line, field->column, error);
    }
    network->external = json_is_true(json_object_get(network->options, "external"));
    code = check_external(network, error);
    if (!code)
        code = name_network(reading->group, network, error);
    if (!code)
        code = group_hash(network->options, network->hash, error);
    return code ? group_at(reading, entry->line, entry->column, error) : 0;
}

int group_read_networks(struct group_reading *reading, const struct document_value *networks,
                        struct error *error)
{
    struct group *group = reading->group;
    int code = 0;
    if (networks->type != DOCUMENT_MAP || networks->count > GROUP_NETWORKS_MAX) {
        error_set(error, -EINVAL, "networks: a map of at most %d is wanted", GROUP_NETWORKS_MAX);
        return group_at(reading, networks->line, networks->column, error);
    }
    group->networks = calloc(networks->count + 1, sizeof *group->networks);
    if (!group->networks)
        return error_set(error, -ENOMEM, "out of memory");
    for (unsigned i = 0; !code && i < networks->count; i++)
        code = read_network(reading, &networks->entries[i], error);
    return code;
}

/* -- what domains call them ------------------------------------------------------------------------------ */

struct names {
    const struct group *group;
    unsigned next;
};

static const char *name_next(void *opaque)
{
    struct names *names = opaque;
    return names->next < names->group->network_count ? names->group->networks[names->next++].name : NULL;
}

static int unknown_network(const struct group *group, const char *section, unsigned index, const char *name,
                           struct error *error)
{
    struct names names = {.group = group};
    const char *meant = similar_find(name, name_next, &names);
    error_set(error, -EINVAL, "%s.nets[%u] \"%s\": the file has no such network", section, index, name);
    if (meant)
        error_hint(error, "did you mean %s?", meant);
    else
        error_hint(error, "networks: {%s: {}}, or {%s: {external: true}} if it is not the group's", name,
                   name);
    return -EINVAL;
}

static int name_one(const struct group *group, const struct group_domain *domain, unsigned index, char **item,
                    struct error *error)
{
    char name[NETWORK_NAME_MAX + 1], *text;
    unsigned i = 0;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(*item, ","), *item);
    while (i < group->network_count && strcmp(group->networks[i].name, name) != 0)
        i++;
    if (i == group->network_count)
        return unknown_network(group, domain->config.kind, index, name, error);
    if (asprintf(&text, "%s%s,alias=%s", group->networks[i].full_name, *item + strlen(name), domain->name) <
        0)
        return error_set(error, -ENOMEM, "out of memory");
    free(*item);
    *item = text;
    struct network_option option;
    int code = network_option_parse(&option, text, error);
    if (code)
        error_prefix(error, "%s.nets[%u]: ", domain->config.kind, index);
    return code;
}

int group_name_networks(const struct group *group, struct group_domain *domain, struct error *error)
{
    const struct domain_field *field = domain_field_find(domain->config.kind, "nets");
    struct domain_list *nets = field ? domain_field_at(&domain->config, field) : NULL;
    int code = 0;
    for (unsigned i = 0; nets && !code && i < nets->count; i++) {
        if (domain_net_is_named(nets->items[i]))
            code = name_one(group, domain, i, &nets->items[i], error);
    }
    return code;
}
