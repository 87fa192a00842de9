/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * system: what system mode adds to the run time: where code is behind page tables, which jump cache entries
 * and return stack belong to which mode of the CPU, stores to code.
 *
 * A CPU has a few contexts, one for each mode and address space that it was in last; one that has seen only
 * global pages serves all spaces. A context has a key, a number in the
 * non-canonical bits of addresses, by which its entries in its jump cache and what locate() has told are
 * known, a jump cache and a return stack. A flush gives it another key, and so forgets all of that at once.
 * With one jump cache for all contexts two processes of one program would take each other's entries away
 * whenever the guest's kernel switches. A block that runs may go on by links to blocks on the same page: they
 * hold as long as the page is mapped where it is, which the CPU has looked up since the last flush, or it
 * would not run there.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/ir/eval.h"
#include "translator/pages.h"
#include "translator/runtime.h"
#include "translator/tlb.h"

enum {
    CONTEXT_COUNT = 16,
    KEY_LAST = 0xfffe,
    LOCATED_COUNT = 1024,
    LOWER_BITS = 65536,
    UPPER_BITS = 32768,
    ATTEMPTS_MOST = 3, /* of translating while others may change the code */
};

struct code_context {
    unsigned mode;
    uint64_t key; /* 0: it was flushed */
    bool in_use;
    bool local;     /* since then code on pages that are not global was located: */
    unsigned space; /* in this address space */
    bool stale;     /* the return stack must be emptied */
    /* Bits, hashed: pages that code was located on since then, in either half of the addresses: kernels live
     * in the upper one. A compiler has thousands of them, and a program that gives memory back flushes as
     * many of others. */
    uint64_t lower[LOWER_BITS / 64], upper[UPPER_BITS / 64];
    bool has_lower, has_upper;
    uint8_t *return_stack;          /* owned */
    uint64_t return_sp;             /* while it is not the current one */
    struct jump_cache_entry *jumps; /* owned */
};

struct located_page {
    uint64_t tag; /* linear page ^ key, or 1 */
    struct code_page page;
};

struct system_cpu {
    struct code_context contexts[CONTEXT_COUNT], *now;
    unsigned victim; /* the next to be replaced */
    unsigned key;    /* the last one given */
    unsigned space;  /* the address space that is current */
    bool stepping;   /* an instruction is executed by itself */
    unsigned update_count;
    struct code_range updates[2]; /* code that it writes to */
    struct located_page located[LOCATED_COUNT];
};

/* -- contexts ------------------------------------------------------------------------------------------ */

/* cpu->reach: makes access->pointer what the REACH yields, or NULL if it is no plain memory. */
static bool reach(struct translator_cpu *cpu, struct memory_access *access)
{
    struct tlb *tlb = (struct tlb *)(void *)((char *)cpu + cpu->translator->isa->tlb_offset) + access->tlb;
    const struct tlb_entry *entry = tlb_entry(tlb, access->address);

    if (!cpu->memory(cpu, access))
        return false;
    const bool hit =
        (access->kind == ACCESS_FILL_STORE ? entry->write : entry->read) == tlb_page(access->address);
    access->pointer = hit ? (const void *)(uintptr_t)(entry->addend + access->origin) : NULL;
    return true;
}

bool system_cpu_new(struct translator_cpu *cpu)
{
    struct system_cpu *s = calloc(1, sizeof *s);
    bool done = s;
    if (!s)
        return false;
    cpu->system = s;
    cpu->reach = reach;
    for (unsigned i = 0; i < CONTEXT_COUNT; i++) {
        done &= (s->contexts[i].return_stack = return_stack_new()) != NULL;
        done &= (s->contexts[i].jumps = jump_cache_new()) != NULL;
    }
    for (unsigned i = 0; i < LOCATED_COUNT; i++)
        s->located[i].tag = 1;
    s->now = &s->contexts[0];
    s->now->in_use = true;
    cpu->return_stack = s->now->return_stack;
    cpu->own_jump_cache = s->now->jumps;
    return done;
}

void system_cpu_free(struct translator_cpu *cpu)
{
    struct system_cpu *s = cpu->system;
    for (unsigned i = 0; s && i < CONTEXT_COUNT; i++) {
        return_stack_free(s->contexts[i].return_stack);
        pages_free(s->contexts[i].jumps, JUMP_CACHE_SIZE);
    }
    free(s);
}

