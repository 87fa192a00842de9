/* SPDX-License-Identifier: GPL-2.0-or-later */
/* help: what visor and each of its commands do. */
#include <stdio.h>

#include "cli/command.h"

static int run_help(void *state, int count, char **words)
{
    (void)state;
    if (count == 0) {
        command_print_overview();
        return STATUS_OK;
    }
    const struct command *command = command_find(words[0]);
    if (!command) {
        fprintf(stderr,
                "visor: help: there is no command \"%s\"\n  hint: \"visor help\" lists the commands\n",
                words[0]);
        return STATUS_USAGE;
    }
    command_print_help(command);
    return STATUS_OK;
}

static const struct command_option options[] = {{0}};

const struct command command_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "Lists the commands, or explains one",
    .options = options,
    .run = run_help,
};
