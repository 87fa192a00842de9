/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x87: the floating-point unit of x86, run by the host's own. Private to this folder.
 *
 * Between instructions its state is x86_state.x87, as FXSAVE has it; the pointers to the last instruction and
 * operand are unspecified. Each instruction loads the host's unit from there and stores it back, with all
 * exceptions masked. So an exception that the guest has not masked leaves the masked result, and is then
 * pending in the status word, where nothing looks for it yet.
 */
#ifndef VISOR_TRANSLATOR_GUEST_X86_X87_H
#define VISOR_TRANSLATOR_GUEST_X86_X87_H

#include "translator/guest/x86/x86.h"

/* Helpers for CALL. `code`: opcode (D8 .. DF) << 8 | ModRM byte; of an operand in memory the reg field
 * counts. */

/* Executes the instruction. `operand`: what it reads from memory, the low 8 bytes; `code` has the next two in
 * bits 16 to 31. */
uint64_t x87_run(void *cpu, uint64_t code, uint64_t operand);

/* What the instruction writes to memory, the low 8 bytes or the next two, without executing it. */
uint64_t x87_peek(void *cpu, uint64_t code, uint64_t unused);
uint64_t x87_peek_high(void *cpu, uint64_t code, uint64_t unused);

/* The control word and the status word. */
uint64_t x87_get_control(void *cpu, uint64_t unused, uint64_t unused_too);
uint64_t x87_set_control(void *cpu, uint64_t value, uint64_t unused);
uint64_t x87_get_status(void *cpu, uint64_t unused, uint64_t unused_too);

#endif
