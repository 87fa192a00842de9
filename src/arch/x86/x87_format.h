/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87_format: which x87 instructions there are, and what they do with memory. Intel SDM volume 2, tables A-7
 * to A-22. */
#ifndef VISOR_ARCH_X86_X87_FORMAT_H
#define VISOR_ARCH_X86_X87_FORMAT_H

#include <stdbool.h>

#include "arch/x86/decode.h"

/* What an instruction does with its operand in memory; from LOAD_16 and STORE_16 on the size goes up. */
enum x87_access {
    X87_UNDEFINED,
    X87_ENVIRONMENT, /* FLDENV, FRSTOR, FNSTENV, FNSAVE */
    X87_LOAD_CONTROL,
    X87_STORE_CONTROL,
    X87_STORE_STATUS,
    X87_LOAD_16,
    X87_LOAD_32,
    X87_LOAD_64,
    X87_LOAD_80,
    X87_STORE_16,
    X87_STORE_32,
    X87_STORE_64,
    X87_STORE_80,
};

/* Opcode and ModRM byte, of which only the reg field counts where the operand is in memory. */
enum { X87_FNCLEX = 0xdbe2, X87_FNINIT = 0xdbe3, X87_FNSTSW_AX = 0xdfe0 };

unsigned x87_code(const struct x86_insn *insn);

/* Of an instruction with an operand in memory. */
enum x87_access x87_access_of(const struct x86_insn *insn);
/* Whether one without is there. */
bool x87_has_register_form(const struct x86_insn *insn);

#endif
