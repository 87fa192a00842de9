/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hyperv: what a machine has of Hyper-V, if it was asked for. */
#include "kernel.h"

#define GUEST_OS  0x40000000
#define HYPERCALL 0x40000001
#define INDEX     0x40000002
#define TIME      0x40000020
#define TIME_PAGE 0x40000021
#define APIC_HZ   0x40000023

/* The synthetic interrupt controller and its timers. */
#define CONTROL      0x40000080
#define VERSION      0x40000081
#define MESSAGE_PAGE 0x40000083
#define EOM          0x40000084
#define SINT(n)      (0x40000090 + (n))
#define CONFIG(n)    (0x400000b0 + 2 * (n))
#define COUNT(n)     (0x400000b1 + 2 * (n))
#define AUTOMATIC    0x20000
enum { ENABLED = 1, PERIODIC = 2, AUTO_ENABLED = 8, DIRECT = 0x1000, MILLISECOND = 10000 };
enum { SOURCE = 2, ENDLESS = 3, VECTOR = 0x58, ENDLESS_VECTOR = 0x59, DIRECT_VECTOR = 0x5a };

#define CALLS SCRATCH
#define PAGE  (SCRATCH + 0x1000)
#define SLOTS (SCRATCH + 0x2000)

static uint64_t read64(uint32_t address)
{
    return read32(address) | (uint64_t)read32(address + 4) << 32;
}

/* The upper half of the product. */
static uint64_t multiply(uint64_t a, uint64_t b)
{
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (uint32_t)middle;
    return a1 * b1 + (middle >> 32) + (other >> 32);
}

static uint64_t page_time(void)
{
    return multiply(read_tsc(), read64(PAGE + 8)) + read64(PAGE + 16);
}

static bool agrees(void)
{
    const uint64_t before = page_time(), time = read_msr(TIME), after = page_time();
    return time >= before && time <= after;
}

static void test_calls(void)
{
    uint32_t low = 1, high = 0;
    write_msr(HYPERCALL, CALLS | 1);
    tell("hypercalls of nobody", (uint32_t)read_msr(HYPERCALL));
    write_msr(GUEST_OS, 0x8123000000000000ull);
    tell("guest", (uint32_t)(read_msr(GUEST_OS) >> 32));
    write_msr(HYPERCALL, CALLS | 1);
    tell("hypercalls", (uint32_t)read_msr(HYPERCALL));
    __asm__ volatile("call *%2" : "+a"(low), "+d"(high) : "r"(CALLS) : "memory", "cc");
    tell("a hypercall", low);
    tell("and its upper half", high);
}

/* By a register, and fast, or by an address of the input. */
static uint32_t hypercall(uint32_t control, uint32_t input)
{
    uint32_t low = control, high = 0;
    __asm__ volatile("call *%[page]"
                     : "+a"(low), "+d"(high)
                     : [page] "r"(CALLS), "b"(0), "c"(input), "D"(0), "S"(0)
                     : "memory", "cc");
    return low;
}

static void test_connections(void)
{
    enum { SPIN = 8, POST = 0x5c, SIGNAL = 0x5d, FAST = 0x10000 };
    const uint32_t input = SCRATCH + 0x3000;
    for (unsigned i = 0; i < 256; i += 4)
        write32(input + i, 0);
    write32(input, 1);
    write32(input + 8, 0x1234);
    write32(input + 12, 8);
    tell("long spin", hypercall(SPIN | FAST, 1));
    tell("message to nobody", hypercall(POST, input));
    tell("message that is not aligned", hypercall(POST, input + 4));
    tell("message without memory", hypercall(POST, 0xf0000000));
    tell("fast message", hypercall(POST | FAST, 1));
    tell("event of nobody", hypercall(SIGNAL | FAST, 1));
    tell("event by memory", hypercall(SIGNAL, input));
}

static uint32_t slot(unsigned source)
{
    return SLOTS + 256 * source;
}

static void free_slot(unsigned source)
{
    write32(slot(source), 0);
    write_msr(EOM, 0);
}

