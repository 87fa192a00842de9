/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eval_vector: vectors of integers, without the operations that saturate. */
#include <string.h>

#include "translator/ir/evaluation_lanes.h"

#define ONES_IF(condition) ((condition) ? (U) ~(U)0 : 0)

LANE_FUNCTION(evaluate_add, x + y)
LANE_FUNCTION(evaluate_sub, x - y)
LANE_FUNCTION(evaluate_mul, (uint64_t)x *y)
LANE_FUNCTION(evaluate_neg, 0 - x)
LANE_FUNCTION(evaluate_abs, sx < 0 ? 0 - x : x)
LANE_FUNCTION(evaluate_smin, sx < sy ? x : y)
LANE_FUNCTION(evaluate_smax, sx > sy ? x : y)
LANE_FUNCTION(evaluate_umin, x < y ? x : y)
LANE_FUNCTION(evaluate_umax, x > y ? x : y)
LANE_FUNCTION(evaluate_cmpeq, ONES_IF(x == y))
LANE_FUNCTION(evaluate_cmpgt, ONES_IF(sx > sy))
LANE_FUNCTION(evaluate_cmpge, ONES_IF(sx >= sy))
LANE_FUNCTION(evaluate_cmphi, ONES_IF(x > y))
LANE_FUNCTION(evaluate_cmphs, ONES_IF(x >= y))
LANE_FUNCTION(evaluate_tst, ONES_IF((x & y) != 0))
LANE_FUNCTION(evaluate_uhadd, ((uwide)x + y) >> 1)
LANE_FUNCTION(evaluate_shadd, ((wide)sx + sy) >> 1)
LANE_FUNCTION(evaluate_urhadd, ((uwide)x + y + 1) >> 1)
LANE_FUNCTION(evaluate_srhadd, ((wide)sx + sy + 1) >> 1)
LANE_FUNCTION(evaluate_uhsub, ((wide)x - (wide)y) >> 1)
LANE_FUNCTION(evaluate_shsub, ((wide)sx - sy) >> 1)
LANE_FUNCTION(evaluate_uabd, x > y ? x - y : y - x)
LANE_FUNCTION(evaluate_sabd, sx > sy ? x - y : y - x)

#define LEADING_ZEROS(value) ((value) ? __builtin_clzll(value) - (64 - BITS) : BITS)
LANE_FUNCTION(evaluate_clz, LEADING_ZEROS((uint64_t)x))
LANE_FUNCTION(evaluate_cls, LEADING_ZEROS((uint64_t)(U)(sx ^ (S)(sx >> (BITS - 1)))) - 1)

#define AMOUNT ((unsigned)e->insn->imm)
LANE_FUNCTION(evaluate_shl, (uint64_t)x << AMOUNT)
LANE_FUNCTION(evaluate_ushr, AMOUNT >= BITS ? 0 : x >> AMOUNT)
LANE_FUNCTION(evaluate_sshr, sx >> (AMOUNT >= BITS ? BITS - 1 : AMOUNT))
LANE_FUNCTION(evaluate_urshr, shift_right_rounding(x, AMOUNT))
LANE_FUNCTION(evaluate_srshr, shift_right_rounding_signed(sx, AMOUNT))

/* By the signed low byte of y. */
#define SHIFT         ((int8_t)(y & 255))
#define SHIFT_LEFT(v) (SHIFT >= BITS ? 0 : (uint64_t)(v) << (SHIFT & 63))
LANE_FUNCTION(evaluate_ushl,
              SHIFT >= 0 ? SHIFT_LEFT(x) : shift_right_variable(x, (unsigned)-SHIFT, BITS, false))
LANE_FUNCTION(evaluate_sshl, SHIFT >= 0
                                 ? SHIFT_LEFT(x)
                                 : (uint64_t)shift_right_variable_signed(sx, (unsigned)-SHIFT, BITS, false))
LANE_FUNCTION(evaluate_urshl,
              SHIFT >= 0 ? SHIFT_LEFT(x) : shift_right_variable(x, (unsigned)-SHIFT, BITS, true))
