/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eval_x86: x86's integer arithmetic on parts of registers with all its flags, wide division, and UCOMISx. */
#include <string.h>

#include "base/macros.h"
#include "translator/ir/evaluation.h"
#include "translator/tlb.h"

/* One PART_ operation being computed: operands and result are of `width` bits. */
struct part {
    unsigned width;
    uint64_t mask, sign;
    uint64_t x, y;
    uint64_t result;
    bool carry, overflow, adjust;
    bool result_flags; /* N Z P are those of the result */
};

static uint64_t sign_extended(uint64_t x, unsigned width)
{
    return (uint64_t)((int64_t)(x << (64 - width)) >> (64 - width));
}

static void add(struct part *p, unsigned carry_in)
{
    unsigned __int128 sum = (unsigned __int128)p->x + p->y + carry_in;
    p->result = (uint64_t)sum & p->mask;
    p->carry = sum >> p->width & 1;
    p->overflow = ~(p->x ^ p->y) & (p->x ^ p->result) & p->sign;
    p->adjust = (p->x ^ p->y ^ p->result) & 0x10;
}

static void subtract(struct part *p, unsigned borrow_in)
{
    p->result = (p->x - p->y - borrow_in) & p->mask;
    p->carry = (unsigned __int128)p->y + borrow_in > p->x;
    p->overflow = (p->x ^ p->y) & (p->x ^ p->result) & p->sign;
    p->adjust = (p->x ^ p->y ^ p->result) & 0x10;
}

static void multiply(struct part *p)
{
    __int128 product =
        (__int128)(int64_t)sign_extended(p->x, p->width) * (int64_t)sign_extended(p->y, p->width);
    p->result = (uint64_t)product & p->mask;
    p->carry = p->overflow = product != (int64_t)sign_extended(p->result, p->width);
}

/* By 1 to 63. Where x86 leaves V open, it is what the shift by one would make of it. */
static void shift(struct part *p, enum ir_op op, unsigned count)
{
    if (op == IR_PART_SHL) {
        unsigned __int128 wide = (unsigned __int128)p->x << count;
        p->result = (uint64_t)wide & p->mask;
        p->carry = wide >> p->width & 1;
        p->overflow = p->carry != !!(p->result & p->sign);
        return;
    }
    uint64_t x = op == IR_PART_SAR ? sign_extended(p->x, p->width) : p->x;
    p->carry = x >> (count - 1) & 1;
    p->result = (op == IR_PART_SAR ? (uint64_t)((int64_t)x >> count) : x >> count) & p->mask;
    p->overflow = op == IR_PART_SHR && p->x & p->sign;
}

/* The low `bits` of x rotated to the left. */
static unsigned __int128 rotate(unsigned __int128 x, unsigned bits, unsigned count)
{
    const unsigned __int128 mask = ((unsigned __int128)1 << bits) - 1;
    count %= bits;
    return count ? (x << count | x >> (bits - count)) & mask : x;
}

/* By 1 to 63. */
static void rotate_part(struct part *p, enum ir_op op, unsigned count, bool carry_in)
{
    const unsigned width = p->width;
    const bool left = op == IR_PART_ROL || op == IR_PART_RCL;

    if (op == IR_PART_ROL || op == IR_PART_ROR) {
        p->result = (uint64_t)rotate(p->x, width, left ? count : width - count % width);
        p->carry = left ? p->result & 1 : !!(p->result & p->sign);
    } else {
        unsigned __int128 x = (unsigned __int128)carry_in << width | p->x;
        x = rotate(x, width + 1, left ? count : width + 1 - count % (width + 1));
        p->result = (uint64_t)x & p->mask;
        p->carry = x >> width & 1;
    }
    p->overflow = !!(p->result & p->sign) != (left ? p->carry : !!(p->result & p->sign >> 1));
    p->result_flags = false;
}

