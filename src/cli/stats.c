/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats: what domains that run use, now or again and again. */
#include "domain/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/table.h"
#include "domain/visit.h"

#define FIRST_MS 200 /* between the first two looks: what is used is a difference */
#define EACH_MS  1000

enum { ALL, NO_STREAM, JSON };

static const struct command_option options[] = {
    [ALL] = {.name = "all", .letter = 'a', .help = "Those that do not run, too"},
    [NO_STREAM] = {.name = "no-stream", .help = "Once, and not again each second"},
    [JSON] = {.name = "json", .help = "Print JSON: an array a line, with --no-stream one over several lines"},
    {0},
};

static struct stats_state {
    bool all, no_stream, json;
} stats;

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    (void)argument;
    (void)error;
    *(index == ALL ? &stats.all : index == JSON ? &stats.json : &stats.no_stream) = true;
    return 0;
}

/* -- looking --------------------------------------------------------------------------------------------- */

struct row {
    char id[STORE_ID_DIGITS + 1], name[STORE_NAME_MAX + 1], kind[DOMAIN_KIND_SIZE];
    bool runs;
    struct domain_stats stats;
    int64_t time; /* of the look, nanoseconds */
    double share; /* of one processor since the look before, in percent; negative: not known */
};

struct round {
    struct row *rows;
    unsigned count;
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Of a domain that has begun anew since then nothing is known. */
static double share_of(const struct row *row, const struct round *before)
{
    for (unsigned i = 0; i < before->count; i++) {
        const struct row *old = &before->rows[i];
        if (strcmp(old->id, row->id) == 0 && old->stats.cpu.known && row->stats.cpu.known &&
            row->stats.cpu.value >= old->stats.cpu.value && row->time > old->time)
            return 100.0 * (double)(row->stats.cpu.value - old->stats.cpu.value) /
                   (double)(row->time - old->time);
    }
    return -1;
}

/* A domain that does not run is a row without figures, or none. -errno: which is to be reported. */
static int look(struct round *round, const struct round *before, struct domain *domain, struct error *error)
{
    struct row *row = &round->rows[round->count];
    struct domain_visit visit;
    *row = (struct row){.share = -1};
    memcpy(row->id, domain->id, sizeof row->id);
    memcpy(row->name, domain->name[0] ? domain->name : domain->id, sizeof row->name);
    int code = domain_visit_begin(&visit, domain, error);
    if (!code) {
        snprintf(row->kind, sizeof row->kind, "%s", visit.kind->name);
        code = domain_visit_stats(&visit, &row->stats, error);
        row->time = now();
        row->share = share_of(row, before);
        row->runs = !code;
        domain_visit_end(&visit);
    }
    if (code == -ENOENT || (code == -ESRCH && !stats.all))
        return 0;
    if (code == -ESRCH && domain_read_config(domain, &visit.config, NULL) == 0)
        snprintf(row->kind, sizeof row->kind, "%s", visit.config.kind);
    if (code == -ESRCH)
        domain_config_free(&visit.config);
    round->count += !code || code == -ESRCH;
    return code == -ESRCH ? 0 : code;
}

/* One that was named must be there in the first round. */
static int look_at_named(struct domain_store *store, struct round *round, const struct round *before,
                         int count, char **words, bool first)
{
    int status = STATUS_OK;
    for (int i = 0; i < count; i++) {
        struct domain domain;
        struct error error = ERROR_INIT;
        int code = domain_find(&domain, store, words[i], &error);
        if (code == -ENOENT && !first)
            continue;
        unsigned found = round->count;
        if (!code) {
            code = look(round, before, &domain, &error);
            domain_close(&domain);
        }
        if (!code && first && found == round->count) {
            code = error_set(&error, -ESRCH, "%s does not run", words[i]);
            error_hint(&error, "visor start %s; or --all", words[i]);
        }
        if (code) {
            error_report(&error);
            status = STATUS_FAILED;
        }
    }
    return status;
}

static int by_name(const void *one, const void *two)
{
    return strcmp(((const struct row *)one)->name, ((const struct row *)two)->name);
}

/* One that is damaged does not stand in the way of others. */
static void look_at_all(struct domain_store *store, const struct domain_store_entry *entries, unsigned count,
                        struct round *round, const struct round *before, bool first)
{
    for (unsigned i = 0; i < count; i++) {
        struct domain domain = {0};
        struct error error = ERROR_INIT;
        if (domain_open(&domain, store, entries[i].id, NULL))
            continue; /* it was removed meanwhile */
        memcpy(domain.name, entries[i].name, sizeof domain.name);
        if (look(round, before, &domain, &error) && first)
            error_report(&error);
        domain_close(&domain);
    }
    if (round->count)
        qsort(round->rows, round->count, sizeof *round->rows, by_name);
}

static int look_around(struct round *round, const struct round *before, int count, char **words, bool first)
{
    struct domain_store store;
    struct domain_store_entry *entries = NULL;
    struct error error = ERROR_INIT;
    unsigned entry_count = 0;
    *round = (struct round){0};
    int code = domain_store_open(&store, false, &error);
    if (code) {
        error_report(&error);
        return STATUS_FAILED;
    }
    if (!count)
        code = domain_store_list(&store, &entries, &entry_count, &error);
    round->rows = calloc((unsigned)count + entry_count + 1, sizeof *round->rows);
    if (!code && !round->rows)
        code = error_set(&error, -ENOMEM, "out of memory");
    int status = code ? STATUS_FAILED : STATUS_OK;
    if (code)
        error_report(&error);
    else if (count)
        status = look_at_named(&store, round, before, count, words, first);
    else
        look_at_all(&store, entries, entry_count, round, before, first);
    free(entries);
    domain_store_close(&store);
    return status;
}

/* -- showing --------------------------------------------------------------------------------------------- */

static const char *amount_text(const struct domain_amount *amount, char text[SIZE_TEXT])
{
    return amount->known ? size_print(amount->value, text) : strcpy(text, "-");
}

static const char *two_text(const struct domain_amount *one, const struct domain_amount *two, char *text,
                            size_t size)
{
    char first[SIZE_TEXT], second[SIZE_TEXT];
    if (!one->known && !two->known)
        return "-";
    snprintf(text, size, "%s / %s", amount_text(one, first), amount_text(two, second));
    return text;
}

static const char *time_text(const struct domain_amount *cpu, char *text, size_t size)
{
    uint64_t seconds = cpu->value / 1000000000;
    if (!cpu->known)
        return "-";
    if (seconds < 60)
        snprintf(text, size, "%.2fs", (double)cpu->value / 1e9);
    else
        snprintf(text, size, "%" PRIu64 "m%02us", seconds / 60, (unsigned)(seconds % 60));
    return text;
}

static void add_row(struct table *table, const struct row *row)
{
    const struct domain_stats *of = &row->stats;
    char text[2 * SIZE_TEXT + 8];
    table_add(table, row->name);
    table_add(table, row->kind[0] ? row->kind : "-");
    snprintf(text, sizeof text, row->share < 0 ? "-" : "%.1f%%", row->share);
    table_add(table, text);
    table_add(table, time_text(&of->cpu, text, sizeof text));
    table_add(table, time_text(&of->cpu_throttled_time, text, sizeof text));
    table_add(table, of->memory_limit.known ? two_text(&of->memory, &of->memory_limit, text, sizeof text)
                                            : amount_text(&of->memory, text));
    table_add(table, two_text(&of->net_received, &of->net_sent, text, sizeof text));
    table_add(table, two_text(&of->block_read, &of->block_written, text, sizeof text));
    snprintf(text, sizeof text, of->processes.known ? "%" PRIu64 : "-", of->processes.value);
    table_add(table, text);
}

/* On a terminal in place of the one before, without a moment in which there is none. */
static void print_table(const struct round *round, bool refresh)
{
    static const char *const heads[] = {"NAME",         "KIND",           "CPU %",
                                        "CPU TIME",     "THROTTLED",      "MEM / LIMIT",
                                        "NET IN / OUT", "BLOCK IN / OUT", "PROCS"};
    struct table table = {.columns = ARRAY_SIZE(heads)};
    struct winsize size = {0};
    unsigned shown = round->count;
    if (refresh && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 3)
        shown = MIN(shown, size.ws_row - 2u);
    for (unsigned i = 0; i < ARRAY_SIZE(heads); i++)
        table_add(&table, heads[i]);
    for (unsigned i = 0; i < shown; i++)
        add_row(&table, &round->rows[i]);
    if (refresh)
        fputs("\033[H", stdout);
    table_write(&table, refresh ? "\033[K\n" : "\n");
    if (refresh)
        fputs("\033[J", stdout);
}

static json_t *row_json(const struct row *row)
{
    json_t *object =
        json_pack("{s:s, s:s, s:b}", "id", row->id, "name", row->name, "running", (int)row->runs);
    if (row->kind[0])
        json_object_set_new(object, "kind", json_string(row->kind));
    if (row->share >= 0)
        json_object_set_new(object, "cpu_percent", json_real(row->share));
    json_t *figures = domain_stats_json(&row->stats);
    json_object_update(object, figures);
    json_decref(figures);
    return object;
}

static void print_json(const struct round *round)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < round->count; i++)
        json_array_append_new(array, row_json(&round->rows[i]));
    json_dumpf(array, stdout, JSON_REAL_PRECISION(9) | (stats.no_stream ? JSON_INDENT(2) : JSON_COMPACT));
    putchar('\n');
    json_decref(array);
}

