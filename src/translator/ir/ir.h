/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ir: the language between guests and hosts.
 *
 * A region is a straight line of typed instructions with one entry at the top, side exits on the
 * way, and one terminator at the end. Each instruction yields at most one value, named by the
 * instruction's index; values are assigned once. Guest state is touched only by GET, SET and the
 * flags operations, guest memory only by the operations of that section of ops.def.
 *
 * Rules that every region obeys (ir_verify checks them):
 *  1. arguments are values of earlier instructions and have the types that ops.def gives;
 *  2. INSN stands before the first operation of each guest instruction;
 *  3. within one guest instruction no SET or SET_FLAGS comes before an operation that may fault
 *     ('M'), so that a fault always finds the state as it was before the instruction;
 *  4. FLAGS_OF directly follows the computation that it names;
 *  5. the last instruction, and only it, is a terminator ('T').
 *
 * A region is a fixed-size workspace that each translating thread reuses: no allocation.
 */
#ifndef VISOR_TRANSLATOR_IR_H
#define VISOR_TRANSLATOR_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "arch/nzcv.h"
#include "base/vector.h"

struct error;

typedef uint16_t ir_value; /* index of the instruction that yields it */
#define IR_NONE ((ir_value)0)

/* F16 is the type of vector lanes only: no value has it. */
enum ir_type { IR_VOID, IR_I32, IR_I64, IR_F32, IR_F64, IR_V128, IR_FLAGS, IR_BOOL, IR_F16 };

enum ir_op {
#define OP(name, result, arguments, flags) IR_##name,
#include "translator/ir/ops.def"
#undef OP
    IR_OP_COUNT
};

/* Conditions over N Z C V (and P), in Arm's numbering: XOR with 1 negates. */
enum ir_cond {
    IR_EQ,
    IR_NE,
    IR_UGE,
    IR_ULT, /* C, !C */
    IR_MI,
    IR_PL,
    IR_VS,
    IR_VC,
    IR_UGT,
    IR_ULE,
    IR_SGE,
    IR_SLT,
    IR_SGT,
    IR_SLE,
    IR_PE, /* P: an even number of ones in the low byte, */
    IR_PO, /* an odd one; only of flags that have P */
};

enum {
    IR_SIGNED = 1 << 8,         /* VGET */
    IR_CRC_CASTAGNOLI = 1 << 8, /* CRC32 */
    IR_FLAGS_X86 = 1,           /* FLAGS_OF */
    /* FFROM_HALF, VFWIDEN: an operand of half-precision arithmetic instead of a conversion: flushed as such,
     * never in the alternative format, and a signalling NaN is left for the operation to find (which raises
     * "invalid"; that may be raised here already). */
    IR_HALF_OPERAND = 1 << 0,
};

/* aux of LOAD, STORE, ATOMIC, CAS and the exclusives */
enum ir_mem {
    IR_MEM_SIZE = 7,        /* log2 of the access size in bytes, 0..4 */
    IR_MEM_SIGNED = 1 << 3, /* a narrow integer load sign-extends; else zero-extends */
    IR_MEM_SCALE_SHIFT = 4, /* two bits: scale of b */
    IR_MEM_SCALE = 3 << 4,
    IR_MEM_ALIGNED = 1 << 6, /* misaligned: raise TRANSLATOR_ALIGNMENT instead */
    IR_MEM_ACQUIRE = 1 << 7,
    IR_MEM_RELEASE = 1 << 8,
    IR_MEM_SEQ_CST = 1 << 9,      /* store: ordered before later acquire loads (Arm STLR) */
    IR_MEM_SINGLE_COPY = 1 << 10, /* a 16-byte access that must be atomic */
    /* LOAD, STORE: a is a REACH's value, within whose bounds imm is: nothing is left to check, nothing can
     * fault. The interpreter checks nevertheless; there, a REACH's value is the guest address. */
    IR_MEM_REACHED = 1 << 11,
    IR_REACH_WRITE = 1 << 12, /* REACH: for accesses that write too */
    IR_MEM_WRAPS = 1 << 13, /* LOAD, STORE, REACH: of the address, and of what it is made of, 32 bits count */
};

