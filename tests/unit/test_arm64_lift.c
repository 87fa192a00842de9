/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of translator/guest/arm64: the base instructions. Each runs a few instruction words through the
 * lifter, the IR verifier and the IR interpreter, and compares with values worked out by hand from the
 * manual.
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
#include "translator/guest/arm64/arm64.h"
#include "translator/ir/eval.h"
#include "translator/translator.h"

enum { N = 8, Z = 4, C = 2, V = 1 };

#define ALL_ONES (~0ull)
#define SIGN64   (1ull << 63)

static struct ir_region region;
static struct arm64_cpu cpu;
static struct arm64_state *const s = &cpu.state;
static uint32_t code[80] __attribute__((aligned(64)));
static union {
    uint8_t b[256];
    uint16_t h[128];
    uint32_t w[64];
    uint64_t d[32];
} memory __attribute__((aligned(64)));

static struct {
    unsigned count;
    uint64_t start, length;
} invalidated;

/* Stands in for the run time, which IC IVAU calls. */
void translator_invalidate(struct translator *t, uint64_t start, uint64_t length)
{
    (void)t;
    invalidated.count++;
    invalidated.start = start;
    invalidated.length = length;
}

static int setup(void **state)
{
    (void)state;
    memset(&cpu, 0, sizeof cpu);
    memset(&memory, 0, sizeof memory);
    memset(&invalidated, 0, sizeof invalidated);
    cpu.common.fp_control = 0x1f80;
    cpu.common.exclusive_address = ALL_ONES;
    arm64_nzcv_set(s, 0);
    return 0;
}

