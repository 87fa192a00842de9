/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_bits: shifts, rotations and single bits. Intel SDM volume 1, 7.3.6 and 7.3.7. */
#include "translator/guest/x86/lift.h"
#include "translator/guest/x86/lift_atomic.h"

static void set_flags(struct x86_lift *l, ir_value flags)
{
    ir_set_flags(l->ir, flags);
}

static ir_value pack(struct x86_lift *l, ir_value flags)
{
    return ir_emit(l->ir, IR_FLAGS_PACK, IR_I32, 0, flags, IR_NONE, IR_NONE, 0, 0);
}

static ir_value unpack(struct x86_lift *l, ir_value packed)
{
    return ir_emit(l->ir, IR_FLAGS_UNPACK, IR_FLAGS, 0, packed, IR_NONE, IR_NONE, 0, 0);
}

/* -- shifts and rotations ------------------------------------------------------------------------------ */

/* Group 2 */
bool x86_lift_shift(struct x86_lift *l)
{
    static const uint16_t operations[] = {IR_PART_ROL, IR_PART_ROR, IR_PART_RCL, IR_PART_RCR,
                                          IR_PART_SHL, IR_PART_SHR, IR_PART_SHL, IR_PART_SAR};
    const struct x86_insn *insn = &l->insn;
    const unsigned size = insn->size;
    struct x86_place to = x86_place_rm(l);
    ir_value a = x86_read(l, &to), count;

    if (insn->row->argument == X86_SHIFT_CL) {
        count = x86_read_named(l, X86_RCX, size);
    } else {
        const uint64_t by = insn->row->argument == X86_SHIFT_ONE ? 1 : insn->imm & (size == 3 ? 63 : 31);
        if (by == 0) { /* still a write */
            x86_write_merged(l, &to, a);
            return true;
        }
        count = ir_const(l->ir, x86_type(size), by);
    }
    const enum ir_op op = (enum ir_op)operations[insn->reg & 7];
    ir_value v = x86_part(l, op, size, a, count, ir_get_flags(l->ir));
    ir_value flags = x86_flags_of(l, v);
    x86_write_merged(l, &to, v);
    set_flags(l, flags);
    return true;
}

/* SHLD and SHRD of words: both in 32 bits, the destination where bits leave it */
static ir_value word_pair(struct x86_lift *l, bool right, ir_value a, ir_value b)
{
    ir_value high = x86_convert(l, right ? b : a, IR_I32), low = x86_convert(l, right ? a : b, IR_I32);
    return ir_bfi(l->ir, low, high, 16, 16);
}

/* `count` is below the width, or 32 for words, of a's type. */
static ir_value shift_double(struct x86_lift *l, bool right, unsigned size, ir_value a, ir_value b,
                             ir_value count)
{
    if (size == 1) {
        ir_value pair = word_pair(l, right, a, b), by = x86_convert(l, count, IR_I32);
        ir_value v = ir_binary(l->ir, right ? IR_SHR : IR_SHL, pair, by);
        return ir_zext(l->ir, right ? v : ir_ubfx(l->ir, v, 16, 16));
    }
    /* The other shift, by the width less the count, in two steps: that may be the width. */
    ir_value rest = ir_binary_imm(l->ir, IR_XOR, count, size == 3 ? 63 : 31);
    ir_value other = ir_binary_imm(l->ir, right ? IR_SHL : IR_SHR, b, 1);
    other = ir_binary(l->ir, right ? IR_SHL : IR_SHR, other, rest);
    return ir_binary(l->ir, IR_OR, ir_binary(l->ir, right ? IR_SHR : IR_SHL, a, count), other);
}

