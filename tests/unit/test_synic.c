/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The synthetic interrupt controller and its timers, as Microsoft's specification describes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "device/irq/synic.h"
#include "device/misc/hyperv_test.h"
#include "fake_clock.h"

#define ASSIST_PAGE  0x40000073
#define CONTROL      0x40000080
#define VERSION      0x40000081
#define FLAGS_PAGE   0x40000082
#define MESSAGE_PAGE 0x40000083
#define EOM          0x40000084
#define SINT(n)      (0x40000090 + (n))
#define CONFIG(n)    (0x400000b0 + 2 * (n))
#define COUNT(n)     (0x400000b1 + 2 * (n))

#define MASKED    0x10000u
#define AUTOMATIC 0x20000u
#define POLLED    0x40000u

#define ENABLED   1u
#define PERIODIC  2u
#define AUTO      8u
#define DIRECT(v) (0x1000u | (v) << 4)
#define SOURCE(n) ((n) << 16)

#define MESSAGES 0x3000
#define VECTOR   0x51

static struct memory_backing *backing;
static struct memory_map map;
static struct lapic lapic, *lapics[1] = {&lapic};
static struct lapic_bus bus;
static struct synic synic;
static uint64_t zero; /* of the machine's clock, in reference time */

static void kick(void *opaque, unsigned vcpu)
{
    (void)opaque, (void)vcpu;
}

static uint64_t reference(void)
{
    return zero + now / 100;
}

static bool put(uint32_t msr, uint64_t value)
{
    assert_true(synic_has_msr(msr));
    return synic_msr_write(&synic, msr, value, synic_is_timer_msr(msr) ? reference() : 0);
}

static uint64_t get(uint32_t msr)
{
    uint64_t value;
    assert_true(synic_has_msr(msr));
    assert_true(synic_msr_read(&synic, msr, &value));
    return value;
}

static struct synic_message *slot(unsigned source)
{
    return (struct synic_message *)(void *)(backing->host + MESSAGES) + source;
}

/* The vector of the next interrupt, which the guest ends; or LAPIC_NONE. */
static int taken(void)
{
    const int vector = lapic_acknowledge(&lapic);
    if (vector != LAPIC_NONE)
        lapic_mmio_write(&lapic, 0xb0, 4, 0);
    return vector;
}

static int set_up(void **unused)
{
    struct error error = ERROR_INIT;
    (void)unused;
    fake_clock_start(5000000000);
    zero = 777;
    backing = memory_backing_create("ram", 1 << 16, &error);
    assert_non_null(backing);
    assert_int_equal(memory_map_init(&map, UINT32_MAX, &error), 0);
    assert_non_null(memory_add_ram(&map, "ram", 0, 1 << 16, 0, backing, 0, &error));
    bus = (struct lapic_bus){.lapics = lapics, .count = 1, .host = {kick, NULL, NULL}};
    lapic_init(&lapic, &bus, 0, 0, 40, &timers);
    lapic_mmio_write(&lapic, 0xf0, 4, 0x1ff);
    synic_init(&synic, &lapic, &map, &timers);
    return 0;
}

/* With a message page, and source 2. */
static int set_up_on(void **unused)
{
    set_up(unused);
    assert_true(put(CONTROL, ENABLED) && put(MESSAGE_PAGE, MESSAGES | ENABLED) && put(SINT(2), VECTOR));
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

static void test_registers(void **unused)
{
    (void)unused;
    assert_int_equal(get(CONTROL), 0);
    assert_int_equal(get(VERSION), 1);
    assert_false(put(VERSION, 1));
    assert_int_equal(get(EOM), 0);
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(get(SINT(i)), MASKED);
        assert_true(put(SINT(i), MASKED | AUTOMATIC | i));
        assert_int_equal(get(SINT(i)), MASKED | AUTOMATIC | i);
        assert_false(put(SINT(i), 15)); /* exceptions' */
        assert_true(put(SINT(i), POLLED | 15));
        assert_true(put(SINT(i), 16));
    }
    static const uint32_t none[] = {0x4000007f, 0x40000085, 0x4000008f, 0x400000a0, 0x400000af, 0x400000b8};
    for (unsigned i = 0; i < ARRAY_SIZE(none); i++)
        assert_false(synic_has_msr(none[i]));
}

