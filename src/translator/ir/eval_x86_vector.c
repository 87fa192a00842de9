/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eval_x86_vector: x86's vector instructions.
 *
 * What a processor of the guest's own kind computes (which NaN, which of the exception flags, how exact an
 * estimate) is best told by the host's, so most rows of x86_vector.def are evaluated by their instruction,
 * assembled by name. Those with an immediate, which is a constant of the instruction, are written out, or
 * assembled for each immediate where there are few.
 */
#include <string.h>
#include <sys/platform/x86.h>

#include "base/macros.h"
#include "translator/ir/evaluation.h"
#include "translator/ir/x86_vector.h"

#ifndef __x86_64__
#error "x86's vector instructions can be evaluated on x86-64 hosts only"
#endif

/* Whether a letter of the table's status column is S. */
enum { STATUS_P, STATUS_S };

const struct x86_vector_info x86_vector_info[X86V_COUNT] = {
#define X86V(row_name, row_shape, row_prefix, row_map, row_opcode, row_bytes, row_status, mnemonic)          \
    [X86V_##row_name] = {                                                                                    \
        .name = mnemonic,                                                                                    \
        .shape = X86_SHAPE_##row_shape,                                                                      \
        .prefix = row_prefix,                                                                                \
        .map = row_map,                                                                                      \
        .opcode = (row_opcode)&0xff,                                                                         \
        .digit = (row_opcode) >> 8,                                                                          \
        .bytes = row_bytes,                                                                                  \
        .raises_status = STATUS_##row_status,                                                                \
    },
#include "translator/ir/x86_vector.def"
#undef X86V
};

/* As libc has found them at its start: in a virtual machine each CPUID takes its time. */
bool x86_vector_available(enum x86_vector row)
{
    const unsigned shape = x86_vector_info[row].shape;
    if (row >= X86V_AESENC && row <= X86V_AESKEYGENASSIST)
        return x86_cpu_present(x86_cpu_AES);
    if (row == X86V_PCLMULQDQ)
        return x86_cpu_present(x86_cpu_PCLMULQDQ);
    if (shape >= X86_SHAPE_LEGACY && shape <= X86_SHAPE_LEGACY_XMM0)
        return x86_cpu_present(x86_cpu_SHA);
    return true;
}

typedef long long host_vector __attribute__((vector_size(16)));

static host_vector load(const union vector128 *v)
{
    host_vector x;
    memcpy(&x, v, sizeof x);
    return x;
}

static void store(union vector128 *v, host_vector x)
{
    memcpy(v, &x, sizeof x);
}

/* -- rows that are one host instruction -------------------------------------------------------------------
 */

#define ASM_RM(mnemonic)   __asm__ volatile(mnemonic " %1, %0" : "=x"(r) : "x"(a));
#define ASM_RVM(mnemonic)  __asm__ volatile(mnemonic " %2, %1, %0" : "=x"(r) : "x"(a), "x"(b));
#define ASM_RVMR(mnemonic) __asm__ volatile(mnemonic " %3, %2, %1, %0" : "=x"(r) : "x"(a), "x"(b), "x"(c));
#define ASM_LEGACY(mnemonic)                                                                                 \
    r = a;                                                                                                   \
    __asm__ volatile(mnemonic " %1, %0" : "+x"(r) : "x"(b));
#define ASM_LEGACY_XMM0(mnemonic)                                                                            \
    register host_vector xmm0 __asm__("xmm0") = c;                                                           \
    r = a;                                                                                                   \
    __asm__ volatile(mnemonic " %1, %0" : "+x"(r) : "x"(b), "x"(xmm0));
#define ASM_RMI(mnemonic)
#define ASM_RVMI(mnemonic)
#define ASM_SHIFT(mnemonic)
#define ASM_LEGACY_I(mnemonic)
#define ASM_MASK(mnemonic)
#define ASM_MASK_OF(mnemonic)
#define ASM_INDEX(mnemonic)
#define ASM_INDEX_OF(mnemonic)
#define ASM_TEST(mnemonic)
#define ASM_TO_INT(mnemonic)
#define ASM_FROM_INT(mnemonic)

static void evaluate_plain(const struct evaluation *e)
{
    host_vector a = load(e->a), b = load(e->b), c = load(e->c), r = {0, 0};

    switch (e->insn->aux) {
#define X86V(name, shape, prefix, map, opcode, bytes, status, mnemonic)                                      \
    case X86V_##name: {                                                                                      \
        ASM_##shape(mnemonic) break;                                                                         \
    }
#include "translator/ir/x86_vector.def"
#undef X86V
    default: break;
    }
    store(e->r, r);
}

