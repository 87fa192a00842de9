/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * translator: runs guest code by dynamic translation.
 *
 * One `struct translator` per guest address space holds the code cache and the block table, shared
 * by all of its CPUs; each guest thread has one CPU structure and calls translator_run() in a loop:
 *
 *     for (;;) {
 *         switch (translator_run(cpu)) {
 *         case TRANSLATOR_SYSCALL: ...
 *
 * Guest address = host address. Threads translate at once and run each other's code. Functions are safe from
 * any thread; those marked [signal] also from signal handlers.
 */
#ifndef VISOR_TRANSLATOR_H
#define VISOR_TRANSLATOR_H

#include "translator/guest.h"

struct translator_callbacks {
    /*
     * Copies guest code: at most `size` bytes from `pc` on, as far as the guest may execute and anybody can
     * read them. Returns their number, 0 if there are none. Called without locks held.
     */
    size_t (*fetch)(void *context, uint64_t pc, void *bytes, size_t size);
    void *context;
    /*
     * Whether the code in [start, end) is likely to be found there again by other processes: a program's or
     * library's, not made at run time. NULL: never. Called without locks held.
     */
    bool (*lasting)(void *context, uint64_t start, uint64_t end);
};

enum translator_trace {
    TRANSLATOR_TRACE_GUEST = 1 << 0, /* guest instructions of each region when it is translated */
    TRANSLATOR_TRACE_IR = 1 << 1,
    TRANSLATOR_TRACE_HOST = 1 << 2,
};

struct translator_options {
    size_t cache_size; /* bytes of host code; 0 = 128 MiB of address space, used as needed */
    unsigned trace;    /* enum translator_trace bits, written to trace_stream */
    FILE *trace_stream;
    unsigned region_max; /* guest instructions per region, 0 = the default */
    bool interpret;      /* run the IR interpreter instead of host code: slow, for tests */
};

int translator_new(struct translator **out, const struct guest_isa *isa,
                   const struct translator_options *options, const struct translator_callbacks *callbacks,
                   struct error *error);
void translator_free(struct translator *t);

/* -- translations shared with other processes ------------------------------------------------------------ */

/* Who may share: processes with the same bytes here. */
struct translator_key {
    uint8_t bytes[128];
};

/*
 * Makes an empty store of translations: a close-on-exec descriptor or a negative errno. Whoever may write to
 * it decides what code all its users run: the key is to tell processes with different rights, or of different
 * program files of visor, apart.
 */
int translator_new_store(const struct translator_key *key);

/* Takes translations from a store, whose descriptor is borrowed, and adds to it from now on. False: not of
 * this descriptor, or never since translations are traced. */
bool translator_use_store(struct translator *t, int fd, const struct translator_key *key);

/* The store's descriptor has another number now. */
void translator_renumber_store(struct translator *t, int fd);

/* Neither takes nor adds any more, and has nothing of the store mapped. The descriptor may be closed. */
void translator_leave_store(struct translator *t);

/* Before the process ends or executes another program: hands what it has translated to the store. */
void translator_share(struct translator *t);

/* A zeroed CPU structure of isa->cpu_size bytes with its translator_cpu part ready; freed by cpu_free. */
int translator_cpu_new(struct translator *t, struct translator_cpu **out, struct error *error);
void translator_cpu_free(struct translator_cpu *cpu);

/* Frees the CPU of a thread that died, perhaps in the middle of anything, while this process lives on: it
 * was of another process with the same memory. `lock_number`: its lock_self(). */
void translator_cpu_abandon(struct translator_cpu *cpu, uint32_t lock_number);

/* Runs the guest from its pc until something needs the caller. */
enum translator_exit translator_run(struct translator_cpu *cpu);

/*
 * Executes one instruction, at the guest's pc, in a slow way that takes `ignored_bits` away from the
 * addresses of its memory accesses. TRANSLATOR_NONE: done. After TRANSLATOR_FAULT the payload is the address
 * without them, exact also where the host's processor does not tell it.
 */
enum translator_exit translator_step(struct translator_cpu *cpu, uint64_t ignored_bits);

/* The guest's bytes in [start, start + length) changed or went away: forget their translations. All threads
 * stop using them at their next block at the latest. */
void translator_invalidate(struct translator *t, uint64_t start, uint64_t length);

/*
 * [signal] Makes a running CPU of the *calling thread* return TRANSLATOR_INTERRUPTED at its next
 * block boundary; `ucontext` is the interrupted context. No effect on speed otherwise. The request stays
 * until translator_run() has returned it.
 */
void translator_interrupt(struct translator_cpu *cpu, void *ucontext);

/*
 * [signal] For SIGSEGV, SIGBUS, and SIGFPE of a division: true if the fault came from guest code of this CPU;
 * then the CPU has its exact state, and the context is changed so that translator_run() returns
 * TRANSLATOR_FAULT or TRANSLATOR_DIVIDE. Also repairs an overflow of the return stack (true, and the guest
 * goes on).
 */
bool translator_fault(struct translator_cpu *cpu, int signal, const void *siginfo, void *ucontext);

/* Around fork(): prepare takes the translator's locks; parent and child release them. */
void translator_fork_prepare(struct translator *t);
void translator_fork_parent(struct translator *t);
/* `self` is the CPU of the thread that forked, outside translator_run(); the other threads' CPUs are freed.
 * 0, or a negative errno: the child cannot run. */
int translator_fork_child(struct translator *t, struct translator_cpu *self);

#endif
