/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit_x86_vector: x86's vector instructions as themselves, in their VEX form. That of 128 bits clears the
 * upper half of the 256-bit register, of which generated code makes no use. SHA has none.
 */
#include "translator/host/x86_64/emit_core.h"
#include "translator/host/x86_64/emit_vector.h"
#include "translator/ir/x86_vector.h"

enum { VPCMPESTRM = VEX(3, 1, 0, 0x60), VPCMPESTRI, VPCMPISTRM, VPCMPISTRI };

static uint32_t row_op(const struct x86_vector_info *row)
{
    return VEX((unsigned)row->map, (unsigned)row->prefix, 0, row->opcode) | (uint32_t)row->digit << 20;
}

/* -- the implied xmm0, a temporary -------------------------------------------------------------------------
 */

/* After operands and result: makes it writable. True: its value waits in the CPU structure. */
static bool borrow_xmm0(struct emit *e)
{
    unsigned place = PLACE_XMM;
    if (!((e->locked | e->scratch) >> place & 1) && !e->places[place].refs) {
        allocate_forget(e, place);
        e->scratch |= 1u << place;
        return false;
    }
    vex_rm(e, V_MOVUPS_STORE, 0, rm_mem(emit_cpu(e, CPU_EVAL_RESULT)));
    return true;
}

static void return_xmm0(struct emit *e, bool borrowed)
{
    if (borrowed)
        vex_rm(e, V_MOVUPS_LOAD, 0, rm_mem(emit_cpu(e, CPU_EVAL_RESULT)));
}

/* d = d OP s, without VEX */
static void emit_legacy(struct emit *e, const struct x86_vector_info *row, unsigned d, unsigned s)
{
    unsigned rex = 0x40 | d >> 3 << 2 | s >> 3;
    if (rex != 0x40)
        asm_byte(e->a, rex);
    asm_byte(e->a, 0x0f);
    asm_byte(e->a, row->map == 2 ? 0x38 : 0x3a);
    asm_byte(e->a, row->opcode);
    asm_byte(e->a, 0xc0 | (d & 7) << 3 | (s & 7));
}

static void emit_with_xmm0(struct emit *e, const struct ir_insn *insn, const struct x86_vector_info *row,
                           ir_value v)
{
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b), c = emit_use_xmm(e, insn->c);
    unsigned d = emit_def_xmm(e, v);
    if (d == 0) { /* then no operand is there */
        unsigned t = emit_tmp_xmm(e);
        vex_move(e, t, a);
        vex_move(e, 0, c);
        emit_legacy(e, row, t, b);
        vex_move(e, 0, t);
        return;
    }
    vex_move(e, d, a);
    unsigned source = b;
    if (b == 0) {
        source = emit_tmp_xmm(e);
        vex_move(e, source, b);
    }
    bool borrowed = borrow_xmm0(e);
    vex_move(e, 0, c);
    emit_legacy(e, row, d, source);
    return_xmm0(e, borrowed);
}

/* -- strings --------------------------------------------------------------------------------------------- */

/* eax and edx from the two halves of `lengths`; changes the flags. */
static void load_lengths(struct emit *e, unsigned lengths)
{
    asm_mov(e->a, true, RAX, lengths);
    asm_mov(e->a, true, RDX, RAX);
    asm_shift(e->a, SHIFT_SHR, true, rm_reg(RDX), 32);
}

static void emit_mask(struct emit *e, const struct ir_insn *insn, const struct x86_vector_info *row,
                      ir_value v)
{
    bool given = row->shape == X86_SHAPE_MASK_OF;
    if (given) {
        emit_take_gpr(e, RAX);
        emit_take_gpr(e, RDX);
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a), b = emit_use_xmm(e, insn->b);
    if (given) {
        vex_rm(e, V_MOVQ_TO_GPR, emit_use_xmm(e, insn->c), rm_reg(RAX));
        load_lengths(e, RAX);
    }
    unsigned d = emit_def_xmm(e, v);
    bool borrowed = d && borrow_xmm0(e);
    asm_vex_imm(e->a, row_op(row), a, 0, rm_reg(b), (uint8_t)insn->imm);
    vex_move(e, d, 0);
    return_xmm0(e, borrowed);
}

