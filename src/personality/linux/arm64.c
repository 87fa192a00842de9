/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arm64: AArch64 programs under Linux. Layouts are those of the kernel's
 * arch/arm64/include/uapi/asm/sigcontext.h and ucontext.h; registers at a system call: number in x8,
 * arguments in x0..x5, result in x0.
 */
#include <elf.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "arch/arm64/features.h"
#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/arm64_vdso.h"
#include "personality/linux/debug.h"
#include "translator/guest/arm64/arm64.h"

#define FPSIMD_MAGIC 0x46508001u
#define ESR_MAGIC    0x45535201u
#define EXTRA_MAGIC  0x45585401u

#define SA_RESTORER_FLAG 0x04000000u

struct record_header {
    uint32_t magic, size;
};

struct fpsimd_record {
    struct record_header header;
    uint32_t fpsr, fpcr;
    union vector128 v[32];
};
_Static_assert(sizeof(struct fpsimd_record) == 528, "struct fpsimd_context");

struct esr_record {
    struct record_header header;
    uint64_t esr;
};

struct signal_context {
    uint64_t fault_address;
    uint64_t x[31];
    uint64_t sp, pc, pstate;
    uint8_t records[4096] __attribute__((aligned(16)));
};
_Static_assert(sizeof(struct signal_context) == 4384, "struct sigcontext");

struct signal_frame {
    siginfo_t info;
    struct {
        uint64_t flags, link;
        uint64_t stack_base;
        int32_t stack_flags;
        uint32_t pad;
        uint64_t stack_size;
        uint64_t mask;
        uint8_t unused[120];
        struct signal_context context;
    } uc;
};
_Static_assert(sizeof(struct signal_frame) == 4688, "struct rt_sigframe");
_Static_assert(offsetof(struct signal_frame, uc.context) == 128 + 176, "struct ucontext");

struct frame_record {
    uint64_t fp, lr;
};

static struct arm64_cpu *arm64(struct translator_cpu *cpu)
{
    return (struct arm64_cpu *)cpu;
}

static const struct arm64_state *state_of(const struct translator_cpu *cpu)
{
    return &((const struct arm64_cpu *)cpu)->state;
}

/* -- registers ---------------------------------------------------------------------------------------------
 */

static void start(struct translator_cpu *cpu, uint64_t entry, uint64_t sp)
{
    struct arm64_state *state = &arm64(cpu)->state;
    memset(state, 0, sizeof *state);
    arm64_nzcv_set(state, 0);
    arm64_write_fpcr(arm64(cpu), 0);
    arm64_write_fpsr(arm64(cpu), 0);
    state->pc = entry;
    state->sp = sp;
}

static void copy(struct translator_cpu *to, struct translator_cpu *from)
{
    const struct arm64_cpu *source = (const struct arm64_cpu *)from;
    arm64(to)->state = source->state;
    arm64_write_fpcr(arm64(to), arm64_read_fpcr(source));
    arm64_write_fpsr(arm64(to), arm64_read_fpsr(source));
    arm64(to)->state.x[0] = 0;
}

static void set_sp(struct translator_cpu *cpu, uint64_t sp)
{
    arm64(cpu)->state.sp = sp;
}

static void set_thread_pointer(struct translator_cpu *cpu, uint64_t value)
{
    arm64(cpu)->state.tpidr = value;
}

static uint64_t get_sp(const struct translator_cpu *cpu)
{
    return state_of(cpu)->sp;
}

static uint64_t get_pc(const struct translator_cpu *cpu)
{
    return state_of(cpu)->pc;
}

static void set_pc(struct translator_cpu *cpu, uint64_t pc)
{
    arm64(cpu)->state.pc = pc;
}

static uint64_t syscall_arguments(const struct translator_cpu *cpu, uint64_t *a)
{
    const struct arm64_state *state = state_of(cpu);
    memcpy(a, state->x, 6 * sizeof *a);
    return state->x[8] & 0xffffffffu; /* the kernel looks at w8 */
}

static void set_result(struct translator_cpu *cpu, int64_t result)
{
    arm64(cpu)->state.x[0] = (uint64_t)result;
}

static void restart(struct translator_cpu *cpu, const struct linux_call *call)
{
    arm64(cpu)->state.pc -= 4;
    arm64(cpu)->state.x[0] = call->arguments[0];
}

