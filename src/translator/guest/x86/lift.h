/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift: what the lifting functions of the x86 guest share. Private to this folder.
 *
 * A row of opcodes.def or sse.def names a function `bool x86_lift_NAME(struct x86_lift *l)`, which appends
 * the IR of l->insn to l->ir and returns true. False means that the encoding is not an instruction:
 * undefined; then it has appended nothing. l->insn.row->argument is its own.
 * x86_lift_emulate() leaves the region for the owner's C code, with TRANSLATOR_EMULATE.
 *
 * Integers of 4 bytes are I32, all others I64, of which bytes and 16-bit words are the low part and the rest
 * is anything, unless a function says "zero-extended".
 */
#ifndef VISOR_TRANSLATOR_GUEST_X86_LIFT_H
#define VISOR_TRANSLATOR_GUEST_X86_LIFT_H

#include "arch/x86/decode.h"
#include "translator/guest/x86/x86.h"

struct x86_lift {
    struct ir_region *ir;
    uint64_t pc;   /* of the instruction being lifted, linear */
    uint64_t next; /* of the one behind it */
    struct x86_insn insn;
    unsigned mode; /* X86_MODE_* */
    unsigned x87;  /* IR_X87_*: what is known of the x87's registers here */
    bool ended;    /* set by a function that appended a terminator */
    bool last;     /* the region ends behind this instruction */
};

/* Arguments of rows. */
enum {
    X86_FLAGS_ONLY = 1 << 15, /* CMP, TEST: the result is thrown away; with an IR operation */
    X86_SHIFT_ONE = 0,
    X86_SHIFT_IMM = 1,
    X86_SHIFT_CL = 2,
    X86_CARRY_CLEAR = 0,
    X86_CARRY_SET = 1,
    X86_CARRY_INVERT = 2,
    X86_BIT_TEST = 0, /* as in group 8, less 4 */
    X86_BIT_SET = 1,
    X86_BIT_RESET = 2,
    X86_BIT_INVERT = 3,
    X86_MOVX_SIGNED = 1 << 8,
};

/* All of the functions. */
#define OP(map, prefix, first, last, flags, function, argument) bool x86_lift_##function(struct x86_lift *l);
#include "translator/guest/x86/opcodes.def"
#include "translator/guest/x86/sse.def"
#undef OP
bool x86_lift_emulate(struct x86_lift *l);
bool x86_lift_pause(struct x86_lift *l);

extern const struct x86_opcodes x86_lift_opcodes;

/* -- leaving ------------------------------------------------------------------------------------------- */

/* Leaves the region with an exception; pc is the address that the guest sees in it. */
static inline void x86_raise(struct x86_lift *l, enum translator_exit exit, uint64_t payload, uint64_t pc)
{
    ir_emit(l->ir, IR_RAISE, IR_VOID, exit, IR_NONE, IR_NONE, IR_NONE, payload, pc);
    l->ended = true;
}

/* The same, of this instruction, if a condition holds; before the instruction's first SET. */
static inline void x86_raise_if(struct x86_lift *l, ir_value condition, enum translator_exit exit,
                                uint64_t payload)
{
    ir_emit(l->ir, IR_RAISE_IF, IR_VOID, exit, condition, IR_NONE, IR_NONE, payload, l->pc);
}

/* -- sizes --------------------------------------------------------------------------------------------- */

static inline enum ir_type x86_type(unsigned size)
{
    return size == 2 ? IR_I32 : IR_I64;
}

/* A value as another type: truncated, or zero-extended from I32. */
static inline ir_value x86_convert(struct x86_lift *l, ir_value v, enum ir_type type)
{
    enum ir_type from = ir_type_of(l->ir, v);
    if (from == type)
        return v;
    return type == IR_I64 ? ir_zext(l->ir, v) : ir_trunc(l->ir, v);
}

/* The low 2^size bytes zero-extended, in v's type. */
static inline ir_value x86_zero_extend(struct x86_lift *l, ir_value v, unsigned size)
{
    return size >= 2 ? v : ir_ubfx(l->ir, v, 0, 8u << size);
}

static inline ir_value x86_sign_extend(struct x86_lift *l, ir_value v, unsigned size)
{
    return size >= 2 ? v : ir_sbfx(l->ir, v, 0, 8u << size);
}

/* -- registers ----------------------------------------------------------------------------------------- */

/* All 64 bits. */
static inline ir_value x86_gpr(struct x86_lift *l, unsigned n)
{
    return ir_get(l->ir, X86_REGISTER_GPR + n, IR_I64);
}

static inline void x86_set_gpr(struct x86_lift *l, unsigned n, ir_value v)
{
    ir_set(l->ir, X86_REGISTER_GPR + n, v);
}

/* The accumulator and others by name, never AH. */
static inline ir_value x86_read_named(struct x86_lift *l, unsigned n, unsigned size)
{
    return x86_convert(l, x86_gpr(l, n), x86_type(size));
}

/* Bytes and 16-bit words leave the rest of the register alone, 32 bits clear it: volume 1, 3.4.1.1. */
static inline void x86_write_named(struct x86_lift *l, unsigned n, unsigned size, ir_value v)
{
    v = x86_convert(l, x86_convert(l, v, x86_type(size)), IR_I64);
    x86_set_gpr(l, n, size < 2 ? ir_bfi(l->ir, x86_gpr(l, n), v, 0, 8u << size) : v);
}

/* All 128 bits. */
static inline ir_value x86_read_xmm(struct x86_lift *l, unsigned n)
{
    return ir_get(l->ir, X86_REGISTER_XMM + n, IR_V128);
}

