/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fork: a machine that runs becomes several. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/fork.h"
#include "domain/identity.h"

enum { REMOVE };

static const struct command_option options[] = {
    [REMOVE] = {.name = "rm", .help = "Remove the copies when they have come to their end"},
    {0},
};

static struct domain_fork_options choice;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)index;
    (void)argument;
    (void)error;
    choice.remove = true;
    return 0;
}

/* Those that run, who are told; without an agent nobody can. */
static void identify(const struct domain *machine, bool has_agent, struct domain_fork *forks, unsigned count)
{
    struct domain *copies[DOMAIN_FORKS_MAX];
    unsigned running = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!forks[i].code)
            copies[running++] = &forks[i].domain;
    }
    if (has_agent && running)
        domain_identify(copies, running);
    else if (running)
        fprintf(stderr,
                "visor: no agent answers in the guest of %s: its copies keep its machine id, host name and "
                "network addresses\n",
                machine->name);
}

/* The ids of those that run; whether it is all of them. */
static int tell(struct domain_fork *forks, unsigned count)
{
    int status = STATUS_OK;
    for (unsigned i = 0; i < count; i++) {
        struct domain_fork *fork = &forks[i];
        if (!fork->code) {
            printf("%s\n", fork->domain.id);
            domain_close(&fork->domain);
            continue;
        }
        error_prefix(&fork->error, "cannot start %s: ", fork->name);
        error_report(&fork->error);
        status = STATUS_FAILED;
    }
    return status;
}

static int run_fork(void *context, int count, char **words)
{
    struct domain_store store;
    struct domain machine;
    struct error error = ERROR_INIT;
    (void)context;
    if (count < 2 || count - 1 > DOMAIN_FORKS_MAX) {
        fprintf(stderr,
                "visor: fork: give a machine and the names of its copies, at most %d\n"
                "  hint: visor fork NAME NEW...\n",
                DOMAIN_FORKS_MAX);
        return STATUS_USAGE;
    }
    int status = domain_one_open("fork", &store, &machine, words[0]);
    if (status)
        return status;
    const unsigned copies = (unsigned)count - 1;
    struct domain_fork *forks = calloc(copies, sizeof *forks);
    int code = forks ? 0 : error_set(&error, -ENOMEM, "out of memory");
    for (unsigned i = 0; !code && i < copies; i++)
        forks[i].name = words[i + 1];
    const bool has_agent = !code && domain_has_agent(&machine);
    if (!code)
        code = domain_fork(&machine, &choice, forks, copies, &error);
    if (code)
        error_report(&error);
    else
        identify(&machine, has_agent, forks, copies);
    status = code ? STATUS_FAILED : tell(forks, copies);
    free(forks);
    domain_close(&machine);
    domain_store_close(&store);
    return status;
}

const struct command command_fork = {
    .name = "fork",
    .arguments = "NAME NEW…",
    .domains = true,
    .summary = "Makes copies of a machine that runs, which go on from where it is",
    .details =
        "They share with it all memory that nobody writes. Each is a domain of its own, with another id,\n"
        "network addresses, and VM generation id, by which its kernel stirs its random numbers. The agent in\n"
        "its guest gives it a machine id, its name as host name, and those addresses, soon after. Ports that\n"
        "are published stay the machine's. Its disks must be readonly, or it runs with --snapshot. Prints\n"
        "the copies' ids. Exit status: 1 if one of them could not be started.\n",
    .options = options,
    .option = set_option,
    .run = run_fork,
};
