/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The 8259 pair by its data sheet: priorities, ends of interrupt, cascade, modes, and requests that go away.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "device/irq/pic8259.h"

static struct pic8259 pic;
static struct io_space io;
static bool intr;

static void set_intr(void *opaque, unsigned number, bool level)
{
    (void)opaque, (void)number;
    intr = level;
}

static void initialise(uint16_t port, uint8_t base, uint8_t cascade, uint8_t icw4)
{
    io_write(&io, port, 1, 0x11);
    io_write(&io, port + 1, 1, base);
    io_write(&io, port + 1, 1, cascade);
    io_write(&io, port + 1, 1, icw4);
}

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    if (io_space_init(&io, &error))
        return -1;
    pic8259_init(&pic, (struct irq_line){set_intr, NULL, 0});
    return pic8259_attach(&pic, &io, &error);
}

static int set_up_programmed(void **state)
{
    if (set_up(state))
        return -1;
    initialise(0x20, 0x20, 4, 1);
    initialise(0xa0, 0x28, 2, 1);
    intr = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    io_space_destroy(&io);
    return 0;
}

static void pulse(unsigned irq)
{
    pic8259_set(&pic, irq, false);
    pic8259_set(&pic, irq, true);
}

static void eoi(uint16_t port)
{
    io_write(&io, port, 1, 0x20);
}

static uint8_t isr(uint16_t port)
{
    io_write(&io, port, 1, 0x0b);
    uint8_t value = (uint8_t)io_read(&io, port, 1);
    io_write(&io, port, 1, 0x0a);
    return value;
}

static void test_priority(void **state)
{
    (void)state;
    pulse(4);
    assert_true(intr);
    pulse(1);
    assert_int_equal(io_read(&io, 0x20, 1), 0x12);
    assert_int_equal(pic8259_acknowledge(&pic), 0x21);
    assert_int_equal(isr(0x20), 0x02);
    assert_false(intr); /* 4 has to wait */
    pulse(0);
    assert_true(intr);
    assert_int_equal(pic8259_acknowledge(&pic), 0x20);
    eoi(0x20); /* non-specific: the highest, 0 */
    assert_int_equal(isr(0x20), 0x02);
    assert_false(intr);
    io_write(&io, 0x20, 1, 0x61); /* specific, 1 */
    assert_true(intr);
    assert_int_equal(pic8259_acknowledge(&pic), 0x24);
    pulse(4); /* the same level again waits */
    assert_false(intr);
    eoi(0x20);
    assert_true(intr);
}

static void test_mask(void **state)
{
    (void)state;
    io_write(&io, 0x21, 1, 0x08);
    pulse(3);
    assert_false(intr);
    assert_int_equal(io_read(&io, 0x21, 1), 0x08);
    io_write(&io, 0x21, 1, 0);
    assert_true(intr); /* the edge was not forgotten */
    assert_int_equal(pic8259_acknowledge(&pic), 0x23);
    assert_int_equal(io_read(&io, 0x20, 1), 0);
}

static void test_cascade(void **state)
{
    (void)state;
    pulse(12);
    assert_true(intr);
    assert_int_equal(pic8259_acknowledge(&pic), 0x2c);
    assert_int_equal(isr(0x20), 0x04);
    assert_int_equal(isr(0xa0), 0x10);
    pulse(8); /* higher in the slave, but the master is serving its input */
    assert_false(intr);
    pulse(1);
    assert_int_equal(pic8259_acknowledge(&pic), 0x21);
    eoi(0x20);
    eoi(0xa0);
    eoi(0x20);
    assert_true(intr);
    assert_int_equal(pic8259_acknowledge(&pic), 0x28);
    /* Two at once: the second makes an edge of its own at the master. */
    eoi(0xa0);
    eoi(0x20);
    pulse(10);
    pulse(9);
    assert_int_equal(pic8259_acknowledge(&pic), 0x29);
    eoi(0xa0);
    eoi(0x20);
    assert_int_equal(pic8259_acknowledge(&pic), 0x2a);
}

static void test_special_fully_nested(void **state)
{
    (void)state;
    initialise(0x20, 0x20, 4, 0x11);
    pulse(12);
    assert_int_equal(pic8259_acknowledge(&pic), 0x2c);
    pulse(9);
    assert_true(intr);
    assert_int_equal(pic8259_acknowledge(&pic), 0x29);
    pulse(14);
    assert_false(intr);
}

static void test_spurious(void **state)
{
    (void)state;
    pulse(5);
    pic8259_set(&pic, 5, false);
    assert_false(intr);
    assert_int_equal(pic8259_acknowledge(&pic), 0x27);
    assert_int_equal(isr(0x20), 0);
    /* The slave's: the master serves its cascade. */
    pulse(11);
    struct pic8259 before = pic;
    pic.chips[1].imr = 0xff; /* as if masked between the request and its acknowledge */
    assert_int_equal(pic8259_acknowledge(&pic), 0x2f);
    assert_int_equal(isr(0x20), 0x04);
    assert_int_equal(isr(0xa0), 0);
    pic = before;
}

static void test_level(void **state)
{
    (void)state;
    io_write(&io, 0x4d0, 2, 0xffff);
    assert_int_equal(io_read(&io, 0x4d0, 2), 0xdef8);
    pic8259_set(&pic, 11, true);
    assert_int_equal(pic8259_acknowledge(&pic), 0x2b);
    eoi(0xa0);
    eoi(0x20);
    assert_true(intr); /* still asserted */
    assert_int_equal(pic8259_acknowledge(&pic), 0x2b);
    pic8259_set(&pic, 11, false);
    eoi(0xa0);
    eoi(0x20);
    assert_false(intr);
    /* An edge-triggered one that stays up asks once. */
    pulse(1);
    assert_int_equal(pic8259_acknowledge(&pic), 0x21);
    eoi(0x20);
    assert_false(intr);
    pic8259_set(&pic, 1, true);
    assert_false(intr);
}

