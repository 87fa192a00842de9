/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_exit: leaving a block; calls of C. See host.h for the conventions at exits.
 *
 * Temporaries are dead at an exit, so these sequences use rax, rcx, rdx freely.
 */
#include <elf.h>

#include "translator/host/x86_64/emit_core.h"

static struct mem cpu_field(const struct emit *e, size_t offset)
{
    return emit_cpu(e, offset);
}
#define CPU(field) cpu_field(e, offsetof(struct translator_cpu, field))

static void add_restart(struct emit *e, uint32_t start)
{
    struct host_code *code = e->code;
    if (code->restart_count == ARRAY_SIZE(code->restarts))
        e->failed = true;
    else
        code->restarts[code->restart_count++] = (struct host_restart){start, asm_offset(e->a)};
}

/* -- direct exits ------------------------------------------------------------------------------ */

static void add_exit(struct emit *e, uint32_t slot, uint64_t target)
{
    struct host_code *code = e->code;
    if (code->exit_count == HOST_EXITS_MAX) {
        e->failed = true;
        return;
    }
    code->exits[code->exit_count++] = (struct host_exit){.slot = slot, .target = target};
}

/*
 * Behind a TLB, whether an exit leads to a page that none of this block's instructions is on: what is there
 * depends on page tables, which may change while this block stays. So it is no link, but looks in the jump
 * cache, which is emptied by such changes.
 */
static bool leaves_page(const struct emit *e, uint64_t target)
{
    enum { PAGE_BITS = 12 };
    const struct ir_region *region = e->region;
    return e->isa->tlb_offset && target >> PAGE_BITS != region->guest_start >> PAGE_BITS &&
           target >> PAGE_BITS != (region->guest_end - 1) >> PAGE_BITS;
}

/* A field of a guest address's entry in the jump cache, which is at rdx. */
static struct mem known_entry(const struct emit *e, uint64_t address, size_t field)
{
    struct mem m =
        mem_base(RDX, (int32_t)(guest_jump_index(e->isa, address) * sizeof(struct jump_cache_entry) + field));
    m.far = e->code->movable;
    return m;
}

/* Jumps to the block at a known guest address by way of the jump cache. Changes EFLAGS. */
static void probe_known(struct emit *e, uint64_t target)
{
    uint32_t start = asm_offset(e->a);
    asm_load(e->a, true, RDX, CPU(jump_cache));
    emit_mov_address(e, RAX, target);
    asm_alu(e->a, ALU_XOR, true, RAX, rm_mem(CPU(jump_key)));
    asm_alu(e->a, ALU_CMP, true, RAX, rm_mem(known_entry(e, target, 0)));
    emit_move(e, HOST_MOVE_JUMP, target);
    add_exit(e, asm_jcc(e->a, CC_NE), target);
    if (e->code->exit_count)
        e->code->exits[e->code->exit_count - 1].probe = true;
    asm_jmp_rm(e->a, rm_mem(known_entry(e, target, offsetof(struct jump_cache_entry, code))));
    emit_move(e, HOST_MOVE_JUMP, target);
    add_restart(e, start);
}

void emit_guard(struct emit *e)
{
    probe_known(e, e->region->guest_start);
    e->code->flags_dead = false; /* it may lead to other code than what is behind it */
}

static void cold_probe(struct emit *e, struct cold *c)
{
    probe_known(e, c->imm);
}

/* For a jump, whose displacement is at `at`, that leaves the page. */
static void add_probe(struct emit *e, uint32_t at, uint64_t target)
{
    struct cold *c = emit_cold(e, cold_probe);
    c->jumps[0] = at;
    c->imm = target;
}

/* The displacement of a slot lies within eight aligned bytes, so that it can be changed while other threads
 * run the code: how much is missing for a jump whose displacement comes after `opcode` bytes. */
static unsigned slot_padding(const struct emit *e, unsigned opcode)
{
    unsigned at = (asm_offset(e->a) + opcode) & 7;
    return at > 4 ? 8 - at : 0;
}

