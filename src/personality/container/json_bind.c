/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/json_bind.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json_allocation {
    struct json_allocation *next;
    max_align_t data[];
};

/* Where in the document we are; on the stack, innermost first. */
struct place {
    const struct place *parent;
    const char *name; /* or NULL: element `index` */
    size_t index;
};

void *json_bind_allocate(struct json_binding *binding, size_t count, size_t size)
{
    if (size && count > (SIZE_MAX - sizeof(struct json_allocation)) / size)
        return NULL;
    struct json_allocation *allocation = calloc(1, sizeof *allocation + count * size);
    if (!allocation)
        return NULL;
    allocation->next = binding->allocations;
    binding->allocations = allocation;
    return allocation->data;
}

void json_binding_free(struct json_binding *binding)
{
    while (binding->allocations) {
        struct json_allocation *next = binding->allocations->next;
        free(binding->allocations);
        binding->allocations = next;
    }
    json_decref(binding->document);
    binding->document = NULL;
}

static size_t place_print(const struct place *place, char *text, size_t size)
{
    size_t at = place->parent ? place_print(place->parent, text, size) : 0;
    if (at >= size)
        return at;
    int length = place->name ? snprintf(text + at, size - at, "%s%s", at ? "." : "", place->name)
                             : snprintf(text + at, size - at, "[%zu]", place->index);
    return at + (size_t)length;
}

static int refuse(const struct place *place, struct error *error, const char *message)
{
    char path[200] = "";
    place_print(place, path, sizeof path);
    return error_set(error, -EINVAL, "%s: %s", path, message);
}

static int no_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "cannot read the configuration: out of memory");
}

static const char *kind_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "text";
    case JSON_INTEGER: return "a number";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    case JSON_NULL: break;
    }
    return "null";
}

static int refuse_kind(const struct place *place, const json_t *value, const char *wanted,
                       struct error *error)
{
    char message[100];
    snprintf(message, sizeof message, "%s is wanted, not %s", wanted, kind_name(value));
    return refuse(place, error, message);
}

static int bind_object(struct json_binding *binding, const json_t *object, const struct json_field *fields,
                       char *target, const struct place *parent, struct error *error);

/* jansson's integers are signed: what is above INT64_MAX comes as a real, and loses nothing that anybody
 * meant if it is UINT64_MAX, "no limit". */
static int bind_number(const json_t *value, const struct json_field *field, char *target,
                       const struct place *place, struct error *error)
{
    uint64_t number;
    if (json_is_integer(value)) {
        json_int_t integer = json_integer_value(value);
        if (integer < field->least || (integer > 0 && (uint64_t)integer > field->most)) {
            char message[120];
            snprintf(message, sizeof message, "%lld is not in the range %lld to %llu", (long long)integer,
                     (long long)field->least, (unsigned long long)field->most);
            return refuse(place, error, message);
        }
        number = (uint64_t)integer;
    } else if (json_is_real(value) && field->most == UINT64_MAX && json_real_value(value) >= 0x1p63 &&
               json_real_value(value) <= 0x1p64) {
        number = json_real_value(value) >= 0x1p64 ? UINT64_MAX : (uint64_t)json_real_value(value);
    } else {
        return refuse_kind(place, value, "a whole number", error);
    }
    memcpy(target, &number, field->width); /* little endian */
    return 0;
}

static int bind_texts(struct json_binding *binding, const json_t *value, const struct json_field *field,
                      char *base, const struct place *place, struct error *error)
{
    if (!json_is_array(value))
        return refuse_kind(place, value, "an array", error);
    size_t count = json_array_size(value);
    const char **texts = json_bind_allocate(binding, count + 1, sizeof *texts);
    if (!texts)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        const json_t *element = json_array_get(value, i);
        struct place at = {.parent = place, .index = i};
        if (!json_is_string(element))
            return refuse_kind(&at, element, "text", error);
        texts[i] = json_string_value(element);
    }
    *(const char ***)(void *)(base + field->offset) = texts;
    *(unsigned *)(void *)(base + field->count) = (unsigned)count;
    return 0;
}

