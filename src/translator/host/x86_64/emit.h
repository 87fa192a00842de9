/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * emit: what the parts of the x86-64 code generator share: the state of one block's generation, the register
 * allocator, cold code, constants. Private to this folder.
 *
 * host_emit() makes one backward pass over the region (uses, dead code, hints) and one forward pass that
 * calls an emitter per IR instruction:
 *
 *     static void emit_vadd(struct emit *e, const struct ir_insn *insn, ir_value v)
 *     {
 *         unsigned a = emit_use_xmm(e, insn->a);
 *         struct rm b = emit_use_xmm_rm(e, insn->b);
 *         asm_vex(e->a, V_PADDB + ..., emit_def_xmm_last(e, v), a, b);
 *     }
 *
 * How an emitter goes about it, in this order:
 *   1. emit_take_gpr() if it needs a particular temporary (rcx for a count, rax ...);
 *   2. emit_clobber_flags() if any instruction that it emits changes EFLAGS (vucomis*, vptest, add, test,
 * shl, popcnt ... but not mov, lea, movzx, shlx, rorx, not, vector instructions in general). Before the first
 *      such instruction, and before uses and defs if that is easier;
 *   3. emit_use_*() once for each operand that it reads, emit_tmp_*() for scratch registers;
 *   4. emit_def_*() for the result, then the code that writes it.
 * Registers handed out by these stay valid and unchanged until the emitter returns. Never write to a register
 * from emit_use_*(): it may be a guest register's home or hold a value that lives on.
 *
 * An operation without an emitter, or whose emitter calls emit_eval(), runs ir_eval_op() at run time.
 */
#ifndef VISOR_TRANSLATOR_HOST_X86_64_EMIT_H
#define VISOR_TRANSLATOR_HOST_X86_64_EMIT_H

#include "translator/guest.h"
#include "translator/host/host.h"
#include "translator/host/x86_64/assembler.h"
#include "translator/ir/ir.h"

/* -- register convention: the only place that knows it is allocate.c --------------------------- */

/*
 * rbp = CPU structure + bias (see cpu_bias). rsp = the return stack. Temporaries: rax rcx rdx rsi, xmm0..4.
 * All others are pins: fixed homes of the guest registers of lowest rank.
 */
enum {
    PIN_GPR_COUNT = 10,
    PIN_XMM_COUNT = 11,
    TMP_GPR_COUNT = 4,
    TMP_XMM_COUNT = 5,
    TMP_GPR_MASK = 1 << RAX | 1 << RCX | 1 << RDX | 1 << RSI,
    TMP_XMM_MASK = 0x1f,
};
extern const uint8_t pin_gpr[PIN_GPR_COUNT]; /* by rank - 1 among the guest's IR_I64 registers */
extern const uint8_t pin_xmm[PIN_XMM_COUNT]; /* by rank - 1 among the guest's IR_V128 registers */

/* -- places: where a value is ------------------------------------------------------------------ */

enum place {
    PLACE_GPR = 0,        /* + enum gpr */
    PLACE_XMM = 16,       /* + number */
    PLACE_SPILL = 32,     /* + slot of cpu->spill */
    PLACE_SPILL_XMM = 64, /* + slot of cpu->vector_spill */
    PLACE_GUEST = 96,     /* + guest register: still in the CPU structure */
    PLACE_COUNT = 250,
    PLACE_CONST = 250,      /* an immediate: insn->imm (CONST, FCONST, VCONST) */
    PLACE_DEFERRED = 251,   /* computed by its consumer: BOOLs, some comparisons */
    PLACE_EFLAGS = 252,     /* FLAGS value that is in the host's flags (and nowhere else) */
    PLACE_FLAGS_HOME = 253, /* FLAGS value that is in the guest's flags in the CPU structure */
    PLACE_NONE = 255,
};

struct value {
    uint8_t place;
    uint8_t upper_zero; /* in a register: GPR: bits 63..32 are zero; XMM: bits above the F32/F64 are zero */
    uint8_t hint;       /* 1 + place (a pin) in which the value is wanted, 0 = no wish */
    uint8_t mark;       /* VALUE_* bits from the backward pass */
    uint16_t uses;      /* remaining, those of the instruction being emitted not counted */
    ir_value next_use;  /* the instruction that reads it next; IR_NONE: none (only a guide for spilling) */
    ir_value next;      /* another value in the same place */
};
enum {
    VALUE_DEAD = 1, /* nothing to emit */
    VALUE_DEFERRED = 2,
    VALUE_WANTS_FLAGS = 4,      /* the next instruction is its live FLAGS_OF */
    VALUE_FLAGS_LIVE = 8,       /* the guest's flags after this instruction have a reader */
    VALUE_EXIT_FLAGS_DEAD = 16, /* an exit that need not store flags */
    VALUE_CARRY_READ = 64,      /* of FLAGS: C is read */
    VALUE_OTHERS_READ = 128,    /* ... and what else there is */
    VALUE_MIXED = 32,           /* (forward pass) an AES round that includes the column mixing that follows */
};

