/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a PC's disks keep of what was written to them. Of each such disk a section with its name has u64 bytes
 * of the disk, u32 runs, u32 0, then of each run u64 offset, u64 bytes, u64 offset in the file, u32 CRC-32C,
 * u32 0; the bulk section behind it, with "-data" after the name, has the bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/macros.h"
#include "machine/pc_private.h"
#include "state/state_file.h"

#define RUN_MOST   (1u << 20) /* bytes */
#define ENTRY_SIZE 32

static void section_names(const struct pc_disk *disk, struct state_section *list, struct state_section *data)
{
    *list = *data = (struct state_section){.version = 1};
    snprintf(list->name, sizeof list->name, "%.10s", disk->name);
    snprintf(data->name, sizeof data->name, "%.10s-data", disk->name);
}

static int save_run(const struct pc_disk *disk, struct state_writer *writer, struct buffer *list,
                    uint8_t *bytes, uint64_t offset, uint64_t length, struct error *error)
{
    int code = block_read_now(disk->backend, offset, bytes, length);
    if (code)
        return error_set(error, code, "cannot read what was written to the disk %s: %s", disk->backend->name,
                         strerror(-code));
    buffer_append_integer(list, offset, 8);
    buffer_append_integer(list, length, 8);
    buffer_append_integer(list, state_bulk_offset(writer), 8);
    buffer_append_integer(list, crc32c(0, bytes, length), 4);
    buffer_append_integer(list, 0, 4);
    return state_bulk_write(writer, bytes, length, error);
}

static int save_runs(const struct pc_disk *disk, struct state_writer *writer, struct buffer *list,
                     struct error *error)
{
    uint8_t *bytes = malloc(RUN_MOST);
    uint64_t offset = 0, length;
    uint32_t count = 0;
    int code = bytes ? 0 : error_set(error, -ENOMEM, "out of memory to save a disk");
    buffer_append_integer(list, disk->backend->size, 8);
    buffer_append_integer(list, 0, 8);
    while (!code && block_next_kept(disk->backend, &offset, &length)) {
        length = MIN(length, RUN_MOST);
        code = save_run(disk, writer, list, bytes, offset, length, error);
        offset += length;
        count++;
    }
    if (!list->failed)
        buffer_patch_integer(list, 8, count, 4);
    free(bytes);
    return code;
}

static int save_disk(const struct pc_disk *disk, struct state_writer *writer, struct error *error)
{
    struct state_section list, data;
    struct buffer bytes = {0};
    section_names(disk, &list, &data);
    int code = state_bulk_begin(writer, &data, 0, error);
    if (!code)
        code = save_runs(disk, writer, &bytes, error);
    if (!code) {
        state_bulk_end(writer);
        code = state_write(writer, &list, &bytes, error);
    }
    buffer_free(&bytes);
    return code;
}

int pc_save(struct machine *machine, struct state_writer *writer, struct error *error)
{
    const struct pc *pc = machine->board;
    int code = 0;
    for (unsigned i = 0; !code && i < pc->disk_count; i++) {
        if (block_keeps(pc->disks[i].backend))
            code = save_disk(&pc->disks[i], writer, error);
    }
    return code;
}

/* Where a run is, and its checksum. */
static int parse_run(const struct pc_disk *disk, const struct state_section *data, struct reader *list,
                     struct block_piece *piece, uint32_t *sum, struct error *error)
{
    piece->offset = reader_take_integer(list, 8);
    piece->length = reader_take_integer(list, 8);
    piece->at = reader_take_integer(list, 8);
    *sum = (uint32_t)reader_take_integer(list, 4);
    reader_take_integer(list, 4);
    if (!piece->length || piece->length > RUN_MOST || piece->at < data->offset ||
        piece->at - data->offset > data->size || piece->length > data->size - (piece->at - data->offset))
        return error_set(error, -EINVAL, "what was written to the disk %s cannot be so", disk->backend->name);
    return 0;
}

/* Reads one into `bytes`, of RUN_MOST, and keeps it. */
static int load_run(const struct pc_disk *disk, const struct state_reader *reader,
                    const struct block_piece *piece, uint32_t sum, uint8_t *bytes, struct error *error)
{
    int code = state_read_at(reader, piece->at, bytes, piece->length, error);
    if (code)
        return code;
    if (crc32c(0, bytes, piece->length) != sum)
        return error_set(error, -EINVAL, "it is damaged: the checksum of the disk %s at %#llx is wrong",
                         disk->backend->name, (unsigned long long)piece->offset);
    code = block_keep(disk->backend, piece->offset, bytes, piece->length);
    return code ? error_set(error, code, "cannot write to the disk %s: %s", disk->backend->name,
                            strerror(-code))
                : 0;
}

static int load_runs(const struct pc_disk *disk, const struct state_reader *reader, struct reader *list,
                     const struct state_section *data, bool eager, struct error *error)
{
    const uint64_t size = reader_take_integer(list, 8);
    const uint32_t count = (uint32_t)reader_take_integer(list, 4);
    reader_take_integer(list, 4);
    if (list->failed || size != disk->backend->size || list->left != (uint64_t)count * ENTRY_SIZE)
        return error_set(error, -EINVAL, "what was written to the disk %s cannot be so", disk->backend->name);
    uint8_t *bytes = eager ? malloc(RUN_MOST) : NULL;
    struct block_piece *pieces = calloc((size_t)count + 1, sizeof *pieces);
    int code = pieces && (bytes || !eager) ? 0 : error_set(error, -ENOMEM, "out of memory to restore a disk");
    for (uint32_t i = 0; !code && i < count; i++) {
        uint32_t sum = 0;
        code = parse_run(disk, data, list, &pieces[i], &sum, error);
        if (!code && eager)
            code = load_run(disk, reader, &pieces[i], sum, bytes, error);
    }
    if (!code && !eager)
        code = block_keep_file(disk->backend, reader->fd, pieces, count, error);
    free(pieces);
    free(bytes);
    return code;
}

static int load_disk(const struct pc_disk *disk, struct state_reader *reader, bool eager, struct error *error)
{
    struct state_section list, data;
    const struct state_section *bulk;
    struct buffer bytes = {0};
    section_names(disk, &list, &data);
    int code = state_read(reader, list.name, list.version, NULL, &bytes, error);
    if (!code)
        code = state_read_bulk(reader, data.name, data.version, &bulk, error);
    struct reader runs = {bytes.data, bytes.size, false};
    if (!code)
        code = load_runs(disk, reader, &runs, bulk, eager, error);
    buffer_free(&bytes);
    return code;
}

int pc_restore(struct machine *machine, struct state_reader *reader, bool eager, struct error *error)
{
    const struct pc *pc = machine->board;
    int code = 0;
    for (unsigned i = 0; !code && i < pc->disk_count; i++) {
        if (block_keeps(pc->disks[i].backend))
            code = load_disk(&pc->disks[i], reader, eager, error);
    }
    return code;
}
