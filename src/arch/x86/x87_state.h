/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87_state: the x87's registers in x86_state.x87, which has FXSAVE's layout. Intel SDM volume 1, 8.1 and
 * 10.5.1. Private to arch/x86.
 */
#ifndef VISOR_ARCH_X86_X87_STATE_H
#define VISOR_ARCH_X86_X87_STATE_H

#include <stdbool.h>

#include "arch/x86/state.h"

struct x87_area {
    uint16_t control, status;
    uint8_t tags; /* a bit for each register, not of the stack: 1 if it is in use */
    uint8_t reserved;
    uint16_t opcode;
    uint64_t instruction, operand;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t stack[8][16]; /* from its top on, 10 bytes each */
    uint8_t rest[352];
};
_Static_assert(sizeof(struct x87_area) == sizeof((struct x86_state *)0)->x87, "");

enum {
    X87_EXCEPTIONS = 0x3f,       /* of both words: flags, and what masks them */
    X87_SUMMARY = 0x8080,        /* ES and B */
    X87_STATUS_CLEARED = 0x7f00, /* what FNCLEX leaves */
    X87_CONTROL_INIT = 0x37f,
    X87_BYTES = 10, /* of a register */
};

static inline struct x87_area *x87_area(struct x86_state *s)
{
    return (struct x87_area *)s->x87;
}

static inline unsigned x87_top(const struct x87_area *a)
{
    return a->status >> 11 & 7;
}

/* Bits 7 and 13 to 15 are not kept, bit 6 is always one. */
static inline uint16_t x87_control_kept(uint16_t control)
{
    return (uint16_t)((control & 0x1f3f) | 0x40);
}

/* ES and B are whether an exception is pending that is not masked. */
void x87_update_summary(struct x87_area *a);
/* Another top of the stack: the registers stay, and so change their places in the area. */
void x87_set_top(struct x87_area *a, unsigned top);
/* The tag word of two bits a register, as the x87's environment has it. */
uint16_t x87_full_tags(const struct x87_area *a);
void x87_initialize(struct x87_area *a);
bool x87_is_initial(const struct x87_area *a);

#endif
