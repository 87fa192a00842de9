/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_memory: plain loads and stores of general and of SIMD&FP registers. Arm ARM (DDI 0487) C6.2, C7.2;
 * the common part of their encodings is size, V and opc of C4.1 "Loads and Stores".
 *
 * All accesses of an instruction come before its register writes, so that a fault finds the old
 * state. Where the manual leaves a choice (a base register that is also loaded), the base's write-back wins.
 */
#include "arm64_decode.h"
#include "base/macros.h"

enum { MODE_OFFSET, MODE_POST, MODE_UNPRIVILEGED, MODE_PRE };

/* What is moved between register and memory. */
struct access {
    unsigned mem;      /* IR_MEM_SIZE, IR_MEM_SIGNED */
    enum ir_type type; /* in the IR */
    bool is_load, is_vector, is_prefetch;
};

/* base + (index << scale) + offset */
struct address {
    ir_value base, index;
    unsigned scale;
    int64_t offset;
};

/* By size, V and opc; false if unallocated. */
static bool decode_access(unsigned size, unsigned v, unsigned opc, struct access *access)
{
    *access = (struct access){.mem = size, .type = size == 3 ? IR_I64 : IR_I32, .is_load = opc & 1};
    if (v) {
        if (opc & 2 && size)
            return false;
        access->mem = opc & 2 ? 4 : size;
        access->type = IR_V128;
        access->is_vector = true;
    } else if (opc & 2) {
        if (opc == 3 && size > 1)
            return false;
        access->is_prefetch = size == 3;
        access->is_load = true;
        access->mem |= IR_MEM_SIGNED;
        access->type = opc == 2 ? IR_I64 : IR_I32;
    }
    return true;
}

static ir_value load_from(struct lift *l, const struct access *access, const struct address *address)
{
    return ir_emit(l->ir, IR_LOAD, access->type, access->mem | address->scale << IR_MEM_SCALE_SHIFT,
                   address->base, address->index, IR_NONE, (uint64_t)address->offset, 0);
}

static void store_to(struct lift *l, const struct access *access, const struct address *address,
                     ir_value value)
{
    ir_emit(l->ir, IR_STORE, access->type, access->mem | address->scale << IR_MEM_SCALE_SHIFT, address->base,
            address->index, value, (uint64_t)address->offset, 0);
}

static ir_value read_data(struct lift *l, const struct access *access, unsigned t)
{
    return access->is_vector ? lift_read_v(l, t) : lift_read(l, access->type == IR_I64, t);
}

static void write_data(struct lift *l, const struct access *access, unsigned t, ir_value value)
{
    if (access->is_vector)
        lift_write_v(l, t, value);
    else
        lift_write(l, t, value);
}

/* One register; then the base register n gets `offset` added if `writeback` is set. */
static void transfer(struct lift *l, const struct access *access, const struct address *address, unsigned t,
                     unsigned n, bool writeback, int64_t offset)
{
    if (access->is_prefetch)
        return;
    if (access->is_load)
        write_data(l, access, t, load_from(l, access, address));
    else
        store_to(l, access, address, read_data(l, access, t));
    if (writeback)
        lift_write_sp(l, n, ir_binary_imm(l->ir, IR_ADD, address->base, (uint64_t)offset));
}

/* LDR, STR and so on (immediate, unsigned offset), PRFM */
bool lift_loadstore_unsigned(struct lift *l, const struct arm64_loadstore_unsigned *f)
{
    struct access access;
    if (!decode_access(f->size, f->v, f->opc, &access))
        return false;
    int64_t offset = (int64_t)f->imm << (access.mem & IR_MEM_SIZE);
    struct address address = {lift_read_sp(l, 1, f->rn), IR_NONE, 0, offset};
    transfer(l, &access, &address, f->rt, f->rn, false, 0);
    return true;
}

/* LDUR, STUR, PRFUM; LDTR, STTR, which at EL0 are the same; LDR, STR (immediate, pre- and post-indexed) */
bool lift_loadstore_imm9(struct lift *l, const struct arm64_loadstore_imm9 *f)
{
    struct access access;
    if (!decode_access(f->size, f->v, f->opc, &access))
        return false;
    if ((f->mode == MODE_UNPRIVILEGED && f->v) || (f->mode != MODE_OFFSET && access.is_prefetch))
        return false;
    struct address address = {lift_read_sp(l, 1, f->rn), IR_NONE, 0, f->mode == MODE_POST ? 0 : f->imm};
    transfer(l, &access, &address, f->rt, f->rn, f->mode & 1, f->imm);
    return true;
}

