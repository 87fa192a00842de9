/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_sse: what the lifting functions of SSE share. Private to this folder. */
#ifndef VISOR_TRANSLATOR_GUEST_X86_LIFT_SSE_H
#define VISOR_TRANSLATOR_GUEST_X86_LIFT_SSE_H

#include "translator/guest/x86/lift.h"
#include "translator/ir/x86_vector.h"

/* Arguments of sse.def's rows. */
enum {
    X86_VECTOR_ALIGNED = 1 << 8,  /* a misaligned operand faults */
    X86_LANE_SIZED = 1 << 8,      /* the lane has 4 bytes, or 8 with REX.W */
    X86_LANE_FIRST = 1 << 9,      /* the same, and the first lane */
    X86_COMPARE_DOUBLE = 1 << 0,  /* else single */
    X86_COMPARE_SIGNALS = 1 << 1, /* of a quiet NaN, too */
};

/* A vector of the instruction's r/m operand: of 2^size bytes if it is in memory, zero-extended. `mem`: size
 * and IR_MEM_ALIGNED. */
static inline ir_value x86_read_xmm_rm(struct x86_lift *l, unsigned mem)
{
    if (l->insn.memory)
        return x86_load(l, IR_V128, mem, x86_operand_address(l));
    return x86_read_xmm(l, l->insn.rm);
}

/* LDMXCSR, STMXCSR */
bool x86_lift_load_mxcsr(struct x86_lift *l);
bool x86_lift_store_mxcsr(struct x86_lift *l);

/* log2 of the size of an integer operand, which 66 does not change. */
static inline unsigned x86_rex_size(const struct x86_lift *l)
{
    return l->insn.rex & 8 ? 3 : 2;
}

#endif