static void compute(struct part *p, enum ir_op op, uint64_t count, bool carry_in)
{
    switch (op) {
    case IR_PART_ADD: add(p, 0); break;
    case IR_PART_ADC: add(p, carry_in); break;
    case IR_PART_SUB: subtract(p, 0); break;
    case IR_PART_SBB: subtract(p, carry_in); break;
    case IR_PART_AND: p->result = p->x & p->y; break;
    case IR_PART_OR: p->result = p->x | p->y; break;
    case IR_PART_XOR: p->result = p->x ^ p->y; break;
    case IR_PART_INC:
    case IR_PART_DEC:
        p->y = 1;
        op == IR_PART_INC ? add(p, 0) : subtract(p, 0);
        p->carry = carry_in;
        break;
    case IR_PART_SHL:
    case IR_PART_SHR:
    case IR_PART_SAR: shift(p, op, (unsigned)count); break;
    case IR_PART_ROL:
    case IR_PART_ROR:
    case IR_PART_RCL:
    case IR_PART_RCR: rotate_part(p, op, (unsigned)count, carry_in); break;
    default: multiply(p); break;
    }
}

uint64_t ir_eval_part(enum ir_op op, unsigned size, uint64_t a, uint64_t b, uint16_t c, uint16_t *flags)
{
    const unsigned width = 8u << size;
    const uint64_t mask = width == 64 ? ~0ull : (1ull << width) - 1;
    struct part p = {.width = width,
                     .mask = mask,
                     .sign = 1ull << (width - 1),
                     .x = a & mask,
                     .y = b & mask,
                     .result_flags = true};
    const uint64_t count = b & (size == 3 ? 63 : 31);

    *flags = c & NZCVPA_MASK;
    if (op >= IR_PART_SHL && op <= IR_PART_RCR && count == 0)
        return a;
    compute(&p, op, count, c & NZCV_B);
    *flags &= p.result_flags ? 0 : NZCV_N | NZCV_Z | NZCV_P | NZCV_A;
    if (p.result_flags) {
        *flags |= (p.result & p.sign ? NZCV_N : 0) | (p.result ? 0 : NZCV_Z) | (p.adjust ? NZCV_A : 0);
        *flags |= __builtin_parity(p.result & 0xff) ? 0 : NZCV_P;
    }
    *flags |= (p.carry ? NZCV_B : 0) | (p.overflow ? NZCV_V : 0);
    return (a & ~mask) | p.result;
}

uint16_t ir_eval_flags_of(const struct ir_insn *computation, unsigned aux, uint64_t a, uint64_t b, uint16_t c)
{
    const enum ir_op op = computation->op;
    uint16_t flags;

    if (op >= IR_PART_ADD && op <= IR_PART_MUL) {
        ir_eval_part(op, computation->aux, a, b, c, &flags);
        return flags;
    }
    flags = ir_eval_flags(op, computation->type, a, b, c);
    return aux & IR_FLAGS_X86 && op != IR_SUB && op != IR_SBC ? flags ^ NZCV_B : flags;
}

/* The magnitudes of 2 * width bits divided, which a quotient that does not fit has been excluded from. */
static bool divide_unsigned(unsigned __int128 x, uint64_t y, unsigned width, uint64_t *quotient,
                            uint64_t *remainder)
{
    if (y == 0 || x / y >> width)
        return false;
    *quotient = (uint64_t)(x / y);
    *remainder = (uint64_t)(x % y);
    return true;
}

static bool divide_signed(unsigned __int128 x, uint64_t y, unsigned width, uint64_t *quotient,
                          uint64_t *remainder)
{
    const bool x_negative = (__int128)x < 0, y_negative = (int64_t)y < 0;
    const uint64_t limit = (1ull << (width - 1)) - (x_negative == y_negative);

    if (!divide_unsigned(x_negative ? -x : x, y_negative ? -y : y, width, quotient, remainder) ||
        *quotient > limit)
        return false;
    if (x_negative != y_negative)
        *quotient = -*quotient;
    if (x_negative)
        *remainder = -*remainder;
    return true;
}

