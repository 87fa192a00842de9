/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare_vector: x86's vector instructions under the translator against the host's processor.
 *
 *     compare_vector [count [seed [only]]]
 *
 * Makes `count` random runs of one to six instructions, of all rows of sse.def and x86_vector.def that are
 * lifted, MMX among them, with registers and memory as operands, in random states: all rounding modes, with
 * and without flushing. Each is run natively, as host code and by the interpreter; registers, EFLAGS, MXCSR
 * with its sticky flags and memory must be the same. In half of the states some exceptions are not masked:
 * then the same one must come at the same instruction. A difference is narrowed down to one instruction and
 * shown. `only` names one row by its number, as printed.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/x86/emulate.h"
#include "base/error.h"
#include "base/macros.h"
#include "operands.h"
#include "translator/guest/x86/lift_sse.h"
#include "translator/host/host.h"
#include "translator/ir/eval.h"
#include "translator/ir/x87.h"
#include "vector_native.h"

/* Of the x87's state, the rest is not compared: control, status and tags, and the registers. */
enum { X87_SIZE = 160, X87_HEAD = 5, X87_STACK = 32 };

enum { RUN_MAX = 6, SCRATCH = 512, ONLY_X87 = 1000, EFLAGS_COMPARED = X86_EFLAGS_CONDITIONS };

/* -- random states -------------------------------------------------------------------------------------- */

/* Ten bytes: any class of numbers, with those that are no numbers any more. */
static void random_extended(uint8_t *to)
{
    static const uint16_t exponents[] = {0, 1, 0x3ffe, 0x3fff, 0x4000, 0x403d, 0x403e, 0x7ffe, 0x7fff};
    uint64_t mantissa = random64() & ~0ull << random_below(64);
    uint16_t exponent = random_below(2) ? exponents[random_below(ARRAY_SIZE(exponents))]
                                        : (uint16_t)(0x3fff - 40 + random_below(110));
    if (random_below(8))
        mantissa |= 1ull << 63;
    if (random_below(8) == 0)
        mantissa = 0, exponent = 0;
    exponent |= (uint16_t)(random64() & 0x8000);
    memcpy(to, &mantissa, 8);
    memcpy(to + 8, &exponent, 2);
}

/* Not masked is what is not in `masks`; then hardly ever an exception is pending. */
static void random_x87(uint8_t x87[X87_SIZE], unsigned masks)
{
    uint16_t control = (uint16_t)(0x40 | masks | (random64() & 0xf00)),
             status = (uint16_t)(random64() & 0x7f7f);
    if (random_below(8))
        status &= (uint16_t)(masks | 0x7f40);
    if (status & ~masks & 0x3f)
        status |= 0x8080;
    memset(x87, 0, X87_SIZE);
    memcpy(x87, &control, 2);
    memcpy(x87 + 2, &status, 2);
    x87[4] = (uint8_t)(random64() | (random_below(4) ? 0xff : 0));
    if (random_below(4) == 0) /* room to push */
        x87[4] &= (uint8_t)random64();
    for (unsigned i = 0; i < 8; i++)
        random_extended(&x87[X87_STACK + 16 * i]);
}

static uint64_t random_integer(void)
{
    uint64_t r = random64();
    switch (random_below(4)) {
    case 0: return (uint64_t)((int)random_below(50) - 25);
    case 1: return r >> random_below(64);
    case 2: return (r & 1 ? ~0ull : 0) << random_below(64);
    default: return r;
    }
}

/* Registers and memory before or after a run. */
struct state {
    uint64_t gpr[16];
    uint64_t eflags;
    uint32_t mxcsr;
    union vector128 xmm[16];
    uint8_t x87[X87_SIZE];
    uint8_t memory[SCRATCH];
    unsigned vector; /* after a run: of the exception that ended it, or 0, */
    uint64_t rip;    /* and its instruction's address */
};

static uint8_t *scratch; /* where operands are: the middle of a page */

/* Registers that addresses are made of, which no instruction of a run changes. */
static const uint8_t bases[] = {X86_RBX, X86_RSI, 13}, indices[] = {X86_RBP, 12};
/* Points to a value for MXCSR, behind all other operands. */
enum { CONTROL_BASE = 15, CONTROL_AT = SCRATCH - 16 };
/* Others, for results. */
static const uint8_t others[] = {X86_RAX, X86_RCX, X86_RDX, X86_RDI, 8, 9, 10, 11, 14};

