/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * amd64: x86-64 programs under Linux. Registers at a system call: number in rax, arguments in rdi, rsi, rdx,
 * r10, r8, r9, result in rax; rcx and r11 are lost. Exceptions become signals as in the kernel's
 * arch/x86/kernel/traps.c.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch/x86/core.h"
#include "arch/x86/interrupt.h"
#include "base/macros.h"
#include "personality/linux/amd64.h"
#include "personality/linux/amd64_emulate.h"
#include "personality/linux/amd64_vdso.h"
#include "personality/linux/debug.h"
#include "personality/linux/memory.h"
#include "personality/linux/start.h"
#include "personality/linux/syscalls.h"

/* Bits of a page fault's error code. */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_FETCH = 16 };

#define SYSCALL_LENGTH 2
#define VSYSCALL_PAGE  0xffffffffff600000ull

static const struct x86_state *state_of(const struct translator_cpu *cpu)
{
    return &((const struct x86_cpu *)cpu)->state;
}

/* -- registers ----------------------------------------------------------------------------------------- */

void amd64_set_segment(struct x86_state *state, enum x86_segment segment, uint16_t selector,
                       uint16_t attributes)
{
    state->segment[segment] =
        (struct x86_segment_register){.selector = selector, .attributes = attributes, .limit = ~0u};
}

void amd64_start(struct translator_cpu *cpu, uint64_t entry, uint64_t sp)
{
    struct x86_state *state = &amd64_cpu(cpu)->state;

    memset(state, 0, sizeof *state);
    amd64_cpu(cpu)->tsc = amd64_read_tsc;
    x86_eflags_set(state, X86_EFLAGS_IF);
    amd64_cpu(cpu)->pc = entry;
    state->xcr0 = X86_XCR0_X87 | X86_XCR0_SSE;
    state->gpr[X86_RSP] = sp;
    state->cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_AM;
    state->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE | X86_CR4_FSGSBASE;
    state->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE;
    amd64_set_segment(state, X86_CS, AMD64_CS, 0xa0fb); /* 64-bit code, DPL 3 */
    amd64_set_segment(state, X86_SS, AMD64_SS, 0xc0f3); /* data, DPL 3 */
    amd64_reset_fpu(amd64_cpu(cpu));
}

static void leave_syscall(struct x86_cpu *cpu, int64_t result)
{
    struct x86_state *state = &cpu->state;
    state->gpr[X86_RAX] = (uint64_t)result;
    state->gpr[X86_RCX] = cpu->pc;
    state->gpr[X86_R11] = x86_eflags_get(state);
}

void amd64_copy_registers(struct translator_cpu *to, struct translator_cpu *from)
{
    x86_x87_settle((struct x86_cpu *)from);
    amd64_cpu(to)->state = *state_of(from);
    amd64_cpu(to)->pc = ((const struct x86_cpu *)from)->pc;
    amd64_cpu(to)->tsc = amd64_read_tsc;
    amd64_cpu(to)->mode = ((const struct x86_cpu *)from)->mode;
    amd64_note_flags(to->owner);
    to->fp_control = from->fp_control;
}

static void copy(struct translator_cpu *to, struct translator_cpu *from)
{
    amd64_copy_registers(to, from);
    leave_syscall(amd64_cpu(to), 0);
}

void amd64_set_sp(struct translator_cpu *cpu, uint64_t sp)
{
    amd64_cpu(cpu)->state.gpr[X86_RSP] = sp;
}

static void set_thread_pointer(struct translator_cpu *cpu, uint64_t value)
{
    amd64_cpu(cpu)->state.segment_base[X86_FS] = value;
}

uint64_t amd64_sp(const struct translator_cpu *cpu)
{
    return state_of(cpu)->gpr[X86_RSP];
}

uint64_t amd64_pc(const struct translator_cpu *cpu)
{
    return ((const struct x86_cpu *)cpu)->pc;
}

void amd64_set_pc(struct translator_cpu *cpu, uint64_t pc)
{
    amd64_cpu(cpu)->pc = pc;
}

/* -- system calls -------------------------------------------------------------------------------------- */

static uint64_t syscall_arguments(const struct translator_cpu *cpu, uint64_t *a)
{
    const uint64_t *gpr = state_of(cpu)->gpr;
    a[0] = gpr[X86_RDI], a[1] = gpr[X86_RSI], a[2] = gpr[X86_RDX];
    a[3] = gpr[X86_R10], a[4] = gpr[X86_R8], a[5] = gpr[X86_R9];
    return gpr[X86_RAX] & 0xffffffffu; /* the kernel looks at eax */
}

static void set_result(struct translator_cpu *cpu, int64_t result)
{
    leave_syscall(amd64_cpu(cpu), result);
}

static void restart(struct translator_cpu *cpu, const struct linux_call *call)
{
    struct x86_state *state = &amd64_cpu(cpu)->state;
    amd64_cpu(cpu)->pc -= SYSCALL_LENGTH;
    state->gpr[X86_RAX] = call->number;
}

