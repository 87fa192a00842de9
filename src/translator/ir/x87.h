/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87: where the guest's floating-point registers are: in memory (guest_isa.x87_offset, FXSAVE's layout) or,
 * while cpu->x87_live is set, in the host's unit. Both functions are for the thread of the CPU.
 */
#ifndef VISOR_TRANSLATOR_IR_X87_H
#define VISOR_TRANSLATOR_IR_X87_H

#include "translator/guest.h"

/* cpu->x87_live */
enum {
    IR_X87_AWAY = 0,
    IR_X87_LIVE = 1,
    IR_X87_MMX =
        2, /* live, and as instructions on MMX registers leave it: the top at 0, all registers valid */
};

/* In imm of X87_STORE: an instruction that pops leaves the registers as they were. */
#define IR_X87_KEEP (1u << 16)

/* imm of MMX and its kin: the encoding. Of an operand that is none of the MMX registers rm is 0, or reg. */
#define IR_MMX_CODE(map, opcode, reg, rm, immediate)                                                         \
    ((uint64_t)(immediate) << 24 | (uint64_t)(map) << 16 | (uint64_t)(opcode) << 8 | (reg) << 3 | (rm))
enum { IR_MMX_EMMS = 1 << 16 | 0x77 << 8 };

struct ir_mmx_code {
    uint8_t map, opcode, reg, rm; /* map: 1 0F, 2 0F38, 3 0F3A */
    bool has_immediate;
    uint8_t immediate;
};

static inline struct ir_mmx_code ir_mmx_code(uint64_t imm)
{
    const uint8_t map = imm >> 16 & 3, opcode = (uint8_t)(imm >> 8);
    const bool has_immediate =
        map == 3 || (map == 1 && ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc4 || opcode == 0xc5));
    return (struct ir_mmx_code){map, opcode, imm >> 3 & 7, imm & 7, has_immediate, (uint8_t)(imm >> 24)};
}

void ir_x87_enter(const struct guest_isa *isa, struct translator_cpu *cpu);
/* Before anybody looks at the state in memory, or changes it. The pointers to the last instruction and
 * operand stay as they are there. */
void ir_x87_settle(const struct guest_isa *isa, struct translator_cpu *cpu);
/* [signal] The same in a handler, whose unit is another: the interrupted code's, as FXSAVE writes it. What is
 * interrupted must not be gone back to. */
void ir_x87_settle_from(const struct guest_isa *isa, struct translator_cpu *cpu, const void *area);

#endif
