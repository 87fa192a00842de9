/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: the loop around generated code, and how signals get a thread out of it.
 *
 * Generated code polls nothing. To stop a thread at its next block boundary a signal handler, which
 * runs on that very thread, takes away every way on: it unlinks the exits of the block that the thread is in,
 * makes the top of the return stack a mismatch, and points the thread at an empty jump cache; code that is
 * already past such a decision is sent back to where the decision is made ("restart ranges").
 * Whatever exit the block then takes comes here. Other threads that share the unlinked block come here once
 * as well, find no interrupt of their own, and go on; links are made again when no interrupt is under way.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/ir/eval.h"
#include "translator/pages.h"
#include "translator/runtime.h"

/* No guest pc: one that belongs elsewhere than in the first entry, where it is. */
#define NO_PC (~(uint64_t)0)

#define LOOKUPS_MOST 3 /* of code_block.lookups */

typedef void (*enter_fn)(struct translator_cpu *cpu, const void *code);

/* Only the guest addresses: a thread that is using the cache may have compared one already and go on to its
 * code. Pages that were never used are not touched: neither here nor by the fork of the process. */
static void clear_table(struct jump_cache_entry *cache)
{
    for (unsigned i = 0; i < 1u << JUMP_CACHE_BITS; i++) {
        uint64_t empty = i ? 0 : NO_PC;
        if (cache[i].pc != empty)
            __atomic_store_n(&cache[i].pc, empty, __ATOMIC_RELAXED);
    }
}

/* All zeros but for one entry: of a large table only those pages exist that are used. */
struct jump_cache_entry *jump_cache_new(void)
{
    struct jump_cache_entry *cache = pages_new(JUMP_CACHE_SIZE);
    if (!cache)
        return NULL;
    cache[0].pc = NO_PC;
    return cache;
}

/* A CPU's jump cache; in system mode that of its nth context. NULL: there are no more. */
static struct jump_cache_entry *nth_jumps(const struct translator_cpu *cpu, unsigned n)
{
    return cpu->system ? system_jumps(cpu, n) : n == 0 ? cpu->own_jump_cache : NULL;
}

static void clear_jumps(struct translator_cpu *cpu)
{
    struct jump_cache_entry *cache;
    for (unsigned n = 0; (cache = nth_jumps(cpu, n)); n++)
        clear_table(cache);
}

/* In system mode the structure has the CPU's TLBs, which generated code looks into at random all the time. */
static size_t system_cpu_size(const struct translator *t)
{
    return ALIGN_UP(t->isa->cpu_size, PAGES_HUGE);
}

/* The structure, all zeros. */
static struct translator_cpu *new_cpu(struct translator *t)
{
    const size_t size = ALIGN_UP(t->isa->cpu_size, (size_t)64);
    struct translator_cpu *cpu =
        t->options.system ? pages_new_huge(system_cpu_size(t)) : aligned_alloc(64, size);
    if (!cpu)
        return NULL;
    if (!t->options.system)
        memset(cpu, 0, size);
    cpu->translator = t;
    return cpu;
}

void reset_return_stack(struct translator_cpu *cpu, const struct code_cache *cache, void *ucontext)
{
    host_reset_return_stack(cpu, code_cache_routine(cache, HOST_RETURN_SENTINEL), ucontext);
}

