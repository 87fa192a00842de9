/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_memory: loads, stores, atomics, exclusives, fences. Guest address = host address, or the guest has
 * TLBs (tlb.h): then every access looks its page up first.
 *
 * An access that faults must find the guest's state as it was before its instruction: pins are written only
 * after the last access of an operation (emit_def_gpr_last() in the same instruction), everything before that
 * goes to temporaries. The one pin that is changed for a while is rbx, around cmpxchg16b: its value is then
 * in its home, and host_repair_context() knows that instruction.
 */
#include "translator/host/x86_64/emit_core.h"
#include "translator/tlb.h"

#define ACCESS_SIZE(insn) ((insn)->aux & IR_MEM_SIZE)

/* The address has been read from this register; unless it is also another operand, it may be used otherwise.
 */
static void release(struct emit *e, const struct ir_insn *insn, int reg)
{
    /* b is part of the address */
    bool index = insn->op == IR_LOAD || insn->op == IR_STORE || insn->op == IR_REACH;
    if (reg != MEM_NONE && !(insn->c && e->values[insn->c].place == reg) &&
        !(insn->b && !index && e->values[insn->b].place == reg))
        e->locked &= ~(1u << reg);
}

static struct mem address_of(struct emit *e, const struct ir_insn *insn, bool indexed)
{
    const unsigned scale = (insn->aux & IR_MEM_SCALE) >> IR_MEM_SCALE_SHIFT;
    if (!indexed)
        return mem_base(emit_use_gpr(e, insn->a), 0);
    int64_t disp = (int64_t)insn->imm;
    uint64_t known;
    if (insn->aux & IR_MEM_WRAPS && insn->b && emit_is_const(e, insn->a, &known)) {
        const int32_t sum = (int32_t)((uint64_t)disp + known);
        return mem_index(MEM_NONE, emit_use_gpr(e, insn->b), scale, sum);
    }
    unsigned base = emit_use_gpr(e, insn->a);
    if (disp != (int32_t)disp) {
        unsigned t = emit_tmp_gpr(e);
        asm_mov_imm(e->a, t, (uint64_t)disp);
        asm_lea(e->a, true, t, mem_index(base, t, 0, 0));
        release(e, insn, (int)base);
        base = t;
        disp = 0;
    }
    if (!insn->b)
        return mem_base(base, (int32_t)disp);
    return mem_index(base, emit_use_gpr(e, insn->b), scale, (int32_t)disp);
}

/* The operand's low 32 bits, as an operand. */
static struct mem wrapped(struct emit *e, const struct ir_insn *insn, struct mem m)
{
    const bool plain = m.index == MEM_NONE && !m.disp;
    if (plain && emit_insn(e, insn->a)->op == IR_ZEXT)
        return m;
    unsigned t = emit_tmp_gpr(e);
    if (plain)
        asm_mov(e->a, false, t, (unsigned)m.base);
    else
        asm_lea(e->a, false, t, m);
    release(e, insn, m.base);
    release(e, insn, m.index);
    return mem_base(t, 0);
}

static void cold_misaligned(struct emit *e, struct cold *c)
{
    if (c->r[0] != RAX)
        asm_mov(e->a, true, RAX, c->r[0]);
    asm_mov_imm(e->a, RCX, TRANSLATOR_ALIGNMENT);
    emit_mov_address(e, RDX, emit_insn(e, c->insn)->imm);
    emit_reloc(e, asm_jmp(e->a), HOST_RAISE);
}

/* -- behind a TLB ------------------------------------------------------------------------------ */

enum { NO_REGISTER = 0xff };

static bool has_tlb(const struct emit *e)
{
    return e->isa->tlb_offset != 0;
}

/* Whether an access must be looked up. */
static bool is_behind_tlb(const struct emit *e, const struct ir_insn *insn)
{
    return has_tlb(e) && !((insn->op == IR_LOAD || insn->op == IR_STORE) && insn->aux & IR_MEM_REACHED);
}

/* r[]: the register of the guest address; that of the result, or NO_REGISTER for a store; that of a store's
 * value, or NO_REGISTER for the constant imm; kind; whether the result is relative to the guest address. */
enum { MISS_ADDRESS, MISS_RESULT, MISS_VALUE, MISS_KIND, MISS_RELATIVE };

