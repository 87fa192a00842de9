/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift: what the lifting functions of the AArch64 guest share. Private to this folder.
 *
 * Each pattern line of *.pattern names a lifting function `bool lift_NAME(struct lift *l, const
 * struct arm64_NAME *f)`, declared by the generated "arm64_decode.h". It appends IR to l->ir and
 * returns true; false means that the encoding is not an instruction: undefined. A function that
 * returns false has appended nothing.
 */
#ifndef VISOR_TRANSLATOR_GUEST_ARM64_LIFT_H
#define VISOR_TRANSLATOR_GUEST_ARM64_LIFT_H

#include "translator/guest/arm64/arm64.h"

struct lift {
    struct ir_region *ir;
    uint64_t pc;   /* of the instruction being lifted */
    uint32_t word; /* its encoding */
    bool ended;    /* set by a function that appended a terminator */
};

/* Xn or Wn, register 31 = zero. `sf` is the instruction's size bit: 0 = W (I32), 1 = X (I64). */
static inline ir_value lift_read(struct lift *l, unsigned sf, unsigned n)
{
    enum ir_type type = sf ? IR_I64 : IR_I32;
    if (n == 31)
        return ir_const(l->ir, type, 0);
    ir_value x = ir_get(l->ir, ARM64_X0 + n, IR_I64);
    return sf ? x : ir_trunc(l->ir, x);
}

/* Writes an I32 (zero-extended) or I64 value to Xn; register 31 discards. */
static inline void lift_write(struct lift *l, unsigned n, ir_value v)
{
    if (n == 31)
        return;
    if (ir_type_of(l->ir, v) == IR_I32)
        v = ir_zext(l->ir, v);
    ir_set(l->ir, ARM64_X0 + n, v);
}

/* The same with register 31 = SP. */
static inline ir_value lift_read_sp(struct lift *l, unsigned sf, unsigned n)
{
    ir_value x = ir_get(l->ir, n == 31 ? ARM64_SP : ARM64_X0 + n, IR_I64);
    return sf ? x : ir_trunc(l->ir, x);
}

static inline void lift_write_sp(struct lift *l, unsigned n, ir_value v)
{
    if (ir_type_of(l->ir, v) == IR_I32)
        v = ir_zext(l->ir, v);
    ir_set(l->ir, n == 31 ? ARM64_SP : ARM64_X0 + n, v);
}

/* All 128 bits of Vn. */
static inline ir_value lift_read_v(struct lift *l, unsigned n)
{
    return ir_get(l->ir, ARM64_V0 + n, IR_V128);
}

static inline void lift_write_v(struct lift *l, unsigned n, ir_value v)
{
    ir_set(l->ir, ARM64_V0 + n, v);
}

/* Scalar floating point: Sn (is_double = 0) or Dn; a write clears the rest of Vn. */
static inline ir_value lift_read_f(struct lift *l, unsigned is_double, unsigned n)
{
    return ir_emit(l->ir, IR_VGET_FLOAT, is_double ? IR_F64 : IR_F32, 0, lift_read_v(l, n), IR_NONE, IR_NONE,
                   0, 0);
}

static inline void lift_write_f(struct lift *l, unsigned n, ir_value f)
{
    lift_write_v(l, n, ir_emit(l->ir, IR_VFROM_FLOAT, IR_V128, 0, f, IR_NONE, IR_NONE, 0, 0));
}

/* The condition field of B.cond, CSEL, CCMP: AL and NV are not given to this. */
static inline ir_value lift_cond(struct lift *l, unsigned cond)
{
    return ir_cond(l->ir, ir_get_flags(l->ir), (enum ir_cond)cond);
}

/* Leaves the region with an exception; pc is the address that the guest sees in it. */
static inline void lift_raise(struct lift *l, enum translator_exit exit, uint64_t payload, uint64_t pc)
{
    ir_emit(l->ir, IR_RAISE, IR_VOID, exit, IR_NONE, IR_NONE, IR_NONE, payload, pc);
    l->ended = true;
}

#endif
