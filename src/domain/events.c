/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/events.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/json_file.h"
#include "domain/store_private.h"

#define LINE_MAX_SIZE 65536 /* bytes: what is longer is no event */
#define TRIES         16    /* to write to a file that is not replaced meanwhile */

const char *const domain_event_names[] = {
    [DOMAIN_EVENT_CREATE] = "create", [DOMAIN_EVENT_START] = "start",   [DOMAIN_EVENT_PAUSE] = "pause",
    [DOMAIN_EVENT_RESUME] = "resume", [DOMAIN_EVENT_EXIT] = "exit",     [DOMAIN_EVENT_RESTART] = "restart",
    [DOMAIN_EVENT_KILL] = "kill",     [DOMAIN_EVENT_OOM] = "oom",       [DOMAIN_EVENT_RENAME] = "rename",
    [DOMAIN_EVENT_UPDATE] = "update", [DOMAIN_EVENT_REMOVE] = "remove", NULL,
};

/* -- writing --------------------------------------------------------------------------------------------- */

/* Whether the open file is the one with that name. */
static bool is_current(int root, const char *name, const struct stat *open)
{
    struct stat there;
    return fstatat(root, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == open->st_ino &&
           there.st_dev == open->st_dev;
}

static int lock(int fd, int how)
{
    int code;
    while ((code = flock(fd, how)) < 0 && errno == EINTR) {
    }
    return code < 0 ? -errno : 0;
}

/* The file with its lock, shared; it stays the file for as long. */
static int file_take(int root, struct stat *status)
{
    for (unsigned tries = 0; tries < TRIES; tries++) {
        int fd = openat(root, DOMAIN_EVENTS_FILE, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
        int code = fd < 0 ? -errno : lock(fd, LOCK_SH);
        if (!code && fstat(fd, status) == 0 && is_current(root, DOMAIN_EVENTS_FILE, status))
            return fd;
        if (fd < 0)
            return code;
        close(fd);
        if (code)
            return code;
    }
    return -EBUSY;
}

/* One write. Where the last line has no end, since its writer was killed or the disk is full, it gets one. */
static int line_write(int fd, off_t size, char *text)
{
    char last = '\n';
    if (size > 0 && pread(fd, &last, 1, size - 1) < 0)
        return -errno;
    const char *from = last == '\n' ? text + 1 : text;
    ssize_t length = (ssize_t)strlen(from);
    ssize_t done = write(fd, from, (size_t)length);
    return done == length ? 0 : done < 0 ? -errno : -ENOSPC;
}

/* Who else writes just now leaves it to the next one. */
static void file_rotate(int root, int fd, const struct stat *status)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_current(root, DOMAIN_EVENTS_FILE, status))
        renameat(root, DOMAIN_EVENTS_FILE, root, DOMAIN_EVENTS_OLD);
}

static int text_put(int root, char *text)
{
    struct stat status;
    int fd = file_take(root, &status);
    if (fd < 0)
        return fd;
    int code = line_write(fd, status.st_size, text);
    if (status.st_size + (off_t)strlen(text) > DOMAIN_EVENTS_MAX)
        file_rotate(root, fd, &status);
    close(fd);
    return code;
}

/* What kind of domain it is. A damaged one has none. */
static void kind_find(const struct domain *domain, char kind[DOMAIN_KIND_SIZE])
{
    snprintf(kind, DOMAIN_KIND_SIZE, "%s", domain->kind);
    if (kind[0])
        return;
    json_t *document = json_file_read(domain->directory, "config.json", 2 * DOMAIN_DOCUMENT_MAX, NULL);
    const char *found = json_string_value(json_object_get(document, "kind"));
    snprintf(kind, DOMAIN_KIND_SIZE, "%s", found ? found : "");
    json_decref(document);
}

/* After a '\n' that may be needed, and with one at its end. NULL: out of memory. */
static char *line_make(const struct domain *domain, enum domain_event event, json_t *details)
{
    char time[STATE_TIME_SIZE], name[STORE_NAME_MAX + 1], kind[DOMAIN_KIND_SIZE];
    domain_name_now(domain, name);
    kind_find(domain, kind);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s}", "time", state_time_print(state_time_now(), time),
                               "event", domain_event_names[event], "id", domain->id, "name", name);
    if (kind[0])
        json_object_set_new(object, "kind", json_string(kind));
    if (details)
        json_object_update(object, details);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;
    char *line = text ? malloc(size + 3) : NULL;
    if (line) {
        line[0] = '\n';
        memcpy(line + 1, text, size);
        memcpy(line + 1 + size, "\n", 2);
    }
    free(text);
    json_decref(object);
    return line;
}

void domain_event_put(const struct domain *domain, enum domain_event event, json_t *details)
{
    struct error error = ERROR_INIT;
    char *line = line_make(domain, event, details);
    json_decref(details);
    int code = line ? text_put(domain->store->root, line) : -ENOMEM;
    free(line);
    if (code) {
        error_set(&error, code, "cannot write %s/" DOMAIN_EVENTS_FILE ": %s", domain->store->path,
                  strerror(-code));
        error_report(&error);
    }
    domain_store_step(domain->store);
}

