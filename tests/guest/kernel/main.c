/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main: a kernel that tries what a machine has, and writes down on the serial port what it finds: nothing
 * that depends on how fast the machine is. So the same text comes of every engine.
 *
 * It boots three times, by two kinds of reset: what is left in memory says which time it is.
 */
#include "kernel.h"
#include "virtio.h"

volatile struct fault fault;
volatile uint32_t resume;
volatile uint32_t counts[VECTORS];
volatile uint32_t order[16], order_count, nmi_eflags;
bool lesser, kernel_apic, no_cr8;
static bool hyperv;

extern uint64_t idt[VECTORS];
extern const uint8_t stub_table[];

/* -- the transcript -------------------------------------------------------------------------------------- */

static void put(char c)
{
    while (!(in8(0x3fd) & 0x20))
        ;
    out8(0x3f8, (uint8_t)c);
}

void say(const char *text)
{
    while (*text)
        put(*text++);
}

void say_hex(uint32_t value, unsigned digits)
{
    while (digits--)
        put("0123456789abcdef"[value >> 4 * digits & 15]);
}

void tell(const char *name, uint32_t value)
{
    say("  ");
    say(name);
    say(": ");
    say_hex(value, 8);
    say("\n");
}

void heading(const char *name)
{
    say(name);
    say("\n");
}

void tell_fault(const char *name, uint32_t eip)
{
    say("  ");
    say(name);
    if (!fault.count) {
        say(": none\n");
        return;
    }
    say(": vector ");
    say_hex(fault.vector, 2);
    say(" error ");
    say_hex(fault.error, 4);
    if (fault.vector == 14) {
        say(" at ");
        say_hex(fault.cr2, 8);
    }
    say(" eip +");
    say_hex(fault.eip - eip, 2);
    say("\n");
    fault.count = 0;
}

/* -- interrupts ------------------------------------------------------------------------------------------ */

volatile uint32_t end_hint __attribute__((aligned(4)));
volatile uint32_t endless;

/* What MSR 4B564D04h says of bit 0: who finds it set clears it, and is done. */
static bool needs_no_end(void)
{
    bool was;
    __asm__ volatile("btrl $0, %1; setc %0" : "=q"(was), "+m"(end_hint) : : "cc");
    return was;
}

void interrupt(struct frame *frame);
void interrupt(struct frame *frame)
{
    const uint32_t vector = frame->vector;
    counts[vector]++;
    if (vector >= 32) {
        if (order_count < 16)
            order[order_count++] = vector;
        if (vector < 0x30) { /* of an 8259 */
            if (virtio_wire)
                virtio_wire_count += read8(virtio_wire) & 1;
            if (vector >= 0x28)
                out8(0xa0, 0x20);
            out8(0x20, 0x20);
        } else if (vector != 0x7f && vector != endless && !needs_no_end()) { /* INT 7F is nobody's */
            lapic_write(0xb0, 0);
        }
        return;
    }
    if (vector == 2) {
        nmi_eflags = frame->eflags;
        return;
    }
    fault.vector = vector;
    fault.error = frame->error;
    fault.eip = frame->eip;
    __asm__ volatile("movl %%cr2, %0" : "=r"(fault.cr2));
    fault.count++;
    if (resume) {
        frame->eip = resume;
        resume = 0;
        frame->eflags &= ~(1u << 8);
        return;
    }
    tell("unexpected vector", vector);
    tell("error", frame->error);
    tell("eip", frame->eip);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static void make_idt(void)
{
    for (unsigned i = 0; i < VECTORS; i++) {
        const uint32_t stub = (uint32_t)stub_table + 16 * i;
        idt[i] =
            (stub & 0xffff) | CODE_SELECTOR << 16 | (uint64_t)0x8e00 << 32 | (uint64_t)(stub >> 16) << 48;
    }
}

static void make_pics(void)
{
    static const uint8_t words[][2] = {{0x20, 0x11}, {0x21, 0x20}, {0x21, 4}, {0x21, 1}, {0x21, 0xff},
                                       {0xa0, 0x11}, {0xa1, 0x28}, {0xa1, 2}, {0xa1, 1}, {0xa1, 0xff}};
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        out8(words[i][0], words[i][1]);
}

/* -- paging ---------------------------------------------------------------------------------------------- */

bool enable_paging(uint32_t table, uint32_t cr4)
{
    if (!lesser)
        __asm__ volatile(
            "movl %1, %%cr4; movl %2, %%cr3; movl $1f, %0; movl %%cr0, %%eax; orl $0x80010000, %%eax;"
            "movl %%eax, %%cr0; 1: movl $0, %0"
            : "=m"(resume)
            : "r"(cr4), "r"(table)
            : "eax", "memory");
    const bool refused = lesser || fault.count;
    fault.count = 0;
    if (refused)
        say("  not here\n");
    return !refused;
}

void disable_paging(void)
{
    __asm__ volatile("movl %%cr0, %%eax; andl $0x7ffeffff, %%eax; movl %%eax, %%cr0; xorl %%eax, %%eax;"
                     "movl %%eax, %%cr3; movl %%eax, %%cr4"
                     :
                     :
                     : "eax", "memory");
}

/* -- the processor --------------------------------------------------------------------------------------- */

/* `shown`: bits of EAX to EDX. A KVM that is software shows the host's features, whatever it is told. */
static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t shown)
{
    uint32_t a = leaf, b, c = subleaf, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    say("  ");
    say_hex(leaf, 8);
    const uint32_t values[] = {a, b, c, d};
    for (unsigned i = 0; i < 4; i++) {
        if (!(shown >> i & 1))
            continue;
        say(" ");
        say_hex(values[i], 8);
    }
    say("\n");
}