static uint64_t address_of(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static void lift_words(const uint32_t *words, unsigned count, unsigned max)
{
    struct error error = ERROR_INIT;
    memcpy(code, words, count * sizeof *words);
    ir_region_reset(&region, address_of(code));
    arm64_guest.lift(&region, address_of(code), (const uint8_t *)code, count * sizeof *words, max);
    if (ir_verify(&region, &error))
        fail_msg("%08x: %s", words[0], error.message);
}

static enum translator_exit run_words(const uint32_t *words, unsigned count)
{
    lift_words(words, count, IR_REGION_GUEST_MAX);
    s->pc = address_of(code);
    return ir_interpret(&arm64_guest, &cpu.common, &region);
}

/* Runs the words, also those behind an instruction that ends a region. */
static void run_all(const uint32_t *words, unsigned count)
{
    enum translator_exit exit = run_words(words, count);
    while ((exit == TRANSLATOR_NONE || exit == TRANSLATOR_LOOKUP) && s->pc < address_of(code + count)) {
        uint64_t done = (s->pc - address_of(code)) / 4;
        ir_region_reset(&region, s->pc);
        region.fp_mode = arm64_guest.mode(&cpu.common);
        arm64_guest.lift(&region, s->pc, (const uint8_t *)(code + done), (count - done) * sizeof *words, 64);
        exit = ir_interpret(&arm64_guest, &cpu.common, &region);
    }
}
#define RUN_ALL(...) run_all((const uint32_t[]){__VA_ARGS__}, ARRAY_SIZE(((const uint32_t[]){__VA_ARGS__})))

/* Runs the words as one region. */
#define RUN(...) run_words((const uint32_t[]){__VA_ARGS__}, ARRAY_SIZE(((const uint32_t[]){__VA_ARGS__})))
#define LIFT(...)                                                                                            \
    lift_words((const uint32_t[]){__VA_ARGS__}, ARRAY_SIZE(((const uint32_t[]){__VA_ARGS__})),               \
               IR_REGION_GUEST_MAX)

static unsigned nzcv(void)
{
    return arm64_nzcv_get(s) >> 28;
}

static void set_nzcv(unsigned flags)
{
    arm64_nzcv_set(s, flags << 28);
}

static uint64_t pc_offset(void)
{
    return s->pc - address_of(code);
}

#define assert_u64(value, expected) assert_true((uint64_t)(value) == (uint64_t)(expected))

static void assert_undefined(uint32_t word)
{
    uint64_t x0 = s->x[0];
    if (run_words(&word, 1) != TRANSLATOR_UNDEFINED)
        fail_msg("%08x is not undefined", word);
    assert_u64(cpu.common.exit_payload, word);
    assert_u64(s->pc, address_of(code));
    assert_u64(s->x[0], x0);
}

/* -- data processing, immediate -------------------------------------------------------------------- */

static void test_addresses(void **state)
{
    (void)state;
    uint64_t pc = address_of(code);
    RUN(0x10ffffe0 /* adr x0, .-4 */, 0x90000001 /* adrp x1, .+0x1000 */, 0x707fffc2 /* adr x2, .+0xffffb */);
    assert_u64(s->x[0], pc - 4);
    assert_u64(s->x[2], pc + 8 + 0xffffb);
    RUN(0xd0000003 /* adrp x3, +0x2000 */, 0x90ffffe4 /* adrp x4, page -4 */);
    assert_u64(s->x[3], (pc & ~0xfffull) + 0x2000);
    assert_u64(s->x[4], (pc & ~0xfffull) - 0x4000);
}

static void test_move_wide(void **state)
{
    (void)state;
    s->x[3] = s->x[4] = 0x1111222233334444;
    RUN(0xd2e24680 /* movz x0, #0x1234, lsl #48 */, 0x12800001 /* movn w1, #0 */,
        0x92a00022 /* movn x2, #1, lsl #16 */, 0xf2d579a3 /* movk x3, #0xabcd, lsl #32 */,
        0x72bfffe4 /* movk w4, #0xffff, lsl #16 */);
    assert_u64(s->x[0], 0x1234000000000000);
    assert_u64(s->x[1], 0xffffffff);
    assert_u64(s->x[2], 0xfffffffffffeffff);
    assert_u64(s->x[3], 0x1111abcd33334444);
    assert_u64(s->x[4], 0xffff4444);
    assert_undefined(0x52c00000);            /* movz w0, #0, lsl #32 */
    assert_undefined(0x32800000 | 1u << 31); /* opc = 01 */
}

static void test_add_subtract_flags(void **state)
{
    (void)state;
    static const struct {
        uint64_t a, b, result;
        unsigned flags;
    } adds_w[] =
        {
            {0x7fffffff, 1, 0x80000000, N | V},     {0xffffffff, 1, 0, Z | C},
            {0x80000000, 0x80000000, 0, Z | C | V}, {1, 2, 3, 0},
            {ALL_ONES, 0, 0xffffffff, N},
        },
      subs_x[] = {
          {0, 1, ALL_ONES, N}, {5, 5, 0, Z | C},           {SIGN64, 1, SIGN64 - 1, C | V},
          {7, 2, 5, C},        {0, SIGN64, SIGN64, N | V}, {ALL_ONES, ALL_ONES - 1, 1, C},
          {3, 0, 3, C},
      };
    for (unsigned i = 0; i < ARRAY_SIZE(adds_w); i++) {
        s->x[1] = adds_w[i].a, s->x[2] = adds_w[i].b;
        RUN(0x2b020020 /* adds w0, w1, w2 */);
        assert_u64(s->x[0], adds_w[i].result);
        assert_int_equal(nzcv(), adds_w[i].flags);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(subs_x); i++) {
        s->x[1] = subs_x[i].a, s->x[2] = subs_x[i].b;
        RUN(0xeb020020 /* subs x0, x1, x2 */);
        assert_u64(s->x[0], subs_x[i].result);
        assert_int_equal(nzcv(), subs_x[i].flags);
    }
}

/* Operands that the IR folds: the flags must be those of the computation all the same. */
static void test_folded_flags(void **state)
{
    (void)state;
    s->x[1] = SIGN64;
    RUN(0xf100003f /* cmp x1, #0 */);
    assert_int_equal(nzcv(), N | C);
    RUN(0xb100003f /* cmn x1, #0 */);
    assert_int_equal(nzcv(), N);
    RUN(0xea01003f /* tst x1, x1 */);
    assert_int_equal(nzcv(), N);
    RUN(0xeb1f03ff /* cmp xzr, xzr */);
    assert_int_equal(nzcv(), Z | C);
    RUN(0xeb01003f /* cmp x1, x1 */);
    assert_int_equal(nzcv(), Z | C);
    RUN(0xd2800022 /* movz x2, #1 */, 0xeb0203e0 /* negs x0, x2 */);
    assert_int_equal(nzcv(), N);
    assert_u64(s->x[0], ALL_ONES);
    RUN(0xea210020 /* bics x0, x1, x1 */);
    assert_int_equal(nzcv(), Z);
    RUN(0x6a01003f /* ands wzr, w1, w1 */);
    assert_int_equal(nzcv(), Z);
}

static void test_add_subtract_immediate(void **state)
{
    (void)state;
    s->sp = 0x1000;
    s->x[1] = ALL_ONES;
    RUN(0xd10083ff /* sub sp, sp, #0x20 */, 0x914007e0 /* add x0, sp, #1, lsl #12 */,
        0x910003e2 /* mov x2, sp */, 0x11000823 /* add w3, w1, #2 */, 0x7100043f /* subs wzr, w1, #1 */);
    assert_u64(s->sp, 0xfe0);
    assert_u64(s->x[0], 0x1fe0);
    assert_u64(s->x[2], 0xfe0);
    assert_u64(s->x[3], 1);
    assert_int_equal(nzcv(), N | C);
    RUN(0x1100003f /* mov wsp, w1 */);
    assert_u64(s->sp, 0xffffffff);
}

static void test_logical_immediate(void **state)
{
    (void)state;
    s->x[1] = 0x123456789abcdef0;
    RUN(0x92089c20 /* and x0, x1, #0xff00ff00ff00ff00 */, 0xb200f3e2 /* orr x2, xzr, #0x5555555555555555 */,
        0x52010423 /* eor w3, w1, #0x80000001 */, 0x12003c24 /* and w4, w1, #0xffff */,
        0xf2410425 /* ands x5, x1, #0x8000000000000001 */, 0xb27ff826 /* orr x6, x1, #0xfffffffffffffffe */);
    assert_u64(s->x[0], 0x120056009a00de00);
    assert_u64(s->x[2], 0x5555555555555555);
    assert_u64(s->x[3], 0x1abcdef1);
    assert_u64(s->x[4], 0xdef0);
    assert_u64(s->x[5], 0);
    assert_int_equal(nzcv(), Z);
    assert_u64(s->x[6], 0xfffffffffffffffe);
    assert_undefined(0x12400000); /* N = 1 in 32 bits */
    assert_undefined(0x9240fc00); /* 64 ones in 64 bits */
    assert_undefined(0x12007c00); /* 32 ones in 32 bits */
    assert_undefined(0x1200f400); /* 2 ones in 2 bits */
    assert_undefined(0x1200f800); /* no element size */
    assert_undefined(0x9200fc00);
}

static void test_bit_fields(void **state)
{
    (void)state;
    s->x[1] = 0xfedcba9876543210;
    s->x[8] = s->x[9] = s->x[10] = ALL_ONES;
    RUN(0x93407c20 /* sxtw x0, w1 */, 0xd37cfc22 /* ubfx x2, x1, #60, #4 */,
        0x13043c23 /* sbfx w3, w1, #4, #12 */, 0x93781024 /* sbfiz x4, x1, #8, #5 */,
        0xd37cec25 /* lsl x5, x1, #4 */, 0x937cfc26 /* asr x6, x1, #60 */, 0x531c7c27 /* lsr w7, w1, #28 */,
        0xb3783c28 /* bfi x8, x1, #8, #16 */, 0x331c7c29 /* bfxil w9, w1, #28, #4 */,
        0xb3407fea /* bfc x10, #0, #32 */, 0x53101c2b /* ubfiz w11, w1, #16, #8 */,
        0x93401c2c /* sxtb x12, w1 */, 0x53003c2d /* uxth w13, w1 */, 0x5301002e /* lsl w14, w1, #31 */);
    assert_u64(s->x[0], 0x76543210);
    assert_u64(s->x[2], 0xf);
    assert_u64(s->x[3], 0x321);
    assert_u64(s->x[4], 0xfffffffffffff000);
    assert_u64(s->x[5], 0xedcba98765432100);
    assert_u64(s->x[6], ALL_ONES);
    assert_u64(s->x[7], 7);
    assert_u64(s->x[8], 0xffffffffff3210ff);
    assert_u64(s->x[9], 0xfffffff7);
    assert_u64(s->x[10], 0xffffffff00000000);
    assert_u64(s->x[11], 0x100000);
    assert_u64(s->x[12], 0x10);
    assert_u64(s->x[13], 0x3210);
    assert_u64(s->x[14], 0);
    assert_undefined(0x53400000); /* ubfm, N != sf */
    assert_undefined(0x13207c00); /* sbfm w, immr = 32 */
    assert_undefined(0x13008000); /* sbfm w, imms = 32 */
    assert_undefined(0xf3400000); /* opc = 11 */
}

static void test_extract(void **state)
{
    (void)state;
    s->x[1] = 0x0123456789abcdef, s->x[2] = 0xfedcba9876543210;
    RUN(0x93c22020 /* extr x0, x1, x2, #8 */, 0x13827023 /* extr w3, w1, w2, #28 */,
        0x93c11024 /* ror x4, x1, #4 */, 0x13811025 /* ror w5, w1, #4 */,
        0x93c20026 /* extr x6, x1, x2, #0 */);
    assert_u64(s->x[0], 0xeffedcba98765432);
    assert_u64(s->x[3], 0x9abcdef7);
    assert_u64(s->x[4], 0xf0123456789abcde);
    assert_u64(s->x[5], 0xf89abcde);
    assert_u64(s->x[6], 0xfedcba9876543210);
    assert_undefined(0x13828020); /* 32 bits, imms = 32 */
    assert_undefined(0x13c20020); /* N != sf */
}

/* -- data processing, register ------------------------------------------------------------------------ */

static void test_shifted_operands(void **state)
{
    (void)state;
    s->x[1] = 0x10, s->x[2] = 0xffffffff80000001;
    RUN(0x8b020420 /* add x0, x1, x2, lsl #1 */, 0x4b827c23 /* sub w3, w1, w2, asr #31 */,
        0xaa0203e4 /* orr x4, xzr, x2 */, 0x2a2203e5 /* mvn w5, w2 */,
        0xaae20426 /* orn x6, x1, x2, ror #1 */, 0x4a627c27 /* eon w7, w1, w2, lsr #31 */,
        0xcb0203e8 /* neg x8, x2 */, 0x0ac20449 /* and w9, w2, w2, ror #1 */);
    assert_u64(s->x[0], 0xffffffff00000012);
    assert_u64(s->x[3], 0x11);
    assert_u64(s->x[4], 0xffffffff80000001);
    assert_u64(s->x[5], 0x7ffffffe);
    assert_u64(s->x[6], 0x000000003fffffff | 0x10);
    assert_u64(s->x[7], 0xffffffee);
    assert_u64(s->x[8], 0x7fffffff);
    assert_u64(s->x[9], 0x80000000);
    assert_undefined(0x0b028020); /* add w, lsl #32 */
    assert_undefined(0x8bc20020); /* add x, ror */
    assert_undefined(0x0a028020); /* and w, lsl #32 */
}

static void test_extended_operands(void **state)
{
    (void)state;
    s->sp = 0x1000;
    s->x[1] = 0xffffffff800080f0;
    RUN(0x8b218be0 /* add x0, sp, w1, sxtb #2 */, 0x8b2123e2 /* add x2, sp, w1, uxth */,
        0xcb21c3e3 /* sub x3, sp, w1, sxtw */, 0x8b2153e4 /* add x4, sp, w1, uxtw #4 */,
        0x8b21e7e5 /* add x5, sp, x1, sxtx #1 */, 0x0b2113e6 /* add w6, wsp, w1, uxtb #4 */,
        0xab2163ff /* adds xzr, sp, x1 */);
    assert_u64(s->x[0], 0xfc0);
    assert_u64(s->x[2], 0x90f0);
    assert_u64(s->x[3], 0x7fff8f10);
    assert_u64(s->x[4], 0x800081f00);
    assert_u64(s->x[5], 0xffffffff000111e0);
    assert_u64(s->x[6], 0x1f00);
    assert_int_equal(nzcv(), N);
    assert_undefined(0x8b2177e0); /* shift of 5 */
}

static void test_carry(void **state)
{
    (void)state;
    s->x[1] = ALL_ONES, s->x[2] = 0;
    set_nzcv(C);
    RUN(0xba020020 /* adcs x0, x1, x2 */);
    assert_u64(s->x[0], 0);
    assert_int_equal(nzcv(), Z | C);
    set_nzcv(0);
    RUN(0x7a020040 /* sbcs w0, w2, w2 */);
    assert_u64(s->x[0], 0xffffffff);
    assert_int_equal(nzcv(), N);
    set_nzcv(C);
    RUN(0x7a020040 /* sbcs w0, w2, w2 */);
    assert_int_equal(nzcv(), Z | C);
    RUN(0x9a020040 /* adc x0, x2, x2 */, 0xda0203e3 /* ngc x3, x2 */);
    assert_u64(s->x[0], 1);
    assert_u64(s->x[3], 0);
}

static void test_conditional(void **state)
{
    (void)state;
    s->x[1] = 10, s->x[2] = 20;
    set_nzcv(Z);
    RUN(0x9a820020 /* csel x0, x1, x2, eq */, 0x1a821423 /* csinc w3, w1, w2, ne */,
        0x5a821024 /* csinv w4, w1, w2, ne */, 0xda821425 /* csneg x5, x1, x2, ne */,
        0x1a9f17e6 /* cset w6, eq */, 0xda9f13e7 /* csetm x7, eq */, 0x9a82f028 /* csel x8, x1, x2, nv */);
    assert_u64(s->x[0], 10);
    assert_u64(s->x[3], 21);
    assert_u64(s->x[4], 0xffffffeb);
    assert_u64(s->x[5], -20);
    assert_u64(s->x[6], 1);
    assert_u64(s->x[7], ALL_ONES);
    assert_u64(s->x[8], 10);
    /* all conditions against all flags */
    for (unsigned flags = 0; flags < 16; flags++) {
        bool n = flags & N, z = flags & Z, c = flags & C, v = flags & V;
        bool expected[] = {z, c, n, v, c && !z, n == v, n == v && !z};
        for (unsigned cond = 0; cond < 14; cond++) {
            set_nzcv(flags);
            RUN(0x9a9f07e0 | (cond ^ 1) << 12 /* cset x0, cond */);
            assert_u64(s->x[0], expected[cond / 2] ^ (cond & 1));
        }
    }
}

static void test_conditional_compare(void **state)
{
    (void)state;
    s->x[1] = 5;
    set_nzcv(Z);
    RUN(0xfa450820 /* ccmp x1, #5, #0, eq */);
    assert_int_equal(nzcv(), Z | C);
    RUN(0xfa451829 /* ccmp x1, #5, #9, ne */);
    assert_int_equal(nzcv(), N | V);
    RUN(0x3a41e022 /* ccmn w1, w1, #2, al */);
    assert_int_equal(nzcv(), 0);
    RUN(0x3a410022 /* ccmn w1, w1, #2, eq */);
    assert_int_equal(nzcv(), C);
    assert_undefined(0xfa451830 & ~(1u << 29)); /* S = 0 */
}

static void test_multiply_divide(void **state)
{
    (void)state;
    s->x[1] = 0xffffffff00000003, s->x[2] = 0xfffffffffffffffe, s->x[3] = 100;
    RUN(0x9b020c20 /* madd x0, x1, x2, x3 */, 0x1b028c24 /* msub w4, w1, w2, w3 */,
        0x9b220c25 /* smaddl x5, w1, w2, x3 */, 0x9ba27c26 /* umull x6, w1, w2 */,
        0x9b427c27 /* smulh x7, x1, x2 */, 0x9bc27c28 /* umulh x8, x1, x2 */,
        0x1b02fc29 /* mneg w9, w1, w2 */, 0x9b228c2a /* smsubl x10, w1, w2, x3 */);
    assert_u64(s->x[0], 0x1fffffffa + 100);
    assert_u64(s->x[4], 106);
    assert_u64(s->x[5], 94);
    assert_u64(s->x[6], 0x2fffffffa);
    assert_u64(s->x[7], 0);
    assert_u64(s->x[8], 0xffffffff00000001);
    assert_u64(s->x[9], 6);
    assert_u64(s->x[10], 106);
    s->x[1] = SIGN64, s->x[2] = ALL_ONES, s->x[3] = 0, s->x[4] = 7;
    RUN(0x9ac20c20 /* sdiv x0, x1, x2 */, 0x9ac30825 /* udiv x5, x1, x3 */, 0x9ac30c26 /* sdiv x6, x1, x3 */,
        0x1ac40847 /* udiv w7, w2, w4 */, 0x1ac40c48 /* sdiv w8, w2, w4 */);
    assert_u64(s->x[0], SIGN64);
    assert_u64(s->x[5], 0);
    assert_u64(s->x[6], 0);
    assert_u64(s->x[7], 0x24924924);
    assert_u64(s->x[8], 0);
}

static void test_one_and_two_operands(void **state)
{
    (void)state;
    s->x[1] = 0x0123456789abcdef, s->x[2] = 36;
    RUN(0x5ac00020 /* rbit w0, w1 */, 0xdac00423 /* rev16 x3, x1 */, 0xdac00824 /* rev32 x4, x1 */,
        0xdac00c25 /* rev x5, x1 */, 0x5ac00826 /* rev w6, w1 */, 0xdac01027 /* clz x7, x1 */,
        0x5ac01428 /* cls w8, w1 */, 0xdac017e9 /* cls x9, xzr */, 0x5ac0103f /* clz wzr, w1 */,
        0x1ac2202a /* lsl w10, w1, w2 */, 0x9ac2282b /* asr x11, x1, x2 */, 0x1ac22c2c /* ror w12, w1, w2 */,
        0x9ac2242d /* lsr x13, x1, x2 */, 0x5ac013ee /* clz w14, wzr */);
    assert_u64(s->x[0], 0xf7b3d591);
    assert_u64(s->x[3], 0x23016745ab89efcd);
    assert_u64(s->x[4], 0x67452301efcdab89);
    assert_u64(s->x[5], 0xefcdab8967452301);
    assert_u64(s->x[6], 0xefcdab89);
    assert_u64(s->x[7], 7);
    assert_u64(s->x[8], 0);
    assert_u64(s->x[9], 63);
    assert_u64(s->x[10], 0x9abcdef0);
    assert_u64(s->x[11], 0x0123456);
    assert_u64(s->x[12], 0xf89abcde);
    assert_u64(s->x[13], 0x0123456);
    assert_u64(s->x[14], 32);
    assert_undefined(0x5ac00c20); /* rev64 of 32 bits */
    assert_undefined(0x9ac00020); /* two operands, opcode 0 */
}

/* The check values of both polynomials: the CRC of "123456789". */
static void test_crc32(void **state)
{
    (void)state;
    s->x[0] = s->x[2] = 0xffffffff;
    for (const char *p = "123456789"; *p; p++) {
        s->x[1] = 0xabcdef00u | (uint8_t)*p;
        RUN(0x1ac14000 /* crc32b w0, w0, w1 */, 0x1ac15042 /* crc32cb w2, w2, w1 */);
    }
    assert_u64(s->x[0], (uint32_t)~0xcbf43926);
    assert_u64(s->x[2], (uint32_t)~0xe3069283);
    s->x[0] = 0xffffffff, s->x[1] = 0x3837363534333231, s->x[2] = '9';
    RUN(0x9ac14c00 /* crc32x w0, w0, x1 */, 0x1ac24000 /* crc32b w0, w0, w2 */);
    assert_u64(s->x[0], (uint32_t)~0xcbf43926);
    assert_undefined(0x1ac14c00); /* crc32x with sf = 0 */
    assert_undefined(0x9ac14000); /* crc32b with sf = 1 */
}

/* -- loads and stores ---------------------------------------------------------------------------------------
 */

static void test_load_sizes(void **state)
{
    (void)state;
    memory.d[1] = 0x8182838485868788;
    s->x[1] = address_of(memory.b);
    RUN(0x39402020 /* ldrb w0, [x1, #8] */, 0x39c02022 /* ldrsb w2, [x1, #8] */,
        0x39802023 /* ldrsb x3, [x1, #8] */, 0x79401024 /* ldrh w4, [x1, #8] */,
        0x79801025 /* ldrsh x5, [x1, #8] */, 0xb9400826 /* ldr w6, [x1, #8] */,
        0xb9800827 /* ldrsw x7, [x1, #8] */, 0xf9400428 /* ldr x8, [x1, #8] */,
        0xb8409029 /* ldur w9, [x1, #9] */, 0x78c0a82a /* ldtrsh w10, [x1, #10] */);
    assert_u64(s->x[0], 0x88);
    assert_u64(s->x[2], 0xffffff88);
    assert_u64(s->x[3], 0xffffffffffffff88);
    assert_u64(s->x[4], 0x8788);
    assert_u64(s->x[5], 0xffffffffffff8788);
    assert_u64(s->x[6], 0x85868788);
    assert_u64(s->x[7], 0xffffffff85868788);
    assert_u64(s->x[8], 0x8182838485868788);
    assert_u64(s->x[9], 0x84858687);
    assert_u64(s->x[10], 0xffff8586);
    assert_undefined(0xb9c00020);            /* size 2, opc 3 */
    assert_undefined(0xf9c00020);            /* size 3, opc 3 */
    assert_undefined(0xfd800020);            /* vector, opc 2, size 3 */
    assert_undefined(0xf8800c20);            /* prefetch, pre-indexed */
    assert_undefined(0xf8800820);            /* prefetch, unprivileged */
    assert_undefined(0xfc400820);            /* vector, unprivileged */
    assert_undefined(0xd8000000 | 1u << 26); /* vector literal, opc 3 */
}

static void test_store_sizes(void **state)
{
    (void)state;
    s->x[0] = 0x1122334455667788;
    s->sp = address_of(memory.b);
    RUN(0x390003e0 /* strb w0, [sp] */, 0x790007e0 /* strh w0, [sp, #2] */, 0xb90007e0 /* str w0, [sp, #4] */,
        0xf80093e0 /* stur x0, [sp, #9] */, 0xf9000fff /* str xzr, [sp, #24] */);
    assert_u64(memory.d[0], 0x5566778877880088);
    assert_u64(memory.d[1], 0x2233445566778800);
    assert_u64(memory.d[2], 0x11);
}

static void test_vector_registers(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 64; i++)
        memory.b[i] = (uint8_t)(i + 1);
    memset(s->v, 0xff, sizeof s->v);
    s->x[1] = address_of(memory.b), s->x[2] = 1;
    RUN(0x3d400020 /* ldr b0, [x1] */, 0x7d400021 /* ldr h1, [x1] */, 0xbd400022 /* ldr s2, [x1] */,
        0xfd400023 /* ldr d3, [x1] */, 0x3dc00424 /* ldr q4, [x1, #16] */,
        0x3ce27825 /* ldr q5, [x1, x2, lsl #4] */, 0x2d409c26 /* ldp s6, s7, [x1, #4] */,
        0xacc12428 /* ldp q8, q9, [x1], #32 */);
    assert_u64(s->v[0].d[0], 1);
    assert_u64(s->v[0].d[1], 0);
    assert_u64(s->v[1].d[0], 0x201);
    assert_u64(s->v[2].d[0], 0x4030201);
    assert_u64(s->v[3].d[0], 0x807060504030201);
    assert_u64(s->v[3].d[1], 0);
    assert_u64(s->v[4].d[1], 0x201f1e1d1c1b1a19);
    assert_u64(s->v[5].d[0], 0x1817161514131211);
    assert_u64(s->v[6].d[0], 0x8070605);
    assert_u64(s->v[7].d[0], 0xc0b0a09);
    assert_u64(s->v[9].d[1], 0x201f1e1d1c1b1a19);
    assert_u64(s->x[1], address_of(memory.b) + 32);
    RUN(0x3d800824 /* str q4, [x1, #32] */, 0xbd003029 /* str s9, [x1, #48] */,
        0x6d841023 /* stp d3, d4, [x1, #64]! */, 0x3c1ff020 /* str b0, [x1, #-1] */);
    assert_u64(memory.d[9], 0x201f1e1d1c1b1a19);
    assert_u64(memory.d[10], 0x14131211);
    assert_u64(memory.d[12], 0x807060504030201);
    assert_u64(memory.d[13], 0x1817161514131211);
    assert_int_equal(memory.b[95], 1);
    assert_undefined(0xec000020); /* pair, opc 3 */
}

