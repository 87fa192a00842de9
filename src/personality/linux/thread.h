/* SPDX-License-Identifier: GPL-2.0-or-later */
/* thread: making and ending guest threads, for clone.c and run.c. Private to this folder. */
#ifndef VISOR_PERSONALITY_LINUX_THREAD_H
#define VISOR_PERSONALITY_LINUX_THREAD_H

#include "personality/linux/process.h"

/* A thread of `process` with the creator's registers and mask. NULL: -ENOMEM. */
struct linux_thread *linux_thread_new(const struct linux_thread *creator, struct linux_process *process);
/* Of a thread that was never started. */
void linux_thread_discard(struct linux_thread *thread);

/* Runs the calling task's guest, from its first instruction to its end. */
_Noreturn void linux_thread_main(struct linux_thread *thread);

/* Ends the calling thread. */
_Noreturn void linux_thread_finish(struct linux_thread *thread);

/* Frees an outlived thread that has ended or does not use this memory any more, and its process. */
void linux_thread_abandon(struct linux_thread *thread);

#endif