static void test_pages_are_cleared(void **unused)
{
    static const uint32_t msrs[] = {FLAGS_PAGE, MESSAGE_PAGE, ASSIST_PAGE};
    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
        memset(backing->host, 0xee, 1 << 16);
        assert_true(put(msrs[i], MESSAGES));
        assert_int_equal(backing->host[MESSAGES], 0xee);
        assert_true(put(msrs[i], MESSAGES | ENABLED));
        assert_int_equal(get(msrs[i]), MESSAGES | ENABLED);
        assert_int_equal(backing->host[MESSAGES - 1], 0xee);
        assert_int_equal(backing->host[MESSAGES], 0);
        assert_int_equal(backing->host[MESSAGES + 0xfff], 0);
        assert_int_equal(backing->host[MESSAGES + 0x1000], 0xee);
        backing->host[MESSAGES] = 1;
        assert_true(put(msrs[i], MESSAGES | 0x10 | ENABLED)); /* the same */
        assert_int_equal(backing->host[MESSAGES], 1);
        assert_true(put(msrs[i], 0x8000 | ENABLED)); /* another */
        assert_int_equal(backing->host[0x8000], 0);
        assert_false(put(msrs[i], 0x10000 | ENABLED)); /* where no memory is */
        assert_false(put(msrs[i], UINT64_MAX));
        assert_int_equal(get(msrs[i]), 0x8000 | ENABLED);
        assert_true(put(msrs[i], 0x10000));
    }
}

static void test_message(void **unused)
{
    struct synic_message message = {.type = 0x1234, .size = 8, .sender = 5, .payload = {1, 2, 3}};
    (void)unused;
    assert_true(synic_post(&synic, 2, &message));
    assert_memory_equal(slot(2), &message, sizeof message);
    assert_int_equal(slot(3)->type, 0);
    assert_int_equal(taken(), VECTOR);
    assert_int_equal(taken(), LAPIC_NONE);
    message.sender = 6;
    assert_false(synic_post(&synic, 2, &message)); /* the slot is taken */
    assert_int_equal(slot(2)->sender, 5);
    assert_int_equal(slot(2)->flags, 1);
    assert_int_equal(taken(), LAPIC_NONE);
    slot(2)->type = 0;
    assert_true(synic_post(&synic, 2, &message));
    assert_int_equal(slot(2)->flags, 0);
    assert_int_equal(taken(), VECTOR);
}

static void test_nothing_comes_to_what_is_off(void **unused)
{
    const struct synic_message message = {.type = 1};
    (void)unused;
    assert_true(put(SINT(2), MASKED | VECTOR));
    assert_false(synic_post(&synic, 2, &message));
    assert_true(put(SINT(2), VECTOR) && put(CONTROL, 0));
    assert_false(synic_post(&synic, 2, &message));
    assert_true(put(CONTROL, ENABLED) && put(MESSAGE_PAGE, MESSAGES));
    assert_false(synic_post(&synic, 2, &message));
    assert_int_equal(slot(2)->type, 0);
    assert_int_equal(taken(), LAPIC_NONE);
    assert_true(put(MESSAGE_PAGE, MESSAGES | ENABLED) && put(SINT(2), MASKED | POLLED));
    assert_true(synic_post(&synic, 2, &message)); /* polled: without an interrupt, masked or not */
    assert_int_equal(taken(), LAPIC_NONE);
}

/* One whose vector the guest does not end lets others of its class through. */
static void test_automatic_end(void **unused)
{
    (void)unused;
    assert_true(put(SINT(2), AUTOMATIC | VECTOR) && put(SINT(3), VECTOR - 1));
    synic_interrupt(&synic, 2);
    synic_interrupt(&synic, 3);
    assert_int_equal(lapic_acknowledge(&lapic), VECTOR);
    assert_int_equal(lapic_mmio_read(&lapic, 0x120, 4), 0);
    assert_int_equal(lapic_acknowledge(&lapic), VECTOR - 1);
    synic_interrupt(&synic, 2);
    assert_int_equal(lapic_acknowledge(&lapic), LAPIC_NONE); /* of the class that is served */
    lapic_mmio_write(&lapic, 0xb0, 4, 0);
    assert_int_equal(lapic_acknowledge(&lapic), VECTOR);
    synic_interrupt(&synic, 2);
    lapic_init_processor(&lapic);
    assert_int_equal(lapic_pending(&lapic), LAPIC_NONE);
    synic_interrupt(&synic, 2); /* software-disabled */
    lapic_mmio_write(&lapic, 0xf0, 4, 0x1ff);
    assert_int_equal(lapic_pending(&lapic), LAPIC_NONE);
}