/* Of six exceptions. */
static unsigned random_masks(bool traps)
{
    return traps && random_below(4) ? (unsigned)random64() & 0x3f : 0x3f;
}

static void random_start(struct state *s)
{
    for (unsigned i = 0; i < 16; i++) {
        s->gpr[i] = random_integer();
        s->xmm[i] = random_below(4) || !i ? random_vector() : s->xmm[random_below(i)];
    }
    for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
        s->gpr[bases[i]] = (uint64_t)(uintptr_t)scratch + 16 * random_below(8) + 128;
    for (unsigned i = 0; i < ARRAY_SIZE(indices); i++)
        s->gpr[indices[i]] = 16 * random_below(2);
    for (unsigned i = 0; i < SCRATCH; i += 16) {
        union vector128 v = random_vector();
        memcpy(&s->memory[i], &v, 16);
    }
    s->gpr[CONTROL_BASE] = (uint64_t)(uintptr_t)scratch + CONTROL_AT;
    const unsigned traps = random_below(2), masks = random_masks(traps), x87_masks = random_masks(traps);
    const uint32_t control = random_masks(traps) << 7 | ((uint32_t)random64() & 0xe07f);
    const uint16_t x87_control = (uint16_t)(random_masks(traps) | (random64() & 0xffc0));
    memcpy(&s->memory[CONTROL_AT], &control, sizeof control);
    memcpy(&s->memory[CONTROL_AT + 8], &x87_control, sizeof x87_control);
    random_x87(s->x87, x87_masks);
    s->eflags = (random64() & EFLAGS_COMPARED) | X86_EFLAGS_ONE;
    s->vector = 0;
    s->rip = 0;
    s->mxcsr = masks << 7 | random_below(4) << 13 | (random_below(16) ? 0 : (uint32_t)random64() & 0x3f);
    if (random_below(3) == 0)
        s->mxcsr |= (uint32_t)random64() & 0x8040;
}

/* -- random instructions -------------------------------------------------------------------------------- */

struct template
{
    const struct x86_row *row;
    uint8_t map, prefix, opcode;
};

static struct template templates[512];
static unsigned template_count;

static bool is_sse(const struct x86_row *row)
{
    static bool (*const functions[])(struct x86_lift *) = {
        x86_lift_vector,       x86_lift_vector_shift, x86_lift_compare_scalar, x86_lift_vector_load,
        x86_lift_vector_store, x86_lift_scalar_load,  x86_lift_scalar_store,   x86_lift_quad_load,
        x86_lift_quad_store,   x86_lift_half_load,    x86_lift_half_store,     x86_lift_vector_from_reg,
        x86_lift_lane_to_rm,   x86_lift_lane_to_reg,  x86_lift_lane_from_rm,   x86_lift_mmx,
        x86_lift_mmx_shift,    x86_lift_mmx_from_rm,  x86_lift_mmx_to_rm,      x86_lift_mmx_store,
        x86_lift_mmx_insert,   x86_lift_mmx_to_reg,   x86_lift_mmx_to_vector,  x86_lift_mmx_from_vector,
        x86_lift_emms,
    };
    for (unsigned i = 0; i < ARRAY_SIZE(functions); i++)
        if (row->lift == functions[i])
            return true;
    return false;
}

static unsigned shape_of(const struct x86_row *row)
{
    return x86_vector_info[row->argument].shape;
}

static bool is_sha(const struct x86_row *row)
{
    return row->lift == x86_lift_vector && shape_of(row) >= X86_SHAPE_LEGACY &&
           shape_of(row) <= X86_SHAPE_LEGACY_XMM0;
}

static void find_templates(void)
{
    for (unsigned map = 0; map < X86_MAP_COUNT; map++)
        for (unsigned prefix = 0; prefix < X86_ANY; prefix++)
            for (unsigned opcode = 0; opcode < 256; opcode++) {
                const struct x86_row *row = &x86_lift_opcodes.rows[map][prefix][opcode];
                if (row->lift && is_sse(row) &&
                    (row->lift != x86_lift_vector || x86_vector_available((enum x86_vector)row->argument)))
                    templates[template_count++] =
                        (struct template){row, (uint8_t)map, (uint8_t)prefix, (uint8_t)opcode};
            }
}

