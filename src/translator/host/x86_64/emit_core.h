/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emit_core: what the core's own files share beyond emit.h. */
#ifndef VISOR_TRANSLATOR_HOST_X86_64_EMIT_CORE_H
#define VISOR_TRANSLATOR_HOST_X86_64_EMIT_CORE_H

#include "base/macros.h"
#include "translator/host/x86_64/emit.h"

/* rbp - address of the CPU structure: puts the guest's flags and most integer registers into reach of a
 * one-byte displacement. */
static inline int32_t cpu_bias(const struct guest_isa *isa)
{
    return (int32_t)isa->flags_offset - 112;
}

static inline const struct ir_insn *emit_insn(const struct emit *e, ir_value v)
{
    return &e->region->insns[v];
}

/* Addresses the jump cache's entry for guest address rax, the cache being at rdx. Changes rcx and EFLAGS. */
static inline struct mem jump_cache_entry_of(struct assembler *a, const struct guest_isa *isa)
{
    const unsigned shift = isa->pc_shift;
    if (isa->tlb_offset) {
        asm_imul_imm(a, false, RCX, rm_reg(RAX), (int32_t)GUEST_JUMP_FACTOR);
        asm_shift(a, SHIFT_SHR, false, rm_reg(RCX), 32 - JUMP_CACHE_BITS);
        asm_alu(a, ALU_ADD, false, RCX, rm_reg(RCX));
        return mem_index(RDX, RCX, 3, 0);
    }
    asm_mov(a, false, RCX, RAX);
    asm_alu_imm(a, ALU_AND, false, rm_reg(RCX), ((1 << JUMP_CACHE_BITS) - 1) << shift);
    if (shift == 0) /* an entry has 16 bytes */
        asm_alu(a, ALU_ADD, false, RCX, rm_reg(RCX));
    return mem_index(RDX, RCX, shift ? 4 - shift : 3, 0);
}

/* Behind a TLB: the tag in the jump cache of guest address rax to rsi. Changes EFLAGS. */
static inline void jump_tag(struct assembler *a, struct mem jump_key)
{
    asm_load(a, true, RSI, jump_key);
    asm_alu(a, ALU_XOR, true, RSI, rm_reg(RAX));
}

static inline bool type_is_wide(unsigned type)
{
    return type == IR_I64;
}

static inline bool type_is_vector(unsigned type)
{
    return type == IR_V128 || type == IR_F32 || type == IR_F64;
}

/* -- allocate.c -------------------------------------------------------------------------------- */

void allocate_reset(struct emit *e);
/* Value v is from now on in this place; a register's former contents are forgotten. */
void allocate_set_place(struct emit *e, ir_value v, unsigned place);
/* All values of place `from` are now in place `to`, which holds the same bits. */
void allocate_repoint(struct emit *e, unsigned from, unsigned to);
/* Takes one use of v for the instruction being emitted. */
void allocate_consume(struct emit *e, ir_value v);
/* Gives a use back, so that the value outlasts what is about to happen: to be consumed again. */
void allocate_hold(struct emit *e, ir_value v);
/* Operand v of the instruction being emitted, if it is in a register, need not stay there until it is
 * consumed once more: for code that needs many temporaries first. Says whether that is to be done. */
bool allocate_park(struct emit *e, ir_value v);
/* Moves live values out of a register place, to another register or to memory. */
void allocate_evacuate(struct emit *e, unsigned place);
/* No copies of guest registers are in this register place any more. */
void allocate_forget(struct emit *e, unsigned place);
/* All temporaries' live values go to memory, copies are forgotten; with `pins`, values that live in pins or
 * in the guest's registers in memory as well. */
void allocate_flush(struct emit *e, bool pins);
/* As emit_def_gpr_last(), but prefers `reg` if that is an operand's temporary whose value ends here. */
unsigned emit_def_gpr_near(struct emit *e, ir_value v, unsigned reg);
/* Moves an operand's value to a given register. */
void emit_load_gpr(struct emit *e, unsigned dst, ir_value v);
void emit_get(struct emit *e, const struct ir_insn *insn, ir_value v);
void emit_set(struct emit *e, const struct ir_insn *insn, ir_value v);
/* mov of a constant, shortest form that the flags allow */
void emit_mov_imm(struct emit *e, unsigned dst, uint64_t imm);
/* The place's address if it is in memory. */
struct mem allocate_mem(const struct emit *e, unsigned place);

