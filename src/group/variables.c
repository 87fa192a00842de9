/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "group/variables.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLES_MAX 4096 /* in a file */
#define NESTING_MAX   8    /* texts in texts */

static bool is_name_start(char letter)
{
    return isalpha((unsigned char)letter) || letter == '_';
}

static bool is_name(char letter)
{
    return isalnum((unsigned char)letter) || letter == '_';
}

static const char *value_in(const char *const *items, unsigned count, const char *name)
{
    size_t length = strlen(name);
    for (unsigned i = 0; i < count && items[i]; i++) {
        if (strncmp(items[i], name, length) == 0 && items[i][length] == '=')
            return items[i] + length + 1;
    }
    return NULL;
}

const char *variables_find(const struct variables *variables, const char *name)
{
    const char *value = variables->environment ? value_in(variables->environment, ~0u, name) : NULL;
    return value ? value : value_in((const char *const *)variables->file.items, variables->file.count, name);
}

void variables_free(struct variables *variables)
{
    domain_list_clear(&variables->file);
}

/* -- in texts -------------------------------------------------------------------------------------------- */

struct expansion {
    const struct variables *variables;
    struct buffer *out;
    char *missing;
    unsigned depth;
};

static int expand(struct expansion *expansion, const char *at, const char *end, struct error *error);

static int not_understood(const char *at, const char *end, struct error *error)
{
    error_set(error, -EINVAL, "\"%.*s\" names no variable", (int)(end - at > 40 ? 40 : end - at), at);
    error_hint(error, "${NAME}, ${NAME:-text}, ${NAME:?message}; $$ is a $");
    return -EINVAL;
}

/* Reads a name; NULL: there is none, or it is too long. */
static const char *take_name(const char *at, const char *end, char name[VARIABLES_NAME_MAX])
{
    size_t length = 0;
    if (at == end || !is_name_start(*at))
        return NULL;
    while (at + length < end && is_name(at[length]))
        length++;
    if (length >= VARIABLES_NAME_MAX)
        return NULL;
    memcpy(name, at, length);
    name[length] = '\0';
    return at + length;
}

static int append_value(struct expansion *expansion, const char *name, struct error *error)
{
    const char *value = variables_find(expansion->variables, name);
    if (!value && !expansion->missing[0])
        snprintf(expansion->missing, VARIABLES_NAME_MAX, "%s", name);
    if (value)
        buffer_append(expansion->out, value, strlen(value));
    if (expansion->out->size > VARIABLES_TEXT_MAX)
        return error_set(error, -E2BIG, "${%s} makes a text of more than %d bytes", name, VARIABLES_TEXT_MAX);
    return 0;
}

/* ${NAME?message} of one that is not set. */
static int refuse(struct expansion *expansion, const char *name, const char *at, const char *end,
                  struct error *error)
{
    struct buffer message = {0};
    struct expansion inner = *expansion;
    inner.out = &message;
    int code = expand(&inner, at, end, error);
    buffer_append(&message, "", 1);
    if (!code && message.failed)
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code)
        code = error_set(error, -EINVAL, "the variable %s is %s%s%.200s", name,
                         variables_find(expansion->variables, name) ? "empty" : "not set",
                         message.size > 1 ? ": " : "", (const char *)message.data);
    buffer_free(&message);
    return code;
}

/* What is between ${ and }. */
static int expand_braces(struct expansion *expansion, const char *at, const char *end, struct error *error)
{
    char name[VARIABLES_NAME_MAX];
    const char *after = take_name(at, end, name);
    if (!after)
        return not_understood(at - 2, end + 1, error);
    if (after == end)
        return append_value(expansion, name, error);
    const bool colon = *after == ':';
    after += colon;
    const char sign = after < end ? *after++ : '\0';
    const char *value = variables_find(expansion->variables, name);
    const bool is_set = value && (!colon || *value);
    switch (sign) {
    case '-': return is_set ? append_value(expansion, name, error) : expand(expansion, after, end, error);
    case '+': return is_set ? expand(expansion, after, end, error) : 0;
    case '?':
        return is_set ? append_value(expansion, name, error) : refuse(expansion, name, after, end, error);
    default: return not_understood(at - 2, end + 1, error);
    }
}

/* The } of what follows ${; NULL: there is none. */
static const char *closing(const char *at, const char *end)
{
    unsigned open = 1;
    for (; at < end; at++) {
        if (*at == '$' && at + 1 < end && at[1] == '$')
            at++;
        else if (*at == '$' && at + 1 < end && at[1] == '{')
            open++;
        else if (*at == '}' && --open == 0)
            return at;
    }
    return NULL;
}

static int expand_all(struct expansion *expansion, const char *at, const char *end, struct error *error)
{
    char name[VARIABLES_NAME_MAX];
    int code = 0;
    while (!code && at < end) {
        const char *dollar = memchr(at, '$', (size_t)(end - at)), *after;
        if (!dollar)
            dollar = end;
        buffer_append(expansion->out, at, (size_t)(dollar - at));
        if (dollar == end)
            break;
        at = dollar + 1;
        if (at < end && *at == '$') {
            buffer_append(expansion->out, at++, 1);
        } else if (at < end && *at == '{') {
            after = closing(at + 1, end);
            if (!after)
                return not_understood(dollar, end, error);
            code = expand_braces(expansion, at + 1, after, error);
            at = after + 1;
        } else {
            after = take_name(at, end, name);
            if (!after)
                return not_understood(dollar, end, error);
            code = append_value(expansion, name, error);
            at = after;
        }
    }
    return code;
}