/* Whether the reg field, or the r/m field, is an integer register. */
static bool reg_is_integer(const struct x86_row *row)
{
    return row->lift == x86_lift_lane_to_reg || row->lift == x86_lift_mmx_to_reg ||
           (row->lift == x86_lift_vector && shape_of(row) == X86_SHAPE_TO_INT);
}

static bool rm_is_integer(const struct x86_row *row)
{
    return row->lift == x86_lift_vector_from_reg || row->lift == x86_lift_lane_to_rm ||
           row->lift == x86_lift_lane_from_rm || row->lift == x86_lift_mmx_from_rm ||
           row->lift == x86_lift_mmx_to_rm || row->lift == x86_lift_mmx_insert ||
           (row->lift == x86_lift_vector && shape_of(row) == X86_SHAPE_FROM_INT);
}

static unsigned random_register(bool integer)
{
    return integer ? others[random_below(ARRAY_SIZE(others))] : random_below(16);
}

/* Instruction bytes as they are made. */
struct bytes {
    uint8_t b[16];
    unsigned count;
};

static void put(struct bytes *b, unsigned byte)
{
    b->b[b->count++] = (uint8_t)byte;
}

static void put_opcode(struct bytes *b, const struct template *t, unsigned rex)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
    if (t->prefix >= X86_F3 && random_below(16) == 0)
        put(b, 0x66); /* means nothing here */
    if (t->prefix)
        put(b, prefixes[t->prefix]);
    if (rex)
        put(b, 0x40 | rex);
    put(b, 0x0f);
    if (t->map >= X86_MAP_0F38)
        put(b, t->map == X86_MAP_0F38 ? 0x38 : 0x3a);
    put(b, t->opcode);
}

/* [base + disp], [base + index * scale + disp] */
static void put_memory(struct bytes *b, const struct template *t, unsigned reg, unsigned rex)
{
    unsigned base = bases[random_below(ARRAY_SIZE(bases))],
             index = indices[random_below(ARRAY_SIZE(indices))];
    bool indexed = random_below(2), wide = random_below(2);
    int disp = 16 * ((int)random_below(8) - 4);
    if (indexed)
        rex |= index >> 3 << 1;
    put_opcode(b, t, rex | reg >> 3 << 2 | base >> 3);
    put(b, (wide ? 0x80 : 0x40) | (reg & 7) << 3 | (indexed ? 4 : base & 7));
    if (indexed)
        put(b, random_below(3) << 6 | (index & 7) << 3 | (base & 7));
    for (unsigned i = 0; i < (wide ? 4u : 1u); i++)
        put(b, (unsigned)disp >> (8 * i) & 0xff);
}

static void random_instruction(struct bytes *b, const struct template *t)
{
    const unsigned flags = t->row->flags;
    const bool memory =
        (flags & X86_REGISTER) != X86_REGISTER && ((flags & X86_MEMORY) == X86_MEMORY || random_below(2));
    unsigned reg = random_register(reg_is_integer(t->row)), rex = random_below(3) ? 0 : 8;

    b->count = 0;
    if (t->row->lift == x86_lift_emms) {
        put_opcode(b, t, rex);
        return;
    }
    if (t->row->lift == x86_lift_mmx_shift) {
        static const uint8_t digits[] = {2, 6, 4};
        reg = digits[random_below(t->opcode == 0x73 ? 2 : 3)];
    }
    if (t->row->lift == x86_lift_vector_shift) {
        static const uint8_t digits[] = {2, 4, 6, 2, 4, 6, 2, 3, 6, 7};
        reg = digits[t->opcode == 0x71   ? random_below(3)
                     : t->opcode == 0x72 ? 3 + random_below(3)
                                         : 6 + random_below(4)];
    }
    if (memory) {
        put_memory(b, t, reg, rex);
    } else {
        unsigned rm = random_register(rm_is_integer(t->row));
        put_opcode(b, t, rex | reg >> 3 << 2 | rm >> 3);
        put(b, 0xc0 | (reg & 7) << 3 | (rm & 7));
    }
    if ((flags & X86_IMM_MASK) == X86_IMM_8)
        put(b, random_below(4) ? random_below(40) : (unsigned)random64() & 0xff);
}

