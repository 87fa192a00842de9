/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * core: what the parts of the x86 architecture share that touch a CPU's registers and its memory together:
 * segments, control transfers, interrupts.
 *
 * A function that may raise an exception returns 0, or X86_RAISED with `exception` filled in and the
 * registers as they were before the instruction, unless it says otherwise. Nothing here knows which engine
 * runs the CPU.
 */
#ifndef VISOR_ARCH_X86_CORE_H
#define VISOR_ARCH_X86_CORE_H

#include <stdbool.h>

#include "arch/x86/paging.h"
#include "arch/x86/state.h"

#define X86_RAISED (-1)

/* Intel SDM volume 3, table 6-1 */
enum x86_exception_vector {
    X86_DE = 0,
    X86_DB = 1,
    X86_NMI = 2,
    X86_BP = 3,
    X86_OF = 4,
    X86_BR = 5,
    X86_UD = 6,
    X86_NM = 7,
    X86_DF = 8,
    X86_TS = 10,
    X86_NP_FAULT = 11,
    X86_SS_FAULT = 12,
    X86_GP = 13,
    X86_PF = 14,
    X86_MF = 16,
    X86_AC = 17,
    X86_MC = 18,
    X86_XM = 19,
};

/* How an interrupt or exception came to be. */
enum x86_event_kind {
    X86_EVENT_EXCEPTION,
    /* INT n, INT3, INTO: rip is behind the instruction, and the gate's DPL counts. That virtual-8086 mode's
     * INT n needs an IOPL of 3 is the caller's to see to. */
    X86_EVENT_SOFTWARE,
    X86_EVENT_INT1,     /* as SOFTWARE, but the DPL does not count */
    X86_EVENT_EXTERNAL, /* NMI, too */
};

struct x86_exception {
    uint8_t vector;
    uint8_t kind;   /* enum x86_event_kind, */
    uint8_t length; /* and the instruction's: of what only x86_emulate() raises */
    bool has_error;
    uint32_t error;
    uint64_t address; /* of a page fault: becomes CR2 when it is delivered */
    bool in_new_task; /* raised once a task switch was done: rip is the new task's and stays */
};

struct x86_core;

/* How the CPU's memory is reached, by linear address, through its page tables. */
struct x86_linear {
    /* `system`: the processor's own access, to a descriptor table or TSS or an inner stack, which is not the
     * program's: made as supervisor at any CPL. A fault: X86_RAISED with core->exception. */
    int (*read)(struct x86_core *core, uint64_t linear, void *buffer, unsigned size, bool system);
    int (*write)(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size, bool system);
};

struct x86_core {
    struct x86_state *state;
    const struct x86_linear *linear;
    void *owner; /* of the callbacks */
    struct x86_exception exception;
};

static inline bool x86_protected(const struct x86_state *s)
{
    return s->cr0 & X86_CR0_PE;
}

static inline bool x86_vm86(const struct x86_state *s)
{
    return s->eflags_system & X86_EFLAGS_VM;
}

/* Neither real-address nor virtual-8086 mode: selectors name descriptors. */
static inline bool x86_has_descriptors(const struct x86_state *s)
{
    return x86_protected(s) && !x86_vm86(s);
}

static inline bool x86_long_mode(const struct x86_state *s)
{
    return s->efer & X86_EFER_LMA;
}

/* SS has it, and not the selector of CS: that is still real-address mode's after CR0.PE is set. */
static inline unsigned x86_cpl(const struct x86_state *s)
{
    return !x86_protected(s) ? 0 : x86_vm86(s) ? 3 : s->segment[X86_SS].attributes >> 5 & 3u;
}

/* What kind of code runs. */
static inline enum x86_code x86_code_of(const struct x86_state *s)
{
    const unsigned attributes = s->segment[X86_CS].attributes;
    if (x86_long_mode(s) && attributes & 1 << 13) /* L */
        return X86_CODE_64;
    return x86_has_descriptors(s) && attributes & 1 << 14 ? X86_CODE_32 : X86_CODE_16; /* D */
}

/* Whether accesses that are not aligned are #AC. */
static inline bool x86_checks_alignment(const struct x86_state *s)
{
    return s->eflags_system & X86_EFLAGS_AC && s->cr0 & X86_CR0_AM && x86_cpl(s) == 3;
}

static inline int x86_raise_plain(struct x86_core *core, unsigned vector)
{
    core->exception = (struct x86_exception){.vector = (uint8_t)vector};
    return X86_RAISED;
}

static inline int x86_raise_error(struct x86_core *core, unsigned vector, uint32_t error)
{
    core->exception = (struct x86_exception){.vector = (uint8_t)vector, .has_error = true, .error = error};
    return X86_RAISED;
}

static inline bool x86_canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

#endif
