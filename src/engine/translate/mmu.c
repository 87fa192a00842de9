/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmu: from linear addresses to guest memory: walks through the page tables, and what is kept of them, in the
 * TLBs that generated code looks into and in a table of pages with code.
 *
 * A TLB entry lets generated code read, or write, without asking anybody. So it permits a write only if the
 * page is dirty in the page tables and, while that is tracked, in the backing's flags, and has no code.
 */
#include "engine/translate/private.h"

#include <string.h>

#include "base/crc32c.h"
#include "base/macros.h"

#define PAGE_OFFSET (MEMORY_PAGE_SIZE - 1)

/* What code is fetched from where no memory answers. */
static const uint8_t ones[MEMORY_PAGE_SIZE]
    __attribute__((aligned(MEMORY_PAGE_SIZE))) = {[0 ... MEMORY_PAGE_SIZE - 1] = 0xff};

/* -- forgetting ------------------------------------------------------------------------------------------ */

static void flush_fetch(struct engine_vcpu *v, bool global)
{
    for (unsigned user = 0; user < 2; user++) {
        for (unsigned i = 0; i < FETCH_SIZE; i++)
            if (global || !v->fetch[user][i].global)
                v->fetch[user][i].page = TLB_NONE;
    }
}

static unsigned pcid_of(const struct x86_paging *p)
{
    return p->cr4 & X86_CR4_PCIDE ? p->cr3 & 0xfff : 0;
}

static void flush_all(struct engine_vcpu *v)
{
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++) {
        tlb_flush(&v->cpu->tlbs[tlb]);
        v->filled[tlb].count = 0;
    }
    engine_spaces_forget(v, pcid_of(&v->paging));
    flush_fetch(v, true);
    memset(v->large, 0, sizeof v->large);
    v->huge = 0;
    translator_flush_jumps(&v->cpu->x86.common);
}

/* Bits of v->large and v->huge. Kernels' addresses, which have many such pages, are apart from users'. */
static unsigned large_bit(uint64_t linear)
{
    return ((unsigned)(linear >> 21 ^ linear >> 31) & 1023) | (linear >> 63 ? 1024 : 0);
}

static unsigned huge_bit(uint64_t linear)
{
    return ((unsigned)(linear >> 30 ^ linear >> 35) & 31) | (linear >> 63 ? 32 : 0);
}

/* All of the 2 MiB around an address. */
static void flush_large(struct engine_vcpu *v, uint64_t linear)
{
    const uint64_t start = linear & ~(LARGE_SIZE - 1);
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++)
        for (uint64_t at = 0; at < LARGE_SIZE; at += MEMORY_PAGE_SIZE)
            tlb_flush_page(&v->cpu->tlbs[tlb], start + at);
    flush_fetch(v, true);
    translator_flush_jumps(&v->cpu->x86.common);
}

static void flush_page(struct engine_vcpu *v, uint64_t linear)
{
    if (v->huge >> huge_bit(linear) & 1) {
        flush_all(v);
        return;
    }
    if (v->large[large_bit(linear) / 64] >> large_bit(linear) % 64 & 1) {
        flush_large(v, linear);
        return;
    }
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++)
        tlb_flush_page(&v->cpu->tlbs[tlb], linear);
    for (unsigned user = 0; user < 2; user++) {
        struct engine_fetch *fetch = &v->fetch[user][linear >> MEMORY_PAGE_SHIFT & (FETCH_SIZE - 1)];
        if (fetch->page == tlb_page(linear))
            fetch->page = TLB_NONE;
    }
    translator_flush_jumps_page(&v->cpu->x86.common, linear);
}

void engine_tlb_flush(struct engine_vcpu *v)
{
    v->range = NULL;
    flush_all(v);
}

/* -- the registers that decide --------------------------------------------------------------------------- */

#define CR0_PAGING (X86_CR0_PE | X86_CR0_PG | X86_CR0_WP)
#define CR4_PAGING (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | X86_CR4_SMEP | X86_CR4_SMAP)

static void take_over(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    v->paging.cr0 = s->cr0;
    v->paging.cr3 = s->cr3;
    v->paging.cr4 = s->cr4;
    v->paging.efer = s->efer;
    memcpy(v->paging.pdpte, s->pdpte, sizeof v->paging.pdpte);
}

