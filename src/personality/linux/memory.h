/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: the guest's address space, which is this process's. Private to this folder.
 *
 * The host is never given guest memory as executable: guest code is only read. Which ranges the guest may
 * execute is recorded here, for the translator and for faults, and which mappings are the guest's at all.
 */
#ifndef VISOR_PERSONALITY_LINUX_MEMORY_H
#define VISOR_PERSONALITY_LINUX_MEMORY_H

#include "personality/linux/process.h"
#include "personality/linux/ranges.h"

/* What the kernel gives the first thread's stack at once; more as it is used. */
#define LINUX_FIRST_STACK (128ul << 10)

/* 0 or -ENOMEM. It lasts as long as the process. */
int linux_memory_new(struct linux_process *process);

/* translator_callbacks.fetch, for at most a page; the context is the struct linux_process. */
size_t linux_memory_fetch(void *context, uint64_t pc, void *bytes, size_t size);

/* Why nothing could be fetched at pc: SIGSEGV or SIGBUS, and its si_code. 0: by now it can, another thread
 * has changed the maps. */
int linux_memory_fetch_fault(struct linux_process *process, uint64_t pc, int *code);

/* translator_callbacks.lasting: code mapped from a file, as it was mapped. */
bool linux_memory_is_lasting(void *context, uint64_t start, uint64_t end);

/* mmap() as the guest sees it: `protection` may have PROT_EXEC. The address or a negative errno. */
int64_t linux_memory_map(struct linux_process *process, uint64_t address, uint64_t length,
                         unsigned protection, unsigned flags, int fd, uint64_t offset);
int64_t linux_memory_unmap(struct linux_process *process, uint64_t address, uint64_t length);
int64_t linux_memory_protect(struct linux_process *process, uint64_t address, uint64_t length,
                             unsigned protection);

/* The first range that ends above `address`, of those that the guest may execute, may only execute, or has
 * mapped. False if there is none. */
bool linux_memory_next_executable(struct linux_process *process, uint64_t address,
                                  struct address_range *range);
bool linux_memory_next_unreadable(struct linux_process *process, uint64_t address,
                                  struct address_range *range);
bool linux_memory_next_guest(struct linux_process *process, uint64_t address, struct address_range *range);

/* True if the guest has mapped all of the range, which is not empty. */
bool linux_memory_is_guest(struct linux_process *process, uint64_t start, uint64_t length);

/* The guest has advised that these pages are not for children of the process, or are again. */
void linux_memory_leave_out(struct linux_process *process, uint64_t start, uint64_t length, bool left_out);

/* In a new process with a copy of the memory, with the lock held: forgets what the kernel has not copied. */
void linux_memory_fork_child(struct linux_process *process);

/* A mapping of the guest's becomes visor's: it stays where it is, out of the guest's sight and reach. */
void linux_memory_disown(struct linux_process *process, uint64_t start, uint64_t length);

/* A page of visor's where a guest with 32-bit addresses could name it, for what system calls are to be
 * pointed to: 0 if there is no room. */
uint64_t linux_memory_take_low_page(struct linux_process *process);
void linux_memory_give_low_page(struct linux_process *process, uint64_t address);

/* The kernel has changed what is in these pages, at the guest's wish: forgets translations of them. */
void linux_memory_invalidate(struct linux_process *process, uint64_t start, uint64_t length);

/* The guest's pages in this range may be written again, and have no translations any more, as far as they had
 * (where changed code need not be announced). False: none had. */
bool linux_memory_unwatch(struct linux_process *process, uint64_t start, uint64_t length);

/* The guest's limit of its address space, by RLIMIT_AS: what it may have mapped, in bytes. */
void linux_memory_set_limit(struct linux_process *process, uint64_t limit);
/* What the limit is at the start (process_calls.c). */
uint64_t linux_address_limit(void);

/* Where visor itself needs mappings and the guest may have used them up: before and after it makes them. */
void linux_memory_spend_spares(struct linux_process *process);
void linux_memory_restore_spares(struct linux_process *process);

/* What another process has in its memory at `address`, as far as the questions above about ranges need it:
 * NULL if it cannot be read or is not sound. To be given to linux_memory_free(), which takes NULL as well. */
struct linux_reader;
struct linux_memory *linux_memory_copy(const struct linux_reader *reader, uint64_t address);
void linux_memory_free(struct linux_memory *copy);

/* Around fork(): no other thread is changing the maps meanwhile. */
void linux_memory_lock(struct linux_process *process);
void linux_memory_unlock(struct linux_process *process);
/* A thread has died that may have held the lock. */
void linux_memory_recover(struct linux_process *process, uint32_t lock_number);

#endif
