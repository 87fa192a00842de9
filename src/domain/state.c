/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/macros.h"

/* -- times ----------------------------------------------------------------------------------------------- */

int64_t state_time_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

char *state_time_print(int64_t time, char text[STATE_TIME_SIZE])
{
    struct tm tm;
    time_t seconds = time / 1000000000;
    size_t size = strftime(text, STATE_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
    snprintf(text + size, STATE_TIME_SIZE - size, ".%09dZ", (int)(time % 1000000000));
    return text;
}

bool state_time_parse(const char *text, int64_t *time)
{
    struct tm tm = {0};
    const char *at = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!at || tm.tm_year < 70 || tm.tm_year > 300)
        return false;
    *time = (int64_t)timegm(&tm) * 1000000000;
    if (*at == '.') {
        int64_t unit = 100000000;
        for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
            *time += (*at - '0') * unit;
    }
    return strcmp(at, "Z") == 0;
}

/* -- the document ---------------------------------------------------------------------------------------- */

static const char *const statuses[] = {
    [DOMAIN_CREATED] = "created",       [DOMAIN_RUNNING] = "running", [DOMAIN_PAUSED] = "paused",
    [DOMAIN_RESTARTING] = "restarting", [DOMAIN_EXITED] = "exited",
};

const char *domain_phase_text(enum domain_phase status)
{
    return statuses[status];
}

static int set_time(json_t *document, const char *name, int64_t time)
{
    char text[STATE_TIME_SIZE];
    return time ? json_object_set_new(document, name, json_string(state_time_print(time, text))) : 0;
}

static const struct {
    const char *name;
    size_t offset; /* in struct cage_parts */
} cage_names[] = {
#define PART(name)                                                                                           \
    {                                                                                                        \
#name, offsetof(struct cage_parts, name)                                                             \
    }
    PART(user), PART(pid),    PART(mount),  PART(network), PART(ipc),
    PART(uts),  PART(cgroup), PART(rights), PART(limits),  PART(filter),
#undef PART
};

static json_t *cage_json(const struct cage_parts *parts)
{
    json_t *document = json_object();
    for (unsigned i = 0; i < ARRAY_SIZE(cage_names); i++) {
        const bool *part = (const bool *)((const char *)parts + cage_names[i].offset);
        json_object_set_new(document, cage_names[i].name, json_boolean(*part));
    }
    return document;
}

static void cage_load(struct cage_parts *parts, const json_t *document)
{
    for (unsigned i = 0; i < ARRAY_SIZE(cage_names); i++) {
        bool *part = (bool *)((char *)parts + cage_names[i].offset);
        *part = json_is_true(json_object_get(document, cage_names[i].name));
    }
}

json_t *domain_state_json(const struct domain_state *state)
{
    json_t *document = json_pack("{s:s, s:i, s:b}", "status", statuses[state->status], "restarts",
                                 (int)state->restarts, "stopped", (int)state->stopped);
    if (!document)
        return NULL;
    int failed = set_time(document, "created", state->created);
    failed |= set_time(document, "started", state->started);
    failed |= set_time(document, "finished", state->finished);
    if (state->process.pid) {
        failed |= json_object_set_new(document, "pid", json_integer(state->process.pid));
        failed |= json_object_set_new(document, "pid_start", json_integer((json_int_t)state->process.start));
        failed |= json_object_set_new(document, "boot", json_string(state->process.boot));
    }
    if (state->status == DOMAIN_CREATED && state->provisional)
        failed |= json_object_set_new(document, "provisional", json_true());
    if (state->process.pid && state->guest.pid) {
        failed |= json_object_set_new(document, "guest_pid", json_integer(state->guest.pid));
        failed |= json_object_set_new(document, "guest_start", json_integer((json_int_t)state->guest.start));
        failed |= json_object_set_new(document, "cage", cage_json(&state->cage));
    }
    if (state->process.pid && state->vsock_cid)
        failed |= json_object_set_new(document, "vsock_cid", json_integer(state->vsock_cid));
    if (state->finished) {
        failed |= json_object_set_new(document, "exit_status", json_integer(state->end.status));
        failed |= json_object_set_new(document, "reason", json_string(state->end.reason));
        failed |= json_object_set_new(document, "failed", json_boolean(state->end.failed));
    }
    if (!failed)
        return document;
    json_decref(document);
    return NULL;
}

static int64_t get_time(const json_t *document, const char *name)
{
    int64_t time = 0;
    const char *text = json_string_value(json_object_get(document, name));
    return text && state_time_parse(text, &time) ? time : 0;
}

int domain_state_load(struct domain_state *state, const json_t *document, struct error *error)
{
    const char *status = json_string_value(json_object_get(document, "status"));
    const char *boot = json_string_value(json_object_get(document, "boot"));
    const char *reason = json_string_value(json_object_get(document, "reason"));
    unsigned index = 0;
    while (status && index < ARRAY_SIZE(statuses) && strcmp(status, statuses[index]) != 0)
        index++;
    if (!status || index == ARRAY_SIZE(statuses))
        return error_set(error, -EINVAL, "it has no known status");
    *state = (struct domain_state){
        .status = (enum domain_phase)index,
        .process.pid = (pid_t)json_integer_value(json_object_get(document, "pid")),
        .guest.pid = (pid_t)json_integer_value(json_object_get(document, "guest_pid")),
        .guest.start = (uint64_t)json_integer_value(json_object_get(document, "guest_start")),
        .vsock_cid = (uint32_t)json_integer_value(json_object_get(document, "vsock_cid")),
        .process.start = (uint64_t)json_integer_value(json_object_get(document, "pid_start")),
        .created = get_time(document, "created"),
        .started = get_time(document, "started"),
        .finished = get_time(document, "finished"),
        .end.status = (int)json_integer_value(json_object_get(document, "exit_status")),
        .end.failed = json_is_true(json_object_get(document, "failed")),
        .restarts = (unsigned)json_integer_value(json_object_get(document, "restarts")),
        .stopped = json_is_true(json_object_get(document, "stopped")),
        .provisional = json_is_true(json_object_get(document, "provisional")),
    };
    cage_load(&state->cage, json_object_get(document, "cage"));
    snprintf(state->process.boot, sizeof state->process.boot, "%s", boot ? boot : "");
    snprintf(state->guest.boot, sizeof state->guest.boot, "%s", boot ? boot : "");
    snprintf(state->end.reason, sizeof state->end.reason, "%s", reason ? reason : "");
    return 0;
}
