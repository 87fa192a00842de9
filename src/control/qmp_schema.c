/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qmp_schema: the answer to query-qmp-schema, from the tables: an array of what there is (commands, events,
 * types). Names of types mean nothing to clients; objects and enumerations are numbered as they are met.
 */
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "control/qmp_private.h"

#define NAME_SIZE 64
#define TYPES_MAX 1024

struct schema {
    json_t *list;
    json_t *arrays;              /* an object whose keys are the names of those that are in the list */
    const void *seen[TYPES_MAX]; /* what types are told apart by: their number is the index */
    unsigned count;
    bool failed;
};

static const char no_fields; /* what objects without fields are known by */

static const struct {
    const char *name, *json_type;
} builtins[] = {
    [QMP_STRING] = {"str", "string"},    [QMP_INTEGER] = {"int", "int"}, [QMP_NUMBER] = {"number", "number"},
    [QMP_BOOLEAN] = {"bool", "boolean"}, [QMP_ANY] = {"any", "value"},
};

static void add(struct schema *schema, json_t *entry)
{
    if (!entry || json_array_append_new(schema->list, entry))
        schema->failed = true;
}

/* Whether it is new; its number in any case. */
static bool meet(struct schema *schema, const void *what, char name[NAME_SIZE], const char *form)
{
    unsigned i = 0;
    while (i < schema->count && schema->seen[i] != what)
        i++;
    snprintf(name, NAME_SIZE, form, i);
    if (i < schema->count)
        return false;
    if (i == TYPES_MAX) {
        schema->failed = true;
        return false;
    }
    schema->seen[schema->count++] = what;
    return true;
}

static void name_type(struct schema *schema, const struct qmp_type *type, char name[NAME_SIZE]);

static void name_object(struct schema *schema, const struct qmp_field *fields, char name[NAME_SIZE])
{
    const bool empty = !fields || !fields->name;
    if (!meet(schema, empty ? (const void *)&no_fields : fields, name, "%u"))
        return;
    json_t *members = json_array();
    for (const struct qmp_field *field = fields; field && field->name; field++) {
        char type[NAME_SIZE];
        name_type(schema, field->type, type);
        json_t *member = json_pack("{s:s, s:s}", "name", field->name, "type", type);
        if (field->optional)
            json_object_set_new(member, "default", json_null());
        json_array_append_new(members, member);
    }
    add(schema, json_pack("{s:s, s:s, s:o}", "name", name, "meta-type", "object", "members", members));
}

static void name_enum(struct schema *schema, const char *const *values, char name[NAME_SIZE])
{
    if (!meet(schema, values, name, "%u"))
        return;
    json_t *members = json_array(), *plain = json_array();
    for (const char *const *value = values; *value; value++) {
        json_array_append_new(members, json_pack("{s:s}", "name", *value));
        json_array_append_new(plain, json_string(*value));
    }
    add(schema, json_pack("{s:s, s:s, s:o, s:o}", "name", name, "meta-type", "enum", "members", members,
                          "values", plain));
}

static void name_array(struct schema *schema, const struct qmp_type *type, char name[NAME_SIZE])
{
    char element[NAME_SIZE];
    name_type(schema, type->element, element);
    snprintf(name, NAME_SIZE, "[%.60s]", element);
    if (json_object_get(schema->arrays, name))
        return;
    json_object_set_new(schema->arrays, name, json_true());
    add(schema, json_pack("{s:s, s:s, s:s}", "name", name, "meta-type", "array", "element-type", element));
}

static void name_type(struct schema *schema, const struct qmp_type *type, char name[NAME_SIZE])
{
    switch (type->kind) {
    case QMP_ENUM: name_enum(schema, type->values, name); return;
    case QMP_OBJECT: name_object(schema, type->fields, name); return;
    case QMP_ARRAY: name_array(schema, type, name); return;
    default: break;
    }
    char number[NAME_SIZE];
    snprintf(name, NAME_SIZE, "%s", builtins[type->kind].name);
    if (meet(schema, &builtins[type->kind], number, "%u"))
        add(schema, json_pack("{s:s, s:s, s:s}", "name", name, "meta-type", "builtin", "json-type",
                              builtins[type->kind].json_type));
}

static void add_command(struct schema *schema, const struct qmp_command *command)
{
    char arguments[NAME_SIZE], returns[NAME_SIZE];
    name_object(schema, command->arguments, arguments);
    name_type(schema, command->returns, returns);
    add(schema, json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", command->name, "meta-type", "command",
                          "arg-type", arguments, "ret-type", returns, "allow-oob", 0));
}

static void add_event(struct schema *schema, const struct qmp_event *event)
{
    char data[NAME_SIZE];
    name_object(schema, event->data, data);
    add(schema, json_pack("{s:s, s:s, s:s}", "name", event->name, "meta-type", "event", "arg-type", data));
}

json_t *qmp_schema(const struct qmp_server *server)
{
    struct schema schema = {.list = json_array(), .arrays = json_object()};
    for (unsigned i = 0; i < server->table_count; i++) {
        const struct qmp_table *table = server->tables[i].table;
        for (const struct qmp_command *command = table->commands; command && command->name; command++)
            add_command(&schema, command);
        for (const struct qmp_event *event = table->events; event && event->name; event++)
            add_event(&schema, event);
    }
    json_decref(schema.arrays);
    if (!schema.failed)
        return schema.list;
    json_decref(schema.list);
    return NULL;
}
