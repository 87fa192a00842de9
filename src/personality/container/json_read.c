/* SPDX-License-Identifier: GPL-2.0-or-later */
/* json_bind: reading the document. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "personality/container/json_bind.h"

#define DOCUMENT_SIZE_MAX (16 << 20) /* bytes; far above what any tool writes */

/* Whether these digits are more than jansson's integers can be. */
static bool is_large(const char *digits, size_t count)
{
    static const char largest[] = "9223372036854775807";
    size_t room = sizeof largest - 1;
    return count > room || (count == room && memcmp(digits, largest, room) > 0);
}

/* jansson refuses integers above INT64_MAX, which "no limit" is in configurations that Go programs write:
 * those get a
 * ".0", by which they are reals. Of malloc(). */
static char *without_large_integers(const char *text, size_t size, size_t *new_size)
{
    char *copy = malloc(size * 2 + 1); /* a number that grows by 2 has 19 digits */
    bool in_text = false;
    size_t out = 0;
    for (size_t i = 0; copy && i < size;) {
        size_t run = 0;
        while (!in_text && i + run < size && text[i + run] >= '0' && text[i + run] <= '9')
            run++;
        if (!run) {
            if (text[i] == '"')
                in_text = !in_text;
            else if (in_text && text[i] == '\\' && i + 1 < size)
                copy[out++] = text[i++];
            copy[out++] = text[i++];
            continue;
        }
        bool fraction = i && memchr(".eE+", text[i - 1], 4);
        bool continued = i + run < size && memchr(".eE", text[i + run], 3);
        memcpy(copy + out, text + i, run);
        out += run;
        if (!fraction && !continued && is_large(text + i, run)) {
            copy[out++] = '.';
            copy[out++] = '0';
        }
        i += run;
    }
    *new_size = out;
    return copy;
}

int json_binding_parse(struct json_binding *binding, const char *text, size_t size, struct error *error)
{
    json_error_t problem;
    binding->document = json_loadb(text, size, 0, &problem);
    if (!binding->document && json_error_code(&problem) == json_error_numeric_overflow) {
        char *changed = without_large_integers(text, size, &size);
        if (changed)
            binding->document = json_loadb(changed, size, 0, &problem);
        free(changed);
    }
    if (!binding->document)
        return error_set(error, -EINVAL, "not a JSON document: line %d: %s", problem.line, problem.text);
    return 0;
}

static int read_all(int fd, const char *name, size_t size, char **text, size_t *used, struct error *error)
{
    *used = 0;
    if (!(*text = malloc(size + 1)))
        return error_set(error, -ENOMEM, "cannot read %s: out of memory", name);
    while (*used < size) {
        ssize_t got = read(fd, *text + *used, size - *used);
        if (got < 0)
            return error_set(error, -errno, "cannot read %s: %s", name, strerror(errno));
        if (got == 0)
            break;
        *used += (size_t)got;
    }
    return 0;
}

int json_read_text(int directory, const char *name, char **text, size_t *size, struct error *error)
{
    struct stat status;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC), code;
    *text = NULL;
    if (fd < 0)
        return error_set(error, -errno, "cannot open %s: %s", name, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        code = error_set(error, -EINVAL, "cannot read %s: it is not a file", name);
    else if (status.st_size > DOCUMENT_SIZE_MAX)
        code = error_set(error, -EFBIG, "cannot read %s: it is larger than 16 MiB", name);
    else
        code = read_all(fd, name, (size_t)status.st_size, text, size, error);
    close(fd);
    if (code < 0) {
        free(*text);
        *text = NULL;
    }
    return code;
}

int json_binding_read(struct json_binding *binding, int directory, const char *name, struct error *error)
{
    char *text;
    size_t size;
    int code = json_read_text(directory, name, &text, &size, error);
    if (code == 0)
        code = json_binding_parse(binding, text, size, error);
    free(text);
    return code;
}