/* -- immediates that choose among few instructions ---------------------------------------------------------
 */

#define IMM(n, text)                                                                                         \
    case n:                                                                                                  \
        __asm__ volatile(text : "=x"(r) : "x"(a), "x"(b));                                                   \
        break;
#define RVMI(n, text) IMM(n, text " $" #n ", %2, %1, %0")
#define RMI(n, text)  IMM(n, text " $" #n ", %1, %0")
#define EIGHT(kind, text)                                                                                    \
    kind(0, text) kind(1, text) kind(2, text) kind(3, text) kind(4, text) kind(5, text) kind(6, text)        \
        kind(7, text)
#define SIXTEEN(kind, text)                                                                                  \
    EIGHT(kind, text)                                                                                        \
    kind(8, text) kind(9, text) kind(10, text) kind(11, text) kind(12, text) kind(13, text) kind(14, text)   \
        kind(15, text)
#define ROW(row_name, mask, cases)                                                                           \
    case X86V_##row_name:                                                                                    \
        switch (e->insn->imm & (mask)) {                                                                     \
            cases default : break;                                                                           \
        }                                                                                                    \
        break;

/* False if it is another row. */
static bool evaluate_selected(const struct evaluation *e)
{
    host_vector a = load(e->a), b = load(e->b), r = {0, 0};

    switch (e->insn->aux) {
        ROW(CMPPS, 7, EIGHT(RVMI, "vcmpps"))
        ROW(CMPPD, 7, EIGHT(RVMI, "vcmppd"))
        ROW(CMPSS, 7, EIGHT(RVMI, "vcmpss"))
        ROW(CMPSD, 7, EIGHT(RVMI, "vcmpsd"))
        ROW(ROUNDPS, 15, SIXTEEN(RMI, "vroundps"))
        ROW(ROUNDPD, 15, SIXTEEN(RMI, "vroundpd"))
        ROW(ROUNDSS, 15, SIXTEEN(RVMI, "vroundss"))
        ROW(ROUNDSD, 15, SIXTEEN(RVMI, "vroundsd"))
        ROW(MPSADBW, 7, EIGHT(RVMI, "vmpsadbw"))
        ROW(PCLMULQDQ, 17,
            RVMI(0, "vpclmulqdq") RVMI(1, "vpclmulqdq") RVMI(16, "vpclmulqdq") RVMI(17, "vpclmulqdq"))
    default: return false;
    }
    store(e->r, r);
    return true;
}

/* The immediate selects which products count, and where the sum goes. */
static void evaluate_dot(const struct evaluation *e)
{
    const bool is_double = e->insn->aux == X86V_DPPD;
    const unsigned imm = (unsigned)e->insn->imm, lanes = is_double ? 2 : 4;
    union vector128 a = *e->a, b = *e->b;
    host_vector x, y, r;

    for (unsigned i = 0; i < lanes; i++) {
        if (imm >> (4 + i) & 1)
            continue;
        if (is_double)
            a.d[i] = b.d[i] = 0;
        else
            a.w[i] = b.w[i] = 0;
    }
    x = load(&a), y = load(&b);
    if (is_double)
        __asm__ volatile("vdppd $0xff, %2, %1, %0" : "=x"(r) : "x"(x), "x"(y));
    else
        __asm__ volatile("vdpps $0xff, %2, %1, %0" : "=x"(r) : "x"(x), "x"(y));
    store(e->r, r);
    for (unsigned i = 0; i < lanes; i++) {
        if (imm >> i & 1)
            continue;
        if (is_double)
            e->r->d[i] = 0;
        else
            e->r->w[i] = 0;
    }
}

static void evaluate_sha1_rounds(const struct evaluation *e)
{
    host_vector r = load(e->a), b = load(e->b);

    switch (e->insn->imm & 3) {
    case 0: __asm__ volatile("sha1rnds4 $0, %1, %0" : "+x"(r) : "x"(b)); break;
    case 1: __asm__ volatile("sha1rnds4 $1, %1, %0" : "+x"(r) : "x"(b)); break;
    case 2: __asm__ volatile("sha1rnds4 $2, %1, %0" : "+x"(r) : "x"(b)); break;
    default: __asm__ volatile("sha1rnds4 $3, %1, %0" : "+x"(r) : "x"(b)); break;
    }
    store(e->r, r);
}

