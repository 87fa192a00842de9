/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runtime: what the files of the translator's run time share. Private to this folder. */
#ifndef VISOR_TRANSLATOR_RUNTIME_H
#define VISOR_TRANSLATOR_RUNTIME_H

#include "base/lock.h"

#include "translator/code_archive.h"
#include "translator/code_cache.h"
#include "translator/code_store.h"
#include "translator/translator.h"

#define CODE_CACHE_DEFAULT (128ul << 20)
#define CODE_CACHE_LEAST   (4ul << 20)
#define REGION_MAX_DEFAULT 32

/* Room for some 32,000 nested guest calls; deeper ones lose the prediction of the outermost. */
#define RETURN_STACK_SIZE  (256ul << 10)
#define RETURN_STACK_GUARD 4096ul

struct translator {
    const struct guest_isa *isa;
    struct translator_options options;
    struct translator_callbacks callbacks;

    struct lock lock;             /* the caches, the list of CPUs, links; taken by no signal handler */
    struct code_cache *cache;     /* owned: the current one, */
    struct code_store *store;     /* owned: what processes share; NULL: never anything */
    struct code_archive *archive; /* owned: system mode's code that moves; NULL: none */
    struct code_cache *retired;   /* and older ones that threads may still be inside */
    struct translator_cpu *cpus;  /* all, by `next`; borrowed */
    _Atomic uint64_t
        invalidations; /* counts translator_invalidate() calls: a translation that saw one begins again */
    _Atomic uint32_t interrupts; /* CPUs whose exits a signal handler has unlinked: no linking meanwhile */
    struct jump_cache_entry *no_jumps; /* owned: an empty jump cache */
};

/* Where the code at pc is: `count` 0: where the `fetch` callback finds it; else on these pages, which follow
 * each other in linear addresses. */
struct code_source {
    uint64_t pc;
    unsigned count;
    bool careful; /* no REACHes */
    struct code_page pages[2];
};

/*
 * Translates the region at the CPU's pc and adds it to the current cache. Returns the block, or
 * NO_BLOCK with the reason in *exit: TRANSLATOR_FETCH_FAULT, TRANSLATOR_NO_MEMORY if the cache is full, or
 * TRANSLATOR_NONE to try again. Called and returns with the lock held; gives it up while it translates.
 */
uint32_t translate(struct translator_cpu *cpu, uint64_t pc, enum translator_exit *exit);

/* The same from a source with pages: as far as the first of them goes, or with two, one instruction.
 * TRANSLATOR_FETCH_FAULT: the instruction needs another page. `locked`: without giving the lock up. */
uint32_t translate_pages(struct translator_cpu *cpu, const struct code_source *source, bool locked,
                         enum translator_exit *exit);

/* Up to `max` of the guest's instructions at source->pc lifted into cpu->region. False: not executable. */
bool lift_region(struct translator_cpu *cpu, const struct code_source *source, unsigned max);

/* What code for this CPU must be made for. */
unsigned wanted_mode(const struct translator_cpu *cpu);

/* [signal] Empties the CPU's return stack, which from now on belongs to this cache. */
void reset_return_stack(struct translator_cpu *cpu, const struct code_cache *cache, void *ucontext);

/* Begins another cache in the place of one that is full; with the lock held. */
int replace_cache(struct translator *t, struct error *error);
/* Makes room where code_cache_add() has just had none. */
int make_room(struct translator *t, struct error *error);

/* An empty jump cache; NULL: out of memory. */
struct jump_cache_entry *jump_cache_new(void);

/* A return stack with its guard page; NULL: out of memory. */
uint8_t *return_stack_new(void);
void return_stack_free(uint8_t *stack);

/* -- system.c -------------------------------------------------------------------------------------------- */

bool system_cpu_new(struct translator_cpu *cpu);
void system_cpu_free(struct translator_cpu *cpu);

/* The jump cache of the CPU's nth context; NULL: there are no more. By any thread. */
struct jump_cache_entry *system_jumps(const struct translator_cpu *cpu, unsigned n);
/* Makes jump cache and return stack those of the mode that the CPU is in. */
void system_adopt_mode(struct translator_cpu *cpu);
/* They lead to another cache than the CPU's. */
void system_forget_cache(struct translator_cpu *cpu);

/* The block for the CPU's pc, a `careful` one if asked for, translated if need be. NO_BLOCK: *exit says why;
 * TRANSLATOR_ALONE: the instruction is for system_step(). With the lock held, which it gives up at times. */
uint32_t system_find(struct translator_cpu *cpu, bool careful, enum translator_exit *exit);
/* Whether an exit of the CPU's cache may be joined to a block. */
bool system_may_link(const struct translator_cpu *cpu, uint32_t exit, uint32_t block);

/* Executes one instruction by the interpreter, as translator_step(). Without the lock. */
enum translator_exit system_step(struct translator_cpu *cpu, uint64_t ignored_bits);

static inline uint64_t guest_pc(const struct translator_cpu *cpu)
{
    return *(const uint64_t *)((const char *)cpu + cpu->translator->isa->pc_offset);
}

static inline void set_guest_pc(struct translator_cpu *cpu, uint64_t pc)
{
    *(uint64_t *)((char *)cpu + cpu->translator->isa->pc_offset) = pc;
}

/* Interprets cpu->region, whose faults of memory or of floating point are this CPU's exits. */
enum translator_exit step_interpret(struct translator_cpu *cpu);

/* NONE or LOOKUP behind a branch to where no code can be becomes TRANSLATOR_TARGET. */
enum translator_exit step_check_target(struct translator_cpu *cpu, enum translator_exit exit);

/* [signal] If the fault is in step_interpret() of this CPU, does not return; else false. */
bool step_fault(struct translator_cpu *cpu, int signal, const void *siginfo, void *ucontext);

#endif
