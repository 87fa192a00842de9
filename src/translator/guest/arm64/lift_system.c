/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_system: hints, barriers, cache maintenance and system registers as EL0 sees them under Linux.
 * Arm ARM (DDI 0487) C5.2 "Special-purpose registers", C5.3 "A64 system instructions for cache maintenance",
 * C6.2.
 */
#include <time.h>

#include "arch/arm64/features.h"
#include "arm64_decode.h"
#include "base/macros.h"
#include "translator/guest/clock.h"
#include "translator/translator.h"

/*
 * CTR_EL0: instruction and data cache lines of 64 bytes (IminLine, DminLine = 4), exclusives and write-back
 * granules of 64 bytes, PIPT instruction cache; IDC = DIC = 0, so that programs clean and invalidate what
 * they write before they run it.
 */
#define CTR_EL0    0x8444c004u
#define DCZID_EL0  4u /* DC ZVA is allowed; log2 of its block size in words */
#define CACHE_LINE 64

/* Leaves the region, because what follows may have been translated from old bytes. */
static void end_region(struct lift *l)
{
    ir_emit(l->ir, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l->pc + 4, 0);
    l->ended = true;
}

/* -- hints and barriers ------------------------------------------------------------------------ */

bool lift_hint(struct lift *l, const struct arm64_hint *f)
{
    (void)l, (void)f;
    return true;
}

