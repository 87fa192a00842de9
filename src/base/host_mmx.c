/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host_mmx: see host_mmx.h. */
#include "base/host_mmx.h"

#ifndef __x86_64__
#error "MMX instructions are run by the host's, which must be an x86-64"
#endif

/* Every instruction once, 8 bytes each: of map 0F, then of 0F38, on MM0 and MM1. Those that are none are
 * never called. */
__asm__(".pushsection .text\n"
        ".balign 16\n"
        "host_mmx_0f:\n"
        ".set opcode, 0\n"
        ".rept 256\n"
        ".byte 0x0f, opcode, 0xc1, 0xc3, 0xcc, 0xcc, 0xcc, 0xcc\n"
        ".set opcode, opcode + 1\n"
        ".endr\n"
        "host_mmx_0f38:\n"
        ".set opcode, 0\n"
        ".rept 32\n"
        ".byte 0x0f, 0x38, opcode, 0xc1, 0xc3, 0xcc, 0xcc, 0xcc\n"
        ".set opcode, opcode + 1\n"
        ".endr\n"
        /* rdi: MM0 before and after; rsi: MM1; rdx: the instruction */
        "host_mmx_call:\n"
        "movq (%rdi), %mm0\n"
        "movq %rsi, %mm1\n"
        "sub $8, %rsp\n"
        "call *%rdx\n"
        "add $8, %rsp\n"
        "movq %mm0, (%rdi)\n"
        "emms\n"
        "ret\n"
        ".popsection\n");
extern const uint8_t host_mmx_0f[256 * 8] __attribute__((visibility("hidden")));
extern const uint8_t host_mmx_0f38[32 * 8] __attribute__((visibility("hidden")));
extern void host_mmx_call(uint64_t *a, uint64_t b, const void *form) __attribute__((visibility("hidden")));

enum { MAP_0F = 1, MAP_0F38, MAP_0F3A };

static uint64_t shuffle(uint64_t b, unsigned imm)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 4; i++)
        value |= (b >> 16 * (imm >> 2 * i & 3) & 0xffff) << 16 * i;
    return value;
}

static uint64_t align(uint64_t a, uint64_t b, unsigned imm)
{
    const unsigned shift = 8 * imm;
    return shift == 0 ? b : shift < 64 ? b >> shift | a << (64 - shift) : shift < 128 ? a >> (shift - 64) : 0;
}

static uint64_t insert(uint64_t a, uint64_t word, unsigned imm)
{
    const unsigned shift = 16 * (imm & 3);
    return (a & ~(0xffffull << shift)) | (word & 0xffff) << shift;
}

uint64_t host_mmx(unsigned map, unsigned opcode, uint64_t a, uint64_t b, unsigned imm)
{
    if (map == MAP_0F3A) /* PALIGNR is all there is */
        return align(a, b, imm);
    if (map == MAP_0F && opcode == 0x70) /* PSHUFW */
        return shuffle(b, imm);
    if (map == MAP_0F && opcode == 0xc4) /* PINSRW */
        return insert(a, b, imm);
    host_mmx_call(&a, b, map == MAP_0F ? &host_mmx_0f[opcode * 8] : &host_mmx_0f38[(opcode & 31) * 8]);
    return a;
}

uint64_t host_mmx_integer(unsigned opcode, uint64_t value, unsigned imm)
{
    uint64_t mask = 0;
    if (opcode == 0xc5) /* PEXTRW */
        return value >> 16 * (imm & 3) & 0xffff;
    for (unsigned i = 0; i < 8; i++)
        mask |= (value >> (8 * i + 7) & 1) << i;
    return mask;
}

#define CONVERT(instruction)                                                                                 \
    __asm__ volatile("stmxcsr %[own]\n\tldmxcsr %[mxcsr]\n\t" instruction                                    \
                     " %[source], %%xmm0\n\tmovdqu %%xmm0, %[result]\n\t"                                    \
                     "stmxcsr %[mxcsr]\n\tldmxcsr %[own]"                                                    \
                     : [own] "=m"(own), [mxcsr] "+m"(*mxcsr), [result] "=m"(result)                          \
                     : [source] "m"(source)                                                                  \
                     : "xmm0")

union vector128 host_convert(unsigned opcode, int doubles, union vector128 source, uint32_t *mxcsr)
{
    union vector128 result __attribute__((aligned(16)));
    uint32_t own;

    switch (opcode | (doubles ? 0x100 : 0)) {
    case 0x02a: CONVERT("cvtdq2ps"); break;
    case 0x12a: CONVERT("cvtdq2pd"); break;
    case 0x02c: CONVERT("cvttps2dq"); break;
    case 0x12c: CONVERT("cvttpd2dq"); break;
    case 0x02d: CONVERT("cvtps2dq"); break;
    default: CONVERT("cvtpd2dq"); break;
    }
    return result;
}