static int expand(struct expansion *expansion, const char *at, const char *end, struct error *error)
{
    if (expansion->depth == NESTING_MAX)
        return error_set(error, -E2BIG, "there are variables in the texts of more than %d others",
                         NESTING_MAX);
    expansion->depth++;
    int code = expand_all(expansion, at, end, error);
    expansion->depth--;
    return code;
}

int variables_expand(const struct variables *variables, const char *text, struct buffer *out,
                     char missing[VARIABLES_NAME_MAX], struct error *error)
{
    struct expansion expansion = {.variables = variables, .out = out, .missing = missing};
    missing[0] = '\0';
    int code = expand(&expansion, text, text + strlen(text), error);
    if (!code && out->size > VARIABLES_TEXT_MAX)
        code = error_set(error, -E2BIG, "the text is longer than %d bytes", VARIABLES_TEXT_MAX);
    return !code && out->failed ? error_set(error, -ENOMEM, "out of memory") : code;
}

/* -- files ----------------------------------------------------------------------------------------------- */

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\r';
}

/* Takes what is between quotes into `out`, as variables_expand() is to have it; what follows them, or NULL.
 */
static const char *take_quoted(const char *at, const char *end, struct buffer *out)
{
    static const char escapes[] = "n\nt\tr\r\"\"\\\\";
    const char quote = *at++;
    for (; at < end && *at != quote; at++) {
        const char *meant = NULL;
        const bool escaped = quote == '"' && *at == '\\' && at + 1 < end;
        at += escaped;
        for (const char *escape = escapes; escaped && *escape && !meant; escape += 2)
            meant = *escape == *at ? escape + 1 : NULL;
        if (escaped && !meant && *at != '$')
            buffer_append(out, "\\", 1);
        if (*at == '$' && (quote == '\'' || escaped))
            buffer_append(out, "$", 1); /* it is to stay one */
        buffer_append(out, meant ? meant : at, 1);
    }
    return at < end ? at + 1 : NULL;
}

/* Takes a value likewise. */
static int take_value(const char *at, const char *end, struct buffer *out, struct error *error)
{
    while (at < end && is_blank(*at))
        at++;
    while (at < end && is_blank(end[-1]))
        end--;
    if (at < end && (*at == '"' || *at == '\'')) {
        const char *after = take_quoted(at, end, out);
        if (!after)
            return error_set(error, -EINVAL, "the quote %c is not closed", *at);
        while (after < end && is_blank(*after))
            after++;
        if (after < end && *after != '#')
            return error_set(error, -EINVAL, "something follows the closing quote");
        return 0;
    }
    const char *stop = at;
    while (stop < end && !(*stop == '#' && (stop == at || is_blank(stop[-1]))))
        stop++;
    while (stop > at && is_blank(stop[-1]))
        stop--;
    buffer_append(out, at, (size_t)(stop - at));
    return 0;
}

/* A name that is there already gets the new value. */
static int set_variable(struct variables *variables, const char *item, struct error *error)
{
    struct domain_list *list = &variables->file;
    const size_t length = strcspn(item, "=") + 1;
    for (unsigned i = 0; i < list->count; i++) {
        if (strncmp(list->items[i], item, length) != 0)
            continue;
        char *copy = strdup(item);
        if (!copy)
            return error_set(error, -ENOMEM, "out of memory");
        free(list->items[i]);
        list->items[i] = copy;
        return 0;
    }
    if (list->count == VARIABLES_MAX)
        return error_set(error, -E2BIG, "there are more than %d variables", VARIABLES_MAX);
    return domain_list_add(list, item, error);
}

static int read_value(struct variables *variables, const char *name, const char *at, const char *end,
                      struct error *error)
{
    char missing[VARIABLES_NAME_MAX];
    struct buffer value = {0}, item = {0};
    int code = take_value(at, end, &value, error);
    buffer_append(&value, "", 1);
    buffer_append(&item, name, strlen(name));
    buffer_append(&item, "=", 1);
    if (!code && value.failed)
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code)
        code = variables_expand(variables, (const char *)value.data, &item, missing, error);
    buffer_append(&item, "", 1);
    if (!code && item.failed)
        code = error_set(error, -ENOMEM, "out of memory");
    if (!code)
        code = set_variable(variables, (const char *)item.data, error);
    buffer_free(&value);
    buffer_free(&item);
    return code;
}

static int read_line(struct variables *variables, const char *at, const char *end, struct error *error)
{
    char name[VARIABLES_NAME_MAX];
    while (at < end && is_blank(*at))
        at++;
    if (at == end || *at == '#')
        return 0;
    if (end - at > 7 && strncmp(at, "export", 6) == 0 && is_blank(at[6]))
        at += 7;
    while (at < end && is_blank(*at))
        at++;
    const char *after = take_name(at, end, name);
    while (after && after < end && is_blank(*after))
        after++;
    if (!after || after == end || *after != '=')
        return error_set(error, -EINVAL, "\"%.*s\" is not NAME=VALUE", (int)(end - at > 40 ? 40 : end - at),
                         at);
    return read_value(variables, name, after + 1, end, error);
}

int variables_read(struct variables *variables, const char *text, size_t size, const char *source,
                   struct error *error)
{
    const char *at = text, *end = text + size;
    if (size > DOMAIN_DOCUMENT_MAX)
        return error_set(error, -E2BIG, "%s: it has more than %u bytes", source, DOMAIN_DOCUMENT_MAX);
    if (size && memchr(text, 0, size))
        return error_set(error, -EINVAL, "%s: there is a zero byte in it", source);
    for (unsigned line = 1; at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        int code = read_line(variables, at, newline ? newline : end, error);
        if (code) {
            error_prefix(error, "%s:%u: ", source, line);
            return code;
        }
        at = newline ? newline + 1 : end;
    }
    return 0;
}
