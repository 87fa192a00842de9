/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_flags: condition flags and conditions.
 *
 * A FLAGS value is in EFLAGS (e->eflags, with the meaning of the carry in e->eflags_kind), in the CPU
 * structure's flags
 * ("home"), in a spill slot, or in two of these. It goes to memory only when something is about to change
 * EFLAGS or to leave while the value has readers to come; a fault handler finds them in EFLAGS
 * (host_repair_context). FLAGS values are named after GET_FLAGS is resolved: a GET_FLAGS is another name of
 * the value that SET_FLAGS set last.
 *
 * BOOLs are never in a register: the consumer of a BOOL emits its test (flags_condition) just before it needs
 * it.
 */
#include "translator/host/x86_64/emit_core.h"

struct mem flags_home(const struct emit *e)
{
    return emit_cpu(e, e->isa->flags_offset);
}

static struct mem mem_add(struct mem m, int offset)
{
    m.disp += offset;
    return m;
}

ir_value flags_resolve(const struct emit *e, ir_value flags)
{
    while (emit_insn(e, flags)->op == IR_GET_FLAGS && e->values[flags].next)
        flags = e->values[flags].next;
    return flags;
}

void flags_define(struct emit *e, ir_value f, enum flags_kind kind)
{
    e->values[f].place = PLACE_EFLAGS;
    e->eflags = f;
    e->eflags_kind = kind;
}

/* -- storing ----------------------------------------------------------------------------------- */

/* From ucomis a, b: less = N and B, equal = Z, greater = 0, unordered = V. */
static void store_fcmp(struct emit *e, struct mem home)
{
    struct assembler *a = e->a;
    uint32_t unordered = asm_jcc_short(a, CC_P);
    asm_lahf(a); /* equal: bit 14; less: bit 8 */
    asm_alu_imm(a, ALU_AND, false, rm_reg(RAX), 0x4100);
    asm_imul_imm(a, false, RAX, rm_reg(RAX), 0x81); /* bit 8 also to bit 15 */
    uint32_t done = asm_jmp_short(a);
    asm_bind_short(a, unordered);
    asm_mov_imm(a, RAX, NZCV_V);
    asm_bind_short(a, done);
    asm_store16(a, home, RAX);
}

/* From ucomis b, a. */
static void store_fcmp_swapped(struct emit *e, struct mem home)
{
    struct assembler *a = e->a;
    uint32_t unordered = asm_jcc_short(a, CC_P);
    asm_mov_imm(a, RAX, NZCV_N | NZCV_B);
    uint32_t less = asm_jcc_short(a, CC_A);
    asm_mov_imm(a, RAX, NZCV_Z);
    uint32_t equal = asm_jcc_short(a, CC_E);
    asm_mov_imm(a, RAX, 0);
    uint32_t greater = asm_jmp_short(a);
    asm_bind_short(a, unordered);
    asm_mov_imm(a, RAX, NZCV_V);
    asm_bind_short(a, less);
    asm_bind_short(a, equal);
    asm_bind_short(a, greater);
    asm_store16(a, home, RAX);
}

void flags_store(struct emit *e, struct mem home, enum flags_kind kind)
{
    if (kind == FLAGS_FCMP) {
        store_fcmp(e, home);
    } else if (kind == FLAGS_FCMP_SWAPPED) {
        store_fcmp_swapped(e, home);
    } else {
        if (kind == FLAGS_CARRY)
            asm_cmc(e->a);
        asm_lahf(e->a);
        asm_setcc(e->a, CC_O, RAX);
        asm_store16(e->a, home, RAX);
    }
}

/* flags_store() with rax preserved if it is in use. */
static void store_eflags(struct emit *e, struct mem home)
{
    uint32_t busy = e->locked | e->scratch;
    unsigned keeper = RAX;
    if (!(busy & 1u << RAX) && TMP_GPR_MASK & ~busy & ~(1u << RAX))
        allocate_evacuate(e, RAX);
    bool rax_used = busy & 1u << RAX || e->places[RAX].refs;
    if (rax_used) {
        static const uint8_t others[3] = {RCX, RDX, RSI};
        for (unsigned i = 0; i < 3; i++)
            if (!(busy & 1u << others[i]) && !e->places[others[i]].refs)
                keeper = others[i];
        if (keeper == RAX) {
            asm_store(e->a, true, emit_cpu(e, CPU_EVAL_RESULT), RAX);
        } else {
            allocate_forget(e, keeper);
            asm_mov(e->a, true, keeper, RAX);
        }
    } else {
        allocate_forget(e, RAX);
    }
    flags_store(e, home, e->eflags_kind);
    if (keeper != RAX)
        asm_mov(e->a, true, RAX, keeper);
    else if (rax_used)
        asm_load(e->a, true, RAX, emit_cpu(e, CPU_EVAL_RESULT));
    if (e->eflags_kind == FLAGS_CARRY)
        e->eflags_kind = FLAGS_BORROW;
    else if (e->eflags_kind != FLAGS_BORROW)
        e->eflags = IR_NONE;
}

