/* SPDX-License-Identifier: GPL-2.0-or-later */
/* document: from libyaml's events to a tree. What comes of the tree is in document_json.c. */
#include "group/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/macros.h"

#define ANCHORS_MAX 1000
#define TAGS_MAX    100

/* A map or list that is being read. */
struct frame {
    struct document_value *value;
    char *name; /* of the entry that comes, in a map */
    unsigned line, column;
};

struct anchor {
    char *name;
    struct document_value *value;
};

struct reading {
    struct document *document;
    const char *source;
    const struct variables *variables;
    struct domain_list *warnings;
    yaml_parser_t parser;
    struct frame frames[DOCUMENT_DEPTH_MAX];
    unsigned depth;
    struct anchor *anchors;
    unsigned anchor_count;
    unsigned made; /* values */
};

/* -- errors ---------------------------------------------------------------------------------------------- */

/* Puts the place, and the path to what is being read, before an error. */
static int at_place(const struct reading *reading, unsigned line, unsigned column, struct error *error)
{
    char path[128] = "";
    size_t used = 0;
    for (unsigned i = 0; i < reading->depth && used < sizeof path; i++) {
        const struct frame *frame = &reading->frames[i];
        int more = 0;
        if (frame->value->type == DOCUMENT_LIST)
            more = snprintf(path + used, sizeof path - used, "[%u]", frame->value->count);
        else if (frame->name)
            more = snprintf(path + used, sizeof path - used, "%s%.48s", used ? "." : "", frame->name);
        used += (size_t)MAX(more, 0);
    }
    error_prefix(error, "%s:%u:%u: %s%s", reading->source, line, column, path, path[0] ? ": " : "");
    return error->code;
}

static int no_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "out of memory");
}

/* What libyaml has to say. It counts lines and columns from 0; of bytes that are no text it knows the offset.
 */
static int syntax_error(const struct reading *reading, const char *text, size_t size, struct error *error)
{
    const yaml_parser_t *parser = &reading->parser;
    size_t line = parser->problem_mark.line, column = parser->problem_mark.column;
    const char *problem = parser->problem ? parser->problem : "it is not understood";
    if (parser->error == YAML_MEMORY_ERROR)
        return no_memory(error);
    if (parser->error == YAML_READER_ERROR) {
        line = column = 0;
        for (size_t i = 0; i < MIN(size, parser->problem_offset); i++) {
            column = text[i] == '\n' ? 0 : column + 1;
            line += text[i] == '\n';
        }
    }
    if (parser->context)
        error_set(error, -EINVAL, "no valid YAML: %s, %s that begins in line %zu", problem, parser->context,
                  parser->context_mark.line + 1);
    else
        error_set(error, -EINVAL, "no valid YAML: %s", problem);
    error_prefix(error, "%s:%zu:%zu: ", reading->source, line + 1, column + 1);
    return -EINVAL;
}

/* -- values ---------------------------------------------------------------------------------------------- */

static struct document_value *value_make(struct reading *reading, enum document_type type,
                                         const yaml_mark_t *mark, struct error *error)
{
    const unsigned line = (unsigned)mark->line + 1, column = (unsigned)mark->column + 1;
    if (++reading->made > DOCUMENT_VALUES_MAX) {
        error_set(error, -E2BIG, "there are more than %d values", DOCUMENT_VALUES_MAX);
        at_place(reading, line, column, error);
        return NULL;
    }
    struct document_value *value = calloc(1, sizeof *value);
    if (!value) {
        no_memory(error);
        return NULL;
    }
    value->type = type;
    value->line = line;
    value->column = column;
    value->depth = value->weight = 1;
    value->next = reading->document->all;
    reading->document->all = value;
    return value;
}

/* The name of an entry is the map's from now on, also after an error. */
static int entry_add(struct reading *reading, struct document_value *to, const struct document_entry *entry,
                     struct error *error)
{
    const unsigned most = to->type == DOCUMENT_MAP ? DOCUMENT_NAMES_MAX : DOCUMENT_ENTRIES_MAX;
    struct document_entry *entries = to->entries;
    if (!(to->count & (to->count - 1))) /* it has as much room as the next power of two */
        entries = realloc(entries, MAX(2 * to->count, 1) * sizeof *entries);
    if (!entries) {
        free(entry->name);
        return no_memory(error);
    }
    to->entries = entries;
    entries[to->count++] = *entry;
    to->depth = MAX(to->depth, entry->value->depth + 1);
    to->weight += entry->value->weight;
    if (to->count > most)
        error_set(error, -E2BIG, "there are more than %u entries", most);
    else if (to->depth > DOCUMENT_DEPTH_MAX)
        error_set(error, -E2BIG, "it is more than %d deep", DOCUMENT_DEPTH_MAX);
    else if (to->weight > DOCUMENT_VALUES_MAX)
        error_set(error, -E2BIG, "there are more than %d values, with the aliases", DOCUMENT_VALUES_MAX);
    else
        return 0;
    return at_place(reading, entry->line, entry->column, error);
}