static void test_register_offset(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++)
        memory.d[i] = 0x100 + i;
    s->x[1] = address_of(&memory.d[8]), s->x[2] = 2, s->x[3] = 0xabcd0000fffffffe;
    RUN(0xf8627820 /* ldr x0, [x1, x2, lsl #3] */, 0xf863d824 /* ldr x4, [x1, w3, sxtw #3] */,
        0xf862f825 /* ldr x5, [x1, x2, sxtx #3] */, 0x38624826 /* ldrb w6, [x1, w2, uxtw] */,
        0xf87f7827 /* ldr x7, [x1, xzr, lsl #3] */, 0xf8a26820 /* prfm pldl1keep, [x1, x2] */);
    assert_u64(s->x[0], 0x10a);
    assert_u64(s->x[4], 0x106);
    assert_u64(s->x[5], 0x10a);
    assert_u64(s->x[6], 0);
    assert_u64(s->x[7], 0x108);
    assert_undefined(0xf8620820); /* option 0 */
    assert_undefined(0xf862a820); /* option 5 */
}

static void test_writeback(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 32; i++)
        memory.d[i] = 0x100 + i;
    uint64_t base = address_of(&memory.d[8]);
    s->x[1] = s->x[2] = s->x[5] = s->x[6] = base, s->x[8] = base;
    RUN(0xf85f8420 /* ldr x0, [x1], #-8 */, 0xf8410c43 /* ldr x3, [x2, #16]! */,
        0xf84084a5 /* ldr x5, [x5], #8 */, 0xf80004c6 /* str x6, [x6], #0 */,
        0xa940a109 /* ldp x9, x8, [x8, #8] */);
    assert_u64(s->x[0], 0x108);
    assert_u64(s->x[1], base - 8);
    assert_u64(s->x[3], 0x10a);
    assert_u64(s->x[2], base + 16);
    assert_u64(s->x[5], base + 8);
    assert_u64(memory.d[8], base);
    assert_u64(s->x[9], 0x109);
    assert_u64(s->x[8], 0x10a);
    s->x[1] = base;
    RUN(0xf8400421 /* ldr x1, [x1], #0 */);
    assert_u64(s->x[1], base);
}

