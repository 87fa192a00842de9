/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8254 by the timing diagrams of its data sheet, tick by tick. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "device/timer/pit8254.h"

static struct pit8254 pit;
static struct io_space io;
static struct timers timers;
static uint64_t tick;
static bool line;
static unsigned rises;

static uint64_t fake_now(void *opaque)
{
    (void)opaque;
    return clock_ticks_time(tick, PIT_HZ);
}

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
    tick = 1000;
    line = false;
    timers_init(&timers, (struct clock){fake_now, NULL});
    pit8254_init(&pit, &timers, (struct irq_line){set_line, NULL, 0});
    rises = 0;
    return io_space_init(&io, &error) ? -1 : pit8254_attach(&pit, &io, &error);
}

static int tear_down(void **state)
{
    (void)state;
    io_space_destroy(&io);
    timers_destroy(&timers);
    return 0;
}

static void step(unsigned ticks)
{
    while (ticks--) {
        tick++;
        timers_run(&timers);
    }
}

static void control(uint8_t value)
{
    io_write(&io, 0x43, 1, value);
}

static void count(unsigned counter, unsigned value)
{
    io_write(&io, (uint16_t)(0x40 + counter), 1, value & 0xff);
    io_write(&io, (uint16_t)(0x40 + counter), 1, value >> 8);
}

static unsigned current(unsigned counter)
{
    control((uint8_t)(counter << 6));
    unsigned low = io_read(&io, (uint16_t)(0x40 + counter), 1);
    return low | io_read(&io, (uint16_t)(0x40 + counter), 1) << 8;
}

static bool output(unsigned counter)
{
    control((uint8_t)(0xe0 | 2 << counter));
    return io_read(&io, (uint16_t)(0x40 + counter), 1) >> 7;
}

static void gate(bool level)
{
    io_write(&io, 0x61, 1, level);
}

/* The output over the next ticks, '1' and '0'. */
static void expect_output(unsigned counter, const char *levels)
{
    for (; *levels; levels++) {
        step(1);
        assert_int_equal(output(counter), *levels == '1');
    }
}

static void test_mode0(void **state)
{
    (void)state;
    control(0x30);
    assert_false(output(0));
    count(0, 4);
    expect_output(0, "0000111"); /* N + 1 clocks */
    assert_int_equal(rises, 1);
    assert_int_equal(current(0), 0xfffe); /* and on it counts */
    count(0, 3);
    expect_output(0, "0001");
    assert_int_equal(rises, 2);
    /* The first byte of a count stops it. */
    count(0, 3);
    step(2);
    io_write(&io, 0x40, 1, 2);
    step(100);
    assert_false(output(0));
    io_write(&io, 0x40, 1, 0);
    expect_output(0, "001");
    /* The gate, at counter 2. */
    gate(true);
    control(0xb0);
    count(2, 4);
    step(2);
    assert_int_equal(current(2), 3);
    gate(false);
    step(50);
    assert_int_equal(current(2), 3);
    gate(true);
    expect_output(2, "001");
}

static void test_mode1(void **state)
{
    (void)state;
    control(0xb2);
    count(2, 3);
    expect_output(2, "111"); /* waits for the trigger */
    gate(true);
    expect_output(2, "00011");
    gate(false);
    gate(true);
    step(2);
    gate(false); /* low does nothing, another edge begins anew */
    gate(true);
    expect_output(2, "0001");
    count(2, 2); /* for the next trigger */
    gate(false);
    gate(true);
    expect_output(2, "001");
}

static void test_mode2(void **state)
{
    (void)state;
    control(0x34);
    assert_true(output(0));
    assert_true(line);
    rises = 0;
    count(0, 4);
    step(1);
    assert_int_equal(current(0), 4);
    step(1);
    assert_int_equal(current(0), 3);
    expect_output(0, "10111011");
    assert_int_equal(rises, 2);
    step(4000);
    assert_int_equal(rises, 1002);
    /* A new count begins after this period. */
    count(0, 3);
    assert_int_equal(current(0), 3);
    expect_output(0, "10110110110");
    /* Who comes late gets one edge. */
    rises = 0;
    tick += 3001;
    timers_run(&timers);
    assert_int_equal(rises, 1);
    assert_true(timers_next(&timers) > fake_now(NULL));
    /* Counter 2: a low gate sets the output high at once, a rising one begins anew. */
    gate(true);
    control(0xb4);
    count(2, 3);
    expect_output(2, "110110");
    gate(false);
    assert_true(output(2));
    step(5);
    gate(true);
    expect_output(2, "1101");
}