/* LDMXCSR [r15], STMXCSR [r15 + 4], FLDCW [r15 + 8] */
static void control_instruction(struct bytes *b)
{
    static const uint8_t texts[][6] = {
        {4, 0x41, 0x0f, 0xae, 0x17}, {5, 0x41, 0x0f, 0xae, 0x5f, 4}, {4, 0x41, 0xd9, 0x6f, 8}};
    const uint8_t *text = texts[random_below(ARRAY_SIZE(texts))];
    b->count = text[0];
    memcpy(b->b, text + 1, b->count);
}

static void x87_instruction(struct bytes *b)
{
    unsigned opcode = 0xd8 + random_below(8), reg = random_below(8), base;
    b->count = 0;
    if (random_below(2)) {
        put(b, opcode);
        put(b, 0xc0 | random_below(64));
        return;
    }
    base = bases[random_below(ARRAY_SIZE(bases))];
    put(b, 0x40 | base >> 3);
    put(b, opcode);
    put(b, 0x40 | reg << 3 | (base & 7));
    put(b, random_below(64));
}

/* -- three ways to run ---------------------------------------------------------------------------------- */

static uint8_t *guest_code, *cache;
static uint32_t routines[HOST_ROUTINE_COUNT];
static size_t routines_size;
static uint64_t return_stack[64];
static struct x86_cpu cpu;
static struct ir_region region;
static struct host_code code;
static struct x86_model model;

static bool keep_flags(void *context, uint64_t pc)
{
    (void)context;
    (void)pc;
    return false;
}

static void fail(const char *what)
{
    fprintf(stderr, "compare_vector: %s\n", what);
    exit(2);
}

/* Whether the translator executes it, neither its owner nor nobody. */
static bool is_lifted(const struct bytes *b)
{
    ir_region_reset(&region, 0x1000);
    region.mode = X86_CODE_64;
    x86_guest.lift(&region, 0x1000, b->b, sizeof b->b, 1);
    return region.insns[region.count - 1].op == IR_GOTO;
}

static size_t code_size;   /* of what is at guest_code, but for its end */
static bool stores_popped; /* one of them is as in stores_what_it_pops() */
static bool has_mmx;       /* one uses MMX registers */

static bool uses_mmx(const struct bytes *b)
{
    struct x86_insn insn;
    return x86_decode(&insn, &x86_lift_opcodes, X86_CODE_64, b->b, sizeof b->b) == X86_DECODED &&
           (x86_float_unit(&insn) == X86_UNIT_MMX || insn.row->lift == x86_lift_mmx_to_vector ||
            insn.row->lift == x86_lift_mmx_from_vector);
}

/*
 * FSTP of 80 bits, FISTP of 64 bits, FISTTP, FBSTP, which have no form that does not pop: translated, the
 * register is popped, pushed again, and popped for good when the value is in memory. If it was empty, what it
 * holds is lost by that.
 */
static bool stores_what_it_pops(const struct bytes *b)
{
    const unsigned opcode = b->b[1], modrm = b->b[2], reg = modrm >> 3 & 7;
    if (b->b[0] >> 4 != 4 || modrm >> 6 == 3)
        return false;
    return (opcode == 0xdb && (reg == 1 || reg == 7)) || (opcode == 0xdd && reg == 1) ||
           (opcode == 0xdf && (reg == 1 || reg >= 6));
}

/* Writes the instructions to guest_code. */
static void assemble(const struct bytes *insns, unsigned count)
{
    code_size = 0;
    stores_popped = has_mmx = false;
    for (unsigned i = 0; i < count; i++) {
        memcpy(guest_code + code_size, insns[i].b, insns[i].count);
        code_size += insns[i].count;
        stores_popped |= stores_what_it_pops(&insns[i]);
        has_mmx |= uses_mmx(&insns[i]);
    }
    guest_code[code_size] = 0xc3;
}

/* From cpu.pc on, for its mode. */
static void translate(bool interpret)
{
    const size_t done = cpu.pc - (uintptr_t)guest_code;
    struct error error;
    ir_region_reset(&region, cpu.pc);
    region.mode = (unsigned)cpu.mode;
    x86_guest.lift(&region, cpu.pc, guest_code + done, code_size - done, RUN_MAX);
    if (ir_verify(&region, &error))
        fail(error.message);
    if (interpret)
        return;
    host_emit(&x86_guest, &region, keep_flags, NULL, &code);
    if (code.overflow)
        fail("host code does not fit");
    for (unsigned i = 0; i < code.reloc_count; i++) {
        uint32_t at = code.relocs[i].offset;
        uint32_t displacement = routines[code.relocs[i].routine] - ((uint32_t)routines_size + at + 4);
        memcpy(code.bytes + at, &displacement, 4);
    }
    memcpy(cache + routines_size, code.bytes, code.size);
}

