/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_integer: data processing of general registers. Arm ARM (DDI 0487) C6.2 has each instruction,
 * C4.1 the encodings that are unallocated.
 */
#include "arm64_decode.h"
#include "base/macros.h"
#include "translator/guest/arm64/immediate.h"

enum { SHIFT_LSL, SHIFT_LSR, SHIFT_ASR, SHIFT_ROR };

static enum ir_type type_of(unsigned sf)
{
    return sf ? IR_I64 : IR_I32;
}

static unsigned bits_of(unsigned sf)
{
    return sf ? 64 : 32;
}

/* ShiftReg() of the pseudo-code, with a constant amount. */
static ir_value shift_by(struct lift *l, ir_value v, unsigned shift, unsigned amount)
{
    static const enum ir_op ops[] = {IR_SHL, IR_SHR, IR_SAR, IR_ROR};
    return amount ? ir_binary_imm(l->ir, ops[shift], v, amount) : v;
}

static ir_value read_shifted(struct lift *l, unsigned sf, unsigned n, unsigned shift, unsigned amount)
{
    return n == 31 ? lift_read(l, sf, n) : shift_by(l, lift_read(l, sf, n), shift, amount);
}

/* a OP b, and the flags from it. */
static ir_value compute_set_flags(struct lift *l, enum ir_op op, ir_value a, ir_value b)
{
    ir_value flags;
    ir_value v = ir_arith_flags(l->ir, op, a, b, IR_NONE, &flags);
    ir_set_flags(l->ir, flags);
    return v;
}

/* -- addresses and constants ------------------------------------------------------------------- */

/* ADR, ADRP */
bool lift_adr(struct lift *l, const struct arm64_adr *f)
{
    int64_t imm = (int64_t)f->immhi * 4 + f->immlo;
    uint64_t address = f->page ? ALIGN_DOWN(l->pc, 4096) + (uint64_t)imm * 4096 : l->pc + (uint64_t)imm;
    lift_write(l, f->rd, ir_const(l->ir, IR_I64, address));
    return true;
}

/* MOVN, MOVZ, MOVK */
bool lift_movewide(struct lift *l, const struct arm64_movewide *f)
{
    if (!f->sf && f->hw > 1)
        return false;
    unsigned lsb = f->hw * 16;
    uint64_t imm = (uint64_t)f->imm << lsb;
    ir_value v;
    if (f->opc == 3)
        v = ir_bfi(l->ir, lift_read(l, f->sf, f->rd), ir_const(l->ir, type_of(f->sf), f->imm), lsb, 16);
    else
        v = ir_const(l->ir, type_of(f->sf), f->opc ? imm : ~imm);
    lift_write(l, f->rd, v);
    return true;
}

/* -- addition and subtraction ------------------------------------------------------------------ */

/* The common end of ADD, ADDS, SUB, SUBS: ADDS and SUBS write to XZR what the others write to SP. */
static void add_or_subtract(struct lift *l, bool subtract, bool set_flags, bool rd_is_sp, unsigned rd,
                            ir_value a, ir_value b)
{
    enum ir_op op = subtract ? IR_SUB : IR_ADD;
    if (set_flags)
        lift_write(l, rd, compute_set_flags(l, op, a, b));
    else if (rd_is_sp)
        lift_write_sp(l, rd, ir_binary(l->ir, op, a, b));
    else
        lift_write(l, rd, ir_binary(l->ir, op, a, b));
}

/* ADD, ADDS, SUB, SUBS (immediate) */
bool lift_addsub_imm(struct lift *l, const struct arm64_addsub_imm *f)
{
    uint64_t imm = f->sh ? (uint64_t)f->imm << 12 : f->imm;
    ir_value a = lift_read_sp(l, f->sf, f->rn);
    if (imm == 0 && !f->setflags)
        lift_write_sp(l, f->rd, a);
    else
        add_or_subtract(l, f->sub, f->setflags, true, f->rd, a, ir_const(l->ir, type_of(f->sf), imm));
    return true;
}

/* ADD, ADDS, SUB, SUBS (shifted register) */
bool lift_addsub_reg(struct lift *l, const struct arm64_addsub_reg *f)
{
    if (!f->sf && f->amount > 31)
        return false;
    ir_value b = read_shifted(l, f->sf, f->rm, f->shift, f->amount);
    if (f->rn == 31 && !f->setflags)
        lift_write(l, f->rd, f->sub ? ir_unary(l->ir, IR_NEG, b, 0) : b);
    else
        add_or_subtract(l, f->sub, f->setflags, false, f->rd, lift_read(l, f->sf, f->rn), b);
    return true;
}

