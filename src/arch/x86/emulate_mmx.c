/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emulate_mmx: MMX, and what stores by a mask. Intel SDM volume 1, chapter 9.
 *
 * The registers are the x87's: an instruction that touches one makes all of them valid and puts the stack's
 * top at 0, one that writes one sets the bits of its exponent (9.6.2).
 */
#include <string.h>

#include "arch/x86/emulation.h"
#include "arch/x86/x87_state.h"
#include "base/host_mmx.h"

static int check_mmx(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    if (s->cr0 & X86_CR0_EM)
        return x86_undefined(e);
    if (s->cr0 & X86_CR0_TS)
        return x86_raise_plain(e->core, X86_NM);
    return x86_check_pending(e);
}

/* -- registers --------------------------------------------------------------------------------------------
 */

/* The state becomes that of MMX: nothing may fault any more. */
static struct x87_area *enter(struct x86_emulation *e)
{
    struct x87_area *a = x87_area(e->state);
    if (x87_top(a) != 0)
        x87_set_top(a, 0);
    a->tags = 0xff;
    return a;
}

/* Before enter(), too: where the register is goes by the top of the stack. */
static uint64_t read_mm(const struct x86_emulation *e, unsigned n)
{
    const struct x87_area *a = x87_area(e->state);
    uint64_t value;
    memcpy(&value, a->stack[(n - x87_top(a)) & 7], sizeof value);
    return value;
}

static void write_mm(struct x86_emulation *e, unsigned n, uint64_t value)
{
    struct x87_area *a = enter(e);
    memcpy(a->stack[n & 7], &value, sizeof value);
    memset(a->stack[n & 7] + sizeof value, 0xff, X87_BYTES - sizeof value);
}

/* The r/m operand, of `size` bytes in memory. */
static int read_source(struct x86_emulation *e, unsigned size, uint64_t *value)
{
    *value = 0;
    if (e->insn.memory)
        return x86_operand_read(e, 0, value, size);
    *value = read_mm(e, e->insn.rm & 7u);
    return 0;
}

/* -- what computes ----------------------------------------------------------------------------------------
 */

int x86_emulate_mmx(struct x86_emulation *e)
{
    const unsigned opcode = e->insn.opcode;
    const bool half = e->insn.map == X86_MAP_0F && opcode >= 0x60 && opcode <= 0x62; /* PUNPCKLxx */
    uint64_t b;

    if (check_mmx(e) < 0 || read_source(e, half ? 4 : 8, &b) < 0)
        return X86_RAISED;
    const uint64_t a = read_mm(e, e->insn.reg & 7u);
    write_mm(e, e->insn.reg, host_mmx(e->insn.map, opcode, a, b, e->insn.imm & 0xff));
    return X86_EMULATED;
}

/* Groups 12 to 14: by an immediate what others do by a register. */
int x86_emulate_mmx_shift(struct x86_emulation *e)
{
    const unsigned reg = e->insn.reg & 7, n = e->insn.rm & 7u;
    const bool quad = e->insn.opcode == 0x73;

    if (reg != 2 && reg != 6 && (reg != 4 || quad))
        return x86_undefined(e);
    if (check_mmx(e) < 0)
        return X86_RAISED;
    const unsigned opcode = host_mmx_shift(e->insn.opcode, reg);
    write_mm(e, n, host_mmx(X86_MAP_0F, opcode, read_mm(e, n), e->insn.imm & 0xff, 0));
    return X86_EMULATED;
}

/* -- moves ------------------------------------------------------------------------------------------------
 */

/* MOVD and its REX.W form, MOVQ */
int x86_emulate_mmx_load(struct x86_emulation *e)
{
    const unsigned size = e->insn.opcode == 0x6f || e->insn.rex & 8 ? 8 : 4;
    uint64_t value;

    if (check_mmx(e) < 0 ||
        (e->insn.opcode == 0x6f ? read_source(e, 8, &value) : x86_rm_read(e, size, &value)) < 0)
        return X86_RAISED;
    write_mm(e, e->insn.reg, value);
    return X86_EMULATED;
}

int x86_emulate_mmx_store(struct x86_emulation *e)
{
    const bool whole = e->insn.opcode != 0x7e;
    const uint64_t value = read_mm(e, e->insn.reg & 7u);

    if (check_mmx(e) < 0)
        return X86_RAISED;
    if (whole && !e->insn.memory) {
        write_mm(e, e->insn.rm, value);
        return X86_EMULATED;
    }
    if (x86_rm_write(e, whole || e->insn.rex & 8 ? 8 : 4, value) < 0)
        return X86_RAISED;
    enter(e);
    return X86_EMULATED;
}

int x86_emulate_mmx_insert(struct x86_emulation *e)
{
    uint64_t word;

    if (check_mmx(e) < 0 || x86_rm_read(e, 2, &word) < 0)
        return X86_RAISED;
    const uint64_t a = read_mm(e, e->insn.reg & 7u);
    write_mm(e, e->insn.reg, host_mmx(X86_MAP_0F, e->insn.opcode, a, word, e->insn.imm & 0xff));
    return X86_EMULATED;
}

