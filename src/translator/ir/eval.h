/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval: the IR's meaning, executable. The oracle that host code generators are tested against, and
 * what they fall back on for operations that they do not emit themselves.
 */
#ifndef VISOR_TRANSLATOR_IR_EVAL_H
#define VISOR_TRANSLATOR_IR_EVAL_H

#include "translator/guest.h"

/*
 * Computes one operation without memory, control flow or guest-register access (integer, FP, vector
 * and cryptographic rows of ops.def). Arguments and result are in the low bytes of the vectors:
 * I32/F32 in w[0], I64/F64 in d[0], FLAGS in h[0], BOOL in b[0]; of the result the unused bytes are
 * zero. Rounds as the *host FPU's current mode* says and lets the host FPU collect exception
 * flags; NaNs follow `isa->fp_policy` and, where that depends on guest control bits, the cpu. `cpu` takes the sticky saturation flag.
 */
void ir_eval_op(const struct guest_isa *isa, struct translator_cpu *cpu, const struct ir_insn *insn,
                const union vector128 arguments[3], union vector128 *result);

/*
 * Runs a whole region on the CPU structure, with guest address = host address. Returns the exit
 * reason: TRANSLATOR_NONE for a branch (the guest pc is set), else as translator_run(); a
 * misaligned access stops the region with TRANSLATOR_ALIGNMENT and the state before the instruction.
 */
enum translator_exit ir_interpret(const struct guest_isa *isa, struct translator_cpu *cpu,
                                  const struct ir_region *region);

/*
 * The result of a floating-point operation that the host computed as a NaN, corrected to the guest's
 * rules. op is the IR operation; operands and result are F32 or F64 bits (one lane). For FMA all
 * three operands count.
 */
uint64_t ir_fp_fix_nan(const struct guest_isa *isa, struct translator_cpu *cpu, enum ir_op op, enum ir_type type,
                       uint64_t a, uint64_t b, uint64_t c);

#endif
