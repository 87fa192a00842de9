/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i386 frame: signal frames of 32-bit x86 programs, as the kernel's uapi headers asm/sigcontext.h and
 * asm/ucontext.h lay them out. There are two: for handlers with SA_SIGINFO, and the old one for others. From
 * the top down: the state of the FPU, and the frame, which begins with the handler's return address.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86/x87_state.h"
#include "base/macros.h"
#include "personality/linux/i386.h"
#include "personality/linux/memory.h"
#include "personality/linux/signal.h"

#define SA_RESTORER_FLAG 0x04000000u

#define HAS_XSTATE       1u /* in uc_flags */
#define XSTATE_MAGIC     0x46505853u
#define XSTATE_MAGIC_END 0x46505845u
#define XSTATE_FEATURES  3u /* x87 and SSE */
#define MXCSR_BITS       0xffffu

enum { NUMBER_SIGRETURN = 119, NUMBER_RT_SIGRETURN = 173 };

struct signal_context {
    uint32_t gs, fs, es, ds; /* selectors have 16 bits */
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t trap, error, eip, cs, eflags, esp_at_signal, ss, fpu, old_mask, cr2;
};
_Static_assert(sizeof(struct signal_context) == 88, "struct sigcontext_32");

struct frame {
    uint32_t return_address;
    uint32_t signal;
    uint32_t info_address, context_address;
    uint8_t info[I386_SIGINFO_SIZE];
    struct {
        uint32_t flags, link, stack_base;
        int32_t stack_flags;
        uint32_t stack_size;
        struct signal_context context;
        uint32_t mask[2];
    } uc;
    uint8_t code[8];
};
_Static_assert(sizeof(struct frame) == 16 + 128 + 116 + 8, "struct rt_sigframe_ia32");

struct old_frame {
    uint32_t return_address;
    uint32_t signal;
    struct signal_context context;
    uint8_t unused_fpu[624];
    uint32_t mask_high;
    uint8_t code[8];
};
_Static_assert(sizeof(struct old_frame) == 8 + 88 + 624 + 12, "struct sigframe_ia32");

/* FSAVE's format; then, at a multiple of 64, FXSAVE's, with a note of what follows; XSAVE's header, an end
 * mark. */
struct fpu_frame {
    uint32_t control, status, tags, ip, ip_selector, operand, operand_selector;
    uint8_t stack[8][X87_BYTES];
    uint16_t old_status, magic;
    uint8_t extended[464];
    struct {
        uint32_t magic, size;
        uint64_t features;
        uint32_t xsave_size, pad[7];
    } note;
    uint64_t header[8];
    uint32_t end;
} __attribute__((packed));
#define OLD_FPU_SIZE offsetof(struct fpu_frame, extended)
_Static_assert(OLD_FPU_SIZE == 112 && offsetof(struct fpu_frame, header) == 112 + AMD64_FXSAVE_SIZE,
               "struct _fpstate_32");

/* -- where handlers return to -------------------------------------------------------------------------- */

/* Unwinders know these by their bytes. */
static const uint8_t return_code[8] = {0x58, 0xb8, NUMBER_SIGRETURN, 0, 0, 0, 0xcd, 0x80}; /* POP EAX first */
static const uint8_t rt_return_code[8] = {0xb8, NUMBER_RT_SIGRETURN, 0, 0, 0, 0xcd, 0x80, 0};

int i386_map_trampolines(struct linux_process *process)
{
    int64_t at = linux_memory_map(process, 0, GUEST_PAGE_SIZE, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at < 0 || guest_write((uint64_t)at, return_code, sizeof return_code) < 0 ||
        guest_write((uint64_t)at + sizeof return_code, rt_return_code, sizeof rt_return_code) < 0 ||
        linux_memory_protect(process, (uint64_t)at, GUEST_PAGE_SIZE, PROT_READ | PROT_EXEC) < 0)
        return -ENOMEM;
    process->trampoline = (uint64_t)at;
    return 0;
}

static uint32_t return_address(const struct linux_thread *thread, const struct linux_signal_frame *signal,
                               bool old)
{
    const uint64_t own = thread->process->trampoline + (old ? 0 : sizeof return_code);
    return (uint32_t)(signal->flags & SA_RESTORER_FLAG ? signal->restorer : own);
}

/* -- struct siginfo ------------------------------------------------------------------------------------ */

static bool is_exception(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE || signal == SIGTRAP;
}