struct jump_cache_entry *system_jumps(const struct translator_cpu *cpu, unsigned n)
{
    return n < CONTEXT_COUNT ? cpu->system->contexts[n].jumps : NULL;
}

static void flush_context(struct code_context *context)
{
    context->key = 0;
    context->local = false;
    context->stale = true;
    if (context->has_lower)
        memset(context->lower, 0, sizeof context->lower);
    if (context->has_upper)
        memset(context->upper, 0, sizeof context->upper);
    context->has_lower = context->has_upper = false;
}

/* All keys have been used: begins with the first again, on empty jump caches. */
static void reset_keys(struct translator_cpu *cpu)
{
    struct system_cpu *s = cpu->system;
    for (unsigned i = 0; i < LOCATED_COUNT; i++)
        s->located[i].tag = 1;
    for (unsigned i = 0; i < CONTEXT_COUNT; i++) {
        flush_context(&s->contexts[i]);
        for (unsigned k = 0; k < 1u << JUMP_CACHE_BITS; k++)
            __atomic_store_n(&s->contexts[i].jumps[k].pc, 0, __ATOMIC_RELAXED);
    }
    s->key = 0;
}

/* Makes what was flushed usable. */
static void refresh(struct translator_cpu *cpu)
{
    struct system_cpu *s = cpu->system;
    if (!s->now->key) {
        if (s->key == KEY_LAST)
            reset_keys(cpu);
        s->now->key = (uint64_t)++s->key << JUMP_KEY_SHIFT;
        cpu->jump_key = s->now->key;
    }
    if (s->now->stale && cpu->cache) {
        reset_return_stack(cpu, cpu->cache, NULL);
        s->now->stale = false;
    }
}

static bool serves(const struct system_cpu *s, const struct code_context *context, unsigned mode)
{
    return context->in_use && context->mode == mode && (!context->local || context->space == s->space);
}

static struct code_context *context_of(struct system_cpu *s, unsigned mode)
{
    for (unsigned i = 0; i < CONTEXT_COUNT; i++)
        if (serves(s, &s->contexts[i], mode))
            return &s->contexts[i];
    struct code_context *context = &s->contexts[s->victim++ % CONTEXT_COUNT];
    if (context == s->now)
        context = &s->contexts[s->victim++ % CONTEXT_COUNT];
    flush_context(context);
    context->in_use = true;
    context->mode = mode;
    return context;
}

/* A signal that comes in the middle finds cpu->interrupt looked at once more before generated code runs. */
static void switch_context(struct translator_cpu *cpu, unsigned mode)
{
    struct system_cpu *s = cpu->system;
    s->now->return_sp = cpu->return_sp;
    s->now = context_of(s, mode);
    cpu->mode = mode;
    cpu->jump_key = s->now->key;
    cpu->return_stack = s->now->return_stack;
    cpu->return_stack_top = cpu->return_stack + RETURN_STACK_SIZE;
    cpu->return_sp = s->now->return_sp;
    cpu->own_jump_cache = s->now->jumps;
    if (!atomic_load(&cpu->redirected))
        cpu->jump_cache = cpu->own_jump_cache;
}

void system_adopt_mode(struct translator_cpu *cpu)
{
    unsigned mode = wanted_mode(cpu);
    if (UNLIKELY(!serves(cpu->system, cpu->system->now, mode)))
        switch_context(cpu, mode);
    if (UNLIKELY(!cpu->system->now->key || cpu->system->now->stale))
        refresh(cpu);
}

void system_forget_cache(struct translator_cpu *cpu)
{
    translator_flush_jumps(cpu);
}

/* -- flushing ------------------------------------------------------------------------------------------ */

/* The bit of a page in code_context.pages, and the first of its word. */
static uint64_t *page_word(struct code_context *context, uint64_t address, uint64_t *bit)
{
    const uint64_t page = address >> GUEST_PAGE_BITS;
    const bool upper = address >> 63;
    const unsigned number = (unsigned)(page ^ page >> 14) & (upper ? UPPER_BITS - 1 : LOWER_BITS - 1);
    *bit = (uint64_t)1 << number % 64;
    return upper ? &context->upper[number / 64] : &context->lower[number / 64];
}

