/* SPDX-License-Identifier: GPL-2.0-or-later */
/* document_json: what plain texts mean (YAML 1.2.2, 10.3.2: the core schema), and trees as JSON. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "group/document.h"

static bool is_one_of(const char *text, const char *const *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool is_null(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    return is_one_of(text, words, ARRAY_SIZE(words));
}

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? ; `whole`: without point and exponent.
 */
static bool is_decimal(const char *text, bool *whole)
{
    text += *text == '-' || *text == '+';
    size_t before = digits(text), after = 0;
    text += before;
    *whole = *text == '\0';
    if (*text == '.')
        text += 1 + (after = digits(text + 1));
    if (!before && !after)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        text += *text == '-' || *text == '+';
        if (!digits(text))
            return false;
        text += digits(text);
    }
    return *text == '\0';
}

/* 0: it is no whole number. */
static int integer_base(const char *text)
{
    bool whole;
    if (strncmp(text, "0o", 2) == 0)
        return text[2] && !text[2 + strspn(text + 2, "01234567")] ? 8 : 0;
    if (strncmp(text, "0x", 2) == 0)
        return text[2] && !text[2 + strspn(text + 2, "0123456789abcdefABCDEF")] ? 16 : 0;
    return is_decimal(text, &whole) && whole ? 10 : 0;
}

json_t *document_plain_json(const struct document_value *value)
{
    static const char *const yes[] = {"true", "True", "TRUE"}, *const no[] = {"false", "False", "FALSE"};
    const char *text = value->text;
    bool whole;
    const int base = integer_base(text);
    if (is_null(text))
        return json_null();
    if (is_one_of(text, yes, ARRAY_SIZE(yes)) || is_one_of(text, no, ARRAY_SIZE(no)))
        return json_boolean(is_one_of(text, yes, ARRAY_SIZE(yes)));
    if (base) {
        errno = 0;
        long long number = strtoll(base == 8 ? text + 2 : text, NULL, base);
        if (!errno)
            return json_integer(number);
    }
    if (is_decimal(text, &whole)) {
        json_t *real = json_real(strtod(text, NULL)); /* NULL: it is beyond what JSON has */
        if (real)
            return real;
    }
    return json_string(text);
}

static json_t *map_json(const struct document_value *value, bool texts)
{
    json_t *object = json_object();
    for (unsigned i = 0; object && i < value->count; i++) {
        json_t *item = document_json(value->entries[i].value, texts);
        if (json_object_set_new(object, value->entries[i].name, item)) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *list_json(const struct document_value *value, bool texts)
{
    json_t *array = json_array();
    for (unsigned i = 0; array && i < value->count; i++) {
        if (json_array_append_new(array, document_json(value->entries[i].value, texts))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

json_t *document_json(const struct document_value *value, bool texts)
{
    switch (value->type) {
    case DOCUMENT_MAP: return map_json(value, texts);
    case DOCUMENT_LIST: return list_json(value, texts);
    case DOCUMENT_TEXT: break;
    }
    if (!value->plain || (texts && (value->had_variables || !is_null(value->text))))
        return json_string(value->text);
    return document_plain_json(value);
}
