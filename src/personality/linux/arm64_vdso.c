/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arm64 vdso: the functions of the vDSO for AArch64, whose names are those of the kernel's.
 *
 * The clock comes from an instruction that visor reserves for this (mrs_cnt_clock in base.pattern), in the
 * implementation-defined part of the system registers: it turns a clock's number into its time in
 * nanoseconds, or -1 if the clock is not to be had that way; then a system call does it. Results are stored
 * by the guest's own instructions, so that a bad pointer faults as it does natively.
 */
#include "personality/linux/arm64_vdso.h"

#include "base/macros.h"
#include "personality/linux/arch.h"

/* A branch's target is given in instructions from itself. */
static const uint32_t code[] = {
    /* __kernel_clock_gettime */
    0x2a0003e2, /* mov w2, w0 */
    0xd53bfe02, /* mrs x2, s3_3_c15_c14_0 */
    0xb7f80102, /* tbnz x2, #63, .+8 */
    0x52994003, /* mov w3, #0xca00 */
    0x72a77343, /* movk w3, #0x3b9a, lsl #16 */
    0x9ac30844, /* udiv x4, x2, x3 */
    0x9b038885, /* msub x5, x4, x3, x2 */
    0xa9001424, /* stp x4, x5, [x1] */
    0x52800000, /* mov w0, #0x0 */
    0xd65f03c0, /* ret */
    0x52800e28, /* mov w8, #0x71 */
    0xd4000001, /* svc #0x0 */
    0xd65f03c0, /* ret */
    /* __kernel_gettimeofday */
    0xb40001c0, /* cbz x0, .+14 */
    0xb50001a1, /* cbnz x1, .+13 */
    0x52800002, /* mov w2, #0x0 */
    0xd53bfe02, /* mrs x2, s3_3_c15_c14_0 */
    0xb7f80142, /* tbnz x2, #63, .+10 */
    0x52994003, /* mov w3, #0xca00 */
    0x72a77343, /* movk w3, #0x3b9a, lsl #16 */
    0x9ac30844, /* udiv x4, x2, x3 */
    0x9b038885, /* msub x5, x4, x3, x2 */
    0x52807d03, /* mov w3, #0x3e8 */
    0x9ac308a5, /* udiv x5, x5, x3 */
    0xa9001404, /* stp x4, x5, [x0] */
    0x52800000, /* mov w0, #0x0 */
    0xd65f03c0, /* ret */
    0x52801528, /* mov w8, #0xa9 */
    0xd4000001, /* svc #0x0 */
    0xd65f03c0, /* ret */
    /* __kernel_clock_getres */
    0x7100041f, /* cmp w0, #0x1 */
    0x540000c8, /* b.hi .+6 */
    0xb4000061, /* cbz x1, .+3 */
    0x52800022, /* mov w2, #0x1 */
    0xa900083f, /* stp xzr, x2, [x1] */
    0x52800000, /* mov w0, #0x0 */
    0xd65f03c0, /* ret */
    0x52800e48, /* mov w8, #0x72 */
    0xd4000001, /* svc #0x0 */
    0xd65f03c0, /* ret */
    0xd503201f, /* nop */
    /* __kernel_rt_sigreturn */
    0xd2801168, /* mov x8, #139 */
    0xd4000001, /* svc #0x0 */
};

static const struct linux_vdso_symbol symbols[] = {
    {"__kernel_clock_gettime", 0, 52},
    {"__kernel_gettimeofday", 52, 68},
    {"__kernel_clock_getres", 120, 40},
    {"__kernel_rt_sigreturn", 164, 8},
};

const struct linux_vdso arm64_vdso = {
    .version = "LINUX_2.6.39",
    .symbols = symbols,
    .symbol_count = ARRAY_SIZE(symbols),
    .code = code,
    .code_size = sizeof code,
    .frameless_size = 160,
    .trampoline = 164,
    .return_register = 30,
    .stack_register = 31,
};
