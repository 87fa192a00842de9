/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 16550 by its data sheet: FIFOs, interrupts and their priorities, loop-back, break, a backend that is
 * slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "device/char/serial16550.h"
#include "fake_clock.h"

static struct serial16550 serial;
static struct io_space io;
static bool line;
static uint8_t sent[256];
static size_t sent_size, takes;
static int breaks;
static unsigned readable;

static void set_line(void *opaque, unsigned number, bool level)
{
    (void)opaque, (void)number;
    line = level;
}

static size_t backend_write(void *opaque, const uint8_t *data, size_t size)
{
    (void)opaque;
    size = MIN(size, takes);
    takes -= size;
    memcpy(sent + sent_size, data, size);
    sent_size += size;
    return size;
}

static void backend_break(void *opaque, bool on)
{
    (void)opaque;
    breaks += on ? 1 : -1;
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
    sent_size = breaks = readable = 0;
    takes = 256;
    line = false;
    fake_clock_start(0);
    serial16550_init(&serial, &timers, (struct irq_line){set_line, NULL, 4},
                     (struct char_backend){backend_write, backend_readable, backend_break, NULL});
    return io_space_init(&io, &error) ? -1 : serial16550_attach(&serial, &io, 0x3f8, &error);
}

static int tear_down(void **state)
{
    (void)state;
    io_space_destroy(&io);
    timers_destroy(&timers);
    return 0;
}

static uint8_t get(unsigned index)
{
    return (uint8_t)io_read(&io, (uint16_t)(0x3f8 + index), 1);
}

static void set(unsigned index, uint8_t value)
{
    io_write(&io, (uint16_t)(0x3f8 + index), 1, value);
}

static void receive(const char *text)
{
    serial16550_receive(&serial, (const uint8_t *)text, strlen(text));
}

static void test_registers(void **state)
{
    (void)state;
    assert_int_equal(get(2), 0x01);
    assert_int_equal(get(5), 0x60);
    assert_int_equal(get(6), 0xb0);
    set(7, 0x5a);
    assert_int_equal(get(7), 0x5a);
    set(3, 0x83);
    set(0, 0x34);
    set(1, 0x12);
    assert_int_equal(get(0), 0x34);
    assert_int_equal(get(1), 0x12);
    set(3, 0x03);
    set(1, 0xff);
    assert_int_equal(get(1), 0x0f);
    set(4, 0xff);
    assert_int_equal(get(4), 0x1f);
    set(2, 0x01);
    assert_int_equal(get(2) & 0xc0, 0xc0);
    set(2, 0);
    assert_int_equal(get(2) & 0xc0, 0);
}

static void test_send(void **state)
{
    (void)state;
    set(0, 'a');
    assert_int_equal(sent_size, 1);
    set(4, 0x08);
    set(1, 0x02);
    assert_true(line); /* enabled while empty */
    assert_int_equal(get(2), 0x02);
    assert_false(line); /* reading it was enough */
    assert_int_equal(get(2), 0x01);
    set(0, 'b');
    assert_true(line);
    assert_int_equal(get(5), 0x60);
    set(4, 0);
    assert_false(line); /* OUT2 is the gate */
    /* A backend that takes three. */
    set(4, 0x08);
    set(2, 0x01);
    takes = 3;
    for (char c = '0'; c < '9'; c++)
        set(0, (uint8_t)c);
    assert_int_equal(sent_size, 5);
    assert_int_equal(get(5), 0x00);
    assert_false(line);
    takes = 5;
    serial16550_writable(&serial);
    assert_int_equal(get(5), 0x00);
    takes = 5;
    serial16550_writable(&serial);
    assert_int_equal(get(5), 0x60);
    assert_true(line);
    assert_memory_equal(sent, "ab012345678", 11);
    /* More than the FIFO holds: the last place is written over. */
    takes = 0;
    for (unsigned i = 0; i < 20; i++)
        set(0, (uint8_t)('A' + i));
    takes = 20;
    serial16550_writable(&serial);
    assert_int_equal(sent_size, 27);
    assert_memory_equal(sent + 11, "ABCDEFGHIJKLMNOT", 16);
    takes = 0;
    set(0, 'x');
    set(2, 0x05); /* clears what waits */
    assert_int_equal(get(5), 0x60);
}

