/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/json_fields.h"

#include <errno.h>
#include <inttypes.h>

#include "base/macros.h"
#include "personality/container/resources.h"

static const char *type_name(json_type type)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",    [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number",    [JSON_REAL] = "a number",  [JSON_TRUE] = "true or false",
        [JSON_FALSE] = "true or false", [JSON_NULL] = "null",
    };
    return (unsigned)type < ARRAY_SIZE(names) ? names[type] : "something else";
}

static int read_integer(const struct json_field *field, const json_t *value, const char *prefix,
                        struct resource_number *into, struct error *error)
{
    if (!json_is_integer(value))
        return error_set(error, -EINVAL, "%s.%s must be a whole number, not %s", prefix, field->name,
                         json_is_real(value) ? "a fraction" : type_name(json_typeof(value)));
    int64_t number = json_integer_value(value);
    if (number < field->least || number > field->most)
        return error_set(error, -EINVAL,
                         "%s.%s is %" PRId64 ", which is not between %" PRId64 " and %" PRId64, prefix,
                         field->name, number, field->least, field->most);
    *into = (struct resource_number){true, number};
    return 0;
}

int json_fields_read(const struct json_field *fields, size_t count, const json_t *object, const char *prefix,
                     void *into, struct error *error)
{
    for (const struct json_field *field = fields; field < fields + count; field++) {
        const json_t *value = json_object_get(object, field->name);
        void *place = (char *)into + field->offset;
        int result = 0;
        if (!value || json_is_null(value))
            continue;
        switch (field->type) {
        case JSON_FIELD_INTEGER: result = read_integer(field, value, prefix, place, error); break;
        case JSON_FIELD_BOOLEAN:
            if (!json_is_boolean(value))
                return error_set(error, -EINVAL, "%s.%s must be true or false, not %s", prefix, field->name,
                                 type_name(json_typeof(value)));
            *(struct resource_number *)place = (struct resource_number){true, json_is_true(value)};
            break;
        case JSON_FIELD_TEXT:
            if (!json_is_string(value))
                return error_set(error, -EINVAL, "%s.%s must be a string, not %s", prefix, field->name,
                                 type_name(json_typeof(value)));
            *(const char **)place = json_string_value(value);
            break;
        }
        if (result < 0)
            return result;
    }
    return 0;
}

int json_member(const json_t *object, const char *name, json_type type, const char *prefix,
                const json_t **out, struct error *error)
{
    const json_t *value = json_object_get(object, name);
    *out = NULL;
    if (!value || json_is_null(value))
        return 0;
    if (json_typeof(value) != type)
        return error_set(error, -EINVAL, "%s.%s must be %s, not %s", prefix, name, type_name(type),
                         type_name(json_typeof(value)));
    *out = value;
    return 0;
}
