/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guest: the AArch64 guest as the translator sees it: its registers, and the loop that lifts a region. */
#include <string.h>

#include "arm64_decode.h"
#include "translator/guest/arm64/disassemble.h"
#include "translator/guest/arm64/private.h"

#define X(n, rank)                                                                                           \
    {                                                                                                        \
        "x" #n, IR_I64, rank, offsetof(struct arm64_cpu, state.x[n])                                         \
    }
#define V(n, rank)                                                                                           \
    {                                                                                                        \
        "v" #n, IR_V128, rank, offsetof(struct arm64_cpu, state.v[n])                                        \
    }

/*
 * Ranks are by how often compiled code uses the registers: arguments and the stack pointer first, then
 * the callee-saved ones from x19 and the temporaries from x8 on.
 */
static const struct guest_register registers[] = {
    X(0, 1),
    X(1, 2),
    X(2, 3),
    X(3, 5),
    X(4, 7),
    X(5, 9),
    X(6, 13),
    X(7, 16),
    X(8, 14),
    X(9, 20),
    X(10, 22),
    X(11, 23),
    X(12, 25),
    X(13, 27),
    X(14, 28),
    X(15, 29),
    X(16, 21),
    X(17, 26),
    X(18, 31),
    X(19, 6),
    X(20, 8),
    X(21, 10),
    X(22, 12),
    X(23, 15),
    X(24, 17),
    X(25, 18),
    X(26, 19),
    X(27, 24),
    X(28, 30),
    X(29, 11),
    X(30, 32),
    {"sp", IR_I64, 4, offsetof(struct arm64_cpu, state.sp)},
    V(0, 1),
    V(1, 2),
    V(2, 3),
    V(3, 4),
    V(4, 5),
    V(5, 6),
    V(6, 7),
    V(7, 8),
    V(8, 17),
    V(9, 18),
    V(10, 19),
    V(11, 20),
    V(12, 21),
    V(13, 22),
    V(14, 23),
    V(15, 24),
    V(16, 9),
    V(17, 10),
    V(18, 11),
    V(19, 12),
    V(20, 13),
    V(21, 14),
    V(22, 15),
    V(23, 16),
    V(24, 25),
    V(25, 26),
    V(26, 27),
    V(27, 28),
    V(28, 29),
    V(29, 30),
    V(30, 31),
    V(31, 32),
    {"tpidr", IR_I64, 0, offsetof(struct arm64_cpu, state.tpidr)},
};
_Static_assert(sizeof registers / sizeof registers[0] == ARM64_REGISTER_COUNT,
               "the order is enum arm64_register's");

static void lift_instruction(struct lift *l, const uint8_t *code)
{
    memcpy(&l->word, code, sizeof l->word);
    ir_emit(l->ir, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l->pc, 0);
    if (!arm64_decode_lift(l))
        lift_raise(l, TRANSLATOR_UNDEFINED, l->word, l->pc);
}

static void lift_region_of(struct ir_region *region, uint64_t pc, const uint8_t *code, size_t limit,
                           unsigned max)
{
    struct lift l = {.ir = region, .pc = pc};
    unsigned count = 0;

    if (pc & 3) { /* a branch to a misaligned address: D1.3.7 "PC alignment checking" */
        ir_emit(region, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, pc, 0);
        lift_raise(&l, TRANSLATOR_ALIGNMENT, pc, pc);
        region->guest_end = pc + 1;
        return;
    }
    while (!l.ended && count < max && limit >= 4) {
        unsigned mark = region->count;
        lift_instruction(&l, code);
        if (region->overflow && count > 0) { /* it begins the next region instead */
            ir_region_truncate(region, mark);
            l.ended = false;
            break;
        }
        l.pc += 4, code += 4, limit -= 4, count++;
    }
    if (!l.ended)
        ir_emit(region, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, l.pc, 0);
    region->guest_end = l.pc;
}

static const char *register_name(unsigned index)
{
    return index < ARM64_REGISTER_COUNT ? registers[index].name : "?";
}

const struct guest_isa arm64_guest = {
    .name = "arm64",
    .registers = registers,
    .register_count = ARM64_REGISTER_COUNT,
    .instruction_bytes = 4,
    .pc_shift = 2,
    .cpu_size = sizeof(struct arm64_cpu),
    .pc_offset = offsetof(struct arm64_cpu, state.pc),
    .flags_offset = offsetof(struct arm64_cpu, state.flags),
    .qc_offset = offsetof(struct arm64_cpu, state.qc),
    .fp_control = arm64_fp_control,
    .mode = arm64_fp_mode,
    .lift = lift_region_of,
    .flags_use = arm64_flags_use,
    .register_name = register_name,
    .disassemble = arm64_disassemble,
};
