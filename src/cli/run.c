/* SPDX-License-Identifier: GPL-2.0-or-later */
/* run: runs one program of another CPU, in a root of its own if asked; or a whole machine. */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/domain_words.h"
#include "domain/process.h"
#include "domain/program.h"

static const struct command_option options[] = {{0}};

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
    "Examples:\n"
    "  visor run ./hello-arm64\n"
    "  visor run --root ~/debian-arm64 apt-get update\n"
    "  visor run --trace syscall --root ~/debian-arm64 ls /\n"
    "  visor run --cpus 2 --kernel vmlinuz --initrd initrd.img --append 'console=ttyS0 quiet'\n";

static struct run_state {
    struct domain_words words;
} run_state;

static int set_field(void *context, const struct domain_field *field, const char *argument,
                     struct error *error)
{
    struct run_state *state = context;
    return domain_words_set(&state->words, field, argument, error);
}

static int run_program(const struct domain_config *config)
{
    struct error error = ERROR_INIT;
    int code = domain_program_become(config, &error);
    error_report(&error);
    return code == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_RUN;
}

static int run_here(const struct domain_config *config)
{
    struct error error = ERROR_INIT;
    struct domain_run run = {.config = config, .console = -1};
    struct domain_end end;
    if (!domain_process_run(&run, &end, &error))
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
    return strcmp(config->kind, "program") == 0 ? run_program(config) : run_here(config);
}

const struct command command_run_domain = {
    .name = "run",
    .arguments = "PROGRAM [ARG…] | IMAGE",
    .summary = "Runs a program of another CPU, or a whole machine",
    .details = details,
    .options = options,
    .field = set_field,
    .run = run_run,
    .state = &run_state,
};
