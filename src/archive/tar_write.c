/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar_write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

/* The fields of a header, by offset and size (POSIX.1-1988, GNU's magic). */
enum {
    NAME = 0,
    NAME_SIZE = 100,
    MODE = 100,
    UID = 108,
    GID = 116,
    SIZE = 124,
    MTIME = 136,
    SUM = 148,
    TYPE = 156,
    LINK = 157,
    MAGIC = 257,
};

static int flush(struct tar_writer *writer, struct error *error)
{
    for (size_t done = 0; done < writer->used;) {
        ssize_t size = write(writer->fd, writer->buffer + done, writer->used - done);
        if (size < 0 && errno != EINTR)
            return error_set(error, -errno, "cannot write the archive: %s", strerror(errno));
        done += size > 0 ? (size_t)size : 0;
    }
    writer->used = 0;
    return 0;
}

/* NULL data: zeros. */
static int put(struct tar_writer *writer, const void *data, uint64_t size, struct error *error)
{
    const uint8_t *from = data;
    while (size) {
        size_t part = (size_t)MIN(size, sizeof writer->buffer - writer->used);
        if (from) {
            memcpy(writer->buffer + writer->used, from, part);
            from += part;
        } else {
            memset(writer->buffer + writer->used, 0, part);
        }
        writer->used += part;
        size -= part;
        int code = writer->used == sizeof writer->buffer ? flush(writer, error) : 0;
        if (code)
            return code;
    }
    return 0;
}

/* Octal digits and a NUL, or, where there is no room, the bytes of the number behind 80h. */
static void put_number(uint8_t *field, unsigned size, uint64_t value)
{
    if (value >> (3 * (size - 1)) == 0) {
        char digits[24];
        snprintf(digits, sizeof digits, "%0*llo", (int)size - 1, (unsigned long long)value);
        memcpy(field, digits, size);
        return;
    }
    for (unsigned i = size; i-- > 0; value >>= 8)
        field[i] = (uint8_t)value;
    field[0] |= 0x80;
}

static int put_header(struct tar_writer *writer, char type, const struct tar_entry *entry, const char *name,
                      uint64_t size, struct error *error)
{
    uint8_t header[TAR_BLOCK] = {0};
    unsigned sum = 0;
    memcpy(header + NAME, name, MIN(strlen(name), (size_t)NAME_SIZE));
    if (entry->link)
        memcpy(header + LINK, entry->link, MIN(strlen(entry->link), (size_t)NAME_SIZE));
    put_number(header + MODE, 8, entry->mode & 07777);
    put_number(header + UID, 8, entry->uid);
    put_number(header + GID, 8, entry->gid);
    put_number(header + SIZE, 12, size);
    put_number(header + MTIME, 12, (uint64_t)MAX(entry->changed.tv_sec, 0));
    header[TYPE] = (uint8_t)type;
    memcpy(header + MAGIC, "ustar  ", 8);
    memset(header + SUM, ' ', 8);
    for (unsigned i = 0; i < TAR_BLOCK; i++)
        sum += header[i];
    put_number(header + SUM, 7, sum);
    return put(writer, header, TAR_BLOCK, error);
}

static uint64_t padding_of(uint64_t size)
{
    return (TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK;
}

/* A name that has no room in its header comes before it. */
static int put_long(struct tar_writer *writer, char type, const char *text, struct error *error)
{
    static const struct tar_entry nothing = {.type = TAR_OTHER};
    const size_t size = strlen(text) + 1;
    if (size <= NAME_SIZE)
        return 0;
    int code = put_header(writer, type, &nothing, "././@LongLink", size, error);
    if (!code)
        code = put(writer, text, size, error);
    return code ? code : put(writer, NULL, padding_of(size), error);
}

void tar_write_begin(struct tar_writer *writer, int fd)
{
    writer->fd = fd;
    writer->used = writer->padding = 0;
}

int tar_write_entry(struct tar_writer *writer, const struct tar_entry *entry, struct error *error)
{
    char name[4096 + 2];
    const uint64_t size = entry->type == TAR_FILE ? entry->size : 0;
    snprintf(name, sizeof name, "%s%s", entry->path[0] ? entry->path : ".",
             entry->type == TAR_DIRECTORY ? "/" : "");
    int code = put_long(writer, 'L', name, error);
    if (!code && entry->link)
        code = put_long(writer, 'K', entry->link, error);
    writer->padding = padding_of(size);
    return code ? code : put_header(writer, (char)entry->type, entry, name, size, error);
}

int tar_write_data(struct tar_writer *writer, const void *data, size_t size, struct error *error)
{
    return put(writer, data, size, error);
}

int tar_write_hole(struct tar_writer *writer, uint64_t size, struct error *error)
{
    return put(writer, NULL, size, error);
}

int tar_write_file_end(struct tar_writer *writer, struct error *error)
{
    return put(writer, NULL, writer->padding, error);
}

int tar_write_end(struct tar_writer *writer, struct error *error)
{
    int code = put(writer, NULL, UINT64_C(2) * TAR_BLOCK, error);
    return code ? code : flush(writer, error);
}