/* ExtendReg() of the pseudo-code without its shift: option<1:0> is the size, option<2> says signed. */
static ir_value read_extended(struct lift *l, unsigned sf, unsigned n, unsigned option)
{
    unsigned size = option & 3, is_signed = option >> 2;
    if (n == 31 || size >= 2 + sf)
        return lift_read(l, sf, n);
    if (size == 2)
        return (is_signed ? ir_sext : ir_zext)(l->ir, lift_read(l, 0, n));
    return (is_signed ? ir_sbfx : ir_ubfx)(l->ir, lift_read(l, sf, n), 0, 8u << size);
}

/* ADD, ADDS, SUB, SUBS (extended register) */
bool lift_addsub_ext(struct lift *l, const struct arm64_addsub_ext *f)
{
    unsigned option = f->sf ? f->option : (f->option & 3) == 3 ? 2 : f->option;
    ir_value a = lift_read_sp(l, f->sf, f->rn);
    ir_value b = shift_by(l, read_extended(l, f->sf, f->rm, option), SHIFT_LSL, f->amount);
    add_or_subtract(l, f->sub, f->setflags, true, f->rd, a, b);
    return true;
}

/* ADC, ADCS, SBC, SBCS */
bool lift_addsub_carry(struct lift *l, const struct arm64_addsub_carry *f)
{
    ir_value a = lift_read(l, f->sf, f->rn), b = lift_read(l, f->sf, f->rm);
    ir_value carry = ir_get_flags(l->ir), flags;
    enum ir_op op = f->sub ? IR_SBC : IR_ADC;
    if (f->setflags) {
        ir_value v = ir_arith_flags(l->ir, op, a, b, carry, &flags);
        ir_set_flags(l->ir, flags);
        lift_write(l, f->rd, v);
    } else {
        lift_write(l, f->rd, ir_emit(l->ir, op, type_of(f->sf), 0, a, b, carry, 0, 0));
    }
    return true;
}

/* -- logic ------------------------------------------------------------------------------------- */

/* AND, ORR, EOR, ANDS (immediate) */
bool lift_logical_imm(struct lift *l, const struct arm64_logical_imm *f)
{
    static const enum ir_op ops[] = {IR_AND, IR_OR, IR_XOR, IR_AND};
    uint64_t imm;
    if (!arm64_logical_immediate(f->sf, f->n, f->immr, f->imms, &imm))
        return false;
    ir_value a = lift_read(l, f->sf, f->rn), b = ir_const(l->ir, type_of(f->sf), imm);
    if (f->opc == 3)
        lift_write(l, f->rd, compute_set_flags(l, IR_AND, a, b));
    else if (f->rn == 31) /* MOV (bitmask immediate), or zero */
        lift_write_sp(l, f->rd, f->opc ? b : a);
    else if (f->opc == 0 && (imm & (imm + 1)) == 0)
        lift_write_sp(l, f->rd, ir_ubfx(l->ir, a, 0, (unsigned)__builtin_popcountll(imm)));
    else
        lift_write_sp(l, f->rd, ir_binary(l->ir, ops[f->opc], a, b));
    return true;
}

/* AND, BIC, ORR, ORN, EOR, EON, ANDS, BICS (shifted register); MOV and MVN are ORR and ORN of XZR */
bool lift_logical_reg(struct lift *l, const struct arm64_logical_reg *f)
{
    static const enum ir_op ops[2][4] = {{IR_AND, IR_OR, IR_XOR, IR_AND},
                                         {IR_ANDN, IR_ORN, IR_XORN, IR_ANDN}};
    if (!f->sf && f->amount > 31)
        return false;
    ir_value b = read_shifted(l, f->sf, f->rm, f->shift, f->amount);
    if (f->rn == 31 && f->opc == 1) {
        lift_write(l, f->rd, f->n ? ir_unary(l->ir, IR_NOT, b, 0) : b);
        return true;
    }
    ir_value a = lift_read(l, f->sf, f->rn);
    if (f->opc == 3)
        lift_write(l, f->rd, compute_set_flags(l, ops[f->n][3], a, b));
    else
        lift_write(l, f->rd, ir_binary(l->ir, ops[f->n][f->opc], a, b));
    return true;
}

/* -- bit fields -------------------------------------------------------------------------------- */

