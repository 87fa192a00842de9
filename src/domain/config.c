/* SPDX-License-Identifier: GPL-2.0-or-later */
/* config: values of fields, from texts. */
#include "domain/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/vsock/option.h"
#include "base/macros.h"
#include "base/size.h"
#include "domain/config_private.h"

void *domain_field_at(const struct domain_config *config, const struct domain_field *field)
{
    return (char *)config + field->offset;
}

int domain_config_init(struct domain_config *config, struct error *error)
{
    *config = (struct domain_config){0};
    int code = 0;
    for (const struct domain_field *field = domain_fields; !code && field->name; field++) {
        if (field->preset)
            code = domain_config_set(config, field, field->preset, field->name, error);
    }
    return code;
}

void domain_list_clear(struct domain_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct domain_list){0};
}

void domain_config_free(struct domain_config *config)
{
    for (const struct domain_field *field = domain_fields; field->name; field++) {
        void *at = domain_field_at(config, field);
        if (field->type == DOMAIN_TEXT) {
            free(*(char **)at);
            *(char **)at = NULL;
        } else if (field->type == DOMAIN_LIST || field->type == DOMAIN_MAP) {
            domain_list_clear(at);
        }
    }
}

uint64_t domain_config_memory_most(const struct domain_config *config)
{
    return MAX(config->machine.memory, config->machine.memory_max);
}

uint64_t domain_config_memory_least(const struct domain_config *config)
{
    return config->machine.memory_min ? config->machine.memory_min : config->machine.memory;
}

/* -- values ---------------------------------------------------------------------------------------------- */

/* "syscall signal host" as "syscall, signal and host". */
static const char *choices_list(const char *choices, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (const char *at = choices; *at;) {
        size_t length = strcspn(at, " ");
        const char *next = at + length + (at[length] == ' ');
        const char *between = at == choices ? "" : *next ? ", " : " and ";
        int more = snprintf(text + used, size - used, "%s%.*s", between, (int)length, at);
        used = MIN(used + (size_t)MAX(more, 0), size - 1);
        at = next;
    }
    return text;
}

static bool choices_have(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = choices; *at;) {
        size_t word = strcspn(at, " ");
        if (word == length && memcmp(at, text, length) == 0)
            return true;
        at += word + (at[word] == ' ');
    }
    return false;
}

/* Whether a text, or an item of a list, may be what it is. */
static int text_check(const struct domain_field *field, const char *text, const char *where,
                      struct error *error)
{
    char known[256];
    if (field->preset && strcmp(text, field->preset) == 0)
        return 0;
    if (strlen(text) > DOMAIN_TEXT_MAX)
        return error_set(error, -EINVAL, "%s: the text is longer than %d bytes", where, DOMAIN_TEXT_MAX);
    if (field->choices && !choices_have(field->choices, text))
        return error_set(error, -EINVAL, "%s \"%s\" is not known; there %s %s", where, text,
                         strchr(field->choices, ' ') ? "are" : "is",
                         choices_list(field->choices, known, sizeof known));
    if (field->path == DOMAIN_PATH && !*text)
        return error_set(error, -EINVAL, "%s: the path is empty", where);
    int code = field->check ? field->check(text, error) : 0;
    if (code)
        error_prefix(error, "%s \"%.200s\": ", where, text);
    return code;
}

static int text_set(char **at, const char *text, struct error *error)
{
    char *copy = strdup(text);
    if (!copy)
        return error_set(error, -ENOMEM, "out of memory");
    free(*at);
    *at = copy;
    return 0;
}

int domain_list_add(struct domain_list *list, const char *text, struct error *error)
{
    char **items = realloc(list->items, (list->count + 2) * sizeof *items);
    char *copy = strdup(text);
    if (items)
        list->items = items;
    if (!items || !copy) {
        free(copy);
        return error_set(error, -ENOMEM, "out of memory");
    }
    items[list->count++] = copy;
    items[list->count] = NULL; /* for who takes it as an argv */
    return 0;
}

static int list_set(struct domain_list *list, const struct domain_field *field, const char *text,
                    const char *where, struct error *error)
{
    int code = text_check(field, text, where, error);
    if (code)
        return code;
    const char *sign = field->type == DOMAIN_MAP ? strchr(text, '=') : NULL;
    if (field->type == DOMAIN_MAP && (!sign || sign == text))
        return error_set(error, -EINVAL, "%s \"%s\" is not NAME=VALUE", where, text);
    for (unsigned i = 0; sign && i < list->count; i++) {
        if (strncmp(list->items[i], text, (size_t)(sign - text) + 1) == 0)
            return text_set(&list->items[i], text, error);
    }
    if (list->count >= field->most)
        return error_set(error, -E2BIG, "%s is given more than %" PRIu64 " times", where, field->most);
    return domain_list_add(list, text, error);
}

/* Items that commas separate. */
static int list_set_all(struct domain_list *list, const struct domain_field *field, const char *text,
                        const char *where, struct error *error)
{
    int code = 0;
    while (!code && *text) {
        size_t length = strcspn(text, ",");
        char item[64];
        snprintf(item, sizeof item, "%.*s", (int)MIN(length, sizeof item - 1), text);
        code = list_set(list, field, item, where, error);
        text += length + (text[length] == ',');
    }
    return code;
}