/* The current context goes on in the middle of a block at once. */
static void flushed(struct translator_cpu *cpu)
{
    if (cpu->cache)
        refresh(cpu);
}

void translator_flush_jumps(struct translator_cpu *cpu)
{
    for (unsigned i = 0; i < CONTEXT_COUNT; i++)
        flush_context(&cpu->system->contexts[i]);
    flushed(cpu);
}

void translator_flush_jumps_local(struct translator_cpu *cpu)
{
    translator_flush_jumps_space(cpu, cpu->system->space);
}

void translator_flush_jumps_space(struct translator_cpu *cpu, unsigned space)
{
    for (unsigned i = 0; i < CONTEXT_COUNT; i++) {
        struct code_context *context = &cpu->system->contexts[i];
        if (context->local && context->space == space)
            flush_context(context);
    }
    flushed(cpu);
}

void translator_set_space(struct translator_cpu *cpu, unsigned space)
{
    cpu->system->space = space;
}

void translator_flush_jumps_page(struct translator_cpu *cpu, uint64_t address)
{
    uint64_t bit;
    for (unsigned i = 0; i < CONTEXT_COUNT; i++)
        if (*page_word(&cpu->system->contexts[i], address, &bit) & bit)
            flush_context(&cpu->system->contexts[i]);
    flushed(cpu);
}

/* -- where code is ------------------------------------------------------------------------------------- */

static struct located_page *located_entry(struct translator_cpu *cpu, uint64_t address)
{
    return &cpu->system->located[address >> GUEST_PAGE_BITS & (LOCATED_COUNT - 1)];
}

/* Whether the page is known. */
static bool is_located(struct translator_cpu *cpu, uint64_t address, struct code_page *page)
{
    const struct located_page *entry = located_entry(cpu, address);
    if (entry->tag != ((address & -GUEST_PAGE) ^ cpu->jump_key))
        return false;
    *page = entry->page;
    return true;
}

/* False: the CPU's exit_reason says why. Without the lock. */
static bool locate(struct translator_cpu *cpu, uint64_t address, struct code_page *page)
{
    const struct translator *t = cpu->translator;
    struct code_context *now = cpu->system->now;
    uint64_t bit;

    if (is_located(cpu, address, page))
        return true;
    *page = (struct code_page){0};
    if (!t->callbacks.locate(cpu, address, page))
        return false;
    if (page->uncached)
        return true;
    if (!page->global) {
        now->local = true;
        now->space = cpu->system->space;
    }
    *page_word(now, address, &bit) |= bit;
    if (address >> 63)
        now->has_upper = true;
    else
        now->has_lower = true;
    *located_entry(cpu, address) =
        (struct located_page){.tag = (address & -GUEST_PAGE) ^ cpu->jump_key, .page = *page};
    return true;
}

/* The same with the lock, given up if it takes time. False also for memory that is not kept: *exit. */
static bool locate_locked(struct translator_cpu *cpu, uint64_t address, struct code_page *page,
                          enum translator_exit *exit)
{
    if (!is_located(cpu, address, page)) {
        lock_release(&cpu->translator->lock);
        bool found = locate(cpu, address, page);
        lock_take(&cpu->translator->lock);
        if (!found) {
            *exit = (enum translator_exit)cpu->exit_reason;
            return false;
        }
    }
    *exit = TRANSLATOR_ALONE;
    return !page->uncached;
}

/* -- finding blocks ------------------------------------------------------------------------------------ */

static bool add_second_page(struct translator_cpu *cpu, struct code_source *source,
                            enum translator_exit *exit)
{
    source->count = 2;
    return locate_locked(cpu, (source->pc & -GUEST_PAGE) + GUEST_PAGE, &source->pages[1], exit);
}

