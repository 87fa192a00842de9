/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * allocate: where values are. Every value is in a place (a host register, a slot of the CPU structure, a
 * guest register's home in the CPU structure), several values may share one, and a place counts the uses to
 * come of all of them. A temporary with none left is free.
 *
 * A guest register that has no pin is written to the CPU structure at once; the temporary that holds the
 * value is remembered as a copy (guest_cache) for later reads, and can be dropped without a store.
 */
#include "translator/host/x86_64/emit_core.h"

const uint8_t pin_gpr[PIN_GPR_COUNT] = {RBX, RDI, R8, R9, R10, R11, R12, R13, R14, R15};
const uint8_t pin_xmm[PIN_XMM_COUNT] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#define TMP_MASK ((uint32_t)TMP_XMM_MASK << PLACE_XMM | TMP_GPR_MASK)

static inline bool is_register(unsigned place)
{
    return place < PLACE_SPILL;
}

static inline bool is_memory(unsigned place)
{
    return place >= PLACE_SPILL && place < PLACE_COUNT;
}

static inline bool is_vector_place(const struct emit *e, unsigned place)
{
    if (place >= PLACE_GUEST)
        return e->isa->registers[place - PLACE_GUEST].type == IR_V128;
    return place >= PLACE_SPILL_XMM || (place >= PLACE_XMM && place < PLACE_SPILL);
}

struct mem emit_cpu(const struct emit *e, size_t offset)
{
    return mem_base(RBP, (int32_t)offset - e->bias);
}

struct mem allocate_mem(const struct emit *e, unsigned place)
{
    if (place >= PLACE_GUEST)
        return emit_cpu(e, e->isa->registers[place - PLACE_GUEST].offset);
    if (place >= PLACE_SPILL_XMM)
        return emit_cpu(e, offsetof(struct translator_cpu, vector_spill) + 16 * (place - PLACE_SPILL_XMM));
    return emit_cpu(e, offsetof(struct translator_cpu, spill) + 8 * (place - PLACE_SPILL));
}

void allocate_reset(struct emit *e)
{
    const struct guest_isa *isa = e->isa;
    memset(e->places, 0, (PLACE_GUEST + isa->register_count) * sizeof e->places[0]);
    memset(e->guest_cache, PLACE_NONE, sizeof e->guest_cache);
    memset(e->guest_pin, PLACE_NONE, sizeof e->guest_pin);
    for (unsigned i = 0; i < isa->register_count; i++) {
        unsigned rank = isa->registers[i].rank;
        if (isa->registers[i].type == IR_I64 && rank >= 1 && rank <= PIN_GPR_COUNT)
            e->guest_pin[i] = PLACE_GPR + pin_gpr[rank - 1];
        else if (isa->registers[i].type == IR_V128 && rank >= 1 && rank <= PIN_XMM_COUNT)
            e->guest_pin[i] = PLACE_XMM + pin_xmm[rank - 1];
    }
    e->locked = e->scratch = 0;
    e->free_spill = e->free_vector_spill = UINT32_MAX;
    e->dying_spill = e->dying_vector_spill = 0;
}

/* -- places ------------------------------------------------------------------------------------ */

void allocate_forget(struct emit *e, unsigned place)
{
    unsigned guest = e->places[place].guest;
    if (guest) {
        e->guest_cache[guest - 1] = PLACE_NONE;
        e->places[place].guest = 0;
    }
}

/* The register now holds what guest register `guest` (without a pin) has in memory. */
static void remember_copy(struct emit *e, unsigned place, unsigned guest)
{
    unsigned former = e->guest_cache[guest];
    if (former != PLACE_NONE)
        e->places[former].guest = 0;
    allocate_forget(e, place);
    e->guest_cache[guest] = (uint8_t)place;
    e->places[place].guest = (uint8_t)(guest + 1);
}

static void add_value(struct emit *e, ir_value v, unsigned place)
{
    struct place_state *s = &e->places[place];
    struct value *value = &e->values[v];
    value->next = s->refs ? s->values : IR_NONE;
    s->values = v;
    s->refs = (uint16_t)(s->refs + value->uses);
    value->place = (uint8_t)place;
}

void allocate_set_place(struct emit *e, ir_value v, unsigned place)
{
    allocate_forget(e, place);
    e->values[v].upper_zero = 0;
    add_value(e, v, place);
}

static void free_slot(struct emit *e, unsigned place)
{
    if (place >= PLACE_SPILL_XMM && place < PLACE_GUEST)
        e->dying_vector_spill |= 1u << (place - PLACE_SPILL_XMM);
    else if (place >= PLACE_SPILL && place < PLACE_SPILL_XMM)
        e->dying_spill |= 1u << (place - PLACE_SPILL);
}

void allocate_repoint(struct emit *e, unsigned from, unsigned to)
{
    struct place_state *f = &e->places[from], *t = &e->places[to];
    ir_value last = IR_NONE;
    for (ir_value v = f->values; v; v = e->values[v].next) {
        if (e->values[v].place == from)
            e->values[v].place = (uint8_t)to;
        last = v;
    }
    if (last) {
        e->values[last].next = t->refs ? t->values : IR_NONE;
        t->values = f->values;
    }
    t->refs = (uint16_t)(t->refs + f->refs);
    f->refs = 0;
    f->values = IR_NONE;
    if (is_memory(from))
        free_slot(e, from);
}

void allocate_consume(struct emit *e, ir_value v)
{
    struct value *value = &e->values[v];
    value->uses--;
    if (value->place >= PLACE_COUNT)
        return;
    struct place_state *s = &e->places[value->place];
    s->refs--;
    if (is_register(value->place))
        e->locked |= 1u << value->place;
    else if (!s->refs)
        free_slot(e, value->place);
}

void allocate_hold(struct emit *e, ir_value v)
{
    struct value *value = &e->values[v];
    value->uses++;
    if (value->place >= PLACE_COUNT)
        return;
    e->places[value->place].refs++;
    if (value->place >= PLACE_SPILL && value->place < PLACE_SPILL_XMM)
        e->dying_spill &= ~(1u << (value->place - PLACE_SPILL));
    else if (value->place >= PLACE_SPILL_XMM && value->place < PLACE_GUEST)
        e->dying_vector_spill &= ~(1u << (value->place - PLACE_SPILL_XMM));
}

bool allocate_park(struct emit *e, ir_value v)
{
    unsigned place = e->values[v].place;
    if (!v || !is_register(place))
        return false;
    allocate_hold(e, v);
    e->locked &= ~(1u << place);
    return true;
}

static unsigned spill_slot(struct emit *e, bool vector)
{
    uint32_t *free = vector ? &e->free_vector_spill : &e->free_spill;
    if (!*free) {
        e->failed = true;
        return vector ? PLACE_SPILL_XMM : PLACE_SPILL;
    }
    unsigned slot = (unsigned)__builtin_ctz(*free);
    *free &= *free - 1;
    unsigned place = slot + (vector ? PLACE_SPILL_XMM : PLACE_SPILL);
    e->places[place].refs = 0;
    e->places[place].values = IR_NONE;
    return place;
}

/* Copies between a register place and another place. */
static void move(struct emit *e, unsigned to, unsigned from)
{
    if (is_vector_place(e, from)) {
        if (is_register(from) && is_register(to))
            asm_vex(e->a, V_MOVAPS_LOAD, to - PLACE_XMM, 0, rm_reg(from - PLACE_XMM));
        else if (is_register(to))
            asm_vex(e->a, V_MOVUPS_LOAD, to - PLACE_XMM, 0, rm_mem(allocate_mem(e, from)));
        else
            asm_vex(e->a, V_MOVUPS_STORE, from - PLACE_XMM, 0, rm_mem(allocate_mem(e, to)));
    } else if (is_register(from) && is_register(to)) {
        asm_mov(e->a, true, to, from);
    } else if (is_register(to)) {
        asm_load(e->a, true, to, allocate_mem(e, from));
    } else {
        asm_store(e->a, true, allocate_mem(e, to), from);
    }
}

/* To memory: to the home of the guest register of which it is a copy, or to a slot. */
static void spill(struct emit *e, unsigned place)
{
    unsigned guest = e->places[place].guest, to;
    if (guest) {
        to = PLACE_GUEST + guest - 1;
    } else {
        to = spill_slot(e, is_vector_place(e, place));
        move(e, to, place);
    }
    allocate_repoint(e, place, to);
}

/*
 * How far off the next use of a register's values is, in IR instructions. One that needs no store to be given
 * up counts as a little further. A use that has passed is that of a deferred comparison: about to come.
 */
static unsigned distance(const struct emit *e, unsigned place)
{
    enum { CLEAN = 12 };
    unsigned nearest = UINT16_MAX;
    for (ir_value v = e->places[place].values; v; v = e->values[v].next) {
        const struct value *value = &e->values[v];
        if (value->place != place || !value->uses || !value->next_use)
            continue;
        unsigned away = value->next_use > e->current ? (unsigned)(value->next_use - e->current) : 0;
        nearest = MIN(nearest, away);
    }
    return nearest + (e->places[place].guest ? CLEAN : 0);
}

/* A temporary of the class for whatever purpose. */
static unsigned take_register(struct emit *e, bool vector)
{
    /* rax last: the flags are saved through it */
    static const uint8_t order[2][5] = {{RCX, RDX, RSI, RAX, 0}, {16, 17, 18, 19, 20}};
    unsigned count = vector ? TMP_XMM_COUNT : TMP_GPR_COUNT, copy = PLACE_NONE;
    uint32_t busy = e->locked | e->scratch, candidates = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned place = order[vector][i];
        if (busy & 1u << place)
            continue;
        if (!e->places[place].refs) {
            if (!e->places[place].guest)
                return place;
            if (copy == PLACE_NONE)
                copy = place;
        } else {
            candidates |= 1u << place;
        }
    }
    if (copy != PLACE_NONE)
        return copy;
    unsigned victim = PLACE_NONE, furthest = 0;
    for (; candidates; candidates &= candidates - 1) {
        unsigned place = (unsigned)__builtin_ctz(candidates), away = distance(e, place);
        if (victim == PLACE_NONE || away > furthest) {
            victim = place;
            furthest = away;
        }
    }
    if (victim == PLACE_NONE) {
        e->failed = true;
        return vector ? PLACE_XMM : RAX;
    }
    spill(e, victim);
    return victim;
}

