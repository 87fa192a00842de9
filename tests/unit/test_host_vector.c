/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the host code of floating-point, vector and cryptographic operations: for every operation with
 * every size and constant, the generated code must give what ir_eval_op() gives, with the same exception and
 * saturation flags, on corner cases and random operands, in all rounding modes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "translator/host/host.h"
#include "translator/host/x86_64/emit_vector.h"
#include "translator/ir/eval.h"

#include "../random.h"
#include "vector_harness.h"

/* -- random operands ------------------------------------------------------------------------------- */

static double random_corner(void)
{
    static const double corners[] = {
        0.0,    0.5,    1.0,    1.5,    2.0,    2.5,     3.0,           0.49999999999999994,
        0x1p23, 0x1p24, 0x1p31, 0x1p32, 0x1p52, 0x1p53,  0x1p62,        0x1p63,
        0x1p64, 0x1p-9, 127.5,  255.5,  32768,  65535.5, 0x1.fffffep30, 0x1.fffffffffp31};
    double x = corners[random_below(ARRAY_SIZE(corners))];
    switch (random_below(6)) {
    case 0: x += 0.25; break;
    case 1: x -= 0.5; break;
    case 2: x = nextafter(x, 0); break;
    case 3: x = nextafter(x, INFINITY); break;
    default: break;
    }
    return random64() & 1 ? x : -x;
}

static uint64_t random_float(bool is_double)
{
    uint64_t sign = random64() & 1 ? (is_double ? 1ull << 63 : 1ull << 31) : 0;
    uint64_t r = random64();
    switch (random_below(10)) {
    case 0: /* not a number, or infinite */
        if (r & 1)
            return sign |
                   (is_double ? 0x7ff0000000000000 | (random64() & 0xfffffffffffff) : 0x7f800000 | (r >> 41));
        return sign | (is_double ? 0x7ff0000000000000 : 0x7f800000);
    case 1: /* denormal or about the least normal */
        return sign | (is_double ? (random64() & 0x1fffffffffffff) >> random_below(53)
                                 : (r & 0xffffff) >> random_below(24));
    case 2: return is_double ? r : (uint32_t)r;
    case 3:
    case 4:
    case 5: return float_bits(is_double, random_corner());
    case 6: return sign | (is_double ? 0x7fefffffffffffff : 0x7f7fffff);
    default: /* of moderate size */
        return sign | (is_double ? (1023 - 40 + (uint64_t)random_below(110)) << 52 |
                                       (random64() >> 12 & ~0ull << random_below(50))
                                 : (127 - 30 + random_below(70)) << 23 | (uint32_t)(random64() >> 41));
    }
}

static uint64_t random_integer(unsigned esize)
{
    unsigned bits = 8u << esize;
    uint64_t r;
    switch (random_below(8)) {
    case 0: r = 0; break;
    case 1: r = ~0ull; break;
    case 2: r = 1ull << (bits - 1); break;
    case 3: r = (1ull << (bits - 1)) - 1; break;
    case 4: r = (uint64_t)((int)random_below(2 * bits + 8) - (int)bits - 4); break; /* shift amounts */
    case 5: r = (random64() & 1 ? ~0ull : 0) ^ random64() >> random_below(64); break;
    default: r = random64(); break;
    }
    return r;
}

static uint64_t random_half(void)
{
    static const uint16_t corners[] = {0,      1,      0x3ff,  0x400,  0x401,  0x3bff,
                                       0x3c00, 0x3c01, 0x7bff, 0x7c00, 0x7c01, 0x7e00};
    uint64_t r = random64();
    if (r >> 62 == 0)
        return corners[random_below(ARRAY_SIZE(corners))] | (r & 0x8000);
    return r >> 61 == 2 ? (r & 0x83ff) | 0x3800 : r & 0xffff;
}

static union vector128 random_vector(bool is_float, unsigned esize)
{
    union vector128 v = {.d = {random64(), random64()}};
    for (unsigned i = 0; i < 16u >> esize; i++) {
        uint64_t x = !is_float || esize == 0 ? random_integer(esize)
                     : esize == 1            ? random_half()
                                             : random_float(esize == 3);
        memcpy(&v.b[i << esize], &x, 1u << esize);
    }
    return v;
}

/* -- building the code of one operation ------------------------------------------------------------ */

/* One operation to test, and where its operands and its result are. */
struct subject {
    enum ir_op op;
    enum ir_type type, own; /* own: the type of arguments 'n' and 'g' */
    unsigned aux;
    uint64_t imm;
    unsigned variant;
};