bool lift_clrex(struct lift *l, const struct arm64_clrex *f)
{
    (void)f;
    ir_emit(l->ir, IR_CLEAR_EXCL, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    return true;
}

/* DMB by type: 1 loads, 2 stores, 3 all, 0 is reserved and does all. DSB is always full. */
bool lift_barrier(struct lift *l, const struct arm64_barrier *f)
{
    unsigned fence = f->type == 1 ? IR_FENCE_LOAD : f->type == 2 ? IR_FENCE_STORE : IR_FENCE_FULL;
    ir_emit(l->ir, IR_FENCE, IR_VOID, fence, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    return true;
}

bool lift_isb(struct lift *l, const struct arm64_isb *f)
{
    (void)f;
    end_region(l);
    return true;
}

/* -- cache maintenance ------------------------------------------------------------------------- */

static uint64_t invalidate_line(void *opaque, uint64_t address, uint64_t unused)
{
    struct translator_cpu *cpu = opaque;
    (void)unused;
    address &= ~(0xffull << 56); /* a tag */
    translator_invalidate(cpu->translator, ALIGN_DOWN(address, CACHE_LINE), CACHE_LINE);
    return 0;
}

bool lift_ic_ivau(struct lift *l, const struct arm64_ic_ivau *f)
{
    ir_call(l->ir, invalidate_line, lift_read(l, 1, f->rt), IR_NONE);
    end_region(l);
    return true;
}

bool lift_dc_zva(struct lift *l, const struct arm64_dc_zva *f)
{
    ir_value address = ir_binary_imm(l->ir, IR_AND, lift_read(l, 1, f->rt), ~(uint64_t)(CACHE_LINE - 1));
    ir_value zero = ir_emit(l->ir, IR_VCONST, IR_V128, 0, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    for (int offset = 0; offset < CACHE_LINE; offset += 16)
        ir_store(l->ir, 4, address, offset, zero);
    return true;
}

/* -- system registers -------------------------------------------------------------------------- */

/* The virtual counter counts nanoseconds of the host's monotonic clock. Real counters are slower, but
 * any frequency is allowed (D12.1.2), and this one needs no arithmetic. */
#define COUNTER_FREQUENCY 1000000000u

static uint64_t read_counter(void *cpu, uint64_t a, uint64_t b)
{
    struct timespec now;
    (void)cpu, (void)a, (void)b;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * COUNTER_FREQUENCY + (uint64_t)now.tv_nsec;
}

bool lift_mrs_cntvct(struct lift *l, const struct arm64_mrs_cntvct *f)
{
    lift_write(l, f->rt, ir_call(l->ir, read_counter, IR_NONE, IR_NONE));
    return true;
}

bool lift_mrs_clock(struct lift *l, const struct arm64_mrs_clock *f)
{
    lift_write(l, f->rt, ir_call(l->ir, guest_read_clock, lift_read(l, 1, f->rt), IR_NONE));
    return true;
}

/* CTR_EL0, DCZID_EL0, TPIDRRO_EL0 (which Linux keeps zero for 64-bit programs), CNTFRQ_EL0 */
bool lift_mrs_constant(struct lift *l, const struct arm64_mrs_constant *f)
{
    static const uint32_t values[] = {CTR_EL0, DCZID_EL0, 0, COUNTER_FREQUENCY};
    lift_write(l, f->rt, ir_const(l->ir, IR_I64, values[f->which]));
    return true;
}

/* ID registers: Linux lets user code read them, with what it does not show replaced by safe values. */
bool lift_mrs_id(struct lift *l, const struct arm64_mrs_id *f)
{
    if (f->crm == 0 && f->op2 != 0 && f->op2 < 5)
        return false;
    lift_write(l, f->rt, ir_const(l->ir, IR_I64, arm64_id_register(f->crm << 3 | f->op2)));
    return true;
}

bool lift_mrs_tpidr(struct lift *l, const struct arm64_mrs_tpidr *f)
{
    lift_write(l, f->rt, ir_get(l->ir, ARM64_TPIDR, IR_I64));
    return true;
}

bool lift_msr_tpidr(struct lift *l, const struct arm64_msr_tpidr *f)
{
    ir_set(l->ir, ARM64_TPIDR, lift_read(l, 1, f->rt));
    return true;
}

/* From NZCV_N, NZCV_Z, NZCV_B, NZCV_V to bits 31 .. 28; the carry is the borrow's inverse. */
bool lift_mrs_nzcv(struct lift *l, const struct arm64_mrs_nzcv *f)
{
    ir_value packed = ir_emit(l->ir, IR_FLAGS_PACK, IR_I32, 0, ir_get_flags(l->ir), IR_NONE, IR_NONE, 0, 0);
    ir_value carry = ir_binary_imm(l->ir, IR_XOR, ir_ubfx(l->ir, packed, 8, 1), 1);
    ir_value v = ir_binary_imm(l->ir, IR_SHL, ir_ubfx(l->ir, packed, 14, 2), 30);
    v = ir_bfi(l->ir, v, carry, 29, 1);
    v = ir_bfi(l->ir, v, packed, 28, 1);
    lift_write(l, f->rt, v);
    return true;
}

bool lift_msr_nzcv(struct lift *l, const struct arm64_msr_nzcv *f)
{
    ir_value v = lift_read(l, 0, f->rt);
    ir_value borrow = ir_binary_imm(l->ir, IR_XOR, ir_ubfx(l->ir, v, 29, 1), 1);
    ir_value packed = ir_binary_imm(l->ir, IR_SHL, ir_ubfx(l->ir, v, 30, 2), 14);
    packed = ir_bfi(l->ir, packed, borrow, 8, 1);
    packed = ir_bfi(l->ir, packed, ir_ubfx(l->ir, v, 28, 1), 0, 1);
    ir_set_flags(l->ir, ir_emit(l->ir, IR_FLAGS_UNPACK, IR_FLAGS, 0, packed, IR_NONE, IR_NONE, 0, 0));
    return true;
}

static uint64_t read_fpcr(void *cpu, uint64_t a, uint64_t b)
{
    (void)a, (void)b;
    return arm64_read_fpcr(cpu);
}

static uint64_t read_fpsr(void *cpu, uint64_t a, uint64_t b)
{
    struct arm64_cpu *arm64 = cpu;
    (void)a, (void)b;
    arm64->reads_fpsr = true;
    return arm64_read_fpsr(cpu);
}

/* Not zero: the code must be made anew for another mode. */
static uint64_t write_fpcr(void *cpu, uint64_t value, uint64_t b)
{
    unsigned before = arm64_fp_mode(cpu);
    (void)b;
    arm64_write_fpcr(cpu, (uint32_t)value);
    return before != arm64_fp_mode(cpu);
}

static uint64_t write_fpsr(void *cpu, uint64_t value, uint64_t b)
{
    struct arm64_cpu *arm64 = cpu;
    unsigned before = arm64_fp_mode(cpu);
    (void)b;
    arm64->reads_fpsr = true;
    arm64_write_fpsr(cpu, (uint32_t)value);
    return before != arm64_fp_mode(cpu);
}

/* From here on code of another floating-point mode runs. */
static void change_mode(struct lift *l)
{
    lift_raise(l, TRANSLATOR_LOOKUP, 0, l->pc + 4);
}

/* The first time that the guest looks at FPSR. */
static bool begins_exact_status(const struct lift *l)
{
    return !(l->ir->fp_mode & IR_FP_EXACT_STATUS);
}

/* MRS of FPCR and FPSR */
bool lift_mrs_fp(struct lift *l, const struct arm64_mrs_fp *f)
{
    lift_write(l, f->rt, ir_call(l->ir, f->status ? read_fpsr : read_fpcr, IR_NONE, IR_NONE));
    if (f->status && begins_exact_status(l))
        change_mode(l);
    return true;
}

/* MSR of FPCR and FPSR. The mode depends on FPSR for the first time, and where results are flushed. */
bool lift_msr_fp(struct lift *l, const struct arm64_msr_fp *f)
{
    ir_value changed = ir_call(l->ir, f->status ? write_fpsr : write_fpcr, lift_read(l, 1, f->rt), IR_NONE);
    if (f->status && !begins_exact_status(l) && !(l->ir->fp_mode & IR_FP_FLUSH))
        return true;
    ir_emit(l->ir, IR_EXIT_IF, IR_VOID, 0, ir_bit(l->ir, changed, 0, true), IR_NONE, IR_NONE, l->pc + 4, 0);
    change_mode(l);
    return true;
}
