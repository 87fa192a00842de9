/* SPDX-License-Identifier: GPL-2.0-or-later */
/* amd64 emulate: the processor that x86-64 programs see, and the instructions that are not translated.
 * Private to the files about x86-64 programs. */
#ifndef VISOR_PERSONALITY_LINUX_AMD64_EMULATE_H
#define VISOR_PERSONALITY_LINUX_AMD64_EMULATE_H

#include "arch/x86/core.h"
#include "personality/linux/amd64.h"

/* Executes the instruction at the program counter, of this length; 0: it is too long to be one. False: it
 * raises an exception. */
bool amd64_emulate(struct linux_thread *thread, unsigned length, struct x86_exception *exception);

/* x86_cpu.tsc: the host's, which all processors have in common. */
uint64_t amd64_read_tsc(const struct x86_cpu *cpu);

/* All registers into the CPU's state, on its thread; and from there. */
void amd64_to_state(struct x86_cpu *cpu);
void amd64_from_state(struct x86_cpu *cpu);

/* AT_HWCAP: CPUID leaf 1's EDX; AT_HWCAP2. */
uint64_t amd64_hwcap(void);
uint64_t amd64_hwcap2(void);

void amd64_write_cpuinfo(FILE *stream);

#endif
