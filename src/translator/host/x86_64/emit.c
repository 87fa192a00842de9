/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit: makes a block's code. A backward pass over the region finds what is dead, counts uses, and sees where
 * results are wanted; a forward pass calls an emitter per instruction; cold code, exit stubs and constants
 * follow.
 */
#include "translator/host/x86_64/emit_core.h"

/* -- the backward pass ------------------------------------------------------------------------- */

struct backward {
    struct emit *e;
    bool (*exit_flags_dead)(void *context, uint64_t pc);
    void *context;
    uint16_t epoch;            /* changes where guest registers are observed */
    bool flags_live;           /* the guest's flags have a reader further on, */
    uint8_t flags_read;        /* of these: VALUE_CARRY_READ, VALUE_OTHERS_READ */
    bool fault_ahead;          /* something may fault before they are set anew */
    uint16_t overwritten[128]; /* epoch in which a later SET replaces the guest register, 0 = none */
    ir_value wanted[128];      /* value that the next SET of a pinned register takes; IR_NONE = none */
    uint16_t wanted_epoch[128];
};

/* Operand `slot` of instruction `reader`. */
static void count_operand(struct emit *e, ir_value v, ir_value reader, unsigned slot)
{
    struct value *value = &e->values[v];
    if (!v)
        return;
    value->uses++;
    e->use_after[reader][slot] = value->next_use;
    value->next_use = reader;
}

static void backward_set(struct backward *b, const struct ir_insn *insn, ir_value v, struct value *value)
{
    unsigned guest = insn->aux;
    if (b->overwritten[guest] == b->epoch) {
        value->mark |= VALUE_DEAD; /* but the pin, which nobody looks at until then, is a good place */
    } else {
        b->overwritten[guest] = b->epoch;
        count_operand(b->e, insn->a, v, 0);
    }
    if (b->e->guest_pin[guest] != PLACE_NONE) {
        b->e->values[insn->a].hint = (uint8_t)(guest + 1);
        b->wanted[guest] = insn->a;
        b->wanted_epoch[guest] = b->epoch;
    }
}

/* value->hint from the guest register to the pin, if v may be computed there directly. */
static void backward_hint(struct backward *b, const struct ir_insn *insn, ir_value v, struct value *value)
{
    unsigned guest = value->hint - 1u;
    if (b->wanted[guest] != v || b->wanted_epoch[guest] != b->epoch) {
        value->hint = 0;
        return;
    }
    value->hint = (uint8_t)(b->e->guest_pin[guest] + 1);
    if (insn->op == IR_ZEXT || insn->op == IR_VFROM_FLOAT) { /* where its operand may be, too */
        b->e->values[insn->a].hint = (uint8_t)(guest + 1);
        b->wanted[guest] = insn->a;
    }
}

/*
 * Readers of constant flags have been folded. One that comes after a fault reads them nevertheless, because
 * the code that goes on from there does not know the constant.
 */
static bool backward_set_flags(struct backward *b, const struct ir_insn *insn, struct value *value)
{
    const bool constant = emit_insn(b->e, insn->a)->op == IR_FLAGS_CONST;
    const bool live = b->flags_live || (constant && b->fault_ahead);
    if (live)
        b->e->values[insn->a].mark |= b->flags_read;
    else
        value->mark |= VALUE_DEAD;
    b->flags_live = b->fault_ahead = false;
    b->flags_read = 0;
    return live;
}

static void backward_flags_of(struct backward *b, const struct ir_insn *insn, struct value *value)
{
    struct emit *e = b->e;
    struct value *from = &e->values[insn->a];
    unsigned op = emit_insn(e, insn->a)->op;
    if (value->mark & VALUE_DEFERRED) {
        if (value->uses == 1 && from->uses == 0 &&
            (op == IR_SUB || (op == IR_ADD && !(insn->aux & IR_FLAGS_X86)))) {
            from->mark |= VALUE_DEFERRED;
            return;
        }
        value->mark &= (uint8_t)~VALUE_DEFERRED;
    }
    from->mark |= VALUE_WANTS_FLAGS;
}

