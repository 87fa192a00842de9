/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtio-console and virtio-rng. */
#include "virtio_machine.h"

#include "device/virtio/console.h"
#include "device/virtio/rng.h"

static struct virtio_console *console;
static struct char_client client;
static struct virtio_rng *rng;
static char sent[256];
static size_t sent_size, takes;
static unsigned readable;
static struct driver card;
static struct driver *const driver = &card;

static size_t backend_write(void *opaque, const uint8_t *data, size_t size)
{
    (void)opaque;
    size = MIN(size, takes);
    takes -= size;
    memcpy(sent + sent_size, data, size);
    sent_size += size;
    return size;
}

static void backend_readable(void *opaque)
{
    (void)opaque;
    readable++;
}

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    machine_set_up();
    memset(sent, 0, sizeof sent);
    sent_size = readable = 0;
    takes = 200;
    struct virtio_place first = place("console0"), second = place("rng0");
    assert_int_equal(virtio_console_new(&console, &first,
                                        (struct char_backend){backend_write, backend_readable, NULL, NULL},
                                        &error),
                     0);
    client = virtio_console_client(console);
    assert_int_equal(virtio_rng_new(&rng, &second, &error), 0);
    machine_power_on();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    machine_tear_down();
    virtio_console_free(console);
    virtio_rng_free(rng);
    return 0;
}

static void test_send(void **state)
{
    (void)state;
    driver_begin(driver, 1, 2, 0);
    assert_int_equal(config_get(1, 2, 2), 0x1043);
    assert_int_equal(get(driver->structures[4], 4), 80 | 25 << 16);
    memory_write(&map, DATA, "Hello, world", 12);
    const struct buffer_part parts[] = {{DATA, 5, false}, {DATA + 5, 7, false}};
    driver_put(driver, 1, parts, 2);
    driver_kick(driver, 1);
    assert_string_equal(sent, "Hello, world");
    assert_true(driver_take(driver, 1, NULL, NULL));
    /* A backend that takes a few at a time. */
    takes = 4;
    driver_put(driver, 1, parts, 2);
    driver_put(driver, 1, parts, 1);
    driver_kick(driver, 1);
    assert_false(driver_take(driver, 1, NULL, NULL));
    takes = 3;
    client.writable(client.opaque);
    assert_false(driver_take(driver, 1, NULL, NULL));
    takes = 6;
    client.writable(client.opaque);
    assert_true(driver_take(driver, 1, NULL, NULL));
    assert_false(driver_take(driver, 1, NULL, NULL));
    takes = 100;
    client.writable(client.opaque);
    assert_string_equal(sent, "Hello, worldHello, worldHello");
    assert_true(driver_take(driver, 1, NULL, NULL));
    /* Before there are queues. */
    set(driver->structures[4] + 8, 4, '!');
    assert_string_equal(sent, "Hello, worldHello, worldHello!");
}

static void test_receive(void **state)
{
    (void)state;
    assert_int_equal(client.room(client.opaque), 0);
    client.receive(client.opaque, (const uint8_t *)"lost", 4);
    driver_begin(driver, 1, 2, 0);
    readable = 0;
    const struct buffer_part parts[] = {{DATA, 3, true}, {DATA + 0x100, 2, true}};
    driver_put(driver, 0, parts, 2);
    driver_put(driver, 0, parts + 1, 1);
    driver_kick(driver, 0);
    assert_int_equal(readable, 1);
    assert_int_equal(client.room(client.opaque), 5);
    client.receive(client.opaque, (const uint8_t *)"abcdefghi", 9);
    uint32_t length;
    assert_true(driver_take(driver, 0, NULL, &length) && length == 5);
    assert_true(driver_take(driver, 0, NULL, &length) && length == 2);
    assert_memory_equal(ram[0]->host + DATA, "abc", 3);
    assert_memory_equal(ram[0]->host + DATA + 0x100, "fg", 2);
    assert_int_equal(client.room(client.opaque), 0);
    assert_int_equal(message_counts[1], 1);
    virtio_console_resize(console, 132, 50);
    assert_int_equal(get(driver->structures[4], 4), 132 | 50 << 16);
    assert_int_equal(message_counts[0], 1);
}

static void test_save(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer saved = {0};
    driver_begin(driver, 1, 2, 0);
    memory_write(&map, DATA, "Hello, world", 12);
    const struct buffer_part part = {DATA, 12, false};
    takes = 5;
    driver_put(driver, 1, &part, 1);
    driver_kick(driver, 1);
    devices_save(&devices, &saved);
    machine_power_on();
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    takes = 100;
    client.writable(client.opaque);
    assert_string_equal(sent, "Hello, world");
    buffer_free(&saved);
}

static void test_random(void **state)
{
    (void)state;
    driver_begin(driver, 2, 1, 0);
    assert_int_equal(config_get(2, 2, 2), 0x1044);
    const struct buffer_part parts[] = {{DATA, 32, true}, {DATA + 0x100, 64, true}};
    driver_put(driver, 0, parts, 2);
    driver_kick(driver, 0);
    uint32_t length;
    static const uint8_t zeros[16];
    assert_true(driver_take(driver, 0, NULL, &length));
    assert_int_equal(length, 96);
    assert_memory_not_equal(ram[0]->host + DATA, zeros, 16);
    assert_memory_not_equal(ram[0]->host + DATA + 0x130, zeros, 16);
    assert_memory_equal(ram[0]->host + DATA + 0x140, zeros, 16);
    const struct buffer_part much = {DATA, 0x10000, true};
    driver_put(driver, 0, &much, 1);
    driver_kick(driver, 0);
    assert_true(driver_take(driver, 0, NULL, &length));
    assert_int_equal(length, 4096);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_send), TEST(test_receive), TEST(test_save),
                                       TEST(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
