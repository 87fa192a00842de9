/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/macros.h"
#include "state/state_private.h"

int state_read_at(const struct state_reader *reader, uint64_t offset, void *data, uint64_t size,
                  struct error *error)
{
    for (uint8_t *bytes = data; size;) {
        ssize_t some = pread(reader->fd, bytes, MIN(size, 1u << 30), (off_t)offset);
        if (some < 0 && errno == EINTR)
            continue;
        if (some < 0)
            return error_set(error, -errno, "cannot read what was saved: %s", strerror(errno));
        if (!some)
            return error_set(error, -EINVAL, "it is cut off");
        bytes += some;
        offset += (uint64_t)some;
        size -= (uint64_t)some;
    }
    return 0;
}

/* Whether a piece of the file is in it. */
static bool is_inside(const struct state_reader *reader, uint64_t offset, uint64_t size)
{
    return offset <= reader->size && size <= reader->size - offset;
}

/* A buffer of the file's bytes. */
static int read_piece(const struct state_reader *reader, uint64_t offset, uint64_t size, struct buffer *bytes,
                      struct error *error)
{
    uint8_t piece[16384];
    int code = 0;
    while (!code && size) {
        const uint64_t some = MIN(size, sizeof piece);
        code = state_read_at(reader, offset, piece, some, error);
        if (!code)
            buffer_append(bytes, piece, some);
        if (!code && bytes->failed)
            code = error_set(error, -ENOMEM, "out of memory for what was saved");
        offset += some;
        size -= some;
    }
    return code;
}

static bool name_is_good(const char *name)
{
    if (!*name)
        return false;
    for (; *name; name++) {
        if (*name <= ' ' || *name > '~')
            return false;
    }
    return true;
}

static int entry_check(const struct state_reader *reader, unsigned index, struct error *error)
{
    const struct state_section *section = &reader->sections[index];
    if (!name_is_good(section->name))
        return error_set(error, -EINVAL, "it is damaged: a section has no name");
    for (unsigned i = 0; i < index; i++) {
        if (strcmp(reader->sections[i].name, section->name) == 0)
            return error_set(error, -EINVAL, "it has two sections \"%s\"", section->name);
    }
    if (!is_inside(reader, section->offset, section->size))
        return error_set(error, -EINVAL, "it is damaged: the section \"%s\" is not in it", section->name);
    return 0;
}

static int table_read(struct state_reader *reader, const struct state_header *header, struct error *error)
{
    struct buffer table = {0};
    const uint64_t size = (uint64_t)header->count * STATE_ENTRY_SIZE;
    if (header->count > STATE_SECTIONS_MAX || !is_inside(reader, header->table, size))
        return error_set(error, -EINVAL, "it is damaged: its table of sections cannot be");
    int code = read_piece(reader, header->table, size, &table, error);
    if (!code && crc32c(0, table.data, table.size) != header->checksum)
        code = error_set(error, -EINVAL, "it is damaged: the checksum of its table of sections is wrong");
    struct reader entries = {table.data, table.size, false};
    for (; !code && reader->count < header->count; reader->count++) {
        state_entry_load(&reader->sections[reader->count], &entries);
        code = entry_check(reader, reader->count, error);
    }
    buffer_free(&table);
    return code;
}

int state_reader_open(struct state_reader *reader, int fd, struct error *error)
{
    uint8_t bytes[STATE_HEADER_SIZE] = {0};
    struct state_header header;
    struct stat status;
    *reader = (struct state_reader){.fd = fd};
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "cannot examine what was saved: %s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EINVAL, "this is no saved domain, but no file either");
    reader->size = (uint64_t)status.st_size;
    if (reader->size < sizeof bytes)
        return error_set(error, -EINVAL, "this is no saved domain");
    int code = state_read_at(reader, 0, bytes, sizeof bytes, error);
    if (!code)
        code = state_header_load(&header, bytes, error);
    if (!code && header.size != reader->size)
        code = error_set(error, -EINVAL, "it is cut off or too long: %llu bytes of %llu",
                         (unsigned long long)reader->size, (unsigned long long)header.size);
    return code ? code : table_read(reader, &header, error);
}

static struct state_section *find(struct state_reader *reader, const char *name, unsigned most,
                                  struct error *error)
{
    for (unsigned i = 0; i < reader->count; i++) {
        struct state_section *section = &reader->sections[i];
        if (strcmp(section->name, name) != 0)
            continue;
        if (section->version > most) {
            error_set(error, -EINVAL, "its section \"%s\" has version %u, known is %u", name,
                      section->version, most);
            error_hint(error, "a newer visor reads it");
            return NULL;
        }
        section->taken = true;
        return section;
    }
    error_set(error, -ENOENT, "it has no section \"%s\"", name);
    return NULL;
}

int state_read(struct state_reader *reader, const char *name, unsigned most, unsigned *version,
               struct buffer *bytes, struct error *error)
{
    struct error why = ERROR_INIT;
    const struct state_section *section = find(reader, name, most, &why);
    if (!section) {
        if (error)
            *error = why;
        return why.code;
    }
    if (section->flags & STATE_BULK || section->size > STATE_SECTION_SIZE)
        return error_set(error, -EINVAL, "its section \"%s\" cannot have %llu bytes", name,
                         (unsigned long long)section->size);
    int code = read_piece(reader, section->offset, section->size, bytes, error);
    if (!code && crc32c(0, bytes->data, bytes->size) != section->checksum)
        code = error_set(error, -EINVAL, "it is damaged: the checksum of its section \"%s\" is wrong", name);
    if (version)
        *version = section->version;
    return code;
}

int state_read_bulk(struct state_reader *reader, const char *name, unsigned most,
                    const struct state_section **section, struct error *error)
{
    struct error why = ERROR_INIT;
    *section = find(reader, name, most, &why);
    if (*section && !((*section)->flags & STATE_BULK))
        return error_set(error, -EINVAL, "its section \"%s\" is not such a one", name);
    if (*section)
        return 0;
    if (error)
        *error = why;
    return why.code;
}

int state_reader_check(const struct state_reader *reader, struct error *error)
{
    for (unsigned i = 0; i < reader->count; i++) {
        const struct state_section *section = &reader->sections[i];
        if (section->taken || section->flags & STATE_OPTIONAL)
            continue;
        error_set(error, -EINVAL, "its section \"%s\" is not known", section->name);
        error_hint(error, "a newer visor reads it");
        return -EINVAL;
    }
    return 0;
}
