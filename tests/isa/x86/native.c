/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * native: code on the host's processor with all registers from a structure. It ends by a signal, whose
 * handler takes the registers out of its context.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "compare.h"

/* What the assembler knows of struct machine: offsets of gpr, eflags, xmm, mxcsr. */
_Static_assert(offsetof(struct machine, rip) == 128 && offsetof(struct machine, eflags) == 136 &&
                   offsetof(struct machine, xmm) == 144 && offsetof(struct machine, mxcsr) == 400,
               "native_enter");

void native_enter(const struct machine *machine);
void native_exit(void);

uint64_t native_host_stack __attribute__((visibility("hidden")));
/* Where to, with the code segment that Linux has for 64- and for 32-bit code. */
struct {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed)) native_entry __attribute__((visibility("hidden"))) = {CODE_START + CODE_BEFORE, 0};
uint16_t native_stack_segment __attribute__((visibility("hidden")));
enum {
    SELECTOR_CODE_64 = 0x33,
    SELECTOR_CODE_32 = 0x23,
    SELECTOR_DATA = 0x2b,
    SELECTOR_CODE_16 = 0 << 3 | 7, /* in the local table: of ours */
    SELECTOR_DATA_16 = 1 << 3 | 7,
};

static struct machine *running; /* NULL: not in native_enter() */

__asm__(".text\n"
        ".globl native_enter\n"
        "native_enter:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rsp, native_host_stack(%rip)\n"
        "    ldmxcsr 400(%rdi)\n"
        "    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "    movups 144+16*\\n(%rdi), %xmm\\n\n"
        "    .endr\n"
        "    push 136(%rdi)\n"
        "    popf\n"
        "    mov 0(%rdi), %rax\n"
        "    mov 8(%rdi), %rcx\n"
        "    mov 16(%rdi), %rdx\n"
        "    mov 24(%rdi), %rbx\n"
        "    movw native_stack_segment(%rip), %ss\n"
        "    mov 32(%rdi), %rsp\n"
        "    mov 40(%rdi), %rbp\n"
        "    mov 48(%rdi), %rsi\n"
        "    mov 64(%rdi), %r8\n"
        "    mov 72(%rdi), %r9\n"
        "    mov 80(%rdi), %r10\n"
        "    mov 88(%rdi), %r11\n"
        "    mov 96(%rdi), %r12\n"
        "    mov 104(%rdi), %r13\n"
        "    mov 112(%rdi), %r14\n"
        "    mov 120(%rdi), %r15\n"
        "    mov 56(%rdi), %rdi\n"
        "    ljmp *native_entry(%rip)\n"
        ".globl native_exit\n"
        "native_exit:\n"
        "    mov native_host_stack(%rip), %rsp\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n");

static enum ending ending_of(int signal)
{
    switch (signal) {
    case SIGTRAP: return END_BREAKPOINT;
    case SIGSEGV:
    case SIGBUS: return END_FAULT;
    case SIGFPE: return END_DIVIDE;
    case SIGILL: return END_UNDEFINED;
    default: return END_OTHER;
    }
}

static void take_registers(struct machine *m, const ucontext_t *context)
{
    static const int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    const greg_t *registers = context->uc_mcontext.gregs;
    const struct _libc_fpstate *fp = context->uc_mcontext.fpregs;

    for (unsigned n = 0; n < 16; n++)
        m->gpr[n] = (uint64_t)registers[order[n]];
    m->rip = (uint64_t)registers[REG_RIP];
    m->eflags = (uint64_t)registers[REG_EFL];
    memcpy(m->xmm, fp->_xmm, sizeof m->xmm);
    m->mxcsr = fp->mxcsr;
}

bool native_signal(int signal, void *ucontext)
{
    ucontext_t *context = ucontext;
    greg_t *registers = context->uc_mcontext.gregs;

    if (!running)
        return false;
    take_registers(running, context);
    running->ending = ending_of(signal);
    if (signal == SIGTRAP)
        running->rip--; /* it is a trap */
    if (native_entry.selector == SELECTOR_CODE_16)
        running->rip += CODE_START;
    running = NULL;
    registers[REG_CSGSFS] =
        (registers[REG_CSGSFS] & 0xffffffff0000ll) | (greg_t)SELECTOR_DATA << 48 | SELECTOR_CODE_64;
    registers[REG_RIP] = (greg_t)(uintptr_t)native_exit;
    registers[REG_RSP] = (greg_t)native_host_stack;
    registers[REG_EFL] &= ~(greg_t)(X86_EFLAGS_DF | X86_EFLAGS_AC | X86_EFLAGS_TF | X86_EFLAGS_NT);
    context->uc_mcontext.fpregs->mxcsr = 0x1f80;
    return true;
}

/* Segments of 64 KiB. */
static bool make_segment(unsigned number, uint32_t base, unsigned contents)
{
    struct user_desc segment = {
        .entry_number = number, .base_addr = base, .limit = 0xffff, .contents = contents, .useable = 1};
    return syscall(SYS_modify_ldt, 1, &segment, sizeof segment) == 0;
}

bool native_prepare(enum x86_code code)
{
    unsigned data = SELECTOR_DATA;

    native_stack_segment = SELECTOR_DATA;
    native_entry.selector = code == X86_CODE_64 ? SELECTOR_CODE_64 : SELECTOR_CODE_32;
    if (code == X86_CODE_16) {
        if (!make_segment(0, CODE_START, MODIFY_LDT_CONTENTS_CODE) ||
            !make_segment(1, DATA_START, MODIFY_LDT_CONTENTS_DATA))
            return false;
        native_entry.offset = CODE_BEFORE;
        native_entry.selector = SELECTOR_CODE_16;
        native_stack_segment = SELECTOR_DATA_16;
        data = SELECTOR_DATA_16;
    }
    if (code != X86_CODE_64) /* 64-bit programs begin without */
        __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(data));
    return syscall(SYS_arch_prctl, ARCH_SET_GS, DATA_START) == 0;
}

void native_run(struct machine *machine)
{
    running = machine;
    native_enter(machine);
    memcpy(machine->data, (const void *)DATA_START, DATA_SIZE);
}