static void test_mode3(void **state)
{
    (void)state;
    control(0x36);
    count(0, 4);
    expect_output(0, "1100110011");
    count(0, 5);
    expect_output(0, "0011100111");
    control(0x36);
    count(0, 6);
    step(1);
    static const unsigned even[] = {6, 4, 2, 6, 4, 2, 6}, odd[] = {4, 2, 0, 4, 2, 4, 2, 0};
    for (unsigned i = 0; i < ARRAY_SIZE(even); i++, step(1))
        assert_int_equal(current(0), even[i]);
    control(0x36);
    count(0, 5);
    step(1);
    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++, step(1))
        assert_int_equal(current(0), odd[i]);
    control(0x36);
    count(0, 1000);
    rises = 0;
    step(1001);
    assert_int_equal(rises, 1);
    assert_true(line);
    step(500);
    assert_false(line);
    step(500);
    assert_int_equal(rises, 2);
}

static void test_mode4(void **state)
{
    (void)state;
    control(0x38);
    rises = 0;
    count(0, 3);
    expect_output(0, "1110111");
    assert_int_equal(rises, 1);
    count(0, 2);
    step(1);
    count(0, 2);
    expect_output(0, "1101");
}

static void test_mode5(void **state)
{
    (void)state;
    control(0xba);
    count(2, 3);
    expect_output(2, "11111");
    gate(true);
    expect_output(2, "11101");
    gate(false);
    gate(true);
    step(2);
    gate(false);
    gate(true);
    expect_output(2, "11101");
}

static void test_latch(void **state)
{
    (void)state;
    control(0x34);
    count(0, 0x1234);
    step(5);
    control(0x00);
    step(100);
    control(0x00); /* the first latch counts */
    assert_int_equal(io_read(&io, 0x40, 1), 0x30);
    assert_int_equal(io_read(&io, 0x40, 1), 0x12);
    assert_int_equal(current(0), 0x1230 - 100);
    /* Read-back of status and count: status first. */
    control(0xc2);
    step(10);
    assert_int_equal(io_read(&io, 0x40, 1), 0xb4);
    assert_int_equal(io_read(&io, 0x40, 1) | io_read(&io, 0x40, 1) << 8, 0x1230 - 100);
    /* Null count, until the count is loaded. */
    control(0x34);
    control(0xe2);
    assert_int_equal(io_read(&io, 0x40, 1), 0xf4);
    count(0, 0x100);
    control(0xe2);
    assert_int_equal(io_read(&io, 0x40, 1), 0xf4);
    step(1);
    control(0xe2);
    assert_int_equal(io_read(&io, 0x40, 1), 0xb4);
    /* One byte only. */
    control(0x14);
    io_write(&io, 0x40, 1, 0x20);
    step(3);
    assert_int_equal(io_read(&io, 0x40, 1), 0x1e);
    assert_int_equal(io_read(&io, 0x40, 1), 0x1e);
    control(0x24);
    io_write(&io, 0x40, 1, 0x20);
    step(2);
    assert_int_equal(io_read(&io, 0x40, 1), 0x1f);
}

static void test_bcd(void **state)
{
    (void)state;
    control(0x31);
    count(0, 0x0100);
    step(2);
    assert_int_equal(current(0), 0x99);
    step(100);
    assert_int_equal(current(0), 0x9999);
    control(0x35);
    count(0, 0);
    step(1);
    assert_int_equal(current(0), 0); /* ten thousand */
    step(1);
    assert_int_equal(current(0), 0x9999);
    assert_int_equal(pit.counters[0].count, 10000);
}

static void test_port61(void **state)
{
    (void)state;
    control(0xb0);
    count(2, 5);
    step(20);
    assert_int_equal(io_read(&io, 0x61, 1) & 0xef, 0);
    io_write(&io, 0x61, 1, 0xff);
    assert_int_equal(io_read(&io, 0x61, 1) & 0xef, 0x0f);
    step(5);
    assert_int_equal(io_read(&io, 0x61, 1) & 0x20, 0x20);
    unsigned toggles = 0, before = io_read(&io, 0x61, 1) & 0x10;
    for (unsigned i = 0; i < 180; i++) {
        step(1);
        toggles += (io_read(&io, 0x61, 1) & 0x10) != before;
        before = io_read(&io, 0x61, 1) & 0x10;
    }
    assert_int_equal(toggles, 10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_mode0), TEST(test_mode1), TEST(test_mode2), TEST(test_mode3),  TEST(test_mode4),
        TEST(test_mode5), TEST(test_latch), TEST(test_bcd),   TEST(test_port61),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
