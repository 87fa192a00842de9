/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vector_native: see vector_native.h. The state has a fixed address, so that no register is needed to find
 * it. */
#include "vector_native.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <ucontext.h>

struct native native;

_Static_assert(offsetof(struct native, eflags) == 128 && offsetof(struct native, mxcsr) == 136 &&
                   offsetof(struct native, own_mxcsr) == 140 && offsetof(struct native, code) == 144 &&
                   offsetof(struct native, own_rsp) == 152 && offsetof(struct native, xmm) == 160 &&
                   offsetof(struct native, x87) == 416,
               "the assembly below knows");

__asm__(".text\n"
        ".globl native_run\n"
        ".type native_run, @function\n"
        "native_run:\n"
        "    push %rbx\n    push %rbp\n    push %r12\n    push %r13\n    push %r14\n    push %r15\n"
        "    stmxcsr native+140(%rip)\n"
        "    stmxcsr native+416+24(%rip)\n"
        "    fxrstor64 native+416(%rip)\n"
        "    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "    movups native+160+16*\\n(%rip), %xmm\\n\n"
        "    .endr\n"
        "    ldmxcsr native+136(%rip)\n"
        "    mov %rsp, native+152(%rip)\n" /* below it is only what is popped or called from here */
        "    push native+128(%rip)\n"
        "    popf\n"
        "    mov native+0(%rip), %rax\n    mov native+8(%rip), %rcx\n    mov native+16(%rip), %rdx\n"
        "    mov native+24(%rip), %rbx\n    mov native+40(%rip), %rbp\n    mov native+48(%rip), %rsi\n"
        "    mov native+56(%rip), %rdi\n"
        "    .irp n,8,9,10,11,12,13,14,15\n"
        "    mov native+8*\\n(%rip), %r\\n\n"
        "    .endr\n"
        "    call *native+144(%rip)\n"
        "    mov %rax, native+0(%rip)\n    mov %rcx, native+8(%rip)\n    mov %rdx, native+16(%rip)\n"
        "    mov %rbx, native+24(%rip)\n    mov %rbp, native+40(%rip)\n    mov %rsi, native+48(%rip)\n"
        "    mov %rdi, native+56(%rip)\n"
        "    .irp n,8,9,10,11,12,13,14,15\n"
        "    mov %r\\n, native+8*\\n(%rip)\n"
        "    .endr\n"
        "    pushf\n"
        "    pop native+128(%rip)\n"
        "    cld\n"
        "    stmxcsr native+136(%rip)\n"
        "    ldmxcsr native+140(%rip)\n"
        "    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "    movups %xmm\\n, native+160+16*\\n(%rip)\n"
        "    .endr\n"
        "    fxsave64 native+416(%rip)\n"
        "native_end:\n"
        "    fninit\n"
        "    pop %r15\n    pop %r14\n    pop %r13\n    pop %r12\n    pop %rbp\n    pop %rbx\n"
        "    ret\n"
        ".size native_run, . - native_run\n");

void native_end(void);

bool native_trap(void *ucontext)
{
    static const int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    ucontext_t *context = ucontext;
    greg_t *registers = context->uc_mcontext.gregs;
    struct _libc_fpstate *fp = context->uc_mcontext.fpregs;

    if (!native.code || (uint64_t)registers[REG_RSP] != native.own_rsp - sizeof(void *))
        return false;
    for (unsigned n = 0; n < 16; n++)
        if (n != 4)
            native.gpr[n] = (uint64_t)registers[order[n]];
    native.eflags = (uint64_t)registers[REG_EFL];
    native.mxcsr = fp->mxcsr;
    memcpy(native.xmm, fp->_xmm, sizeof native.xmm);
    memcpy(native.x87, fp, offsetof(struct _libc_fpstate, _xmm));
    native.vector = (unsigned)registers[REG_TRAPNO];
    native.rip = (uint64_t)registers[REG_RIP];
    registers[REG_RIP] = (greg_t)(uintptr_t)native_end;
    registers[REG_RSP] = (greg_t)native.own_rsp;
    fp->mxcsr = native.own_mxcsr;
    return true;
}