static void run_native(const struct state *start, struct state *end)
{
    memcpy(native.gpr, start->gpr, sizeof native.gpr);
    memcpy(native.xmm, start->xmm, sizeof native.xmm);
    memcpy(native.x87, start->x87, X87_SIZE);
    memcpy(scratch, start->memory, SCRATCH);
    native.eflags = start->eflags;
    native.mxcsr = start->mxcsr;
    native.code = guest_code;
    native.vector = 0;
    native.rip = 0;
    native_run();
    end->vector = native.vector;
    end->rip = native.rip;
    memcpy(end->gpr, native.gpr, sizeof native.gpr);
    memcpy(end->xmm, native.xmm, sizeof native.xmm);
    memcpy(end->x87, native.x87, X87_SIZE);
    memcpy(end->memory, scratch, SCRATCH);
    end->eflags = native.eflags;
    end->mxcsr = native.mxcsr;
}

static sigjmp_buf after_trap;

/* SIGFPE */
static void on_trap(int signal, siginfo_t *info, void *ucontext)
{
    const uint64_t pc = host_context_pc(ucontext), start = (uint64_t)(uintptr_t)cache;
    const struct host_insn *insn = NULL;

    (void)signal, (void)info;
    if (native_trap(ucontext))
        return;
    cpu.common.exit_reason = TRANSLATOR_FLOAT;
    if (pc < start || pc >= start + routines_size + code.size) { /* the interpreter */
        cpu.common.fp_control = host_context_fp_control(ucontext);
        ir_x87_settle_from(&x86_guest, &cpu.common, host_context_x87(ucontext));
        siglongjmp(after_trap, 1);
    }
    for (unsigned i = 0; i < code.insn_count && code.insns[i].start <= pc - start - routines_size; i++)
        insn = &code.insns[i];
    if (!insn)
        fail("a trap where no instruction is");
    cpu.pc = region.guest_start + insn->pc_delta;
    host_repair_context(&x86_guest, &cpu.common, ucontext, insn->state);
    host_context_set_pc(ucontext, start + routines[HOST_LEAVE]);
}

/* As a block, or interpreted. */
static uint64_t run_region(bool interpret)
{
    const uint32_t own_control = 0x1f80;

    translate(interpret);
    cpu.common.exit_reason = TRANSLATOR_NONE;
    if (interpret) {
        if (sigsetjmp(after_trap, 1) == 0)
            cpu.common.exit_reason = ir_interpret(&x86_guest, &cpu.common, &region);
        else
            __asm__ volatile("ldmxcsr %0" ::"m"(own_control));
    } else {
        void (*enter)(struct translator_cpu *, const void *);
        void *address = cache + routines[HOST_ENTER];
        memcpy(&enter, &address, sizeof enter);
        enter(&cpu.common, cache + routines_size);
    }
    return cpu.common.exit_reason;
}

static int read_memory(struct x86_core *core, uint64_t linear, void *buffer, unsigned size, bool system)
{
    (void)core, (void)system;
    memcpy(buffer, (const void *)(uintptr_t)linear, size);
    return 0;
}

static int write_memory(struct x86_core *core, uint64_t linear, const void *buffer, unsigned size,
                        bool system)
{
    (void)core, (void)system;
    memcpy((void *)(uintptr_t)linear, buffer, size);
    return 0;
}

/* One instruction that is the owner's. False: it raised an exception. */
static bool emulate(struct state *end)
{
    static const struct x86_linear linear = {read_memory, write_memory};
    struct x86_core core = {.state = &cpu.state, .linear = &linear};
    const struct x86_platform platform = {.model = &model};

    x86_x87_settle(&cpu);
    cpu.state.rip = cpu.pc;
    cpu.state.mxcsr = cpu.common.fp_control;
    const enum x86_emulated done =
        x86_emulate(&core, &platform, (const uint8_t *)(uintptr_t)cpu.pc, (unsigned)cpu.common.exit_payload);
    cpu.pc = cpu.state.rip;
    cpu.common.fp_control = cpu.state.mxcsr;
    x86_update_exact_mode(&cpu);
    if (done == X86_EMULATED)
        return true;
    end->vector = core.exception.vector;
    end->rip = cpu.pc;
    return false;
}

