/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_core: registers, addresses, the stack and conditions, for all lifting functions. */
#include "translator/guest/x86/lift.h"

/* -- registers ----------------------------------------------------------------------------------------- */

struct x86_place x86_place_reg_of(struct x86_lift *l, unsigned n, unsigned size)
{
    const bool high = size == 0 && !l->insn.rex && n >= 4;
    return (struct x86_place){.high = high, .size = (uint8_t)size, .reg = (uint8_t)(high ? n - 4 : n)};
}

struct x86_place x86_place_rm_of(struct x86_lift *l, unsigned size)
{
    if (!l->insn.memory)
        return x86_place_reg_of(l, l->insn.rm, size);
    return (struct x86_place){.memory = true, .size = (uint8_t)size, .address = x86_operand_address(l)};
}

ir_value x86_read(struct x86_lift *l, const struct x86_place *from)
{
    if (from->memory)
        return x86_load(l, x86_type(from->size), from->size, from->address);
    if (from->high)
        return ir_ubfx(l->ir, x86_gpr(l, from->reg), 8, 8);
    return x86_read_named(l, from->reg, from->size);
}

void x86_write(struct x86_lift *l, const struct x86_place *to, ir_value v)
{
    if (to->memory)
        x86_store(l, to->size, to->address, v);
    else if (to->high)
        x86_set_gpr(l, to->reg, ir_bfi(l->ir, x86_gpr(l, to->reg), v, 8, 8));
    else
        x86_write_named(l, to->reg, to->size, v);
}

void x86_write_merged(struct x86_lift *l, const struct x86_place *to, ir_value v)
{
    if (to->memory || to->high)
        x86_write(l, to, v);
    else
        x86_set_gpr(l, to->reg, x86_convert(l, v, IR_I64));
}

/* -- memory -------------------------------------------------------------------------------------------- */

static bool has_base(const struct x86_lift *l, enum x86_segment segment)
{
    return segment >= X86_FS || l->mode & X86_MODE_SEGMENTED;
}

/* Linear addresses of 32-bit code have 32 bits. */
static ir_value add_base(struct x86_lift *l, enum x86_segment segment, ir_value offset)
{
    ir_value base = ir_get(l->ir, X86_REGISTER_BASE + segment, IR_I64);
    ir_value sum = ir_binary(l->ir, IR_ADD, base, offset);
    return l->insn.code == X86_CODE_64 ? sum : ir_zext(l->ir, ir_trunc(l->ir, sum));
}

struct x86_address x86_segment_address(struct x86_lift *l, enum x86_segment segment, ir_value offset)
{
    return (struct x86_address){
        .base = has_base(l, segment) ? add_base(l, segment, offset) : offset,
        .offset = x86_is_checked(l, segment) ? offset : IR_NONE,
        .segment = (uint8_t)segment,
    };
}

struct x86_address x86_wrapping_address(struct x86_lift *l, enum x86_segment segment, ir_value offset)
{
    if (x86_is_checked(l, segment))
        return x86_segment_address(l, segment, ir_ubfx(l->ir, offset, 0, 32));
    if (has_base(l, segment)) {
        ir_value base = ir_get(l->ir, X86_REGISTER_BASE + segment, IR_I64);
        offset = ir_binary(l->ir, IR_ADD, base, offset);
    }
    return (struct x86_address){.base = offset, .wraps = true};
}

/* The base register in the type of the address size. */
static ir_value base_value(struct x86_lift *l, enum ir_type type)
{
    if (l->insn.base == X86_NO_REGISTER)
        return ir_const(l->ir, type, 0);
    return x86_convert(l, x86_gpr(l, l->insn.base), type);
}

ir_value x86_lift_offset(struct x86_lift *l, uint64_t added)
{
    const struct x86_insn *insn = &l->insn;
    const enum ir_type type = insn->address_size == 3 ? IR_I64 : IR_I32;

    if (insn->base == X86_BASE_RIP)
        return ir_address(l->ir, type, l->next + insn->disp + added);
    ir_value v = base_value(l, type);
    if (insn->index != X86_NO_REGISTER) {
        ir_value index = x86_convert(l, x86_gpr(l, insn->index), type);
        v = ir_binary(l->ir, IR_ADD, v, ir_binary_imm(l->ir, IR_SHL, index, insn->scale));
    }
    v = ir_binary_imm(l->ir, IR_ADD, v, (uint64_t)insn->disp + added);
    return insn->address_size == 1 ? ir_ubfx(l->ir, v, 0, 16) : v;
}

