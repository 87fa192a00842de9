/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hash: FNV-1a of 64 bits: a short name for bytes, where nobody gains by two that have the same. */
#ifndef VISOR_BASE_HASH_H
#define VISOR_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_bytes(const void *data, size_t size)
{
    uint64_t value = UINT64_C(0xcbf29ce484222325);
    for (const uint8_t *byte = (const uint8_t *)data; size; byte++, size--)
        value = (value ^ *byte) * UINT64_C(0x100000001b3);
    return value;
}

#endif
