/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emulate_segment: far transfers, segment registers, descriptor tables. Intel SDM volume 2 by name; volume 3,
 * chapter 5.
 */
#include "arch/x86/emulation.h"
#include "arch/x86/stack.h"
#include "arch/x86/transfer.h"

static unsigned operand_bytes(const struct x86_emulation *e)
{
    return 1u << e->insn.size;
}

/* -- far transfers ------------------------------------------------------------------------------------- */

int x86_emulate_far_immediate(struct x86_emulation *e)
{
    const uint16_t selector = (uint16_t)e->insn.imm2;
    return e->insn.opcode == 0x9a ? x86_far_call(e->core, selector, e->insn.imm, operand_bytes(e))
                                  : x86_far_jump(e->core, selector, e->insn.imm, operand_bytes(e));
}

/* Offset and selector in memory. */
static int read_far(struct x86_emulation *e, uint64_t *offset, uint16_t *selector)
{
    *offset = 0;
    if (x86_operand_read(e, 0, offset, operand_bytes(e)) < 0)
        return X86_RAISED;
    return x86_operand_read(e, operand_bytes(e), selector, sizeof *selector);
}

/* /3 CALL, /5 JMP; the others are no business of the emulator. */
int x86_emulate_group5(struct x86_emulation *e)
{
    const unsigned reg = e->insn.reg & 7;
    uint64_t offset;
    uint16_t selector;

    if (reg != 3 && reg != 5)
        return x86_undefined(e);
    if (read_far(e, &offset, &selector) < 0)
        return X86_RAISED;
    return reg == 3 ? x86_far_call(e->core, selector, offset, operand_bytes(e))
                    : x86_far_jump(e->core, selector, offset, operand_bytes(e));
}

int x86_emulate_far_return(struct x86_emulation *e)
{
    return x86_far_return(e->core, operand_bytes(e), (unsigned)e->insn.imm);
}

int x86_emulate_iret(struct x86_emulation *e)
{
    const int result = x86_iret(e->core, operand_bytes(e));
    if (result >= 0)
        e->state->nmi_blocked = 0; /* an NMI's handler has ended */
    return result;
}

int x86_emulate_syscall(struct x86_emulation *e)
{
    return x86_syscall(e->core);
}

int x86_emulate_sysret(struct x86_emulation *e)
{
    return x86_sysret(e->core, e->insn.size == 3);
}

int x86_emulate_sysenter(struct x86_emulation *e)
{
    return x86_sysenter(e->core);
}

int x86_emulate_sysexit(struct x86_emulation *e)
{
    return x86_sysexit(e->core, e->insn.size == 3);
}

/* -- segment registers --------------------------------------------------------------------------------- */

static int load_segment(struct x86_emulation *e, enum x86_segment segment, uint16_t selector)
{
    if (x86_segment_load(e->core, segment, selector) < 0)
        return X86_RAISED;
    if (segment == X86_SS)
        e->state->interrupt_shadow = X86_SHADOW_STACK;
    return X86_EMULATED;
}

int x86_emulate_mov_from_segment(struct x86_emulation *e)
{
    const unsigned segment = e->insn.reg & 7;
    if (segment >= X86_SEGMENT_COUNT)
        return x86_undefined(e);
    return x86_rm_write(e, e->insn.memory ? 2 : operand_bytes(e), e->state->segment[segment].selector);
}

int x86_emulate_mov_to_segment(struct x86_emulation *e)
{
    const unsigned segment = e->insn.reg & 7;
    uint64_t selector;

    if (segment >= X86_SEGMENT_COUNT || segment == X86_CS)
        return x86_undefined(e);
    if (x86_rm_read(e, 2, &selector) < 0)
        return X86_RAISED;
    return load_segment(e, segment, (uint16_t)selector);
}

/* By the opcode: 06 0E 16 1E, 0F A0 and A8 */
static enum x86_segment segment_of(const struct x86_insn *insn)
{
    return insn->map == X86_MAP_0F ? X86_FS + (insn->opcode >> 3 & 1) : insn->opcode >> 3;
}

/* 32 bits write 16 of them only, as processors do. */
int x86_emulate_push_segment(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    struct x86_stack stack = x86_stack_current(s);
    const uint16_t selector = s->segment[segment_of(&e->insn)].selector;
    const unsigned size = operand_bytes(e);

    if (size == 4) {
        stack.sp -= 2;
        if (x86_stack_push(e->core, &stack, 2, selector) < 0)
            return X86_RAISED;
    } else if (x86_stack_push(e->core, &stack, size, selector) < 0) {
        return X86_RAISED;
    }
    x86_stack_commit(s, &stack);
    return X86_EMULATED;
}

