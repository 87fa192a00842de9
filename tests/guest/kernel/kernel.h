/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel: what the test kernel's C and assembly share. */
#ifndef VISOR_TEST_KERNEL_H
#define VISOR_TEST_KERNEL_H

#define STACK      0x400000
#define STACK_SIZE 0x4000
#define TRAMPOLINE 0x8000
#define TABLES     0x800000 /* page tables are made from here on */
#define SCRATCH    0xa00000 /* memory to play with */
#define MARK       0xc00000 /* outlives a reset */
#define LAPIC      0xfee00000
#define IOAPIC     0xfec00000
#define HPET       0xfed00000
#define VECTORS    128

#define HPET_VECTOR 0x45 /* in long mode */

#define CODE_SELECTOR   0x08
#define DATA_SELECTOR   0x10
#define CODE64_SELECTOR 0x18
#define ABSENT_SELECTOR 0x20

#define ALIAS      0x40000000
#define LONG_ALIAS 0x123440000000

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

/* As start.S leaves it. */
struct frame {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t vector, error, eip, cs, eflags;
};

/* What a test notes of the last exception, and where it goes on. */
struct fault {
    uint32_t vector, error, eip, cr2, count;
};
extern volatile struct fault fault;
extern volatile uint32_t resume;
extern volatile uint32_t counts[VECTORS]; /* of interrupts, by vector */
extern volatile uint32_t order[16], order_count;

/* Nothing is tried that a KVM that is software may lack, see docs/kvm.md. */
extern bool lesser;
/* Local APICs are the kernel's, which tell of no errors. */
extern bool kernel_apic;
/* QEMU's AMD processor (7.2 to 10.0) aborts at a write of CR8 while an interrupt waits. */
extern bool no_cr8;
/* EFLAGS where the last NMI came. */
extern volatile uint32_t nmi_eflags;
/* An interrupt needs no end: bit 0, for test_interrupts.c to enable. */
extern volatile uint32_t end_hint;
/* A vector whose interrupts are never ended; 0: there is none. */
extern volatile uint32_t endless;

/* -- main.c -- */
void say(const char *text);
void say_hex(uint32_t value, unsigned digits);
/* "NAME: VALUE" */
void tell(const char *name, uint32_t value);
void tell_fault(const char *name, uint32_t eip);
void heading(const char *name);
/* False: there is none without long mode. */
bool enable_paging(uint32_t table, uint32_t cr4);
void disable_paging(void);

/* -- test_*.c -- */
void test_exceptions(void);
void test_paging(void);
void test_ports(void);
void test_memory(void);
void test_strings(void);
void test_interrupts(void);
/* Halts, with interrupts disabled otherwise, until the count of a vector has come so far. */
void wait_for(unsigned vector, uint32_t count);
void test_timers(void);
void test_float(void);
void test_virtio(void);
void test_processors(void);
void test_hyperv(void);
void test_hyperv_after_reset(void);
void test_vmware(void);
void test_hypercalls(void);

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint16_t in16(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline uint32_t in32(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint32_t read32(uint32_t address)
{
    uint32_t value;
    __asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
    return value;
}
static inline void write32(uint32_t address, uint32_t value)
{
    __asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}
static inline uint64_t read_tsc(void)
{
    uint64_t value;
    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}
static inline uint64_t read_msr(uint32_t msr)
{
    uint64_t value;
    __asm__ volatile("rdmsr" : "=A"(value) : "c"(msr));
    return value;
}
static inline void write_msr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "A"(value), "c"(msr) : "memory");
}
static inline uint32_t lapic_read(unsigned offset)
{
    return read32(LAPIC + offset);
}
static inline void lapic_write(unsigned offset, uint32_t value)
{
    write32(LAPIC + offset, value);
}
static inline uint32_t ioapic_read(unsigned number)
{
    write32(IOAPIC, number);
    return read32(IOAPIC + 0x10);
}
static inline void ioapic_write(unsigned number, uint32_t value)
{
    write32(IOAPIC, number);
    write32(IOAPIC + 0x10, value);
}

/* Executes what faults, and tells of the fault. The instruction is at label 55, and goes on at 56. */
#define FAULTS(name, code, ...)                                                                              \
    do {                                                                                                     \
        uint32_t at;                                                                                         \
        __asm__ volatile("movl $56f, %[resume]\n movl $55f, %[at]\n"                                         \
                         "55: " code "\n 56:\n"                                                              \
                         : [at] "=&m"(at), [resume] "=m"(resume)                                             \
                         : __VA_ARGS__                                                                       \
                         : "memory", "eax", "ecx", "edx", "cc");                                             \
        tell_fault(name, at);                                                                                \
    } while (0)
#endif
#endif
