/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hyperv: what a machine has of Hyper-V, if it was asked for. */
#include "kernel.h"

#define GUEST_OS  0x40000000
#define HYPERCALL 0x40000001
#define INDEX     0x40000002
#define TIME      0x40000020
#define TIME_PAGE 0x40000021
#define APIC_HZ   0x40000023

#define CALLS SCRATCH
#define PAGE  (SCRATCH + 0x1000)

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

void test_hyperv(void)
{
    heading("hyper-v");
    test_calls();
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
}

void test_hyperv_after_reset(void)
{
    tell("guest", (uint32_t)(read_msr(GUEST_OS) >> 32));
    tell("hypercalls", (uint32_t)read_msr(HYPERCALL));
}
