/* SPDX-License-Identifier: GPL-2.0-or-later */
/* decode: prefixes, opcode, ModRM, SIB, displacement and immediates. Intel SDM volume 2, chapter 2. */
#include "arch/x86/decode.h"

#include <string.h>

struct reader {
    const struct x86_opcodes *opcodes;
    const uint8_t *bytes;
    size_t limit; /* of them, at most 15 */
    size_t at;
    bool failed; /* more were wanted */
};

static uint64_t read_bytes(struct reader *r, unsigned count)
{
    uint64_t value = 0;
    if (r->at + count > r->limit) {
        r->failed = true;
        return 0;
    }
    for (unsigned i = 0; i < count; i++)
        value |= (uint64_t)r->bytes[r->at + i] << 8 * i;
    r->at += count;
    return value;
}

static int64_t read_signed(struct reader *r, unsigned count)
{
    return (int64_t)(read_bytes(r, count) << (64 - 8 * count)) >> (64 - 8 * count);
}

/* -- prefixes ------------------------------------------------------------------------------------------ */

struct prefixes {
    bool operand, address;
    uint8_t segment; /* what overrides, or X86_NO_REGISTER */
};

/* In 64-bit code the first four segments cannot be asked for: volume 1, 3.3.7.1. */
static void take_segment(const struct x86_insn *insn, struct prefixes *p, enum x86_segment segment)
{
    if (insn->code != X86_CODE_64 || segment >= X86_FS)
        p->segment = segment;
}

static bool take_prefix(struct x86_insn *insn, struct prefixes *p, uint8_t byte)
{
    switch (byte) {
    case 0x26: take_segment(insn, p, X86_ES); break;
    case 0x2e: take_segment(insn, p, X86_CS); break;
    case 0x36: take_segment(insn, p, X86_SS); break;
    case 0x3e: take_segment(insn, p, X86_DS); break;
    case 0x64: take_segment(insn, p, X86_FS); break;
    case 0x65: take_segment(insn, p, X86_GS); break;
    case 0x66: p->operand = true; break;
    case 0x67: p->address = true; break;
    case 0xf0: insn->lock = true; break;
    case 0xf2:
    case 0xf3: insn->repeat = byte; break;
    default: return false;
    }
    return true;
}

/* Returns the byte behind them. A REX prefix counts only just before the opcode: 2.2.1. */
static uint8_t read_prefixes(struct reader *r, struct x86_insn *insn, struct prefixes *p)
{
    for (;;) {
        uint8_t byte = (uint8_t)read_bytes(r, 1);
        if (r->failed)
            return 0;
        if (insn->code == X86_CODE_64 && (byte & 0xf0) == 0x40)
            insn->rex = byte;
        else if (take_prefix(insn, p, byte))
            insn->rex = 0;
        else
            return byte;
    }
}

/* -- sizes --------------------------------------------------------------------------------------------- */

static bool is_row(const struct x86_row *row)
{
    return row->lift; /* or row->emulate, which is in the same place */
}

static const struct x86_row *find_row(const struct x86_opcodes *opcodes, struct x86_insn *insn,
                                      const struct prefixes *p)
{
    insn->prefix = insn->repeat == 0xf3   ? X86_F3
                   : insn->repeat == 0xf2 ? X86_F2
                   : p->operand           ? X86_66
                                          : X86_NP;
    const struct x86_row *row = &opcodes->rows[insn->map][insn->prefix][insn->opcode];
    return is_row(row) ? row : &opcodes->rows[insn->map][X86_ANY][insn->opcode];
}

/* Whether the prefix 66 is a part of the opcode. */
static bool is_mandatory(const struct x86_opcodes *opcodes, const struct x86_insn *insn)
{
    return insn->prefix == X86_66 && insn->row == &opcodes->rows[insn->map][X86_66][insn->opcode] &&
           !(insn->row->flags & X86_SIZED);
}

