/* SPDX-License-Identifier: GPL-2.0-or-later */
/* amd64: what the files about x86-64 programs share, and i386 ones have in common with them. Private to them.
 */
#ifndef VISOR_PERSONALITY_LINUX_AMD64_H
#define VISOR_PERSONALITY_LINUX_AMD64_H

#include "personality/linux/arch.h"
#include "translator/guest/x86/x86.h"

/* Selectors of a user program. */
enum { AMD64_CS = 0x33, AMD64_SS = 0x2b };

/* Functions of struct linux_arch, as far as they are not about 64 bits. */
void amd64_start(struct translator_cpu *cpu, uint64_t entry, uint64_t sp);
void amd64_copy_registers(struct translator_cpu *to, struct translator_cpu *from);
void amd64_set_sp(struct translator_cpu *cpu, uint64_t sp);
uint64_t amd64_sp(const struct translator_cpu *cpu);
uint64_t amd64_pc(const struct translator_cpu *cpu);
void amd64_set_pc(struct translator_cpu *cpu, uint64_t pc);
void amd64_raise(struct linux_thread *thread, enum translator_exit exit);
void amd64_step(struct linux_thread *thread);
bool amd64_note_fault(struct linux_thread *thread, int code, uint64_t address, bool fetch);

/* A segment register that reaches everywhere. */
void amd64_set_segment(struct x86_state *state, enum x86_segment segment, uint16_t selector,
                       uint16_t attributes);

static inline struct x86_cpu *amd64_cpu(struct translator_cpu *cpu)
{
    return (struct x86_cpu *)cpu;
}

/* EFLAGS may have changed: TF is looked at only then. */
static inline void amd64_note_flags(struct linux_thread *thread)
{
    thread->steps = amd64_cpu(thread->cpu)->state.eflags_system & X86_EFLAGS_TF;
}

/* FXSAVE's area: what there is of it in the state, and in the CPU besides. */
#define AMD64_FXSAVE_SIZE 512
#define AMD64_FXSAVE_USED 416 /* what the processor writes */
void amd64_read_fpu(struct x86_cpu *cpu, uint8_t area[AMD64_FXSAVE_SIZE]);
void amd64_write_fpu(struct x86_cpu *cpu, const uint8_t area[AMD64_FXSAVE_SIZE]);
/* As at the start of a program, and of a signal handler. */
void amd64_reset_fpu(struct x86_cpu *cpu);

/* linux_arch.push_frame and pop_frame */
int amd64_push_frame(struct linux_thread *thread, const struct linux_signal_frame *signal);
int amd64_pop_frame(struct linux_thread *thread, struct linux_signal_frame *signal);

#endif
