/* SPDX-License-Identifier: GPL-2.0-or-later */
/* domain: one domain of a file: from its entry to a configuration, by the table of all fields. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/macros.h"
#include "domain/kind.h"
#include "group/private.h"

/* -- places ---------------------------------------------------------------------------------------------- */

/* The entry whose name a path begins with; the path behind it. */
static const struct document_entry *step_into(const struct document_value *value, const char **path)
{
    const struct document_entry *found = NULL;
    size_t longest = 0;
    char *end;
    if (value->type == DOCUMENT_LIST && **path == '[') {
        unsigned long index = strtoul(*path + 1, &end, 10);
        *path = end + (*end == ']');
        return index < value->count ? &value->entries[index] : NULL;
    }
    for (unsigned i = 0; value->type == DOCUMENT_MAP && i < value->count; i++) {
        const size_t length = strlen(value->entries[i].name);
        const char next = strncmp(value->entries[i].name, *path, length) == 0 ? (*path)[length] : 'a';
        if (length >= longest && (!next || strchr(".[: ", next))) {
            longest = length;
            found = &value->entries[i];
        }
    }
    if (found)
        *path += longest + ((*path)[longest] == '.');
    return found;
}

/*
 * Says where in the file an error of a configuration is. Its message begins with the path of the field, as
 * config.h promises: "machine.disks[1] 7: a text is wanted". What is wrong with the name itself, and not with
 * its value, follows a colon.
 */
static int at_field(const struct group_reading *reading, const struct document_entry *domain,
                    struct error *error)
{
    const struct document_entry *at = domain, *next;
    char message[sizeof error->message];
    memcpy(message, error->message, sizeof message);
    bool name = true;
    for (const char *path = message; (next = step_into(at->value, &path));) {
        at = next;
        name = *path == ':';
        if (name)
            break;
    }
    error_prefix(error, "domains.%s%s", domain->name, at == domain ? ": " : ".");
    return name ? group_at(reading, at->line, at->column, error)
                : group_at(reading, at->value->line, at->value->column, error);
}

/* -- sections -------------------------------------------------------------------------------------------- */

/* The section that is different from those before this field; NULL: there are no more. */
static const char *section_next(const struct domain_field **field)
{
    const char *before = (*field)->section;
    for (; (*field)->name; (*field)++) {
        if ((*field)->section && (!before || strcmp(before, (*field)->section) != 0))
            return (*field)->section;
    }
    return NULL;
}

static int no_section(const struct document_entry *entry, struct error *error)
{
    char names[128] = "";
    const struct domain_field *field = domain_fields;
    for (const char *name = section_next(&field); name; name = section_next(&field))
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", names[0] ? ", " : "", name);
    error_set(error, -EINVAL, "domains.%s: it says nothing of what it is", entry->name);
    error_hint(error, "give it one of these parts: %s", names);
    return -EINVAL;
}

/* The kind that the entry's section says; NULL: see the error. */
static const char *kind_of(const struct group_reading *reading, const struct document_entry *entry,
                           struct error *error)
{
    const char *kind = NULL;
    const struct domain_field *field = domain_fields;
    for (const char *name = section_next(&field); name; name = section_next(&field)) {
        const struct document_entry *section = document_find(entry->value, name);
        if (section && kind) {
            error_set(error, -EINVAL, "domains.%s: it has both %s and %s, and can be one of them",
                      entry->name, kind, name);
            group_at(reading, section->line, section->column, error);
            return NULL;
        }
        if (section)
            kind = name;
    }
    if (!kind) {
        no_section(entry, error);
        group_at(reading, entry->line, entry->column, error);
    }
    return kind;
}

/* -- fields ---------------------------------------------------------------------------------------------- */

/* A field's value, as its type wants it: what stands for a text is one, and what came out of variables is a
 * number where one is wanted. */
