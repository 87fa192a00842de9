/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * amd64 frame: signal frames of x86-64 programs, as the kernel's arch/x86/include/uapi/asm/sigcontext.h and
 * ucontext.h lay them out. From the top down: the red zone, the state of the FPU, and the frame, which begins
 * with the handler's return address.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/macros.h"
#include "personality/linux/amd64.h"

#define SA_RESTORER_FLAG 0x04000000u
#define RED_ZONE         128u

/* uc_flags */
#define HAS_XSTATE     1u
#define HAS_SS         2u
#define STRICT_RESTORE 4u

#define XSTATE_MAGIC     0x46505853u
#define XSTATE_MAGIC_END 0x46505845u
#define XSTATE_FEATURES  3u /* x87 and SSE */

#define MXCSR_BITS 0xffffu

struct signal_context {
    uint64_t r8_to_r15[8];
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    uint16_t cs, gs, fs, ss;
    uint64_t error, trap, old_mask, cr2, fpu, reserved[8];
};
_Static_assert(sizeof(struct signal_context) == 256, "struct sigcontext");

struct signal_frame {
    uint64_t return_address;
    struct {
        uint64_t flags, link;
        uint64_t stack_base;
        int32_t stack_flags;
        uint32_t pad;
        uint64_t stack_size;
        struct signal_context context;
        uint64_t mask;
    } uc;
    siginfo_t info;
};
_Static_assert(sizeof(struct signal_frame) == 8 + 304 + 128, "struct rt_sigframe");

/* What FXSAVE writes, with a note of what follows; then XSAVE's header, and an end mark. */
struct fpu_frame {
    uint8_t legacy[464];
    struct {
        uint32_t magic, size;
        uint64_t features;
        uint32_t xsave_size, pad[7];
    } note;
    uint64_t header[8];
    uint32_t end;
} __attribute__((packed));
_Static_assert(offsetof(struct fpu_frame, header) == AMD64_FXSAVE_SIZE, "FXSAVE's area");

/* -- the FPU ------------------------------------------------------------------------------------------- */

enum { AREA_MXCSR = 24, AREA_MXCSR_MASK = 28, AREA_X87_END = 160, AREA_XMM = 160 };

void amd64_read_fpu(struct x86_cpu *cpu, uint8_t area[AMD64_FXSAVE_SIZE])
{
    const uint32_t mask = MXCSR_BITS;
    x86_x87_settle(cpu);
    memset(area, 0, AMD64_FXSAVE_SIZE);
    memcpy(area, cpu->state.x87, AREA_X87_END);
    memcpy(area + AREA_MXCSR, &cpu->common.fp_control, sizeof cpu->common.fp_control);
    memcpy(area + AREA_MXCSR_MASK, &mask, sizeof mask);
    memcpy(area + AREA_XMM, cpu->state.xmm, sizeof cpu->state.xmm);
}

void amd64_write_fpu(struct x86_cpu *cpu, const uint8_t area[AMD64_FXSAVE_SIZE])
{
    x86_x87_settle(cpu);
    memcpy(cpu->state.x87, area, AREA_X87_END);
    memset(cpu->state.x87 + AREA_MXCSR, 0, 8);
    memcpy(&cpu->common.fp_control, area + AREA_MXCSR, sizeof cpu->common.fp_control);
    cpu->common.fp_control &= MXCSR_BITS;
    memcpy(cpu->state.xmm, area + AREA_XMM, sizeof cpu->state.xmm);
    x86_update_exact_mode(cpu);
}

void amd64_reset_fpu(struct x86_cpu *cpu)
{
    static const uint8_t fresh[AMD64_FXSAVE_SIZE] = {0x7f, 0x03, [AREA_MXCSR] = 0x80,
                                                     [AREA_MXCSR + 1] = 0x1f};
    amd64_write_fpu(cpu, fresh);
}

/* -- entering ------------------------------------------------------------------------------------------ */

static void fill_context(const struct linux_thread *thread, struct signal_context *context)
{
    const struct x86_state *state = &((const struct x86_cpu *)thread->cpu)->state;
    const uint64_t *gpr = state->gpr;

    memcpy(context->r8_to_r15, gpr + 8, sizeof context->r8_to_r15);
    context->rdi = gpr[X86_RDI], context->rsi = gpr[X86_RSI], context->rbp = gpr[X86_RBP];
    context->rbx = gpr[X86_RBX], context->rdx = gpr[X86_RDX], context->rax = gpr[X86_RAX];
    context->rcx = gpr[X86_RCX], context->rsp = gpr[X86_RSP];
    context->rip = ((const struct x86_cpu *)thread->cpu)->pc;
    context->eflags = x86_eflags_get(state);
    context->cs = state->segment[X86_CS].selector;
    context->ss = state->segment[X86_SS].selector;
    context->error = thread->fault.error;
    context->trap = thread->fault.trap;
    context->cr2 = thread->fault.address;
}