LANE_FUNCTION(evaluate_srshl, SHIFT >= 0
                                  ? SHIFT_LEFT(x)
                                  : (uint64_t)shift_right_variable_signed(sx, (unsigned)-SHIFT, BITS, true))

static void evaluate_logic(const struct evaluation *e)
{
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t a = e->a->d[i], b = e->b->d[i];
        uint64_t r = 0;
        switch (e->insn->op) {
        case IR_VAND: r = a & b; break;
        case IR_VOR: r = a | b; break;
        case IR_VXOR: r = a ^ b; break;
        case IR_VANDN: r = a & ~b; break;
        case IR_VORN: r = a | ~b; break;
        case IR_VNOT: r = ~a; break;
        case IR_VBSL: r = (a & b) | (~a & e->c->d[i]); break;
        default: break;
        }
        e->r->d[i] = r;
    }
}

static void evaluate_count(const struct evaluation *e)
{
    for (unsigned i = 0; i < 16; i++)
        e->r->b[i] = (uint8_t)__builtin_popcount(e->a->b[i]);
}

static void evaluate_reverse_bits(const struct evaluation *e)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned x = e->a->b[i];
        x = (x & 0x55) << 1 | (x >> 1 & 0x55);
        x = (x & 0x33) << 2 | (x >> 2 & 0x33);
        e->r->b[i] = (uint8_t)(x << 4 | x >> 4);
    }
}

/* Lane i of v, elements of 2^esize bytes, zero- or sign-extended to 64 bits. */
static uint64_t lane(const union vector128 *v, unsigned esize, unsigned i, bool is_signed)
{
    switch (esize) {
    case 0: return is_signed ? (uint64_t)v->sb[i] : v->b[i];
    case 1: return is_signed ? (uint64_t)v->sh[i] : v->h[i];
    case 2: return is_signed ? (uint64_t)v->sw[i] : v->w[i];
    default: return v->d[i];
    }
}

static void put_lane(union vector128 *v, unsigned esize, unsigned i, uint64_t x)
{
    switch (esize) {
    case 0: v->b[i] = (uint8_t)x; break;
    case 1: v->h[i] = (uint16_t)x; break;
    case 2: v->w[i] = (uint32_t)x; break;
    default: v->d[i] = x; break;
    }
}

/* VUEXT, VSEXT and VUMULL, VSMULL: a half's elements to twice the size. */
static void evaluate_widening(const struct evaluation *e, bool is_signed, bool high, bool multiply)
{
    const unsigned esize = e->insn->aux & 3, lanes = 8u >> esize;
    const unsigned first = high ? lanes : 0;

    for (unsigned i = 0; i < lanes; i++) {
        uint64_t x = lane(e->a, esize, first + i, is_signed);
        put_lane(e->r, esize + 1, i, multiply ? x * lane(e->b, esize, first + i, is_signed) : x);
    }
}

static void evaluate_narrow(const struct evaluation *e)
{
    const unsigned esize = e->insn->aux & 3;
    for (unsigned i = 0; i < 8u >> esize; i++)
        put_lane(e->r, esize, i, lane(e->a, esize + 1, i, false));
}

static void evaluate_add_long_pairs(const struct evaluation *e, bool is_signed)
{
    const unsigned esize = e->insn->aux & 3;
    for (unsigned i = 0; i < 8u >> esize; i++)
        put_lane(e->r, esize + 1, i,
                 lane(e->a, esize, 2 * i, is_signed) + lane(e->a, esize, 2 * i + 1, is_signed));
}

enum reduction { ADD, SIGNED_MIN, SIGNED_MAX, UNSIGNED_MIN, UNSIGNED_MAX };

static uint64_t reduce(enum reduction how, uint64_t x, uint64_t y)
{
    switch (how) {
    case ADD: return x + y;
    case SIGNED_MIN: return (int64_t)x < (int64_t)y ? x : y;
    case SIGNED_MAX: return (int64_t)x > (int64_t)y ? x : y;
    case UNSIGNED_MIN: return x < y ? x : y;
    case UNSIGNED_MAX: return x > y ? x : y;
    }
    return 0;
}

