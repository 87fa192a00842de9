/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats_machine: what a machine uses: as the host sees its process, and its disks, cards and guest by QMP. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "control/qmp_client.h"
#include "domain/control.h"
#include "domain/host_limits.h"
#include "domain/host_memory.h"
#include "domain/process_facts.h"
#include "domain/stats_processes.h"
#include "domain/visit_kinds.h"

#define ANSWER_MS 1000 /* of one that does not answer only the rest is told */

/* The sum of a member of all that a command lists; `in`, an object in each that has it, may be NULL. */
static struct domain_amount sum(const json_t *list, const char *in, const char *name)
{
    struct domain_amount all = {.known = json_is_array(list)};
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        const json_t *object = in ? json_object_get(item, in) : item;
        json_int_t value = json_integer_value(json_object_get(object, name));
        all.value += value > 0 ? (uint64_t)value : 0;
    }
    return all;
}

static struct domain_amount member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    struct domain_amount amount = {.known = json_is_integer(value) && json_integer_value(value) >= 0};
    amount.value = amount.known ? (uint64_t)json_integer_value(value) : 0;
    return amount;
}

/* Sums of all processors'. */
static void add_exits(const json_t *list, struct domain_exits *exits)
{
    size_t index;
    json_t *item;
    json_array_foreach(list, index, item)
    {
        const char *reason = json_string_value(json_object_get(item, "reason"));
        const json_int_t count = json_integer_value(json_object_get(item, "count"));
        unsigned i = 0;
        while (reason && i < exits->count && strcmp(exits->reasons[i].reason, reason) != 0)
            i++;
        if (!reason || count < 0 || i == ARRAY_SIZE(exits->reasons))
            continue;
        if (i == exits->count) {
            snprintf(exits->reasons[i].reason, sizeof exits->reasons[i].reason, "%s", reason);
            exits->count++;
        }
        exits->reasons[i].value += (uint64_t)count;
    }
}

/* NULL: it has refused, or does not answer any more, and so for all that follows. */
static json_t *ask(struct qmp_client *client, const char *command, int *code)
{
    json_t *result = NULL;
    if (*code && *code != -EREMOTEIO)
        return NULL;
    *code = qmp_client_execute(client, command, NULL, &result, NULL);
    return *code ? NULL : result;
}

/* What the guest says of its memory. */
static void take_memory(const json_t *memory, struct domain_stats *stats)
{
    const struct {
        struct domain_amount *amount;
        const char *name;
    } rows[] = {
        {&stats->guest_total, "total"},
        {&stats->guest_free, "free"},
        {&stats->guest_available, "available"},
        {&stats->guest_caches, "caches"},
        {&stats->guest_swap_in, "swap-in"},
        {&stats->guest_swap_out, "swap-out"},
        {&stats->guest_major_faults, "major-faults"},
        {&stats->guest_minor_faults, "minor-faults"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        *rows[i].amount = member(memory, rows[i].name);
    const struct domain_amount free =
        stats->guest_available.known ? stats->guest_available : stats->guest_free;
    if (free.known && stats->guest_total.known && free.value <= stats->guest_total.value)
        stats->guest_memory = stats_amount(stats->guest_total.value - free.value);
}

/* What the balloon has of all that there is. */
static void take_balloon(const json_t *all, const json_t *has, struct domain_stats *stats)
{
    const struct domain_amount size = member(all, "base-memory"), left = member(has, "actual");
    if (size.known && left.known && left.value <= size.value)
        stats->balloon = stats_amount(size.value - left.value);
}

static void ask_all(struct qmp_client *client, struct domain_stats *stats)
{
    int code = 0;
    json_t *disks = ask(client, "query-blockstats", &code);
    json_t *cards = ask(client, "x-query-netstats", &code);
    json_t *all = ask(client, "query-memory-size-summary", &code);
    json_t *has = ask(client, "query-balloon", &code);
    json_t *memory = ask(client, "x-query-guest-memory", &code);
    json_t *exits = ask(client, "x-query-exits", &code);
    add_exits(exits, &stats->exits);
    json_decref(exits);
    if (disks) {
        stats->block_read = sum(disks, "stats", "rd_bytes");
        stats->block_written = sum(disks, "stats", "wr_bytes");
    }
    if (cards) {
        stats->net_received = sum(cards, NULL, "rx_bytes");
        stats->net_sent = sum(cards, NULL, "tx_bytes");
    }
    take_memory(memory, stats);
    take_balloon(all, has, stats);
    json_decref(disks);
    json_decref(cards);
    json_decref(all);
    json_decref(has);
    json_decref(memory);
}

pid_t domain_machine_process(const struct domain_visit *visit)
{
    const struct domain_state *state = &visit->state;
    return process_id_lives(&state->guest) ? state->guest.pid : state->process.pid;
}

int domain_machine_stats(struct domain_visit *visit, struct domain_stats *stats, struct error *error)
{
    const pid_t pid = domain_machine_process(visit);
    struct process_facts facts;
    struct qmp_client *client;
    char path[PATH_MAX];
    if (!process_facts_read(pid, false, &facts))
        return error_set(error, -ESRCH, "%s has come to its end", domain_visit_name(visit));
    stats->cpu = stats_amount(facts.cpu + facts.children_cpu);
    stats->memory = stats_amount(facts.memory);
    stats->memory_limit = stats_amount(domain_config_memory_most(&visit->config));
    host_limits_stats(visit->domain, stats);
    stats->merged.known = host_merged(pid, &stats->merged.value);
    domain_run_path(visit->domain, DOMAIN_CONTROL_FILE, path);
    if (qmp_client_connect(&client, path, ANSWER_MS, NULL) == 0) {
        ask_all(client, stats);
        qmp_client_close(client);
    }
    return 0;
}