/* -- immediates that are written out ------------------------------------------------------------------------
 */

static void shift_bytes(union vector128 *r, const union vector128 *a, int by)
{
    for (int i = 0; i < 16; i++)
        r->b[i] = i + by >= 0 && i + by < 16 ? a->b[i + by] : 0;
}

static void align_right(const struct evaluation *e, unsigned count)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned from = i + count;
        e->r->b[i] = from < 16 ? e->b->b[from] : from < 32 ? e->a->b[from - 16] : 0;
    }
}

static void insert_single(const struct evaluation *e, unsigned imm)
{
    *e->r = *e->a;
    e->r->w[imm >> 4 & 3] = e->b->w[imm >> 6 & 3];
    for (unsigned i = 0; i < 4; i++)
        if (imm >> i & 1)
            e->r->w[i] = 0;
}

static void shuffle_halves(const struct evaluation *e, unsigned first, unsigned imm)
{
    *e->r = *e->a;
    for (unsigned i = 0; i < 4; i++)
        e->r->h[first + i] = e->a->h[first + (imm >> (2 * i) & 3)];
}

static void assist_key(const struct evaluation *e, unsigned imm)
{
    host_vector a = load(e->a), r;
    __asm__ volatile("vaeskeygenassist $0, %1, %0" : "=x"(r) : "x"(a));
    store(e->r, r);
    e->r->w[1] ^= imm;
    e->r->w[3] ^= imm;
}

static void evaluate_immediate(const struct evaluation *e)
{
    const union vector128 *a = e->a, *b = e->b;
    const unsigned imm = (unsigned)e->insn->imm & 255;
    union vector128 *r = e->r;

    switch (e->insn->aux) {
    case X86V_PSHUFD:
        for (unsigned i = 0; i < 4; i++)
            r->w[i] = a->w[imm >> (2 * i) & 3];
        break;
    case X86V_PSHUFLW: shuffle_halves(e, 0, imm); break;
    case X86V_PSHUFHW: shuffle_halves(e, 4, imm); break;
    case X86V_SHUFPS:
        for (unsigned i = 0; i < 4; i++)
            r->w[i] = (i < 2 ? a : b)->w[imm >> (2 * i) & 3];
        break;
    case X86V_SHUFPD: r->d[0] = a->d[imm & 1], r->d[1] = b->d[imm >> 1 & 1]; break;
    case X86V_PALIGNR: align_right(e, imm); break;
    case X86V_BLENDPS:
        for (unsigned i = 0; i < 4; i++)
            r->w[i] = (imm >> i & 1 ? b : a)->w[i];
        break;
    case X86V_BLENDPD:
        for (unsigned i = 0; i < 2; i++)
            r->d[i] = (imm >> i & 1 ? b : a)->d[i];
        break;
    case X86V_PBLENDW:
        for (unsigned i = 0; i < 8; i++)
            r->h[i] = (imm >> i & 1 ? b : a)->h[i];
        break;
    case X86V_INSERTPS: insert_single(e, imm); break;
    case X86V_DPPS:
    case X86V_DPPD: evaluate_dot(e); break;
    case X86V_AESKEYGENASSIST: assist_key(e, imm); break;
    case X86V_SHA1RNDS4: evaluate_sha1_rounds(e); break;
    default: evaluate_selected(e); break;
    }
}

/* Shifts by an immediate are those by a vector that holds it. */
static void evaluate_shift(const struct evaluation *e)
{
    const int imm = (int)(e->insn->imm & 255);
    const union vector128 amount = {.d = {(uint64_t)imm, 0}};
    host_vector a = load(e->a), b = load(&amount), r = {0, 0};

    switch (e->insn->aux) {
    case X86V_PSRLW_IMM: ASM_RVM("vpsrlw") break;
    case X86V_PSRAW_IMM: ASM_RVM("vpsraw") break;
    case X86V_PSLLW_IMM: ASM_RVM("vpsllw") break;
    case X86V_PSRLD_IMM: ASM_RVM("vpsrld") break;
    case X86V_PSRAD_IMM: ASM_RVM("vpsrad") break;
    case X86V_PSLLD_IMM: ASM_RVM("vpslld") break;
    case X86V_PSRLQ_IMM: ASM_RVM("vpsrlq") break;
    case X86V_PSLLQ_IMM: ASM_RVM("vpsllq") break;
    case X86V_PSRLDQ_IMM: shift_bytes(e->r, e->a, imm); return;
    case X86V_PSLLDQ_IMM: shift_bytes(e->r, e->a, -imm); return;
    default: break;
    }
    store(e->r, r);
}