#define ACCESS(field) emit_cpu(e, offsetof(struct translator_cpu, access.field))

static uint32_t access_word(const struct emit *e, const struct ir_insn *insn, enum access_kind kind)
{
    _Static_assert(offsetof(struct memory_access, kind) == offsetof(struct memory_access, size) + 1 &&
                       offsetof(struct memory_access, tlb) == offsetof(struct memory_access, size) + 2,
                   "they are stored as one word");
    return ACCESS_SIZE(insn) | (unsigned)kind << 8 | e->region->tlb << 16;
}

static void store_constant(struct emit *e, uint64_t constant)
{
    const int64_t value = (int64_t)constant;
    if (value == (int32_t)value) {
        asm_store_imm(e->a, 3, ACCESS(value), (int32_t)value);
        return;
    }
    asm_store_imm(e->a, 2, ACCESS(value), (int32_t)value);
    asm_store_imm(e->a, 2, emit_cpu(e, offsetof(struct translator_cpu, access.value) + 4),
                  (int32_t)(value >> 32));
}

static void cold_miss(struct emit *e, struct cold *c)
{
    const struct ir_insn *insn = emit_insn(e, c->value);
    unsigned value = c->r[MISS_VALUE];
    asm_store(e->a, true, ACCESS(address), c->r[MISS_ADDRESS]);
    if (c->r[MISS_KIND] == ACCESS_STORE && value != NO_REGISTER) {
        if (type_is_vector(insn->type))
            asm_vex(e->a, V_MOVUPS_STORE, value, 0, rm_mem(ACCESS(value)));
        else
            asm_store(e->a, true, ACCESS(value), value);
    }
    if (c->r[MISS_KIND] == ACCESS_STORE && value == NO_REGISTER)
        store_constant(e, c->imm);
    emit_call_memory(e, HOST_MEMORY, access_word(e, insn, c->r[MISS_KIND]), emit_insn(e, c->insn)->imm);
    if (c->r[MISS_RESULT] == NO_REGISTER)
        return;
    asm_load(e->a, true, c->r[MISS_RESULT], ACCESS(pointer));
    if (c->r[MISS_RELATIVE])
        asm_alu(e->a, ALU_SUB, true, c->r[MISS_RESULT], rm_reg(c->r[MISS_ADDRESS]));
}

/* The operand `m` in one register; its own are released. */
static unsigned address_in_register(struct emit *e, const struct ir_insn *insn, struct mem m)
{
    if (m.index == MEM_NONE && !m.disp)
        return (unsigned)m.base;
    unsigned t = emit_tmp_gpr(e);
    asm_lea(e->a, true, t, m);
    release(e, insn, m.base);
    release(e, insn, m.index);
    return t;
}

/* Looks [low, high) from `address` up: its first byte's page must be the last byte's as well. */
struct look_up {
    unsigned address; /* register */
    int32_t low, high;
    bool write, is_known; /* is_known: `address` is the constant `known`, */
    bool moves;           /* which moves with the region */
    uint64_t known;
    unsigned index, page; /* registers that are free; the entry's addend is left in the second */
};

static bool on_one_page(const struct look_up *l)
{
    return ((l->known + (uint64_t)(int64_t)l->low) ^ (l->known + (uint64_t)(int64_t)l->high - 1)) >>
               TLB_PAGE_BITS ==
           0;
}

static bool is_known(const struct emit *e, ir_value v, struct look_up *l)
{
    const struct ir_insn *insn = emit_insn(e, v);
    l->moves = insn->op == IR_ADDRESS;
    l->known = insn->imm;
    return l->moves || emit_is_const(e, v, &l->known);
}

static uint64_t first_byte(const struct look_up *l)
{
    return l->known + (uint64_t)(int64_t)l->low;
}

/* Of the entry, relative to the TLB: by a register, or where it is known to be. */
static struct mem entry_field(struct emit *e, const struct look_up *l, size_t offset)
{
    offset += e->isa->tlb_offset + e->region->tlb * sizeof(struct tlb);
    if (l->is_known) {
        const unsigned index = first_byte(l) >> TLB_PAGE_BITS & (TLB_SIZE - 1);
        struct mem m = emit_cpu(e, offset + index * sizeof(struct tlb_entry));
        m.far = l->moves;
        return m;
    }
    struct mem m = emit_cpu(e, offset);
    m.index = (int8_t)l->index;
    return m;
}

