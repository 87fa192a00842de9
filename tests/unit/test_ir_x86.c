/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of translator/ir: what the operations for x86 guests compute, against this processor's own
 * instructions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <xmmintrin.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/ir/eval.h"
#include "translator/tlb.h"

#include "../random.h"
#include "part_flags.h"

struct test_cpu {
    struct translator_cpu common;
    uint64_t x[4];
    uint64_t pc;
    uint16_t flags;
    uint32_t qc;
};

static const struct guest_register registers[] = {
    {"x0", IR_I64, 1, offsetof(struct test_cpu, x[0])},
    {"x1", IR_I64, 2, offsetof(struct test_cpu, x[1])},
    {"x2", IR_I64, 3, offsetof(struct test_cpu, x[2])},
    {"x3", IR_I64, 4, offsetof(struct test_cpu, x[3])},
};

static const struct guest_isa isa = {
    .name = "test",
    .registers = registers,
    .register_count = ARRAY_SIZE(registers),
    .cpu_size = sizeof(struct test_cpu),
    .pc_offset = offsetof(struct test_cpu, pc),
    .flags_offset = offsetof(struct test_cpu, flags),
    .qc_offset = offsetof(struct test_cpu, qc),
    .more_flags = NZCV_P | NZCV_A,
};

static struct test_cpu cpu;
static struct ir_region region;
static struct ir_region *const r = &region;

/* Values near the borders of each width as often as any. */
static uint64_t random_operand(void)
{
    static const uint64_t borders[] = {0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000};
    uint64_t x = random64();
    switch (x >> 60) {
    case 0:
    case 1:
    case 2:
    case 3: return borders[random64() % ARRAY_SIZE(borders)] + (random64() % 3) - 1;
    case 4: return 1ull << (random64() & 63);
    case 5: return random64() & 63;
    default: return random64();
    }
}

/* -- the processor itself ---------------------------------------------------------------------------------
 */

static uint64_t eflags_of(uint16_t flags)
{
    return 2 | (flags >> 8 & 0xd5) | (flags & NZCV_V ? 1 << 11 : 0);
}

static uint16_t flags_of(uint64_t eflags)
{
    return (uint16_t)(((eflags & 0xd5) << 8) | (eflags >> 11 & 1));
}

/* clang-format off */
#define RUN(text)                                                                   \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %1\n\tpopfq\n\t" text          \
                     "\n\tpushfq\n\tpop %1\n\tlea 128(%%rsp), %%rsp"                \
                     : "+r"(a), "+r"(eflags) : "c"(b) : "cc", "memory"); break
#define SIZES(b8, b16, b32, b64)                                                    \
    switch (size) { case 0: RUN(b8); case 1: RUN(b16); case 2: RUN(b32); default: RUN(b64); } break
#define BINARY(n) SIZES(n "b %b2, %b0", n "w %w2, %w0", n "l %k2, %k0", n "q %2, %0")
#define UNARY(n) SIZES(n "b %b0", n "w %w0", n "l %k0", n "q %0")
#define SHIFT(n) SIZES(n "b %%cl, %b0", n "w %%cl, %w0", n "l %%cl, %k0", n "q %%cl, %0")

static uint64_t native(enum ir_op op, unsigned size, uint64_t a, uint64_t b, uint16_t c, uint16_t *flags)
{
    uint64_t eflags = eflags_of(c);
    switch (op) {
    case IR_PART_ADD: BINARY("add");
    case IR_PART_SUB: BINARY("sub");
    case IR_PART_ADC: BINARY("adc");
    case IR_PART_SBB: BINARY("sbb");
    case IR_PART_AND: BINARY("and");
    case IR_PART_OR:  BINARY("or");
    case IR_PART_XOR: BINARY("xor");
    case IR_PART_INC: UNARY("inc");
    case IR_PART_DEC: UNARY("dec");
    case IR_PART_SHL: SHIFT("shl");
    case IR_PART_SHR: SHIFT("shr");
    case IR_PART_SAR: SHIFT("sar");
    case IR_PART_ROL: SHIFT("rol");
    case IR_PART_ROR: SHIFT("ror");
    case IR_PART_RCL: SHIFT("rcl");
    case IR_PART_RCR: SHIFT("rcr");
    default:
        SIZES("xchg %%rax, %0\n\timulb %b2\n\txchg %%rax, %0\n\t"  /* a is not rax: see below */,
              "imulw %w2, %w0", "imull %k2, %k0", "imulq %2, %0");
    }
    *flags = flags_of(eflags);
    return a;
}
/* clang-format on */

