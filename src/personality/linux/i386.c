/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i386: 32-bit x86 programs under Linux, as a 64-bit kernel runs them. Registers at a system call, INT 80h:
 * number in eax, arguments in ebx, ecx, edx, esi, edi, ebp, result in eax. Exceptions are those of x86-64
 * programs.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "personality/linux/amd64_emulate.h"
#include "personality/linux/i386.h"
#include "personality/linux/syscalls.h"

/* The end of what a 64-bit kernel gives 32-bit programs. */
#define ADDRESS_END 0xffffe000ull

#define INT80_LENGTH 2

static void start(struct translator_cpu *cpu, uint64_t entry, uint64_t sp)
{
    static const enum x86_segment data[] = {X86_SS, X86_DS, X86_ES};
    struct x86_state *state = &amd64_cpu(cpu)->state;

    amd64_start(cpu, entry, sp);
    amd64_set_segment(state, X86_CS, I386_CS, 0xc0fb); /* 32-bit code, DPL 3 */
    for (unsigned i = 0; i < 3; i++)
        amd64_set_segment(state, data[i], I386_DS, 0xc0f3);
    i386_set_tables(state);
    i386_update_mode(amd64_cpu(cpu));
}

static void copy(struct translator_cpu *to, struct translator_cpu *from)
{
    struct linux_thread *new = to->owner;
    const struct linux_thread *creator = from->owner;

    amd64_copy_registers(to, from);
    memcpy(new->descriptors, creator->descriptors, sizeof new->descriptors);
    amd64_cpu(to)->state.gpr[X86_RAX] = 0;
}

static uint64_t syscall_arguments(const struct translator_cpu *cpu, uint64_t *a)
{
    static const enum x86_gpr places[] = {X86_RBX, X86_RCX, X86_RDX, X86_RSI, X86_RDI, X86_RBP};
    const uint64_t *gpr = ((const struct x86_cpu *)cpu)->state.gpr;
    for (unsigned i = 0; i < 6; i++)
        a[i] = (uint32_t)gpr[places[i]];
    return (uint32_t)gpr[X86_RAX];
}

static void set_result(struct translator_cpu *cpu, int64_t result)
{
    amd64_cpu(cpu)->state.gpr[X86_RAX] = (uint32_t)result;
}

static void restart(struct translator_cpu *cpu, const struct linux_call *call)
{
    amd64_cpu(cpu)->pc -= INT80_LENGTH;
    amd64_cpu(cpu)->state.gpr[X86_RAX] = call->number;
}

/* Unlike on other processors the thread's pointer comes before the child's number. */
static void clone_arguments(const uint64_t *a, uint64_t *ordered)
{
    ordered[0] = a[0], ordered[1] = a[1], ordered[2] = a[2], ordered[3] = a[4], ordered[4] = a[3];
}

static bool emulates_syscall(struct linux_thread *thread)
{
    static const uint8_t int80[INT80_LENGTH] = {0xcd, 0x80};
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    uint8_t code[INT80_LENGTH];

    if (thread->cpu->exit_payload != INT80_LENGTH || guest_read(code, cpu->pc, sizeof code) < 0 ||
        memcmp(code, int80, sizeof code) != 0)
        return false;
    cpu->pc += INT80_LENGTH;
    return true;
}

const struct linux_arch linux_i386 = {
    .isa = &x86_guest,
    .elf_machine = EM_386,
    .address_end = ADDRESS_END,
    .word_size = 4,
    .machine = "i686",
    .calls = &linux_i386_calls,
    .coherent_code = true,
    .host_abi = true,
    .hwcap = amd64_hwcap,
    .hwcap2 = amd64_hwcap2,
    .minimum_signal_stack = 2048,
    .write_cpuinfo = amd64_write_cpuinfo,
    .start = start,
    .copy = copy,
    .set_sp = amd64_set_sp,
    .set_thread_pointer = i386_set_thread_pointer,
    .check_thread_pointer = i386_check_thread_pointer,
    .sp = amd64_sp,
    .pc = amd64_pc,
    .set_pc = amd64_set_pc,
    .syscall_arguments = syscall_arguments,
    .set_result = set_result,
    .restart = restart,
    .emulates_syscall = emulates_syscall,
    .raise = amd64_raise,
    .step = amd64_step,
    .note_fault = amd64_note_fault,
    .map_trampolines = i386_map_trampolines,
    .push_frame = i386_push_frame,
    .pop_frame = i386_pop_frame,
    .clone_arguments = clone_arguments,
};
