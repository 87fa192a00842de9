/* SPDX-License-Identifier: GPL-2.0-or-later */
/* oci start, state, kill, delete, pause, resume: what is done with one container. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/oci.h"
#include "personality/container/container.h"
#include "personality/container/oci_names.h"

static const struct command_option no_options[] = {{0}};

/* The one option of `kill` and of `delete`. */
static bool option_given;

static int set_only_option(void *state, int index, const char *argument, struct error *error)
{
    (void)state;
    (void)index;
    (void)argument;
    (void)error;
    option_given = true;
    return 0;
}

static int run_start(void *state, int count, char **words)
{
    (void)state;
    struct error error = ERROR_INIT;
    if (!oci_check_words(&oci_start, count, 1, 1))
        return STATUS_USAGE;
    return container_start(oci_options.state_root, words[0], &error) < 0 ? oci_fail(&error) : STATUS_OK;
}

static int run_state(void *context, int count, char **words)
{
    (void)context;
    struct error error = ERROR_INIT;
    struct container_state state;
    if (!oci_check_words(&oci_state, count, 1, 1))
        return STATUS_USAGE;
    if (container_state(oci_options.state_root, words[0], &state, &error) < 0)
        return oci_fail(&error);
    json_t *document = container_state_document(&state);
    json_dumpf(document, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(document);
    container_state_free(&state);
    return STATUS_OK;
}

static int run_kill(void *state, int count, char **words)
{
    (void)state;
    struct error error = ERROR_INIT;
    if (!oci_check_words(&oci_kill, count, 1, 2))
        return STATUS_USAGE;
    int number = oci_signal_number(count > 1 ? words[1] : "TERM");
    if (number < 0) {
        error_set(&error, -EINVAL, "there is no signal \"%s\"", words[1]);
        return oci_fail(&error);
    }
    return container_kill(oci_options.state_root, words[0], number, option_given, &error) < 0
               ? oci_fail(&error)
               : STATUS_OK;
}

static int run_delete(void *state, int count, char **words)
{
    (void)state;
    struct error error = ERROR_INIT;
    if (!oci_check_words(&oci_delete, count, 1, 1))
        return STATUS_USAGE;
    return container_delete(oci_options.state_root, words[0], option_given, &error) < 0 ? oci_fail(&error)
                                                                                        : STATUS_OK;
}

static int freeze(const struct command *command, int count, char **words, bool still)
{
    struct error error = ERROR_INIT;
    if (!oci_check_words(command, count, 1, 1))
        return STATUS_USAGE;
    return container_freeze(oci_options.state_root, words[0], still, &error) < 0 ? oci_fail(&error)
                                                                                 : STATUS_OK;
}

static int run_pause(void *state, int count, char **words)
{
    (void)state;
    return freeze(&oci_pause, count, words, true);
}

static int run_resume(void *state, int count, char **words)
{
    (void)state;
    return freeze(&oci_resume, count, words, false);
}

static const struct command_option kill_options[] = {
    {.name = "all", .help = "To all of its processes, not only the first", .letter = 'a'}, {0}};
static const struct command_option delete_options[] = {
    {.name = "force", .help = "Kill it if it runs; none of that name is no error", .letter = 'f'}, {0}};

const struct command oci_start = {
    .name = "oci start",
    .arguments = "ID",
    .summary = "Starts the program of a container that was created",
    .options = no_options,
    .run = run_start,
};

const struct command oci_state = {
    .name = "oci state",
    .arguments = "ID",
    .summary = "Prints a container's state as JSON",
    .options = no_options,
    .run = run_state,
};

const struct command oci_kill = {
    .name = "oci kill",
    .arguments = "ID [SIGNAL]",
    .summary = "Sends a signal to a container, SIGTERM if none is named",
    .options = kill_options,
    .option = set_only_option,
    .run = run_kill,
};

const struct command oci_delete = {
    .name = "oci delete",
    .arguments = "ID",
    .summary = "Deletes a container that has stopped",
    .options = delete_options,
    .option = set_only_option,
    .run = run_delete,
};

const struct command oci_pause = {
    .name = "oci pause",
    .arguments = "ID",
    .summary = "Makes all processes of a container stand still",
    .options = no_options,
    .run = run_pause,
};

const struct command oci_resume = {
    .name = "oci resume",
    .arguments = "ID",
    .summary = "Lets the processes of a paused container run again",
    .options = no_options,
    .run = run_resume,
};