enum {
    VARIANT_MEMORY = 1,    /* operands in memory */
    VARIANT_IN_PLACE = 2,  /* the result goes where the first operand was */
    VARIANT_SAME = 4,      /* all operands are one */
    VARIANT_FLAGS = 8,     /* the condition flags are needed before and after */
    VARIANT_PRESSURE = 16, /* other values are needed afterwards */
    VARIANT_BITS = 32,     /* F operands come from integer registers: known to have zeros above */
    VARIANTS = 64,
};

static enum ir_type argument_type(const struct subject *s, unsigned i)
{
    switch (ir_op_info[s->op].arguments[i]) {
    case 'i':
    case 'f': return s->type;
    case 'w': return IR_I32;
    case 'x': return IR_I64;
    case 'n':
    case 'g': return s->own;
    default: return IR_V128;
    }
}

static bool is_integer(enum ir_type type)
{
    return type == IR_I32 || type == IR_I64;
}

static bool is_float(enum ir_type type)
{
    return type == IR_F32 || type == IR_F64;
}

static unsigned argument_register(const struct subject *s, unsigned i)
{
    if (s->variant & VARIANT_SAME)
        i = 0;
    return i + (s->variant & VARIANT_MEMORY ? V4 : V0);
}

/* The second operand of saturating shifts is a constant for non-zero s->imm, which the rows do not have: the
 * amount and one. */
static bool is_constant_operand(const struct subject *s, unsigned i)
{
    return i == 1 && s->imm && s->op >= IR_VUQSHL_VAR && s->op <= IR_VSQRSHL_VAR;
}

static union vector128 constant_operand(const struct subject *s)
{
    union vector128 v = {.d = {0, 0}};
    for (unsigned i = 0; i < 16u >> s->aux; i++)
        v.b[i << s->aux] = (uint8_t)(s->imm - 1);
    return v;
}

static ir_value build_argument(const struct subject *s, unsigned i)
{
    struct ir_region *r = &region;
    enum ir_type type = argument_type(s, i);
    if (is_constant_operand(s, i)) {
        union vector128 c = constant_operand(s);
        return ir_emit(r, IR_VCONST, IR_V128, 0, IR_NONE, IR_NONE, IR_NONE, c.d[0], c.d[1]);
    }
    if (is_integer(type)) {
        ir_value x = ir_get(r, X0 + i, IR_I64);
        return type == IR_I32 ? ir_trunc(r, x) : x;
    }
    if (type == IR_V128)
        return ir_get(r, argument_register(s, i), IR_V128);
    if (s->variant & VARIANT_BITS) {
        ir_value x = ir_get(r, X0 + i, IR_I64);
        if (type == IR_F32)
            x = ir_trunc(r, x);
        return ir_emit(r, IR_FFROM_BITS, type, 0, x, IR_NONE, IR_NONE, 0, 0);
    }
    return ir_emit(r, IR_VGET_FLOAT, type, 0, ir_get(r, argument_register(s, i), IR_V128), IR_NONE, IR_NONE,
                   0, 0);
}

/* False if the operation folds with such operands. */
static bool build(const struct subject *s, struct ir_insn *insn)
{
    struct ir_region *r = &region;
    ir_value arguments[3] = {IR_NONE, IR_NONE, IR_NONE}, others[3] = {IR_NONE, IR_NONE, IR_NONE},
             flags = IR_NONE;

    ir_region_reset(r, 0x1000);
    r->guest_end = 0x1004;
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000, 0);
    for (unsigned i = 0; i < 3 && s->variant & VARIANT_PRESSURE; i++)
        others[i] = ir_vec2(r, IR_VADD, 0, ir_get(r, V0 + i, IR_V128), ir_get(r, V4 + i, IR_V128), 0);
    if (s->variant & VARIANT_FLAGS)
        flags = ir_flags_of(r, ir_binary(r, IR_SUB, ir_get(r, X0, IR_I64), ir_get(r, X1, IR_I64)));
    for (unsigned i = 0; ir_op_info[s->op].arguments[i]; i++)
        arguments[i] = build_argument(s, i);
    ir_value v = ir_emit(r, s->op, s->type, s->aux, arguments[0], arguments[1], arguments[2], s->imm, 0);
    *insn = r->insns[v];
    if (insn->op != s->op)
        return false;
    if (is_float(s->type))
        v = ir_emit(r, IR_VFROM_FLOAT, IR_V128, 0, v, IR_NONE, IR_NONE, 0, 0);
    if (s->type == IR_I32)
        v = ir_zext(r, v);
    if (is_integer(s->type))
        ir_set(r, X3, v);
    else
        ir_set(r,
               s->variant & VARIANT_IN_PLACE ? argument_register(s, 0)
               : s->variant & VARIANT_MEMORY ? V7
                                             : V3,
               v);
    if (s->variant & VARIANT_FLAGS) {
        ir_set(r, X2, ir_select(r, ir_cond(r, flags, IR_SLT), ir_get(r, X0, IR_I64), ir_get(r, X1, IR_I64)));
        ir_set_flags(r, flags);
    }
    for (unsigned i = 0; i < 3 && s->variant & VARIANT_PRESSURE; i++)
        ir_set(r, V4 + i, others[i]);
    ir_emit(r, IR_RAISE, IR_VOID, TRANSLATOR_BREAKPOINT, IR_NONE, IR_NONE, IR_NONE, 7, 0x1004);
    return true;
}