static uint64_t sent_address;
static uint32_t sent_data;

static bool take(void *opaque, uint64_t address, uint32_t data)
{
    (void)opaque;
    sent_address = address, sent_data = data;
    return true;
}

/* Who has the local APIC gets its interrupts, but for those that end by themselves, which are still here. */
static void test_lent_lapic(void **unused)
{
    struct lapic_image image;
    (void)unused;
    assert_true(put(SINT(3), AUTOMATIC | (VECTOR + 1)));
    bus.borrower = (struct lapic_borrower){.send = take};
    lapic_lend(&lapic, &image);
    synic_interrupt(&synic, 2);
    assert_int_equal(sent_address, 0xfee00000);
    assert_int_equal(sent_data, VECTOR);
    sent_data = 0;
    synic_interrupt(&synic, 3);
    assert_int_equal(sent_data, 0);
    assert_int_equal(synic.automatic[(VECTOR + 1) / 32], 1u << (VECTOR + 1) % 32);
    lapic_return(&lapic, &image);
    assert_int_equal(taken(), VECTOR + 1);
    assert_int_equal(taken(), LAPIC_NONE);
}

static void expect_expired(unsigned source, uint32_t timer, uint64_t expired, uint64_t delivered)
{
    struct {
        uint32_t timer, reserved;
        uint64_t expired, delivered;
    } payload;
    assert_int_equal(slot(source)->type, 0x80000010);
    assert_int_equal(slot(source)->size, sizeof payload);
    memcpy(&payload, slot(source)->payload, sizeof payload);
    assert_int_equal(payload.timer, timer);
    assert_int_equal(payload.expired, expired);
    assert_int_equal(payload.delivered, delivered);
    assert_int_equal(taken(), VECTOR);
    slot(source)->type = 0;
}

static void test_one_shot(void **unused)
{
    (void)unused;
    const uint64_t due = reference() + 1000;
    assert_true(put(COUNT(1), due) && put(CONFIG(1), ENABLED | SOURCE(2)));
    assert_int_equal(get(COUNT(1)), due);
    advance(99999);
    assert_int_equal(slot(2)->type, 0);
    advance(1);
    expect_expired(2, 1, due, due);
    assert_int_equal(get(CONFIG(1)), SOURCE(2));
    advance(TIMER_SECOND);
    assert_int_equal(slot(2)->type, 0);
    assert_true(put(CONFIG(1), ENABLED | SOURCE(2))); /* in the past: at once */
    expect_expired(2, 1, due, due + 10000000);
}

static void test_periodic(void **unused)
{
    (void)unused;
    const uint64_t begin = reference();
    assert_true(put(COUNT(0), 500) && put(CONFIG(0), ENABLED | PERIODIC | SOURCE(2)));
    for (unsigned i = 1; i <= 5; i++) {
        advance(50000);
        expect_expired(2, 0, begin + 500 * i, begin + 500 * i);
    }
    now += 170000; /* the loop was late: once, and then in step */
    timers_run(&timers);
    expect_expired(2, 0, begin + 3000, begin + 4200);
    advance(30000);
    expect_expired(2, 0, begin + 4500, begin + 4500);
    assert_int_equal(get(CONFIG(0)), ENABLED | PERIODIC | SOURCE(2));
    assert_true(put(CONFIG(0), PERIODIC | SOURCE(2)));
    advance(TIMER_SECOND);
    assert_int_equal(slot(2)->type, 0);
}

static void test_what_enables(void **unused)
{
    (void)unused;
    assert_true(put(CONFIG(3), AUTO | SOURCE(2)) && put(COUNT(3), 1));
    expect_expired(2, 3, 1, reference());
    assert_true(put(COUNT(3), reference() + 1) && put(COUNT(3), 0));
    assert_int_equal(get(CONFIG(3)), AUTO | SOURCE(2));
    assert_true(put(CONFIG(3), ENABLED)); /* messages to the first source */
    assert_int_equal(get(CONFIG(3)), 0);
    assert_true(put(CONFIG(3), AUTO) && put(COUNT(3), 1));
    assert_int_equal(get(CONFIG(3)), AUTO);
    assert_false(put(CONFIG(3), 0x2000));
    assert_false(put(CONFIG(3), 0x100000));
    assert_int_equal(taken(), LAPIC_NONE);
}

