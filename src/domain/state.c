/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"

/* -- processes ------------------------------------------------------------------------------------------- */

static bool read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[MAX(got, 0)] = '\0';
    return got > 0;
}

/* 0: there is no such process, or only what its parent has not yet looked at. */
static uint64_t start_of(pid_t pid)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_small(path, text, sizeof text))
        return 0;
    char *at = strrchr(text, ')'); /* its name may have anything in it */
    if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
        return 0;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void boot_id(char boot[40])
{
    read_small("/proc/sys/kernel/random/boot_id", boot, 40);
    boot[strcspn(boot, "\n")] = '\0';
}

int process_id_self(struct process_id *id, struct error *error)
{
    *id = (struct process_id){.pid = getpid(), .start = start_of(getpid())};
    boot_id(id->boot);
    if (!id->start)
        return error_set(error, -ENOENT, "cannot read /proc/self/stat: %s", strerror(errno));
    return 0;
}

bool process_id_lives(const struct process_id *id)
{
    char boot[40];
    if (id->pid <= 0 || start_of(id->pid) != id->start)
        return false;
    boot_id(boot);
    return strcmp(boot, id->boot) == 0;
}

int process_id_open(const struct process_id *id)
{
    int fd = id->pid > 0 ? pidfd_open(id->pid, 0) : -1;
    if (fd < 0)
        return id->pid > 0 ? -errno : -ESRCH;
    if (process_id_lives(id))
        return fd;
    close(fd);
    return -ESRCH;
}

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
        .process.start = (uint64_t)json_integer_value(json_object_get(document, "pid_start")),
        .created = get_time(document, "created"),
        .started = get_time(document, "started"),
        .finished = get_time(document, "finished"),
        .end.status = (int)json_integer_value(json_object_get(document, "exit_status")),
        .end.failed = json_is_true(json_object_get(document, "failed")),
        .restarts = (unsigned)json_integer_value(json_object_get(document, "restarts")),
        .stopped = json_is_true(json_object_get(document, "stopped")),
    };
    snprintf(state->process.boot, sizeof state->process.boot, "%s", boot ? boot : "");
    snprintf(state->end.reason, sizeof state->end.reason, "%s", reason ? reason : "");
    return 0;
}
