/* SPDX-License-Identifier: GPL-2.0-or-later */
/* immediate: A64's encoded constants. Private to this folder. */
#ifndef VISOR_TRANSLATOR_GUEST_ARM64_IMMEDIATE_H
#define VISOR_TRANSLATOR_GUEST_ARM64_IMMEDIATE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * DecodeBitMasks() for the logical instructions: a run of imms + 1 ones in an element of 2 .. 64
 * bits, rotated right by immr and repeated. False if the encoding is reserved. With sf = 0 the upper half is
 * zero.
 */
static inline bool arm64_logical_immediate(unsigned sf, unsigned n, unsigned immr, unsigned imms,
                                           uint64_t *value)
{
    unsigned selector = n << 6 | (~imms & 63);
    if (selector < 2 || n > sf)
        return false;
    unsigned size = 1u << (31 - __builtin_clz(selector));
    unsigned ones = (imms & (size - 1)) + 1, rotate = immr & (size - 1);
    if (ones == size)
        return false;
    uint64_t element = ((uint64_t)1 << ones) - 1;
    uint64_t mask = size == 64 ? ~(uint64_t)0 : ((uint64_t)1 << size) - 1;
    if (rotate)
        element = (element >> rotate | element << (size - rotate)) & mask;
    for (; size < 64; size *= 2)
        element |= element << size;
    *value = sf ? element : (uint32_t)element;
    return true;
}

#endif
