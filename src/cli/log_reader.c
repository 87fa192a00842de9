/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/log_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_open(const struct domain *domain, const char *name)
{
    return openat(domain->directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Whether the log is another file by now. */
static bool is_other(const struct domain *domain, int fd)
{
    struct stat here, there;
    return fstatat(domain->directory, DOMAIN_LOG_FILE, &there, 0) == 0 &&
           (fstat(fd, &here) < 0 || here.st_ino != there.st_ino);
}

static int file_read(int fd, struct buffer *text)
{
    uint8_t piece[65536];
    ssize_t size;
    while ((size = read(fd, piece, sizeof piece)) > 0)
        buffer_append(text, piece, (size_t)size);
    return size < 0 ? -errno : text->failed ? -ENOMEM : 0;
}

void log_place_end(struct log_place *place, const struct domain *domain)
{
    struct stat file;
    *place = (struct log_place){0};
    if (fstatat(domain->directory, DOMAIN_LOG_FILE, &file, 0) == 0)
        *place = (struct log_place){.file = file.st_ino, .offset = file.st_size};
}

/* The file before comes first, unless the log has become that one meanwhile. */
static void read_old(struct log_reader *reader)
{
    int old = file_open(reader->domain, DOMAIN_LOG_OLD);
    if (old >= 0 && !is_other(reader->domain, reader->fd))
        file_read(old, &reader->text);
    if (old >= 0)
        close(old);
}

void log_reader_open(struct log_reader *reader, const struct domain *domain, const struct log_place *from)
{
    struct stat file;
    *reader = (struct log_reader){.domain = domain, .fd = file_open(domain, DOMAIN_LOG_FILE)};
    if (!from)
        read_old(reader);
    else if (reader->fd >= 0 && fstat(reader->fd, &file) == 0 && file.st_ino == from->file)
        lseek(reader->fd, from->offset, SEEK_SET);
}

int log_reader_more(struct log_reader *reader)
{
    for (;;) {
        const bool other = is_other(reader->domain, reader->fd);
        int code = reader->fd >= 0 ? file_read(reader->fd, &reader->text) : 0;
        if (code || !other)
            return code;
        if (reader->fd >= 0)
            close(reader->fd);
        reader->fd = file_open(reader->domain, DOMAIN_LOG_FILE);
        if (reader->fd < 0)
            return 0;
    }
}

bool log_reader_next(struct log_reader *reader, size_t *at, struct domain_log_line *line)
{
    if (*at >= reader->text.size)
        return false;
    const char *begin = (const char *)reader->text.data + *at;
    const char *newline = memchr(begin, '\n', reader->text.size - *at);
    if (!newline)
        return false;
    domain_log_parse(line, begin, (size_t)(newline - begin));
    *at += (size_t)(newline - begin) + 1;
    return true;
}

void log_reader_drop(struct log_reader *reader, size_t at)
{
    if (at)
        memmove(reader->text.data, reader->text.data + at, reader->text.size - at);
    reader->text.size -= at;
}

void log_reader_close(struct log_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    buffer_free(&reader->text);
    reader->fd = -1;
}

int log_watch_open(struct error *error)
{
    int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    return watch < 0 ? error_set(error, -errno, "cannot watch logs: %s", strerror(errno)) : watch;
}

int log_watch_add(int watch, const struct domain *domain, struct error *error)
{
    char path[PATH_MAX];
    domain_path(domain, ".", path);
    if (inotify_add_watch(watch, path, IN_MODIFY | IN_CREATE) >= 0)
        return 0;
    return error_set(error, -errno, "cannot watch the log of %s: %s", domain->name, strerror(errno));
}

void log_watch_clear(int watch)
{
    char events[4096];
    while (read(watch, events, sizeof events) > 0) {
    }
}