static unsigned flags_slot(struct emit *e)
{
    if (!e->free_spill) {
        e->failed = true;
        return PLACE_SPILL;
    }
    unsigned slot = (unsigned)__builtin_ctz(e->free_spill);
    e->free_spill &= e->free_spill - 1;
    e->places[PLACE_SPILL + slot] = (struct place_state){0, IR_NONE, 0};
    return PLACE_SPILL + slot;
}

static void to_slot(struct emit *e, ir_value f, unsigned place)
{
    struct place_state *s = &e->places[place];
    e->values[f].place = (uint8_t)place;
    e->values[f].next = IR_NONE;
    s->values = f;
    s->refs = e->values[f].uses;
    if (!s->refs)
        e->dying_spill |= 1u << (place - PLACE_SPILL);
}

/* The value in the home moves out if it has readers to come. */
static void vacate_home(struct emit *e)
{
    ir_value old = e->home_flags;
    if (!old || e->values[old].place != PLACE_FLAGS_HOME || !e->values[old].uses)
        return;
    unsigned place = flags_slot(e), t = emit_tmp_gpr(e);
    asm_movzx(e->a, 1, t, rm_mem(flags_home(e)));
    asm_store16(e->a, allocate_mem(e, place), t);
    e->scratch &= ~(1u << t);
    to_slot(e, old, place);
}

/* Keeps a value readable whose last use is already taken, while other values go to memory. */
static void hold(struct emit *e, ir_value f)
{
    e->values[f].uses++;
    unsigned place = e->values[f].place;
    if (place < PLACE_COUNT) {
        e->places[place].refs++;
        e->dying_spill &= ~(1u << (place - PLACE_SPILL));
    }
}

static void let_go(struct emit *e, ir_value f)
{
    e->values[f].uses--;
    unsigned place = e->values[f].place;
    if (place < PLACE_COUNT && !--e->places[place].refs)
        e->dying_spill |= 1u << (place - PLACE_SPILL);
}

void flags_forget_home(struct emit *e)
{
    vacate_home(e);
    e->guest_flags = e->home_flags = IR_NONE;
}

/* Stores the value that is in EFLAGS, as it is the guest's, to the home. */
static void save_home(struct emit *e)
{
    ir_value f = e->eflags;
    vacate_home(e);
    store_eflags(e, flags_home(e));
    e->values[f].place = PLACE_FLAGS_HOME;
    e->home_flags = f;
}

/* If the value is only in EFLAGS: to memory, readers or not. */
static void to_memory(struct emit *e, ir_value f)
{
    if (e->eflags != f || e->values[f].place != PLACE_EFLAGS)
        return;
    if (e->guest_flags == f) {
        save_home(e);
    } else {
        unsigned place = flags_slot(e);
        store_eflags(e, allocate_mem(e, place));
        to_slot(e, f, place);
    }
}

void flags_save(struct emit *e)
{
    ir_value f = e->eflags;
    if (!f || e->values[f].place != PLACE_EFLAGS)
        return;
    bool guest = e->guest_flags == f;
    if (e->values[f].uses || (guest && e->values[e->current].mark & VALUE_FLAGS_LIVE))
        to_memory(e, f);
}

void emit_clobber_flags(struct emit *e)
{
    flags_save(e);
    e->eflags = IR_NONE;
}

bool flags_in_eflags(const struct emit *e)
{
    ir_value f = e->guest_flags;
    return f && f == e->eflags && f != e->home_flags && e->values[f].place == PLACE_EFLAGS;
}