static void run_translated(const struct state *start, struct state *end, bool interpret)
{
    memcpy(cpu.state.gpr, start->gpr, sizeof cpu.state.gpr);
    memcpy(cpu.state.xmm, start->xmm, sizeof cpu.state.xmm);
    memcpy(cpu.state.x87, start->x87, X87_SIZE);
    memcpy(scratch, start->memory, SCRATCH);
    x86_eflags_set(&cpu.state, start->eflags);
    cpu.common.fp_control = start->mxcsr;
    cpu.pc = (uint64_t)(uintptr_t)guest_code;
    x86_update_exact_mode(&cpu);
    end->vector = 0;
    end->rip = 0;
    do
        cpu.common.exit_reason = TRANSLATOR_LINK;
    while (cpu.pc != (uintptr_t)guest_code + code_size && run_region(interpret) == TRANSLATOR_EMULATE &&
           emulate(end));
    if (cpu.common.exit_reason == TRANSLATOR_FLOAT)
        end->vector = X86_XM, end->rip = cpu.pc;
    memcpy(end->gpr, cpu.state.gpr, sizeof cpu.state.gpr);
    memcpy(end->xmm, cpu.state.xmm, sizeof cpu.state.xmm);
    x86_x87_settle(&cpu);
    memcpy(end->x87, cpu.state.x87, X87_SIZE);
    memcpy(end->memory, scratch, SCRATCH);
    end->eflags = x86_eflags_get(&cpu.state);
    end->mxcsr = cpu.common.fp_control;
    if (!end->vector && cpu.common.exit_reason > TRANSLATOR_NONE && cpu.common.exit_reason < TRANSLATOR_LINK)
        end->mxcsr = ~0u; /* an exit that is none of the instructions' */
}

/* -- comparing ------------------------------------------------------------------------------------------ */

static bool same_x87(const uint8_t *a, const uint8_t *b)
{
    const unsigned top = a[3] >> 3 & 7;
    if (memcmp(a, b, X87_HEAD) != 0)
        return false;
    for (unsigned i = 0; i < 8; i++) {
        const bool empty = !(a[4] >> ((top + i) & 7) & 1);
        const unsigned at = X87_STACK + 16 * i;
        if (!(empty && stores_popped) && memcmp(a + at, b + at, 16) != 0)
            return false;
    }
    return true;
}

/* MMX makes what was lost visible. */
static bool same(const struct state *a, const struct state *b)
{
    if (stores_popped && has_mmx)
        return true;
    return !memcmp(a->gpr, b->gpr, sizeof a->gpr) && !memcmp(a->xmm, b->xmm, sizeof a->xmm) &&
           !memcmp(a->memory, b->memory, SCRATCH) && same_x87(a->x87, b->x87) && a->mxcsr == b->mxcsr &&
           a->vector == b->vector && a->rip == b->rip && !((a->eflags ^ b->eflags) & EFLAGS_COMPARED);
}

static void print_vector(const char *label, const void *bytes)
{
    uint64_t d[2];
    memcpy(d, bytes, 16);
    printf(" %s %016" PRIx64 " %016" PRIx64, label, d[1], d[0]);
}

static void show(const struct state *start, const struct state *expected, const struct state *got)
{
    for (unsigned i = 0; i < 16; i++)
        if (expected->gpr[i] != got->gpr[i])
            printf("  %-5s start %016" PRIx64 " native %016" PRIx64 " got %016" PRIx64 "\n",
                   x86_guest.register_name(X86_REGISTER_GPR + i), start->gpr[i], expected->gpr[i],
                   got->gpr[i]);
    for (unsigned i = 0; i < 16; i++) {
        bool differs = memcmp(&expected->xmm[i], &got->xmm[i], 16);
        if (!differs)
            continue;
        printf("  xmm%-2u", i);
        print_vector("start", &start->xmm[i]);
        print_vector("native", &expected->xmm[i]);
        print_vector("got", &got->xmm[i]);
        putchar('\n');
    }
    for (unsigned i = 0; i < SCRATCH; i += 16) {
        if (!memcmp(&expected->memory[i], &got->memory[i], 16))
            continue;
        printf("  [%3u]", i);
        print_vector("native", &expected->memory[i]);
        print_vector("got", &got->memory[i]);
        putchar('\n');
    }
    for (unsigned i = 0; i < X87_SIZE; i += 16) {
        if (same_x87(expected->x87, got->x87) || (i == 16))
            continue;
        printf("  x87 [%3u]", i);
        print_vector("start", &start->x87[i]);
        print_vector("native", &expected->x87[i]);
        print_vector("got", &got->x87[i]);
        putchar('\n');
    }
    printf("  eflags start %#" PRIx64 " native %#" PRIx64 " got %#" PRIx64 "; mxcsr %#x %#x %#x\n",
           start->eflags & EFLAGS_COMPARED, expected->eflags & EFLAGS_COMPARED, got->eflags & EFLAGS_COMPARED,
           start->mxcsr, expected->mxcsr, got->mxcsr);
    printf("  exception native %u at %#" PRIx64 " got %u at %#" PRIx64 "\n", expected->vector, expected->rip,
           got->vector, got->rip);
}

