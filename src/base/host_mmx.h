/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_mmx: what instructions on MMX registers compute, by the host's own, so that it is exact by
 * construction. These functions use the host's x87 and leave it empty.
 */
#ifndef VISOR_BASE_HOST_MMX_H
#define VISOR_BASE_HOST_MMX_H

#include <stdint.h>

#include "base/vector.h"

/* The instruction `opcode` of map 1 0F, 2 0F38 or 3 0F3A, which reads no more than a, b and the immediate:
 * the new a. */
uint64_t host_mmx(unsigned map, unsigned opcode, uint64_t a, uint64_t b, unsigned imm);

/* PMOVMSKB and PEXTRW of an MMX register, by opcode: the integer. */
uint64_t host_mmx_integer(unsigned opcode, uint64_t value, unsigned imm);

/* Groups 12 to 14, 71 to 73 with a digit, shift by an immediate: the opcode that does so by an operand. */
static inline unsigned host_mmx_shift(unsigned opcode, unsigned digit)
{
    return 0xc0 + (opcode & 3) + digit * 8; /* 71 /2 is D1, /4 E1, /6 F1; 72 and 73 so on */
}

/*
 * Conversions between packed integers in 64 bits and packed floating point, by opcode (2A, 2C, 2D) and
 * whether doubles are meant. `mxcsr`: with all exceptions masked; the flags that were raised are added to it.
 */
union vector128 host_convert(unsigned opcode, int doubles, union vector128 source, uint32_t *mxcsr);

#endif
