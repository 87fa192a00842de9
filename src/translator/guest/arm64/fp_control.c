/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fp_control: FPCR and FPSR (Arm ARM C5.2.8, C5.2.9), and their share of the host's MXCSR.
 *
 * The guest's floating point runs on the host's, under translator_cpu.fp_control: rounding mode and
 * flush-to-zero are there as well as in state.fpcr, and exceptions gather there first. state.fpsr holds those
 * that were written by the guest or gathered in an earlier mode.
 */
#include "arch/arm64/features.h"
#include "translator/guest/arm64/arm64.h"

enum {
    FPCR_FZ16 = 1 << 19,
    FPCR_RMODE_SHIFT = 22,
    FPCR_FZ = 1 << 24,
    FPCR_DN = 1 << 25,
    FPCR_AHP = 1 << 26,

    FPSR_IOC = 1 << 0,
    FPSR_DZC = 1 << 1,
    FPSR_OFC = 1 << 2,
    FPSR_UFC = 1 << 3,
    FPSR_IXC = 1 << 4,
    FPSR_IDC = 1 << 7,
    FPSR_QC = 1 << 27,

    MXCSR_INVALID = 1 << 0,
    MXCSR_DENORMAL = 1 << 1,
    MXCSR_ZERO_DIVIDE = 1 << 2,
    MXCSR_OVERFLOW = 1 << 3,
    MXCSR_UNDERFLOW = 1 << 4,
    MXCSR_INEXACT = 1 << 5,
    MXCSR_STICKY = 0x3f,
    MXCSR_DENORMALS_ARE_ZERO = 1 << 6,
    MXCSR_ROUND_SHIFT = 13,
    MXCSR_ROUND = 3 << MXCSR_ROUND_SHIFT,
    MXCSR_FLUSH_TO_ZERO = 1 << 15,
};

unsigned arm64_fp_control(const struct translator_cpu *cpu)
{
    uint32_t fpcr = ((const struct arm64_cpu *)cpu)->state.fpcr;
    return (fpcr & FPCR_DN ? GUEST_FP_DEFAULT_NAN : 0) | (fpcr & FPCR_FZ16 ? GUEST_FP_FLUSH_HALF : 0) |
           (fpcr & FPCR_AHP ? GUEST_FP_ALTERNATIVE_HALF : 0);
}

unsigned arm64_fp_mode(const struct translator_cpu *cpu)
{
    const struct arm64_cpu *arm64 = (const struct arm64_cpu *)cpu;
    uint32_t fpcr = arm64->state.fpcr;
    bool inexact = arm64->common.fp_control & MXCSR_INEXACT || arm64->state.fpsr & FPSR_IXC;
    bool needs_inexact = fpcr & FPCR_FZ && arm64->reads_fpsr;
    return (fpcr & FPCR_FZ ? IR_FP_FLUSH : 0) | (needs_inexact && inexact ? IR_FP_INEXACT : 0) |
           (arm64->reads_fpsr ? IR_FP_EXACT_STATUS : 0) | (fpcr & (FPCR_FZ16 | FPCR_AHP) ? IR_FP_HALF : 0);
}

/*
 * The exceptions that the host has gathered. A denormal operand is one only where it is flushed: the host
 * does not tell, but evaluated operations (IR_FP_EXACT_STATUS) do.
 */
static uint32_t host_exceptions(const struct arm64_cpu *cpu)
{
    uint32_t mxcsr = cpu->common.fp_control;
    bool flushed = mxcsr & MXCSR_DENORMAL && cpu->state.fpcr & FPCR_FZ;
    return (mxcsr & MXCSR_INVALID ? FPSR_IOC : 0) | (mxcsr & MXCSR_ZERO_DIVIDE ? FPSR_DZC : 0) |
           (mxcsr & MXCSR_OVERFLOW ? FPSR_OFC : 0) | (mxcsr & MXCSR_UNDERFLOW ? FPSR_UFC : 0) |
           (mxcsr & MXCSR_INEXACT ? FPSR_IXC : 0) | (flushed ? FPSR_IDC : 0);
}

uint32_t arm64_read_fpcr(const struct arm64_cpu *cpu)
{
    return cpu->state.fpcr;
}

void arm64_write_fpcr(struct arm64_cpu *cpu, uint32_t value)
{
    /* RMode: nearest, plus infinity, minus infinity, zero */
    static const uint8_t host_round[] = {0, 2, 1, 3};

    /* What the host's flags mean depends on the old mode. */
    cpu->state.fpsr |= host_exceptions(cpu);
    cpu->state.fpcr = value & ARM64_FPCR_MASK;

    uint32_t mxcsr = cpu->common.fp_control;
    mxcsr &= ~(uint32_t)(MXCSR_STICKY | MXCSR_ROUND | MXCSR_DENORMALS_ARE_ZERO | MXCSR_FLUSH_TO_ZERO);
    mxcsr |= (uint32_t)host_round[value >> FPCR_RMODE_SHIFT & 3] << MXCSR_ROUND_SHIFT;
    if (value & FPCR_FZ)
        mxcsr |= MXCSR_DENORMALS_ARE_ZERO | MXCSR_FLUSH_TO_ZERO;
    cpu->common.fp_control = mxcsr;
}

uint32_t arm64_read_fpsr(const struct arm64_cpu *cpu)
{
    return cpu->state.fpsr | host_exceptions(cpu) | (cpu->state.qc ? FPSR_QC : 0);
}

void arm64_write_fpsr(struct arm64_cpu *cpu, uint32_t value)
{
    cpu->state.fpsr = value & ARM64_FPSR_MASK & ~(uint32_t)FPSR_QC;
    cpu->state.qc = value & FPSR_QC;
    cpu->common.fp_control &= ~(uint32_t)MXCSR_STICKY;
}