/* An aligned jump; returns its displacement. */
static uint32_t slot_jmp(struct emit *e)
{
    asm_nops(e->a, slot_padding(e, 1));
    return asm_jmp(e->a);
}

void emit_careful_exit(struct emit *e, uint64_t pc)
{
    add_exit(e, slot_jmp(e), pc);
    if (e->code->exit_count)
        e->code->exits[e->code->exit_count - 1].careful = true;
}

static void exit_jmp(struct emit *e, uint64_t target)
{
    if (leaves_page(e, target))
        probe_known(e, target);
    else
        add_exit(e, slot_jmp(e), target);
}

/* A comparison that stands right here gets the padding, as prefixes without effect: processors fuse it with
 * the jump. */
static uint32_t slot_jcc(struct emit *e, unsigned cc)
{
    enum { PREFIX_CS = 0x2e };
    struct assembler *a = e->a;
    unsigned padding = slot_padding(e, 2), length = e->compare_end - e->compare_start;
    if (padding && e->compare_end == asm_offset(a) && length + padding <= 15) {
        uint8_t *comparison = a->start + e->compare_start;
        memmove(comparison + padding, comparison, length);
        memset(comparison, PREFIX_CS, padding);
        a->p += padding;
    } else {
        asm_nops(a, padding);
    }
    return asm_jcc(a, (enum cc)cc);
}

/* Stores the flags at an exit, then leaves. */
static void cold_flags_exit(struct emit *e, struct cold *c)
{
    uint32_t store = asm_offset(e->a);
    flags_store(e, flags_home(e), (enum flags_kind)c->r[0]);
    exit_jmp(e, c->imm);
    if (leaves_page(e, c->imm))
        return;
    struct host_exit *exit = &e->code->exits[e->code->exit_count - 1];
    exit->direct = c->jumps[0];
    exit->store = store;
}

/* For an exit whose flags are in EFLAGS only: the code that the jump at `at`, aligned, leads to. */
static struct cold *add_flags_exit(struct emit *e, uint32_t at, uint64_t target)
{
    struct cold *cold = emit_cold(e, cold_flags_exit);
    cold->jumps[0] = at;
    cold->r[0] = (uint8_t)e->eflags_kind;
    cold->imm = target;
    return cold;
}

static void exit_jcc(struct emit *e, unsigned cc, uint64_t target)
{
    if (leaves_page(e, target))
        add_probe(e, asm_jcc(e->a, (enum cc)cc), target);
    else
        add_exit(e, slot_jcc(e, cc), target);
}

static void exit_through_cold(struct emit *e, struct condition c, uint64_t target)
{
    if (c.how == CONDITION_PLAIN) {
        add_flags_exit(e, slot_jcc(e, c.cc), target);
    } else if (c.how == CONDITION_FCMP_NE) {
        struct cold *cold = add_flags_exit(e, slot_jcc(e, CC_NE), target);
        cold->jumps[1] = asm_jcc(e->a, CC_P);
    } else {
        uint32_t unordered = asm_jcc_short(e->a, CC_P);
        add_flags_exit(e, slot_jcc(e, CC_E), target);
        asm_bind_short(e->a, unordered);
    }
}

static void exit_directly(struct emit *e, struct condition c, uint64_t target)
{
    if (c.how == CONDITION_PLAIN) {
        exit_jcc(e, c.cc, target);
    } else if (c.how == CONDITION_FCMP_EQ) {
        uint32_t unordered = asm_jcc_short(e->a, CC_P);
        exit_jcc(e, CC_E, target);
        asm_bind_short(e->a, unordered);
    } else {
        uint32_t unordered = asm_jcc_short(e->a, CC_P);
        uint32_t equal = asm_jcc_short(e->a, CC_E);
        asm_bind_short(e->a, unordered);
        exit_jmp(e, target);
        asm_bind_short(e->a, equal);
    }
}

