/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu: the part of a virtual CPU that every guest has, first member of each guest's CPU structure.
 *
 * Owned by one thread, except `interrupt`. Fields are written by generated code, by the translator's
 * run time and by IR helpers; the rest of the program uses the functions of translator.h.
 */
#ifndef VISOR_TRANSLATOR_CPU_H
#define VISOR_TRANSLATOR_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "translator/ir/ir.h"

struct translator;
struct translator_cpu;
struct jump_cache_entry;
struct code_cache;
struct step_recovery;
struct system_cpu;

/* Why translator_run() came back. The guest's program counter is in its register file. */
enum translator_exit {
    TRANSLATOR_NONE,      /* (internal) go on */
    TRANSLATOR_SYSCALL,   /* payload: the instruction's immediate; pc is after the instruction */
    TRANSLATOR_UNDEFINED, /* payload: the instruction word; pc is at the instruction */
    TRANSLATOR_DIVIDE,    /* division by zero, or the quotient does not fit; pc is at the instruction */
    TRANSLATOR_FLOAT, /* floating point raised an exception that is not masked, see IR_TRAPS; fp_control has
                         its flag; pc is at the instruction */
    TRANSLATOR_BREAKPOINT, /* payload: the immediate; pc is at the instruction */
    TRANSLATOR_ALIGNMENT,  /* misaligned access; payload: the address; pc is at the instruction */
    TRANSLATOR_EMULATE, /* an instruction that the owner executes; payload: its length, or 0: it is too long;
                           pc is at it */
    TRANSLATOR_FAULT,   /* memory access; payload: the address; `fault_info` has the rest */
    TRANSLATOR_EXCEPTION, /* another exception of the guest's: payload: its number; pc is at the instruction
                           */
    TRANSLATOR_SEGMENT,   /* an access that goes beyond the segment, as far as its reach tells: of x86 */
    /* An indirect branch to where no code can be, of a region->tells_branches; payload: the target; pc is at
     * the branch, which has done all else: its owner undoes that. */
    TRANSLATOR_TARGET,
    TRANSLATOR_FETCH_FAULT, /* no executable memory at pc; payload: the address */
    TRANSLATOR_NO_MEMORY,   /* the host has no memory for translations; reported to standard error */
    TRANSLATOR_INTERRUPTED, /* translator_interrupt() or translator_request() was called */
    TRANSLATOR_STEPPED,     /* cpu->single_step: an instruction was executed */
    TRANSLATOR_LINK,        /* (internal) an unlinked exit was taken; payload: its number */
    TRANSLATOR_LOOKUP,      /* (internal) an indirect branch missed, or the floating-point mode changed; pc is
                               the target */
    TRANSLATOR_ALONE,       /* (internal) the instruction at pc must be executed by itself */
};

/* Direct-mapped by guest_jump_index(). Empty entries hold a pc that belongs elsewhere or, but for the
 * first, 0, which belongs in the first: so fresh memory is nearly an empty cache. */
struct jump_cache_entry {
    uint64_t pc;
    const void *code;
};
#define JUMP_CACHE_BITS 16
/* In system mode an entry's pc is exclusive-or'ed with cpu->jump_key: a number that is not 0 in the bits from
 * here on, which are all the same in addresses that the guest can have. So zeros are an empty cache, and
 * another number empties it. */
#define JUMP_KEY_SHIFT  48
#define JUMP_CACHE_SIZE (sizeof(struct jump_cache_entry) << JUMP_CACHE_BITS)
/* Of 4 KiB. */
#define JUMP_CACHE_PAGES (JUMP_CACHE_SIZE >> 12)

/* An access that generated code leaves to the CPU's memory function. */
enum access_kind {
    ACCESS_LOAD,
    ACCESS_STORE,
    ACCESS_UPDATE, /* reads and writes atomically */
    /* With translator_options.fills: makes the TLB's entry what a LOAD, or a STORE, of memory needs, and does
     * no more. It cannot be: true, as long as the access itself would be no fault. */
    ACCESS_FILL_LOAD,
    ACCESS_FILL_STORE,
};

struct memory_access {
    uint64_t address;      /* guest address */
    uint8_t size;          /* log2 of bytes, 0..4 */
    uint8_t kind;          /* enum access_kind */
    uint8_t tlb;           /* which of its TLBs the code uses */
    const void *pointer;   /* LOAD, UPDATE: (out) where the bytes are until the next access */
    uint64_t origin;       /* private to REACH, for which pointer is (out) where that is, or NULL */
    union vector128 value; /* STORE: in its low bytes */
};

