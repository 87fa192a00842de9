/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of translator/ir: building, verifying and printing regions. test_ir_eval.c tests their meaning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/ir/eval.h"
#include "translator/ir/ir.h"

static struct ir_region region;
static struct ir_region *const r = &region;

/* Guest registers of no particular guest: 0.. are I64. */
enum { X0, X1, X2, X3 };

static int setup(void **state)
{
    (void)state;
    ir_region_reset(r, 0x1000);
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000, 0);
    r->guest_end = 0x1004;
    return 0;
}

static void end_region(void)
{
    ir_emit(r, IR_GOTO, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1004, 0);
}

static void assert_valid(void)
{
    struct error error = ERROR_INIT;
    end_region();
    if (ir_verify(r, &error))
        fail_msg("%s", error.message);
}

static void assert_const(ir_value v, enum ir_type type, uint64_t expected)
{
    assert_int_equal(r->insns[v].op, IR_CONST);
    assert_int_equal(r->insns[v].type, type);
    assert_true(r->insns[v].imm == expected);
}

static ir_value constant(uint64_t imm)
{
    return ir_const(r, IR_I64, imm);
}

/* -- folding ------------------------------------------------------------------------------------------- */

static void test_constants_fold(void **state)
{
    (void)state;
    assert_const(ir_binary(r, IR_ADD, constant(2), constant(3)), IR_I64, 5);
    assert_const(ir_binary(r, IR_SUB, ir_const(r, IR_I32, 2), ir_const(r, IR_I32, 3)), IR_I32, 0xffffffff);
    assert_const(ir_binary(r, IR_SDIV, constant(1ull << 63), constant(~0ull)), IR_I64, 1ull << 63);
    assert_const(ir_binary(r, IR_UDIV, constant(5), constant(0)), IR_I64, 0);
    assert_const(ir_binary(r, IR_UMULH, constant(~0ull), constant(~0ull)), IR_I64, ~1ull);
    assert_const(ir_binary(r, IR_SAR, ir_const(r, IR_I32, 0x80000000), ir_const(r, IR_I32, 36)), IR_I32,
                 0xf8000000);
    assert_const(ir_binary(r, IR_ROR, ir_const(r, IR_I32, 1), ir_const(r, IR_I32, 1)), IR_I32, 0x80000000);
    assert_const(ir_ubfx(r, constant(0x1234), 4, 8), IR_I64, 0x23);
    assert_const(ir_sbfx(r, ir_const(r, IR_I32, 0x80), 0, 8), IR_I32, 0xffffff80);
    assert_const(ir_bfi(r, constant(0xffff), constant(0), 4, 8), IR_I64, 0xf00f);
    assert_const(ir_unary(r, IR_BSWAP, constant(0x0102030405060708), 3), IR_I64, 0x0807060504030201);
    assert_const(ir_unary(r, IR_BSWAP, constant(0x0102030405060708), 1), IR_I64, 0x0201040306050807);
    assert_const(ir_unary(r, IR_RBIT, ir_const(r, IR_I32, 1), 0), IR_I32, 0x80000000);
    assert_const(ir_unary(r, IR_CLZ, ir_const(r, IR_I32, 0), 0), IR_I32, 32);
    assert_const(ir_sext(r, ir_const(r, IR_I32, 0x80000000)), IR_I64, 0xffffffff80000000);
    assert_const(ir_zext(r, ir_const(r, IR_I32, 0x80000000)), IR_I64, 0x80000000);
    assert_const(ir_trunc(r, constant(0x1234567890abcdef)), IR_I32, 0x90abcdef);
    ir_value extr = ir_emit(r, IR_EXTR, IR_I64, 0, constant(1), constant(0x10), IR_NONE, 4, 0);
    assert_const(extr, IR_I64, 0x1000000000000001);
    assert_valid();
}

