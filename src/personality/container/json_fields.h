/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json_fields: reads a JSON object's simple members into a struct by a table, with errors that name the
 * member. */
#ifndef VISOR_PERSONALITY_CONTAINER_JSON_FIELDS_H
#define VISOR_PERSONALITY_CONTAINER_JSON_FIELDS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum json_field_type {
    JSON_FIELD_INTEGER, /* a struct resource_number; within [least, most] */
    JSON_FIELD_BOOLEAN, /* a struct resource_number, 0 or 1 */
    JSON_FIELD_TEXT,    /* a const char *, the document's; NULL if absent */
};

struct json_field {
    const char *name;
    enum json_field_type type;
    size_t offset;
    int64_t least, most;
};

/* -EINVAL: "PREFIX.NAME must be ...". What is absent or null is left as it is. */
int json_fields_read(const struct json_field *fields, size_t count, const json_t *object, const char *prefix,
                     void *into, struct error *error);

/* The member `name`, or NULL if it is absent or null; -EINVAL if it is not of the type (JSON_OBJECT,
 * JSON_ARRAY ...). */
int json_member(const json_t *object, const char *name, json_type type, const char *prefix,
                const json_t **out, struct error *error);

#endif
