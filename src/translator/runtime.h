/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runtime: what the files of the translator's run time share. Private to this folder. */
#ifndef VISOR_TRANSLATOR_RUNTIME_H
#define VISOR_TRANSLATOR_RUNTIME_H

#include "base/lock.h"

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

    struct lock lock;            /* the caches, the list of CPUs, links; taken by no signal handler */
    struct code_cache *cache;    /* owned: the current one, */
    struct code_store *store;    /* owned: what processes share; NULL: never anything */
    struct code_cache *retired;  /* and older ones that threads may still be inside */
    struct translator_cpu *cpus; /* all, by `next`; borrowed */
    _Atomic uint64_t
        invalidations; /* counts translator_invalidate() calls: a translation that saw one begins again */
    _Atomic uint32_t interrupts; /* CPUs whose exits a signal handler has unlinked: no linking meanwhile */
    struct jump_cache_entry *no_jumps; /* owned: an empty jump cache */
};

/*
 * Translates the region at the CPU's pc and adds it to the current cache. Returns the block, or
 * NO_BLOCK with the reason in *exit: TRANSLATOR_FETCH_FAULT, or TRANSLATOR_NONE to try again. Called and
 * returns with the lock held; gives it up while it translates.
 */
uint32_t translate(struct translator_cpu *cpu, uint64_t pc, enum translator_exit *exit);

/* The guest's bytes at pc lifted into cpu->region, for the interpreter. False: not executable. */
bool lift_region(struct translator_cpu *cpu, uint64_t pc, unsigned max);

static inline uint64_t guest_pc(const struct translator_cpu *cpu)
{
    return *(const uint64_t *)((const char *)cpu + cpu->translator->isa->pc_offset);
}

static inline void set_guest_pc(struct translator_cpu *cpu, uint64_t pc)
{
    *(uint64_t *)((char *)cpu + cpu->translator->isa->pc_offset) = pc;
}

/* [signal] If the fault is in translator_step() of this CPU, does not return; else false. */
bool step_fault(struct translator_cpu *cpu, int signal, const void *siginfo, void *ucontext);

#endif
