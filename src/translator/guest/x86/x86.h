/* SPDX-License-Identifier: GPL-2.0-or-later */
/* x86: the x86 guest of the translator. */
#ifndef VISOR_TRANSLATOR_GUEST_X86_H
#define VISOR_TRANSLATOR_GUEST_X86_H

#include "arch/x86/state.h"
#include "translator/guest.h"
#include "translator/tlb.h"

struct x86_cpu {
    struct translator_cpu common;
    struct x86_state state;
    uint64_t pc; /* of generated code: a linear address; state.rip, which counts in CS, is the owner's */
    /* X86_MODE_* that code is translated for; follows from `state`, and the owner keeps it so, but that STAC
     * and CLAC change its TLB by themselves. */
    uint64_t mode;
    uint64_t waiting; /* X86_EFLAGS_IF: an interrupt is about to be delivered once that flag is set */
    uint64_t (*tsc)(const struct x86_cpu *cpu); /* RDTSC; NULL: it is the owner's */
    /* By segment, with X86_MODE_CHECKED: accesses that end at these offsets or before need no other look;
     * follows from `state` as `mode` does. */
    uint64_t read_reach[X86_SEGMENT_COUNT], write_reach[X86_SEGMENT_COUNT];
    void (*pause)(struct x86_cpu *cpu); /* PAUSE, which does nothing else; may be NULL */
};

/* The x87's registers are in state.x87 from here on, not in the host's unit: before anybody looks at them
 * there or changes them. To be called on the CPU's thread. */
void x86_x87_settle(struct x86_cpu *cpu);

/* After TRANSLATOR_TARGET: takes back what the branch at pc, whose bytes these are, has done to the stack
 * pointer. The return address of a CALL stays in memory. */
void x86_undo_branch(struct x86_cpu *cpu, const uint8_t *code, size_t size);

/* The bits X86_MODE_*_TRAPS and X86_MODE_ALIGNED. */
unsigned x86_exact_mode(const struct x86_cpu *cpu);
/* Gives the mode these bits, for owners of user programs who change control words or EFLAGS. */
void x86_update_exact_mode(struct x86_cpu *cpu);
/* Fills read_reach and write_reach; X86_MODE_CHECKED, with X86_MODE_LIMITED if need be. Not of 64-bit code.
 */
unsigned x86_update_reach(struct x86_cpu *cpu);

/* The TLBs of a CPU in system mode, by who accesses. */
enum x86_tlb {
    X86_TLB_USER,
    X86_TLB_SYSTEM,   /* user pages may be out of reach (CR4.SMAP) */
    X86_TLB_EXPLICIT, /* supervisor, with EFLAGS.AC set */
    X86_TLB_COUNT,
};

struct x86_system_cpu {
    struct x86_cpu x86;
    _Alignas(64) struct tlb tlbs[X86_TLB_COUNT];
};

/* Indices into guest_isa.registers, for GET and SET. */
enum x86_register {
    X86_REGISTER_GPR = 0,     /* .. 15, in the order of enum x86_gpr */
    X86_REGISTER_XMM = 16,    /* .. 31 */
    X86_REGISTER_DF = 32,     /* 1 or -1 */
    X86_REGISTER_EFLAGS = 33, /* eflags_system */
    X86_REGISTER_BASE = 34,   /* .. 39, in the order of enum x86_segment */
    X86_REGISTER_SEGMENT = X86_REGISTER_BASE + X86_SEGMENT_COUNT, /* .. 45: the selector in the low 16 bits */
    X86_REGISTER_KERNEL_GS = X86_REGISTER_SEGMENT + X86_SEGMENT_COUNT,
    X86_REGISTER_MODE,
    X86_REGISTER_WAITING,
    X86_REGISTER_TSC, /* whether RDTSC may be executed here */
    X86_REGISTER_X87, /* its low 16 bits: the x87's control word */
    X86_REGISTER_READ_REACH,
    X86_REGISTER_WRITE_REACH = X86_REGISTER_READ_REACH + X86_SEGMENT_COUNT,
    X86_REGISTER_END_REACH = X86_REGISTER_WRITE_REACH + X86_SEGMENT_COUNT - 1,
    X86_REGISTER_COUNT,
};

/*
 * region->mode: what the lifter must know of the CPU's state. 0 is a 64-bit user program. Guest addresses of
 * code are linear ones: EIP plus CS's base.
 */
enum x86_mode {
    X86_MODE_CODE = 3,           /* mask: enum x86_code */
    X86_MODE_STACK16 = 1 << 2,   /* the stack pointer is SP; only of 16- and 32-bit code */
    X86_MODE_SEGMENTED = 1 << 3, /* CS, SS, DS or ES has another base than 0; not of 64-bit code */
    X86_MODE_SYSTEM =
        1 << 4, /* CPL or IOPL allow more than a user program may: POPF, CLI ... are the owner's */
    /* mask: enum x86_tlb, or OUTER: CPL 1 or 2, as SYSTEM */
    X86_MODE_TLB = 3 << 5,
    X86_MODE_NO_FPU = 1 << 7,    /* CR0 or CR4 forbid some of x87, MMX and SSE: all of them are the owner's */
    X86_MODE_SSE_TRAPS = 1 << 8, /* MXCSR, in fp_control, has exceptions that are not masked */
    X86_MODE_X87_TRAPS = 1 << 9, /* so has the x87's control word: x87 and MMX are the owner's */
    X86_MODE_ALIGNED = 1 << 10,  /* CR0.AM and EFLAGS.AC at CPL 3: what is not aligned is #AC */
    /* Only of 16- and 32-bit code; what is not flat has a limit, or cannot be written. */
    X86_MODE_CHECKED = 1 << 11,       /* accesses by CS, FS and GS are compared with the reach, */
    X86_MODE_LIMITED = 1 << 12,       /* so are all others: SS, DS or ES is not flat */
    X86_MODE_BY_DESCRIPTOR = 1 << 13, /* for TRANSLATOR_SEGMENT: all are compared with the descriptor */
};
#define X86_MODE_TLB_SHIFT 5
#define X86_MODE_OUTER     3u

static inline enum x86_tlb x86_mode_tlb(unsigned mode)
{
    const unsigned tlb = (mode & X86_MODE_TLB) >> X86_MODE_TLB_SHIFT;
    return tlb == X86_MODE_OUTER ? X86_TLB_SYSTEM : (enum x86_tlb)tlb;
}

/* What is translated, for x86_decode(). */
struct x86_opcodes;
extern const struct x86_opcodes x86_lift_opcodes;

extern const struct guest_isa x86_guest;        /* user mode */
extern const struct guest_isa x86_system_guest; /* system mode; its CPUs are struct x86_system_cpu */

#endif