static void test_identities_fold(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64), y = ir_get(r, X1, IR_I64);
    unsigned count = r->count;

    assert_int_equal(ir_binary_imm(r, IR_ADD, x, 0), x);
    assert_int_equal(ir_binary(r, IR_OR, constant(0), x), x);
    assert_int_equal(ir_binary_imm(r, IR_XOR, x, 0), x);
    assert_int_equal(ir_binary_imm(r, IR_AND, x, ~0ull), x);
    assert_int_equal(ir_binary_imm(r, IR_SHL, x, 64), x);
    assert_int_equal(ir_binary(r, IR_AND, x, x), x);
    assert_int_equal(ir_ubfx(r, x, 0, 64), x);
    assert_int_equal(ir_bfi(r, x, y, 0, 64), y);
    assert_int_equal(ir_binary(r, IR_ORN, x, constant(~0ull)), x);
    for (unsigned i = count; i < r->count; i++)
        assert_int_equal(r->insns[i].op, IR_CONST); /* the operands, and nothing else */

    assert_const(ir_binary(r, IR_SUB, x, x), IR_I64, 0);
    assert_const(ir_binary_imm(r, IR_AND, x, 0), IR_I64, 0);
    assert_int_equal(r->insns[ir_binary_imm(r, IR_XOR, x, ~0ull)].op, IR_NOT);
    assert_int_equal(r->insns[ir_binary(r, IR_SUB, constant(0), x)].op, IR_NEG);

    ir_value w = ir_trunc(r, x);
    assert_int_equal(ir_trunc(r, ir_zext(r, w)), w);
    assert_int_equal(ir_trunc(r, ir_sext(r, w)), w);
    ir_value extended = ir_zext(r, w); /* not x: the upper half is lost */
    assert_int_not_equal(extended, x);
    assert_int_equal(r->insns[extended].op, IR_ZEXT);

    ir_value ctz = ir_unary(r, IR_CLZ, ir_unary(r, IR_RBIT, x, 0), 0);
    assert_int_equal(r->insns[ctz].op, IR_CTZ);
    assert_int_equal(r->insns[ctz].a, x);
    assert_valid();
}

/* Folded or not, every integer operation gives what ir_eval_integer() says of the operands. */
static void test_folding_keeps_the_value(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,          1,          2,          31,         32,   63,
                                      0x7fffffff, 0x80000000, 0xffffffff, 1ull << 63, ~0ull};
    static const enum ir_op ops[] = {IR_ADD,  IR_SUB, IR_MUL,  IR_UDIV, IR_SDIV, IR_AND, IR_OR, IR_XOR,
                                     IR_ANDN, IR_ORN, IR_XORN, IR_SHL,  IR_SHR,  IR_SAR, IR_ROR};

    for (unsigned o = 0; o < ARRAY_SIZE(ops); o++) {
        for (unsigned k = 0; k < ARRAY_SIZE(values) * 4; k++) {
            enum ir_type type = k & 1 ? IR_I32 : IR_I64;
            uint64_t c = type == IR_I32 ? (uint32_t)values[k / 4] : values[k / 4];
            setup(NULL);
            ir_value x = ir_get(r, X0, type), constant_value = ir_const(r, type, c);
            ir_value v =
                k & 2 ? ir_binary(r, ops[o], x, constant_value) : ir_binary(r, ops[o], constant_value, x);
            for (unsigned j = 0; j < ARRAY_SIZE(values); j++) {
                uint64_t in = type == IR_I32 ? (uint32_t)values[j] : values[j], got[64] = {0};
                uint64_t want = k & 2 ? ir_eval_integer(ops[o], type, 0, 0, in, c)
                                      : ir_eval_integer(ops[o], type, 0, 0, c, in);
                for (unsigned i = 1; i < r->count; i++) {
                    const struct ir_insn *n = &r->insns[i];
                    got[i] = n->op == IR_GET ? in
                             : n->op == IR_CONST
                                 ? n->imm
                                 : ir_eval_integer(n->op, n->type, n->aux, n->imm, got[n->a], got[n->b]);
                }
                assert_true(got[v] == want);
            }
        }
    }
}

static void test_known_conditions(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64), y = ir_get(r, X1, IR_I64);

    assert_int_equal(ir_select(r, ir_cmp(r, IR_SLT, constant(~0ull), constant(1)), x, y), x);
    assert_int_equal(ir_select(r, ir_cmp(r, IR_ULT, constant(~0ull), constant(1)), x, y), y);
    ir_value w = ir_cmp(r, IR_SLT, ir_const(r, IR_I32, 0xffffffff), ir_const(r, IR_I32, 1));
    assert_int_equal(ir_select(r, w, x, y), x);
    assert_int_equal(ir_select(r, ir_bit(r, constant(8), 3, false), x, y), x);
    assert_int_equal(ir_select(r, ir_bit(r, constant(8), 3, true), x, y), y);
    assert_int_equal(ir_select(r, ir_cmp(r, IR_EQ, x, y), x, x), x);

    unsigned count = r->count;
    ir_value never = ir_bit(r, constant(0), 0, false);
    ir_emit(r, IR_EXIT_IF, IR_VOID, 0, never, IR_NONE, IR_NONE, 0x2000, 0);
    for (unsigned i = count; i < r->count; i++)
        assert_int_not_equal(r->insns[i].op, IR_EXIT_IF);
    assert_valid();
}