EMITTER(exit_if)
{
    bool needs_flags = !(e->values[v].mark & VALUE_EXIT_FLAGS_DEAD) && e->guest_flags != e->home_flags;
    if (needs_flags && !flags_testable(e, insn->a)) {
        flags_flush(e);
        needs_flags = false;
    }
    struct condition c = flags_condition(e, insn->a);
    e->flags_held = false;
    if (needs_flags)
        exit_through_cold(e, c, insn->imm);
    else
        exit_directly(e, c, insn->imm);
}

/* Whether an exit that always leaves goes through code that stores the flags; if not, they are in memory, or
 * dead. */
static bool leaves_flags(struct emit *e, ir_value v)
{
    if (e->values[v].mark & VALUE_EXIT_FLAGS_DEAD)
        return false;
    if (flags_in_eflags(e))
        return true;
    flags_flush(e);
    return false;
}

/* A probe changes EFLAGS. */
static void flush_for_probe(struct emit *e, ir_value v)
{
    if (!(e->values[v].mark & VALUE_EXIT_FLAGS_DEAD))
        flags_flush(e);
}

EMITTER(goto)
{
    if (leaves_page(e, insn->imm)) {
        flush_for_probe(e, v);
        probe_known(e, insn->imm);
        return;
    }
    bool flags = leaves_flags(e, v);
    uint32_t at = slot_jmp(e);
    if (flags)
        add_flags_exit(e, at, insn->imm);
    else
        add_exit(e, at, insn->imm);
}

/* -- indirect exits ---------------------------------------------------------------------------- */

static void cold_missed(struct emit *e, struct cold *c)
{
    emit_mov_address(e, RCX, emit_insn(e, c->insn)->imm);
    asm_store(e->a, true, CPU(branch_pc), RCX);
    emit_reloc(e, asm_jmp(e->a), (enum host_routine)c->imm);
}

/* If not equal, an indirect branch to rax goes on in a routine. */
static void missed(struct emit *e, enum host_routine routine)
{
    if (e->region->tells_branches)
        emit_cold_jcc(e, CC_NE, cold_missed)->imm = routine;
    else
        emit_reloc(e, asm_jcc(e->a, CC_NE), routine);
}

/* Jumps to the block at guest address rax by way of the thread's jump cache. */
static void probe(struct emit *e)
{
    uint32_t start = asm_offset(e->a);
    asm_load(e->a, true, RDX, CPU(jump_cache));
    struct mem entry = jump_cache_entry_of(e->a, e->isa);
    if (e->isa->tlb_offset)
        jump_tag(e->a, CPU(jump_key));
    asm_alu(e->a, ALU_CMP, true, e->isa->tlb_offset ? RSI : RAX, rm_mem(entry));
    missed(e, HOST_LOOKUP);
    entry.disp = offsetof(struct jump_cache_entry, code);
    asm_jmp_rm(e->a, rm_mem(entry));
    add_restart(e, start);
}

EMITTER(goto_reg)
{
    (void)v;
    flags_flush(e);
    emit_load_gpr(e, RAX, insn->a);
    probe(e);
}

/* Where the host returns to: the jump to the guest's return address, and that address as data. */
static void return_point(struct emit *e, uint64_t guest)
{
    uint32_t start = asm_offset(e->a);
    asm_align(e->a, 4, 1);
    if (leaves_page(e, guest))
        add_probe(e, asm_jmp(e->a), guest);
    else
        add_exit(e, asm_jmp(e->a), guest);
    if (asm_offset(e->a) - start != HOST_RETURN_GUEST)
        e->failed = true;
    asm_u64(e->a, guest);
    emit_move(e, HOST_MOVE_ADDRESS, guest);
}

/* A call out of the page. */
static void call_probe(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    flush_for_probe(e, v);
    asm_align(e->a, 4, 1);
    uint32_t call = asm_call(e->a);
    return_point(e, insn->imm2);
    asm_bind(e->a, call);
    probe_known(e, insn->imm);
}

