/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eval_crypto: Arm's AES and SHA instructions. Specification: Arm ARM C7.2 and FIPS 197, FIPS 180-4. */
#include "translator/ir/evaluation.h"

/* FIPS 197, figures 7 and 14 */
static const uint8_t substitute[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

static const uint8_t substitute_inverse[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

/* -- AES: byte 4 * column + row of the state ------------------------------------------------------------ */

/* ShiftRows and SubBytes of a ^ b, or their inverses. */
static void evaluate_aes_round(const struct evaluation *e, bool inverse)
{
    for (unsigned column = 0; column < 4; column++) {
        for (unsigned row = 0; row < 4; row++) {
            const unsigned from = 4 * ((inverse ? column - row : column + row) & 3) + row;
            const uint8_t x = e->a->b[from] ^ e->b->b[from];
            e->r->b[4 * column + row] = inverse ? substitute_inverse[x] : substitute[x];
        }
    }
}

/* x times the polynomial `factor` (less than 16) in AES's field */
static uint8_t multiply(unsigned x, unsigned factor)
{
    unsigned r = 0;
    for (; factor; factor >>= 1) {
        if (factor & 1)
            r ^= x;
        x = x << 1 ^ (x & 0x80 ? 0x11b : 0);
    }
    return (uint8_t)r;
}

static void evaluate_mix_columns(const struct evaluation *e, const uint8_t factors[4])
{
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < 4; k++)
            e->r->b[i] ^= multiply(e->a->b[(i & ~3u) + ((i + k) & 3)], factors[k]);
}

/* -- SHA ------------------------------------------------------------------------------------------------ */

static uint32_t rotate_left(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

static uint32_t rotate_right(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) | (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) | (x & z) | (y & z);
}

/* Four rounds of SHA-1: a to d in X, e in Y. */
static void evaluate_sha1_rounds(const struct evaluation *e)
{
    union vector128 x = *e->a;
    uint32_t y = e->b->w[0];

    for (unsigned i = 0; i < 4; i++) {
        uint32_t t;
        switch (e->insn->op) {
        case IR_SHA1C: t = choose(x.w[1], x.w[2], x.w[3]); break;
        case IR_SHA1M: t = majority(x.w[1], x.w[2], x.w[3]); break;
        default: t = x.w[1] ^ x.w[2] ^ x.w[3]; break;
        }
        t += y + rotate_left(x.w[0], 5) + e->c->w[i];
        y = x.w[3];
        x.w[3] = x.w[2];
        x.w[2] = rotate_left(x.w[1], 30);
        x.w[1] = x.w[0];
        x.w[0] = t;
    }
    *e->r = x;
}

static void evaluate_sha1_schedule0(const struct evaluation *e)
{
    e->r->d[0] = e->a->d[1] ^ e->a->d[0] ^ e->c->d[0];
    e->r->d[1] = e->b->d[0] ^ e->a->d[1] ^ e->c->d[1];
}

static void evaluate_sha1_schedule1(const struct evaluation *e)
{
    uint32_t t[4];
    for (unsigned i = 0; i < 4; i++) {
        t[i] = e->a->w[i] ^ (i < 3 ? e->b->w[i + 1] : 0);
        e->r->w[i] = rotate_left(t[i], 1);
    }
    e->r->w[3] ^= rotate_left(t[0], 2);
}

/* Four rounds of SHA-256: a to d in X, e to h in Y. */
static void evaluate_sha256_rounds(const struct evaluation *e, bool first_half)
{
    union vector128 x = first_half ? *e->a : *e->b, y = first_half ? *e->b : *e->a;

    for (unsigned i = 0; i < 4; i++) {
        uint32_t sum1 = rotate_right(y.w[0], 6) ^ rotate_right(y.w[0], 11) ^ rotate_right(y.w[0], 25);
        uint32_t sum0 = rotate_right(x.w[0], 2) ^ rotate_right(x.w[0], 13) ^ rotate_right(x.w[0], 22);
        uint32_t t1 = y.w[3] + sum1 + choose(y.w[0], y.w[1], y.w[2]) + e->c->w[i];
        uint32_t t2 = sum0 + majority(x.w[0], x.w[1], x.w[2]);
        y = (union vector128){.w = {x.w[3] + t1, y.w[0], y.w[1], y.w[2]}};
        x = (union vector128){.w = {t1 + t2, x.w[0], x.w[1], x.w[2]}};
    }
    *e->r = first_half ? x : y;
}

static void evaluate_sha256_schedule0(const struct evaluation *e)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t x = i < 3 ? e->a->w[i + 1] : e->b->w[0];
        e->r->w[i] = e->a->w[i] + (rotate_right(x, 7) ^ rotate_right(x, 18) ^ x >> 3);
    }
}