/* Of the instructions at guest_code: 0 no difference, 1 host code, 2 the interpreter. */
static unsigned compare(const struct state *start, struct state *expected, struct state *got)
{
    run_native(start, expected);
    run_translated(start, got, false);
    if (!same(expected, got))
        return 1;
    run_translated(start, got, true);
    return same(expected, got) ? 0 : 2;
}

/* -- reports -------------------------------------------------------------------------------------------- */

static void describe(const struct bytes *insns, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[128];
        x86_guest.disassemble(X86_CODE_64, (uint64_t)(uintptr_t)guest_code, insns[i].b, text, sizeof text);
        printf("  ");
        for (unsigned k = 0; k < insns[i].count; k++)
            printf("%02x", insns[i].b[k]);
        printf("  %s\n", text);
    }
}

/* -- operands that must be aligned ---------------------------------------------------------------------- */

static sigjmp_buf after_fault;

static void on_fault(int signal)
{
    (void)signal;
    siglongjmp(after_fault, 1);
}

/* Whether the processor refuses the instruction at guest_code. */
static bool faults_natively(const struct state *start)
{
    static struct state end;
    const uint32_t control = 0x1f80;
    if (sigsetjmp(after_fault, 1)) {
        __asm__ volatile("ldmxcsr %0" ::"m"(control));
        return true;
    }
    run_native(start, &end);
    return false;
}

/* The same of its translation, which leaves or is refused by the processor itself. */
static bool faults_translated(const struct state *start, bool interpret)
{
    static struct state end;
    const uint32_t control = 0x1f80;
    if (sigsetjmp(after_fault, 1)) {
        __asm__ volatile("ldmxcsr %0" ::"m"(control));
        return true;
    }
    run_translated(start, &end, interpret);
    return cpu.common.exit_reason == TRANSLATOR_ALIGNMENT;
}

/* Every instruction, with its operand 1, 2, 4 and 8 bytes off: those that fault natively, and only they, must
 * leave with TRANSLATOR_ALIGNMENT or fault themselves. Returns the differences. */
static unsigned check_alignment(void)
{
    const struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_ONSTACK};
    static struct state start;
    unsigned wrong = 0;

    sigaction(SIGSEGV, &action, NULL);
    for (unsigned i = 0; i < 4 * template_count; i++) {
        const struct template *t = &templates[i / 4];
        struct bytes b = {.count = 0};
        if ((t->row->flags & X86_REGISTER) == X86_REGISTER || is_sha(t->row))
            continue; /* processors differ about SHA */
        put_opcode(&b, t, 0);
        put(&b, X86_RBX | (unsigned)X86_RDI << 3);
        if ((t->row->flags & X86_IMM_MASK) == X86_IMM_8)
            put(&b, 0);
        random_start(&start);
        start.gpr[X86_RBX] = (uint64_t)(uintptr_t)scratch + 128 + (1u << i % 4);
        assemble(&b, 1);
        const bool faults = faults_natively(&start);
        for (unsigned interpret = 0; interpret < 2; interpret++) {
            if (faults_translated(&start, interpret) == faults)
                continue;
            printf("misaligned: must%s fault\n", faults ? "" : " not");
            describe(&b, 1);
            wrong++;
        }
    }
    signal(SIGSEGV, SIG_DFL);
    return wrong;
}

