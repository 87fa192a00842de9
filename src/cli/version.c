/* SPDX-License-Identifier: GPL-2.0-or-later */
/* version: which visor this is. */
#include <jansson.h>
#include <stdio.h>

#include "base/error.h"
#include "cli/command.h"

static bool as_json;

static int set_option(void *state, int index, const char *argument, struct error *error)
{
    (void)index;
    (void)argument;
    (void)error;
    *(bool *)state = true;
    return 0;
}

static int run_version(void *state, int count, char **words)
{
    (void)count;
    (void)words;
    if (!*(bool *)state) {
        printf("visor %s (translates arm64 and amd64 programs and x86 machines on x86-64)\n", VISOR_VERSION);
        return STATUS_OK;
    }
    json_t *object = json_pack("{s:s, s:[s, s], s:[s], s:s}", "version", VISOR_VERSION, "guests", "arm64",
                               "amd64", "machines", "pc", "host", "x86-64");
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return STATUS_OK;
}

static const struct command_option options[] = {
    {.name = "json", .help = "Print JSON"},
    {0},
};

const struct command command_version = {
    .name = "version",
    .arguments = "",
    .summary = "Prints the version",
    .options = options,
    .option = set_option,
    .run = run_version,
    .state = &as_json,
};