static inline void x86_write_xmm(struct x86_lift *l, unsigned n, ir_value v)
{
    ir_set(l->ir, X86_REGISTER_XMM + n, v);
}

/* -- memory -------------------------------------------------------------------------------------------- */

/* base + (index << scale) + disp, as LOAD and STORE take it. */
struct x86_address {
    ir_value base, index; /* I64; index may be IR_NONE */
    unsigned scale;
    uint64_t disp;
    /* Of what is checked: the offset within a segment, to which `disp` is added, too; else IR_NONE. */
    ir_value offset;
    uint8_t segment;
    bool wraps; /* of all that, 32 bits count */
};

/* Of the instruction's memory operand. */
struct x86_address x86_operand_address(struct x86_lift *l);
/* `offset` (I64) within a segment; without IR where the segment has no base. 32-bit code may give an offset
 * of which 32 bits count, and go on adding to the address, which wraps, if it says so. */
struct x86_address x86_segment_address(struct x86_lift *l, enum x86_segment segment, ir_value offset);
struct x86_address x86_wrapping_address(struct x86_lift *l, enum x86_segment segment, ir_value offset);
/* What LEA yields, in the type of the address size; `added` to the displacement. */
ir_value x86_lift_offset(struct x86_lift *l, uint64_t added);
/* As one value. */
ir_value x86_address_value(struct x86_lift *l, struct x86_address address);
/* The same for ATOMIC and CAS, with the checks of LOAD and STORE. */
ir_value x86_update_address(struct x86_lift *l, unsigned mem, struct x86_address address);

/* Whether accesses by a segment are looked at. */
bool x86_is_checked(const struct x86_lift *l, enum x86_segment segment);
/* Before the access: leaves if it is not allowed, page tables aside. */
void x86_check_access(struct x86_lift *l, const struct x86_address *address, unsigned mem, bool write);

/* `mem`: log2 of the bytes and other enum ir_mem bits; a value wider than the access is zero-extended. */
ir_value x86_load(struct x86_lift *l, enum ir_type type, unsigned mem, struct x86_address address);
void x86_store(struct x86_lift *l, unsigned mem, struct x86_address address, ir_value v);

/* Where an operand is: r/m, or a register. */
struct x86_place {
    bool memory, high; /* high: AH, CH, DH or BH */
    uint8_t size;      /* log2 of the bytes */
    uint8_t reg;
    struct x86_address address;
};

struct x86_place x86_place_rm_of(struct x86_lift *l, unsigned size);
struct x86_place x86_place_reg_of(struct x86_lift *l, unsigned n, unsigned size);

/* Of the operand size. */
static inline struct x86_place x86_place_rm(struct x86_lift *l)
{
    return x86_place_rm_of(l, l->insn.size);
}

static inline struct x86_place x86_place_reg(struct x86_lift *l)
{
    return x86_place_reg_of(l, l->insn.reg, l->insn.size);
}

/* What is read from memory is zero-extended. */
ir_value x86_read(struct x86_lift *l, const struct x86_place *from);
void x86_write(struct x86_lift *l, const struct x86_place *to, ir_value v);
/* What was read from there with its low bytes replaced, as by PART_ADD. */
void x86_write_merged(struct x86_lift *l, const struct x86_place *to, ir_value v);

static inline ir_value x86_read_rm(struct x86_lift *l)
{
    struct x86_place place = x86_place_rm(l);
    return x86_read(l, &place);
}

static inline void x86_write_rm(struct x86_lift *l, ir_value v)
{
    struct x86_place place = x86_place_rm(l);
    x86_write(l, &place, v);
}

/* An immediate operand, of the type of 2^size bytes. */
static inline ir_value x86_immediate(struct x86_lift *l, unsigned size)
{
    return ir_const(l->ir, x86_type(size), l->insn.imm);
}

/* -- the stack ----------------------------------------------------------------------------------------- */

/* The address `offset` bytes from the top, and the stack pointer's new value, to be set after the last
 * access. */
struct x86_address x86_stack_address(struct x86_lift *l, int64_t offset);
ir_value x86_stack_moved(struct x86_lift *l, int64_t offset);
void x86_set_stack(struct x86_lift *l, ir_value moved);
/* All of a push of 2^size bytes, which nothing that may fault may follow. */
void x86_push(struct x86_lift *l, unsigned size, ir_value v);

/* -- conditions ---------------------------------------------------------------------------------------- */

/* The condition in the low four bits of an opcode. */
ir_value x86_condition(struct x86_lift *l, unsigned code);
/* Flags of the computation emitted last. */
static inline ir_value x86_flags_of(struct x86_lift *l, ir_value computation)
{
    return ir_emit(l->ir, IR_FLAGS_OF, IR_FLAGS, IR_FLAGS_X86, computation, IR_NONE, IR_NONE, 0, 0);
}

/* A PART_ operation; `flags` only for those that take some. */
static inline ir_value x86_part(struct x86_lift *l, enum ir_op op, unsigned size, ir_value a, ir_value b,
                                ir_value flags)
{
    return ir_emit(l->ir, op, x86_type(size), size, a, b, flags, 0, 0);
}

/* An I64 of EFLAGS' layout: all of it. */
ir_value x86_eflags_pack(struct x86_lift *l);
void x86_set_eflags_low(struct x86_lift *l, ir_value v);
/* Of group 7 what needs no C code, the rest for the owner. */
bool x86_lift_group7_system(struct x86_lift *l);

/* -- where code is ------------------------------------------------------------------------------------- */

/* What EIP is at a linear address, as pushed by calls: I64. */
ir_value x86_ip_of(struct x86_lift *l, uint64_t linear);
#endif
