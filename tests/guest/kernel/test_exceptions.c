/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Exceptions: their vectors, error codes, and the instruction that they are told of. */
#include "kernel.h"

static void float_exceptions(void)
{
    uint32_t mxcsr = 0x1d80; /* division by zero is not masked */
    uint16_t control = 0x37b;
    __asm__ volatile("movl %%cr0, %%eax; orl $0x22, %%eax; andl $~0xc, %%eax; movl %%eax, %%cr0;" /* NE, MP */
                     "movl %%cr4, %%eax; orl $0x600, %%eax; movl %%eax, %%cr4"
                     :
                     :
                     : "eax");
    FAULTS("x87 divides by zero", "nop", "m"(control));
    __asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp" : : "m"(control));
    FAULTS("the next x87 instruction", "fwait", "m"(control));
    __asm__ volatile("fninit; ldmxcsr %0; xorps %%xmm1, %%xmm1; movl $0x3f800000, %%eax; movd %%eax, %%xmm0"
                     :
                     : "m"(mxcsr)
                     : "eax");
    FAULTS("SSE divides by zero", "divss %%xmm1, %%xmm0", "m"(control));
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0; movl %%cr0, %%eax; orl $8, %%eax; movl %%eax, %%cr0"
                     :
                     : "m"(mxcsr)
                     : "eax");
    FAULTS("x87 with TS", "fld1", "m"(control));
    FAULTS("SSE with TS", "xorps %%xmm0, %%xmm0", "m"(control));
    __asm__ volatile("clts");
}

void test_exceptions(void)
{
    const uint32_t zero = 0, bounds[2] = {5, 9};
    heading("exceptions");
    FAULTS("divide", "divl %[zero]", [zero] "m"(zero));
    FAULTS("breakpoint", "int3", "m"(zero));
    FAULTS("overflow", "movb $0x7f, %%al; addb $1, %%al; into", "m"(zero));
    FAULTS("bound", "boundl %%esp, %[bounds]", [bounds] "m"(bounds));
    FAULTS("undefined", "ud2", "m"(zero));
    FAULTS("selector beyond the limit", "movl $0x7f8, %%eax; movl %%eax, %%fs", "m"(zero));
    FAULTS("segment not present", "movl $0x20, %%eax; movl %%eax, %%fs", "m"(zero));
    FAULTS("stack not present", "movl $0x20, %%eax; movl %%eax, %%ss", "m"(zero));
    FAULTS("null stack", "xorl %%eax, %%eax; movl %%eax, %%ss", "m"(zero));
    FAULTS("no such gate", "int $0xc8", "m"(zero));
    FAULTS("MSR that there is not", "movl $0x12345678, %%ecx; rdmsr", "m"(zero));
    FAULTS("MSR of a bank that there is not", "movl $0x400, %%ecx; rdmsr", "m"(zero));
    FAULTS("MSR that cannot be so", "movl $0x277, %%ecx; movl $2, %%eax; wrmsr", "m"(zero));
    FAULTS("CR4 that cannot be so", "movl $0x80000000, %%eax; movl %%eax, %%cr4", "m"(zero));
    FAULTS("paging without protection", "movl $0x80000010, %%eax; movl %%eax, %%cr0", "m"(zero));
    FAULTS("single step", "pushf; orl $0x100, (%%esp); popf; nop", "m"(zero));
    __asm__ volatile("pushf; andl $~0x100, (%%esp); popf" : : : "memory", "cc");
    uint32_t dr6;
    __asm__ volatile("movl %%dr6, %0; movl %1, %%dr6" : "=r"(dr6) : "r"(0));
    tell("DR6", dr6);
    float_exceptions();
}