/* -- comparing ------------------------------------------------------------------------------------- */

enum {
    INVALID = 1,
    DENORMAL = 1 << 1,
    UNDERFLOW_ = 1 << 4,
    INEXACT = 1 << 5,
    FLAGS = 0x3f,
    FLUSH = 1 << 15 | 1 << 6
};

static uint32_t evaluate(const struct ir_insn *insn, const union vector128 arguments[3], uint32_t control,
                         union vector128 *result)
{
    uint32_t before;
    __asm__ volatile("stmxcsr %0" : "=m"(before));
    __asm__ volatile("ldmxcsr %0" ::"m"(control) : "memory");
    ir_eval_op(&isa, &cpu.common, insn, arguments, result);
    __asm__ volatile("stmxcsr %0" : "=m"(control)::"memory");
    __asm__ volatile("ldmxcsr %0" ::"m"(before) : "memory");
    return control;
}

/* In the mode that does not look at them, what is flushed sets or leaves flags otherwise; where nothing is,
 * the host's "denormal operand" means nothing. */
static uint32_t compared_flags(void)
{
    switch (region.fp_mode & (IR_FP_FLUSH | IR_FP_EXACT_STATUS | IR_FP_INEXACT)) {
    case IR_FP_FLUSH | IR_FP_EXACT_STATUS | IR_FP_INEXACT: return FLAGS & ~(uint32_t)INEXACT;
    case IR_FP_FLUSH | IR_FP_EXACT_STATUS: return FLAGS;
    case IR_FP_EXACT_STATUS: return FLAGS & ~(uint32_t)DENORMAL;
    case IR_FP_FLUSH: return FLAGS & ~(uint32_t)(DENORMAL | INEXACT);
    default: return FLAGS & ~(uint32_t)(DENORMAL | UNDERFLOW_);
    }
}

static unsigned random_control(void)
{
    unsigned half = region.fp_mode & IR_FP_HALF ? random_below(4) * GUEST_FP_FLUSH_HALF : 0;
    return half | (random_below(8) == 0 ? GUEST_FP_DEFAULT_NAN : 0);
}

static void fail_case(const struct subject *s, const union vector128 arguments[3],
                      const union vector128 *expected, const union vector128 *got, uint32_t control,
                      uint32_t expected_flags, uint32_t got_flags)
{
    static FILE *stream;
    char text[256];
    snprintf(text, sizeof text, "%s type %d own %d aux %#x imm %#llx variant %u control %#x",
             ir_op_info[s->op].name, (int)s->type, (int)s->own, s->aux, (unsigned long long)s->imm,
             s->variant, control);
    print_error("%s guest control %u mode %u\n", text, cpu.control, region.fp_mode);
    for (unsigned i = 0; i < 3; i++)
        print_error(" argument %016llx %016llx\n", (unsigned long long)arguments[i].d[1],
                    (unsigned long long)arguments[i].d[0]);
    print_error(" expected %016llx %016llx flags %#x\n got      %016llx %016llx flags %#x\n",
                (unsigned long long)expected->d[1], (unsigned long long)expected->d[0], expected_flags,
                (unsigned long long)got->d[1], (unsigned long long)got->d[0], got_flags);
    stream = stderr;
    if (getenv("HOST_VECTOR_CODE"))
        host_disassemble(stream, code.bytes, code.size, 0);
    fail_msg("%s", text);
}