/* The bit that left last becomes CF, a change of sign OF. */
static ir_value double_flags(struct x86_lift *l, bool right, unsigned size, ir_value a, ir_value b,
                             ir_value count, ir_value v)
{
    ir_value from = size == 1 ? word_pair(l, right, a, b) : a;
    ir_value by = x86_convert(l, count, ir_type_of(l->ir, from));
    ir_value bit = right ? ir_binary_imm(l->ir, IR_SUB, by, 1) : ir_unary(l->ir, IR_NEG, by, 0);
    ir_value flags = x86_flags_of(l, x86_part(l, IR_PART_AND, size, v, v, IR_NONE));
    ir_value packed = pack(l, ir_flags_bit(l->ir, from, bit, flags));
    ir_value change = ir_ubfx(l->ir, ir_binary(l->ir, IR_XOR, v, a), (8u << size) - 1, 1);
    return ir_bfi(l->ir, packed, x86_convert(l, change, IR_I32), 0, 1);
}

/* argument 1: SHRD. The count is the immediate or CL. */
bool x86_lift_double_shift(struct x86_lift *l)
{
    const struct x86_insn *insn = &l->insn;
    const unsigned size = insn->size;
    const bool right = insn->row->argument;
    const uint64_t mask = size == 3 ? 63 : 31;
    struct x86_place to = x86_place_rm(l), from = x86_place_reg(l);
    ir_value a = x86_read(l, &to), b = x86_read(l, &from), count;

    if ((insn->row->flags & X86_IMM_MASK) == X86_IMM_8)
        count = ir_const(l->ir, x86_type(size), insn->imm & mask);
    else
        count = ir_binary_imm(l->ir, IR_AND, x86_read_named(l, X86_RCX, size), mask);

    ir_value v = shift_double(l, right, size, a, b, count);
    ir_value packed = double_flags(l, right, size, a, b, count, v);
    ir_value none = ir_cmp(l->ir, IR_EQ, count, ir_const(l->ir, x86_type(size), 0));
    ir_value flags = unpack(l, ir_select(l->ir, none, pack(l, ir_get_flags(l->ir)), packed));
    x86_write(l, &to, v);
    set_flags(l, flags);
    return true;
}

/* -- BT, BTS, BTR, BTC --------------------------------------------------------------------------------- */

static ir_value changed_bit(struct x86_lift *l, unsigned operation, ir_value a, ir_value mask)
{
    static const uint16_t operations[] = {
        [X86_BIT_SET] = IR_OR, [X86_BIT_RESET] = IR_ANDN, [X86_BIT_INVERT] = IR_XOR};
    return ir_binary(l->ir, (enum ir_op)operations[operation], a, mask);
}

static ir_value lock_bit(struct x86_lift *l, unsigned operation, const struct x86_place *to, ir_value mask)
{
    static const enum ir_atomic operations[] = {
        [X86_BIT_SET] = IR_ATOMIC_OR, [X86_BIT_RESET] = IR_ATOMIC_AND, [X86_BIT_INVERT] = IR_ATOMIC_XOR};
    if (operation == X86_BIT_RESET)
        mask = ir_unary(l->ir, IR_NOT, mask, 0);
    return x86_atomic(l, operations[operation], to, mask);
}

/* `bit` is below the width. */
static void lift_bit(struct x86_lift *l, unsigned operation, const struct x86_place *to, ir_value bit)
{
    ir_value flags = ir_get_flags(l->ir);
    ir_value mask = IR_NONE, a;

    if (operation != X86_BIT_TEST)
        mask = ir_binary(l->ir, IR_SHL, ir_const(l->ir, x86_type(to->size), 1), bit);
    if (l->insn.lock) {
        a = lock_bit(l, operation, to, mask);
        set_flags(l, ir_flags_bit(l->ir, a, bit, flags));
        return;
    }
    a = x86_read(l, to);
    if (mask)
        x86_write_merged(l, to, changed_bit(l, operation, a, mask));
    set_flags(l, ir_flags_bit(l->ir, a, bit, flags));
}

/* Group 8 */
bool x86_lift_bit_imm(struct x86_lift *l)
{
    const unsigned reg = l->insn.reg & 7, size = l->insn.size;

    if (reg < 4 || (l->insn.lock && reg == 4))
        return false;
    struct x86_place to = x86_place_rm(l);
    lift_bit(l, reg - 4, &to, ir_const(l->ir, x86_type(size), l->insn.imm & ((8u << size) - 1)));
    return true;
}

