/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What KVM's guests are answered by every engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "engine/pv_call.h"
#include "fake_clock.h"

#define SIZE       (1 << 16)
#define PROCESSORS 70

static struct memory_backing *backing;
static struct memory_map map;
static struct lapic lapics[PROCESSORS], *pointers[PROCESSORS];
static struct lapic_bus bus;
static bool wide;

static void kicked(void *opaque, unsigned vcpu)
{
    (void)opaque, (void)vcpu;
}

static int set_up(void **unused)
{
    struct error error = ERROR_INIT;
    (void)unused;
    fake_clock_start(0);
    wide = true;
    bus = (struct lapic_bus){.lapics = pointers, .count = PROCESSORS, .host.kick = kicked};
    for (unsigned i = 0; i < PROCESSORS; i++) {
        pointers[i] = &lapics[i];
        lapic_init(&lapics[i], &bus, i, i, 40, &timers);
        lapic_mmio_write(&lapics[i], 0xf0, 4, 0x1ff); /* enabled */
        lapic_take_events(&lapics[i]);
    }
    backing = memory_backing_create("ram", SIZE, &error);
    return !backing || memory_map_init(&map, UINT32_MAX, &error) ||
           !memory_add_ram(&map, "ram", 0, SIZE, 0, backing, 0, &error);
}

static int tear_down(void **unused)
{
    (void)unused;
    memory_map_destroy(&map);
    memory_backing_free(backing);
    timers_destroy(&timers);
    return 0;
}

static int64_t call(uint64_t number, uint64_t first, uint64_t second)
{
    const struct pv_caller caller = {.memory = &map, .bus = &bus, .tsc = 123456789, .wide = wide};
    const uint64_t arguments[4] = {first, second};
    return (int64_t)pv_call(&caller, number, arguments);
}

static void test_numbers(void **unused)
{
    (void)unused;
    assert_int_equal(call(1, 0, 0), 0);
    for (uint64_t number = 0; number < 20; number++)
        if (number != 1 && number != 9 && number != 10)
            assert_int_equal(call(number, 0, 0), -1000);
    assert_int_equal(call(UINT64_MAX, 0, 0), -1000);
    assert_int_equal(call(UINT64_C(1) << 32 | 1, 0, 0), -1000);
}

/* struct kvm_clock_pairing: i64 seconds, i64 nanoseconds, u64 counter, u32 flags, 36 bytes of zeros. */
static void test_pair_of_clocks(void **unused)
{
    static const uint8_t zeros[40];
    struct timespec before, after;
    int64_t values[3];
    (void)unused;
    memset(backing->host, 0x55, 0x2000);
    clock_gettime(CLOCK_REALTIME, &before);
    assert_int_equal(call(9, 0xff0, 0), 0);
    clock_gettime(CLOCK_REALTIME, &after);
    memcpy(values, backing->host + 0xff0, sizeof values);
    const int64_t told = values[0] * 1000000000 + values[1];
    assert_true(told >= before.tv_sec * 1000000000 + before.tv_nsec);
    assert_true(told <= after.tv_sec * 1000000000 + after.tv_nsec);
    assert_in_range(values[1], 0, 999999999);
    assert_int_equal(values[2], 123456789);
    assert_memory_equal(backing->host + 0xff0 + sizeof values, zeros, sizeof zeros);
    assert_int_equal(backing->host[0xfef], 0x55);
    assert_int_equal(backing->host[0xff0 + 64], 0x55);
}

static void test_pair_that_cannot_be_told(void **unused)
{
    (void)unused;
    assert_int_equal(call(9, 0, 1), -95);
    assert_int_equal(call(9, SIZE, 0), -14);
    assert_int_equal(call(9, UINT64_MAX - 7, 0), -14);
    assert_int_equal(call(9, SIZE - 63, 0), -14);
}

static int64_t send(uint64_t low, uint64_t high, uint64_t first, uint64_t command)
{
    const struct pv_caller caller = {.bus = &bus, .wide = wide};
    return (int64_t)pv_call(&caller, 10, (const uint64_t[]){low, high, first, command});
}

static bool has(unsigned processor, unsigned vector)
{
    return lapic_mmio_read(&lapics[processor], 0x200 + 0x10 * (vector / 32), 4) >> vector % 32 & 1;
}

/* The bits of both words go on from the first one's number. */
static void test_interrupts_between_processors(void **unused)
{
    (void)unused;
    assert_int_equal(send(0x5, 0x3, 2, 0x41), 4);
    for (unsigned i = 0; i < PROCESSORS; i++)
        assert_int_equal(has(i, 0x41), i == 2 || i == 4 || i == 66 || i == 67);
    wide = false;
    assert_int_equal(send(0x80000000, 1, 0, 0x42), 2);
    for (unsigned i = 0; i < PROCESSORS; i++)
        assert_int_equal(has(i, 0x42), i == 31 || i == 32);
    assert_int_equal(send(8, 0, 0, 0x400), 1);
    assert_int_equal(lapic_take_events(&lapics[3]), LAPIC_NMI);
}

/* Neither those that there are not, nor a number that means all. */
static void test_interrupts_for_nobody(void **unused)
{
    (void)unused;
    assert_int_equal(send(0xffffffff, 0, 0xffffffff, 0), 0);
    assert_int_equal(send(UINT64_MAX, UINT64_MAX, 192, 0x43), 0);
    assert_int_equal(send(1, 0, 0, 0x41 | 1 << 11), -22);
    assert_int_equal(send(1, 0, 0, 0x41 | 2 << 18), -22);
    assert_int_equal(lapic_pending(&lapics[0]), LAPIC_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numbers),
        TEST(test_pair_of_clocks),
        TEST(test_pair_that_cannot_be_told),
        TEST(test_interrupts_between_processors),
        TEST(test_interrupts_for_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
