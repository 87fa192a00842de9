/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * paging: linear addresses of an x86 CPU to physical ones, as its page tables in guest memory say (Intel SDM
 * volume 3A, chapter 4): none, 32-bit (with PSE-36), PAE and 4-level paging; NX, SMEP, SMAP, 1 GiB pages;
 * accessed and dirty bits are set as the processor does.
 *
 * This is the architecture's rule book, the same for every engine; nothing is cached here.
 */
#ifndef VISOR_ARCH_X86_PAGING_H
#define VISOR_ARCH_X86_PAGING_H

#include <stdbool.h>
#include <stdint.h>

enum {
    X86_CR0_PE = 1 << 0,
    X86_CR0_MP = 1 << 1,
    X86_CR0_EM = 1 << 2,
    X86_CR0_TS = 1 << 3,
    X86_CR0_ET = 1 << 4,
    X86_CR0_NE = 1 << 5,
    X86_CR0_WP = 1 << 16,
    X86_CR0_AM = 1 << 18,
    X86_CR0_NW = 1 << 29,
    X86_CR0_CD = 1 << 30,
};
#define X86_CR0_PG (1u << 31)

enum {
    X86_CR4_VME = 1 << 0,
    X86_CR4_PVI = 1 << 1,
    X86_CR4_TSD = 1 << 2,
    X86_CR4_DE = 1 << 3,
    X86_CR4_PSE = 1 << 4,
    X86_CR4_PAE = 1 << 5,
    X86_CR4_MCE = 1 << 6,
    X86_CR4_PGE = 1 << 7,
    X86_CR4_PCE = 1 << 8,
    X86_CR4_OSFXSR = 1 << 9,
    X86_CR4_OSXMMEXCPT = 1 << 10,
    X86_CR4_UMIP = 1 << 11,
    X86_CR4_FSGSBASE = 1 << 16,
    X86_CR4_PCIDE = 1 << 17,
    X86_CR4_OSXSAVE = 1 << 18,
    X86_CR4_SMEP = 1 << 20,
    X86_CR4_SMAP = 1 << 21,
};

enum {
    X86_EFER_SCE = 1 << 0,
    X86_EFER_LME = 1 << 8,
    X86_EFER_LMA = 1 << 10,
    X86_EFER_NXE = 1 << 11,
};

/* The error code of a page fault. */
enum {
    X86_PF_PRESENT = 1 << 0, /* a right was missing, not the page */
    X86_PF_WRITE = 1 << 1,
    X86_PF_USER = 1 << 2,
    X86_PF_RESERVED = 1 << 3,
    X86_PF_FETCH = 1 << 4,
};

/* What of the CPU's state decides. */
struct x86_paging {
    uint64_t cr0, cr3, cr4, efer;
    uint64_t pdpte[4];     /* PAE: as loaded with CR3 */
    uint8_t physical_bits; /* of addresses: CPUID 80000008h, 32..52 */
    bool gigabyte_pages;   /* CPUID 80000001h EDX.Page1GB */
};

struct x86_access {
    bool write, fetch; /* neither: a read */
    bool user;         /* at CPL 3, and not the processor's own access to a descriptor table or TSS */
    bool smap; /* supervisor mode may not touch user pages: EFLAGS.AC is clear or the access is implicit */
};

struct x86_page {
    uint64_t physical; /* of the address itself */
    uint64_t size;     /* of the page: 4 KiB .. 1 GiB; 4 GiB without paging */
    bool global;
    /* What further accesses to the page need no new walk for. */
    bool user, writable, executable; /* the tables' rights, whoever asks */
    bool dirty;
};

/* Guest memory with page tables. An entry outside of it reads as not present. */
struct x86_table_memory {
    void *context;
    /* Reads an entry of 4 or 8 bytes, aligned. False: there is no memory. */
    bool (*read)(void *context, uint64_t physical, unsigned size, uint64_t *entry);
    /* If the entry is still `old`, atomically ors `bits` to it (or nothing, in memory that cannot be
     * written); false: it is another by now. */
    bool (*set)(void *context, uint64_t physical, unsigned size, uint64_t old, uint64_t bits);
};

/*
 * Translates `linear`, sets accessed and dirty bits. Returns 0 with *page filled in, or -EFAULT with the page
 * fault's error code in *error. A linear address that is not canonical is the caller's to refuse.
 */
int x86_paging_walk(const struct x86_paging *paging, const struct x86_table_memory *memory, uint64_t linear,
                    struct x86_access access, struct x86_page *page, uint32_t *error);

/* Whether a PDPTE that MOV to CR3 is about to load under PAE paging has reserved bits set: #GP. */
bool x86_paging_pdpte_valid(const struct x86_paging *paging, uint64_t pdpte);

#endif
