/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * amd64 vdso: the functions of the vDSO for x86-64, whose names are those of the kernel's.
 *
 * The clock comes from an instruction that visor reserves for this (x86_lift_ud()), an encoding of UD1 that
 * nobody else has a use for: it turns a clock's number in RAX into its time in nanoseconds, or -1 if the
 * clock is not to be had that way; then a system call does it. Nanoseconds are divided by 10^9 by a
 * multiplication.
 */
#include "personality/linux/amd64_vdso.h"

#include "base/macros.h"
#include "personality/linux/arch.h"

/* clang-format off: an instruction a line */
static const uint8_t code[] = {
    /* __vdso_clock_gettime: 0x0 */
    0x89, 0xf8,                                                 /* mov %edi,%eax */
    0x0f, 0xb9, 0x84, 0x24, 0x76, 0x69, 0x73, 0x72,             /* the clock in rax */
    0x48, 0x85, 0xc0,                                           /* test %rax,%rax */
    0x78, 0x2f,                                                 /* js 3e */
    0x48, 0x89, 0xc1,                                           /* mov %rax,%rcx */
    0x48, 0x89, 0xc2,                                           /* mov %rax,%rdx */
    0x48, 0xc1, 0xea, 0x09,                                     /* shr $0x9,%rdx */
    0x48, 0xb8, 0x53, 0x5a, 0x9b, 0xa0, 0x2f, 0xb8, 0x44, 0x00, /* movabs $0x44b82fa09b5a53,%rax */
    0x48, 0xf7, 0xe2,                                           /* mul %rdx */
    0x48, 0xc1, 0xea, 0x0b,                                     /* shr $0xb,%rdx */
    0x48, 0x69, 0xc2, 0x00, 0xca, 0x9a, 0x3b,                   /* imul $0x3b9aca00,%rdx,%rax */
    0x48, 0x29, 0xc1,                                           /* sub %rax,%rcx */
    0x48, 0x89, 0x16,                                           /* mov %rdx,(%rsi) */
    0x48, 0x89, 0x4e, 0x08,                                     /* mov %rcx,0x8(%rsi) */
    0x31, 0xc0,                                                 /* xor %eax,%eax */
    0xc3,                                                       /* ret */
    0xb8, 0xe4, 0x00, 0x00, 0x00,                               /* mov $0xe4,%eax */
    0x0f, 0x05,                                                 /* syscall */
    0xc3,                                                       /* ret */
    0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
    /* __vdso_gettimeofday: 0x50 */
    0x48, 0x85, 0xff,                                           /* test %rdi,%rdi */
    0x74, 0x4e,                                                 /* je a3 */
    0x48, 0x85, 0xf6,                                           /* test %rsi,%rsi */
    0x75, 0x49,                                                 /* jne a3 */
    0x31, 0xc0,                                                 /* xor %eax,%eax */
    0x0f, 0xb9, 0x84, 0x24, 0x76, 0x69, 0x73, 0x72,             /* the clock in rax */
    0x48, 0x85, 0xc0,                                           /* test %rax,%rax */
    0x78, 0x3a,                                                 /* js a3 */
    0x48, 0x89, 0xc1,                                           /* mov %rax,%rcx */
    0x48, 0x89, 0xc2,                                           /* mov %rax,%rdx */
    0x48, 0xc1, 0xea, 0x09,                                     /* shr $0x9,%rdx */
    0x48, 0xb8, 0x53, 0x5a, 0x9b, 0xa0, 0x2f, 0xb8, 0x44, 0x00, /* movabs $0x44b82fa09b5a53,%rax */
    0x48, 0xf7, 0xe2,                                           /* mul %rdx */
    0x48, 0xc1, 0xea, 0x0b,                                     /* shr $0xb,%rdx */
    0x48, 0x69, 0xc2, 0x00, 0xca, 0x9a, 0x3b,                   /* imul $0x3b9aca00,%rdx,%rax */
    0x48, 0x29, 0xc1,                                           /* sub %rax,%rcx */
    0x48, 0x69, 0xc9, 0xd3, 0x4d, 0x62, 0x10,                   /* imul $0x10624dd3,%rcx,%rcx */
    0x48, 0xc1, 0xe9, 0x26,                                     /* shr $0x26,%rcx */
    0x48, 0x89, 0x17,                                           /* mov %rdx,(%rdi) */
    0x48, 0x89, 0x4f, 0x08,                                     /* mov %rcx,0x8(%rdi) */
    0x31, 0xc0,                                                 /* xor %eax,%eax */
    0xc3,                                                       /* ret */
    0xb8, 0x60, 0x00, 0x00, 0x00,                               /* mov $0x60,%eax */
    0x0f, 0x05,                                                 /* syscall */
    0xc3,                                                       /* ret */
    0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
    /* __vdso_time: 0xb0 */
    0xb8, 0x05, 0x00, 0x00, 0x00,                               /* mov $0x5,%eax */
    0x0f, 0xb9, 0x84, 0x24, 0x76, 0x69, 0x73, 0x72,             /* the clock in rax */
    0x48, 0x85, 0xc0,                                           /* test %rax,%rax */
    0x78, 0x24,                                                 /* js e6 */
    0x48, 0x89, 0xc2,                                           /* mov %rax,%rdx */
    0x48, 0xc1, 0xea, 0x09,                                     /* shr $0x9,%rdx */
    0x48, 0xb8, 0x53, 0x5a, 0x9b, 0xa0, 0x2f, 0xb8, 0x44, 0x00, /* movabs $0x44b82fa09b5a53,%rax */
    0x48, 0xf7, 0xe2,                                           /* mul %rdx */
    0x48, 0xc1, 0xea, 0x0b,                                     /* shr $0xb,%rdx */
    0x48, 0x89, 0xd0,                                           /* mov %rdx,%rax */
    0x48, 0x85, 0xff,                                           /* test %rdi,%rdi */
    0x74, 0x03,                                                 /* je e5 */
    0x48, 0x89, 0x07,                                           /* mov %rax,(%rdi) */
    0xc3,                                                       /* ret */
    0xb8, 0xc9, 0x00, 0x00, 0x00,                               /* mov $0xc9,%eax */
    0x0f, 0x05,                                                 /* syscall */
    0xc3,                                                       /* ret */
    0xcc, 0xcc,
    /* __vdso_clock_getres: 0xf0 */
    0x83, 0xff, 0x01,                               /* cmp $0x1,%edi */
    0x77, 0x17,                                     /* ja 10c */
    0x48, 0x85, 0xf6,                               /* test %rsi,%rsi */
    0x74, 0x0f,                                     /* je 109 */
    0x48, 0xc7, 0x06, 0x00, 0x00, 0x00, 0x00,       /* movq $0x0,(%rsi) */
    0x48, 0xc7, 0x46, 0x08, 0x01, 0x00, 0x00, 0x00, /* movq $0x1,0x8(%rsi) */
    0x31, 0xc0,                                     /* xor %eax,%eax */
    0xc3,                                           /* ret */
    0xb8, 0xe5, 0x00, 0x00, 0x00,                   /* mov $0xe5,%eax */
    0x0f, 0x05,                                     /* syscall */
    0xc3,                                           /* ret */
    0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc,
    /* __vdso_getcpu: 0x120 */
    0xb8, 0x35, 0x01, 0x00, 0x00, /* mov $0x135,%eax */
    0x0f, 0x05,                   /* syscall */
    0xc3,                         /* ret */
};
/* clang-format on */

static const struct linux_vdso_symbol symbols[] = {
    {"__vdso_clock_gettime", 0x0, 0x46}, {"__vdso_gettimeofday", 0x50, 0x5b}, {"__vdso_time", 0xb0, 0x3e},
    {"__vdso_clock_getres", 0xf0, 0x24}, {"__vdso_getcpu", 0x120, 0x8},
};

const struct linux_vdso amd64_vdso = {
    .version = "LINUX_2.6",
    .symbols = symbols,
    .symbol_count = ARRAY_SIZE(symbols),
    .code = code,
    .code_size = sizeof code,
    .frameless_size = sizeof code,
    .return_register = 16,
    .stack_register = 7,
    .return_address_size = 8,
};
