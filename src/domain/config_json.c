/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config_json: the JSON document of a configuration, both ways. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/similar.h"
#include "base/size.h"
#include "domain/config_private.h"
#include "domain/kind.h"

static bool same(const char *one, const char *two)
{
    return one == two || (one && two && strcmp(one, two) == 0);
}

static bool is_section(const char *name)
{
    for (const struct domain_field *field = domain_fields; field->name; field++) {
        if (same(field->section, name))
            return true;
    }
    return false;
}

const struct domain_field *domain_field_find(const char *section, const char *name)
{
    for (const struct domain_field *field = domain_fields; field->name; field++) {
        if (same(field->section, section) && same(field->name, name))
            return field;
    }
    return NULL;
}

/* -- reading --------------------------------------------------------------------------------------------- */

struct known_names {
    const char *section, *last_section;
    const struct domain_field *next;
};

/* For similar_find(): the fields of a section; at the top the sections too. */
static const char *known_next(void *opaque)
{
    struct known_names *names = opaque;
    for (; names->next->name; names->next++) {
        const struct domain_field *field = names->next;
        if (same(field->section, names->section)) {
            names->next++;
            return field->name;
        }
        if (!names->section && !same(field->section, names->last_section)) {
            names->last_section = field->section;
            return field->section;
        }
    }
    return NULL;
}

/* A JSON value as its user wrote it, in short. */
static const char *value_text(const json_t *value, char text[64])
{
    char *whole = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(text, 64, "%.59s%s", whole ? whole : "", whole && strlen(whole) > 59 ? "..." : "");
    free(whole);
    return text;
}

static int unknown_field(const char *section, const char *name, struct error *error)
{
    struct known_names names = {.section = section, .next = domain_fields};
    const char *meant = similar_find(name, known_next, &names);
    const char *dot = section ? "." : "", *prefix = section ? section : "";
    error_set(error, -EINVAL, "%s%s%.64s: there is no such field", prefix, dot, name);
    if (meant)
        error_hint(error, "did you mean %s%s%s?", prefix, dot, meant);
    else
        error_hint(error, "\"visor create --schema\" lists the fields");
    return -EINVAL;
}

static int wrong_type(const char *where, const json_t *value, const char *wanted, struct error *error)
{
    char text[64];
    return error_set(error, -EINVAL, "%s %s: %s is wanted", where, value_text(value, text), wanted);
}

/* Texts that JSON can have and C cannot. */
static int has_zero(const char *where, const json_t *value, struct error *error)
{
    if (strlen(json_string_value(value)) != json_string_length(value))
        return error_set(error, -EINVAL, "%s: the text has a zero byte in it", where);
    return 0;
}

static int load_list(struct domain_config *config, const struct domain_field *field, const json_t *value,
                     const char *where, struct error *error)
{
    size_t index;
    json_t *item;
    if (!json_is_array(value))
        return wrong_type(where, value, "an array of texts", error);
    if (json_array_size(value) > field->most)
        return error_set(error, -E2BIG, "%s: there are %zu, and at most %" PRIu64 " can be", where,
                         json_array_size(value), field->most);
    domain_list_clear(domain_field_at(config, field));
    json_array_foreach(value, index, item)
    {
        char place[DOMAIN_WHERE_MAX];
        snprintf(place, sizeof place, "%.100s[%zu]", where, index);
        if (!json_is_string(item))
            return wrong_type(place, item, "a text", error);
        struct domain_field plain = *field;
        plain.commas = false;
        int code = has_zero(place, item, error);
        if (!code)
            code = domain_config_set(config, &plain, json_string_value(item), place, error);
        if (code)
            return code;
    }
    return 0;
}

static int load_map(struct domain_config *config, const struct domain_field *field, const json_t *value,
                    const char *where, struct error *error)
{
    const char *name;
    json_t *item;
    if (!json_is_object(value))
        return wrong_type(where, value, "an object of texts", error);
    domain_list_clear(domain_field_at(config, field));
    json_object_foreach((json_t *)value, name, item)
    {
        char place[DOMAIN_WHERE_MAX], text[DOMAIN_TEXT_MAX + 1];
        snprintf(place, sizeof place, "%.80s.%.64s", where, name);
        if (!json_is_string(item))
            return wrong_type(place, item, "a text", error);
        if (!*name || strchr(name, '='))
            return error_set(error, -EINVAL, "%s: a name is not empty and has no =", place);
        int code = has_zero(place, item, error);
        int size = snprintf(text, sizeof text, "%s=%s", name, json_string_value(item));
        if (!code && size >= (int)sizeof text)
            code = error_set(error, -EINVAL, "%s: the text is longer than %d bytes", place, DOMAIN_TEXT_MAX);
        if (!code)
            code = domain_config_set(config, field, text, where, error);
        if (code)
            return code;
    }
    return 0;
}

static int load_number(uint64_t *number, const struct domain_field *field, const json_t *value,
                       const char *where, struct error *error)
{
    char text[64];
    json_int_t integer = json_integer_value(value);
    return domain_number_set(number, field, integer < 0 ? UINT64_MAX : (uint64_t)integer, where,
                             value_text(value, text), error);
}