/* Its address, or 0: it cannot be written. */
static uint64_t push_fpu(struct x86_cpu *cpu, uint64_t sp)
{
    struct fpu_frame fpu = {0};
    const uint64_t address = ALIGN_DOWN(sp - sizeof fpu, 64ul);
    uint8_t area[AMD64_FXSAVE_SIZE];

    amd64_read_fpu(cpu, area);
    memcpy(fpu.legacy, area, sizeof fpu.legacy);
    fpu.note.magic = XSTATE_MAGIC;
    fpu.note.size = sizeof fpu;
    fpu.note.features = fpu.header[0] = XSTATE_FEATURES;
    fpu.note.xsave_size = offsetof(struct fpu_frame, end);
    fpu.end = XSTATE_MAGIC_END;
    return guest_write(address, &fpu, sizeof fpu) < 0 ? 0 : address;
}

int amd64_push_frame(struct linux_thread *thread, const struct linux_signal_frame *signal)
{
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    struct x86_state *state = &cpu->state;
    const bool same_stack = signal->sp == state->gpr[X86_RSP];
    struct signal_frame frame = {0};

    if (!(signal->flags & SA_RESTORER_FLAG))
        return -EFAULT;
    const uint64_t fpu = push_fpu(cpu, signal->sp - (same_stack ? RED_ZONE : 0));
    const uint64_t address = ALIGN_DOWN(fpu - sizeof frame, 16ul) - 8;
    if (!fpu)
        return -EFAULT;
    frame.return_address = signal->restorer;
    frame.uc.flags = HAS_XSTATE | HAS_SS | STRICT_RESTORE;
    frame.uc.stack_base = signal->stack_base;
    frame.uc.stack_flags = signal->stack_flags;
    frame.uc.stack_size = signal->stack_size;
    frame.uc.mask = signal->mask;
    fill_context(thread, &frame.uc.context);
    frame.uc.context.old_mask = signal->mask;
    frame.uc.context.fpu = fpu;
    if (signal->flags & SA_SIGINFO)
        frame.info = signal->info;
    if (guest_write(address, &frame, sizeof frame) < 0)
        return -EFAULT;

    state->gpr[X86_RAX] = 0;
    state->gpr[X86_RDI] = (uint64_t)(int64_t)signal->info.si_signo;
    state->gpr[X86_RSI] = address + offsetof(struct signal_frame, info);
    state->gpr[X86_RDX] = address + offsetof(struct signal_frame, uc);
    state->gpr[X86_RSP] = address;
    cpu->pc = signal->handler;
    x86_eflags_set(state, x86_eflags_get(state) & ~(uint64_t)(X86_EFLAGS_DF | X86_EFLAGS_RF | X86_EFLAGS_TF));
    amd64_note_flags(thread);
    amd64_reset_fpu(cpu);
    return 0;
}

/* -- leaving ------------------------------------------------------------------------------------------- */

static int pop_fpu(struct x86_cpu *cpu, uint64_t address)
{
    uint8_t area[AMD64_FXSAVE_SIZE];
    uint32_t mxcsr;

    if (!address) {
        amd64_reset_fpu(cpu);
        return 0;
    }
    if (guest_read(area, address, sizeof area) < 0)
        return -EFAULT;
    memcpy(&mxcsr, area + AREA_MXCSR, sizeof mxcsr);
    if (mxcsr & ~MXCSR_BITS)
        return -EFAULT;
    amd64_write_fpu(cpu, area);
    return 0;
}

/* The handler's return has taken the return address away. */
int amd64_pop_frame(struct linux_thread *thread, struct linux_signal_frame *signal)
{
    const uint64_t changed = X86_EFLAGS_USER & ~(uint64_t)X86_EFLAGS_NT & ~(uint64_t)X86_EFLAGS_ID;
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    struct x86_state *state = &cpu->state;
    const struct signal_context *context;
    struct signal_frame frame;

    if (guest_read(&frame, state->gpr[X86_RSP] - 8, sizeof frame) < 0)
        return -EFAULT;
    context = &frame.uc.context;
    if (pop_fpu(cpu, context->fpu) < 0)
        return -EFAULT;
    uint64_t *gpr = state->gpr;
    memcpy(gpr + 8, context->r8_to_r15, sizeof context->r8_to_r15);
    gpr[X86_RDI] = context->rdi, gpr[X86_RSI] = context->rsi, gpr[X86_RBP] = context->rbp;
    gpr[X86_RBX] = context->rbx, gpr[X86_RDX] = context->rdx, gpr[X86_RAX] = context->rax;
    gpr[X86_RCX] = context->rcx, gpr[X86_RSP] = context->rsp;
    cpu->pc = context->rip;
    x86_eflags_set(state, (x86_eflags_get(state) & ~changed) | (context->eflags & changed));
    amd64_note_flags(thread);
    x86_update_exact_mode(cpu);

    signal->mask = frame.uc.mask;
    signal->stack_base = frame.uc.stack_base;
    signal->stack_flags = frame.uc.stack_flags;
    signal->stack_size = frame.uc.stack_size;
    return 0;
}