static struct cold *look_up(struct emit *e, struct look_up *l, cold_function miss)
{
    const size_t tag = l->write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read);
    struct assembler *a = e->a;
    _Static_assert(sizeof(struct tlb_entry) == 32, "the index is scaled by it");

    l->is_known &= on_one_page(l);
    if (l->is_known) {
        asm_lea(a, true, l->page,
                mem_base(l->address, l->low - (int32_t)(first_byte(l) & ((1 << TLB_PAGE_BITS) - 1))));
    } else {
        if (l->low)
            asm_lea(a, true, l->index, mem_base(l->address, l->low));
        asm_rorx(a, true, l->index, rm_reg(l->low ? l->index : l->address), TLB_PAGE_BITS - 5);
        asm_alu_imm(a, ALU_AND, false, rm_reg(l->index), (TLB_SIZE - 1) << 5);
        if (l->high == 1)
            asm_mov(a, true, l->page, l->address);
        else
            asm_lea(a, true, l->page, mem_base(l->address, l->high - 1));
        asm_alu_imm(a, ALU_AND, true, rm_reg(l->page), -(1 << TLB_PAGE_BITS));
    }
    const bool moves = l->is_known && l->moves;
    asm_alu(a, ALU_CMP, true, l->page, rm_mem(entry_field(e, l, tag)));
    if (moves)
        emit_move(e, HOST_MOVE_TLB, first_byte(l));
    struct cold *c = emit_cold_jcc(e, CC_NE, miss);
    asm_load(a, true, l->page, entry_field(e, l, offsetof(struct tlb_entry, addend)));
    if (moves)
        emit_move(e, HOST_MOVE_TLB, first_byte(l));
    return c;
}

/* The host's operand for the guest's, by way of the TLB. */
static struct mem reach(struct emit *e, const struct ir_insn *insn, struct mem m, enum access_kind kind,
                        struct cold **miss)
{
    const bool has_offset = insn->op == IR_LOAD || insn->op == IR_STORE;
    struct look_up l = {.high = 1 << ACCESS_SIZE(insn), .write = kind != ACCESS_LOAD};
    l.is_known = is_known(e, insn->a, &l) && !(has_offset && insn->b);
    l.known += has_offset ? insn->imm : 0;
    if (insn->aux & IR_MEM_WRAPS)
        l.known = (uint32_t)l.known;
    unsigned address = l.address = address_in_register(e, insn, m);
    l.index = emit_tmp_gpr(e);
    unsigned page = l.page = emit_tmp_gpr(e);

    struct cold *c = *miss = look_up(e, &l, cold_miss);
    e->scratch &= ~(1u << l.index);
    c->r[MISS_ADDRESS] = (uint8_t)address;
    c->r[MISS_KIND] = (uint8_t)kind;
    c->r[MISS_RESULT] = (uint8_t)(kind == ACCESS_STORE ? NO_REGISTER : page);
    c->r[MISS_RELATIVE] = kind != ACCESS_UPDATE;
    if (kind != ACCESS_UPDATE) { /* its operand has both registers: that takes no addition */
        if (kind == ACCESS_LOAD)
            emit_cold_back(e, c);
        return mem_index(page, address, 0, 0);
    }
    asm_alu(e->a, ALU_ADD, true, page, rm_reg(address));
    if (e->scratch & 1u << address)
        e->scratch &= ~(1u << address);
    else
        release(e, insn, (int)address);
    emit_cold_back(e, c);
    return mem_base(page, 0);
}

/* A store that missed the TLB has been done: here, behind it, it goes on. `value`: the register that has been
 * stored, or NO_REGISTER for a constant. */
static void store_done(struct emit *e, struct cold *miss, unsigned value, uint64_t constant)
{
    if (!miss)
        return;
    miss->r[MISS_VALUE] = (uint8_t)value;
    miss->imm = constant;
    emit_cold_back(e, miss);
}

/* -- the operand of an access, with all that must come before it ------------------------------- */

