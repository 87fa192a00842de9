/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random: repeatable random numbers; a test that takes a seed sets random_state, which is not to be 0. */
#ifndef VISOR_TESTS_RANDOM_H
#define VISOR_TESTS_RANDOM_H

#include <stdint.h>

static uint64_t random_state = 0x9e3779b97f4a7c15;

static inline uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}

static inline unsigned random_below(unsigned n)
{
    return (unsigned)((random64() >> 32) % n);
}

#endif