/* -- strings: PCMPxSTRx, SDM volume 2, 4.1 --------------------------------------------------------------- */

struct string_compare {
    bool is_words, is_signed;
    unsigned count;              /* of elements */
    unsigned a_length, b_length; /* of elements that count */
    uint32_t result;             /* one bit for each element of b */
};

static int64_t string_element(const struct string_compare *s, const union vector128 *v, unsigned i)
{
    if (s->is_words)
        return s->is_signed ? v->sh[i] : v->h[i];
    return s->is_signed ? v->sb[i] : v->b[i];
}

static unsigned implied_length(const struct string_compare *s, const union vector128 *v)
{
    unsigned i = 0;
    while (i < s->count && string_element(s, v, i))
        i++;
    return i;
}

static unsigned given_length(const struct string_compare *s, uint32_t length)
{
    uint32_t magnitude = length >> 31 ? 0u - length : length;
    return MIN(magnitude, s->count);
}

/* Element j of b with element i of a, for equality. */
static bool string_equal(const struct string_compare *s, const struct evaluation *e, unsigned i, unsigned j)
{
    return string_element(s, e->a, i) == string_element(s, e->b, j);
}

static bool equal_any(const struct string_compare *s, const struct evaluation *e, unsigned j)
{
    for (unsigned i = 0; i < s->a_length && j < s->b_length; i++)
        if (string_equal(s, e, i, j))
            return true;
    return false;
}

static bool in_ranges(const struct string_compare *s, const struct evaluation *e, unsigned j)
{
    for (unsigned i = 0; i + 1 < s->a_length && j < s->b_length; i += 2) {
        int64_t x = string_element(s, e->b, j);
        if (x >= string_element(s, e->a, i) && x <= string_element(s, e->a, i + 1))
            return true;
    }
    return false;
}

static bool equal_each(const struct string_compare *s, const struct evaluation *e, unsigned j)
{
    bool a_counts = j < s->a_length, b_counts = j < s->b_length;
    return a_counts && b_counts ? string_equal(s, e, j, j) : a_counts == b_counts;
}

static bool equal_ordered(const struct string_compare *s, const struct evaluation *e, unsigned j)
{
    for (unsigned i = 0; i < s->a_length && i + j < s->count; i++)
        if (i + j >= s->b_length || !string_equal(s, e, i, i + j))
            return false;
    return true;
}

static struct string_compare compare_strings(const struct evaluation *e, uint64_t lengths)
{
    static bool (*const aggregate[])(const struct string_compare *, const struct evaluation *,
                                     unsigned) = {equal_any, in_ranges, equal_each, equal_ordered};
    const unsigned imm = (unsigned)e->insn->imm, shape = x86_vector_info[e->insn->aux].shape;
    const bool given = shape == X86_SHAPE_MASK_OF || shape == X86_SHAPE_INDEX_OF;
    struct string_compare s = {.is_words = imm & 1, .is_signed = imm & 2, .count = imm & 1 ? 8 : 16};

    s.a_length = given ? given_length(&s, (uint32_t)lengths) : implied_length(&s, e->a);
    s.b_length = given ? given_length(&s, (uint32_t)(lengths >> 32)) : implied_length(&s, e->b);
    for (unsigned j = 0; j < s.count; j++) {
        bool negates = imm & 0x10 && (!(imm & 0x20) || j < s.b_length);
        if (aggregate[imm >> 2 & 3](&s, e, j) != negates)
            s.result |= 1u << j;
    }
    return s;
}

static void evaluate_mask(const struct evaluation *e)
{
    const struct string_compare s = compare_strings(e, e->c->d[0]);
    if (!(e->insn->imm & 0x40)) {
        e->r->w[0] = s.result;
        return;
    }
    for (unsigned i = 0; i < s.count; i++) {
        if (s.is_words)
            e->r->h[i] = s.result >> i & 1 ? 0xffff : 0;
        else
            e->r->b[i] = s.result >> i & 1 ? 0xff : 0;
    }
}

