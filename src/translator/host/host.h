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
 * Calls and returns of the guest are calls and returns of the host. The host stack of generated code (the
 * return stack) holds nothing but the host return addresses of guest calls, so that it may be dropped at any
 * time (host_reset_return_stack). At a host return address lies the jump to the guest's return address,
 * followed at HOST_RETURN_GUEST bytes by that guest address as data. RETURN compares its target with it and,
 * if equal, returns; else it looks the target up as any indirect branch. When the stack is full, the host's
 * call instruction faults on the guard page with nothing changed: reset the stack and go on.
 */
#ifndef VISOR_TRANSLATOR_HOST_H
#define VISOR_TRANSLATOR_HOST_H

#include "translator/guest.h"

#define HOST_RETURN_GUEST 8

/* Fixed routines that the host emits once, at the start of the code cache. */
enum host_routine {
    HOST_ENTER,           /* C: void enter(struct translator_cpu *cpu, const void *code) */
    HOST_LEAVE,           /* stores pinned registers and goes back to enter()'s caller; exit_reason is set */
    HOST_LINK,            /* eax = number of an unlinked exit: leaves with TRANSLATOR_LINK */
    HOST_LOOKUP,          /* target in rax: stores it as the guest pc, leaves with TRANSLATOR_LOOKUP */
    HOST_RAISE,           /* (host private) */
    HOST_RETURN_MISS,     /* (host private) a RETURN whose target is not what the return stack says */
    HOST_RETURN_SENTINEL, /* lies at the bottom of an empty return stack: see host_reset_return_stack() */
    HOST_CALL_HELPER,     /* the first of those that call C, which lie behind all others (host private); */
    HOST_CALL_EVAL,       /* cpu->helper_return is where they go on */
    HOST_EVAL_COLD,       /* (host private) */
    HOST_MEMORY,          /* (host private) cpu->access by the CPU's memory function, */
    HOST_REACH,           /* by cpu->reach */
    /* Not routines but places within them: pairs [start, end) that may be begun again from `start`, as a
     * host_restart of a block. */
    HOST_ENTER_CHECK_START, /* enter()'s test of cpu->interrupt, up to and including the jump to the code */
    HOST_ENTER_CHECK_END,
    HOST_RETURN_MISS_START,
    HOST_RETURN_MISS_END,
    HOST_ROUTINE_COUNT,
};

/* Initial translator_cpu.fp_control: round to nearest, all exceptions masked, none raised (MXCSR). */
#define HOST_FP_CONTROL_INIT 0x1f80u

/* Where an exit of a block can be linked to another block: a 32-bit relative displacement, within eight
 * aligned bytes, at `slot`. Unlinked, it leads to `stub`, which loads the exit's number and jumps to
 * HOST_LINK. */
#define HOST_STUB_NUMBER 1 /* offset in the stub of the 32 bits that take the exit's number */
struct host_exit {
    uint32_t slot;   /* offset in the block's code of the displacement */
    uint32_t stub;   /* offset of the stub */
    uint64_t target; /* guest address */
    /* Where the guest's flags are stored before they leave by `slot`: the displacement of the jump to
     * `store`, where that is done. To a block that sets the flags before it reads them it may lead at once.
     * 0: none. */
    uint32_t direct, store;
    bool careful; /* from before the instruction at `target`, to code for it without REACHes */
    bool probe; /* behind a TLB, to another page: it looks in the jump cache, and what is at `slot` is no link
                 */
};

/* [start, end) changes no state but temporaries and may be begun again from `start`: the code of an indirect
 * exit, up to and including the jump. */
struct host_restart {
    uint32_t start, end;
};

/* What host code belongs to: hot code in the guest's order, cold code behind it. */
struct host_insn {
    uint32_t start;         /* offset of the first byte */
    uint32_t pc_delta : 24; /* guest instruction's address - region->guest_start */
    uint32_t state : 8;     /* for host_repair_context() */
};

/* A 32-bit displacement relative to its own end that must lead to a fixed routine. */
struct host_reloc {
    uint32_t offset : 24;
    uint32_t routine : 8; /* enum host_routine */
};

/* What changes if the code of a movable region is for another address of the guest's. */
enum host_move_kind {
    HOST_MOVE_ADDRESS,    /* eight bytes: a guest address */
    HOST_MOVE_ADDRESS_32, /* four bytes: likewise */
    HOST_MOVE_JUMP,       /* four bytes: a displacement to the jump cache's entry of an address */
    HOST_MOVE_TLB,        /* likewise, to its page's entry of a TLB */
};