static void set_operands(const struct subject *s, const struct ir_insn *insn, union vector128 arguments[3])
{
    unsigned esize = s->aux & 3;
    memset(arguments, 0, 3 * sizeof arguments[0]);
    for (unsigned i = 0; i < 3; i++) {
        cpu.x[i] = random_integer(random_below(4));
        cpu.v[i] = random_vector(s->op >= IR_VFADD && s->op < IR_AESE && s->op != IR_VFFROM_INT, esize);
        if (s->op == IR_VFNARROW || s->op == IR_VFNARROW_ODD)
            cpu.v[i] = random_vector(true, esize + 1);
        cpu.v[4 + i] = cpu.v[i];
    }
    (void)insn;
    for (unsigned i = 0; ir_op_info[s->op].arguments[i]; i++) {
        enum ir_type type = argument_type(s, i);
        unsigned from = s->variant & VARIANT_SAME ? 0 : i;
        if (is_integer(type)) {
            arguments[i].d[0] = type == IR_I32 ? (uint32_t)cpu.x[i] : cpu.x[i];
            continue;
        }
        if (is_float(type)) {
            if (from == i) {
                uint64_t bits = random_float(type == IR_F64);
                memcpy(&cpu.v[i], &bits, type == IR_F64 ? 8 : 4);
                cpu.v[4 + i] = cpu.v[i];
                if (s->variant & VARIANT_BITS)
                    memcpy(&cpu.x[i], &bits, 8);
            }
            if (s->variant & VARIANT_BITS)
                from = i, cpu.v[i].d[0] = cpu.x[i] = random_float(type == IR_F64);
            arguments[i].d[0] = type == IR_F64 ? cpu.v[from].d[0] : cpu.v[from].w[0];
            continue;
        }
        arguments[i] = is_constant_operand(s, i) ? constant_operand(s) : cpu.v[from];
    }
}

static void check_case(const struct subject *s, const struct ir_insn *insn)
{
    static const uint32_t controls[] = {0x1f80, 0x1f80, 0x1f80, 0x3f80, 0x5f80, 0x7f80};
    union vector128 arguments[3], expected, got = {.d = {0, 0}};
    uint32_t control = controls[random_below(ARRAY_SIZE(controls))];
    if (region.fp_mode & IR_FP_FLUSH)
        control |= FLUSH;

    set_operands(s, insn, arguments);
    cpu.control = random_control();
    cpu.qc = 0;
    uint32_t expected_flags = evaluate(insn, arguments, control, &expected);
    uint32_t expected_qc = cpu.qc;
    uint64_t x0 = cpu.x[0], x1 = cpu.x[1];
    union vector128 sum[3];
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < 16; k++)
            sum[i].b[k] = (uint8_t)(cpu.v[i].b[k] + cpu.v[4 + i].b[k]);

    cpu.qc = 0;
    cpu.common.fp_control = control;
    run();
    if (is_integer(s->type))
        got.d[0] = cpu.x[3];
    else
        got = cpu.v[s->variant & VARIANT_IN_PLACE ? argument_register(s, 0) - V0
                    : s->variant & VARIANT_MEMORY ? 7
                                                  : 3];
    uint32_t got_flags = cpu.common.fp_control;
    uint32_t compared = compared_flags();
    if (s->op == IR_FFROM_HALF && s->aux & IR_HALF_OPERAND)
        compared &= ~(uint32_t)INVALID;
    if (memcmp(&got, &expected, 16) || ((expected_flags ^ got_flags) & compared))
        fail_case(s, arguments, &expected, &got, control, expected_flags, got_flags);
    if (!cpu.qc != !expected_qc)
        fail_case(s, arguments, &expected, &got, control, expected_qc, cpu.qc);
    if (s->variant & VARIANT_FLAGS) {
        uint16_t flags = ir_eval_flags(IR_SUB, IR_I64, x0, x1, 0);
        assert_int_equal(cpu.flags & NZCV_MASK, flags);
        assert_true(cpu.x[2] == (ir_eval_cond(flags, IR_SLT) ? x0 : x1));
    }
    for (unsigned i = 0; i < 3 && s->variant & VARIANT_PRESSURE; i++)
        assert_memory_equal(&cpu.v[4 + i], &sum[i], 16);
}

static unsigned case_factor = 1;
static unsigned case_count;

/* What has been checked alone, for test_random_regions(). */
static struct subject subjects[8192];
static unsigned subject_count;

