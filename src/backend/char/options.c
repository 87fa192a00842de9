/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "backend/char/host.h"

static int path_parse(struct char_options *options, const char *path, size_t most, struct error *error)
{
    if (!*path)
        return error_set(error, -EINVAL, "a path is missing after the colon");
    if (strlen(path) > most)
        return error_set(error, -ENAMETOOLONG, "the path is longer than %zu characters: %s", most, path);
    options->path = path;
    return 0;
}

static int escape_parse(uint8_t *escape, const char *text, struct error *error)
{
    char key = text[0] == '^' && text[1] && !text[2] ? text[1] : 0;
    if (key >= 'a' && key <= 'z')
        key = (char)(key - 'a' + 'A');
    if (!strcmp(text, "none")) {
        *escape = 0;
    } else if (key > '@' && key <= '_') {
        *escape = (uint8_t)(key - '@');
    } else {
        error_set(error, -EINVAL, "%s is no escape key", *text ? text : "nothing");
        error_hint(error, "a control character such as ^] or ^A, or none");
        return -EINVAL;
    }
    return 0;
}

int char_options_parse(struct char_options *options, const char *text, struct error *error)
{
    *options = (struct char_options){.escape = CHAR_ESCAPE_DEFAULT};
    if (!strcmp(text, "none")) {
        options->kind = CHAR_NONE;
    } else if (!strcmp(text, "stdio")) {
        options->kind = CHAR_STDIO;
    } else if (!strncmp(text, "stdio,escape=", 13)) {
        options->kind = CHAR_STDIO;
        return escape_parse(&options->escape, text + 13, error);
    } else if (!strcmp(text, "pty")) {
        options->kind = CHAR_PTY;
    } else if (!strncmp(text, "unix:", 5)) {
        options->kind = CHAR_UNIX;
        return path_parse(options, text + 5, sizeof(((struct sockaddr_un *)0)->sun_path) - 1, error);
    } else if (!strncmp(text, "file:", 5)) {
        options->kind = CHAR_FILE;
        return path_parse(options, text + 5, 4095, error);
    } else {
        error_set(error, -EINVAL, "%s is no place for a console", *text ? text : "nothing");
        error_hint(error, "stdio, stdio,escape=KEY, pty, unix:PATH, file:PATH or none");
        return -EINVAL;
    }
    return 0;
}
