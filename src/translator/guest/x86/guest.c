/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guest: the x86 guest as the translator sees it: its registers, and the loop that lifts a region. */
#include <string.h>

#include "arch/x86/requires.h"
#include "arch/x86/segment.h"
#include "translator/guest/x86/lift.h"
#include "translator/guest/x86/private.h"
#include "translator/ir/x87.h"

#define GPR(name, n, rank)                                                                                   \
    {                                                                                                        \
        name, IR_I64, rank, offsetof(struct x86_cpu, state.gpr[n])                                           \
    }
#define XMM(n)                                                                                               \
    {                                                                                                        \
        "xmm" #n, IR_V128, n + 1, offsetof(struct x86_cpu, state.xmm[n])                                     \
    }
#define BASE(name, n)                                                                                        \
    {                                                                                                        \
        name, IR_I64, 0, offsetof(struct x86_cpu, state.segment_base[n])                                     \
    }

/* The selector is the first member. */
#define SEGMENT(name, n)                                                                                     \
    {                                                                                                        \
        name, IR_I64, 0, offsetof(struct x86_cpu, state.segment[n])                                          \
    }

#define REACH(name, member, n)                                                                               \
    {                                                                                                        \
        name, IR_I64, 0, offsetof(struct x86_cpu, member[n])                                                 \
    }

/* Ranks are by how often compiled code uses the registers. */
static const struct guest_register registers[] = {
    GPR("rax", 0, 1),
    GPR("rcx", 1, 2),
    GPR("rdx", 2, 3),
    GPR("rbx", 3, 6),
    GPR("rsp", 4, 4),
    GPR("rbp", 5, 5),
    GPR("rsi", 6, 7),
    GPR("rdi", 7, 8),
    GPR("r8", 8, 9),
    GPR("r9", 9, 10),
    GPR("r10", 10, 14),
    GPR("r11", 11, 15),
    GPR("r12", 12, 11),
    GPR("r13", 13, 12),
    GPR("r14", 14, 13),
    GPR("r15", 15, 16),
    XMM(0),
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
    {"df", IR_I64, 0, offsetof(struct x86_cpu, state.df)},
    {"eflags", IR_I64, 0, offsetof(struct x86_cpu, state.eflags_system)},
    BASE("es", X86_ES),
    BASE("cs", X86_CS),
    BASE("ss", X86_SS),
    BASE("ds", X86_DS),
    BASE("fs", X86_FS),
    BASE("gs", X86_GS),
    SEGMENT("es.sel", X86_ES),
    SEGMENT("cs.sel", X86_CS),
    SEGMENT("ss.sel", X86_SS),
    SEGMENT("ds.sel", X86_DS),
    SEGMENT("fs.sel", X86_FS),
    SEGMENT("gs.sel", X86_GS),
    {"kgs", IR_I64, 0, offsetof(struct x86_cpu, state.kernel_gs_base)},
    {"mode", IR_I64, 0, offsetof(struct x86_cpu, mode)},
    {"waiting", IR_I64, 0, offsetof(struct x86_cpu, waiting)},
    {"tsc", IR_I64, 0, offsetof(struct x86_cpu, tsc)},
    {"x87", IR_I64, 0, offsetof(struct x86_cpu, state.x87)},
    REACH("es.read", read_reach, X86_ES),
    REACH("cs.read", read_reach, X86_CS),
    REACH("ss.read", read_reach, X86_SS),
    REACH("ds.read", read_reach, X86_DS),
    REACH("fs.read", read_reach, X86_FS),
    REACH("gs.read", read_reach, X86_GS),
    REACH("es.writ", write_reach, X86_ES),
    REACH("cs.writ", write_reach, X86_CS),
    REACH("ss.writ", write_reach, X86_SS),
    REACH("ds.writ", write_reach, X86_DS),
    REACH("fs.writ", write_reach, X86_FS),
    REACH("gs.writ", write_reach, X86_GS),
};
_Static_assert(sizeof registers / sizeof registers[0] == X86_REGISTER_COUNT,
               "the order is enum x86_register's");

