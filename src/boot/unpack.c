/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/unpack.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/macros.h"
#include "boot/bytes.h"

static bool unpack_gzip(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    const int with_gzip_header = 15 + 16;
    if (in_size > UINT_MAX || out_size > UINT_MAX)
        return false;
    z_stream stream = {
        .next_in = (uint8_t *)(uintptr_t)in,
        .avail_in = (unsigned)in_size,
        .next_out = out,
        .avail_out = (unsigned)out_size,
    };
    if (inflateInit2(&stream, with_gzip_header) != Z_OK)
        return false;
    int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END && !stream.avail_out;
}

static bool unpack_xz(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    uint64_t memory = 256 << 20;
    size_t read = 0, written = 0;
    lzma_ret result =
        lzma_stream_buffer_decode(&memory, 0, NULL, in, &read, in_size, out, &written, out_size);
    return result == LZMA_OK && written == out_size;
}

/* libzstd calls these if somebody has defined them, which it finds out by the weak symbols' address; but
 * where the command is linked, a call to address 0 is too far for the linker. */
unsigned long long ZSTD_trace_decompress_begin(const void *context);
unsigned long long ZSTD_trace_decompress_begin(const void *context)
{
    (void)context;
    return 0; /* no trace */
}

void ZSTD_trace_decompress_end(unsigned long long trace, const void *what);
void ZSTD_trace_decompress_end(unsigned long long trace, const void *what)
{
    (void)trace, (void)what;
}

static bool unpack_zstd(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    return ZSTD_decompress(out, out_size, in, in_size) == out_size;
}

/* -- lz4 ---------------------------------------------------------------------------------------------------
 */

/* A length's further bytes, as long as they are 255. */
static bool read_length(const uint8_t *in, size_t size, size_t *at, size_t *length)
{
    uint8_t more;
    if (*length != 15)
        return true;
    do {
        if (*at == size)
            return false;
        more = in[(*at)++];
        *length += more;
    } while (more == 255);
    return true;
}

/* Copies from `distance` bytes before, which may overlap: then what was copied is copied again. */
static void copy_match(uint8_t *to, size_t distance, size_t length)
{
    while (length > distance) {
        memcpy(to, to - distance, distance);
        to += distance;
        length -= distance;
        distance *= 2;
    }
    memcpy(to, to - distance, length);
}

/* Sequences of literals and a match each; the last has no match. Matches reach back within the block. */
static bool unpack_lz4_block(const uint8_t *in, size_t size, uint8_t *out, size_t room, size_t *written)
{
    size_t at = 0, done = 0;
    while (at < size) {
        unsigned token = in[at++];
        size_t literals = token >> 4, match = token & 15;
        if (!read_length(in, size, &at, &literals) || literals > size - at || literals > room - done)
            return false;
        memcpy(out + done, in + at, literals);
        at += literals;
        done += literals;
        if (at == size)
            break;
        if (size - at < 2)
            return false;
        size_t distance = bytes_get16(in + at);
        at += 2;
        if (!read_length(in, size, &at, &match) || !distance || distance > done || match + 4 > room - done)
            return false;
        copy_match(out + done, distance, match + 4);
        done += match + 4;
    }
    *written = done;
    return true;
}

/* Blocks of at most 8 MiB unpacked, each after its size. */
static bool unpack_lz4(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    const size_t magic = 4, block_max = 8 << 20;
    size_t at = magic, done = 0;
    while (in_size - at >= 4) {
        size_t size = bytes_get32(in + at), written;
        at += 4;
        if (size > in_size - at ||
            !unpack_lz4_block(in + at, size, out + done, MIN(out_size - done, block_max), &written))
            return false;
        at += size;
        done += written;
    }
    return at == in_size && done == out_size;
}

