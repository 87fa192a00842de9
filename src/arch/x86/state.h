/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86 state: the registers of one x86 CPU, all modes.
 *
 * This struct belongs to the architecture, not to an engine: whatever runs the CPU keeps its state here
 * whenever it is not running guest code. Specification: Intel SDM volume 1, chapter 3, volume 3, chapter 2.
 */
#ifndef VISOR_ARCH_X86_STATE_H
#define VISOR_ARCH_X86_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/nzcv.h"
#include "base/vector.h"

/* In the order of their encoding. */
enum x86_gpr {
    X86_RAX,
    X86_RCX,
    X86_RDX,
    X86_RBX,
    X86_RSP,
    X86_RBP,
    X86_RSI,
    X86_RDI,
    X86_R8,
    X86_R9,
    X86_R10,
    X86_R11,
    X86_GPR_COUNT = 16,
};

enum x86_segment { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SEGMENT_COUNT };

/* Kinds of code segments. */
enum x86_code { X86_CODE_64, X86_CODE_32, X86_CODE_16 };

#define X86_INSTRUCTION_MAX 15 /* bytes */

/* Memory type range registers. */
enum { X86_MTRR_FIXED = 11, X86_MTRR_VARIABLE = 8 };

/* EFLAGS, RFLAGS: volume 1, 3.4.3 */
enum {
    X86_EFLAGS_CF = 1 << 0,
    X86_EFLAGS_ONE = 1 << 1,
    X86_EFLAGS_PF = 1 << 2,
    X86_EFLAGS_AF = 1 << 4,
    X86_EFLAGS_ZF = 1 << 6,
    X86_EFLAGS_SF = 1 << 7,
    X86_EFLAGS_TF = 1 << 8,
    X86_EFLAGS_IF = 1 << 9,
    X86_EFLAGS_DF = 1 << 10,
    X86_EFLAGS_OF = 1 << 11,
    X86_EFLAGS_IOPL = 3 << 12,
    X86_EFLAGS_NT = 1 << 14,
    X86_EFLAGS_RF = 1 << 16,
    X86_EFLAGS_VM = 1 << 17,
    X86_EFLAGS_AC = 1 << 18,
    X86_EFLAGS_VIF = 1 << 19,
    X86_EFLAGS_VIP = 1 << 20,
    X86_EFLAGS_ID = 1 << 21,
    /* The condition flags, which have a word of their own, and the direction. */
    X86_EFLAGS_CONDITIONS =
        X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_OF,
    X86_EFLAGS_ALL = 0x3f7fd7, /* the rest is reserved */
    /* What POPF changes at any privilege. */
    X86_EFLAGS_USER =
        X86_EFLAGS_CONDITIONS | X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_NT | X86_EFLAGS_AC | X86_EFLAGS_ID,
};

/* What a segment register holds beyond its base, which generated code reads: see `segment_base`. */
struct x86_segment_register {
    uint16_t selector;
    uint16_t attributes; /* bits 8 to 23 of the descriptor's second word without the limit's part */
    uint32_t limit;      /* of the last byte: granularity is applied */
};

struct x86_table_register {
    uint64_t base;
    uint16_t limit;
};

enum x86_activity { X86_ACTIVE, X86_HALTED, X86_WAITS_FOR_SIPI };

struct x86_state {
    uint64_t gpr[X86_GPR_COUNT];
    uint64_t rip;
    uint16_t flags; /* CF PF AF ZF SF OF, packed as NZCV_* says */
    uint16_t reserved;
    uint32_t mxcsr;         /* sticky flags gathered so far; the host FPU may hold more */
    uint64_t df;            /* the direction flag as what string instructions go on by: 1 or -1 */
    uint64_t eflags_system; /* the other bits of EFLAGS, where EFLAGS has them */
    union vector128 xmm[16];
    union vector128 xmm_upper[16];                 /* of the YMM registers */
    uint8_t x87[512] __attribute__((aligned(16))); /* as FXSAVE writes it, but for MXCSR and XMM */