static void test_vectors_fold(void **state)
{
    (void)state;
    ir_value q = ir_get(r, X0, IR_V128);
    ir_value f = ir_emit(r, IR_VGET_FLOAT, IR_F64, 0, q, IR_NONE, IR_NONE, 0, 0);
    ir_value back = ir_emit(r, IR_VFROM_FLOAT, IR_V128, 0, f, IR_NONE, IR_NONE, 0, 0);

    assert_int_equal(ir_emit(r, IR_VGET_FLOAT, IR_F64, 0, back, IR_NONE, IR_NONE, 0, 0), f);
    assert_int_not_equal(ir_emit(r, IR_VGET_FLOAT, IR_F32, 0, back, IR_NONE, IR_NONE, 0, 0), f);
    assert_int_equal(ir_vec1(r, IR_VLOW, 3, back, 0), back);
    assert_int_not_equal(ir_vec1(r, IR_VLOW, 2, back, 0), back);
    assert_int_equal(ir_vec2(r, IR_VOR, 0, q, q, 0), q);
    ir_value dup = ir_vec1(r, IR_VDUP, 1, ir_const(r, IR_I32, 0x18000), 0);
    assert_int_equal(r->insns[dup].op, IR_VCONST);
    assert_true(r->insns[dup].imm == 0x8000800080008000 && r->insns[dup].imm2 == 0x8000800080008000);
    assert_valid();
}

/* -- flags --------------------------------------------------------------------------------------------- */

/* The computation that a FLAGS_OF value names. */
static const struct ir_insn *computation_of(ir_value flags)
{
    assert_int_equal(r->insns[flags].op, IR_FLAGS_OF);
    assert_int_equal(r->insns[flags].a, flags - 1);
    return &r->insns[r->insns[flags].a];
}

static void test_flags_of_folded(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64), y = ir_get(r, X1, IR_I64), zero = constant(0);

    /* An ordinary one is not computed twice. */
    ir_value v = ir_binary(r, IR_SUB, x, y);
    assert_int_equal(ir_flags_of(r, v), v + 1);

    /* x - 0 is x, but its flags are those of a subtraction; likewise where x is itself a computation. */
    assert_int_equal(ir_binary(r, IR_SUB, x, zero), x);
    const struct ir_insn *n = computation_of(ir_flags_of(r, x));
    assert_true(n->op == IR_SUB && n->a == x && n->b == zero);
    ir_value sum = ir_binary(r, IR_ADD, x, y);
    assert_int_equal(ir_binary(r, IR_SUB, sum, zero), sum);
    n = computation_of(ir_flags_of(r, sum));
    assert_true(n->op == IR_SUB && n->a == sum && n->b == zero);

    /* tst x, x */
    v = ir_binary(r, IR_AND, x, x);
    n = computation_of(ir_flags_of(r, v));
    assert_true(n->op == IR_AND && n->a == x && n->b == x);

    /* Something came between. */
    v = ir_binary(r, IR_ADD, x, y);
    ir_set(r, X2, v);
    n = computation_of(ir_flags_of(r, v));
    assert_true(n->op == IR_ADD && n->a == x && n->b == y);

    /* bics with a constant */
    v = ir_binary_imm(r, IR_ANDN, x, 0xff);
    n = computation_of(ir_flags_of(r, v));
    assert_true((n->op == IR_ANDN && r->insns[n->b].imm == 0xff) ||
                (n->op == IR_AND && r->insns[n->b].imm == ~0xffull));
    assert_valid();
}

static void test_flags_of_constants(void **state)
{
    (void)state;
    ir_value v = ir_binary(r, IR_SUB, constant(1), constant(2));
    ir_value f = ir_flags_of(r, v);
    assert_int_equal(r->insns[f].op, IR_FLAGS_CONST);
    assert_int_equal(r->insns[f].imm, NZCV_N | NZCV_B);

    /* adc: 0xffffffff + 0 + 1 of 32 bits */
    ir_value carry = ir_emit(r, IR_FLAGS_CONST, IR_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    v = ir_arith_flags(r, IR_ADC, ir_const(r, IR_I32, 0xffffffff), ir_const(r, IR_I32, 0), carry, &f);
    assert_const(v, IR_I32, 0);
    assert_int_equal(r->insns[f].imm, NZCV_Z); /* and carry, that is: no borrow bit */
    assert_valid();
}

static void test_arith_flags(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64), f;
    ir_value v = ir_arith_flags(r, IR_SUB, x, constant(0), IR_NONE, &f);
    assert_int_equal(r->insns[v].op, IR_SUB);
    assert_int_equal(r->insns[f].a, v);

    ir_value old = ir_get_flags(r);
    v = ir_arith_flags(r, IR_SBC, x, x, old, &f);
    assert_int_equal(r->insns[v].op, IR_SBC);
    assert_int_equal(r->insns[v].c, old);
    assert_int_equal(r->insns[f].a, v);
    assert_valid();
}