bool ir_eval_divide(const struct ir_insn *insn, uint64_t a, uint64_t b, uint64_t c, uint64_t *result)
{
    const unsigned width = insn->type == IR_I32 ? 32 : 64;
    const bool is_signed = insn->op == IR_SDIV_WIDE || insn->op == IR_SREM_WIDE;
    const bool wants_quotient = insn->op == IR_UDIV_WIDE || insn->op == IR_SDIV_WIDE;
    unsigned __int128 x = (unsigned __int128)a << width | b;
    uint64_t quotient, remainder;
    bool fits;

    if (is_signed) {
        if (width == 32)
            x = (unsigned __int128)(int64_t)(uint64_t)x;
        fits = divide_signed(x, sign_extended(c, width), width, &quotient, &remainder);
    } else {
        fits = divide_unsigned(x, c, width, &quotient, &remainder);
    }
    if (!fits)
        return false;
    *result = wants_quotient ? quotient : remainder;
    if (width == 32)
        *result = (uint32_t)*result;
    return true;
}

/* Leaves the exception flags to the host: they are the guest's. */
static uint16_t compare_floats(enum ir_type type, bool signals, uint64_t a, uint64_t b)
{
    bool carry, zero, parity;

#define COMPARE(insn)                                                                                        \
    __asm__ volatile("vmovq %3, %%xmm0\n\tvmovq %4, %%xmm1\n\t" insn " %%xmm1, %%xmm0"                       \
                     : "=@ccc"(carry), "=@ccz"(zero), "=@ccp"(parity)                                        \
                     : "r"(a), "r"(b)                                                                        \
                     : "xmm0", "xmm1")
    if (type == IR_F64 && signals)
        COMPARE("vcomisd");
    else if (type == IR_F64)
        COMPARE("vucomisd");
    else if (signals)
        COMPARE("vcomiss");
    else
        COMPARE("vucomiss");
#undef COMPARE
    return (uint16_t)((zero ? NZCV_Z : 0) | (parity ? NZCV_P : 0) | (carry ? NZCV_B : 0));
}

/* Behind a TLB, if it has both pages. Without one an access may fault, which is not to happen here. */
static uint64_t string(const struct evaluation *e, uint64_t to, uint64_t from, uint64_t bytes)
{
    if (!e->isa->tlb_offset || !bytes)
        return 0;
    struct tlb *tlb = (struct tlb *)((uint8_t *)e->cpu + e->isa->tlb_offset) + e->insn->aux;
    const struct tlb_entry *target = tlb_entry(tlb, to), *source = tlb_entry(tlb, from);
    const bool copies = e->insn->op == IR_STRING_COPY;
    if (target->write != tlb_page(to) || (copies && source->read != tlb_page(from)))
        return 0;
    uint8_t *at = (uint8_t *)(to + target->addend);
    if (copies)
        memcpy(at, (const uint8_t *)(from + source->addend), bytes);
    for (uint64_t i = 0; !copies && i < bytes; i += sizeof from)
        memcpy(at + i, &from, MIN(bytes - i, sizeof from));
    return bytes;
}

void ir_evaluate_x86(const struct evaluation *e)
{
    const struct ir_insn *n = e->insn;
    const uint64_t a = e->a->d[0], b = e->b->d[0];
    const uint16_t c = e->c->h[0];
    uint16_t flags;

    switch (n->op) {
    case IR_UDIV_WIDE:
    case IR_UREM_WIDE:
    case IR_SDIV_WIDE:
    case IR_SREM_WIDE: ir_eval_divide(n, a, b, e->c->d[0], &e->r->d[0]); break;
    case IR_FLAGS_BIT:
        e->r->h[0] =
            (c & NZCVPA_MASK & ~NZCV_B) | (a >> (b & (n->a_type == IR_I32 ? 31 : 63)) & 1 ? NZCV_B : 0);
        break;
    case IR_STRING_COPY:
    case IR_STRING_FILL: e->r->d[0] = string(e, a, b, e->c->d[0]); break;
    case IR_FLAGS_UCOM: e->r->h[0] = compare_floats(n->a_type, n->aux & 1, a, b); break;
    default: e->r->d[0] = ir_eval_part(n->op, n->aux, a, b, c, &flags); break;
    }
}