/* Between registers, with what the old one is a copy of. */
static void move_values(struct emit *e, unsigned to, unsigned from)
{
    unsigned guest = e->places[from].guest;
    allocate_forget(e, to);
    move(e, to, from);
    allocate_repoint(e, from, to);
    if (guest)
        remember_copy(e, to, guest - 1);
}

void allocate_evacuate(struct emit *e, unsigned place)
{
    if (!e->places[place].refs)
        return;
    uint32_t scratch = e->scratch;
    e->scratch |= 1u << place;
    unsigned to = take_register(e, is_vector_place(e, place));
    e->scratch = scratch;
    move_values(e, to, place);
}

void allocate_flush(struct emit *e, bool pins)
{
    for (unsigned place = 0; place < PLACE_SPILL; place++) {
        bool temporary = TMP_MASK >> place & 1;
        if (e->places[place].refs && (temporary || pins))
            spill(e, place);
        if (temporary || pins)
            allocate_forget(e, place);
    }
    for (unsigned i = 0; pins && i < e->isa->register_count; i++) {
        if (!e->places[PLACE_GUEST + i].refs)
            continue;
        bool vector = is_vector_place(e, PLACE_GUEST + i);
        unsigned to = spill_slot(e, vector), through = vector ? PLACE_XMM : RCX;
        move(e, through, PLACE_GUEST + i);
        move(e, to, through);
        allocate_repoint(e, PLACE_GUEST + i, to);
    }
}