/* The field of `width` bits at `lsb`, extended: UBFX, SBFX, LSR, ASR, UXTB, SXTW ... */
static ir_value extract_field(struct lift *l, unsigned sf, bool is_signed, unsigned n, unsigned lsb,
                              unsigned width)
{
    if (sf && lsb == 0 && width == 32)
        return (is_signed ? ir_sext : ir_zext)(l->ir, lift_read(l, 0, n));
    ir_value v = lift_read(l, sf, n);
    if (lsb + width == bits_of(sf))
        return shift_by(l, v, is_signed ? SHIFT_ASR : SHIFT_LSR, lsb);
    return (is_signed ? ir_sbfx : ir_ubfx)(l->ir, v, lsb, width);
}

/* SBFM, UBFM and BFM: with imms >= immr bits [immr, imms] go to the bottom, else the low bits go up. */
bool lift_bitfield(struct lift *l, const struct arm64_bitfield *f)
{
    unsigned bits = bits_of(f->sf);
    if (f->n != f->sf || f->immr >= bits || f->imms >= bits)
        return false;
    bool down = f->imms >= f->immr, is_signed = f->opc == 0;
    unsigned width = down ? f->imms - f->immr + 1 : f->imms + 1;
    unsigned up = down ? 0 : bits - f->immr;
    ir_value v;
    if (f->opc == 1) {
        v = shift_by(l, lift_read(l, f->sf, f->rn), SHIFT_LSR, down ? f->immr : 0);
        if (width != bits)
            v = ir_bfi(l->ir, lift_read(l, f->sf, f->rd), v, up, width);
    } else if (down) {
        v = extract_field(l, f->sf, is_signed, f->rn, f->immr, width);
    } else if (up + width == bits) {
        v = shift_by(l, lift_read(l, f->sf, f->rn), SHIFT_LSL, up);
    } else {
        v = shift_by(l, extract_field(l, f->sf, is_signed, f->rn, 0, width), SHIFT_LSL, up);
    }
    lift_write(l, f->rd, v);
    return true;
}

/* EXTR; ROR (immediate) is EXTR of one register with itself */
bool lift_extr(struct lift *l, const struct arm64_extr *f)
{
    if (f->n != f->sf || f->imms >= bits_of(f->sf))
        return false;
    ir_value high = lift_read(l, f->sf, f->rn), low = lift_read(l, f->sf, f->rm);
    if (f->rn == f->rm)
        low = shift_by(l, low, SHIFT_ROR, f->imms);
    else if (f->imms)
        low = ir_emit(l->ir, IR_EXTR, type_of(f->sf), 0, high, low, IR_NONE, f->imms, 0);
    lift_write(l, f->rd, low);
    return true;
}

/* -- conditional ------------------------------------------------------------------------------- */

/* CSEL, CSINC, CSINV, CSNEG; conditions 14 and 15 are both "always" */
bool lift_csel(struct lift *l, const struct arm64_csel *f)
{
    ir_value yes = lift_read(l, f->sf, f->rn);
    if (f->cond >= 14) {
        lift_write(l, f->rd, yes);
        return true;
    }
    ir_value no = lift_read(l, f->sf, f->rm);
    if (f->invert)
        no = ir_unary(l->ir, f->increment ? IR_NEG : IR_NOT, no, 0);
    else if (f->increment)
        no = ir_binary_imm(l->ir, IR_ADD, no, 1);
    lift_write(l, f->rd, ir_select(l->ir, lift_cond(l, f->cond), yes, no));
    return true;
}

/* CCMP, CCMN: the flags of the comparison if the condition holds, else a constant */
bool lift_ccmp(struct lift *l, const struct arm64_ccmp *f)
{
    ir_value condition = f->cond < 14 ? lift_cond(l, f->cond) : IR_NONE;
    ir_value a = lift_read(l, f->sf, f->rn);
    ir_value b = f->is_imm ? ir_const(l->ir, type_of(f->sf), f->rm) : lift_read(l, f->sf, f->rm);
    ir_value flags;
    ir_arith_flags(l->ir, f->sub ? IR_SUB : IR_ADD, a, b, IR_NONE, &flags);
    if (condition != IR_NONE) {
        uint64_t otherwise = (f->nzcv & 8 ? NZCV_N : 0) | (f->nzcv & 4 ? NZCV_Z : 0) |
                             (f->nzcv & 2 ? 0 : NZCV_B) | (f->nzcv & 1 ? NZCV_V : 0);
        flags = ir_emit(l->ir, IR_FLAGS_SELECT, IR_FLAGS, 0, condition, flags, IR_NONE, otherwise, 0);
    }
    ir_set_flags(l->ir, flags);
    return true;
}