/* Something reads the guest's flags in the CPU structure. */
static void all_flags_live(struct backward *b)
{
    b->flags_live = true;
    b->flags_read = VALUE_CARRY_READ | VALUE_OTHERS_READ;
}

static void backward_exit(struct backward *b, const struct ir_insn *insn, struct value *value)
{
    bool direct = insn->op == IR_EXIT_IF || insn->op == IR_GOTO || insn->op == IR_CALL_GUEST;
    b->epoch++;
    if (direct && b->exit_flags_dead(b->context, insn->imm)) {
        value->mark |= VALUE_EXIT_FLAGS_DEAD;
        if (insn->op != IR_EXIT_IF) {
            b->flags_live = false;
            b->flags_read = 0;
        }
    } else {
        all_flags_live(b);
    }
}

/*
 * Whether the guest instruction has read the flags when it faults: all of it is executed again then, and they
 * must be there.
 */
static bool read_before_fault(const struct emit *e, ir_value v)
{
    for (unsigned i = v; --i > 0 && emit_insn(e, (ir_value)i)->op != IR_INSN;) {
        const struct ir_insn *insn = emit_insn(e, (ir_value)i);
        if (emit_insn(e, insn->a)->type == IR_FLAGS || emit_insn(e, insn->b)->type == IR_FLAGS ||
            emit_insn(e, insn->c)->type == IR_FLAGS)
            return true;
    }
    return false;
}

/* One instruction; false if it is dead. */
static bool backward_insn(struct backward *b, const struct ir_insn *insn, ir_value v)
{
    struct emit *e = b->e;
    struct value *value = &e->values[v];
    const struct ir_op_info *info = &ir_op_info[insn->op];

    value->place = PLACE_NONE; /* stays so where only the flags of the result are wanted */
    if (b->flags_live)
        value->mark |= VALUE_FLAGS_LIVE;
    if (info->pure && !value->uses) {
        value->mark |= VALUE_DEAD;
        return false;
    }
    if (value->hint)
        backward_hint(b, insn, v, value);
    if (info->exits) {
        backward_exit(b, insn, value);
        return true;
    }
    if (ir_may_fault(insn)) {
        b->epoch++;
        b->fault_ahead = true;
        if (ir_traps(insn) || read_before_fault(e, v)) {
            all_flags_live(b);
            value->mark |= VALUE_FLAGS_LIVE;
        }
        return true;
    }
    switch (insn->op) {
    case IR_GET:
        b->overwritten[insn->aux] = 0;
        b->wanted[insn->aux] = IR_NONE;
        break;
    case IR_SET: backward_set(b, insn, v, value); return false;
    case IR_GET_FLAGS: all_flags_live(b); break;
    case IR_SET_FLAGS: return backward_set_flags(b, insn, value);
    case IR_FLAGS_OF: backward_flags_of(b, insn, value); break;
    case IR_FLAGS_SELECT:
        if (emit_insn(e, insn->b)->op == IR_FLAGS_OF)
            e->values[insn->b].mark |= VALUE_DEFERRED;
        break;
    case IR_COND:
    case IR_CMP:
    case IR_BIT: value->mark |= VALUE_DEFERRED; break;
    case IR_CALL:
        b->epoch++;
        all_flags_live(b);
        break;
    default: break;
    }
    return true;
}

/*
 * Whether it has a FLAGS operand: the guest's flags, by their value. After a fault in between, the block goes
 * on from there anew and reads them from the CPU structure.
 */
static bool reads_flags(const struct emit *e, const struct ir_insn *insn, ir_value c)
{
    return insn->op != IR_SET_FLAGS &&
           (emit_insn(e, insn->a)->type == IR_FLAGS || emit_insn(e, insn->b)->type == IR_FLAGS ||
            emit_insn(e, c)->type == IR_FLAGS);
}