const struct document_entry *document_find(const struct document_value *map, const char *name)
{
    for (unsigned i = 0; map->type == DOCUMENT_MAP && i < map->count; i++) {
        if (strcmp(map->entries[i].name, name) == 0)
            return &map->entries[i];
    }
    return NULL;
}

/* -- merge keys ------------------------------------------------------------------------------------------ */

/* The entries that the map does not have itself. */
static int merge_one(struct reading *reading, struct document_value *to, const struct document_value *from,
                     struct error *error)
{
    int code = 0;
    if (from->type != DOCUMENT_MAP) {
        error_set(error, -EINVAL, "<< is a map, or a list of maps");
        return at_place(reading, from->line, from->column, error);
    }
    for (unsigned i = 0; !code && i < from->count; i++) {
        struct document_entry entry = from->entries[i];
        if (document_find(to, entry.name))
            continue;
        if (++reading->made > DOCUMENT_VALUES_MAX) {
            error_set(error, -E2BIG, "there are more than %d values", DOCUMENT_VALUES_MAX);
            return at_place(reading, to->line, to->column, error);
        }
        entry.merged = true;
        entry.name = strdup(entry.name);
        code = entry.name ? entry_add(reading, to, &entry, error) : no_memory(error);
    }
    return code;
}

/* YAML's "Merge Key Language-Independent Type": of several maps the first that has a name counts. */
static int merge(struct reading *reading, struct document_value *map, struct error *error)
{
    const struct document_entry *found = document_find(map, "<<");
    if (!found || !found->merged)
        return 0;
    const struct document_entry entry = *found;
    const unsigned index = (unsigned)(found - map->entries);
    int code = 0;
    if (entry.value->type != DOCUMENT_LIST)
        code = merge_one(reading, map, entry.value, error);
    for (unsigned i = 0; !code && entry.value->type == DOCUMENT_LIST && i < entry.value->count; i++)
        code = merge_one(reading, map, entry.value->entries[i].value, error);
    free(entry.name);
    memmove(&map->entries[index], &map->entries[index + 1], (map->count - index - 1) * sizeof *map->entries);
    map->count--;
    return code;
}

/* -- events ---------------------------------------------------------------------------------------------- */

/* A value, or one that an alias means, in its place. */
static int value_put(struct reading *reading, struct document_value *value, const yaml_mark_t *mark,
                     struct error *error)
{
    if (!reading->depth) {
        reading->document->root = value;
        return 0;
    }
    struct frame *frame = &reading->frames[reading->depth - 1];
    struct document_entry entry = {.name = frame->name, .value = value};
    entry.line = frame->name ? frame->line : (unsigned)mark->line + 1;
    entry.column = frame->name ? frame->column : (unsigned)mark->column + 1;
    entry.merged = frame->name && strcmp(frame->name, "<<") == 0;
    frame->name = NULL;
    return entry_add(reading, frame->value, &entry, error);
}

static bool is_name_next(const struct reading *reading)
{
    const struct frame *frame = reading->depth ? &reading->frames[reading->depth - 1] : NULL;
    return frame && frame->value->type == DOCUMENT_MAP && !frame->name;
}

static int anchor_add(struct reading *reading, const yaml_char_t *name, struct document_value *value,
                      struct error *error)
{
    if (!name)
        return 0;
    if (reading->anchor_count == ANCHORS_MAX) {
        error_set(error, -E2BIG, "there are more than %d anchors", ANCHORS_MAX);
        return at_place(reading, value->line, value->column, error);
    }
    struct anchor *anchors = realloc(reading->anchors, (reading->anchor_count + 1) * sizeof *anchors);
    if (!anchors)
        return no_memory(error);
    reading->anchors = anchors;
    anchors[reading->anchor_count].name = strdup((const char *)name);
    anchors[reading->anchor_count].value = value;
    return anchors[reading->anchor_count++].name ? 0 : no_memory(error);
}