void engine_paging_flush(struct engine_vcpu *v, enum x86_flush what, uint64_t linear)
{
    if (what == X86_FLUSH_PAGE) {
        flush_page(v, linear);
        return;
    }
    if (what == X86_FLUSH_PCID) {
        engine_space_forget(v, (unsigned)linear);
        flush_fetch(v, false);
        return;
    }
    take_over(v);
    if (what == X86_FLUSH_ALL) {
        flush_all(v);
        return;
    }
    engine_space_enter(v, pcid_of(&v->paging), linear);
    flush_fetch(v, false);
}

void engine_paging_check(struct engine_vcpu *v)
{
    const struct x86_state *s = engine_state(v);
    const struct x86_paging *p = &v->paging;
    if (((s->cr0 ^ p->cr0) & CR0_PAGING) || ((s->cr4 ^ p->cr4) & CR4_PAGING) ||
        ((s->efer ^ p->efer) & (X86_EFER_LMA | X86_EFER_NXE)))
        engine_paging_flush(v, X86_FLUSH_ALL, 0);
    else if (s->cr3 != p->cr3)
        engine_paging_flush(v, X86_FLUSH_NOT_GLOBAL, 0);
}

/* -- physical memory ------------------------------------------------------------------------------------- */

static const struct memory_range *find(struct engine_vcpu *v, uint64_t physical)
{
    const struct memory_range *range = v->range;
    if (LIKELY(range && physical >= range->start && physical <= range->last))
        return range;
    range = memory_find(v->vm->machine.memory, physical);
    if (range)
        v->range = range;
    return range;
}

static bool table_read(void *context, uint64_t physical, unsigned size, uint64_t *entry)
{
    const struct memory_range *range = find(context, physical);
    if (!range || !range->host)
        return false;
    const uint8_t *host = range->host + (physical - range->start);
    *entry = size == 8 ? __atomic_load_n((const uint64_t *)host, __ATOMIC_RELAXED)
                       : __atomic_load_n((const uint32_t *)host, __ATOMIC_RELAXED);
    return true;
}