static void clone_arguments(const uint64_t *a, uint64_t *ordered)
{
    memcpy(ordered, a, 5 * sizeof *a);
}

/* -- exceptions ---------------------------------------------------------------------------------------- */

static void note(struct linux_thread *thread, unsigned trap, uint64_t error)
{
    thread->fault.trap = trap;
    thread->fault.error = error;
}

/* si_code for the exceptions of floating point that are flagged and not masked: those before the result
 * first.
 */
static int float_code(struct x86_cpu *cpu, unsigned vector)
{
    enum { INVALID = 1, DENORMAL = 2, DIVISION = 4, OVERFLOWS = 8, UNDERFLOWS = 16 };
    uint16_t words[2]; /* the x87's control and status */
    unsigned raised = cpu->common.fp_control & ~(cpu->common.fp_control >> 7);

    if (vector == X86_MF) {
        x86_x87_settle(cpu);
        memcpy(words, cpu->state.x87, sizeof words);
        raised = words[1] & ~(unsigned)words[0];
    }
    return raised & INVALID                   ? FPE_FLTINV
           : raised & DIVISION                ? FPE_FLTDIV
           : raised & OVERFLOWS               ? FPE_FLTOVF
           : raised & (UNDERFLOWS | DENORMAL) ? FPE_FLTUND
                                              : FPE_FLTRES;
}

/* What the kernel makes of an exception other than a page fault. */
static void raise_vector(struct linux_thread *thread, unsigned vector, uint64_t error)
{
    static const struct {
        uint8_t signal, code;
        bool address; /* the instruction's, else 0 */
    } signals[] = {
        [X86_DE] = {SIGFPE, FPE_INTDIV, true},       [X86_DB] = {SIGTRAP, TRAP_TRACE, true},
        [X86_BP] = {SIGTRAP, SI_KERNEL, false},      [X86_OF] = {SIGSEGV, SI_KERNEL, false},
        [X86_BR] = {SIGSEGV, SI_KERNEL, false},      [X86_UD] = {SIGILL, ILL_ILLOPN, true},
        [X86_NM] = {SIGSEGV, SI_KERNEL, false},      [X86_TS] = {SIGSEGV, SI_KERNEL, false},
        [X86_NP_FAULT] = {SIGBUS, SI_KERNEL, false}, [X86_SS_FAULT] = {SIGBUS, SI_KERNEL, false},
        [X86_GP] = {SIGSEGV, SI_KERNEL, false},      [X86_MF] = {SIGFPE, FPE_FLTINV, true},
        [X86_AC] = {SIGBUS, BUS_ADRALN, false},      [X86_XM] = {SIGFPE, FPE_FLTINV, true},
    };
    note(thread, vector, error);
    const bool known = vector < ARRAY_SIZE(signals) && signals[vector].signal;
    const int code = vector == X86_MF || vector == X86_XM ? float_code(amd64_cpu(thread->cpu), vector)
                     : known                              ? signals[vector].code
                                                          : SI_KERNEL;
    linux_force_signal(thread, known ? signals[vector].signal : SIGSEGV, code,
                       known && signals[vector].address ? amd64_pc(thread->cpu) : 0);
}

/* A fault, or an access that the processor does not even try. */
bool amd64_note_fault(struct linux_thread *thread, int code, uint64_t address, bool fetch)
{
    const bool write = !fetch && thread->cpu->fault_info.write;

    if (code == SI_KERNEL || address >= GUEST_ADDRESS_END) {
        if (x86_canonical(address) && code != SI_KERNEL) { /* the kernel's half */
            note(thread, X86_PF, PF_PRESENT | PF_USER | (write ? PF_WRITE : 0) | (fetch ? PF_FETCH : 0));
            thread->fault.address = address;
            return true;
        }
        raise_vector(thread, X86_GP, 0);
        return false;
    }
    note(thread, X86_PF,
         PF_USER | (code == SEGV_ACCERR ? PF_PRESENT : 0) | (write ? PF_WRITE : 0) | (fetch ? PF_FETCH : 0));
    thread->fault.address = address;
    return true;
}

static void raise_page_fault(struct linux_thread *thread, const struct x86_exception *exception)
{
    int code = linux_memory_is_guest(thread->process, exception->address, 1) ? SEGV_ACCERR : SEGV_MAPERR;
    if (amd64_note_fault(thread, code, exception->address, false))
        linux_force_signal(thread, SIGSEGV, code, exception->address);
}

/* True: it was executed; else it has become a signal. */
static bool emulate(struct linux_thread *thread)
{
    struct x86_exception exception;

    if (amd64_emulate(thread, (unsigned)thread->cpu->exit_payload, &exception)) {
        amd64_note_flags(thread);
        return true;
    }
    if (exception.kind == X86_EVENT_SOFTWARE && exception.vector != X86_BP && exception.vector != X86_OF) {
        amd64_cpu(thread->cpu)->pc -= exception.length;
        raise_vector(thread, X86_GP, (uint64_t)exception.vector << 3 | 2); /* INT n: no gate for programs */
        return false;
    }
    if (exception.vector == X86_PF)
        raise_page_fault(thread, &exception);
    else
        raise_vector(thread, exception.vector, exception.has_error ? exception.error : 0);
    return false;
}