/* The last anchor of that name that stands before. */
static int take_alias(struct reading *reading, const yaml_event_t *event, struct error *error)
{
    const char *name = (const char *)event->data.alias.anchor;
    const unsigned line = (unsigned)event->start_mark.line + 1,
                   column = (unsigned)event->start_mark.column + 1;
    struct document_value *value = NULL;
    for (unsigned i = reading->anchor_count; !value && i > 0; i--) {
        if (reading->anchors[i - 1].name && strcmp(reading->anchors[i - 1].name, name) == 0)
            value = reading->anchors[i - 1].value;
    }
    if (is_name_next(reading))
        error_set(error, -EINVAL, "an alias is no name");
    else if (!value)
        error_set(error, -EINVAL, "there is no anchor &%.40s before *%.40s", name, name);
    else if (value->open)
        error_set(error, -EINVAL, "*%.40s would be a part of itself", name);
    else
        return value_put(reading, value, &event->start_mark, error);
    return at_place(reading, line, column, error);
}

static int tag_check(const struct reading *reading, const yaml_char_t *tag, const char *known,
                     const yaml_mark_t *mark, struct error *error)
{
    static const char core[] = "tag:yaml.org,2002:";
    const char *text = (const char *)tag;
    if (!text || strcmp(text, "!") == 0)
        return 0;
    if (strncmp(text, core, sizeof core - 1) == 0 && strcmp(text + sizeof core - 1, known) == 0)
        return 0;
    error_set(error, -EINVAL, "the tag %.60s is not known here", text);
    return at_place(reading, (unsigned)mark->line + 1, (unsigned)mark->column + 1, error);
}

/* The text of an entry's name. */
static int take_name(struct reading *reading, const yaml_event_t *event, struct error *error)
{
    struct frame *frame = &reading->frames[reading->depth - 1];
    const char *name = (const char *)event->data.scalar.value;
    const struct document_entry *before = document_find(frame->value, name);
    frame->line = (unsigned)event->start_mark.line + 1;
    frame->column = (unsigned)event->start_mark.column + 1;
    if (strlen(name) != event->data.scalar.length)
        error_set(error, -EINVAL, "a name has a zero byte in it");
    else if (before)
        error_set(error, -EINVAL, "\"%.64s\" is there already, in line %u", name, before->line);
    else
        return (frame->name = strdup(name)) ? 0 : no_memory(error);
    return at_place(reading, frame->line, frame->column, error);
}

/* Replaces the variables of a text. */
static int set_text(struct reading *reading, struct document_value *value, const char *text,
                    struct error *error)
{
    struct buffer out = {0};
    char missing[VARIABLES_NAME_MAX], warning[DOMAIN_TEXT_MAX];
    value->had_variables = strchr(text, '$') != NULL;
    int code = variables_expand(reading->variables, text, &out, missing, error);
    if (code) {
        buffer_free(&out);
        return code == -ENOMEM ? code : at_place(reading, value->line, value->column, error);
    }
    buffer_append(&out, "", 1);
    if (out.failed) {
        buffer_free(&out);
        return no_memory(error);
    }
    value->text = (char *)out.data;
    value->weight += (unsigned)(out.size / 64);
    if (!missing[0])
        return 0;
    snprintf(warning, sizeof warning, "%s:%u:%u: the variable %s is not set: nothing stands in its place",
             reading->source, value->line, value->column, missing);
    return domain_list_add(reading->warnings, warning, error);
}

static int take_text(struct reading *reading, const yaml_event_t *event, struct error *error)
{
    const char *text = (const char *)event->data.scalar.value;
    if (is_name_next(reading))
        return take_name(reading, event, error);
    struct document_value *value = value_make(reading, DOCUMENT_TEXT, &event->start_mark, error);
    if (!value)
        return error->code;
    value->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !event->data.scalar.tag;
    int code = tag_check(reading, event->data.scalar.tag, "str", &event->start_mark, error);
    if (!code && strlen(text) != event->data.scalar.length) {
        error_set(error, -EINVAL, "the text has a zero byte in it");
        code = at_place(reading, value->line, value->column, error);
    }
    if (!code)
        code = set_text(reading, value, text, error);
    if (!code)
        code = anchor_add(reading, event->data.scalar.anchor, value, error);
    return code ? code : value_put(reading, value, &event->start_mark, error);
}

