/* SPDX-License-Identifier: GPL-2.0-or-later */
/* i386: what the files about 32-bit x86 programs share. Private to them and to the emulation of single
 * instructions. */
#ifndef VISOR_PERSONALITY_LINUX_I386_H
#define VISOR_PERSONALITY_LINUX_I386_H

#include "arch/x86/core.h"
#include "personality/linux/amd64.h"

/* Selectors of a user program. */
enum { I386_CS = 0x23, I386_DS = 0x2b };

/* -- segments (i386_segments.c) ------------------------------------------------------------------------ */

/* x86_linear.read of the processor's own accesses: to the descriptor tables, which are not in the guest's
 * memory. x86_core.owner is the thread. */
int i386_read_table(struct x86_core *core, uint64_t linear, void *buffer, unsigned size);
/* After registers have changed that decide what kind of code is executed. */
void i386_update_mode(struct x86_cpu *cpu);
/* Gives a new CPU its tables. */
void i386_set_tables(struct x86_state *state);
/* Loads a segment register as the kernel does for a program: with null if the selector names nothing usable.
 * CS and SS: false, and they stay. */
bool i386_load_segment(struct linux_thread *thread, enum x86_segment segment, uint16_t selector);
/* linux_arch.set_thread_pointer and check_thread_pointer: the value is the address of a struct user_desc. */
void i386_set_thread_pointer(struct translator_cpu *cpu, uint64_t value);
int i386_check_thread_pointer(uint64_t value);

/* -- signal frames (i386_frame.c) ---------------------------------------------------------------------- */

/* Maps the page with the code that handlers return to: linux_process.trampoline is the one that calls
 * sigreturn. 0 or a negative errno. */
int i386_map_trampolines(struct linux_process *process);
/* linux_arch.push_frame and pop_frame; the latter for a handler with SA_SIGINFO, and without. */
int i386_push_frame(struct linux_thread *thread, const struct linux_signal_frame *signal);
int i386_pop_frame(struct linux_thread *thread, struct linux_signal_frame *signal);
int i386_pop_old_frame(struct linux_thread *thread, struct linux_signal_frame *signal);

/* struct siginfo of 32-bit programs. */
#define I386_SIGINFO_SIZE 128
void i386_siginfo_from_host(uint8_t guest[I386_SIGINFO_SIZE], const siginfo_t *host);

#endif
