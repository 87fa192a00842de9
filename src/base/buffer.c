/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (buffer->failed || !size)
        return;
    if (size > buffer->capacity - buffer->size) {
        size_t capacity = MAX(buffer->capacity * 2, buffer->size + size);
        uint8_t *bigger = capacity >= size ? realloc(buffer->data, capacity) : NULL;
        if (!bigger) {
            buffer->failed = true;
            return;
        }
        buffer->data = bigger;
        buffer->capacity = capacity;
    }
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

void buffer_append_integer(struct buffer *buffer, uint64_t value, unsigned bytes)
{
    uint8_t little[8];
    for (unsigned i = 0; i < bytes; i++)
        little[i] = (uint8_t)(value >> (8 * i));
    buffer_append(buffer, little, bytes);
}

void buffer_patch_integer(struct buffer *buffer, size_t offset, uint64_t value, unsigned bytes)
{
    if (buffer->failed)
        return;
    for (unsigned i = 0; i < bytes; i++)
        buffer->data[offset + i] = (uint8_t)(value >> (8 * i));
}

const uint8_t *reader_take(struct reader *reader, size_t size)
{
    if (reader->failed || size > reader->left) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *data = reader->data;
    reader->data += size;
    reader->left -= size;
    return data;
}

uint64_t reader_take_integer(struct reader *reader, unsigned bytes)
{
    const uint8_t *data = reader_take(reader, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; data && i < bytes; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}
