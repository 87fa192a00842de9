/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Floating-point status where the code generator knows an operand. */
#include "io_check.h"

#include <stdint.h>

#ifdef __aarch64__
#define FPCR_FZ  (1ul << 24)
#define FPSR_IXC (1ul << 4)
#define FPSR_IDC (1ul << 7)

/* Compares the denormal number 0x005a005a with zero while such are flushed and "inexact" has been raised. */
static uint64_t status_of_flushed_constant(void)
{
    uint64_t status, control;
    __asm__ volatile("mrs %1, fpcr\n\t"
                     "msr fpcr, %2\n\t"
                     "msr fpsr, %3\n\t"
                     "movi v0.8h, #0x5a\n\t"
                     "fcmlt v0.2s, v0.2s, #0.0\n\t"
                     "mrs %0, fpsr\n\t"
                     "msr fpcr, %1"
                     : "=&r"(status), "=&r"(control)
                     : "r"(FPCR_FZ), "r"(FPSR_IXC)
                     : "v0");
    return status;
}
#endif

int main(void)
{
#ifdef __aarch64__
    for (int i = 0; i < 3; i++)
        CHECK(status_of_flushed_constant() == (FPSR_IXC | FPSR_IDC));
#endif
    return check_done("core_float");
}
