/* SPDX-License-Identifier: GPL-2.0-or-later */
/* restore: a domain goes on from the file that it was saved to. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/attach.h"
#include "cli/command.h"
#include "domain/identity.h"
#include "domain/process.h"
#include "domain/state_domain.h"

enum { NAME, ENGINE, ATTACH, VERIFY, FORCE };

static const struct command_option options[] = {
    [NAME] = {.name = "name", .argument = "NAME", .help = "Make a new domain of this name"},
    [ENGINE] = {.name = "engine",
                .argument = "ENGINE",
                .help = "What runs it until its next start: kvm, translate or auto"},
    [ATTACH] = {.name = "attach", .letter = 'a', .help = "Be its console then, as \"visor attach\""},
    [VERIFY] = {.name = "verify", .help = "Read and check all of its memory before it runs"},
    [FORCE] = {.name = "force", .letter = 'f', .help = "Even if disks have been written since"},
    {0},
};

static struct restore_state {
    const char *name;
    bool attach;
    struct domain_resume resume;
} restore_state = {.resume = {.hold = -1}};

/* As the configuration has it. */
static int set_engine(struct restore_state *state, const char *name, struct error *error)
{
    struct domain_config config;
    int code = domain_config_init(&config, error);
    if (!code)
        code = domain_config_set(&config, domain_field_find("machine", "engine"), name, "--engine", error);
    domain_config_free(&config);
    state->resume.engine = name;
    return code;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct restore_state *state = context;
    switch (index) {
    case NAME: state->name = argument; break;
    case ENGINE: return set_engine(state, argument, error);
    case ATTACH: state->attach = true; break;
    case VERIFY: state->resume.verify = true; break;
    default: state->resume.force = true;
    }
    return 0;
}

/* The domain that was saved is still there: it is the one that goes on. Its lock is held then. */
static int take_old(struct domain *domain, const struct state_domain *saved, struct error *error)
{
    struct domain_state state;
    struct domain_config config;
    int code = domain_lock(domain, error);
    if (!code)
        code = domain_look(domain, &state, error);
    if (!code && domain_state_lives(&state)) {
        code = error_set(error, -EBUSY, "the domain %s runs", domain->name);
        error_hint(error, "--name NEW makes another domain of it");
    }
    if (code)
        return code;
    code = domain_read_config(domain, &config, error);
    if (!code && !state_domain_same(saved, &config)) {
        code = error_set(error, -EINVAL, "the domain %s has another configuration now", domain->name);
        error_hint(error, "--name NEW makes another domain of it");
    }
    domain_config_free(&config);
    return code;
}

/* *made: it has not been there before. */
static int take_domain(struct domain *domain, struct domain_store *store, const struct state_domain *saved,
                       const char *name, bool *made, struct error *error)
{
    *made = name || !saved->id[0] || domain_find(domain, store, saved->id, NULL);
    if (*made)
        return domain_create(domain, store, &saved->config,
                             name             ? name
                             : saved->name[0] ? saved->name
                                              : NULL,
                             true, error);
    int code = take_old(domain, saved, error);
    if (code)
        domain_close(domain);
    return code;
}

static int restore_in(struct restore_state *state, struct domain_store *store,
                      const struct state_domain *saved, struct error *error)
{
    struct domain domain = {0};
    bool made;
    int status = STATUS_OK, code = take_domain(&domain, store, saved, state->name, &made, error);
    if (code)
        return code;
    code = domain_resume(&domain, &state->resume, error);
    if (code && made && domain_remove(&domain, NULL))
        domain_unlock(&domain);
    if (!code && state->name)
        domain_identify(&(struct domain *){&domain}, 1);
    if (!code && state->attach)
        status = console_attach(&domain, true, error);
    else if (!code)
        printf("%s\n", domain.id);
    if (!code || !made)
        domain_close(&domain);
    return code ? code : status;
}

/* A negative errno, or the exit status. */
static int restore(struct restore_state *state, const char *path, struct error *error)
{
    struct state_domain saved = {0};
    struct domain_store store;
    state->resume.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (state->resume.fd < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    int code = state_domain_open(&saved, state->resume.fd, error);
    if (code)
        error_prefix(error, "%s: ", path);
    if (!code)
        code = domain_store_open(&store, true, error);
    if (!code) {
        code = restore_in(state, &store, &saved, error);
        if (code < 0)
            error_prefix(error, "cannot restore %s: ", path);
        domain_store_close(&store);
    }
    state_domain_free(&saved);
    close(state->resume.fd);
    return code;
}

static int run_restore(void *context, int count, char **words)
{
    struct error error = ERROR_INIT;
    if (count != 1) {
        fprintf(stderr, "visor: restore: give the file that a domain was saved to\n"
                        "  hint: visor restore FILE\n");
        return STATUS_USAGE;
    }
    int code = restore(context, words[0], &error);
    if (code >= 0)
        return code;
    error_report(&error);
    return STATUS_CANNOT_RUN;
}

const struct command command_restore = {
    .name = "restore",
    .arguments = "FILE",
    .summary = "Has a machine go on from the file it was saved to, and prints its id",
    .details =
        "It is the domain that was saved, if that is still there, or a new one of its name. It runs in the\n"
        "background. Its memory is read from the file when it is needed, unless --verify is given: leave the\n"
        "file as it is while the machine runs (it can be removed). Disks must be as they were. Exit status:\n"
        "126 if it cannot be restored.\n",
    .options = options,
    .option = set_option,
    .run = run_restore,
    .state = &restore_state,
};