static void check_subject(struct subject *s)
{
    static const uint8_t variants[] = {0,
                                       VARIANT_MEMORY,
                                       VARIANT_IN_PLACE,
                                       VARIANT_SAME,
                                       VARIANT_BITS,
                                       VARIANT_FLAGS,
                                       VARIANT_MEMORY | VARIANT_IN_PLACE | VARIANT_FLAGS,
                                       VARIANT_PRESSURE,
                                       VARIANT_BITS | VARIANT_PRESSURE | VARIANT_FLAGS,
                                       VARIANT_MEMORY | VARIANT_PRESSURE};
    /* For random regions; not with operations that may raise "invalid" before the one that must. */
    bool may_raise = s->op == IR_FFROM_HALF && s->aux & IR_HALF_OPERAND;
    if (subject_count < ARRAY_SIZE(subjects) && !may_raise &&
        !(s->imm && s->op >= IR_VUQSHL_VAR && s->op <= IR_VSQRSHL_VAR))
        subjects[subject_count++] = *s;
    for (unsigned i = 0; i < ARRAY_SIZE(variants); i++) {
        struct ir_insn insn;
        s->variant = variants[i];
        /* the first operand's register must take the result, and the others' sums */
        if (s->variant & VARIANT_IN_PLACE && argument_type(s, 0) != IR_V128 && !is_float(argument_type(s, 0)))
            continue;
        if (!build(s, &insn))
            continue;
        static const uint8_t fp_modes[] = {0,
                                           IR_FP_EXACT_STATUS,
                                           IR_FP_EXACT_STATUS | IR_FP_HALF,
                                           IR_FP_FLUSH,
                                           IR_FP_FLUSH | IR_FP_EXACT_STATUS,
                                           IR_FP_FLUSH | IR_FP_EXACT_STATUS | IR_FP_INEXACT};
        region.fp_mode = fp_modes[random_below(ARRAY_SIZE(fp_modes))];
        translate();
        for (unsigned k = 0; k < 24 * case_factor; k++)
            check_case(s, &insn), case_count++;
    }
}

/* -- which operations, with which constants -------------------------------------------------------- */

static void check_imms(struct subject *s, uint64_t first, uint64_t last, uint64_t step)
{
    for (s->imm = first; s->imm <= last; s->imm += step)
        check_subject(s);
    s->imm = 0;
}

static void check_set_lane(struct subject *s)
{
    unsigned lanes = 16u >> s->aux;
    for (unsigned from = 0; from<lanes; from += lanes> 4 ? 3 : 1)
        for (unsigned to = 0; to<lanes; to += lanes> 4 ? 5 : 1) {
            s->imm = from << 4 | to;
            check_subject(s);
        }
}

/* With `aux` holding the esize: the constants of the row. */
static void check_esize(struct subject *s)
{
    unsigned bits = 8u << s->aux, lanes = 16u >> s->aux, esize = s->aux;
    s->imm = 0;
    switch (s->op) {
    case IR_VGET:
    case IR_VSET:
    case IR_VDUP_LANE: check_imms(s, 0, lanes - 1, 1); break;
    case IR_VSET_LANE: check_set_lane(s); break;
    case IR_VEXT: check_imms(s, 0, 15, 1); break;
    case IR_VREV: check_imms(s, esize + 1, 3, 1); break;
    case IR_VSHL:
    case IR_VSQSHLU: check_imms(s, 0, bits - 1, bits > 16 ? 3 : 1); break;
    case IR_VUQSHL_VAR:
    case IR_VSQSHL_VAR:
    case IR_VUQRSHL_VAR:
    case IR_VSQRSHL_VAR: check_imms(s, 0, bits, bits > 16 ? 3 : 1); break;
    case IR_VUSHR:
    case IR_VSSHR:
    case IR_VURSHR:
    case IR_VSRSHR:
        check_imms(s, 1, bits, bits > 16 ? 3 : 1);
        check_imms(s, bits - 1, bits, 1);
        break;
    default: check_subject(s); break;
    }
}

/* Which element sizes a vector row has, as a set. */
static unsigned esizes(enum ir_op op)
{
    switch (op) {
    case IR_VAND:
    case IR_VOR:
    case IR_VXOR:
    case IR_VANDN:
    case IR_VORN:
    case IR_VNOT:
    case IR_VBSL:
    case IR_VCNT:
    case IR_VRBIT:
    case IR_VPMUL:
    case IR_VEXT:
    case IR_VTBL:
    case IR_VFROM_INT:
    case IR_VFROM_FLOAT:
    case IR_VFROM_PAIR:
    case IR_VSET_FLOAT: return 1;
    case IR_VURECPE:
    case IR_VURSQRTE:
    case IR_VUDOT:
    case IR_VSDOT:
    case IR_VFNARROW_ODD: return 4;
    case IR_VPMULL_LO:
    case IR_VPMULL_HI: return 9;
    case IR_VFWIDEN:
    case IR_VFNARROW:
    case IR_VSQDMULH:
    case IR_VSQRDMULH:
    case IR_VSQRDMLAH:
    case IR_VSQRDMLSH:
    case IR_VSQDMULL_LO:
    case IR_VSQDMULL_HI: return 6;
    case IR_VREV:
    case IR_VUEXT_LO:
    case IR_VSEXT_LO:
    case IR_VUEXT_HI:
    case IR_VSEXT_HI:
    case IR_VUMULL_LO:
    case IR_VSMULL_LO:
    case IR_VUMULL_HI:
    case IR_VSMULL_HI:
    case IR_VNARROW:
    case IR_VSQXTN:
    case IR_VUQXTN:
    case IR_VSQXTUN:
    case IR_VUADDLP:
    case IR_VSADDLP: return 7;
    default: return op >= IR_AESE ? 1 : op >= IR_VFADD ? 14 : 15;
    }
}