/* Every register form of the x87 is an instruction if the processor has it. Returns the differences. */
static unsigned check_x87_forms(void)
{
    const struct sigaction action = {.sa_handler = on_fault};
    static struct state start;
    unsigned wrong = 0;

    sigaction(SIGILL, &action, NULL);
    for (unsigned i = 0; i < 512; i++) {
        const struct bytes b = {.b = {(uint8_t)(0xd8 + i / 64), (uint8_t)(0xc0 + i % 64)}, .count = 2};
        random_start(&start);
        assemble(&b, 1);
        if (faults_natively(&start) != is_lifted(&b))
            continue;
        printf("undefined:\n");
        describe(&b, 1);
        wrong++;
    }
    signal(SIGILL, SIG_DFL);
    return wrong;
}

/* -- runs ----------------------------------------------------------------------------------------------- */

/* Leaves the first instructions away, which are run natively, and the last, as long as there is a difference.
 */
static void report(const struct bytes *insns, unsigned count, const struct state *start, unsigned number)
{
    struct state expected, got, from = *start;
    unsigned first = 0, how = 0;

    while (count - first > 1) {
        struct state after;
        assemble(insns + first, 1);
        run_native(&from, &after);
        assemble(insns + first + 1, count - first - 1);
        if (!compare(&after, &expected, &got))
            break;
        from = after, first++;
    }
    while (count - first > 1) {
        assemble(insns + first, count - first - 1);
        if (!compare(&from, &expected, &got))
            break;
        count--;
    }
    assemble(insns + first, count - first);
    how = compare(&from, &expected, &got);
    printf("run %u: the %s differs\n", number, how == 1 ? "host code" : "interpreter");
    describe(insns + first, count - first);
    show(&from, &expected, &got);
    if (getenv("COMPARE_CODE")) {
        ir_print(stdout, &region, x86_guest.register_name);
        host_disassemble(stdout, code.bytes, code.size, 0);
    }
}

static void setup(void)
{
    static uint8_t stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct error error = ERROR_INIT;
    uint8_t *area =
        mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        fail("no memory");
    guest_code = area;
    scratch = area + 8192;
    cache = area + 16384;
    routines_size = ALIGN_UP(host_emit_routines(&x86_guest, cache, 1 << 16, routines), 64);
    cpu.common.return_sp = (uint64_t)(uintptr_t)&return_stack[32];
    find_templates();
    x86_model_parse(&model, "max", &error);
    cpu.state.cr0 = X86_CR0_PE | X86_CR0_NE;
    cpu.state.cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    cpu.state.efer = X86_EFER_LMA;
    cpu.state.segment[X86_CS].attributes = 0xa0fb; /* 64-bit code, DPL 3 */
    cpu.state.segment[X86_SS].attributes = 0xc0f3;
    sigaltstack(&alternate, NULL); /* generated code has hardly any of its own */
    sigaction(SIGFPE, &action, NULL);
}

static const struct template *random_template(int only)
{
    return &templates[only >= 0 ? (unsigned)only : random_below(template_count)];
}

int main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 100000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    int only = argc > 3 ? atoi(argv[3]) : -1;
    uint64_t instructions = 0;
    unsigned failures = 0;

    setup();
    if (only < 0) {
        random_state = 1;
        failures = check_alignment() + check_x87_forms();
    }
    if (only >= (int)template_count && only != ONLY_X87)
        fail("there is no such row");
    random_state = seed * 0x9e3779b97f4a7c15 | 1;
    for (unsigned n = 0; n < count && failures < 10; n++) {
        struct bytes insns[RUN_MAX];
        struct state start, expected, got;
        unsigned length = random_below(2) ? 1 : 1 + random_below(RUN_MAX);
        for (unsigned i = 0; i < length; i++) {
            if (only < 0 && random_below(32) == 0) {
                control_instruction(&insns[i]);
                continue;
            }
            if (only == ONLY_X87 || (only < 0 && random_below(8) == 0)) {
                do
                    x87_instruction(&insns[i]);
                while (!is_lifted(&insns[i]));
                continue;
            }
            random_instruction(&insns[i], random_template(only));
        }
        assemble(insns, length);
        for (unsigned k = 0; k < 2; k++) {
            random_start(&start);
            instructions += length;
            if (compare(&start, &expected, &got)) {
                report(insns, length, &start, n);
                failures++;
                break;
            }
        }
    }
    printf("%u rows, %" PRIu64 " instructions, seed %" PRIu64 ", %u differences\n", template_count,
           instructions, seed, failures);
    return failures ? 1 : 0;
}