int x86_emulate_pop_segment(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    struct x86_stack stack = x86_stack_current(s);
    uint64_t selector;

    if (x86_stack_pop(e->core, &stack, 2, &selector) < 0)
        return X86_RAISED;
    stack.sp += operand_bytes(e) - 2;
    if (load_segment(e, segment_of(&e->insn), (uint16_t)selector) < 0)
        return X86_RAISED;
    /* The width of the stack pointer is the old stack's, also after POP SS. */
    x86_stack_commit(s, &stack);
    return X86_EMULATED;
}

/* LES, LDS, LSS, LFS, LGS */
int x86_emulate_load_far(struct x86_emulation *e)
{
    const uint8_t opcode = e->insn.opcode;
    const enum x86_segment segment = opcode == 0xc4   ? X86_ES
                                     : opcode == 0xc5 ? X86_DS
                                     : opcode == 0xb2 ? X86_SS
                                                      : X86_FS + (opcode & 1);
    uint64_t offset;
    uint16_t selector;

    if (read_far(e, &offset, &selector) < 0 || load_segment(e, segment, selector) < 0)
        return X86_RAISED;
    e->state->interrupt_shadow = X86_SHADOW_NONE; /* only MOV and POP put interrupts off */
    x86_register_set(e, e->insn.reg, operand_bytes(e), offset);
    return X86_EMULATED;
}

/* -- what is known of descriptors ------------------------------------------------------------------------ */

/* Whether a descriptor may be looked at by LAR, LSL, VERR, VERW at this privilege: 5.10. */
static bool is_visible(const struct x86_emulation *e, uint16_t selector, unsigned attributes)
{
    const unsigned dpl = x86_attributes_dpl(attributes);
    if (x86_is_code(attributes) && attributes & X86_SEGMENT_CONFORMING)
        return true;
    return e->cpl <= dpl && (selector & 3u) <= dpl;
}

/* 1: read and visible; 0: not; or X86_RAISED, by a page fault. */
static int look_at(struct x86_emulation *e, uint16_t selector, struct x86_descriptor *d)
{
    if (x86_selector_null(selector))
        return 0;
    if (x86_descriptor_read(e->core, selector, false, X86_GP, d) < 0)
        return e->core->exception.vector == X86_PF ? X86_RAISED : 0;
    return is_visible(e, selector, x86_descriptor_attributes(d));
}

/* Tables 3-52 and 3-59 of volume 2 */
static bool system_type_counts(const struct x86_emulation *e, unsigned type, bool limit)
{
    const bool wide = x86_long_mode(e->state);
    switch (type) {
    case X86_TYPE_TSS16:
    case X86_TYPE_TSS16_BUSY: return !wide;
    case X86_TYPE_LDT:
    case X86_TYPE_TSS:
    case X86_TYPE_TSS_BUSY: return true;
    case X86_TYPE_CALL_GATE16:
    case X86_TYPE_TASK_GATE: return !wide && !limit;
    case X86_TYPE_CALL_GATE: return !limit;
    default: return false;
    }
}

int x86_emulate_lar_lsl(struct x86_emulation *e)
{
    const bool limit = e->insn.opcode == 3;
    struct x86_descriptor d = {0};
    uint64_t selector;

    if (!x86_has_descriptors(e->state))
        return x86_undefined(e);
    if (x86_rm_read(e, 2, &selector) < 0)
        return X86_RAISED;
    int visible = look_at(e, (uint16_t)selector, &d);
    if (visible < 0)
        return X86_RAISED;
    const unsigned attributes = x86_descriptor_attributes(&d);
    if (visible && !(attributes & X86_SEGMENT_NOT_SYSTEM))
        visible = system_type_counts(e, attributes & X86_SEGMENT_TYPE, limit);
    if (visible)
        x86_register_set(e, e->insn.reg, operand_bytes(e),
                         limit ? x86_descriptor_limit(&d) : d.low >> 32 & 0xf0ff00);
    x86_set_zero_flag(e->state, visible);
    return X86_EMULATED;
}

static int verify(struct x86_emulation *e, bool write)
{
    struct x86_descriptor d = {0};
    uint64_t selector;

    if (x86_rm_read(e, 2, &selector) < 0)
        return X86_RAISED;
    const int visible = look_at(e, (uint16_t)selector, &d);
    if (visible < 0)
        return X86_RAISED;
    const unsigned attributes = x86_descriptor_attributes(&d);
    const bool code = attributes & X86_SEGMENT_CODE;
    const bool allowed =
        write ? !code && attributes & X86_SEGMENT_WRITABLE : !code || attributes & X86_SEGMENT_READABLE;
    x86_set_zero_flag(e->state, visible && attributes & X86_SEGMENT_NOT_SYSTEM && allowed);
    return X86_EMULATED;
}

