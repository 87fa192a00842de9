/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eval: integers, flags, and the dispatch of all operations. */
#include "translator/ir/eval.h"

#include <string.h>

#include "base/macros.h"
#include "translator/ir/evaluation.h"

static uint64_t low_bits(unsigned width)
{
    return width >= 64 ? ~0ull : (1ull << width) - 1;
}

static uint64_t sign_extend(uint64_t x, unsigned width)
{
    return width >= 64 ? x : (uint64_t)((int64_t)(x << (64 - width)) >> (64 - width));
}

static uint64_t reverse_bytes(uint64_t x, unsigned group)
{
    x = (x & 0x00ff00ff00ff00ff) << 8 | (x >> 8 & 0x00ff00ff00ff00ff);
    if (group >= 2)
        x = (x & 0x0000ffff0000ffff) << 16 | (x >> 16 & 0x0000ffff0000ffff);
    if (group >= 3)
        x = x << 32 | x >> 32;
    return x;
}

static uint64_t reverse_bits(uint64_t x)
{
    x = (x & 0x5555555555555555) << 1 | (x >> 1 & 0x5555555555555555);
    x = (x & 0x3333333333333333) << 2 | (x >> 2 & 0x3333333333333333);
    x = (x & 0x0f0f0f0f0f0f0f0f) << 4 | (x >> 4 & 0x0f0f0f0f0f0f0f0f);
    return __builtin_bswap64(x);
}

static uint64_t divide_signed(uint64_t a, uint64_t b, unsigned width)
{
    int64_t x = (int64_t)sign_extend(a, width), y = (int64_t)sign_extend(b, width);
    if (y == 0)
        return 0;
    return y == -1 ? 0 - (uint64_t)x : (uint64_t)(x / y);
}

static uint64_t count_leading_zeros(uint64_t a, unsigned width)
{
    return a ? (unsigned)__builtin_clzll(a) - (64 - width) : width;
}

uint64_t ir_eval_integer(enum ir_op op, enum ir_type type, unsigned aux, uint64_t imm, uint64_t a, uint64_t b)
{
    const unsigned width = type == IR_I32 ? 32 : 64;
    const uint64_t mask = low_bits(width);
    const unsigned shift = b & (width - 1);
    const unsigned lsb = aux & 255, field = aux >> 8;

    switch (op) {
    case IR_ADD: return (a + b) & mask;
    case IR_SUB: return (a - b) & mask;
    case IR_MUL: return (a * b) & mask;
    case IR_UMULH: return (uint64_t)(((unsigned __int128)a * b) >> 64);
    case IR_SMULH: return (uint64_t)(((__int128)(int64_t)a * (int64_t)b) >> 64);
    case IR_UDIV: return b ? a / b : 0;
    case IR_SDIV: return divide_signed(a, b, width) & mask;
    case IR_AND: return a & b;
    case IR_OR: return a | b;
    case IR_XOR: return a ^ b;
    case IR_ANDN: return a & ~b;
    case IR_ORN: return (a | ~b) & mask;
    case IR_XORN: return (a ^ ~b) & mask;
    case IR_NOT: return ~a & mask;
    case IR_NEG: return -a & mask;
    case IR_SHL: return a << shift & mask;
    case IR_SHR: return a >> shift;
    case IR_SAR: return (uint64_t)((int64_t)sign_extend(a, width) >> shift) & mask;
    case IR_ROR: return shift ? (a >> shift | a << (width - shift)) & mask : a;
    case IR_EXTR: return imm ? (b >> imm | a << (width - imm)) & mask : b;
    case IR_CLZ: return count_leading_zeros(a, width);
    case IR_CTZ: return a ? (unsigned)__builtin_ctzll(a) : width;
    case IR_RBIT: return reverse_bits(a) >> (64 - width);
    case IR_BSWAP: return reverse_bytes(a, aux);
    case IR_UBFX: return a >> lsb & low_bits(field);
    case IR_SBFX: return sign_extend(a >> lsb & low_bits(field), field) & mask;
    case IR_BFI: return (a & ~(low_bits(field) << lsb)) | (b & low_bits(field)) << lsb;
    case IR_TRUNC: return (uint32_t)a;
    case IR_ZEXT: return a;
    case IR_SEXT: return sign_extend(a, 32);
    default: return 0;
    }
}

uint16_t ir_eval_flags(enum ir_op op, enum ir_type type, uint64_t a, uint64_t b, uint16_t carry)
{
    const unsigned width = type == IR_I32 ? 32 : 64;
    const uint64_t mask = low_bits(width), sign = 1ull << (width - 1);
    bool subtracts = op == IR_SUB || op == IR_SBC;
    bool logical = op == IR_AND || op == IR_ANDN;
    uint64_t result;
    unsigned __int128 sum = 0;

    if (logical) {
        result = op == IR_AND ? a & b : a & ~b;
    } else {
        unsigned in = op == IR_ADD ? 0 : op == IR_SUB ? 1 : carry & NZCV_B ? 0 : 1;
        b = (subtracts ? ~b : b) & mask;
        sum = (unsigned __int128)a + b + in;
        result = (uint64_t)sum & mask;
    }
    bool carry_out = !logical && (sum >> width & 1);
    bool overflow = !logical && (~(a ^ b) & (a ^ result) & sign);
    return (uint16_t)((result & sign ? NZCV_N : 0) | (result ? 0 : NZCV_Z) | (carry_out ? 0 : NZCV_B) |
                      (overflow ? NZCV_V : 0));
}

