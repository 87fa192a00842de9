/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest: what the translator must know about a guest architecture. One constant struct per guest,
 * defined in translator/guest/<isa>/.
 */
#ifndef VISOR_TRANSLATOR_GUEST_H
#define VISOR_TRANSLATOR_GUEST_H

#include "translator/cpu.h"

struct guest_register {
    char name[8];
    uint8_t type;    /* IR_I64 or IR_V128 */
    uint8_t rank;    /* 1 = the first to be kept in a host register; 0 = only in memory */
    uint16_t offset; /* in the CPU structure */
};

/* Bits of guest_isa.fp_control. */
enum {
    GUEST_FP_DEFAULT_NAN = 1 << 0, /* NaNs become the default NaN instead of an operand's (Arm: FPCR.DN) */
    GUEST_FP_FLUSH_HALF = 1 << 1,  /* denormal numbers of half precision are flushed (FZ16) */
    GUEST_FP_ALTERNATIVE_HALF = 1 << 2, /* conversions of halves without infinities and NaNs (AHP) */
};

enum guest_flags_use {
    GUEST_FLAGS_SET,  /* sets all of them before it reads any: they are dead */
    GUEST_FLAGS_READ, /* reads some, or it is hard to tell */
    GUEST_FLAGS_PASS, /* neither; then it goes on at one of a few known places */
};

struct guest_flags_path {
    unsigned mode; /* given: region->mode of the code */
    size_t looked; /* bytes that the answer depends on */
    unsigned count;
    uint64_t next[2]; /* GUEST_FLAGS_PASS: where it goes on */
};

#define GUEST_INSTRUCTION_MAX 16

struct guest_isa {
    const char *name;
    const struct guest_register *registers;
    unsigned register_count;
    unsigned instruction_bytes; /* of the longest instruction, at most GUEST_INSTRUCTION_MAX */
    size_t cpu_size;            /* of the CPU structure, which begins with struct translator_cpu */
    unsigned pc_shift;          /* 0 to 3: so many low bits of any instruction's address are zero */
    uint16_t pc_offset;         /* uint64_t */
    uint16_t flags_offset;      /* uint16_t, packed as NZCV_* */
    uint16_t more_flags;        /* beyond N Z C V: NZCV_P | NZCV_A, or 0 */
    uint16_t qc_offset;         /* uint32_t made non-zero by saturating vector operations */
    bool host_alignment; /* an access to a vector that is not aligned may fault on the host: see run.c */
    uint32_t x87_offset; /* of x87 registers as FXSAVE writes them, for a guest that has any (ir/x87.h) */
    uint32_t tlb_offset; /* of its TLBs (tlb.h), by region->tlb; 0: guest address = host address */

    /* What the guest's floating-point control says beyond the host's: GUEST_FP_* bits. NULL: nothing. */
    unsigned (*fp_control)(const struct translator_cpu *cpu);

    /* The mode that code for this CPU must have been made for: IR_FP_* and, above them, the guest's
     * own (region->mode). NULL: always 0. A guest instruction that changes it leaves by RAISE with
     * TRANSLATOR_LOOKUP. */
    unsigned (*mode)(const struct translator_cpu *cpu);

    /*
     * Lifts one region that starts at guest address `pc` into `region` (already reset).
     *
     * `code` points to the guest's bytes at pc; bytes up to `limit` (at least one instruction, at
     * most the end of the executable mapping) may be read. The lifter ends the region at an
     * unconditional branch, at an instruction that leaves, at the limit, or after `max` instructions
     * (1 .. IR_REGION_GUEST_MAX), then with a GOTO.
     */
    void (*lift)(struct ir_region *region, uint64_t pc, const uint8_t *code, size_t limit, unsigned max);

    /* What the code at `pc` does first with the condition flags; looks at the bytes given, or fewer. */
    enum guest_flags_use (*flags_use)(uint64_t pc, const uint8_t *code, size_t limit,
                                      struct guest_flags_path *path);

    /* The name of a register index, for traces. */
    const char *(*register_name)(unsigned index);

    /* Writes the text of one instruction, of code of a region->mode, to `text`; for traces. */
    void (*disassemble)(unsigned mode, uint64_t pc, const uint8_t *code, char *text, size_t size);
};

/*
 * Where a guest address is looked up in the jump cache. Guests behind a TLB have known targets in other pages
 * there as well, most of them functions, which begin at multiples of 16: their bits are mixed.
 */
#define GUEST_JUMP_FACTOR 0x9e3779b1u
static inline unsigned guest_jump_index(const struct guest_isa *isa, uint64_t pc)
{
    if (isa->tlb_offset)
        return (uint32_t)pc * GUEST_JUMP_FACTOR >> (32 - JUMP_CACHE_BITS);
    return (unsigned)(pc >> isa->pc_shift) & ((1u << JUMP_CACHE_BITS) - 1);
}

/* The bits of its flags that mean something. */
static inline uint16_t guest_flags_mask(const struct guest_isa *isa)
{
    return (uint16_t)(NZCV_MASK | isa->more_flags);
}

#endif