/* The host's own instructions for aligned vectors fault if they are not: translator_fault() knows it. */
static bool host_checks_alignment(const struct emit *e, const struct ir_insn *insn)
{
    return e->isa->host_alignment && insn->aux & IR_MEM_ALIGNED && ACCESS_SIZE(insn) == 4 && !has_tlb(e) &&
           (insn->op == IR_LOAD || insn->op == IR_STORE);
}

/* *miss: the cold code of an access behind a TLB, or NULL. */
static struct mem access_of(struct emit *e, const struct ir_insn *insn, bool indexed, bool changes_flags,
                            enum access_kind kind, struct cold **miss)
{
    unsigned size = ACCESS_SIZE(insn);
    bool aligned = insn->aux & IR_MEM_ALIGNED && size && !host_checks_alignment(e, insn);
    *miss = NULL;
    if (aligned || changes_flags || is_behind_tlb(e, insn))
        flags_before_atomic(e);
    else if (!has_tlb(e))
        flags_before_fault(e);
    struct mem m = address_of(e, insn, indexed);
    if ((insn->aux & (IR_MEM_WRAPS | IR_MEM_REACHED)) == IR_MEM_WRAPS)
        m = wrapped(e, insn, m);
    if (aligned) {
        m = mem_base(address_in_register(e, insn, m), 0);
        asm_test_imm8(e->a, rm_reg((unsigned)m.base), (uint8_t)((1u << size) - 1));
        struct cold *c = emit_cold_jcc(e, CC_NE, cold_misaligned);
        c->r[0] = (uint8_t)m.base;
    }
    return is_behind_tlb(e, insn) ? reach(e, insn, m, kind, miss) : m;
}

/* r[]: the register of the guest address, two that are free, the second of which takes the result. */
enum { REACH_ADDRESS, REACH_FREE, REACH_RESULT };

/* Where the register of a REACH's address is from what it is to yield the place of: with IR_MEM_WRAPS it is
 * the address of the first byte. */
static int32_t reach_shift(const struct ir_insn *insn)
{
    return insn->aux & IR_MEM_WRAPS ? (int32_t)insn->imm2 : 0;
}

static void cold_reach(struct emit *e, struct cold *c)
{
    const struct ir_insn *insn = emit_insn(e, c->value);
    const int32_t shift = reach_shift(insn);
    const int32_t low = (int32_t)insn->imm2 - shift, high = (int32_t)(insn->imm2 >> 32) - shift;
    const unsigned address = c->r[REACH_ADDRESS], t = c->r[REACH_FREE], result = c->r[REACH_RESULT];
    const enum access_kind kind = insn->aux & IR_REACH_WRITE ? ACCESS_FILL_STORE : ACCESS_FILL_LOAD;
    const uint64_t pc = emit_insn(e, c->insn)->imm;
    struct assembler *a = e->a;

    asm_lea(a, true, t, mem_base(address, low));
    asm_lea(a, true, result, mem_base(address, high - 1));
    asm_alu(a, ALU_XOR, true, result, rm_reg(t));
    asm_alu_imm(a, ALU_CMP, true, rm_reg(result), 1 << TLB_PAGE_BITS);
    uint32_t one_page = asm_jcc_short(a, CC_B);
    uint32_t careful = asm_offset(a);
    emit_careful_exit(e, pc);
    asm_bind_short(a, one_page);
    asm_lea(a, true, t, mem_base(address, (int32_t)insn->imm - shift));
    asm_store(a, true, ACCESS(address), t);
    asm_lea(a, true, t, mem_base(address, -shift));
    asm_store(a, true, ACCESS(origin), t);
    emit_call_memory(e, HOST_REACH, access_word(e, insn, kind), pc);
    asm_load(a, true, result, ACCESS(pointer));
    asm_test(a, true, rm_reg(result), result);
    asm_jcc_back(a, CC_E, careful);
}

