/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the AArch64 guest's floating point, Advanced SIMD and cryptography: single instructions are
 * lifted and run by the IR's interpreter, and the registers compared with what the manual says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/guest/arm64/arm64.h"
#include "translator/ir/eval.h"

enum { IOC = 1 << 0, DZC = 1 << 1, IXC = 1 << 4, QC = 1 << 27 };

#define PC       0x1000
#define JUNK     0xdeadbeefcafef00d /* what must not matter */
#define DEFAULTS 0x1f80             /* MXCSR: to nearest, exceptions masked */

static struct ir_region region;
static struct arm64_cpu cpu;

static int setup(void **state)
{
    (void)state;
    memset(&cpu, 0, sizeof cpu);
    cpu.common.fp_control = DEFAULTS;
    return 0;
}

static enum translator_exit execute(uint32_t word)
{
    struct error error = ERROR_INIT;
    ir_region_reset(&region, PC);
    arm64_guest.lift(&region, PC, (const uint8_t *)&word, sizeof word, 1);
    if (ir_verify(&region, &error))
        fail_msg("%08x: %s", word, error.message);
    return ir_interpret(&arm64_guest, &cpu.common, &region);
}

static void run(uint32_t word)
{
    assert_int_equal(execute(word), TRANSLATOR_NONE);
    assert_true(cpu.state.pc == PC + 4);
}

static void set_v(unsigned n, uint64_t low, uint64_t high)
{
    cpu.state.v[n].d[0] = low;
    cpu.state.v[n].d[1] = high;
}

static void assert_v(unsigned n, uint64_t low, uint64_t high)
{
    assert_true(cpu.state.v[n].d[0] == low && cpu.state.v[n].d[1] == high);
}

/* -- instructions on V0, V1, V2 ----------------------------------------------------------------------------
 */

/* Values are {bits 63..0, bits 127..64}. */
struct vector_case {
    const char *text;
    uint32_t word;
    uint64_t d[2], n[2], m[2]; /* V0, V1, V2 before */
    uint64_t expected[2];      /* V0 after */
    uint32_t fpsr;             /* after, zero before */
};

static void run_vector_case(const struct vector_case *c)
{
    setup(NULL);
    set_v(0, c->d[0], c->d[1]);
    set_v(1, c->n[0], c->n[1]);
    set_v(2, c->m[0], c->m[1]);
    run(c->word);
    const union vector128 *v = &cpu.state.v[0];
    if (v->d[0] != c->expected[0] || v->d[1] != c->expected[1])
        fail_msg("%s: %016lx:%016lx instead of %016lx:%016lx", c->text, (unsigned long)v->d[1],
                 (unsigned long)v->d[0], (unsigned long)c->expected[1], (unsigned long)c->expected[0]);
    if (arm64_read_fpsr(&cpu) != c->fpsr)
        fail_msg("%s: FPSR %08x instead of %08x", c->text, arm64_read_fpsr(&cpu), c->fpsr);
}