struct place_state {
    uint16_t refs;   /* remaining uses of all values in it */
    ir_value values; /* list of them by value.next; may contain dead ones */
    uint8_t guest;   /* register places: 1 + guest register (not pinned) of which it holds a copy */
};

/* -- cold code --------------------------------------------------------------------------------- */

struct emit;
struct cold;
typedef void (*cold_function)(struct emit *e, struct cold *c);

/* Code behind the block's end, emitted after the hot code. `emit` may use only the assembler, e->a, and the
 * registers that the emitter put into r[]: the allocator's state of that moment is gone, and no temporary but
 * those may be changed. */
struct cold {
    cold_function emit;
    uint32_t jumps[2]; /* offsets of rel32 displacements that lead here; 0 = none */
    uint32_t back;     /* offset to return to after the code; 0 = it does not return */
    ir_value insn;     /* the guest instruction's INSN */
    ir_value value;    /* the IR instruction being emitted */
    uint8_t r[8];      /* free use */
    uint64_t imm;
};
#define COLD_MAX 1024

/* -- the state of a block's generation --------------------------------------------------------- */

enum flags_kind {
    FLAGS_BORROW,       /* CF = !C: after sub, cmp, sbb; the form in memory */
    FLAGS_CARRY,        /* CF = C: after add, adc, and logic */
    FLAGS_FCMP,         /* after ucomis a, b */
    FLAGS_FCMP_SWAPPED, /* after ucomis b, a */
};

struct emit {
    struct assembler *a;
    const struct guest_isa *isa;
    const struct ir_region *region;
    struct host_code *code;
    int32_t bias;
    uint32_t locked;  /* register places that hold operands of the current instruction */
    uint32_t scratch; /* ... that it got as scratch registers or for its result */
    uint32_t dying_spill, dying_vector_spill; /* slots to free after the current instruction */
    uint32_t free_spill, free_vector_spill;
    ir_value current; /* instruction being emitted */
    ir_value insn;    /* INSN of the current guest instruction */

    /* flags: see emit_flags.c */
    ir_value eflags; /* the FLAGS value in EFLAGS, IR_NONE if none */
    enum flags_kind eflags_kind;
    bool flags_held;      /* EFLAGS hold an intermediate result of the current instruction */
    ir_value guest_flags; /* the value of the guest's flags, IR_NONE: that of the block's entry */
    ir_value home_flags;  /* the value in the CPU structure's flags; IR_NONE: that of the block's entry */

    uint32_t compare_start, compare_end; /* the last comparison emitted: it should stay next to its jump */

    unsigned cold_count;
    uint32_t pool_size;
    bool failed; /* no room: host_code.overflow */
    struct value values[IR_REGION_MAX];
    ir_value use_after[IR_REGION_MAX][3]; /* by instruction and operand: the operand's next use after this */
    struct place_state places[PLACE_COUNT];
    uint8_t guest_pin[128];   /* by guest register: place of its pin, PLACE_NONE if it has none */
    uint8_t guest_cache[128]; /* ... register place that holds a copy, PLACE_NONE */
    struct cold colds[COLD_MAX];
    union vector128 pool[1024];
    struct assembler assembler;
};

typedef void (*emit_function)(struct emit *e, const struct ir_insn *insn, ir_value v);

/* Emitters by operation, NULL where there is none. emit_op_core is the core's; emit_op_vector is that of
 * emit_vector_table.c (scalar floating point, vectors, cryptography) and is asked second. */
extern const emit_function emit_op_core[IR_OP_COUNT];
extern const emit_function emit_op_vector[IR_OP_COUNT];

/* Raises "denormal operand" if the operation, of any kind, flushes one: the host, which flushes it, does not.
 */
void emit_float_operands(struct emit *e, const struct ir_insn *insn);
/* Whether the host computes this operation otherwise than the guest in a mode (IR_FP_*) that is not 0. */
bool emit_float_needs_eval(unsigned fp_mode, const struct ir_insn *insn);

/* -- operands ---------------------------------------------------------------------------------- */

/* A register that holds the value: I32 (upper half unspecified) or I64. Constants are loaded. */
unsigned emit_use_gpr(struct emit *e, ir_value v);
/* The value as r/m operand: a memory operand if it is in memory and that is good, else a register. The memory
 * is at least as wide as the value's type. Constants are loaded into a register. */