int domain_number_set(uint64_t *number, const struct domain_field *field, uint64_t value, const char *where,
                      const char *said, struct error *error)
{
    if (value < field->least || value > field->most)
        return error_set(error, -ERANGE, "%s %s is not one of %" PRIu64 " to %" PRIu64, where, said,
                         field->least, field->most);
    *number = value;
    return 0;
}

static int number_parse(uint64_t *number, const struct domain_field *field, const char *text,
                        const char *where, struct error *error)
{
    char *end = NULL;
    errno = 0;
    uint64_t value =
        isdigit((unsigned char)*text) ? strtoull(text, &end, strncasecmp(text, "0x", 2) == 0 ? 16 : 10) : 0;
    if (!end || *end)
        return error_set(error, -EINVAL, "%s \"%s\" is no number; there are %" PRIu64 " to %" PRIu64, where,
                         text, field->least, field->most);
    return domain_number_set(number, field, errno ? UINT64_MAX : value, where, text, error);
}

/* As if nothing had been said of it. */
static void unset(void *at, const struct domain_field *field)
{
    if (field->type == DOMAIN_TEXT) {
        free(*(char **)at);
        *(char **)at = NULL;
    } else if (field->type == DOMAIN_LIST) {
        domain_list_clear(at);
    } else {
        *(uint64_t *)at = 0;
    }
}

int domain_config_set(struct domain_config *config, const struct domain_field *field, const char *text,
                      const char *where, struct error *error)
{
    void *at = domain_field_at(config, field);
    int code;
    if (field->none && strcmp(text, "none") == 0) {
        unset(at, field);
        return 0;
    }
    switch (field->type) {
    case DOMAIN_BOOLEAN: *(bool *)at = true; return 0;
    case DOMAIN_NUMBER: return number_parse(at, field, text, where, error);
    case DOMAIN_SIZE:
        code = size_parse(text, where, field->least, field->most, at, error);
        if (code == -ERANGE)
            error_hint(error, "a number is followed by K, M, G or T: %s 512M", where);
        return code;
    case DOMAIN_TEXT:
        code = text_check(field, text, where, error);
        return code ? code : text_set(at, text, error);
    case DOMAIN_LIST:
    case DOMAIN_MAP: break;
    }
    return (field->commas ? list_set_all : list_set)(at, field, text, where, error);
}

/* -- paths ----------------------------------------------------------------------------------------------- */

/* Where in a text there is a relative path; NULL: nowhere. */
static char *relative_path(const struct domain_field *field, char *text)
{
    char *path = NULL;
    switch (field->path) {
    case DOMAIN_NO_PATH: break;
    case DOMAIN_PATH:
    case DOMAIN_PATH_THEN_COMMAS:
    case DOMAIN_PATH_THEN_COLON: path = text; break;
    case DOMAIN_PATH_AFTER_KIND:
        if (strncmp(text, "unix:", 5) == 0 || strncmp(text, "file:", 5) == 0)
            path = text + 5;
        break;
    case DOMAIN_PATH_OR_CID: path = vsock_option_is_kernel(text) ? NULL : text;
    }
    return path && *path && *path != '/' ? path : NULL;
}

static int path_resolve(char **text, const struct domain_field *field, const char *directory,
                        struct error *error)
{
    char *path = relative_path(field, *text);
    if (!path)
        return 0;
    size_t before = (size_t)(path - *text), most = before + 2 * strlen(directory) + strlen(path) + 2;
    char *whole = malloc(most), *at = whole;
    if (!whole)
        return error_set(error, -ENOMEM, "out of memory");
    memcpy(at, *text, before);
    at += before;
    for (const char *d = directory; *d; d++) {
        if (*d == ',' && field->path == DOMAIN_PATH_THEN_COMMAS)
            *at++ = ',';
        *at++ = *d;
    }
    if (at > whole + before && at[-1] != '/')
        *at++ = '/';
    strcpy(at, path);
    free(*text);
    *text = whole;
    if (strlen(whole) > DOMAIN_TEXT_MAX)
        return error_set(error, -ENAMETOOLONG, "the path is longer than %d bytes: %.200s...", DOMAIN_TEXT_MAX,
                         whole);
    return 0;
}

int domain_config_resolve(struct domain_config *config, const char *directory, struct error *error)
{
    int code = 0;
    for (const struct domain_field *field = domain_fields; !code && field->name; field++) {
        void *at = domain_field_at(config, field);
        struct domain_list *list = at;
        if (field->path == DOMAIN_NO_PATH)
            continue;
        if (field->type == DOMAIN_TEXT && *(char **)at)
            code = path_resolve(at, field, directory, error);
        for (unsigned i = 0; !code && field->type == DOMAIN_LIST && i < list->count; i++)
            code = path_resolve(&list->items[i], field, directory, error);
    }
    if (!code && strcmp(config->kind, "program") == 0 && !config->program.root && !config->program.workdir)
        code = text_set(&config->program.workdir, directory, error);
    return code;
}