EMITTER(reach)
{
    const bool wraps = insn->aux & IR_MEM_WRAPS;
    const int32_t shift = reach_shift(insn);
    struct look_up l = {
        .low = (int32_t)insn->imm2 - shift,
        .high = (int32_t)(insn->imm2 >> 32) - shift,
        .write = insn->aux & IR_REACH_WRITE,
    };
    l.is_known = !wraps && is_known(e, insn->a, &l) && !insn->b;
    flags_before_atomic(e);
    struct mem m = mem_base(emit_use_gpr(e, insn->a), 0);
    if (insn->b)
        m = mem_index((unsigned)m.base, emit_use_gpr(e, insn->b),
                      (insn->aux & IR_MEM_SCALE) >> IR_MEM_SCALE_SHIFT, 0);
    m.disp = shift;
    if (wraps)
        m = wrapped(e, insn, m);
    l.address = address_in_register(e, insn, m);
    l.index = emit_tmp_gpr(e);
    l.page = emit_tmp_gpr(e);

    struct cold *c = look_up(e, &l, cold_reach);
    c->r[REACH_ADDRESS] = (uint8_t)l.address;
    c->r[REACH_FREE] = (uint8_t)l.index;
    c->r[REACH_RESULT] = (uint8_t)l.page;
    if (shift)
        asm_lea(e->a, true, l.page, mem_index(l.page, l.address, 0, -shift));
    else
        asm_alu(e->a, ALU_ADD, true, l.page, rm_reg(l.address));
    emit_cold_back(e, c);
    emit_def_in_gpr(e, v, l.page);
}

/* An operand that is not the address makes room for what the TLB needs. */
static bool park(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    return has_tlb(e) && e->values[v].place != e->values[insn->a].place && allocate_park(e, v);
}

/* For all but plain stores. */
static struct mem access(struct emit *e, const struct ir_insn *insn, bool indexed, bool changes_flags)
{
    struct cold *miss;
    if (insn->op == IR_LOAD)
        return access_of(e, insn, indexed, changes_flags, ACCESS_LOAD, &miss);
    bool b = park(e, insn, insn->b), c = park(e, insn, insn->c);
    struct mem m = access_of(e, insn, indexed, changes_flags, ACCESS_UPDATE, &miss);
    if (b)
        allocate_consume(e, insn->b);
    if (c)
        allocate_consume(e, insn->c);
    return m;
}

/* -- plain accesses ---------------------------------------------------------------------------- */

static void load_integer(struct emit *e, unsigned dst, struct mem m, unsigned size, bool wide, bool is_signed)
{
    if (size == 3)
        asm_load(e->a, true, dst, m);
    else if (is_signed)
        asm_movsx(e->a, wide, size, dst, rm_mem(m));
    else
        asm_movzx(e->a, size, dst, rm_mem(m));
}

static void load_vector(struct emit *e, unsigned dst, struct mem m, const struct ir_insn *insn)
{
    const unsigned size = ACCESS_SIZE(insn), type = insn->type;
    struct rm rm = rm_mem(m);
    if (size == 4)
        asm_vex(e->a, host_checks_alignment(e, insn) ? V_MOVAPS_LOAD : V_MOVUPS_LOAD, dst, 0, rm);
    else if (size == 3)
        asm_vex(e->a, type == IR_V128 ? V_MOVQ_LOAD : V_MOVSD_LOAD, dst, 0, rm);
    else
        asm_vex(e->a, type == IR_V128 ? V_MOVD_FROM_GPR : V_MOVSS_LOAD, dst, 0, rm);
}

EMITTER(load)
{
    unsigned size = ACCESS_SIZE(insn);
    bool is_signed = insn->aux & IR_MEM_SIGNED, wide = type_is_wide(insn->type);
    struct mem m = access(e, insn, true, false);
    if (!type_is_vector(insn->type)) {
        load_integer(e, emit_def_gpr_last(e, v), m, size, wide, is_signed);
        if (!wide || (size < 3 && !is_signed))
            emit_set_upper_zero(e, v);
        return;
    }
    if (size < 2) {
        unsigned t = emit_tmp_gpr(e);
        asm_movzx(e->a, size, t, rm_mem(m));
        asm_vex(e->a, V_MOVD_FROM_GPR, emit_def_xmm_last(e, v), 0, rm_reg(t));
    } else {
        load_vector(e, emit_def_xmm_last(e, v), m, insn);
    }
    emit_set_upper_zero(e, v);
}

