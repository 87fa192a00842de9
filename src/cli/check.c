/* SPDX-License-Identifier: GPL-2.0-or-later */
/* check: prints what this host can do. */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "cli/command.h"
#include "cli/host_facts.h"

static bool as_json;

static const char *const verdict_names[] = {
    [VERDICT_YES] = "yes",
    [VERDICT_PARTLY] = "partly",
    [VERDICT_NO] = "no",
};

static int set_option(void *state, int index, const char *argument, struct error *error)
{
    (void)index;
    (void)argument;
    (void)error;
    *(bool *)state = true;
    return 0;
}

static void print_json(const struct host_fact *facts, unsigned count)
{
    json_t *object = json_object();
    for (unsigned i = 0; i < count; i++) {
        json_object_set_new(
            object, facts[i].id,
            json_pack("{s:s, s:s}", "verdict", verdict_names[facts[i].verdict], "detail", facts[i].detail));
    }
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
}

static void print_table(const struct host_fact *facts, unsigned count)
{
    static const char *const colours[] = {
        [VERDICT_YES] = "\033[32m",
        [VERDICT_PARTLY] = "\033[33m",
        [VERDICT_NO] = "\033[31m",
    };
    bool colour = isatty(STDOUT_FILENO);

    printf("%-22s %-7s %s\n", "HOST", "VERDICT", "DETAIL");
    for (unsigned i = 0; i < count; i++) {
        enum verdict verdict = facts[i].verdict;
        printf("%-22s %s%-7s%s %s\n", facts[i].label, colour ? colours[verdict] : "", verdict_names[verdict],
               colour ? "\033[0m" : "", facts[i].detail);
    }
}

static int run_check(void *state, int count, char **words)
{
    (void)count;
    (void)words;
    struct host_fact facts[HOST_FACTS_MAX];
    unsigned found = host_facts_gather(facts);

    if (*(bool *)state)
        print_json(facts, found);
    else
        print_table(facts, found);
    return STATUS_OK;
}

static const struct command_option options[] = {
    {.name = "json", .help = "Print JSON"},
    {0},
};

const struct command command_check = {
    .name = "check",
    .arguments = "",
    .summary = "Prints what this host can do for virtual machines",
    .options = options,
    .option = set_option,
    .run = run_check,
    .state = &as_json,
};