/* What of it the state tells. */
static json_t *event_details(enum domain_event event, const struct domain_state *state)
{
    json_t *details = json_object();
    if (event == DOMAIN_EVENT_START)
        json_object_set_new(details, "pid", json_integer(state->process.pid));
    if (event == DOMAIN_EVENT_RESTART || (event == DOMAIN_EVENT_START && state->restarts))
        json_object_set_new(details, "restarts", json_integer(state->restarts));
    if (event == DOMAIN_EVENT_EXIT || event == DOMAIN_EVENT_RESTART) {
        json_object_set_new(details, "exit_status", json_integer(state->end.status));
        json_object_set_new(details, "reason", json_string(state->end.reason));
        json_object_set_new(details, "failed", json_boolean(state->end.failed));
    }
    return details;
}

void domain_event_put_state(const struct domain *domain, enum domain_event event,
                            const struct domain_state *state)
{
    domain_event_put(domain, event, event_details(event, state));
}

/* -- reading --------------------------------------------------------------------------------------------- */

struct domain_events {
    const struct domain_store *store;
    int file;  /* -1: none yet */
    int watch; /* inotify */
    struct buffer text;
    size_t used; /* bytes of `text` that have been told */
};

static int reader_open(const struct domain_events *events, const char *name)
{
    return openat(events->store->root, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

int domain_events_open(struct domain_events **out, const struct domain_store *store, bool only_new,
                       struct error *error)
{
    struct domain_events *events = calloc(1, sizeof *events);
    int code = 0;
    if (!events)
        return error_set(error, -ENOMEM, "out of memory");
    *events = (struct domain_events){.store = store, .file = -1};
    events->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (events->watch < 0 || inotify_add_watch(events->watch, store->path, IN_MODIFY | IN_CREATE) < 0) {
        code = error_set(error, -errno, "cannot watch %s: %s", store->path, strerror(errno));
        domain_events_close(events);
        return code;
    }
    if (only_new) {
        events->file = reader_open(events, DOMAIN_EVENTS_FILE);
        if (events->file < 0)
            events->file = reader_open(events, DOMAIN_EVENTS_OLD);
        if (events->file >= 0)
            lseek(events->file, 0, SEEK_END);
    }
    *out = events;
    return 0;
}

void domain_events_close(struct domain_events *events)
{
    if (!events)
        return;
    if (events->watch >= 0)
        close(events->watch);
    if (events->file >= 0)
        close(events->file);
    buffer_free(&events->text);
    free(events);
}

int domain_events_fd(const struct domain_events *events)
{
    return events->watch;
}

/* Reads what has been added. 1: there is more. */
static int read_more(struct domain_events *events)
{
    uint8_t piece[65536];
    ssize_t size = events->file < 0 ? 0 : read(events->file, piece, sizeof piece);
    if (size < 0)
        return -errno;
    if (events->used) {
        events->text.size -= events->used;
        memmove(events->text.data, events->text.data + events->used, events->text.size);
        events->used = 0;
    }
    if (events->text.size > LINE_MAX_SIZE)
        events->text.size = 0;
    buffer_append(&events->text, piece, (size_t)size);
    return events->text.failed ? -ENOMEM : size > 0;
}

/* To the file after the one that was read: of one that has been replaced twice that is events.1. 1: there is
 * another one. */
static int file_next(struct domain_events *events)
{
    int root = events->store->root;
    struct stat here = {0};
    if (events->file >= 0 && (fstat(events->file, &here) < 0 || is_current(root, DOMAIN_EVENTS_FILE, &here)))
        return 0;
    int fd = -1;
    if (events->file < 0 || !is_current(root, DOMAIN_EVENTS_OLD, &here))
        fd = reader_open(events, DOMAIN_EVENTS_OLD);
    if (fd < 0)
        fd = reader_open(events, DOMAIN_EVENTS_FILE);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int code = read_more(events); /* the last that was written before it was replaced */
    if (code) {
        close(fd);
        return code;
    }
    events->text.size = events->used = 0; /* what has no end is nothing */
    if (events->file >= 0)
        close(events->file);
    events->file = fd;
    return 1;
}

/* NULL: the line is no event. */
static json_t *line_parse(const char *text, size_t size)
{
    static const char *const texts[] = {"event", "id", "name"};
    int64_t time;
    json_t *event = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    const char *when = json_string_value(json_object_get(event, "time"));
    bool good = when && state_time_parse(when, &time);
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
        good = good && json_is_string(json_object_get(event, texts[i]));
    if (good)
        return event;
    json_decref(event);
    return NULL;
}

/* The next of those that have been read. */
static json_t *line_next(struct domain_events *events)
{
    while (events->used < events->text.size) {
        const char *at = (const char *)events->text.data + events->used;
        const char *end = memchr(at, '\n', events->text.size - events->used);
        if (!end)
            break;
        events->used += (size_t)(end - at) + 1;
        json_t *event = line_parse(at, (size_t)(end - at));
        if (event)
            return event;
    }
    return NULL;
}

int domain_events_next(struct domain_events *events, json_t **event, struct error *error)
{
    char news[4096];
    for (;;) {
        *event = line_next(events);
        if (*event)
            return 1;
        while (read(events->watch, news, sizeof news) > 0) { /* before what it tells of is looked at */
        }
        int code = read_more(events);
        if (!code)
            code = file_next(events);
        if (code < 0)
            return error_set(error, code, "cannot read %s/" DOMAIN_EVENTS_FILE ": %s", events->store->path,
                             strerror(-code));
        if (!code)
            return 0;
    }
}
