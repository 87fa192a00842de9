/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci create, oci run: make a container; and start it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/oci.h"
#include "personality/container/container.h"

enum option {
    BUNDLE,
    CONSOLE_SOCKET,
    PID_FILE,
    PRESERVE_FDS,
    NO_PIVOT,
    NO_NEW_KEYRING,
    CREATE_OPTIONS,
    DETACH = CREATE_OPTIONS,
    KEEP,
    NO_SUBREAPER,
};

#define COMMON_OPTIONS                                                                                       \
    [BUNDLE] = {.name = "bundle",                                                                            \
                .argument = "DIR",                                                                           \
                .help = "The directory with config.json; the current one",                                   \
                .is_file = true,                                                                             \
                .letter = 'b'},                                                                              \
    [CONSOLE_SOCKET] = {.name = "console-socket",                                                            \
                        .argument = "PATH",                                                                  \
                        .help = "Send the terminal's master to this Unix socket",                            \
                        .is_file = true},                                                                    \
    [PID_FILE] = {.name = "pid-file",                                                                        \
                  .argument = "FILE",                                                                        \
                  .help = "Write the first process's id there",                                              \
                  .is_file = true},                                                                          \
    [PRESERVE_FDS] = {.name = "preserve-fds",                                                                \
                      .argument = "N",                                                                       \
                      .help = "Let the program have N descriptors from 3 on"},                               \
    [NO_PIVOT] = {.name = "no-pivot", .help = "Do without pivot_root(): for hosts on a RAM disk"},           \
    [NO_NEW_KEYRING] = {.name = "no-new-keyring", .help = "Leave the session keyring as it is"}

static const struct command_option create_options[] = {COMMON_OPTIONS, {0}};
static const struct command_option run_options[] = {
    COMMON_OPTIONS,
    [DETACH] = {.name = "detach", .help = "Do not wait for its end", .letter = 'd'},
    [KEEP] = {.name = "keep", .help = "Do not delete it at its end"},
    [NO_SUBREAPER] = {.name = "no-subreaper", .help = "Accepted for callers that give it"},
    {0},
};

static struct create_state {
    struct container_options options;
    bool detach, keep;
} create_state = {.options = {.bundle = "."}};

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct create_state *state = context;
    switch ((enum option)index) {
    case BUNDLE: state->options.bundle = argument; return 0;
    case CONSOLE_SOCKET: state->options.console_socket = argument; return 0;
    case PID_FILE: state->options.pid_file = argument; return 0;
    case PRESERVE_FDS: return oci_parse_number(argument, "preserve-fds", &state->options.preserve_fds, error);
    case NO_PIVOT: state->options.no_pivot = true; return 0;
    case NO_NEW_KEYRING: state->options.no_new_keyring = true; return 0;
    case DETACH: state->detach = true; return 0;
    case KEEP: state->keep = true; return 0;
    case NO_SUBREAPER: return 0;
    }
    return error_set(error, -EINVAL, "unknown option");
}

static void complete_options(struct container_options *options, const char *id)
{
    options->state_root = oci_options.state_root;
    options->systemd_cgroup = oci_options.systemd_cgroup;
    options->id = id;
}

static int run_create(void *context, int count, char **words)
{
    struct create_state *state = context;
    struct error error = ERROR_INIT;
    struct container_new made;
    if (!oci_check_words(&oci_create, count, 1, 1))
        return STATUS_USAGE;
    complete_options(&state->options, words[0]);
    return container_create(&state->options, &made, &error) < 0 ? oci_fail(&error) : STATUS_OK;
}

static int run_detached(struct create_state *state)
{
    struct error error = ERROR_INIT;
    struct container_new made;
    int code = container_create(&state->options, &made, &error);
    if (code < 0)
        return oci_fail(&error);
    code = container_start(oci_options.state_root, state->options.id, &error);
    if (code < 0) {
        struct error ignored = ERROR_INIT;
        container_delete(oci_options.state_root, state->options.id, true, &ignored);
        return oci_fail(&error);
    }
    return STATUS_OK;
}

static int run_run(void *context, int count, char **words)
{
    struct create_state *state = context;
    struct error error = ERROR_INIT;
    struct container_new made;
    if (!oci_check_words(&oci_run, count, 1, 1))
        return STATUS_USAGE;
    complete_options(&state->options, words[0]);
    if (state->detach)
        return run_detached(state);

    state->options.foreground = true;
    oci_hold_signals();
    if (container_create(&state->options, &made, &error) < 0)
        return oci_fail(&error);
    int status = STATUS_FAILED;
    int code = container_go(&state->options, &made, &error);
    if (code == 0)
        status = oci_foreground(&made);
    else
        oci_fail(&error);
    struct error failure = ERROR_INIT;
    if ((code < 0 || !state->keep) &&
        container_delete(oci_options.state_root, state->options.id, true, &failure) < 0)
        oci_fail(&failure);
    return status;
}

const struct command oci_create = {
    .name = "oci create",
    .arguments = "ID",
    .summary = "Makes a container of a bundle; \"visor oci start\" starts its program",
    .options = create_options,
    .option = set_option,
    .run = run_create,
    .state = &create_state,
};

const struct command oci_run = {
    .name = "oci run",
    .arguments = "ID",
    .summary = "Makes a container of a bundle, starts it, waits for its end and deletes it",
    .details = "Exit status: the program's own, 128 and the signal's number if it was killed by one,\n"
               "1 if it could not be started.\n",
    .options = run_options,
    .option = set_option,
    .run = run_run,
    .state = &create_state,
};
