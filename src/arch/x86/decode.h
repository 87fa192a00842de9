/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * decode: the parts of one x86 instruction. Intel SDM volume 2, chapter 2 "Instruction format".
 *
 * What instructions there are, and how their encodings are shaped, say the rows of a table. Who decodes
 * brings his own, with functions of his own: the translator those that lift, the emulator those that execute.
 * An opcode without a row is undefined.
 */
#ifndef VISOR_ARCH_X86_DECODE_H
#define VISOR_ARCH_X86_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/x86/state.h"

enum x86_map { X86_MAP_BASE, X86_MAP_0F, X86_MAP_0F38, X86_MAP_0F3A, X86_MAP_COUNT };

/*
 * The mandatory prefix of a row. The last of F2 and F3 counts, else 66. A row of ANY serves where no row
 * names the prefix; F2 and F3 then mean nothing to it, or REP, and 66 the operand size.
 */
enum x86_prefix { X86_NP, X86_66, X86_F3, X86_F2, X86_ANY, X86_PREFIX_COUNT };

/* Flags of a row. */
enum {
    X86_IMM_MASK = 15,
    X86_IMM_8 = 1,      /* one byte; immediates are sign-extended unless it says otherwise */
    X86_IMM_16 = 2,     /* two, zero-extended */
    X86_IMM_Z = 3,      /* of the operand's size, at most four bytes */
    X86_IMM_V = 4,      /* of the operand's size */
    X86_IMM_OFFSET = 5, /* a memory operand's absolute address, of the address size: disp */
    X86_IMM_FAR = 6,    /* an offset as Z, zero-extended, and a selector: imm, imm2 */
    X86_IMM_ENTER = 7,  /* two bytes and one, zero-extended: imm, imm2 */
    X86_IMM_GROUP3 = 8, /* as Z, or a byte if the operand is one, but only of /0 and /1 */
    X86_MODRM = 1 << 4,
    X86_MEMORY = 1 << 5 | X86_MODRM,   /* a register operand is undefined */
    X86_REGISTER = 1 << 6 | X86_MODRM, /* a memory operand is undefined */
    X86_CONTROL = 1 << 7 | X86_MODRM,  /* a register operand whatever `mod` says */
    X86_BYTE = 1 << 8,                 /* operands are bytes */
    X86_LOCKABLE = 1 << 9, /* may have LOCK if the operand is in memory (the function looks at groups) */
    X86_NOT64 = 1 << 10,   /* undefined in 64-bit code */
    X86_ONLY64 = 1 << 11,
    X86_STACK = 1 << 12,  /* the operand size is 64 in 64-bit code, or 16 */
    X86_NEAR = 1 << 13,   /* ... always 64 */
    X86_GROUP5 = 1 << 14, /* /2 and /4 are NEAR, /6 is STACK */
    X86_SIZED = 1 << 15,  /* a row of 66 where that is no mandatory prefix but the operand size */
};

struct x86_lift;
struct x86_emulation;

struct x86_row {
    union { /* by whose table it is */
        bool (*lift)(struct x86_lift *l);
        int (*emulate)(struct x86_emulation *e);
    };
    uint16_t flags;
    uint16_t argument; /* the function's own */
};

/* By prefix, then opcode. */
struct x86_opcodes {
    struct x86_row rows[X86_MAP_COUNT][X86_PREFIX_COUNT][256];
};

/* Not a register number: no base or index, or the next instruction's address as base. */
enum { X86_NO_REGISTER = 0xff, X86_BASE_RIP = 0xfe };

struct x86_insn {
    const struct x86_row *row;
    uint8_t length;
    uint8_t map, opcode; /* enum x86_map */
    uint8_t prefix; /* enum x86_prefix: of F2, F3 and 66 the one that counts as mandatory prefix, or NP */
    uint8_t code;   /* enum x86_code */
    uint8_t size;   /* log2 of the operand size in bytes */
    uint8_t address_size;
    uint8_t rex;    /* or 0 */
    uint8_t repeat; /* the last of F2 and F3, or 0 */
    bool lock;
    bool size_prefix; /* 66 is there */
    bool memory;      /* the r/m operand, or that of IMM_OFFSET, is in memory */
    uint8_t segment; /* enum x86_segment, of the memory operand; of an implicit one DS or what overrides it */
    bool segment_override;
    uint8_t mod, reg, rm; /* reg and rm with their REX bits; rm also: the register in the opcode's low bits */
    uint8_t base, index, scale; /* with REX bits; scale is log2 */
    int64_t disp;
    uint64_t imm, imm2;
};

enum x86_decoded {
    X86_DECODED,
    X86_CUT,       /* needs bytes beyond `limit` */
    X86_TOO_LONG,  /* more than 15 bytes: #GP */
    X86_UNDEFINED, /* #UD; insn->length is what was looked at */
};

enum x86_decoded x86_decode(struct x86_insn *insn, const struct x86_opcodes *opcodes, enum x86_code code,
                            const uint8_t *bytes, size_t limit);

/* Whether the access that it makes is to the stack segment: then a bad address is #SS and not #GP. Of two
 * accesses the memory operand's counts. */
bool x86_accesses_stack(const struct x86_insn *insn);

/* Whose registers an instruction uses; what of CR0 and CR4 must allow it. */
enum x86_float_unit { X86_UNIT_NONE, X86_UNIT_X87, X86_UNIT_MMX, X86_UNIT_SSE };
enum x86_float_unit x86_float_unit(const struct x86_insn *insn);

#endif
