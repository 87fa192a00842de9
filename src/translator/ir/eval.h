/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval: the IR's meaning, executable. The oracle that host code generators are tested against, and
 * what they fall back on for operations that they do not emit themselves.
 */
#ifndef VISOR_TRANSLATOR_IR_EVAL_H
#define VISOR_TRANSLATOR_IR_EVAL_H

#include "translator/guest.h"

/*
 * Integer operations, CONST excepted, from ADD to SEXT of ops.def; operands and result zero-extended to 64
 * bits.
 */
uint64_t ir_eval_integer(enum ir_op op, enum ir_type type, unsigned aux, uint64_t imm, uint64_t a,
                         uint64_t b);

/* FLAGS_OF a computation `op` of type I32 or I64; `carry` is the FLAGS operand of ADC and SBC. NZCV_* bits.
 */
uint16_t ir_eval_flags(enum ir_op op, enum ir_type type, uint64_t a, uint64_t b, uint16_t carry);

/* PART_* of 2^size bytes: the result, merged into a; and its flags, of which C is the inverse of x86's CF. */
uint64_t ir_eval_part(enum ir_op op, unsigned size, uint64_t a, uint64_t b, uint16_t c, uint16_t *flags);

/* FLAGS_OF with `aux`, of any computation with these operands. */
uint16_t ir_eval_flags_of(const struct ir_insn *computation, unsigned aux, uint64_t a, uint64_t b,
                          uint16_t c);

/* UDIV_WIDE and its like; false where they fault. */
bool ir_eval_divide(const struct ir_insn *insn, uint64_t a, uint64_t b, uint64_t c, uint64_t *result);

/* Whether a condition holds of flags that are packed as NZCV_*. */
bool ir_eval_cond(uint16_t flags, enum ir_cond cond);

/*
 * Computes one operation without memory, control flow or guest-register access (integer, FP, vector
 * and cryptographic rows of ops.def). Arguments and result are in the low bytes of the vectors:
 * I32/F32 in w[0], I64/F64 in d[0], FLAGS in h[0], BOOL in b[0]; of the result the unused bytes are
 * zero. `insn` must have a_type and b_type filled in, as ir_emit() does; of it, a, b and c are not
 * looked at. FLAGS_OF is not served: it needs the computation's operands, see ir_eval_flags_of(). A division
 * that faults gives zero, see ir_eval_divide(). Rounds as the *host FPU's current mode* says and lets the
 * host FPU collect exception flags; NaNs and half precision follow `isa->fp_control`. Whether a result is
 * tiny is decided as the guest does (Arm: before rounding), with all consequences for flags and flushing;
 * "denormal operand" is raised where one is flushed (Arm: FPSR.IDC). `cpu` takes the sticky saturation flag.
 */
void ir_eval_op(const struct guest_isa *isa, struct translator_cpu *cpu, const struct ir_insn *insn,
                const union vector128 arguments[3], union vector128 *result);

/*
 * Runs a whole region on the CPU structure, with guest address = host address. Returns the exit
 * reason: TRANSLATOR_NONE for a branch (the guest pc is set), else as translator_run(); a
 * misaligned access stops the region with TRANSLATOR_ALIGNMENT and the state before the instruction, a
 * division that faults with TRANSLATOR_DIVIDE.
 * The guest pc is kept at the instruction being run, so that a memory fault finds it there. Runs with
 * cpu->fp_control in the host FPU, and with the caller's control word again when it returns and in helpers.
 */
enum translator_exit ir_interpret(const struct guest_isa *isa, struct translator_cpu *cpu,
                                  const struct ir_region *region);

#endif
