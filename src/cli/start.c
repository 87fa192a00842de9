/* SPDX-License-Identifier: GPL-2.0-or-later */
/* start: starts domains that were made. */
#include <errno.h>
#include <stdio.h>

#include "cli/attach.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/process.h"

enum { ATTACH, ALL };

static const struct command_option options[] = {
    [ATTACH] = {.name = "attach", .letter = 'a', .help = "Be its console then, as \"visor attach\""},
    [ALL] = {.name = "all", .help = "All that do not run"},
    {0},
};

static bool attach, all;
static int status; /* of what was attached to */

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)argument;
    (void)error;
    *(index == ALL ? &all : &attach) = true;
    return 0;
}

static int start_one(struct domain *domain, void *opaque, struct error *error)
{
    struct domain_state state;
    (void)opaque;
    int code = domain_lock(domain, error);
    if (!code)
        code = domain_look(domain, &state, error);
    if (!code && !domain_state_lives(&state))
        code = domain_start(domain, error);
    if (code || !attach)
        return code;
    domain_unlock(domain);
    code = console_attach(domain, true, error);
    status = code > 0 ? code : 0;
    return code < 0 ? code : 0;
}

static bool is_wanted(const struct domain_state *state)
{
    return !domain_state_lives(state);
}

static int run_start(void *context, int count, char **words)
{
    (void)context;
    if (attach && (all || count > 1)) {
        fprintf(stderr,
                "visor: start: one terminal is one domain's console\n  hint: give --attach one name\n");
        return STATUS_USAGE;
    }
    const struct domain_each each = {.command = "start",
                                     .all = all,
                                     .silent = attach,
                                     .starts = true,
                                     .one = start_one,
                                     .wanted = is_wanted};
    int failed = domain_each_run(&each, count, words);
    return failed ? failed : status;
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
