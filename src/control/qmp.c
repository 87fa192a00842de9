/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qmp: classes of errors, and whether values have the types they should. */
#include "control/qmp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const class_names[QMP_CLASSES] = {
    [QMP_GENERIC_ERROR] = "GenericError",        [QMP_COMMAND_NOT_FOUND] = "CommandNotFound",
    [QMP_DEVICE_NOT_ACTIVE] = "DeviceNotActive", [QMP_DEVICE_NOT_FOUND] = "DeviceNotFound",
    [QMP_KVM_MISSING_CAP] = "KVMMissingCap",
};

const char *qmp_class_name(enum qmp_class error_class)
{
    return class_names[error_class];
}

enum qmp_class qmp_class_find(const char *name)
{
    for (unsigned i = 0; i < QMP_CLASSES; i++) {
        if (!strcmp(class_names[i], name))
            return (enum qmp_class)i;
    }
    return QMP_GENERIC_ERROR;
}

const struct qmp_type qmp_string = {.kind = QMP_STRING}, qmp_integer = {.kind = QMP_INTEGER},
                      qmp_number = {.kind = QMP_NUMBER}, qmp_boolean = {.kind = QMP_BOOLEAN},
                      qmp_any = {.kind = QMP_ANY}, qmp_nothing = {.kind = QMP_OBJECT},
                      qmp_strings = {.kind = QMP_ARRAY, .element = &qmp_string};

json_t *qmp_text(const char *text)
{
    json_t *string = json_string(text);
    char *copy = string ? NULL : strdup(text);
    for (char *c = copy; c && *c; c++) {
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    }
    if (copy)
        string = json_string(copy);
    free(copy);
    return string;
}

/* What a value must be, for people. */
static const char *const kind_names[] = {
    [QMP_STRING] = "a string",   [QMP_INTEGER] = "an integer", [QMP_NUMBER] = "a number",
    [QMP_BOOLEAN] = "a boolean", [QMP_ANY] = "anything",       [QMP_ENUM] = "a string",
    [QMP_OBJECT] = "an object",  [QMP_ARRAY] = "an array",
};

#define WHERE_SIZE 256 /* of the name of a value in an error; longer ones are cut */

static int check_fields(const json_t *object, const struct qmp_field *fields, const char *where,
                        struct error *error)
{
    const char *dot = *where ? "." : "", *key;
    char name[WHERE_SIZE];
    json_t *value;
    for (const struct qmp_field *field = fields; field && field->name; field++) {
        snprintf(name, sizeof name, "%s%s%s", where, dot, field->name);
        value = json_object_get(object, field->name);
        if (!value && !field->optional)
            return error_set(error, -EINVAL, "argument '%s' is missing", name);
        int code = value ? qmp_check(value, field->type, name, error) : 0;
        if (code)
            return code;
    }
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const struct qmp_field *field = fields;
        while (field && field->name && strcmp(field->name, key) != 0)
            field++;
        if (!field || !field->name)
            return error_set(error, -EINVAL, "argument '%s%s%.64s' is not known here", where, dot, key);
    }
    return 0;
}

static int check_elements(const json_t *array, const struct qmp_type *element, const char *where,
                          struct error *error)
{
    char name[WHERE_SIZE];
    int code = 0;
    for (size_t i = 0; !code && i < json_array_size(array); i++) {
        snprintf(name, sizeof name, "%s[%zu]", where, i);
        code = qmp_check(json_array_get(array, i), element, name, error);
    }
    return code;
}

static int check_value(const char *text, const struct qmp_type *type, const char *where, struct error *error)
{
    char all[200] = "";
    for (const char *const *value = type->values; *value; value++) {
        if (!strcmp(*value, text))
            return 0;
        size_t size = strlen(all);
        snprintf(all + size, sizeof all - size, "%s%s", size ? ", " : "", *value);
    }
    return error_set(error, -EINVAL, "argument '%s' cannot be '%.64s'; it is one of: %s", where, text, all);
}

static bool has_kind(const json_t *value, enum qmp_kind kind)
{
    switch (kind) {
    case QMP_STRING:
    case QMP_ENUM: return json_is_string(value);
    case QMP_INTEGER: return json_is_integer(value);
    case QMP_NUMBER: return json_is_number(value);
    case QMP_BOOLEAN: return json_is_boolean(value);
    case QMP_ANY: return true;
    case QMP_OBJECT: return json_is_object(value);
    case QMP_ARRAY: return json_is_array(value);
    }
    return false;
}

int qmp_check(const json_t *value, const struct qmp_type *type, const char *where, struct error *error)
{
    if (!has_kind(value, type->kind))
        return error_set(error, -EINVAL, "argument '%s' must be %s", where, kind_names[type->kind]);
    switch (type->kind) {
    case QMP_ENUM: return check_value(json_string_value(value), type, where, error);
    case QMP_OBJECT: return check_fields(value, type->fields, where, error);
    case QMP_ARRAY: return check_elements(value, type->element, where, error);
    default: return 0;
    }
}