#define VECTOR_TEST(group)                                                                                   \
    static void test_##group(void **state)                                                                   \
    {                                                                                                        \
        (void)state;                                                                                         \
        for (size_t i = 0; i < ARRAY_SIZE(group##_cases); i++)                                               \
            run_vector_case(&group##_cases[i]);                                                              \
    }

/* Cases in about three lines: clang-format would take seven. */
/* clang-format off */
static const struct vector_case three_same_cases[] = {
    {"add v0.8b, v1.8b, v2.8b", 0x0e228420,
     {JUNK, JUNK}, {0x102030405060708, JUNK}, {0x10203040506070ff, JUNK},
     {0x1122334455667707, 0}, 0},
    {"sqadd v0.8h, v1.8h, v2.8h", 0x4e620c20,
     {0, 0}, {0x2000180007fff, 0}, {0x30001ffff0001, 0},
     {0x5000280007fff, 0}, QC},
    {"sqadd v0.4h, v1.4h, v2.4h", 0x0e620c20,
     {JUNK, JUNK}, {0x1000100010001, 0x7fff7fff7fff7fff}, {0x1000100010001, 0x7fff7fff7fff7fff},
     {0x2000200020002, 0}, 0},
    {"uqsub d0, d1, d2", 0x7ee22c20,
     {JUNK, JUNK}, {1, JUNK}, {2, 0},
     {0, 0}, QC},
    {"sqadd b0, b1, b2", 0x5e220c20,
     {JUNK, JUNK}, {0x7f7f01, JUNK}, {0x7f7f02, JUNK},
     {3, 0}, 0},
    {"cmhi v0.16b, v1.16b, v2.16b", 0x6e223420,
     {0, 0}, {0x80017f00ff000102, 0}, {0x7f0180000000ff01, 1},
     {0xff000000ff0000ff, 0}, 0},
    {"ushl v0.4s, v1.4s, v2.4s", 0x6ea24420,
     {0, 0}, {0x180000000, 0xffffffffffffffff}, {0x1f000000ff, 0xe000000020},
     {0x8000000040000000, 0}, 0},
    {"sqrshl v0.4h, v1.4h, v2.4h", 0x0e625c20,
     {JUNK, JUNK}, {0x8000ffff40007fff, JUNK}, {0xf100ff000100ff, JUNK},
     {0xffff00007fff4000, 0}, QC},
    {"mla v0.4h, v1.4h, v2.4h", 0x0e629420,
     {0x4000300020001, JUNK}, {0x100000400030002, JUNK}, {0x100000700060005, JUNK},
     {0x4001f0014000b, 0}, 0},
    {"mls v0.2s, v1.2s, v2.2s", 0x2ea29420,
     {0xa, 0x900000009}, {0x100000003, 0x900000009}, {0x100000004, 0x900000009},
     {0xfffffffffffffffe, 0}, 0},
    {"uaba v0.8b, v1.8b, v2.8b", 0x2e227c20,
     {0x101010101010101, JUNK}, {0xff051020304050, JUNK}, {0xff00060f1f2f3f4f, JUNK},
     {0x20202020202, 0}, 0},
    {"smaxp v0.8b, v1.8b, v2.8b", 0x0e22a420,
     {JUNK, JUNK}, {0x80ff7f0001020304, JUNK}, {0xfefd0102fb050607, JUNK},
     {0xfe020507ff7f0204, 0}, 0},
    {"addp v0.2s, v1.2s, v2.2s", 0x0ea2bc20,
     {JUNK, JUNK}, {0x200000001, 0x900000009}, {0x400000003, 0x900000009},
     {0x700000003, 0}, 0},
    {"pmul v0.8b, v1.8b, v2.8b", 0x2e229c20,
     {JUNK, JUNK}, {0xff03, JUNK}, {0x203, JUNK},
     {0xfe05, 0}, 0},
    {"sqrdmulh v0.4h, v1.4h, v2.4h", 0x2e62b420,
     {JUNK, JUNK}, {0x140008000, 0}, {0x400040008000, 0},
     {0x120007fff, 0}, QC},
    {"cmtst d0, d1, d2", 0x5ee28c20,
     {JUNK, JUNK}, {6, JUNK}, {2, JUNK},
     {0xffffffffffffffff, 0}, 0},
    {"bsl v0.16b, v1.16b, v2.16b", 0x6e621c20,
     {0xff00ff00ff00ff, 0}, {0x1111111111111111, 1}, {0x2222222222222222, 2},
     {0x2211221122112211, 2}, 0},
    {"bit v0.8b, v1.8b, v2.8b", 0x2ea21c20,
     {0xff00ff00ff00ff, JUNK}, {0x1111111111111111, JUNK}, {0x2222222222222222, JUNK},
     {0xdd00dd00dd00dd, 0}, 0},
    {"bif v0.16b, v1.16b, v2.16b", 0x6ee21c20,
     {0xff00ff00ff00ff, 0}, {0x1111111111111111, 1}, {0x2222222222222222, 2},
     {0x1133113311331133, 1}, 0},
    {"orn v0.8b, v1.8b, v2.8b", 0x0ee21c20,
     {JUNK, JUNK}, {0xf0, JUNK}, {0xffffffffffffff00, JUNK},
     {0xff, 0}, 0},
};

static const struct vector_case three_same_float_cases[] = {
    {"fmla v0.2d, v1.2d, v2.2d", 0x4e62cc20,
     {0x3ff0000000000000, 0x3ff0000000000000}, {0x4000000000000000, 0x3ff0000000000000},
     {0x4008000000000000, 0x3ff0000000000000},
     {0x401c000000000000, 0x4000000000000000}, 0},
    {"fmls v0.2s, v1.2s, v2.2s", 0x0ea2cc20,
     {0x3f80000040e00000, 0x7f8000017f800001}, {0x3f80000040000000, 0x7f800001},
     {0x3f80000040400000, 0x7f800001},
     {0x3f800000, 0}, 0},
    {"fdiv v0.2s, v1.2s, v2.2s", 0x2e22fc20,
     {JUNK, JUNK}, {0x3f80000040c00000, 0}, {0x4080000040400000, 0},
     {0x3e80000040000000, 0}, 0},
    {"fdiv v0.4s, v1.4s, v2.4s", 0x6e22fc20,
     {JUNK, JUNK}, {0x3f80000040c00000, 0x3f800000}, {0x4080000040400000, 0},
     {0x3e80000040000000, 0x7fc000007f800000}, IOC | DZC},
    {"faddp v0.2s, v1.2s, v2.2s", 0x2e22d420,
     {JUNK, JUNK}, {0x400000003f800000, 0x7f800001}, {0x4080000040400000, 0x7f800001},
     {0x40e0000040400000, 0}, 0},
    {"facgt v0.4s, v1.4s, v2.4s", 0x6ea2ec20,
     {JUNK, JUNK}, {0x3f800000c0000000, 0x7fc000003f800000}, {0xc00000003f800000, 0x3f8000003f800000},
     {0xffffffff, 0}, IOC},
    {"fabd s0, s1, s2", 0x7ea2d420,
     {JUNK, JUNK}, {0x7f8000013f800000, 0}, {0x7f80000140800000, 0},
     {0x40400000, 0}, 0},
    {"fcmge d0, d1, d2", 0x7e62e420,
     {JUNK, JUNK}, {0x7ff8000000000000, 0}, {0x3ff0000000000000, 0},
     {0, 0}, IOC},
    {"fcmeq d0, d1, d2", 0x5e62e420,
     {JUNK, JUNK}, {0x7ff8000000000000, 0x7ff0000000000001}, {0x3ff0000000000000, 0},
     {0, 0}, 0},
    {"frecps s0, s1, s2", 0x5e22fc20,
     {JUNK, JUNK}, {0x7f800000, 0}, {0, 0},
     {0x40000000, 0}, 0},
    {"fmulx d0, d1, d2", 0x5e62dc20,
     {JUNK, JUNK}, {0xfff0000000000000, 0}, {0, 0},
     {0xc000000000000000, 0}, 0},
    {"fmaxnm v0.2s, v1.2s, v2.2s", 0x0e22c420,
     {JUNK, JUNK}, {0x800000007fc00000, 0x7f800001}, {0x3f800000, 0},
     {0x3f800000, 0}, 0},
};

static const struct vector_case three_different_cases[] = {
    {"smull2 v0.4s, v1.8h, v2.8h", 0x4e62c020,
     {0, 0}, {0, 0x380000002ffff}, {0, 0x78000fffe0005},
     {0xfffffffcfffffffb, 0x1540000000}, 0},
    {"uaddl v0.8h, v1.8b, v2.8b", 0x2e220020,
     {0, 0}, {0xff01020304050607, JUNK}, {0xff01010101010101, JUNK},
     {0x5000600070008, 0x1fe000200030004}, 0},
    {"ssubw v0.2d, v1.2d, v2.2s", 0x0ea23020,
     {0, 0}, {0xa, 5}, {0x6ffffffff, 0x900000009},
     {0xb, 0xffffffffffffffff}, 0},
    {"addhn2 v0.16b, v1.8h, v2.8h", 0x4e224020,
     {0x1122334455667788, JUNK}, {0xff001280, 0x100000000000000}, {0x1000180, 0x100000000000000},
     {0x1122334455667788, 0x200000000000014}, 0},
    {"raddhn v0.2s, v1.2d, v2.2d", 0x2ea24020,
     {JUNK, JUNK}, {0x180000000, 0xffffffff80000000}, {0, 0},
     {2, 0}, 0},
    {"sabal v0.4s, v1.4h, v2.4h", 0x0e625020,
     {0x100000001, 0x100000001}, {0x500018000, JUNK}, {0x300027fff, JUNK},
     {0x200010000, 0x100000003}, 0},
    {"umlsl v0.2d, v1.2s, v2.2s", 0x2ea2a020,
     {0, 5}, {0x2ffffffff, 0x900000009}, {0x2ffffffff, 0x900000009},
     {0x1ffffffff, 1}, 0},
    {"sqdmull s0, h1, h2", 0x5e62d020,
     {JUNK, JUNK}, {0x12348000, JUNK}, {0x43218000, JUNK},
     {0x7fffffff, 0}, QC},
    {"sqdmlal v0.4s, v1.4h, v2.4h", 0x0e629020,
     {0x17fffffff, 0x8000000000000000}, {0x20001, JUNK}, {0x30001, JUNK},
     {0xd7fffffff, 0x8000000000000000}, QC},
    {"sqdmlsl d0, s1, s2", 0x5ea2b020,
     {5, JUNK}, {0x8000000000000002, JUNK}, {0x8000000000000001, JUNK},
     {1, 0}, 0},
    {"pmull v0.8h, v1.8b, v2.8b", 0x0e22e020,
     {0, 0}, {0xff03, JUNK}, {0xff03, JUNK},
     {0x55550005, 0}, 0},
    {"pmull2 v0.1q, v1.2d, v2.2d", 0x4ee2e020,
     {0, 0}, {0, 0x8000000000000001}, {0, 3},
     {0x8000000000000003, 1}, 0},
};

static const struct vector_case by_element_cases[] = {
    {"mul v0.4h, v1.4h, v2.h[7]", 0x0f728820,
     {JUNK, JUNK}, {0xffff000300020001, JUNK}, {0, 0xa000000000000},
     {0xfff6001e0014000a, 0}, 0},
    {"smlal2 v0.4s, v1.8h, v2.h[3]", 0x4f722020,
     {0x100000001, 0x100000001}, {0, 0x40003ffff0001}, {0xfffe000000000000, 0},
     {0x3ffffffff, 0xfffffff9fffffffb}, 0},
    {"fmla v0.2s, v1.2s, v2.s[3]", 0x0fa21820,
     {0x3f8000003f800000, 0x7f800001}, {0x4040000040000000, 0x7f800001},
     {0x7f8000017f800001, 0x400000007f800001},
     {0x40e0000040a00000, 0}, 0},
    {"fmul d0, d1, v2.d[1]", 0x5fc29820,
     {JUNK, JUNK}, {0x4000000000000000, JUNK}, {0, 0x4008000000000000},
     {0x4018000000000000, 0}, 0},
    {"sqdmulh s0, s1, v2.s[2]", 0x5f82c820,
     {JUNK, JUNK}, {0x8000000080000000, 0}, {0, 0x80000000},
     {0x7fffffff, 0}, QC},
    {"fmulx v0.2d, v1.2d, v2.d[0]", 0x6fc29020,
     {JUNK, JUNK}, {0x4000000000000000, 0x7ff0000000000000}, {0, 0},
     {0, 0x4000000000000000}, 0},
};

static const struct vector_case two_register_cases[] = {
    {"rev64 v0.16b, v1.16b", 0x4e200820,
     {0, 0}, {0x102030405060708, 0x1112131415161718}, {0, 0},
     {0x807060504030201, 0x1817161514131211}, 0},
    {"rev16 v0.8b, v1.8b", 0x0e201820,
     {JUNK, JUNK}, {0x102030405060708, JUNK}, {0, 0},
     {0x201040306050807, 0}, 0},
    {"rev32 v0.8h, v1.8h", 0x6e600820,
     {0, 0}, {0x4000300020001, 0x8000700060005}, {0, 0},
     {0x3000400010002, 0x7000800050006}, 0},
    {"uadalp v0.4h, v1.8b", 0x2e206820,
     {0x1000100010001, JUNK}, {0xffff01020304fe02, JUNK}, {0, 0},
     {0x1ff000400080101, 0}, 0},
    {"cls v0.2s, v1.2s", 0x0ea04820,
     {JUNK, JUNK}, {0xffffffffffffff, 0}, {0, 0},
     {0x70000001f, 0}, 0},
    {"clz v0.8h, v1.8h", 0x6e604820,
     {0, 0}, {0xff800000010000, 0xff800000010000}, {0, 0},
     {0x80000000f0010, 0x80000000f0010}, 0},
    {"cnt v0.8b, v1.8b", 0x0e205820,
     {JUNK, JUNK}, {0xff00010307030f80, JUNK}, {0, 0},
     {0x800010203020401, 0}, 0},
    {"rbit v0.8b, v1.8b", 0x2e605820,
     {JUNK, JUNK}, {0x180f00f01020408, JUNK}, {0, 0},
     {0x80010ff080402010, 0}, 0},
    {"sqabs v0.8b, v1.8b", 0x0e207820,
     {JUNK, JUNK}, {0x80ff7f0102030405, 0}, {0, 0},
     {0x7f017f0102030405, 0}, QC},
    {"sqneg s0, s1", 0x7ea07820,
     {JUNK, JUNK}, {0x8000000000000005, 0x80000000}, {0, 0},
     {0xfffffffb, 0}, 0},
    {"suqadd v0.8b, v1.8b", 0x0e203820,
     {0x7080ff0000000000, 0x7f7f7f7f7f7f7f7f}, {0x20ff010000000000, 0x7f7f7f7f7f7f7f7f}, {0, 0},
     {0x7f7f000000000000, 0}, QC},
    {"usqadd b0, b1", 0x7e203820,
     {5, JUNK}, {0xfa, JUNK}, {0, 0},
     {0, 0}, QC},
    {"cmlt v0.4s, v1.4s, #0", 0x4ea0a820,
     {0, 0}, {0x100000000, 0xffffffff80000000}, {0, 0},
     {0, 0xffffffffffffffff}, 0},
    {"cmle d0, d1, #0", 0x7ee09820,
     {JUNK, JUNK}, {0, JUNK}, {0, 0},
     {0xffffffffffffffff, 0}, 0},
    {"xtn2 v0.4s, v1.2d", 0x4ea12820,
     {0x1122334455667788, JUNK}, {0xaaaaaaaa00000001, 0xbbbbbbbb00000002}, {0, 0},
     {0x1122334455667788, 0x200000001}, 0},
    {"sqxtun v0.8b, v1.8h", 0x2e212820,
     {JUNK, JUNK}, {0x7fffffff010000ff, 0x3000200010000}, {0, 0},
     {0x3020100ff00ffff, 0}, QC},
    {"sqxtn b0, h1", 0x5e214820,
     {JUNK, JUNK}, {0x7fff0080, JUNK}, {0, 0},
     {0x7f, 0}, QC},
    {"shll2 v0.8h, v1.16b, #8", 0x6e213820,
     {0, 0}, {0, 0x102030405060708}, {0, 0},
     {0x500060007000800, 0x100020003000400}, 0},
    {"urecpe v0.2s, v1.2s", 0x0ea1c820,
     {JUNK, JUNK}, {0x7fffffff80000000, 0}, {0, 0},
     {0xffffffffff800000, 0}, 0},
};

static const struct vector_case two_register_float_cases[] = {
    {"fcvtl v0.4s, v1.4h", 0x0e217820,
     {0, 0}, {0x17c00c0003c00, JUNK}, {0, 0},
     {0xc00000003f800000, 0x338000007f800000}, 0},
    {"fcvtl2 v0.2d, v1.4s", 0x4e617820,
     {0, 0}, {0, 0x400000003f800000}, {0, 0},
     {0x3ff0000000000000, 0x4000000000000000}, 0},
    {"fcvtn2 v0.8h, v1.4s", 0x4e216820,
     {7, JUNK}, {0x400000003f800000, 0x477fe0003f000000}, {0, 0},
     {7, 0x7bff380040003c00}, 0},
    {"fcvtn v0.2s, v1.2d", 0x0e616820,
     {JUNK, JUNK}, {0x4008000000000000, 0xbff0000000000000}, {0, 0},
     {0xbf80000040400000, 0}, 0},
    {"fcvtxn s0, d1", 0x7e616820,
     {JUNK, JUNK}, {0x3ff0000000000001, 0x7ff0000000000001}, {0, 0},
     {0x3f800001, 0}, IXC},
    {"frintn v0.2s, v1.2s", 0x0e218820,
     {JUNK, JUNK}, {0x4060000040200000, 0x7f800001}, {0, 0},
     {0x4080000040000000, 0}, 0},
    {"frinta v0.4s, v1.4s", 0x6e218820,
     {JUNK, JUNK}, {0xc020000040200000, 0xbe800000}, {0, 0},
     {0xc040000040400000, 0x80000000}, 0},
    {"frintx v0.2d, v1.2d", 0x6e619820,
     {JUNK, JUNK}, {0x4004000000000000, 0x3ff0000000000000}, {0, 0},
     {0x4000000000000000, 0x3ff0000000000000}, IXC},
    {"fcvtzs v0.4s, v1.4s", 0x4ea1b820,
     {JUNK, JUNK}, {0xcf0000004f000000, 0xbfc000007fc00000}, {0, 0},
     {0x800000007fffffff, 0xffffffff00000000}, IOC | IXC},
    {"fcvtzu d0, d1", 0x7ee1b820,
     {JUNK, JUNK}, {0x43efffffffffffff, 0x7ff0000000000001}, {0, 0},
     {0xfffffffffffff800, 0}, 0},
    {"fcvtps s0, s1", 0x5ea1a820,
     {JUNK, JUNK}, {0x3fa00000, 0}, {0, 0},
     {2, 0}, IXC},
    {"ucvtf v0.4s, v1.4s", 0x6e21d820,
     {JUNK, JUNK}, {0x1ffffffff, 2}, {0, 0},
     {0x3f8000004f800000, 0x40000000}, IXC},
    {"scvtf v0.2s, v1.2s", 0x0e21d820,
     {JUNK, JUNK}, {0x2ffffffff, 0x7fffffff7fffffff}, {0, 0},
     {0x40000000bf800000, 0}, 0},
    {"fcmle v0.2s, v1.2s, #0.0", 0x2ea0d820,
     {JUNK, JUNK}, {0x3f80000080000000, 0x7f800001}, {0, 0},
     {0xffffffff, 0}, 0},
    {"fcmlt d0, d1, #0.0", 0x5ee0e820,
     {JUNK, JUNK}, {0xbff0000000000000, 0x7ff0000000000001}, {0, 0},
     {0xffffffffffffffff, 0}, 0},
    {"frecpe s0, s1", 0x5ea1d820,
     {JUNK, JUNK}, {0x3f800000, 0}, {0, 0},
     {0x3f7f8000, 0}, 0},
    {"frsqrte v0.2s, v1.2s", 0x2ea1d820,
     {JUNK, JUNK}, {0x408000003f800000, 0xbf80000000000000}, {0, 0},
     {0x3eff80003f7f8000, 0}, 0},
    {"fneg v0.2s, v1.2s", 0x2ea0f820,
     {JUNK, JUNK}, {0x3f8000007f800001, 0x3f8000003f800000}, {0, 0},
     {0xbf800000ff800001, 0}, 0},
};

static const struct vector_case across_cases[] = {
    {"addv b0, v1.8b", 0x0e31b820,
     {JUNK, JUNK}, {0x102030405060708, JUNK}, {0, 0},
     {0x24, 0}, 0},
    {"saddlv d0, v1.4s", 0x4eb03820,
     {JUNK, JUNK}, {0x8000000080000000, 0x2ffffffff}, {0, 0},
     {0xffffffff00000001, 0}, 0},
    {"uaddlv h0, v1.8b", 0x2e303820,
     {JUNK, JUNK}, {0xffffffffffffffff, JUNK}, {0, 0},
     {0x7f8, 0}, 0},
    {"uminv h0, v1.4h", 0x2e71a820,
     {JUNK, JUNK}, {0x5000400090007, 0}, {0, 0},
     {4, 0}, 0},
    {"smaxv s0, v1.4s", 0x4eb0a820,
     {JUNK, JUNK}, {0xffffffff80000000, 0xfffffff0fffffffe}, {0, 0},
     {0xffffffff, 0}, 0},
    {"fmaxnmv s0, v1.4s", 0x6e30c820,
     {JUNK, JUNK}, {0x7fc000003f800000, 0x4000000040400000}, {0, 0},
     {0x40400000, 0}, 0},
    {"fminv s0, v1.4s", 0x6eb0f820,
     {JUNK, JUNK}, {0x3f800000, 0x4000000080000000}, {0, 0},
     {0x80000000, 0}, 0},
    {"faddp s0, v1.2s", 0x7e30d820,
     {JUNK, JUNK}, {0x400000003f800000, 0x7f8000017f800001}, {0, 0},
     {0x40400000, 0}, 0},
    {"addp d0, v1.2d", 0x5ef1b820,
     {JUNK, JUNK}, {5, 7}, {0, 0},
     {0xc, 0}, 0},
};

static const struct vector_case shift_cases[] = {
    {"ssra v0.4s, v1.4s, #4", 0x4f3c1420,
     {0x100000001, 0x100000001}, {0x1080000000, 0xffffffff00000020}, {0, 0},
     {0x2f8000001, 3}, 0},
    {"ushr d0, d1, #64", 0x7f400420,
     {JUNK, JUNK}, {JUNK, JUNK}, {0, 0},
     {0, 0}, 0},
    {"srshr v0.8b, v1.8b, #1", 0x0f0f2420,
     {JUNK, JUNK}, {0xff01037f80fe0405, JUNK}, {0, 0},
     {0x10240c0ff0203, 0}, 0},
    {"sri v0.2s, v1.2s, #8", 0x2f384420,
     {0xaabbccddaabbccdd, 0x900000009}, {0xffffffff11223344, 0x900000009}, {0, 0},
     {0xaaffffffaa112233, 0}, 0},
    {"sri v0.2d, v1.2d, #64", 0x6f404420,
     {5, 6}, {JUNK, JUNK}, {0, 0},
     {5, 6}, 0},
    {"sli d0, d1, #4", 0x7f445420,
     {0x1f, JUNK}, {0x23, JUNK}, {0, 0},
     {0x23f, 0}, 0},
    {"sqshlu v0.8b, v1.8b, #1", 0x2f096420,
     {JUNK, JUNK}, {0x80ff7f0102030405, JUNK}, {0, 0},
     {0xfe020406080a, 0}, QC},
    {"uqshl s0, s1, #31", 0x7f3f7420,
     {JUNK, JUNK}, {0xffffffff00000001, 0}, {0, 0},
     {0x80000000, 0}, 0},
    {"uqrshrn2 v0.8h, v1.4s, #4", 0x6f1c9c20,
     {9, JUNK}, {0x18000fffff, 0x10000000000017}, {0, 0},
     {9, 0xffff00010002ffff}, QC},
    {"sqrshrun b0, h1, #1", 0x7f0f8c20,
     {JUNK, JUNK}, {0x800001fe, JUNK}, {0, 0},
     {0xff, 0}, 0},
    {"rshrn v0.8b, v1.8h, #8", 0x0f088c20,
     {JUNK, JUNK}, {0xff800180007f0080, 0}, {0, 0},
     {0x20001, 0}, 0},
    {"sshll2 v0.4s, v1.8h, #3", 0x4f13a420,
     {0, 0}, {0, 0x28000ffff0001}, {0, 0},
     {0xfffffff800000008, 0x10fffc0000}, 0},
    {"scvtf v0.2s, v1.2s, #1", 0x0f3fe420,
     {JUNK, JUNK}, {0xffffffff00000003, 0x100000001}, {0, 0},
     {0xbf0000003fc00000, 0}, 0},
    {"fcvtzs d0, d1, #4", 0x5f7cfc20,
     {JUNK, JUNK}, {0x3ff8000000000000, JUNK}, {0, 0},
     {0x18, 0}, 0},
};

static const struct vector_case move_cases[] = {
    {"movi v0.4s, #0xab, lsl #16", 0x4f054560,
     {JUNK, JUNK}, {0, 0}, {0, 0},
     {0xab000000ab0000, 0xab000000ab0000}, 0},
    {"mvni v0.2s, #0x12, msl #8", 0x2f00c640,
     {JUNK, JUNK}, {0, 0}, {0, 0},
     {0xffffed00ffffed00, 0}, 0},
    {"movi d0, #0xff00ff0000ffff00", 0x2f05e4c0,
     {JUNK, JUNK}, {0, 0}, {0, 0},
     {0xff00ff0000ffff00, 0}, 0},
    {"orr v0.8h, #1, lsl #8", 0x4f00b420,
     {0x4000300020001, 0x8000700060005}, {0, 0}, {0, 0},
     {0x104010301020101, 0x108010701060105}, 0},
    {"bic v0.2s, #0xff", 0x2f0717e0,
     {0xffffffffffffffff, JUNK}, {0, 0}, {0, 0},
     {0xffffff00ffffff00, 0}, 0},
    {"fmov v0.2d, #-1.5", 0x6f07f700,
     {JUNK, JUNK}, {0, 0}, {0, 0},
     {0xbff8000000000000, 0xbff8000000000000}, 0},
    {"fmov v0.2s, #0.125", 0x0f02f400,
     {JUNK, JUNK}, {0, 0}, {0, 0},
     {0x3e0000003e000000, 0}, 0},
    {"dup v0.4h, v1.h[5]", 0x0e160420,
     {JUNK, JUNK}, {0x3000200010000, 0x7000600050004}, {0, 0},
     {0x5000500050005, 0}, 0},
    {"mov b0, v1.b[15]", 0x5e1f0420,
     {JUNK, JUNK}, {0, 0xab00000000000000}, {0, 0},
     {0xab, 0}, 0},
    {"mov d0, v1.d[1]", 0x5e180420,
     {JUNK, JUNK}, {1, 2}, {0, 0},
     {2, 0}, 0},
    {"mov v0.h[2], v1.h[6]", 0x6e0a6420,
     {0, 0}, {0x3000200010000, 0x7006600050004}, {0, 0},
     {0x6600000000, 0}, 0},
    {"zip2 v0.8b, v1.8b, v2.8b", 0x0e027820,
     {JUNK, JUNK}, {0x706050403020100, JUNK}, {0x1716151413121110, JUNK},
     {0x1707160615051404, 0}, 0},
    {"uzp1 v0.8b, v1.8b, v2.8b", 0x0e021820,
     {JUNK, JUNK}, {0x706050403020100, JUNK}, {0x1716151413121110, JUNK},
     {0x1614121006040200, 0}, 0},
    {"uzp2 v0.4s, v1.4s, v2.4s", 0x4e825820,
     {0, 0}, {0x100000000, 0x300000002}, {0x500000004, 0x700000006},
     {0x300000001, 0x700000005}, 0},
    {"trn2 v0.4h, v1.4h, v2.4h", 0x0e426820,
     {JUNK, JUNK}, {0x3000200010000, JUNK}, {0x7000600050004, JUNK},
     {0x7000300050001, 0}, 0},
    {"ext v0.8b, v1.8b, v2.8b, #3", 0x2e021820,
     {JUNK, JUNK}, {0x706050403020100, JUNK}, {0x1716151413121110, JUNK},
     {0x1211100706050403, 0}, 0},
    {"ext v0.16b, v1.16b, v2.16b, #15", 0x6e027820,
     {0, 0}, {0, 0xaa00000000000000}, {0x706050403020100, 0xf0e0d0c0b0a0908},
     {0x6050403020100aa, 0xe0d0c0b0a090807}, 0},
    {"tbl v0.8b, {v1.16b}, v2.8b", 0x0e020020,
     {JUNK, JUNK}, {0x1716151413121110, 0x1f1e1d1c1b1a1918}, {0xff100f0108070002, JUNK},
     {0x1f1118171012, 0}, 0},
    {"tbx v0.16b, {v1.16b}, v2.16b", 0x4e021020,
     {0xa7a6a5a4a3a2a1a0, 0}, {0x1716151413121110, 0x1f1e1d1c1b1a1918}, {0xff100f0108070002, 0},
     {0xa7a61f1118171012, 0x1010101010101010}, 0},
};

static const struct vector_case scalar_float_cases[] = {
    {"fmadd d0, d1, d2, d0", 0x1f420020,
     {0x3ff0000000000000, JUNK}, {0x4000000000000000, JUNK}, {0x4008000000000000, JUNK},
     {0x401c000000000000, 0}, 0},
    {"fmsub d0, d1, d2, d0", 0x1f428020,
     {0x401c000000000000, JUNK}, {0x4000000000000000, JUNK}, {0x4008000000000000, JUNK},
     {0x3ff0000000000000, 0}, 0},
    {"fnmadd s0, s1, s2, s0", 0x1f220020,
     {0x93f800000, 0x900000009}, {0x940000000, 0x900000009}, {0x940400000, 0x900000009},
     {0xc0e00000, 0}, 0},
    {"fnmsub s0, s1, s2, s0", 0x1f228020,
     {0x93f800000, 0x900000009}, {0x940000000, 0x900000009}, {0x940000000, 0x900000009},
     {0x40400000, 0}, 0},
    {"fnmul s0, s1, s2", 0x1e228820,
     {JUNK, JUNK}, {0x940000000, 0x900000009}, {0x940400000, 0x900000009},
     {0xc0c00000, 0}, 0},
    {"fmax s0, s1, s2", 0x1e224820,
     {JUNK, JUNK}, {0x980000000, 0}, {0x900000000, 0},
     {0, 0}, 0},
    {"fmov s0, s1", 0x1e204020,
     {JUNK, JUNK}, {JUNK, JUNK}, {0, 0},
     {0xcafef00d, 0}, 0},
    {"fabs d0, d1", 0x1e60c020,
     {JUNK, JUNK}, {0xfff0000000000001, JUNK}, {0, 0},
     {0x7ff0000000000001, 0}, 0},
    {"fsqrt d0, d1", 0x1e61c020,
     {JUNK, JUNK}, {0xbff0000000000000, JUNK}, {0, 0},
     {0x7ff8000000000000, 0}, IOC},
    {"fcvt d0, h1", 0x1ee2c020,
     {JUNK, JUNK}, {0xffff3c00, JUNK}, {0, 0},
     {0x3ff0000000000000, 0}, 0},
    {"fcvt h0, s1", 0x1e23c020,
     {JUNK, JUNK}, {0xffffffffc0000000, JUNK}, {0, 0},
     {0xc000, 0}, 0},
    {"fcvt s0, d1", 0x1e624020,
     {JUNK, JUNK}, {0x3ff0000000000001, JUNK}, {0, 0},
     {0x3f800000, 0}, IXC},
    {"frintp d0, d1", 0x1e64c020,
     {JUNK, JUNK}, {0xbfe0000000000000, JUNK}, {0, 0},
     {0x8000000000000000, 0}, 0},
    {"frintx s0, s1", 0x1e274020,
     {JUNK, JUNK}, {0x3fc00000, 0}, {0, 0},
     {0x40000000, 0}, IXC},
    {"fmov d0, #31.0", 0x1e67f000,
     {JUNK, JUNK}, {0, 0}, {0, 0},
     {0x403f000000000000, 0}, 0},
};

static const struct vector_case crypto_cases[] = {
    {"aese v0.16b, v1.16b", 0x4e284820,
     {0, 0}, {0, 0}, {0, 0},
     {0x6363636363636363, 0x6363636363636363}, 0},
    {"aesd v0.16b, v1.16b", 0x4e285820,
     {0x6363636363636363, 0}, {0, 0x6363636363636363}, {0, 0},
     {0, 0}, 0},
    {"aesmc v0.16b, v1.16b", 0x4e286820,
     {JUNK, JUNK}, {0x5c220af2455313db, 0xc6c6c6c601010101}, {0, 0},
     {0x9d58dc9fbca14d8e, 0xc6c6c6c601010101}, 0},
    {"aesimc v0.16b, v1.16b", 0x4e287820,
     {JUNK, JUNK}, {0x9d58dc9fbca14d8e, 0xc6c6c6c601010101}, {0, 0},
     {0x5c220af2455313db, 0xc6c6c6c601010101}, 0},
    {"sha1h s0, s1", 0x5e280820,
     {JUNK, JUNK}, {0x1234567880000001, JUNK}, {0, 0},
     {0x60000000, 0}, 0},
    {"sha1su0 v0.4s, v1.4s, v2.4s", 0x5e023020,
     {0x200000001, 0x800000004}, {0x2000000010, 0x900000009}, {0x20000000100, 0x80000000400},
     {0x20a00000105, 0x82800000414}, 0},
    {"sha256su0 v0.4s, v1.4s", 0x5e282820,
     {0, 0x500000000}, {0x700000000, 0x700000007}, {0, 0},
     {0, 0x50a014000}, 0},
};
/* clang-format on */

VECTOR_TEST(three_same)
VECTOR_TEST(three_same_float)
VECTOR_TEST(three_different)
VECTOR_TEST(by_element)
VECTOR_TEST(two_register)
VECTOR_TEST(two_register_float)
VECTOR_TEST(across)
VECTOR_TEST(shift)
VECTOR_TEST(move)
VECTOR_TEST(scalar_float)
VECTOR_TEST(crypto)

/* -- general registers and flags ------------------------------------------------------------------------- */

#define D(x)                                                                                                 \
    ((union {                                                                                                \
         double d;                                                                                           \
         uint64_t u;                                                                                         \
     }){.d = (x)}                                                                                            \
         .u)
#define S(x)                                                                                                 \
    ((union {                                                                                                \
         float f;                                                                                            \
         uint32_t u;                                                                                         \
     }){.f = (x)}                                                                                            \
         .u)

/* Instructions that read V1 and write X0. */
static void test_to_general(void **state)
{
    static const struct {
        uint32_t word;
        uint64_t low, high, expected;
        uint32_t fpsr;
    } cases[] = {
        {0x9eae0020, 1, 2, 2, 0},                                   /* fmov x0, v1.d[1] */
        {0x1e260020, 0xaaaaaaaa80000001, 0, 0x80000001, 0},         /* fmov w0, s1 */
        {0x1e240020, 0x40200000, 0, 3, IXC},                        /* fcvtas w0, s1: 2.5 */
        {0x1e240020, 0xc0200000, 0, 0xfffffffd, IXC},               /* fcvtas w0, s1: -2.5 */
        {0x1e59f020, 0x3ff8000000000000, 0, 24, 0},                 /* fcvtzu w0, d1, #4: 1.5 */
        {0x1e59f020, 0xbff8000000000000, 0, 0, IOC},                /* -1.5 */
        {0x9e600020, 0x4004000000000000, 0, 2, IXC},                /* fcvtns x0, d1: 2.5 */
        {0x9e600020, 0x7ff8000000000000, 0, 0, IOC},                /* NaN */
        {0x4e072c20, 0x80000000, 0, 0xffffffffffffff80, 0},         /* smov x0, v1.b[3] */
        {0x0e062c20, 0x80010000, 0, 0xffff8001, 0},                 /* smov w0, v1.h[1] */
        {0x0e073c20, 0x80000000, 0, 0x80, 0},                       /* umov w0, v1.b[3] */
        {0x4e183c20, 1, 0xfedcba9876543210, 0xfedcba9876543210, 0}, /* umov x0, v1.d[1] */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(NULL);
        cpu.state.x[0] = UINT64_MAX;
        set_v(1, cases[i].low, cases[i].high);
        run(cases[i].word);
        if (cpu.state.x[0] != cases[i].expected || arm64_read_fpsr(&cpu) != cases[i].fpsr)
            fail_msg("%08x: %lx, FPSR %x", cases[i].word, (unsigned long)cpu.state.x[0],
                     arm64_read_fpsr(&cpu));
    }
}

/* Instructions that read X1 and write V0, which holds ones. */
static void test_from_general(void **state)
{
    static const struct {
        uint32_t word;
        uint64_t x, low, high;
    } cases[] = {
        {0x9eaf0020, 5, UINT64_MAX, 5},                             /* fmov v0.d[1], x1 */
        {0x1e270020, 0xaaaaaaaa80000001, 0x80000001, 0},            /* fmov s0, w1 */
        {0x9e42e020, (uint64_t)-384, 0xbff8000000000000, 0},        /* scvtf d0, x1, #8 */
        {0x1e230020, 0xaaaaaaaa80000000, 0x4f000000, 0},            /* ucvtf s0, w1 */
        {0x0e010c20, 0x1234, 0x3434343434343434, 0},                /* dup v0.8b, w1 */
        {0x4e141c20, 0x1200000034, UINT64_MAX, 0xffffffff00000034}, /* ins v0.s[2], w1 */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        setup(NULL);
        cpu.state.x[1] = cases[i].x;
        set_v(0, UINT64_MAX, UINT64_MAX);
        run(cases[i].word);
        assert_v(0, cases[i].low, cases[i].high);
    }
}

static uint32_t compare(uint32_t word, uint64_t n, uint64_t m, uint32_t nzcv)
{
    setup(NULL);
    arm64_nzcv_set(&cpu.state, nzcv << 28);
    set_v(1, n, UINT64_MAX);
    set_v(2, m, UINT64_MAX);
    run(word);
    return arm64_nzcv_get(&cpu.state) >> 28;
}

static void test_compare(void **state)
{
    const uint32_t fcmp = 0x1e622020, fcmpe_zero = 0x1e602038;
    const uint64_t quiet = 0x7ff8000000000000;
    (void)state;
    assert_int_equal(compare(fcmp, D(1.0), D(2.0), 0), 8);
    assert_int_equal(compare(fcmp, D(0.0), D(-0.0), 0), 6);
    assert_int_equal(compare(fcmp, D(2.0), D(1.0), 15), 2);
    assert_int_equal(compare(fcmp, quiet, D(1.0), 0), 3);
    assert_int_equal(arm64_read_fpsr(&cpu), 0);
    assert_int_equal(compare(fcmpe_zero, D(-1.0), D(5.0), 0), 8);
    assert_int_equal(compare(fcmpe_zero, quiet, 0, 0), 3);
    assert_int_equal(arm64_read_fpsr(&cpu), IOC);
}

/* Where the condition fails, a signalling NaN is not looked at. */
static void test_conditional_compare(void **state)
{
    const uint32_t fccmp_eq_5 = 0x1e220425;
    const uint64_t signalling = 0x7f800001;
    (void)state;
    assert_int_equal(compare(fccmp_eq_5, S(2.0f), S(1.0f), 4), 2);
    assert_int_equal(compare(fccmp_eq_5, S(2.0f), S(1.0f), 0), 5);
    assert_int_equal(compare(fccmp_eq_5, signalling, S(1.0f), 0), 5);
    assert_int_equal(arm64_read_fpsr(&cpu), 0);
    assert_int_equal(compare(fccmp_eq_5, S(1.0f), signalling, 4), 3);
    assert_int_equal(arm64_read_fpsr(&cpu), IOC);
}

static void test_conditional_select(void **state)
{
    const uint32_t fcsel_mi = 0x1e624c20;
    (void)state;
    set_v(0, UINT64_MAX, UINT64_MAX);
    compare(fcsel_mi, 0x7ff0000000000001, 7, 8);
    assert_v(0, 0x7ff0000000000001, 0);
    compare(fcsel_mi, 1, 7, 0);
    assert_v(0, 7, 0);
}

/* -- structure loads and stores -------------------------------------------------------------------------- */

#define BYTES_MAX 64
static uint8_t memory[BYTES_MAX];

/* Multiple structures: byte j of register r is byte structure_byte() of memory. */
struct structure_case {
    uint32_t word;
    bool load;
    unsigned first, count, bytes, esize; /* first register, registers, bytes of each, log2 of element bytes */
    uint64_t added;                      /* to the base register; X2 is 0x1234 */
};

static unsigned structure_byte(const struct structure_case *c, unsigned r, unsigned j)
{
    unsigned element = j >> c->esize;
    return ((element * c->count + r) << c->esize) + j % (1u << c->esize);
}

static const struct structure_case structure_cases[] = {
    {0x4c408020, true, 0, 2, 16, 0, 0},      /* ld2 {v0.16b, v1.16b}, [x1] */
    {0x0cdf403e, true, 30, 3, 8, 0, 24},     /* ld3 {v30.8b, v31.8b, v0.8b}, [x1], #24 */
    {0x4cc24820, true, 0, 3, 16, 2, 0x1234}, /* ld3 {v0.4s - v2.4s}, [x1], x2 */
    {0x4c400420, true, 0, 4, 16, 1, 0},      /* ld4 {v0.8h - v3.8h}, [x1] */
    {0x0c400020, true, 0, 4, 8, 0, 0},       /* ld4 {v0.8b - v3.8b}, [x1] */
    {0x0c008420, false, 0, 2, 8, 1, 0},      /* st2 {v0.4h, v1.4h}, [x1] */
    {0x4c9f4020, false, 0, 3, 16, 0, 48},    /* st3 {v0.16b - v2.16b}, [x1], #48 */
    {0x0c004820, false, 0, 3, 8, 2, 0},      /* st3 {v0.2s - v2.2s}, [x1] */
    {0x4c000c20, false, 0, 4, 16, 3, 0},     /* st4 {v0.2d - v3.2d}, [x1] */
    {0x0c000820, false, 0, 4, 8, 2, 0},      /* st4 {v0.2s - v3.2s}, [x1] */
};

static void run_structure_case(const struct structure_case *c)
{
    setup(NULL);
    memset(&cpu.state.v, 0xee, sizeof cpu.state.v);
    cpu.state.x[1] = (uintptr_t)memory;
    cpu.state.x[2] = 0x1234;
    for (unsigned i = 0; i < BYTES_MAX; i++)
        memory[i] = c->load ? (uint8_t)i : 0xee;
    for (unsigned r = 0; r < c->count && !c->load; r++) {
        for (unsigned j = 0; j < c->bytes; j++)
            cpu.state.v[(c->first + r) % 32].b[j] = (uint8_t)structure_byte(c, r, j);
    }
    run(c->word);
    assert_true(cpu.state.x[1] == (uintptr_t)memory + c->added);
    for (unsigned i = 0; i < BYTES_MAX; i++)
        assert_int_equal(memory[i], c->load || i < c->count * c->bytes ? i : 0xee);
    for (unsigned r = 0; r < c->count && c->load; r++) {
        for (unsigned j = 0; j < 16; j++)
            assert_int_equal(cpu.state.v[(c->first + r) % 32].b[j],
                             j < c->bytes ? structure_byte(c, r, j) : 0);
    }
}

static void test_structures(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(structure_cases); i++)
        run_structure_case(&structure_cases[i]);
}

static void prepare_memory(void)
{
    setup(NULL);
    for (unsigned i = 0; i < BYTES_MAX; i++)
        memory[i] = (uint8_t)i;
    cpu.state.x[1] = cpu.state.sp = (uintptr_t)memory;
}

static void test_consecutive(void **state)
{
    (void)state;
    prepare_memory();
    set_v(2, 0, UINT64_MAX);
    run(0x0cdf6c20); /* ld1 {v0.1d, v1.1d, v2.1d}, [x1], #24 */
    assert_v(0, 0x0706050403020100, 0);
    assert_v(1, 0x0f0e0d0c0b0a0908, 0);
    assert_v(2, 0x1716151413121110, 0);
    assert_true(cpu.state.x[1] == (uintptr_t)memory + 24);

    run(0x4c00a3e0); /* st1 {v0.16b, v1.16b}, [sp] */
    assert_int_equal(memory[7], 7);
    assert_int_equal(memory[8], 0);
    assert_int_equal(memory[16], 8);
    assert_int_equal(memory[32], 32);
}

static void test_lanes(void **state)
{
    (void)state;
    prepare_memory();
    set_v(0, UINT64_MAX, UINT64_MAX);
    run(0x4ddf4820); /* ld1 {v0.h}[5], [x1], #2 */
    assert_v(0, UINT64_MAX, 0xffffffff0100ffff);
    assert_true(cpu.state.x[1] == (uintptr_t)memory + 2);

    prepare_memory();
    run(0x4d608420); /* ld2 {v0.d, v1.d}[1], [x1] */
    assert_v(0, 0, 0x0706050403020100);
    assert_v(1, 0, 0x0f0e0d0c0b0a0908);

    prepare_memory();
    set_v(0, UINT64_MAX, UINT64_MAX);
    run(0x0ddfe420); /* ld3r {v0.4h, v1.4h, v2.4h}, [x1], #6 */
    assert_v(0, 0x0100010001000100, 0);
    assert_v(1, 0x0302030203020302, 0);
    assert_v(2, 0x0504050405040504, 0);
    assert_true(cpu.state.x[1] == (uintptr_t)memory + 6);

    prepare_memory();
    for (unsigned i = 0; i < 3; i++)
        cpu.state.v[i].b[9] = (uint8_t)(0xa0 + i);
    run(0x4d002420); /* st3 {v0.b, v1.b, v2.b}[9], [x1] */
    assert_memory_equal(memory, "\xa0\xa1\xa2\x03", 4);
}

/* -- half precision ------------------------------------------------------------------------------ */

static void test_half(void **state)
{
    (void)state;
    set_v(1, 0xbc00 /* -1 */, 0);
    run(0x5f1bfc20 /* fcvtzs h0, h1, #5 */); /* what is above the half is zero */
    assert_v(0, 0xffe0, 0);
    set_v(1, 0x3555 /* 1 / 3 */, 0);
    set_v(2, 0x4200 /* 3 */, 0);
    run(0x1ee20820 /* fmul h0, h1, h2 */); /* halfway between 1 and the number below it */
    assert_v(0, 0x3c00, 0);
    set_v(0, 0, 0);
    set_v(1, 0x0807060504030201, 0);
    set_v(2, 0x01010101ff010101, 0);
    run(0x0e829420 /* sdot v0.2s, v1.8b, v2.8b */);
    assert_v(0, (uint64_t)26 << 32 | 2, 0);
}

/* -- reserved encodings ---------------------------------------------------------------------------------- */

static void test_reserved(void **state)
{
    static const uint32_t words[] = {
        0x0ee28420, /* add v0.1d */
        0x4ee29420, /* mla v0.2d */
        0x6e629c20, /* pmul v0.8h */
        0x0e62d420, /* fadd v0.1d */
        0x4ef91820, /* frintz v0.8h with another opcode */
        0x4e22b420, /* sqdmulh v0.16b */
        0x0ee2c020, /* smull of doublewords */
        0x4fe21020, /* fmla v0.2d, v1.2d, v2.d[] with L = 1 */
        0x0eb1b820, /* addv s0, v1.2s */
        0x4e601820, /* rev16 v0.8h */
        0x0f400420, /* sshr v0.1d */
        0x0f408420, /* shrn to doublewords */
        0x2f03f600, /* fmov v0.1d, #1.0 */
        0x4e000420, /* dup with imm5 = 0 */
        0x0e080420, /* dup v0.1d */
        0x0e083c20, /* umov w0, v1.d[0] */
        0x2e024020, /* ext v0.8b with index 8 */
        0x0ec23820, /* zip1 v0.1d */
        0x0c408c20, /* ld2 {v0.1d, v1.1d} */
        0x0d404420, /* ld1 {v0.h}[] with size<0> = 1 */
        0x0d60f020, /* ld4r with S = 1 */
        0x1ea22820, /* fadd with type 2 */
        0x1ea22820, /* fadd of a reserved type */
        0x1e224020, /* fcvt s0, s1 */
        0x1e180020, /* fcvtzs w0, s1, #64 */
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        setup(NULL);
        if (execute(words[i]) != TRANSLATOR_UNDEFINED)
            fail_msg("%08x is accepted", words[i]);
        assert_true(cpu.state.pc == PC);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_three_same, setup),
        cmocka_unit_test_setup(test_three_same_float, setup),
        cmocka_unit_test_setup(test_three_different, setup),
        cmocka_unit_test_setup(test_by_element, setup),
        cmocka_unit_test_setup(test_two_register, setup),
        cmocka_unit_test_setup(test_two_register_float, setup),
        cmocka_unit_test_setup(test_across, setup),
        cmocka_unit_test_setup(test_shift, setup),
        cmocka_unit_test_setup(test_move, setup),
        cmocka_unit_test_setup(test_scalar_float, setup),
        cmocka_unit_test_setup(test_crypto, setup),
        cmocka_unit_test_setup(test_to_general, setup),
        cmocka_unit_test_setup(test_from_general, setup),
        cmocka_unit_test_setup(test_compare, setup),
        cmocka_unit_test_setup(test_conditional_compare, setup),
        cmocka_unit_test_setup(test_conditional_select, setup),
        cmocka_unit_test_setup(test_structures, setup),
        cmocka_unit_test_setup(test_consecutive, setup),
        cmocka_unit_test_setup(test_lanes, setup),
        cmocka_unit_test_setup(test_half, setup),
        cmocka_unit_test_setup(test_reserved, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
