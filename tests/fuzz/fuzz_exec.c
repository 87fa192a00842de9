/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_exec: any bytes as a script's first line give an interpreter and an argument as Linux finds them, or
 * ENOEXEC; any text as visor's own variable is refused or says where the program's names are within it,
 * and visor's own gives back any names.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "personality/linux/start.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_within(const char *text, const char *start, size_t size)
{
    return text >= start && text < start + size && memchr(text, '\0', (size_t)(start + size - text));
}

static void parse_line(const uint8_t *data, size_t size)
{
    char *interpreter, *argument;
    char *head = malloc(size + 1); /* of its exact size, for the sanitizer */
    if (!head)
        return;
    memcpy(head, data, size);
    head[size] = '\0';
    int code = linux_script_parse(head, size, &interpreter, &argument);
    if (code != 0 && code != -ENOEXEC)
        abort();
    if (code == 0) {
        if (!is_within(interpreter, head, size + 1) || !*interpreter || strpbrk(interpreter, " \t\n"))
            abort();
        if (argument && (!is_within(argument, head, size + 1) || !*argument || is_blank(*argument) ||
                         strchr(argument, '\n') || argument <= interpreter))
            abort();
    }
    free(head);
}

static void parse_variable(const uint8_t *data, size_t size)
{
    static char exec_name[PATH_MAX];
    const size_t prefix = strlen(LINUX_EXEC_VARIABLE);
    struct linux_start start;
    char *text = malloc(prefix + size + 1);
    if (!text)
        return;
    memcpy(text, LINUX_EXEC_VARIABLE, prefix);
    memcpy(text + prefix, data, size);
    text[prefix + size] = '\0';
    if (linux_exec_parse(text, &start, exec_name)) {
        size_t length = strlen(start.exec_name);
        if (!is_within(start.path, text, prefix + size + 1) || length >= PATH_MAX ||
            memcmp(start.path - 1 - length, start.exec_name, length) != 0 || start.path[-1] != ' ')
            abort();
    }
    free(text);
}

/* What is said of any two names arrives. */
static void pass_on(const uint8_t *data, size_t size)
{
    static char exec_name[PATH_MAX];
    struct linux_start start;
    char *variable;
    size_t length = strnlen((const char *)data, size), rest = length < size ? length + 1 : size;
    char *name = strndup((const char *)data, length), *path = strndup((const char *)data + rest, size - rest);

    if (name && path && length < PATH_MAX &&
        asprintf(&variable, LINUX_EXEC_VARIABLE "1000 1001 -1 0 -1 0 0 0 0 - %zu %s %s", length, name, path) >
            0) {
        if (!linux_exec_parse(variable, &start, exec_name) || strcmp(start.exec_name, name) != 0 ||
            strcmp(start.path, path) != 0)
            abort();
        free(variable);
    }
    free(name);
    free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pass_on(data, size);
    if (size >= 2 && size <= LINUX_SCRIPT_HEAD && data[0] == '#' && data[1] == '!')
        parse_line(data, size);
    else
        parse_variable(data, size);
    return 0;
}