/* The third operand, if it is one: flags that come in do not always matter. */
static inline ir_value operand_c(const struct emit *e, const struct ir_insn *insn, ir_value v)
{
    const bool optional = insn->op >= IR_PART_INC && insn->op <= IR_FLAGS_BIT;
    return optional && !emit_takes_flags(e, insn, v) ? IR_NONE : insn->c;
}

/* Notes what is read of its FLAGS operands, and returns it. */
static uint8_t mark_flags_read(struct emit *e, const struct ir_insn *insn, ir_value v, ir_value c)
{
    const ir_value operands[3] = {insn->a, insn->b, c};
    const uint8_t marks = (uint8_t)emit_flags_read(e, insn, v);
    for (unsigned i = 0; i < 3; i++)
        if (operands[i] && emit_insn(e, operands[i])->type == IR_FLAGS)
            e->values[operands[i]].mark |= marks;
    return marks;
}

static void backward(struct emit *e, bool (*exit_flags_dead)(void *context, uint64_t pc), void *context)
{
    struct backward b = {.e = e, .exit_flags_dead = exit_flags_dead, .context = context, .epoch = 1};
    const struct ir_insn *insns = e->region->insns;
    memset(e->values, 0, e->region->count * sizeof e->values[0]);
    for (unsigned i = e->region->count; --i > 0;) {
        const struct ir_insn *insn = &insns[i];
        if (backward_insn(&b, insn, (ir_value)i)) {
            const ir_value c = operand_c(e, insn, (ir_value)i);
            if (reads_flags(e, insn, c)) {
                b.flags_live = true;
                b.flags_read |= mark_flags_read(e, insn, (ir_value)i, c);
            }
            count_operand(e, insn->a, (ir_value)i, 0);
            count_operand(e, insn->b, (ir_value)i, 1);
            count_operand(e, c, (ir_value)i, 2);
        }
    }
    e->code->flags_dead = !b.flags_live;
}

/* -- services ---------------------------------------------------------------------------------- */

void emit_reloc(struct emit *e, uint32_t at, enum host_routine routine)
{
    struct host_code *code = e->code;
    if (code->reloc_count == HOST_RELOCS_MAX)
        e->failed = true;
    else
        code->relocs[code->reloc_count++] = (struct host_reloc){at, routine};
}

struct cold *emit_cold(struct emit *e, cold_function emit)
{
    if (e->cold_count == COLD_MAX) {
        e->failed = true;
        e->cold_count--;
    }
    struct cold *c = &e->colds[e->cold_count++];
    memset(c, 0, sizeof *c);
    c->emit = emit;
    c->insn = e->insn;
    c->value = e->current;
    return c;
}

struct cold *emit_cold_jcc(struct emit *e, enum cc cc, cold_function emit)
{
    struct cold *c = emit_cold(e, emit);
    c->jumps[0] = asm_jcc(e->a, cc);
    return c;
}

void emit_cold_back(struct emit *e, struct cold *c)
{
    c->back = asm_offset(e->a);
    e->compare_end = 0;
}

/* `count` entries of 16 bytes; equal ones are shared. */
static struct mem pool_add(struct emit *e, const uint64_t *words, unsigned count)
{
    unsigned used = e->pool_size / 16;
    for (unsigned i = 0; i + count <= used; i++)
        if (!memcmp(&e->pool[i], words, count * 16))
            return mem_pool(i * 16);
    if (used + count > ARRAY_SIZE(e->pool)) {
        e->failed = true;
        return mem_pool(0);
    }
    memcpy(&e->pool[used], words, count * 16);
    e->pool_size += count * 16;
    return mem_pool(used * 16);
}

struct mem emit_pool(struct emit *e, uint64_t low, uint64_t high)
{
    return pool_add(e, (const uint64_t[]){low, high}, 1);
}

struct mem emit_pool_pair(struct emit *e, const uint64_t words[4])
{
    return pool_add(e, words, 2);
}

