/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_hypercalls: what KVM answers who calls it. */
#include "kernel.h"

#define PAIR SCRATCH

static uint32_t vmcall(uint32_t number, uint32_t first, uint32_t second)
{
    uint32_t eax = number;
    __asm__ volatile("vmcall" : "+a"(eax) : "b"(first), "c"(second), "d"(0), "S"(0) : "memory");
    return eax;
}

static uint32_t vmmcall(uint32_t number)
{
    uint32_t eax = number;
    __asm__ volatile("vmmcall" : "+a"(eax) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
    return eax;
}

static uint64_t read64(uint32_t address)
{
    return read32(address) | (uint64_t)read32(address + 4) << 32;
}

static void test_clocks(void)
{
    const uint64_t before = read_tsc();
    tell("time and counter", vmcall(9, PAIR, 0));
    const uint64_t after = read_tsc(), counter = read64(PAIR + 16);
    tell("the counter is this one", counter >= before && counter <= after);
    tell("of this century", read64(PAIR) > 946684800);
    tell("another time", vmcall(9, PAIR, 1));
}

void test_hypercalls(void)
{
    heading("calls");
    tell("poll", vmcall(1, 0, 0));
    tell("poll by the other", vmmcall(1));
    tell("none", vmcall(0x1234, 0, 0));
    test_clocks();
    tell("interrupt for nobody", vmcall(10, 0, 0));
}
