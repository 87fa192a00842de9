/* SPDX-License-Identifier: GPL-2.0-or-later */
/* grub_script: words, variables and blocks of GRUB's scripting language. */
#include <ctype.h>
#include <string.h>

#include "base/buffer.h"
#include "boot/grub.h"

const char *grub_get(const struct grub *grub, const char *name, size_t length)
{
    for (unsigned i = 0; i < grub->variable_count; i++)
        if (!strncmp(grub->variables[i].name, name, length) && !grub->variables[i].name[length])
            return grub->variables[i].value;
    return "";
}

void grub_set(struct grub *grub, const char *name, size_t length, const char *value)
{
    struct arena *arena = grub->place->arena;
    unsigned i = 0;
    while (i < grub->variable_count &&
           (strncmp(grub->variables[i].name, name, length) || grub->variables[i].name[length]))
        i++;
    if (i == GRUB_VARIABLES || strlen(value) > GRUB_VALUE_MAX)
        return;
    const char *copy = arena_text(arena, name, length), *content = arena_text(arena, value, strlen(value));
    if (!copy || !content)
        return;
    grub->variables[i] = (struct grub_variable){copy, content};
    if (i == grub->variable_count)
        grub->variable_count++;
}

/* -- words ------------------------------------------------------------------------------------------------
 */

/* Blanks, joined lines and comments. */
static void skip_blanks(struct grub_cursor *c)
{
    for (;;) {
        if (*c->at == ' ' || *c->at == '\t' || *c->at == '\r')
            c->at++;
        else if (c->at[0] == '\\' && c->at[1] == '\n')
            c->at += 2;
        else
            break;
    }
    if (*c->at == '#')
        c->at += strcspn(c->at, "\n");
}

static bool ends_word(char c)
{
    return !c || strchr(" \t\r\n;&|", c);
}

static void append_variable(struct grub *grub, struct grub_cursor *c, struct buffer *out, bool active)
{
    const char *name = ++c->at;
    size_t length = 0;
    bool braces = *name == '{';
    name += braces;
    while (isalnum((unsigned char)name[length]) || name[length] == '_')
        length++;
    if (!length && (*name == '?' || *name == '@' || *name == '#' || *name == '*'))
        length = 1;
    c->at = name + length;
    if (braces)
        c->at += *c->at == '}';
    if (!length && !braces)
        buffer_append(out, "$", 1);
    else if (active && out->size <= GRUB_VALUE_MAX) {
        const char *value = grub_get(grub, name, length);
        buffer_append(out, value, strlen(value));
    }
}

static void append_quoted(struct grub *grub, struct grub_cursor *c, struct buffer *out, bool active)
{
    for (c->at++; *c->at && *c->at != '"';) {
        if (*c->at == '$') {
            append_variable(grub, c, out, active);
            continue;
        }
        if (*c->at == '\\' && c->at[1] && strchr("\\\"$", c->at[1]))
            c->at++;
        buffer_append(out, c->at++, 1);
    }
    c->at += *c->at == '"';
}

static void append_literal(struct grub_cursor *c, struct buffer *out)
{
    size_t length = strcspn(++c->at, "'");
    buffer_append(out, c->at, length);
    c->at += length;
    c->at += *c->at == '\'';
}

/* The next word. NULL: it was nothing but variables without a value. `plain`: nothing was quoted in it, so it
 * may be a keyword. */
static char *read_word(struct grub *grub, struct grub_cursor *c, bool active, bool *plain)
{
    struct buffer out = {0};
    bool quoted = false;
    *plain = true;
    while (!ends_word(*c->at)) {
        char first = *c->at;
        if (first == '\'') {
            append_literal(c, &out);
        } else if (first == '"') {
            append_quoted(grub, c, &out, active);
        } else if (first == '$') {
            append_variable(grub, c, &out, active);
        } else {
            if (first == '\\' && c->at[1])
                c->at++;
            buffer_append(&out, c->at++, 1);
        }
        quoted |= first == '\'' || first == '"';
        *plain &= first != '\'' && first != '"' && first != '$' && first != '\\';
    }
    char *word = (out.size || quoted) && !out.failed
                     ? arena_text(grub->place->arena, out.size ? (const char *)out.data : "", out.size)
                     : NULL;
    buffer_free(&out);
    return word;
}

/* -- blocks -----------------------------------------------------------------------------------------------
 */

static enum grub_stop keyword(const char *word)
{
    static const struct {
        const char *word;
        enum grub_stop stop;
    } words[] = {{"then", GRUB_THEN}, {"elif", GRUB_ELIF}, {"else", GRUB_ELSE}, {"fi", GRUB_FI},
                 {"do", GRUB_DO},     {"done", GRUB_DONE}, {"}", GRUB_BRACE}};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(word, words[i].word))
            return words[i].stop;
    return 0;
}