static const unsigned modes[] = {IR_ROUND_EVEN, IR_ROUND_UP,   IR_ROUND_DOWN,
                                 IR_ROUND_ZERO, IR_ROUND_AWAY, IR_ROUND_CURRENT};

static void check_modes(struct subject *s, unsigned shift, unsigned option, bool scales, unsigned max_scale)
{
    unsigned base = s->aux;
    for (unsigned m = 0; m < ARRAY_SIZE(modes); m++)
        for (unsigned k = 0; k < 2; k++) {
            s->aux = base | (modes[m] | (k ? option : 0)) << shift;
            check_subject(s);
            if (scales && modes[m] == IR_ROUND_ZERO)
                check_imms(s, 1, max_scale, max_scale / 3);
        }
    s->aux = base;
}

static void check_vector_float(struct subject *s)
{
    unsigned esize = s->aux;
    if (s->op == IR_VFROUND)
        check_modes(s, 8, IR_ROUND_EXACT, false, 0);
    else if (s->op == IR_VFTO_INT)
        check_modes(s, 8, IR_UNSIGNED, true, 8u << esize);
    else if (s->op == IR_VFFROM_INT)
        for (unsigned k = 0; k < 2; k++) {
            s->aux = esize | k * IR_UNSIGNED << 8;
            check_imms(s, 0, 8u << esize, 4u << esize);
        }
    else
        check_subject(s);
}

static void check_typed(struct subject *s)
{
    s->imm = 0;
    s->aux = 0;
    switch (s->op) {
    case IR_FROUND: check_modes(s, 0, IR_ROUND_EXACT, false, 0); break;
    case IR_FFROM_HALF:
        check_subject(s);
        s->aux = s->type == IR_F32 ? IR_HALF_OPERAND : 0;
        check_subject(s);
        break;
    case IR_FTO_INT_SCRIPT:
        if (s->own == IR_F64)
            check_subject(s);
        break;
    case IR_HALF_FROM_INT:
    case IR_FTO_INT: check_modes(s, 0, IR_UNSIGNED, true, s->type == IR_I32 ? 32 : 64); break;
    case IR_FFROM_INT:
        for (unsigned k = 0; k < 2; k++) {
            s->aux = k * IR_UNSIGNED;
            check_imms(s, 0, s->own == IR_I32 ? 32 : 64, 16);
        }
        break;
    case IR_VGET_FLOAT: check_imms(s, 0, s->type == IR_F32 ? 3 : 1, 1); break;
    case IR_VSET_FLOAT: check_imms(s, 0, s->own == IR_F32 ? 3 : 1, 1); break;
    case IR_FTO_BITS:
    case IR_FFROM_BITS:
        if (ir_type_bytes(s->type) == ir_type_bytes(s->own))
            check_subject(s);
        break;
    case IR_FCONVERT:
        if (s->type != s->own)
            check_subject(s);
        break;
    default:
        if (s->type != IR_V128 && s->op != IR_VGET) {
            check_subject(s);
            break;
        }
        for (unsigned esize = 0; esize < 4; esize++) {
            if (!(esizes(s->op) >> esize & 1))
                continue;
            s->aux = esize;
            if (s->op >= IR_VFADD && s->op < IR_AESE) {
                check_vector_float(s);
                continue;
            }
            if ((s->op == IR_VSET || s->op == IR_VDUP) && (esize == 3) != (s->own == IR_I64))
                continue;
            if (s->op == IR_VGET && esize == 3 && s->type == IR_I32)
                continue;
            check_esize(s);
            if (s->op == IR_VGET && esize < (s->type == IR_I32 ? 2 : 3)) {
                s->aux = esize | IR_SIGNED;
                check_imms(s, 0, (16u >> esize) - 1, 1);
            }
        }
        break;
    }
}

static void check_op(enum ir_op op)
{
    static const enum ir_type integers[] = {IR_I32, IR_I64}, floats[] = {IR_F32, IR_F64};
    const struct ir_op_info *info = &ir_op_info[op];
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 2; k++) {
            struct subject s = {.op = op};
            s.type = info->result == 'q'   ? IR_V128
                     : info->result == 'f' ? floats[i]
                     : info->result == 'w' ? IR_I32
                     : info->result == 'x' ? IR_I64
                                           : integers[i];
            s.own = strchr(info->arguments, 'g') ? floats[k] : integers[k];
            bool type_varies = info->result == 'f' || info->result == 'i';
            bool own_varies = strpbrk(info->arguments, "ng");
            if ((i && !type_varies) || (k && !own_varies))
                continue;
            check_typed(&s);
        }
}