/* PEXTRW, PMOVMSKB */
int x86_emulate_mmx_integer(struct x86_emulation *e)
{
    if (check_mmx(e) < 0)
        return X86_RAISED;
    const uint64_t value = read_mm(e, e->insn.rm & 7u);
    x86_register_set(e, e->insn.reg, 4, host_mmx_integer(e->insn.opcode, value, e->insn.imm & 0xff));
    enter(e);
    return X86_EMULATED;
}

int x86_emulate_emms(struct x86_emulation *e)
{
    if (check_mmx(e) < 0)
        return X86_RAISED;
    enter(e)->tags = 0;
    return X86_EMULATED;
}

/* MOVQ2DQ, MOVDQ2Q */
int x86_emulate_mmx_xmm(struct x86_emulation *e)
{
    struct x86_state *s = e->state;
    if (x86_check_sse(e) < 0 || x86_check_pending(e) < 0)
        return X86_RAISED;
    if (e->insn.prefix == X86_F3) {
        s->xmm[e->insn.reg] = (union vector128){.d = {read_mm(e, e->insn.rm & 7u), 0}};
        enter(e);
    } else {
        write_mm(e, e->insn.reg, s->xmm[e->insn.rm].d[0]);
    }
    return X86_EMULATED;
}

/* -- stores by a mask -------------------------------------------------------------------------------------
 */

/* The bytes of `value` whose byte in `mask` has its highest bit set, to DS:DI or what overrides DS. */
static int store_masked(struct x86_emulation *e, const uint8_t *value, const uint8_t *mask, unsigned size)
{
    const uint64_t offset = x86_address_register(e, X86_RDI);
    uint64_t linear;

    if (x86_linear_address(e, (enum x86_segment)e->insn.segment, offset, size, true, &linear) < 0)
        return X86_RAISED;
    if (x86_checks_alignment(e->state) && linear & 7)
        return x86_raise_error(e->core, X86_AC, 0);
    for (unsigned i = 0; i < size; i++)
        if (mask[i] & 0x80 && e->core->linear->write(e->core, linear + i, &value[i], 1, false) < 0)
            return X86_RAISED;
    return 0;
}

int x86_emulate_mmx_masked(struct x86_emulation *e)
{
    if (check_mmx(e) < 0)
        return X86_RAISED;
    const uint64_t value = read_mm(e, e->insn.reg & 7u), mask = read_mm(e, e->insn.rm & 7u);
    if (store_masked(e, (const uint8_t *)&value, (const uint8_t *)&mask, 8) < 0)
        return X86_RAISED;
    enter(e);
    return X86_EMULATED;
}

int x86_emulate_masked(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    if (x86_check_sse(e) < 0)
        return X86_RAISED;
    return store_masked(e, s->xmm[e->insn.reg].b, s->xmm[e->insn.rm].b, 16);
}

/* -- conversions ------------------------------------------------------------------------------------------
 */

enum { MXCSR_FLAGS = 0x3f, MXCSR_MASKS = 0x1f80, MASK_SHIFT = 7 };

/* What is not masked is raised, and leaves its flags behind. */
static int convert(struct x86_emulation *e, bool doubles, union vector128 *v)
{
    struct x86_state *s = e->state;
    uint32_t raised = (s->mxcsr & ~(uint32_t)MXCSR_FLAGS) | MXCSR_MASKS;

    *v = host_convert(e->insn.opcode, doubles, *v, &raised);
    raised &= MXCSR_FLAGS;
    s->mxcsr |= raised;
    if (raised & ~(s->mxcsr >> MASK_SHIFT))
        return s->cr4 & X86_CR4_OSXMMEXCPT ? x86_raise_plain(e->core, X86_XM) : x86_undefined(e);
    return 0;
}

/* CVTPI2PS, CVTPI2PD */
static int convert_from_mm(struct x86_emulation *e, bool doubles)
{
    union vector128 v = {.d = {0, 0}}, *to = &e->state->xmm[e->insn.reg];

    if (read_source(e, 8, &v.d[0]) < 0 || convert(e, doubles, &v) < 0)
        return X86_RAISED;
    if (!doubles)
        v.d[1] = to->d[1];
    *to = v;
    if (!doubles || !e->insn.memory)
        enter(e);
    return X86_EMULATED;
}

/* CVTPS2PI, CVTPD2PI and those that truncate */
static int convert_to_mm(struct x86_emulation *e, bool doubles)
{
    const unsigned size = doubles ? 16 : 8;
    union vector128 v = {.d = {0, 0}};
    uint64_t linear;

    if (!e->insn.memory) {
        memcpy(&v, &e->state->xmm[e->insn.rm], size);
    } else {
        if (x86_operand_linear(e, 0, size, false, &linear) < 0)
            return X86_RAISED;
        if (doubles && linear % 16)
            return x86_protection(e);
        if (e->core->linear->read(e->core, linear, &v, size, false) < 0)
            return X86_RAISED;
    }
    if (convert(e, doubles, &v) < 0)
        return X86_RAISED;
    write_mm(e, e->insn.reg, v.d[0]);
    return X86_EMULATED;
}

int x86_emulate_mmx_convert(struct x86_emulation *e)
{
    const bool doubles = e->insn.prefix == X86_66;
    if (x86_check_sse(e) < 0 || x86_check_pending(e) < 0)
        return X86_RAISED;
    return e->insn.opcode == 0x2a ? convert_from_mm(e, doubles) : convert_to_mm(e, doubles);
}
