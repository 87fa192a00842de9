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
#include <sys/mman.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/host/host.h"
#include "translator/ir/eval.h"
#include "translator/ir/x86_vector.h"

/* -- a guest for this test: X0 .. X3 and V0 .. V3 in host registers, V4 .. V7 in memory
 * ---------------------- */

struct test_cpu {
    struct translator_cpu common;
    uint64_t x[4];
    uint64_t pc;
    uint16_t flags;
    uint32_t qc;
    union vector128 v[8];
};

enum { X0, V0 = 4 };

#define X(n)                                                                                                 \
    {                                                                                                        \
        "x" #n, IR_I64, n + 1, offsetof(struct test_cpu, x) + 8 * n                                          \
    }
#define V(n)                                                                                                 \
    {                                                                                                        \
        "v" #n, IR_V128, n < 4 ? n + 1 : 0, offsetof(struct test_cpu, v) + 16 * n                            \
    }
static const struct guest_register registers[] = {X(0), X(1), X(2), X(3), V(0), V(1),
                                                  V(2), V(3), V(4), V(5), V(6), V(7)};

static const struct guest_isa isa = {
    .name = "test",
    .registers = registers,
    .register_count = ARRAY_SIZE(registers),
    .cpu_size = sizeof(struct test_cpu),
    .pc_offset = offsetof(struct test_cpu, pc),
    .flags_offset = offsetof(struct test_cpu, flags),
    .qc_offset = offsetof(struct test_cpu, qc),
};

static struct test_cpu cpu;
static struct ir_region region;
static struct host_code code;
static uint8_t *cache;
static uint32_t routines[HOST_ROUTINE_COUNT];
static size_t routines_size;
static uint64_t return_stack[64];

static int setup(void **state)
{
    (void)state;
    cache = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (cache == MAP_FAILED)
        return -1;
    routines_size = ALIGN_UP(host_emit_routines(&isa, cache, 1 << 16, routines), 64);
    cpu.common.return_sp = (uint64_t)(uintptr_t)&return_stack[32];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return munmap(cache, 1 << 20);
}

/* -- random numbers, repeatable
 * ------------------------------------------------------------------------------ */

static uint64_t random_state = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}

static unsigned random_below(unsigned n)
{
    return (unsigned)((random64() >> 32) % n);
}

static uint64_t random_double(void)
{
    static const uint64_t corners[] = {
        0,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x3fe0000000000000,
        0x3ff0000000000000,
        0x3ff8000000000000,
        0x41dfffffffc00000,
        0x41e0000000000000,
        0x43e0000000000000,
        0x7fefffffffffffff,
        0x7ff0000000000000,
        0x7ff0000000000001,
        0x7ff4000000000000,
        0x7ff8000000000000,
        0x7fffffffffffffff,
    };
    uint64_t r = random64();
    switch (random_below(4)) {
    case 0: return r;
    case 1:
        return (r & 1ull << 63) | (1023 - 30 + (uint64_t)random_below(70)) << 52 | (r >> 12 & ~0ull << 40);
    default: return corners[random_below(ARRAY_SIZE(corners))] ^ (r & 1ull << 63);
    }
}

static uint32_t random_single(void)
{
    static const uint32_t corners[] = {
        0,          1,          0x007fffff, 0x00800000, 0x3f000000, 0x3f800000, 0x3fc00000, 0x4effffff,
        0x4f000000, 0x5f000000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fa00000, 0x7fc00000, 0x7fffffff,
    };
    uint32_t r = (uint32_t)random64();
    switch (random_below(4)) {
    case 0: return r;
    case 1: return (r & 1u << 31) | (127 - 20 + random_below(50)) << 23 | (r >> 9 & ~0u << 12);
    default: return corners[random_below(ARRAY_SIZE(corners))] ^ (r & 1u << 31);
    }
}

static union vector128 random_vector(void)
{
    union vector128 v = {.d = {random64(), random64()}};
    switch (random_below(5)) {
    case 0:
        for (unsigned i = 0; i < 4; i++)
            v.w[i] = random_single();
        break;
    case 1: v.d[0] = random_double(), v.d[1] = random_double(); break;
    case 2: /* text: few letters, an end */
        for (unsigned i = 0; i < 16; i++)
            v.b[i] = (uint8_t)(random_below(18) ? "abc\xfe"[random_below(4)] : 0);
        break;
    case 3: /* amounts and lengths, of either sign */
        for (unsigned i = 0; i < 4; i++)
            v.sw[i] = (int32_t)random_below(80) - 40;
        if (random64() & 1)
            v.d[0] = random_below(70);
        break;
    default: break;
    }
    return v;
}

/* -- regions
 * ---------------------------------------------------------------------------------------------------- */

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

static bool flags_live(void *context, uint64_t pc)
{
    (void)context;
    (void)pc;
    return false;
}

static void translate(void)
{
    host_emit(&isa, &region, flags_live, NULL, &code);
    assert_false(code.overflow);
    for (unsigned i = 0; i < code.reloc_count; i++) {
        uint32_t at = code.relocs[i].offset;
        uint32_t displacement = routines[code.relocs[i].routine] - ((uint32_t)routines_size + at + 4);
        memcpy(code.bytes + at, &displacement, 4);
    }
    memcpy(cache + routines_size, code.bytes, code.size);
}

static void run(void)
{
    void (*enter)(struct translator_cpu *, const void *);
    void *address = cache + routines[HOST_ENTER];
    memcpy(&enter, &address, sizeof enter);
    enter(&cpu.common, cache + routines_size);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_BREAKPOINT);
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

/* -- tests
 * ---------------------------------------------------------------------------------------------------- */

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