bool ir_eval_cond(uint16_t flags, enum ir_cond cond)
{
    bool n = flags & NZCV_N, z = flags & NZCV_Z, c = !(flags & NZCV_B), v = flags & NZCV_V;
    bool holds = false;

    switch ((unsigned)cond >> 1) {
    case 0: holds = z; break;
    case 1: holds = c; break;
    case 2: holds = n; break;
    case 3: holds = v; break;
    case 4: holds = c && !z; break;
    case 5: holds = n == v; break;
    case 6: holds = n == v && !z; break;
    case 7: holds = flags & NZCV_P; break;
    default: break;
    }
    return holds != (cond & 1);
}

/* Bit by bit, reflected; the polynomials are those of CRC-32 and CRC-32C. */
static uint32_t crc32_update(uint32_t accumulator, uint64_t data, unsigned aux)
{
    const uint32_t polynomial = aux & IR_CRC_CASTAGNOLI ? 0x82f63b78 : 0xedb88320;
    const unsigned bytes = 1u << (aux & 3);

    for (unsigned i = 0; i < bytes; i++) {
        accumulator ^= (uint8_t)(data >> (8 * i));
        for (unsigned bit = 0; bit < 8; bit++)
            accumulator = accumulator >> 1 ^ (accumulator & 1 ? polynomial : 0);
    }
    return accumulator;
}

/* ADC .. FLAGS_UNPACK */
static void evaluate_flags(const struct evaluation *e)
{
    const struct ir_insn *n = e->insn;
    const uint64_t a = e->a->d[0], b = e->b->d[0];
    const uint64_t mask = n->type == IR_I32 ? 0xffffffffu : ~0ull;
    const uint16_t kept = guest_flags_mask(e->isa);
    uint16_t flags;

    switch (n->op) {
    case IR_ADC: e->r->d[0] = (a + b + !(e->c->h[0] & NZCV_B)) & mask; break;
    case IR_SBC: e->r->d[0] = (a + ~b + !(e->c->h[0] & NZCV_B)) & mask; break;
    case IR_CRC32: e->r->w[0] = crc32_update((uint32_t)a, b, n->aux); break;
    case IR_SELECT: *e->r = e->a->b[0] ? *e->b : *e->c; break;
    case IR_COND: e->r->b[0] = ir_eval_cond(e->a->h[0], n->aux); break;
    case IR_CMP:
        flags = ir_eval_flags(IR_SUB, n->a_type, a, b, 0);
        e->r->b[0] = ir_eval_cond(flags, n->aux);
        break;
    case IR_BIT: e->r->b[0] = (a >> (n->imm & 63) & 1) != (n->aux & 1); break;
    case IR_FLAGS_SELECT: e->r->h[0] = (e->a->b[0] ? e->b->h[0] : (uint16_t)n->imm) & kept; break;
    case IR_FLAGS_CONST: e->r->h[0] = n->imm & kept; break;
    case IR_FLAGS_PACK: e->r->w[0] = e->a->h[0] & kept; break;
    case IR_FLAGS_UNPACK: e->r->h[0] = e->a->w[0] & kept; break;
    default: break;
    }
}

void ir_eval_op(const struct guest_isa *isa, struct translator_cpu *cpu, const struct ir_insn *insn,
                const union vector128 arguments[3], union vector128 *result)
{
    struct evaluation e = {.isa = isa, .cpu = cpu, .insn = insn, .r = result};
    const unsigned op = insn->op;

    e.a = &arguments[0], e.b = &arguments[1], e.c = &arguments[2];
    const bool is_scalar_float =
        (op >= IR_FCONST && op < IR_VCONST) || op == IR_FLAGS_FCMP || op == IR_FCMP_PACK;
    if (is_scalar_float || (op >= IR_VFADD && op < IR_AESE))
        e.fp = ir_fp_mode(isa, cpu);

    result->d[0] = result->d[1] = 0;
    if (op >= IR_STRING_COPY)
        ir_evaluate_x86(&e);
    else if (op >= IR_MMX_ENTER)
        ir_evaluate_mmx(&e);
    else if (op >= IR_X87_ENTER)
        ir_evaluate_x87(&e);
    else if (op >= IR_X86V)
        ir_evaluate_x86_vector(&e);
    else if (op >= IR_AESE)
        ir_evaluate_crypto(&e);
    else if (op >= IR_VFADD)
        ir_evaluate_vector_float(&e);
    else if (op >= IR_VAND)
        ir_op_info[op].pure ? ir_evaluate_vector(&e) : ir_evaluate_saturate(&e);
    else if (op >= IR_VCONST)
        ir_evaluate_moving(&e);
    else if (is_scalar_float)
        ir_evaluate_scalar_float(&e);
    else if (op >= IR_PART_ADD && op <= IR_FLAGS_UCOM)
        ir_evaluate_x86(&e);
    else if (op >= IR_ADC)
        evaluate_flags(&e);
    else if (op == IR_CONST || op == IR_ADDRESS)
        result->d[0] = insn->imm;
    else
        result->d[0] =
            ir_eval_integer(op, insn->type, insn->aux, insn->imm, arguments[0].d[0], arguments[1].d[0]);
}
