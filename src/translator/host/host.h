/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host: the border between the translator and the processor that it generates code for. One folder
 * under translator/host/ implements these functions.
 *
 * Convention of generated code: at the entry of every block, and at every exit, the guest
 * registers with the lowest ranks are in fixed host registers ("pinned"), all others in the CPU
 * structure, condition flags in the CPU structure, temporaries dead. So blocks can be joined by
 * a plain jump.
 *
 * Calls and returns of the guest are calls and returns of the host: CALL_* pushes the guest
 * return address, then calls; RETURN compares the guest's target with what was pushed and, if
 * equal, returns; else it looks the target up as any indirect branch. The host stack of generated code (the return
 * stack) holds nothing but such pairs, so that it may be dropped at any time.
 */
#ifndef VISOR_TRANSLATOR_HOST_H
#define VISOR_TRANSLATOR_HOST_H

#include "translator/guest.h"

/* Fixed routines that the host emits once, at the start of the code cache. */
enum host_routine {
    HOST_ENTER,       /* C: void enter(struct translator_cpu *cpu, const void *code) */
    HOST_ENTER_CHECK, /* in HOST_ENTER: from here, where cpu->interrupt is looked at (if set, leaves with */
    HOST_ENTER_END,   /* TRANSLATOR_INTERRUPTED), to here only temporaries and pins are written: restartable */
    HOST_LEAVE,       /* stores pinned registers and goes back to enter()'s caller; exit_reason is set */
    HOST_LINK,        /* eax = number of an unlinked exit: leaves with TRANSLATOR_LINK */
    HOST_LOOKUP,      /* target in rax: stores it as the guest pc, leaves with TRANSLATOR_LOOKUP */
    HOST_RAISE,       /* (host private) */
    HOST_CALL_HELPER, /* (host private) */
    HOST_CALL_EVAL,   /* (host private) */
    HOST_FIX_NAN,     /* (host private) */
    HOST_ROUTINE_COUNT,
};

/* Initial translator_cpu.fp_control: round to nearest, all exceptions masked, none raised (MXCSR). */
#define HOST_FP_CONTROL_INIT 0x1f80u

/* Where an exit of a block can be linked to another block: a 32-bit relative displacement, aligned to
 * four bytes, at `slot`. Unlinked, it leads to `stub`, which loads the exit's number and jumps to
 * HOST_LINK. */
struct host_exit {
    uint32_t slot;      /* offset in the block's code of the displacement */
    uint32_t stub;      /* offset of the stub */
    uint32_t number;    /* offset of the stub's 32-bit immediate that takes the exit's number */
    uint64_t target;    /* guest address */
};

/* [start, end) changes no state but temporaries and may be begun again from `start`: the code of an indirect
 * exit, up to and including the jump. */
struct host_restart {
    uint32_t start, end;
};

/* A 32-bit displacement relative to its own end that must lead to a fixed routine. */
struct host_reloc {
    uint32_t offset;
    enum host_routine routine;
};

#define HOST_EXITS_MAX (2 * IR_REGION_GUEST_MAX + 4)
#define HOST_RELOCS_MAX 2048
#define HOST_CODE_MAX (256 * 1024)

/* The code of one block, position-independent but for its relocations. */
struct host_code {
    uint32_t size;
    unsigned exit_count, restart_count, reloc_count, insn_count;
    bool overflow; /* did not fit: translate a shorter region */
    struct host_exit exits[HOST_EXITS_MAX];
    struct host_restart restarts[IR_REGION_GUEST_MAX + 4];
    struct host_reloc relocs[HOST_RELOCS_MAX];
    /* Guest instruction i (address insn_pc[i]) covers host code from insn_start[i]; and the cold code,
     * which lies behind the hot code, is described by further entries with insn_cold set by order:
     * entries are ascending by `start`, and the last with start <= offset names the instruction. */
    struct {
        uint32_t start;
        uint32_t pc_delta; /* guest address - region->guest_start */
    } insns[4 * IR_REGION_GUEST_MAX + 16];
    uint8_t bytes[HOST_CODE_MAX];
};

/* Whether this processor has what the generated code needs. 0, or -ENOTSUP with the missing feature named. */
int host_probe(struct error *error);

/*
 * Makes the code of a region. `code` is the caller's workspace. `exit_flags_dead(context, pc)` answers
 * whether an exit to pc need not store the flags.
 */
void host_emit(const struct guest_isa *isa, const struct ir_region *region,
               bool (*exit_flags_dead)(void *context, uint64_t pc), void *context, struct host_code *code);

/* Writes the fixed routines to `bytes` (at most `size`), fills their offsets; returns the bytes used. */
size_t host_emit_routines(const struct guest_isa *isa, uint8_t *bytes, size_t size,
                          uint32_t offsets[HOST_ROUTINE_COUNT]);

/* The guest state that generated code held in host registers when a signal came: copies pinned
 * registers from the signal's context to the CPU structure. */
struct ucontext_t;
void host_save_context(const struct guest_isa *isa, struct translator_cpu *cpu, const void *ucontext);

/* The context's instruction pointer and stack pointer, to read and to redirect. */
uint64_t host_context_pc(const void *ucontext);
void host_context_set_pc(void *ucontext, uint64_t pc);
uint64_t host_context_sp(const void *ucontext);
void host_context_set_sp(void *ucontext, uint64_t sp);
/* True if the fault in the context was a write. */
bool host_context_is_write(const void *ucontext);

/* A trace of host code: Intel syntax, one line per instruction. */
void host_disassemble(FILE *stream, const uint8_t *bytes, size_t size, uint64_t address);

#endif
