/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flags_use: whether code sets the condition flags before it reads them. For each exit of each region; what
 * it does not know counts as a reader.
 *
 * An instruction on the way may raise a signal whose frame then shows flags that are out of date. They are
 * dead even so: the interrupted code sets them before it reads them.
 */
#include "translator/guest/x86/lift.h"
#include "translator/guest/x86/private.h"

enum effect { EFFECT_NONE, EFFECT_SETS, EFFECT_READS, EFFECT_JUMPS, EFFECT_BRANCHES };

/* The one-byte opcodes; all six flags must be set, or be undefined. */
static enum effect scan_base(const struct x86_insn *insn)
{
    const uint8_t opcode = insn->opcode;

    if (opcode < 0x40) { /* ADC and SBB read */
        if ((opcode & 7) >= 6)
            return EFFECT_READS;
        return (opcode & 0x30) == 0x10 ? EFFECT_READS : EFFECT_SETS;
    }
    switch (opcode) {
    case 0x50 ... 0x5f:
    case 0x63:
    case 0x68:
    case 0x6a:
    case 0x88 ... 0x8b:
    case 0x8d:
    case 0x90 ... 0x99:
    case 0xb0 ... 0xbf:
    case 0xc6 ... 0xc7: return EFFECT_NONE;
    case 0x80 ... 0x83: return (insn->reg & 7) == 2 || (insn->reg & 7) == 3 ? EFFECT_READS : EFFECT_SETS;
    case 0x84 ... 0x85:
    case 0xa8 ... 0xa9: return EFFECT_SETS;
    case 0x69:
    case 0x6b: return EFFECT_SETS;
    case 0xe3: return EFFECT_BRANCHES; /* JRCXZ */
    case 0xe8:
    case 0xe9:
    case 0xeb: return EFFECT_JUMPS;
    case 0xf6 ... 0xf7: /* NOT sets none, DIV and IDIV may leave them */
        switch (insn->reg & 7) {
        case 2: return EFFECT_NONE;
        case 6:
        case 7: return EFFECT_READS;
        default: return EFFECT_SETS;
        }
    default: return EFFECT_READS;
    }
}

static enum effect scan_0f(const struct x86_insn *insn)
{
    switch (insn->opcode) {
    case 0x10 ... 0x1f:
    case 0x28 ... 0x2d:
    case 0x50 ... 0x76:
    case 0x7c ... 0x7f:
    case 0xb6:
    case 0xb7:
    case 0xbe:
    case 0xbf:
    case 0xc2:
    case 0xc4 ... 0xc6:
    case 0xc8 ... 0xfe: return EFFECT_NONE;
    case 0x2e ... 0x2f:
    case 0xaf:
    case 0xb8:
    case 0xc0 ... 0xc1: return EFFECT_SETS;
    default: return EFFECT_READS;
    }
}

static enum effect scan(const struct x86_insn *insn)
{
    switch (insn->map) {
    case X86_MAP_BASE: return scan_base(insn);
    case X86_MAP_0F: return scan_0f(insn);
    default: return EFFECT_READS;
    }
}

enum guest_flags_use x86_flags_use(uint64_t pc, const uint8_t *code, size_t limit,
                                   struct guest_flags_path *path)
{
    size_t offset = 0;
    struct x86_insn insn;

    path->count = 0;
    path->looked = 0;
    if (path->mode & X86_MODE_SEGMENTED || (path->mode & X86_MODE_CODE) == X86_CODE_16)
        return GUEST_FLAGS_READ;
    while (x86_decode(&insn, &x86_lift_opcodes, (enum x86_code)(path->mode & X86_MODE_CODE), code + offset,
                      limit - offset) == X86_DECODED) {
        const enum effect effect = scan(&insn);
        offset += insn.length;
        path->looked = offset;
        if (effect == EFFECT_JUMPS || effect == EFFECT_BRANCHES) {
            if (insn.size == 1)
                return GUEST_FLAGS_READ;
            path->next[0] = insn.size == 3 ? pc + offset + insn.imm : (uint32_t)(pc + offset + insn.imm);
            path->next[1] = pc + offset;
            path->count = effect == EFFECT_JUMPS ? 1 : 2;
            return GUEST_FLAGS_PASS;
        }
        if (effect != EFFECT_NONE)
            return effect == EFFECT_SETS ? GUEST_FLAGS_SET : GUEST_FLAGS_READ;
    }
    if (offset == 0)
        return GUEST_FLAGS_READ;
    path->next[0] = pc + offset;
    path->count = 1;
    return GUEST_FLAGS_PASS;
}