static void raise_exception(struct linux_thread *thread, enum translator_exit exit)
{
    const uint64_t pc = get_pc(thread->cpu);

    switch (exit) {
    case TRANSLATOR_UNDEFINED: linux_force_signal(thread, SIGILL, ILL_ILLOPC, pc); break;
    case TRANSLATOR_BREAKPOINT: linux_force_signal(thread, SIGTRAP, TRAP_BRKPT, pc); break;
    case TRANSLATOR_DIVIDE: linux_force_signal(thread, SIGFPE, FPE_INTDIV, pc); break;
    case TRANSLATOR_ALIGNMENT:
        linux_force_signal(thread, SIGBUS, BUS_ADRALN, thread->cpu->exit_payload);
        break;
    default: break; /* interrupted: the signal is delivered by the loop */
    }
}

static bool note_fault(struct linux_thread *thread, int code, uint64_t address, bool fetch)
{
    (void)thread, (void)code, (void)address, (void)fetch; /* the CPU still has it */
    return true;
}

/* As the kernel prints it, one block per CPU. */
static void write_cpuinfo(FILE *stream)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    for (long i = 0; i < MAX(count, 1); i++) {
        fprintf(stream, "processor\t: %ld\nBogoMIPS\t: 100.00\nFeatures\t:", i);
        for (size_t f = 0; f < ARRAY_SIZE(arm64_features); f++)
            fprintf(stream, " %s", arm64_features[f].name);
        fprintf(stream,
                "\nCPU implementer\t: 0x%02x\nCPU architecture: 8\nCPU variant\t: 0x%x\n"
                "CPU part\t: 0x%03x\nCPU revision\t: %u\n\n",
                ARM64_MIDR >> 24, (ARM64_MIDR >> 20) & 0xf, (ARM64_MIDR >> 4) & 0xfff, ARM64_MIDR & 0xf);
    }
}

static void clone_arguments(const uint64_t *a, uint64_t *ordered)
{
    ordered[0] = a[0];
    ordered[1] = a[1];
    ordered[2] = a[2];
    ordered[3] = a[4]; /* CONFIG_CLONE_BACKWARDS */
    ordered[4] = a[3];
}

/* -- signal frames --------------------------------------------------------------------------------------- */

/* The exception syndrome that the hardware would have given for a fault of user code, ESR_EL1 (Arm ARM
 * D17.2.37). */
static uint64_t syndrome(const struct translator_cpu *cpu, const siginfo_t *info)
{
    bool fetch = cpu->exit_reason == TRANSLATOR_FETCH_FAULT;
    uint64_t class = fetch ? 0x20 : 0x24;
    uint64_t status = info->si_code == SEGV_ACCERR ? 0x0f : 0x07; /* permission, translation; level 3 */
    uint64_t write = !fetch && cpu->fault_info.write ? 1u << 6 : 0;
    return class << 26 | 1u << 25 | write | status;
}

static uint8_t *add_record(uint8_t *at, const void *record, size_t size)
{
    memcpy(at, record, size);
    return at + size;
}

/* Returns the end of the last record. */
static uint8_t *fill_context(struct arm64_cpu *cpu, struct signal_context *context, const siginfo_t *info)
{
    const struct arm64_state *state = &cpu->state;
    memcpy(context->x, state->x, sizeof context->x);
    context->sp = state->sp;
    context->pc = state->pc;
    context->pstate = arm64_nzcv_get(state);

    struct fpsimd_record fpsimd = {.header = {FPSIMD_MAGIC, sizeof fpsimd}};
    fpsimd.fpsr = arm64_read_fpsr(cpu);
    fpsimd.fpcr = arm64_read_fpcr(cpu);
    memcpy(fpsimd.v, state->v, sizeof fpsimd.v);
    uint8_t *end = add_record(context->records, &fpsimd, sizeof fpsimd);

    bool fault = (info->si_signo == SIGSEGV || info->si_signo == SIGBUS) && info->si_code > 0 &&
                 info->si_code != SI_KERNEL;
    if (fault) {
        struct esr_record esr = {{ESR_MAGIC, sizeof esr}, syndrome(&cpu->common, info)};
        context->fault_address = (uintptr_t)info->si_addr;
        end = add_record(end, &esr, sizeof esr);
    }
    return add_record(end, &(struct record_header){0, 0}, sizeof(struct record_header));
}

