/* SPDX-License-Identifier: GPL-2.0-or-later */
/* operands: random operands of vector instructions, of the kinds that matter to some of them. */
#ifndef VISOR_TESTS_X86_OPERANDS_H
#define VISOR_TESTS_X86_OPERANDS_H

#include "../../random.h"
#include "base/macros.h"
#include "base/vector.h"

/* Zero, the least and greatest denormal and normal numbers, limits of integers, infinity, NaNs. */
static uint64_t random_double(void)
{
    static const uint64_t corners[] = {
        0,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x3fe0000000000000,
        0x3ff0000000000000,
        0x3ff8000000000000,
        0x41dfffffffc00000,
        0x41e0000000000000,
        0x43e0000000000000,
        0x7fefffffffffffff,
        0x7ff0000000000000,
        0x7ff0000000000001,
        0x7ff4000000000000,
        0x7ff8000000000000,
        0x7fffffffffffffff,
    };
    uint64_t r = random64();
    switch (random_below(4)) {
    case 0: return r;
    case 1:
        return (r & 1ull << 63) | (1023 - 30 + (uint64_t)random_below(70)) << 52 | (r >> 12 & ~0ull << 40);
    default: return corners[random_below(ARRAY_SIZE(corners))] ^ (r & 1ull << 63);
    }
}

static uint32_t random_single(void)
{
    static const uint32_t corners[] = {
        0,          1,          0x007fffff, 0x00800000, 0x3f000000, 0x3f800000, 0x3fc00000, 0x4effffff,
        0x4f000000, 0x5f000000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fa00000, 0x7fc00000, 0x7fffffff,
    };
    uint32_t r = (uint32_t)random64();
    switch (random_below(4)) {
    case 0: return r;
    case 1: return (r & 1u << 31) | (127 - 20 + random_below(50)) << 23 | (r >> 9 & ~0u << 12);
    default: return corners[random_below(ARRAY_SIZE(corners))] ^ (r & 1u << 31);
    }
}

static union vector128 random_vector(void)
{
    union vector128 v = {.d = {random64(), random64()}};
    switch (random_below(6)) {
    case 0:
    case 1:
        for (unsigned i = 0; i < 4; i++)
            v.w[i] = random_single();
        break;
    case 2: v.d[0] = random_double(), v.d[1] = random_double(); break;
    case 3: /* text: few letters, an end */
        for (unsigned i = 0; i < 16; i++)
            v.b[i] = (uint8_t)(random_below(18) ? "abc\xfe"[random_below(4)] : 0);
        break;
    case 4: /* amounts and lengths, of either sign */
        for (unsigned i = 0; i < 4; i++)
            v.sw[i] = (int32_t)random_below(80) - 40;
        if (random64() & 1)
            v.d[0] = random_below(70);
        break;
    default: break;
    }
    return v;
}

#endif