/*
 * Does it, fault or not. A LOAD's bytes may be a copy; a STORE is done when this returns; an UPDATE's must be
 * the guest's memory itself. False: it cannot be; exit_reason and exit_payload say why, and the CPU leaves
 * with the state before the instruction. Called in the middle of a block: other fields than these, the
 * registers above all, are not what they seem.
 */
typedef bool (*memory_function)(struct translator_cpu *cpu, struct memory_access *access);

struct translator_cpu {
    /* -- generated code ------------------------------------------------------------------------ */
    struct jump_cache_entry *jump_cache; /* this thread's, or the empty one while interrupted */
    uint64_t return_sp;                  /* host stack pointer of generated code: the return stack */
    uint64_t host_sp;                    /* C stack pointer to go back to */
    uint64_t exit_reason;                /* enum translator_exit */
    uint64_t exit_payload;
    uint32_t fp_control;        /* host: MXCSR of the guest, sticky flags included */
    uint32_t host_fp_control;   /* host: MXCSR of visor's own code */
    uint64_t exclusive_address; /* the host's behind a TLB, else the guest's; ~0: none is marked */
    uint64_t exclusive_size;    /* log2 of bytes */
    uint64_t exclusive_value[2];
    _Atomic uint32_t interrupt; /* set by translator_interrupt(), asks translator_run() to return */
    uint32_t x87_live;          /* whether the guest's x87 registers are in the host's unit: see ir/x87.h */
    uint32_t in_helper;         /* generated code is calling C: return_sp holds its stack pointer, */
    uint64_t helper_return;     /* and this where in the code it goes on */
    memory_function memory;     /* of a guest with a TLB: the owner's */
    memory_function reach;      /* REACH: the run time's, over `memory` */
    uint64_t branch_pc;         /* of an indirect branch that has just missed; ~0: it does not tell */
    uint64_t jump_key;          /* system mode: tags of the jump cache are pc ^ this */
    struct memory_access access;
    uint64_t spill[32]; /* temporaries of a block that found no host register */
    union vector128 vector_spill[32];
    union vector128 eval_arguments[3]; /* operands and result of an operation that the host code */
    union vector128 eval_result;       /* generator leaves to ir_eval_op() */

    /* -- run time ---------------------------------------------------------------------------------- */
    struct translator *translator;
    struct jump_cache_entry *own_jump_cache;    /* owned; in system mode by the present context */
    uint64_t jump_pages[JUMP_CACHE_PAGES / 64]; /* bits: the pages of it that are in use */
    bool jumps_wiped;                           /* the child of a fork finds it empty */
    uint8_t *return_stack;                      /* owned; lowest address, guard page first */
    uint8_t *return_stack_top;
    uint64_t cache_epoch;        /* of the cache that the return stack points into */
    struct code_cache *cache;    /* that generated code of this thread belongs to; NULL outside */
    unsigned mode;               /* guest_isa.mode: what its code, jump cache and return stack are made for */
    uint64_t entries;            /* how often it has gone into generated code: for tests and measurements */
    struct translator_cpu *next; /* in the translator's list */
    _Atomic uint32_t redirected; /* translator_interrupt() made generated code leave */
    struct ir_region *region;    /* owned, workspace of this thread's translations */
    uint64_t ignored_address_bits; /* the interpreter takes these away from addresses of the lower half */
    uint64_t access_address;       /* of its last access, without them */
    struct step_recovery *step_recovery; /* private to step.c */
    void *workspace;                     /* owned, the host code generator's */
    struct system_cpu *system;           /* owned, private to system.c; NULL in user mode */
    /* The owner's, told of each access that the interpreter makes for translator_step(); NULL: nobody is. */
    void (*watch)(struct translator_cpu *cpu, uint64_t address, unsigned size, bool write);
    void *owner;      /* the personality's thread, the engine's vCPU */
    bool single_step; /* set by the owner: translator_run() returns after one instruction, with its own exit
                         or TRANSLATOR_STEPPED */
    struct {
        int signal; /* SIGSEGV or SIGBUS */
        int code;   /* si_code */
        bool write;
    } fault_info;
};

#endif
