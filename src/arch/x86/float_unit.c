/* SPDX-License-Identifier: GPL-2.0-or-later */
/* float_unit: which instructions use x87, MMX or SSE registers. Intel SDM volume 2, tables. */
#include "arch/x86/decode.h"

/* Instructions on MM registers that became ones on XMM registers by a mandatory prefix. */
static enum x86_float_unit mmx_or_sse(const struct x86_insn *insn)
{
    return insn->prefix == X86_NP ? X86_UNIT_MMX : X86_UNIT_SSE;
}

static enum x86_float_unit unit_0f(const struct x86_insn *insn)
{
    switch (insn->opcode) {
    case 0x10 ... 0x17:
    case 0x28 ... 0x2f:
    case 0x50 ... 0x5f:
    case 0xc2:
    case 0xc6: return X86_UNIT_SSE;
    case 0x60 ... 0x7f:
    case 0xc4:
    case 0xc5:
    case 0xd0 ... 0xfe: return mmx_or_sse(insn);
    case 0xae: /* LDMXCSR, STMXCSR; the others look themselves */
        return insn->memory && ((insn->reg & 7) == 2 || (insn->reg & 7) == 3) ? X86_UNIT_SSE : X86_UNIT_NONE;
    default: return X86_UNIT_NONE;
    }
}

static enum x86_float_unit unit_0f38(const struct x86_insn *insn)
{
    if (insn->opcode >= 0xf0 || (insn->opcode >= 0x80 && insn->opcode < 0xc8))
        return X86_UNIT_NONE; /* general registers */
    return insn->opcode < 0x20 ? mmx_or_sse(insn) : X86_UNIT_SSE;
}

enum x86_float_unit x86_float_unit(const struct x86_insn *insn)
{
    switch (insn->map) {
    case X86_MAP_BASE: return insn->opcode >> 3 == 0xd8 >> 3 ? X86_UNIT_X87 : X86_UNIT_NONE;
    case X86_MAP_0F: return unit_0f(insn);
    case X86_MAP_0F38: return unit_0f38(insn);
    default: return insn->opcode == 0x0f ? mmx_or_sse(insn) : X86_UNIT_SSE;
    }
}