bool x86_lift_emulate(struct x86_lift *l)
{
    x86_raise(l, TRANSLATOR_EMULATE, l->insn.length, l->pc);
    return true;
}

static bool has_insn(const struct x86_lift *l)
{
    return !l->ir->model || x86_model_has_insn(l->ir->model, &l->insn);
}

/* Whether sums of addresses wrap around where those of the code's do, wherever it is moved to; in 64-bit code
 * that is above 4 GiB, they do not at all. */
static bool is_movable(unsigned mode, uint64_t pc)
{
    if ((mode & X86_MODE_CODE) == X86_CODE_64)
        return pc > UINT32_MAX;
    return (mode & X86_MODE_CODE) == X86_CODE_32 && !(mode & X86_MODE_SEGMENTED);
}

/* Instructions that the mode forbids, or in which an exception of the x87 may be waiting or come. */
static bool is_owners(const struct x86_lift *l)
{
    if (!(l->mode & (X86_MODE_NO_FPU | X86_MODE_X87_TRAPS)))
        return false;
    const enum x86_float_unit unit = x86_float_unit(&l->insn);
    return l->mode & X86_MODE_NO_FPU ? unit != X86_UNIT_NONE : unit == X86_UNIT_X87 || unit == X86_UNIT_MMX;
}

/* False: more bytes are needed than there are. */
static bool lift_instruction(struct x86_lift *l, const uint8_t *code, size_t limit)
{
    const enum x86_decoded decoded =
        x86_decode(&l->insn, &x86_lift_opcodes, (enum x86_code)(l->mode & X86_MODE_CODE), code, limit);

    if (decoded == X86_CUT)
        return false;
    l->next = l->pc + l->insn.length;
    ir_emit(l->ir, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l->pc, 0);
    if (decoded == X86_TOO_LONG)
        x86_raise(l, TRANSLATOR_EMULATE, 0, l->pc); /* #GP instead: no length tells it */
    else if (decoded == X86_DECODED && has_insn(l) && is_owners(l))
        x86_lift_emulate(l);
    else if (decoded == X86_UNDEFINED || !has_insn(l) || !l->insn.row->lift(l))
        x86_raise(l, TRANSLATOR_UNDEFINED, 0, l->pc);
    return true;
}

static void lift_instructions(struct ir_region *region, uint64_t pc, const uint8_t *code, size_t limit,
                              unsigned max)
{
    struct x86_lift l = {.ir = region, .pc = pc, .mode = region->mode};
    unsigned count = 0;

    region->tlb = x86_mode_tlb(region->mode);
    region->movable &= is_movable(region->mode, pc);
    region->tells_branches = (region->mode & X86_MODE_CODE) == X86_CODE_64;

    while (!l.ended && count < max) {
        const unsigned mark = region->count;
        l.last = count + 1 == max;
        if (!lift_instruction(&l, code, limit)) {
            if (count > 0)
                break;
            /* The first instruction goes on where nothing is executable. */
            ir_emit(region, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, pc, 0);
            x86_raise(&l, TRANSLATOR_FETCH_FAULT, pc + limit, pc);
            region->guest_end = pc + limit;
            region->cut = true;
            return;
        }
        if (region->overflow && count > 0) { /* it begins the next region instead */
            ir_region_truncate(region, mark);
            l.ended = false;
            break;
        }
        code += l.insn.length, limit -= l.insn.length;
        l.pc = l.next, count++;
    }
    if (!l.ended)
        ir_emit(region, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l.pc, 0);
    region->guest_end = l.pc;
}

static void lift_region(struct ir_region *region, uint64_t pc, const uint8_t *code, size_t limit,
                        unsigned max)
{
    lift_instructions(region, pc, code, limit, max);
    if (!region->overflow)
        ir_finish_reaches(region);
}

void x86_x87_settle(struct x86_cpu *cpu)
{
    ir_x87_settle(&x86_guest, &cpu->common);
}