/* A near branch to an address that is not canonical is itself at fault. */
static void raise_target(struct linux_thread *thread)
{
    uint8_t code[X86_INSTRUCTION_MAX];
    size_t size = sizeof code;
    while (size && guest_read(code, amd64_pc(thread->cpu), size) < 0)
        size--; /* the next page need not be there */
    x86_undo_branch(amd64_cpu(thread->cpu), code, size);
    raise_vector(thread, X86_GP, 0);
}

void amd64_raise(struct linux_thread *thread, enum translator_exit exit)
{
    switch (exit) {
    case TRANSLATOR_EXCEPTION: raise_vector(thread, (unsigned)thread->cpu->exit_payload, 0); break;
    case TRANSLATOR_TARGET: raise_target(thread); break;
    case TRANSLATOR_DIVIDE: raise_vector(thread, X86_DE, 0); break;
    case TRANSLATOR_FLOAT: raise_vector(thread, X86_XM, 0); break;
    case TRANSLATOR_UNDEFINED: raise_vector(thread, X86_UD, 0); break;
    case TRANSLATOR_ALIGNMENT: raise_vector(thread, X86_GP, 0); break; /* of a vector's operand */
    case TRANSLATOR_BREAKPOINT:
        amd64_cpu(thread->cpu)->pc++; /* a trap: behind INT3 */
        raise_vector(thread, X86_BP, 0);
        break;
    case TRANSLATOR_EMULATE: emulate(thread); break;
    default: break;
    }
}

/* EFLAGS.TF was set before the instruction, so a trap comes behind it; but not behind a system call, from
 * which the kernel returns by an instruction that sets it. */
void amd64_step(struct linux_thread *thread)
{
    thread->stepping = true;
    const enum translator_exit exit = translator_step(thread->cpu, 0);
    thread->stepping = false;
    const struct linux_arch *arch = thread->process->arch;
    if (exit == TRANSLATOR_EMULATE && arch->emulates_syscall && arch->emulates_syscall(thread))
        linux_thread_serve(thread, TRANSLATOR_SYSCALL);
    else if (exit == TRANSLATOR_NONE || exit == TRANSLATOR_LOOKUP ||
             (exit == TRANSLATOR_EMULATE && emulate(thread)))
        raise_vector(thread, X86_DB, 0);
    else if (exit != TRANSLATOR_EMULATE)
        linux_thread_serve(thread, exit);
}

/* -- the page of vsyscalls ----------------------------------------------------------------------------- */

/* Three old system calls, by jumping to fixed addresses in the kernel's half. */
static bool serve_vsyscall(struct linux_thread *thread, uint64_t pc)
{
    static const long numbers[] = {SYS_gettimeofday, SYS_time, SYS_getcpu};
    struct x86_state *state = &amd64_cpu(thread->cpu)->state;
    uint64_t a[6], back;

    if (pc - VSYSCALL_PAGE >= GUEST_PAGE_SIZE || pc % 1024 || (pc - VSYSCALL_PAGE) / 1024 > 2)
        return false;
    if (guest_read(&back, state->gpr[X86_RSP], sizeof back) < 0)
        return false;
    syscall_arguments(thread->cpu, a);
    state->gpr[X86_RAX] =
        (uint64_t)linux_plain_syscall(numbers[(pc - VSYSCALL_PAGE) / 1024], a[0], a[1], a[2], 0, 0, 0);
    state->gpr[X86_RSP] += sizeof back;
    amd64_cpu(thread->cpu)->pc = back;
    return true;
}

const struct linux_arch linux_amd64 = {
    .debug = &linux_debug_amd64,
    .vdso = &amd64_vdso,
    .isa = &x86_guest,
    .elf_machine = EM_X86_64,
    .address_end = GUEST_ADDRESS_END,
    .word_size = 8,
    .machine = "x86_64",
    .calls = &linux_amd64_calls,
    .coherent_code = true,
    .host_abi = true,
    .hwcap = amd64_hwcap,
    .hwcap2 = amd64_hwcap2,
    .minimum_signal_stack = 2048,
    .write_cpuinfo = amd64_write_cpuinfo,
    .start = amd64_start,
    .copy = copy,
    .set_sp = amd64_set_sp,
    .set_thread_pointer = set_thread_pointer,
    .sp = amd64_sp,
    .pc = amd64_pc,
    .set_pc = amd64_set_pc,
    .syscall_arguments = syscall_arguments,
    .set_result = set_result,
    .restart = restart,
    .raise = amd64_raise,
    .step = amd64_step,
    .note_fault = amd64_note_fault,
    .serve_fetch = serve_vsyscall,
    .push_frame = amd64_push_frame,
    .pop_frame = amd64_pop_frame,
    .clone_arguments = clone_arguments,
};