static bool table_set(void *context, uint64_t physical, unsigned size, uint64_t old, uint64_t bits)
{
    const struct memory_range *range = find(context, physical);
    if (!range || range->region->kind != MEMORY_RAM)
        return true;
    uint8_t *host = range->host + (physical - range->start);
    uint32_t old32 = (uint32_t)old;
    const bool set = size == 8 ? __atomic_compare_exchange_n((uint64_t *)host, &old, old | bits, false,
                                                             __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)
                               : __atomic_compare_exchange_n((uint32_t *)host, &old32, old32 | (uint32_t)bits,
                                                             false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    if (set)
        memory_backing_written(range->region->backing,
                               range->region->backing_offset + range->offset + (physical - range->start),
                               size);
    return set;
}

static bool table_peek_set(void *context, uint64_t physical, unsigned size, uint64_t old, uint64_t bits)
{
    (void)context, (void)physical, (void)size, (void)old, (void)bits;
    return true;
}

static bool walk(struct engine_vcpu *v, uint64_t linear, struct x86_access access, struct x86_page *page)
{
    const struct x86_table_memory memory = {v, table_read, table_set};
    uint32_t error;
    if (LIKELY(x86_paging_walk(&v->paging, &memory, linear, access, page, &error) == 0))
        return true;
    v->fault = (struct x86_exception){.vector = X86_PF, .has_error = true, .error = error, .address = linear};
    return false;
}

/* What answers at a physical address. */
static void find_target(struct engine_vcpu *v, uint64_t physical, struct engine_target *target)
{
    uint64_t lapic;
    *target = (struct engine_target){.physical = physical, .key = ENGINE_KEY_OTHER | physical};
    if (v->lapic && lapic_page(v->lapic, &lapic) && tlb_page(physical) == lapic) {
        target->lapic = true;
        return;
    }
    const struct memory_range *range = find(v, physical);
    if (!range || !range->host)
        return;
    target->host = range->host + (physical - range->start);
    target->writable = range->region->kind == MEMORY_RAM;
    target->backing = range->region->backing;
    target->backing_offset = range->region->backing_offset + range->offset + (physical - range->start);
    if (target->backing == v->vm->machine.ram)
        target->key = target->backing_offset;
    target->whole = tlb_page(physical) >= range->start && (physical | PAGE_OFFSET) <= range->last;
}

/* -- TLBs ------------------------------------------------------------------------------------------------ */

static void note_large(struct engine_vcpu *v, uint64_t linear, uint64_t size)
{
    if (size <= MEMORY_PAGE_SIZE || !(v->paging.cr0 & X86_CR0_PG))
        return;
    if (size == LARGE_SIZE)
        v->large[large_bit(linear) / 64] |= 1ull << large_bit(linear) % 64;
    else
        v->huge |= 1ull << huge_bit(linear);
}

static bool may_write(const struct engine_vcpu *v, unsigned tlb, const struct x86_page *page,
                      const struct engine_target *target)
{
    return target->writable && page->dirty &&
           (page->writable || (tlb != ENGINE_TLB_USER && !(v->paging.cr0 & X86_CR0_WP)));
}

/* The flag of a page with code is looked at behind the entry: who sets it looks for entries afterwards. */
static void fill_write(struct tlb_entry *entry, uint64_t linear, const struct engine_target *target)
{
    __atomic_store_n(&entry->write, tlb_page(linear), __ATOMIC_SEQ_CST);
    const uint8_t flags = atomic_load(engine_page_flags(target));
    if (flags & MEMORY_PAGE_CODE || (target->backing->tracks_dirty && !(flags & MEMORY_PAGE_DIRTY)))
        entry->write = TLB_NONE;
}

static void fill(struct engine_vcpu *v, unsigned tlb, uint64_t linear, const struct x86_page *page,
                 const struct engine_target *target)
{
    struct tlb_entry *entry = tlb_entry(&v->cpu->tlbs[tlb], linear);
    struct engine_filled *filled = &v->filled[tlb];

    if (!page->global && filled->count <= FILLED_MOST &&
        (entry->read == TLB_NONE || entry->physical & ENGINE_ENTRY_GLOBAL)) {
        if (filled->count < FILLED_MOST)
            filled->index[filled->count] = (uint16_t)(entry - v->cpu->tlbs[tlb].entries);
        filled->count++;
    }
    entry->read = tlb_page(linear);
    entry->write = TLB_NONE;
    entry->addend = (uint64_t)(uintptr_t)target->host - linear;
    entry->physical = tlb_page(target->key) | (page->global ? ENGINE_ENTRY_GLOBAL : 0);
    if (may_write(v, tlb, page, target))
        fill_write(entry, linear, target);
    note_large(v, linear, page->size);
}

static void mark_dirty(const struct engine_target *target)
{
    struct memory_backing *backing = target->backing;
    _Atomic uint8_t *flags = engine_page_flags(target);
    if (backing->tracks_dirty && !(atomic_load(flags) & MEMORY_PAGE_DIRTY))
        atomic_fetch_or(flags, MEMORY_PAGE_DIRTY);
}

bool engine_reach(struct engine_vcpu *v, enum engine_tlb tlb, uint64_t linear, bool write,
                  struct engine_target *target)
{
    const struct x86_access access = {
        .write = write, .user = tlb == ENGINE_TLB_USER, .smap = tlb == ENGINE_TLB_SYSTEM};
    struct x86_page page;

    if (!walk(v, linear, access, &page))
        return false;
    find_target(v, page.physical, target);
    if (!target->host || !target->whole)
        return true;
    if (write && target->writable)
        mark_dirty(target);
    if (UNLIKELY(v->watch_count) && engine_page_is_watched(v, linear))
        return true;
    fill(v, tlb, linear, &page, target);
    return true;
}

bool engine_reach_silently(struct engine_vcpu *v, uint64_t linear, uint64_t *physical)
{
    const struct x86_table_memory memory = {v, table_read, table_peek_set};
    struct x86_page page;
    uint32_t error;
    if (x86_paging_walk(&v->paging, &memory, linear, (struct x86_access){0}, &page, &error) < 0)
        return false;
    *physical = page.physical;
    return true;
}

/* -- code ------------------------------------------------------------------------------------------------ */

/* What devices of the host's write nobody hears of. But a guest does not execute what is not there yet: it
 * maps the page when it is, so that code is fetched from it anew. Whatever was translated from other bytes
 * goes then. */
static void look_at_code(struct engine_vm *vm, const struct engine_target *target)
{
    const uint64_t page = target->backing_offset >> MEMORY_PAGE_SHIFT, start = page << MEMORY_PAGE_SHIFT;
    const uint32_t sum = MAX(crc32c(0, target->backing->host + start, MEMORY_PAGE_SIZE), 1u),
                   before = atomic_exchange(&vm->fetched[page], sum);
    if (before && before != sum && (atomic_load(engine_page_flags(target)) & MEMORY_PAGE_CODE))
        translator_invalidate(vm->translator, start, MEMORY_PAGE_SIZE);
}

const struct engine_fetch *engine_fetch(struct engine_vcpu *v, uint64_t linear)
{
    const bool user = x86_cpl(engine_state(v)) == 3;
    struct engine_fetch *fetch = &v->fetch[user][linear >> MEMORY_PAGE_SHIFT & (FETCH_SIZE - 1)];
    struct engine_target target;
    struct x86_page page;

    if (LIKELY(fetch->page == tlb_page(linear)))
        return fetch;
    if (v->wide && !x86_canonical(linear)) {
        v->fault = (struct x86_exception){.vector = X86_GP, .has_error = true};
        return NULL;
    }
    if (!walk(v, linear, (struct x86_access){.fetch = true, .user = user}, &page))
        return NULL;
    find_target(v, page.physical, &target);
    const bool memory = target.host && target.whole;
    if (memory && v->vm->fetched && target.backing == v->vm->machine.ram)
        look_at_code(v->vm, &target);
    *fetch = (struct engine_fetch){
        .page = tlb_page(linear),
        .key = tlb_page(target.key),
        .host = memory ? target.host - (linear & PAGE_OFFSET) : ones,
        .global = page.global,
    };
    note_large(v, linear, page.size);
    return fetch;
}

bool engine_locate(struct translator_cpu *cpu, uint64_t pc, struct code_page *out)
{
    struct engine_vcpu *v = cpu->owner;
    const struct engine_fetch *fetch = engine_fetch(v, pc);
    if (!fetch) {
        cpu->exit_reason = TRANSLATOR_FETCH_FAULT;
        cpu->exit_payload = pc;
        return false;
    }
    *out = (struct code_page){.physical = fetch->key, .bytes = fetch->host, .global = fetch->global};
    if (LIKELY(!v->break_count) || !engine_page_has_breaks(v, pc))
        return true;
    out->uncached = true;
    v->hits = pc == v->cpu->x86.pc ? engine_break_hits(v, pc) : 0;
    if (v->hits) {
        cpu->exit_reason = TRANSLATOR_EMULATE;
        cpu->exit_payload = ENGINE_PAYLOAD_BREAK;
        return false;
    }
    return true;
}

/* -- pages with code ------------------------------------------------------------------------------------- */

/* Takes the write entries of pages that have code. `key`: of one page, which the caller knows about, or
 * ENGINE_KEY_ALL: pages that others have made code of, and that this CPU may have written meanwhile. */
static void take_write_entries(struct engine_vcpu *v, uint64_t key, bool in_block)
{
    const struct memory_backing *ram = v->vm->machine.ram;
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++) {
        for (unsigned i = 0; i < TLB_SIZE; i++) {
            struct tlb_entry *entry = &v->cpu->tlbs[tlb].entries[i];
            const uint64_t page = tlb_page(entry->physical);
            if (entry->write == TLB_NONE || page & ENGINE_KEY_OTHER)
                continue;
            if (key != ENGINE_KEY_ALL ? page != key
                                      : !(ram->page_flags[page >> MEMORY_PAGE_SHIFT] & MEMORY_PAGE_CODE))
                continue;
            if (key == ENGINE_KEY_ALL)
                translator_invalidate(v->vm->translator, page, MEMORY_PAGE_SIZE);
            if (!in_block)
                entry->write = TLB_NONE;
        }
    }
}

void engine_code_flush(struct engine_vcpu *v, bool in_block)
{
    take_write_entries(v, ENGINE_KEY_ALL, in_block);
}

void engine_code_page(void *context, struct translator_cpu *cpu, uint64_t key, bool has_code)
{
    struct engine_vm *vm = context;
    struct engine_vcpu *own = cpu ? cpu->owner : NULL;
    if (key & ENGINE_KEY_OTHER) /* not written by processors, and told of by the memory map's listener */
        return;
    _Atomic uint8_t *flags = &vm->machine.ram->page_flags[key >> MEMORY_PAGE_SHIFT];
    if (!has_code) {
        atomic_fetch_and(flags, (uint8_t)~MEMORY_PAGE_CODE);
        return;
    }
    if (atomic_fetch_or(flags, MEMORY_PAGE_CODE) & MEMORY_PAGE_CODE)
        return;
    if (own)
        take_write_entries(own, key, false);
    for (unsigned i = 0; i < vm->machine.vcpu_count; i++) {
        struct engine_vcpu *v = atomic_load(&vm->vcpus[i]);
        if (v && v != own)
            engine_request(v, ENGINE_REQUEST_CODE);
    }
}
