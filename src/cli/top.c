/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top: the processes in a domain. */
#include "domain/top.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/table.h"
#include "domain/visit.h"

#define CELL (TOP_TEXT + 1)

enum { COLUMNS, JSON };

static const struct command_option options[] = {
    [COLUMNS] = {.name = "columns",
                 .argument = "C,…",
                 .letter = 'o',
                 .choices = "pid host parent user state cpu time elapsed memory command",
                 .help = "Of pid host parent user state cpu time elapsed memory command"},
    [JSON] = {.name = "json", .help = "Print JSON"},
    {0},
};

/* -- columns --------------------------------------------------------------------------------------------- */

static void number_text(pid_t number, char *text)
{
    if (number)
        snprintf(text, CELL, "%d", (int)number);
    else
        strcpy(text, "-");
}

static double share(const struct domain_process *process)
{
    return process->elapsed ? 100.0 * (double)process->cpu / (double)process->elapsed : 0;
}

static void duration_text(uint64_t nanoseconds, char *text)
{
    const uint64_t seconds = nanoseconds / 1000000000;
    if (seconds >= 3600)
        snprintf(text, CELL, "%" PRIu64 ":%02u:%02u", seconds / 3600, (unsigned)(seconds / 60 % 60),
                 (unsigned)(seconds % 60));
    else
        snprintf(text, CELL, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
}

static void show_pid(const struct domain_process *process, char *text)
{
    number_text(process->pid, text);
}

static void show_host(const struct domain_process *process, char *text)
{
    number_text(process->host, text);
}

static void show_parent(const struct domain_process *process, char *text)
{
    number_text(process->parent, text);
}

static void show_user(const struct domain_process *process, char *text)
{
    strcpy(text, process->user);
}

static void show_state(const struct domain_process *process, char *text)
{
    snprintf(text, CELL, "%c", process->state);
}

static void show_cpu(const struct domain_process *process, char *text)
{
    snprintf(text, CELL, "%.1f", share(process));
}

static void show_time(const struct domain_process *process, char *text)
{
    duration_text(process->cpu, text);
}

static void show_elapsed(const struct domain_process *process, char *text)
{
    duration_text(process->elapsed, text);
}

static void show_memory(const struct domain_process *process, char *text)
{
    size_print(process->memory, text);
}

static void show_command(const struct domain_process *process, char *text)
{
    strcpy(text, process->command);
}

static const struct column {
    const char *name, *head;
    void (*show)(const struct domain_process *process, char text[CELL]);
    bool usual; /* it is shown if nothing else is said */
} columns[] = {
    {"pid", "PID", show_pid, true},           {"host", "HOST", show_host, true},
    {"parent", "PARENT", show_parent, false}, {"user", "USER", show_user, true},
    {"state", "STATE", show_state, true},     {"cpu", "CPU %", show_cpu, true},
    {"time", "TIME", show_time, true},        {"elapsed", "ELAPSED", show_elapsed, false},
    {"memory", "MEMORY", show_memory, true},  {"command", "COMMAND", show_command, true},
};

static struct top_state {
    bool json;
    const struct column *chosen[TABLE_COLUMNS_MAX];
    unsigned count;
} top;

static int columns_parse(const char *text, struct error *error)
{
    top.count = 0;
    while (*text) {
        size_t length = strcspn(text, ",");
        unsigned i = 0;
        while (i < ARRAY_SIZE(columns) &&
               (strlen(columns[i].name) != length || strncmp(columns[i].name, text, length) != 0))
            i++;
        if (i == ARRAY_SIZE(columns)) {
            error_set(error, -EINVAL, "--columns: there is no column \"%.*s\"", (int)MIN(length, 40u), text);
            error_hint(error, "there are %s", options[COLUMNS].choices);
            return -EINVAL;
        }
        if (top.count == TABLE_COLUMNS_MAX)
            return error_set(error, -E2BIG, "--columns: more than %d", TABLE_COLUMNS_MAX);
        top.chosen[top.count++] = &columns[i];
        text += length + (text[length] == ',');
    }
    return top.count ? 0 : error_set(error, -EINVAL, "--columns: none is named");
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    if (index == COLUMNS)
        return columns_parse(argument, error);
    top.json = true;
    return 0;
}

/* -- printing -------------------------------------------------------------------------------------------- */

static void choose_usual(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(columns); i++) {
        if (columns[i].usual)
            top.chosen[top.count++] = &columns[i];
    }
}

static void print_table(const struct domain_process *list, unsigned count)
{
    if (!top.count)
        choose_usual();
    struct table table = {.columns = top.count};
    for (unsigned i = 0; i < top.count; i++)
        table_add(&table, top.chosen[i]->head);
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < top.count; j++) {
            char text[CELL];
            top.chosen[j]->show(&list[i], text);
            table_add(&table, text);
        }
    }
    table_print(&table);
}

static void print_json(const struct domain_process *list, unsigned count)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < count; i++) {
        const struct domain_process *one = &list[i];
        const char state[] = {one->state, '\0'};
        json_t *object = json_pack("{s:i, s:s, s:s, s:f, s:f, s:f, s:I, s:s}", "pid", (int)one->pid, "user",
                                   one->user, "state", state, "cpu_percent", share(one), "cpu_time",
                                   (double)one->cpu / 1e9, "elapsed", (double)one->elapsed / 1e9, "memory",
                                   (json_int_t)one->memory, "command", one->command);
        if (one->parent)
            json_object_set_new(object, "parent", json_integer(one->parent));
        if (one->host)
            json_object_set_new(object, "host", json_integer(one->host));
        json_array_append_new(array, object);
    }
    json_dumpf(array, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(array);
}

static int top_one(struct domain *domain, struct error *error)
{
    struct domain_visit visit;
    struct domain_process *list = NULL;
    unsigned count;
    int code = domain_visit_begin(&visit, domain, error);
    if (code)
        return code;
    code = domain_visit_top(&visit, &list, &count, error);
    domain_visit_end(&visit);
    if (code)
        return code;
    if (top.json)
        print_json(list, count);
    else
        print_table(list, count);
    free(list);
    return 0;
}

static int run_top(void *context, int count, char **words);

const struct command command_top = {
    .name = "top",
    .arguments = "NAME",
    .domains = true,
    .summary = "Lists the processes in a domain",
    .details = "Options may follow the name. PID is as the domain numbers it, HOST as the host does.\n",
    .options = options,
    .option = set_option,
    .run = run_top,
};

static int run_top(void *context, int count, char **words)
{
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    (void)context;
    int status = count ? command_parse_options(&command_top, count, words) : -1;
    if (status >= 0)
        return status;
    if (count && optind != count) {
        fprintf(stderr,
                "visor: top: it takes one domain, and \"%s\" is another word\n  hint: visor help top\n",
                words[optind]);
        return STATUS_USAGE;
    }
    status = domain_one_open("top", &store, &domain, count ? words[0] : NULL);
    if (status)
        return status;
    int code = top_one(&domain, &error);
    if (code)
        error_report(&error);
    domain_close(&domain);
    domain_store_close(&store);
    return code ? STATUS_FAILED : STATUS_OK;
}
