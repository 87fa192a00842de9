/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * buffer: bytes that grow while they are written, and a reader that never leaves the bytes it was given.
 *
 * A buffer remembers that memory ran out, so that a writer of many pieces checks once, at the end. All
 * numbers are little endian.
 */
#ifndef VISOR_BASE_BUFFER_H
#define VISOR_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *data; /* `size` bytes; NULL while empty */
    size_t size, capacity;
    bool failed; /* memory ran out: the content is not complete */
};

void buffer_free(struct buffer *buffer);
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_integer(struct buffer *buffer, uint64_t value, unsigned bytes);
/* Overwrites bytes that were appended before. */
void buffer_patch_integer(struct buffer *buffer, size_t offset, uint64_t value, unsigned bytes);

struct reader {
    const uint8_t *data;
    size_t left;
    bool failed; /* more was asked for than there is; all that is read from then on is zero */
};

/* The next `size` bytes, or NULL if there are fewer left. */
const uint8_t *reader_take(struct reader *reader, size_t size);
uint64_t reader_take_integer(struct reader *reader, unsigned bytes);

#endif
