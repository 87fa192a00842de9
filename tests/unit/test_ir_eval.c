/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of translator/ir: what operations and regions compute, against facts from outside: published test
 * vectors (FIPS 197, FIPS 180-4, CRC catalogues), the Arm ARM's tables, and arithmetic done another way.
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

/* A guest with four integer and two vector registers. */
struct test_cpu {
    struct translator_cpu common;
    uint64_t x[4];
    union vector128 v[2];
    uint64_t pc;
    uint16_t flags;
    uint32_t qc;
    bool default_nan;
};

enum { X0, X1, X2, X3, V0, V1 };

static const struct guest_register registers[] = {
    {"x0", IR_I64, 1, offsetof(struct test_cpu, x[0])},  {"x1", IR_I64, 2, offsetof(struct test_cpu, x[1])},
    {"x2", IR_I64, 3, offsetof(struct test_cpu, x[2])},  {"x3", IR_I64, 4, offsetof(struct test_cpu, x[3])},
    {"v0", IR_V128, 0, offsetof(struct test_cpu, v[0])}, {"v1", IR_V128, 0, offsetof(struct test_cpu, v[1])},
};

static unsigned fp_control(const struct translator_cpu *cpu)
{
    return ((const struct test_cpu *)cpu)->default_nan ? GUEST_FP_DEFAULT_NAN : 0;
}

static const struct guest_isa isa = {
    .name = "test",
    .registers = registers,
    .register_count = ARRAY_SIZE(registers),
    .cpu_size = sizeof(struct test_cpu),
    .pc_offset = offsetof(struct test_cpu, pc),
    .flags_offset = offsetof(struct test_cpu, flags),
    .qc_offset = offsetof(struct test_cpu, qc),
    .fp_control = fp_control,
};

enum {
    MXCSR_DEFAULT = 0x1f80,
    INVALID = 1,
    DIVIDE = 4,
    OVERFLOW = 8,
    UNDERFLOW = 16,
    INEXACT = 32,
    FLUSH = 0x8040
};
enum { NEAREST = 0 << 13, DOWN = 1 << 13, UP = 2 << 13, TO_ZERO = 3 << 13 };

static struct test_cpu cpu;
static unsigned raised; /* exception flags of the last operation */

static int setup(void **state)
{
    (void)state;
    memset(&cpu, 0, sizeof cpu);
    cpu.common.fp_control = MXCSR_DEFAULT;
    cpu.common.exclusive_address = ~0ull;
    return 0;
}

static union vector128 evaluate(const struct ir_insn *n, union vector128 a, union vector128 b,
                                union vector128 c, unsigned mode)
{
    const union vector128 arguments[3] = {a, b, c};
    union vector128 result;

    memset(&result, 0xaa, sizeof result);
    _mm_setcsr(MXCSR_DEFAULT | mode);
    ir_eval_op(&isa, &cpu.common, n, arguments, &result);
    raised = _mm_getcsr() & 0x3d; /* all but "denormal operand", which Arm does not have */
    _mm_setcsr(MXCSR_DEFAULT);
    return result;
}

static union vector128 pair(uint64_t low, uint64_t high)
{
    return (union vector128){.d = {low, high}};
}

static union vector128 vector(enum ir_op op, unsigned aux, uint64_t imm, union vector128 a, union vector128 b,
                              union vector128 c)
{
    const struct ir_insn n = {.op = (uint16_t)op,
                              .type = IR_V128,
                              .aux = (uint16_t)aux,
                              .imm = imm,
                              .a_type = IR_V128,
                              .b_type = IR_V128};
    return evaluate(&n, a, b, c, 0);
}

static uint64_t scalar(enum ir_op op, enum ir_type type, enum ir_type from, unsigned aux, uint64_t imm,
                       uint64_t a, uint64_t b, uint64_t c, unsigned mode)
{
    const struct ir_insn n = {.op = (uint16_t)op,
                              .type = (uint8_t)type,
                              .aux = (uint16_t)aux,
                              .imm = imm,
                              .a_type = (uint8_t)from,
                              .b_type = (uint8_t)from};
    return evaluate(&n, pair(a, 0), pair(b, 0), pair(c, 0), mode).d[0];
}

static uint32_t f32(enum ir_op op, uint32_t a, uint32_t b, unsigned mode)
{
    return (uint32_t)scalar(op, IR_F32, IR_F32, 0, 0, a, b, 0, mode);
}

static uint64_t f64(enum ir_op op, uint64_t a, uint64_t b, unsigned mode)
{
    return scalar(op, IR_F64, IR_F64, 0, 0, a, b, 0, mode);
}

static void assert_hex(uint64_t got, uint64_t expected)
{
    assert_int_equal(got, expected);
}

/* -- integers and flags -------------------------------------------------------------------------------- */

static void test_crc32(void **state)
{
    (void)state;
    /* The check values of CRC-32 and CRC-32C: of "123456789". */
    static const struct {
        unsigned aux;
        uint32_t check;
    } kinds[] = {{0, 0xcbf43926}, {IR_CRC_CASTAGNOLI, 0xe3069283}};

    for (unsigned k = 0; k < 2; k++) {
        uint64_t crc =
            scalar(IR_CRC32, IR_I32, IR_I64, 3 | kinds[k].aux, 0, 0xffffffff, 0x3837363534333231, 0, 0);
        crc = scalar(IR_CRC32, IR_I32, IR_I32, 0 | kinds[k].aux, 0, crc, '9', 0, 0);
        assert_hex(~crc & 0xffffffff, kinds[k].check);
    }
}

