/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emulate_fpu: the state of x87 and SSE as a whole: FXSAVE, XSAVE, MXCSR. Intel SDM volume 1, 10.5 and
 * chapter 13.
 */
#include <stddef.h>
#include <string.h>

#include "arch/x86/emulation.h"
#include "arch/x86/x87_state.h"

enum {
    MXCSR_MASK = 0xffff, /* the bits that there are */
    AREA_MXCSR = 24,
    AREA_STACK = 32,
    AREA_XMM = 160,
    AREA_HEADER = 512,
    AREA_X87_END = AREA_MXCSR, /* of the part before MXCSR */
};

/* -- whether it may be used -------------------------------------------------------------------------------
 */

int x86_check_x87(struct x86_emulation *e)
{
    if (e->state->cr0 & (X86_CR0_EM | X86_CR0_TS))
        return x86_raise_plain(e->core, X86_NM);
    return 0;
}

int x86_check_sse(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    if (s->cr0 & X86_CR0_EM || !(s->cr4 & X86_CR4_OSFXSR))
        return x86_undefined(e);
    return s->cr0 & X86_CR0_TS ? x86_raise_plain(e->core, X86_NM) : 0;
}

/* XMM8 to XMM15 are 64-bit code's. */
static unsigned xmm_bytes(const struct x86_emulation *e)
{
    return (x86_code64(e) ? 16 : 8) * (unsigned)sizeof(union vector128);
}

static int check_alignment(struct x86_emulation *e, unsigned alignment)
{
    uint64_t linear;
    if (x86_operand_linear(e, 0, 512, e->insn.reg & 1 ? false : true, &linear) < 0)
        return X86_RAISED;
    return linear % alignment ? x86_protection(e) : 0;
}

/* -- the parts of the area --------------------------------------------------------------------------------
 */

/* Of 32 bits, instruction and data pointer have selectors beside them; which here are not known. */
static void put_x87(const struct x86_emulation *e, uint8_t *area)
{
    struct x87_area a;
    memcpy(&a, e->state->x87, sizeof a);
    if (e->insn.size != 3)
        a.instruction = (uint32_t)a.instruction, a.operand = (uint32_t)a.operand;
    memcpy(area, &a, AREA_X87_END);
    memcpy(area + AREA_STACK, a.stack, sizeof a.stack);
}

static void take_x87(struct x86_emulation *e, const uint8_t *area)
{
    struct x87_area *a = x87_area(e->state);
    memcpy(a, area, AREA_X87_END);
    memcpy(a->stack, area + AREA_STACK, sizeof a->stack);
    for (unsigned i = 0; i < 8; i++)
        memset(a->stack[i] + X87_BYTES, 0, sizeof a->stack[i] - X87_BYTES);
    a->reserved = 0;
    a->opcode &= 0x7ff;
    if (e->insn.size != 3)
        a->instruction = (uint32_t)a->instruction, a->operand = (uint32_t)a->operand;
    a->control = x87_control_kept(a->control);
    x87_update_summary(a);
}

static void put_mxcsr(const struct x86_emulation *e, uint8_t *area)
{
    const uint32_t words[2] = {e->state->mxcsr, MXCSR_MASK};
    memcpy(area + AREA_MXCSR, words, sizeof words);
}

static uint32_t area_mxcsr(const uint8_t *area)
{
    uint32_t mxcsr;
    memcpy(&mxcsr, area + AREA_MXCSR, sizeof mxcsr);
    return mxcsr;
}

/* -- FXSAVE, FXRSTOR --------------------------------------------------------------------------------------
 */

static int fxsave(struct x86_emulation *e)
{
    uint8_t area[512];
    const unsigned xmm = xmm_bytes(e);

    if (x86_check_x87(e) < 0 || check_alignment(e, 16) < 0)
        return X86_RAISED;
    put_x87(e, area);
    put_mxcsr(e, area);
    memcpy(area + AREA_XMM, e->state->xmm, xmm);
    return x86_operand_write(e, 0, area, AREA_XMM + xmm);
}

static int fxrstor(struct x86_emulation *e)
{
    uint8_t area[512];

    if (x86_check_x87(e) < 0 || check_alignment(e, 16) < 0 || x86_operand_read(e, 0, area, sizeof area) < 0)
        return X86_RAISED;
    if (area_mxcsr(area) & ~(uint32_t)MXCSR_MASK)
        return x86_protection(e);
    take_x87(e, area);
    e->state->mxcsr = area_mxcsr(area);
    memcpy(e->state->xmm, area + AREA_XMM, xmm_bytes(e));
    return X86_EMULATED;
}

/* -- XSAVE, XSAVEOPT, XRSTOR ------------------------------------------------------------------------------
 */

