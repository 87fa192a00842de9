/* SPDX-License-Identifier: GPL-2.0-or-later */
/* paging: the walk through an x86 CPU's page tables. */
#include "arch/x86/paging.h"

#include <errno.h>

enum {
    ENTRY_PRESENT = 1 << 0,
    ENTRY_WRITABLE = 1 << 1,
    ENTRY_USER = 1 << 2,
    ENTRY_ACCESSED = 1 << 5,
    ENTRY_DIRTY = 1 << 6,
    ENTRY_LARGE = 1 << 7,
    ENTRY_GLOBAL = 1 << 8,
};
#define ENTRY_NX (1ull << 63)

/* The tables of one kind of paging, from the leaves (level 0) up. */
struct format {
    unsigned levels;
    unsigned index_bits;
    unsigned entry_size;
};

struct walk {
    const struct x86_paging *paging;
    const struct x86_table_memory *memory;
    struct format format;
    uint64_t linear;
    bool user, writable, executable; /* what the levels so far allow together */
};

static uint64_t bits_from(unsigned low, unsigned high)
{
    return low >= high ? 0 : (high >= 64 ? ~0ull : (1ull << high) - 1) & ~((1ull << low) - 1);
}

static bool has_nx(const struct x86_paging *p)
{
    return p->efer & X86_EFER_NXE && p->cr4 & X86_CR4_PAE;
}

static struct format format_of(const struct x86_paging *p)
{
    if (p->efer & X86_EFER_LMA)
        return (struct format){4, 9, 8};
    return p->cr4 & X86_CR4_PAE ? (struct format){2, 9, 8} : (struct format){2, 10, 4};
}

static unsigned page_shift(const struct format *f, unsigned level)
{
    return 12 + level * f->index_bits;
}

/* Whether an entry of this level may map a page by itself. */
static bool may_be_large(const struct walk *w, unsigned level)
{
    if (w->format.entry_size == 4)
        return level == 1 && w->paging->cr4 & X86_CR4_PSE;
    return level == 1 || (level == 2 && w->paging->gigabyte_pages);
}

static uint64_t reserved_bits(const struct walk *w, unsigned level, bool large)
{
    const struct x86_paging *p = w->paging;
    if (w->format.entry_size == 4) /* PSE-36: bits 13 to 20 are bits 32 to 39 of the address */
        return large ? bits_from(p->physical_bits >= 40 ? 21 : p->physical_bits - 19u, 22) : 0;
    uint64_t reserved = bits_from(p->physical_bits, p->efer & X86_EFER_LMA ? 52 : 63);
    if (!has_nx(p))
        reserved |= ENTRY_NX;
    if (large)
        reserved |= bits_from(13, page_shift(&w->format, level));
    else if (level >= 2) /* a level that cannot map a page has no such bit */
        reserved |= ENTRY_LARGE;
    return reserved;
}

static uint64_t large_base(const struct walk *w, unsigned level, uint64_t entry)
{
    unsigned shift = page_shift(&w->format, level);
    if (w->format.entry_size == 4)
        return (entry & bits_from(shift, 32)) | (entry & bits_from(13, 21)) << 19;
    return entry & bits_from(shift, 52);
}

static uint32_t error_of(const struct x86_paging *p, struct x86_access access, uint32_t kind)
{
    uint32_t error = kind;
    if (access.write)
        error |= X86_PF_WRITE;
    if (access.user)
        error |= X86_PF_USER;
    if (access.fetch && (has_nx(p) || p->cr4 & X86_CR4_SMEP))
        error |= X86_PF_FETCH;
    return error;
}

/* Whether the rights that the levels have gathered allow the access. */
static bool allowed(const struct walk *w, struct x86_access access)
{
    const struct x86_paging *p = w->paging;
    if (access.fetch && !w->executable)
        return false;
    if (access.user)
        return w->user && (!access.write || w->writable);
    if (w->user && access.fetch && p->cr4 & X86_CR4_SMEP)
        return false;
    if (w->user && !access.fetch && access.smap && p->cr4 & X86_CR4_SMAP)
        return false;
    return !access.write || w->writable || !(p->cr0 & X86_CR0_WP);
}

/* Reads the entry at `address` and sets its accessed bit. False: not present. */
static bool use_entry(const struct walk *w, uint64_t address, uint64_t *entry)
{
    const unsigned size = w->format.entry_size;
    return w->memory->read(w->memory->context, address, size, entry) && *entry & ENTRY_PRESENT;
}

