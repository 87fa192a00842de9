/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector_native: runs x86 instructions on the host's own processor, between states that are given and taken.
 *
 * The code ends with a RET, or with an exception whose handler calls native_trap(). It may use all registers
 * but rsp, which is the caller's stack.
 */
#ifndef VISOR_TESTS_ISA_X86_VECTOR_NATIVE_H
#define VISOR_TESTS_ISA_X86_VECTOR_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vector.h"

struct native {
    uint64_t gpr[16];
    uint64_t eflags;
    uint32_t mxcsr;
    uint32_t own_mxcsr;
    const void *code;
    uint64_t own_rsp;
    union vector128 xmm[16];
    uint8_t x87[512]; /* as FXSAVE has it, without MXCSR and XMM */
    unsigned vector;  /* of the exception, or 0, */
    uint64_t rip;     /* and its instruction's address */
};

/* What native_run() starts from and leaves. One thread. */
extern struct native native;

void native_run(void);

/* In a handler of a signal that came in native_run(): the state becomes that of the exception, and
 * native_run() returns when the handler does. False: it did not come there. */
bool native_trap(void *ucontext);

#endif