EMITTER(call_guest)
{
    if (leaves_page(e, insn->imm)) {
        call_probe(e, insn, v);
        return;
    }
    bool flags = leaves_flags(e, v);
    asm_align(e->a, 4, 1);
    uint32_t at = asm_call(e->a);
    if (flags)
        add_flags_exit(e, at, insn->imm);
    else
        add_exit(e, at, insn->imm);
    return_point(e, insn->imm2);
}

EMITTER(call_reg)
{
    (void)v;
    flags_flush(e);
    emit_load_gpr(e, RAX, insn->a);
    asm_align(e->a, 4, 1);
    uint32_t call = asm_call(e->a);
    return_point(e, insn->imm2);
    asm_bind(e->a, call);
    probe(e);
}

EMITTER(return )
{
    (void)v;
    flags_flush(e);
    emit_load_gpr(e, RAX, insn->a);
    uint32_t start = asm_offset(e->a);
    asm_load(e->a, true, RCX, mem_base(RSP, 0));
    asm_alu(e->a, ALU_CMP, true, RAX, rm_mem(mem_base(RCX, HOST_RETURN_GUEST)));
    missed(e, HOST_RETURN_MISS);
    asm_ret(e->a);
    add_restart(e, start);
}

static void raise(struct emit *e, const struct ir_insn *insn)
{
    asm_mov_imm(e->a, RAX, insn->imm);
    asm_mov_imm(e->a, RCX, insn->aux);
    emit_mov_address(e, RDX, insn->imm2);
    emit_reloc(e, asm_jmp(e->a), HOST_RAISE);
}

EMITTER(raise)
{
    (void)v;
    flags_flush(e);
    raise(e, insn);
}

/* RAISE's code; the flags are in EFLAGS if r[0] says of what kind. */
static void cold_raise(struct emit *e, struct cold *c)
{
    const struct ir_insn *insn = emit_insn(e, c->value);
    if (c->r[0])
        flags_store(e, flags_home(e), (enum flags_kind)(c->r[0] - 1));
    raise(e, insn);
}

EMITTER(raise_if)
{
    (void)v;
    bool needs_flags = e->guest_flags != e->home_flags;
    if (needs_flags && !flags_testable(e, insn->a)) {
        flags_flush(e);
        needs_flags = false;
    }
    struct condition c = flags_condition(e, insn->a);
    uint32_t skip = c.how == CONDITION_FCMP_EQ ? asm_jcc_short(e->a, CC_P) : 0;
    struct cold *cold = emit_cold_jcc(e,
                                      c.how == CONDITION_PLAIN     ? (enum cc)c.cc
                                      : c.how == CONDITION_FCMP_EQ ? CC_E
                                                                   : CC_NE,
                                      cold_raise);
    if (skip)
        asm_bind_short(e->a, skip);
    if (c.how == CONDITION_FCMP_NE)
        cold->jumps[1] = asm_jcc(e->a, CC_P);
    cold->r[0] = needs_flags ? (uint8_t)(1 + e->eflags_kind) : 0;
    e->flags_held = false;
}

/* -- calls of C -------------------------------------------------------------------------------- */

/* Returns what is to be bound to where the routine comes back to. */
static uint32_t call_routine(struct emit *e, enum host_routine routine)
{
    asm_byte(e->a, 0x48); /* lea rcx, [rip + ...] */
    asm_byte(e->a, 0x8d);
    asm_byte(e->a, 0x0d);
    uint32_t back = asm_offset(e->a);
    asm_u32(e->a, 0);
    asm_store(e->a, true, CPU(helper_return), RCX);
    emit_reloc(e, asm_jmp(e->a), routine);
    return back;
}

void emit_call_routine(struct emit *e, enum host_routine routine)
{
    asm_bind(e->a, call_routine(e, routine));
}

void emit_call_memory(struct emit *e, enum host_routine routine, uint32_t what, uint64_t pc)
{
    asm_store(e->a, true, emit_cpu(e, CPU_EVAL_RESULT + 8), RCX);
    const uint32_t back = call_routine(e, routine);
    asm_u32(e->a, what);
    asm_u64(e->a, pc);
    emit_move(e, HOST_MOVE_ADDRESS, pc);
    asm_bind(e->a, back);
}