/* ecx = the index, with the flags. */
static void emit_string(struct emit *e, const struct ir_insn *insn, const struct x86_vector_info *row)
{
    bool given = row->shape == X86_SHAPE_MASK_OF || row->shape == X86_SHAPE_INDEX_OF;
    emit_take_gpr(e, RCX);
    if (given) {
        emit_take_gpr(e, RAX);
        emit_take_gpr(e, RDX);
    }
    emit_clobber_flags(e);
    unsigned a = emit_use_xmm(e, insn->a);
    struct rm b = emit_use_xmm_rm(e, insn->b);
    if (given)
        load_lengths(e, emit_use_gpr(e, insn->c));
    asm_vex_imm(e->a, given ? VPCMPESTRI : VPCMPISTRI, a, 0, b, (uint8_t)insn->imm);
}

/* -- operations ------------------------------------------------------------------------------------------ */

void emit_x86_vector(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    const struct x86_vector_info *row = &x86_vector_info[insn->aux];
    const uint32_t op = row_op(row);
    const uint8_t imm = (uint8_t)insn->imm;
    unsigned a, d;
    struct rm b;

    switch (row->shape) {
    case X86_SHAPE_RM:
        b = emit_use_xmm_rm(e, insn->a);
        vex_rm(e, op, emit_def_xmm_last(e, v), b);
        break;
    case X86_SHAPE_RMI:
        b = emit_use_xmm_rm(e, insn->a);
        vex_rmi(e, op, emit_def_xmm_last(e, v), b, imm);
        break;
    case X86_SHAPE_RVM:
        a = emit_use_xmm(e, insn->a);
        b = emit_use_xmm_rm(e, insn->b);
        vex_rrm(e, op, emit_def_xmm_last(e, v), a, b);
        break;
    case X86_SHAPE_RVMI:
        a = emit_use_xmm(e, insn->a);
        /* INSERTPS of memory ignores which element it is to take. */
        b = insn->aux == X86V_INSERTPS ? rm_reg(emit_use_xmm(e, insn->b)) : emit_use_xmm_rm(e, insn->b);
        vex_rrmi(e, op, emit_def_xmm_last(e, v), a, b, imm);
        break;
    case X86_SHAPE_RVMR:
        a = emit_use_xmm(e, insn->a);
        d = emit_use_xmm(e, insn->c);
        b = emit_use_xmm_rm(e, insn->b);
        asm_vex_imm(e->a, op, emit_def_xmm_last(e, v), a, b, (uint8_t)(d << 4));
        break;
    case X86_SHAPE_SHIFT:
        a = emit_use_xmm(e, insn->a);
        vex_shift(e, op, emit_def_xmm_last(e, v), a, imm);
        break;
    case X86_SHAPE_LEGACY:
    case X86_SHAPE_LEGACY_I:
        a = emit_use_xmm(e, insn->a);
        d = emit_use_xmm(e, insn->b);
        b = rm_reg(emit_def_xmm(e, v));
        vex_move(e, b.reg, a);
        emit_legacy(e, row, b.reg, d);
        if (row->shape == X86_SHAPE_LEGACY_I)
            asm_byte(e->a, imm);
        break;
    case X86_SHAPE_LEGACY_XMM0: emit_with_xmm0(e, insn, row, v); break;
    default: emit_mask(e, insn, row, v); break;
    }
}

void emit_x86_vector_to_int(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    const struct x86_vector_info *row = &x86_vector_info[insn->aux];
    const bool converts = insn->op == IR_X86VF_TO_INT, wide = insn->type == IR_I64;

    if (row->shape != X86_SHAPE_TO_INT) {
        emit_string(e, insn, row);
        emit_def_in_gpr(e, v, RCX);
        emit_set_upper_zero(e, v);
        return;
    }
    unsigned a = emit_use_xmm(e, insn->a);
    asm_vex(e->a, row_op(row) | (converts && wide ? VEX_W1 : 0), emit_def_gpr(e, v), 0, rm_reg(a));
    if (!converts || !wide)
        emit_set_upper_zero(e, v);
}

void emit_x86_vector_from_int(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    const uint32_t op = row_op(&x86_vector_info[insn->aux]) | (insn->b_type == IR_I64 ? VEX_W1 : 0);
    unsigned a = emit_use_xmm(e, insn->a);
    struct rm b = emit_use_rm(e, insn->b);
    vex_rrm(e, op, emit_def_xmm_last(e, v), a, b);
}

void emit_x86_vector_flags(struct emit *e, const struct ir_insn *insn, ir_value v)
{
    const struct x86_vector_info *row = &x86_vector_info[insn->aux];
    if (row->shape == X86_SHAPE_TEST) {
        emit_clobber_flags(e);
        unsigned a = emit_use_xmm(e, insn->a);
        vex_rm(e, row_op(row), a, emit_use_xmm_rm(e, insn->b));
    } else {
        emit_string(e, insn, row);
    }
    flags_define(e, v, FLAGS_BORROW);
}