static void evaluate_pairs(const struct evaluation *e, enum reduction how)
{
    const unsigned esize = e->insn->aux & 3, half = 8u >> esize;
    const bool is_signed = how == SIGNED_MIN || how == SIGNED_MAX;

    for (unsigned i = 0; i < 2 * half; i++) {
        const union vector128 *from = i < half ? e->a : e->b;
        unsigned first = 2 * (i % half);
        put_lane(e->r, esize, i,
                 reduce(how, lane(from, esize, first, is_signed), lane(from, esize, first + 1, is_signed)));
    }
}

static void evaluate_across(const struct evaluation *e, enum reduction how)
{
    const unsigned esize = e->insn->aux & 3;
    const bool is_signed = how == SIGNED_MIN || how == SIGNED_MAX;
    uint64_t x = lane(e->a, esize, 0, is_signed);

    for (unsigned i = 1; i < 16u >> esize; i++)
        x = reduce(how, x, lane(e->a, esize, i, is_signed));
    put_lane(e->r, esize, 0, x);
}

/* The 128-bit product of polynomials over {0, 1}. */
static uwide polynomial_product(uint64_t a, uint64_t b)
{
    uwide product = 0;
    for (unsigned i = 0; i < 64; i++)
        if (b >> i & 1)
            product ^= (uwide)a << i;
    return product;
}

static void evaluate_polynomial(const struct evaluation *e)
{
    const unsigned esize = e->insn->aux & 3;
    const bool high = e->insn->op == IR_VPMULL_HI;

    if (e->insn->op == IR_VPMUL) {
        for (unsigned i = 0; i < 16; i++)
            e->r->b[i] = (uint8_t)polynomial_product(e->a->b[i], e->b->b[i]);
    } else if (esize == 3) {
        uwide product = polynomial_product(e->a->d[high], e->b->d[high]);
        e->r->d[0] = (uint64_t)product;
        e->r->d[1] = (uint64_t)(product >> 64);
    } else {
        for (unsigned i = 0; i < 8; i++)
            e->r->h[i] = (uint16_t)polynomial_product(e->a->b[8 * high + i], e->b->b[8 * high + i]);
    }
}

static void evaluate_dot(const struct evaluation *e, bool is_signed)
{
    for (unsigned i = 0; i < 16; i++)
        e->r->w[i / 4] +=
            is_signed ? (uint32_t)(e->a->sb[i] * e->b->sb[i]) : (uint32_t)e->a->b[i] * e->b->b[i];
}

static void evaluate_estimate(const struct evaluation *e, uint32_t (*estimate)(uint32_t))
{
    for (unsigned i = 0; i < 4; i++)
        e->r->w[i] = estimate(e->a->w[i]);
}