/* The linker's: the program's ELF header. */
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

/* Whether visor may be at other addresses in another process. */
static bool visor_moves(void)
{
    return __ehdr_start.e_type != ET_EXEC;
}

EMITTER(call)
{
    static const size_t arguments = offsetof(struct translator_cpu, eval_arguments);
    flags_flush(e);
    emit_clobber_flags(e);
    const ir_value values[2] = {insn->a, insn->b};
    for (unsigned i = 0; i < 2; i++) {
        struct mem m = emit_cpu(e, arguments + 8 * i);
        if (values[i])
            asm_store(e->a, true, m, emit_use_gpr(e, values[i]));
        else
            asm_store_imm(e->a, 3, m, 0);
    }
    e->locked = e->scratch = 0;
    flags_forget_home(e);
    allocate_flush(e, true);
    emit_mov_address(e, RAX, emit_insn(e, e->insn)->imm);
    asm_store(e->a, true, emit_cpu(e, e->isa->pc_offset), RAX);
    asm_mov_imm(e->a, RAX, insn->imm);
    e->code->own_addresses |= visor_moves();
    emit_call_routine(e, HOST_CALL_HELPER);
    emit_def_in_gpr(e, v, RAX);
}

static void store_argument(struct emit *e, unsigned n, ir_value v)
{
    unsigned type = emit_insn(e, v)->type;
    struct mem m = emit_cpu(e, CPU_EVAL_ARGUMENT(n));
    if (!v)
        return;
    if (type_is_vector(type))
        asm_vex(e->a, V_MOVUPS_STORE, emit_use_xmm(e, v), 0, rm_mem(m));
    else if (type == IR_I32 || type == IR_I64)
        asm_store(e->a, true, m, emit_use_gpr(e, v));
    else
        e->failed = true;
}

/* The instruction itself, in the pool. */
static struct mem pool_insn(struct emit *e, const struct ir_insn *insn)
{
    _Static_assert(sizeof(struct ir_insn) == 32, "two entries of the pool");
    struct ir_insn copy = *insn;
    copy.a = copy.b = copy.c = 0; /* so that equal operations share */
    uint64_t words[4];
    memcpy(words, &copy, sizeof words);
    return emit_pool_pair(e, words);
}

void emit_eval(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    emit_clobber_flags(e);
    store_argument(e, 0, insn->a);
    store_argument(e, 1, insn->b);
    store_argument(e, 2, insn->c);
    e->locked = e->scratch = 0;
    allocate_flush(e, false);
    asm_lea(e->a, true, RAX, pool_insn(e, insn));
    emit_call_routine(e, HOST_CALL_EVAL);
    struct mem result = emit_cpu(e, CPU_EVAL_RESULT);
    if (type_is_vector(insn->type)) {
        asm_vex(e->a, V_MOVUPS_LOAD, emit_def_xmm(e, v), 0, rm_mem(result));
        emit_set_upper_zero(e, v);
    } else if (insn->type == IR_I32 || insn->type == IR_I64) {
        asm_load(e->a, insn->type == IR_I64, emit_def_gpr(e, v), result);
        if (insn->type == IR_I32)
            emit_set_upper_zero(e, v);
    } else {
        e->failed = true;
    }
}

void emit_save_rax_rcx(struct emit *e)
{
    asm_store(e->a, true, emit_cpu(e, CPU_EVAL_RESULT), RAX);
    asm_store(e->a, true, emit_cpu(e, CPU_EVAL_RESULT + 8), RCX);
}

void emit_cold_eval(struct emit *e, struct cold *c)
{
    emit_save_rax_rcx(e);
    asm_lea(e->a, true, RAX, pool_insn(e, emit_insn(e, c->value)));
    emit_call_routine(e, HOST_EVAL_COLD);
}