static bool mark(const struct walk *w, uint64_t address, uint64_t *entry, uint64_t bits)
{
    if ((*entry & bits) == bits)
        return true;
    if (!w->memory->set(w->memory->context, address, w->format.entry_size, *entry, bits))
        return false;
    *entry |= bits;
    return true;
}

enum step { STEP_DONE, STEP_AGAIN, STEP_FAULT };

/* The entry maps the page: rights, accessed and dirty bits, result. */
static enum step finish(struct walk *w, struct x86_access access, unsigned level, uint64_t address,
                        uint64_t entry, struct x86_page *page)
{
    if (!allowed(w, access))
        return STEP_FAULT;
    if (!mark(w, address, &entry, access.write ? ENTRY_ACCESSED | ENTRY_DIRTY : ENTRY_ACCESSED))
        return STEP_AGAIN;
    const uint64_t size = 1ull << page_shift(&w->format, level);
    uint64_t base =
        level ? large_base(w, level, entry) : entry & bits_from(12, w->format.entry_size == 4 ? 32 : 52);
    *page = (struct x86_page){
        .physical = base | (w->linear & (size - 1)),
        .size = size,
        .global = entry & ENTRY_GLOBAL && w->paging->cr4 & X86_CR4_PGE,
        .user = w->user,
        .writable = w->writable,
        .executable = w->executable,
        .dirty = entry & ENTRY_DIRTY,
    };
    return STEP_DONE;
}

/* One try from the top; *kind is X86_PF_PRESENT and X86_PF_RESERVED bits if it faults. */
static enum step walk_once(struct walk *w, struct x86_access access, uint64_t table, struct x86_page *page,
                           uint32_t *kind)
{
    w->user = w->writable = w->executable = true;
    for (unsigned level = w->format.levels; level-- > 0;) {
        uint64_t index = w->linear >> page_shift(&w->format, level) & bits_from(0, w->format.index_bits);
        uint64_t address = table + index * w->format.entry_size, entry;
        *kind = 0;
        if (!use_entry(w, address, &entry))
            return STEP_FAULT;
        *kind = X86_PF_PRESENT;
        bool large = level > 0 && entry & ENTRY_LARGE && may_be_large(w, level);
        if (entry & reserved_bits(w, level, large)) {
            *kind |= X86_PF_RESERVED;
            return STEP_FAULT;
        }
        w->user &= (entry & ENTRY_USER) != 0;
        w->writable &= (entry & ENTRY_WRITABLE) != 0;
        w->executable &= !(entry & ENTRY_NX && has_nx(w->paging));
        if (level == 0 || large)
            return finish(w, access, level, address, entry, page);
        if (!mark(w, address, &entry, ENTRY_ACCESSED))
            return STEP_AGAIN;
        table = entry & bits_from(12, w->format.entry_size == 4 ? 32 : 52);
    }
    return STEP_FAULT;
}

int x86_paging_walk(const struct x86_paging *p, const struct x86_table_memory *memory, uint64_t linear,
                    struct x86_access access, struct x86_page *page, uint32_t *error)
{
    if (!(p->cr0 & X86_CR0_PG)) {
        *page = (struct x86_page){(uint32_t)linear, 1ull << 32, false, true, true, true, true};
        return 0;
    }
    struct walk w = {.paging = p, .memory = memory, .format = format_of(p), .linear = linear};
    uint64_t table = p->cr3 & bits_from(12, w.format.entry_size == 4 ? 32 : 52);
    if (w.format.entry_size == 8 && w.format.levels == 2) { /* PAE: the upper level is in registers */
        uint64_t pdpte = p->pdpte[linear >> 30 & 3];
        if (!(pdpte & ENTRY_PRESENT)) {
            *error = error_of(p, access, 0);
            return -EFAULT;
        }
        table = pdpte & bits_from(12, 52);
    }
    uint32_t kind = 0;
    enum step step;
    do {
        step = walk_once(&w, access, table, page, &kind);
    } while (step == STEP_AGAIN);
    if (step == STEP_DONE)
        return 0;
    *error = error_of(p, access, kind);
    return -EFAULT;
}

bool x86_paging_pdpte_valid(const struct x86_paging *p, uint64_t pdpte)
{
    const uint64_t reserved = bits_from(p->physical_bits, 64) | bits_from(5, 9) | bits_from(1, 3);
    return !(pdpte & ENTRY_PRESENT) || !(pdpte & reserved);
}