/* -- guest state --------------------------------------------------------------------------------------- */

static uint64_t helper(void *cpu, uint64_t a, uint64_t b)
{
    (void)cpu;
    return a + b;
}

static void test_registers_forward(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64);
    assert_int_equal(ir_get(r, X0, IR_I64), x);
    ir_value y = ir_binary_imm(r, IR_ADD, x, 1);
    ir_set(r, X0, y);
    assert_int_equal(ir_get(r, X0, IR_I64), y);
    unsigned count = r->count;
    ir_set(r, X0, y); /* it has that value */
    assert_int_equal(r->count, count);

    ir_value f = ir_flags_of(r, y);
    ir_set_flags(r, f);
    assert_int_equal(ir_get_flags(r), f);

    ir_call(r, helper, IR_NONE, IR_NONE);
    assert_int_not_equal(ir_get(r, X0, IR_I64), y);
    assert_int_not_equal(ir_get_flags(r), f);
    assert_valid();
}

static void test_truncate_forgets(void **state)
{
    (void)state;
    unsigned count = r->count;
    ir_value x = ir_get(r, X0, IR_I64);
    ir_set(r, X1, ir_binary_imm(r, IR_ADD, x, 1));
    ir_region_truncate(r, count);
    ir_const(r, IR_I64, 7);
    ir_value y = ir_get(r, X1, IR_I64);
    assert_int_equal(r->insns[y].op, IR_GET);
    assert_int_equal(r->insns[y].aux, X1);
    assert_valid();
}

static void test_overflow(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64);
    while (!r->overflow)
        x = ir_binary_imm(r, IR_ADD, x, 1);
    /* Whatever a lifter goes on to do is harmless. */
    ir_value f;
    ir_arith_flags(r, IR_SUB, x, x, IR_NONE, &f);
    ir_set_flags(r, f);
    ir_set(r, X0, ir_select(r, ir_cond(r, f, IR_EQ), ir_zext(r, ir_trunc(r, x)), x));
    assert_true(r->overflow);
    assert_true(r->count < IR_REGION_MAX);
    ir_region_truncate(r, r->count);
    assert_valid(); /* the terminator found room */
}

/* -- verifying ------------------------------------------------------------------------------------------- */

static void assert_broken(const char *rule, unsigned index)
{
    struct error error = ERROR_INIT;
    char text[32];

    assert_int_equal(ir_verify(r, &error), -EINVAL);
    snprintf(text, sizeof text, "instruction %u", index);
    if (strncmp(error.message, rule, strlen(rule)) || !strstr(error.message, text))
        fail_msg("expected \"%s\" of %s, but: %s", rule, text, error.message);
}

static void test_verify_types(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64), y = ir_get(r, X1, IR_I64);
    ir_value sum = ir_binary(r, IR_ADD, x, y);
    assert_valid();

    r->insns[sum].b = sum; /* not earlier */
    assert_broken("rule 1", sum);
    r->insns[sum].b = IR_NONE; /* missing */
    assert_broken("rule 1", sum);
    r->insns[sum].b = 1; /* INSN yields nothing */
    assert_broken("rule 1", sum);
    r->insns[sum].b = y;
    r->insns[sum].type = IR_I32; /* of I64 arguments */
    assert_broken("rule 1", sum);
    r->insns[sum].type = IR_I64;
    r->insns[sum].c = x; /* one too many */
    assert_broken("rule 1", sum);
    r->insns[sum].c = IR_NONE;
    r->insns[sum].op = IR_UBFX; /* width 0 */
    r->insns[sum].b = IR_NONE;
    r->insns[sum].b_type = IR_VOID;
    assert_broken("rule 1", sum);
    r->insns[sum].aux = 1 | 64 << 8; /* beyond the end */
    assert_broken("rule 1", sum);
    r->insns[sum].aux = 1 | 63 << 8;
    assert_int_equal(ir_verify(r, NULL), 0);
}

static void test_verify_insn(void **state)
{
    (void)state;
    ir_region_reset(r, 0x1000);
    ir_get(r, X0, IR_I64);
    end_region();
    assert_broken("rule 2", 1);
}