static void check_part(enum ir_op op, unsigned size, bool wide, uint64_t a, uint64_t b, uint16_t c)
{
    uint16_t should_flags, flags;
    const uint16_t defined = part_defined_flags(op, size, b);
    uint64_t should = native(op, size, a, b, c, &should_flags);
    if (op == IR_PART_MUL && size == 0) /* imul writes 16 bits */
        should = (a & ~0xffull) | (should & 0xff);
    uint64_t is = ir_eval_part(op, size, a, b, c, &flags);
    if (!wide)
        should = (uint32_t)should;
    if (is != should || ((flags ^ should_flags) & defined))
        fail_msg("%s.%u %#llx, %#llx, flags %04x: %#llx %04x, not %#llx %04x", ir_op_info[op].name,
                 8u << size, (unsigned long long)a, (unsigned long long)b, c, (unsigned long long)is,
                 flags & defined, (unsigned long long)should, should_flags & defined);
}

static void test_parts(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 400000; i++) {
        enum ir_op op = (enum ir_op)(IR_PART_ADD + i % (IR_PART_MUL - IR_PART_ADD + 1));
        unsigned size = random64() >> 62;
        bool wide = size == 3 || (size < 2 && random64() >> 63);
        uint64_t a = random_operand(), b = random_operand();
        if (!wide) {
            a = (uint32_t)a;
            b = (uint32_t)b;
        }
        check_part(op, size, wide, a, b, random64() & NZCVPA_MASK);
    }
}

/* -- division ----------------------------------------------------------------------------------------------
 */

static bool divide(enum ir_op op, enum ir_type type, uint64_t a, uint64_t b, uint64_t c, uint64_t *result)
{
    const struct ir_insn n = {.op = (uint16_t)op, .type = (uint8_t)type};
    return ir_eval_divide(&n, a, b, c, result);
}

/* Quotient and remainder give the dividend again, and are as small as they must be. */
static void test_division(void **state)
{
    (void)state;
    unsigned fitting = 0;
    for (unsigned i = 0; i < 100000; i++) {
        const bool wide = i & 1, is_signed = i & 2;
        const enum ir_type type = wide ? IR_I64 : IR_I32;
        const uint64_t mask = wide ? ~0ull : 0xffffffff;
        uint64_t b = random_operand() & mask, c = random_operand() & mask, quotient, remainder;
        uint64_t a = random64() & 1 ? random_operand() & mask : is_signed && random64() & 1 ? mask : 0;
        if (!divide(is_signed ? IR_SDIV_WIDE : IR_UDIV_WIDE, type, a, b, c, &quotient)) {
            assert_false(divide(is_signed ? IR_SREM_WIDE : IR_UREM_WIDE, type, a, b, c, &remainder));
            if (!is_signed)
                assert_true(c == 0 || a >= c);
            continue;
        }
        fitting++;
        assert_true(divide(is_signed ? IR_SREM_WIDE : IR_UREM_WIDE, type, a, b, c, &remainder));
        if (is_signed) {
            __int128 x = wide ? (__int128)((unsigned __int128)a << 64 | b) : (int64_t)(a << 32 | b);
            __int128 q = wide ? (int64_t)quotient : (int32_t)quotient;
            __int128 m = wide ? (int64_t)remainder : (int32_t)remainder;
            __int128 d = wide ? (int64_t)c : (int32_t)c;
            assert_true(q * d + m == x);
            assert_true((m < 0 ? -m : m) < (d < 0 ? -d : d) && (m == 0 || (m < 0) == (x < 0)));
        } else {
            assert_true((unsigned __int128)quotient * c + remainder ==
                        ((unsigned __int128)a << (wide ? 64 : 32) | b));
            assert_true(remainder < c);
        }
    }
    assert_true(fitting > 10000);
    uint64_t result;
    assert_true(divide(IR_SDIV_WIDE, IR_I32, 0xffffffff, 0x80000000, 1, &result));
    assert_int_equal(result, 0x80000000);
    assert_false(divide(IR_SDIV_WIDE, IR_I32, 0xffffffff, 0x80000000, 0xffffffff, &result));
    assert_false(divide(IR_SDIV_WIDE, IR_I64, ~0ull, 1ull << 63, ~0ull, &result));
    assert_true(divide(IR_SDIV_WIDE, IR_I64, ~0ull, 1ull << 63, 1, &result));
}