static void test_pairs(void **state)
{
    (void)state;
    s->sp = address_of(&memory.d[10]);
    s->x[29] = 0x29, s->x[30] = 0xffffffff80000030;
    RUN(0xa9be7bfd /* stp x29, x30, [sp, #-32]! */, 0x294107e0 /* ldp w0, w1, [sp, #8] */,
        0x69410fe2 /* ldpsw x2, x3, [sp, #8] */, 0xa84017e4 /* ldnp x4, x5, [sp] */,
        0x29027bff /* stp wzr, w30, [sp, #16] */);
    assert_u64(s->sp, address_of(&memory.d[6]));
    assert_u64(memory.d[6], 0x29);
    assert_u64(s->x[0], 0x80000030);
    assert_u64(s->x[1], 0xffffffff);
    assert_u64(s->x[2], 0xffffffff80000030);
    assert_u64(s->x[3], ALL_ONES);
    assert_u64(s->x[5], 0xffffffff80000030);
    assert_u64(memory.d[8], 0x8000003000000000);
    assert_undefined(0x69000020); /* stpsw is not there: STGP */
    assert_undefined(0x68400020); /* non-temporal, opc 1 */
    assert_undefined(0xe9400020); /* opc 3 */
}

static void test_literals(void **state)
{
    (void)state;
    RUN(0x18000080 /* ldr w0, .+16 */, 0x98000061 /* ldrsw x1, .+12 */, 0x5c000042 /* ldr d2, .+8 */,
        0x14000003 /* b .+12 */, 0x80000001, 0x7fffffff);
    assert_u64(s->x[0], 0x80000001);
    assert_u64(s->x[1], 0xffffffff80000001);
    assert_u64(s->v[2].d[0], 0x7fffffff80000001);
}