static int load_field(struct domain_config *config, const struct domain_field *field, const json_t *value,
                      struct error *error)
{
    char where[DOMAIN_WHERE_MAX], wanted[96];
    void *at = domain_field_at(config, field);
    snprintf(where, sizeof where, "%s%s%s", field->section ? field->section : "", field->section ? "." : "",
             field->name);
    switch (field->type) {
    case DOMAIN_BOOLEAN:
        if (!json_is_boolean(value))
            return wrong_type(where, value, "true or false", error);
        *(bool *)at = json_is_true(value);
        return 0;
    case DOMAIN_NUMBER:
        snprintf(wanted, sizeof wanted, "a number from %" PRIu64 " to %" PRIu64, field->least, field->most);
        return json_is_integer(value) ? load_number(at, field, value, where, error)
                                      : wrong_type(where, value, wanted, error);
    case DOMAIN_SIZE:
        if (json_is_integer(value))
            return load_number(at, field, value, where, error);
        break;
    case DOMAIN_LIST: return load_list(config, field, value, where, error);
    case DOMAIN_MAP: return load_map(config, field, value, where, error);
    case DOMAIN_TEXT: break;
    }
    if (!json_is_string(value))
        return wrong_type(where, value, field->type == DOMAIN_SIZE ? "a size such as \"512M\"" : "a text",
                          error);
    int code = has_zero(where, value, error);
    return code ? code : domain_config_set(config, field, json_string_value(value), where, error);
}

static int load_section(struct domain_config *config, const char *section, const json_t *object,
                        struct error *error)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object))
        return wrong_type(section, object, "an object", error);
    if (strcmp(section, config->kind) != 0)
        return error_set(error, -EINVAL, "%s: a domain of kind \"%s\" has no such part", section,
                         config->kind);
    json_object_foreach((json_t *)object, name, value)
    {
        const struct domain_field *field = domain_field_find(section, name);
        int code = field ? load_field(config, field, value, error) : unknown_field(section, name, error);
        if (code)
            return code;
    }
    return 0;
}

int domain_config_load(struct domain_config *config, const json_t *document, struct error *error)
{
    const char *name;
    json_t *value;
    if (!json_is_object(document))
        return error_set(error, -EINVAL, "a configuration is a JSON object");
    const json_t *kind = json_object_get(document, "kind");
    int code = kind ? load_field(config, domain_field_find(NULL, "kind"), kind, error) : 0;
    if (code)
        return code;
    json_object_foreach((json_t *)document, name, value)
    {
        const struct domain_field *field = domain_field_find(NULL, name);
        if (field)
            code = load_field(config, field, value, error);
        else if (is_section(name))
            code = load_section(config, name, value, error);
        else
            code = unknown_field(NULL, name, error);
        if (code)
            return code;
    }
    return 0;
}

int domain_config_parse(struct domain_config *config, const char *text, size_t size, const char *source,
                        struct error *error)
{
    json_error_t why;
    if (size > DOMAIN_DOCUMENT_MAX)
        return error_set(error, -E2BIG, "%s: a configuration has at most %u bytes", source,
                         DOMAIN_DOCUMENT_MAX);
    json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (!document)
        return error_set(error, -EINVAL, "%s:%d:%d: no valid JSON: %s", source, why.line, why.column,
                         why.text);
    int code = domain_config_load(config, document, error);
    json_decref(document);
    if (code)
        error_prefix(error, "%s: ", source);
    return code;
}

/* -- writing --------------------------------------------------------------------------------------------- */

/* A number of bytes as briefly as it can be said exactly. */
static json_t *size_json(uint64_t bytes)
{
    static const char units[] = "KMGT";
    int unit = -1;
    while (bytes && !(bytes & 1023) && unit < 3) {
        bytes >>= 10;
        unit++;
    }
    return unit < 0 ? json_integer((json_int_t)bytes) : json_sprintf("%" PRIu64 "%c", bytes, units[unit]);
}