enum ir_atomic {
    IR_ATOMIC_ADD,
    IR_ATOMIC_AND,
    IR_ATOMIC_OR,
    IR_ATOMIC_XOR,
    IR_ATOMIC_SMAX,
    IR_ATOMIC_SMIN,
    IR_ATOMIC_UMAX,
    IR_ATOMIC_UMIN,
    IR_ATOMIC_SWAP,
};

enum ir_fence { IR_FENCE_FULL, IR_FENCE_LOAD, IR_FENCE_STORE };

enum ir_round {
    IR_ROUND_EVEN,
    IR_ROUND_UP,
    IR_ROUND_DOWN,
    IR_ROUND_ZERO,
    IR_ROUND_AWAY,    /* ties away */
    IR_ROUND_CURRENT, /* the guest's mode */
    IR_ROUND_MODE = 7,
    IR_ROUND_EXACT = 1 << 3, /* FROUND: raise inexact when the value changes */
    IR_UNSIGNED = 1 << 4,    /* conversions to and from integers */
};

/* imm2 of X86VF, its kin and FLAGS_UCOM: exceptions may be unmasked in the guest's control word, and then the
 * operation leaves with TRANSLATOR_FLOAT. */
enum { IR_TRAPS = 1 };

struct ir_insn {
    uint16_t op; /* enum ir_op */
    uint16_t aux;
    ir_value a, b, c;
    uint8_t type;           /* enum ir_type of the result, or of c for STORE, a for SET */
    uint8_t a_type, b_type; /* types of the values a and b; ir_emit fills them in */
    uint64_t imm;
    uint64_t imm2;
};

/* Room for the largest region: IR_REGION_GUEST_MAX guest instructions of the longest lifting. */
#define IR_REGION_MAX       4096
#define IR_REGION_GUEST_MAX 64

#define IR_REACH_MAX 8

/* Guest registers below this index are forwarded from GET and SET to a later GET. */
#define IR_KNOWN_REGISTERS 128

/*
 * How the host may compute floating point. FLUSH: denormals of F32 and F64 are flushed. HALF: F16 is flushed,
 * or has its alternative format. EXACT_STATUS: the guest looks at its sticky flags. Until it does, these may
 * differ in what the host does otherwise: a product, quotient or conversion that is rounded up to the
 * smallest normal number need not raise "underflow", and with FLUSH an operand that is flushed need not raise
 * "denormal", and a result may raise "inexact". Values are always exact.
 */
enum {
    IR_FP_FLUSH = 1 << 0,
    IR_FP_EXACT_STATUS = 1 << 1,
    IR_FP_HALF = 1 << 2,
    IR_FP_INEXACT =
        1 << 3, /* with FLUSH and EXACT_STATUS: "inexact" has been raised, no more to be told of it */
};

/* The bits of guest_isa.mode that are IR_FP_*, and where the guest's own begin. */
enum { IR_MODE_FP = 0xff, IR_MODE_SHIFT = 8 };

/* Whether all floating point is left to ir_eval_op(): only it knows what is flushed and what is inexact. */
static inline bool ir_fp_evaluates(unsigned fp_mode)
{
    const unsigned mask = IR_FP_FLUSH | IR_FP_EXACT_STATUS | IR_FP_INEXACT;
    return (fp_mode & mask) == (IR_FP_FLUSH | IR_FP_EXACT_STATUS);
}

