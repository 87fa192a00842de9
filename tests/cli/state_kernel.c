/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel that computes a checksum of what it does to memory, integers, x87 and SSE registers and its own
 * code, behind page tables and with timer interrupts, for tests that save and restore it at any moment. It
 * says READY, then a dot for each sixteenth, and in the end "SUM" and the checksum, which is the same each
 * time. How often it was interrupted is not part of it; that it was is looked at. It has 32 bits, or,
 * compiled for x86-64, is in long mode.
 */
#include <stdint.h>

#define WORDS (1u << 20)
#ifndef STEPS
#define STEPS (16u * ROUND)
#endif
#define ROUND  1500000u
#define VECTOR 0x20

extern char tick[];
volatile uint32_t ticks;

static uint32_t words[WORDS];
#ifdef __x86_64__
extern uint64_t directory[512];
static uint64_t table[512] __attribute__((aligned(4096)));
static uint64_t idt[256][2];
#else
static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t table[1024] __attribute__((aligned(4096)));
static uint64_t idt[256][1];
#endif
/* "mov $constant, %eax; xor %edx, %eax; ret", whose constant changes, in memory that can be written. */
static uint8_t code[] __attribute__((section(".data"), aligned(16))) = {0xb8, 1, 2, 3, 4, 0x31, 0xd0, 0xc3};

static void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("out %0, %1" : : "a"(value), "Nd"(port));
}

static void out16(uint16_t port, uint16_t value)
{
    __asm__ volatile("out %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("in %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void say(const char *text)
{
    for (; *text; text++) {
        while (!(in8(0x3fd) & 0x20)) {
        }
        out8(0x3f8, (uint8_t)*text);
    }
}

static void say_number(uint64_t number)
{
    char text[17] = {0};
    for (int i = 15; i >= 0; i--, number >>= 4)
        text[i] = "0123456789abcdef"[number & 15];
    say(text);
}

struct __attribute__((packed)) pointer {
    uint16_t limit;
    uintptr_t base;
};

/* Small pages where the first large one is, and the kernel's first instructions. */
static void set_up_pages(void)
{
    const unsigned entries = sizeof table / sizeof *table;
    for (uint32_t i = 0; i < entries; i++)
        table[i] = i << 12 | 3;
#ifndef __x86_64__
    for (uint32_t i = 0; i < entries; i++)
        directory[i] = i << 22 | 0x83;
    uint32_t value;
    __asm__ volatile("mov %%cr4, %0\n or $0x10, %0\n mov %0, %%cr4\n" /* PSE */
                     "mov %1, %%cr3\n mov %%cr0, %0\n or $0x80000000, %0\n mov %0, %%cr0"
                     : "=&r"(value)
                     : "r"(directory)
                     : "memory");
#endif
    directory[0] = (uintptr_t)table | 3;
    uintptr_t top;
    __asm__ volatile("mov %%cr3, %0\n mov %0, %%cr3" : "=r"(top) : : "memory");
}

static void set_up(void)
{
    const uint32_t handler = (uint32_t)(uintptr_t)tick;
    const struct pointer idt_pointer = {sizeof idt - 1, (uintptr_t)idt};
    idt[VECTOR][0] = (handler & 0xffff) | 8u << 16 | (uint64_t)0x8e00 << 32 | (uint64_t)(handler >> 16) << 48;
    set_up_pages();
    __asm__ volatile("lidt %0" : : "m"(idt_pointer) : "memory");
    out8(0x20, 0x11), out8(0x21, VECTOR), out8(0x21, 4), out8(0x21, 1), out8(0x21, 0xfe);
    out8(0x43, 0x34), out8(0x40, 0x9c), out8(0x40, 0x2e); /* 100 Hz */
    __asm__ volatile("sti");
}

static uint32_t call_code(uint32_t value)
{
    uint32_t result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(code), "d"(value) : "memory");
    return result;
}

static uint64_t work(void)
{
    uint64_t random = 0x9e3779b97f4a7c15, sum = 0;
    long double length = 1;
    float vector[4] __attribute__((aligned(16))) = {1, 2, 3, 4};
    __asm__ volatile("movaps %0, %%xmm7" : : "m"(vector));
    for (uint32_t step = 0; step < STEPS; step++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint32_t *word = &words[random % WORDS];
        *word = *word * 2654435761u + (uint32_t)(random >> 32);
        sum = (sum << 5 | sum >> 59) + *word;
        if (step % 64 == 0) {
            length = length * 1.0000001L + (long double)(uint32_t)random / 4294967296.0L;
            vector[step / 64 % 4] = (float)(uint32_t)random;
            __asm__ volatile("movaps %0, %%xmm6\n sqrtps %%xmm6, %%xmm6\n addps %%xmm6, %%xmm7"
                             :
                             : "m"(vector));
        }
        if (step % 5000 == 0) {
            code[1] = (uint8_t)random;
            sum += call_code((uint32_t)sum);
        }
        if (step % ROUND == 0)
            say(".");
    }
    uint32_t bits[4] __attribute__((aligned(16)));
    __asm__ volatile("movaps %%xmm7, %0" : "=m"(bits));
    uint64_t mantissa;
    __builtin_memcpy(&mantissa, &length, sizeof mantissa);
    return sum ^ mantissa ^ bits[0] ^ (uint64_t)bits[1] << 16 ^ (uint64_t)bits[2] << 32 ^ bits[3];
}

void main(void);
void main(void)
{
    set_up();
    say("READY\r\n");
    const uint64_t sum = work();
    say("\r\nSUM ");
    say_number(sum);
    say(ticks ? "\r\n" : " without interrupts\r\n");
    out16(0x604, 0x3400); /* ACPI's S5 */
}