/* 32-bit addresses of 32-bit code: nothing is added here. */
static struct x86_address wrapping_operand(struct x86_lift *l)
{
    const struct x86_insn *insn = &l->insn;
    struct x86_address address = {.wraps = true};

    if (insn->base != X86_NO_REGISTER) {
        address = x86_wrapping_address(l, (enum x86_segment)insn->segment, x86_gpr(l, insn->base));
    } else if (has_base(l, (enum x86_segment)insn->segment)) {
        address.base = ir_get(l->ir, X86_REGISTER_BASE + insn->segment, IR_I64);
    } else if (insn->index == X86_NO_REGISTER) {
        return (struct x86_address){.base = ir_const(l->ir, IR_I64, (uint32_t)insn->disp)};
    } else {
        address.base = ir_const(l->ir, IR_I64, 0);
    }
    if (insn->index != X86_NO_REGISTER)
        address.index = x86_gpr(l, insn->index);
    address.scale = insn->scale;
    address.disp = (uint64_t)(int64_t)(int32_t)insn->disp;
    return address;
}

struct x86_address x86_operand_address(struct x86_lift *l)
{
    const struct x86_insn *insn = &l->insn;

    if (insn->address_size == 2 && insn->code != X86_CODE_64 &&
        !x86_is_checked(l, (enum x86_segment)insn->segment))
        return wrapping_operand(l);
    if (insn->address_size < 3)
        return x86_segment_address(l, (enum x86_segment)insn->segment, ir_zext(l->ir, x86_lift_offset(l, 0)));

    struct x86_address address = {.scale = insn->scale, .disp = (uint64_t)insn->disp};
    if (insn->base == X86_BASE_RIP) {
        address.base = ir_address(l->ir, IR_I64, l->next + insn->disp);
        address.disp = 0;
    } else if (insn->base == X86_NO_REGISTER && insn->index == X86_NO_REGISTER) {
        address.base = ir_const(l->ir, IR_I64, insn->disp);
        address.disp = 0;
    } else {
        address.base = base_value(l, IR_I64);
    }
    if (insn->index != X86_NO_REGISTER)
        address.index = x86_gpr(l, insn->index);
    if (has_base(l, (enum x86_segment)insn->segment))
        address.base = add_base(l, (enum x86_segment)insn->segment, address.base);
    return address;
}

ir_value x86_address_value(struct x86_lift *l, struct x86_address address)
{
    ir_value v = address.base;
    if (address.index)
        v = ir_binary(l->ir, IR_ADD, v, ir_binary_imm(l->ir, IR_SHL, address.index, address.scale));
    v = ir_binary_imm(l->ir, IR_ADD, v, address.disp);
    return address.wraps ? ir_zext(l->ir, ir_trunc(l->ir, v)) : v;
}

static unsigned memory_bits(const struct x86_address *address)
{
    return address->scale << IR_MEM_SCALE_SHIFT | (address->wraps ? IR_MEM_WRAPS : 0);
}

ir_value x86_update_address(struct x86_lift *l, unsigned mem, struct x86_address address)
{
    x86_check_access(l, &address, mem, true);
    return x86_address_value(l, address);
}

ir_value x86_load(struct x86_lift *l, enum ir_type type, unsigned mem, struct x86_address address)
{
    x86_check_access(l, &address, mem, false);
    mem |= memory_bits(&address);
    ir_value reach = ir_reach(l->ir, mem, false, address.base, address.index, &address.disp);
    if (reach)
        return ir_emit(l->ir, IR_LOAD, type, (mem & ~IR_MEM_SCALE) | IR_MEM_REACHED, reach, IR_NONE, IR_NONE,
                       address.disp, 0);
    return ir_emit(l->ir, IR_LOAD, type, mem, address.base, address.index, IR_NONE, address.disp, 0);
}