/* -- emit.c ------------------------------------------------------------------------------------ */

/* A jump to a fixed routine: the displacement at `at` is its to resolve. */
void emit_reloc(struct emit *e, uint32_t at, enum host_routine routine);
/* mov of a guest address that moves with the region */
void emit_mov_address(struct emit *e, unsigned dst, uint64_t address);
/* The last bytes emitted, as many as the kind has, depend on a guest address that moves with the region. */
void emit_move(struct emit *e, enum host_move_kind kind, uint64_t address);
/* 32 bytes of the constant pool. */
struct mem emit_pool_pair(struct emit *e, const uint64_t words[4]);
/* The code from here on belongs to a guest instruction; `state` is for host_repair_context(). */
void emit_mark(struct emit *e, ir_value insn, unsigned state);
/* Whether the host may fault in the code of this operation, so that it must be known what it belongs to. */
bool emit_may_fault(const struct emit *e, ir_value v);
struct cold *emit_cold(struct emit *e, cold_function emit);

/* Around the encoding of an instruction that a conditional jump may follow. */
static inline void compare_begin(struct emit *e)
{
    e->compare_start = asm_offset(e->a);
}

static inline void compare_end(struct emit *e)
{
    e->compare_end = asm_offset(e->a);
}

/* -- emit_flags.c ------------------------------------------------------------------------------ */

/* How to test a condition: jump or move if `cc`, but for FCMP equality, which needs two tests. */
struct condition {
    uint8_t cc;
    enum { CONDITION_PLAIN, CONDITION_FCMP_EQ, CONDITION_FCMP_NE } how;
};

ir_value flags_resolve(const struct emit *e, ir_value flags);
/* EFLAGS now hold FLAGS value f. */
void flags_define(struct emit *e, ir_value f, enum flags_kind kind);
/* Saves EFLAGS to memory if their value has further use; they are unchanged unless they came from ucomis. */
void flags_save(struct emit *e);
/* Makes the CPU structure's flags those of the guest. */
void flags_flush(struct emit *e);
/* The home's value is unknown from now on; that of before stays readable. */
void flags_forget_home(struct emit *e);
/* Before an access that may fault, if a fault's flags will matter: sees to it that they are in the home, or
 * in EFLAGS and the fault handler knows. */
void flags_before_fault(struct emit *e);
/* The same for an operation whose code changes EFLAGS; before it takes registers. */
void flags_before_atomic(struct emit *e);
/* True if the guest's flags are in EFLAGS and not in their home. */
bool flags_in_eflags(const struct emit *e);
/* True if the guest's flags are in EFLAGS only and a COND of them can be tested as it stands. */
bool flags_testable(struct emit *e, ir_value condition);
/* Code that stores the guest's flags from EFLAGS; changes rax and rcx. Changes nothing in *e. */
void flags_store(struct emit *e, struct mem home, enum flags_kind kind);
/* Makes CF the carry of f (or its inverse). */
void flags_load_carry(struct emit *e, ir_value f, bool inverted);
/* Makes EFLAGS f, with CF the inverse of C. */
void flags_load(struct emit *e, ir_value f);
struct mem flags_home(const struct emit *e);
/* Emits the test of BOOL value v. */
struct condition flags_condition(struct emit *e, ir_value v);

/* -- emit_part.c ------------------------------------------------------------------------------- */

/* Whether the FLAGS operand c of the instruction matters, given who reads its result. */
bool emit_takes_flags(const struct emit *e, const struct ir_insn *insn, ir_value v);
/* Which of its FLAGS operand's bits it reads: VALUE_CARRY_READ, VALUE_OTHERS_READ. */
unsigned emit_flags_read(const struct emit *e, const struct ir_insn *insn, ir_value v);

/* -- emit_exit.c ------------------------------------------------------------------------------- */

/* What a guarded region begins with: to wherever the jump cache says that the code for its address is. */
void emit_guard(struct emit *e);

/* Jumps to a routine that comes back to the next instruction by way of cpu->helper_return; changes rcx. */
void emit_call_routine(struct emit *e, enum host_routine routine);
/* Of HOST_MEMORY or HOST_REACH, in cold code: `what` is size, kind and tlb of cpu->access, as they follow
 * each other there, pc the guest's instruction. No register changes. */