/* -- exclusive, ordered, atomic -------------------------------------------------------------------------- */

static void test_exclusives(void **state)
{
    (void)state;
    memory.d[0] = 41;
    s->x[1] = address_of(memory.b);
    RUN(0xc85f7c20 /* ldxr x0, [x1] */, 0x91000400 /* add x0, x0, #1 */, 0xc8027c20 /* stxr w2, x0, [x1] */,
        0xc8037c3f /* stxr w3, xzr, [x1] */);
    assert_u64(memory.d[0], 42);
    assert_u64(s->x[2], 0);
    assert_u64(s->x[3], 1);
    RUN(0x085ffc20 /* ldaxrb w0, [x1] */, 0xd5033f5f /* clrex */, 0x0802fc21 /* stlxrb w2, w1, [x1] */);
    assert_u64(s->x[2], 1);
    s->x[4] = 0xaaaaaaaa11111111, s->x[5] = 0x22222222;
    RUN(0x887f1c26 /* ldxp w6, w7, [x1] */, 0x88221424 /* stxp w2, w4, w5, [x1] */,
        0xc87fa428 /* ldaxp x8, x9, [x1] */, 0xc8239025 /* stlxp w3, x5, x4, [x1] */);
    assert_u64(s->x[6], 42);
    assert_u64(s->x[2], 0);
    assert_u64(s->x[8], 0x2222222211111111);
    assert_u64(s->x[3], 0);
    assert_u64(memory.d[0], 0x22222222);
    assert_u64(memory.d[1], 0xaaaaaaaa11111111);
}

static void test_misaligned_atomics(void **state)
{
    (void)state;
    s->x[0] = 7, s->x[1] = address_of(memory.b) + 4;
    const uint32_t words[] = {0xc85f7c20 /* ldxr x0, [x1] */,
                              0xc8dffc20 /* ldar x0, [x1] */,
                              0xc89ffc20 /* stlr x0, [x1] */,
                              0xf8200020 /* ldadd x0, x0, [x1] */,
                              0x48207c22 /* casp x0, x1, x2, x3, [x1] */,
                              0x887f0820 /* ldxp w0, w2, [x1] */};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
        assert_int_equal(run_words(&words[i], 1), TRANSLATOR_ALIGNMENT);
        assert_u64(cpu.common.exit_payload, s->x[1]);
        assert_u64(s->pc, address_of(code));
        assert_u64(s->x[0], 7);
    }
}

static void test_atomics(void **state)
{
    (void)state;
    s->x[1] = address_of(memory.b), s->x[2] = 0x0f, s->x[3] = 0xffffffffffffff80;
    memory.d[0] = 0xff;
    RUN(0xf8e21020 /* ldclral x2, x0, [x1] */, 0xb8220024 /* ldadd w2, w4, [x1] */,
        0x38235025 /* ldsminb w3, w5, [x1] */, 0x78236026 /* ldumaxh w3, w6, [x1] */,
        0xb8a28027 /* swpa w2, w7, [x1] */, 0xf822203f /* steor x2, [x1] */,
        0xf8233028 /* ldset x3, x8, [x1] */);
    assert_u64(s->x[0], 0xff);
    assert_u64(s->x[4], 0xf0);
    assert_u64(s->x[5], 0xff);
    assert_u64(s->x[6], 0x80);
    assert_u64(s->x[7], 0xff80);
    assert_u64(s->x[8], 0);
    assert_u64(memory.d[0], 0xffffffffffffff80);
    assert_undefined(0xf8209020); /* o3 = 1, opc = 1 */
    assert_undefined(0xf8bec020); /* ldapr with Rs not 31 */
}

