/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run: runs one program of another CPU, in a root of its own if asked; a container; or a whole machine. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/domain_words.h"
#include "domain/kind.h"
#include "domain/process.h"
#include "domain/program.h"

enum { DETACH, NAME };

static const struct command_option options[] = {
    [DETACH] = {.name = "detach", .letter = 'd', .help = "In the background; print its id"},
    [NAME] = {.name = "name", .argument = "NAME", .help = "Its name, by which it is kept after its end"},
    {0},
};

static const char details[] =
    "PROGRAM is looked up in PATH unless it has a slash. With --root it is a path inside DIR,\n"
    "PATH and HOME are set for root, and without PROGRAM a shell is run. Exit status and death by\n"
    "a signal are the program's own; 126 means it could not be run, 127 that it was not found.\n"
    "\n"
    "A machine is made of a disk IMAGE, or of any option from --machine on. The console is the first\n"
    "serial port, by default on this terminal, where Ctrl-] opens a menu. Exit status: 0 switched\n"
    "off, 3 reset and 4 triple fault (with --no-reboot), 5 kernel panic, 6 ended from outside,\n"
    "1 the host could not go on, 126 it could not be started. SIGTERM presses the power button,\n"
    "a second one ends it.\n"
    "\n"
    "A container is made of a DIRECTORY: the root it shall have, in which PROGRAM is looked for, or an\n"
    "OCI bundle. --env --workdir --volume --tty are for it, too, and --memory and --cpus are limits. On a\n"
    "terminal it has one of its own. Its exit status is the program's.\n"
    "\n"
    "While it runs, a machine or container is a domain that \"visor ps\" lists. After its end it is gone,\n"
    "unless it has been given a --name or --restart policy, or runs in the background.\n"
    "\n"
    "Examples:\n"
    "  visor run ./hello-arm64\n"
    "  visor run --root ~/debian-arm64 apt-get update\n"
    "  visor run --trace syscall --root ~/debian-arm64 ls /\n"
    "  visor run --cpus 2 --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0 quiet'\n"
    "  visor run -d --name web --restart on-failure web.img\n"
    "  visor run --memory 256M --volume $PWD:/src:ro ~/debian make -C /src\n";

static struct run_state {
    struct domain_words words;
    bool detach;
    const char *name;
} run_state;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct run_state *state = context;
    (void)error;
    if (index == DETACH)
        state->detach = true;
    else
        state->name = argument;
    return 0;
}

static int set_field(void *context, const struct domain_field *field, const char *argument,
                     struct error *error)
{
    struct run_state *state = context;
    return domain_words_set(&state->words, field, argument, error);
}

static int run_program(const struct domain_config *config)
{
    struct error error = ERROR_INIT;
    int code = domain_program_become(config, -1, &error);
    error_report(&error);
    return code == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

/* Nobody has asked for it to be stored: it runs all the same where there can be no store. */
static int run_unstored(struct run_state *state, const struct error *why)
{
    struct error error = ERROR_INIT;
    struct domain_end end;
    fprintf(stderr, "visor: this machine is not listed: %s\n", why->message);
    if (!domain_run_unstored(&state->words.config, &end, &error))
        return end.status;
    error_report(&error);
    return STATUS_CANNOT_RUN;
}

static int start_detached(struct domain *domain, struct error *error)
{
    int code = domain_start(domain, error);
    if (!code)
        printf("%s\n", domain->id);
    else if (domain_remove(domain, NULL))
        domain_unlock(domain);
    domain_close(domain);
    return code;
}

static int run_domain(struct run_state *state)
{
    struct domain_config *config = &state->words.config;
    struct domain domain;
    struct domain_store store;
    struct domain_end end = {0};
    struct error error = ERROR_INIT;
    const bool kept = state->detach || state->name || strcmp(config->restart, "no") != 0;
    config->remove |= !kept;
    int code = domain_words_create(&state->words, state->name, true, &store, &domain, &error);
    if (code && code != -ENODEV && !kept && domain_kind_of(config) == &domain_kind_machine)
        return run_unstored(state, &error);
    if (!code) {
        code = state->detach ? start_detached(&domain, &error) : domain_run_here(&domain, &end, &error);
        domain_store_close(&store);
    }
    if (!code)
        return end.status;
    error_report(&error);
    return STATUS_CANNOT_RUN;
}

static int run_run(void *context, int count, char **words)
{
    struct run_state *state = context;
    struct error error = ERROR_INIT;
    if (domain_words_finish(&state->words, count, words, &error)) {
        error_report(&error);
        return STATUS_USAGE;
    }
    const struct domain_config *config = &state->words.config;
    const struct domain_kind *kind = domain_kind_of(config);
    const bool stored =
        state->detach || state->name || kind != &domain_kind_program || strcmp(config->restart, "no") != 0;
    if (kind->protect && kind->protect(&error)) {
        error_report(&error);
        return STATUS_CANNOT_RUN;
    }
    return stored ? run_domain(state) : run_program(config);
}

const struct command command_run_domain = {
    .name = "run",
    .arguments = "PROGRAM [ARG…] | IMAGE | DIRECTORY [PROGRAM [ARG…]]",
    .summary = "Runs a program of another CPU, a container, or a whole machine",
    .details = details,
    .options = options,
    .option = set_option,
    .field = set_field,
    .run = run_run,
    .state = &run_state,
};
