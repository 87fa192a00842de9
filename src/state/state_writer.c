/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/macros.h"
#include "state/state_private.h"

#define TELL_EVERY (16u << 20) /* bytes */

static int write_at(const struct state_writer *writer, uint64_t offset, const void *data, uint64_t size,
                    struct error *error)
{
    for (const uint8_t *bytes = data; size;) {
        ssize_t some = pwrite(writer->fd, bytes, MIN(size, 1u << 30), (off_t)offset);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            return error_set(error, some ? -errno : -EIO, "cannot write what is to be saved: %s",
                             some ? strerror(errno) : "nothing is taken");
        bytes += some;
        offset += (uint64_t)some;
        size -= (uint64_t)some;
    }
    return 0;
}

static int tell(struct state_writer *writer, struct error *error)
{
    struct buffer head = {0};
    writer->told = writer->end;
    buffer_append(&head, state_magic_unfinished, sizeof state_magic_unfinished);
    buffer_append_integer(&head, writer->end, 8);
    buffer_append_integer(&head, writer->total, 8);
    int code = head.failed ? error_set(error, -ENOMEM, "out of memory")
                           : write_at(writer, 0, head.data, head.size, error);
    buffer_free(&head);
    return code;
}

int state_writer_begin(struct state_writer *writer, int fd, struct error *error)
{
    *writer = (struct state_writer){.fd = fd, .end = STATE_HEADER_SIZE};
    if (ftruncate(fd, 0) < 0)
        return error_set(error, -errno, "cannot write what is to be saved: %s", strerror(errno));
    return tell(writer, error);
}

static struct state_section *add(struct state_writer *writer, const struct state_section *section,
                                 struct error *error)
{
    if (writer->count == STATE_SECTIONS_MAX) {
        error_set(error, -ENOSPC, "more than %d sections to be saved", STATE_SECTIONS_MAX);
        return NULL;
    }
    struct state_section *added = &writer->sections[writer->count++];
    *added = *section;
    added->offset = writer->end;
    return added;
}

int state_write(struct state_writer *writer, const struct state_section *section, const struct buffer *bytes,
                struct error *error)
{
    if (bytes->failed)
        return error_set(error, -ENOMEM, "out of memory for what is to be saved");
    struct state_section *added = add(writer, section, error);
    if (!added)
        return error ? error->code : -ENOSPC;
    added->size = bytes->size;
    added->checksum = crc32c(0, bytes->data, bytes->size);
    int code = write_at(writer, writer->end, bytes->data, bytes->size, error);
    writer->end += ALIGN_UP(bytes->size, 8);
    return code;
}

int state_bulk_begin(struct state_writer *writer, const struct state_section *section, uint64_t total,
                     struct error *error)
{
    writer->end = ALIGN_UP(writer->end, (uint64_t)STATE_PAGE);
    struct state_section *added = add(writer, section, error);
    if (!added)
        return error ? error->code : -ENOSPC;
    added->flags |= STATE_BULK;
    writer->total = writer->end + total;
    return tell(writer, error);
}

int state_bulk_write(struct state_writer *writer, const void *data, uint64_t size, struct error *error)
{
    int code = write_at(writer, writer->end, data, size, error);
    writer->end += size;
    return code || writer->end - writer->told < TELL_EVERY ? code : tell(writer, error);
}

void state_bulk_skip(struct state_writer *writer, uint64_t size)
{
    writer->end += size;
}

void state_bulk_end(struct state_writer *writer)
{
    struct state_section *section = &writer->sections[writer->count - 1];
    section->size = writer->end - section->offset;
}

int state_writer_end(struct state_writer *writer, struct error *error)
{
    struct buffer table = {0}, head = {0};
    writer->end = ALIGN_UP(writer->end, 8);
    for (unsigned i = 0; i < writer->count; i++)
        state_entry_save(&writer->sections[i], &table);
    const struct state_header header = {
        .format = STATE_FORMAT,
        .count = writer->count,
        .size = writer->end + table.size,
        .table = writer->end,
        .checksum = crc32c(0, table.data, table.size),
    };
    state_header_save(&header, &head);
    int code = table.failed || head.failed ? error_set(error, -ENOMEM, "out of memory") : 0;
    if (!code)
        code = write_at(writer, header.table, table.data, table.size, error);
    if (!code)
        code = write_at(writer, 0, head.data, head.size, error);
    buffer_free(&table);
    buffer_free(&head);
    return code;
}