static void test_receive(void **state)
{
    (void)state;
    set(4, 0x08);
    set(1, 0x05);
    assert_int_equal(serial16550_room(&serial), 1);
    receive("a");
    assert_true(line);
    assert_int_equal(get(2), 0x04);
    assert_int_equal(get(5), 0x61);
    assert_int_equal(serial16550_room(&serial), 0);
    receive("b"); /* lost: the first one */
    assert_int_equal(get(2), 0x06);
    assert_int_equal(get(5), 0x63);
    assert_int_equal(get(5), 0x61);
    assert_int_equal(get(0), 'b');
    assert_int_equal(readable, 1);
    assert_false(line);

    set(2, 0x81); /* FIFO, from 8 on */
    receive("1234567");
    assert_false(line);
    receive("8");
    assert_int_equal(get(2), 0xc4);
    assert_int_equal(get(0), '1');
    assert_false(line);
    receive("9abcdefghijk"); /* 19 */
    assert_int_equal(get(5) & 0x02, 0x02);
    assert_int_equal(serial16550_room(&serial), 0);
    for (const char *c = "23456789abcdefgh"; *c; c++)
        assert_int_equal(get(0), *c);
    assert_int_equal(get(5), 0x60);
    assert_int_equal(serial16550_room(&serial), 16);
    receive("xy");
    set(2, 0x83);
    assert_int_equal(get(5), 0x60);
}

static void test_time_out(void **state)
{
    (void)state;
    set(3, 0x83);
    set(0, 1);
    set(1, 0);
    set(3, 0x03); /* 8N1 at 115,200: four characters are 347 us */
    set(2, 0xc1);
    set(4, 0x08);
    set(1, 0x01);
    receive("ab");
    now += 340000;
    timers_run(&timers);
    assert_false(line);
    now += 10000;
    timers_run(&timers);
    assert_int_equal(get(2), 0xcc);
    assert_int_equal(get(0), 'a');
    assert_false(line);
    now += 350000;
    timers_run(&timers);
    assert_true(line);
    assert_int_equal(get(0), 'b');
    now += 350000;
    timers_run(&timers);
    assert_false(line);
}

static void test_break(void **state)
{
    (void)state;
    set(3, 0x43);
    assert_int_equal(breaks, 1);
    set(3, 0x03);
    assert_int_equal(breaks, 0);
    set(2, 0x01);
    set(4, 0x08);
    set(1, 0x04);
    receive("a");
    serial16550_receive_break(&serial);
    assert_int_equal(get(5), 0xe1); /* somewhere in the FIFO, not at its head */
    assert_false(line);
    assert_int_equal(get(0), 'a');
    assert_int_equal(get(2), 0xc6);
    assert_int_equal(get(5), 0xf1);
    assert_false(line);
    assert_int_equal(get(5), 0x61);
    assert_int_equal(get(0), 0);
}

static void test_loop(void **state)
{
    (void)state;
    set(4, 0x1a);
    assert_int_equal(get(6) & 0xf0, 0x90); /* RTS and OUT2 are CTS and DCD */
    set(4, 0x15);
    assert_int_equal(get(6) & 0xf0, 0x60);
    set(4, 0x10);
    assert_int_equal(get(6), 0x06); /* DSR changed, the ring ended */
    assert_int_equal(get(6), 0x00);
    set(3, 0x00); /* five bits */
    set(0, 0xff);
    assert_int_equal(sent_size, 0);
    assert_int_equal(get(5), 0x61);
    assert_int_equal(get(0), 0x1f);
    assert_int_equal(serial16550_room(&serial), 0);
    set(4, 0x08);
    get(6);
    set(1, 0x08);
    serial16550_set_connected(&serial, false);
    assert_true(line);
    assert_int_equal(get(2), 0x00);
    assert_int_equal(get(6), 0x0b);
    assert_false(line);
}

static void test_priority(void **state)
{
    (void)state;
    set(4, 0x08);
    set(1, 0x0f);
    serial16550_set_connected(&serial, false);
    receive("ab");
    assert_int_equal(get(2), 0x06);
    get(5);
    assert_int_equal(get(2), 0x04);
    get(0);
    assert_int_equal(get(2), 0x02);
    assert_int_equal(get(2), 0x00);
    get(6);
    assert_int_equal(get(2), 0x01);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_registers), TEST(test_send), TEST(test_receive),  TEST(test_time_out),
        TEST(test_break),     TEST(test_loop), TEST(test_priority),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
