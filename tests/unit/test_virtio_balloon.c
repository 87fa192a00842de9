/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-balloon: pages that go to the host, what the guest reports, statistics. */
#include "virtio_machine.h"

#include <sys/mman.h>

#include "device/virtio/balloon.h"

static struct virtio_balloon *balloon;
static struct driver card;
static struct driver *const driver = &card;

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    machine_set_up();
    struct virtio_place where = place("balloon");
    assert_int_equal(virtio_balloon_new(&balloon, &where, &timers, &error), 0);
    machine_power_on();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    virtio_balloon_free(balloon);
    machine_tear_down();
    return 0;
}

/* Of both pieces of memory. */
static uint64_t host_pages(void)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < 2; i++) {
        unsigned char resident[HALF >> 12];
        assert_int_equal(mincore(ram[i]->host, HALF, resident), 0);
        for (unsigned page = 0; page < HALF >> 12; page++)
            count += resident[page] & 1;
    }
    return count;
}

static void put_numbers(uint64_t address, const uint32_t *numbers, unsigned count)
{
    memory_write(&map, address, numbers, count * 4);
}

static void size_changed(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void test_inflate(void **state)
{
    (void)state;
    unsigned changes = 0;
    virtio_balloon_observe(balloon, size_changed, &changes);
    assert_false(virtio_balloon_is_used(balloon));
    driver_begin(driver, 1, 5, 0);
    assert_true(virtio_balloon_is_used(balloon));
    assert_int_equal(config_get(1, 2, 2), 0x1045);
    assert_int_equal(driver->features & 0x3f, 0x3e);
    virtio_balloon_set_target(balloon, 5 << 12);
    assert_int_equal(virtio_balloon_target(balloon), 5 << 12);
    assert_int_equal(get(driver->structures[4], 4), 5);
    assert_int_equal(message_counts[0], 1);
    memset(ram[0]->host + HALF / 2, 0x11, HALF / 2);
    memset(ram[1]->host, 0x22, HALF);
    uint64_t before = host_pages();
    /* Neighbours over the border of two regions, one alone, and what is not memory. */
    uint32_t numbers[] = {0x7e, 0x7f, 0x80, 0x81, 0xa0, 0x100, 0xffffffff, 0xc0000, 0x90};
    put_numbers(DATA, numbers, 9);
    const struct buffer_part parts[] = {{DATA, 20, false}, {DATA + 20, 16, false}};
    driver_put(driver, 0, parts, 2);
    ram[0]->tracks_dirty = true;
    driver_kick(driver, 0);
    assert_true(driver_take(driver, 0, NULL, NULL));
    assert_int_equal(host_pages(), before - 6);
    assert_int_equal(get(0x7e000, 4), 0);
    assert_int_equal(get(0x81ffc, 4), 0);
    assert_int_equal(get(0x82000, 4), 0x22222222);
    assert_int_equal(get(0xa0000, 4), 0);
    assert_int_equal(ram[0]->page_flags[0x7f], MEMORY_PAGE_DIRTY);
    set(driver->structures[4] + 12, 4, 0x10);
    assert_int_equal(changes, 0); /* that is another field */
    set(driver->structures[4] + 4, 4, 6);
    assert_int_equal(changes, 1);
    assert_int_equal(virtio_balloon_size(balloon), 6 << 12);
    driver_put(driver, 1, parts, 1);
    driver_kick(driver, 1);
    assert_true(driver_take(driver, 1, NULL, NULL));
    assert_false(driver_is_broken(driver));
    /* The target is the host's, the size the driver's. */
    driver_begin(driver, 1, 5, 0);
    assert_int_equal(get(driver->structures[4], 4), 5);
    assert_int_equal(virtio_balloon_size(balloon), 0);
}

static void test_report(void **state)
{
    (void)state;
    driver_begin(driver, 1, 5, 0);
    memset(ram[1]->host, 0x22, HALF);
    uint64_t before = host_pages();
    const struct buffer_part parts[] = {{0x80800, 0x3000, true}, {0xa0000, 0x4000, true}};
    driver_put(driver, 3, parts, 2); /* hints, which nobody has asked for */
    driver_kick(driver, 3);
    assert_true(driver_take(driver, 3, NULL, NULL));
    assert_int_equal(host_pages(), before);
    driver_put(driver, 4, parts, 2);
    driver_kick(driver, 4);
    assert_true(driver_take(driver, 4, NULL, NULL));
    assert_int_equal(host_pages(), before - 6);
    assert_int_equal(get(0x80ffc, 4), 0x22222222);
    assert_int_equal(get(0x81000, 4), 0);
    assert_int_equal(get(0x83000, 4), 0x22222222);
    assert_int_equal(get(0xa3ffc, 4), 0);
    /* A guest that wants to find its poison again. */
    set(driver->structures[4] + 12, 4, 0xaaaaaaaa);
    memset(ram[1]->host, 0x22, HALF);
    driver_put(driver, 4, parts, 2);
    driver_kick(driver, 4);
    assert_int_equal(host_pages(), before);
    /* Drivers without hints have the reports' queue in their place. */
    driver_begin(driver, 1, 4, 1 << 3);
    driver_put(driver, 3, parts, 2);
    driver_kick(driver, 3);
    assert_int_equal(host_pages(), before - 6);
}

static void put_statistic(unsigned index, uint16_t tag, uint64_t value)
{
    set(DATA + 10 * index, 2, tag);
    memory_write(&map, DATA + 10 * index + 2, &value, 8);
}

static void test_statistics(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    const struct virtio_balloon_statistics *statistics = virtio_balloon_statistics(balloon);
    virtio_balloon_set_interval(balloon, 2);
    driver_begin(driver, 1, 5, 0);
    assert_int_equal(statistics->time, 0);
    now = TIMER_SECOND;
    put_statistic(0, 4, 1000);
    put_statistic(1, 5, 2000);
    put_statistic(2, 77, 3000);
    const struct buffer_part part = {DATA, 35, false};
    driver_put(driver, 2, &part, 1);
    driver_kick(driver, 2);
    assert_int_equal(statistics->free_memory, 1000);
    assert_int_equal(statistics->total_memory, 2000);
    assert_true(statistics->swap_in == UINT64_MAX);
    assert_int_equal(statistics->time, TIMER_SECOND);
    assert_false(driver_take(driver, 2, NULL, NULL)); /* it stays here */
    devices_save(&devices, &saved);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    now = 2 * TIMER_SECOND;
    timers_run(&timers);
    uint32_t head;
    assert_true(driver_take(driver, 2, &head, NULL));
    assert_int_equal(head, 0);
    put_statistic(0, 9, 1001);
    driver_put(driver, 2, &part, 1);
    driver_kick(driver, 2);
    assert_int_equal(statistics->hugetlb_failures, 1001);
    assert_int_equal(timers_next(&timers), 4 * TIMER_SECOND);
    virtio_balloon_set_interval(balloon, 0);
    assert_true(timers_next(&timers) == TIMER_NEVER);
    virtio_balloon_ask(balloon);
    assert_true(driver_take(driver, 2, &head, NULL));
    virtio_balloon_ask(balloon); /* there is nothing to return */
    assert_false(driver_take(driver, 2, &head, NULL));
    buffer_free(&saved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_inflate), TEST(test_report), TEST(test_statistics)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