void x86_store(struct x86_lift *l, unsigned mem, struct x86_address address, ir_value v)
{
    const enum ir_type type = ir_type_of(l->ir, v);
    x86_check_access(l, &address, mem, true);
    mem |= memory_bits(&address);
    ir_value reach = ir_reach(l->ir, mem, true, address.base, address.index, &address.disp);
    if (reach)
        ir_emit(l->ir, IR_STORE, type, (mem & ~IR_MEM_SCALE) | IR_MEM_REACHED, reach, IR_NONE, v,
                address.disp, 0);
    else
        ir_emit(l->ir, IR_STORE, type, mem, address.base, address.index, v, address.disp, 0);
}

/* -- the stack ----------------------------------------------------------------------------------------- */

/* As the stack's address size has it, zero-extended: I64. */
ir_value x86_stack_moved(struct x86_lift *l, int64_t offset)
{
    ir_value sp = x86_gpr(l, X86_RSP);
    if (l->insn.code == X86_CODE_64)
        return ir_binary_imm(l->ir, IR_ADD, sp, (uint64_t)offset);
    ir_value moved = ir_binary_imm(l->ir, IR_ADD, ir_trunc(l->ir, sp), (uint64_t)offset);
    if (l->mode & X86_MODE_STACK16)
        moved = ir_ubfx(l->ir, moved, 0, 16);
    return ir_zext(l->ir, moved);
}

struct x86_address x86_stack_address(struct x86_lift *l, int64_t offset)
{
    if (l->insn.code == X86_CODE_64)
        return (struct x86_address){.base = x86_gpr(l, X86_RSP), .disp = (uint64_t)offset};
    if (l->mode & X86_MODE_STACK16 || x86_is_checked(l, X86_SS))
        return x86_segment_address(l, X86_SS, x86_stack_moved(l, offset));
    struct x86_address address = x86_wrapping_address(l, X86_SS, x86_gpr(l, X86_RSP));
    address.disp = (uint64_t)offset;
    return address;
}

void x86_set_stack(struct x86_lift *l, ir_value moved)
{
    x86_write_named(l, X86_RSP, l->insn.code == X86_CODE_64 ? 3 : l->mode & X86_MODE_STACK16 ? 1 : 2, moved);
}

void x86_push(struct x86_lift *l, unsigned size, ir_value v)
{
    const int64_t bytes = 1 << size;
    x86_store(l, size, x86_stack_address(l, -bytes), v);
    x86_set_stack(l, x86_stack_moved(l, -bytes));
}

/* -- conditions and flags ------------------------------------------------------------------------------ */

ir_value x86_condition(struct x86_lift *l, unsigned code)
{
    static const uint8_t conditions[] = {IR_VS, IR_VC, IR_ULT, IR_UGE, IR_EQ,  IR_NE,  IR_ULE, IR_UGT,
                                         IR_MI, IR_PL, IR_PE,  IR_PO,  IR_SLT, IR_SGE, IR_SLE, IR_SGT};
    return ir_cond(l->ir, ir_get_flags(l->ir), (enum ir_cond)conditions[code & 15]);
}

/* NZCV_* has all flags but OF where LAHF puts them in AH. */
ir_value x86_eflags_pack(struct x86_lift *l)
{
    ir_value packed = ir_emit(l->ir, IR_FLAGS_PACK, IR_I32, 0, ir_get_flags(l->ir), IR_NONE, IR_NONE, 0, 0);
    ir_value low = ir_binary_imm(l->ir, IR_OR, ir_ubfx(l->ir, packed, 8, 8), X86_EFLAGS_ONE);
    ir_value v = ir_zext(l->ir, ir_bfi(l->ir, low, packed, 11, 1)); /* OF */
    ir_value df = ir_ubfx(l->ir, ir_get(l->ir, X86_REGISTER_DF, IR_I64), 63, 1);
    v = ir_bfi(l->ir, v, df, 10, 1);
    return ir_binary(l->ir, IR_OR, v, ir_get(l->ir, X86_REGISTER_EFLAGS, IR_I64));
}

ir_value x86_ip_of(struct x86_lift *l, uint64_t linear)
{
    ir_value ip = ir_address(l->ir, IR_I64, linear);
    if (has_base(l, X86_CS) && l->insn.code != X86_CODE_64)
        ip = ir_binary(l->ir, IR_SUB, ip, ir_get(l->ir, X86_REGISTER_BASE + X86_CS, IR_I64));
    return ip;
}
