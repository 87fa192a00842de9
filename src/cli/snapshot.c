/* SPDX-License-Identifier: GPL-2.0-or-later */
/* snapshot: makes, lists, goes back to and removes states of a machine that are kept with it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/size.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/table.h"
#include "domain/snapshot.h"

enum { JSON, QUIET };

static const struct command_option options[] = {
    [JSON] = {.name = "json", .help = "ls: print JSON"},
    [QUIET] = {.name = "quiet", .letter = 'q', .help = "ls: only the names"},
    {0},
};

static const char details[] =
    "create NAME [SNAPSHOT]   makes one of a machine that runs, with its memory, and prints its name\n"
    "ls [--json|-q] NAME      lists them, the oldest first\n"
    "restore NAME SNAPSHOT    has the machine go on from there, whatever it does now\n"
    "rm NAME SNAPSHOT         removes it\n"
    "\n"
    "The machine stands still while one is made. What disks with \"snapshot\" keep is in it; of disks that are\n"
    "written in place there is a copy, which takes time and room unless the file system can share blocks\n"
    "(btrfs, XFS). Host devices are refused. \"restore\" ends the machine at once; what it had since is lost.\n"
    "They are removed with their domain.\n"
    "\n"
    "Examples:\n"
    "  visor snapshot create web before-upgrade\n"
    "  visor snapshot restore web before-upgrade\n";

static struct snapshot_state {
    bool json, quiet;
} snapshot_state;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    struct snapshot_state *state = context;
    (void)argument;
    (void)error;
    *(index == JSON ? &state->json : &state->quiet) = true;
    return 0;
}

static int create(struct domain *domain, const char *name, struct error *error)
{
    char moment[32];
    const time_t now = time(NULL);
    struct tm parts;
    if (!name && strftime(moment, sizeof moment, "%Y%m%d-%H%M%S", gmtime_r(&now, &parts)))
        name = moment;
    int code = domain_snapshot_create(domain, name, error);
    if (!code)
        printf("%s\n", name);
    return code;
}

static int print_json(const struct domain_snapshot *list, unsigned count)
{
    char created[STATE_TIME_SIZE];
    json_t *array = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(array, json_pack("{s:s, s:s, s:I}", "name", list[i].name, "created",
                                               state_time_print(list[i].created, created), "size",
                                               (json_int_t)list[i].size));
    const int failed = !array || json_dumpf(array, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(array);
    return failed ? -ENOMEM : 0;
}

static void print_table(const struct domain_snapshot *list, unsigned count)
{
    struct table table = {.columns = 3};
    char created[STATE_TIME_SIZE], size[SIZE_TEXT];
    table_add(&table, "NAME");
    table_add(&table, "CREATED");
    table_add(&table, "SIZE");
    for (unsigned i = 0; i < count; i++) {
        state_time_print(list[i].created, created);
        snprintf(strchr(created, '.') ? strchr(created, '.') : created + strlen(created), 2, "Z");
        table_add(&table, list[i].name);
        table_add(&table, created);
        table_add(&table, size_print(list[i].size, size));
    }
    table_print(&table);
}

static int list(const struct domain *domain, const struct snapshot_state *state, struct error *error)
{
    struct domain_snapshot *found;
    unsigned count;
    int code = domain_snapshot_list(domain, &found, &count, error);
    if (code)
        return code;
    for (unsigned i = 0; state->quiet && i < count; i++)
        printf("%s\n", found[i].name);
    if (state->json)
        code = print_json(found, count);
    else if (!state->quiet)
        print_table(found, count);
    free(found);
    return code;
}

enum action { CREATE, LIST, RESTORE, REMOVE, ACTIONS };

static const struct {
    const char *word;
    int least, most;
} actions[ACTIONS] = {
    [CREATE] = {"create", 1, 2},
    [LIST] = {"ls", 1, 1},
    [RESTORE] = {"restore", 2, 2},
    [REMOVE] = {"rm", 2, 2},
};

static int usage_error(const char *reason)
{
    fprintf(stderr, "visor: snapshot: %s\n  hint: \"visor help snapshot\" shows what there is\n", reason);
    return STATUS_USAGE;
}

static int act(enum action action, const struct snapshot_state *state, struct domain *domain,
               const char *name, struct error *error)
{
    int code;
    switch (action) {
    case CREATE: return create(domain, name, error);
    case LIST: return list(domain, state, error);
    case RESTORE: code = domain_snapshot_restore(domain, name, error); break;
    default: code = domain_snapshot_remove(domain, name, error); break;
    }
    if (!code)
        printf("%s\n", name);
    return code;
}

static int run_snapshot(void *context, int count, char **words)
{
    const struct snapshot_state *state = context;
    const char *names[2] = {NULL, NULL};
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    unsigned action = 0;
    int number;
    while (count && action < ACTIONS && strcmp(words[0], actions[action].word) != 0)
        action++;
    if (!count || action == ACTIONS)
        return usage_error(count ? "there are only create, ls, restore and rm"
                                 : "say what to do: create, ls, restore or rm");
    int status = command_parse_words(&command_snapshot, count, words, names, actions[action].most, &number);
    if (status >= 0)
        return status;
    if (number < actions[action].least)
        return usage_error(number ? "name the snapshot" : "name the domain");
    if (action != LIST && (state->json || state->quiet))
        return usage_error("--json and --quiet are for ls");
    status = domain_one_open("snapshot", &store, &domain, names[0]);
    if (status)
        return status;
    int code = act((enum action)action, state, &domain, names[1], &error);
    if (code)
        error_report(&error);
    domain_close(&domain);
    domain_store_close(&store);
    return code ? STATUS_FAILED : STATUS_OK;
}

const struct command command_snapshot = {
    .name = "snapshot",
    .arguments = "create|ls|restore|rm NAME [SNAPSHOT]",
    .words = "create ls restore rm",
    .lists = "ps --all --format {{.Name}}",
    .summary = "Keeps states of a machine, with its memory, and goes back to them",
    .details = details,
    .options = options,
    .option = set_option,
    .run = run_snapshot,
    .state = &snapshot_state,
};