static void test_automatic_end(void **state)
{
    (void)state;
    initialise(0x20, 0x20, 4, 3);
    pulse(3);
    assert_int_equal(pic8259_acknowledge(&pic), 0x23);
    assert_int_equal(isr(0x20), 0);
    io_write(&io, 0x20, 1, 0x80); /* rotate */
    pulse(3);
    pulse(6);
    assert_int_equal(pic8259_acknowledge(&pic), 0x23);
    pulse(2 + 1);
    assert_int_equal(pic8259_acknowledge(&pic), 0x26); /* 3 has become the lowest */
    assert_int_equal(pic8259_acknowledge(&pic), 0x23);
}

static void test_rotation(void **state)
{
    (void)state;
    io_write(&io, 0x20, 1, 0xc3); /* lowest: 3, highest: 4 */
    pulse(3);
    pulse(4);
    pulse(0);
    assert_int_equal(pic8259_acknowledge(&pic), 0x24);
    io_write(&io, 0x20, 1, 0xa0); /* rotate on non-specific EOI: lowest: 4 */
    assert_int_equal(pic8259_acknowledge(&pic), 0x20);
    io_write(&io, 0x20, 1, 0xe0); /* rotate on specific EOI of 0 */
    assert_int_equal(pic8259_acknowledge(&pic), 0x23);
    pulse(0);
    assert_false(intr); /* order now 1 to 7, 0 */
    pulse(1);
    assert_true(intr);
}

static void test_special_mask(void **state)
{
    (void)state;
    pulse(1);
    assert_int_equal(pic8259_acknowledge(&pic), 0x21);
    pulse(6);
    assert_false(intr);
    io_write(&io, 0x21, 1, 0x02);
    assert_false(intr);
    io_write(&io, 0x20, 1, 0x68);
    assert_true(intr); /* lower ones too, though 1 is being served */
    assert_int_equal(pic8259_acknowledge(&pic), 0x26);
    eoi(0x20); /* does not see 1 */
    assert_int_equal(isr(0x20), 0x02);
    io_write(&io, 0x20, 1, 0x48);
    eoi(0x20);
    assert_int_equal(isr(0x20), 0);
}

static void test_poll(void **state)
{
    (void)state;
    io_write(&io, 0x20, 1, 0x0c);
    assert_int_equal(io_read(&io, 0x20, 1) & 0x80, 0);
    pulse(5);
    io_write(&io, 0x20, 1, 0x0c);
    assert_int_equal(io_read(&io, 0x20, 1), 0x85);
    assert_false(intr);
    assert_int_equal(isr(0x20), 0x20);
}

static void test_initialise(void **state)
{
    (void)state;
    pulse(3);
    io_write(&io, 0x21, 1, 0xf0);
    io_write(&io, 0x20, 1, 0x13); /* single, ICW4 */
    assert_false(intr);           /* edges are forgotten */
    io_write(&io, 0x21, 1, 0x67);
    io_write(&io, 0x21, 1, 0x01);
    assert_int_equal(io_read(&io, 0x21, 1), 0); /* and the mask */
    pulse(3);
    assert_int_equal(pic8259_acknowledge(&pic), 0x63);
    io_write(&io, 0x20, 1, 0x12); /* no ICW4: after ICW2 follow masks */
    io_write(&io, 0x21, 1, 0x20);
    io_write(&io, 0x21, 1, 0x55);
    assert_int_equal(io_read(&io, 0x21, 1), 0x55);
}

static void test_save(void **state)
{
    (void)state;
    struct devices devices = {0};
    struct error error = ERROR_INIT;
    struct buffer saved = {0}, again = {0};
    assert_int_equal(devices_add(&devices, &pic8259_type, "pic", &pic, &error), 0);
    assert_int_equal(devices_add(&devices, &pic8259_type, "pic", &pic, &error), -EEXIST);
    pulse(12);
    pulse(1);
    pic8259_acknowledge(&pic);
    devices_save(&devices, &saved);
    pulse(3);
    io_write(&io, 0x21, 1, 0xf0);
    eoi(0x20);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    devices_save(&devices, &again);
    assert_int_equal(saved.size, again.size);
    assert_memory_equal(saved.data, again.data, saved.size);
    eoi(0x20);
    assert_int_equal(pic8259_acknowledge(&pic), 0x2c);

    /* Whatever byte is cut off, it is an error that says so, and nothing has changed. */
    again.size = 0;
    devices_save(&devices, &again);
    for (size_t size = 0; size < saved.size; size++) {
        assert_int_equal(devices_load(&devices, saved.data, size, &error), -EINVAL);
        assert_true(error.message[0]);
        struct buffer now = {0};
        devices_save(&devices, &now);
        assert_memory_equal(now.data, again.data, again.size);
        buffer_free(&now);
    }
    buffer_free(&saved);
    buffer_free(&again);
    devices_free(&devices);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_programmed, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_priority), TEST(test_mask),         TEST(test_cascade),  TEST(test_special_fully_nested),
        TEST(test_spurious), TEST(test_level),        TEST(test_rotation), TEST(test_automatic_end),
        TEST(test_poll),     TEST(test_special_mask), TEST(test_save),     TEST(test_initialise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