static int bind_structs(struct json_binding *binding, const json_t *value, const struct json_field *field,
                        char *base, const struct place *place, struct error *error)
{
    if (!json_is_array(value))
        return refuse_kind(place, value, "an array", error);
    size_t count = json_array_size(value);
    char *elements = json_bind_allocate(binding, count, field->width);
    if (!elements)
        return no_memory(error);
    for (size_t i = 0; i < count; i++) {
        struct place at = {.parent = place, .index = i};
        int code = bind_object(binding, json_array_get(value, i), field->fields, elements + i * field->width,
                               &at, error);
        if (code < 0)
            return code;
    }
    *(void **)(void *)(base + field->offset) = elements;
    *(unsigned *)(void *)(base + field->count) = (unsigned)count;
    return 0;
}

static int bind_map(struct json_binding *binding, const json_t *value, const struct json_field *field,
                    char *base, const struct place *place, struct error *error)
{
    if (!json_is_object(value))
        return refuse_kind(place, value, "an object", error);
    size_t count = json_object_size(value), i = 0;
    struct json_pair *pairs = json_bind_allocate(binding, count, sizeof *pairs);
    if (!pairs)
        return no_memory(error);
    const char *name;
    json_t *element;
    json_object_foreach((json_t *)value, name, element)
    {
        struct place at = {.parent = place, .name = name};
        if (!json_is_string(element))
            return refuse_kind(&at, element, "text", error);
        pairs[i++] = (struct json_pair){.name = name, .value = json_string_value(element)};
    }
    *(struct json_pair **)(void *)(base + field->offset) = pairs;
    *(unsigned *)(void *)(base + field->count) = (unsigned)count;
    return 0;
}

static int bind_field(struct json_binding *binding, const json_t *value, const struct json_field *field,
                      char *base, const struct place *place, struct error *error)
{
    char *target = base + field->offset;
    switch (field->kind) {
    case JSON_TEXT:
        if (!json_is_string(value))
            return refuse_kind(place, value, "text", error);
        *(const char **)(void *)target = json_string_value(value);
        return 0;
    case JSON_FLAG:
        if (!json_is_boolean(value))
            return refuse_kind(place, value, "true or false", error);
        memcpy(target, &(uint64_t){json_is_true(value)}, field->width ? field->width : sizeof(bool));
        return 0;
    case JSON_NUMBER: return bind_number(value, field, target, place, error);
    case JSON_TEXTS: return bind_texts(binding, value, field, base, place, error);
    case JSON_STRUCT: return bind_object(binding, value, field->fields, target, place, error);
    case JSON_STRUCTS: return bind_structs(binding, value, field, base, place, error);
    case JSON_MAP: return bind_map(binding, value, field, base, place, error);
    case JSON_RAW: *(const json_t **)(void *)target = value; return 0;
    }
    return -EINVAL;
}

static int bind_object(struct json_binding *binding, const json_t *object, const struct json_field *fields,
                       char *target, const struct place *parent, struct error *error)
{
    if (!json_is_object(object))
        return parent ? refuse_kind(parent, object, "an object", error)
                      : error_set(error, -EINVAL, "an object is wanted, not %s", kind_name(object));
    for (const struct json_field *field = fields; field->name; field++) {
        const json_t *value = json_object_get(object, field->name);
        struct place place = {.parent = parent, .name = field->name};
        if (!value || json_is_null(value)) {
            if (field->required)
                return refuse(&place, error, "missing");
            continue;
        }
        int code = bind_field(binding, value, field, target, &place, error);
        if (code < 0)
            return code;
        if (field->has_present)
            target[field->present] = true;
    }
    return 0;
}

int json_bind(struct json_binding *binding, const json_t *object, const struct json_field *fields,
              void *target, struct error *error)
{
    return bind_object(binding, object, fields, target, NULL, error);
}

int json_bind_at(const char *prefix, const json_t *object, const struct json_field *fields, void *target,
                 struct error *error)
{
    struct place place = {.name = prefix};
    struct json_binding none = {0};
    return bind_object(&none, object, fields, target, &place, error);
}

static const char *type_wanted(json_type type)
{
    return type == JSON_OBJECT ? "an object" : type == JSON_ARRAY ? "an array" : "text";
}

int json_member(const json_t *object, const char *name, json_type type, const char *prefix,
                const json_t **out, struct error *error)
{
    const json_t *value = json_object_get(object, name);
    struct place parent = {.name = prefix}, place = {.parent = &parent, .name = name};
    *out = NULL;
    if (!value || json_is_null(value))
        return 0;
    if (json_typeof(value) != type)
        return refuse_kind(&place, value, type_wanted(type), error);
    *out = value;
    return 0;
}
