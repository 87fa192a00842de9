/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * routines: the fixed code at the start of the code cache: into generated code, out of it, and from it to C.
 *
 * While C runs, rsp is the C stack again (cpu->host_sp), return_sp keeps the place in the return stack, and
 * in_helper is set. The way back to the block is in helper_return, not on a stack: a signal may empty the
 * return stack meanwhile.
 */
#include "translator/host/x86_64/emit_core.h"
#include "translator/ir/eval.h"

struct routines {
    struct assembler *a;
    const struct guest_isa *isa;
    uint32_t *offsets;
    int32_t bias;
    uint32_t leave_jumps[8]; /* displacements that lead to HOST_LEAVE */
    unsigned leave_count;
};

static struct mem field(const struct routines *r, size_t offset)
{
    return mem_base(RBP, (int32_t)offset - r->bias);
}
#define CPU(name) field(r, offsetof(struct translator_cpu, name))

static void begin(struct routines *r, enum host_routine routine)
{
    while (asm_offset(r->a) & 15)
        asm_byte(r->a, 0xcc);
    r->offsets[routine] = asm_offset(r->a);
}

/* Loads or stores all pins. */
static void pins(struct routines *r, bool store)
{
    for (unsigned i = 0; i < r->isa->register_count; i++) {
        const struct guest_register *g = &r->isa->registers[i];
        struct mem m = field(r, g->offset);
        if (g->type == IR_I64 && g->rank >= 1 && g->rank <= PIN_GPR_COUNT) {
            if (store)
                asm_store(r->a, true, m, pin_gpr[g->rank - 1]);
            else
                asm_load(r->a, true, pin_gpr[g->rank - 1], m);
        } else if (g->type == IR_V128 && g->rank >= 1 && g->rank <= PIN_XMM_COUNT) {
            asm_vex(r->a, store ? V_MOVUPS_STORE : V_MOVUPS_LOAD, pin_xmm[g->rank - 1], 0, rm_mem(m));
        }
    }
}

static const uint8_t callee_saved[] = {RBX, RBP, R12, R13, R14, R15};

static void leave_later(struct routines *r, uint32_t at)
{
    r->leave_jumps[r->leave_count++] = at;
}

/* void enter(struct translator_cpu *cpu, const void *code) */
static void make_enter(struct routines *r)
{
    struct assembler *a = r->a;
    begin(r, HOST_ENTER);
    for (unsigned i = 0; i < ARRAY_SIZE(callee_saved); i++)
        asm_push(a, callee_saved[i]);
    asm_lea(a, true, RSP, mem_base(RSP, -8)); /* aligned to 16 */
    asm_lea(a, true, RBP, mem_base(RDI, r->bias));
    asm_store(a, true, CPU(host_sp), RSP);
    asm_stmxcsr(a, CPU(host_fp_control));
    asm_ldmxcsr(a, CPU(fp_control));
    pins(r, false);
    asm_load(a, true, RSP, CPU(return_sp));
    r->offsets[HOST_ENTER_CHECK_START] = asm_offset(a);
    asm_alu_imm(a, ALU_CMP, false, rm_mem(CPU(interrupt)), 0);
    uint32_t interrupted = asm_jcc_short(a, CC_NE);
    asm_jmp_rm(a, rm_reg(RSI));
    r->offsets[HOST_ENTER_CHECK_END] = asm_offset(a);
    asm_bind_short(a, interrupted);
    asm_store_imm(a, 3, CPU(exit_reason), TRANSLATOR_INTERRUPTED);
    leave_later(r, asm_jmp(a));
}

static void make_leave(struct routines *r)
{
    struct assembler *a = r->a;
    begin(r, HOST_LEAVE);
    for (unsigned i = 0; i < r->leave_count; i++)
        asm_bind(a, r->leave_jumps[i]);
    pins(r, true);
    asm_store(a, true, CPU(return_sp), RSP);
    asm_load(a, true, RSP, CPU(host_sp));
    asm_stmxcsr(a, CPU(fp_control));
    asm_ldmxcsr(a, CPU(host_fp_control));
    asm_byte(a, 0xc5); /* vzeroupper */
    asm_byte(a, 0xf8);
    asm_byte(a, 0x77);
    asm_lea(a, true, RSP, mem_base(RSP, 8));
    for (unsigned i = ARRAY_SIZE(callee_saved); i-- > 0;)
        asm_pop(a, callee_saved[i]);
    asm_ret(a);
}

static void make_exits(struct routines *r)
{
    struct assembler *a = r->a;
    begin(r, HOST_LINK);
    asm_store(a, true, CPU(exit_payload), RAX);
    asm_store_imm(a, 3, CPU(exit_reason), TRANSLATOR_LINK);
    leave_later(r, asm_jmp(a));

    begin(r, HOST_LOOKUP);
    asm_store(a, true, field(r, r->isa->pc_offset), RAX);
    asm_store_imm(a, 3, CPU(exit_reason), TRANSLATOR_LOOKUP);
    leave_later(r, asm_jmp(a));

    /* rax = payload, rcx = reason, rdx = the guest's pc */
    begin(r, HOST_RAISE);
    asm_store(a, true, CPU(exit_payload), RAX);
    asm_store(a, true, CPU(exit_reason), RCX);
    asm_store(a, true, field(r, r->isa->pc_offset), RDX);
    leave_later(r, asm_jmp(a));
}

