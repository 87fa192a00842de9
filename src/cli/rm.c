/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rm and rename: what a domain is called, and that it is no more. */
#include <errno.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/domain_each.h"
#include "domain/end.h"

enum { FORCE, ALL };

static const struct command_option rm_options[] = {
    [FORCE] = {.name = "force", .letter = 'f', .help = "Those that run, too: they are ended at once"},
    [ALL] = {.name = "all", .letter = 'a', .help = "All that do not run; with --force, all"},
    {0},
};

static const struct command_option no_options[] = {{0}};

static bool force, all;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)argument;
    (void)error;
    *(index == FORCE ? &force : &all) = true;
    return 0;
}

static int rm_one(struct domain *domain, void *opaque, struct error *error)
{
    struct domain_state state;
    (void)opaque;
    int code = force ? domain_stop(domain, 0, error) : 0;
    if (code == -EINVAL && domain_lock(domain, error) == 0)
        return domain_remove(domain, error); /* nobody can read any more how it was */
    if (!code)
        code = domain_lock(domain, error);
    if (!code)
        code = domain_look(domain, &state, error);
    if (!code && domain_state_lives(&state)) {
        code = error_set(error, -EBUSY, "the domain %s runs", domain->name);
        error_hint(error, "stop it first: visor stop %s; or visor rm --force", domain->name);
    }
    if (code == -ENOENT && force)
        return 0; /* it was to be removed at its end */
    return code ? code : domain_remove(domain, error);
}

static bool is_wanted(const struct domain_state *state)
{
    return force || !domain_state_lives(state);
}

static int run_rm(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {.command = "rm", .all = all, .one = rm_one, .wanted = is_wanted};
    return domain_each_run(&each, count, words);
}

static int run_rename(void *context, int count, char **words)
{
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    (void)context;
    if (count != 2) {
        fprintf(stderr, "visor: rename: give the domain and its new name\n  hint: visor rename OLD NEW\n");
        return STATUS_USAGE;
    }
    int status = domain_one_open("rename", &store, &domain, words[0]);
    if (status)
        return status;
    int code = domain_lock(&domain, &error);
    if (!code)
        code = domain_rename(&domain, words[1], &error);
    domain_close(&domain);
    domain_store_close(&store);
    if (!code)
        return STATUS_OK;
    error_report(&error);
    return STATUS_FAILED;
}

const struct command command_rm = {
    .name = "rm",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Removes domains, with all that is stored of them",
    .details = "Disks and other files that a configuration names are not a domain's, and stay.\n",
    .options = rm_options,
    .option = set_option,
    .run = run_rm,
};

const struct command command_rename = {
    .name = "rename",
    .arguments = "OLD NEW",
    .domains = true,
    .summary = "Gives a domain another name",
    .options = no_options,
    .run = run_rename,
};
