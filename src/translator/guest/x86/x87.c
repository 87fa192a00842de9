/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x87: see x87.h. Intel SDM volume 1, chapter 8, and 10.5.1 for the layout of the state. */
#include "translator/guest/x86/x87.h"

#include <string.h>

#ifndef __x86_64__
#error "x87 instructions are run by the host's, which must be an x86-64"
#endif

enum {
    X87_MASKS = 0x3f,
    X87_PENDING = 0x8080, /* ES and B */
    X87_INIT_CONTROL = 0x37f,
    X87_FNCLEX = 0xdbe2,
    X87_FNINIT = 0xdbe3,
    X87_POINTERS = 6, /* the pointers, FOP with them, begin here, */
    X87_STACK = 32,   /* the eight registers, 16 bytes each, here, */
    X87_STACK_END = 160,
};

/* FXSAVE's area as far as it is looked at. */
struct area {
    uint16_t control, status;
    uint8_t tags, reserved;
    uint16_t opcode;
    uint64_t pointers[2];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t rest[480];
} __attribute__((aligned(16)));

/* Every instruction once, 4 bytes each: the register forms, then those with an operand at rdi. */
__asm__(".pushsection .text\n"
        ".balign 16\n"
        "x87_register_forms:\n"
        ".irp opcode,0xd8,0xd9,0xda,0xdb,0xdc,0xdd,0xde,0xdf\n"
        ".irp reg,0xc0,0xc8,0xd0,0xd8,0xe0,0xe8,0xf0,0xf8\n"
        ".irp rm,0,1,2,3,4,5,6,7\n"
        ".byte \\opcode, \\reg + \\rm, 0xc3, 0xcc\n"
        ".endr\n"
        ".endr\n"
        ".endr\n"
        "x87_memory_forms:\n"
        ".irp opcode,0xd8,0xd9,0xda,0xdb,0xdc,0xdd,0xde,0xdf\n"
        ".irp reg,0x07,0x0f,0x17,0x1f,0x27,0x2f,0x37,0x3f\n"
        ".byte \\opcode, \\reg, 0xc3, 0xcc\n"
        ".endr\n"
        ".endr\n"
        ".popsection\n");
extern const uint8_t x87_register_forms[8 * 64 * 4] __attribute__((visibility("hidden")));
extern const uint8_t x87_memory_forms[8 * 8 * 4] __attribute__((visibility("hidden")));

static const void *form_of(unsigned code)
{
    const unsigned opcode = code >> 8 & 7, modrm = code & 255;
    if (modrm >= 0xc0)
        return &x87_register_forms[(opcode * 64 + (modrm & 63)) * 4];
    return &x87_memory_forms[(opcode * 8 + (modrm >> 3 & 7)) * 4];
}

/* On this state and operand, with these flags; returns the flags. */
static uint64_t execute(struct area *area, unsigned code, uint8_t operand[16], uint64_t flags)
{
    uint32_t mxcsr;
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    area->mxcsr = mxcsr;                        /* of our own; vector registers are the compiler's to save */
    __asm__ volatile("lea -128(%%rsp), %%rsp\n" /* the red zone */
                     "fxrstor64 (%[area])\n"
                     "push %[flags]\n"
                     "popfq\n"
                     "call *%[form]\n"
                     "pushfq\n"
                     "pop %[flags]\n"
                     "fxsave64 (%[area])\n"
                     "fninit\n"
                     "lea 128(%%rsp), %%rsp\n"
                     : [flags] "+b"(flags)
                     : [area] "S"(area), [form] "d"(form_of(code)), "D"(operand)
                     : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                       "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    return flags;
}

/* FCOMI, FUCOMI and those that pop */
static bool sets_flags(unsigned code)
{
    const unsigned opcode = code >> 8 & 255, modrm = code & 255;
    return (opcode == 0xdb || opcode == 0xdf) && modrm >= 0xe8 && modrm < 0xf8;
}

static void copy_in(const struct x86_cpu *cpu, struct area *area)
{
    memset(area, 0, sizeof *area);
    memcpy(area, cpu->state.x87, X87_STACK_END);
    area->control |= X87_MASKS;
    area->status &= (uint16_t)~X87_PENDING;
}

/* Stores all but the control word. */
static void copy_out(struct x86_cpu *cpu, struct area *area)
{
    uint16_t control;
    memcpy(&control, cpu->state.x87, sizeof control);
    if (area->status & ~control & X87_MASKS)
        area->status |= X87_PENDING;
    memcpy(cpu->state.x87 + offsetof(struct area, status), &area->status, X87_POINTERS - sizeof control);
    memcpy(cpu->state.x87 + X87_STACK, (const uint8_t *)area + X87_STACK, X87_STACK_END - X87_STACK);
}

uint64_t x87_run(void *cpu_pointer, uint64_t code, uint64_t operand)
{
    struct x86_cpu *cpu = cpu_pointer;
    struct area area;
    uint8_t bytes[16] = {0};

    memcpy(bytes, &operand, sizeof operand);
    bytes[8] = (uint8_t)(code >> 16), bytes[9] = (uint8_t)(code >> 24);
    copy_in(cpu, &area);
    if ((code & 0xffff) == X87_FNINIT)
        x87_set_control(cpu, X87_INIT_CONTROL, 0);
    const uint64_t flags = (x86_eflags_get(&cpu->state) & X86_EFLAGS_CONDITIONS) | X86_EFLAGS_ONE;
    const uint64_t after = execute(&area, (unsigned)code & 0xffff, bytes, flags);
    copy_out(cpu, &area);
    if (sets_flags((unsigned)code & 0xffff)) {
        const uint64_t others = x86_eflags_get(&cpu->state) & ~(uint64_t)X86_EFLAGS_CONDITIONS;
        x86_eflags_set(&cpu->state, others | (after & X86_EFLAGS_CONDITIONS));
    }
    return 0;
}

static void peek(const struct x86_cpu *cpu, uint64_t code, uint8_t bytes[16])
{
    struct area area;
    copy_in(cpu, &area);
    execute(&area, (unsigned)code & 0xffff, bytes, X86_EFLAGS_ONE);
}

uint64_t x87_peek(void *cpu, uint64_t code, uint64_t unused)
{
    uint8_t bytes[16] = {0};
    uint64_t value;
    (void)unused;
    peek(cpu, code, bytes);
    memcpy(&value, bytes, sizeof value);
    return value;
}

uint64_t x87_peek_high(void *cpu, uint64_t code, uint64_t unused)
{
    uint8_t bytes[16] = {0};
    (void)unused;
    peek(cpu, code, bytes);
    return bytes[8] | (uint64_t)bytes[9] << 8;
}

uint64_t x87_get_control(void *cpu, uint64_t unused, uint64_t unused_too)
{
    uint16_t control;
    (void)unused, (void)unused_too;
    memcpy(&control, ((const struct x86_cpu *)cpu)->state.x87, sizeof control);
    return control;
}

uint64_t x87_set_control(void *cpu, uint64_t value, uint64_t unused)
{
    /* Bits 7 and 13 to 15 are not kept, bit 6 is always one. */
    const uint16_t control = (uint16_t)((value & 0x1f3f) | 0x40);
    (void)unused;
    memcpy(((struct x86_cpu *)cpu)->state.x87, &control, sizeof control);
    return 0;
}

uint64_t x87_get_status(void *cpu, uint64_t unused, uint64_t unused_too)
{
    uint16_t status;
    (void)unused, (void)unused_too;
    memcpy(&status, ((const struct x86_cpu *)cpu)->state.x87 + offsetof(struct area, status), sizeof status);
    return status;
}