/* Whether the guest, and the rest of visor, can still map anything of some size. */
static bool leaves_room(void)
{
    enum { ROOM = 32 << 20 };
    void *room = mmap(NULL, ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return room != MAP_FAILED && munmap(room, ROOM) == 0;
}

/* Makes a cache; a smaller one, with which all goes on but slower, where a limit of address space is in the
 * way. */
static int new_cache(struct translator *t, struct code_cache **cache, struct error *error)
{
    for (size_t size = t->options.cache_size; size > CODE_CACHE_LEAST; size /= 2) {
        if (code_cache_new(cache, t->isa, size, t->options.system, NULL) < 0)
            continue;
        if (leaves_room())
            return 0;
        code_cache_free(*cache);
    }
    return code_cache_new(cache, t->isa, MIN(t->options.cache_size, CODE_CACHE_LEAST), t->options.system,
                          error);
}

/* -- making and ending -------------------------------------------------------------------------------- */

int translator_new(struct translator **out, const struct guest_isa *isa,
                   const struct translator_options *options, const struct translator_callbacks *callbacks,
                   struct error *error)
{
    int code = host_probe(error);
    if (code < 0)
        return code;
    if (options->system && !isa->tlb_offset)
        return error_set(error, -EINVAL, "%s has no system mode", isa->name);

    struct translator *t = calloc(1, sizeof *t);
    if (t)
        t->no_jumps = jump_cache_new();
    if (!t || !t->no_jumps) {
        free(t);
        return error_set(error, -ENOMEM, "cannot make a translator: out of memory");
    }
    t->isa = isa;
    t->options = *options;
    t->options.fills &= options->system;
    t->callbacks = *callbacks;
    if (!t->options.cache_size)
        t->options.cache_size = CODE_CACHE_DEFAULT;
    if (!t->options.region_max || t->options.region_max > IR_REGION_GUEST_MAX)
        t->options.region_max = REGION_MAX_DEFAULT;

    code = new_cache(t, &t->cache, error);
    if (code < 0) {
        translator_free(t);
        return code;
    }
    /* Not with other options than the other processes, nor where the space is scarce. */
    if (!options->system && !options->trace && !options->interpret &&
        t->options.region_max == REGION_MAX_DEFAULT && t->cache->size >= t->options.cache_size)
        t->store = code_store_new();
    if (options->system)
        t->archive = code_archive_new();
    *out = t;
    return 0;
}

void translator_free(struct translator *t)
{
    if (!t)
        return;
    code_cache_free(t->cache);
    while (t->retired) {
        struct code_cache *next = t->retired->next;
        code_cache_free(t->retired);
        t->retired = next;
    }
    code_store_free(t->store);
    code_archive_free(t->archive);
    pages_free(t->no_jumps, JUMP_CACHE_SIZE);
    free(t);
}

/* -- the store of translations that processes share ------------------------------------------------ */

int translator_new_store(const struct translator_key *key)
{
    return code_store_create(key);
}

bool translator_use_store(struct translator *t, int fd, const struct translator_key *key)
{
    if (!t->store)
        return false;
    lock_take(&t->lock);
    bool used = code_store_use(t->store, fd, key);
    lock_release(&t->lock);
    return used;
}

void translator_renumber_store(struct translator *t, int fd)
{
    lock_take(&t->lock);
    code_store_renumber(t->store, fd);
    lock_release(&t->lock);
}

void translator_leave_store(struct translator *t)
{
    lock_take(&t->lock);
    atomic_fetch_add(&t->invalidations, 1); /* what other threads have just found is nothing now */
    code_store_leave(t->store);
    lock_release(&t->lock);
}

void translator_share(struct translator *t)
{
    if (!code_store_in_use(t->store))
        return;
    lock_take(&t->lock);
    if (code_store_in_use(t->store))
        code_store_flush(t->store);
    lock_release(&t->lock);
}

/* -- CPUs ------------------------------------------------------------------------------------------------ */

uint8_t *return_stack_new(void)
{
    void *p = mmap(NULL, RETURN_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (mprotect(p, RETURN_STACK_GUARD, PROT_NONE) == 0)
        return p;
    return_stack_free(p);
    return NULL;
}

void return_stack_free(uint8_t *stack)
{
    if (stack)
        munmap(stack, RETURN_STACK_SIZE);
}

static bool allocate_cpu_parts(struct translator_cpu *cpu)
{
    cpu->region = malloc(sizeof *cpu->region);
    cpu->workspace = malloc(sizeof(struct host_code));
    if (cpu->translator->options.system)
        return cpu->region && cpu->workspace && system_cpu_new(cpu);
    cpu->own_jump_cache = jump_cache_new();
    cpu->return_stack = return_stack_new();
    return cpu->own_jump_cache && cpu->region && cpu->workspace && cpu->return_stack;
}

static void free_cpu_parts(struct translator_cpu *cpu)
{
    const struct translator *t = cpu->translator;
    free(cpu->region);
    free(cpu->workspace);
    if (t->options.system) {
        system_cpu_free(cpu);
        pages_free(cpu, system_cpu_size(t));
        return;
    }
    return_stack_free(cpu->return_stack);
    pages_free(cpu->own_jump_cache, JUMP_CACHE_SIZE);
    free(cpu);
}

int translator_cpu_new(struct translator *t, struct translator_cpu **out, struct error *error)
{
    struct translator_cpu *cpu = new_cpu(t);
    if (!cpu)
        return error_set(error, -ENOMEM, "cannot make a virtual CPU: out of memory");
    if (!allocate_cpu_parts(cpu)) {
        free_cpu_parts(cpu);
        return error_set(error, -ENOMEM, "cannot make a virtual CPU: out of memory");
    }
    cpu->return_stack_top = cpu->return_stack + RETURN_STACK_SIZE;
    cpu->exclusive_address = NO_PC;
    cpu->fp_control = HOST_FP_CONTROL_INIT;
    cpu->jump_cache = cpu->own_jump_cache;
    lock_take(&t->lock);
    reset_return_stack(cpu, t->cache, NULL);
    cpu->cache_epoch = t->cache->epoch;
    cpu->next = t->cpus;
    t->cpus = cpu;
    lock_release(&t->lock);
    *out = cpu;
    return 0;
}

static void remove_cpu(struct translator_cpu *cpu)
{
    struct translator_cpu **from = &cpu->translator->cpus;
    while (*from && *from != cpu)
        from = &(*from)->next;
    if (*from)
        *from = cpu->next;
}

void translator_cpu_free(struct translator_cpu *cpu)
{
    if (!cpu)
        return;
    struct translator *t = cpu->translator;
    lock_take(&t->lock);
    remove_cpu(cpu);
    lock_release(&t->lock);
    free_cpu_parts(cpu);
}

/* -- caches come and go ---------------------------------------------------------------------------------- */

static void free_unused_caches(struct translator *t)
{
    struct code_cache **from = &t->retired;
    while (*from) {
        struct code_cache *cache = *from;
        if (cache->users) {
            from = &cache->next;
            continue;
        }
        *from = cache->next;
        code_cache_free(cache);
    }
}

static void leave_cache(struct translator_cpu *cpu)
{
    struct code_cache *cache = cpu->cache;
    cpu->cache = NULL; /* from here on translator_interrupt() leaves generated code alone */
    if (atomic_exchange(&cpu->redirected, 0)) {
        cpu->jump_cache = cpu->own_jump_cache;
        atomic_fetch_sub(&cpu->translator->interrupts, 1);
    }
    if (cache && --cache->users == 0 && cpu->translator->retired)
        free_unused_caches(cpu->translator);
}

/*
 * The CPU is outside of generated code: it forgets what has been dropped since it was last seen here, which
 * its return stack may lead to. True: there was such a thing, perhaps the exit that it has come by.
 */
static bool catch_up(struct translator_cpu *cpu)
{
    if (LIKELY(cpu->cache_epoch == cpu->cache->epoch))
        return false;
    cpu->cache_epoch = cpu->cache->epoch;
    if (cpu->system)
        system_forget_cache(cpu);
    else
        reset_return_stack(cpu, cpu->cache, NULL);
    return true;
}

static void enter_cache(struct translator_cpu *cpu)
{
    struct code_cache *cache = cpu->translator->cache;
    cache->users++;
    cpu->cache = cache;
    catch_up(cpu);
}

/* The cache is full: begins another one. */
int replace_cache(struct translator *t, struct error *error)
{
    struct code_cache *cache = NULL;
    int code = new_cache(t, &cache, error);
    if (code < 0)
        return code;

    cache->epoch = t->cache->epoch + 1;
    code_cache_retire(t->cache);
    t->cache->next = t->retired;
    t->retired = t->cache;
    t->cache = cache;
    for (struct translator_cpu *cpu = t->cpus; cpu; cpu = cpu->next)
        clear_jumps(cpu);
    free_unused_caches(t);
    return 0;
}

/* The epoch that all CPUs have seen which are inside of the current cache. */
static uint64_t seen_by_all(const struct translator *t)
{
    uint64_t epoch = UINT64_MAX;
    for (const struct translator_cpu *cpu = t->cpus; cpu; cpu = cpu->next)
        if (cpu->cache == t->cache)
            epoch = MIN(epoch, cpu->cache_epoch);
    return epoch;
}

int make_room(struct translator *t, struct error *error)
{
    return code_cache_turn(t->cache, seen_by_all(t)) ? 0 : replace_cache(t, error);
}

void translator_cpu_abandon(struct translator_cpu *cpu, uint32_t lock_number)
{
    struct translator *t = cpu->translator;
    struct error error = ERROR_INIT;

    bool broken = lock_inherit(&t->lock, lock_number);
    if (!broken)
        lock_take(&t->lock);
    leave_cache(cpu);
    /* What it was doing to the cache is half done. */
    if (broken && t->store)
        code_store_leave(t->store);
    if (broken && replace_cache(t, &error) < 0)
        error_report(&error);
    remove_cpu(cpu);
    lock_release(&t->lock);
    free_cpu_parts(cpu);
}

/* -- the loop -------------------------------------------------------------------------------------------- */

/* The block for the CPU's pc in the current cache, translated if need be. NO_BLOCK: *exit says why. */
static uint32_t find_or_translate(struct translator_cpu *cpu, enum translator_exit *exit)
{
    struct translator *t = cpu->translator;
    const uint64_t pc = guest_pc(cpu);
    const struct block_key key = {pc, pc, NO_PAGE, cpu->mode, false};

    for (;;) {
        uint32_t block = code_cache_find(t->cache, &key);
        if (block != NO_BLOCK)
            return block;
        block = translate(cpu, pc, exit);
        if (block != NO_BLOCK)
            return block;
        cpu->exit_payload = pc;
        if (*exit == TRANSLATOR_NONE)
            continue;
        if (*exit != TRANSLATOR_NO_MEMORY)
            return NO_BLOCK;
        struct error error = ERROR_INIT;
        if (replace_cache(t, &error) < 0) {
            error_report(&error);
            return NO_BLOCK;
        }
    }
}

/* Another page of a jump cache costs more than some lookups: it is for what comes again and again. */
static bool deserves_jump(struct translator_cpu *cpu, struct code_block *block, unsigned index)
{
    const unsigned page = index / (4096 / sizeof(struct jump_cache_entry));
    uint64_t *pages = &cpu->jump_pages[page / 64], bit = 1ull << page % 64;

    if (!(*pages & bit) && block->lookups < LOOKUPS_MOST) {
        block->lookups++;
        return false;
    }
    *pages |= bit;
    return true;
}

static void use_jump_cache(struct translator_cpu *cpu, uint32_t block)
{
    uint64_t pc = guest_pc(cpu);
    unsigned index = guest_jump_index(cpu->translator->isa, pc);
    struct jump_cache_entry *entry = &cpu->own_jump_cache[index];
    if (!cpu->system && !deserves_jump(cpu, &cpu->cache->blocks[block], index))
        return;
    entry->code = code_cache_code(cpu->cache, block);
    entry->pc = pc ^ cpu->jump_key;
}

unsigned wanted_mode(const struct translator_cpu *cpu)
{
    const struct guest_isa *isa = cpu->translator->isa;
    return isa->mode ? isa->mode(cpu) : 0;
}

/* Code of another floating-point mode is of no use any more. */
static void adopt_mode(struct translator_cpu *cpu)
{
    if (cpu->system) {
        system_adopt_mode(cpu);
        return;
    }
    unsigned mode = wanted_mode(cpu);
    if (LIKELY(mode == cpu->mode))
        return;
    cpu->mode = mode;
    clear_jumps(cpu);
    reset_return_stack(cpu, cpu->cache, NULL);
}

static void link_exit(struct translator_cpu *cpu, uint32_t from, uint32_t block)
{
    if (cpu->system ? system_may_link(cpu, from, block)
                    : !ir_fp_evaluates(cpu->mode & IR_MODE_FP)) /* that mode ends with the first result */
        code_cache_link(cpu->cache, from, block, &cpu->translator->interrupts);
}

/* Runs code of the CPU's cache. With the lock held, which it gives up meanwhile. */
static enum translator_exit enter_code(struct translator_cpu *cpu, const void *code)
{
    enter_fn enter = (enter_fn)(uintptr_t)code_cache_routine(cpu->cache, HOST_ENTER);
    cpu->branch_pc = NO_PC;
    lock_release(&cpu->translator->lock);
    cpu->entries++;
    enter(cpu, code);
    lock_take(&cpu->translator->lock);
    return (enum translator_exit)cpu->exit_reason;
}

/* What the jump cache has for the CPU's pc, or NULL. */
static const void *known_code(const struct translator_cpu *cpu)
{
    uint64_t pc = guest_pc(cpu);
    const struct jump_cache_entry *entry = &cpu->own_jump_cache[guest_jump_index(cpu->translator->isa, pc)];
    return entry->pc == (pc ^ cpu->jump_key) ? entry->code : NULL;
}

/*
 * One stay in generated code, from the CPU's pc on. `from` is the exit that brought the thread here, to be
 * linked, or NO_EXIT. Called and returns with the lock held.
 */
static enum translator_exit run_once(struct translator_cpu *cpu, uint32_t from, bool indirect)
{
    struct translator *t = cpu->translator;
    enum translator_exit exit = TRANSLATOR_NONE;
    const bool careful = from != NO_EXIT && cpu->cache->exits[from].careful;
    if (cpu->cache == t->cache && catch_up(cpu))
        from = NO_EXIT;
    adopt_mode(cpu);
    if (cpu->system && from == NO_EXIT && !careful) {
        /* Behind an instruction of the owner's, most of the time. */
        const void *code = cpu->cache == t->cache ? known_code(cpu) : NULL;
        if (code)
            return enter_code(cpu, code);
        indirect = true;
    }
    uint32_t block = cpu->system ? system_find(cpu, careful, &exit) : find_or_translate(cpu, &exit);
    if (block == NO_BLOCK)
        return exit;

    if (cpu->cache != t->cache) {
        leave_cache(cpu);
        enter_cache(cpu);
    } else if (!catch_up(cpu) && from != NO_EXIT) {
        indirect |= !cpu->cache->exits[from].slot;
        link_exit(cpu, from, block);
    }
    if (indirect)
        use_jump_cache(cpu, block);
    return enter_code(cpu, code_cache_code(cpu->cache, block));
}

/* One instruction, where a block does not do. With the lock held. */
static enum translator_exit run_alone(struct translator_cpu *cpu)
{
    lock_release(&cpu->translator->lock);
    enum translator_exit exit = system_step(cpu, 0);
    lock_take(&cpu->translator->lock);
    return exit == TRANSLATOR_LOOKUP ? TRANSLATOR_NONE : exit;
}

static enum translator_exit run_generated(struct translator_cpu *cpu)
{
    struct translator *t = cpu->translator;
    uint32_t from = NO_EXIT;
    bool indirect = false;
    enum translator_exit exit;

    lock_take(&t->lock);
    enter_cache(cpu);
    for (;;) {
        if (atomic_load(&cpu->interrupt)) {
            exit = TRANSLATOR_INTERRUPTED;
            break;
        }
        exit = run_once(cpu, from, indirect);
        if (exit == TRANSLATOR_ALONE)
            exit = run_alone(cpu);
        else if (exit == TRANSLATOR_LOOKUP)
            exit = step_check_target(cpu, exit);
        from = NO_EXIT;
        indirect = exit == TRANSLATOR_LOOKUP;
        if (exit == TRANSLATOR_LINK) {
            from = (uint32_t)cpu->exit_payload;
            set_guest_pc(cpu, cpu->cache->exits[from].target);
        } else if (exit != TRANSLATOR_LOOKUP && exit != TRANSLATOR_INTERRUPTED && exit != TRANSLATOR_NONE) {
            break;
        }
    }
    leave_cache(cpu);
    lock_release(&t->lock);
    return exit;
}

static enum translator_exit interpret_region(struct translator_cpu *cpu)
{
    const struct code_source source = {.pc = guest_pc(cpu)};
    cpu->mode = wanted_mode(cpu);
    if (!lift_region(cpu, &source, cpu->translator->options.region_max)) {
        cpu->exit_payload = source.pc;
        return TRANSLATOR_FETCH_FAULT;
    }
    return step_check_target(cpu, step_interpret(cpu));
}

static enum translator_exit run_interpreted(struct translator_cpu *cpu)
{
    enum translator_exit exit = TRANSLATOR_NONE;
    while (exit == TRANSLATOR_NONE || exit == TRANSLATOR_LOOKUP) {
        if (atomic_load(&cpu->interrupt))
            return TRANSLATOR_INTERRUPTED;
        exit = cpu->system ? system_step(cpu, 0) : interpret_region(cpu);
    }
    return exit;
}

static enum translator_exit run_one(struct translator_cpu *cpu)
{
    if (atomic_load(&cpu->interrupt))
        return TRANSLATOR_INTERRUPTED;
    enum translator_exit exit = translator_step(cpu, 0);
    return exit == TRANSLATOR_NONE || exit == TRANSLATOR_LOOKUP ? TRANSLATOR_STEPPED : exit;
}

enum translator_exit translator_run(struct translator_cpu *cpu)
{
    enum translator_exit exit = cpu->single_step                     ? run_one(cpu)
                                : cpu->translator->options.interpret ? run_interpreted(cpu)
                                                                     : run_generated(cpu);
    if (exit == TRANSLATOR_INTERRUPTED)
        atomic_store(&cpu->interrupt, 0);
    return exit;
}

/* -- changed code ---------------------------------------------------------------------------------------- */

static void forget_jumps(void *context, const struct code_block *block)
{
    struct translator *t = context;
    unsigned i = guest_jump_index(t->isa, block->pc);
    const unsigned ignored = t->options.system ? 64 - JUMP_KEY_SHIFT : 0; /* of any key */
    struct jump_cache_entry *cache;
    for (struct translator_cpu *cpu = t->cpus; cpu; cpu = cpu->next) {
        for (unsigned n = 0; (cache = nth_jumps(cpu, n)); n++) {
            if ((cache[i].pc ^ block->pc) << ignored == 0)
                __atomic_store_n(&cache[i].pc, i ? 0 : NO_PC, __ATOMIC_SEQ_CST);
        }
    }
}

static void page_empty(void *context, uint64_t page)
{
    struct translator *t = context;
    if (t->callbacks.code_page)
        t->callbacks.code_page(t->callbacks.context, NULL, page, false);
}

void translator_invalidate(struct translator *t, uint64_t start, uint64_t length)
{
    const struct code_cache_listener listener = {
        .dropped = forget_jumps, .page_empty = t->options.system ? page_empty : NULL, .context = t};
    uint64_t end = start + length < start ? UINT64_MAX : start + length;

    lock_take(&t->lock);
    atomic_fetch_add(&t->invalidations, 1);
    code_cache_invalidate(t->cache, start, end, &listener);
    if (t->archive)
        code_archive_forget(t->archive, start, end);
    lock_release(&t->lock);
}

/* -- signals --------------------------------------------------------------------------------------------- */

/*
 * The block that the interrupted thread is in or will come back to from C. NO_BLOCK: it is in the run time,
 * or on its way there, and will look at cpu->interrupt itself.
 */
static uint32_t interrupted_block(const struct translator_cpu *cpu, uint64_t pc)
{
    const struct code_cache *cache = cpu->cache;
    uint64_t routine = (uintptr_t)code_cache_routine(cache, HOST_CALL_HELPER);

    /* The routines that call C come last; a block tells where it waits before it goes there. */
    if (cpu->in_helper || (pc >= routine && pc < (uintptr_t)cache->executable + cache->routines_end))
        pc = cpu->helper_return;
    return code_cache_block_at(cache, pc);
}

/* If pc is past a decision that the interrupt takes back: where that decision is made. */
static uint64_t restart_of(const struct code_cache *cache, uint64_t pc)
{
    static const enum host_routine ranges[][2] = {
        {HOST_ENTER_CHECK_START, HOST_ENTER_CHECK_END},
        {HOST_RETURN_MISS_START, HOST_RETURN_MISS_END},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        uint64_t start = (uintptr_t)code_cache_routine(cache, ranges[i][0]);
        if (pc >= start && pc < (uintptr_t)code_cache_routine(cache, ranges[i][1]))
            return start;
    }
    uint32_t block = code_cache_block_at(cache, pc);
    return block == NO_BLOCK ? pc : code_cache_restart(cache, block, pc);
}

/* Takes away the ways out of the block that the CPU is in, but for the host's return stack pointer. */
static void close_exits(struct translator_cpu *cpu, uint32_t block)
{
    struct translator *t = cpu->translator;
    if (!atomic_exchange(&cpu->redirected, 1))
        atomic_fetch_add(&t->interrupts, 1);
    cpu->jump_cache = t->no_jumps;
    if (block != NO_BLOCK)
        code_cache_unlink_block(cpu->cache, block);
}

void translator_request(struct translator_cpu *cpu)
{
    atomic_store(&cpu->interrupt, 1);
    if (!cpu->cache || !cpu->in_helper)
        return;
    reset_return_stack(cpu, cpu->cache, NULL);
    close_exits(cpu, code_cache_block_at(cpu->cache, cpu->helper_return));
}

void translator_interrupt(struct translator_cpu *cpu, void *ucontext)
{
    atomic_store(&cpu->interrupt, 1);
    if (!cpu->cache)
        return;
    uint64_t pc = host_context_pc(ucontext);
    reset_return_stack(cpu, cpu->cache, ucontext);
    close_exits(cpu, interrupted_block(cpu, pc));
    host_context_set_pc(ucontext, restart_of(cpu->cache, pc));
}

bool translator_fault(struct translator_cpu *cpu, int signal, const void *siginfo, void *ucontext)
{
    const siginfo_t *info = siginfo;
    if (!cpu->cache || cpu->step_recovery)
        return step_fault(cpu, signal, siginfo, ucontext);

    uint64_t pc = host_context_pc(ucontext);
    uint32_t block = code_cache_block_at(cpu->cache, pc);
    uint64_t address = (uintptr_t)info->si_addr;
    if (signal == SIGSEGV && address - (uintptr_t)cpu->return_stack < RETURN_STACK_GUARD &&
        code_cache_contains(cpu->cache, pc)) {
        reset_return_stack(cpu, cpu->cache, ucontext); /* costs predictions, no more */
        return true;
    }
    if (block == NO_BLOCK)
        return false;

    if (info->si_code == SI_KERNEL)
        host_context_address(ucontext, &address);

    unsigned state;
    set_guest_pc(cpu, code_cache_guest_pc(cpu->cache, block, pc, &state));
    host_repair_context(cpu->translator->isa, cpu, ucontext, state);
    if (signal == SIGFPE) {
        cpu->exit_reason = info->si_code == FPE_INTDIV ? TRANSLATOR_DIVIDE : TRANSLATOR_FLOAT;
        cpu->exit_payload = 0;
    } else {
        cpu->fault_info.signal = signal;
        cpu->fault_info.code = info->si_code;
        cpu->fault_info.write = host_context_is_write(ucontext);
        /* The host says the same of a vector that is not aligned as of an address that cannot be. */
        const bool possible = (uint64_t)((int64_t)(address << 16) >> 16) == address;
        const bool misaligned = info->si_code == SI_KERNEL && possible && address & 15;
        cpu->exit_reason = misaligned ? TRANSLATOR_ALIGNMENT : TRANSLATOR_FAULT;
        cpu->exit_payload = address;
    }
    host_context_set_pc(ucontext, (uintptr_t)code_cache_routine(cpu->cache, HOST_LEAVE));
    return true;
}

/* -- fork ------------------------------------------------------------------------------------------------ */

void translator_fork_prepare(struct translator *t)
{
    lock_take(&t->lock);
    const bool wipe = code_store_in_use(t->store);
    code_cache_wipe_on_fork(t->cache, wipe);
    for (struct translator_cpu *cpu = t->cpus; cpu && wipe; cpu = cpu->next) {
        if (!cpu->jumps_wiped)
            cpu->jumps_wiped = pages_wipe_on_fork(cpu->own_jump_cache, JUMP_CACHE_SIZE, true);
    }
}

void translator_fork_parent(struct translator *t)
{
    lock_release(&t->lock);
}

/*
 * The child's cache is still shared with the parent. What the child will run, most likely little before it
 * executes another program, is in the store.
 */
static int begin_again(struct translator *t, struct translator_cpu *self)
{
    code_store_forget(t->store);
    if (!self->jumps_wiped)
        pages_clear(self->own_jump_cache, JUMP_CACHE_SIZE); /* no other thread uses it */
    memset(self->jump_pages, 0, sizeof self->jump_pages);
    return code_cache_begin_again(t->cache);
}

int translator_fork_child(struct translator *t, struct translator_cpu *self)
{
    for (struct translator_cpu *cpu = t->cpus, *next; cpu; cpu = next) {
        next = cpu->next;
        if (cpu != self)
            free_cpu_parts(cpu);
    }
    t->cpus = self;
    self->next = NULL;
    atomic_store(&t->interrupts, 0);

    t->cache->users = 0;
    for (struct code_cache *cache = t->retired; cache; cache = cache->next)
        cache->users = 0;
    free_unused_caches(t);
    int code =
        t->cache->wiped || code_store_in_use(t->store) ? begin_again(t, self) : code_cache_unshare(t->cache);
    self->own_jump_cache[0].pc = NO_PC; /* it may be empty now */
    lock_release(&t->lock);
    return code;
}