static void test_verify_fault_after_set(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64);
    ir_set(r, X1, x);
    unsigned load = r->count;
    ir_load(r, IR_I64, 3, x, 0);
    end_region();
    assert_broken("rule 3", load);

    /* It is allowed in the next guest instruction. */
    setup(NULL);
    x = ir_get(r, X0, IR_I64);
    ir_set(r, X1, x);
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1004, 0);
    ir_load(r, IR_I64, 3, x, 0);
    assert_valid();
}

static void test_verify_flags_of(void **state)
{
    (void)state;
    ir_value x = ir_get(r, X0, IR_I64), y = ir_get(r, X1, IR_I64);
    ir_value sum = ir_binary(r, IR_ADD, x, y);
    ir_value f = ir_flags_of(r, sum);
    end_region();
    r->insns[sum].op = IR_MUL;
    assert_broken("rule 4", f);
    r->insns[sum].op = IR_ADD;
    r->insns[f].a = x;
    assert_broken("rule 4", f);
}

static void test_verify_terminator(void **state)
{
    (void)state;
    ir_get(r, X0, IR_I64);
    assert_broken("rule 5", r->count - 1);
    end_region();
    unsigned first = r->count - 1;
    end_region();
    assert_broken("rule 5", first);
}

/* -- printing -------------------------------------------------------------------------------------------- */

static const char *register_name(unsigned index)
{
    static const char *const names[] = {"x0", "x1", "x2", "x3"};
    return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

static void test_print(void **state)
{
    (void)state;
    static const char expected[] = "region 0x1000..0x1004\n"
                                   "    1        insn          0x1000\n"
                                   "    2  i64   get           x0\n"
                                   "    3  i64   get           r9\n"
                                   "    4  i64   sub           %2 %3\n"
                                   "    5  flags flags_of      %4\n"
                                   "    6  bool  cond          ne %5\n"
                                   "    7  i32   load          [%2 + %3<<2 - 0x10] .2 signed acquire\n"
                                   "    8  i64   ubfx          %2 lsb=4 width=8\n"
                                   "    9  v128  vadd          - - .16\n" /* arguments left out */
                                   "   10  flags flags_const   -ZC-\n"
                                   "   11        set           x0 %4\n"
                                   "   12        exit_if       %6 0x2000\n"
                                   "   13        call_guest    0x3000 return 0x1004\n";
    char *text = NULL;
    size_t size = 0;
    ir_value x = ir_get(r, X0, IR_I64), y = ir_get(r, 9, IR_I64), f;
    ir_value v = ir_arith_flags(r, IR_SUB, x, y, IR_NONE, &f);
    ir_value condition = ir_cond(r, f, IR_NE);
    ir_emit(r, IR_LOAD, IR_I32, 1 | IR_MEM_SIGNED | 2 << IR_MEM_SCALE_SHIFT | IR_MEM_ACQUIRE, x, y, IR_NONE,
            (uint64_t)-16, 0);
    ir_ubfx(r, x, 4, 8);
    ir_vec2(r, IR_VADD, 1, 0, 0, 0);
    ir_emit(r, IR_FLAGS_CONST, IR_FLAGS, 0, IR_NONE, IR_NONE, IR_NONE, NZCV_Z, 0);
    ir_set(r, X0, v);
    ir_emit(r, IR_EXIT_IF, IR_VOID, 0, condition, IR_NONE, IR_NONE, 0x2000, 0);
    ir_emit(r, IR_CALL_GUEST, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x3000, 0x1004);

    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    ir_print(stream, r, register_name);
    fclose(stream);
    assert_string_equal(text, expected);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_constants_fold, setup),
        cmocka_unit_test_setup(test_identities_fold, setup),
        cmocka_unit_test_setup(test_folding_keeps_the_value, setup),
        cmocka_unit_test_setup(test_known_conditions, setup),
        cmocka_unit_test_setup(test_vectors_fold, setup),
        cmocka_unit_test_setup(test_flags_of_folded, setup),
        cmocka_unit_test_setup(test_flags_of_constants, setup),
        cmocka_unit_test_setup(test_arith_flags, setup),
        cmocka_unit_test_setup(test_registers_forward, setup),
        cmocka_unit_test_setup(test_truncate_forgets, setup),
        cmocka_unit_test_setup(test_overflow, setup),
        cmocka_unit_test_setup(test_verify_types, setup),
        cmocka_unit_test_setup(test_verify_insn, setup),
        cmocka_unit_test_setup(test_verify_fault_after_set, setup),
        cmocka_unit_test_setup(test_verify_flags_of, setup),
        cmocka_unit_test_setup(test_verify_terminator, setup),
        cmocka_unit_test_setup(test_print, setup),
    };
    return cmocka_run_group_tests_name("ir", tests, NULL, NULL);
}
