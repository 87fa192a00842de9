/* SPDX-License-Identifier: GPL-2.0-or-later */
/* wait: waits for domains' ends. */
#include <errno.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/end.h"

static const struct command_option options[] = {{0}};

static int wait_one(struct domain *domain, void *opaque, struct error *error)
{
    int status, code = domain_wait(domain, &status, error);
    (void)opaque;
    if (!code)
        printf("%d\n", status);
    return code;
}

static int run_wait(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {.command = "wait", .silent = true, .one = wait_one};
    return domain_each_run(&each, count, words);
}

const struct command command_wait = {
    .name = "wait",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Waits until domains have come to their ends, and prints their exit statuses",
    .details = "For one that does not run it is the last one. 137 is that of one that was killed.\n",
    .options = options,
    .run = run_wait,
};
