/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disassemble: the text of one AArch64 instruction, for traces. */
#include "translator/guest/arm64/disassemble.h"

#include <stdio.h>
#include <string.h>

#include "translator/guest/disassembler.h"

static struct disassembler disassembler = DISASSEMBLER(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN);

void arm64_disassemble(unsigned mode, uint64_t pc, const uint8_t *code, char *text, size_t size)
{
    uint32_t word;
    (void)mode;
    if (disassembler_text(&disassembler, pc, code, sizeof word, text, size))
        return;
    memcpy(&word, code, sizeof word);
    snprintf(text, size, ".inst 0x%08x", word);
}