static void test_direct(void **unused)
{
    (void)unused;
    assert_true(put(CONTROL, 0) && put(MESSAGE_PAGE, 0)); /* needs none of them */
    assert_true(put(COUNT(0), 10) && put(CONFIG(0), ENABLED | PERIODIC | DIRECT(0x60)));
    advance(2000);
    assert_int_equal(taken(), 0x60);
    assert_true(put(COUNT(0), reference() + 10) && put(CONFIG(0), ENABLED | DIRECT(0x61)));
    advance(2000);
    assert_int_equal(taken(), 0x61);
    assert_int_equal(taken(), LAPIC_NONE);
    assert_int_equal(get(CONFIG(0)), DIRECT(0x61));
    assert_true(put(CONFIG(0), ENABLED | DIRECT(15))); /* none that there is */
    assert_int_equal(taken(), LAPIC_NONE);
}

static void test_expiration_waits(void **unused)
{
    (void)unused;
    const uint64_t begin = reference();
    slot(2)->type = 1;
    assert_true(put(COUNT(0), 100) && put(CONFIG(0), ENABLED | PERIODIC | SOURCE(2)));
    assert_true(put(COUNT(1), begin + 150) && put(CONFIG(1), ENABLED | SOURCE(2)));
    advance(35000);
    assert_int_equal(slot(2)->flags, 1);
    assert_int_equal(get(CONFIG(1)), ENABLED | SOURCE(2));
    assert_int_equal(taken(), LAPIC_NONE);
    assert_true(put(EOM, 0));
    assert_int_equal(slot(2)->type, 1);
    slot(2)->type = 0;
    assert_true(put(EOM, 0));
    expect_expired(2, 0, begin + 100, begin + 350);
    assert_int_equal(slot(2)->flags, 1); /* the other one */
    assert_true(put(EOM, 0));
    expect_expired(2, 1, begin + 150, begin + 350);
    assert_int_equal(slot(2)->flags, 0);
    assert_int_equal(get(CONFIG(1)), SOURCE(2));
    advance(5000);
    expect_expired(2, 0, begin + 400, begin + 400);
    assert_true(put(CONFIG(0), 0) && put(SINT(2), MASKED));
    assert_true(put(CONFIG(1), ENABLED | SOURCE(2))); /* and if the source is masked */
    assert_true(put(SINT(2), VECTOR));
    expect_expired(2, 1, begin + 150, begin + 400);
    slot(2)->type = 1;
    assert_true(put(CONFIG(1), ENABLED | SOURCE(2)) && put(CONFIG(1), 0)); /* and no longer */
    slot(2)->type = 0;
    assert_true(put(EOM, 0));
    assert_int_equal(slot(2)->type, 0);
}

static void test_event(void **unused)
{
    (void)unused;
    synic_signal(&synic, 2, 5); /* nowhere */
    assert_true(put(FLAGS_PAGE, 0x4000 | ENABLED));
    synic_signal(&synic, 2, 2047);
    synic_signal(&synic, 2, 8);
    assert_int_equal(backing->host[0x4000 + 2 * 256 + 255], 0x80);
    assert_int_equal(backing->host[0x4000 + 2 * 256 + 1], 1);
    assert_int_equal(backing->host[0x4000 + 2 * 256], 0);
    assert_int_equal(taken(), VECTOR);
    synic_signal(&synic, 2, 8); /* set already */
    assert_int_equal(taken(), LAPIC_NONE);
}

