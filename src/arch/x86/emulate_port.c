/* SPDX-License-Identifier: GPL-2.0-or-later */
/* emulate_port: I/O ports. Intel SDM volume 1, chapter 19. */
#include "arch/x86/emulation.h"

enum {
    TSS_BITMAP = 0x66, /* where a 32- or 64-bit TSS says where its I/O permission bitmap is */
    ELEMENTS = 256,    /* that a REP does before it asks whether there is something else to do */
};

/* 19.5.2: two bytes are always read, since a port's bits may be in both. */
static int check_bitmap(struct x86_emulation *e, unsigned port, unsigned size)
{
    const struct x86_state *s = e->state;
    const unsigned type = s->tr.attributes & X86_SEGMENT_TYPE;
    uint16_t base = 0, bits = 0;

    if ((type != X86_TYPE_TSS && type != X86_TYPE_TSS_BUSY) || s->tr.limit < TSS_BITMAP + 1)
        return x86_protection(e);
    if (e->core->linear->read(e->core, s->tr_base + TSS_BITMAP, &base, sizeof base, true) < 0)
        return X86_RAISED;
    const uint32_t offset = base + port / 8;
    if (offset + 1 > s->tr.limit)
        return x86_protection(e);
    if (e->core->linear->read(e->core, s->tr_base + offset, &bits, sizeof bits, true) < 0)
        return X86_RAISED;
    return bits >> (port & 7) & ((1u << size) - 1) ? x86_protection(e) : 0;
}

static int check_port(struct x86_emulation *e, unsigned port, unsigned size)
{
    const struct x86_state *s = e->state;
    const unsigned iopl = (unsigned)(s->eflags_system & X86_EFLAGS_IOPL) >> 12;

    if ((x86_vm86(s) || e->cpl > iopl) && check_bitmap(e, port, size) < 0)
        return X86_RAISED;
    return e->platform->port_read && e->platform->port_write ? 0 : x86_protection(e);
}

static uint32_t read_port(struct x86_emulation *e, unsigned port, unsigned size)
{
    return e->platform->port_read(e->platform->opaque, (uint16_t)port, size);
}

/* No operand has more than 4 bytes. */
static unsigned bytes_of(const struct x86_emulation *e)
{
    return e->insn.size == 3 ? 4 : 1u << e->insn.size;
}

static unsigned port_of(const struct x86_emulation *e)
{
    return e->insn.opcode & 8 ? (uint16_t)e->state->gpr[X86_RDX] : (uint8_t)e->insn.imm;
}

int x86_emulate_in(struct x86_emulation *e)
{
    const unsigned port = port_of(e), size = bytes_of(e);
    if (check_port(e, port, size) < 0)
        return X86_RAISED;
    x86_register_set(e, X86_RAX, size, read_port(e, port, size));
    return X86_EMULATED;
}

int x86_emulate_out(struct x86_emulation *e)
{
    const unsigned port = port_of(e), size = bytes_of(e);
    if (check_port(e, port, size) < 0)
        return X86_RAISED;
    e->platform->port_write(e->platform->opaque, (uint16_t)port, size,
                            (uint32_t)x86_register_get(e, X86_RAX, size));
    return X86_EMULATED;
}

/* -- strings -----------------------------------------------------------------------------------------------
 */

/* One element. What a device gave up must not get lost: the memory is tried first. */
static int ins_element(struct x86_emulation *e, unsigned port, unsigned size)
{
    struct x86_core *core = e->core;
    uint64_t linear;
    uint32_t value = 0;

    if (x86_linear_address(e, X86_ES, x86_address_register(e, X86_RDI), size, true, &linear) < 0 ||
        core->linear->read(core, linear, &value, size, false) < 0 ||
        core->linear->write(core, linear, &value, size, false) < 0)
        return X86_RAISED;
    value = read_port(e, port, size);
    return core->linear->write(core, linear, &value, size, false);
}

static int outs_element(struct x86_emulation *e, unsigned port, unsigned size)
{
    uint64_t linear;
    uint32_t value = 0;

    if (x86_linear_address(e, (enum x86_segment)e->insn.segment, x86_address_register(e, X86_RSI), size,
                           false, &linear) < 0 ||
        e->core->linear->read(e->core, linear, &value, size, false) < 0)
        return X86_RAISED;
    e->platform->port_write(e->platform->opaque, (uint16_t)port, size, value);
    return 0;
}

typedef int element_function(struct x86_emulation *e, unsigned port, unsigned size);

/* Whether a trap may come behind each element: of a single step, or of a breakpoint of ports. */
static bool goes_by_elements(const struct x86_state *s)
{
    enum { DR7_ENABLED = 0xff };
    return s->eflags_system & X86_EFLAGS_TF || (s->cr4 & X86_CR4_DE && s->dr[7] & DR7_ENABLED);
}

/* A fault leaves the registers as they are between two elements. */
static int repeat(struct x86_emulation *e, element_function *element, enum x86_gpr pointer)
{
    const unsigned port = (uint16_t)e->state->gpr[X86_RDX], size = bytes_of(e);
    const uint64_t step = e->state->df * size;

    if (check_port(e, port, size) < 0)
        return X86_RAISED;
    for (unsigned i = 0; i < ELEMENTS; i++) {
        if (e->insn.repeat && x86_address_register(e, X86_RCX) == 0)
            return X86_EMULATED;
        if (element(e, port, size) < 0)
            return X86_RAISED;
        x86_set_address_register(e, pointer, x86_address_register(e, pointer) + step);
        if (!e->insn.repeat)
            return X86_EMULATED;
        x86_set_address_register(e, X86_RCX, x86_address_register(e, X86_RCX) - 1);
        if (x86_address_register(e, X86_RCX) == 0)
            return X86_EMULATED;
        if (goes_by_elements(e->state))
            break;
    }
    return X86_EMULATE_AGAIN;
}

int x86_emulate_ins(struct x86_emulation *e)
{
    return repeat(e, ins_element, X86_RDI);
}

int x86_emulate_outs(struct x86_emulation *e)
{
    return repeat(e, outs_element, X86_RSI);
}