static void evaluate_sha256_schedule1(const struct evaluation *e)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t x = i < 2 ? e->c->w[i + 2] : e->r->w[i - 2];
        uint32_t t0 = i < 3 ? e->b->w[i + 1] : e->c->w[0];
        e->r->w[i] = e->a->w[i] + t0 + (rotate_right(x, 17) ^ rotate_right(x, 19) ^ x >> 10);
    }
}

static uint64_t rotate_right_wide(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

static uint64_t sha512_sum(uint64_t x, unsigned n1, unsigned n2, unsigned n3)
{
    return rotate_right_wide(x, n1) ^ rotate_right_wide(x, n2) ^ rotate_right_wide(x, n3);
}

/* SHA512H: a = Vd, b = Vn, c = Vm */
static void evaluate_sha512_rounds(const struct evaluation *e)
{
    const uint64_t *d = e->a->d, *x = e->b->d, *y = e->c->d;
    uint64_t t = d[1] + sha512_sum(y[1], 14, 18, 41) + ((y[1] & x[0]) ^ (~y[1] & x[1]));
    const uint64_t high = t;
    t += y[0];
    e->r->d[0] = ((t & y[1]) ^ (~t & x[0])) + sha512_sum(t, 14, 18, 41) + d[0];
    e->r->d[1] = high;
}

static uint64_t majority_wide(uint64_t x, uint64_t y, uint64_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

/* SHA512H2 */
static void evaluate_sha512_rounds2(const struct evaluation *e)
{
    const uint64_t *d = e->a->d, *x = e->b->d, *y = e->c->d;
    const uint64_t high = d[1] + majority_wide(x[0], y[1], y[0]) + sha512_sum(y[0], 28, 34, 39);
    e->r->d[1] = high;
    e->r->d[0] = d[0] + majority_wide(high, y[0], y[1]) + sha512_sum(high, 28, 34, 39);
}

static void evaluate_sha512_schedule0(const struct evaluation *e)
{
    const uint64_t next[2] = {e->a->d[1], e->b->d[0]};
    for (unsigned i = 0; i < 2; i++)
        e->r->d[i] =
            e->a->d[i] + (rotate_right_wide(next[i], 1) ^ rotate_right_wide(next[i], 8) ^ next[i] >> 7);
}

static void evaluate_sha512_schedule1(const struct evaluation *e)
{
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t x = e->b->d[i];
        e->r->d[i] = e->a->d[i] + e->c->d[i] + (rotate_right_wide(x, 19) ^ rotate_right_wide(x, 61) ^ x >> 6);
    }
}

void ir_evaluate_crypto(const struct evaluation *e)
{
    static const uint8_t mix[] = {2, 3, 1, 1}, mix_inverse[] = {14, 11, 13, 9};

    switch (e->insn->op) {
    case IR_AESE: evaluate_aes_round(e, false); break;
    case IR_AESD: evaluate_aes_round(e, true); break;
    case IR_AESMC: evaluate_mix_columns(e, mix); break;
    case IR_AESIMC: evaluate_mix_columns(e, mix_inverse); break;
    case IR_SHA1C:
    case IR_SHA1P:
    case IR_SHA1M: evaluate_sha1_rounds(e); break;
    case IR_SHA1H: e->r->w[0] = rotate_left(e->a->w[0], 30); break;
    case IR_SHA1SU0: evaluate_sha1_schedule0(e); break;
    case IR_SHA1SU1: evaluate_sha1_schedule1(e); break;
    case IR_SHA256H: evaluate_sha256_rounds(e, true); break;
    case IR_SHA256H2: evaluate_sha256_rounds(e, false); break;
    case IR_SHA256SU0: evaluate_sha256_schedule0(e); break;
    case IR_SHA256SU1: evaluate_sha256_schedule1(e); break;
    case IR_SHA512H: evaluate_sha512_rounds(e); break;
    case IR_SHA512H2: evaluate_sha512_rounds2(e); break;
    case IR_SHA512SU0: evaluate_sha512_schedule0(e); break;
    case IR_SHA512SU1: evaluate_sha512_schedule1(e); break;
    default: break;
    }
}
