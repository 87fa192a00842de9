/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emulate: the instructions that are too rare or too privileged to be translated, one at a time: far
 * transfers, control and debug registers, descriptor tables, MSRs, ports, CPUID, FXSAVE and XSAVE, the x87's
 * environment, MMX and the like. For whichever engine or personality cannot do them by itself.
 */
#ifndef VISOR_ARCH_X86_EMULATE_H
#define VISOR_ARCH_X86_EMULATE_H

#include "arch/x86/core.h"
#include "arch/x86/model.h"

enum x86_flush {
    X86_FLUSH_ALL,        /* every translation, global ones too */
    X86_FLUSH_NOT_GLOBAL, /* MOV to CR3, of the new PCID; `linear` 1: they may stay */
    X86_FLUSH_PAGE,       /* INVLPG; of all sizes */
    X86_FLUSH_PCID,       /* what is not global of the PCID `linear` */
};

/* What surrounds the processor. A user program's has no ports, MSRs or paging: NULL there raises #GP. */
struct x86_platform {
    void *opaque;
    const struct x86_model *model;
    struct x86_topology topology;
    uint32_t (*port_read)(void *opaque, uint16_t port, unsigned size); /* 1, 2 or 4 bytes */
    void (*port_write)(void *opaque, uint16_t port, unsigned size, uint32_t value);
    /* MSRs that the emulator does not know, the local APIC's above all. False: #GP. */
    bool (*msr_read)(void *opaque, uint32_t msr, uint64_t *value);
    bool (*msr_write)(void *opaque, uint32_t msr, uint64_t value);
    uint64_t (*cr8_read)(void *opaque);
    void (*cr8_write)(void *opaque, uint64_t value);
    uint64_t (*tsc)(void *opaque); /* without the guest's own offset */
    /* VMCALL and VMMCALL at CPL 0, if CPUID shows KVM's interface: RAX, and RBX, RCX, RDX, RSI. The result is
     * for RAX. NULL: they raise #UD, as they do in processors that show no KVM. */
    uint64_t (*hypercall)(void *opaque, uint64_t number, const uint64_t arguments[4]);
    /* 8 bytes of guest memory, for the PDPTEs of PAE paging. False: there is none. NULL: they are zero. */
    bool (*physical_read)(void *opaque, uint64_t physical, unsigned size, uint64_t *value);
    /* The page tables, or what of CR0, CR3, CR4 and EFER decides about them, are new. */
    void (*flush)(void *opaque, enum x86_flush what, uint64_t linear);
};

enum x86_emulated {
    X86_EMULATED,          /* done; the registers say where it goes on */
    X86_EMULATE_EXCEPTION, /* for x86_deliver(core, x86_exception_event(core)): INT n and its kin, too */
    X86_EMULATE_HALT,      /* HLT: done, rip is behind it */
    X86_EMULATE_AGAIN,     /* a string instruction: some elements are done, rip is at it still */
};

/*
 * Executes the instruction at rip, whose bytes and length are given (1 to 15, all of it). rip counts in CS,
 * as arch/x86 does everywhere. All of the state is what it reads and changes: whoever keeps MXCSR, the TPR or
 * anything else elsewhere brings it up to date before and takes it from there afterwards.
 * state->interrupt_shadow is set by STI and by MOV and POP to SS; who executes the next instruction clears
 * it.
 */
enum x86_emulated x86_emulate(struct x86_core *core, const struct x86_platform *platform, const uint8_t *code,
                              unsigned length);

/* The length of the instruction that begins with these bytes of at most `size`, if x86_emulate() executes it;
 * else 0. */
unsigned x86_emulate_length(const struct x86_state *state, const uint8_t *code, unsigned size);

/* What RDMSR and WRMSR do at CPL 0. False: #GP(0), and nothing has changed. */
bool x86_msr_read(struct x86_state *state, const struct x86_platform *platform, uint32_t msr,
                  uint64_t *value);
bool x86_msr_write(struct x86_state *state, const struct x86_platform *platform, uint32_t msr,
                   uint64_t value);

/* After x86_deliver(), by a task gate, has loaded another CR3. */
void x86_task_switched(struct x86_core *core, const struct x86_platform *platform);

#endif