/* -- regions -----------------------------------------------------------------------------------------------
 */

static void begin(void)
{
    memset(&cpu, 0, sizeof cpu);
    cpu.common.fp_control = 0x1f80;
    ir_region_reset(r, 0x1000);
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000, 0);
}

static enum translator_exit run(void)
{
    struct error error = ERROR_INIT;
    ir_emit(r, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1004, 0);
    if (ir_verify(r, &error))
        fail_msg("%s", error.message);
    return ir_interpret(&isa, &cpu.common, r);
}

static void test_flags_in_regions(void **state)
{
    (void)state;
    begin();
    cpu.x[0] = 0x1122334455667fff;
    cpu.flags = NZCV_B | NZCV_P;
    ir_value x = ir_get(r, 0, IR_I64), flags = ir_get_flags(r);
    ir_value v = ir_part(r, IR_PART_INC, 1, x, x, flags);
    ir_set_flags(r, ir_flags_of_x86(r, v));
    ir_set(r, 0, v);
    assert_int_equal(run(), TRANSLATOR_NONE);
    assert_true(cpu.x[0] == 0x1122334455668000);
    assert_int_equal(cpu.flags, NZCV_B | NZCV_N | NZCV_V | NZCV_P | NZCV_A);

    /* x86's carry after Arm's addition */
    begin();
    cpu.x[0] = ~0ull;
    v = ir_binary(r, IR_ADD, ir_get(r, 0, IR_I64), ir_get(r, 0, IR_I64));
    ir_set_flags(r, ir_flags_of_x86(r, v));
    run();
    assert_int_equal(cpu.flags, NZCV_N | NZCV_B);

    /* bits, parity, packing */
    begin();
    cpu.x[0] = 1ull << 33;
    cpu.flags = NZCV_Z | NZCV_P;
    flags = ir_flags_bit(r, ir_get(r, 0, IR_I64), ir_const(r, IR_I64, 97), ir_get_flags(r));
    ir_set(r, 1, ir_zext(r, ir_emit(r, IR_FLAGS_PACK, IR_I32, 0, flags, IR_NONE, IR_NONE, 0, 0)));
    v = ir_select(r, ir_cond(r, flags, IR_PE), ir_const(r, IR_I64, 7), ir_const(r, IR_I64, 8));
    ir_set(r, 2, v);
    v = ir_select(r, ir_cond(r, flags, IR_PO), ir_const(r, IR_I64, 7), ir_const(r, IR_I64, 8));
    ir_set(r, 3, v);
    run();
    assert_int_equal(cpu.x[1], NZCV_Z | NZCV_P | NZCV_B);
    assert_int_equal(cpu.x[2], 7);
    assert_int_equal(cpu.x[3], 8);
}