static void store_vector(struct emit *e, struct mem m, unsigned reg, const struct ir_insn *insn)
{
    const uint32_t whole = host_checks_alignment(e, insn) ? V_MOVAPS_STORE : V_MOVUPS_STORE;
    struct rm rm = rm_mem(m);
    switch (ACCESS_SIZE(insn)) {
    case 0: asm_vex_imm(e->a, V_PEXTRB, reg, 0, rm, 0); break;
    case 1: asm_vex_imm(e->a, V_PEXTRW, reg, 0, rm, 0); break;
    case 2: asm_vex(e->a, V_MOVSS_STORE, reg, 0, rm); break;
    case 3: asm_vex(e->a, V_MOVSD_STORE, reg, 0, rm); break;
    default: asm_vex(e->a, whole, reg, 0, rm); break;
    }
}

static void store_integer(struct emit *e, struct mem m, unsigned reg, unsigned size)
{
    if (size == 0)
        asm_store8(e->a, m, reg);
    else if (size == 1)
        asm_store16(e->a, m, reg);
    else
        asm_store(e->a, size == 3, m, reg);
}

/* Orders everything before it with everything after it; leaves flags alone. */
static void full_barrier(struct emit *e)
{
    unsigned t = emit_tmp_gpr(e);
    asm_xchg(e->a, 2, emit_cpu(e, CPU_EVAL_RESULT), t);
}

static bool constant_to_store(const struct emit *e, const struct ir_insn *insn, uint64_t *constant)
{
    return e->values[insn->c].place == PLACE_CONST && emit_is_const(e, insn->c, constant) &&
           (ACCESS_SIZE(insn) < 3 || (int64_t)*constant == (int32_t)*constant);
}

EMITTER(store)
{
    (void)v;
    unsigned size = ACCESS_SIZE(insn), value = NO_REGISTER;
    bool vector = type_is_vector(insn->type), ordered = insn->aux & IR_MEM_SEQ_CST;
    uint64_t constant = 0;
    bool immediate = !vector && !ordered && constant_to_store(e, insn, &constant);
    struct cold *miss;
    const bool behind_tlb = is_behind_tlb(e, insn);
    if (behind_tlb && !immediate) { /* the cold code needs the value in its register */
        flags_before_atomic(e);
        value = vector ? emit_use_xmm(e, insn->c) : emit_use_gpr(e, insn->c);
    }
    struct mem m = access_of(e, insn, true, false, ACCESS_STORE, &miss);
    if (immediate) {
        asm_store_imm(e->a, size, m, (int32_t)constant);
        store_done(e, miss, NO_REGISTER, constant);
        return;
    }
    if (!behind_tlb)
        value = vector ? emit_use_xmm(e, insn->c) : emit_use_gpr(e, insn->c);
    if (vector) {
        store_vector(e, m, value, insn);
    } else if (ordered) {
        unsigned t = emit_tmp_gpr(e);
        asm_mov(e->a, true, t, value);
        asm_xchg(e->a, size, m, t);
    } else {
        store_integer(e, m, value, size);
    }
    store_done(e, miss, value, 0);
    e->scratch = 0;
    if (ordered && (vector || miss))
        full_barrier(e);
}

/* -- atomics ----------------------------------------------------------------------------------- */

/* old op operand -> old in memory, in one instruction; the old value to a temporary if it is wanted. */
static bool atomic_simple(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    static const uint8_t alu[] = {ALU_ADD, ALU_AND, ALU_OR, ALU_XOR};
    unsigned size = ACCESS_SIZE(insn), op = (unsigned)insn->imm;
    bool unused = e->values[v].uses == 0;
    if (op != IR_ATOMIC_SWAP && op != IR_ATOMIC_ADD && !(unused && op <= IR_ATOMIC_XOR))
        return false;
    struct mem m = access(e, insn, false, op != IR_ATOMIC_SWAP);
    unsigned operand = emit_use_gpr(e, insn->b);
    if (unused && op <= IR_ATOMIC_XOR) {
        asm_lock_alu(e->a, (enum alu)alu[op], size, m, operand);
        return true;
    }
    unsigned t = emit_tmp_gpr(e);
    asm_mov(e->a, true, t, operand);
    if (op == IR_ATOMIC_SWAP)
        asm_xchg(e->a, size, m, t);
    else
        asm_lock_xadd(e->a, size, m, t);
    if (size < 2)
        asm_movzx(e->a, size, t, rm_reg(t));
    emit_def_in_gpr(e, v, t);
    if (size < 3)
        emit_set_upper_zero(e, v);
    return true;
}