static json_t *list_json(const struct domain_list *list)
{
    json_t *array = json_array();
    for (unsigned i = 0; array && i < list->count; i++) {
        if (json_array_append_new(array, json_string(list->items[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *map_json(const struct domain_list *list)
{
    json_t *object = json_object();
    for (unsigned i = 0; object && i < list->count; i++) {
        const char *sign = strchr(list->items[i], '=');
        char name[DOMAIN_TEXT_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)(sign - list->items[i]), list->items[i]);
        if (json_object_set_new(object, name, json_string(sign + 1))) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

/* NULL: what is not given has no value; or memory ran out, and *failed. */
static json_t *field_json(const struct domain_config *config, const struct domain_field *field, bool *failed)
{
    const void *at = domain_field_at(config, field);
    const struct domain_list *list = at;
    uint64_t number = field->type == DOMAIN_NUMBER || field->type == DOMAIN_SIZE ? *(const uint64_t *)at : 0;
    json_t *value = NULL;
    switch (field->type) {
    case DOMAIN_TEXT:
        if (!*(char *const *)at)
            return NULL;
        value = json_string(*(char *const *)at);
        break;
    case DOMAIN_BOOLEAN: value = json_boolean(*(const bool *)at); break;
    case DOMAIN_SIZE:
    case DOMAIN_NUMBER:
        if (!number && !field->preset)
            return NULL;
        value = field->type == DOMAIN_SIZE ? size_json(number) : json_integer((json_int_t)number);
        break;
    case DOMAIN_LIST:
    case DOMAIN_MAP:
        if (!list->count)
            return NULL;
        value = field->type == DOMAIN_LIST ? list_json(list) : map_json(list);
    }
    *failed |= !value;
    return value;
}

json_t *domain_config_json(const struct domain_config *config)
{
    json_t *document = json_object(), *section = json_object();
    bool failed = !document || !section || json_object_set_new(document, "kind", json_string(config->kind));
    for (const struct domain_field *field = domain_fields; !failed && field->name; field++) {
        if (field->section && !same(field->section, config->kind))
            continue;
        json_t *value = field_json(config, field, &failed);
        if (value)
            failed |= json_object_set_new(field->section ? section : document, field->name, value) != 0;
    }
    if (!failed && !json_object_set(document, config->kind, section))
        json_decref(section);
    else
        failed = true;
    if (!failed)
        return document;
    json_decref(document);
    json_decref(section);
    return NULL;
}

const struct domain_field **domain_config_differences(const struct domain_config *one,
                                                      const struct domain_config *two)
{
    unsigned count = 0;
    while (domain_fields[count].name)
        count++;
    const struct domain_field **found = calloc(count + 1, sizeof *found);
    bool failed = !found;
    count = 0;
    for (const struct domain_field *field = domain_fields; !failed && field->name; field++) {
        json_t *a = field_json(one, field, &failed), *b = field_json(two, field, &failed);
        if (a && b ? !json_equal(a, b) : a != b)
            found[count++] = field;
        json_decref(a);
        json_decref(b);
    }
    if (!failed)
        return found;
    free(found);
    return NULL;
}

/* -- the schema ------------------------------------------------------------------------------------------ */

static json_t *text_schema(const struct domain_field *field)
{
    json_t *schema = json_pack("{s:s, s:i}", "type", "string", "maxLength", DOMAIN_TEXT_MAX);
    if (!field->choices || !schema)
        return schema;
    json_t *choices = json_array();
    for (const char *at = field->choices; *at;) {
        size_t length = strcspn(at, " ");
        json_array_append_new(choices, json_stringn(at, length));
        at += length + (at[length] == ' ');
    }
    json_object_set_new(schema, "enum", choices);
    return schema;
}

static json_t *field_schema(const struct domain_field *field)
{
    json_int_t least = (json_int_t)field->least, most = (json_int_t)field->most;
    json_t *schema = NULL;
    switch (field->type) {
    case DOMAIN_TEXT: schema = text_schema(field); break;
    case DOMAIN_BOOLEAN: schema = json_pack("{s:s, s:b}", "type", "boolean", "default", 0); break;
    case DOMAIN_NUMBER:
        schema = json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", least, "maximum", most);
        break;
    case DOMAIN_SIZE:
        schema = json_pack("{s:[ss], s:I, s:I, s:s}", "type", "integer", "string", "minimum", least,
                           "maximum", most, "pattern", "^[0-9.]+ ?[KMGTkmgt]?(i?[Bb])?$");
        break;
    case DOMAIN_LIST:
        schema = json_pack("{s:s, s:I, s:o}", "type", "array", "maxItems", most, "items", text_schema(field));
        break;
    case DOMAIN_MAP:
        schema = json_pack("{s:s, s:I, s:o}", "type", "object", "maxProperties", most, "additionalProperties",
                           text_schema(field));
    }
    if (field->preset)
        json_object_set_new(schema, "default",
                            field->type == DOMAIN_NUMBER ? json_integer(strtoll(field->preset, NULL, 10))
                                                         : json_string(field->preset));
    if (json_object_set_new(schema, "description", json_string(field->help)))
        return NULL;
    return schema;
}

static json_t *object_schema(void)
{
    return json_pack("{s:s, s:b, s:{}}", "type", "object", "additionalProperties", 0, "properties");
}

json_t *domain_config_schema(void)
{
    json_t *schema = object_schema();
    json_t *properties = json_object_get(schema, "properties");
    json_object_set_new(schema, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(schema, "title", json_string("A domain of visor"));
    for (const struct domain_field *field = domain_fields; field->name; field++) {
        json_t *to = properties;
        if (field->section) {
            if (!json_object_get(properties, field->section))
                json_object_set_new(properties, field->section, object_schema());
            to = json_object_get(json_object_get(properties, field->section), "properties");
        }
        if (json_object_set_new(to, field->name, field_schema(field))) {
            json_decref(schema);
            return NULL;
        }
    }
    return schema;
}