static void test_exits(void **state)
{
    (void)state;
    begin();
    cpu.x[1] = 5;
    ir_value zero = ir_get(r, 0, IR_I64), five = ir_get(r, 1, IR_I64);
    ir_raise_if(r, ir_cmp(r, IR_EQ, five, zero), TRANSLATOR_UNDEFINED, 1, 0x1000);
    ir_set(r, 2, ir_divide_wide(r, IR_UDIV_WIDE, zero, five, zero));
    assert_int_equal(run(), TRANSLATOR_DIVIDE);
    assert_int_equal(cpu.common.exit_reason, TRANSLATOR_DIVIDE);
    assert_int_equal(cpu.pc, 0x1000);

    begin();
    cpu.x[1] = 5;
    zero = ir_get(r, 0, IR_I64), five = ir_get(r, 1, IR_I64);
    ir_raise_if(r, ir_cmp(r, IR_NE, five, zero), TRANSLATOR_UNDEFINED, 9, 0x2000);
    assert_int_equal(run(), TRANSLATOR_UNDEFINED);
    assert_int_equal(cpu.common.exit_payload, 9);
    assert_int_equal(cpu.pc, 0x2000);
}

static uint16_t compare(enum ir_type type, bool signals, uint64_t a, uint64_t b, unsigned *raised)
{
    const struct ir_insn n = {.op = IR_FLAGS_UCOM,
                              .type = IR_FLAGS,
                              .aux = signals,
                              .a_type = (uint8_t)type,
                              .b_type = (uint8_t)type};
    const union vector128 arguments[3] = {{.d = {a, 0}}, {.d = {b, 0}}};
    union vector128 result;
    _mm_setcsr(0x1f80);
    ir_eval_op(&isa, &cpu.common, &n, arguments, &result);
    *raised = _mm_getcsr() & 0x3f;
    _mm_setcsr(0x1f80);
    return result.h[0];
}

static void test_comparisons(void **state)
{
    (void)state;
    const uint64_t one = 0x3ff0000000000000, two = 0x4000000000000000, quiet = 0x7ff8000000000000;
    unsigned raised;
    assert_int_equal(compare(IR_F64, false, one, two, &raised), NZCV_B);
    assert_int_equal(compare(IR_F64, false, two, one, &raised), 0);
    assert_int_equal(compare(IR_F64, false, one, one, &raised), NZCV_Z);
    assert_int_equal(raised, 0);
    assert_int_equal(compare(IR_F64, false, one, quiet, &raised), NZCV_Z | NZCV_P | NZCV_B);
    assert_int_equal(raised, 0);
    assert_int_equal(compare(IR_F64, true, one, quiet, &raised), NZCV_Z | NZCV_P | NZCV_B);
    assert_int_equal(raised, 1);
    assert_int_equal(compare(IR_F32, false, 0x3f800000, 0x40000000, &raised), NZCV_B);
    assert_int_equal(compare(IR_F32, true, 0x7fc00000, 0x40000000, &raised), NZCV_Z | NZCV_P | NZCV_B);
    assert_int_equal(raised, 1);
    assert_int_equal(compare(IR_F32, false, 1, 0, &raised), 0);
    assert_int_equal(raised, 2); /* a denormal operand */
}

/* -- folding -----------------------------------------------------------------------------------------------
 */

static void test_folding(void **state)
{
    (void)state;
    begin();
    ir_value x = ir_get(r, 0, IR_I64), w = ir_trunc(r, x);
    ir_value v = ir_part(r, IR_PART_XOR, 2, w, w, IR_NONE), flags = ir_flags_of_x86(r, v);
    assert_int_equal(r->insns[v].op, IR_CONST);
    assert_int_equal(r->insns[flags].op, IR_FLAGS_CONST);
    assert_int_equal(r->insns[flags].imm, NZCV_Z | NZCV_P);

    v = ir_part(r, IR_PART_SUB, 0, x, x, IR_NONE);
    assert_int_equal(r->insns[v].op, IR_AND);
    assert_true(r->insns[r->insns[v].b].imm == ~0xffull);
    assert_int_equal(r->insns[ir_flags_of_x86(r, v)].imm, NZCV_Z | NZCV_P);

    assert_int_equal(ir_part(r, IR_PART_OR, 1, x, x, IR_NONE), x);
    flags = ir_flags_of_x86(r, x);
    assert_int_equal(r->insns[flags].op, IR_FLAGS_OF);
    assert_int_equal(r->insns[r->insns[flags].a].op, IR_PART_OR);
    assert_int_equal(r->insns[r->insns[flags].a].aux, 1);

    v = ir_part(r, IR_PART_ADD, 2, ir_const(r, IR_I32, 0x7fffffff), ir_const(r, IR_I32, 1), IR_NONE);
    assert_true(r->insns[v].imm == 0x80000000);
    assert_int_equal(r->insns[ir_flags_of_x86(r, v)].imm, NZCV_N | NZCV_V | NZCV_P | NZCV_A);
    assert_int_equal(run(), TRANSLATOR_NONE);
}