void flags_flush(struct emit *e)
{
    ir_value f = e->guest_flags;
    if (!f || e->home_flags == f)
        return;
    const struct ir_insn *insn = emit_insn(e, f);
    if (insn->op == IR_FLAGS_CONST) {
        vacate_home(e);
        uint16_t word = (uint16_t)insn->imm;
        asm_store_imm(e->a, 1, flags_home(e), (int16_t)word);
    } else if (e->eflags == f && e->values[f].place == PLACE_EFLAGS) {
        save_home(e);
        return;
    } else {
        unsigned place = e->values[f].place;
        if (place >= PLACE_SPILL_XMM) { /* lost: the liveness was wrong */
            e->failed = true;
            return;
        }
        vacate_home(e);
        unsigned t = emit_tmp_gpr(e);
        asm_movzx(e->a, 1, t, rm_mem(allocate_mem(e, place)));
        asm_store16(e->a, flags_home(e), t);
        e->scratch &= ~(1u << t);
        e->values[f].place = PLACE_FLAGS_HOME;
        e->places[place].refs = 0;
        e->dying_spill |= 1u << (place - PLACE_SPILL);
    }
    e->home_flags = f;
}

void flags_before_fault(struct emit *e)
{
    unsigned state = 0;
    if (e->guest_flags != e->home_flags && e->values[e->current].mark & VALUE_FLAGS_LIVE) {
        if (e->eflags == e->guest_flags && e->values[e->eflags].place == PLACE_EFLAGS)
            state = 1 + (unsigned)e->eflags_kind;
        else
            flags_flush(e);
    }
    if (emit_may_fault(e, e->current))
        emit_mark(e, e->insn, state);
}

void flags_before_atomic(struct emit *e)
{
    if (e->guest_flags != e->home_flags && e->values[e->current].mark & VALUE_FLAGS_LIVE)
        flags_flush(e);
    emit_clobber_flags(e);
    if (emit_may_fault(e, e->current))
        emit_mark(e, e->insn, 0);
}

/* -- loading ----------------------------------------------------------------------------------- */

/* Where the value is in memory. */
static struct mem flags_memory(struct emit *e, ir_value f)
{
    unsigned place = e->values[f].place;
    return place < PLACE_COUNT ? allocate_mem(e, place) : flags_home(e);
}

/* EFLAGS := constant flags, in the polarity of the memory form. Changes rax. */
static void load_constant(struct assembler *a, unsigned nzcv)
{
    asm_mov_imm(a, RAX, (nzcv & NZCVPA_MASK & ~NZCV_V) | (nzcv & NZCV_V ? 1 : 0));
    asm_byte(a, 0x04); /* add al, 0x7f: overflows if al = 1 */
    asm_byte(a, 0x7f);
    asm_sahf(a);
}

/* Puts FLAGS value f into EFLAGS. */
static void load_eflags(struct emit *e, ir_value f)
{
    if (e->eflags == f && e->eflags_kind != FLAGS_FCMP && e->eflags_kind != FLAGS_FCMP_SWAPPED)
        return;
    const struct ir_insn *insn = emit_insn(e, f);
    emit_clobber_flags(e); /* if f itself is there: to memory */
    uint32_t scratch = e->scratch;
    emit_take_gpr(e, RAX);
    if (insn->op == IR_FLAGS_CONST) {
        load_constant(e->a, (unsigned)insn->imm);
    } else {
        asm_movzx(e->a, 1, RAX, rm_mem(flags_memory(e, f)));
        asm_byte(e->a, 0xc0); /* shl al, 7: V to its top */
        asm_byte(e->a, 0xe0);
        asm_byte(e->a, 7);
        asm_byte(e->a, 0x00); /* add al, al: overflows if V */
        asm_byte(e->a, 0xc0);
        asm_sahf(e->a);
    }
    e->scratch = scratch;
    e->eflags = f;
    e->eflags_kind = FLAGS_BORROW;
}

void flags_load_carry(struct emit *e, ir_value f, bool inverted)
{
    f = flags_resolve(e, f);
    const struct ir_insn *insn = emit_insn(e, f);
    enum flags_kind kind = e->eflags_kind;
    if (e->eflags == f && (kind == FLAGS_BORROW || kind == FLAGS_CARRY)) {
        flags_save(e);
        kind = e->eflags_kind;
        if ((kind == FLAGS_BORROW) != inverted)
            asm_cmc(e->a);
    } else if (insn->op == IR_FLAGS_CONST) {
        emit_clobber_flags(e);
        bool borrow = insn->imm & NZCV_B;
        asm_byte(e->a, borrow == inverted ? 0xf9 : 0xf8); /* stc, clc */
    } else {
        to_memory(e, f);
        hold(e, f);
        emit_clobber_flags(e);
        let_go(e, f);
        /* CF = B. As wide as the store before it: else it could not be forwarded. */
        asm_bt16(e->a, flags_memory(e, f), 8);
        if (!inverted)
            asm_cmc(e->a);
    }
    e->eflags = IR_NONE;
    e->flags_held = true;
}