static void tell_hypervisor(void)
{
    for (uint32_t leaf = 0x40000000; leaf <= 0x40000006; leaf++)
        cpuid(leaf, 0, 15);
    for (uint32_t leaf = 0x40000100; leaf <= 0x40000101; leaf++)
        cpuid(leaf, 0, 15);
    cpuid(0x40000200, 0, 15);
}

static void test_processor(void)
{
    static const struct {
        uint32_t leaf, subleaf, shown;
    } leaves[] = {
        {0, 0, 15},          {1, 0, 3},           {2, 0, 15},          {4, 0, 15},
        {4, 1, 15},          {4, 2, 15},          {4, 3, 15},          {4, 4, 15},
        {6, 0, 15},          {0xb, 0, 15},        {0xb, 1, 15},        {0xb, 2, 15},
        {0x40000000, 0, 15}, {0x80000000, 0, 15}, {0x80000002, 0, 15}, {0x80000006, 0, 15},
        {0x80000007, 0, 15}, {0x80000008, 0, 1},
    };
    heading("processor");
    for (unsigned i = 0; i < sizeof leaves / sizeof leaves[0]; i++)
        cpuid(leaves[i].leaf, leaves[i].subleaf, leaves[i].shown);
    tell("MSR 1b", (uint32_t)read_msr(0x1b));
    tell("MSR fe", (uint32_t)read_msr(0xfe));
    tell("MSR 277", (uint32_t)read_msr(0x277));
    write_msr(0x277, 0x0007040600070406ull ^ 0x200);
    tell("MSR 277", (uint32_t)read_msr(0x277));
    write_msr(0x174, 0x1234);
    tell("MSR 174", (uint32_t)read_msr(0x174));
    tell("MSR 2ff", (uint32_t)read_msr(0x2ff));
    tell("MSR c0000080", (uint32_t)read_msr(0xc0000080));
    tell("MSR 10a", (uint32_t)read_msr(0x10a));
}

/* Whoever has asked to be told of the host's page faults (see test_interrupts.c) is not after a reset. */
enum { FAULTS = 0x4b564d02, FAULTS_ENABLED = 9 };
static uint32_t faults[16] __attribute__((aligned(64)));

static void reset(void)
{
    write_msr(FAULTS, (uint32_t)faults | FAULTS_ENABLED);
    out8(0xcf9, 6);
    for (;;)
        __asm__ volatile("hlt");
}

static void triple_fault(void)
{
    const struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) none = {0, 0};
    __asm__ volatile("lidt %0; int3" : : "m"(none));
}

static bool begins_with(const char *text, const char *word)
{
    while (*word && *text == *word)
        text++, word++;
    return !*word && (!*text || *text == ' ');
}

/* Multiboot's information: whether this word is on the command line, which begins with the kernel's path. */
static bool was_told(uint32_t information, const char *word)
{
    const char *text = (const char *)read32(information + 16);
    if (!(read32(information) & 4))
        return false;
    for (; *text; text++)
        if (*text == ' ' && begins_with(text + 1, word))
            return true;
    return false;
}

void main(uint32_t information);
void main(uint32_t information)
{
    const uint32_t boot = read32(MARK) >> 8 == 0xb007 ? read32(MARK) & 0xff : 0;
    lesser = was_told(information, "lesser");
    kernel_apic = was_told(information, "kernel-apic");
    no_cr8 = was_told(information, "no-cr8");
    hyperv = was_told(information, "hyper-v");
    write32(MARK, 0xb00700 + boot + 1);
    make_idt();
    make_pics();
    tell("boot", boot);
    if (boot == 0) {
        test_processor();
        if (hyperv) {
            tell_hypervisor();
            test_hyperv();
        }
        if (was_told(information, "vmware"))
            test_vmware();
        if (was_told(information, "calls"))
            test_hypercalls();
        test_exceptions();
        test_paging();
        test_ports();
        test_memory();
        test_strings();
        test_interrupts();
        test_timers();
        test_float();
        test_virtio();
        test_processors();
        heading("reset");
        reset();
    }
    if (boot == 1)
        tell("page faults are told", (uint32_t)read_msr(FAULTS));
    if (boot == 1 && hyperv)
        test_hyperv_after_reset();
    if (boot == 1)
        triple_fault();
    say("end\n");
    out16(0x604, 0x3400); /* off */
}
