/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_atomic: exclusive, ordered and atomic accesses. Arm ARM (DDI 0487) C6.2, B2.9 "Synchronization and
 * semaphores". All of them fault if misaligned (B2.5.2, without FEAT_LSE2).
 */
#include "arm64_decode.h"

static enum ir_type type_of(unsigned size)
{
    return size == 3 ? IR_I64 : IR_I32;
}

static unsigned memory_bits(unsigned size, bool acquire, bool release)
{
    return size | IR_MEM_ALIGNED | (acquire ? IR_MEM_ACQUIRE : 0) | (release ? IR_MEM_RELEASE : 0);
}

/* Two registers as one access of twice the size, the first in the lower half. */
static ir_value read_pair(struct lift *l, unsigned sf, unsigned n, unsigned n2)
{
    ir_value low = lift_read(l, sf, n), high = lift_read(l, sf, n2);
    if (sf)
        return ir_emit(l->ir, IR_VFROM_PAIR, IR_V128, 0, low, high, IR_NONE, 0, 0);
    return ir_bfi(l->ir, ir_zext(l->ir, low), ir_zext(l->ir, high), 32, 32);
}

static void write_pair(struct lift *l, unsigned sf, unsigned n, unsigned n2, ir_value pair)
{
    ir_value low, high;
    if (sf) {
        low = ir_emit(l->ir, IR_VGET, IR_I64, 3, pair, IR_NONE, IR_NONE, 0, 0);
        high = ir_emit(l->ir, IR_VGET, IR_I64, 3, pair, IR_NONE, IR_NONE, 1, 0);
    } else {
        low = ir_trunc(l->ir, pair);
        high = ir_binary_imm(l->ir, IR_SHR, pair, 32);
    }
    lift_write(l, n, low);
    lift_write(l, n2, high);
}

/* -- exclusives -------------------------------------------------------------------------------- */

/* LDXR, LDAXR */
bool lift_load_exclusive(struct lift *l, const struct arm64_load_exclusive *f)
{
    ir_value address = lift_read_sp(l, 1, f->rn);
    unsigned mem = memory_bits(f->size, f->o0, false);
    lift_write(l, f->rt,
               ir_emit(l->ir, IR_LOAD_EXCL, type_of(f->size), mem, address, IR_NONE, IR_NONE, 0, 0));
    return true;
}

/* STXR, STLXR */
bool lift_store_exclusive(struct lift *l, const struct arm64_store_exclusive *f)
{
    ir_value address = lift_read_sp(l, 1, f->rn), value = lift_read(l, f->size == 3, f->rt);
    unsigned mem = memory_bits(f->size, false, f->o0);
    lift_write(l, f->rs, ir_emit(l->ir, IR_STORE_EXCL, IR_I32, mem, address, value, IR_NONE, 0, 0));
    return true;
}

/* LDXP, LDAXP */
bool lift_load_exclusive_pair(struct lift *l, const struct arm64_load_exclusive_pair *f)
{
    ir_value address = lift_read_sp(l, 1, f->rn);
    unsigned mem = memory_bits(3 + f->sf, f->o0, false);
    enum ir_type type = f->sf ? IR_V128 : IR_I64;
    write_pair(l, f->sf, f->rt, f->rt2,
               ir_emit(l->ir, IR_LOAD_EXCL, type, mem, address, IR_NONE, IR_NONE, 0, 0));
    return true;
}

/* STXP, STLXP */
bool lift_store_exclusive_pair(struct lift *l, const struct arm64_store_exclusive_pair *f)
{
    ir_value address = lift_read_sp(l, 1, f->rn), value = read_pair(l, f->sf, f->rt, f->rt2);
    unsigned mem = memory_bits(3 + f->sf, false, f->o0);
    lift_write(l, f->rs, ir_emit(l->ir, IR_STORE_EXCL, IR_I32, mem, address, value, IR_NONE, 0, 0));
    return true;
}

/* -- ordered ----------------------------------------------------------------------------------- */

/* LDAR, and LDLAR and LDAPR, which order less */
bool lift_load_acquire(struct lift *l, const struct arm64_load_acquire *f)
{
    ir_value address = lift_read_sp(l, 1, f->rn);
    lift_write(l, f->rt, ir_load(l->ir, type_of(f->size), memory_bits(f->size, true, false), address, 0));
    return true;
}

