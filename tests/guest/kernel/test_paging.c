/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Page tables of two, three and four levels: aliases, rights, error codes, accessed and dirty bits. */
#include "kernel.h"

enum { HPET_PIN = 20 };

enum { PRESENT = 1, WRITABLE = 2, USER = 4, ACCESSED = 0x20, DIRTY = 0x40, LARGE = 0x80 };
#define NO_EXECUTE (1ull << 63)
#define RESERVED   (1ull << 50)

extern uint64_t long_idt[2 * VECTORS];
extern const uint8_t long_gp[], long_pf[], long_hpet[];
extern volatile uint32_t long_count, long_faults[24], long_ticks;
void long_visit(uint32_t table, uint64_t *results);

static void clear(uint32_t table, unsigned pages)
{
    for (uint32_t i = 0; i < pages * 4096; i += 4)
        write32(table + i, 0);
}

static void invalidate(uint32_t address)
{
    __asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

/* Page 0 of the alias is SCRATCH, 1 is not there, 2 can only be read. */
static void use_alias(void)
{
    uint32_t value;
    write32(SCRATCH, 0xfeedbeef);
    tell("alias", read32(ALIAS));
    write32(ALIAS + 4, 0x12345678);
    tell("behind it", read32(SCRATCH + 4));
    FAULTS("read, not there", "movl 0x40001004, %%eax", "m"(value));
    FAULTS("write, not there", "movl %%eax, 0x40001008", "m"(value));
    FAULTS("write, read-only", "movl %%eax, 0x40002000", "m"(value));
    FAULTS("fetch, not there", "movl $0x40001000, %%eax; jmp *%%eax", "m"(value));
    FAULTS("write over the end", "movl %%eax, 0x40000ffe", "m"(value));
}

static void two_levels(void)
{
    const uint32_t directory = TABLES, table = TABLES + 0x1000;
    heading("paging with two levels");
    clear(TABLES, 2);
    for (unsigned i = 0; i < 4; i++)
        write32(directory + 4 * i, i << 22 | LARGE | WRITABLE | PRESENT);
    write32(directory + 4 * (LAPIC >> 22), (LAPIC & 0xffc00000) | LARGE | WRITABLE | PRESENT);
    write32(directory + 4 * (ALIAS >> 22), table | USER | WRITABLE | PRESENT);
    write32(table, SCRATCH | WRITABLE | PRESENT);
    write32(table + 8, SCRATCH | PRESENT);
    if (!enable_paging(directory, 0x610)) /* PSE */
        return;
    use_alias();
    tell("entry of page 0", read32(table));
    tell("entry of page 2", read32(table + 8));
    tell("entry of the directory", read32(directory + 4 * (ALIAS >> 22)) & 0xfff);
    write32(table + 4, (SCRATCH + 0x1000) | PRESENT);
    write32(SCRATCH + 0x1000, 0xabcd);
    invalidate(ALIAS + 0x1000);
    tell("page 1, now there", read32(ALIAS + 0x1000));
    disable_paging();
}

static void write_entry(uint32_t table, unsigned index, uint64_t entry)
{
    write32(table + 8 * index, (uint32_t)entry);
    write32(table + 8 * index + 4, (uint32_t)(entry >> 32));
}

static void three_levels(void)
{
    const uint32_t top = TABLES, low = TABLES + 0x1000, high = TABLES + 0x2000, directory = TABLES + 0x3000,
                   table = TABLES + 0x4000;
    uint32_t value;
    heading("paging with three levels");
    clear(TABLES, 5);
    write_entry(top, 0, low | PRESENT);
    write_entry(top, 1, directory | PRESENT);
    write_entry(top, 3, high | PRESENT);
    for (unsigned i = 0; i < 8; i++)
        write_entry(low, i, i << 21 | LARGE | WRITABLE | PRESENT);
    write_entry(high, LAPIC >> 21 & 511, (LAPIC & 0xffe00000) | LARGE | WRITABLE | PRESENT);
    write_entry(directory, 0, table | WRITABLE | PRESENT);
    write_entry(table, 0, SCRATCH | WRITABLE | PRESENT);
    write_entry(table, 2, SCRATCH | PRESENT);
    write_entry(table, 3, SCRATCH | PRESENT | NO_EXECUTE);
    write_entry(table, 4, SCRATCH | PRESENT | RESERVED);
    write_msr(0xc0000080, read_msr(0xc0000080) | 0x800); /* NXE */
    if (!enable_paging(top, 0x620))                      /* PAE */
        return;
    use_alias();
    FAULTS("fetch, not to be executed", "movl $0x40003000, %%eax; jmp *%%eax", "m"(value));
    FAULTS("read, reserved bit", "movl 0x40004000, %%eax", "m"(value));
    tell("entry of page 0", read32(table));
    tell("entry of page 3", read32(table + 24));
    disable_paging();
    write_msr(0xc0000080, read_msr(0xc0000080) & ~0x800ull);
}

static void long_gate(unsigned vector, const uint8_t *code)
{
    const uint32_t handler = (uint32_t)code;
    long_idt[2 * vector] =
        (handler & 0xffff) | CODE64_SELECTOR << 16 | (uint64_t)0x8e00 << 32 | (uint64_t)(handler >> 16) << 48;
    long_idt[2 * vector + 1] = 0;
}

static void make_long_idt(void)
{
    long_gate(13, long_gp);
    long_gate(14, long_pf);
    long_gate(HPET_VECTOR, long_hpet);
}

/* The HPET asks, level-triggered, until it is calmed. */
static void hpet_begin(void)
{
    lapic_write(0xf0, 0x17e);
    ioapic_write(0x10 + 2 * HPET_PIN, 0x8000 | HPET_VECTOR);
    write32(HPET + 0x100, HPET_PIN << 9 | 0x106); /* 32 bits, level-triggered, enabled */
    write32(HPET + 0x108, read32(HPET + 0xf0) + 100);
    write32(HPET + 0x10, 1);
}

static void hpet_end(void)
{
    write32(HPET + 0x10, 0);
    write32(HPET + 0x100, 0);
    tell("level-triggered interrupts", long_ticks);
    tell("entry without remote IRR", ioapic_read(0x10 + 2 * HPET_PIN));
    ioapic_write(0x10 + 2 * HPET_PIN, 0x10000);
}

static void four_levels(void)
{
    const uint32_t top = TABLES, low3 = TABLES + 0x1000, low2 = TABLES + 0x2000, third = TABLES + 0x3000,
                   directory = TABLES + 0x4000, table = TABLES + 0x5000, high2 = TABLES + 0x6000;
    uint64_t results[5] = {0};
    heading("paging with four levels, in long mode");
    clear(TABLES, 7);
    make_long_idt();
    write_entry(top, 0, low3 | WRITABLE | PRESENT);
    write_entry(low3, 0, low2 | WRITABLE | PRESENT);
    write_entry(low3, 3, high2 | WRITABLE | PRESENT);
    for (unsigned i = 0; i < 8; i++)
        write_entry(low2, i, i << 21 | LARGE | WRITABLE | PRESENT);
    write_entry(high2, LAPIC >> 21 & 511, (LAPIC & 0xffe00000) | LARGE | WRITABLE | PRESENT);
    write_entry(high2, HPET >> 21 & 511, (HPET & 0xffe00000) | LARGE | WRITABLE | PRESENT);
    write_entry(top, LONG_ALIAS >> 39 & 511, third | WRITABLE | PRESENT);
    write_entry(third, LONG_ALIAS >> 30 & 511, directory | WRITABLE | PRESENT);
    write_entry(directory, LONG_ALIAS >> 21 & 511, table | WRITABLE | PRESENT);
    write_entry(table, 0, SCRATCH | WRITABLE | PRESENT);
    write_entry(table, 2, SCRATCH | PRESENT);
    write_entry(table, 3, SCRATCH | PRESENT | NO_EXECUTE);
    write_entry(table, 4, SCRATCH | PRESENT | RESERVED);
    write32(SCRATCH, 0x600dbeef);
    write32(SCRATCH + 4, 0x600df00d);
    hpet_begin();
    long_visit(top, results);
    hpet_end();
    static const char *const names[] = {"EFER", "alias", "CR8, and the local APIC's", "GS base, exchanged",
                                        "register 15"};
    for (unsigned i = 0; i < 5; i++) {
        tell(names[i], (uint32_t)results[i]);
        tell("  and above", (uint32_t)(results[i] >> 32));
    }
    for (unsigned i = 0; i < long_count; i++) {
        tell("fault", long_faults[3 * i]);
        tell("  error", long_faults[3 * i + 1]);
        tell("  CR2", long_faults[3 * i + 2]);
    }
    tell("entry of page 0", read32(table));
}

void test_paging(void)
{
    two_levels();
    three_levels();
    four_levels();
}