/* LDR, STR and so on (register), PRFM. Options: 2 UXTW, 3 LSL, 6 SXTW, 7 SXTX. */
bool lift_loadstore_register(struct lift *l, const struct arm64_loadstore_register *f)
{
    struct access access;
    if (!decode_access(f->size, f->v, f->opc, &access))
        return false;
    struct address address = {.base = lift_read_sp(l, 1, f->rn)};
    if (f->rm != 31) {
        address.index = lift_read(l, f->option & 1, f->rm);
        if (!(f->option & 1))
            address.index = (f->option & 4 ? ir_sext : ir_zext)(l->ir, address.index);
        address.scale = f->s ? access.mem & IR_MEM_SIZE : 0;
        if (address.scale == 4) { /* the IR scales by 8 at most */
            address.index = ir_binary_imm(l->ir, IR_SHL, address.index, 4);
            address.scale = 0;
        }
    }
    transfer(l, &access, &address, f->rt, f->rn, false, 0);
    return true;
}

/* LDR, LDRSW (literal), PRFM (literal) */
bool lift_load_literal(struct lift *l, const struct arm64_load_literal *f)
{
    /* opc as the size, V and opc of the other forms */
    static const uint8_t sizes[] = {2, 3, 2, 3};
    if (f->v && f->opc == 3)
        return false;
    struct access access = {.mem = f->v ? 2 + f->opc : sizes[f->opc], .is_load = true, .is_vector = f->v};
    access.type = f->v ? IR_V128 : f->opc ? IR_I64 : IR_I32;
    if (!f->v && f->opc == 2)
        access.mem |= IR_MEM_SIGNED;
    access.is_prefetch = !f->v && f->opc == 3;
    uint64_t place = l->pc + (uint64_t)((int64_t)f->imm * 4);
    struct address address = {.base = ir_const(l->ir, IR_I64, place)};
    transfer(l, &access, &address, f->rt, 0, false, 0);
    return true;
}

/* Both registers of a pair, the second right behind the first. */
static void transfer_pair(struct lift *l, const struct access *access, struct address address, unsigned t,
                          unsigned t2)
{
    struct address second = address;
    second.offset += 1 << (access->mem & IR_MEM_SIZE);
    if (!access->is_load) {
        ir_value value = read_data(l, access, t), value2 = read_data(l, access, t2);
        store_to(l, access, &address, value);
        store_to(l, access, &second, value2);
        return;
    }
    ir_value value = load_from(l, access, &address), value2 = load_from(l, access, &second);
    /* t = t2 is unpredictable: the first wins for general registers, the second for vectors */
    if (access->is_vector)
        write_data(l, access, t, value);
    write_data(l, access, t2, value2);
    if (!access->is_vector)
        write_data(l, access, t, value);
}

/* LDP, STP, LDPSW, LDNP, STNP of general and SIMD&FP registers */
bool lift_loadstore_pair(struct lift *l, const struct arm64_loadstore_pair *f)
{
    bool is_ldpsw = !f->v && f->opc == 1;
    if (f->opc == 3 || (is_ldpsw && (!f->l || f->nontemporal)))
        return false;
    struct access access = {.is_load = f->l, .is_vector = f->v};
    access.mem = f->v ? 2 + f->opc : f->opc == 2 ? 3 : is_ldpsw ? 2 | IR_MEM_SIGNED : 2;
    access.type = f->v ? IR_V128 : f->opc ? IR_I64 : IR_I32;

    int64_t offset = (int64_t)f->imm * (1 << (access.mem & IR_MEM_SIZE));
    struct address address = {lift_read_sp(l, 1, f->rn), IR_NONE, 0, f->mode == MODE_POST ? 0 : offset};
    transfer_pair(l, &access, address, f->rt, f->rt2);
    if (f->mode & 1)
        lift_write_sp(l, f->rn, ir_binary_imm(l->ir, IR_ADD, address.base, (uint64_t)offset));
    return true;
}