static void test_compare_and_swap(void **state)
{
    (void)state;
    s->x[1] = address_of(memory.b);
    memory.d[0] = 0x1122334455667788, memory.d[1] = 5;
    s->x[0] = 0xffffff88, s->x[2] = 0xaa;
    RUN(0x08a07c22 /* casb w0, w2, [x1] */);
    assert_u64(memory.d[0], 0x11223344556677aa);
    assert_u64(s->x[0], 0x88);
    s->x[0] = 1;
    RUN(0xc8e0fc22 /* casal x0, x2, [x1] */);
    assert_u64(s->x[0], 0x11223344556677aa);
    assert_u64(memory.d[0], 0x11223344556677aa);
    s->x[4] = 0x11223344556677aa, s->x[5] = 5, s->x[6] = 6, s->x[7] = 7;
    RUN(0x4864fc26 /* caspal x4, x5, x6, x7, [x1] */);
    assert_u64(memory.d[0], 6);
    assert_u64(memory.d[1], 7);
    assert_u64(s->x[5], 5);
    s->x[4] = 6, s->x[5] = 0, s->x[6] = 0x66, s->x[7] = 0x77;
    RUN(0x08247c26 /* casp w4, w5, w6, w7, [x1] */);
    assert_u64(memory.d[0], 0x7700000066);
    assert_undefined(0x08257c20); /* casp w5, ... */
    assert_undefined(0x08247c27); /* casp w4, ..., w7 */
}

static void test_ordered(void **state)
{
    (void)state;
    s->x[0] = 0x12345678, s->x[1] = address_of(memory.b);
    RUN(0x889ffc20 /* stlr w0, [x1] */, 0x08dffc22 /* ldarb w2, [x1] */, 0xd5033bbf /* dmb ish */,
        0xd50339bf /* dmb ishld */, 0xd5033abf /* dmb ishst */, 0xd5033f9f /* dsb sy */);
    assert_u64(memory.d[0], 0x12345678);
    assert_u64(s->x[2], 0x78);
    unsigned fences[4], count = 0;
    for (unsigned i = 1; i < region.count; i++)
        if (region.insns[i].op == IR_FENCE && count < 4)
            fences[count++] = region.insns[i].aux;
        else if (region.insns[i].op == IR_STORE)
            assert_true(region.insns[i].aux & IR_MEM_SEQ_CST);
    assert_int_equal(count, 4);
    assert_int_equal(fences[0], IR_FENCE_FULL);
    assert_int_equal(fences[1], IR_FENCE_LOAD);
    assert_int_equal(fences[2], IR_FENCE_STORE);
    assert_int_equal(fences[3], IR_FENCE_FULL);
}

/* -- branches, exceptions -------------------------------------------------------------------------------- */

static void test_branches(void **state)
{
    (void)state;
    assert_int_equal(RUN(0x17fffffc /* b .-16 */), TRANSLATOR_NONE);
    assert_u64(pc_offset(), -16);
    RUN(0x95ffffff /* bl .+0x7fffffc */);
    assert_u64(pc_offset(), 0x7fffffc);
    assert_u64(s->x[30], address_of(code) + 4);
    s->x[30] = 0x4000;
    RUN(0xd63f03c0 /* blr x30 */);
    assert_u64(s->pc, 0x4000);
    assert_u64(s->x[30], address_of(code) + 4);
    RUN(0xd65f03c0 /* ret */);
    assert_u64(pc_offset(), 4);
    s->x[7] = 0x8888;
    RUN(0xd61f00e0 /* br x7 */);
    assert_u64(s->pc, 0x8888);
    RUN(0x5400004f /* b.nv .+8 */);
    assert_u64(pc_offset(), 8);
}

static void test_conditional_branches(void **state)
{
    (void)state;
    s->x[1] = 0xffffffff00000000;
    RUN(0x34000081 /* cbz w1, .+16 */);
    assert_u64(pc_offset(), 16);
    RUN(0xb4000081 /* cbz x1, .+16 */);
    assert_u64(pc_offset(), 4);
    RUN(0xb5ffffe1 /* cbnz x1, .-4 */);
    assert_u64(pc_offset(), -4);
    RUN(0x36f80061 /* tbz x1, #31, .+12 */);
    assert_u64(pc_offset(), 12);
    RUN(0xb7400061 /* tbnz x1, #40, .+12 */);
    assert_u64(pc_offset(), 12);
    RUN(0xb6400061 /* tbz x1, #40, .+12 */);
    assert_u64(pc_offset(), 4);
    RUN(0xeb01003f /* cmp x1, x1 */, 0x540000a1 /* b.ne .+20 */, 0x54000049 /* b.ls .+8 */);
    assert_u64(pc_offset(), 16);
}

static void test_exceptions(void **state)
{
    (void)state;
    assert_int_equal(RUN(0xd503201f /* nop */, 0xd4002461 /* svc #0x123 */), TRANSLATOR_SYSCALL);
    assert_u64(cpu.common.exit_payload, 0x123);
    assert_u64(pc_offset(), 8);
    assert_int_equal(RUN(0xd503201f /* nop */, 0xd42000e0 /* brk #7 */), TRANSLATOR_BREAKPOINT);
    assert_u64(cpu.common.exit_payload, 7);
    assert_u64(pc_offset(), 4);
    assert_undefined(0);          /* udf #0 */
    assert_undefined(0xd4400000); /* hlt #0 */
    assert_undefined(0xd4000002); /* hvc #0 */
    assert_undefined(0xd4000003); /* smc #0 */
    assert_undefined(0xd69f03e0); /* eret */
    assert_undefined(0xd61f0800); /* braaz x0 */
}

/* -- system ---------------------------------------------------------------------------------------------- */

static void test_flags_register(void **state)
{
    (void)state;
    for (uint64_t flags = 0; flags < 16; flags++) {
        s->x[0] = flags << 28 | 0xfffffff;
        RUN(0xd51b4200 /* msr nzcv, x0 */);
        assert_int_equal(nzcv(), flags);
        RUN(0xd53b4201 /* mrs x1, nzcv */);
        assert_u64(s->x[1], flags << 28);
    }
}

static void test_fp_control(void **state)
{
    (void)state;
    static const unsigned mxcsr_round[] = {0, 0x4000, 0x2000, 0x6000};
    for (unsigned mode = 0; mode < 4; mode++) {
        s->x[0] = mode << 22;
        RUN_ALL(0xd51b4400 /* msr fpcr, x0 */, 0xd53b4401 /* mrs x1, fpcr */);
        assert_u64(s->x[1], mode << 22);
        assert_int_equal(cpu.common.fp_control, 0x1f80 | mxcsr_round[mode]);
    }
    s->x[0] = ALL_ONES;
    RUN_ALL(0xd51b4400 /* msr fpcr, x0 */, 0xd53b4401 /* mrs x1, fpcr */);
    assert_u64(s->x[1], 0x07c80000);
    assert_int_equal(cpu.common.fp_control, 0x1f80 | 0x6000 | 0x8040);
    assert_int_equal(arm64_guest.fp_control(&cpu.common),
                     GUEST_FP_DEFAULT_NAN | GUEST_FP_FLUSH_HALF | GUEST_FP_ALTERNATIVE_HALF);
    assert_int_equal(arm64_guest.mode(&cpu.common), IR_FP_FLUSH | IR_FP_HALF);
    /* the first look at FPSR makes its flags exact from then on */
    RUN_ALL(0xd53b4421 /* mrs x1, fpsr */, 0xd503201f /* nop */);
    assert_int_equal(arm64_guest.mode(&cpu.common), IR_FP_FLUSH | IR_FP_EXACT_STATUS | IR_FP_HALF);
}

