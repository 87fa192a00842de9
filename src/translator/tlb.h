/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tlb: the guest pages that a virtual CPU can reach at once, for guests whose memory lies behind page tables
 * (guest_isa.tlb_offset). Generated code looks an address up in line; what is not there, or must not be done
 * by a plain access (a device, a page with translated code, an access across pages), goes to the CPU's memory
 * function.
 *
 * A TLB belongs to its CPU's thread. A CPU has one for each way of access that its code may have been
 * translated for (x86: user, supervisor ...), in a row.
 */
#ifndef VISOR_TRANSLATOR_TLB_H
#define VISOR_TRANSLATOR_TLB_H

#include <stdint.h>

#include "translator/cpu.h"

#define TLB_PAGE_BITS 12
#define TLB_BITS      12
#define TLB_SIZE      (1u << TLB_BITS)

/* No guest page: pages are aligned. */
#define TLB_NONE 1u

struct tlb_entry {
    uint64_t read;     /* the guest page that may be read, or TLB_NONE */
    uint64_t write;    /* ... written */
    uint64_t addend;   /* host address - guest address */
    uint64_t physical; /* the guest-physical page, for the owner */
};

struct tlb {
    struct tlb_entry entries[TLB_SIZE];
};

static inline uint64_t tlb_page(uint64_t address)
{
    return address & ~(((uint64_t)1 << TLB_PAGE_BITS) - 1);
}

static inline struct tlb_entry *tlb_entry(struct tlb *tlb, uint64_t address)
{
    return &tlb->entries[address >> TLB_PAGE_BITS & (TLB_SIZE - 1)];
}

static inline void tlb_flush(struct tlb *tlb)
{
    for (unsigned i = 0; i < TLB_SIZE; i++)
        tlb->entries[i] = (struct tlb_entry){.read = TLB_NONE, .write = TLB_NONE};
}

static inline void tlb_flush_page(struct tlb *tlb, uint64_t address)
{
    struct tlb_entry *entry = tlb_entry(tlb, address);
    if (entry->read == tlb_page(address) || entry->write == tlb_page(address))
        *entry = (struct tlb_entry){.read = TLB_NONE, .write = TLB_NONE};
}

#endif
