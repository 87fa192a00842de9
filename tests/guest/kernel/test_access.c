/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Ports, devices in memory, memory that can only be read, and strings of each. */
#include "kernel.h"

#define HPET   0xfed00000
#define IOAPIC 0xfec00000

static uint32_t pci_read(unsigned offset)
{
    out32(0xcf8, 0x80000000 | offset);
    return in32(0xcfc);
}

void test_ports(void)
{
    static const char text[] = "  a string to the serial port\n";
    uint8_t bytes[8] = {0};
    const char *from = text;
    void *to = bytes;
    uint32_t count = sizeof text - 1;
    heading("ports");
    tell("PCI, 4 bytes", pci_read(0));
    out32(0xcf8, 0x80000000);
    tell("2 bytes", in16(0xcfe));
    tell("1 byte", in8(0xcfd));
    tell("the address", in32(0xcf8));
    tell("where nothing is, 1 byte", in8(0x9876));
    tell("2 bytes", in16(0x9876));
    tell("4 bytes", in32(0x9876));
    out8(0x70, 0x40);
    out8(0x71, 0xa5);
    out8(0x70, 0x40);
    tell("CMOS", in8(0x71));
    out8(0x21, 0x5a);
    tell("8259", in8(0x21));
    __asm__ volatile("cld; rep outsb" : "+S"(from), "+c"(count) : "d"(0x3f8) : "memory");
    tell("left", count);
    count = 4;
    __asm__ volatile("cld; rep insb" : "+D"(to), "+c"(count) : "d"(0x21) : "memory");
    tell("a string from the 8259", *(uint32_t *)bytes);
    count = 2;
    to = bytes + 6;
    out32(0xcf8, 0x80000000);
    __asm__ volatile("std; rep insw; cld" : "+D"(to), "+c"(count) : "d"(0xcfc) : "memory");
    tell("downwards", *(uint32_t *)(bytes + 4));
    out8(0x21, 0xff);
}

static void rom(void)
{
    const uint32_t before = read32(0xfffffff0);
    write32(0xfffffff0, ~before);
    tell("ROM unchanged", read32(0xfffffff0) == before);
    tell("ROM", before);
}

void test_memory(void)
{
    uint32_t value = 0x11223344, from = HPET, to = SCRATCH, count = 2;
    heading("memory");
    tell("HPET, low", read32(HPET));
    tell("HPET, high", read32(HPET + 4));
    __asm__ volatile("cld; rep movsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    tell("as a string", read32(SCRATCH));
    tell("", read32(SCRATCH + 4));
    write32(IOAPIC, 1);
    tell("I/O APIC", read32(IOAPIC + 0x10));
    write32(IOAPIC, 0x12);
    __asm__ volatile("xchgl %0, (%1)" : "+r"(value) : "r"(IOAPIC + 0x10) : "memory");
    tell("exchanged with it", value);
    tell("and there", read32(IOAPIC + 0x10));
    write32(IOAPIC + 0x10, 0x10000);
    tell("local APIC", lapic_read(0x30));
    __asm__ volatile("movl %1, %0; orl $0x55, (%2); addl $1, (%2)"
                     : "=&r"(value)
                     : "m"(value), "r"(LAPIC + 0x80)
                     : "memory");
    /* The kernel's on an AMD processor keep the class alone, which is CR8. */
    tell("changed in place", lapic_read(0x80) & (kernel_apic ? 0xf0 : 0xff));
    lapic_write(0x80, 0);
    __asm__ volatile("movzbl (%1), %0" : "=r"(value) : "r"(HPET + 3));
    tell("a byte", value);
    __asm__ volatile("movswl (%1), %0" : "=r"(value) : "r"(HPET + 4));
    tell("two", value);
    __asm__ volatile("movq (%1), %%mm0; movd %%mm0, %0; emms" : "=r"(value) : "r"(HPET));
    tell("eight", value);
    tell("where nothing is", read32(0xd0000000));
    write32(0xd0000000, 1);
    rom();
}

static void fill(uint32_t address, uint32_t value, uint32_t count)
{
    __asm__ volatile("cld; rep stosl" : "+D"(address), "+c"(count) : "a"(value) : "memory");
}

void test_strings(void)
{
    uint32_t from = SCRATCH, to = SCRATCH + 0x2ffd, count = 0x1007;
    heading("strings");
    fill(SCRATCH, 0x04030201, 0x2000);
    __asm__ volatile("cld; rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    tell("source", from);
    tell("target", to);
    tell("moved", read32(SCRATCH + 0x4000));
    from = SCRATCH + 0x100, to = SCRATCH + 0x102, count = 0x80;
    __asm__ volatile("std; rep movsw; cld" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    tell("downwards", read32(SCRATCH + 0x80));
    to = SCRATCH, count = 0x100;
    __asm__ volatile("cld; repne scasb" : "+D"(to), "+c"(count) : "a"(4) : "memory", "cc");
    tell("found at", to - SCRATCH);
    from = SCRATCH, to = SCRATCH + 0x1000, count = 0x100;
    write32(SCRATCH + 0x1080, 7);
    __asm__ volatile("cld; repe cmpsl" : "+S"(from), "+D"(to), "+c"(count) : : "memory", "cc");
    tell("differs at", from - SCRATCH);
}
