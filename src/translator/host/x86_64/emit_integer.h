/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit_integer: what the emitters of integer operations share. */
#ifndef VISOR_TRANSLATOR_HOST_X86_64_EMIT_INTEGER_H
#define VISOR_TRANSLATOR_HOST_X86_64_EMIT_INTEGER_H

#include "translator/host/x86_64/emit_core.h"

static inline void copy(struct emit *e, bool wide, unsigned dst, unsigned src)
{
    if (dst != src)
        asm_mov(e->a, wide, dst, src);
}

/* dst := operand */
static inline void load_rm(struct emit *e, bool wide, unsigned dst, struct rm src)
{
    if (src.is_mem)
        asm_load(e->a, wide, dst, src.mem);
    else
        copy(e, wide, dst, src.reg);
}

static inline bool is_reg(struct rm rm, unsigned reg)
{
    return !rm.is_mem && rm.reg == reg;
}

static inline void done(struct emit *e, ir_value v, bool wide)
{
    if (!wide)
        emit_set_upper_zero(e, v);
}

static inline bool wants_flags(const struct emit *e, ir_value v)
{
    return e->values[v].mark & VALUE_WANTS_FLAGS;
}

/* True if the flags are all that is wanted of v. */
static inline bool only_flags(const struct emit *e, ir_value v)
{
    return wants_flags(e, v) && e->values[v].uses == 1;
}

/* After the flag-setting form of v. Additions and logic, whose CF is Arm's C, give x86's CF as it is. */
static inline void define_flags(struct emit *e, ir_value v, enum flags_kind kind)
{
    const ir_value flags = (ir_value)(v + 1);
    const unsigned op = emit_insn(e, v)->op;
    if (!wants_flags(e, v))
        return;
    if (emit_insn(e, flags)->aux & IR_FLAGS_X86 || (op >= IR_PART_ADD && op <= IR_PART_MUL))
        kind = FLAGS_BORROW;
    flags_define(e, flags, kind);
}

enum shift_op { OP_SHL, OP_SHR, OP_SAR };

/* v := a shifted, beside flags that are needed. */
void emit_shift_constant(struct emit *e, enum shift_op op, bool wide, ir_value v, ir_value a, unsigned count);
/* v := a + imm without touching flags if they are needed or if it saves a move. */
void emit_add_immediate(struct emit *e, bool wide, ir_value v, ir_value a, int32_t imm);

#endif
