/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cp: files and directories between this host and a domain. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/visible.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/progress.h"
#include "domain/copy.h"

enum option { ARCHIVE, FOLLOW };

static const struct command_option options[] = {
    [ARCHIVE] = {.name = "archive", .help = "Keep users, groups and all bits of modes", .letter = 'a'},
    [FOLLOW] = {.name = "follow-link", .help = "Copy what the link SRC names", .letter = 'L'},
    {0},
};

static struct cp_state {
    struct domain_copy copy;
    struct progress progress;
    bool shows; /* it lasts */
} cp_state;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct cp_state *state = context;
    (void)argument;
    switch ((enum option)index) {
    case ARCHIVE: state->copy.owner = true; return 0;
    case FOLLOW: state->copy.follow = true; return 0;
    }
    return error_set(error, -EINVAL, "unknown option");
}

/* A copy that is done at once shows nothing. */
static void show_copied(void *opaque, uint64_t done, uint64_t total)
{
    struct cp_state *state = opaque;
    struct timespec now;
    if (!total || !state->progress.terminal)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    state->shows |= now.tv_sec - state->progress.began.tv_sec > 1;
    if (state->shows)
        progress_show(&state->progress, (unsigned)(done >= total ? 100 : 100 * (double)done / (double)total),
                      "copying");
}

static void show_left_out(void *opaque, const char *path, const char *why)
{
    char name[PATH_MAX];
    (void)opaque;
    visible_make(name, (size_t)snprintf(name, sizeof name, "%.4000s", path));
    fprintf(stderr, "visor: cp: left out: %s: %s\n", name, why);
}

/* The path in NAME:PATH, of which NAME is ended; NULL: it is a path of the host's. */
static char *split(char *word)
{
    char *colon = strchr(word, ':');
    if (!colon || word[0] == '/' || word[0] == '.' || colon == word ||
        memchr(word, '/', (size_t)(colon - word)))
        return NULL;
    *colon = '\0';
    return colon + 1;
}

static int copy(struct cp_state *state, struct domain *domain)
{
    struct domain_visit visit;
    struct error error = ERROR_INIT;
    state->copy.copied = show_copied;
    state->copy.left_out = show_left_out;
    state->copy.opaque = state;
    progress_begin(&state->progress);
    int code = domain_visit_begin_files(&visit, domain, &error);
    if (!code) {
        code = domain_visit_copy(&visit, &state->copy, &error);
        domain_visit_end(&visit);
    }
    progress_end(&state->progress);
    if (!code)
        return STATUS_OK;
    error_report(&error);
    return STATUS_FAILED;
}

/* What it is called with, in `state`; NULL: that makes no sense. */
static const char *parse(struct cp_state *state, int count, char **words)
{
    char *from = count == 2 ? split(words[0]) : NULL, *to = count == 2 ? split(words[1]) : NULL;
    if (!from == !to)
        return NULL;
    const char *outside = from ? words[1] : words[0];
    state->copy.into = to != NULL;
    state->copy.inside = from ? from : to;
    state->copy.outside = strcmp(outside, "-") == 0 ? NULL : outside;
    state->copy.stream = from ? STDOUT_FILENO : STDIN_FILENO;
    return from ? words[0] : words[1];
}

static int run_cp(void *context, int count, char **words)
{
    struct cp_state *state = context;
    struct domain_store store;
    struct domain domain;
    const char *name = parse(state, count, words);
    if (!name || !*state->copy.inside || (state->copy.outside && !*state->copy.outside)) {
        fprintf(stderr, "visor: cp: one of two paths is in a domain\n"
                        "  hint: visor cp NAME:PATH PATH, visor cp PATH NAME:PATH; ./a:b is no domain's\n");
        return STATUS_USAGE;
    }
    if (!state->copy.outside && isatty(state->copy.stream)) {
        fprintf(stderr, "visor: cp: \"-\" is an archive, which does not go through a terminal\n");
        return STATUS_USAGE;
    }
    int status = domain_one_open("cp", &store, &domain, name);
    if (status)
        return status;
    status = copy(state, &domain);
    domain_close(&domain);
    domain_store_close(&store);
    return status;
}

const struct command command_cp = {
    .name = "cp",
    .arguments = "NAME:SRC DST|- | SRC|- NAME:DST",
    .domains = true,
    .paths = true,
    .summary = "Copies files and directories to or from a domain",
    .details = "A directory DST gets SRC in it, or what is in SRC if that ends with \"/.\"; else DST is the\n"
               "copy's name. \"-\" is a tar archive. Files belong to root there, and here to who copies.\n"
               "In a machine the guest's agent and its programs sh and tar do it. A container need not\n"
               "run: then these are the files of its root tree, and not those of its volumes.\n",
    .options = options,
    .option = set_option,
    .run = run_cp,
    .state = &cp_state,
};