static void test_synic(void)
{
    tell("version", (uint32_t)read_msr(VERSION));
    tell("source", (uint32_t)read_msr(SINT(SOURCE)));
    write32(slot(SOURCE), 1);
    write_msr(CONTROL, 1);
    write_msr(MESSAGE_PAGE, SLOTS | 1);
    tell("messages", (uint32_t)read_msr(MESSAGE_PAGE));
    tell("slot", read32(slot(SOURCE)));
    write_msr(SINT(SOURCE), VECTOR);
    write_msr(SINT(ENDLESS), AUTOMATIC | ENDLESS_VECTOR);
    FAULTS("write of the version", "movl $0x40000081, %%ecx; wrmsr", "i"(0));
    FAULTS("source of an exception", "movl $0x40000091, %%ecx; movl $15, %%eax; xorl %%edx, %%edx; wrmsr",
           "i"(0));
    FAULTS("messages beyond memory",
           "movl $0x40000083, %%ecx; movl $0xf0000001, %%eax; xorl %%edx, %%edx; wrmsr", "i"(0));
}

static void test_messages(void)
{
    const uint64_t time = read_msr(TIME) + MILLISECOND;
    write_msr(COUNT(1), time);
    write_msr(CONFIG(1), ENABLED | SOURCE << 16);
    wait_for(VECTOR, 1);
    tell("message", read32(slot(SOURCE)));
    tell("its size", read32(slot(SOURCE) + 4));
    tell("timer", read32(slot(SOURCE) + 16));
    tell("expired when it was to", read64(slot(SOURCE) + 24) == time);
    tell("and not before", read64(slot(SOURCE) + 32) >= time);
    tell("it is over", (uint32_t)read_msr(CONFIG(1)));
    write_msr(CONFIG(1), ENABLED | SOURCE << 16); /* in the past, and the slot is taken */
    tell("another one waits", read32(slot(SOURCE) + 4));
    tell("interrupts", counts[VECTOR]);
    free_slot(SOURCE);
    wait_for(VECTOR, 2);
    tell("its turn", read32(slot(SOURCE) + 4));
    free_slot(SOURCE);
}

static void test_timers_of_hyperv(void)
{
    write_msr(CONFIG(0), PERIODIC | AUTO_ENABLED | ENDLESS << 16);
    write_msr(COUNT(0), MILLISECOND);
    for (unsigned i = 1; i <= 5; i++) { /* nobody ends them, and they are not in each other's way */
        wait_for(ENDLESS_VECTOR, i);
        free_slot(ENDLESS);
    }
    write_msr(COUNT(0), 0);
    tell("periodic", (uint32_t)read_msr(CONFIG(0)));
    write_msr(COUNT(2), 1);
    write_msr(CONFIG(2), ENABLED | DIRECT | DIRECT_VECTOR << 4);
    wait_for(DIRECT_VECTOR, 1);
    tell("direct", (uint32_t)read_msr(CONFIG(2)));
    tell("interrupts", counts[VECTOR] + counts[DIRECT_VECTOR]);
}

static void test_interrupts_of_hyperv(void)
{
    lapic_write(0xf0, 0x17e);
    endless = ENDLESS_VECTOR;
    test_synic();
    test_messages();
    test_timers_of_hyperv();
    __asm__ volatile("sti; nop; inb $0x80, %%al; cli" : : : "eax", "memory"); /* what is on its way */
    endless = 0;
    lapic_write(0xf0, 0xff);
}

void test_hyperv(void)
{
    heading("hyper-v");
    test_calls();
    test_connections();
    tell("processor", (uint32_t)read_msr(INDEX));
    tell("frequency of local APICs", (uint32_t)read_msr(APIC_HZ));
    write_msr(TIME_PAGE, PAGE | 1);
    tell("time's page", (uint32_t)read_msr(TIME_PAGE));
    tell("its sequence", read32(PAGE));
    bool all = true;
    for (unsigned i = 0; i < 100; i++)
        all &= agrees();
    tell("it says what the register does", all);
    write_msr(TIME_PAGE, 0);
    FAULTS("write of the index", "movl $0x40000002, %%ecx; wrmsr", "i"(0));
    FAULTS("write of the time", "movl $0x40000020, %%ecx; wrmsr", "i"(0));
    FAULTS("register that there is not", "movl $0x40000010, %%ecx; rdmsr", "i"(0));
    test_interrupts_of_hyperv();
}

void test_hyperv_after_reset(void)
{
    tell("guest", (uint32_t)(read_msr(GUEST_OS) >> 32));
    tell("hypercalls", (uint32_t)read_msr(HYPERCALL));
    tell("messages", (uint32_t)read_msr(MESSAGE_PAGE));
    tell("source", (uint32_t)read_msr(SINT(SOURCE)));
    tell("timer", (uint32_t)read_msr(COUNT(1)));
}