struct ir_region {
    unsigned count; /* instructions in use; index 0 is a NOP, so that 0 can mean "none" */
    bool overflow;  /* ran out of room: the lifter must end the region earlier */
    bool cut;       /* the first instruction is longer than the bytes given: the region is a FETCH_FAULT */
    uint64_t guest_start;
    uint64_t guest_end; /* one past the last guest byte lifted */
    unsigned tlb;       /* which of the CPU's TLBs its accesses go through, of a guest that has any */
    unsigned fp_mode;   /* IR_FP_* bits of the guest's floating-point control that the code is made for */
    unsigned mode;      /* what else of the guest's state it is made for: the guest's own bits */
    const void
        *model;   /* what kind of processor the guest's is, for its lifter; NULL: one that has everything */
    bool reaches; /* the lifter may use REACH */
    /* The region's code may be wanted where the same bytes are at other addresses, on the same place of a
     * page: addresses of or near the code are ADDRESSes, of which nothing is computed at translation. What
     * the operations that leave have as guest addresses moves in any case. */
    bool movable;
    bool guarded;        /* who is linked to the code must look in the jump cache whether it is still there */
    bool tells_branches; /* indirect branches that miss leave their addresses in cpu->branch_pc */
    /* Private to reach.c: REACHes that further accesses may go by. */
    unsigned reach_count;
    ir_value reach[IR_REACH_MAX];
    /* Private to ir.c: the values that guest state surely holds at this point, IR_NONE = not known. */
    ir_value known[IR_KNOWN_REGISTERS];
    ir_value known_flags;
    /* Private to ir.c: the last computation that was folded, and the value that it became. */
    struct {
        uint16_t op, aux;
        uint8_t type;
        ir_value a, b, c, value;
    } folded;
    struct ir_insn insns[IR_REGION_MAX];
};

/* A C function that a CALL runs. `cpu` is the guest's CPU structure with all registers in memory. */
typedef uint64_t (*ir_helper)(void *cpu, uint64_t a, uint64_t b);

struct ir_op_info {
    const char *name;      /* lower case */
    char result;           /* type letter */
    const char *arguments; /* type letters */
    const char *flags;
    bool pure, may_fault, exits, terminates;
};
extern const struct ir_op_info ir_op_info[IR_OP_COUNT];

static inline bool ir_traps(const struct ir_insn *n)
{
    switch (n->op) {
    case IR_X86VF:
    case IR_X86VF_TO_INT:
    case IR_X86VF_FROM_INT:
    case IR_FLAGS_UCOM: return n->imm2 & IR_TRAPS;
    default: return false;
    }
}

static inline bool ir_may_fault(const struct ir_insn *n)
{
    if (ir_op_info[n->op].may_fault)
        return !((n->op == IR_LOAD || n->op == IR_STORE) && n->aux & IR_MEM_REACHED);
    return ir_traps(n);
}

static inline unsigned ir_type_bytes(enum ir_type type)
{
    static const uint8_t bytes[] = {0, 4, 8, 4, 8, 16, 2, 1, 2};
    return bytes[type];
}

/* -- building ----------------------------------------------------------------------------------- */

void ir_region_reset(struct ir_region *region, uint64_t guest_start);

/*
 * Takes back everything after the first `count` instructions and clears `overflow`: how a lifter
 * undoes an instruction that did not fit. Room for one terminator is always left.
 */
void ir_region_truncate(struct ir_region *region, unsigned count);

/*
 * Appends an instruction and returns its value. Folds constants, drops identities (x + 0, trunc of
 * zext, ...) and forwards guest registers and flags from an earlier GET or SET, so the value may be
 * that of an earlier instruction. A folded computation may still be given to FLAGS_OF: see
 * ir_flags_of(). On overflow sets region->overflow and returns IR_NONE, which is harmless as an
 * argument of further ir_emit() calls.
 */
ir_value ir_emit(struct ir_region *region, enum ir_op op, enum ir_type type, unsigned aux, ir_value a,
                 ir_value b, ir_value c, uint64_t imm, uint64_t imm2);

/*
 * The REACH that a LOAD or STORE of base + (index << scale) + *disp may have as its only address operand,
 * with IR_MEM_REACHED and the new *disp. IR_NONE: it goes on as it is. `mem`: enum ir_mem bits.
 */
ir_value ir_reach(struct ir_region *region, unsigned mem, bool write, ir_value base, ir_value index,
                  uint64_t *disp);

/* When the region is complete: REACHes that serve one access only disappear. */
void ir_finish_reaches(struct ir_region *region);

/* Convenience wrappers: the type is taken from the arguments. */
#include "translator/ir/build.h"

/* -- looking -------------------------------------------------------------------------------------- */

/* Prints a region, one instruction a line. `register_name` gives names for GET and SET, may be NULL. */
void ir_print(FILE *stream, const struct ir_region *region, const char *(*register_name)(unsigned index));

/* Returns 0, or -EINVAL with the first broken rule in *error. */
int ir_verify(const struct ir_region *region, struct error *error);

#endif
