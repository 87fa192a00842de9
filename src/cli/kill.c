/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kill: ends domains' processes, or sends them another signal. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/end.h"

enum { SIGNAL, ALL };

static const struct command_option options[] = {
    [SIGNAL] = {.name = "signal",
                .argument = "SIGNAL",
                .letter = 's',
                .choices = "KILL TERM INT HUP",
                .help = "Send this one; KILL"},
    [ALL] = {.name = "all", .letter = 'a', .help = "All that run"},
    {0},
};

static int number = SIGKILL;
static bool all;

static int signal_parse(const char *text, struct error *error)
{
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    char *end;
    long value = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;
    for (int i = 1; !value && i < SIGRTMIN; i++) {
        if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), name) == 0) {
            number = i;
            return 0;
        }
    }
    if (value < 1 || value > SIGRTMAX || *end)
        return error_set(error, -EINVAL, "there is no signal \"%s\"", text);
    number = (int)value;
    return 0;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    if (index == SIGNAL)
        return signal_parse(argument, error);
    all = true;
    return 0;
}

static int kill_one(struct domain *domain, void *opaque, struct error *error)
{
    (void)opaque;
    return domain_signal(domain, number, error);
}

static int run_kill(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {
        .command = "kill", .all = all, .one = kill_one, .wanted = domain_state_lives};
    return domain_each_run(&each, count, words);
}

const struct command command_kill = {
    .name = "kill",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Ends domains at once, or sends their processes a signal",
    .details = "A machine takes TERM, INT and HUP as its power button, and a second one as its end.\n",
    .options = options,
    .option = set_option,
    .run = run_kill,
};