static void test_fp_status(void **state)
{
    (void)state;
    cpu.common.fp_control |= 0x3f; /* all exceptions; a denormal operand counts only if flushed */
    s->qc = 1;
    RUN_ALL(0xd53b4420 /* mrs x0, fpsr */);
    assert_u64(s->x[0], 0x0800001f);
    s->x[0] = ALL_ONES;
    RUN_ALL(0xd51b4420 /* msr fpsr, x0 */, 0xd53b4421 /* mrs x1, fpsr */);
    assert_u64(s->x[1], 0x0800009f);
    RUN_ALL(0xd51b443f /* msr fpsr, xzr */, 0xd53b4421 /* mrs x1, fpsr */);
    assert_u64(s->x[1], 0);
    assert_int_equal(cpu.common.fp_control, 0x1f80);
    /* a change of FPCR keeps what was gathered before */
    cpu.common.fp_control |= 0x12;
    s->x[0] = 1 << 24;
    RUN_ALL(0xd51b4400 /* msr fpcr, x0 */, 0xd53b4421 /* mrs x1, fpsr */);
    assert_u64(s->x[1], 0x8);
}

static void test_system_registers(void **state)
{
    (void)state;
    s->x[0] = 0x123456789a;
    RUN(0xd51bd040 /* msr tpidr_el0, x0 */, 0xd53bd041 /* mrs x1, tpidr_el0 */,
        0xd53bd062 /* mrs x2, tpidrro_el0 */, 0xd53be003 /* mrs x3, cntfrq_el0 */,
        0xd53b0024 /* mrs x4, ctr_el0 */, 0xd53b00e5 /* mrs x5, dczid_el0 */,
        0xd53be046 /* mrs x6, cntvct_el0 */, 0xd53be047 /* mrs x7, cntvct_el0 */);
    assert_u64(s->tpidr, 0x123456789a);
    assert_u64(s->x[1], 0x123456789a);
    assert_u64(s->x[2], 0);
    assert_u64(s->x[3], 1000000000);
    assert_u64(s->x[4], 0x8444c004);
    assert_u64(s->x[5], 4);
    assert_true(s->x[7] >= s->x[6] && s->x[6] != 0);
    assert_undefined(0xd5380020);         /* mrs x0, a reserved register beside midr_el1 */
    assert_undefined(0xd5380100);         /* mrs x0, s3_0_c0_c1_0: AArch32's are not shown */
    assert_undefined(0xd51bd060);         /* msr tpidrro_el0, x0 */
    assert_undefined(0xd53b2400);         /* mrs x0, rndr */
    assert_undefined(0xd503409f | 0xf00); /* msr daifset */
}

static void test_cache_maintenance(void **state)
{
    (void)state;
    memset(&memory, 0xff, sizeof memory);
    s->x[0] = address_of(memory.b) + 100;
    RUN(0xd50b7420 /* dc zva, x0 */, 0xd50b7b20 /* dc cvau, x0 */, 0xd50b7e20 /* dc civac, x0 */);
    for (unsigned i = 0; i < sizeof memory.b; i++)
        assert_int_equal(memory.b[i], i >= 64 && i < 128 ? 0 : 0xff);
    RUN(0xd50b7520 /* ic ivau, x0 */, 0xd4200000 /* brk #0 */);
    assert_u64(pc_offset(), 4);
    assert_int_equal(invalidated.count, 1);
    assert_u64(invalidated.start, address_of(memory.b) + 64);
    assert_u64(invalidated.length, 64);
    RUN(0xd5033fdf /* isb */, 0xd4200000 /* brk #0 */);
    assert_u64(pc_offset(), 4);
}

static void test_hints(void **state)
{
    (void)state;
    s->x[30] = 0x1234;
    RUN(0xd503201f /* nop */, 0xd503203f /* yield */, 0xd503205f /* wfe */, 0xd503233f /* hint #25 */,
        0xd50323bf /* hint #29 */, 0xd503245f /* hint #34 */, 0xd5032fff /* hint #127 */);
    assert_u64(pc_offset(), 28);
    assert_u64(s->x[30], 0x1234);
}

/* -- regions --------------------------------------------------------------------------------------------- */

static unsigned count_instructions(void)
{
    unsigned count = 0;
    for (unsigned i = 1; i < region.count; i++)
        count += region.insns[i].op == IR_INSN;
    return count;
}

static void test_region_ends(void **state)
{
    (void)state;
    uint32_t words[IR_REGION_GUEST_MAX];
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        words[i] = 0x91000400 /* add x0, x0, #1 */;
    lift_words(words, ARRAY_SIZE(words), 5);
    assert_int_equal(count_instructions(), 5);
    assert_u64(region.guest_end, address_of(code) + 20);
    assert_int_equal(region.insns[region.count - 1].op, IR_GOTO);
    assert_u64(region.insns[region.count - 1].imm, address_of(code) + 20);
    run_words(words, ARRAY_SIZE(words));
    assert_u64(s->x[0], IR_REGION_GUEST_MAX);
    LIFT(0xb4000040 /* cbz x0, .+8 */, 0x54ffffe0 /* b.eq .-4 */, 0xd65f03c0 /* ret */, 0xd503201f /* nop */);
    assert_int_equal(count_instructions(), 3);
    assert_u64(region.guest_end, address_of(code) + 12);
}

