/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87_format: see x87_format.h. */
#include "arch/x86/x87_format.h"

enum {
    NONE = X87_UNDEFINED,
    ENV = X87_ENVIRONMENT,
    LD_CW = X87_LOAD_CONTROL,
    ST_CW = X87_STORE_CONTROL,
    ST_SW = X87_STORE_STATUS,
    LD_16 = X87_LOAD_16,
    LD_32 = X87_LOAD_32,
    LD_64 = X87_LOAD_64,
    LD_80 = X87_LOAD_80,
    ST_16 = X87_STORE_16,
    ST_32 = X87_STORE_32,
    ST_64 = X87_STORE_64,
    ST_80 = X87_STORE_80,
};

/* By opcode and reg field */
static const unsigned char accesses[8][8] = {
    {LD_32, LD_32, LD_32, LD_32, LD_32, LD_32, LD_32, LD_32},
    {LD_32, NONE, ST_32, ST_32, ENV, LD_CW, ENV, ST_CW},
    {LD_32, LD_32, LD_32, LD_32, LD_32, LD_32, LD_32, LD_32},
    {LD_32, ST_32, ST_32, ST_32, NONE, LD_80, NONE, ST_80},
    {LD_64, LD_64, LD_64, LD_64, LD_64, LD_64, LD_64, LD_64},
    {LD_64, ST_64, ST_64, ST_64, ENV, NONE, ENV, ST_SW},
    {LD_16, LD_16, LD_16, LD_16, LD_16, LD_16, LD_16, LD_16},
    {LD_16, ST_16, ST_16, ST_16, LD_80, LD_64, ST_80, ST_64},
};

/* By opcode: bit n says that ModRM byte C0 + n is an instruction. Those that the manuals do not name, but
 * that processors have as others' second encodings, are among them. */
static const unsigned long long register_forms[8] = {
    ~0ull,              /* D8 */
    0xffff7f33ff01ffff, /* D9 */
    0x00000200ffffffff, /* DA */
    0x00ffff1fffffffff, /* DB */
    ~0ull,              /* DC */
    0x0000ffffffffffff, /* DD */
    0xffffffff02ffffff, /* DE */
    0x00ffff01ffffffff, /* DF */
};

unsigned x87_code(const struct x86_insn *insn)
{
    const unsigned rm = insn->memory ? 0 : insn->rm & 7;
    return (unsigned)insn->opcode << 8 | (insn->memory ? 0 : 0xc0) | (insn->reg & 7) << 3 | rm;
}

enum x87_access x87_access_of(const struct x86_insn *insn)
{
    return (enum x87_access)accesses[insn->opcode & 7][insn->reg & 7];
}

bool x87_has_register_form(const struct x86_insn *insn)
{
    return register_forms[insn->opcode & 7] >> (x87_code(insn) & 63) & 1;
}
