/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start: starts domains that were made. */
#include <errno.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/process.h"

static bool all;

static const struct command_option options[] = {
    {.name = "all", .letter = 'a', .help = "All that do not run"},
    {0},
};

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)index;
    (void)argument;
    (void)error;
    all = true;
    return 0;
}

static int start_one(struct domain *domain, void *opaque, struct error *error)
{
    struct domain_state state;
    (void)opaque;
    int code = domain_lock(domain, error);
    if (!code)
        code = domain_look(domain, &state, error);
    return code || domain_state_lives(&state) ? code : domain_start(domain, error);
}

static bool is_wanted(const struct domain_state *state)
{
    return !domain_state_lives(state);
}

static int run_start(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {.command = "start", .all = all, .one = start_one, .wanted = is_wanted};
    return domain_each_run(&each, count, words);
}

const struct command command_start = {
    .name = "start",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Starts domains that were made",
    .details = "One that runs already is left alone.\n",
    .options = options,
    .option = set_option,
    .run = run_start,
};