/* -- strings behind a TLB ------------------------------------------------------------------------------ */

struct tlb_cpu {
    struct test_cpu cpu;
    struct tlb tlbs[2];
};

static uint64_t run_string(const struct guest_isa *with_tlb, struct tlb_cpu *vcpu, unsigned op, unsigned tlb,
                           uint64_t to, uint64_t from, uint64_t bytes)
{
    const struct ir_insn insn = {.op = (uint16_t)op, .type = IR_I64, .aux = (uint16_t)tlb};
    const union vector128 arguments[3] = {{.d = {to}}, {.d = {from}}, {.d = {bytes}}};
    union vector128 result;
    ir_eval_op(with_tlb, &vcpu->cpu.common, &insn, arguments, &result);
    return result.d[0];
}

/* Only where both pages are at hand, in this TLB and for this kind of access. */
static void test_strings(void **state)
{
    static struct tlb_cpu vcpu;
    static uint8_t memory[2][4096];
    struct guest_isa with_tlb = isa;
    const uint64_t a = 0x5000, b = 0xffff800000007000;
    (void)state;

    with_tlb.tlb_offset = offsetof(struct tlb_cpu, tlbs);
    tlb_flush(&vcpu.tlbs[0]);
    tlb_flush(&vcpu.tlbs[1]);
    for (unsigned i = 0; i < 4096; i++)
        memory[0][i] = (uint8_t)(i * 7);
    *tlb_entry(&vcpu.tlbs[1], a) =
        (struct tlb_entry){.read = a, .write = TLB_NONE, .addend = (uintptr_t)memory[0] - a};
    *tlb_entry(&vcpu.tlbs[1], b) =
        (struct tlb_entry){.read = TLB_NONE, .write = b, .addend = (uintptr_t)memory[1] - b};
    assert_int_equal(run_string(&with_tlb, &vcpu, IR_STRING_COPY, 0, b + 5, a + 9, 100), 0);
    assert_int_equal(run_string(&with_tlb, &vcpu, IR_STRING_COPY, 1, a + 9, b + 5, 100), 0);
    assert_int_equal(run_string(&with_tlb, &vcpu, IR_STRING_FILL, 1, a, 1, 100), 0);
    assert_int_equal(run_string(&isa, &vcpu, IR_STRING_FILL, 1, b, 1, 100), 0);
    assert_int_equal(run_string(&with_tlb, &vcpu, IR_STRING_COPY, 1, b + 5, a + 9, 100), 100);
    assert_memory_equal(memory[1] + 5, memory[0] + 9, 100);
    assert_int_equal(memory[1][4] | memory[1][105], 0);
    assert_int_equal(run_string(&with_tlb, &vcpu, IR_STRING_FILL, 1, b + 200, 0x0102030401020304, 36), 36);
    for (unsigned i = 0; i < 36; i++)
        assert_int_equal(memory[1][200 + i], 4 - i % 4);
    assert_int_equal(memory[1][199] | memory[1][236], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_division),
        cmocka_unit_test(test_flags_in_regions),
        cmocka_unit_test(test_exits),
        cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_folding),
        cmocka_unit_test(test_strings),
    };
    return cmocka_run_group_tests_name("ir for x86", tests, NULL, NULL);
}