/*
 * A RETURN to rax that the top of the return stack does not know: perhaps it is further down, after a
 * longjmp() or an unwound frame; else it is an indirect branch.
 */
static void make_return_miss(struct routines *r)
{
    enum {
        DEPTH = 3
    }; /* further entries that are looked at: readable above an empty stack, see host_reset_return_stack() */
    struct assembler *a = r->a;
    uint32_t found[DEPTH];
    begin(r, HOST_RETURN_MISS);
    r->offsets[HOST_RETURN_MISS_START] = asm_offset(a);
    for (int i = 0; i < DEPTH; i++) {
        asm_load(a, true, RCX, mem_base(RSP, 8 * (i + 1)));
        asm_alu(a, ALU_CMP, true, RAX, rm_mem(mem_base(RCX, HOST_RETURN_GUEST)));
        found[i] = asm_jcc_short(a, CC_E);
    }
    asm_load(a, true, RDX, CPU(jump_cache));
    struct mem entry = jump_cache_entry_of(a, r->isa);
    if (r->isa->tlb_offset)
        jump_tag(a, CPU(jump_key));
    asm_alu(a, ALU_CMP, true, r->isa->tlb_offset ? RSI : RAX, rm_mem(entry));
    uint32_t hit = asm_jcc_short(a, CC_E);
    asm_bind_to(a, asm_jmp(a), r->offsets[HOST_LOOKUP]);
    asm_bind_short(a, hit);
    entry.disp = offsetof(struct jump_cache_entry, code);
    asm_jmp_rm(a, rm_mem(entry));
    for (int i = 0; i < DEPTH; i++) {
        asm_bind_short(a, found[i]);
        asm_lea(a, true, RSP, mem_base(RSP, 8 * (i + 1)));
        asm_ret(a);
    }
    r->offsets[HOST_RETURN_MISS_END] = asm_offset(a);

    /* Looks like a return point of a guest address that no code has; if it is the target nevertheless: a
     * lookup. */
    begin(r, HOST_RETURN_SENTINEL);
    uint32_t start = asm_offset(a);
    asm_bind_to(a, asm_jmp(a), r->offsets[HOST_LOOKUP]);
    while (asm_offset(a) - start < HOST_RETURN_GUEST)
        asm_byte(a, 0xcc);
    asm_u64(a, UINT64_MAX);
}

/* From the return stack to the C stack and back. */
static void to_c_stack(struct routines *r)
{
    asm_store_imm(r->a, 2, CPU(in_helper), 1);
    asm_store(r->a, true, CPU(return_sp), RSP);
    asm_load(r->a, true, RSP, CPU(host_sp));
}

static void to_return_stack(struct routines *r)
{
    asm_load(r->a, true, RSP, CPU(return_sp));
    asm_store_imm(r->a, 2, CPU(in_helper), 0);
}

static void load_cpu(struct routines *r, unsigned dst)
{
    asm_lea(r->a, true, dst, mem_base(RBP, -r->bias));
}

static void call_c(struct routines *r, uint64_t function)
{
    asm_mov_imm(r->a, RAX, function);
    asm_call_rm(r->a, rm_reg(RAX));
}

/* rax = helper; arguments in eval_arguments[0]; result in rax. */
static void make_call_helper(struct routines *r)
{
    struct assembler *a = r->a;
    begin(r, HOST_CALL_HELPER);
    pins(r, true);
    to_c_stack(r);
    asm_stmxcsr(a, CPU(fp_control));
    asm_ldmxcsr(a, CPU(host_fp_control));
    load_cpu(r, RDI);
    asm_load(a, true, RSI, CPU(eval_arguments));
    asm_load(a, true, RDX, field(r, offsetof(struct translator_cpu, eval_arguments) + 8));
    asm_call_rm(a, rm_reg(RAX));
    asm_ldmxcsr(a, CPU(fp_control));
    to_return_stack(r);
    pins(r, false);
    asm_jmp_rm(a, rm_mem(CPU(helper_return)));
}

/* The arguments of ir_eval_op() but for the instruction in rdx. */
static void eval_arguments(struct routines *r)
{
    asm_mov_imm(r->a, RDI, (uint64_t)(uintptr_t)r->isa);
    load_cpu(r, RSI);
    asm_lea(r->a, true, RCX, CPU(eval_arguments));
    asm_lea(r->a, true, R8, CPU(eval_result));
}

/* rax = instruction; temporaries change. The guest's MXCSR stays: it has the rounding mode and collects
 * the exceptions. */
