/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vector_native: runs x86 instructions on the host's own processor, between states that are given and taken.
 *
 * The code ends with a RET. It may use all registers but rsp, which is the caller's stack. MXCSR must mask
 * all exceptions.
 */
#ifndef VISOR_TESTS_ISA_X86_VECTOR_NATIVE_H
#define VISOR_TESTS_ISA_X86_VECTOR_NATIVE_H

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
};

/* What native_run() starts from and leaves. One thread. */
extern struct native native;

void native_run(void);

#endif
