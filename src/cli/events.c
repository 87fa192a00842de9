/* SPDX-License-Identifier: GPL-2.0-or-later */
/* events: what has become of domains, and what becomes of them. */
#include "domain/events.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "cli/command.h"
#include "cli/when.h"

#define FILTERS_MAX 16

enum { SINCE, UNTIL, FILTER, FOLLOW, NO_STREAM, JSON };

static const struct command_option options[] = {
    [SINCE] = {.name = "since",
               .argument = "TIME",
               .help = "Begin with those since: 10m, 2h, 2026-01-31T12:00:00Z"},
    [UNTIL] = {.name = "until", .argument = "TIME", .help = "Those until then; and end there"},
    [FILTER] = {.name = "filter",
                .argument = "K=V",
                .letter = 'f',
                .choices = "event= name= id= kind=",
                .help = "Only those whose event, name, id or kind is this (may be repeated)"},
    [FOLLOW] = {.name = "follow", .help = "Go on: which it does anyway without --no-stream or --until"},
    [NO_STREAM] = {.name = "no-stream",
                   .help = "End with the last one that there is, and do not wait for more"},
    [JSON] = {.name = "json", .help = "Print JSON, an object a line"},
    {0},
};

static struct events_state {
    bool no_stream, json;
    int64_t since, until; /* 0: not given */
    const char *filters[FILTERS_MAX];
    unsigned filter_count;
} events;

/* -- which ----------------------------------------------------------------------------------------------- */

static const char *const filter_names[] = {"event=", "name=", "id=", "kind="};

static int check_event(const char *name, struct error *error)
{
    char known[160] = "";
    for (unsigned i = 0; domain_event_names[i]; i++) {
        if (strcmp(domain_event_names[i], name) == 0)
            return 0;
        strcat(known, i ? " " : "");
        strcat(known, domain_event_names[i]);
    }
    error_set(error, -EINVAL, "there is no event \"%s\"", name);
    error_hint(error, "there are %s", known);
    return -EINVAL;
}

static int add_filter(const char *text, struct error *error)
{
    if (events.filter_count == FILTERS_MAX)
        return error_set(error, -E2BIG, "more than %d filters", FILTERS_MAX);
    for (unsigned i = 0; i < ARRAY_SIZE(filter_names); i++) {
        if (strncmp(text, filter_names[i], strlen(filter_names[i])) == 0) {
            events.filters[events.filter_count++] = text;
            return i ? 0 : check_event(strchr(text, '=') + 1, error);
        }
    }
    error_set(error, -EINVAL, "there is no filter \"%s\"", text);
    error_hint(error, "event=EVENT, name=PART, id=BEGINNING, kind=KIND");
    return -EINVAL;
}

static int set_option(void *context, int index, const char *argument, struct error *error)
{
    (void)context;
    switch (index) {
    case SINCE: return when_parse(argument, "--since", &events.since, error);
    case UNTIL: return when_parse(argument, "--until", &events.until, error);
    case FILTER: return add_filter(argument, error);
    case JSON: events.json = true; return 0;
    case FOLLOW: events.no_stream = false; return 0;
    default: events.no_stream = true; return 0;
    }
}

static const char *text_of(const json_t *event, const char *member)
{
    const char *text = json_string_value(json_object_get(event, member));
    return text ? text : "";
}

static bool passes(const json_t *event, const char *filter)
{
    const char *value = strchr(filter, '=') + 1;
    switch (filter[0]) {
    case 'e': return strcmp(text_of(event, "event"), value) == 0;
    case 'n': return strstr(text_of(event, "name"), value) || strstr(text_of(event, "old_name"), value);
    case 'i': return strncmp(text_of(event, "id"), value, strlen(value)) == 0;
    default: return strcmp(text_of(event, "kind"), value) == 0;
    }
}

/* Of filters of the same thing one is enough. */
static bool is_wanted(const json_t *event)
{
    int64_t time;
    if (!state_time_parse(text_of(event, "time"), &time) || time < events.since ||
        (events.until && time > events.until))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(filter_names); i++) {
        bool asked = false, good = false;
        for (unsigned j = 0; j < events.filter_count; j++) {
            if (events.filters[j][0] != filter_names[i][0])
                continue;
            asked = true;
            good |= passes(event, events.filters[j]);
        }
        if (asked && !good)
            return false;
    }
    return true;
}

/* -- how ------------------------------------------------------------------------------------------------- */

static void print_value(const json_t *value)
{
    if (json_is_string(value))
        fputs(json_string_value(value), stdout);
    else
        json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* What all have, and then what there is besides. */
static void print_text(const json_t *event)
{
    static const char *const told[] = {"time", "kind", "event", "name", "id"};
    const char *name;
    json_t *value;
    printf("%s %s %s %s (id=%s", text_of(event, "time"),
           *text_of(event, "kind") ? text_of(event, "kind") : "domain", text_of(event, "event"),
           text_of(event, "name"), text_of(event, "id"));
    json_object_foreach((json_t *)event, name, value)
    {
        bool is_told = false;
        for (unsigned i = 0; i < ARRAY_SIZE(told); i++)
            is_told |= strcmp(told[i], name) == 0;
        if (is_told)
            continue;
        printf(", %s=", name);
        print_value(value);
    }
    printf(")\n");
}

static void print(const json_t *event)
{
    if (!events.json) {
        print_text(event);
        return;
    }
    json_dumpf(event, stdout, JSON_COMPACT);
    putchar('\n');
}

/* Until there is something new; false: nobody reads what is printed any more. */
static bool wait_for_more(const struct domain_events *reader)
{
    struct pollfd wait[] = {{.fd = domain_events_fd(reader), .events = POLLIN}, {.fd = STDOUT_FILENO}};
    int64_t left = events.until ? (events.until - state_time_now()) / 1000000 + 1 : -1;
    poll(wait, 2, (int)MIN(left, 3600000));
    return !(wait[1].revents & (POLLERR | POLLHUP));
}

static int print_all(struct domain_events *reader, struct error *error)
{
    for (;;) {
        const bool last = events.no_stream || (events.until && state_time_now() >= events.until);
        json_t *event;
        int code;
        while ((code = domain_events_next(reader, &event, error)) > 0) {
            if (is_wanted(event))
                print(event);
            json_decref(event);
        }
        fflush(stdout);
        if (code || last || !wait_for_more(reader))
            return code;
    }
}

static int run_events(void *context, int count, char **words)
{
    struct domain_store store;
    struct domain_events *reader = NULL;
    struct error error = ERROR_INIT;
    const bool past = events.no_stream || events.since || events.until;
    (void)context;
    if (count) {
        fprintf(stderr, "visor: events: it takes no words, and \"%s\" is one\n  hint: --filter name=%s\n",
                words[0], words[0]);
        return STATUS_USAGE;
    }
    int code = domain_store_open(&store, !events.no_stream, &error);
    if (!code && store.root < 0)
        return STATUS_OK; /* nothing has ever been there */
    if (!code)
        code = domain_events_open(&reader, &store, !past, &error);
    if (!code)
        code = print_all(reader, &error);
    if (code)
        error_report(&error);
    domain_events_close(reader);
    domain_store_close(&store);
    return code ? STATUS_FAILED : STATUS_OK;
}

const struct command command_events = {
    .name = "events",
    .arguments = "",
    .summary = "Tells what becomes of domains, from now on or since a time",
    .details = "Events: create start pause resume restart exit kill oom rename update remove.\n"
               "Without --no-stream or --until it goes on until it is ended.\n",
    .options = options,
    .option = set_option,
    .run = run_events,
};