static int begin(struct reading *reading, enum document_type type, const yaml_char_t *anchor,
                 const yaml_char_t *tag, const yaml_mark_t *mark, struct error *error)
{
    const unsigned line = (unsigned)mark->line + 1, column = (unsigned)mark->column + 1;
    int code = tag_check(reading, tag, type == DOCUMENT_MAP ? "map" : "seq", mark, error);
    if (!code && is_name_next(reading)) {
        error_set(error, -EINVAL, "a name is a text");
        code = at_place(reading, line, column, error);
    }
    if (!code && reading->depth == DOCUMENT_DEPTH_MAX) {
        error_set(error, -E2BIG, "it is more than %d deep", DOCUMENT_DEPTH_MAX);
        code = at_place(reading, line, column, error);
    }
    if (code)
        return code;
    struct document_value *value = value_make(reading, type, mark, error);
    if (!value)
        return error->code;
    value->open = true;
    reading->frames[reading->depth++] = (struct frame){.value = value};
    return anchor_add(reading, anchor, value, error);
}

static int end(struct reading *reading, const yaml_mark_t *mark, struct error *error)
{
    struct document_value *value = reading->frames[reading->depth - 1].value;
    int code = value->type == DOCUMENT_MAP ? merge(reading, value, error) : 0;
    value->open = false;
    reading->depth--;
    return code ? code : value_put(reading, value, mark, error);
}

static int take(struct reading *reading, const yaml_event_t *event, struct error *error)
{
    const yaml_mark_t *mark = &event->start_mark;
    switch (event->type) {
    case YAML_SCALAR_EVENT: return take_text(reading, event, error);
    case YAML_ALIAS_EVENT: return take_alias(reading, event, error);
    case YAML_MAPPING_START_EVENT:
        return begin(reading, DOCUMENT_MAP, event->data.mapping_start.anchor, event->data.mapping_start.tag,
                     mark, error);
    case YAML_SEQUENCE_START_EVENT:
        return begin(reading, DOCUMENT_LIST, event->data.sequence_start.anchor,
                     event->data.sequence_start.tag, mark, error);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: return end(reading, mark, error);
    case YAML_DOCUMENT_START_EVENT:
        if (!reading->document->root)
            return 0;
        error_set(error, -EINVAL, "a second document begins, and a file has one");
        return at_place(reading, (unsigned)mark->line + 1, (unsigned)mark->column + 1, error);
    default: return 0;
    }
}

/* Tags are refused all the same, and libyaml compares each of these lines with all before. */
static int count_tags(const char *text, size_t size, const char *source, struct error *error)
{
    const char *at = text, *end = text + size;
    for (unsigned count = 0; at < end && (at = memmem(at, (size_t)(end - at), "%TAG", 4)); at += 4) {
        if (++count > TAGS_MAX)
            return error_set(error, -E2BIG, "%s: %%TAG is there more than %d times", source, TAGS_MAX);
    }
    return 0;
}

/* -- the whole ------------------------------------------------------------------------------------------- */

static void reading_free(struct reading *reading)
{
    for (unsigned i = 0; i < reading->depth; i++)
        free(reading->frames[i].name);
    for (unsigned i = 0; i < reading->anchor_count; i++)
        free(reading->anchors[i].name);
    free(reading->anchors);
    yaml_parser_delete(&reading->parser);
}

int document_read(struct document *document, const char *text, size_t size, const char *source,
                  const struct variables *variables, struct domain_list *warnings, struct error *error)
{
    struct reading reading = {
        .document = document, .source = source, .variables = variables, .warnings = warnings};
    bool done = false;
    *document = (struct document){0};
    if (size > DOMAIN_DOCUMENT_MAX)
        return error_set(error, -E2BIG, "%s: it has more than %u bytes", source, DOMAIN_DOCUMENT_MAX);
    int code = count_tags(text, size, source, error);
    if (code)
        return code;
    if (!yaml_parser_initialize(&reading.parser))
        return no_memory(error);
    yaml_parser_set_input_string(&reading.parser, (const unsigned char *)text, size);
    while (!code && !done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&reading.parser, &event)) {
            code = syntax_error(&reading, text, size, error);
            break;
        }
        done = event.type == YAML_STREAM_END_EVENT;
        code = take(&reading, &event, error);
        yaml_event_delete(&event);
    }
    reading_free(&reading);
    return code;
}

void document_free(struct document *document)
{
    while (document->all) {
        struct document_value *value = document->all;
        document->all = value->next;
        for (unsigned i = 0; i < value->count; i++)
            free(value->entries[i].name);
        free(value->entries);
        free(value->text);
        free(value);
    }
    *document = (struct document){0};
}
