/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HPET: the counter, one-shot and periodic comparators, routes, messages, legacy replacement. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "device/timer/hpet.h"
#include "fake_clock.h"

static struct hpet hpet;
static bool lines[32], legacy[2], legacy_mode;
static unsigned edges[32], legacy_edges[2], messages;
static uint64_t message_address;
static uint32_t message_data;

static void set_line(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    edges[number] += level && !lines[number];
    lines[number] = level;
}

static void set_legacy(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    legacy_edges[number] += level && !legacy[number];
    legacy[number] = level;
}

static void set_mode(void *opaque, unsigned number, bool level)
{
    (void)opaque, (void)number;
    legacy_mode = level;
}

static bool send(void *opaque, uint64_t address, uint32_t data)
{
    (void)opaque;
    messages++;
    message_address = address;
    message_data = data;
    return true;
}

static int set_up(void **state)
{
    (void)state;
    memset(lines, 0, sizeof lines);
    memset(edges, 0, sizeof edges);
    legacy[0] = legacy[1] = legacy_mode = false;
    legacy_edges[0] = legacy_edges[1] = messages = 0;
    fake_clock_start(12340); /* a tick begins */
    const struct irq_line two[2] = {{set_legacy, NULL, 0}, {set_legacy, NULL, 1}};
    hpet_init(&hpet, &timers, (struct irq_line){set_line, NULL, 0}, two, (struct irq_line){set_mode, NULL, 0},
              (struct msi_port){.send = send});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    timers_destroy(&timers);
    return 0;
}

static uint64_t get(uint64_t offset)
{
    return hpet_ops.read(&hpet, offset, 8);
}

static void set(uint64_t offset, uint64_t value)
{
    hpet_ops.write(&hpet, offset, 8, value);
}

#define ROUTE(n) ((uint64_t)(n) << 9)

static void test_counter(void **state)
{
    (void)state;
    assert_int_equal(get(0), UINT64_C(0x009896808086a201));
    assert_int_equal(hpet_ops.read(&hpet, 4, 4), 10000000);
    assert_int_equal(hpet_ops.read(&hpet, 2, 2) & 0xffff, 0x8086);
    advance(1000);
    assert_int_equal(get(0xf0), 0);
    set(0xf0, UINT64_C(0xfffffffffffffff0));
    set(0x10, 1);
    now += 100;
    assert_int_equal(get(0xf0), UINT64_C(0xfffffffffffffffa));
    now += 100;
    assert_int_equal(get(0xf0), 4);
    set(0xf0, 0); /* not while it runs */
    assert_int_equal(get(0xf0), 4);
    set(0x10, 0);
    now += 100;
    assert_int_equal(get(0xf0), 4);
    hpet_ops.write(&hpet, 0xf4, 4, 7);
    assert_int_equal(get(0xf0), UINT64_C(0x700000004));
    assert_int_equal(get(0x3f8), 0);
}

static void test_one_shot(void **state)
{
    (void)state;
    assert_int_equal(get(0x120), UINT64_C(0x00f0000000008030));
    set(0x120, ROUTE(21) | 4);
    set(0x120, ROUTE(5) | 4); /* no such route: the old one stays */
    assert_int_equal(get(0x120) & UINT32_MAX, 0x8030 | ROUTE(21) | 4);
    set(0x128, 100);
    set(0x10, 1);
    advance(999);
    assert_int_equal(edges[21], 0);
    advance(1);
    assert_int_equal(edges[21], 1);
    assert_int_equal(get(0x20), 0);
    assert_int_equal(timers_next(&timers), TIMER_NEVER);
    advance(100000);
    set(0x128, get(0xf0) + 10);
    advance(100);
    assert_int_equal(edges[21], 2);
    set(0x128, get(0xf0) - 1); /* past */
    advance(1000000);
    assert_int_equal(edges[21], 2);
    /* 32 bits: past means the next time round. */
    set(0x120, ROUTE(21) | 0x104);
    uint64_t counter = get(0xf0);
    set(0x128, counter - 1);
    advance((UINT64_C(1) << 32) * 10 - 20);
    assert_int_equal(edges[21], 2);
    advance(20);
    assert_int_equal(edges[21], 3);
}

static void test_level(void **state)
{
    (void)state;
    set(0x120, ROUTE(22) | 6);
    set(0x140, ROUTE(22) | 6);
    set(0x128, 10);
    set(0x148, 20);
    set(0x10, 1);
    advance(100);
    assert_true(lines[22]);
    assert_int_equal(get(0x20), 2);
    advance(100);
    assert_int_equal(get(0x20), 6);
    set(0x20, 2);
    assert_true(lines[22]); /* the other one's */
    set(0x20, 4);
    assert_false(lines[22]);
    assert_int_equal(get(0x20), 0);
    /* Switched off while active. */
    set(0x128, get(0xf0) + 1);
    advance(10);
    assert_true(lines[22]);
    set(0x120, ROUTE(22) | 2);
    assert_false(lines[22]);
}

static void test_periodic(void **state)
{
    (void)state;
    set(0x100, ROUTE(20) | 0x4c); /* periodic, value may be set */
    set(0x108, 100);
    assert_int_equal(get(0x100) & 0x40, 0);
    set(0x108, 50); /* the period */
    assert_int_equal(get(0x108), 100);
    set(0x10, 1);
    advance(999);
    assert_int_equal(edges[20], 0);
    advance(1);
    assert_int_equal(edges[20], 1);
    for (unsigned i = 2; i < 10; i++) {
        advance(500);
        assert_int_equal(edges[20], i);
    }
    assert_int_equal(get(0x108), 100 + 50 * 9);
    now += 1000000; /* late */
    timers_run(&timers);
    assert_int_equal(edges[20], 10);
    assert_true(get(0x108) > get(0xf0) && get(0x108) - get(0xf0) <= 50);
    assert_int_equal((get(0x108) - 100) % 50, 0);
}

static void test_messages(void **state)
{
    (void)state;
    set(0x110, UINT64_C(0xfee0100000004041));
    set(0x100, 0x4004);
    set(0x108, 5);
    set(0x10, 1);
    advance(50);
    assert_int_equal(messages, 1);
    assert_int_equal(message_address, 0xfee01000);
    assert_int_equal(message_data, 0x4041);
}

static void test_legacy(void **state)
{
    (void)state;
    set(0x100, 4);
    set(0x120, ROUTE(20) | 4);
    set(0x140, ROUTE(23) | 4);
    set(0x108, 10);
    set(0x128, 20);
    set(0x148, 30);
    set(0x10, 3);
    assert_true(legacy_mode);
    advance(1000);
    assert_int_equal(legacy_edges[0], 1);
    assert_int_equal(legacy_edges[1], 1);
    assert_int_equal(edges[20], 0);
    assert_int_equal(edges[23], 1);
    set(0x10, 1);
    assert_false(legacy_mode);
    assert_false(legacy[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_counter),  TEST(test_one_shot), TEST(test_level),
        TEST(test_periodic), TEST(test_messages), TEST(test_legacy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
