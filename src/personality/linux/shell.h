/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * shell: host stacks with thread-local storage, on which tasks run that visor makes by clone() itself.
 * Private to this folder.
 *
 * Guests ask for tasks that no pthread_create() makes: with ids of their choice, in other namespaces, whose
 * end the kernel announces in a word of theirs, processes with shared memory. But visor's C code needs what
 * libc prepares for a thread. So libc makes a thread, which ends at once without libc's knowing; what it
 * leaves is a shell. It is used again for another task after the first has ended.
 */
#ifndef VISOR_PERSONALITY_LINUX_SHELL_H
#define VISOR_PERSONALITY_LINUX_SHELL_H

#include "personality/linux/process.h"

struct linux_shell {
    struct linux_shell *next;
    uint64_t storage;   /* thread-local storage, as clone() takes it; 0: that of the creator's, which waits */
    uint64_t stack;     /* for clone3(), which is given the size too */
    uint64_t stack_top; /* a multiple of 16 */
    pid_t task;         /* that may still be running on it, or 0; */
    pid_t process;      /* and whose it was */
};

/* 0 or -ENOMEM. */
int linux_shells_new(struct linux_process *process);

/* A shell that no task uses. With signals blocked; one may not be any more (see shell.c). NULL: -EAGAIN. */
struct linux_shell *linux_shell_take(struct linux_process *process);
/* A stack only, for a child that its creator waits for. NULL: -ENOMEM. */
struct linux_shell *linux_shell_take_stack(struct linux_process *process);

/* Gives it back. `task` is 0, or the calling thread, which will end without using much of its stack. */
void linux_shell_give(struct linux_process *process, struct linux_shell *shell, pid_t task);

/* A thread has died that may have held the lock. */
void linux_shells_recover(struct linux_process *process, uint32_t lock_number);

/* Around fork(). */
void linux_shells_lock(struct linux_process *process);
void linux_shells_unlock(struct linux_process *process);
/* In the child of a fork: libc has taken back all thread stacks but the caller's own. */
void linux_shells_fork_child(struct linux_process *process);

#endif
