/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transfer: far jumps, calls and returns, IRET, and the fast system calls. Intel SDM volume 2, the
 * instructions; volume 3, 5.8.
 *
 * `size` is the operand's in bytes: 2, 4 or 8. rip is where the instruction behind begins; it, the segments
 * and the stack change, or an exception is raised with all as it was. A task switch may be behind a selector:
 * what is raised after it has `in_new_task` set, and only that has changed the state.
 */
#ifndef VISOR_ARCH_X86_TRANSFER_H
#define VISOR_ARCH_X86_TRANSFER_H

#include "arch/x86/core.h"

int x86_far_jump(struct x86_core *core, uint16_t selector, uint64_t offset, unsigned size);
int x86_far_call(struct x86_core *core, uint16_t selector, uint64_t offset, unsigned size);
/* RETF, which takes `released` more bytes from the stack. */
int x86_far_return(struct x86_core *core, unsigned size, unsigned released);
int x86_iret(struct x86_core *core, unsigned size);

int x86_syscall(struct x86_core *core);
/* `wide`: to 64-bit code. */
int x86_sysret(struct x86_core *core, bool wide);
int x86_sysenter(struct x86_core *core);
int x86_sysexit(struct x86_core *core, bool wide);

#endif
