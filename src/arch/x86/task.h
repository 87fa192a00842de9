/* SPDX-License-Identifier: GPL-2.0-or-later */
/* task: task switches of the processor's own. Intel SDM volume 3, chapter 7. */
#ifndef VISOR_ARCH_X86_TASK_H
#define VISOR_ARCH_X86_TASK_H

#include "arch/x86/core.h"

enum x86_task_reason {
    X86_TASK_JMP,
    X86_TASK_CALL,
    X86_TASK_IRET,
    X86_TASK_INTERRUPT, /* by a task gate of the IDT */
};

/*
 * Switches to the task of a TSS selector; state->rip must be where the old task goes on. What is found wrong
 * once the new task's registers are loaded is raised in that task (7.3, step 13), with
 * `exception.in_new_task` set.
 */
int x86_task_switch(struct x86_core *core, uint16_t selector, enum x86_task_reason reason, unsigned external);

/* By an interrupt or exception, whose error code, if it has one, goes to the new task's stack. `eflags` are
 * the old task's. */
int x86_task_interrupt(struct x86_core *core, uint16_t selector, unsigned external, uint64_t eflags,
                       const uint32_t *error);

#endif
