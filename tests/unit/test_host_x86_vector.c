/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of x86's vector operations: for every row of x86_vector.def, with each kind of place that operands
 * can be in, host code must leave what ir_interpret() leaves: registers, condition flags and all of MXCSR, in
 * every rounding mode, with and without flushing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/host/host.h"
#include "translator/ir/eval.h"
#include "translator/ir/x86_vector.h"

#include "../isa/x86/operands.h"
#include "vector_harness.h"

/* -- regions --------------------------------------------------------------------------------------------- */

static ir_value op(enum ir_op op_code, enum ir_type type, unsigned aux, ir_value a, ir_value b, ir_value c,
                   unsigned imm)
{
    return ir_emit(&region, op_code, type, aux, a, b, c, imm, 0);
}

/* For a while a value that is no guest register's: a temporary, or spilled. */
static ir_value recent[4];

static ir_value vector_operand(void)
{
    if (random_below(4) == 0 && recent[0])
        return recent[random_below(ARRAY_SIZE(recent))];
    return ir_get(&region, V0 + random_below(8), IR_V128);
}

static ir_value integer_operand(enum ir_type type)
{
    ir_value x = ir_get(&region, X0 + random_below(4), IR_I64);
    return type == IR_I32 ? ir_trunc(&region, x) : x;
}

static void set_vector(ir_value v)
{
    if (!recent[0])
        for (unsigned i = 0; i < ARRAY_SIZE(recent); i++)
            recent[i] = v;
    recent[random_below(ARRAY_SIZE(recent))] = v;
    if (random_below(3))
        ir_set(&region, V0 + random_below(8), v);
}

static void set_integer(ir_value v)
{
    struct ir_region *r = &region;
    ir_set(r, X0 + random_below(4), ir_type_of(r, v) == IR_I32 ? ir_zext(r, v) : v);
}

static void build_vector(unsigned row, unsigned imm)
{
    const struct x86_vector_info *info = &x86_vector_info[row];
    ir_value a = vector_operand(), b = a, c = a;
    bool one = info->shape == X86_SHAPE_RM || info->shape == X86_SHAPE_RMI || info->shape == X86_SHAPE_SHIFT;
    if (!one)
        b = vector_operand();
    if (info->shape == X86_SHAPE_RVMR || info->shape == X86_SHAPE_LEGACY_XMM0 ||
        info->shape == X86_SHAPE_MASK_OF)
        c = vector_operand();
    set_vector(op(info->raises_status ? IR_X86VF : IR_X86V, IR_V128, row, a, b, c, imm));
}

static void build_string(unsigned row, unsigned imm, bool flags)
{
    const unsigned shape = x86_vector_info[row].shape;
    bool given = shape == X86_SHAPE_MASK_OF || shape == X86_SHAPE_INDEX_OF;
    ir_value a = vector_operand(), b = vector_operand();
    ir_value c = given ? op(IR_VGET, IR_I64, 3, vector_operand(), IR_NONE, IR_NONE, 0) : IR_NONE;
    if (flags)
        ir_set_flags(&region, op(IR_X86V_FLAGS, IR_FLAGS, row, a, b, c, imm));
    else
        set_integer(op(IR_X86V_TO_INT, IR_I32, row, a, b, c, imm));
}

/* One or more operations of a row. */
static void build_row(unsigned row, unsigned imm)
{
    const struct x86_vector_info *info = &x86_vector_info[row];
    enum ir_type type = random64() & 1 ? IR_I32 : IR_I64;
    ir_value a;

    if (info->shape <= X86_SHAPE_MASK_OF)
        build_vector(row, imm);
    if (info->shape == X86_SHAPE_INDEX || info->shape == X86_SHAPE_INDEX_OF)
        build_string(row, imm, false);
    if (info->shape >= X86_SHAPE_MASK && info->shape <= X86_SHAPE_TEST)
        build_string(row, imm, true);
    if (info->shape == X86_SHAPE_TO_INT) {
        a = vector_operand();
        if (info->raises_status)
            set_integer(op(IR_X86VF_TO_INT, type, row, a, IR_NONE, IR_NONE, 0));
        else
            set_integer(op(IR_X86V_TO_INT, IR_I32, row, a, a, IR_NONE, 0));
    }
    if (info->shape == X86_SHAPE_FROM_INT) {
        a = vector_operand();
        set_vector(op(IR_X86VF_FROM_INT, IR_V128, row, a, integer_operand(type), IR_NONE, 0));
    }
}

static void begin(void)
{
    ir_region_reset(&region, 0x1000);
    region.guest_end = 0x1004;
    op(IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000);
    memset(recent, 0, sizeof recent);
    if (random64() & 1) /* flags that are read later, or left */
        ir_set_flags(&region, ir_flags_of(&region, ir_binary(&region, IR_SUB, integer_operand(IR_I64),
                                                             integer_operand(IR_I64))));
}

static void end(void)
{
    struct ir_region *r = &region;
    struct error error;
    if (random64() & 1)
        set_integer(ir_select(r, ir_cond(r, ir_get_flags(r), IR_SLT), integer_operand(IR_I64),
                              integer_operand(IR_I64)));
    if (recent[0])
        ir_set(r, V0 + 7, recent[random_below(ARRAY_SIZE(recent))]);
    ir_emit(r, IR_RAISE, IR_VOID, TRANSLATOR_BREAKPOINT, IR_NONE, IR_NONE, IR_NONE, 7, 0x1004);
    if (ir_verify(r, &error))
        fail_msg("%s", error.message);
}