static bool run_if(struct grub *grub, struct grub_cursor *c, bool active)
{
    bool waiting = active, status = true;
    do {
        bool holds = grub_run(grub, c, GRUB_THEN, waiting) && waiting;
        if (c->stop != GRUB_THEN)
            return false;
        bool result = grub_run(grub, c, GRUB_ELIF | GRUB_ELSE | GRUB_FI, holds);
        if (holds) {
            waiting = false;
            status = result;
        }
    } while (c->stop == GRUB_ELIF);
    if (c->stop == GRUB_ELSE) {
        bool result = grub_run(grub, c, GRUB_FI, waiting);
        if (waiting)
            status = result;
    }
    return status;
}

static void skip_loop(struct grub *grub, struct grub_cursor *c)
{
    grub_run(grub, c, GRUB_DO, false);
    if (c->stop == GRUB_DO)
        grub_run(grub, c, GRUB_DONE, false);
}

/* menuentry, submenu: title, options, and a body that is run when it is chosen. */
static void add_entry(struct grub *grub, struct grub_cursor *c, char **words, unsigned count, bool active)
{
    const char *body = c->at, *id = NULL;
    grub_run(grub, c, GRUB_BRACE, false);
    if (!active || count < 2 || grub->entry_count == GRUB_ENTRIES)
        return;
    for (unsigned i = 2; i + 1 < count; i++)
        if (!strcmp(words[i], "--id") || !strcmp(words[i], "--menuentry_id_option"))
            id = words[i + 1];
    grub->entries[grub->entry_count++] =
        (struct grub_entry){words[1], id, !strcmp(words[0], "submenu"), body};
}

/* The words of a command up to its end; *brace: it ended with an opening brace. */
static unsigned read_command(struct grub *grub, struct grub_cursor *c, bool active, char **words, bool *brace)
{
    unsigned count = 0;
    bool plain;
    *brace = false;
    for (;;) {
        skip_blanks(c);
        if (ends_word(*c->at))
            return count;
        const char *start = c->at;
        char *word = read_word(grub, c, active, &plain);
        if (word && plain && count && !strcmp(word, "{")) {
            *brace = true;
            return count;
        }
        if (word && plain && count && !strcmp(word, "}")) { /* ends command and block */
            c->at = start;
            return count;
        }
        if (word && count < GRUB_WORDS)
            words[count++] = word;
        if (count == 1 && plain && (keyword(words[0]) || !strcmp(words[0], "if") || !strcmp(words[0], "{")))
            return count;
    }
}

/* One command. Whether it succeeded, or `status`; c->stop is set if it was a keyword that ends a block. */
static bool run_command(struct grub *grub, struct grub_cursor *c, bool active, bool status)
{
    char *words[GRUB_WORDS];
    bool brace;
    unsigned count = read_command(grub, c, active, words, &brace);
    if (!count)
        return status;
    enum grub_stop stop = count == 1 ? keyword(words[0]) : 0;
    if (stop) {
        c->stop = stop;
        return status;
    }
    bool compound = true;
    if (!strcmp(words[0], "if"))
        status = run_if(grub, c, active);
    else if (!strcmp(words[0], "for") || !strcmp(words[0], "while") || !strcmp(words[0], "until"))
        skip_loop(grub, c);
    else if (brace && (!strcmp(words[0], "menuentry") || !strcmp(words[0], "submenu")))
        add_entry(grub, c, words, count, active);
    else if (brace || !strcmp(words[0], "{")) /* a function's body, or what is hidden in one */
        grub_run(grub, c, GRUB_BRACE, active && !brace);
    else
        compound = false;
    if (compound)
        c->stop &= GRUB_END; /* its own end is none of the block around it */
    else if (active)
        status = grub_command(grub, words, count);
    return status;
}

bool grub_run(struct grub *grub, struct grub_cursor *c, unsigned stops, bool active)
{
    bool status = true;
    c->stop = 0;
    if (grub->depth >= GRUB_DEPTH || grub->place->arena->failed) {
        c->at += strlen(c->at);
        c->stop = GRUB_END;
        return false;
    }
    grub->depth++;
    while (!(c->stop & (stops | GRUB_END))) {
        c->stop = 0;
        skip_blanks(c);
        if (!*c->at || ++grub->steps > GRUB_STEPS)
            c->stop = GRUB_END;
        else if (ends_word(*c->at))
            c->at++;
        else
            status = run_command(grub, c, active, status);
    }
    grub->depth--;
    return status;
}