    uint8_t activity;                 /* enum x86_activity */
    uint8_t nmi_pending, nmi_blocked; /* NMIs that wait; 1: they wait for IRET */

    uint64_t segment_base[X86_SEGMENT_COUNT];
    struct x86_segment_register segment[X86_SEGMENT_COUNT];
    struct x86_segment_register ldtr, tr;
    uint64_t ldtr_base, tr_base;
    struct x86_table_register gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t dr[8];
    uint64_t efer;
    uint64_t star, lstar, cstar, sfmask;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t kernel_gs_base;
    uint64_t tsc_offset, tsc_aux;

    uint64_t tsc_adjust;
    uint64_t pdpte[4]; /* of PAE paging: as they were when CR3 was loaded */
    uint64_t xcr0;     /* bit 0 counts as set */
    uint64_t pat, misc_enable, debugctl, spec_ctrl;
    uint64_t mtrr_def_type, mtrr_fixed[X86_MTRR_FIXED], mtrr_base[X86_MTRR_VARIABLE],
        mtrr_mask[X86_MTRR_VARIABLE];
    uint8_t interrupt_shadow;                         /* enum x86_shadow */
    uint8_t pv_async_vector, pv_async_owed;           /* of engine/async_fault.h; 1: to tell the end of all */
    uint64_t pv_async_fault;                          /* likewise: what enables it */
    uint64_t pv_time, pv_wall;                        /* MSRs of KVM's clock: see engine/pvclock.h */
    uint64_t pv_steal_time, pv_eoi;                   /* likewise, of engine/pv_msr.h */
    uint64_t hv_guest_os, hv_hypercall, hv_time_page; /* of engine/hyperv.h: of the whole machine */
};

/* What the last instruction puts off until the next one is done: interrupts. If it loaded SS, traps of single
 * steps, too. */
enum x86_shadow { X86_SHADOW_NONE, X86_SHADOW_STI, X86_SHADOW_STACK };

/* XCR0 */
enum { X86_XCR0_X87 = 1 << 0, X86_XCR0_SSE = 1 << 1, X86_XCR0_ALL = X86_XCR0_X87 | X86_XCR0_SSE };

static inline uint64_t x86_xcr0(const struct x86_state *s)
{
    return s->xcr0 | X86_XCR0_X87;
}

/* The whole of RFLAGS. */
static inline uint64_t x86_eflags_get(const struct x86_state *s)
{
    uint32_t f = s->flags;
    return s->eflags_system | X86_EFLAGS_ONE | (f & NZCV_B ? X86_EFLAGS_CF : 0) |
           (f & NZCV_P ? X86_EFLAGS_PF : 0) | (f & NZCV_A ? X86_EFLAGS_AF : 0) |
           (f & NZCV_Z ? X86_EFLAGS_ZF : 0) | (f & NZCV_N ? X86_EFLAGS_SF : 0) |
           (f & NZCV_V ? X86_EFLAGS_OF : 0) | (s->df >> 63 ? X86_EFLAGS_DF : 0);
}

static inline void x86_eflags_set(struct x86_state *s, uint64_t eflags)
{
    s->flags = (uint16_t)((eflags & X86_EFLAGS_CF ? NZCV_B : 0) | (eflags & X86_EFLAGS_PF ? NZCV_P : 0) |
                          (eflags & X86_EFLAGS_AF ? NZCV_A : 0) | (eflags & X86_EFLAGS_ZF ? NZCV_Z : 0) |
                          (eflags & X86_EFLAGS_SF ? NZCV_N : 0) | (eflags & X86_EFLAGS_OF ? NZCV_V : 0));
    s->df = eflags & X86_EFLAGS_DF ? ~0ull : 1;
    s->eflags_system = eflags & ~(uint64_t)(X86_EFLAGS_CONDITIONS | X86_EFLAGS_DF | X86_EFLAGS_ONE);
}

#endif
