/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/unpack.h"

#include <limits.h>
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
