/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json_bind: puts a JSON document into C structs, by tables that describe them.
 *
 * A struct has an array of `struct json_field`, one row per property. An error names the property as one
 * would write it: "process.rlimits[2].soft: a whole number is wanted, not a string". Properties that the
 * table does not have are ignored, and null is as good as absent, as the OCI specification asks for.
 *
 * Text is the document's own and arrays are the binding's: both live until json_binding_free().
 */
#ifndef VISOR_PERSONALITY_CONTAINER_JSON_BIND_H
#define VISOR_PERSONALITY_CONTAINER_JSON_BIND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum json_kind {
    JSON_TEXT,    /* const char * */
    JSON_FLAG,    /* bool; with `width`, 0 or 1 in an integer of that many bytes */
    JSON_NUMBER,  /* an integer of `width` bytes, in [least, most] */
    JSON_TEXTS,   /* const char **, ends with NULL; their number in `count` */
    JSON_STRUCT,  /* a struct described by `fields`, in place */
    JSON_STRUCTS, /* pointer to an array of such, of `width` bytes each; their number in `count` */
    JSON_MAP,     /* struct json_pair *: an object whose values are text; their number in `count` */
    JSON_RAW,     /* const json_t *: whatever it is, for somebody else to read */
};

struct json_pair {
    const char *name, *value;
};

struct json_field {
    const char *name;
    enum json_kind kind;
    bool required;
    size_t offset;
    size_t width;
    int64_t least;
    uint64_t most;
    size_t count;     /* where the number of elements goes, an unsigned */
    size_t present;   /* if has_present: where a bool goes that says whether the property is there */
    bool has_present; /* */
    const struct json_field *fields; /* ends with a row without name */
};

struct json_binding {
    json_t *document; /* NULL, or a reference that json_binding_free() drops */
    struct json_allocation *allocations;
};

/* Rows for the property `name` of the struct `type`, whose member has the name `member`. */
#define JSON_BIND_TEXT(type, name_, member)                                                                  \
    {                                                                                                        \
        .name = name_, .kind = JSON_TEXT, .offset = offsetof(type, member)                                   \
    }
#define JSON_BIND_FLAG(type, name_, member)                                                                  \
    {                                                                                                        \
        .name = name_, .kind = JSON_FLAG, .offset = offsetof(type, member)                                   \
    }
#define JSON_BIND_NUMBER(type, name_, member, least_, most_)                                                 \
    {                                                                                                        \
        .name = name_, .kind = JSON_NUMBER, .offset = offsetof(type, member),                                \
        .width = sizeof(((type *)0)->member), .least = least_, .most = most_                                 \
    }
/* A member that is a struct of `set` and a `value` of 64 bits: whether the property is there, and what it is.
 */
#define JSON_BIND_GIVEN(type, kind_, name_, member, least_, most_)                                           \
    {                                                                                                        \
        .name = name_, .kind = kind_, .offset = offsetof(type, member.value), .width = 8, .least = least_,   \
        .most = most_, .has_present = true, .present = offsetof(type, member.set)                            \
    }
#define JSON_BIND_TEXTS(type, name_, member)                                                                 \
    {                                                                                                        \
        .name = name_, .kind = JSON_TEXTS, .offset = offsetof(type, member),                                 \
        .count = offsetof(type, member##_count)                                                              \
    }
#define JSON_BIND_STRUCT(type, name_, member, fields_)                                                       \
    {                                                                                                        \
        .name = name_, .kind = JSON_STRUCT, .offset = offsetof(type, member), .fields = fields_              \
    }
#define JSON_BIND_STRUCTS(type, name_, member, fields_)                                                      \
    {                                                                                                        \
        .name = name_, .kind = JSON_STRUCTS, .offset = offsetof(type, member),                               \
        .width = sizeof(*((type *)0)->member), .count = offsetof(type, member##_count), .fields = fields_    \
    }
#define JSON_BIND_MAP(type, name_, member)                                                                   \
    {                                                                                                        \
        .name = name_, .kind = JSON_MAP, .offset = offsetof(type, member),                                   \
        .count = offsetof(type, member##_count)                                                              \
    }
#define JSON_BIND_RAW(type, name_, member)                                                                   \
    {                                                                                                        \
        .name = name_, .kind = JSON_RAW, .offset = offsetof(type, member)                                    \
    }

/* Parses the document. -EINVAL: it is none; the error names the line. */
int json_binding_parse(struct json_binding *binding, const char *text, size_t size, struct error *error);
/* A whole file, of malloc(). -ENOENT; -EFBIG: above 16 MiB. */
int json_read_text(int directory, const char *name, char **text, size_t *size, struct error *error);
/* The same of the file `name` in the directory `directory`. -ENOENT; -EFBIG: above 16 MiB. */
int json_binding_read(struct json_binding *binding, int directory, const char *name, struct error *error);
/* Fills the struct `target`, whose members keep what they are where the document has nothing. -EINVAL. */
int json_bind(struct json_binding *binding, const json_t *object, const struct json_field *fields,
              void *target, struct error *error);
/* The same of an object that is `prefix` in its document ("linux.resources.memory"), without arrays and maps.
 */
int json_bind_at(const char *prefix, const json_t *object, const struct json_field *fields, void *target,
                 struct error *error);
/* The member `name`, or NULL if it is absent or null; -EINVAL if it is not of the type, JSON_OBJECT,
 * JSON_ARRAY or JSON_STRING. */
int json_member(const json_t *object, const char *name, json_type type, const char *prefix,
                const json_t **out, struct error *error);
/* Zeroed memory that lives as long as the binding; NULL: there is none. */
void *json_bind_allocate(struct json_binding *binding, size_t count, size_t size);
void json_binding_free(struct json_binding *binding);

#endif
