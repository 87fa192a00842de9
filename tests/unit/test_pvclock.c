/* SPDX-License-Identifier: GPL-2.0-or-later */
/* KVM's clock as every engine gives it to guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "engine/pvclock.h"
#include "fake_clock.h"

#define WALL    0x4b564d00
#define TIME    0x4b564d01
#define ADDRESS 0x1040

static struct memory_backing *backing;
static struct memory_map map;
static struct x86_model model;
static struct x86_state state;
static struct pvclock pvclock;

static int set_up(void **unused)
{
    struct error error = ERROR_INIT;
    (void)unused;
    fake_clock_start(5000000000);
    backing = memory_backing_create("ram", 1 << 16, &error);
    assert_non_null(backing);
    assert_int_equal(memory_map_init(&map, UINT32_MAX, &error), 0);
    assert_non_null(memory_add_ram(&map, "ram", 0, 1 << 16, 0, backing, 0, &error));
    assert_int_equal(x86_model_parse(&model, "max", &error), 0);
    x86_state_reset(&state, &model);
    pvclock = (struct pvclock){.model = &model, .memory = &map, .clock = &timers.clock, .base = {1000, 2000}};
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    memory_map_destroy(&map);
    memory_backing_free(backing);
    timers_destroy(&timers);
    return 0;
}

static uint64_t field(unsigned offset, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, backing->host + ADDRESS + offset, size);
    return value;
}

/* As a guest reads it. */
static uint64_t guest_time(uint64_t tsc)
{
    const int8_t shift = (int8_t)field(28, 1);
    uint64_t passed = tsc - field(8, 8);
    passed = shift < 0 ? passed >> -shift : passed << shift;
    return field(16, 8) + (uint64_t)(((unsigned __int128)passed * field(24, 4)) >> 32);
}

static void test_layout(void **unused)
{
    uint64_t value;
    (void)unused;
    assert_true(pvclock_msr_write(&pvclock, &state, 70, TIME, ADDRESS | 1));
    assert_true(pvclock_msr_read(&pvclock, &state, TIME, &value) && value == (ADDRESS | 1));
    assert_true(pvclock_msr_read(&pvclock, &state, 0x12, &value) && value == (ADDRESS | 1));
    assert_int_equal(field(0, 4), 2);
    assert_int_equal(field(8, 8), 1070);
    assert_int_equal(field(16, 8), 2000);
    assert_int_equal(field(24, 4), 0x80000000);
    assert_int_equal(field(28, 1), 1);
    assert_int_equal(field(29, 1), 1);
    assert_int_equal(guest_time(1070 + 12345), 2000 + 12345);
    pvclock_publish(&pvclock, &state, 70, true);
    assert_int_equal(field(0, 4), 4);
    assert_int_equal(field(29, 1), 3); /* it has stood still */
    assert_true(pvclock_msr_write(&pvclock, &state, 70, TIME, 0));
    pvclock_publish(&pvclock, &state, 70, false);
    assert_int_equal(field(0, 4), 4);
}

/* Whatever the counter's frequency, to a millionth and better. */
static void test_frequencies(void **unused)
{
    static const uint32_t frequencies[] = {1,       999,     100000,  999999,    1000000,
                                           1000001, 2596148, 5000000, 4294967295};
    (void)unused;
    for (unsigned i = 0; i < sizeof frequencies / sizeof frequencies[0]; i++) {
        model.tsc_khz = frequencies[i];
        pvclock_msr_write(&pvclock, &state, 0, TIME, ADDRESS | 1);
        const uint64_t tsc = 1000 + (uint64_t)frequencies[i] * 1000 * 3600; /* an hour */
        assert_in_range(guest_time(tsc), 2000 + 3599999999000, 2000 + 3600000001000);
        assert_int_equal(guest_time(tsc), pvclock_time(&pvclock, tsc));
    }
    model.tsc_khz = 1000000;
}

static void test_wall(void **unused)
{
    (void)unused;
    assert_true(pvclock_msr_write(&pvclock, &state, 0, WALL, ADDRESS));
    assert_int_equal(field(0, 4), 2);
    assert_in_range(field(4, 4), (uint64_t)time(NULL) - 65, (uint64_t)time(NULL) - 5);
    assert_in_range(field(8, 4), 0, 999999999);
}

static uint64_t never_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    fail();
    return 0;
}

static void never_written(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
    (void)opaque, (void)offset, (void)size, (void)value;
    fail();
}

static const struct access_ops never = {never_read, never_written, 0};

/* An address where nothing is, or a device, a processor without it, other MSRs. */
static void test_bad(void **unused)
{
    struct error error = ERROR_INIT;
    uint64_t value;
    (void)unused;
    assert_true(pvclock_msr_write(&pvclock, &state, 0, TIME, 0x70000001));
    assert_true(pvclock_msr_write(&pvclock, &state, 0, TIME, UINT64_MAX));
    assert_non_null(memory_add_mmio(&map, "device", 0x80000000, 0x1000, 0, &never, NULL, &error));
    assert_true(pvclock_msr_write(&pvclock, &state, 0, TIME, 0x80000001));
    assert_true(pvclock_msr_write(&pvclock, &state, 0, TIME, 0xfff1));
    assert_true(pvclock_msr_write(&pvclock, &state, 0, WALL, 0x80000000));
    pvclock_publish(&pvclock, &state, 0, true);
    assert_true(pvclock_msr_write(&pvclock, &state, 0, WALL, UINT64_MAX));
    assert_false(pvclock_msr_write(&pvclock, &state, 0, 0x4b564d02, 1));
    assert_false(pvclock_msr_read(&pvclock, &state, 0x4b564d02, &value));
    assert_int_equal(x86_model_parse(&model, "max,kvm=off", &error), 0);
    assert_false(pvclock_msr_write(&pvclock, &state, 0, TIME, ADDRESS | 1));
    assert_int_equal(x86_model_parse(&model, "max,-kvmclock", &error), 0);
    assert_false(pvclock_msr_write(&pvclock, &state, 0, TIME, ADDRESS | 1));
    assert_false(pvclock_msr_read(&pvclock, &state, TIME, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_layout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frequencies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wall, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
