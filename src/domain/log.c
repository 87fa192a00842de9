/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/macros.h"
#include "domain/state.h"

#define FLUSH_DELAY 50000000 /* ns that a line without an end waits for it */

struct domain_log {
    int directory, fd;
    uint64_t size, most;
    bool redirected;
    uint8_t line[DOMAIN_LOG_LINE]; /* of `stream`, that has not ended yet */
    size_t line_size;
    const char *stream;
    int timer; /* -1: nobody waits */
    struct loop_watch *watch;
};

static int log_open_file(struct domain_log *log)
{
    struct stat status;
    log->fd =
        openat(log->directory, DOMAIN_LOG_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log->fd < 0 || fstat(log->fd, &status) < 0)
        return -errno;
    log->size = (uint64_t)status.st_size;
    return 0;
}

int domain_log_open(struct domain_log **out, int directory, uint64_t most, struct error *error)
{
    struct domain_log *log = calloc(1, sizeof *log);
    if (!log)
        return error_set(error, -ENOMEM, "out of memory");
    *log = (struct domain_log){.fd = -1, .most = most, .timer = -1};
    log->directory = fcntl(directory, F_DUPFD_CLOEXEC, 3);
    int code = log->directory < 0 ? -errno : log_open_file(log);
    if (code) {
        domain_log_close(log);
        return error_set(error, code, "cannot write the log: %s", strerror(-code));
    }
    *out = log;
    return 0;
}

void domain_log_limit(struct domain_log *log, uint64_t most)
{
    log->most = most;
}

int domain_log_redirect(struct domain_log *log, struct error *error)
{
    log->redirected = true;
    if (dup2(log->fd, STDOUT_FILENO) < 0 || dup2(log->fd, STDERR_FILENO) < 0)
        return error_set(error, -errno, "cannot write to the log: %s", strerror(errno));
    return 0;
}

/* A new file in place of one that would become too large by so much more. If there can be none the old one
 * grows. */
static void log_rotate(struct domain_log *log, size_t more)
{
    struct stat status;
    if (fstat(log->fd, &status) == 0) /* visor's own lines are in it too */
        log->size = (uint64_t)status.st_size;
    if (!log->size || log->size + more <= log->most ||
        renameat(log->directory, DOMAIN_LOG_FILE, log->directory, DOMAIN_LOG_OLD) < 0)
        return;
    int old = log->fd;
    if (log_open_file(log) < 0) {
        log->fd = old;
        return;
    }
    close(old);
    if (log->redirected)
        domain_log_redirect(log, NULL);
}

/* A line, or a piece of one. What the disk has no room for is lost. */
static void log_put(struct domain_log *log, bool whole)
{
    char head[64];
    char record[sizeof head + DOMAIN_LOG_LINE + 1];
    char time[STATE_TIME_SIZE];
    int size = snprintf(head, sizeof head, "%s %s %c ", state_time_print(state_time_now(), time), log->stream,
                        whole ? 'F' : 'P');
    memcpy(record, head, (size_t)size);
    memcpy(record + size, log->line, log->line_size);
    size += (int)log->line_size;
    record[size++] = '\n';
    if (log->size + (size_t)size > log->most)
        log_rotate(log, (size_t)size);
    ssize_t done = write(log->fd, record, (size_t)size); /* in one go: the log has several writers */
    log->size += (size_t)MAX(done, 0);
    log->line_size = 0;
}

static void log_flush(struct domain_log *log)
{
    if (log->line_size)
        log_put(log, false);
}

void domain_log_write(struct domain_log *log, const char *stream, const uint8_t *data, size_t size)
{
    if (log->stream && strcmp(log->stream, stream) != 0)
        log_flush(log);
    log->stream = stream;
    while (size) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size, room = DOMAIN_LOG_LINE - log->line_size;
        size_t taken = MIN(length, room);
        memcpy(log->line + log->line_size, data, taken);
        log->line_size += taken;
        data += taken;
        size -= taken;
        if (end && taken == length) {
            log_put(log, true);
            data++;
            size--;
        } else if (log->line_size == DOMAIN_LOG_LINE) {
            log_flush(log);
        }
    }
    const struct itimerspec soon = {.it_value.tv_nsec = log->line_size ? FLUSH_DELAY : 0};
    if (log->timer >= 0)
        timerfd_settime(log->timer, 0, &soon, NULL);
}

void domain_log_write_own(struct domain_log *log, const void *data, size_t size)
{
    if (log->size + size > log->most)
        log_rotate(log, size);
    const ssize_t done = write(log->fd, data, size);
    log->size += (size_t)MAX(done, 0);
}

static void log_due(void *opaque, unsigned events)
{
    struct domain_log *log = opaque;
    uint64_t count;
    (void)events;
    if (read(log->timer, &count, sizeof count) == sizeof count)
        log_flush(log);
}

int domain_log_attach(struct domain_log *log, struct loop *loop, struct error *error)
{
    log->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (log->timer < 0)
        return error_set(error, -errno, "cannot make a timer: %s", strerror(errno));
    log->watch = loop_watch_add(loop, log->timer, LOOP_READ, log_due, log, error);
    if (log->watch)
        return 0;
    domain_log_detach(log);
    return -ENOMEM;
}

void domain_log_detach(struct domain_log *log)
{
    if (log->watch)
        loop_watch_remove(log->watch);
    log->watch = NULL;
    if (log->timer >= 0)
        close(log->timer);
    log->timer = -1;
}

void domain_log_close(struct domain_log *log)
{
    if (!log)
        return;
    domain_log_detach(log);
    if (log->fd >= 0) {
        log_flush(log);
        close(log->fd);
    }
    if (log->directory >= 0)
        close(log->directory);
    free(log);
}

/* -- reading --------------------------------------------------------------------------------------------- */

void domain_log_parse(struct domain_log_line *line, const char *text, size_t size)
{
    char head[STATE_TIME_SIZE + sizeof line->stream + 4] = "";
    int used = 0;
    char kind = 0, time[STATE_TIME_SIZE];
    memcpy(head, text, MIN(size, sizeof head - 1));
    *line = (struct domain_log_line){.stream = "visor", .whole = true, .text = text, .size = size};
    char stream[16];
    if (sscanf(head, "%31s %15s %c%n", time, stream, &kind, &used) != 3 || (kind != 'F' && kind != 'P') ||
        (size_t)used >= size || text[used] != ' ' || !state_time_parse(time, &line->time)) {
        line->time = 0;
        return;
    }
    strcpy(line->stream, stream);
    line->whole = kind == 'F';
    line->text = text + used + 1;
    line->size = size - (size_t)used - 1;
}
