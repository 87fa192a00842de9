/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build: one short function per shape of IR operation. Included by ir.h only. */

static inline enum ir_type ir_type_of(const struct ir_region *r, ir_value v)
{
    return (enum ir_type)r->insns[v].type;
}

static inline ir_value ir_const(struct ir_region *r, enum ir_type type, uint64_t imm)
{
    return ir_emit(r, IR_CONST, type, 0, IR_NONE, IR_NONE, IR_NONE, type == IR_I32 ? (uint32_t)imm : imm, 0);
}

/* An address of or near the code. */
static inline ir_value ir_address(struct ir_region *r, enum ir_type type, uint64_t imm)
{
    if (!r->movable)
        return ir_const(r, type, imm);
    return ir_emit(r, IR_ADDRESS, type, 0, IR_NONE, IR_NONE, IR_NONE, type == IR_I32 ? (uint32_t)imm : imm,
                   0);
}

/* Operations whose result has the type of a. */
static inline ir_value ir_unary(struct ir_region *r, enum ir_op op, ir_value a, unsigned aux)
{
    return ir_emit(r, op, ir_type_of(r, a), aux, a, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value ir_binary(struct ir_region *r, enum ir_op op, ir_value a, ir_value b)
{
    return ir_emit(r, op, ir_type_of(r, a), 0, a, b, IR_NONE, 0, 0);
}

/* a OP constant */
static inline ir_value ir_binary_imm(struct ir_region *r, enum ir_op op, ir_value a, uint64_t imm)
{
    return ir_binary(r, op, a, ir_const(r, ir_type_of(r, a), imm));
}

static inline ir_value ir_get(struct ir_region *r, unsigned guest_register, enum ir_type type)
{
    return ir_emit(r, IR_GET, type, guest_register, IR_NONE, IR_NONE, IR_NONE, 0, 0);
}

static inline void ir_set(struct ir_region *r, unsigned guest_register, ir_value v)
{
    ir_emit(r, IR_SET, ir_type_of(r, v), guest_register, v, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value ir_get_flags(struct ir_region *r)
{
    return ir_emit(r, IR_GET_FLAGS, IR_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, 0, 0);
}

static inline void ir_set_flags(struct ir_region *r, ir_value flags)
{
    ir_emit(r, IR_SET_FLAGS, IR_FLAGS, 0, flags, IR_NONE, IR_NONE, 0, 0);
}

/*
 * The flags of the ADD SUB ADC SBC AND ANDN or PART_* that was emitted last, `computation` being what
 * ir_emit() returned for it, folded or not.
 */
static inline ir_value ir_flags_of(struct ir_region *r, ir_value computation)
{
    return ir_emit(r, IR_FLAGS_OF, IR_FLAGS, 0, computation, IR_NONE, IR_NONE, 0, 0);
}

/* PART_* of 2^size bytes; `flags` is for those that take some, else IR_NONE. */
static inline ir_value ir_part(struct ir_region *r, enum ir_op op, unsigned size, ir_value a, ir_value b,
                               ir_value flags)
{
    return ir_emit(r, op, ir_type_of(r, a), size, a, b, flags, 0, 0);
}

/* As ir_flags_of(), with C the inverse of x86's CF. */
static inline ir_value ir_flags_of_x86(struct ir_region *r, ir_value computation)
{
    return ir_emit(r, IR_FLAGS_OF, IR_FLAGS, IR_FLAGS_X86, computation, IR_NONE, IR_NONE, 0, 0);
}

/* Quotient or remainder of high:low by divisor. */
static inline ir_value ir_divide_wide(struct ir_region *r, enum ir_op op, ir_value high, ir_value low,
                                      ir_value divisor)
{
    return ir_emit(r, op, ir_type_of(r, low), 0, high, low, divisor, 0, 0);
}

/* `flags` with C the inverse of bit b of a. */
static inline ir_value ir_flags_bit(struct ir_region *r, ir_value a, ir_value b, ir_value flags)
{
    return ir_emit(r, IR_FLAGS_BIT, IR_FLAGS, 0, a, b, flags, 0, 0);
}

static inline void ir_raise_if(struct ir_region *r, ir_value condition, unsigned exit, uint64_t payload,
                               uint64_t pc)
{
    ir_emit(r, IR_RAISE_IF, IR_VOID, exit, condition, IR_NONE, IR_NONE, payload, pc);
}

/*
 * A computation (as for ir_flags_of) together with its flags. `carry` is the FLAGS value that ADC
 * and SBC take, else IR_NONE. Operations on constants give constants.
 */
ir_value ir_arith_flags(struct ir_region *r, enum ir_op op, ir_value a, ir_value b, ir_value carry,
                        ir_value *flags_out);

static inline ir_value ir_cond(struct ir_region *r, ir_value flags, enum ir_cond cond)
{
    return ir_emit(r, IR_COND, IR_BOOL, cond, flags, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value ir_cmp(struct ir_region *r, enum ir_cond cond, ir_value a, ir_value b)
{
    return ir_emit(r, IR_CMP, IR_BOOL, cond, a, b, IR_NONE, 0, 0);
}

static inline ir_value ir_bit(struct ir_region *r, ir_value a, unsigned bit, bool is_zero)
{
    return ir_emit(r, IR_BIT, IR_BOOL, is_zero, a, IR_NONE, IR_NONE, bit, 0);
}

static inline ir_value ir_select(struct ir_region *r, ir_value condition, ir_value b, ir_value c)
{
    return ir_emit(r, IR_SELECT, ir_type_of(r, b), 0, condition, b, c, 0, 0);
}

static inline ir_value ir_trunc(struct ir_region *r, ir_value a)
{
    return ir_emit(r, IR_TRUNC, IR_I32, 0, a, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value ir_zext(struct ir_region *r, ir_value a)
{
    return ir_emit(r, IR_ZEXT, IR_I64, 0, a, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value ir_sext(struct ir_region *r, ir_value a)
{
    return ir_emit(r, IR_SEXT, IR_I64, 0, a, IR_NONE, IR_NONE, 0, 0);
}

static inline ir_value ir_ubfx(struct ir_region *r, ir_value a, unsigned lsb, unsigned width)
{
    return ir_unary(r, IR_UBFX, a, lsb | width << 8);
}

static inline ir_value ir_sbfx(struct ir_region *r, ir_value a, unsigned lsb, unsigned width)
{
    return ir_unary(r, IR_SBFX, a, lsb | width << 8);
}

static inline ir_value ir_bfi(struct ir_region *r, ir_value a, ir_value b, unsigned lsb, unsigned width)
{
    return ir_emit(r, IR_BFI, ir_type_of(r, a), lsb | width << 8, a, b, IR_NONE, 0, 0);
}

/* address = base + offset */
static inline ir_value ir_load(struct ir_region *r, enum ir_type type, unsigned mem, ir_value base,
                               int64_t offset)
{
    return ir_emit(r, IR_LOAD, type, mem, base, IR_NONE, IR_NONE, (uint64_t)offset, 0);
}

static inline void ir_store(struct ir_region *r, unsigned mem, ir_value base, int64_t offset, ir_value value)
{
    ir_emit(r, IR_STORE, ir_type_of(r, value), mem, base, IR_NONE, value, (uint64_t)offset, 0);
}

static inline ir_value ir_call(struct ir_region *r, ir_helper helper, ir_value a, ir_value b)
{
    return ir_emit(r, IR_CALL, IR_I64, 0, a, b, IR_NONE, (uint64_t)(uintptr_t)helper, 0);
}

/* Vector operations: esize (or what ops.def says) in aux, imm where the row has one. */
static inline ir_value ir_vec1(struct ir_region *r, enum ir_op op, unsigned aux, ir_value a, uint64_t imm)
{
    return ir_emit(r, op, IR_V128, aux, a, IR_NONE, IR_NONE, imm, 0);
}

static inline ir_value ir_vec2(struct ir_region *r, enum ir_op op, unsigned aux, ir_value a, ir_value b,
                               uint64_t imm)
{
    return ir_emit(r, op, IR_V128, aux, a, b, IR_NONE, imm, 0);
}

static inline ir_value ir_vec3(struct ir_region *r, enum ir_op op, unsigned aux, ir_value a, ir_value b,
                               ir_value c)
{
    return ir_emit(r, op, IR_V128, aux, a, b, c, 0, 0);
}