struct rm emit_use_rm(struct emit *e, ir_value v);
/* True if v is a constant (I32: zero-extended). */
bool emit_is_const(const struct emit *e, ir_value v, uint64_t *imm);
/* True if v is a constant that as sign-extended 32-bit immediate gives v's value (in v's width). */
bool emit_is_imm32(const struct emit *e, ir_value v, int32_t *imm);

/* A register that holds an F32, F64 (above it: unspecified) or V128. */
unsigned emit_use_xmm(struct emit *e, ir_value v);
/* A register, or memory: at least as wide as the type (F32 4, F64 8, V128 16 bytes), perhaps unaligned.
 * Constants are in the pool. VEX instructions take it as their last source. */
struct rm emit_use_xmm_rm(struct emit *e, ir_value v);

/* Whether the instruction being emitted is the value's last reader. */
static inline bool emit_is_last_use(const struct emit *e, ir_value v)
{
    return e->values[v].uses == 0;
}

/* -- results ----------------------------------------------------------------------------------- */

/* The register for result v. The plain form differs from all registers in use by this instruction, so it may
 * be written before they are read for the last time. The _last form may be the same as an operand's register:
 * write it only with or after the last read of operands. For operations that may fault: write it only with or
 * after the last instruction that may fault. */
unsigned emit_def_gpr(struct emit *e, ir_value v);
unsigned emit_def_gpr_last(struct emit *e, ir_value v);
unsigned emit_def_xmm(struct emit *e, ir_value v);
unsigned emit_def_xmm_last(struct emit *e, ir_value v);
/* The result is already in this temporary (from emit_tmp_* or emit_take_gpr). */
void emit_def_in_gpr(struct emit *e, ir_value v, unsigned reg);
/* Result v is the same as operand `source` (in its place, register or memory, no code): TRUNC, VGET_FLOAT of
 * lane 0 ... Not for constants. v's type must be the same register class and not wider. */
void emit_alias(struct emit *e, ir_value v, ir_value source);
/* Declares that the register of v, just defined, has zeros above v's type (see value.upper_zero). */
static inline void emit_set_upper_zero(struct emit *e, ir_value v)
{
    e->values[v].upper_zero = 1;
}
/* Whether that holds for v as it is now, in a register. */
bool emit_upper_zero(const struct emit *e, ir_value v);

/* -- temporaries ------------------------------------------------------------------------------- */

/* Scratch registers until the emitter returns. There are 4 GPRs and 5 XMMs for operands that are not pinned,
 * results and scratch together. */
unsigned emit_tmp_gpr(struct emit *e);
unsigned emit_tmp_xmm(struct emit *e);
/* A particular temporary (RAX RCX RDX RSI): moves elsewhere what is in it. Only before emit_use_*(). */
void emit_take_gpr(struct emit *e, unsigned reg);

/* -- memory operands --------------------------------------------------------------------------- */

/* Field of the CPU structure: emit_cpu(e, offsetof(struct translator_cpu, spill)). */
struct mem emit_cpu(const struct emit *e, size_t offset);
/* A 16-byte constant of the pool; equal ones are shared. */
struct mem emit_pool(struct emit *e, uint64_t low, uint64_t high);

/* -- flags ------------------------------------------------------------------------------------- */

/* Saves what is needed of EFLAGS to memory: to be called before any instruction that changes them. */
void emit_clobber_flags(struct emit *e);
/* Whether EFLAGS hold something of use: then code that leaves them alone is preferable (mov r,0 for xor r,r;
 * lea for add). */
static inline bool emit_flags_busy(const struct emit *e)
{
    return e->eflags != IR_NONE || e->flags_held;
}

/* -- cold code, evaluation --------------------------------------------------------------------- */

/* Emits jcc to cold code that `emit` will write after the block's hot code; fill r[] and imm of the result.
 */
struct cold *emit_cold_jcc(struct emit *e, enum cc cc, cold_function emit);
/* The cold code comes back to here, the current offset. */
void emit_cold_back(struct emit *e, struct cold *c);

/*
 * Inside cold code: runs ir_eval_op() for the instruction c->value. Before: the cold code has stored the
 * operands to emit_cpu(e, CPU_EVAL_ARGUMENT(0..2)) (low bytes; rest of 16 does not matter). After: the result
 * is in emit_cpu(e, CPU_EVAL_RESULT), all 16 bytes. Changes no register at all but EFLAGS. The guest's
 * rounding mode and sticky flags apply.
 */
void emit_cold_eval(struct emit *e, struct cold *c);
#define CPU_EVAL_ARGUMENT(n) (offsetof(struct translator_cpu, eval_arguments) + 16 * (n))
#define CPU_EVAL_RESULT      offsetof(struct translator_cpu, eval_result)

/* Inside an emitter, instead of anything else: leaves the instruction to ir_eval_op(). Slow (~50 ns), always
 * right. */
void emit_eval(struct emit *e, const struct ir_insn *insn, ir_value v);

#endif