static void fail_region(const struct test_cpu *start, const struct test_cpu *expected)
{
    for (unsigned i = 0; i < 8; i++)
        print_error("v%u %016llx %016llx -> %016llx %016llx expected %016llx %016llx\n", i,
                    (unsigned long long)start->v[i].d[1], (unsigned long long)start->v[i].d[0],
                    (unsigned long long)cpu.v[i].d[1], (unsigned long long)cpu.v[i].d[0],
                    (unsigned long long)expected->v[i].d[1], (unsigned long long)expected->v[i].d[0]);
    for (unsigned i = 0; i < 4; i++)
        print_error("x%u %016llx -> %016llx expected %016llx\n", i, (unsigned long long)start->x[i],
                    (unsigned long long)cpu.x[i], (unsigned long long)expected->x[i]);
    ir_print(stderr, &region, NULL);
    host_disassemble(stderr, code.bytes, code.size, 0);
    fail_msg("flags %#x expected %#x, MXCSR %#x -> %#x expected %#x", cpu.flags, expected->flags,
             start->common.fp_control, cpu.common.fp_control, expected->common.fp_control);
}

static unsigned case_count;

/* Runs the region both ways on random registers. */
static void check_region(unsigned times)
{
    static struct test_cpu start, expected;
    translate();
    for (unsigned n = 0; n < times; n++, case_count++) {
        for (unsigned i = 0; i < 4; i++)
            cpu.x[i] = random_below(3) ? random64() >> random_below(64) : random_double();
        for (unsigned i = 0; i < 8; i++)
            cpu.v[i] = random_below(4) || !i ? random_vector() : cpu.v[random_below(i)];
        cpu.flags = (uint16_t)random64() & NZCV_MASK;
        cpu.common.fp_control = 0x1f80 | random_below(4) << 13 | (random_below(64) ? 0 : 0x3f);
        if (random_below(3) == 0)
            cpu.common.fp_control |= (uint32_t)random64() & 0x8040;
        start = cpu;
        run();
        expected = start;
        ir_interpret(&isa, &expected.common, &region);
        if (memcmp(cpu.x, expected.x, sizeof cpu.x) || memcmp(cpu.v, expected.v, sizeof cpu.v) ||
            (cpu.flags ^ expected.flags) & NZCV_MASK || cpu.common.fp_control != expected.common.fp_control)
            fail_region(&start, &expected);
    }
}

/* -- tests ----------------------------------------------------------------------------------------------- */

/* Whether the shape has an immediate. */
static bool has_immediate(unsigned row)
{
    switch (x86_vector_info[row].shape) {
    case X86_SHAPE_RMI:
    case X86_SHAPE_RVMI:
    case X86_SHAPE_SHIFT:
    case X86_SHAPE_LEGACY_I:
    case X86_SHAPE_MASK:
    case X86_SHAPE_MASK_OF:
    case X86_SHAPE_INDEX:
    case X86_SHAPE_INDEX_OF: return true;
    default: return false;
    }
}

/* What of the byte the lifter leaves. */
static unsigned immediate_mask(unsigned row)
{
    return row >= X86V_CMPPS && row <= X86V_CMPSD ? 7 : 255;
}

static void test_rows(void **state)
{
    (void)state;
    for (unsigned row = 0; row < X86V_COUNT; row++) {
        if (!x86_vector_available(row))
            continue;
        unsigned immediates = has_immediate(row) ? immediate_mask(row) + 1 : 1;
        unsigned regions = immediates > 1 ? 2 : 40;
        for (unsigned imm = 0; imm < immediates; imm++)
            for (unsigned n = 0; n < regions; n++) {
                begin();
                build_row(row, imm);
                end();
                check_region(16);
            }
    }
}

static void test_many(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 4000; n++) {
        begin();
        for (unsigned count = 2 + random_below(16); count; count--) {
            unsigned row = random_below(X86V_COUNT);
            if (x86_vector_available(row))
                build_row(row, (unsigned)random64() & immediate_mask(row));
        }
        end();
        check_region(8);
    }
}

/* What nobody reads is not computed, unless it raises flags. */
static void test_dead(void **state)
{
    uint32_t sizes[3];
    (void)state;
    for (unsigned n = 0; n < 3; n++) {
        ir_region_reset(&region, 0x1000);
        region.guest_end = 0x1004;
        op(IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000);
        ir_value a = ir_get(&region, V0, IR_V128);
        if (n)
            op(n == 1 ? IR_X86V : IR_X86VF, IR_V128, n == 1 ? X86V_PADDB : X86V_ADDPS, a, a, a, 0);
        ir_emit(&region, IR_RAISE, IR_VOID, TRANSLATOR_BREAKPOINT, IR_NONE, IR_NONE, IR_NONE, 7, 0x1004);
        translate();
        sizes[n] = code.size;
    }
    assert_int_equal(sizes[0], sizes[1]);
    assert_true(sizes[2] > sizes[1]);
}

/* Rows are used with the operations that their shape says. */
static void test_verify(void **state)
{
    struct error error;
    (void)state;
    ir_region_reset(&region, 0x1000);
    region.guest_end = 0x1004;
    op(IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000);
    ir_value a = ir_get(&region, V0, IR_V128);
    ir_value v = op(IR_X86V, IR_V128, X86V_PADDB, a, a, a, 0);
    ir_emit(&region, IR_RAISE, IR_VOID, TRANSLATOR_BREAKPOINT, IR_NONE, IR_NONE, IR_NONE, 7, 0x1004);
    assert_int_equal(ir_verify(&region, &error), 0);
    static const uint16_t wrong[] = {X86V_ADDPS, X86V_PTEST, X86V_PCMPISTRI, X86V_PMOVMSKB, X86V_COUNT};
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        region.insns[v].aux = wrong[i];
        assert_int_not_equal(ir_verify(&region, &error), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_dead),
        cmocka_unit_test(test_verify),
    };
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    print_message("%u rows, %u cases\n", (unsigned)X86V_COUNT, case_count);
    return failed;
}
