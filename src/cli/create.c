/* SPDX-License-Identifier: GPL-2.0-or-later */
/* create: makes a domain, which does not run yet. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/domain_words.h"

enum { NAME, FROM, SCHEMA };

static const struct command_option options[] = {
    [NAME] = {.name = "name", .argument = "NAME", .help = "Its name; one is found if there is none"},
    [FROM] = {.name = "from",
              .argument = "FILE",
              .help = "Take this configuration, as \"visor inspect\" prints it; - is standard input",
              .is_file = true},
    [SCHEMA] = {.name = "schema", .help = "Print the JSON schema of configurations"},
    {0},
};

static struct create_state {
    struct domain_words words;
    const char *name;
    bool schema;
} create_state;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct create_state *state = context;
    switch (index) {
    case NAME: state->name = argument; return 0;
    case FROM: return domain_words_load(&state->words, argument, error);
    default: state->schema = true; return 0;
    }
}

static int set_field(void *context, const struct domain_field *field, const char *argument,
                     struct error *error)
{
    struct create_state *state = context;
    return domain_words_set(&state->words, field, argument, error);
}

static int print_schema(void)
{
    json_t *schema = domain_config_schema();
    int code = schema ? json_dumpf(schema, stdout, JSON_INDENT(2)) : -1;
    putchar('\n');
    json_decref(schema);
    return code ? STATUS_FAILED : STATUS_OK;
}

static int run_create(void *context, int count, char **arguments)
{
    struct create_state *state = context;
    struct error error = ERROR_INIT;
    struct domain_store store;
    struct domain domain;
    if (state->schema)
        return print_schema();
    if (domain_words_finish(&state->words, count, arguments, &error)) {
        error_report(&error);
        return STATUS_USAGE;
    }
    int code = domain_words_create(&state->words, state->name, false, &store, &domain, &error);
    if (code) {
        error_report(&error);
        return STATUS_CANNOT_RUN;
    }
    printf("%s\n", domain.id);
    domain_close(&domain);
    domain_store_close(&store);
    return STATUS_OK;
}

const struct command command_create = {
    .name = "create",
    .arguments = "PROGRAM [ARG…] | IMAGE | DIRECTORY [PROGRAM [ARG…]]",
    .summary = "Makes a domain that does not run yet, and prints its id",
    .details = "It takes what \"visor run\" takes. Relative paths begin at the working directory.\n"
               "Exit status: 126 if it cannot be made.\n",
    .options = options,
    .option = set_option,
    .field = set_field,
    .run = run_create,
    .state = &create_state,
};
