/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bytes: little-endian numbers in headers and tables, at any alignment. */
#ifndef VISOR_BOOT_BYTES_H
#define VISOR_BOOT_BYTES_H

#include <stdint.h>

static inline uint64_t bytes_get(const void *at, unsigned size)
{
    const uint8_t *byte = at;
    uint64_t value = 0;
    for (unsigned i = size; i-- > 0;)
        value = value << 8 | byte[i];
    return value;
}

static inline uint16_t bytes_get16(const void *at)
{
    return (uint16_t)bytes_get(at, 2);
}

static inline uint32_t bytes_get32(const void *at)
{
    return (uint32_t)bytes_get(at, 4);
}

static inline uint64_t bytes_get64(const void *at)
{
    return bytes_get(at, 8);
}

static inline void bytes_put(void *at, uint64_t value, unsigned size)
{
    uint8_t *byte = at;
    for (unsigned i = 0; i < size; i++)
        byte[i] = (uint8_t)(value >> (8 * i));
}

#endif