void flags_load(struct emit *e, ir_value f)
{
    f = flags_resolve(e, f);
    enum flags_kind kind = e->eflags_kind;
    if (e->eflags == f && (kind == FLAGS_BORROW || kind == FLAGS_CARRY)) {
        flags_save(e);
        if (e->eflags_kind == FLAGS_CARRY)
            asm_cmc(e->a);
    } else {
        to_memory(e, f);
        hold(e, f);
        load_eflags(e, f);
        let_go(e, f);
    }
    e->eflags = IR_NONE;
    e->flags_held = true;
}

/* -- conditions -------------------------------------------------------------------------------- */

static const uint8_t borrow_cc[16] = {CC_E, CC_NE, CC_AE, CC_B, CC_S, CC_NS, CC_O, CC_NO,
                                      CC_A, CC_BE, CC_GE, CC_L, CC_G, CC_LE, CC_P, CC_NP};

enum { NEEDS_BORROW = 0xfe, NO_CC = 0xff, FCMP_EQ = 0xfc, FCMP_NE = 0xfd };

/* The condition code for a condition of EFLAGS of some kind, or one of the above. */
static unsigned condition_code(enum flags_kind kind, unsigned cond)
{
    static const uint8_t fcmp[16] = {FCMP_EQ, FCMP_NE, NO_CC, NO_CC, NO_CC, NO_CC, CC_P,  CC_NP,
                                     NO_CC,   NO_CC,   CC_AE, CC_B,  CC_A,  CC_BE, NO_CC, NO_CC};
    static const uint8_t swapped[16] = {FCMP_EQ, FCMP_NE, CC_BE, CC_A,  CC_A,  CC_BE, CC_P,  CC_NP,
                                        CC_B,    CC_AE,   NO_CC, NO_CC, NO_CC, NO_CC, NO_CC, NO_CC};
    switch (kind) {
    case FLAGS_BORROW: return borrow_cc[cond];
    case FLAGS_CARRY:
        if (cond == IR_UGE || cond == IR_ULT)
            return borrow_cc[cond ^ 1];
        return cond == IR_UGT || cond == IR_ULE ? NEEDS_BORROW : borrow_cc[cond];
    case FLAGS_FCMP: return fcmp[cond];
    default: return swapped[cond];
    }
}

/* Whether a condition would rather have ucomis with swapped operands. */
static bool wants_swapped(unsigned cond)
{
    return cond == IR_UGE || cond == IR_ULT || cond == IR_MI || cond == IR_PL || cond == IR_UGT ||
           cond == IR_ULE;
}

static struct condition plain(unsigned cc)
{
    return (struct condition){(uint8_t)cc, CONDITION_PLAIN};
}

/* A condition that one test of the memory form decides. */
static bool memory_test(unsigned cond, unsigned *byte, unsigned *mask, bool *set)
{
    switch (cond & ~1u) {
    case IR_EQ: *byte = 1, *mask = NZCV_Z >> 8, *set = true; break;
    case IR_UGE: *byte = 1, *mask = NZCV_B >> 8, *set = false; break;
    case IR_MI: *byte = 1, *mask = NZCV_N >> 8, *set = true; break;
    case IR_VS: *byte = 0, *mask = NZCV_V, *set = true; break;
    case IR_PE: *byte = 1, *mask = NZCV_P >> 8, *set = true; break;
    case IR_UGT: *byte = 1, *mask = (NZCV_B | NZCV_Z) >> 8, *set = false; break;
    default: return false;
    }
    *set ^= cond & 1;
    return true;
}