EMITTER(atomic)
{
    static const uint8_t keep_operand[] = {[IR_ATOMIC_SMAX] = CC_LE,
                                           [IR_ATOMIC_SMIN] = CC_GE,
                                           [IR_ATOMIC_UMAX] = CC_BE,
                                           [IR_ATOMIC_UMIN] = CC_AE};
    unsigned size = ACCESS_SIZE(insn), op = (unsigned)insn->imm;
    if (atomic_simple(e, insn, v))
        return;
    flags_before_atomic(e);
    emit_take_gpr(e, RAX);
    struct mem m = access(e, insn, false, true);
    unsigned operand = emit_use_gpr(e, insn->b), t = emit_tmp_gpr(e);
    load_integer(e, RAX, m, size, true, false);
    uint32_t again = asm_offset(e->a);
    asm_mov(e->a, true, t, RAX);
    if (op <= IR_ATOMIC_XOR) {
        static const uint8_t alu[] = {ALU_ADD, ALU_AND, ALU_OR, ALU_XOR};
        asm_alu(e->a, (enum alu)alu[op], true, t, rm_reg(operand));
    } else {
        asm_cmp_sized(e->a, size, RAX, operand);
        asm_cmov(e->a, (enum cc)keep_operand[op], true, t, rm_reg(operand));
    }
    asm_lock_cmpxchg(e->a, size, m, t);
    asm_jcc_back(e->a, CC_NE, again);
    emit_def_in_gpr(e, v, RAX);
    if (size < 3)
        emit_set_upper_zero(e, v);
}

/* Guest register whose pin is rbx, or -1. */
static int guest_of_rbx(const struct emit *e)
{
    for (unsigned i = 0; i < e->isa->register_count; i++)
        if (e->guest_pin[i] == RBX)
            return (int)i;
    return -1;
}

/* rdx:rax, rcx and the temporaries' state are set up: the exchange with rcx:rbx = `desired`. */
static void exchange16(struct emit *e, struct mem m, unsigned desired)
{
    int guest = guest_of_rbx(e);
    struct mem home =
        guest < 0 ? emit_cpu(e, CPU_EVAL_RESULT) : allocate_mem(e, PLACE_GUEST + (unsigned)guest);
    asm_store(e->a, true, home, RBX);
    asm_vex_imm(e->a, V_PEXTRQ, desired, 0, rm_reg(RCX), 1);
    asm_vex(e->a, V_MOVQ_TO_GPR, desired, 0, rm_reg(RBX));
    asm_lock_cmpxchg16b(e->a, m);
    asm_load(e->a, true, RBX, home);
}

static struct mem move_to_rsi(struct emit *e, struct mem m)
{
    if (m.base != RSI) {
        emit_take_gpr(e, RSI);
        asm_mov(e->a, true, RSI, (unsigned)m.base);
    }
    return mem_base(RSI, 0);
}

/* The operand of a 16-byte exchange in rsi: rax, rcx, rdx, rbx are taken by the instruction. */
static struct mem access16(struct emit *e, const struct ir_insn *insn)
{
    struct mem m;
    flags_before_atomic(e);
    if (has_tlb(e)) { /* it needs temporaries itself */
        m = access(e, insn, false, true);
        struct mem moved = move_to_rsi(e, m);
        if (moved.base != m.base)
            e->scratch &= ~(1u << m.base);
        m = moved;
    }
    emit_take_gpr(e, RAX);
    emit_take_gpr(e, RCX);
    emit_take_gpr(e, RDX);
    return has_tlb(e) ? m : move_to_rsi(e, access(e, insn, false, true));
}

static void to_vector(struct emit *e, ir_value v)
{
    unsigned dst = emit_def_xmm(e, v);
    asm_vex(e->a, V_MOVQ_FROM_GPR, dst, 0, rm_reg(RAX));
    asm_vex_imm(e->a, V_PINSRQ, dst, dst, rm_reg(RDX), 1);
}