/* The largest regions fit, and what does not is left to the next one. */
static void test_region_overflow(void **state)
{
    (void)state;
    uint32_t words[IR_REGION_GUEST_MAX];
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        words[i] = 0xd53b4200 /* mrs x0, nzcv */ + i % 8;
    lift_words(words, ARRAY_SIZE(words), IR_REGION_GUEST_MAX);
    assert_int_equal(count_instructions(), IR_REGION_GUEST_MAX);

    struct error error = ERROR_INIT;
    ir_region_reset(&region, address_of(code));
    ir_emit(&region, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, address_of(code) - 4, 0);
    while (region.count < IR_REGION_MAX - 40)
        ir_emit(&region, IR_FENCE, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    arm64_guest.lift(&region, address_of(code), (const uint8_t *)code, sizeof words, IR_REGION_GUEST_MAX);
    assert_int_equal(ir_verify(&region, &error), 0);
    assert_true(count_instructions() > 1 && count_instructions() < 10);
    assert_int_equal(region.insns[region.count - 1].op, IR_GOTO);
    assert_u64(region.insns[region.count - 1].imm, region.guest_end);
    assert_u64(region.guest_end, address_of(code) + 4 * (count_instructions() - 1));
}

static void test_misaligned_pc(void **state)
{
    (void)state;
    ir_region_reset(&region, address_of(code) + 2);
    arm64_guest.lift(&region, address_of(code) + 2, (const uint8_t *)code + 2, 8, 8);
    assert_int_equal(ir_interpret(&arm64_guest, &cpu.common, &region), TRANSLATOR_ALIGNMENT);
    assert_u64(s->pc, address_of(code) + 2);
    assert_u64(cpu.common.exit_payload, address_of(code) + 2);
}

static bool flags_dead(const uint32_t *words, unsigned count)
{
    const uint64_t start = 0x10000;
    struct guest_flags_path path = {.next = {start}, .count = 1};
    size_t size = count * sizeof *words;
    enum guest_flags_use use = GUEST_FLAGS_PASS;
    for (unsigned steps = 0; use == GUEST_FLAGS_PASS && steps < 8; steps++) {
        uint64_t offset = path.next[path.count - 1] - start; /* behind a branch that may be taken */
        if (offset >= size)
            return false;
        use = arm64_guest.flags_use(start + offset, (const uint8_t *)words + offset, size - offset, &path);
        assert_true(path.looked <= size - offset);
    }
    return use == GUEST_FLAGS_SET;
}

#define FLAGS_DEAD(...)                                                                                      \
    flags_dead((const uint32_t[]){__VA_ARGS__}, ARRAY_SIZE(((const uint32_t[]){__VA_ARGS__})))

static void test_flags_dead(void **state)
{
    (void)state;
    assert_true(FLAGS_DEAD(0xf100041f /* cmp x0, #1 */));
    assert_true(FLAGS_DEAD(0xf8408420 /* ldr x0, [x1], #8 */, 0x9b027c20 /* mul x0, x1, x2 */,
                           0x3dc00040 /* ldr q0, [x2] */, 0xd503201f /* nop */, 0x7200001f /* tst w0, #1 */));
    assert_true(FLAGS_DEAD(0x2b221020 /* adds w0, w1, w2, uxtb #4 */));
    assert_true(FLAGS_DEAD(0xea620c20 /* bics x0, x1, x2, lsr #3 */));
    assert_true(FLAGS_DEAD(0x1e612000 /* fcmp d0, d1 */));
    assert_true(FLAGS_DEAD(0x1e202018 /* fcmpe s0, #0.0 */));
    assert_true(FLAGS_DEAD(0xd51b4200 /* msr nzcv, x0 */));
    assert_true(FLAGS_DEAD(0x1e622820 /* fadd d0, d1, d2 */, 0x4ea28420 /* add v0.4s, v1.4s, v2.4s */,
                           0x2b817c1f /* cmn w0, w1, asr #31 */));
    assert_true(FLAGS_DEAD(0x14000002 /* b .+8 */, 0x54000040 /* b.eq .+8 */, 0xeb01001f /* cmp x0, x1 */));
    assert_true(
        FLAGS_DEAD(0x94000002 /* bl .+8 */, 0x54000040 /* b.eq .+8 */, 0xeb020020 /* subs x0, x1, x2 */));

    assert_false(FLAGS_DEAD(0x54000040 /* b.eq .+8 */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0x9a820020 /* csel x0, x1, x2, eq */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0xfa410000 /* ccmp x0, x1, #0, eq */));
    assert_false(FLAGS_DEAD(0xba020020 /* adcs x0, x1, x2 */));
    assert_false(FLAGS_DEAD(0x5a0103e0 /* ngc w0, w1 */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0x1e620c20 /* fcsel d0, d1, d2, eq */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0x1e610400 /* fccmp d0, d1, #0, eq */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0xd53b4200 /* mrs x0, nzcv */, 0xeb01001f /* cmp x0, x1 */));
    assert_true(FLAGS_DEAD(0xb4000040 /* cbz x0, .+8 */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0xd65f03c0 /* ret */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0xd4000001 /* svc #0 */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0x17ffffff /* b .-4 */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0x14000002 /* b .+8 */, 0xeb01001f /* cmp x0, x1 */));
    assert_false(FLAGS_DEAD(0x14000000 /* b . */));
    assert_false(FLAGS_DEAD(0x8b020020 /* add x0, x1, x2 */));
    assert_false(FLAGS_DEAD(0x6be20020 /* subs w, ror: undefined */));
    assert_false(FLAGS_DEAD(0x6a008020 /* ands w, lsl #32: undefined */));
    assert_false(FLAGS_DEAD(0x72400000 /* ands w, N = 1: undefined */));
    struct guest_flags_path path;
    assert_int_equal(arm64_guest.flags_use(0x10002, (const uint8_t *)code, 64, &path), GUEST_FLAGS_READ);
    const uint32_t branches[] = {0x35ffffe3 /* cbnz w3, .-4 */, 0xb6180044 /* tbz x4, #35, .+8 */};
    for (unsigned i = 0; i < ARRAY_SIZE(branches); i++) {
        assert_int_equal(arm64_guest.flags_use(0x10000, (const uint8_t *)&branches[i], 4, &path),
                         GUEST_FLAGS_PASS);
        assert_int_equal(path.count, 2);
        assert_u64(path.next[0], i ? 0x10008 : 0xfffc);
        assert_u64(path.next[1], 0x10004);
    }
}

static void test_tables(void **state)
{
    (void)state;
    bool ranks[2][65] = {{false}};
    for (unsigned i = 0; i < arm64_guest.register_count; i++) {
        const struct guest_register *g = &arm64_guest.registers[i];
        assert_true(g->offset + ir_type_bytes(g->type) <= arm64_guest.cpu_size);
        assert_true(g->rank < 65 && (g->rank == 0 || !ranks[g->type == IR_V128][g->rank]));
        ranks[g->type == IR_V128][g->rank] = true;
    }
    assert_string_equal(arm64_guest.register_name(ARM64_SP), "sp");
    assert_string_equal(arm64_guest.register_name(ARM64_V0 + 31), "v31");
    assert_string_equal(arm64_guest.register_name(ARM64_X0 + 30), "x30");
    char text[64];
    arm64_guest.disassemble(0, 0x1000, (const uint8_t[]){0xe0, 0x03, 0x01, 0xaa}, text, sizeof text);
    assert_string_equal(text, "mov x0, x1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_addresses, setup),
        cmocka_unit_test_setup(test_move_wide, setup),
        cmocka_unit_test_setup(test_add_subtract_flags, setup),
        cmocka_unit_test_setup(test_folded_flags, setup),
        cmocka_unit_test_setup(test_add_subtract_immediate, setup),
        cmocka_unit_test_setup(test_logical_immediate, setup),
        cmocka_unit_test_setup(test_bit_fields, setup),
        cmocka_unit_test_setup(test_extract, setup),
        cmocka_unit_test_setup(test_shifted_operands, setup),
        cmocka_unit_test_setup(test_extended_operands, setup),
        cmocka_unit_test_setup(test_carry, setup),
        cmocka_unit_test_setup(test_conditional, setup),
        cmocka_unit_test_setup(test_conditional_compare, setup),
        cmocka_unit_test_setup(test_multiply_divide, setup),
        cmocka_unit_test_setup(test_one_and_two_operands, setup),
        cmocka_unit_test_setup(test_crc32, setup),
        cmocka_unit_test_setup(test_load_sizes, setup),
        cmocka_unit_test_setup(test_store_sizes, setup),
        cmocka_unit_test_setup(test_vector_registers, setup),
        cmocka_unit_test_setup(test_register_offset, setup),
        cmocka_unit_test_setup(test_writeback, setup),
        cmocka_unit_test_setup(test_pairs, setup),
        cmocka_unit_test_setup(test_literals, setup),
        cmocka_unit_test_setup(test_exclusives, setup),
        cmocka_unit_test_setup(test_misaligned_atomics, setup),
        cmocka_unit_test_setup(test_atomics, setup),
        cmocka_unit_test_setup(test_compare_and_swap, setup),
        cmocka_unit_test_setup(test_ordered, setup),
        cmocka_unit_test_setup(test_branches, setup),
        cmocka_unit_test_setup(test_conditional_branches, setup),
        cmocka_unit_test_setup(test_exceptions, setup),
        cmocka_unit_test_setup(test_flags_register, setup),
        cmocka_unit_test_setup(test_fp_control, setup),
        cmocka_unit_test_setup(test_fp_status, setup),
        cmocka_unit_test_setup(test_system_registers, setup),
        cmocka_unit_test_setup(test_cache_maintenance, setup),
        cmocka_unit_test_setup(test_hints, setup),
        cmocka_unit_test_setup(test_region_ends, setup),
        cmocka_unit_test_setup(test_region_overflow, setup),
        cmocka_unit_test_setup(test_misaligned_pc, setup),
        cmocka_unit_test_setup(test_flags_dead, setup),
        cmocka_unit_test_setup(test_tables, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
