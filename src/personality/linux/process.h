/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process: what the files of the Linux personality share. Private to this folder.
 *
 * One struct linux_process per process, one struct linux_thread per guest thread. A system call is a
 * function `linux_sys_NAME(thread, a)` that returns the guest's result: >= 0 or a negative Linux errno
 * (the numbers are the same for all architectures that visor serves on an x86-64 host).
 */
#ifndef VISOR_PERSONALITY_LINUX_PROCESS_H
#define VISOR_PERSONALITY_LINUX_PROCESS_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "personality/linux/linux.h"
#include "translator/translator.h"

#define GUEST_PAGE_SIZE 4096ul

struct linux_process {
    struct translator *translator;
    const struct linux_arch *arch;
    unsigned trace; /* enum linux_trace */
    int visor_fd;   /* visor's own executable, for execve(); hidden from the guest */
    char *exe_path; /* what the guest's /proc/self/exe reads; owned */
    uint64_t brk_start, brk_end, brk_limit;
    uint64_t stack_start, stack_end; /* of the main thread */
    uint64_t auxv_address;
    uint32_t auxv_size;
};

struct linux_thread {
    struct translator_cpu *cpu; /* owned */
    struct linux_process *process;
    pid_t tid;
    uint64_t clear_child_tid; /* guest address or 0 */
    uint64_t robust_list;     /* guest address of the head, or 0 */
    struct linux_thread_signals *signals; /* owned, private to signal.c */
};

/* -- guest memory (memory.c): copies that give -EFAULT instead of a crash ------------------------------ */

/* 0 or -EFAULT. Nothing else in this folder dereferences a guest address. */
int guest_read(void *to, uint64_t from, size_t length);
int guest_write(uint64_t to, const void *from, size_t length);
/* Length of the string at `address` without its NUL (at most max - 1), or -EFAULT, -ENAMETOOLONG. */
ssize_t guest_strlen(uint64_t address, size_t max);
/* A copy of a guest string in `buffer`; its length or a negative errno as above. */
ssize_t guest_read_string(char *buffer, size_t size, uint64_t address);

/* Makes a host system call by number; returns the result or a negative errno, never touching `errno`.
 * Use this, not libc's wrappers, to serve the guest: signals that interrupt it do so exactly once, before
 * it starts (-EINTR-like restart is handled) or in the kernel. */
int64_t linux_host_syscall(struct linux_thread *thread, long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                           uint64_t e, uint64_t f);

/* True for descriptors that belong to visor, not to the guest: the guest sees -EBADF. */
bool linux_is_own_fd(const struct linux_process *process, int fd);

/* The calling thread's structure. */
struct linux_thread *linux_current(void);

/* -- the table (syscalls.c) ------------------------------------------------------------------------------ */

typedef int64_t (*linux_syscall_fn)(struct linux_thread *thread, const uint64_t a[6]);

struct linux_syscall {
    const char *name;
    linux_syscall_fn run; /* NULL: -ENOSYS */
    const char *format;   /* how trace.c prints the arguments, one letter each */
};

/* By the guest's number; NULL if that number has no name. */
const struct linux_syscall *linux_syscall_by_number(uint64_t number);

/* Prints the two halves of an strace-like line (trace.c). */
void linux_trace_enter(struct linux_thread *thread, const struct linux_syscall *syscall, const uint64_t a[6]);
void linux_trace_leave(struct linux_thread *thread, const struct linux_syscall *syscall, const uint64_t a[6],
                       int64_t result);

#endif