struct host_move {
    uint32_t offset;
    enum host_move_kind kind;
    uint64_t address; /* of the guest's */
};

#define HOST_MOVES_MAX  512
#define HOST_EXITS_MAX  (3 * IR_REGION_GUEST_MAX + 4)
#define HOST_RELOCS_MAX 2048
#define HOST_CODE_MAX   (64 * 1024) /* block_exit has offsets in 16 bits */

/* The code of one block, position-independent but for its relocations. */
struct host_code {
    uint32_t size;
    unsigned exit_count, restart_count, reloc_count, insn_count, move_count;
    bool movable;       /* `moves` has all that depends on where the region is */
    bool overflow;      /* did not fit: translate a shorter region */
    bool own_addresses; /* has addresses of visor's functions, and they differ between processes */
    bool flags_dead;    /* the block sets all flags before it reads any */
    uint32_t entry;     /* of a guarded region: where the code is behind the guard, which others lead to */
    struct host_exit exits[HOST_EXITS_MAX];
    struct host_restart restarts[IR_REGION_GUEST_MAX + 4];
    struct host_reloc relocs[HOST_RELOCS_MAX];
    struct host_move moves[HOST_MOVES_MAX];
    /* Ascending by `start`; the last with start <= offset tells of the host instruction there. */
    struct host_insn insns[6 * IR_REGION_GUEST_MAX + 16];
    uint8_t bytes[HOST_CODE_MAX];
};
_Static_assert(HOST_CODE_MAX <= 1 << 24 && HOST_ROUTINE_COUNT <= 1 << 8, "host_reloc holds both");

/* Whether this processor has what the generated code needs. 0, or -ENOTSUP with the missing feature named. */
int host_probe(struct error *error);

/*
 * Makes the code of a region. `code` is the caller's workspace. `exit_flags_dead(context, pc)` answers
 * whether an exit to pc need not store the flags.
 */
void host_emit(const struct guest_isa *isa, const struct ir_region *region,
               bool (*exit_flags_dead)(void *context, uint64_t pc), void *context, struct host_code *code);

/* Makes movable code that of the same region `distance` (whole pages, modulo 2^64) further, but for `moves`,
 * which stay as they are. False: it cannot be there; `code` is of no more use. */
bool host_move(const struct guest_isa *isa, struct host_code *code, uint64_t distance);

/* Writes the fixed routines to `bytes` (at most `size`), fills their offsets; returns the bytes used. */
size_t host_emit_routines(const struct guest_isa *isa, uint8_t *bytes, size_t size,
                          uint32_t offsets[HOST_ROUTINE_COUNT]);

/*
 * [signal] At a fault in a block's code, whose host_insn has `state`: makes the pinned registers in the
 * context and the flags in the CPU structure those of the guest in every case, so that the context may be
 * sent to HOST_LEAVE.
 */
void host_repair_context(const struct guest_isa *isa, struct translator_cpu *cpu, void *ucontext,
                         unsigned state);

/*
 * Empties the return stack: cpu->return_sp, and the stack pointer of `ucontext` (may be NULL) if it lies in
 * the return stack. `sentinel` is the address of HOST_RETURN_SENTINEL in the code cache that the CPU uses.
 * Needed before the CPU's first run, when code that the stack leads to is discarded, on overflow, and,
 * together with an empty jump cache, to make the guest come to the run loop at its next indirect branch: then
 * a context that is within a host_restart of its block or in HOST_RETURN_MISS must go back to the start of
 * that. [signal]
 */
void host_reset_return_stack(struct translator_cpu *cpu, const void *sentinel, void *ucontext);

/* The context's instruction pointer and stack pointer, to read and to redirect. */
uint64_t host_context_pc(const void *ucontext);
void host_context_set_pc(void *ucontext, uint64_t pc);
uint64_t host_context_sp(const void *ucontext);
void host_context_set_sp(void *ucontext, uint64_t sp);
/* The interrupted code's floating-point control, with flags (MXCSR). */
uint32_t host_context_fp_control(const void *ucontext);
/* What it had in the x87 unit, as FXSAVE writes it. */
const void *host_context_x87(const void *ucontext);
/* True if the fault in the context was a write. */
bool host_context_is_write(const void *ucontext);
/* Where the interrupted instruction of generated code accesses memory: the kernel does not say it of
 * addresses that the processor cannot have. False: it does not. */
bool host_context_address(const void *ucontext, uint64_t *address);

/* A trace of host code: Intel syntax, one line per instruction. */
void host_disassemble(FILE *stream, const uint8_t *bytes, size_t size, uint64_t address);

#endif