static void test_flags(void **state)
{
    (void)state;
    /* NZCV as the Arm ARM's AddWithCarry gives them; the stored B is the inverse of C. */
    assert_hex(ir_eval_flags(IR_ADD, IR_I32, 0x7fffffff, 1, 0), NZCV_N | NZCV_B | NZCV_V);
    assert_hex(ir_eval_flags(IR_ADD, IR_I32, 0xffffffff, 1, 0), NZCV_Z);
    assert_hex(ir_eval_flags(IR_ADD, IR_I64, 0xffffffff, 1, 0), NZCV_B);
    assert_hex(ir_eval_flags(IR_SUB, IR_I64, 5, 5, 0), NZCV_Z);
    assert_hex(ir_eval_flags(IR_SUB, IR_I64, 4, 5, 0), NZCV_N | NZCV_B);
    assert_hex(ir_eval_flags(IR_SUB, IR_I64, 1ull << 63, 1, 0), NZCV_V);
    assert_hex(ir_eval_flags(IR_SBC, IR_I64, 0, 0, NZCV_B), NZCV_N | NZCV_B);
    assert_hex(ir_eval_flags(IR_SBC, IR_I64, 0, 0, 0), NZCV_Z);
    assert_hex(ir_eval_flags(IR_ADC, IR_I64, ~0ull, ~0ull, 0), NZCV_N);
    assert_hex(ir_eval_flags(IR_AND, IR_I32, 0x80000000, 0x80000000, 0), NZCV_N | NZCV_B);
    assert_hex(ir_eval_flags(IR_ANDN, IR_I32, 3, 3, 0), NZCV_Z | NZCV_B);

    /* Each condition against the comparison that it stands for. */
    static const uint64_t values[] = {0, 1, 2, 0x7fffffffffffffff, 1ull << 63, ~0ull};
    for (unsigned i = 0; i < ARRAY_SIZE(values) * ARRAY_SIZE(values); i++) {
        uint64_t a = values[i / ARRAY_SIZE(values)], b = values[i % ARRAY_SIZE(values)];
        int64_t sa = (int64_t)a, sb = (int64_t)b;
        uint16_t f = ir_eval_flags(IR_SUB, IR_I64, a, b, 0);
        bool expected[] = {a == b, a != b,   a >= b,        a<b, 0, 0, 0, 0, a> b,
                           a <= b, sa >= sb, sa<sb, sa> sb, sa <= sb};
        for (unsigned c = 0; c < ARRAY_SIZE(expected); c++)
            if (c < IR_MI || c > IR_VC)
                assert_int_equal(ir_eval_cond(f, (enum ir_cond)c), expected[c]);
    }
}

/* -- vectors of integers -----------------------------------------------------------------------------------
 */

/* One element in lane 0, zeros elsewhere; returns lane 0, and whether QC was set in *saturated. */
static uint64_t lane(enum ir_op op, unsigned esize, uint64_t imm, uint64_t a, uint64_t b, bool *saturated)
{
    cpu.qc = 0;
    uint64_t r = vector(op, esize, imm, pair(a, 0), pair(b, 0), pair(0, 0)).d[0];
    *saturated = cpu.qc != 0;
    return r & (esize == 3 ? ~0ull : (1ull << (8u << esize)) - 1);
}

static void test_saturation(void **state)
{
    (void)state;
    static const struct {
        enum ir_op op;
        unsigned esize;
        uint64_t imm, a, b, r;
        bool saturates;
    } cases[] = {
        {IR_VSQADD, 0, 0, 0x7f, 0x01, 0x7f, true},
        {IR_VSQADD, 0, 0, 0x7e, 0x01, 0x7f, false},
        {IR_VSQADD, 3, 0, 1ull << 63, ~0ull, 1ull << 63, true},
        {IR_VUQADD, 3, 0, ~0ull, 1, ~0ull, true},
        {IR_VUQADD, 1, 0, 0xfffe, 1, 0xffff, false},
        {IR_VUQSUB, 2, 0, 1, 2, 0, true},
        {IR_VSQSUB, 2, 0, 0x80000000, 1, 0x80000000, true},
        {IR_VSQABS, 0, 0, 0x80, 0, 0x7f, true},
        {IR_VSQABS, 3, 0, 1ull << 63, 0, ~0ull >> 1, true},
        {IR_VSQNEG, 1, 0, 0x8000, 0, 0x7fff, true},
        {IR_VSQNEG, 1, 0, 0x7fff, 0, 0x8001, false},
        {IR_VSUQADD, 0, 0, 0x80, 0xff, 0x7f, false}, /* -128 + 255 = 127 */
        {IR_VSUQADD, 0, 0, 0x81, 0xff, 0x7f, true},
        {IR_VUSQADD, 0, 0, 0x05, 0xfa, 0x00, true}, /* 5 - 6 */
        {IR_VUSQADD, 0, 0, 0xff, 0x01, 0xff, true},
        {IR_VUSQADD, 0, 0, 0xff, 0xff, 0xfe, false},
        {IR_VSQSHLU, 0, 1, 0xff, 0, 0, true}, /* -1 */
        {IR_VSQSHLU, 0, 1, 0x7f, 0, 0xfe, false},
        {IR_VSQSHLU, 0, 2, 0x7f, 0, 0xff, true},
        {IR_VSQSHL_VAR, 0, 0, 0x40, 1, 0x7f, true},
        {IR_VSQSHL_VAR, 0, 0, 0xff, 7, 0x80, false}, /* -1 << 7 fits */
        {IR_VSQSHL_VAR, 0, 0, 0xff, 8, 0x80, true},
        {IR_VSQSHL_VAR, 3, 0, ~0ull, 63, 1ull << 63, false},
        {IR_VSQSHL_VAR, 3, 0, ~0ull, 64, 1ull << 63, true},
        {IR_VSQSHL_VAR, 3, 0, 0, 127, 0, false},
        {IR_VUQSHL_VAR, 3, 0, 1, 63, 1ull << 63, false},
        {IR_VUQSHL_VAR, 3, 0, 1, 64, ~0ull, true},
        {IR_VUQRSHL_VAR, 0, 0, 0xff, 0xff, 0x80, false}, /* 255 / 2, rounded up */
        {IR_VSQRSHL_VAR, 0, 0, 0xff, 0xff, 0x00, false}, /* -1 / 2, rounded up */
        {IR_VSQDMULH, 1, 0, 0x8000, 0x8000, 0x7fff, true},
        {IR_VSQRDMULH, 2, 0, 0x80000000, 0x80000000, 0x7fffffff, true},
        {IR_VSQRDMULH, 1, 0, 0x4000, 0x0001, 0x0001, false},
        {IR_VSQDMULH, 1, 0, 0x4000, 0x0001, 0x0000, false},
        {IR_VSQXTN, 0, 0, 0x0080, 0, 0x7f, true},
        {IR_VSQXTN, 2, 0, 0xffffffff7fffffff, 0, 0x80000000, true},
        {IR_VUQXTN, 0, 0, 0xffff, 0, 0xff, true},
        {IR_VSQXTUN, 0, 0, 0xffff, 0, 0x00, true},
        {IR_VSQXTUN, 0, 0, 0x00ff, 0, 0xff, false},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bool saturated;
        uint64_t r = lane(cases[i].op, cases[i].esize, cases[i].imm, cases[i].a, cases[i].b, &saturated);
        if (r != cases[i].r || saturated != cases[i].saturates)
            fail_msg("case %u (%s): %#llx, QC %d", i, ir_op_info[cases[i].op].name, (unsigned long long)r,
                     saturated);
    }
    /* The doubling product that overflows. */
    union vector128 r = vector(IR_VSQDMULL_LO, 1, 0, pair(0x8000, 0), pair(0x8000, 0), pair(0, 0));
    assert_hex(r.w[0], 0x7fffffff);
}

