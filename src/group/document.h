/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * document: a YAML file as a tree of values that know their places. JSON is YAML, too.
 *
 * It is YAML 1.2 with its core schema (https://yaml.org/spec/1.2.2/, chapter 10.3): "no" and "on" are texts.
 * Anchors, aliases and merge keys (<<) are replaced by what they mean; tags are refused but those of the core
 * schema. Whatever the bytes are, the tree has at most DOCUMENT_VALUES_MAX values once all aliases are
 * followed, DOCUMENT_DEPTH_MAX deep, and so can be walked. Texts have their variables replaced.
 */
#ifndef VISOR_GROUP_DOCUMENT_H
#define VISOR_GROUP_DOCUMENT_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "domain/config.h"
#include "group/variables.h"

#define DOCUMENT_VALUES_MAX  100000 /* and as many pieces of 64 bytes of text */
#define DOCUMENT_DEPTH_MAX   32
#define DOCUMENT_ENTRIES_MAX 4096 /* of a list */
#define DOCUMENT_NAMES_MAX   1024 /* of a map */

enum document_type { DOCUMENT_TEXT, DOCUMENT_LIST, DOCUMENT_MAP };

struct document_value {
    enum document_type type;
    unsigned line, column; /* from 1 */
    char *text;            /* of a TEXT */
    bool plain;            /* a TEXT that is a number, a boolean or nothing if it looks like one */
    bool had_variables;
    unsigned count; /* of entries */
    struct document_entry *entries;

    struct document_value *next; /* the reader's */
    unsigned depth, weight;
    bool open;
};

struct document_entry {
    char *name; /* in a MAP */
    unsigned line, column;
    struct document_value *value; /* which others may have, too */
    bool merged;                  /* by << */
};

struct document {
    struct document_value *root; /* NULL: the file has nothing in it */
    struct document_value *all;
};

/*
 * Reads a file's text. `source` is its name, for errors, which begin "NAME:LINE:COLUMN: ". `warnings` gets a
 * text for each variable that is not set. -EINVAL, -E2BIG, -ENOMEM. Free it in any case.
 */
int document_read(struct document *document, const char *text, size_t size, const char *source,
                  const struct variables *variables, struct domain_list *warnings, struct error *error);
void document_free(struct document *document);

/* The entry of a map; NULL: there is none, or it is no map. */
const struct document_entry *document_find(const struct document_value *map, const char *name);

/* The value as JSON. `texts`: what stands for a text is one, also if it looks like a number; only null
 * that is written there is null. NULL: out of memory. */
json_t *document_json(const struct document_value *value, bool texts);
/* The same, of a single text, even if it is quoted: "2" is 2. */
json_t *document_plain_json(const struct document_value *value);

#endif
