/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logs: what a domain has said. */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/log_reader.h"
#include "cli/when.h"

enum { FOLLOW, TAIL, SINCE, TIMESTAMPS };

static const struct command_option options[] = {
    [FOLLOW] = {.name = "follow", .letter = 'f', .help = "Go on until the domain has come to its end"},
    [TAIL] = {.name = "tail", .argument = "N", .letter = 'n', .help = "Only the last N lines"},
    [SINCE] = {.name = "since",
               .argument = "TIME",
               .help = "Only what was said since: 10m, 2h, 2026-01-31T12:00:00Z"},
    [TIMESTAMPS] = {.name = "timestamps", .letter = 't', .help = "With times"},
    {0},
};

static struct logs_state {
    bool follow, has_tail, timestamps;
    unsigned long tail;
    int64_t since;
} logs;

/* -- options --------------------------------------------------------------------------------------------- */

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    char *end;
    (void)context;
    switch (index) {
    case FOLLOW: logs.follow = true; return 0;
    case TIMESTAMPS: logs.timestamps = true; return 0;
    case SINCE: return when_parse(argument, "--since", &logs.since, error);
    default: break;
    }
    logs.has_tail = true;
    logs.tail = strtoul(argument, &end, 10);
    if (!isdigit((unsigned char)*argument) || *end)
        return error_set(error, -EINVAL, "--tail \"%s\" is no number", argument);
    return 0;
}

/* -- lines ----------------------------------------------------------------------------------------------- */

struct reader_state {
    int64_t time;   /* of the last line that had one */
    bool in_middle; /* of a line that has come in pieces */
};

static void line_print(struct reader_state *state, const struct domain_log_line *line)
{
    const bool is_visor = strcmp(line->stream, "visor") == 0;
    FILE *to = is_visor || strcmp(line->stream, "stderr") == 0 ? stderr : stdout;
    char time[STATE_TIME_SIZE];
    if (line->time)
        state->time = line->time;
    if (state->time < logs.since)
        return;
    if (is_visor && state->in_middle)
        putchar('\n');
    if (logs.timestamps && (is_visor || !state->in_middle))
        fprintf(to, "%s ", state_time_print(state->time, time));
    fwrite(line->text, 1, line->size, to);
    if (line->whole)
        fputc('\n', to);
    state->in_middle = !line->whole;
    fflush(to);
}

/* Prints all whole lines but the first `skip`. */
static void lines_print(struct reader_state *state, struct log_reader *reader, size_t skip)
{
    struct domain_log_line line;
    size_t at = 0;
    while (log_reader_next(reader, &at, &line)) {
        if (!skip)
            line_print(state, &line);
        else if (line.whole)
            skip--;
    }
    log_reader_drop(reader, at);
}

static size_t lines_count(struct log_reader *reader)
{
    struct domain_log_line line;
    size_t at = 0, count = 0;
    bool middle = false;
    while (log_reader_next(reader, &at, &line)) {
        count += line.whole;
        middle = !line.whole;
    }
    return count + middle;
}

/* -- domains --------------------------------------------------------------------------------------------- */

/* Prints what comes until the domain's process has ended. Both are looked at before the file is: nothing
 * that was said before the end is missed. */
static int follow(struct domain *domain, struct log_reader *reader, struct reader_state *state,
                  struct error *error)
{
    struct domain_state now;
    int code = domain_look(domain, &now, error);
    int process = code ? -ESRCH : process_id_open(&now.process);
    int watch = code ? -1 : log_watch_open(error);
    if (!code)
        code = watch < 0 ? watch : log_watch_add(watch, domain, error);
    struct pollfd wait[2] = {{.fd = watch, .events = POLLIN}, {.fd = process, .events = POLLIN}};
    for (bool last = process < 0; !code; last = wait[1].revents != 0) {
        log_watch_clear(watch);
        if (log_reader_more(reader))
            code = error_set(error, -EIO, "cannot read the log");
        lines_print(state, reader, 0);
        if (last)
            break;
        if (poll(wait, 2, -1) < 0 && errno != EINTR)
            code = error_set(error, -errno, "cannot wait: %s", strerror(errno));
    }
    if (watch >= 0)
        close(watch);
    if (process >= 0)
        close(process);
    return code;
}

static int logs_one(struct domain *domain, void *opaque, struct error *error)
{
    struct reader_state state = {0};
    struct log_reader reader;
    (void)opaque;
    log_reader_open(&reader, domain, NULL);
    int code = log_reader_more(&reader);
    size_t count = lines_count(&reader);
    lines_print(&state, &reader, logs.has_tail && count > logs.tail ? count - logs.tail : 0);
    if (code)
        error_set(error, code, "cannot read the log of %s: %s", domain->name, strerror(-code));
    else if (logs.follow && reader.fd >= 0)
        code = follow(domain, &reader, &state, error);
    if (state.in_middle)
        putchar('\n');
    log_reader_close(&reader);
    return code;
}

static int run_logs(void *context, int count, char **words)
{
    (void)context;
    const struct domain_each each = {.command = "logs", .silent = true, .one = logs_one};
    return domain_each_run(&each, count, words);
}

const struct command command_logs = {
    .name = "logs",
    .arguments = "NAME…",
    .domains = true,
    .summary = "Prints what domains have said on their consoles",
    .details = "What visor itself has said goes to standard error.\n",
    .options = options,
    .option = set_option,
    .run = run_logs,
};
