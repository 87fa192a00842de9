/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lift_x87: instructions of the x87, each a call of x87.c. Intel SDM volume 2, tables.
 *
 * What writes to memory does so before it executes, so that a fault finds the stack as it was.
 */
#include "translator/guest/x86/lift.h"
#include "translator/guest/x86/x87.h"

/* What the instruction does with its operand in memory; from LOAD_16 and STORE_16 on the size goes up. */
enum access {
    UNDEFINED,
    OWNER, /* environments */
    LOAD_CONTROL,
    STORE_CONTROL,
    STORE_STATUS,
    LOAD_16,
    LOAD_32,
    LOAD_64,
    LOAD_80,
    STORE_16,
    STORE_32,
    STORE_64,
    STORE_80,
};

/* By opcode and reg field */
static const uint8_t accesses[8][8] = {
    {LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32},
    {LOAD_32, UNDEFINED, STORE_32, STORE_32, OWNER, LOAD_CONTROL, OWNER, STORE_CONTROL},
    {LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32, LOAD_32},
    {LOAD_32, STORE_32, STORE_32, STORE_32, UNDEFINED, LOAD_80, UNDEFINED, STORE_80},
    {LOAD_64, LOAD_64, LOAD_64, LOAD_64, LOAD_64, LOAD_64, LOAD_64, LOAD_64},
    {LOAD_64, STORE_64, STORE_64, STORE_64, OWNER, UNDEFINED, OWNER, STORE_STATUS},
    {LOAD_16, LOAD_16, LOAD_16, LOAD_16, LOAD_16, LOAD_16, LOAD_16, LOAD_16},
    {LOAD_16, STORE_16, STORE_16, STORE_16, LOAD_80, LOAD_64, STORE_80, STORE_64},
};

/* By opcode: bit n says that ModRM byte C0 + n is an instruction. Those that the manuals do not name, but
 * that processors have as others' second encodings, are among them. */
static const uint64_t register_forms[8] = {
    ~0ull,              /* D8 */
    0xffff7f33ff01ffff, /* D9 */
    0x00000200ffffffff, /* DA */
    0x00ffff1fffffffff, /* DB */
    ~0ull,              /* DC */
    0x0000ffffffffffff, /* DD */
    0xffffffff02ffffff, /* DE */
    0x00ffff01ffffffff, /* DF */
};

enum { FNSTSW_AX = 0xdfe0 };

static unsigned code_of(const struct x86_lift *l)
{
    const unsigned rm = l->insn.memory ? 0 : l->insn.rm & 7;
    return (unsigned)l->insn.opcode << 8 | (l->insn.memory ? 0 : 0xc0) | (l->insn.reg & 7) << 3 | rm;
}

static ir_value call(struct x86_lift *l, ir_helper helper, uint64_t code, ir_value operand)
{
    return ir_call(l->ir, helper, ir_const(l->ir, IR_I64, code), operand);
}

static bool lift_register_form(struct x86_lift *l)
{
    const unsigned code = code_of(l);

    if (!(register_forms[l->insn.opcode & 7] >> (code & 63) & 1))
        return false;
    if (code == FNSTSW_AX)
        x86_write_named(l, X86_RAX, 1, ir_call(l->ir, x87_get_status, IR_NONE, IR_NONE));
    else
        call(l, x87_run, code, IR_NONE);
    return true;
}

static struct x86_address beyond(struct x86_address address, unsigned bytes)
{
    address.disp += bytes;
    return address;
}

static void lift_load(struct x86_lift *l, unsigned access, struct x86_address address)
{
    ir_value code = ir_const(l->ir, IR_I64, code_of(l));
    ir_value operand = x86_load(l, IR_I64, access == LOAD_80 ? 3 : access - LOAD_16 + 1, address);
    if (access == LOAD_80) {
        ir_value high = x86_load(l, IR_I64, 1, beyond(address, 8));
        code = ir_bfi(l->ir, code, high, 16, 16);
    }
    ir_call(l->ir, x87_run, code, operand);
}

static void lift_store(struct x86_lift *l, unsigned access)
{
    const unsigned code = code_of(l);
    ir_value high = access == STORE_80 ? call(l, x87_peek_high, code, IR_NONE) : IR_NONE;
    ir_value low = call(l, x87_peek, code, IR_NONE);
    /* A call may change registers: only now. */
    struct x86_address address = x86_operand_address(l);
    if (access == STORE_80)
        x86_store(l, 1, beyond(address, 8), high);
    x86_store(l, access == STORE_80 ? 3 : access - STORE_16 + 1, address, low);
    call(l, x87_run, code, IR_NONE);
}

bool x86_lift_x87(struct x86_lift *l)
{
    if (!l->insn.memory)
        return lift_register_form(l);

    const unsigned access = accesses[l->insn.opcode & 7][l->insn.reg & 7];
    ir_value v;
    switch (access) {
    case UNDEFINED: return false;
    case OWNER: return x86_lift_emulate(l);
    case LOAD_CONTROL:
        v = x86_load(l, IR_I64, 1, x86_operand_address(l));
        ir_call(l->ir, x87_set_control, v, IR_NONE);
        return true;
    case STORE_CONTROL:
    case STORE_STATUS:
        v = ir_call(l->ir, access == STORE_CONTROL ? x87_get_control : x87_get_status, IR_NONE, IR_NONE);
        x86_store(l, 1, x86_operand_address(l), v);
        return true;
    default: break;
    }
    if (access < STORE_16)
        lift_load(l, access, x86_operand_address(l));
    else
        lift_store(l, access);
    return true;
}
