/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vector: a 128-bit register, seen as any of its lanes. Lane 0 is the least significant. */
#ifndef VISOR_BASE_VECTOR_H
#define VISOR_BASE_VECTOR_H

#include <stdint.h>

union vector128 {
    uint8_t b[16];
    uint16_t h[8];
    uint32_t w[4];
    uint64_t d[2];
    int8_t sb[16];
    int16_t sh[8];
    int32_t sw[4];
    int64_t sd[2];
    float f[4];
    double fd[2];
} __attribute__((aligned(16)));

#endif