void x86_undo_branch(struct x86_cpu *cpu, const uint8_t *code, size_t size)
{
    enum { WORD = 8 };
    uint64_t *sp = &cpu->state.gpr[X86_RSP];
    struct x86_insn insn;

    if (x86_decode(&insn, &x86_lift_opcodes, X86_CODE_64, code, size) != X86_DECODED)
        return;
    if (insn.row->lift == x86_lift_ret)
        *sp -= WORD + insn.imm;
    else if (insn.row->lift == x86_lift_group5 && (insn.reg & 7) == 2) /* CALL */
        *sp += WORD;
}

unsigned x86_exact_mode(const struct x86_cpu *cpu)
{
    enum { MXCSR_MASKS = 0x1f80, X87_MASKS = 0x3f };
    uint16_t control;

    memcpy(&control, cpu->state.x87, sizeof control);
    return ((cpu->common.fp_control & MXCSR_MASKS) == MXCSR_MASKS ? 0 : X86_MODE_SSE_TRAPS) |
           ((control & X87_MASKS) == X87_MASKS ? 0 : X86_MODE_X87_TRAPS) |
           (x86_checks_alignment(&cpu->state) ? X86_MODE_ALIGNED : 0);
}

void x86_update_exact_mode(struct x86_cpu *cpu)
{
    const unsigned all = X86_MODE_SSE_TRAPS | X86_MODE_X87_TRAPS | X86_MODE_ALIGNED;
    cpu->mode = (cpu->mode & ~(uint64_t)all) | x86_exact_mode(cpu);
}

/* An access in [0, reach) is allowed, as far as that can be said with one number. */
static uint64_t reach_of(const struct x86_state *s, enum x86_segment segment, bool write)
{
    return x86_segment_allows(s, segment, 0, 1, write) ? (uint64_t)s->segment[segment].limit + 1 : 0;
}

unsigned x86_update_reach(struct x86_cpu *cpu)
{
    const uint64_t all = 1ull << 32;
    const struct x86_state *s = &cpu->state;

    for (unsigned i = 0; i < X86_SEGMENT_COUNT; i++) {
        const bool down = x86_segment_expands_down(&s->segment[i]);
        cpu->read_reach[i] = down ? 0 : reach_of(s, (enum x86_segment)i, false);
        cpu->write_reach[i] = down ? 0 : reach_of(s, (enum x86_segment)i, true);
    }
    const bool flat =
        cpu->write_reach[X86_SS] == all && cpu->write_reach[X86_DS] == all && cpu->write_reach[X86_ES] == all;
    return X86_MODE_CHECKED | (flat ? 0 : X86_MODE_LIMITED);
}

static unsigned mode_of(const struct translator_cpu *cpu)
{
    return (unsigned)((const struct x86_cpu *)cpu)->mode << IR_MODE_SHIFT;
}

static const char *register_name(unsigned index)
{
    return index < X86_REGISTER_COUNT ? registers[index].name : "?";
}

/* What the two have in common. */
#define X86_GUEST                                                                                            \
    .name = "amd64", .registers = registers, .register_count = X86_REGISTER_COUNT,                           \
    .instruction_bytes = X86_INSTRUCTION_MAX, .pc_offset = offsetof(struct x86_cpu, pc),                     \
    .flags_offset = offsetof(struct x86_cpu, state.flags), .more_flags = NZCV_P | NZCV_A,                    \
    .host_alignment = true, .x87_offset = offsetof(struct x86_cpu, state.x87), .mode = mode_of,              \
    .lift = lift_region, .flags_use = x86_flags_use, .register_name = register_name,                         \
    .disassemble = x86_disassemble

const struct guest_isa x86_guest = {
    X86_GUEST,
    .cpu_size = sizeof(struct x86_cpu),
};

const struct guest_isa x86_system_guest = {
    X86_GUEST,
    .cpu_size = sizeof(struct x86_system_cpu),
    .tlb_offset = offsetof(struct x86_system_cpu, tlbs),
};
