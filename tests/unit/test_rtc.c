/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The real-time clock: formats, setting, alarms, periodic and update interrupts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "device/timer/rtc.h"
#include "fake_clock.h"

static struct rtc rtc;
static struct io_space io;
static bool line;
static unsigned rises;

static void set_line(void *opaque, unsigned number, bool level)
{
    (void)opaque, (void)number;
    rises += level && !line;
    line = level;
}

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    line = false;
    rises = 0;
    fake_clock_start(0);
    rtc_init(&rtc, &timers, (struct irq_line){set_line, NULL, 0});
    return io_space_init(&io, &error) ? -1 : rtc_attach(&rtc, &io, &error);
}

static int tear_down(void **state)
{
    (void)state;
    io_space_destroy(&io);
    timers_destroy(&timers);
    return 0;
}

static uint8_t get(uint8_t index)
{
    io_write(&io, 0x70, 1, index);
    return (uint8_t)io_read(&io, 0x71, 1);
}

static void set(uint8_t index, uint8_t value)
{
    io_write(&io, 0x70, 1, index | 0x80);
    io_write(&io, 0x71, 1, value);
}

/* 2024-02-29 23:59:58, a Thursday. */
#define LEAP_DAY 1709251198

static void expect(const uint8_t bytes[8])
{
    static const uint8_t indexes[8] = {RTC_CENTURY, 9, 8, 7, 6, 4, 2, 0};
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(indexes[i]), bytes[i]);
}

static void test_formats(void **state)
{
    (void)state;
    rtc_set_time(&rtc, LEAP_DAY);
    assert_int_equal(get(0x0a), 0x26);
    assert_int_equal(get(0x0d), 0x80);
    expect((uint8_t[]){0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x58});
    advance(TIMER_SECOND * 2);
    expect((uint8_t[]){0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00});
    rtc_set_time(&rtc, LEAP_DAY);
    set(0x0b, 0x80 | 0x04); /* binary, 12 hours */
    rtc_set_time(&rtc, LEAP_DAY);
    set(0x0b, 0x04);
    expect((uint8_t[]){20, 24, 2, 29, 5, 0x80 | 11, 59, 58});
    advance(TIMER_SECOND * 2);
    assert_int_equal(get(4), 12); /* midnight */
    advance(TIMER_SECOND * 12 * 3600);
    assert_int_equal(get(4), 0x80 | 12); /* noon */
    advance(TIMER_SECOND * 3600);
    assert_int_equal(get(4), 0x80 | 1);
}

/* Against the C library, over four centuries. */
static void test_calendar(void **state)
{
    (void)state;
    set(0x0b, 0x06);
    srand(3);
    for (unsigned i = 0; i < 20000; i++) {
        time_t seconds = ((time_t)rand() << 3 | rand() % 8) - 2000000000;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        rtc_set_time(&rtc, seconds);
        expect((uint8_t[]){(uint8_t)((tm.tm_year + 1900) / 100), (uint8_t)(tm.tm_year % 100),
                           (uint8_t)(tm.tm_mon + 1), (uint8_t)tm.tm_mday, (uint8_t)(tm.tm_wday + 1),
                           (uint8_t)tm.tm_hour, (uint8_t)tm.tm_min, (uint8_t)tm.tm_sec});
        /* And what the guest sets is what the clock then is. */
        set(0x0b, 0x86);
        set(0, 59);
        set(0x0b, 0x06);
        assert_int_equal(rtc_time(&rtc), seconds - tm.tm_sec + 59);
    }
}

static void test_set(void **state)
{
    (void)state;
    rtc_set_time(&rtc, LEAP_DAY);
    advance(300000000);
    set(0x0b, 0x82);
    advance(TIMER_SECOND * 10); /* the registers stand */
    assert_int_equal(get(0), 0x58);
    set(RTC_CENTURY, 0x19);
    set(9, 0x99);
    set(8, 0x12);
    set(7, 0x31);
    set(6, 6);
    set(4, 0x23);
    set(2, 0x59);
    set(0, 0x59);
    set(0x0b, 0x02);
    assert_int_equal(rtc_time(&rtc), 946684799);
    advance(699000000);
    assert_int_equal(get(0), 0x59); /* the divider chain went on */
    advance(1000000);
    expect((uint8_t[]){0x20, 0x00, 0x01, 0x01, 7, 0, 0, 0});
    /* While it runs, too; a weekday that is not the date's stays ahead of it. */
    set(4, 0x12);
    set(6, 2);
    assert_int_equal(get(4), 0x12);
    advance(TIMER_SECOND * 12 * 3600);
    assert_int_equal(get(6), 3);
    assert_int_equal(get(7), 2);
    /* Nonsense is a time as well. */
    for (unsigned i = 0; i < 10; i++)
        set((uint8_t)i, 0xff);
    set(RTC_CENTURY, 0);
    set(9, 0);
    advance(TIMER_SECOND);
    get(0);
    /* The divider in reset; the first update is half a second after. */
    set(0x0a, 0x76);
    set(0, 0x10);
    advance(TIMER_SECOND * 5);
    assert_int_equal(get(0), 0x10);
    set(0x0a, 0x26);
    advance(499000000);
    assert_int_equal(get(0), 0x10);
    advance(1100000);
    assert_int_equal(get(0), 0x11);
}

