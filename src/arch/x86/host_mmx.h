/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_mmx: instructions on MMX registers, executed by the host's own, so that their results are exact by
 * construction. Private to arch/x86.
 */
#ifndef VISOR_ARCH_X86_HOST_MMX_H
#define VISOR_ARCH_X86_HOST_MMX_H

#include <stdint.h>

#include "base/vector.h"

/* The instruction `opcode` of map 0F or 0F38 on a and b, which reads no more than these: the new a. */
uint64_t host_mmx(unsigned map, unsigned opcode, uint64_t a, uint64_t b);

/*
 * Conversions between packed integers in 64 bits and packed floating point, by opcode (2A, 2C, 2D) and
 * whether doubles are meant. `mxcsr`: with all exceptions masked; the flags that were raised are added to it.
 */
union vector128 host_convert(unsigned opcode, int doubles, union vector128 source, uint32_t *mxcsr);

#endif