static void find_sizes(const struct x86_opcodes *opcodes, struct x86_insn *insn, const struct prefixes *p)
{
    unsigned flags = insn->row->flags;
    const bool other = p->operand && !is_mandatory(opcodes, insn);

    if (flags & X86_GROUP5)
        flags |= (insn->reg & 7) == 2 || (insn->reg & 7) == 4 ? X86_NEAR
                 : (insn->reg & 7) == 6                       ? X86_STACK
                                                              : 0;
    if (insn->code == X86_CODE_64) {
        const bool wide = insn->rex & 8 || flags & X86_NEAR || (flags & X86_STACK && !other);
        insn->size = wide ? 3 : other ? 1 : 2;
        insn->address_size = p->address ? 2 : 3;
    } else {
        insn->size = (insn->code == X86_CODE_32) != other ? 2 : 1;
        insn->address_size = (insn->code == X86_CODE_32) != p->address ? 2 : 1;
    }
    if (flags & X86_BYTE)
        insn->size = 0;
}

/* -- operands ------------------------------------------------------------------------------------------ */

/* Table 2-1 */
static void read_memory_16(struct reader *r, struct x86_insn *insn, unsigned rm)
{
    static const uint8_t bases[] = {X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX};
    static const uint8_t indices[] = {X86_RSI, X86_RDI, X86_RSI, X86_RDI};

    insn->base = bases[rm];
    if (rm < 4)
        insn->index = indices[rm];
    if (insn->mod == 0 && rm == 6) {
        insn->base = X86_NO_REGISTER;
        insn->disp = read_signed(r, 2);
    } else if (insn->mod) {
        insn->disp = read_signed(r, insn->mod);
    }
    if (insn->base == X86_RBP)
        insn->segment = X86_SS;
}

static void read_sib(struct reader *r, struct x86_insn *insn)
{
    const uint8_t sib = (uint8_t)read_bytes(r, 1);

    insn->scale = sib >> 6;
    insn->index = (uint8_t)((sib >> 3 & 7) | (insn->rex & 2 ? 8 : 0));
    if (insn->index == X86_RSP)
        insn->index = X86_NO_REGISTER;
    insn->base = (uint8_t)((sib & 7) | (insn->rex & 1 ? 8 : 0));
    if ((sib & 7) == X86_RBP && insn->mod == 0) {
        insn->base = X86_NO_REGISTER;
        insn->disp = read_signed(r, 4);
    }
}

/* Tables 2-2 and 2-3, and 2.2.1.6 for addresses relative to RIP */
static void read_memory(struct reader *r, struct x86_insn *insn, unsigned rm)
{
    if (rm == X86_RSP) {
        read_sib(r, insn);
    } else if (rm == X86_RBP && insn->mod == 0) {
        insn->base = insn->code == X86_CODE_64 ? X86_BASE_RIP : X86_NO_REGISTER;
        insn->disp = read_signed(r, 4);
    } else {
        insn->base = (uint8_t)(rm | (insn->rex & 1 ? 8 : 0));
    }
    if (insn->mod)
        insn->disp = read_signed(r, insn->mod == 1 ? 1 : 4);
    if (insn->base == X86_RSP || insn->base == X86_RBP)
        insn->segment = X86_SS;
}

static void read_operand(struct reader *r, struct x86_insn *insn)
{
    const unsigned rm = insn->rm & 7;

    insn->memory = insn->mod != 3 && (insn->row->flags & X86_CONTROL) != X86_CONTROL;
    if (!insn->memory)
        insn->rm = (uint8_t)(rm | (insn->rex & 1 ? 8 : 0));
    else if (insn->address_size == 1)
        read_memory_16(r, insn, rm);
    else
        read_memory(r, insn, rm);
}

static void read_immediate(struct reader *r, struct x86_insn *insn)
{
    const unsigned z = insn->size == 1 ? 2 : 4;

    switch (insn->row->flags & X86_IMM_MASK) {
    case X86_IMM_8: insn->imm = (uint64_t)read_signed(r, 1); break;
    case X86_IMM_16: insn->imm = read_bytes(r, 2); break;
    case X86_IMM_Z: insn->imm = (uint64_t)read_signed(r, z); break;
    case X86_IMM_V: insn->imm = (uint64_t)read_signed(r, 1u << insn->size); break;
    case X86_IMM_OFFSET:
        insn->disp = (int64_t)read_bytes(r, 1u << insn->address_size);
        insn->memory = true;
        break;
    case X86_IMM_FAR:
        insn->imm = read_bytes(r, z);
        insn->imm2 = read_bytes(r, 2);
        break;
    case X86_IMM_ENTER:
        insn->imm = read_bytes(r, 2);
        insn->imm2 = read_bytes(r, 1);
        break;
    case X86_IMM_GROUP3:
        if ((insn->reg & 7) <= 1)
            insn->imm = (uint64_t)read_signed(r, insn->size == 0 ? 1 : z);
        break;
    default: break;
    }
}