bool unpack(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    static const struct {
        const char *magic;
        size_t length;
        bool (*unpack)(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);
    } formats[] = {
        {"\x1f\x8b", 2, unpack_gzip},
        {"\3757zXZ\0", 6, unpack_xz},
        {"\x28\xb5\x2f\xfd", 4, unpack_zstd},
        {"\x02\x21\x4c\x18", 4, unpack_lz4},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (in_size > formats[i].length && !memcmp(in, formats[i].magic, formats[i].length))
            return formats[i].unpack(in, in_size, out, out_size);
    return false;
}

/* -- of a size that is not known --------------------------------------------------------------------------
 */

struct growing {
    uint8_t *data;
    size_t size, room, most;
};

/* Makes room for more; false: there is as much as there may be. */
static bool grow(struct growing *out)
{
    const size_t first = 1 << 20;
    size_t room = out->room ? MIN(out->room * 2, out->most) : MIN(first, out->most);
    uint8_t *data = room > out->size ? realloc(out->data, room) : NULL;
    if (!data)
        return false;
    out->data = data;
    out->room = room;
    return true;
}

static bool grow_gzip(const uint8_t *in, size_t in_size, size_t *used, struct growing *out)
{
    const int with_gzip_header = 15 + 16;
    z_stream stream = {.next_in = (uint8_t *)(uintptr_t)in, .avail_in = (unsigned)in_size};
    int result = Z_OK;
    if (in_size > UINT_MAX || inflateInit2(&stream, with_gzip_header) != Z_OK)
        return false;
    while (result == Z_OK && grow(out)) {
        stream.next_out = out->data + out->size;
        stream.avail_out = (unsigned)(out->room - out->size);
        result = inflate(&stream, Z_NO_FLUSH);
        out->size = out->room - stream.avail_out;
    }
    *used = in_size - stream.avail_in;
    inflateEnd(&stream);
    return result == Z_STREAM_END;
}

static bool grow_xz(const uint8_t *in, size_t in_size, size_t *used, struct growing *out)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret result = lzma_stream_decoder(&stream, 256 << 20, 0);
    stream.next_in = in;
    stream.avail_in = in_size;
    while (result == LZMA_OK && grow(out)) {
        stream.next_out = out->data + out->size;
        stream.avail_out = out->room - out->size;
        result = lzma_code(&stream, LZMA_FINISH);
        out->size = out->room - stream.avail_out;
    }
    *used = in_size - stream.avail_in;
    lzma_end(&stream);
    return result == LZMA_STREAM_END;
}

static bool grow_zstd(const uint8_t *in, size_t in_size, size_t *used, struct growing *out)
{
    ZSTD_inBuffer from = {in, in_size, 0};
    ZSTD_DStream *stream = ZSTD_createDStream();
    size_t result = 1;
    while (stream && result && !ZSTD_isError(result) && grow(out)) {
        ZSTD_outBuffer to = {out->data, out->room, out->size};
        size_t before = from.pos;
        result = ZSTD_decompressStream(stream, &to, &from);
        if (result && to.pos < to.size && from.pos == before && from.pos == from.size)
            break; /* it is cut off */
        out->size = to.pos;
    }
    *used = from.pos;
    ZSTD_freeDStream(stream);
    return stream && !result;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return !size || (!bytes[0] && !memcmp(bytes, bytes + 1, size - 1));
}

uint8_t *unpack_any(const uint8_t *in, size_t in_size, size_t most, size_t *out_size)
{
    static const struct {
        const char *magic;
        size_t length;
        bool (*unpack)(const uint8_t *in, size_t in_size, size_t *used, struct growing *out);
    } formats[] = {
        {"\x1f\x8b", 2, grow_gzip},
        {"\3757zXZ\0", 6, grow_xz},
        {"\x28\xb5\x2f\xfd", 4, grow_zstd},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct growing out = {.most = MIN(most, UINT_MAX)};
        size_t used = 0;
        if (in_size <= formats[i].length || memcmp(in, formats[i].magic, formats[i].length) != 0)
            continue;
        if (formats[i].unpack(in, in_size, &used, &out) && is_zero(in + used, in_size - used)) {
            *out_size = out.size;
            return out.data;
        }
        free(out.data);
        break;
    }
    return NULL;
}
