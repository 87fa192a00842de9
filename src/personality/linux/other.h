/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * other: what another process of visor knows of its guest, which the kernel cannot tell: which mappings are
 * the guest's, what of them may be executed, which signals it handles, which descriptors are visor's.
 *
 * A process shows where its struct linux_process is by a variable at an address that all processes of the
 * same visor can compute; readers copy from its memory by /proc/PID/mem. That needs the kernel's leave to
 * look into the process. What is read is what a hostile guest may have written there: nothing in it is
 * trusted.
 */
#ifndef VISOR_PERSONALITY_LINUX_OTHER_H
#define VISOR_PERSONALITY_LINUX_OTHER_H

#include "personality/linux/process.h"

/* From the start of a program on, others can find this process's memory. */
void linux_other_show(const struct linux_process *space);

/*
 * A copy, to be given to linux_other_free(), in which only these are set: memory, with the ranges that the
 * guest has mapped, may execute and may only execute; actions; own_fds; the addresses of the heap, the stack
 * and the vDSO. NULL: `directory`, which is like /proc/PID, is not that of a process of this visor that runs
 * a guest, or the kernel does not let this one look into it.
 */
struct linux_process *linux_other_copy(const struct linux_process *process, const char *directory);
void linux_other_free(struct linux_process *copy);

/* Copies from another process's memory: false if it has nothing there. */
struct linux_reader {
    bool (*read)(const struct linux_reader *reader, void *to, uint64_t from, size_t size);
    int fd; /* of /proc/PID/mem */
};

/* The same from the variable at `beacon` on: for linux_other_copy() and tests. */
struct linux_process *linux_other_read(const struct linux_reader *reader, uint64_t beacon);

#endif