static struct condition flags_test(struct emit *e, ir_value f, unsigned cond)
{
    if (e->eflags == f) {
        unsigned cc = condition_code(e->eflags_kind, cond);
        if (cc == NEEDS_BORROW) {
            asm_cmc(e->a);
            e->eflags_kind = FLAGS_BORROW;
            cc = borrow_cc[cond];
        }
        if (cc == FCMP_EQ || cc == FCMP_NE)
            return (struct condition){0, cc == FCMP_EQ ? CONDITION_FCMP_EQ : CONDITION_FCMP_NE};
        if (cc != NO_CC)
            return plain(cc);
        /* to memory, even if this is the last reader */
        to_memory(e, f);
    }
    unsigned byte, mask;
    bool set;
    if (emit_insn(e, f)->op != IR_FLAGS_CONST && memory_test(cond, &byte, &mask, &set)) {
        emit_clobber_flags(e);
        asm_test_imm8(e->a, rm_mem(mem_add(flags_memory(e, f), (int)byte)), (uint8_t)mask);
        return plain(set ? CC_NE : CC_E);
    }
    load_eflags(e, f);
    return plain(borrow_cc[cond]);
}

static struct condition compare(struct emit *e, const struct ir_insn *insn)
{
    int32_t imm;
    bool wide = type_is_wide(insn->a_type);
    emit_clobber_flags(e);
    if (emit_is_imm32(e, insn->b, &imm)) {
        struct rm a = emit_use_rm(e, insn->a);
        compare_begin(e);
        if (imm == 0 && !a.is_mem)
            asm_test(e->a, wide, a, a.reg);
        else
            asm_alu_imm(e->a, ALU_CMP, wide, a, imm);
    } else {
        unsigned a = emit_use_gpr(e, insn->a);
        struct rm b = emit_use_rm(e, insn->b);
        compare_begin(e);
        asm_alu(e->a, ALU_CMP, wide, a, b);
    }
    compare_end(e);
    return plain(borrow_cc[insn->aux]);
}

static struct condition test_bit(struct emit *e, const struct ir_insn *insn)
{
    bool zero = insn->aux & 1;
    unsigned bit = (unsigned)insn->imm;
    emit_clobber_flags(e);
    struct rm a = emit_use_rm(e, insn->a);
    compare_begin(e);
    if (a.is_mem) {
        asm_test_imm8(e->a, rm_mem(mem_add(a.mem, (int)(bit / 8))), (uint8_t)(1u << bit % 8));
        return plain(zero ? CC_E : CC_NE);
    }
    if (bit == (type_is_wide(insn->a_type) ? 63 : 31)) {
        asm_test(e->a, bit == 63, a, a.reg);
        compare_end(e);
        return plain(zero ? CC_NS : CC_S);
    }
    if (bit < 8) {
        asm_test_imm8(e->a, a, (uint8_t)(1u << bit));
        compare_end(e);
        return plain(zero ? CC_E : CC_NE);
    }
    asm_bt(e->a, bit >= 32, a, bit);
    return plain(zero ? CC_AE : CC_B);
}

static void relock(struct emit *e)
{
    const struct ir_insn *insn = emit_insn(e, e->current);
    const ir_value operands[2] = {insn->b, insn->c};
    for (unsigned i = 0; i < 2; i++)
        if (operands[i] && e->values[operands[i]].place < PLACE_SPILL)
            e->locked |= 1u << e->values[operands[i]].place;
}

struct condition flags_condition(struct emit *e, ir_value v)
{
    const struct ir_insn *insn = emit_insn(e, v);
    bool last = !e->values[v].uses;
    struct condition c;
    if (insn->op == IR_COND) {
        ir_value f = flags_resolve(e, insn->a);
        c = flags_test(e, f, insn->aux);
        if (last)
            allocate_consume(e, f);
    } else {
        uint32_t locked = e->locked;
        if (last) {
            allocate_consume(e, insn->a);
            if (insn->op == IR_CMP)
                allocate_consume(e, insn->b);
        }
        c = insn->op == IR_CMP ? compare(e, insn) : test_bit(e, insn);
        e->locked = locked; /* the operands have been read, */
        relock(e);          /* but may be those of the consumer, too */
    }
    e->flags_held = true;
    return c;
}

/* Saves what is in EFLAGS, but not only for the sake of the condition v, which is about to be tested. */
static void save_but_for(struct emit *e, ir_value v)
{
    const struct ir_insn *insn = emit_insn(e, v);
    if (insn->op == IR_COND && !e->values[v].uses && flags_resolve(e, insn->a) == e->eflags) {
        ir_value f = e->eflags;
        if (e->values[f].place == PLACE_EFLAGS) {
            e->values[f].uses--;
            flags_save(e);
            hold(e, f);
            return;
        }
    }
    flags_save(e);
}