static void put(uint8_t *guest, unsigned index, uint32_t value)
{
    memcpy(guest + index * sizeof value, &value, sizeof value);
}

/* Which members there are depends on who sent it. */
void i386_siginfo_from_host(uint8_t guest[I386_SIGINFO_SIZE], const siginfo_t *host)
{
    const int code = host->si_code;
    memset(guest, 0, I386_SIGINFO_SIZE);
    put(guest, 0, (uint32_t)host->si_signo);
    put(guest, 1, (uint32_t)host->si_errno);
    put(guest, 2, (uint32_t)code);
    if (code > SI_USER && code < SI_KERNEL && is_exception(host->si_signo)) {
        put(guest, 3, (uint32_t)(uintptr_t)host->si_addr);
        put(guest, 4, (uint16_t)host->si_addr_lsb);
    } else if ((code > SI_USER && code < SI_KERNEL && host->si_signo == SIGPOLL) || code == SI_SIGIO) {
        put(guest, 3, (uint32_t)host->si_band);
        put(guest, 4, (uint32_t)host->si_fd);
    } else if (code > SI_USER && code < SI_KERNEL && host->si_signo == SIGSYS) {
        put(guest, 3, (uint32_t)(uintptr_t)host->si_call_addr);
        put(guest, 4, (uint32_t)host->si_syscall);
        put(guest, 5, host->si_arch);
    } else {
        put(guest, 3, (uint32_t)host->si_pid); /* or the timer */
        put(guest, 4, host->si_uid);           /* or how often it expired */
        if (code > SI_USER && code < SI_KERNEL && host->si_signo == SIGCHLD) {
            put(guest, 5, (uint32_t)host->si_status);
            put(guest, 6, (uint32_t)host->si_utime);
            put(guest, 7, (uint32_t)host->si_stime);
        } else {
            put(guest, 5, (uint32_t)(uintptr_t)host->si_value.sival_ptr);
        }
    }
}

/* -- the FPU ------------------------------------------------------------------------------------------- */

/* Its address, or 0: it cannot be written. */
static uint64_t push_fpu(struct x86_cpu *cpu, uint64_t sp)
{
    struct fpu_frame fpu = {0};
    const size_t extended_size = sizeof fpu - OLD_FPU_SIZE;
    const uint64_t address = ALIGN_DOWN(sp - extended_size, 64ul) - OLD_FPU_SIZE;
    uint8_t area[AMD64_FXSAVE_SIZE];

    amd64_read_fpu(cpu, area);
    const struct x87_area *x87 = (const struct x87_area *)cpu->state.x87;
    fpu.control = x87->control | 0xffff0000;
    fpu.status = x87->status | 0xffff0000;
    fpu.tags = x87_full_tags(x87) | 0xffff0000;
    fpu.ip = (uint32_t)x87->instruction;
    fpu.ip_selector = cpu->state.segment[X86_CS].selector | (uint32_t)x87->opcode << 16;
    fpu.operand = (uint32_t)x87->operand;
    fpu.operand_selector = cpu->state.segment[X86_DS].selector | 0xffff0000;
    for (unsigned i = 0; i < 8; i++)
        memcpy(fpu.stack[i], x87->stack[i], X87_BYTES);
    fpu.old_status = x87->status;
    memcpy(fpu.extended, area, sizeof fpu.extended);
    fpu.note.magic = XSTATE_MAGIC;
    fpu.note.size = sizeof fpu;
    fpu.note.features = fpu.header[0] = XSTATE_FEATURES;
    fpu.note.xsave_size = (uint32_t)(offsetof(struct fpu_frame, end) - OLD_FPU_SIZE);
    fpu.end = XSTATE_MAGIC_END;
    return guest_write(address, &fpu, sizeof fpu) < 0 ? 0 : address;
}

