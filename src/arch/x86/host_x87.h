/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_x87: the host's x87 unit as the executor of a guest's instructions. visor's own code does without the
 * unit, so whoever uses it has it to himself on his thread.
 */
#ifndef VISOR_ARCH_X86_HOST_X87_H
#define VISOR_ARCH_X86_HOST_X87_H

#include <stdint.h>

/*
 * Executes an instruction, `code` being opcode and ModRM byte (with an operand in memory: of any memory form
 * with that reg field), on this operand and these EFLAGS; returns the flags.
 */
uint64_t host_x87(unsigned code, void *operand, uint64_t flags);

/* The registers of a state in FXSAVE's layout into the unit, with this control word. An exception that is
 * pending there would be raised by the next instruction that looks. */
void host_x87_load(const uint8_t *state, uint16_t control);
/* All but the control word and the pointers out of the unit into such a state. The unit is empty then, and
 * masks all exceptions. */
void host_x87_save(uint8_t *state);
/* The same out of what FXSAVE, or the kernel in a signal's frame, has written. */
void host_x87_take(uint8_t *state, const void *area);

#endif
