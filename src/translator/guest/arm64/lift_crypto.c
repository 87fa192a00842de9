/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_crypto: AES, SHA-1 and SHA-256, Arm ARM C4.1 "Cryptographic AES", "... SHA". */
#include "arm64_decode.h"
#include "translator/guest/arm64/lift_simd.h"

bool lift_crypto_aes_round(struct lift *l, const struct arm64_crypto_aes_round *f)
{
    ir_value d = lift_read_v(l, f->rd), n = lift_read_v(l, f->rn);
    lift_write_v(l, f->rd, ir_vec2(l->ir, f->op ? IR_AESD : IR_AESE, 0, d, n, 0));
    return true;
}

bool lift_crypto_aes_mix(struct lift *l, const struct arm64_crypto_aes_mix *f)
{
    lift_write_v(l, f->rd, ir_vec1(l->ir, f->op ? IR_AESIMC : IR_AESMC, 0, lift_read_v(l, f->rn), 0));
    return true;
}

bool lift_crypto_sha3(struct lift *l, const struct arm64_crypto_sha3 *f)
{
    static const uint16_t ops[] = {IR_SHA1C,   IR_SHA1P,    IR_SHA1M,    IR_SHA1SU0,
                                   IR_SHA256H, IR_SHA256H2, IR_SHA256SU1};
    ir_value d = lift_read_v(l, f->rd), n = lift_read_v(l, f->rn), m = lift_read_v(l, f->rm);
    lift_write_v(l, f->rd, ir_vec3(l->ir, ops[f->op], 0, d, n, m));
    return true;
}

bool lift_crypto_sha1_rotate(struct lift *l, const struct arm64_crypto_sha1_rotate *f)
{
    lift_write_v(l, f->rd, ir_vec1(l->ir, IR_SHA1H, 0, lift_read_v(l, f->rn), 0));
    return true;
}

bool lift_crypto_sha2(struct lift *l, const struct arm64_crypto_sha2 *f)
{
    ir_value d = lift_read_v(l, f->rd), n = lift_read_v(l, f->rn);
    lift_write_v(l, f->rd, ir_vec2(l->ir, f->op ? IR_SHA256SU0 : IR_SHA1SU1, 0, d, n, 0));
    return true;
}

/* -- FEAT_SHA3 ----------------------------------------------------------------------------------------------
 */

/* EOR3; BCAX, which clears the bits of Va in Vm */
bool lift_crypto_xor3(struct lift *l, const struct arm64_crypto_xor3 *f)
{
    ir_value m = lift_read_v(l, f->rm), a = lift_read_v(l, f->ra);
    ir_value v = ir_vec2(l->ir, f->clear ? IR_VANDN : IR_VXOR, 0, m, a, 0);
    lift_write_v(l, f->rd, ir_vec2(l->ir, IR_VXOR, 0, lift_read_v(l, f->rn), v, 0));
    return true;
}

/* Doublewords rotated right. */
static ir_value rotate_doublewords(struct lift *l, ir_value v, unsigned n)
{
    if (n == 0)
        return v;
    return ir_vec2(l->ir, IR_VOR, 0, ir_vec1(l->ir, IR_VUSHR, 3, v, n), ir_vec1(l->ir, IR_VSHL, 3, v, 64 - n),
                   0);
}

bool lift_crypto_rotate_xor(struct lift *l, const struct arm64_crypto_rotate_xor *f)
{
    ir_value m = rotate_doublewords(l, lift_read_v(l, f->rm), 63);
    lift_write_v(l, f->rd, ir_vec2(l->ir, IR_VXOR, 0, lift_read_v(l, f->rn), m, 0));
    return true;
}

bool lift_crypto_xor_rotate(struct lift *l, const struct arm64_crypto_xor_rotate *f)
{
    ir_value v = ir_vec2(l->ir, IR_VXOR, 0, lift_read_v(l, f->rn), lift_read_v(l, f->rm), 0);
    lift_write_v(l, f->rd, rotate_doublewords(l, v, f->imm));
    return true;
}

/* -- FEAT_SHA512 --------------------------------------------------------------------------------------------
 */

bool lift_crypto_sha512_3(struct lift *l, const struct arm64_crypto_sha512_3 *f)
{
    static const uint16_t ops[] = {IR_SHA512H, IR_SHA512H2, IR_SHA512SU1};
    ir_value d = lift_read_v(l, f->rd), n = lift_read_v(l, f->rn), m = lift_read_v(l, f->rm);
    lift_write_v(l, f->rd, ir_vec3(l->ir, ops[f->op], 0, d, n, m));
    return true;
}

bool lift_crypto_sha512_2(struct lift *l, const struct arm64_crypto_sha512_2 *f)
{
    ir_value d = lift_read_v(l, f->rd), n = lift_read_v(l, f->rn);
    lift_write_v(l, f->rd, ir_vec2(l->ir, IR_SHA512SU0, 0, d, n, 0));
    return true;
}