/* The x87's registers count as the first part has them, where handlers look for them. */
static int pop_fpu(struct x86_cpu *cpu, uint64_t address)
{
    struct fpu_frame fpu;
    uint8_t area[AMD64_FXSAVE_SIZE];
    uint32_t mxcsr;

    if (!address) {
        amd64_reset_fpu(cpu);
        return 0;
    }
    if (guest_read(&fpu, address, OLD_FPU_SIZE + sizeof area) < 0)
        return -EFAULT;
    memcpy(area, fpu.extended, sizeof area);
    memcpy(&mxcsr, area + offsetof(struct x87_area, mxcsr), sizeof mxcsr);
    if (mxcsr & ~MXCSR_BITS)
        return -EFAULT;
    struct x87_area *x87 = (struct x87_area *)area;
    x87->control = (uint16_t)fpu.control;
    x87->status = (uint16_t)fpu.status;
    x87->opcode = (uint16_t)(fpu.ip_selector >> 16 & 0x7ff);
    x87->instruction = fpu.ip;
    x87->operand = fpu.operand;
    x87->tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        x87->tags |= (uint8_t)((fpu.tags >> 2 * i & 3) != 3) << i;
        memcpy(x87->stack[i], fpu.stack[i], X87_BYTES);
    }
    amd64_write_fpu(cpu, area);
    return 0;
}

/* -- entering ------------------------------------------------------------------------------------------ */

static void fill_context(const struct linux_thread *thread, const struct linux_signal_frame *signal,
                         uint64_t fpu, struct signal_context *context)
{
    const struct x86_state *state = &((const struct x86_cpu *)thread->cpu)->state;
    const struct x86_segment_register *segment = state->segment;
    const uint64_t *gpr = state->gpr;

    *context = (struct signal_context){
        .gs = segment[X86_GS].selector,
        .fs = segment[X86_FS].selector,
        .es = segment[X86_ES].selector,
        .ds = segment[X86_DS].selector,
        .edi = (uint32_t)gpr[X86_RDI],
        .esi = (uint32_t)gpr[X86_RSI],
        .ebp = (uint32_t)gpr[X86_RBP],
        .esp = (uint32_t)gpr[X86_RSP],
        .ebx = (uint32_t)gpr[X86_RBX],
        .edx = (uint32_t)gpr[X86_RDX],
        .ecx = (uint32_t)gpr[X86_RCX],
        .eax = (uint32_t)gpr[X86_RAX],
        .trap = (uint32_t)thread->fault.trap,
        .error = (uint32_t)thread->fault.error,
        .eip = (uint32_t)(((const struct x86_cpu *)thread->cpu)->pc - state->segment_base[X86_CS]),
        .cs = segment[X86_CS].selector,
        .eflags = (uint32_t)x86_eflags_get(state),
        .esp_at_signal = (uint32_t)gpr[X86_RSP],
        .ss = segment[X86_SS].selector,
        .fpu = (uint32_t)fpu,
        .old_mask = (uint32_t)signal->mask,
        .cr2 = (uint32_t)thread->fault.address,
    };
}

/* A frame of this size: its first address. */
static uint64_t frame_address(uint64_t sp, size_t size)
{
    return ALIGN_DOWN(sp - size + 4, 16ul) - 4;
}

static uint64_t push_old(struct linux_thread *thread, const struct linux_signal_frame *signal, uint64_t fpu)
{
    struct old_frame frame = {.return_address = return_address(thread, signal, true),
                              .signal = (uint32_t)signal->info.si_signo,
                              .mask_high = (uint32_t)(signal->mask >> 32)};
    const uint64_t address = frame_address(fpu, sizeof frame);
    fill_context(thread, signal, fpu, &frame.context);
    memcpy(frame.code, return_code, sizeof frame.code);
    return guest_write(address, &frame, sizeof frame) < 0 ? 0 : address;
}

static uint64_t push_new(struct linux_thread *thread, const struct linux_signal_frame *signal, uint64_t fpu)
{
    struct frame frame = {.return_address = return_address(thread, signal, false),
                          .signal = (uint32_t)signal->info.si_signo};
    const uint64_t address = frame_address(fpu, sizeof frame);
    frame.info_address = (uint32_t)(address + offsetof(struct frame, info));
    frame.context_address = (uint32_t)(address + offsetof(struct frame, uc));
    i386_siginfo_from_host(frame.info, &signal->info);
    frame.uc.flags = HAS_XSTATE;
    frame.uc.stack_base = (uint32_t)signal->stack_base;
    frame.uc.stack_flags = signal->stack_flags;
    frame.uc.stack_size = (uint32_t)signal->stack_size;
    frame.uc.mask[0] = (uint32_t)signal->mask;
    frame.uc.mask[1] = (uint32_t)(signal->mask >> 32);
    fill_context(thread, signal, fpu, &frame.uc.context);
    memcpy(frame.code, rt_return_code, sizeof frame.code);
    return guest_write(address, &frame, sizeof frame) < 0 ? 0 : address;
}