static void check_range(enum ir_op first, enum ir_op last)
{
    for (unsigned op = first; op <= last; op++)
        if (op != IR_FCONST && op != IR_VCONST)
            check_op((enum ir_op)op);
}

#define RANGE_TEST(name, first, last)                                                                        \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        check_range(first, last);                                                                            \
    }

RANGE_TEST(scalar_float, IR_FCONST, IR_FRECPX)
RANGE_TEST(moving, IR_VCONST, IR_VREV)
RANGE_TEST(integer, IR_VAND, IR_VURSQRTE)
RANGE_TEST(vector_float, IR_VFADD, IR_VFRSQRTS)
RANGE_TEST(crypto, IR_AESE, IR_SHA512SU1)

/* Every host must give the same without SHA-NI and AVX-512, too. */
static void test_crypto_without_sha(void **state)
{
    (void)state;
    host_set_sha(0);
    host_set_avx512(0);
    check_range(IR_SHA1C, IR_SHA512SU1);
    host_set_avx512(-1);
    host_set_sha(-1);
}

/* All indices into the tables that Arm's estimates are defined by, in both parities of the exponent. */
static void test_estimates(void **state)
{
    static const enum ir_op ops[] = {IR_FRECPE, IR_FRSQRTE, IR_VFRECPE, IR_VFRSQRTE};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(ops) * 2; i++) {
        struct ir_insn insn;
        bool is_double = i & 1, scalar = ops[i / 2] < IR_VFADD;
        struct subject s = {.op = ops[i / 2], .type = !scalar ? IR_V128 : is_double ? IR_F64 : IR_F32};
        s.aux = scalar ? 0 : 2 + is_double;
        assert_true(build(&s, &insn));
        translate();
        for (unsigned index = 0; index < 512; index++) {
            union vector128 arguments[3] = {{.d = {0, 0}}}, expected;
            uint64_t bits = is_double ? (1022ull << 52) + ((uint64_t)index << 44) + (random64() >> 20)
                                      : (126u << 23) + (index << 15) + (uint32_t)(random64() >> 49);
            arguments[0].d[0] = arguments[0].d[1] = is_double ? bits : bits << 32 | bits;
            cpu.v[0] = arguments[0];
            if (scalar)
                arguments[0].d[1] = 0;
            cpu.common.fp_control = 0x1f80;
            uint32_t flags = evaluate(&insn, arguments, 0x1f80, &expected);
            run();
            if (memcmp(&cpu.v[3], &expected, 16) || flags != cpu.common.fp_control)
                fail_case(&s, arguments, &expected, &cpu.v[3], 0x1f80, flags, cpu.common.fp_control);
        }
    }
}

/* -- random regions: many operations together, against the interpreter ------------------------------ */

/* Values of each type that exist so far. */
struct values {
    ir_value of[IR_BOOL + 1][512];
    unsigned count[IR_BOOL + 1];
};

static ir_value random_value(struct values *v, enum ir_type type)
{
    struct ir_region *r = &region;
    if (v->count[type] && random_below(4))
        return v->of[type][v->count[type] - 1 - random_below(MIN(v->count[type], 8u))];
    if (is_integer(type)) {
        ir_value x = ir_get(r, X0 + random_below(4), IR_I64);
        return type == IR_I32 ? ir_trunc(r, x) : x;
    }
    ir_value q = ir_get(r, V0 + random_below(8), IR_V128);
    if (type == IR_V128)
        return q;
    return ir_emit(r, IR_VGET_FLOAT, type, 0, q, IR_NONE, IR_NONE, random_below(4) ? 0 : 1, 0);
}

/* Whole AES rounds, as programs have them. */
static void random_aes(void)
{
    struct ir_region *r = &region;
    unsigned n = V0 + random_below(8), key = V0 + random_below(8), mix = random_below(3);
    ir_value x =
        ir_vec2(r, mix == 1 ? IR_AESD : IR_AESE, 0, ir_get(r, n, IR_V128), ir_get(r, key, IR_V128), 0);
    ir_set(r, n, x);
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000, 0);
    if (!random_below(4))
        ir_set(r, key, ir_vec2(r, IR_VADD, 0, ir_get(r, key, IR_V128), ir_get(r, V0, IR_V128), 0));
    ir_set(r, n, ir_vec1(r, mix == 1 ? IR_AESIMC : IR_AESMC, 0, x, 0));
}

