/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_x87: instructions of the x87, which the host's executes (ir/x87.h), while all exceptions are masked.
 */
#include "arch/x86/x87_format.h"
#include "translator/guest/x86/lift.h"
#include "translator/ir/x87.h"

enum {
    CONTROL_INIT = 0x37f,
    CONTROL_KEPT = 0x1f3f, /* of the control word; bit 6 is always one */
    CONTROL_ONE = 0x40,
    EXCEPTIONS = 0x3f,
};

static ir_value x87(struct x86_lift *l, enum ir_op op, enum ir_type type, ir_value a, ir_value b,
                    uint64_t imm)
{
    return ir_emit(l->ir, op, type, 0, a, b, IR_NONE, imm, 0);
}

/* The guest's registers are in the host's unit from here to the region's end. */
static void enter(struct x86_lift *l)
{
    if (l->x87 != IR_X87_LIVE)
        x87(l, IR_X87_ENTER, IR_VOID, IR_NONE, IR_NONE, 0);
    l->x87 = IR_X87_LIVE;
}

/* -- the control word and the status word -------------------------------------------------------------- */

/* The control word is the low 16 bits of this register. */
static ir_value get_control(struct x86_lift *l)
{
    return ir_ubfx(l->ir, ir_get(l->ir, X86_REGISTER_X87, IR_I64), 0, 16);
}

static void set_control(struct x86_lift *l, ir_value v)
{
    ir_set(l->ir, X86_REGISTER_X87, ir_bfi(l->ir, ir_get(l->ir, X86_REGISTER_X87, IR_I64), v, 0, 16));
}

/* FLDCW. An exception that is not masked belongs to the mode: the owner's. */
static void load_control(struct x86_lift *l)
{
    ir_value v = x86_load(l, IR_I64, 1, x86_operand_address(l)), all = ir_const(l->ir, IR_I64, EXCEPTIONS);
    x86_raise_if(l, ir_cmp(l->ir, IR_NE, ir_binary_imm(l->ir, IR_AND, v, EXCEPTIONS), all),
                 TRANSLATOR_EMULATE, l->insn.length);
    v = ir_binary_imm(l->ir, IR_AND, v, CONTROL_KEPT);
    v = ir_binary_imm(l->ir, IR_OR, v, CONTROL_ONE);
    enter(l);
    set_control(l, v);
    x87(l, IR_X87_CONTROL, IR_VOID, v, IR_NONE, 0);
}

/* None is pending. */
static ir_value status(struct x86_lift *l)
{
    enter(l);
    return x87(l, IR_X87_STATUS, IR_I64, IR_NONE, IR_NONE, 0);
}

/* -- registers only ------------------------------------------------------------------------------------ */

/* FCOMI, FUCOMI and those that pop */
static bool sets_flags(unsigned code)
{
    const unsigned opcode = code >> 8, modrm = code & 255;
    return (opcode == 0xdb || opcode == 0xdf) && modrm >= 0xe8 && modrm < 0xf8;
}

/* FCMOV */
static bool depends_on_flags(unsigned code)
{
    const unsigned opcode = code >> 8, modrm = code & 255;
    return (opcode == 0xda || opcode == 0xdb) && modrm < 0xe0;
}

static bool lift_register_form(struct x86_lift *l)
{
    const unsigned code = x87_code(&l->insn);

    if (!x87_has_register_form(&l->insn))
        return false;
    if (code == X87_FNSTSW_AX) {
        x86_write_named(l, X86_RAX, 1, status(l));
        return true;
    }
    enter(l);
    if (sets_flags(code)) {
        ir_set_flags(l->ir, x87(l, IR_X87_FLAGS, IR_FLAGS, IR_NONE, IR_NONE, code));
        return true;
    }
    if (depends_on_flags(code)) {
        x87(l, IR_X87_IF, IR_VOID, ir_get_flags(l->ir), IR_NONE, code);
        return true;
    }
    if (code == X87_FNINIT)
        set_control(l, ir_const(l->ir, IR_I64, CONTROL_INIT));
    x87(l, IR_X87, IR_VOID, IR_NONE, IR_NONE, code);
    return true;
}

/* -- with an operand in memory ------------------------------------------------------------------------- */

static struct x86_address beyond(struct x86_address address, unsigned bytes)
{
    address.disp += bytes;
    return address;
}

static void lift_load(struct x86_lift *l, unsigned access, struct x86_address address)
{
    ir_value low = x86_load(l, IR_I64, access == X87_LOAD_80 ? 3 : access - X87_LOAD_16 + 1, address),
             high = IR_NONE;
    if (access == X87_LOAD_80)
        high = x86_load(l, IR_I64, 1, beyond(address, 8));
    enter(l);
    x87(l, IR_X87_LOAD, IR_VOID, low, high, x87_code(&l->insn));
}

/* FST, FIST: the form of the instruction that does not pop. 0: there is none. */
static unsigned form_without_pop(unsigned code)
{
    const unsigned reg = code >> 3 & 7;
    const bool has_one = code >> 8 != 0xdf || reg <= 3;
    return reg == 2 ? code : reg == 3 && has_one ? (code & ~0x38u) | 2 << 3 : 0;
}

/* What is popped goes only when the value is in memory: a fault finds the stack as it was. */
static void lift_store(struct x86_lift *l, unsigned access, struct x86_address address)
{
    const unsigned code = x87_code(&l->insn), plain = form_without_pop(code);
    enter(l);
    ir_value low =
        x87(l, IR_X87_STORE, IR_I64, IR_NONE, IR_NONE, plain ? plain : (uint64_t)code | IR_X87_KEEP);
    if (access == X87_STORE_80) {
        ir_value high = x87(l, IR_X87_STORE_HIGH, IR_I64, IR_NONE, IR_NONE, 0);
        x86_store(l, 1, beyond(address, 8), high);
    }
    x86_store(l, access == X87_STORE_80 ? 3 : access - X87_STORE_16 + 1, address, low);
    if (plain != code)
        x87(l, IR_X87_STORE, IR_I64, IR_NONE, IR_NONE, code);
}

bool x86_lift_x87(struct x86_lift *l)
{
    if (!l->insn.memory)
        return lift_register_form(l);

    const enum x87_access access = x87_access_of(&l->insn);
    switch (access) {
    case X87_UNDEFINED: return false;
    case X87_ENVIRONMENT: return x86_lift_emulate(l);
    case X87_LOAD_CONTROL: load_control(l); return true;
    case X87_STORE_CONTROL: x86_store(l, 1, x86_operand_address(l), get_control(l)); return true;
    case X87_STORE_STATUS: x86_store(l, 1, x86_operand_address(l), status(l)); return true;
    default: break;
    }
    if (access < X87_STORE_16)
        lift_load(l, access, x86_operand_address(l));
    else
        lift_store(l, access, x86_operand_address(l));
    return true;
}