/* False: nobody reads what is printed any more. */
static bool wait_for(int milliseconds)
{
    struct pollfd wait = {.fd = STDOUT_FILENO};
    poll(&wait, 1, milliseconds);
    return !(wait.revents & (POLLERR | POLLHUP));
}

static int run_stats(void *context, int count, char **words)
{
    struct round before = {0}, round;
    const bool refresh = !stats.json && !stats.no_stream && isatty(STDOUT_FILENO);
    (void)context;
    int status = look_around(&round, &before, count, words, true);
    for (int wait = FIRST_MS; status == STATUS_OK; wait = EACH_MS) {
        free(before.rows);
        before = round;
        round = (struct round){0};
        if ((before.count || !stats.no_stream) && !wait_for(wait)) /* for nothing nobody has to wait */
            break;
        status = look_around(&round, &before, count, words, false);
        if (status || (count && !round.count && wait == EACH_MS)) /* those that were named have ended */
            break;
        if (refresh && wait == FIRST_MS)
            fputs("\033[2J", stdout);
        if (stats.json)
            print_json(&round);
        else
            print_table(&round, refresh);
        fflush(stdout);
        if (stats.no_stream)
            break;
    }
    free(before.rows);
    free(round.rows);
    return status;
}

const struct command command_stats = {
    .name = "stats",
    .arguments = "[NAME…]",
    .domains = true,
    .summary = "Tells what domains that run use: processors, memory, networks, disks",
    .details = "100 % of CPU is one processor. What is not known is a dash.\n",
    .options = options,
    .option = set_option,
    .run = run_stats,
};