static void random_insn(struct values *v)
{
    struct ir_region *r = &region;
    const struct subject *s = &subjects[random_below(subject_count)];
    if (!random_below(16))
        random_aes();
    ir_value arguments[3] = {IR_NONE, IR_NONE, IR_NONE};
    for (unsigned i = 0; ir_op_info[s->op].arguments[i]; i++)
        arguments[i] = random_value(v, argument_type(s, i));
    ir_value n = ir_emit(r, s->op, s->type, s->aux, arguments[0], arguments[1], arguments[2], s->imm, 0);
    v->of[s->type][v->count[s->type]++] = n;
    if (!random_below(3))
        return;
    if (is_float(s->type))
        n = ir_emit(r, IR_VFROM_FLOAT, IR_V128, 0, n, IR_NONE, IR_NONE, 0, 0);
    if (s->type == IR_I32)
        n = ir_zext(r, n);
    ir_set(r, is_integer(s->type) ? X0 + random_below(4) : V0 + random_below(8), n);
}

static void build_random(void)
{
    struct ir_region *r = &region;
    static struct values v;
    unsigned count = 2 + random_below(40);
    memset(v.count, 0, sizeof v.count);
    ir_region_reset(r, 0x1000);
    r->guest_end = 0x1004;
    ir_emit(r, IR_INSN, IR_VOID, 0, IR_NONE, IR_NONE, IR_NONE, 0x1000, 0);
    for (unsigned i = 0; i < count; i++) {
        random_insn(&v);
        if (!random_below(8))
            ir_set_flags(r,
                         ir_flags_of(r, ir_binary(r, IR_SUB, ir_get(r, X0, IR_I64), ir_get(r, X1, IR_I64))));
    }
    ir_emit(r, IR_RAISE, IR_VOID, TRANSLATOR_BREAKPOINT, IR_NONE, IR_NONE, IR_NONE, 7, 0x1004);
}

static void test_random_regions(void **state)
{
    static struct test_cpu start, expected;
    (void)state;
    assert_true(subject_count > 1000);
    for (unsigned n = 0; n < 1500 * case_factor; n++) {
        build_random();
        region.fp_mode = IR_FP_EXACT_STATUS;
        translate();
        for (unsigned i = 0; i < 4; i++)
            cpu.x[i] = random_integer(random_below(4));
        for (unsigned i = 0; i < 8; i++)
            cpu.v[i] = random_vector(random64() & 1, random_below(4));
        cpu.flags = NZCV_Z;
        cpu.qc = 0;
        cpu.control = random_control();
        cpu.common.fp_control = 0x1f80 | random_below(4) << 13;
        start = cpu;
        run();
        expected = start;
        ir_interpret(&isa, &expected.common, &region);
        bool same = !memcmp(cpu.x, expected.x, sizeof cpu.x) && !memcmp(cpu.v, expected.v, sizeof cpu.v) &&
                    !((cpu.flags ^ expected.flags) & NZCV_MASK) && !cpu.qc == !expected.qc &&
                    !((cpu.common.fp_control ^ expected.common.fp_control) & compared_flags());
        if (same)
            continue;
        for (unsigned i = 0; i < 8; i++)
            print_error("v%u %016llx %016llx expected %016llx %016llx\n", i,
                        (unsigned long long)cpu.v[i].d[1], (unsigned long long)cpu.v[i].d[0],
                        (unsigned long long)expected.v[i].d[1], (unsigned long long)expected.v[i].d[0]);
        for (unsigned i = 0; i < 4; i++)
            print_error("x%u %016llx expected %016llx\n", i, (unsigned long long)cpu.x[i],
                        (unsigned long long)expected.x[i]);
        ir_print(stderr, &region, NULL);
        if (getenv("HOST_VECTOR_CODE"))
            host_disassemble(stderr, code.bytes, code.size, 0);
        fail_msg("region %u differs: control %#x expected %#x", n, cpu.common.fp_control,
                 expected.common.fp_control);
    }
}

/* HOST_VECTOR_FACTOR=n: n times as many cases; HOST_VECTOR_CODE=1: shows the code that failed. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalar_float), cmocka_unit_test(test_moving),
        cmocka_unit_test(test_integer),      cmocka_unit_test(test_vector_float),
        cmocka_unit_test(test_crypto),       cmocka_unit_test(test_crypto_without_sha),
        cmocka_unit_test(test_estimates),    cmocka_unit_test(test_random_regions),
    };
    if (getenv("HOST_VECTOR_FACTOR"))
        case_factor = (unsigned)atoi(getenv("HOST_VECTOR_FACTOR"));
    int failed = cmocka_run_group_tests(tests, setup, teardown);
    print_message("%u cases\n", case_count);
    return failed;
}