int x86_emulate_arpl(struct x86_emulation *e)
{
    uint64_t selector;
    const unsigned rpl = e->state->gpr[e->insn.reg] & 3;

    if (!x86_has_descriptors(e->state))
        return x86_undefined(e);
    if (x86_rm_read(e, 2, &selector) < 0)
        return X86_RAISED;
    const bool raises = (selector & 3) < rpl;
    if (raises && x86_rm_write(e, 2, (selector & ~3ull) | rpl) < 0)
        return X86_RAISED;
    x86_set_zero_flag(e->state, raises);
    return X86_EMULATED;
}

/* -- the registers of the tables ------------------------------------------------------------------------- */

static bool umip_forbids(const struct x86_emulation *e)
{
    return e->state->cr4 & X86_CR4_UMIP && e->cpl > 0;
}

/* SLDT, STR, LLDT, LTR, VERR, VERW */
int x86_emulate_group6(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    const unsigned reg = e->insn.reg & 7;
    uint64_t selector;

    if (!x86_has_descriptors(s) || reg > 5)
        return x86_undefined(e);
    switch (reg) {
    case 0:
    case 1:
        if (umip_forbids(e))
            return x86_protection(e);
        return x86_rm_write(e, e->insn.memory ? 2 : operand_bytes(e),
                            reg == 0 ? s->ldtr.selector : s->tr.selector);
    case 2:
    case 3:
        if (e->cpl != 0)
            return x86_protection(e);
        if (x86_rm_read(e, 2, &selector) < 0)
            return X86_RAISED;
        return reg == 2 ? x86_load_ldtr(e->core, (uint16_t)selector)
                        : x86_load_tr(e->core, (uint16_t)selector);
    default: return verify(e, reg == 5);
    }
}

static int store_table(struct x86_emulation *e, const struct x86_table_register *r)
{
    const unsigned size = x86_code64(e) ? 8 : 4;
    uint8_t bytes[10];

    if (umip_forbids(e))
        return x86_protection(e);
    bytes[0] = (uint8_t)r->limit, bytes[1] = (uint8_t)(r->limit >> 8);
    for (unsigned i = 0; i < size; i++)
        bytes[2 + i] = (uint8_t)(r->base >> 8 * i);
    return x86_operand_write(e, 0, bytes, 2 + size);
}

static int load_table(struct x86_emulation *e, struct x86_table_register *r)
{
    const unsigned size = x86_code64(e) ? 8 : 4;
    uint64_t limit = 0, base = 0;

    if (e->cpl != 0)
        return x86_protection(e);
    if (x86_operand_read(e, 0, &limit, 2) < 0 || x86_operand_read(e, 2, &base, size) < 0)
        return X86_RAISED;
    if (size == 8 && !x86_canonical(base))
        return x86_protection(e);
    if (size == 4 && e->insn.size == 1)
        base &= 0xffffff;
    *r = (struct x86_table_register){base, (uint16_t)limit};
    return X86_EMULATED;
}

static int smsw(struct x86_emulation *e)
{
    if (umip_forbids(e))
        return x86_protection(e);
    return x86_rm_write(e, e->insn.memory ? 2 : operand_bytes(e), e->state->cr0);
}

/* Bits 0 to 3 of CR0; PE cannot be cleared. */
static int lmsw(struct x86_emulation *e)
{
    const uint64_t cr0 = e->state->cr0;
    uint64_t value;

    if (e->cpl != 0)
        return x86_protection(e);
    if (x86_rm_read(e, 2, &value) < 0)
        return X86_RAISED;
    return x86_control_set0(e, (cr0 & ~0xeull) | (value & 0xf));
}

/* Those with a memory operand, and SMSW and LMSW, whose operand may be a register. */
int x86_emulate_group7(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    const unsigned reg = e->insn.reg & 7;

    if (reg == 4)
        return smsw(e);
    if (reg == 6)
        return lmsw(e);
    if (!e->insn.memory)
        return x86_emulate_group7_register(e);
    switch (reg) {
    case 0: return store_table(e, &s->gdtr);
    case 1: return store_table(e, &s->idtr);
    case 2: return load_table(e, &s->gdtr);
    case 3: return load_table(e, &s->idtr);
    case 7: return x86_emulate_invlpg(e);
    default: return x86_undefined(e);
    }
}