static json_t *field_json(const struct domain_field *field, const struct document_value *value)
{
    if (!field)
        return document_json(value, false);
    switch (field->type) {
    case DOMAIN_TEXT:
    case DOMAIN_LIST:
    case DOMAIN_MAP: return document_json(value, true);
    case DOMAIN_BOOLEAN:
    case DOMAIN_NUMBER:
    case DOMAIN_SIZE: break;
    }
    return value->type == DOCUMENT_TEXT && value->had_variables ? document_plain_json(value)
                                                                : document_json(value, false);
}

static json_t *section_json(const char *section, const struct document_value *value)
{
    if (value->type != DOCUMENT_MAP)
        return document_json(value, false);
    json_t *object = json_object();
    for (unsigned i = 0; object && i < value->count; i++) {
        const struct document_entry *entry = &value->entries[i];
        json_t *item = field_json(domain_field_find(section, entry->name), entry->value);
        if (json_object_set_new(object, entry->name, item)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* The document that "visor create --from" would take. NULL: out of memory, or a text is no UTF-8. */
static json_t *entry_json(const struct document_entry *entry, const char *kind)
{
    json_t *object = json_pack("{s:s}", "kind", kind);
    for (unsigned i = 0; object && i < entry->value->count; i++) {
        const struct document_entry *field = &entry->value->entries[i];
        if (strcmp(field->name, "needs") == 0 || strcmp(field->name, "ready") == 0)
            continue;
        const struct domain_field *known = domain_field_find(NULL, field->name);
        json_t *item = known ? field_json(known, field->value) : section_json(field->name, field->value);
        if (json_object_set_new(object, field->name, item)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* Words of compose files that are called otherwise here. */
static const struct {
    const char *word, *hint;
} compose_words[] = {
    {"build", "containers run from a root tree or an OCI bundle"},
    {"depends_on", "it is called needs here"},
    {"environment", "it is called env here, and is in the domain's part"},
    {"image", "containers run from a root tree or an OCI bundle, machines from disks"},
    {"healthcheck", "ready: [PROGRAM, ARGUMENT...] says when it is ready"},
    {"networks", "they are nets in the domain's part"},
    {"ports", "nets: [\"user,forward=tcp:8080:80\"] in the domain's part"},
};

/* What is no field of a domain, and where it would be one. 0: nothing is known about it. */
static int misplaced(const struct group_reading *reading, const struct document_entry *domain,
                     const char *kind, struct error *error)
{
    for (unsigned i = 0; i < domain->value->count; i++) {
        const struct document_entry *entry = &domain->value->entries[i];
        const char *hint = NULL;
        for (unsigned j = 0; j < ARRAY_SIZE(compose_words); j++) {
            if (strcmp(entry->name, compose_words[j].word) == 0)
                hint = compose_words[j].hint;
        }
        const bool inside = domain_field_find(kind, entry->name) && !domain_field_find(NULL, entry->name);
        if ((!hint && !inside) || strcmp(entry->name, kind) == 0)
            continue;
        error_set(error, -EINVAL, "domains.%s.%s: there is no such field", domain->name, entry->name);
        if (inside)
            error_hint(error, "did you mean %s.%s?", kind, entry->name);
        else
            error_hint(error, "%s", hint);
        return group_at(reading, entry->line, entry->column, error);
    }
    return 0;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

/* Takes from an object what another one has, too. */
static void subtract(json_t *object, const json_t *other)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value)
    {
        json_t *same = json_object_get(other, name);
        if (json_is_object(value) && json_is_object(same))
            subtract(value, same);
        else if (json_equal(value, same))
            json_object_del(object, name);
    }
}

int group_hash(const json_t *document, char hash[GROUP_HASH_SIZE], struct error *error)
{
    char *text = document ? json_dumps(document, JSON_SORT_KEYS | JSON_COMPACT) : NULL;
    if (!text)
        return error_set(error, -ENOMEM, "out of memory");
    snprintf(hash, GROUP_HASH_SIZE, "%016" PRIx64, hash_bytes(text, strlen(text)));
    free(text);
    return 0;
}

/* The hash of what is not as it would be without being said: a later version's new fields change nothing. */
static int hash_set(struct group_domain *domain, struct error *error)
{
    struct domain_config presets;
    int code = domain_config_init(&presets, error);
    if (!code)
        code =
            domain_config_set(&presets, domain_field_find(NULL, "kind"), domain->config.kind, "kind", error);
    json_t *usual = code ? NULL : domain_config_json(&presets), *own = json_deep_copy(domain->document);
    if (usual && own)
        subtract(own, usual);
    if (!code && (!usual || json_object_set_new(own, "kind", json_string(domain->config.kind))))
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code)
        code = group_hash(own, domain->hash, error);
    json_decref(usual);
    json_decref(own);
    domain_config_free(&presets);
    return code;
}

static int label_set(struct group_domain *domain, const char *label, const char *value, struct error *error)
{
    char text[256];
    snprintf(text, sizeof text, "%s=%s", label, value);
    return domain_config_set(&domain->config, domain_field_find(NULL, "labels"), text, "labels", error);
}

bool group_label_is_own(const char *label)
{
    const size_t length = strlen(GROUP_LABEL);
    return strncmp(label, GROUP_LABEL, length) == 0 && strchr("=.", label[length]);
}

/* The labels by which it is found again are visor's own. */
static int labels_set(const struct group *group, struct group_domain *domain, struct error *error)
{
    const struct domain_list *labels = &domain->config.labels;
    for (unsigned i = 0; i < labels->count; i++) {
        if (group_label_is_own(labels->items[i]))
            return error_set(error, -EINVAL, "labels: the label %.*s is visor's own",
                             (int)strcspn(labels->items[i], "="), labels->items[i]);
    }
    int code = label_set(domain, GROUP_LABEL, group->name, error);
    if (!code)
        code = label_set(domain, GROUP_LABEL_DOMAIN, domain->name, error);
    return code ? code : label_set(domain, GROUP_LABEL_HASH, domain->hash, error);
}

static int load(const struct group_reading *reading, const struct document_entry *entry, const char *kind,
                struct group_domain *domain, struct error *error)
{
    json_t *document = entry_json(entry, kind);
    int code = document ? domain_config_load(&domain->config, document, error)
                        : error_set(error, -EINVAL, "it has a text that is no UTF-8");
    json_decref(document);
    if (!code)
        code = domain_config_check(&domain->config, error);
    if (!code)
        code = domain_config_resolve(&domain->config, reading->source->directory, error);
    if (!code && !(domain->document = domain_config_json(&domain->config)))
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code)
        code = hash_set(domain, error);
    if (!code)
        code = labels_set(reading->group, domain, error);
    if (!code)
        code = group_name_networks(reading->group, domain, error);
    return code ? at_field(reading, entry, error) : 0;
}

int group_read_domain(struct group_reading *reading, const struct document_entry *entry,
                      struct group_domain *domain, struct error *error)
{
    int length =
        snprintf(domain->full_name, sizeof domain->full_name, "%s-%s", reading->group->name, entry->name);
    int code = domain_config_init(&domain->config, error);
    domain->name = strdup(entry->name);
    if (!code && !domain->name)
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code && length >= (int)sizeof domain->full_name)
        code = error_set(error, -EINVAL, "the name %s-%.80s is longer than %d letters", reading->group->name,
                         entry->name, STORE_NAME_MAX);
    if (!code)
        code = domain_store_name_check(entry->name, error);
    if (code) {
        error_prefix(error, "domains: ");
        return group_at(reading, entry->line, entry->column, error);
    }
    if (entry->value->type != DOCUMENT_MAP) {
        error_set(error, -EINVAL, "domains.%s: a map of its fields is wanted", entry->name);
        return group_at(reading, entry->value->line, entry->value->column, error);
    }
    const char *kind = kind_of(reading, entry, error);
    if (!kind)
        return error->code;
    code = misplaced(reading, entry, kind, error);
    return code ? code : load(reading, entry, kind, domain, error);
}