/* -- operands ---------------------------------------------------------------------------------- */

void emit_mov_imm(struct emit *e, unsigned dst, uint64_t imm)
{
    if (!imm && !emit_flags_busy(e))
        asm_alu(e->a, ALU_XOR, false, dst, rm_reg(dst));
    else
        asm_mov_imm(e->a, dst, imm);
}

bool emit_is_const(const struct emit *e, ir_value v, uint64_t *imm)
{
    const struct ir_insn *insn = emit_insn(e, v);
    if (insn->op != IR_CONST)
        return false;
    *imm = insn->type == IR_I32 ? (uint32_t)insn->imm : insn->imm;
    return true;
}

bool emit_is_imm32(const struct emit *e, ir_value v, int32_t *imm)
{
    const struct ir_insn *insn = emit_insn(e, v);
    if (insn->op != IR_CONST || (insn->type == IR_I64 && (int64_t)insn->imm != (int32_t)insn->imm))
        return false;
    *imm = (int32_t)insn->imm;
    return true;
}

/* Brings what is in memory into a temporary. */
static unsigned load_place(struct emit *e, unsigned from)
{
    unsigned to = take_register(e, is_vector_place(e, from));
    allocate_forget(e, to);
    move(e, to, from);
    allocate_repoint(e, from, to);
    if (from >= PLACE_GUEST)
        remember_copy(e, to, from - PLACE_GUEST);
    e->locked |= 1u << to;
    return to;
}

