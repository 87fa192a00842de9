/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * entry: the processor as boot protocols want it at the kernel's entry: flat segments with the selectors that
 * Linux names, a GDT that has them, interrupts off. Intel SDM volume 3, chapters 3 and 4.5.
 */
#include <string.h>

#include "arch/x86/paging.h"
#include "arch/x86/segment.h"
#include "base/macros.h"
#include "boot/bytes.h"
#include "boot/loader.h"

/* Linux's __BOOT_CS and __BOOT_DS (boot protocol, "32-bit Boot Protocol"); the others are free to choose. */
enum { SELECTOR_CODE = 0x10, SELECTOR_DATA = 0x18, SELECTOR_TASK = 0x20, GDT_SIZE = 0x28 };

enum {
    ATTRIBUTES_FLAT = X86_SEGMENT_PRESENT | X86_SEGMENT_NOT_SYSTEM | X86_SEGMENT_GRANULAR |
                      X86_SEGMENT_ACCESSED | X86_SEGMENT_WRITABLE,
    ATTRIBUTES_DATA = ATTRIBUTES_FLAT | X86_SEGMENT_BIG,
    ATTRIBUTES_CODE32 = ATTRIBUTES_FLAT | X86_SEGMENT_BIG | X86_SEGMENT_CODE,
    ATTRIBUTES_CODE64 = ATTRIBUTES_FLAT | X86_SEGMENT_LONG | X86_SEGMENT_CODE,
    ATTRIBUTES_TASK = X86_SEGMENT_PRESENT | X86_TYPE_TSS_BUSY,
};
#define TASK_LIMIT 0x67u

static uint64_t descriptor(unsigned attributes, uint32_t limit)
{
    return (limit & 0xffff) | (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)attributes << 40;
}

static void set_segment(struct x86_state *s, enum x86_segment segment, uint16_t selector, unsigned attributes)
{
    s->segment_base[segment] = 0;
    s->segment[segment] = (struct x86_segment_register){selector, (uint16_t)attributes, UINT32_MAX};
}

static int set_up(struct loader *load, uint64_t entry, unsigned code)
{
    struct x86_state *s = load->state;
    uint8_t gdt[GDT_SIZE] = {0};
    bytes_put(gdt + SELECTOR_CODE, descriptor(code, 0xfffff), 8);
    bytes_put(gdt + SELECTOR_DATA, descriptor(ATTRIBUTES_DATA, 0xfffff), 8);
    bytes_put(gdt + SELECTOR_TASK, descriptor(ATTRIBUTES_TASK, TASK_LIMIT), 8);

    memset(s->gpr, 0, sizeof s->gpr);
    s->rip = entry;
    x86_eflags_set(s, X86_EFLAGS_ONE);
    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++)
        set_segment(s, (enum x86_segment)i, SELECTOR_DATA, ATTRIBUTES_DATA);
    set_segment(s, X86_CS, SELECTOR_CODE, code);
    s->tr = (struct x86_segment_register){SELECTOR_TASK, ATTRIBUTES_TASK, TASK_LIMIT};
    s->tr_base = 0;
    s->gdtr = (struct x86_table_register){LOADER_GDT, GDT_SIZE - 1};
    s->idtr = (struct x86_table_register){0, 0};
    s->cr0 = X86_CR0_PE | X86_CR0_ET;
    s->cr2 = s->cr3 = s->cr4 = s->cr8 = s->efer = 0;
    return loader_write(load, LOADER_GDT, gdt, sizeof gdt);
}

int loader_enter32(struct loader *load, uint32_t entry)
{
    return set_up(load, entry, ATTRIBUTES_CODE32);
}

/* The first 4 GiB at their own addresses, by pages of 2 MiB. */
static int write_page_tables(struct loader *load)
{
    enum { PRESENT_WRITABLE = 3, LARGE = 0x80, PAGE = 0x1000, DIRECTORIES = 4, ENTRIES = 512 };
    uint8_t table[PAGE] = {0};
    uint64_t at = LOADER_PAGE_TABLES;
    bytes_put(table, (at + PAGE) | PRESENT_WRITABLE, 8);
    int result = loader_write(load, at, table, PAGE);
    for (uint64_t i = 0; i < DIRECTORIES; i++)
        bytes_put(table + 8 * i, (at + (2 + i) * PAGE) | PRESENT_WRITABLE, 8);
    if (!result)
        result = loader_write(load, at + PAGE, table, PAGE);
    for (uint64_t i = 0; i < DIRECTORIES && !result; i++) {
        for (uint64_t k = 0; k < ENTRIES; k++)
            bytes_put(table + 8 * k, (i << 30 | k << 21) | LARGE | PRESENT_WRITABLE, 8);
        result = loader_write(load, at + (2 + i) * PAGE, table, PAGE);
    }
    return result;
}

int loader_enter64(struct loader *load, uint64_t entry)
{
    int result = set_up(load, entry, ATTRIBUTES_CODE64);
    struct x86_state *s = load->state;
    s->cr0 |= X86_CR0_PG;
    s->cr3 = LOADER_PAGE_TABLES;
    s->cr4 = X86_CR4_PAE;
    s->efer = X86_EFER_LME | X86_EFER_LMA;
    return result ? result : write_page_tables(load);
}