static void test_connections(void **unused)
{
    struct synic *synics[] = {&synic};
    struct hyperv_test test;
    struct io_space io;
    struct error error = ERROR_INIT;
    struct synic_message message = {.type = 1, .size = 4, .payload = {9}};
    (void)unused;
    hyperv_test_init(&test, synics, 1);
    const struct synic_connections connections = hyperv_test_connections(&test);
    assert_int_equal(io_space_init(&io, &error), 0);
    assert_int_equal(hyperv_test_attach(&test, &io, &error), 0);
    io_write(&io, 0x3000, 4, 0x30002); /* interrupts */
    assert_int_equal(taken(), VECTOR);
    io_write(&io, 0x3000, 4, 0x30102); /* of a processor that there is not, of a source */
    io_write(&io, 0x3000, 4, 0x30010);
    assert_int_equal(taken(), LAPIC_NONE);
    assert_int_equal(connections.post(&test, 0x10, &message), -ENOENT);
    io_write(&io, 0x3000, 4, 0x10040002);
    assert_int_equal(connections.signal(&test, 0x10, 0), -ENOENT);
    assert_int_equal(connections.post(&test, 0x10, &message), 0);
    message.payload[0] = 10;
    assert_int_equal(connections.post(&test, 0x10, &message), 0); /* waits */
    assert_int_equal(connections.post(&test, 0x10, &message), -EAGAIN);
    assert_int_equal(slot(2)->payload[0], 9);
    slot(2)->type = 0;
    assert_true(put(EOM, 0));
    assert_int_equal(slot(2)->payload[0], 10);
    assert_int_equal(taken(), VECTOR);
    io_write(&io, 0x3000, 4, 0x10050000);
    assert_int_equal(connections.post(&test, 0x10, &message), -ENOENT);
    io_write(&io, 0x3000, 4, 0x21060002);
    assert_true(put(FLAGS_PAGE, 0x4000 | ENABLED));
    assert_int_equal(connections.signal(&test, 0x21, 0), 0);
    assert_int_equal(connections.signal(&test, 0x21, 2047), -ENOENT);
    assert_int_equal(connections.signal(&test, 0x1000, 0), -ENOENT);
    assert_int_equal(backing->host[0x4000 + 2 * 256 + 4], 2);
    io_write(&io, 0x3000, 4, 0x21070000);
    assert_int_equal(connections.signal(&test, 0x21, 0), -ENOENT);
    io_space_destroy(&io);
}

/* What the guest had there is a device's now. */
static void test_no_page_is_there_any_more(void **unused)
{
    struct error error = ERROR_INIT;
    (void)unused;
    assert_non_null(
        memory_add_mmio(&map, "device", MESSAGES, 0x1000, 1, &(struct access_ops){0}, NULL, &error));
    assert_true(put(CONFIG(0), ENABLED | AUTO | SOURCE(2)) && put(COUNT(0), 1));
    assert_true(put(EOM, 0));
    assert_int_equal(slot(2)->type, 0);
    assert_int_equal(taken(), LAPIC_NONE);
}

static void test_ends_of_time(void **unused)
{
    static const uint64_t counts[] = {UINT64_MAX, UINT64_MAX / 100, UINT64_MAX / 100 + 1, 1};
    (void)unused;
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        for (unsigned periodic = 0; periodic < 2; periodic++) {
            assert_true(put(COUNT(0), counts[i]));
            assert_true(put(CONFIG(0), ENABLED | periodic * PERIODIC | SOURCE(2)));
            now += 1000;
            timers_run(&timers);
            assert_int_equal(slot(2)->type != 0, counts[i] == 1);
            slot(2)->type = 0;
            taken();
        }
    }
}

static void test_it_is_saved(void **unused)
{
    struct error error = ERROR_INIT;
    struct devices devices = {0};
    struct buffer saved = {0};
    (void)unused;
    assert_int_equal(devices_add(&devices, &synic_type, "synic0", &synic, &error), 0);
    const uint64_t begin = reference();
    slot(3)->type = 1;
    assert_true(put(SINT(3), AUTOMATIC | (VECTOR - 1)));
    assert_true(put(COUNT(0), 100) && put(CONFIG(0), ENABLED | PERIODIC | SOURCE(2)));
    assert_true(put(COUNT(1), begin + 10) && put(CONFIG(1), ENABLED | SOURCE(3)));
    synic_interrupt(&synic, 3);
    advance(5000);
    devices_save(&devices, &saved);
    devices_reset(&devices);
    assert_int_equal(get(SINT(3)), MASKED);
    assert_int_equal(lapic_pending(&lapic), LAPIC_NONE);
    advance(10000);
    assert_int_equal(slot(2)->type, 0);
    now -= 10000;
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    assert_int_equal(taken(), VECTOR - 1);
    slot(3)->type = 0;
    assert_true(put(SINT(3), VECTOR));
    expect_expired(3, 1, begin + 10, begin + 50);
    advance(5000);
    expect_expired(2, 0, begin + 100, begin + 100);
    now = 0; /* before they were started */
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), -EINVAL);
    buffer_free(&saved);
    devices_free(&devices);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_registers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pages_are_cleared, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_message, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_comes_to_what_is_off, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_automatic_end, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_lent_lapic, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_one_shot, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_periodic, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_what_enables, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_direct, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_expiration_waits, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_event, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_connections, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_no_page_is_there_any_more, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_ends_of_time, set_up_on, tear_down),
        cmocka_unit_test_setup_teardown(test_it_is_saved, set_up_on, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
