/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The header and the table of sections, as they are in the file. */
#include "state/state_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"

const char state_magic[8] = "\x89VSTATE\n", state_magic_unfinished[8] = "\x89VSTATE?";

int state_header_load(struct state_header *header, const uint8_t bytes[STATE_HEADER_SIZE],
                      struct error *error)
{
    struct reader reader = {bytes, STATE_HEADER_SIZE, false};
    const uint8_t *magic = reader_take(&reader, sizeof state_magic);
    if (memcmp(magic, state_magic_unfinished, sizeof state_magic_unfinished) == 0)
        return error_set(error, -EINVAL, "it was not written to its end");
    if (memcmp(magic, state_magic, sizeof state_magic) != 0)
        return error_set(error, -EINVAL, "this is no saved domain");
    header->format = (uint32_t)reader_take_integer(&reader, 4);
    header->count = (uint32_t)reader_take_integer(&reader, 4);
    header->size = reader_take_integer(&reader, 8);
    header->table = reader_take_integer(&reader, 8);
    header->checksum = (uint32_t)reader_take_integer(&reader, 4);
    if (header->format != STATE_FORMAT) {
        error_set(error, -EINVAL, "it was saved in format %u, known is %u", header->format, STATE_FORMAT);
        error_hint(error, "a newer visor reads it");
        return -EINVAL;
    }
    uint32_t sum = crc32c(0, bytes, STATE_HEADER_SIZE - 4);
    reader.data = bytes + STATE_HEADER_SIZE - 4;
    reader.left = 4;
    if (reader_take_integer(&reader, 4) != sum)
        return error_set(error, -EINVAL, "it is damaged: the header's checksum is wrong");
    return 0;
}

void state_header_save(const struct state_header *header, struct buffer *out)
{
    const size_t start = out->size;
    buffer_append(out, state_magic, sizeof state_magic);
    buffer_append_integer(out, header->format, 4);
    buffer_append_integer(out, header->count, 4);
    buffer_append_integer(out, header->size, 8);
    buffer_append_integer(out, header->table, 8);
    buffer_append_integer(out, header->checksum, 4);
    static const uint8_t zeros[STATE_HEADER_SIZE];
    buffer_append(out, zeros, STATE_HEADER_SIZE - 4 - (out->size - start));
    if (!out->failed)
        buffer_append_integer(out, crc32c(0, out->data + start, STATE_HEADER_SIZE - 4), 4);
}

void state_entry_save(const struct state_section *section, struct buffer *out)
{
    char name[STATE_NAME_MAX] = {0};
    memcpy(name, section->name, strlen(section->name));
    buffer_append(out, name, sizeof name);
    buffer_append_integer(out, section->version, 4);
    buffer_append_integer(out, section->flags, 4);
    buffer_append_integer(out, section->offset, 8);
    buffer_append_integer(out, section->size, 8);
    buffer_append_integer(out, section->checksum, 4);
    buffer_append_integer(out, 0, 4);
}

void state_entry_load(struct state_section *section, struct reader *reader)
{
    const uint8_t *name = reader_take(reader, STATE_NAME_MAX);
    *section = (struct state_section){0};
    if (name)
        memcpy(section->name, name, STATE_NAME_MAX);
    section->version = (uint32_t)reader_take_integer(reader, 4);
    section->flags = (uint32_t)reader_take_integer(reader, 4);
    section->offset = reader_take_integer(reader, 8);
    section->size = reader_take_integer(reader, 8);
    section->checksum = (uint32_t)reader_take_integer(reader, 4);
    reader_take_integer(reader, 4);
}

/* While it is being written: what has been, and what is expected, stand behind the magic number. */
unsigned state_progress(int fd)
{
    uint8_t bytes[24];
    if (pread(fd, bytes, sizeof bytes, 0) != sizeof bytes)
        return 0;
    if (memcmp(bytes, state_magic, sizeof state_magic) == 0)
        return 100;
    if (memcmp(bytes, state_magic_unfinished, sizeof state_magic_unfinished) != 0)
        return 0;
    struct reader reader = {bytes + sizeof state_magic, 16, false};
    const uint64_t done = reader_take_integer(&reader, 8), total = reader_take_integer(&reader, 8);
    return !total ? 0 : done >= total ? 99 : (unsigned)((double)done * 99 / (double)total);
}

bool state_file_is(int fd)
{
    char bytes[sizeof state_magic];
    return pread(fd, bytes, sizeof bytes, 0) == sizeof bytes &&
           (memcmp(bytes, state_magic, sizeof bytes) == 0 ||
            memcmp(bytes, state_magic_unfinished, sizeof bytes) == 0);
}