static void test_shifts(void **state)
{
    (void)state;
    bool saturated;
    /* By a register: only the low byte counts, as a signed number. */
    assert_hex(lane(IR_VUSHL_VAR, 1, 0, 0x00ff, 0x0104, &saturated), 0x0ff0);
    assert_hex(lane(IR_VUSHL_VAR, 1, 0, 0xff00, 0x00f8, &saturated), 0x00ff);
    assert_hex(lane(IR_VUSHL_VAR, 3, 0, ~0ull, 64, &saturated), 0);
    assert_hex(lane(IR_VSSHL_VAR, 0, 0, 0x80, 0x80, &saturated), 0xff);
    assert_hex(lane(IR_VURSHL_VAR, 3, 0, 1ull << 63, 0xc0, &saturated), 1); /* by -64 */
    assert_hex(lane(IR_VSRSHL_VAR, 3, 0, ~0ull, 0xc0, &saturated), 0);
    assert_hex(lane(IR_VURSHL_VAR, 3, 0, ~0ull, 0xff, &saturated), 1ull << 63);
    /* By a constant, up to the whole element. */
    assert_hex(lane(IR_VUSHR, 0, 8, 0xff, 0, &saturated), 0);
    assert_hex(lane(IR_VSSHR, 0, 8, 0x80, 0, &saturated), 0xff);
    assert_hex(lane(IR_VURSHR, 0, 8, 0x80, 0, &saturated), 1);
    assert_hex(lane(IR_VSRSHR, 0, 8, 0x80, 0, &saturated), 0);
    assert_hex(lane(IR_VSRSHR, 0, 1, 0xff, 0, &saturated), 0);
}

static void test_permutes(void **state)
{
    (void)state;
    const union vector128 a = pair(0x0706050403020100, 0x0f0e0d0c0b0a0908);
    const union vector128 b = pair(0x1716151413121110, 0x1f1e1d1c1b1a1918);
    const union vector128 none = pair(0, 0);
    union vector128 r = vector(IR_VZIP2, 0, 0, a, b, none);
    assert_hex(r.d[0], 0x1b0b1a0a19091808);
    r = vector(IR_VUZP2, 1, 0, a, b, none);
    assert_hex(r.d[0], 0x0f0e0b0a07060302);
    assert_hex(r.d[1], 0x1f1e1b1a17161312);
    r = vector(IR_VTRN1, 2, 0, a, b, none);
    assert_hex(r.d[0], 0x1312111003020100);
    r = vector(IR_VEXT, 0, 3, a, b, none);
    assert_hex(r.d[0], 0x0a09080706050403);
    assert_hex(r.d[1], 0x1211100f0e0d0c0b);
    r = vector(IR_VREV, 1, 3, a, none, none);
    assert_hex(r.d[0], 0x0100030205040706);
    r = vector(IR_VTBL, 0, 0, b, pair(0x10ff0f0003020100, 0), none);
    assert_hex(r.d[0], 0x00001f1013121110);
    r = vector(IR_VSET_LANE, 2, 3 | 1 << 4, a, b, none);
    assert_hex(r.d[1], 0x171615140b0a0908);
}

/* -- cryptography -------------------------------------------------------------------------------------------
 */

