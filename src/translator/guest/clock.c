/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock: see clock.h. */
#include "translator/guest/clock.h"

#include <time.h>

#define PER_SECOND 1000000000u

uint64_t guest_read_clock(void *cpu, uint64_t number, uint64_t unused)
{
    static const uint32_t served = 1u << CLOCK_REALTIME | 1u << CLOCK_MONOTONIC | 1u << CLOCK_MONOTONIC_RAW |
                                   1u << CLOCK_REALTIME_COARSE | 1u << CLOCK_MONOTONIC_COARSE |
                                   1u << CLOCK_BOOTTIME | 1u << CLOCK_TAI;
    struct timespec now;
    (void)cpu, (void)unused;
    if (number > CLOCK_TAI || !(served & 1u << number) || clock_gettime((clockid_t)number, &now) < 0)
        return ~(uint64_t)0;
    return (uint64_t)now.tv_sec * PER_SECOND + (uint64_t)now.tv_nsec;
}