unsigned emit_use_gpr(struct emit *e, ir_value v)
{
    unsigned place = e->values[v].place;
    if (place < PLACE_XMM) {
        e->locked |= 1u << place;
        return place;
    }
    if (place == PLACE_CONST) {
        const struct ir_insn *insn = emit_insn(e, v);
        unsigned to = take_register(e, false);
        emit_mov_imm(e, to, insn->type == IR_I32 ? (uint32_t)insn->imm : insn->imm);
        allocate_set_place(e, v, to);
        e->values[v].upper_zero = 1;
        e->locked |= 1u << to;
        return to;
    }
    if (!is_memory(place)) {
        e->failed = true;
        return RAX;
    }
    unsigned to = load_place(e, place);
    e->values[v].place = (uint8_t)to; /* also where this is its last use and it left the place's list */
    return to;
}

struct rm emit_use_rm(struct emit *e, ir_value v)
{
    unsigned place = e->values[v].place;
    if (is_memory(place) && !e->values[v].uses)
        return rm_mem(allocate_mem(e, place));
    return rm_reg(emit_use_gpr(e, v));
}

static struct mem constant_of(struct emit *e, const struct ir_insn *insn)
{
    return emit_pool(e, insn->imm, insn->op == IR_VCONST ? insn->imm2 : 0);
}

unsigned emit_use_xmm(struct emit *e, ir_value v)
{
    unsigned place = e->values[v].place;
    if (place >= PLACE_XMM && place < PLACE_SPILL) {
        e->locked |= 1u << place;
        return place - PLACE_XMM;
    }
    if (place == PLACE_CONST) {
        const struct ir_insn *insn = emit_insn(e, v);
        unsigned to = take_register(e, true);
        if (!insn->imm && (insn->op != IR_VCONST || !insn->imm2))
            asm_vex(e->a, V_PXOR, to - PLACE_XMM, to - PLACE_XMM, rm_reg(to - PLACE_XMM));
        else
            asm_vex(e->a, V_MOVAPS_LOAD, to - PLACE_XMM, 0, rm_mem(constant_of(e, insn)));
        allocate_set_place(e, v, to);
        e->values[v].upper_zero = 1;
        e->locked |= 1u << to;
        return to - PLACE_XMM;
    }
    if (!is_memory(place)) {
        e->failed = true;
        return 0;
    }
    unsigned to = load_place(e, place);
    e->values[v].place = (uint8_t)to;
    return to - PLACE_XMM;
}

struct rm emit_use_xmm_rm(struct emit *e, ir_value v)
{
    unsigned place = e->values[v].place;
    if (is_memory(place) && !e->values[v].uses)
        return rm_mem(allocate_mem(e, place));
    if (place == PLACE_CONST && !e->values[v].uses)
        return rm_mem(constant_of(e, emit_insn(e, v)));
    return rm_reg(emit_use_xmm(e, v));
}

