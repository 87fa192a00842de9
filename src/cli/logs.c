/* SPDX-License-Identifier: GPL-2.0-or-later */
/* logs: what a domain has said. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "cli/command.h"
#include "cli/domain_each.h"
#include "cli/when.h"
#include "domain/log.h"

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

/* The next line of a text, and where the one after it begins; NULL: there is no whole one. */
static const char *line_next(const char *at, const char *end, struct domain_log_line *line)
{
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    if (!newline)
        return NULL;
    domain_log_parse(line, at, (size_t)(newline - at));
    return newline + 1;
}

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

/* Prints all whole lines but the first `skip`; returns how many bytes that were. */
static size_t lines_print(struct reader_state *state, const char *text, size_t size, size_t skip)
{
    const char *at = text, *next;
    struct domain_log_line line;
    while ((next = line_next(at, text + size, &line))) {
        if (!skip)
            line_print(state, &line);
        else if (line.whole)
            skip--;
        at = next;
    }
    return (size_t)(at - text);
}

static size_t lines_count(const char *text, size_t size)
{
    const char *at = text, *next;
    struct domain_log_line line;
    size_t count = 0;
    bool middle = false;
    while ((next = line_next(at, text + size, &line))) {
        count += line.whole;
        middle = !line.whole;
        at = next;
    }
    return count + middle;
}

/* -- files ----------------------------------------------------------------------------------------------- */

/* What has been added to a file. */
static int read_more(int fd, struct buffer *text)
{
    uint8_t piece[65536];
    ssize_t size;
    while ((size = read(fd, piece, sizeof piece)) > 0)
        buffer_append(text, piece, (size_t)size);
    return size < 0 ? -errno : text->failed ? -ENOMEM : 0;
}

static int log_open(const struct domain *domain, const char *name)
{
    return openat(domain->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void print_more(struct reader_state *state, struct buffer *text, size_t skip)
{
    size_t used = lines_print(state, (const char *)text->data, text->size, skip);
    if (used)
        memmove(text->data, text->data + used, text->size - used);
    text->size -= used;
}

/* The file that is the log by now, if it is another one. */
static bool has_new_file(const struct domain *domain, int fd)
{
    struct stat here, there;
    return fstat(fd, &here) == 0 && fstatat(domain->directory, DOMAIN_LOG_FILE, &there, 0) == 0 &&
           here.st_ino != there.st_ino;
}

/* Prints what comes until the domain's process has ended. Both are looked at before the file is: nothing
 * that was said before the end is missed. */
static int follow(struct domain *domain, int *fd, struct buffer *text, struct reader_state *state,
                  struct error *error)
{
    struct domain_state now;
    char path[PATH_MAX], events[4096];
    int code = domain_look(domain, &now, error);
    int process = code ? -ESRCH : process_id_open(&now.process);
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    domain_path(domain, ".", path);
    if (watch < 0 || inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE) < 0)
        code = error_set(error, -errno, "cannot watch the log: %s", strerror(errno));
    struct pollfd wait[2] = {{.fd = watch, .events = POLLIN}, {.fd = process, .events = POLLIN}};
    bool ended = process < 0;
    while (!code) {
        if (!ended && poll(wait, 2, -1) < 0 && errno != EINTR)
            code = error_set(error, -errno, "cannot wait: %s", strerror(errno));
        ended |= wait[1].revents != 0;
        while (read(watch, events, sizeof events) > 0) {
        }
        const bool other = has_new_file(domain, *fd);
        if (read_more(*fd, text))
            code = error_set(error, -EIO, "cannot read the log");
        print_more(state, text, 0);
        if (other) {
            close(*fd);
            *fd = log_open(domain, DOMAIN_LOG_FILE);
        } else if (ended) {
            break;
        }
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
    struct buffer text = {0};
    int code = 0, old = log_open(domain, DOMAIN_LOG_OLD), fd = log_open(domain, DOMAIN_LOG_FILE);
    (void)opaque;
    if (old >= 0 && !has_new_file(domain, fd))
        code = read_more(old, &text);
    if (!code && fd >= 0)
        code = read_more(fd, &text);
    size_t count = lines_count((const char *)text.data, text.size);
    print_more(&state, &text, logs.has_tail && count > logs.tail ? count - logs.tail : 0);
    if (code)
        error_set(error, code, "cannot read the log of %s: %s", domain->name, strerror(-code));
    else if (logs.follow && fd >= 0)
        code = follow(domain, &fd, &text, &state, error);
    if (state.in_middle)
        putchar('\n');
    if (old >= 0)
        close(old);
    if (fd >= 0)
        close(fd);
    buffer_free(&text);
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
