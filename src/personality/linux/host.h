/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: the parts of the Linux personality that depend on the host's processor: system calls that a signal
 * can restart, copies that survive a fault, and the context of a signal handler. Private to this folder.
 */
#ifndef VISOR_PERSONALITY_LINUX_HOST_H
#define VISOR_PERSONALITY_LINUX_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "personality/linux/process.h"

/*
 * [signal] For a handler that has just set thread->signal_pending: if the interrupted code was about to enter
 * the kernel in linux_host_syscall(), makes that return LINUX_RESTART instead.
 */
void host_restart_syscall(void *ucontext);

/* [signal] If the fault happened in one of the guest_ copies, makes that return -EFAULT: true. */
bool host_recover_copy(void *ucontext);

/* [signal] Where the interrupted code was, for a message. */
uint64_t host_instruction(const void *ucontext);

/* What the kernel's rt_sigaction takes. */
struct host_sigaction {
    uint64_t handler;
    uint64_t flags;
    uint64_t restorer;
    uint64_t mask;
};

/* Sets the handler of a host signal, and/or reads the current one: `action`, `old` may be NULL. The handler
 * is a siginfo handler. 0 or a negative errno. */
int host_sigaction(int signal, const struct host_sigaction *action, struct host_sigaction *old);

#endif