static void evaluate_sizes(const struct evaluation *e)
{
    switch (e->insn->op) {
    case IR_VUEXT_LO: evaluate_widening(e, false, false, false); break;
    case IR_VSEXT_LO: evaluate_widening(e, true, false, false); break;
    case IR_VUEXT_HI: evaluate_widening(e, false, true, false); break;
    case IR_VSEXT_HI: evaluate_widening(e, true, true, false); break;
    case IR_VUMULL_LO: evaluate_widening(e, false, false, true); break;
    case IR_VSMULL_LO: evaluate_widening(e, true, false, true); break;
    case IR_VUMULL_HI: evaluate_widening(e, false, true, true); break;
    case IR_VSMULL_HI: evaluate_widening(e, true, true, true); break;
    case IR_VPMUL:
    case IR_VPMULL_LO:
    case IR_VPMULL_HI: evaluate_polynomial(e); break;
    case IR_VNARROW: evaluate_narrow(e); break;
    case IR_VUADDLP: evaluate_add_long_pairs(e, false); break;
    case IR_VSADDLP: evaluate_add_long_pairs(e, true); break;
    case IR_VADDP: evaluate_pairs(e, ADD); break;
    case IR_VSMINP: evaluate_pairs(e, SIGNED_MIN); break;
    case IR_VSMAXP: evaluate_pairs(e, SIGNED_MAX); break;
    case IR_VUMINP: evaluate_pairs(e, UNSIGNED_MIN); break;
    case IR_VUMAXP: evaluate_pairs(e, UNSIGNED_MAX); break;
    case IR_VUDOT: evaluate_dot(e, false); break;
    case IR_VSDOT: evaluate_dot(e, true); break;
    case IR_VADDV: evaluate_across(e, ADD); break;
    case IR_VSMINV: evaluate_across(e, SIGNED_MIN); break;
    case IR_VSMAXV: evaluate_across(e, SIGNED_MAX); break;
    case IR_VUMINV: evaluate_across(e, UNSIGNED_MIN); break;
    case IR_VUMAXV: evaluate_across(e, UNSIGNED_MAX); break;
    case IR_VURECPE: evaluate_estimate(e, ir_unsigned_recip_estimate); break;
    case IR_VURSQRTE: evaluate_estimate(e, ir_unsigned_rsqrt_estimate); break;
    default: break;
    }
}

void ir_evaluate_vector(const struct evaluation *e)
{
    static const evaluation_function by_lane[IR_VURSQRTE + 1 - IR_VAND] = {
#define ROW(op) [IR_##op - IR_VAND]
        ROW(VAND) = evaluate_logic,     ROW(VOR) = evaluate_logic,          ROW(VXOR) = evaluate_logic,
        ROW(VANDN) = evaluate_logic,    ROW(VORN) = evaluate_logic,         ROW(VNOT) = evaluate_logic,
        ROW(VBSL) = evaluate_logic,     ROW(VADD) = evaluate_add,           ROW(VSUB) = evaluate_sub,
        ROW(VMUL) = evaluate_mul,       ROW(VNEG) = evaluate_neg,           ROW(VABS) = evaluate_abs,
        ROW(VSMIN) = evaluate_smin,     ROW(VSMAX) = evaluate_smax,         ROW(VUMIN) = evaluate_umin,
        ROW(VUMAX) = evaluate_umax,     ROW(VCMPEQ) = evaluate_cmpeq,       ROW(VCMPGT) = evaluate_cmpgt,
        ROW(VCMPGE) = evaluate_cmpge,   ROW(VCMPHI) = evaluate_cmphi,       ROW(VCMPHS) = evaluate_cmphs,
        ROW(VTST) = evaluate_tst,       ROW(VSHL) = evaluate_shl,           ROW(VUSHR) = evaluate_ushr,
        ROW(VSSHR) = evaluate_sshr,     ROW(VURSHR) = evaluate_urshr,       ROW(VSRSHR) = evaluate_srshr,
        ROW(VUSHL_VAR) = evaluate_ushl, ROW(VSSHL_VAR) = evaluate_sshl,     ROW(VURSHL_VAR) = evaluate_urshl,
        ROW(VUHADD) = evaluate_uhadd,   ROW(VSRSHL_VAR) = evaluate_srshl,   ROW(VSHADD) = evaluate_shadd,
        ROW(VURHADD) = evaluate_urhadd, ROW(VSRHADD) = evaluate_srhadd,     ROW(VUHSUB) = evaluate_uhsub,
        ROW(VSHSUB) = evaluate_shsub,   ROW(VUABD) = evaluate_uabd,         ROW(VSABD) = evaluate_sabd,
        ROW(VCNT) = evaluate_count,     ROW(VRBIT) = evaluate_reverse_bits, ROW(VCLZ) = evaluate_clz,
        ROW(VCLS) = evaluate_cls,
#undef ROW
    };
    evaluation_function function = by_lane[e->insn->op - IR_VAND];
    if (function)
        function(e);
    else
        evaluate_sizes(e);
}
