/* SPDX-License-Identifier: GPL-2.0-or-later */
/* engine_kernels: where things are in the guests of test_engine_translate.c, for C and assembly. */
#ifndef VISOR_TESTS_UNIT_ENGINE_KERNELS_H
#define VISOR_TESTS_UNIT_ENGINE_KERNELS_H

#define RAM_SIZE (16 << 20)

#define PML4            0x1000
#define TABLES          0x100000 /* what the test makes behind the PML4 */
#define TABLES_END      0x140000
#define IDT             0x8000
#define GDT             0x9000
#define BOOT_GDTR       0x9800
#define TSS             0xa000
#define LOG             0xb000 /* a count, then entries of 64 bytes from LOG + 64 on */
#define COUNTER         0xc000
#define DONE            0xc010
#define PTE_OF_READ     0xc020 /* addresses of entries */
#define PTE_OF_OTHER    0xc028
#define PTE_OF_GLOBAL   0xc030
#define SCRATCH         0xd000
#define TRAMPOLINE      0xe000
#define KERNEL          0x10000
#define KERNEL_STACK    0x2f000
#define USER_STACK_PAGE 0x30000
#define PAGES           0x40000    /* physical memory of the pages at PAGES_LINEAR */
#define USER            0x50000000 /* linear */
#define USER_STACK      0x60000ff0
#define PAGES_LINEAR    0x40000000

/* At PAGES_LINEAR */
#define ABSENT_PAGE   0x0000
#define READONLY_PAGE 0x1000
#define NX_PAGE       0x2000
#define RESERVED_PAGE 0x3000
#define READ_PAGE     0x4000
#define WRITTEN_PAGE  0x5000 /* the one behind is absent */
#define USER_PAGE     0x7000
#define GLOBAL_PAGE   0x8000
#define OTHER_PAGE    0x9000

#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER32_CODE 0x1b
#define USER_DATA   0x23
#define USER_CODE   0x2b
#define TASK        0x30
#define BOOT_CODE32 0x40
#define SMALL_DATA  0x4b /* the first page of the user's stack, */
#define DOWN_DATA   0x53 /* it from 800h on, expanding down, */
#define FIXED_DATA  0x5b /* it, but not to be written */

#define DEVICE      0xd0000000
#define PORT_FINISH 0xf4
#define UNEXPECTED  0xdead

#define LAPIC               0x70000000 /* linear */
#define LAPIC_EOI           (LAPIC + 0xb0)
#define LAPIC_SVR           (LAPIC + 0xf0)
#define LAPIC_ICR_LOW       (LAPIC + 0x300)
#define LAPIC_LVT_TIMER     (LAPIC + 0x320)
#define LAPIC_TIMER_INITIAL (LAPIC + 0x380)
#define LAPIC_TIMER_DIVIDE  (LAPIC + 0x3e0)

#endif
