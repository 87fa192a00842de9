/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/run_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine/machine_qmp.h"

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
        return error_set(error, -EINVAL, "--qmp server=off: visor listens and connects to nobody");
    if (!strcmp(option, "wait=on") || !strcmp(option, "wait"))
        return error_set(error, -EINVAL, "--qmp wait=on: visor does not wait for a client; say wait=off");
    error_set(error, -EINVAL, "--qmp has no option \"%s\"", option);
    error_hint(error, "unix:PATH,server=on,wait=off; a comma in a path is written twice");
    return -EINVAL;
}

int run_control_parse(const char *text, char **path, struct error *error)
{
    char *copy = strncmp(text, "unix:", 5) ? NULL : malloc(strlen(text)),
         *option = copy ? malloc(strlen(text)) : NULL;
    int code = 0;
    if (strncmp(text, "unix:", 5)) {
        error_set(error, -EINVAL, "--qmp \"%s\": the control socket is unix:PATH", text);
        return -EINVAL;
    }
    if (!option)
        code = error_set(error, -ENOMEM, "out of memory");
    const char *rest = code ? "" : copy_piece(copy, text + 5);
    if (!code && !*copy)
        code = error_set(error, -EINVAL, "--qmp: the path is missing after unix:");
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

int run_control_start(struct run_control *control, struct machine *machine, const char *path,
                      struct error *error)
{
    const struct machine_qmp_options options = {0};
    int code = qmp_server_new(&control->server, machine->loop, error);
    if (!code)
        code = machine_qmp_new(&control->machine, machine, control->server, &options, error);
    if (!code) {
        code = qmp_server_listen(control->server, path, error);
        error_prefix(code ? error : NULL, "--qmp: ");
    }
    if (code)
        run_control_stop(control);
    return code;
}

void run_control_stop(struct run_control *control)
{
    machine_qmp_free(control->machine);
    qmp_server_free(control->server);
    *control = (struct run_control){0};
}
