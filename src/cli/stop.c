/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stop and restart: have domains come to their end by themselves, or else end them; and start them again. */
#include <errno.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/end.h"
#include "domain/process.h"

enum { TIME, ALL };

static const struct command_option options[] = {
    [TIME] = {.name = "time",
              .argument = "SECONDS",
              .letter = 't',
              .help = "How long it may take to end by itself; as its configuration says, or 10"},
    [ALL] = {.name = "all", .letter = 'a', .help = "All that run"},
    {0},
};

static struct stop_state {
    bool all, has_time;
    unsigned seconds;
} state;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    if (index == ALL) {
        state.all = true;
        return 0;
    }
    state.has_time = true;
    return seconds_parse(argument, "--time", &state.seconds, error);
}

static int stop_one(struct domain *domain, void *opaque, struct error *error)
{
    struct domain_config config;
    unsigned seconds = state.seconds;
    (void)opaque;
    if (!state.has_time) {
        int code = domain_read_config(domain, &config, error);
        seconds = (unsigned)config.stop_timeout;
        domain_config_free(&config);
        if (code)
            return code;
    }
    return domain_stop(domain, seconds, error);
}

static int restart_one(struct domain *domain, void *opaque, struct error *error)
{
    struct domain_state now;
    int code = stop_one(domain, opaque, error);
    if (!code)
        code = domain_lock(domain, error);
    if (!code)
        code = domain_look(domain, &now, error);
    return code || domain_state_lives(&now) ? code : domain_start(domain, error);
}

static int run_stop(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {
        .command = "stop", .all = state.all, .one = stop_one, .wanted = domain_state_lives};
    return domain_each_run(&each, count, words);
}

static int run_restart(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {.command = "restart",
                                     .all = state.all,
                                     .starts = true,
                                     .one = restart_one,
                                     .wanted = domain_state_lives};
    return domain_each_run(&each, count, words);
}

const struct command command_stop = {
    .name = "stop",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Asks domains to come to their end, and ends those that do not",
    .details = "A machine's power button is pressed. One that does not run is left alone.\n",
    .options = options,
    .option = set_option,
    .run = run_stop,
};

const struct command command_restart = {
    .name = "restart",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Stops domains, and starts them again",
    .options = options,
    .option = set_option,
    .run = run_restart,
};
