/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pause and resume: have domains stand still, and go on. */
#include <errno.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/end.h"

static bool all;

static const struct command_option options[] = {
    {.name = "all", .letter = 'a', .help = "All that this can be done to"},
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

static int pause_one(struct domain *domain, void *opaque, struct error *error)
{
    (void)opaque;
    return domain_set_paused(domain, true, error);
}

static int resume_one(struct domain *domain, void *opaque, struct error *error)
{
    (void)opaque;
    return domain_set_paused(domain, false, error);
}

static bool runs(const struct domain_state *state)
{
    return state->status == DOMAIN_RUNNING;
}

static bool stands_still(const struct domain_state *state)
{
    return state->status == DOMAIN_PAUSED;
}

static int run_pause(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {.command = "pause", .all = all, .one = pause_one, .wanted = runs};
    return domain_each_run(&each, count, words);
}

static int run_resume(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {
        .command = "resume", .all = all, .one = resume_one, .wanted = stands_still};
    return domain_each_run(&each, count, words);
}

const struct command command_pause = {
    .name = "pause",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Has domains stand still",
    .options = options,
    .option = set_option,
    .run = run_pause,
};

const struct command command_resume = {
    .name = "resume",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Has domains that stand still go on",
    .options = options,
    .option = set_option,
    .run = run_resume,
};