EMITTER(cas)
{
    unsigned size = ACCESS_SIZE(insn);
    if (size == 4) {
        struct mem m = access16(e, insn);
        unsigned expected = emit_use_xmm(e, insn->b), desired = emit_use_xmm(e, insn->c);
        asm_vex(e->a, V_MOVQ_TO_GPR, expected, 0, rm_reg(RAX));
        asm_vex_imm(e->a, V_PEXTRQ, expected, 0, rm_reg(RDX), 1);
        exchange16(e, m, desired);
        to_vector(e, v);
        return;
    }
    flags_before_atomic(e);
    emit_take_gpr(e, RAX);
    struct mem m = access(e, insn, false, true);
    unsigned desired = emit_use_gpr(e, insn->c);
    emit_load_gpr(e, RAX, insn->b);
    asm_lock_cmpxchg(e->a, size, m, desired);
    if (size < 3)
        asm_movzx(e->a, size, RAX, rm_reg(RAX));
    emit_def_in_gpr(e, v, RAX);
    if (size < 3)
        emit_set_upper_zero(e, v);
}

/* -- exclusives -------------------------------------------------------------------------------- */

#define CPU(field) emit_cpu(e, offsetof(struct translator_cpu, field))

EMITTER(load_excl)
{
    unsigned size = ACCESS_SIZE(insn);
    bool wide = type_is_wide(insn->type);
    struct mem m = access(e, insn, false, false);
    if (type_is_vector(insn->type)) {
        unsigned dst = emit_def_xmm(e, v);
        load_vector(e, dst, m, insn);
        asm_vex(e->a, V_MOVUPS_STORE, dst, 0, rm_mem(CPU(exclusive_value)));
    } else {
        unsigned dst = emit_def_gpr(e, v);
        load_integer(e, dst, m, size, true, false);
        asm_store(e->a, true, CPU(exclusive_value[0]), dst);
        asm_store_imm(e->a, 3, CPU(exclusive_value[1]), 0);
        if (insn->aux & IR_MEM_SIGNED && size < 3)
            asm_movsx(e->a, wide, size, dst, rm_reg(dst));
        if (!wide || size < 3)
            e->values[v].upper_zero = !(wide && insn->aux & IR_MEM_SIGNED);
    }
    asm_store(e->a, true, CPU(exclusive_address), (unsigned)m.base);
    asm_store_imm(e->a, 3, CPU(exclusive_size), (int32_t)size);
}

EMITTER(store_excl)
{
    unsigned size = ACCESS_SIZE(insn);
    struct mem m;
    unsigned value;
    if (size == 4) {
        m = access16(e, insn);
        value = emit_use_xmm(e, insn->b);
    } else {
        flags_before_atomic(e);
        emit_take_gpr(e, RAX);
        m = access(e, insn, false, true);
        value = emit_use_gpr(e, insn->b);
    }
    asm_alu(e->a, ALU_CMP, true, (unsigned)m.base, rm_mem(CPU(exclusive_address)));
    uint32_t other_address = asm_jcc_short(e->a, CC_NE);
    asm_alu_imm(e->a, ALU_CMP, false, rm_mem(CPU(exclusive_size)), (int32_t)size);
    uint32_t other_size = asm_jcc_short(e->a, CC_NE);
    asm_load(e->a, true, RAX, CPU(exclusive_value[0]));
    if (size == 4) {
        asm_load(e->a, true, RDX, CPU(exclusive_value[1]));
        exchange16(e, m, value);
    } else {
        asm_lock_cmpxchg(e->a, size, m, value);
    }
    asm_bind_short(e->a, other_address);
    asm_bind_short(e->a, other_size);
    asm_setcc(e->a, CC_NE, RAX);
    asm_store_imm(e->a, 3, CPU(exclusive_address), -1);
    asm_movzx(e->a, 0, RAX, rm_reg(RAX));
    emit_def_in_gpr(e, v, RAX);
    emit_set_upper_zero(e, v);
}

EMITTER(clear_excl)
{
    (void)insn;
    (void)v;
    asm_store_imm(e->a, 3, CPU(exclusive_address), -1);
}

/* Of a host with total store order, only a full fence is more than the plain order. */
EMITTER(fence)
{
    (void)v;
    if (insn->aux == IR_FENCE_FULL)
        full_barrier(e);
}