static int check_xsave(struct x86_emulation *e)
{
    const struct x86_state *s = e->state;
    if (!(s->cr4 & X86_CR4_OSXSAVE))
        return x86_undefined(e);
    if (s->cr0 & X86_CR0_TS)
        return x86_raise_plain(e->core, X86_NM);
    return check_alignment(e, 64);
}

/* The components that are not in their initial state: 13.6. */
static uint64_t in_use(const struct x86_emulation *e)
{
    static const uint8_t zeros[sizeof e->state->xmm];
    struct x86_state *s = e->state;
    uint64_t mask = x87_is_initial(x87_area(s)) ? 0 : X86_XCR0_X87;
    if (memcmp(s->xmm, zeros, xmm_bytes(e)) != 0)
        mask |= X86_XCR0_SSE;
    return mask;
}

/* `optimized`: components in their initial state are not written. */
static int xsave(struct x86_emulation *e, bool optimized)
{
    const uint64_t asked = x86_register_pair(e->state) & x86_xcr0(e->state);
    uint8_t area[512];
    uint64_t present;

    if (check_xsave(e) < 0 || x86_operand_read(e, AREA_HEADER, &present, sizeof present) < 0)
        return X86_RAISED;
    const uint64_t used = in_use(e), written = optimized ? asked & used : asked;
    put_x87(e, area);
    put_mxcsr(e, area);
    memcpy(area + AREA_XMM, e->state->xmm, xmm_bytes(e));
    if (written & X86_XCR0_X87 &&
        (x86_operand_write(e, 0, area, AREA_X87_END) < 0 ||
         x86_operand_write(e, AREA_STACK, area + AREA_STACK, AREA_XMM - AREA_STACK) < 0))
        return X86_RAISED;
    if (asked & X86_XCR0_SSE && x86_operand_write(e, AREA_MXCSR, area + AREA_MXCSR, 8) < 0)
        return X86_RAISED;
    if (written & X86_XCR0_SSE && x86_operand_write(e, AREA_XMM, area + AREA_XMM, xmm_bytes(e)) < 0)
        return X86_RAISED;
    present = (present & ~asked) | (used & asked);
    return x86_operand_write(e, AREA_HEADER, &present, sizeof present);
}

static int xrstor(struct x86_emulation *e)
{
    static const uint8_t zeros[16];
    struct x86_state *s = e->state;
    const uint64_t asked = x86_register_pair(s) & x86_xcr0(s);
    uint8_t area[AREA_HEADER + 24];
    uint64_t present;

    if (check_xsave(e) < 0 || x86_operand_read(e, 0, area, sizeof area) < 0)
        return X86_RAISED;
    memcpy(&present, area + AREA_HEADER, sizeof present);
    /* The compacted form is not listed by CPUID. */
    if (present & ~x86_xcr0(s) || memcmp(area + AREA_HEADER + 8, zeros, sizeof zeros) != 0 ||
        (asked & X86_XCR0_SSE && area_mxcsr(area) & ~(uint32_t)MXCSR_MASK))
        return x86_protection(e);
    if (asked & X86_XCR0_X87) {
        if (present & X86_XCR0_X87) {
            take_x87(e, area);
        } else {
            x87_initialize(x87_area(s));
            memset(x87_area(s)->stack, 0, sizeof x87_area(s)->stack);
        }
    }
    if (asked & X86_XCR0_SSE) {
        s->mxcsr = area_mxcsr(area);
        if (present & X86_XCR0_SSE)
            memcpy(s->xmm, area + AREA_XMM, xmm_bytes(e));
        else
            memset(s->xmm, 0, xmm_bytes(e));
    }
    return X86_EMULATED;
}

/* -- MXCSR -------------------------------------------------------------------------------------------------
 */

static int ldmxcsr(struct x86_emulation *e)
{
    uint32_t value;
    if (x86_check_sse(e) < 0 || x86_operand_read(e, 0, &value, sizeof value) < 0)
        return X86_RAISED;
    if (value & ~(uint32_t)MXCSR_MASK)
        return x86_protection(e);
    e->state->mxcsr = value;
    return X86_EMULATED;
}

static int stmxcsr(struct x86_emulation *e)
{
    if (x86_check_sse(e) < 0)
        return X86_RAISED;
    return x86_operand_write(e, 0, &e->state->mxcsr, sizeof e->state->mxcsr);
}

/* CLFLUSH faults as a read does. */
static int clflush(struct x86_emulation *e)
{
    uint8_t byte;
    return x86_operand_read(e, 0, &byte, sizeof byte);
}

int x86_emulate_group15(struct x86_emulation *e)
{
    switch (e->insn.reg & 7) {
    case 0: return fxsave(e);
    case 1: return fxrstor(e);
    case 2: return ldmxcsr(e);
    case 3: return stmxcsr(e);
    case 4: return xsave(e, false);
    case 5: return xrstor(e);
    case 6: return xsave(e, true);
    default: return clflush(e);
    }
}
