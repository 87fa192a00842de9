/* SPDX-License-Identifier: GPL-2.0-or-later */
/* requires: what features an instruction needs. */
#include "arch/x86/requires.h"

#include "arch/x86/features.h"

/* 0 is FPU, without which x87 instructions still are some: that says no more than that there is no row. */
_Static_assert(X86_FEATURE_FPU == 0, "");

static const uint16_t table[X86_MAP_COUNT][X86_PREFIX_COUNT][256] = {
#define REQUIRES(map, prefix, first, last, feature)                                                          \
    [X86_MAP_##map][X86_##prefix][first... last] = X86_FEATURE_##feature,
#include "arch/x86/requires.def"
#undef REQUIRES
};

/* 0F 01 with a register operand, by reg and rm */
static unsigned group7(const struct x86_insn *insn)
{
    if (insn->memory)
        return 0;
    switch ((insn->reg & 7) << 3 | (insn->rm & 7)) {
    case 012:
    case 013: return X86_FEATURE_SMAP;
    case 020:
    case 021: return X86_FEATURE_XSAVE;
    case 071: return X86_FEATURE_RDTSCP;
    default: return 0;
    }
}

static unsigned group15(const struct x86_insn *insn)
{
    static const uint16_t memory[] = {X86_FEATURE_FXSR,     X86_FEATURE_FXSR,   X86_FEATURE_SSE,
                                      X86_FEATURE_SSE,      X86_FEATURE_XSAVE,  X86_FEATURE_XSAVE,
                                      X86_FEATURE_XSAVEOPT, X86_FEATURE_CLFLUSH};
    const unsigned reg = insn->reg & 7;

    if (insn->memory)
        return memory[reg];
    return reg == 7 ? X86_FEATURE_SSE : X86_FEATURE_SSE2; /* SFENCE, and LFENCE, MFENCE */
}

static unsigned group9(const struct x86_insn *insn)
{
    if (insn->memory)
        return insn->rex & 8 ? X86_FEATURE_CX16 : X86_FEATURE_CX8;
    return (insn->reg & 7) == 6 ? X86_FEATURE_RDRAND : X86_FEATURE_RDSEED;
}

unsigned x86_insn_feature(const struct x86_insn *insn)
{
    if (insn->map == X86_MAP_0F && insn->opcode == 0x01)
        return group7(insn);
    if (insn->map == X86_MAP_0F && insn->opcode == 0xae && insn->prefix == X86_NP)
        return group15(insn);
    if (insn->map == X86_MAP_0F && insn->opcode == 0xc7)
        return group9(insn);
    if (insn->map == X86_MAP_BASE && insn->opcode >> 1 == 0x9e >> 1) /* SAHF, LAHF */
        return insn->code == X86_CODE_64 ? X86_FEATURE_LAHF_LM : 0;
    const unsigned feature = table[insn->map][insn->prefix][insn->opcode];
    return feature ? feature : table[insn->map][X86_ANY][insn->opcode];
}