bool flags_testable(struct emit *e, ir_value condition)
{
    const struct ir_insn *insn = emit_insn(e, condition);
    if (insn->op != IR_COND)
        return false;
    ir_value f = flags_resolve(e, insn->a);
    return f == e->eflags && f == e->guest_flags && condition_code(e->eflags_kind, insn->aux) != NO_CC;
}

/* -- operations -------------------------------------------------------------------------------- */

EMITTER(get_flags)
{
    (void)insn;
    ir_value f = e->guest_flags;
    if (f) {
        f = flags_resolve(e, f);
        e->values[v].next = f;
        e->values[f].uses = (uint16_t)(e->values[f].uses + e->values[v].uses);
        if (e->values[f].place < PLACE_COUNT)
            e->places[e->values[f].place].refs =
                (uint16_t)(e->places[e->values[f].place].refs + e->values[v].uses);
    } else {
        e->values[v].next = IR_NONE;
        e->values[v].place = PLACE_FLAGS_HOME;
        e->guest_flags = e->home_flags = v;
    }
}

EMITTER(set_flags)
{
    (void)v;
    ir_value f = flags_resolve(e, insn->a);
    e->guest_flags = f;
    unsigned place = e->values[f].place;
    /* A value in a slot with no further reader would lose its slot; constant flags may have readers that were
     * folded and come after a fault: see backward_set_flags(). */
    if ((place < PLACE_COUNT || emit_insn(e, f)->op == IR_FLAGS_CONST) && e->home_flags != f)
        flags_flush(e);
}

EMITTER(flags_const)
{
    (void)insn;
    e->values[v].place = PLACE_CONST;
}

/* Its computation, the instruction before, has put it into EFLAGS. */
EMITTER(flags_of)
{
    (void)insn;
    if (e->eflags != v)
        e->failed = true;
}

EMITTER(flags_pack)
{
    ir_value f = flags_resolve(e, insn->a);
    if (emit_insn(e, f)->op == IR_FLAGS_CONST) {
        unsigned to = emit_def_gpr(e, v);
        asm_mov_imm(e->a, to, emit_insn(e, f)->imm & guest_flags_mask(e->isa));
        emit_set_upper_zero(e, v);
        return;
    }
    to_memory(e, f);
    hold(e, f);
    emit_clobber_flags(e);
    let_go(e, f);
    unsigned to = emit_def_gpr(e, v);
    asm_movzx(e->a, 1, to, rm_mem(flags_memory(e, f)));
    asm_alu_imm(e->a, ALU_AND, false, rm_reg(to), guest_flags_mask(e->isa));
    emit_set_upper_zero(e, v);
}

EMITTER(flags_unpack)
{
    unsigned from = emit_use_gpr(e, insn->a);
    unsigned place = flags_slot(e);
    asm_store16(e->a, allocate_mem(e, place), from);
    to_slot(e, v, place);
}

/* The condition of the nearest COND that reads f, within a few instructions; IR_EQ if none. */
static unsigned next_reader(struct emit *e, ir_value f)
{
    unsigned end = MIN(e->region->count, f + 24u);
    for (unsigned i = f + 1; i < end; i++)
        if (emit_insn(e, (ir_value)i)->op == IR_COND && !(e->values[i].mark & VALUE_DEAD))
            return emit_insn(e, (ir_value)i)->aux;
    return IR_EQ;
}

EMITTER(flags_fcmp)
{
    bool swap = wants_swapped(next_reader(e, v)), is_double = insn->a_type == IR_F64;
    ir_value first = swap ? insn->b : insn->a, second = swap ? insn->a : insn->b;
    uint32_t op = insn->aux & 1 ? is_double ? V_COMISD : V_COMISS : is_double ? V_UCOMISD : V_UCOMISS;
    emit_clobber_flags(e);
    unsigned left = emit_use_xmm(e, first);
    asm_vex(e->a, op, left, 0, emit_use_xmm_rm(e, second));
    flags_define(e, v, swap ? FLAGS_FCMP_SWAPPED : FLAGS_FCMP);
}

/* -- FLAGS_SELECT ------------------------------------------------------------------------------ */