void emit_load_gpr(struct emit *e, unsigned dst, ir_value v)
{
    unsigned place = e->values[v].place;
    bool wide = emit_insn(e, v)->type == IR_I64;
    if (place == PLACE_CONST) {
        const struct ir_insn *insn = emit_insn(e, v);
        emit_mov_imm(e, dst, wide ? insn->imm : (uint32_t)insn->imm);
    } else if (is_memory(place)) {
        asm_load(e->a, wide, dst, allocate_mem(e, place));
    } else if (place != dst) {
        asm_mov(e->a, wide, dst, place);
    }
}

/* -- results ----------------------------------------------------------------------------------- */

/* The pin that v is wanted in, if nothing else needs it now. */
static unsigned hinted(struct emit *e, ir_value v, bool reuse)
{
    unsigned hint = e->values[v].hint;
    if (!hint--)
        return PLACE_NONE;
    if (e->places[hint].refs || e->scratch & 1u << hint || (!reuse && e->locked & 1u << hint))
        return PLACE_NONE;
    return hint;
}

static unsigned define(struct emit *e, ir_value v, unsigned place)
{
    allocate_set_place(e, v, place);
    e->scratch |= 1u << place;
    return place;
}

unsigned emit_def_gpr_near(struct emit *e, ir_value v, unsigned reg)
{
    unsigned place = hinted(e, v, true);
    if (place == PLACE_NONE && TMP_GPR_MASK >> reg & 1 && !e->places[reg].refs && !(e->scratch & 1u << reg))
        place = reg;
    if (place == PLACE_NONE)
        return emit_def_gpr_last(e, v);
    return define(e, v, place);
}

static unsigned def_last(struct emit *e, ir_value v, bool vector)
{
    unsigned place = hinted(e, v, true);
    if (place == PLACE_NONE) {
        uint32_t mask = vector ? (uint32_t)TMP_XMM_MASK << PLACE_XMM : TMP_GPR_MASK;
        uint32_t candidates = e->locked & mask & ~e->scratch;
        for (; candidates; candidates &= candidates - 1) {
            unsigned candidate = (unsigned)__builtin_ctz(candidates);
            if (!e->places[candidate].refs) {
                place = candidate;
                break;
            }
        }
        if (place == PLACE_NONE)
            place = take_register(e, vector);
    }
    return define(e, v, place);
}

unsigned emit_def_gpr_last(struct emit *e, ir_value v)
{
    return def_last(e, v, false);
}

unsigned emit_def_xmm_last(struct emit *e, ir_value v)
{
    return def_last(e, v, true) - PLACE_XMM;
}

unsigned emit_def_gpr(struct emit *e, ir_value v)
{
    unsigned place = hinted(e, v, false);
    return define(e, v, place == PLACE_NONE ? take_register(e, false) : place);
}

unsigned emit_def_xmm(struct emit *e, ir_value v)
{
    unsigned place = hinted(e, v, false);
    return define(e, v, place == PLACE_NONE ? take_register(e, true) : place) - PLACE_XMM;
}

void emit_def_in_gpr(struct emit *e, ir_value v, unsigned reg)
{
    define(e, v, reg);
}

void emit_alias(struct emit *e, ir_value v, ir_value source)
{
    if (e->values[source].place == PLACE_CONST) {
        if (type_is_vector(emit_insn(e, source)->type))
            emit_use_xmm(e, source);
        else
            emit_use_gpr(e, source);
    }
    unsigned place = e->values[source].place;
    uint8_t upper_zero = e->values[source].upper_zero;
    add_value(e, v, place);
    if (is_vector_place(e, place) && emit_insn(e, source)->type != emit_insn(e, v)->type)
        upper_zero = 0;
    e->values[v].upper_zero = upper_zero;
    if (e->places[place].refs) { /* it may have been about to be freed */
        if (place >= PLACE_SPILL_XMM && place < PLACE_GUEST)
            e->dying_vector_spill &= ~(1u << (place - PLACE_SPILL_XMM));
        else if (place >= PLACE_SPILL && place < PLACE_SPILL_XMM)
            e->dying_spill &= ~(1u << (place - PLACE_SPILL));
    }
}

bool emit_upper_zero(const struct emit *e, ir_value v)
{
    return e->values[v].upper_zero && is_register(e->values[v].place);
}

unsigned emit_tmp_gpr(struct emit *e)
{
    unsigned place = take_register(e, false);
    allocate_forget(e, place);
    e->scratch |= 1u << place;
    return place;
}