static void make_call_eval(struct routines *r)
{
    struct assembler *a = r->a;
    begin(r, HOST_CALL_EVAL);
    pins(r, true);
    to_c_stack(r);
    asm_mov(a, true, RDX, RAX);
    eval_arguments(r);
    call_c(r, (uint64_t)(uintptr_t)ir_eval_op);
    to_return_stack(r);
    pins(r, false);
    asm_jmp_rm(a, rm_mem(CPU(helper_return)));
}

static const uint8_t caller_saved[] = {RDX, RSI, RDI, R8, R9, R10, R11};

/* From cold code, which has put rax and rcx into eval_result and its return address into helper_return: saves
 * every register that C may change. Leaves rax as it was. */
static void save_all(struct routines *r)
{
    struct assembler *a = r->a;
    asm_store_imm(a, 2, CPU(in_helper), 1);
    asm_store(a, true, CPU(return_sp), RSP);
    asm_load(a, true, RSP, CPU(host_sp));
    for (unsigned i = 0; i < ARRAY_SIZE(caller_saved); i++)
        asm_push(a, caller_saved[i]);
    asm_load(a, true, RCX, CPU(eval_result));
    asm_push(a, RCX);
    asm_load(a, true, RCX, field(r, CPU_EVAL_RESULT + 8));
    asm_push(a, RCX);
    asm_lea(a, true, RSP, mem_base(RSP, -16 * 16 - 8)); /* 9 pushes: aligned to 16 again */
    for (unsigned i = 0; i < 16; i++)
        asm_vex(a, V_MOVUPS_STORE, i, 0, rm_mem(mem_base(RSP, (int32_t)(16 * i))));
}

/* All registers as before save_all(), still on the C stack. */
static void reload_all(struct routines *r)
{
    struct assembler *a = r->a;
    for (unsigned i = 0; i < 16; i++)
        asm_vex(a, V_MOVUPS_LOAD, i, 0, rm_mem(mem_base(RSP, (int32_t)(16 * i))));
    asm_lea(a, true, RSP, mem_base(RSP, 16 * 16 + 8));
    asm_pop(a, RCX);
    asm_pop(a, RAX);
    for (unsigned i = ARRAY_SIZE(caller_saved); i-- > 0;)
        asm_pop(a, caller_saved[i]);
}

static void restore_all(struct routines *r)
{
    reload_all(r);
    to_return_stack(r);
    asm_jmp_rm(r->a, rm_mem(CPU(helper_return)));
}

static void make_cold_calls(struct routines *r)
{
    struct assembler *a = r->a;
    begin(r, HOST_EVAL_COLD);
    save_all(r);
    asm_mov(a, true, RDX, RAX);
    eval_arguments(r);
    call_c(r, (uint64_t)(uintptr_t)ir_eval_op);
    restore_all(r);
}

/* From emit_call_memory(), with rcx in eval_result and what is before the place of its return, which is in
 * rcx and helper_return, yet to be stored. A refusal leaves with the pins as they are. */
static void make_memory(struct routines *r, enum host_routine routine, struct mem function)
{
    struct assembler *a = r->a;
    begin(r, routine);
    asm_store(a, true, CPU(eval_result), RAX);
    asm_load(a, false, RAX, mem_base(RCX, -MEMORY_CALL_WHAT));
    asm_store(a, false, CPU(access.size), RAX);
    asm_load(a, true, RAX, mem_base(RCX, -MEMORY_CALL_PC));
    asm_store(a, true, field(r, r->isa->pc_offset), RAX);
    save_all(r);
    asm_stmxcsr(a, CPU(fp_control));
    asm_ldmxcsr(a, CPU(host_fp_control));
    load_cpu(r, RDI);
    asm_lea(a, true, RSI, CPU(access));
    asm_call_rm(a, rm_mem(function));
    asm_ldmxcsr(a, CPU(fp_control));
    asm_test_imm8(a, rm_reg(RAX), 0xff);
    uint32_t refused = asm_jcc(a, CC_E);
    restore_all(r);
    asm_bind(a, refused);
    reload_all(r);
    to_return_stack(r);
    asm_bind_to(a, asm_jmp(a), r->offsets[HOST_LEAVE]);
}

size_t host_emit_routines(const struct guest_isa *isa, uint8_t *bytes, size_t size,
                          uint32_t offsets[HOST_ROUTINE_COUNT])
{
    struct assembler a;
    struct routines r = {.a = &a, .isa = isa, .offsets = offsets, .bias = cpu_bias(isa)};
    a.start = a.p = bytes;
    a.end = bytes + size;
    a.fixup_count = 0;
    if (size < 4096)
        return 0;
    make_enter(&r);
    make_exits(&r);
    make_leave(&r);
    make_return_miss(&r);
    make_call_helper(&r);
    make_call_eval(&r);
    make_cold_calls(&r);
    make_memory(&r, HOST_MEMORY, field(&r, offsetof(struct translator_cpu, memory)));
    make_memory(&r, HOST_REACH, field(&r, offsetof(struct translator_cpu, reach)));
    return asm_offset(&a);
}