/* -- multiplication and division --------------------------------------------------------------- */

static void write_product(struct lift *l, unsigned sub, unsigned rd, unsigned sf, unsigned ra,
                          ir_value product)
{
    if (ra != 31)
        product = ir_binary(l->ir, sub ? IR_SUB : IR_ADD, lift_read(l, sf, ra), product);
    else if (sub)
        product = ir_unary(l->ir, IR_NEG, product, 0);
    lift_write(l, rd, product);
}

/* MADD, MSUB; MUL and MNEG with ra = 31 */
bool lift_madd(struct lift *l, const struct arm64_madd *f)
{
    ir_value product = ir_binary(l->ir, IR_MUL, lift_read(l, f->sf, f->rn), lift_read(l, f->sf, f->rm));
    write_product(l, f->sub, f->rd, f->sf, f->ra, product);
    return true;
}

/* SMADDL, SMSUBL, UMADDL, UMSUBL */
bool lift_maddl(struct lift *l, const struct arm64_maddl *f)
{
    ir_value (*extend)(struct ir_region * r, ir_value a) = f->is_signed ? ir_sext : ir_zext;
    ir_value a = extend(l->ir, lift_read(l, 0, f->rn)), b = extend(l->ir, lift_read(l, 0, f->rm));
    write_product(l, f->sub, f->rd, 1, f->ra, ir_binary(l->ir, IR_MUL, a, b));
    return true;
}

/* SMULH, UMULH */
bool lift_mulh(struct lift *l, const struct arm64_mulh *f)
{
    enum ir_op op = f->is_signed ? IR_SMULH : IR_UMULH;
    lift_write(l, f->rd, ir_binary(l->ir, op, lift_read(l, 1, f->rn), lift_read(l, 1, f->rm)));
    return true;
}

/* UDIV, SDIV */
bool lift_divide(struct lift *l, const struct arm64_divide *f)
{
    enum ir_op op = f->is_signed ? IR_SDIV : IR_UDIV;
    lift_write(l, f->rd, ir_binary(l->ir, op, lift_read(l, f->sf, f->rn), lift_read(l, f->sf, f->rm)));
    return true;
}

/* LSLV, LSRV, ASRV, RORV: the amount is taken modulo the width, as IR does */
bool lift_shift_var(struct lift *l, const struct arm64_shift_var *f)
{
    static const enum ir_op ops[] = {IR_SHL, IR_SHR, IR_SAR, IR_ROR};
    lift_write(l, f->rd,
               ir_binary(l->ir, ops[f->shift], lift_read(l, f->sf, f->rn), lift_read(l, f->sf, f->rm)));
    return true;
}

/* CRC32B ... CRC32X, CRC32CB ... CRC32CX */
bool lift_crc32(struct lift *l, const struct arm64_crc32 *f)
{
    unsigned aux = f->size | (f->c ? IR_CRC_CASTAGNOLI : 0);
    ir_value accumulator = lift_read(l, 0, f->rn), data = lift_read(l, f->size == 3, f->rm);
    lift_write(l, f->rd, ir_emit(l->ir, IR_CRC32, IR_I32, aux, accumulator, data, IR_NONE, 0, 0));
    return true;
}

/* -- one operand ------------------------------------------------------------------------------- */

bool lift_rbit(struct lift *l, const struct arm64_rbit *f)
{
    lift_write(l, f->rd, ir_unary(l->ir, IR_RBIT, lift_read(l, f->sf, f->rn), 0));
    return true;
}

/* REV16, REV32, REV: reverses the bytes of each 2^size */
bool lift_rev(struct lift *l, const struct arm64_rev *f)
{
    lift_write(l, f->rd, ir_unary(l->ir, IR_BSWAP, lift_read(l, f->sf, f->rn), f->size));
    return true;
}

bool lift_clz(struct lift *l, const struct arm64_clz *f)
{
    lift_write(l, f->rd, ir_unary(l->ir, IR_CLZ, lift_read(l, f->sf, f->rn), 0));
    return true;
}

/* CLS: where a bit differs from its upper neighbour, x ^ (x >> 1) has a one */
bool lift_cls(struct lift *l, const struct arm64_cls *f)
{
    ir_value v = lift_read(l, f->sf, f->rn);
    ir_value changes = ir_binary(l->ir, IR_XOR, v, ir_binary_imm(l->ir, IR_SAR, v, 1));
    lift_write(l, f->rd, ir_binary_imm(l->ir, IR_SUB, ir_unary(l->ir, IR_CLZ, changes, 0), 1));
    return true;
}