static int push_frame(struct linux_thread *thread, const struct linux_signal_frame *signal)
{
    struct arm64_cpu *cpu = arm64(thread->cpu);
    struct arm64_state *state = &cpu->state;
    struct frame_record record = {state->x[29], state->x[30]};
    uint64_t record_address = ALIGN_DOWN(signal->sp - sizeof record, 16ul);
    uint64_t address = record_address - sizeof(struct signal_frame);
    struct signal_frame frame;

    memset(&frame, 0, offsetof(struct signal_frame, uc.context.records));
    if (signal->flags & SA_SIGINFO)
        frame.info = signal->info;
    frame.uc.stack_base = signal->stack_base;
    frame.uc.stack_flags = signal->stack_flags;
    frame.uc.stack_size = signal->stack_size;
    frame.uc.mask = signal->mask;
    const uint8_t *end = fill_context(cpu, &frame.uc.context, &signal->info);

    /* What lies behind the records stays as it was on the guest's stack, as under the kernel. */
    size_t used = (size_t)(end - (const uint8_t *)&frame);
    if (guest_write(address, &frame, used) < 0 || guest_write(record_address, &record, sizeof record) < 0)
        return -EFAULT;

    state->x[0] = (uint64_t)(int64_t)signal->info.si_signo;
    if (signal->flags & SA_SIGINFO) {
        state->x[1] = address + offsetof(struct signal_frame, info);
        state->x[2] = address + offsetof(struct signal_frame, uc);
    }
    state->sp = address;
    state->x[29] = record_address;
    state->x[30] = signal->flags & SA_RESTORER_FLAG ? signal->restorer : thread->process->trampoline;
    state->pc = signal->handler;
    cpu->common.exclusive_address = ~0ull; /* as by the ERET that enters the handler */
    return 0;
}

/* Finds the one record that is needed among those of the frame. */
static const struct fpsimd_record *find_fpsimd(const struct signal_context *context)
{
    const struct fpsimd_record *found = NULL;
    size_t at = 0;
    while (sizeof context->records - at >= sizeof(struct record_header)) {
        struct record_header header;
        memcpy(&header, context->records + at, sizeof header);
        if (!header.magic && !header.size)
            return found;
        if (header.size < sizeof header || header.size % 16 || header.size > sizeof context->records - at)
            return NULL;
        if (header.magic == FPSIMD_MAGIC && header.size == sizeof *found && !found)
            found = (const struct fpsimd_record *)(context->records + at);
        else if (header.magic != ESR_MAGIC && header.magic != EXTRA_MAGIC)
            return NULL;
        at += header.size;
    }
    return NULL;
}

static int pop_frame(struct linux_thread *thread, struct linux_signal_frame *signal)
{
    struct arm64_cpu *cpu = arm64(thread->cpu);
    struct arm64_state *state = &cpu->state;
    struct signal_frame frame;

    if (state->sp & 15 || guest_read(&frame, state->sp, sizeof frame) < 0)
        return -EFAULT;
    const struct signal_context *context = &frame.uc.context;
    const struct fpsimd_record *fpsimd = find_fpsimd(context);
    if (!fpsimd)
        return -EINVAL;

    memcpy(state->x, context->x, sizeof state->x);
    state->sp = context->sp;
    state->pc = context->pc;
    arm64_nzcv_set(state, (uint32_t)context->pstate);
    memcpy(state->v, fpsimd->v, sizeof state->v);
    arm64_write_fpcr(cpu, fpsimd->fpcr);
    arm64_write_fpsr(cpu, fpsimd->fpsr);
    cpu->common.exclusive_address = ~0ull;

    signal->mask = frame.uc.mask;
    signal->stack_base = frame.uc.stack_base;
    signal->stack_flags = frame.uc.stack_flags;
    signal->stack_size = frame.uc.stack_size;
    return 0;
}

static uint64_t hwcap(void)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < ARRAY_SIZE(arm64_features); i++)
        bits |= arm64_features[i].hwcap;
    return bits;
}

const struct linux_arch linux_arm64 = {
    .debug = &linux_debug_arm64,
    .isa = &arm64_guest,
    .elf_machine = EM_AARCH64,
    .address_end = GUEST_ADDRESS_END,
    .word_size = 8,
    .machine = "aarch64",
    .calls = &linux_arm64_calls,
    .hwcap = hwcap,
    .minimum_signal_stack = 4720,
    .vdso = &arm64_vdso,
    .address_tag = 0xffull << 56,
    .write_cpuinfo = write_cpuinfo,
    .start = start,
    .copy = copy,
    .set_sp = set_sp,
    .set_thread_pointer = set_thread_pointer,
    .sp = get_sp,
    .pc = get_pc,
    .set_pc = set_pc,
    .syscall_arguments = syscall_arguments,
    .set_result = set_result,
    .restart = restart,
    .raise = raise_exception,
    .note_fault = note_fault,
    .push_frame = push_frame,
    .pop_frame = pop_frame,
    .clone_arguments = clone_arguments,
};