static void test_update(void **state)
{
    (void)state;
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    set(0x0a, 0x20);
    advance(990000000);
    assert_int_equal(get(0x0a), 0x20);
    advance(8000000);
    assert_int_equal(get(0x0a), 0xa0);
    advance(2000000);
    assert_int_equal(get(0x0a), 0x20);
    assert_int_equal(get(0x0c), 0x10); /* without an interrupt */
    assert_int_equal(get(0x0c), 0);
    set(0x0b, 0x12);
    advance(TIMER_SECOND);
    assert_true(line);
    advance(TIMER_SECOND * 10);
    assert_int_equal(rises, 1); /* until C is read */
    assert_int_equal(get(0x0c), 0x90);
    assert_false(line);
    advance(TIMER_SECOND);
    assert_int_equal(rises, 2);
    set(0x0b, 0x92); /* setting clears the enable */
    assert_int_equal(get(0x0b), 0x82);
    assert_false(line);
}

static void test_periodic(void **state)
{
    (void)state;
    static const unsigned rates[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                       256, 128, 64,  32,   16,   8,    4,    2};
    for (unsigned rate = 0; rate < 16; rate++) {
        set(0x0b, 0x42);
        set(0x0a, (uint8_t)(0x20 | rate));
        get(0x0c);
        unsigned count = 0;
        for (unsigned i = 0; i < 40000; i++) {
            advance(50000);
            count += line;
            if (line)
                assert_int_equal(get(0x0c) & 0xc0, 0xc0);
        }
        assert_in_range(count, rates[rate] ? 2 * rates[rate] - 1 : 0, 2 * rates[rate] + 1);
        set(0x0b, 0x02);
    }
    /* Nobody listens: flags only. */
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    advance(TIMER_SECOND);
    assert_int_equal(get(0x0c) & 0xf0, 0x50);
}

static void test_alarm(void **state)
{
    (void)state;
    rtc_set_time(&rtc, LEAP_DAY);
    set(0x0a, 0x20);
    set(1, 0x05);
    set(3, 0x00);
    set(5, 0x00);
    set(0x0b, 0x22);
    advance(TIMER_SECOND * 7 - 1);
    assert_false(line);
    advance(1);
    assert_true(line);
    assert_int_equal(get(0x0c), 0xb0);
    advance(TIMER_SECOND * 86399);
    assert_false(line);
    advance(TIMER_SECOND);
    assert_int_equal(get(0x0c), 0xb0);
    set(5, 0xc0); /* every hour */
    set(3, 0xff); /* every minute */
    rises = 0;
    for (unsigned i = 0; i < 180; i++) {
        advance(TIMER_SECOND);
        get(0x0c);
    }
    assert_int_equal(rises, 3);
    set(1, 0x7f); /* never */
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    /* Late by days: still an alarm. */
    set(1, 0x30);
    now += TIMER_SECOND * 86400 * 3;
    assert_int_equal(get(0x0c), 0xb0);
    /* 12 hours. */
    set(0x0b, 0xa0);
    set(4, 0x11);
    set(2, 0x59);
    set(0, 0x59);
    set(1, 0);
    set(3, 0);
    set(5, 0x92); /* noon */
    set(0x0b, 0x20);
    rises = 0;
    advance(TIMER_SECOND * 12);
    assert_int_equal(rises, 1);
    assert_int_equal(get(4), 0x92);
}

static void test_memory(void **state)
{
    (void)state;
    set(0x40, 0x5a);
    io_write(&io, 0x72, 1, 0x40);
    io_write(&io, 0x73, 1, 0xa5);
    assert_int_equal(get(0x40), 0x5a);
    assert_int_equal(io_read(&io, 0x73, 1), 0xa5);
    assert_int_equal(io_read(&io, 0x70, 1), 0xff);
    set(0x0c, 0xff);
    set(0x0d, 0);
    assert_int_equal(get(0x0d), 0x80);
    rtc_set_cmos(&rtc, 0x34, 0x12);
    assert_int_equal(get(0x34), 0x12);
}

/* A time that no calendar has is refused, and is then not there. */
static void test_load(void **state)
{
    (void)state;
    struct devices devices = {0};
    struct error error = ERROR_INIT;
    struct buffer saved = {0}, again = {0};
    assert_int_equal(devices_add(&devices, &rtc_type, "rtc", &rtc, &error), 0);
    rtc.seconds = INT64_MAX;
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), -EINVAL);
    devices_save(&devices, &again);
    assert_int_equal(devices_load(&devices, again.data, again.size, &error), 0);
    buffer_free(&saved);
    buffer_free(&again);
    devices_free(&devices);
}

/* What passed while the machine was no more than a file: time and weekday go on, and an alarm that is still
 * to come comes. Nothing happens to a time that the guest is about to set, and none becomes one that cannot
 * be saved. */
static void test_go_on(void **state)
{
    (void)state;
    rtc_set_time(&rtc, LEAP_DAY);
    for (uint8_t index = 1; index <= 5; index += 2)
        set(index, 0); /* the alarm: midnight */
    set(11, 0x22);
    assert_int_equal(get(6), 5);
    rtc_go_on(&rtc, 86401);
    assert_int_equal(get(7), 1);
    assert_int_equal(get(8), 3);
    assert_int_equal(get(6), 6);
    assert_int_equal(get(0), 0x59);
    assert_false(line);
    advance(TIMER_SECOND);
    assert_true(line);
    const int64_t time = rtc_time(&rtc);
    rtc_go_on(&rtc, INT64_MAX);
    rtc_go_on(&rtc, INT64_C(1) << 40);
    assert_int_equal(rtc_time(&rtc), time);
    set(11, 0x82);
    rtc_go_on(&rtc, 1000);
    assert_int_equal(rtc_time(&rtc), time);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_formats), TEST(test_calendar), TEST(test_set),  TEST(test_update), TEST(test_periodic),
        TEST(test_alarm),   TEST(test_memory),   TEST(test_load), TEST(test_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
