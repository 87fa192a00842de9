/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fake_clock: a machine's clock and timers that a test moves by hand; nanoseconds. */
#ifndef TESTS_UNIT_FAKE_CLOCK_H
#define TESTS_UNIT_FAKE_CLOCK_H

#include "base/timer.h"

static uint64_t now;
static struct timers timers;

static uint64_t fake_now(void *opaque)
{
    (void)opaque;
    return now;
}

/* Begins at `start` with no timer armed; timers_destroy() ends it. */
static inline void fake_clock_start(uint64_t start)
{
    now = start;
    timers_init(&timers, (struct clock){fake_now, NULL});
}

/* Every timer on the way runs at its own time. */
static inline void advance(uint64_t nanoseconds)
{
    uint64_t end = now + nanoseconds;
    while (timers_next(&timers) <= end) {
        now = timers_next(&timers);
        timers_run(&timers);
    }
    now = end;
}

#endif
