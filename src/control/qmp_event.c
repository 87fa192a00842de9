/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qmp_event: what the server tells all its clients, and how often. */
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "control/qmp_private.h"

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * TIMER_SECOND + (uint64_t)time.tv_nsec;
}

const struct qmp_event *qmp_event_find(const struct qmp_server *server, const char *name)
{
    for (unsigned i = 0; i < server->table_count; i++) {
        const struct qmp_event *event = server->tables[i].table->events;
        while (event && event->name && strcmp(event->name, name) != 0)
            event++;
        if (event && event->name)
            return event;
    }
    return NULL;
}

static void broadcast(struct qmp_server *server, json_t *message)
{
    for (struct qmp_client_end *client = server->clients; client; client = client->next) {
        if (client->negotiated)
            qmp_client_end_send(client, json_incref(message));
    }
    json_decref(message);
}

static void throttle_due(void *opaque, unsigned events);

/* Sets the timer to the first of those that are over. */
static void throttle_arm(struct qmp_server *server)
{
    struct error error = ERROR_INIT;
    uint64_t first = UINT64_MAX;
    for (struct qmp_throttle *throttle = server->throttles; throttle; throttle = throttle->next)
        first = MIN(first, throttle->until);
    if (server->timer_fd < 0 && first != UINT64_MAX) {
        server->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (server->timer_fd >= 0)
            server->timer_watch =
                loop_watch_add(server->loop, server->timer_fd, LOOP_READ, throttle_due, server, &error);
    }
    if (server->timer_fd < 0)
        return;
    if (first == UINT64_MAX)
        first = 0; /* disarms it */
    const struct itimerspec setting = {
        .it_value = {.tv_sec = (time_t)(first / TIMER_SECOND), .tv_nsec = (long)(first % TIMER_SECOND)}};
    timerfd_settime(server->timer_fd, TFD_TIMER_ABSTIME, &setting, NULL);
}

/* What was held is sent, and the next one waits again; what was not is forgotten. */
static void throttles_run(struct qmp_server *server)
{
    const uint64_t time = now();
    for (struct qmp_throttle **link = &server->throttles; *link;) {
        struct qmp_throttle *throttle = *link;
        if (throttle->until > time) {
            link = &throttle->next;
        } else if (throttle->held) {
            broadcast(server, throttle->held);
            throttle->held = NULL;
            throttle->until = time + throttle->event->interval_ms * UINT64_C(1000000);
            link = &throttle->next;
        } else {
            *link = throttle->next;
            free(throttle);
        }
    }
}

static void throttle_due(void *opaque, unsigned events)
{
    struct qmp_server *server = opaque;
    uint64_t expirations;
    (void)events;
    if (read(server->timer_fd, &expirations, sizeof expirations) < 0)
        return;
    throttles_run(server);
    throttle_arm(server);
}

/* Whether the message, given away then, must wait. */
static bool throttle_holds(struct qmp_server *server, const struct qmp_event *event, json_t *message)
{
    throttles_run(server); /* the timer may be late */
    struct qmp_throttle *throttle = server->throttles;
    while (throttle && throttle->event != event)
        throttle = throttle->next;
    if (throttle) {
        json_decref(throttle->held);
        throttle->held = message;
        return true;
    }
    throttle = calloc(1, sizeof *throttle);
    if (throttle) { /* else it is sent at once, as the next one will be */
        *throttle = (struct qmp_throttle){.event = event,
                                          .until = now() + event->interval_ms * UINT64_C(1000000),
                                          .next = server->throttles};
        server->throttles = throttle;
        throttle_arm(server);
    }
    return false;
}

void qmp_server_event(struct qmp_server *server, const char *name, json_t *data)
{
    const struct qmp_event *event = qmp_event_find(server, name);
    struct timespec time;
    if (!event || !server->clients) {
        json_decref(data);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &time);
    json_t *message = json_pack("{s:s, s:{s:I, s:I}}", "event", name, "timestamp", "seconds",
                                (json_int_t)time.tv_sec, "microseconds", (json_int_t)(time.tv_nsec / 1000));
    if (data)
        json_object_set_new(message, "data", data);
    if (!event->interval_ms || !throttle_holds(server, event, message))
        broadcast(server, message);
}

void qmp_events_free(struct qmp_server *server)
{
    while (server->throttles) {
        struct qmp_throttle *throttle = server->throttles;
        server->throttles = throttle->next;
        json_decref(throttle->held);
        free(throttle);
    }
    if (server->timer_watch)
        loop_watch_remove(server->timer_watch);
    if (server->timer_fd >= 0)
        close(server->timer_fd);
}
