/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/control_option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Up to a single comma or the end; doubled ones become one. */
static const char *copy_piece(char *to, const char *text)
{
    while (*text && (*text != ',' || text[1] == ',')) {
        text += *text == ',';
        *to++ = *text++;
    }
    *to = '\0';
    return text;
}

static int check_option(const char *option, struct error *error)
{
    if (!strcmp(option, "server") || !strcmp(option, "server=on") || !strcmp(option, "wait=off") ||
        !strcmp(option, "nowait"))
        return 0;
    if (!strcmp(option, "server=off"))
        return error_set(error, -EINVAL, "server=off: visor listens and connects to nobody");
    if (!strcmp(option, "wait=on") || !strcmp(option, "wait"))
        return error_set(error, -EINVAL, "wait=on: visor does not wait for a client; say wait=off");
    error_set(error, -EINVAL, "it has no option \"%s\"", option);
    error_hint(error, "unix:PATH,server=on,wait=off; a comma in a path is written twice");
    return -EINVAL;
}

int domain_control_option_parse(const char *text, char **path, struct error *error)
{
    char *copy = strncmp(text, "unix:", 5) ? NULL : malloc(strlen(text)),
         *option = copy ? malloc(strlen(text)) : NULL;
    int code = 0;
    if (strncmp(text, "unix:", 5)) {
        error_set(error, -EINVAL, "the control socket is unix:PATH");
        return -EINVAL;
    }
    if (!option)
        code = error_set(error, -ENOMEM, "out of memory");
    const char *rest = code ? "" : copy_piece(copy, text + 5);
    if (!code && !*copy)
        code = error_set(error, -EINVAL, "the path is missing after unix:");
    while (!code && *rest) {
        rest = copy_piece(option, rest + 1);
        code = check_option(option, error);
    }
    free(option);
    if (code)
        free(copy);
    else
        *path = copy;
    return code;
}
