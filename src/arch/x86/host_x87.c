/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_x87: see host_x87.h. Intel SDM volume 1, 10.5.1 for the layout of the state. */
#include "arch/x86/host_x87.h"

#include <stddef.h>
#include <string.h>

#ifndef __x86_64__
#error "x87 instructions are run by the host's, which must be an x86-64"
#endif

enum {
    CONTROL_SIZE = 2,
    POINTERS = 6, /* the pointers, FOP with them, begin here, */
    STACK = 32,   /* the eight registers, 16 bytes each, here, */
    STACK_END = 160,
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

uint64_t host_x87(unsigned code, void *operand, uint64_t flags)
{
    __asm__ volatile("lea -128(%%rsp), %%rsp\n" /* the red zone */
                     "push %[flags]\n"
                     "popfq\n"
                     "call *%[form]\n"
                     "pushfq\n"
                     "pop %[flags]\n"
                     "lea 128(%%rsp), %%rsp\n"
                     : [flags] "+b"(flags)
                     : [form] "d"(form_of(code)), "D"(operand)
                     : "rax", "memory", "cc");
    return flags;
}

/* FXSAVE and FXRSTOR have MXCSR and the vector registers as well: they keep what they are. */
static void save(struct area *area)
{
    __asm__ volatile("fxsave64 %0" : "=m"(*area));
}

void host_x87_load(const uint8_t *state, uint16_t control)
{
    struct area area;
    save(&area);
    memcpy(&area, state, POINTERS);
    memset((uint8_t *)&area + POINTERS, 0, offsetof(struct area, mxcsr) - POINTERS);
    memcpy((uint8_t *)&area + STACK, state + STACK, STACK_END - STACK);
    area.control = control;
    __asm__ volatile("fxrstor64 %0" ::"m"(area));
}

void host_x87_take(uint8_t *state, const void *area)
{
    const uint8_t *from = area;
    memcpy(state + CONTROL_SIZE, from + CONTROL_SIZE, POINTERS - CONTROL_SIZE);
    memcpy(state + STACK, from + STACK, STACK_END - STACK);
}

void host_x87_save(uint8_t *state)
{
    struct area area;
    save(&area);
    __asm__ volatile("fninit");
    host_x87_take(state, &area);
}