uint32_t system_find(struct translator_cpu *cpu, bool careful, enum translator_exit *exit)
{
    struct translator *t = cpu->translator;
    struct code_source source = {.pc = guest_pc(cpu), .count = 1, .careful = careful};
    struct error error = ERROR_INIT;

    if (!locate_locked(cpu, source.pc, &source.pages[0], exit))
        return NO_BLOCK;
    for (unsigned attempts = 0;; attempts++) {
        const struct block_key key = {
            .pc = source.pc,
            .physical = source.pages[0].physical | (source.pc & (GUEST_PAGE - 1)),
            .second = source.count == 2 ? source.pages[1].physical : ANY_PAGE,
            .mode = cpu->mode,
            .careful = careful,
        };
        uint32_t block = code_cache_find(t->cache, &key);
        bool crosses = block != NO_BLOCK && source.count == 1 && t->cache->blocks[block].crosses;
        if (block == NO_BLOCK)
            block = translate_pages(cpu, &source, attempts >= ATTEMPTS_MOST, exit);
        if (block != NO_BLOCK && !crosses)
            return block;
        if (crosses || *exit == TRANSLATOR_FETCH_FAULT) {
            if (!add_second_page(cpu, &source, exit))
                return NO_BLOCK;
        } else if (*exit == TRANSLATOR_NO_MEMORY && make_room(t, &error) < 0) {
            error_report(&error);
            return NO_BLOCK;
        }
    }
}

bool system_may_link(const struct translator_cpu *cpu, uint32_t exit, uint32_t block)
{
    const struct code_cache *cache = cpu->cache;
    const struct block_exit *e = &cache->exits[exit];
    if (!e->slot)
        return false;
    const struct code_block *from = &cache->blocks[e->block], *to = &cache->blocks[block];
    const unsigned which = (from->pc ^ to->pc) >> GUEST_PAGE_BITS ? 1 : 0;
    return from->mode == to->mode && (which == 0 || from->crosses) &&
           (from->guest_start[which] ^ to->guest_start[0]) >> GUEST_PAGE_BITS == 0;
}

/* -- one instruction by itself ------------------------------------------------------------------------- */

static bool lift_alone(struct translator_cpu *cpu)
{
    struct code_source source = {.pc = guest_pc(cpu), .count = 1, .careful = true};
    uint8_t copy[GUEST_PAGE];

    if (!locate(cpu, source.pc, &source.pages[0]))
        return false;
    lift_region(cpu, &source, 1);
    if (!cpu->region->cut)
        return true;
    if (source.pages[0].uncached) { /* until the next call of locate() */
        memcpy(copy, source.pages[0].bytes, GUEST_PAGE);
        source.pages[0].bytes = copy;
    }
    source.count = 2;
    return locate(cpu, (source.pc & -GUEST_PAGE) + GUEST_PAGE, &source.pages[1]) &&
           lift_region(cpu, &source, 1);
}

static bool has_traps(const struct ir_region *region)
{
    for (unsigned i = 1; i < region->count; i++)
        if (ir_traps(&region->insns[i]))
            return true;
    return false;
}

enum translator_exit system_step(struct translator_cpu *cpu, uint64_t ignored_bits)
{
    struct system_cpu *s = cpu->system;

    system_adopt_mode(cpu);
    if (!lift_alone(cpu))
        return (enum translator_exit)cpu->exit_reason;
    s->stepping = true;
    s->update_count = 0;
    cpu->ignored_address_bits = ignored_bits;
    enum translator_exit exit =
        has_traps(cpu->region) ? step_interpret(cpu) : ir_interpret(cpu->translator->isa, cpu, cpu->region);
    cpu->ignored_address_bits = 0;
    s->stepping = false;
    for (unsigned i = 0; i < s->update_count; i++)
        translator_invalidate(cpu->translator, s->updates[i].start, s->updates[i].size);
    return step_check_target(cpu, exit);
}

/* Whether the block that has called the memory function was made from any of these bytes. */
static bool writes_to_itself(const struct translator_cpu *cpu, uint64_t physical, uint64_t length)
{
    uint32_t block = code_cache_block_at(cpu->cache, cpu->helper_return);
    return block != NO_BLOCK && code_block_overlaps(&cpu->cache->blocks[block], physical, physical + length);
}

bool translator_writes_code(struct translator_cpu *cpu, const struct memory_access *access, uint64_t physical,
                            uint64_t length)
{
    struct system_cpu *s = cpu->system;

    if (s->stepping) {
        if (access->kind == ACCESS_UPDATE && s->update_count < ARRAY_SIZE(s->updates))
            s->updates[s->update_count++] = (struct code_range){physical, (uint32_t)length};
        return true;
    }
    /* Generated code does an update after this returns: too early to invalidate. */
    if (access->kind != ACCESS_UPDATE && !writes_to_itself(cpu, physical, length))
        return true;
    cpu->exit_reason = TRANSLATOR_ALONE;
    return false;
}
