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

/* Does the host's kernel serve 32-bit programs (linux_compat_syscall())? To be asked when visor's handlers
 * are there. */
bool host_has_compat(void);

/* [signal] Where the interrupted code was, for a message. */
uint64_t host_instruction(const void *ucontext);

/* What clone3() takes; clone()'s arguments are among them. */
struct host_clone {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
        cgroup;
};

/*
 * Makes a task by clone3() if `extended`, else by clone(). With run == NULL the child returns 0 from here, on
 * its copy of the stack; else it calls run(argument) on the given stack, and run does not return. The task's
 * id or a negative errno. Nothing of libc takes part.
 */
int64_t host_clone(const struct host_clone *arguments, bool extended, void (*run)(void *argument),
                   void *argument);

/* Ends the calling task without touching its stack or thread-local storage any more. */
_Noreturn void host_exit_task(void);

/* The calling thread's thread-local storage, as clone() takes it. */
uint64_t host_thread_storage(void);

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
