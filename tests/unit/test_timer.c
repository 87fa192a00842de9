/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The machine's timers against a plain list, and conversions of time to ticks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/macros.h"
#include "base/timer.h"

static uint64_t now;

static uint64_t fake_now(void *opaque)
{
    (void)opaque;
    return now;
}

struct entry {
    struct timer timer;
    bool armed;
    uint64_t deadline;
    unsigned again; /* arms itself so often, for the past */
};

static struct entry entries[40];
static uint64_t last_deadline;
static unsigned last_number, ran;

static void entry_due(void *opaque)
{
    struct entry *entry = opaque;
    assert_true(entry->armed && entry->deadline <= now && !entry->timer.armed);
    unsigned number = (unsigned)(entry - entries);
    assert_true(entry->deadline > last_deadline ||
                (entry->deadline == last_deadline && number > last_number));
    last_deadline = entry->deadline;
    last_number = number;
    entry->armed = false;
    ran++;
}

static void test_random(void **state)
{
    (void)state;
    struct timers timers;
    timers_init(&timers, (struct clock){fake_now, NULL});
    for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
        timer_init(&entries[i].timer, &timers, entry_due, &entries[i]);
    srand(7);
    for (unsigned round = 0; round < 100000; round++) {
        struct entry *entry = &entries[(unsigned)rand() % ARRAY_SIZE(entries)];
        if (rand() % 4) {
            entry->deadline = now + (unsigned)rand() % 50;
            entry->armed = true;
            timer_set(&entry->timer, entry->deadline);
        } else {
            entry->armed = false;
            timer_cancel(&entry->timer);
        }
        uint64_t first = TIMER_NEVER;
        for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
            if (entries[i].armed)
                first = MIN(first, entries[i].deadline);
        assert_int_equal(timers_next(&timers), first);
        if (rand() % 8 == 0) {
            now += (unsigned)rand() % 30;
            last_deadline = last_number = 0;
            timers_run(&timers);
            for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
                assert_false(entries[i].armed && entries[i].deadline <= now);
        }
    }
    assert_true(ran > 10000);
    timers_destroy(&timers);
}

static void past_due(void *opaque)
{
    struct timer *timer = opaque;
    ran++;
    timer_set(timer, 0);
}

static unsigned earlier;

static void told_earlier(void *opaque)
{
    (void)opaque;
    earlier++;
}

static void test_past(void **state)
{
    (void)state;
    struct timers timers;
    struct timer timer;
    timers_init(&timers, (struct clock){fake_now, NULL});
    timers.earlier = told_earlier;
    timer_init(&timer, &timers, past_due, &timer);
    timer_set(&timer, now + 5);
    timer_set(&timer, now + 6);
    assert_int_equal(earlier, 1);
    timer_set(&timer, now + 4);
    assert_int_equal(earlier, 2);
    timer_set(&timer, 0);
    ran = 0;
    timers_run(&timers);
    assert_int_equal(ran, 1);
    timer_cancel(&timer);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    timers_destroy(&timers);
}

static void test_still(void **state)
{
    (void)state;
    struct timers timers;
    struct timer timer;
    timers_init(&timers, (struct clock){fake_now, NULL});
    timers.earlier = told_earlier;
    timer_init(&timer, &timers, past_due, &timer);
    timer_set(&timer, now + 5);
    timers_stand_still(&timers, true);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    timer_set(&timer, 0);
    ran = earlier = 0;
    timers_run(&timers);
    assert_int_equal(ran, 0);
    timers_stand_still(&timers, false);
    assert_int_equal(earlier, 1); /* whoever sleeps until the next deadline looks again */
    assert_int_equal(timers_next(&timers), 0);
    timers_run(&timers);
    assert_int_equal(ran, 1);
    timers_destroy(&timers);
}

static void test_ticks(void **state)
{
    (void)state;
    static const uint64_t frequencies[] = {32768, 1193182, 3579545, 14318180, TIMER_SECOND, 3000000000};
    for (unsigned i = 0; i < ARRAY_SIZE(frequencies); i++)
        for (uint64_t ticks = 1; ticks < UINT64_C(1) << 56; ticks = ticks * 3 + 1) {
            uint64_t time = clock_ticks_time(ticks, frequencies[i]);
            if (time == TIMER_NEVER)
                break;
            if (frequencies[i] <= TIMER_SECOND)
                assert_int_equal(clock_ticks(time, frequencies[i]), ticks);
            assert_true(clock_ticks(time - 1, frequencies[i]) < ticks);
        }
    assert_int_equal(clock_ticks(TIMER_SECOND * 3600 * 24 * 365 * 100, 1193182),
                     UINT64_C(1193182) * 3600 * 24 * 365 * 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_past),
        cmocka_unit_test(test_still),
        cmocka_unit_test(test_ticks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