/* A bit string in memory: the register's upper bits, signed, say how many operands further. */
static struct x86_place string_place(struct x86_lift *l, ir_value offset)
{
    const unsigned size = l->insn.size, width = 8u << l->insn.address_size;
    ir_value wide = size == 2 ? ir_sext(l->ir, offset) : x86_sign_extend(l, offset, size);
    ir_value bytes = ir_binary_imm(l->ir, IR_SHL, ir_binary_imm(l->ir, IR_SAR, wide, 3 + size), size);
    ir_value address = x86_convert(l, x86_lift_offset(l, 0), IR_I64);

    address = ir_ubfx(l->ir, ir_binary(l->ir, IR_ADD, address, bytes), 0, width);
    return (struct x86_place){
        .memory = true,
        .size = (uint8_t)size,
        .address = x86_segment_address(l, (enum x86_segment)l->insn.segment, address),
    };
}

bool x86_lift_bit_reg(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value offset = x86_read_named(l, l->insn.reg, size);
    struct x86_place to = l->insn.memory ? string_place(l, offset) : x86_place_rm(l);
    lift_bit(l, l->insn.row->argument, &to, ir_binary_imm(l->ir, IR_AND, offset, (8u << size) - 1));
    return true;
}

/* -- BSF, BSR, POPCNT, CRC32 --------------------------------------------------------------------------- */

/* Of zero, the destination stays as it is. argument 1: BSR */
bool x86_lift_bit_scan(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    const enum ir_type type = x86_type(size);
    ir_value x = x86_zero_extend(l, x86_read_rm(l), size);
    ir_value found = ir_unary(l->ir, l->insn.row->argument ? IR_CLZ : IR_CTZ, x, 0);
    if (l->insn.row->argument)
        found = ir_binary_imm(l->ir, IR_XOR, found, type == IR_I32 ? 31 : 63);
    ir_value none = ir_cmp(l->ir, IR_EQ, x, ir_const(l->ir, type, 0));
    ir_value flags = x86_flags_of(l, x86_part(l, IR_PART_AND, size, x, x, IR_NONE));
    ir_value old = x86_gpr(l, l->insn.reg), v = x86_convert(l, found, IR_I64);
    if (size < 2)
        v = ir_bfi(l->ir, old, v, 0, 8u << size);
    x86_set_gpr(l, l->insn.reg, ir_select(l->ir, none, old, v));
    set_flags(l, flags);
    return true;
}

bool x86_lift_popcnt(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value x = x86_zero_extend(l, x86_read_rm(l), size);
    ir_value none = ir_cmp(l->ir, IR_EQ, x, ir_const(l->ir, x86_type(size), 0));
    ir_value zero = ir_emit(l->ir, IR_FLAGS_CONST, IR_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, NZCV_Z, 0);
    ir_value bytes =
        ir_vec1(l->ir, IR_VCNT, 0, ir_emit(l->ir, IR_VFROM_INT, IR_V128, 0, x, IR_NONE, IR_NONE, 0, 0), 0);
    ir_value sum = ir_vec1(l->ir, IR_VADDV, 0, bytes, 0);

    x86_write_named(l, l->insn.reg, size, ir_emit(l->ir, IR_VGET, IR_I64, 0, sum, IR_NONE, IR_NONE, 0, 0));
    set_flags(l, ir_emit(l->ir, IR_FLAGS_SELECT, IR_FLAGS, 0, none, zero, IR_NONE, 0, 0));
    return true;
}

/* The destination has 32 or 64 bits; of 64 the upper half becomes zero. */
bool x86_lift_crc32(struct x86_lift *l)
{
    const unsigned size = l->insn.size;
    ir_value data = x86_convert(l, x86_read_rm(l), size == 3 ? IR_I64 : IR_I32);
    ir_value old = ir_trunc(l->ir, x86_gpr(l, l->insn.reg));
    ir_value v = ir_emit(l->ir, IR_CRC32, IR_I32, size | IR_CRC_CASTAGNOLI, old, data, IR_NONE, 0, 0);
    x86_set_gpr(l, l->insn.reg, ir_zext(l->ir, v));
    return true;
}