unsigned emit_tmp_xmm(struct emit *e)
{
    unsigned place = take_register(e, true);
    allocate_forget(e, place);
    e->scratch |= 1u << place;
    return place - PLACE_XMM;
}

/* Whether a temporary is to be had without a spill. */
static bool has_free_gpr(const struct emit *e)
{
    for (uint32_t m = TMP_GPR_MASK & ~(e->locked | e->scratch); m; m &= m - 1)
        if (!e->places[__builtin_ctz(m)].refs)
            return true;
    return false;
}

void emit_take_gpr(struct emit *e, unsigned reg)
{
    bool operand = e->locked & 1u << reg;
    e->locked &= ~(1u << reg);
    e->scratch |= 1u << reg;
    if (operand || (e->places[reg].refs && has_free_gpr(e))) {
        unsigned to = take_register(e, false);
        move_values(e, to, reg);
        if (operand)
            e->locked |= 1u << to;
    } else if (e->places[reg].refs) {
        spill(e, reg);
    }
    allocate_forget(e, reg);
}

/* -- guest registers --------------------------------------------------------------------------- */

void emit_get(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    unsigned guest = insn->aux;
    unsigned place = e->guest_pin[guest];
    if (place == PLACE_NONE)
        place = e->guest_cache[guest];
    if (place == PLACE_NONE)
        place = PLACE_GUEST + guest;
    e->values[v].upper_zero = 0;
    add_value(e, v, place);
}

static void set_pin(struct emit *e, unsigned pin, ir_value v)
{
    unsigned from = e->values[v].place;
    if (from == pin)
        return;
    allocate_evacuate(e, pin);
    allocate_forget(e, pin);
    from = e->values[v].place; /* the evacuation may have spilled it */
    if (from == PLACE_CONST) {
        if (pin < PLACE_XMM) {
            emit_mov_imm(e, pin, emit_insn(e, v)->imm);
        } else {
            const struct ir_insn *insn = emit_insn(e, v);
            if (!insn->imm && !insn->imm2)
                asm_vex(e->a, V_PXOR, pin - PLACE_XMM, pin - PLACE_XMM, rm_reg(pin - PLACE_XMM));
            else
                asm_vex(e->a, V_MOVAPS_LOAD, pin - PLACE_XMM, 0, rm_mem(constant_of(e, insn)));
        }
        return;
    }
    move(e, pin, from);
    bool pinned = is_register(from) && !(TMP_MASK >> from & 1);
    if (!pinned && e->places[from].refs)
        allocate_repoint(e, from, pin);
}

static void set_memory(struct emit *e, unsigned guest, ir_value v)
{
    unsigned home = PLACE_GUEST + guest;
    if (e->values[v].place == home)
        return;
    if (e->places[home].refs) { /* readers of the old value are still to come */
        uint32_t locked = e->locked;
        unsigned to = load_place(e, home);
        e->locked = locked;
        allocate_forget(e, to);
    }
    if (e->guest_cache[guest] != PLACE_NONE) {
        if (e->guest_cache[guest] == e->values[v].place)
            return; /* it has that value already */
        allocate_forget(e, e->guest_cache[guest]);
    }
    int32_t imm;
    if (e->isa->registers[guest].type == IR_V128) {
        unsigned reg = emit_use_xmm(e, v);
        asm_vex(e->a, V_MOVUPS_STORE, reg, 0, rm_mem(allocate_mem(e, home)));
        remember_copy(e, PLACE_XMM + reg, guest);
    } else if (e->values[v].place == PLACE_CONST && emit_is_imm32(e, v, &imm)) {
        asm_store_imm(e->a, 3, allocate_mem(e, home), imm);
    } else {
        unsigned reg = emit_use_gpr(e, v);
        asm_store(e->a, true, allocate_mem(e, home), reg);
        remember_copy(e, reg, guest);
    }
}

void emit_set(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    (void)v;
    unsigned pin = e->guest_pin[insn->aux];
    if (pin != PLACE_NONE)
        set_pin(e, pin, insn->a);
    else
        set_memory(e, insn->aux, insn->a);
}
