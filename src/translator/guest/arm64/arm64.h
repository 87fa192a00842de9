/* SPDX-License-Identifier: GPL-2.0-or-later */
/* arm64: the AArch64 guest of the translator. */
#ifndef VISOR_TRANSLATOR_GUEST_ARM64_H
#define VISOR_TRANSLATOR_GUEST_ARM64_H

#include "arch/arm64/state.h"
#include "translator/guest.h"

struct arm64_cpu {
    struct translator_cpu common;
    struct arm64_state state;
    bool reads_fpsr; /* the guest's code has touched FPSR: IR_FP_EXACT_STATUS */
};

/* Indices into guest_isa.registers, for GET and SET. */
enum arm64_register {
    ARM64_X0 = 0, /* .. X30 = 30 */
    ARM64_SP = 31,
    ARM64_V0 = 32, /* .. V31 = 63 */
    ARM64_TPIDR = 64,
    ARM64_REGISTER_COUNT,
};

extern const struct guest_isa arm64_guest;

/* FPCR and FPSR as MRS and MSR see them, the host FPU's share included. */
uint32_t arm64_read_fpcr(const struct arm64_cpu *cpu);
uint32_t arm64_read_fpsr(const struct arm64_cpu *cpu);
/* guest_isa.fp_control and mode */
unsigned arm64_fp_control(const struct translator_cpu *cpu);
unsigned arm64_fp_mode(const struct translator_cpu *cpu);
void arm64_write_fpcr(struct arm64_cpu *cpu, uint32_t value);
void arm64_write_fpsr(struct arm64_cpu *cpu, uint32_t value);

#endif
