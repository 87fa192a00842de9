/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * timer: a machine's clock, and what is to happen when it has reached a time.
 *
 * The clock counts nanoseconds since the machine was switched on and stands still while the machine is
 * paused. Devices know no other: a test gives them a clock of its own. The machine's loop thread sleeps until
 * timers_next() and calls timers_run() under the machine's lock.
 *
 * Setting and cancelling need no allocation and may be done by any thread. Whoever does that without the
 * machine's lock can meet his callback for the deadline that he has just replaced, and must look at the time.
 * Timers that are due together run in the order of their deadlines, then in that of their timer_init().
 */
#ifndef VISOR_BASE_TIMER_H
#define VISOR_BASE_TIMER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define TIMER_NEVER  UINT64_MAX
#define TIMER_SECOND UINT64_C(1000000000) /* in the clock's nanoseconds */

struct clock {
    uint64_t (*now)(void *opaque);
    void *opaque;
};

static inline uint64_t clock_now(const struct clock *clock)
{
    return clock->now(clock->opaque);
}

/* Ticks of a counter of `frequency` hertz in a time, and the time at which a tick begins, rounded up, so that
 * clock_ticks(clock_ticks_time(n, f), f) == n. That holds up to 1 GHz. */
uint64_t clock_ticks(uint64_t nanoseconds, uint64_t frequency);
uint64_t clock_ticks_time(uint64_t ticks, uint64_t frequency);

struct timer {
    uint64_t deadline; /* while armed */
    bool armed;
    void (*callback)(void *opaque); /* runs disarmed; it may arm the timer again, for later than now */
    void *opaque;
    struct timers *timers;
    uint32_t number;
    struct timer *child, *next, *previous; /* in the heap; the first child's `previous` is its parent */
};

struct timers {
    struct clock clock;
    void (*earlier)(void *opaque); /* may be NULL: timers_next() has become earlier than it was */
    void *opaque;
    pthread_mutex_t lock; /* of the heap; innermost, not held in callbacks */
    struct timer *root;
    uint32_t made, armed;
    bool still;
};

void timers_init(struct timers *timers, struct clock clock);
void timers_destroy(struct timers *timers);
/* The earliest deadline, or TIMER_NEVER. */
uint64_t timers_next(struct timers *timers);
/* Runs what is due, each timer about once: one that arms itself for the past does not hold up the caller. */
void timers_run(struct timers *timers);
/* While the clock stands still nothing is due, and timers_next() is TIMER_NEVER. */
void timers_stand_still(struct timers *timers, bool still);

void timer_init(struct timer *timer, struct timers *timers, void (*callback)(void *), void *opaque);
/* Arms the timer, or moves its deadline. TIMER_NEVER cancels it. */
void timer_set(struct timer *timer, uint64_t deadline);
void timer_cancel(struct timer *timer);

#endif
