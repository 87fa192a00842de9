/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Interrupts, their order and priorities, timers, and what interrupted code keeps. */
#include "kernel.h"

enum { TIMER = 0x40, LOW = 0x50, HIGH = 0x60, ERROR = 0x70, NOBODY = 0x7f, SPURIOUS = 0x7e };
enum { SELF = 1 << 18, NMI = 4 << 8 };

/* With an access to a port, which leaves the guest: a KVM that is software may look for interrupts only then.
 */
static void sti(void)
{
    __asm__ volatile("sti; nop; inb $0x80, %%al; nop" : : : "eax", "memory");
}

static void cli(void)
{
    __asm__ volatile("cli" : : : "memory");
}

void wait_for(unsigned vector, uint32_t count)
{
    cli();
    while (counts[vector] < count)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void tell_order(const char *name)
{
    say("  ");
    say(name);
    say(":");
    for (unsigned i = 0; i < order_count; i++) {
        say(" ");
        say_hex(order[i], 2);
    }
    say("\n");
    order_count = 0;
}

static void clear_counts(void)
{
    for (unsigned i = 0; i < VECTORS; i++)
        counts[i] = 0;
    order_count = 0;
}

/* Writes the local APIC's base, at 0xfee00000, with these bits. It may fault. */
#define MODE(name, bits)                                                                                     \
    FAULTS(name,                                                                                             \
           "movl $0x1b, %%ecx; movl %[base], %%eax; xorl %%edx, %%edx; wrmsr", [base] "i"(LAPIC | (bits)))

/* What an APIC's mode may become of another, and its MSRs. It is off afterwards but for its switch. */
static void modes(void)
{
    enum { ON = 0x900, X2APIC = 0xd00, OFF = 0x100, NO_MODE = 0x500 };
    FAULTS("x2APIC's register in xAPIC mode", "movl $0x808, %%ecx; rdmsr", "m"(order_count));
    MODE("neither on nor off", NO_MODE);
    write_msr(0x1b, LAPIC | X2APIC);
    tell("identity", (uint32_t)read_msr(0x802));
    write_msr(0x83f, LOW);
    sti();
    cli();
    write_msr(0x80b, 0);
    tell("self-IPI", counts[LOW]);
    MODE("x2APIC to xAPIC mode", ON);
    FAULTS("no such register", "movl $0x807, %%ecx; rdmsr", "m"(order_count));
    write_msr(0x1b, LAPIC | OFF);
    MODE("off to x2APIC mode", X2APIC);
    write_msr(0x1b, LAPIC | ON);
    tell("base", (uint32_t)read_msr(0x1b));
}

/* Of an NMI and an interrupt that could come at once the NMI does, not in the interrupt's handler. */
static void nmi_first(void)
{
    clear_counts();
    lapic_write(0x300, SELF | LOW);
    __asm__ volatile("sti; movl %0, %1"
                     :
                     : "r"(SELF | NMI), "m"(*(volatile uint32_t *)(LAPIC + 0x300))
                     : "memory");
    for (unsigned i = 0; i < 1000 && !(counts[2] && counts[LOW]); i++)
        in8(0x80);
    cli();
    tell("NMI before an interrupt", nmi_eflags >> 9 & 1);
    order_count = 0;
}

void test_interrupts(void)
{
    heading("interrupts");
    clear_counts();
    modes();
    clear_counts();
    lapic_write(0xf0, 0x100 | SPURIOUS);
    __asm__ volatile("int $0x7f");
    tell("INT", counts[NOBODY]);
    lapic_write(0x300, SELF | LOW);
    lapic_write(0x300, SELF | HIGH);
    lapic_write(0x300, SELF | (LOW + 1));
    tell("IRR of 40 to 5f", lapic_read(0x220));
    tell_order("held off");
    sti();
    tell_order("by priority");
    cli();
    lapic_write(0x80, 0x55);
    lapic_write(0x300, SELF | LOW);
    lapic_write(0x300, SELF | HIGH);
    sti();
    tell_order("beyond the task priority");
    lapic_write(0x80, 0);
    sti();
    tell_order("and the others");
    cli();
    __asm__ volatile("sti; cli" : : : "memory");
    lapic_write(0x300, SELF | LOW);
    __asm__ volatile("sti; cli; nop; nop" : : : "memory");
    tell_order("in the shadow of STI");
    sti();
    cli();
    tell_order("behind it");
    lapic_write(0x300, SELF | NMI);
    for (unsigned i = 0; i < 1000 && !counts[2]; i++)
        __asm__ volatile("pause");
    tell("NMI", counts[2]);
    nmi_first();
    if (kernel_apic)
        return;
    lapic_write(0x370, ERROR);
    lapic_write(0x280, 0);
    lapic_write(0x300, SELF | 5); /* there is no such vector */
    lapic_write(0x280, 0);
    tell("error", lapic_read(0x280));
    sti();
    cli();
    tell_order("told of");
    lapic_write(0x370, 0x10000);
}

/* -- timers ---------------------------------------------------------------------------------------------- */

static void pit(void)
{
    clear_counts();
    lapic_write(0x350, 0x700); /* the 8259 at LINT0 */
    out8(0x43, 0x34);          /* counter 0, rate */
    out8(0x40, 0xa9);          /* 1193: a millisecond */
    out8(0x40, 0x04);
    out8(0x21, 0xfe);
    const uint64_t begin = read_tsc();
    wait_for(0x20, 5);
    out8(0x21, 0xff);
    tell("PIT came", counts[0x20] >= 5);
    tell("after four milliseconds or more", read_tsc() - begin >= 3900000);
    out8(0x43, 0x30); /* once */
    out8(0x40, 0xa9);
    out8(0x40, 0x04);
    sti();
    cli();
    clear_counts();
    out8(0x21, 0xfe);
    wait_for(0x20, 1);
    for (unsigned i = 0; i < 100; i++)
        in8(0x21);
    sti();
    cli();
    tell("once", counts[0x20]);
    out8(0x21, 0xff);
    lapic_write(0x350, 0x10000);
}

static void lapic_timer(void)
{
    clear_counts();
    lapic_write(0x3e0, 0xb); /* a billion a second */
    lapic_write(0x320, TIMER);
    lapic_write(0x380, 500000);
    wait_for(TIMER, 1);
    tell("one shot", counts[TIMER]);
    tell("count afterwards", lapic_read(0x390));
    lapic_write(0x320, 0x20000 | TIMER);
    lapic_write(0x380, 500000);
    wait_for(TIMER, 6);
    lapic_write(0x380, 0);
    tell("periodic", counts[TIMER] >= 6);
    sti();
    cli();
    clear_counts();
    lapic_write(0x320, 0x40000 | TIMER);
    const uint64_t deadline = read_tsc() + 2000000;
    write_msr(0x6e0, deadline);
    tell("deadline kept", read_msr(0x6e0) == deadline || read_tsc() >= deadline);
    wait_for(TIMER, 1);
    const uint64_t now = read_tsc();
    /* Nobody's clocks agree to the last microsecond. */
    tell("deadline is past", now + 2000 >= deadline);
    tell("deadline afterwards", (uint32_t)read_msr(0x6e0));
    write_msr(0x6e0, 1);
    wait_for(TIMER, 2);
    tell("one that was past at once", counts[TIMER]);
    lapic_write(0x320, 0x10000);
}

/* KVM's clock, which every engine has: what the counter's value is to be made into time with. */
static volatile struct {
    uint32_t version, reserved;
    uint64_t tsc, time;
    uint32_t multiplier;
    int8_t shift;
    uint8_t flags, reserved2[2];
} clock_info __attribute__((aligned(32)));

/* It is written anew while it is read, if the machine stands still in between: the version says so. */
static uint64_t clock_time(void)
{
    uint32_t version;
    uint64_t passed, time;
    do {
        version = clock_info.version;
        passed = read_tsc() - clock_info.tsc;
        passed = clock_info.shift < 0 ? passed >> -clock_info.shift : passed << clock_info.shift;
        time = clock_info.time + (passed >> 32) * clock_info.multiplier +
               ((passed & UINT32_MAX) * clock_info.multiplier >> 32);
    } while (version & 1 || version != clock_info.version);
    return time;
}

static void kvm_clock(void)
{
    enum { WALL = 0x4b564d00, TIME };
    static uint32_t wall[3] __attribute__((aligned(4)));
    write_msr(WALL, (uint32_t)wall);
    tell("years since 2020", (wall[1] - 1577836800) / 31557600 < 100);
    write_msr(TIME, (uint32_t)&clock_info | 1);
    tell("clock is enabled", read_msr(TIME) == ((uint32_t)&clock_info | 1));
    tell("and written", clock_info.version && !(clock_info.version & 1));
    tell("the same for all", clock_info.flags & 1);
    const uint64_t begin = clock_time();
    clear_counts();
    lapic_write(0x320, TIMER);
    lapic_write(0x380, 3000000);
    wait_for(TIMER, 1);
    const uint64_t passed = clock_time() - begin;
    tell("as long as the timer says", passed >= 2900000 && passed < 60000000000);
    write_msr(TIME, 0);
    sti();
    cli();
}

/* What KVM tells of if it likes to: an interrupt that needs no end, and time that others had. */
static void kvm_hints(void)
{
    enum { STEAL_TIME = 0x4b564d03, EOI };
    static uint32_t stolen[16] __attribute__((aligned(64)));
    write_msr(EOI, (uint32_t)&end_hint | 1);
    write_msr(STEAL_TIME, (uint32_t)stolen | 1);
    tell("hints are enabled",
         read_msr(EOI) == ((uint32_t)&end_hint | 1) && read_msr(STEAL_TIME) == ((uint32_t)stolen | 1));
    clear_counts();
    lapic_write(0x320, 0x20000 | TIMER);
    lapic_write(0x380, 500000);
    wait_for(TIMER, 5); /* whose ends are told */
    lapic_write(0x320, 0x10000);
    sti();
    cli();
    tell("ends that are told", counts[TIMER] >= 5);
    tell("version is even", stolen[2] & 1);
    write_msr(EOI, 0);
    write_msr(STEAL_TIME, 0);
}

#define REFUSED(name, msr, low, high)                                                                        \
    FAULTS(name, "movl %[number], %%ecx; movl %[lower], %%eax; movl %[upper], %%edx; wrmsr",                 \
           [number] "i"(msr), [lower] "r"(low), [upper] "i"(high))

/* What is told who wants to hear of the host's page faults: that all of them are over. */
static void kvm_async_faults(void)
{
    enum { ENABLE = 0x4b564d02, WITH_VECTOR = 0x4b564d06, ACKNOWLEDGE };
    static volatile uint32_t area[16] __attribute__((aligned(64)));
    const uint32_t enabled = (uint32_t)area | 9;
    REFUSED("reserved bit", ENABLE, enabled | 0x10, 0);
    REFUSED("another reserved bit", ENABLE, enabled | 0x20, 0);
    REFUSED("for nested guests", ENABLE, enabled | 4, 0);
    REFUSED("where nothing is", ENABLE, 9, 0x8);
    REFUSED("no vector", WITH_VECTOR, 0x100, 0);
    write_msr(WITH_VECTOR, HIGH);
    tell("its vector", (uint32_t)read_msr(WITH_VECTOR));
    clear_counts();
    write_msr(ENABLE, enabled);
    tell("faults are enabled", read_msr(ENABLE) == enabled);
    wait_for(HIGH, 1);
    tell("the end of all", area[1]);
    area[1] = 0;
    write_msr(ACKNOWLEDGE, 1);
    sti();
    cli();
    tell("once", counts[HIGH]);
    tell("acknowledgements", (uint32_t)read_msr(ACKNOWLEDGE));
    area[1] = 5;
    write_msr(ENABLE, enabled);
    sti();
    cli();
    tell("not while another is there", counts[HIGH] == 1 && area[1] == 5);
    area[1] = 0;
    write_msr(ACKNOWLEDGE, 1);
    wait_for(HIGH, 2);
    tell("then", area[1]);
    area[1] = 0;
    write_msr(ENABLE, 0);
    write_msr(ACKNOWLEDGE, 1);
    sti();
    cli();
    tell("no more", counts[HIGH] == 2 && !area[1]);
}

static void tsc(void)
{
    uint64_t last = read_tsc();
    bool monotonic = true;
    for (unsigned i = 0; i < 200; i++) {
        const uint64_t now = read_tsc();
        monotonic &= now > last;
        last = now;
    }
    tell("counter goes up", monotonic);
    tell("as an MSR", read_msr(0x10) > last);
    if (!lesser)
        write_msr(0x10, UINT64_C(0x1234) << 44);
    const uint64_t now = read_tsc();
    if (now >> 44 == 0x1234)
        tell("goes on from what was written", read_tsc() > now);
    else
        say("  what is written is lost\n");
}

void test_timers(void)
{
    heading("timers");
    pit();
    lapic_timer();
    kvm_clock();
    kvm_hints();
    kvm_async_faults();
    tsc();
}

/* -- registers ------------------------------------------------------------------------------------------- */

/* Counts in a register, in memory, by SSE and by the x87 unit, while the timer interrupts. All must agree. */
void test_float(void)
{
    uint32_t ebx = 0, sse, x87;
    volatile uint32_t memory = 0;
    heading("x87 and SSE");
    __asm__ volatile("movl %0, %%cr4" : : "r"(0x600)); /* SSE, and its exceptions */
    clear_counts();
    lapic_write(0x3e0, 0xb);
    lapic_write(0x320, 0x20000 | TIMER);
    lapic_write(0x380, 300000);
    __asm__ volatile(
        "fninit; fldz; pxor %%xmm0, %%xmm0; movl $1, %%eax; movd %%eax, %%xmm1; sti\n"
        "1: incl %[ebx]; incl %[memory]; paddd %%xmm1, %%xmm0; fld1; faddp; cmpl $20, %[ticks]; jb 1b\n"
        "cli; movd %%xmm0, %[sse]; fistpl %[x87]"
        : [ebx] "+b"(ebx), [sse] "=r"(sse), [x87] "=m"(x87), [memory] "+m"(memory)
        : [ticks] "m"(counts[TIMER])
        : "eax", "memory", "cc");
    lapic_write(0x380, 0);
    tell("SSE", sse - ebx);
    tell("x87", x87 - ebx);
    tell("memory", memory - ebx);
    uint8_t area[512] __attribute__((aligned(16)));
    const float third = 1.0f / 3;
    __asm__ volatile("fninit; fldpi; flds %1; fdivrp; movss %1, %%xmm7; sqrtss %%xmm7, %%xmm7; fxsave %0"
                     : "=m"(area)
                     : "m"(third));
    for (unsigned i = 0; i < 8; i++)
        tell("FXSAVE",
             ((uint32_t *)area)[i == 2 || i == 4 || i == 7 ? 0 : i]); /* without addresses and the mask */
    tell("ST0", ((uint32_t *)area)[8]);
    tell("", ((uint32_t *)area)[9]);
    tell("XMM7", ((uint32_t *)area)[(160 + 7 * 16) / 4]);
    sti();
    cli();
}
