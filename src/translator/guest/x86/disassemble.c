/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disassemble: the text of one x86 instruction, for traces. */
#include <stdio.h>

#include "translator/guest/disassembler.h"
#include "translator/guest/x86/private.h"

/* By enum x86_code. */
static struct disassembler disassemblers[] = {
    [X86_CODE_64] = DISASSEMBLER(CS_ARCH_X86, CS_MODE_64),
    [X86_CODE_32] = DISASSEMBLER(CS_ARCH_X86, CS_MODE_32),
    [X86_CODE_16] = DISASSEMBLER(CS_ARCH_X86, CS_MODE_16),
};

void x86_disassemble(unsigned mode, uint64_t pc, const uint8_t *code, char *text, size_t size)
{
    struct disassembler *d = &disassemblers[mode & X86_MODE_CODE];
    if (!disassembler_text(d, pc, code, X86_INSTRUCTION_MAX, text, size))
        snprintf(text, size, ".byte 0x%02x", code[0]);
}
