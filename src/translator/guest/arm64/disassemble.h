/* SPDX-License-Identifier: GPL-2.0-or-later */
/* disassemble: the text of one AArch64 instruction, for traces. Safe from any thread. */
#ifndef VISOR_TRANSLATOR_GUEST_ARM64_DISASSEMBLE_H
#define VISOR_TRANSLATOR_GUEST_ARM64_DISASSEMBLE_H

#include <stddef.h>
#include <stdint.h>

/* guest_isa.disassemble: `code` has four bytes. What is not an instruction becomes ".inst 0x...". `size` is
 * at least 1. */
void arm64_disassemble(unsigned mode, uint64_t pc, const uint8_t *code, char *text, size_t size);

#endif
