/* SPDX-License-Identifier: GPL-2.0-or-later */
/* main: picks the command, nothing else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "network/server.h"
#include "personality/linux/linux.h"

int main(int argument_count, char **arguments)
{
    linux_continue_binfmt(arguments, environ);
    linux_continue_exec(arguments, environ);
    server_continue(argument_count, arguments);

    const char *slash = argument_count ? strrchr(arguments[0], '/') : NULL;
    if (argument_count && strcmp(slash ? slash + 1 : arguments[0], "visor-oci") == 0)
        return command_run(&command_oci, argument_count,
                           arguments); /* for callers that know only a program's path */

    while (argument_count > 2 && strcmp(arguments[1], "--store") == 0) {
        setenv("VISOR_STORE", arguments[2], 1);
        arguments[2] = arguments[0];
        arguments += 2;
        argument_count -= 2;
    }
    if (argument_count < 2) {
        command_print_overview();
        return STATUS_USAGE;
    }
    const char *name = arguments[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0)
        name = "version";

    const struct command *command = command_find(name);
    if (!command) {
        fprintf(stderr, "visor: there is no command \"%s\"\n  hint: \"visor help\" lists the commands\n",
                name);
        return STATUS_USAGE;
    }
    return command_run(command, argument_count - 1, arguments + 1);
}
