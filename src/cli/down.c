/* SPDX-License-Identifier: GPL-2.0-or-later */
/* down: stops and removes the domains of a group. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/group_words.h"

enum { FILE_NAME, GROUP_NAME, TIME };

static const struct command_option options[] = {
    [FILE_NAME] = GROUP_OPTION_FILE,
    [GROUP_NAME] = GROUP_OPTION_NAME,
    [TIME] = GROUP_OPTION_TIME,
    {0},
};

static struct group_words down;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    if (index == FILE_NAME)
        down.path = argument;
    else if (index == GROUP_NAME)
        down.name = argument;
    else
        return group_words_set_time(&down, argument, error);
    return 0;
}

static void print_done(const char *full_name, const char *what)
{
    printf("%s %s\n", full_name, what);
    fflush(stdout);
}

static int run_down(void *context, int count, char **words)
{
    struct group group;
    struct domain_store store;
    struct error error = ERROR_INIT;
    (void)context;
    if (count) {
        fprintf(
            stderr,
            "visor: down: it takes no words, and \"%s\" is one\n  hint: \"visor stop\" stops one domain\n",
            words[0]);
        return STATUS_USAGE;
    }
    int code = group_words_read(&down, false, &group, &error), status = STATUS_USAGE;
    if (!code && !(code = domain_store_open(&store, true, &error))) {
        const struct group_work work = {.group = &group,
                                        .store = &store,
                                        .told = print_done,
                                        .failed = error_report,
                                        .waits = group_words_print_wait};
        status = group_down(&work, down.has_time ? (int)down.seconds : -1) ? STATUS_FAILED : STATUS_OK;
        domain_store_close(&store);
    }
    if (code)
        error_report(&error);
    group_free(&group);
    return status;
}

const struct command command_down = {
    .name = "down",
    .arguments = "",
    .summary = "Stops and removes the domains of a group",
    .details =
        "Those that need others are stopped before these. Also removed are the group's networks, and its\n"
        "domains that the file does not have any more.\n",
    .options = options,
    .option = set_option,
    .run = run_down,
};