/* STLR, which no later LDAR may overtake; STLLR, which a later LDLAR must not overtake either */
bool lift_store_release(struct lift *l, const struct arm64_store_release *f)
{
    ir_value address = lift_read_sp(l, 1, f->rn), value = lift_read(l, f->size == 3, f->rt);
    ir_store(l->ir, memory_bits(f->size, false, true) | IR_MEM_SEQ_CST, address, 0, value);
    return true;
}

/* LDAPUR, LDAPURSB and so on, and STLUR */
bool lift_load_store_unscaled(struct lift *l, const struct arm64_load_store_unscaled *f)
{
    if (f->opc >= 2 && f->size + f->opc > 4)
        return false;
    ir_value address = ir_binary_imm(l->ir, IR_ADD, lift_read_sp(l, 1, f->rn), (uint64_t)(int64_t)f->imm);
    if (f->opc == 0) {
        ir_store(l->ir, memory_bits(f->size, false, true) | IR_MEM_SEQ_CST, address, 0,
                 lift_read(l, f->size == 3, f->rt));
        return true;
    }
    bool wide = f->opc == 2 || (f->opc == 1 && f->size == 3);
    unsigned mem = memory_bits(f->size, true, false) | (f->opc >= 2 ? IR_MEM_SIGNED : 0);
    lift_write(l, f->rt, ir_load(l->ir, wide ? IR_I64 : IR_I32, mem, address, 0));
    return true;
}

/* -- FEAT_LSE ---------------------------------------------------------------------------------- */

/* CAS, CASA, CASL, CASAL and their B and H forms */
bool lift_cas(struct lift *l, const struct arm64_cas *f)
{
    ir_value address = lift_read_sp(l, 1, f->rn);
    ir_value expected = lift_read(l, f->size == 3, f->rs), desired = lift_read(l, f->size == 3, f->rt);
    unsigned mem = memory_bits(f->size, f->acquire, f->release);
    lift_write(l, f->rs, ir_emit(l->ir, IR_CAS, type_of(f->size), mem, address, expected, desired, 0, 0));
    return true;
}

/* CASP and so on; the register pairs begin with an even one */
bool lift_casp(struct lift *l, const struct arm64_casp *f)
{
    if (f->rs & 1 || f->rt & 1)
        return false;
    ir_value address = lift_read_sp(l, 1, f->rn);
    ir_value expected = read_pair(l, f->sf, f->rs, f->rs + 1),
             desired = read_pair(l, f->sf, f->rt, f->rt + 1);
    unsigned mem = memory_bits(3 + f->sf, f->acquire, f->release);
    enum ir_type type = f->sf ? IR_V128 : IR_I64;
    write_pair(l, f->sf, f->rs, f->rs + 1,
               ir_emit(l->ir, IR_CAS, type, mem, address, expected, desired, 0, 0));
    return true;
}

/* LDADD, LDCLR, LDEOR, LDSET, LDSMAX, LDSMIN, LDUMAX, LDUMIN, SWP with A, L, B and H forms; ST... is rt = 31
 */
bool lift_atomic(struct lift *l, const struct arm64_atomic *f)
{
    static const enum ir_atomic operations[] = {IR_ATOMIC_ADD,  IR_ATOMIC_AND,  IR_ATOMIC_XOR,
                                                IR_ATOMIC_OR,   IR_ATOMIC_SMAX, IR_ATOMIC_SMIN,
                                                IR_ATOMIC_UMAX, IR_ATOMIC_UMIN};
    ir_value address = lift_read_sp(l, 1, f->rn), operand = lift_read(l, f->size == 3, f->rs);
    enum ir_atomic operation = f->swap ? IR_ATOMIC_SWAP : operations[f->opc];
    if (operation == IR_ATOMIC_AND) /* LDCLR clears the operand's ones */
        operand = ir_unary(l->ir, IR_NOT, operand, 0);
    unsigned mem = memory_bits(f->size, f->acquire, f->release);
    lift_write(l, f->rt,
               ir_emit(l->ir, IR_ATOMIC, type_of(f->size), mem, address, operand, IR_NONE, operation, 0));
    return true;
}
