/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87: where the guest's floating-point registers are: in memory (guest_isa.x87_offset, FXSAVE's layout) or,
 * while cpu->x87_live is set, in the host's unit. Both functions are for the thread of the CPU.
 */
#ifndef VISOR_TRANSLATOR_IR_X87_H
#define VISOR_TRANSLATOR_IR_X87_H

#include "translator/guest.h"

/* In imm of X87_STORE: an instruction that pops leaves the registers as they were. */
#define IR_X87_KEEP (1u << 16)

void ir_x87_enter(const struct guest_isa *isa, struct translator_cpu *cpu);
/* Before anybody looks at the state in memory, or changes it. The pointers to the last instruction and
 * operand stay as they are there. */
void ir_x87_settle(const struct guest_isa *isa, struct translator_cpu *cpu);
/* [signal] The same in a handler, whose unit is another: the interrupted code's, as FXSAVE writes it. What is
 * interrupted must not be gone back to. */
void ir_x87_settle_from(const struct guest_isa *isa, struct translator_cpu *cpu, const void *area);

#endif
