/* SPDX-License-Identifier: GPL-2.0-or-later */
/* private: the functions behind x86_guest that have files of their own. */
#ifndef VISOR_TRANSLATOR_GUEST_X86_PRIVATE_H
#define VISOR_TRANSLATOR_GUEST_X86_PRIVATE_H

#include "translator/guest/x86/x86.h"

enum guest_flags_use x86_flags_use(uint64_t pc, const uint8_t *code, size_t limit,
                                   struct guest_flags_path *path);

/* guest_isa.disassemble: `code` has X86_INSTRUCTION_MAX bytes. */
void x86_disassemble(unsigned mode, uint64_t pc, const uint8_t *code, char *text, size_t size);

#endif