/* -- all of it ----------------------------------------------------------------------------------------- */

static uint8_t read_map(struct reader *r, struct x86_insn *insn, uint8_t byte)
{
    if (byte != 0x0f)
        return byte;
    insn->map = X86_MAP_0F;
    byte = (uint8_t)read_bytes(r, 1);
    if (byte != 0x38 && byte != 0x3a)
        return byte;
    insn->map = byte == 0x38 ? X86_MAP_0F38 : X86_MAP_0F3A;
    return (uint8_t)read_bytes(r, 1);
}

static bool is_valid(const struct x86_insn *insn)
{
    const unsigned flags = insn->row->flags;
    if (insn->lock && !(flags & X86_LOCKABLE && insn->memory))
        return false;
    if ((flags & X86_MEMORY) == X86_MEMORY && !insn->memory)
        return false;
    return (flags & X86_REGISTER) != X86_REGISTER || !insn->memory;
}

static enum x86_decoded decode(struct reader *r, struct x86_insn *insn)
{
    struct prefixes p = {.segment = X86_NO_REGISTER};
    const uint8_t byte = read_prefixes(r, insn, &p);

    insn->opcode = read_map(r, insn, byte);
    if (r->failed)
        return X86_CUT;
    insn->size_prefix = p.operand;
    insn->row = find_row(r->opcodes, insn, &p);
    const unsigned flags = insn->row->flags;
    if (!is_row(insn->row) || flags & (insn->code == X86_CODE_64 ? X86_NOT64 : X86_ONLY64))
        return X86_UNDEFINED;
    insn->rm = (uint8_t)((insn->opcode & 7) | (insn->rex & 1 ? 8 : 0));
    if (flags & X86_MODRM) {
        const uint8_t modrm = (uint8_t)read_bytes(r, 1);
        insn->mod = modrm >> 6;
        insn->reg = (uint8_t)((modrm >> 3 & 7) | (insn->rex & 4 ? 8 : 0));
        insn->rm = modrm & 7;
    }
    find_sizes(r->opcodes, insn, &p);
    if (flags & X86_MODRM)
        read_operand(r, insn);
    read_immediate(r, insn);
    if (p.segment != X86_NO_REGISTER) {
        insn->segment = p.segment;
        insn->segment_override = true;
    }
    if (r->failed)
        return X86_CUT;
    return is_valid(insn) ? X86_DECODED : X86_UNDEFINED;
}

/* Those of one byte that push and pop. */
static bool is_stack_opcode(const struct x86_insn *insn)
{
    if (insn->map == X86_MAP_0F)
        return (insn->opcode & 0xf6) == 0xa0; /* PUSH and POP of FS and GS */
    if (insn->map != X86_MAP_BASE)
        return false;
    switch (insn->opcode) {
    case 0x50 ... 0x61:
    case 0x68:
    case 0x6a:
    case 0x8f:
    case 0x9a:
    case 0x9c ... 0x9d:
    case 0xc2 ... 0xc3:
    case 0xc8 ... 0xcb:
    case 0xcf:
    case 0xe8: return true;
    case 0xff: return (insn->reg & 7) >= 2 && (insn->reg & 7) != 4 && (insn->reg & 7) != 5;
    default: return insn->opcode < 0x20 && (insn->opcode & 6) == 6;
    }
}

bool x86_accesses_stack(const struct x86_insn *insn)
{
    return insn->memory ? insn->segment == X86_SS : is_stack_opcode(insn);
}

enum x86_decoded x86_decode(struct x86_insn *insn, const struct x86_opcodes *opcodes, enum x86_code code,
                            const uint8_t *bytes, size_t limit)
{
    const bool whole = limit >= X86_INSTRUCTION_MAX;
    struct reader r = {.opcodes = opcodes, .bytes = bytes, .limit = whole ? X86_INSTRUCTION_MAX : limit};

    memset(insn, 0, sizeof *insn);
    insn->code = (uint8_t)code;
    insn->base = insn->index = X86_NO_REGISTER;
    insn->segment = X86_DS;
    enum x86_decoded result = decode(&r, insn);
    insn->length = (uint8_t)r.at;
    return result == X86_CUT && whole ? X86_TOO_LONG : result;
}
