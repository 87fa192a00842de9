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
    static const uint8_t ops[] = {IR_SHA1C,   IR_SHA1P,    IR_SHA1M,    IR_SHA1SU0,
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
