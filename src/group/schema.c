/* SPDX-License-Identifier: GPL-2.0-or-later */
/* schema: a group as a document again, and what documents can be. */
#include <string.h>

#include "group/private.h"

static json_t *needs_json(const struct group *group, const struct group_domain *domain)
{
    json_t *needs = json_object();
    for (unsigned i = 0; i < domain->need_count; i++) {
        const struct group_need *need = &domain->needs[i];
        json_object_set_new(needs, group->domains[need->domain].name,
                            json_string(group_conditions[need->condition]));
    }
    return needs;
}

/* A text as it stands in a file: $ is written $$. */
static json_t *text_json(const char *text)
{
    struct buffer out = {0};
    for (const char *at = text; *at; at++) {
        if (*at == '$')
            buffer_append(&out, "$", 1);
        buffer_append(&out, at, 1);
    }
    json_t *value = out.failed ? NULL : json_stringn(out.size ? (const char *)out.data : "", out.size);
    buffer_free(&out);
    return value;
}

/* The value with all its texts as they stand in a file. */
static json_t *written(const json_t *value)
{
    const char *name;
    json_t *item, *copy;
    size_t index;
    int failed = 0;
    if (json_is_string(value))
        return text_json(json_string_value(value));
    copy = json_copy((json_t *)value);
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, name, item) failed |=
            json_object_set_new(copy, name, written(item));
    } else if (json_is_array(value)) {
        json_array_foreach(value, index, item) failed |= json_array_set_new(copy, index, written(item));
    }
    if (!failed)
        return copy;
    json_decref(copy);
    return NULL;
}

static json_t *ready_json(const struct group_domain *domain)
{
    json_t *words = json_array();
    for (unsigned i = 0; i < domain->ready.count; i++)
        json_array_append_new(words, text_json(domain->ready.items[i]));
    return words;
}

json_t *group_json(const struct group *group)
{
    json_t *domains = json_object(), *networks = json_object();
    int failed = 0;
    for (unsigned i = 0; i < group->count; i++) {
        const struct group_domain *domain = &group->domains[i];
        json_t *document = written(domain->document);
        if (domain->need_count)
            failed |= json_object_set_new(document, "needs", needs_json(group, domain));
        if (domain->ready.count)
            failed |= json_object_set_new(document, "ready", ready_json(domain));
        failed |= json_object_set_new(domains, domain->name, document);
    }
    for (unsigned i = 0; i < group->network_count; i++)
        failed |= json_object_set_new(networks, group->networks[i].name, written(group->networks[i].options));
    json_t *document =
        json_pack("{s:s, s:o, s:o}", "name", group->name, "networks", networks, "domains", domains);
    if (!failed)
        return document;
    json_decref(document);
    return NULL;
}

/* What the reader takes beyond a domain's own document: numbers as texts, and variables in their place. */
static void loosen(json_t *schema)
{
    const char *name, *type = json_string_value(json_object_get(schema, "type"));
    json_t *value;
    void *next;
    if (type && strcmp(type, "string") == 0 && !json_object_get(schema, "enum")) {
        json_object_set_new(schema, "type", json_pack("[sss]", "string", "number", "boolean"));
    } else if (type && (strcmp(type, "integer") == 0 || strcmp(type, "boolean") == 0)) {
        json_object_set_new(schema, "type", json_pack("[ss]", type, "string"));
        json_object_set_new(schema, "pattern", json_string("\\$"));
    }
    json_object_foreach_safe(schema, next, name, value)
    {
        if (json_is_object(value))
            loosen(value);
    }
}

json_t *group_schema(void)
{
    json_t *domain = domain_config_schema();
    json_t *conditions = json_array();
    json_object_del(domain, "$schema");
    loosen(json_object_get(domain, "properties"));
    for (unsigned i = 0; group_conditions[i]; i++)
        json_array_append_new(conditions, json_string(group_conditions[i]));
    json_t *needs =
        json_pack("{s:[{s:s, s:{s:s}}, {s:s, s:{s:o}}], s:s}", "oneOf", "type", "array", "items", "type",
                  "string", "type", "object", "additionalProperties", "enum", conditions, "description",
                  "The domains of the file that are to run, or to be done, before");
    int failed = json_object_set_new(json_object_get(domain, "properties"), "needs", needs);
    failed |= json_object_set_new(
        json_object_get(domain, "properties"), "ready",
        json_pack("{s:s, s:i, s:{s:[s, s, s]}, s:s}", "type", "array", "minItems", 1, "items", "type",
                  "string", "number", "boolean", "description",
                  "A program that is run in it, and says by its status 0 that the domain is ready"));
    json_t *schema = json_pack(
        "{s:s, s:s, s:s, s:b, s:[s], s:{s:{}}, s:{s:{s:s, s:s}, s:{s:s, s:s, s:i, s:o}, s:{s:s, s:i, s:i, s:o}}}",
        "$schema", "https://json-schema.org/draft/2020-12/schema", "title", "A group of visor's domains",
        "type", "object", "additionalProperties", 0, "required", "domains", "patternProperties", "^x-",
        "properties", "name", "type", "string", "description", "The group's name; the directory's",
        "networks", "type", "object", "description", "Networks between the domains", "maxProperties",
        GROUP_NETWORKS_MAX, "additionalProperties", group_network_schema(), "domains", "type", "object",
        "minProperties", 1, "maxProperties", GROUP_DOMAINS_MAX, "additionalProperties", domain);
    if (!failed)
        return schema;
    json_decref(schema);
    return NULL;
}