void emit_move(struct emit *e, enum host_move_kind kind, uint64_t address)
{
    struct host_code *code = e->code;
    if (!code->movable)
        return;
    const bool is_wide = address > UINT32_MAX;
    code->movable = code->move_count < HOST_MOVES_MAX && is_wide == (e->region->guest_start > UINT32_MAX);
    if (code->movable)
        code->moves[code->move_count++] =
            (struct host_move){asm_offset(e->a) - (kind == HOST_MOVE_ADDRESS ? 8 : 4), kind, address};
}

void emit_mov_address(struct emit *e, unsigned dst, uint64_t address)
{
    asm_mov_imm(e->a, dst, address);
    emit_move(e, address > UINT32_MAX ? HOST_MOVE_ADDRESS : HOST_MOVE_ADDRESS_32, address);
}

EMITTER(address)
{
    emit_mov_address(e, emit_def_gpr(e, v), insn->imm);
    if (insn->type == IR_I32)
        emit_set_upper_zero(e, v);
}

/* -- the forward pass -------------------------------------------------------------------------- */

/* Behind a TLB the host's memory is there. */
bool emit_may_fault(const struct emit *e, ir_value v)
{
    const struct ir_insn *insn = emit_insn(e, v);
    switch (insn->op) {
    case IR_UDIV_WIDE:
    case IR_UREM_WIDE:
    case IR_SDIV_WIDE:
    case IR_SREM_WIDE: return true;
    default: return !e->isa->tlb_offset || ir_traps(insn);
    }
}

void emit_mark(struct emit *e, ir_value insn, unsigned state)
{
    struct host_code *code = e->code;
    uint32_t delta = (uint32_t)(emit_insn(e, insn)->imm - e->region->guest_start);
    const struct host_insn *last = code->insn_count ? &code->insns[code->insn_count - 1] : NULL;
    if (last && last->pc_delta == delta && last->state == state)
        return;
    if (code->insn_count == ARRAY_SIZE(code->insns)) {
        e->failed = true;
        return;
    }
    code->insns[code->insn_count++] =
        (struct host_insn){.start = asm_offset(e->a), .pc_delta = delta & 0xffffff, .state = state & 0xff};
}

static void consume_argument(struct emit *e, ir_value v, unsigned slot)
{
    if (!v)
        return;
    e->values[v].next_use = e->use_after[e->current][slot];
    if (emit_insn(e, v)->type == IR_FLAGS)
        v = flags_resolve(e, v);
    allocate_consume(e, v);
}

static void emit_one(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    e->current = v;
    e->locked = e->scratch = 0;
    e->flags_held = false;
    switch (insn->op) {
    case IR_INSN:
        e->insn = v;
        if (!e->isa->tlb_offset)
            emit_mark(e, v, 0);
        return;
    case IR_CONST:
    case IR_FCONST:
    case IR_VCONST: e->values[v].place = PLACE_CONST; return;
    case IR_GET: emit_get(e, insn, v); return;
    default: break;
    }
    if (e->values[v].mark & VALUE_DEFERRED) {
        e->values[v].place = PLACE_DEFERRED;
        return;
    }
    consume_argument(e, insn->a, 0);
    consume_argument(e, insn->b, 1);
    consume_argument(e, operand_c(e, insn, v), 2);
    if (e->region->fp_mode & IR_FP_INEXACT)
        emit_float_operands(e, insn);
    emit_function emit = emit_op_core[insn->op];
    if (!emit && !(e->region->fp_mode && emit_float_needs_eval(e->region->fp_mode, insn)))
        emit = emit_op_vector[insn->op];
    if (ir_traps(insn))
        flags_before_atomic(e);
    else if (e->isa->tlb_offset && emit_may_fault(e, v))
        emit_mark(e, e->insn, 0);
    if (emit)
        emit(e, insn, v);
    else
        emit_eval(e, insn, v);
    if (e->dying_spill | e->dying_vector_spill) {
        e->free_spill |= e->dying_spill;
        e->free_vector_spill |= e->dying_vector_spill;
        e->dying_spill = e->dying_vector_spill = 0;
    }
}