static void evaluate_index(const struct evaluation *e)
{
    const struct string_compare s = compare_strings(e, e->c->d[0]);
    if (!s.result)
        e->r->w[0] = s.count;
    else
        e->r->w[0] =
            e->insn->imm & 0x40 ? 31 - (uint32_t)__builtin_clz(s.result) : (uint32_t)__builtin_ctz(s.result);
}

/* -- integers and flags ---------------------------------------------------------------------------------- */

static void evaluate_flags(const struct evaluation *e)
{
    if (e->insn->aux == X86V_PTEST) {
        const union vector128 *a = e->a, *b = e->b;
        bool zero = !((a->d[0] & b->d[0]) | (a->d[1] & b->d[1]));
        bool covered = !((~a->d[0] & b->d[0]) | (~a->d[1] & b->d[1]));
        e->r->h[0] = (uint16_t)((zero ? NZCV_Z : 0) | (covered ? NZCV_B : 0));
        return;
    }
    const struct string_compare s = compare_strings(e, e->c->d[0]);
    e->r->h[0] = (uint16_t)((s.result ? NZCV_B : 0) | (s.b_length < s.count ? NZCV_Z : 0) |
                            (s.a_length < s.count ? NZCV_N : 0) | (s.result & 1 ? NZCV_V : 0));
}

#define TO_INT(text)                                                                                         \
    if (wide)                                                                                                \
        __asm__ volatile(text " %1, %0" : "=r"(r64) : "x"(a));                                               \
    else                                                                                                     \
        __asm__ volatile(text " %1, %0" : "=r"(r32) : "x"(a));

static void evaluate_to_int(const struct evaluation *e)
{
    const bool wide = e->insn->type == IR_I64;
    host_vector a = load(e->a);
    uint64_t r64 = 0;
    uint32_t r32 = 0;

    switch (e->insn->aux) {
    case X86V_CVTTSS2SI: TO_INT("vcvttss2si") break;
    case X86V_CVTTSD2SI: TO_INT("vcvttsd2si") break;
    case X86V_CVTSS2SI: TO_INT("vcvtss2si") break;
    case X86V_CVTSD2SI: TO_INT("vcvtsd2si") break;
    case X86V_MOVMSKPS: __asm__ volatile("vmovmskps %1, %0" : "=r"(r64) : "x"(a)); break;
    case X86V_MOVMSKPD: __asm__ volatile("vmovmskpd %1, %0" : "=r"(r64) : "x"(a)); break;
    case X86V_PMOVMSKB: __asm__ volatile("vpmovmskb %1, %0" : "=r"(r64) : "x"(a)); break;
    default: evaluate_index(e); return;
    }
    e->r->d[0] = wide ? r64 : (uint32_t)r64 | r32;
}

static void evaluate_from_int(const struct evaluation *e)
{
    const bool wide = e->insn->b_type == IR_I64, is_double = e->insn->aux == X86V_CVTSI2SD;
    host_vector a = load(e->a), r;
    uint64_t b = e->b->d[0];

    if (wide && is_double)
        __asm__ volatile("vcvtsi2sdq %2, %1, %0" : "=x"(r) : "x"(a), "r"(b));
    else if (wide)
        __asm__ volatile("vcvtsi2ssq %2, %1, %0" : "=x"(r) : "x"(a), "r"(b));
    else if (is_double)
        __asm__ volatile("vcvtsi2sdl %2, %1, %0" : "=x"(r) : "x"(a), "r"((uint32_t)b));
    else
        __asm__ volatile("vcvtsi2ssl %2, %1, %0" : "=x"(r) : "x"(a), "r"((uint32_t)b));
    store(e->r, r);
}

void ir_evaluate_x86_vector(const struct evaluation *e)
{
    switch (e->insn->op) {
    case IR_X86V_TO_INT:
    case IR_X86VF_TO_INT: evaluate_to_int(e); return;
    case IR_X86VF_FROM_INT: evaluate_from_int(e); return;
    case IR_X86V_FLAGS: evaluate_flags(e); return;
    default: break;
    }
    switch (x86_vector_info[e->insn->aux].shape) {
    case X86_SHAPE_RMI:
    case X86_SHAPE_RVMI:
    case X86_SHAPE_LEGACY_I: evaluate_immediate(e); break;
    case X86_SHAPE_SHIFT: evaluate_shift(e); break;
    case X86_SHAPE_MASK:
    case X86_SHAPE_MASK_OF: evaluate_mask(e); break;
    default: evaluate_plain(e); break;
    }
}