int i386_push_frame(struct linux_thread *thread, const struct linux_signal_frame *signal)
{
    static const enum x86_segment data[] = {X86_SS, X86_DS, X86_ES};
    const bool old = !(signal->flags & SA_SIGINFO);
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    struct x86_state *state = &cpu->state;
    const uint64_t fpu = push_fpu(cpu, (uint32_t)signal->sp);
    const uint64_t address = !fpu ? 0 : old ? push_old(thread, signal, fpu) : push_new(thread, signal, fpu);

    if (!address)
        return -EFAULT;
    state->gpr[X86_RAX] = (uint32_t)signal->info.si_signo;
    state->gpr[X86_RDX] = old ? 0 : address + offsetof(struct frame, info);
    state->gpr[X86_RCX] = old ? 0 : address + offsetof(struct frame, uc);
    state->gpr[X86_RSP] = address;
    i386_load_segment(thread, X86_CS, I386_CS);
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        i386_load_segment(thread, data[i], I386_DS);
    cpu->pc = (uint32_t)signal->handler;
    x86_eflags_set(state, x86_eflags_get(state) & ~(uint64_t)(X86_EFLAGS_DF | X86_EFLAGS_RF | X86_EFLAGS_TF));
    amd64_note_flags(thread);
    amd64_reset_fpu(cpu);
    return 0;
}

/* -- leaving ------------------------------------------------------------------------------------------- */

static int restore(struct linux_thread *thread, const struct signal_context *context)
{
    const uint64_t changed = X86_EFLAGS_USER & ~(uint64_t)X86_EFLAGS_NT & ~(uint64_t)X86_EFLAGS_ID;
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    struct x86_state *state = &cpu->state;
    uint64_t *gpr = state->gpr;

    if (pop_fpu(cpu, context->fpu) < 0)
        return -EFAULT;
    gpr[X86_RDI] = context->edi, gpr[X86_RSI] = context->esi, gpr[X86_RBP] = context->ebp;
    gpr[X86_RSP] = context->esp, gpr[X86_RBX] = context->ebx, gpr[X86_RDX] = context->edx;
    gpr[X86_RCX] = context->ecx, gpr[X86_RAX] = context->eax;
    x86_eflags_set(state, (x86_eflags_get(state) & ~changed) | (context->eflags & changed));
    amd64_note_flags(thread);
    i386_load_segment(thread, X86_GS, (uint16_t)context->gs);
    i386_load_segment(thread, X86_FS, (uint16_t)context->fs);
    i386_load_segment(thread, X86_ES, (uint16_t)context->es);
    i386_load_segment(thread, X86_DS, (uint16_t)context->ds);
    if (!i386_load_segment(thread, X86_CS, (uint16_t)context->cs | 3) ||
        !i386_load_segment(thread, X86_SS, (uint16_t)context->ss | 3))
        return -EFAULT;
    cpu->pc = (uint32_t)(context->eip + state->segment_base[X86_CS]);
    return 0;
}

/* The handler's return has taken the return address away. */
int i386_pop_frame(struct linux_thread *thread, struct linux_signal_frame *signal)
{
    const uint32_t sp = (uint32_t)amd64_sp(thread->cpu);
    struct frame frame;

    if (guest_read(&frame, sp - offsetof(struct frame, signal), sizeof frame) < 0)
        return -EFAULT;
    signal->mask = (uint64_t)frame.uc.mask[1] << 32 | frame.uc.mask[0];
    signal->stack_base = frame.uc.stack_base;
    signal->stack_flags = frame.uc.stack_flags;
    signal->stack_size = frame.uc.stack_size;
    return restore(thread, &frame.uc.context);
}

/* And the code behind it the signal's number. The alternate stack stays. */
int i386_pop_old_frame(struct linux_thread *thread, struct linux_signal_frame *signal)
{
    const uint32_t sp = (uint32_t)amd64_sp(thread->cpu);
    struct old_frame frame;

    if (guest_read(&frame, sp - offsetof(struct old_frame, context), sizeof frame) < 0)
        return -EFAULT;
    signal->mask = (uint64_t)frame.mask_high << 32 | frame.context.old_mask;
    signal->stack_base = thread->signals->stack_base;
    signal->stack_flags = thread->signals->stack_flags;
    signal->stack_size = thread->signals->stack_size;
    return restore(thread, &frame.context);
}
