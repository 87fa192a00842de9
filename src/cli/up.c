/* SPDX-License-Identifier: GPL-2.0-or-later */
/* up: makes and starts the domains that a file describes, and follows what they say. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/similar.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/group_follow.h"
#include "cli/group_words.h"

enum { FILE_NAME, GROUP_NAME, DETACH, NO_START, RECREATE, ORPHANS, TIME, CHECK, SCHEMA };

static const struct command_option options[] = {
    [FILE_NAME] = GROUP_OPTION_FILE,
    [GROUP_NAME] = GROUP_OPTION_NAME,
    [DETACH] = {.name = "detach", .letter = 'd', .help = "Do not follow what the domains say"},
    [NO_START] = {.name = "no-start", .help = "Make what is missing or has changed, and start nothing"},
    [RECREATE] = {.name = "recreate", .help = "Make anew what has not changed, too"},
    [ORPHANS] = {.name = "remove-orphans", .help = "Remove domains that the file does not have any more"},
    [TIME] = GROUP_OPTION_TIME,
    [CHECK] = {.name = "check", .help = "Only print the file with all that it leaves out, as JSON"},
    [SCHEMA] = {.name = "schema", .help = "Only print the JSON schema of files"},
    {0},
};

static struct up_state {
    struct group_words words;
    bool detach, no_start, recreate, orphans, check, schema;
} up;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    switch (index) {
    case FILE_NAME: up.words.path = argument; break;
    case GROUP_NAME: up.words.name = argument; break;
    case TIME: return group_words_set_time(&up.words, argument, error);
    case DETACH: up.detach = true; break;
    case NO_START: up.no_start = true; break;
    case RECREATE: up.recreate = true; break;
    case ORPHANS: up.orphans = true; break;
    case CHECK: up.check = true; break;
    default: up.schema = true;
    }
    return 0;
}

static int print_json(json_t *document)
{
    int code = document ? json_dumpf(document, stdout, JSON_INDENT(2)) : -1;
    putchar('\n');
    json_decref(document);
    return code ? STATUS_FAILED : STATUS_OK;
}

struct names {
    const struct group *group;
    unsigned next;
};

static const char *name_next(void *opaque)
{
    struct names *names = opaque;
    return names->next < names->group->count ? names->group->domains[names->next++].name : NULL;
}

/* Marks the domains that the words name. */
static int choose(const struct group *group, int count, char **words, bool *wanted, struct error *error)
{
    for (int i = 0; i < count; i++) {
        const unsigned index = group_find(group, words[i]);
        if (index < group->count) {
            wanted[index] = true;
            continue;
        }
        struct names names = {.group = group};
        const char *meant = similar_find(words[i], name_next, &names);
        error_set(error, -ENOENT, "the group %s has no domain \"%.64s\"", group->name, words[i]);
        if (meant)
            error_hint(error, "did you mean %s?", meant);
        return -ENOENT;
    }
    return 0;
}

static void print_done(const char *full_name, const char *what)
{
    FILE *to = up.detach || up.no_start ? stdout : stderr;
    fprintf(to, "%s %s\n", full_name, what);
    fflush(to);
}

static int bring_up(const struct group *group, struct domain_store *store, const bool *wanted)
{
    struct group_work work = {.group = group,
                              .store = store,
                              .told = print_done,
                              .failed = error_report,
                              .waits = group_words_print_wait};
    const struct group_up what = {.wanted = wanted,
                                  .recreate = up.recreate,
                                  .start = !up.no_start,
                                  .whole = !up.detach && !up.no_start,
                                  .orphans = up.orphans,
                                  .seconds = up.words.has_time ? (int)up.words.seconds : -1};
    const bool follows = !up.detach && !up.no_start;
    struct group_follower follower;
    struct error error = ERROR_INIT;
    if (follows && group_follow_begin(&follower, &work, wanted, &error)) {
        error_report(&error);
        return STATUS_FAILED;
    }
    int code = group_up(&work, &what);
    if (!up.orphans && group_orphans(&work, "is not in the file any more"))
        fprintf(stderr, "  hint: visor up --remove-orphans removes what is not in the file\n");
    if (follows)
        code = group_follow_end(&follower, code, what.seconds);
    return code ? STATUS_FAILED : STATUS_OK;
}

static int run_up(void *context, int count, char **words)
{
    struct group group;
    struct domain_store store;
    struct error error = ERROR_INIT;
    bool wanted[GROUP_DOMAINS_MAX] = {false};
    int status = STATUS_USAGE;
    (void)context;
    if (up.schema)
        return print_json(group_schema());
    int code = group_words_read(&up.words, !up.check && !up.no_start, &group, &error);
    if (!code)
        code = choose(&group, count, words, wanted, &error);
    if (!code && up.check) {
        status = print_json(group_json(&group));
    } else if (!code && !(code = domain_store_open(&store, true, &error))) {
        status = bring_up(&group, &store, count ? wanted : NULL);
        domain_store_close(&store);
    }
    if (code)
        error_report(&error);
    group_free(&group);
    return status;
}

const struct command command_up = {
    .name = "up",
    .arguments = "[NAME…]",
    .summary = "Makes and starts the domains that a file describes",
    .details =
        "The file is visor.yaml or visor.yml here, or that of --file. What is missing is made, what has\n"
        "changed since is made anew, and what runs as the file says is left alone. Domains are called\n"
        "GROUP-NAME; with NAMEs, which are those in the file, only they and what they need are meant.\n"
        "Without --detach it prints what they say, until all have ended, or Ctrl-C stops them.\n"
        "Exit status: 2 if the file is not valid, 1 if something could not be done.\n",
    .options = options,
    .option = set_option,
    .run = run_up,
};
