/* SPDX-License-Identifier: GPL-2.0-or-later */
/* evaluation_x87: the state of the host's x87 as FXSAVE has it. Private to this folder. */
#ifndef VISOR_TRANSLATOR_IR_EVALUATION_X87_H
#define VISOR_TRANSLATOR_IR_EVALUATION_X87_H

#include <stdint.h>

enum { X87_MASKS = 0x3f };

struct x87_image {
    uint16_t control, status;
    uint8_t tags, reserved;
    uint16_t opcode;
    uint64_t pointers[2];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t stack[8][16];
    uint8_t rest[352];
} __attribute__((aligned(16)));

/* FXSAVE and FXRSTOR have MXCSR and the vector registers as well: they keep what they are. */
static inline void x87_save(struct x87_image *image)
{
    __asm__ volatile("fxsave64 %0" : "=m"(*image));
}

static inline void x87_restore(const struct x87_image *image)
{
    __asm__ volatile("fxrstor64 %0" ::"m"(*image));
}

#endif
