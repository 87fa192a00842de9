/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spaces: address spaces: TLB entries that are not global belong to a PCID. Those of some other PCIDs are put
 * aside and come back when the guest does and says that they may stay (CR3 bit 63). Without CR4.PCIDE there
 * is one space, and it is empty after each load of CR3. Intel SDM volume 3, 4.10.
 *
 * The translator knows spaces by their index here.
 */
#include "base/macros.h"
#include "engine/translate/private.h"

static void clear_entry(struct tlb_entry *entry)
{
    entry->read = entry->write = TLB_NONE;
}

/* Takes what is not global out of a TLB; `saved` gets it, or is NULL. */
static void take_local(struct engine_vcpu *v, unsigned tlb, struct engine_saved *saved)
{
    struct tlb *table = &v->cpu->tlbs[tlb];
    struct engine_filled *filled = &v->filled[tlb];
    const bool all = filled->count > FILLED_MOST;
    const unsigned count = all ? TLB_SIZE : filled->count;
    unsigned kept = 0;

    for (unsigned i = 0; i < count; i++) {
        const unsigned index = all ? i : filled->index[i];
        struct tlb_entry *entry = &table->entries[index];
        if (entry->read == TLB_NONE || entry->physical & ENGINE_ENTRY_GLOBAL)
            continue;
        if (saved && kept < FILLED_MOST) {
            saved->index[kept] = (uint16_t)index;
            saved->entries[kept++] = *entry;
        }
        clear_entry(entry);
    }
    filled->count = 0;
    if (saved)
        saved->count = kept;
}

/* Whether a page may be written without a word, still. */
static bool may_write(const struct engine_vcpu *v, const struct tlb_entry *entry)
{
    const struct memory_backing *ram = v->vm->machine.ram;
    if (entry->physical & ENGINE_KEY_OTHER)
        return !ram->tracks_dirty;
    const uint8_t flags = atomic_load(&ram->page_flags[entry->physical >> MEMORY_PAGE_SHIFT]);
    return !(flags & MEMORY_PAGE_CODE) && (flags & MEMORY_PAGE_DIRTY || !ram->tracks_dirty);
}

static void put_back(struct engine_vcpu *v, unsigned tlb, struct engine_saved *saved)
{
    struct engine_filled *filled = &v->filled[tlb];
    for (unsigned i = 0; i < saved->count; i++) {
        struct tlb_entry *entry = &v->cpu->tlbs[tlb].entries[saved->index[i]];
        if (entry->read != TLB_NONE) /* a global page has come here meanwhile */
            continue;
        *entry = saved->entries[i];
        filled->index[filled->count++] = saved->index[i];
        if (entry->write == TLB_NONE)
            continue;
        atomic_thread_fence(memory_order_seq_cst);
        if (!may_write(v, entry))
            entry->write = TLB_NONE;
    }
    saved->count = 0;
}

static void forget(struct engine_vcpu *v, unsigned space)
{
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++)
        v->spaces[space].saved[tlb].count = 0;
    translator_flush_jumps_space(&v->cpu->x86.common, space);
}

/* The space of a PCID: the one that it had, or that which was not current for longest. */
static unsigned space_of(struct engine_vcpu *v, unsigned pcid)
{
    unsigned oldest = v->space == 0;
    for (unsigned i = 0; i < ENGINE_SPACES; i++) {
        if (v->spaces[i].used && v->spaces[i].pcid == pcid)
            return i;
        if (i != v->space && v->spaces[i].used < v->spaces[oldest].used)
            oldest = i;
    }
    forget(v, oldest);
    v->spaces[oldest].pcid = (uint16_t)pcid;
    return oldest;
}

void engine_space_flush(struct engine_vcpu *v)
{
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++)
        take_local(v, tlb, NULL);
    translator_flush_jumps_local(&v->cpu->x86.common);
}

void engine_space_enter(struct engine_vcpu *v, unsigned pcid, bool keep)
{
    const unsigned space = space_of(v, pcid);
    v->spaces[space].used = ++v->space_clock;
    if (space == v->space) {
        if (!keep)
            engine_space_flush(v);
        return;
    }
    /* What was written by entries that are put aside is looked after now. */
    if (atomic_load(&v->requests) & ENGINE_REQUEST_CODE)
        engine_code_flush(v, false);
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++)
        take_local(v, tlb, &v->spaces[v->space].saved[tlb]);
    if (!keep)
        forget(v, space);
    v->space = space;
    translator_set_space(&v->cpu->x86.common, space);
    for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++)
        put_back(v, tlb, &v->spaces[space].saved[tlb]);
}

void engine_space_forget(struct engine_vcpu *v, unsigned pcid)
{
    for (unsigned i = 0; i < ENGINE_SPACES; i++) {
        if (!v->spaces[i].used || v->spaces[i].pcid != pcid)
            continue;
        if (i == v->space)
            engine_space_flush(v);
        else
            forget(v, i);
    }
}

void engine_spaces_forget(struct engine_vcpu *v, unsigned pcid)
{
    for (unsigned i = 0; i < ENGINE_SPACES; i++) {
        for (unsigned tlb = 0; tlb < X86_TLB_COUNT; tlb++)
            v->spaces[i].saved[tlb].count = 0;
        v->spaces[i].used = 0;
    }
    v->spaces[v->space].used = ++v->space_clock;
    v->spaces[v->space].pcid = (uint16_t)pcid;
}