/* The comparison that a deferred FLAGS_OF stands for; may change rax; returns the polarity of EFLAGS. */
static enum flags_kind deferred_comparison(struct emit *e, ir_value f)
{
    const struct ir_insn *insn = emit_insn(e, emit_insn(e, f)->a);
    bool wide = type_is_wide(insn->type);
    int32_t imm;
    bool immediate = emit_is_imm32(e, insn->b, &imm);
    allocate_consume(e, insn->a);
    allocate_consume(e, insn->b);
    if (insn->op == IR_SUB) {
        if (immediate) {
            asm_alu_imm(e->a, ALU_CMP, wide, emit_use_rm(e, insn->a), imm);
        } else {
            unsigned a = emit_use_gpr(e, insn->a);
            asm_alu(e->a, ALU_CMP, wide, a, emit_use_rm(e, insn->b));
        }
        return FLAGS_BORROW;
    }
    asm_mov(e->a, wide, RAX, emit_use_gpr(e, insn->a));
    if (immediate)
        asm_alu_imm(e->a, ALU_ADD, wide, rm_reg(RAX), imm);
    else
        asm_alu(e->a, ALU_ADD, wide, RAX, emit_use_rm(e, insn->b));
    return FLAGS_CARRY;
}

static void cold_constant_flags(struct emit *e, struct cold *c)
{
    load_constant(e->a, (unsigned)c->imm);
}

/* Jumps on the negated condition to cold code; two jumps where that takes two tests. */
static void jump_unless(struct emit *e, struct condition condition, struct cold *c)
{
    if (condition.how == CONDITION_PLAIN) {
        c->jumps[0] = asm_jcc(e->a, (enum cc)(condition.cc ^ 1));
    } else if (condition.how == CONDITION_FCMP_EQ) {
        c->jumps[0] = asm_jcc(e->a, CC_NE);
        c->jumps[1] = asm_jcc(e->a, CC_P);
    } else {
        uint32_t unordered = asm_jcc_short(e->a, CC_P);
        c->jumps[0] = asm_jcc(e->a, CC_E);
        asm_bind_short(e->a, unordered);
    }
}

/* Brings the operands of a deferred comparison into registers, so that nothing is loaded on one arm only. */
static void prepare(struct emit *e, ir_value f)
{
    const struct ir_insn *insn = emit_insn(e, emit_insn(e, f)->a);
    int32_t imm;
    emit_use_gpr(e, insn->a);
    if (!emit_is_imm32(e, insn->b, &imm))
        emit_use_gpr(e, insn->b);
}

static void select_deferred(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    save_but_for(e, insn->a); /* now, because it may change how the condition is to be tested */
    struct condition condition = flags_condition(e, insn->a);
    emit_take_gpr(e, RAX);
    prepare(e, insn->b);
    emit_clobber_flags(e);
    struct cold *c = emit_cold(e, cold_constant_flags);
    c->imm = insn->imm;
    jump_unless(e, condition, c);
    enum flags_kind kind = deferred_comparison(e, insn->b);
    if (kind == FLAGS_CARRY)
        asm_cmc(e->a);
    emit_cold_back(e, c);
    e->flags_held = false;
    flags_define(e, v, FLAGS_BORROW);
}

EMITTER(flags_select)
{
    ir_value f = flags_resolve(e, insn->b);
    if (e->values[f].mark & VALUE_DEFERRED) {
        select_deferred(e, insn, v);
        return;
    }
    /* In memory: the value of b in a register, replaced if the condition does not hold. */
    to_memory(e, f);
    hold(e, f);
    bool constant = emit_insn(e, f)->op == IR_FLAGS_CONST;
    unsigned place = flags_slot(e);
    struct condition condition = flags_condition(e, insn->a);
    unsigned t = emit_tmp_gpr(e), k = emit_tmp_gpr(e);
    if (constant)
        asm_mov_imm(e->a, t, emit_insn(e, f)->imm);
    else
        asm_movzx(e->a, 1, t, rm_mem(flags_memory(e, f)));
    let_go(e, f);
    asm_mov_imm(e->a, k, insn->imm);
    if (condition.how == CONDITION_PLAIN) {
        asm_cmov(e->a, (enum cc)(condition.cc ^ 1), false, t, rm_reg(k));
    } else if (condition.how == CONDITION_FCMP_EQ) {
        asm_cmov(e->a, CC_NE, false, t, rm_reg(k));
        asm_cmov(e->a, CC_P, false, t, rm_reg(k));
    } else { /* k keeps the constant only if equal and ordered */
        asm_cmov(e->a, CC_NE, false, k, rm_reg(t));
        asm_cmov(e->a, CC_P, false, k, rm_reg(t));
        t = k;
    }
    asm_store16(e->a, allocate_mem(e, place), t);
    to_slot(e, v, place);
}