/* Room that the largest emitter, the exits' stubs and the pool need. */
enum { ROOM_INSN = 2048, ROOM_END = HOST_EXITS_MAX * 16 + sizeof(union vector128[1024]) + 64 };

static void forward(struct emit *e)
{
    const struct ir_insn *insns = e->region->insns;
    unsigned count = e->region->count;
    for (unsigned i = 1; i < count; i++) {
        if (e->values[i].mark & VALUE_DEAD)
            continue;
        emit_one(e, &insns[i], (ir_value)i);
        if (UNLIKELY(e->failed || !asm_room(e->a, ROOM_INSN))) {
            e->failed = true;
            return;
        }
    }
}

static void emit_cold_code(struct emit *e)
{
    for (unsigned i = 0; i < e->cold_count && !e->failed; i++) {
        struct cold *c = &e->colds[i];
        if (emit_may_fault(e, c->value))
            emit_mark(e, c->insn, 0);
        for (unsigned k = 0; k < 2; k++)
            if (c->jumps[k])
                asm_bind(e->a, c->jumps[k]);
        c->emit(e, c);
        if (c->back)
            asm_jmp_back(e->a, c->back);
        if (!asm_room(e->a, ROOM_INSN))
            e->failed = true;
    }
}

static void emit_stubs(struct emit *e)
{
    for (unsigned i = 0; i < e->code->exit_count; i++) {
        struct host_exit *exit = &e->code->exits[i];
        asm_bind(e->a, exit->slot);
        exit->stub = asm_offset(e->a);
        asm_byte(e->a, 0xb8); /* mov eax, number: HOST_STUB_NUMBER */
        asm_u32(e->a, 0);
        emit_reloc(e, asm_jmp(e->a), HOST_LINK);
    }
}

static void emit_constants(struct emit *e)
{
    if (!e->pool_size)
        return;
    while (asm_offset(e->a) & 15)
        asm_byte(e->a, 0xcc);
    uint32_t base = asm_offset(e->a);
    memcpy(e->a->p, e->pool, e->pool_size);
    e->a->p += e->pool_size;
    for (unsigned i = 0; i < e->a->fixup_count; i++) {
        const struct asm_fixup *f = &e->a->fixups[i];
        uint32_t displacement = base + f->pool - f->next;
        memcpy(e->a->start + f->at, &displacement, 4);
    }
}

void host_emit(const struct guest_isa *isa, const struct ir_region *region,
               bool (*exit_flags_dead)(void *context, uint64_t pc), void *context, struct host_code *code)
{
    struct emit emit, *e = &emit; /* most of it is initialised only as far as it is used */
    e->a = &e->assembler;
    e->isa = isa;
    e->region = region;
    e->code = code;
    e->bias = cpu_bias(isa);
    e->current = e->insn = IR_NONE;
    e->eflags = e->guest_flags = e->home_flags = IR_NONE;
    e->compare_start = e->compare_end = 0;
    e->cold_count = 0;
    e->pool_size = 0;
    e->failed = false;
    e->assembler.start = e->assembler.p = code->bytes;
    e->assembler.end = code->bytes + HOST_CODE_MAX - ROOM_END;
    e->assembler.fixup_count = 0;
    code->own_addresses = false;
    code->exit_count = code->restart_count = code->reloc_count = code->insn_count = code->move_count = 0;
    code->movable = region->movable;

    allocate_reset(e);
    backward(e, exit_flags_dead, context);
    if (region->guarded)
        emit_guard(e);
    code->entry = asm_offset(e->a);
    forward(e);
    emit_cold_code(e);
    if (!e->failed) {
        emit_stubs(e);
        emit_constants(e);
    }
    code->overflow = e->failed;
    code->size = e->failed ? 0 : asm_offset(e->a);
}
