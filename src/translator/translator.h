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
 * Threads translate at once and run each other's code. Functions are safe from any thread; those marked
 * [signal] also from signal handlers, those marked [cpu] only on the thread that runs the CPU.
 *
 * User mode: guest address = host address. System mode (translator_options.system): guest addresses of code
 * are linear ones, behind page tables that the owner walks, and a block is found by its pc, its physical
 * address and the CPU's mode. Memory is reached through TLBs (tlb.h) that the owner's cpu->memory fills.
 */
#ifndef VISOR_TRANSLATOR_H
#define VISOR_TRANSLATOR_H

#include "translator/guest.h"

/* A page of guest code, 4 KiB at a multiple of that. */
struct code_page {
    uint64_t physical; /* the guest-physical address that translator_invalidate() will be given for it */
    /* Its bytes, readable until the next flush; if `uncached`, until the next call of locate(). */
    const uint8_t *bytes;
    bool uncached; /* no memory but a copy of what a device reads as: each instruction is fetched anew */
    bool global;   /* translator_flush_jumps_local() need not forget it */
};

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

    /* -- system mode, instead of the above ----------------------------------------------------------------
     */
    /*
     * The page that the CPU, at its present privilege and page tables, executes `pc` from. False: it cannot;
     * cpu->exit_reason and exit_payload say why (TRANSLATOR_FETCH_FAULT and the address), which is what
     * translator_run() returns. Called on the CPU's thread, in translator_run() or translator_step(), without
     * locks held. An answer is believed until it is flushed, see translator_flush_jumps(), but for one that
     * is `uncached`. `pc` may be another than the CPU's: an instruction's second page.
     */
    bool (*locate)(struct translator_cpu *cpu, uint64_t pc, struct code_page *out);
    /*
     * A physical page has its first code, or has none any more: stores to it must, or need not, be told by
     * translator_invalidate(). Called with the translator's lock held, on any thread, perhaps with what is so
     * already: it calls no function of the translator but [signal] ones, and takes no lock under which they
     * are called. `cpu`: the calling thread's, which is in the run time; NULL if it is not known.
     *
     * With has_code: sets the page's flag, then takes the write entries for it from all CPUs' TLBs: from
     * this CPU's at once; the others are asked to (a flag, a signal), without waiting. Whoever is asked does
     * so when it has left its block, or before its thread does anything that others can see but by plain
     * memory (a device, an interrupt), whichever is first, and at the latest again when it has left its
     * block; and if its TLB had such an entry, then calls translator_invalidate() for the whole page: it may
     * have stored there when the page had been read already. A write entry is filled in the order: entry,
     * full fence, look at the flag, take the entry back if it is set.
     */
    void (*code_page)(void *context, struct translator_cpu *cpu, uint64_t physical, bool has_code);
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
    bool system;         /* system mode: of a guest_isa with a tlb_offset */
    const void *model;   /* region->model; borrowed */
    bool fills;          /* in system mode: cpu->memory knows ACCESS_FILL_LOAD and ACCESS_FILL_STORE */
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
 * stop using them at their next block at the latest. In system mode addresses are physical, and the call
 * comes after the change: by a CPU, by a device, or of the memory map. */
void translator_invalidate(struct translator *t, uint64_t start, uint64_t length);

/*
 * [signal] Makes a running CPU of the *calling thread* return TRANSLATOR_INTERRUPTED at its next
 * block boundary; `ucontext` is the interrupted context. No effect on speed otherwise. The request stays
 * until translator_run() has returned it.
 */
void translator_interrupt(struct translator_cpu *cpu, void *ucontext);

/*
 * [cpu] The same without a signal, for code that translator_run() calls: the memory function above all. The
 * access is finished.
 */
void translator_request(struct translator_cpu *cpu);

/*
 * [signal] For SIGSEGV, SIGBUS, and SIGFPE: true if the fault came from guest code of this CPU;
 * then the CPU has its exact state, and the context is changed so that translator_run() returns
 * TRANSLATOR_FAULT, TRANSLATOR_DIVIDE or TRANSLATOR_FLOAT. Also repairs an overflow of the return stack
 * (true, and the guest goes on).
 */
bool translator_fault(struct translator_cpu *cpu, int signal, const void *siginfo, void *ucontext);

/* -- system mode ---------------------------------------------------------------------------------------- */

/*
 * [cpu] What locate() has said is not true any more: after each change of page tables that the guest's
 * processor notices (CR3, INVLPG, paging bits of CR0, CR4 and EFER) and of the memory map. All of it; what
 * was not `global`; what was said of the page of a linear address. All are quick. Called outside
 * translator_run(), or by the memory function; code that is running goes on to the end of its block.
 *
 * What it says depends on the CPU's mode (guest_isa.mode) as well, which needs no flush.
 */
void translator_flush_jumps(struct translator_cpu *cpu);
void translator_flush_jumps_local(struct translator_cpu *cpu);
void translator_flush_jumps_page(struct translator_cpu *cpu, uint64_t address);

/*
 * [cpu] Outside translator_run(): the pages that are not global are those of another address space now, of
 * which what was said when it was current before still holds. The owner numbers them; they begin with 0.
 * translator_flush_jumps_local() is of the current one, this of any:
 */
void translator_set_space(struct translator_cpu *cpu, unsigned space);
void translator_flush_jumps_space(struct translator_cpu *cpu, unsigned space);

/*
 * [cpu] For the memory function, before it does, or gives the pointer of, an access that writes to a page
 * with code (see code_page()), with the physical address of its first byte; for an access on two pages, of
 * both parts. False: the memory function does nothing and returns false as well; the instruction changes its
 * own block, and will come again as an instruction by itself. True: it does the access, and after a STORE
 * calls translator_invalidate(); after an UPDATE the run loop does.
 */
bool translator_writes_code(struct translator_cpu *cpu, const struct memory_access *access, uint64_t physical,
                            uint64_t length);

/* Around fork(): prepare takes the translator's locks; parent and child release them. */
void translator_fork_prepare(struct translator *t);
void translator_fork_parent(struct translator *t);
/* `self` is the CPU of the thread that forked, outside translator_run(); the other threads' CPUs are freed.
 * 0, or a negative errno: the child cannot run. */
int translator_fork_child(struct translator *t, struct translator_cpu *self);

#endif