static union vector128 bytes(const char *hex)
{
    union vector128 v;
    for (unsigned i = 0; i < 16; i++) {
        unsigned byte = 0;
        for (unsigned k = 0; k < 2; k++) {
            char c = hex[2 * i + k];
            byte = byte << 4 | (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        v.b[i] = (uint8_t)byte;
    }
    return v;
}

static union vector128 unary(enum ir_op op, union vector128 a)
{
    return vector(op, 0, 0, a, pair(0, 0), pair(0, 0));
}

static union vector128 binary(enum ir_op op, union vector128 a, union vector128 b)
{
    return vector(op, 0, 0, a, b, pair(0, 0));
}

/* FIPS 197, 5.2, with SubWord done by AESE on four equal columns. */
static void expand_key(union vector128 keys[11])
{
    uint8_t round_constant = 1;
    for (unsigned i = 1; i <= 10; i++) {
        const union vector128 *last = &keys[i - 1];
        uint32_t word = last->w[3] >> 8 | last->w[3] << 24; /* RotWord of a little-endian word */
        union vector128 columns = {.w = {word, word, word, word}};
        word = binary(IR_AESE, columns, pair(0, 0)).w[0] ^ round_constant;
        for (unsigned k = 0; k < 4; k++)
            word = keys[i].w[k] = last->w[k] ^ word;
        round_constant = (uint8_t)(round_constant << 1 ^ (round_constant & 0x80 ? 0x1b : 0));
    }
}

static void test_aes(void **state)
{
    (void)state;
    /* FIPS 197, appendix B */
    union vector128 keys[11] = {bytes("2b7e151628aed2a6abf7158809cf4f3c")};
    const union vector128 plain = bytes("3243f6a8885a308d313198a2e0370734");
    const union vector128 cipher = bytes("3925841d02dc09fbdc118597196a0b32");
    const union vector128 last_key = bytes("d014f9a8c9ee2589e13f0cc8b6630ca6");
    union vector128 s = plain;

    expand_key(keys);
    assert_memory_equal(&keys[10], &last_key, 16);
    for (unsigned i = 0; i < 9; i++)
        s = unary(IR_AESMC, binary(IR_AESE, s, keys[i]));
    s = binary(IR_VXOR, binary(IR_AESE, s, keys[9]), keys[10]);
    assert_memory_equal(&s, &cipher, 16);

    /* Back, by the equivalent inverse cipher. */
    for (unsigned i = 10; i > 1; i--)
        s = unary(IR_AESIMC, binary(IR_AESD, s, i == 10 ? keys[10] : unary(IR_AESIMC, keys[i])));
    s = binary(IR_VXOR, binary(IR_AESD, s, unary(IR_AESIMC, keys[1])), keys[0]);
    assert_memory_equal(&s, &plain, 16);
}

/* The one block of "abc", FIPS 180-4: words in the order of the vectors' lanes. */
static void message_of_abc(union vector128 w[4])
{
    memset(w, 0, 4 * sizeof *w);
    w[0].w[0] = 0x61626380;
    w[3].w[3] = 24;
}

static void test_sha1(void **state)
{
    (void)state;
    static const uint32_t constants[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    static const enum ir_op ops[] = {IR_SHA1C, IR_SHA1P, IR_SHA1M, IR_SHA1P};
    static const uint32_t expected[] = {0xa9993e36, 0x4706816a, 0xba3e2571, 0x7850c26c, 0x9cd0d89d};
    const union vector128 start = {.w = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
    union vector128 w[20], abcd = start, e = pair(0xc3d2e1f0, 0);

    message_of_abc(w);
    for (unsigned i = 4; i < 20; i++)
        w[i] = binary(IR_SHA1SU1, vector(IR_SHA1SU0, 0, 0, w[i - 4], w[i - 3], w[i - 2]), w[i - 1]);
    for (unsigned i = 0; i < 20; i++) {
        const uint32_t k = constants[i / 5];
        union vector128 wk = vector(IR_VADD, 2, 0, w[i], (union vector128){.w = {k, k, k, k}}, pair(0, 0));
        union vector128 next_e = unary(IR_SHA1H, abcd);
        abcd = vector(ops[i / 5], 0, 0, abcd, e, wk);
        e = next_e;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_hex(abcd.w[i] + start.w[i], expected[i]);
    assert_hex((uint32_t)(e.w[0] + 0xc3d2e1f0), expected[4]);
}

static void test_sha256(void **state)
{
    (void)state;
    /* The first 32 bits of the fractions of the cube roots of the primes. */
    uint32_t k[64];
    unsigned count = 0;
    for (unsigned prime = 2; count < 64; prime++) {
        bool is_prime = true;
        for (unsigned d = 2; d * d <= prime; d++)
            is_prime = is_prime && prime % d;
        if (!is_prime)
            continue;
        /* The largest root with root^3 <= prime * 2^96. */
        unsigned __int128 root = 0;
        for (int bit = 35; bit >= 0; bit--) {
            unsigned __int128 next = root | (unsigned __int128)1 << bit;
            if (next * next * next <= (unsigned __int128)prime << 96)
                root = next;
        }
        k[count++] = (uint32_t)root;
    }
    assert_hex(k[0], 0x428a2f98);

    static const uint32_t expected[] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                                        0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    const union vector128 x0 = {.w = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a}};
    const union vector128 y0 = {.w = {0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
    union vector128 w[16], x = x0, y = y0;

    message_of_abc(w);
    for (unsigned i = 4; i < 16; i++)
        w[i] = vector(IR_SHA256SU1, 0, 0, binary(IR_SHA256SU0, w[i - 4], w[i - 3]), w[i - 2], w[i - 1]);
    for (unsigned i = 0; i < 16; i++) {
        union vector128 wk;
        for (unsigned j = 0; j < 4; j++)
            wk.w[j] = w[i].w[j] + k[4 * i + j];
        union vector128 next_x = vector(IR_SHA256H, 0, 0, x, y, wk);
        y = vector(IR_SHA256H2, 0, 0, y, x, wk);
        x = next_x;
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_hex((uint32_t)(x.w[i] + x0.w[i]), expected[i]);
        assert_hex((uint32_t)(y.w[i] + y0.w[i]), expected[4 + i]);
    }
}

static void test_polynomials(void **state)
{
    (void)state;
    union vector128 r = vector(IR_VPMULL_LO, 3, 0, pair(1ull << 63 | 1, 0), pair(3, 0), pair(0, 0));
    assert_hex(r.d[0], 1ull << 63 | 3);
    assert_hex(r.d[1], 1);
    r = vector(IR_VPMULL_HI, 0, 0, pair(0, 0xff), pair(0, 0xff), pair(0, 0));
    assert_hex(r.h[0], 0x5555); /* a square spreads the bits */
    r = vector(IR_VPMUL, 0, 0, pair(0xff, 0), pair(0xff, 0), pair(0, 0));
    assert_hex(r.b[0], 0x55);
}

/* -- floating point -------------------------------------------------------------------------------------- */

#define QNAN_A 0x7fc11111u
#define QNAN_B 0xffc22222u
#define SNAN_A 0x7f911111u
#define SNAN_B 0xff922222u
#define ONE    0x3f800000u
#define INF    0x7f800000u

static void test_nans(void **state)
{
    (void)state;
    /* Arm ARM, FPProcessNaNs: signalling before quiet, first operand before second. */
    static const struct {
        uint32_t a, b, r;
        unsigned raises;
    } cases[] = {
        {QNAN_A, ONE, QNAN_A, 0},
        {ONE, QNAN_B, QNAN_B, 0},
        {QNAN_A, QNAN_B, QNAN_A, 0},
        {QNAN_A, SNAN_B, SNAN_B | 0x400000, INVALID},
        {SNAN_A, SNAN_B, SNAN_A | 0x400000, INVALID},
        {SNAN_A, QNAN_B, SNAN_A | 0x400000, INVALID},
    };
    static const enum ir_op ops[] = {IR_FADD, IR_FSUB, IR_FMUL, IR_FDIV, IR_FMIN, IR_FMAX, IR_FMULX};

    for (unsigned o = 0; o < ARRAY_SIZE(ops); o++) {
        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
            assert_hex(f32(ops[o], cases[i].a, cases[i].b, 0), cases[i].r);
            assert_int_equal(raised, cases[i].raises);
        }
    }
    /* Made from numbers: the default NaN, which is positive. */
    assert_hex(f32(IR_FSUB, INF, INF, 0), 0x7fc00000);
    assert_hex(f32(IR_FMUL, INF, 0, 0), 0x7fc00000);
    assert_hex(f32(IR_FSQRT, 0xbf800000, 0, 0), 0x7fc00000);
    assert_int_equal(raised, INVALID);
    assert_hex(f64(IR_FDIV, 0, 0, 0), 0x7ff8000000000000);
    assert_hex(f32(IR_FNEG, SNAN_A, 0, 0), SNAN_A | 0x80000000);
    assert_int_equal(raised, 0);

    cpu.default_nan = true;
    assert_hex(f32(IR_FADD, QNAN_B, ONE, 0), 0x7fc00000);
    assert_hex(f32(IR_FROUND, QNAN_B, 0, 0), 0x7fc00000);
    assert_hex(scalar(IR_FCONVERT, IR_F64, IR_F32, 0, 0, QNAN_B, 0, 0, 0), 0x7ff8000000000000);
}

static void test_minimum(void **state)
{
    (void)state;
    assert_hex(f32(IR_FMIN, 0, 0x80000000, 0), 0x80000000);
    assert_hex(f32(IR_FMAX, 0x80000000, 0, 0), 0);
    /* A number wins over a quiet NaN, not over a signalling one. */
    assert_hex(f32(IR_FMINNM, QNAN_A, ONE, 0), ONE);
    assert_hex(f32(IR_FMAXNM, ONE, QNAN_B, 0), ONE);
    assert_hex(f32(IR_FMAXNM, QNAN_A, QNAN_B, 0), QNAN_A);
    assert_int_equal(raised, 0);
    assert_hex(f32(IR_FMAXNM, SNAN_A, ONE, 0), SNAN_A | 0x400000);
    assert_int_equal(raised, INVALID);
    assert_hex(f32(IR_FMULX, 0xff800000, 0, 0), 0xc0000000); /* -inf * 0 = -2 */
    assert_int_equal(raised, 0);
}

static uint32_t fma32(uint32_t a, uint32_t b, uint32_t c)
{
    return (uint32_t)scalar(IR_FMA, IR_F32, IR_F32, 0, 0, a, b, c, 0);
}

static void test_multiply_add(void **state)
{
    (void)state;
    /* (1 + 2^-23)^2 - (1 + 2^-22) = 2^-46: lost if the product were rounded */
    assert_hex(fma32(0x3f800001, 0x3f800001, 0xbf800002), 0x28800000);
    /* The addend's NaN comes first. */
    assert_hex(fma32(QNAN_A, ONE, QNAN_B), QNAN_B);
    assert_hex(fma32(SNAN_A, ONE, QNAN_B), SNAN_A | 0x400000);
    assert_hex(fma32(INF, 0, QNAN_B), 0x7fc00000);
    assert_int_equal(raised, INVALID);
    assert_hex(fma32(INF, 0, SNAN_B), SNAN_B | 0x400000);
    assert_hex(fma32(INF, ONE, 0xff800000), 0x7fc00000);
}

static void test_comparisons(void **state)
{
    (void)state;
    static const struct {
        uint32_t a, b;
        unsigned flags, quiet, signalling;
    } cases[] = {
        {ONE, INF, NZCV_N | NZCV_B, 0, 0}, {ONE, ONE, NZCV_Z, 0, 0},
        {0, 0x80000000, NZCV_Z, 0, 0},     {INF, ONE, 0, 0, 0},
        {QNAN_A, ONE, NZCV_V, 0, INVALID}, {ONE, SNAN_A, NZCV_V, INVALID, INVALID},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned signals = 0; signals < 2; signals++) {
            assert_hex(scalar(IR_FLAGS_FCMP, IR_FLAGS, IR_F32, signals, 0, cases[i].a, cases[i].b, 0, 0),
                       cases[i].flags);
            assert_int_equal(raised, signals ? cases[i].signalling : cases[i].quiet);
        }
    }
    union vector128 r = vector(IR_VFCMPGE, 2, 0, pair(QNAN_A | (uint64_t)ONE << 32, 0),
                               pair((uint64_t)ONE << 32, 0), pair(0, 0));
    assert_hex(r.d[0], 0xffffffff00000000);
    assert_int_equal(raised, INVALID);
}

static void test_to_integers(void **state)
{
    (void)state;
    enum {
        Z = IR_ROUND_ZERO,
        N = IR_ROUND_EVEN,
        A = IR_ROUND_AWAY,
        P = IR_ROUND_UP,
        M = IR_ROUND_DOWN,
        U = IR_UNSIGNED
    };
    static const struct {
        enum ir_type type;
        unsigned bits, scale;
        double a;
        uint64_t r;
        unsigned raises;
    } cases[] = {
        {IR_I32, Z, 0, 2147483647.0, 0x7fffffff, 0},
        {IR_I32, Z, 0, 2147483647.5, 0x7fffffff, INEXACT},
        {IR_I32, N, 0, 2147483647.5, 0x7fffffff, INVALID},
        {IR_I32, Z, 0, -2147483648.9, 0x80000000, INEXACT},
        {IR_I32, Z, 0, -2147483649.0, 0x80000000, INVALID},
        {IR_I32, Z | U, 0, -0.9, 0, INEXACT},
        {IR_I32, Z | U, 0, -1.0, 0, INVALID},
        {IR_I32, Z | U, 0, 4294967296.0, 0xffffffff, INVALID},
        {IR_I64, Z, 0, 9223372036854775808.0, 0x7fffffffffffffff, INVALID},
        {IR_I64, Z, 0, -9223372036854775808.0, 0x8000000000000000, 0},
        {IR_I64, Z | U, 0, 18446744073709551616.0, ~0ull, INVALID},
        {IR_I64, Z | U, 0, 9223372036854775808.0, 0x8000000000000000, 0},
        {IR_I64, Z, 0, 1e300, 0x7fffffffffffffff, INVALID},
        {IR_I64, Z, 0, __builtin_inf(), 0x7fffffffffffffff, INVALID},
        {IR_I64, N, 0, 2.5, 2, INEXACT},
        {IR_I64, N, 0, 3.5, 4, INEXACT},
        {IR_I64, A, 0, 2.5, 3, INEXACT},
        {IR_I64, A, 0, -2.5, (uint64_t)-3, INEXACT},
        {IR_I64, P, 0, 1e-300, 1, INEXACT},
        {IR_I64, M, 0, -1e-300, ~0ull, INEXACT},
        {IR_I32, Z, 31, 0.5, 0x40000000, 0},
        {IR_I32, Z, 32, 0.5, 0x7fffffff, INVALID},
        {IR_I32, Z | U, 32, 0.5, 0x80000000, 0},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t a, r;
        memcpy(&a, &cases[i].a, sizeof a);
        r = scalar(IR_FTO_INT, cases[i].type, IR_F64, cases[i].bits, cases[i].scale, a, 0, 0, 0);
        if (r != cases[i].r || raised != cases[i].raises)
            fail_msg("case %u: %#llx, raised %#x", i, (unsigned long long)r, raised);
    }
    assert_hex(scalar(IR_FTO_INT, IR_I64, IR_F32, Z, 0, QNAN_B, 0, 0, 0), 0);
    assert_int_equal(raised, INVALID);
}

static void test_from_integers(void **state)
{
    (void)state;
    enum { U = IR_UNSIGNED };
    assert_hex(scalar(IR_FFROM_INT, IR_F64, IR_I64, U, 0, ~0ull, 0, 0, 0), 0x43f0000000000000);
    assert_int_equal(raised, INEXACT);
    assert_hex(scalar(IR_FFROM_INT, IR_F64, IR_I64, U, 0, ~0ull, 0, 0, TO_ZERO), 0x43efffffffffffff);
    assert_hex(scalar(IR_FFROM_INT, IR_F64, IR_I64, 0, 0, ~0ull, 0, 0, 0), 0xbff0000000000000);
    assert_hex(scalar(IR_FFROM_INT, IR_F32, IR_I32, 0, 0, 0x80000000, 0, 0, 0), 0xcf000000);
    assert_hex(scalar(IR_FFROM_INT, IR_F32, IR_I32, U, 0, 0x80000000, 0, 0, 0), 0x4f000000);
    assert_hex(scalar(IR_FFROM_INT, IR_F32, IR_I32, 0, 0, 16777217, 0, 0, UP), 0x4b800001);
    assert_hex(scalar(IR_FFROM_INT, IR_F32, IR_I32, 0, 32, 1, 0, 0, 0), 0x2f800000);
    assert_hex(scalar(IR_FFROM_INT, IR_F32, IR_I32, 0, 0, 0, 0, 0, DOWN), 0);
}

static void test_rounding(void **state)
{
    (void)state;
    /* -2.5, by each mode: even, up, down, zero, away */
    static const uint32_t expected[] = {0xc0000000, 0xc0000000, 0xc0400000, 0xc0000000, 0xc0400000};
    for (unsigned mode = 0; mode < 5; mode++) {
        assert_hex(scalar(IR_FROUND, IR_F32, IR_F32, mode, 0, 0xc0200000, 0, 0, 0), expected[mode]);
        assert_int_equal(raised, 0);
    }
    assert_hex(
        scalar(IR_FROUND, IR_F32, IR_F32, IR_ROUND_CURRENT | IR_ROUND_EXACT, 0, 0xbf000000, 0, 0, DOWN),
        0xbf800000);
    assert_int_equal(raised, INEXACT);
    assert_hex(scalar(IR_FROUND, IR_F32, IR_F32, IR_ROUND_EVEN, 0, 0xbf000000, 0, 0, 0), 0x80000000);
}

static void test_halves(void **state)
{
    (void)state;
    assert_hex(scalar(IR_FTO_HALF, IR_I32, IR_F32, 0, 0, 0x477fefff, 0, 0, 0), 0x7bff); /* just below 65520 */
    assert_hex(scalar(IR_FTO_HALF, IR_I32, IR_F32, 0, 0, 0x477ff000, 0, 0, 0), 0x7c00);
    assert_int_equal(raised, OVERFLOW | INEXACT);
    assert_hex(scalar(IR_FTO_HALF, IR_I32, IR_F32, 0, 0, 0x33000000, 0, 0, 0), 0); /* 2^-25, a tie */
    assert_int_equal(raised, UNDERFLOW | INEXACT);
    assert_hex(scalar(IR_FTO_HALF, IR_I32, IR_F32, 0, 0, 0x33000001, 0, 0, 0), 1);
    /* From double in one step: 1 + 2^-11 + 2^-40 is above the tie that single precision makes of it. */
    assert_hex(scalar(IR_FTO_HALF, IR_I32, IR_F64, 0, 0, 0x3ff0020000001000, 0, 0, 0), 0x3c01);
    assert_hex(scalar(IR_FTO_HALF, IR_I32, IR_F32, 0, 0, SNAN_B, 0, 0, 0), 0xfe91);
    assert_int_equal(raised, INVALID);
    assert_hex(scalar(IR_FFROM_HALF, IR_F32, IR_I32, 0, 0, 0x0001, 0, 0, FLUSH), 0x33800000);
    assert_hex(scalar(IR_FFROM_HALF, IR_F64, IR_I32, 0, 0, 0xfbff, 0, 0, 0), 0xc0effc0000000000);
    /* Each half survives the way through single precision. */
    for (uint32_t h = 0; h < 0x10000; h++) {
        uint64_t single = scalar(IR_FFROM_HALF, IR_F32, IR_I32, 0, 0, h, 0, 0, 0);
        uint64_t back = scalar(IR_FTO_HALF, IR_I32, IR_F32, 0, 0, single, 0, 0, 0);
        bool is_nan = (h & 0x7fff) > 0x7c00;
        assert_hex(back, is_nan ? h | 0x200 : h);
    }
}

static void test_round_to_odd(void **state)
{
    (void)state;
    union vector128 r =
        vector(IR_VFNARROW_ODD, 2, 0, pair(0x3ff0000000000001, 0x47f0000000000000), pair(0, 0), pair(0, 0));
    assert_hex(r.w[0], 0x3f800001);
    assert_hex(r.w[1], 0x7f7fffff);
    assert_hex(r.d[1], 0);
}

static void test_estimates(void **state)
{
    (void)state;
    /* Within 2^-8 of the truth, as any estimate must be, over one binade and more. */
    for (unsigned i = 0; i < 1024; i++) {
        uint32_t a = 0x3f000000 + (i << 15), recip = f32(IR_FRECPE, a, 0, 0),
                 rsqrt = f32(IR_FRSQRTE, a, 0, 0);
        float x, y, z;
        memcpy(&x, &a, 4);
        memcpy(&y, &recip, 4);
        memcpy(&z, &rsqrt, 4);
        assert_true(x * y > 1 - 1.0f / 256 && x * y < 1 + 1.0f / 256);
        assert_true(x * z * z > 1 - 1.0f / 100 && x * z * z < 1 + 1.0f / 100);
    }
    assert_hex(f32(IR_FRECPE, ONE, 0, 0), 0x3f7f8000); /* 511 / 512, the table's first entry */
    assert_hex(f32(IR_FRECPE, 0x80000000, 0, 0), 0xff800000);
    assert_int_equal(raised, DIVIDE);
    assert_hex(f32(IR_FRECPE, 0x001fffff, 0, TO_ZERO), 0x7f7fffff);
    assert_int_equal(raised, OVERFLOW | INEXACT);
    assert_hex(f32(IR_FRSQRTE, 0xbf800000, 0, 0), 0x7fc00000);
    assert_int_equal(raised, INVALID);
    assert_hex(f32(IR_FRECPX, 0x41200000, 0, 0), 0x3e800000);
    assert_hex(f32(IR_FRECPS, INF, 0, 0), 0x40000000);
    assert_hex(f32(IR_FRSQRTS, 0, INF, 0), 0x3fc00000);
    assert_hex(f32(IR_FRSQRTS, 0x7f000000, 0x40000000, 0),
               0xff000000); /* (3 - 2^128) / 2 does not overflow */
    assert_int_equal(raised, INEXACT);
    assert_hex(f32(IR_FRECPS, QNAN_A, ONE, 0), QNAN_A | 0x80000000);
    assert_hex(vector(IR_VURECPE, 2, 0, pair(0x7fffffff, 0), pair(0, 0), pair(0, 0)).w[0], 0xffffffff);
    assert_hex(vector(IR_VURECPE, 2, 0, pair(0x80000000, 0), pair(0, 0), pair(0, 0)).w[0], 0xff800000);
}

static void test_tiny_results(void **state)
{
    (void)state;
    /* The largest denormal double rounds up to the smallest normal single: tiny before rounding. */
    const uint64_t below = 0x380fffffffffffff;
    assert_hex(scalar(IR_FCONVERT, IR_F32, IR_F64, 0, 0, below, 0, 0, 0), 0x00800000);
    assert_int_equal(raised, UNDERFLOW | INEXACT);
    assert_hex(scalar(IR_FCONVERT, IR_F32, IR_F64, 0, 0, below, 0, 0, FLUSH), 0);
    assert_int_equal(raised, UNDERFLOW);
    /* An exact denormal result is no underflow, but it is flushed. */
    assert_hex(f32(IR_FMUL, 0x00800000, 0x3f000000, 0), 0x00400000);
    assert_int_equal(raised, 0);
    assert_hex(f32(IR_FMUL, 0x80800000, 0x3f000000, FLUSH), 0x80000000);
    assert_int_equal(raised, UNDERFLOW);
    /* A zero is a zero. */
    assert_hex(f32(IR_FSUB, ONE, ONE, FLUSH), 0);
    assert_int_equal(raised, 0);
}

/* -- running regions ------------------------------------------------------------------------------------- */

static struct ir_region region;
static struct ir_region *const r = &region;

static void begin(void)
{
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

static void test_interpret_memory(void **state)
{
    (void)state;
    int8_t memory[16] = {0, 0, 0, 0, -2, -1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    begin();
    cpu.x[0] = (uintptr_t)memory;
    cpu.x[1] = 2;
    ir_value base = ir_get(r, X0, IR_I64), index = ir_get(r, X1, IR_I64);
    ir_value half =
        ir_emit(r, IR_LOAD, IR_I32, 1 | IR_MEM_SIGNED | 1 << IR_MEM_SCALE_SHIFT, base, index, IR_NONE, 0, 0);
    ir_value byte = ir_load(r, IR_I64, 0, base, 4);
    ir_store(r, 3, base, 8, byte);
    ir_value all = ir_load(r, IR_V128, 4, base, 0);
    ir_value low = ir_load(r, IR_V128, 3, base, 0);
    ir_set(r, X2, ir_zext(r, half));
    ir_set(r, X3, byte);
    ir_set(r, V0, all);
    ir_set(r, V1, low);
    assert_int_equal(run(), TRANSLATOR_NONE);
    assert_hex(cpu.x[2], 0xfffffffe);
    assert_hex(cpu.x[3], 0xfe);
    assert_hex(cpu.v[0].d[1], 0xfe);
    assert_hex(cpu.v[1].d[0], 0x0403fffe00000000);
    assert_hex(cpu.v[1].d[1], 0);
    assert_hex(cpu.pc, 0x1004);
}

static void test_interpret_alignment(void **state)
{
    (void)state;
    uint64_t memory[2] = {1, 2};
    begin();
    cpu.x[0] = (uintptr_t)memory + 4;
    ir_set(r, X1, ir_const(r, IR_I64, 7));
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1008, 0);
    ir_value old = ir_load(r, IR_I64, 3 | IR_MEM_ALIGNED, ir_get(r, X0, IR_I64), 0);
    ir_set(r, X2, old);
    assert_int_equal(run(), TRANSLATOR_ALIGNMENT);
    assert_hex(cpu.common.exit_reason, TRANSLATOR_ALIGNMENT);
    assert_hex(cpu.common.exit_payload, (uintptr_t)memory + 4);
    assert_hex(cpu.pc, 0x1008);
    assert_hex(cpu.x[1], 7); /* the instruction before was done */
    assert_hex(cpu.x[2], 0);
}

static void test_interpret_atomics(void **state)
{
    (void)state;
    static const struct {
        enum ir_atomic operation;
        uint64_t old, operand, result;
    } cases[] = {
        {IR_ATOMIC_ADD, 0xff, 2, 0x01},   {IR_ATOMIC_AND, 0xf3, 0x3f, 0x33},
        {IR_ATOMIC_OR, 0xf0, 0x0f, 0xff}, {IR_ATOMIC_XOR, 0xff, 0x0f, 0xf0},
        {IR_ATOMIC_SMAX, 0x80, 1, 1},     {IR_ATOMIC_SMIN, 0x80, 1, 0x80},
        {IR_ATOMIC_UMAX, 0x80, 1, 0x80},  {IR_ATOMIC_UMIN, 0x80, 1, 1},
        {IR_ATOMIC_SWAP, 5, 0x106, 6},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t memory[2] = {(uint8_t)cases[i].old, 0x55};
        begin();
        cpu.x[0] = (uintptr_t)memory;
        cpu.x[1] = cases[i].operand;
        ir_value old = ir_emit(r, IR_ATOMIC, IR_I32, 0, ir_get(r, X0, IR_I64),
                               ir_trunc(r, ir_get(r, X1, IR_I64)), IR_NONE, cases[i].operation, 0);
        ir_set(r, X2, ir_zext(r, old));
        run();
        assert_hex(memory[0], cases[i].result);
        assert_hex(memory[1], 0x55);
        assert_hex(cpu.x[2], cases[i].old);
    }
}

static void test_interpret_compare_and_swap(void **state)
{
    (void)state;
    union vector128 memory = pair(1, 2);
    for (unsigned equal = 0; equal < 2; equal++) {
        begin();
        cpu.x[0] = (uintptr_t)&memory;
        cpu.v[0] = pair(1, equal ? 2 : 3);
        cpu.v[1] = pair(7, 8);
        ir_value old = ir_emit(r, IR_CAS, IR_V128, 4, ir_get(r, X0, IR_I64), ir_get(r, V0, IR_V128),
                               ir_get(r, V1, IR_V128), 0, 0);
        ir_set(r, V0, old);
        run();
        assert_hex(memory.d[0], equal ? 7 : 1);
        assert_hex(memory.d[1], equal ? 8 : 2);
        assert_hex(cpu.v[0].d[0], 1);
        assert_hex(cpu.v[0].d[1], 2);
    }
}

/* A load-exclusive, perhaps something in between, and two store-exclusives. */
static void run_exclusive(uint64_t *memory, bool clear, uint64_t *first, uint64_t *second)
{
    begin();
    cpu.x[0] = (uintptr_t)memory;
    cpu.x[1] = 9;
    ir_value address = ir_get(r, X0, IR_I64), value = ir_get(r, X1, IR_I64);
    ir_emit(r, IR_LOAD_EXCL, IR_I64, 3, address, IR_NONE, IR_NONE, 0, 0);
    if (clear)
        ir_emit(r, IR_CLEAR_EXCL, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0, 0);
    ir_value a = ir_emit(r, IR_STORE_EXCL, IR_I32, 3, address, value, IR_NONE, 0, 0);
    ir_value b = ir_emit(r, IR_STORE_EXCL, IR_I32, 3, address, value, IR_NONE, 0, 0);
    ir_set(r, X2, ir_zext(r, a));
    ir_set(r, X3, ir_zext(r, b));
    run();
    *first = cpu.x[2];
    *second = cpu.x[3];
}

static void test_interpret_exclusives(void **state)
{
    (void)state;
    uint64_t memory = 5, first, second;
    run_exclusive(&memory, true, &first, &second);
    assert_hex(first, 1);
    assert_hex(memory, 5);
    run_exclusive(&memory, false, &first, &second);
    assert_hex(first, 0);
    assert_hex(second, 1);
    assert_hex(memory, 9);
}

static uint64_t helper(void *opaque, uint64_t a, uint64_t b)
{
    struct test_cpu *c = opaque;
    assert_int_equal(_mm_getcsr() & 0x6000, NEAREST); /* visor's own control word */
    assert_int_equal(c->common.fp_control & 0x6000, UP);
    c->x[3] = 33;
    return a * 10 + b;
}

static void test_interpret_calls(void **state)
{
    (void)state;
    cpu.common.fp_control = MXCSR_DEFAULT | UP;
    begin();
    cpu.x[3] = 3;
    ir_value before = ir_get(r, X3, IR_I64);
    ir_value result = ir_call(r, helper, before, ir_const(r, IR_I64, 4));
    ir_set(r, X0, result);
    ir_set(r, X1, ir_get(r, X3, IR_I64)); /* not the value from before the call */
    /* 1 / 3, rounded up, and inexact */
    ir_value one = ir_emit(r, IR_FCONST, IR_F32, 0, IR_NONE, IR_NONE, IR_NONE, 0x3f800000, 0);
    ir_value three = ir_emit(r, IR_FCONST, IR_F32, 0, IR_NONE, IR_NONE, IR_NONE, 0x40400000, 0);
    ir_value third = ir_binary(r, IR_FDIV, one, three);
    ir_set(r, V0, ir_emit(r, IR_VFROM_FLOAT, IR_V128, 0, third, IR_NONE, IR_NONE, 0, 0));
    unsigned host = _mm_getcsr();
    run();
    assert_int_equal(_mm_getcsr(), host);
    assert_hex(cpu.x[0], 34);
    assert_hex(cpu.x[1], 33);
    assert_hex(cpu.v[0].d[0], 0x3eaaaaab);
    assert_hex(cpu.common.fp_control, MXCSR_DEFAULT | UP | INEXACT);
}

static void test_interpret_exits(void **state)
{
    (void)state;
    for (unsigned taken = 0; taken < 2; taken++) {
        begin();
        cpu.x[0] = taken ? 5 : 4;
        ir_value x = ir_get(r, X0, IR_I64), f;
        ir_arith_flags(r, IR_SUB, x, ir_const(r, IR_I64, 5), IR_NONE, &f);
        ir_set_flags(r, f);
        ir_emit(r, IR_EXIT_IF, IR_VOID, 0, ir_cond(r, f, IR_EQ), IR_NONE, IR_NONE, 0x2000, 0);
        ir_set(r, X1, ir_const(r, IR_I64, 1 + taken));
        run();
        assert_hex(cpu.pc, taken ? 0x2000 : 0x1004);
        assert_hex(cpu.flags, taken ? NZCV_Z : NZCV_N | NZCV_B);
        assert_hex(cpu.x[1], 1);
    }
    begin();
    ir_emit(r, IR_RAISE, IR_VOID, TRANSLATOR_SYSCALL, IR_NONE, IR_NONE, IR_NONE, 77, 0x3000);
    assert_int_equal(ir_interpret(&isa, &cpu.common, r), TRANSLATOR_SYSCALL);
    assert_hex(cpu.common.exit_payload, 77);
    assert_hex(cpu.pc, 0x3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_crc32, setup),
        cmocka_unit_test_setup(test_flags, setup),
        cmocka_unit_test_setup(test_saturation, setup),
        cmocka_unit_test_setup(test_shifts, setup),
        cmocka_unit_test_setup(test_permutes, setup),
        cmocka_unit_test_setup(test_aes, setup),
        cmocka_unit_test_setup(test_sha1, setup),
        cmocka_unit_test_setup(test_sha256, setup),
        cmocka_unit_test_setup(test_polynomials, setup),
        cmocka_unit_test_setup(test_nans, setup),
        cmocka_unit_test_setup(test_minimum, setup),
        cmocka_unit_test_setup(test_multiply_add, setup),
        cmocka_unit_test_setup(test_comparisons, setup),
        cmocka_unit_test_setup(test_to_integers, setup),
        cmocka_unit_test_setup(test_from_integers, setup),
        cmocka_unit_test_setup(test_rounding, setup),
        cmocka_unit_test_setup(test_halves, setup),
        cmocka_unit_test_setup(test_round_to_odd, setup),
        cmocka_unit_test_setup(test_estimates, setup),
        cmocka_unit_test_setup(test_tiny_results, setup),
        cmocka_unit_test_setup(test_interpret_memory, setup),
        cmocka_unit_test_setup(test_interpret_alignment, setup),
        cmocka_unit_test_setup(test_interpret_atomics, setup),
        cmocka_unit_test_setup(test_interpret_compare_and_swap, setup),
        cmocka_unit_test_setup(test_interpret_exclusives, setup),
        cmocka_unit_test_setup(test_interpret_calls, setup),
        cmocka_unit_test_setup(test_interpret_exits, setup),
    };
    return cmocka_run_group_tests_name("ir evaluation", tests, NULL, NULL);
}