void emit_call_memory(struct emit *e, enum host_routine routine, uint32_t what, uint64_t pc);
#define MEMORY_CALL_WHAT 12 /* bytes before the place that the call returns to, */
#define MEMORY_CALL_PC   8  /* likewise */
/* In cold code, with the guest's state as before the instruction at pc: goes on there without REACHes. */
void emit_careful_exit(struct emit *e, uint64_t pc);
/* Before a routine is called from cold code: it takes rax and rcx from there. */
void emit_save_rax_rcx(struct emit *e);

/* -- emitters ---------------------------------------------------------------------------------- */

#define EMITTER(name) void emit_op_##name(struct emit *e, const struct ir_insn *insn, ir_value v)

/* clang-format off */
#define CORE_OPERATIONS(X) \
    X(GET_FLAGS, get_flags) X(SET_FLAGS, set_flags) X(ADD, add) X(SUB, sub) X(MUL, mul) \
    X(UMULH, umulh) X(SMULH, smulh) X(UDIV, udiv) X(SDIV, sdiv) X(AND, and) X(OR, or) X(XOR, xor) \
    X(ANDN, andn) X(ORN, orn) X(XORN, xorn) X(NOT, not) X(NEG, neg) X(SHL, shl) X(SHR, shr) \
    X(ADDRESS, address) X(SAR, sar) X(ROR, ror) X(EXTR, extr) X(CLZ, clz) X(CTZ, ctz) X(RBIT, rbit) X(BSWAP, bswap) \
    X(UBFX, ubfx) X(SBFX, sbfx) X(BFI, bfi) X(TRUNC, trunc) X(ZEXT, zext) X(SEXT, sext) X(ADC, adc) \
    X(SBC, sbc) X(CRC32, crc32) X(SELECT, select) X(FLAGS_OF, flags_of) X(FLAGS_FCMP, flags_fcmp) \
    X(FLAGS_SELECT, flags_select) X(FLAGS_CONST, flags_const) X(FLAGS_PACK, flags_pack) \
    X(FLAGS_UNPACK, flags_unpack) X(REACH, reach) X(LOAD, load) X(STORE, store) X(ATOMIC, atomic) X(CAS, cas) \
    X(LOAD_EXCL, load_excl) X(STORE_EXCL, store_excl) X(CLEAR_EXCL, clear_excl) X(FENCE, fence) \
    X(CALL, call) X(EXIT_IF, exit_if) X(GOTO, goto) X(GOTO_REG, goto_reg) X(CALL_GUEST, call_guest) \
    X(CALL_REG, call_reg) X(RETURN, return) X(RAISE, raise) X(RAISE_IF, raise_if) \
    X(PART_ADD, part_add) X(PART_SUB, part_sub) X(PART_ADC, part_adc) X(PART_SBB, part_sbb) \
    X(PART_AND, part_and) X(PART_OR, part_or) X(PART_XOR, part_xor) X(PART_INC, part_inc) \
    X(PART_DEC, part_dec) X(PART_SHL, part_shl) X(PART_SHR, part_shr) X(PART_SAR, part_sar) \
    X(PART_ROL, part_rol) X(PART_ROR, part_ror) X(PART_RCL, part_rcl) X(PART_RCR, part_rcr) \
    X(PART_MUL, part_mul) X(UDIV_WIDE, udiv_wide) X(UREM_WIDE, urem_wide) X(SDIV_WIDE, sdiv_wide) \
    X(SREM_WIDE, srem_wide) X(FLAGS_BIT, flags_bit) X(FLAGS_UCOM, flags_ucom) \
    X(STRING_COPY, string_copy) X(STRING_FILL, string_fill) \
    X(X87_ENTER, x87_enter) X(X87, x87) X(X87_IF, x87_if) X(X87_FLAGS, x87_flags) X(X87_LOAD, x87_load) \
    X(X87_STORE, x87_store) X(X87_STORE_HIGH, x87_store_high) X(X87_STATUS, x87_status) \
    X(X87_CONTROL, x87_control) X(MMX_ENTER, mmx_enter) X(MMX, mmx) X(MMX_LOAD, mmx_load) \
    X(MMX_FROM_INT, mmx_from_int) X(MMX_TO_INT, mmx_to_int)
/* clang-format on */

#define DECLARE(op, name) EMITTER(name);
CORE_OPERATIONS(DECLARE)
#undef DECLARE

#endif
