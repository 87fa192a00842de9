/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What of Hyper-V every engine gives to guests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "arch/x86/features.h"
#include "arch/x86/segment.h"
#include "engine/hyperv.h"
#include "fake_clock.h"

#define GUEST_OS  0x40000000
#define HYPERCALL 0x40000001
#define INDEX     0x40000002
#define TIME      0x40000020
#define TIME_PAGE 0x40000021
#define TSC_HZ    0x40000022
#define APIC_HZ   0x40000023
#define COUNT     0x400000b1 /* of a timer */
#define ADDRESS   0x3000

static struct memory_backing *backing;
static struct memory_map map;
static struct x86_model model;
static struct x86_state state;
static struct pvclock clock_of_guest;
static struct hyperv hyperv;

static uint64_t tsc_now;

static uint64_t counter(void *vcpu)
{
    assert_null(vcpu);
    return tsc_now;
}

static int set_up(void **unused)
{
    struct error error = ERROR_INIT;
    (void)unused;
    fake_clock_start(5000000000);
    backing = memory_backing_create("ram", 1 << 16, &error);
    assert_non_null(backing);
    assert_int_equal(memory_map_init(&map, UINT32_MAX, &error), 0);
    assert_non_null(memory_add_ram(&map, "ram", 0, 1 << 16, 0, backing, 0, &error));
    assert_int_equal(x86_model_parse(&model, "max,hv=on", &error), 0);
    x86_state_reset(&state, &model);
    clock_of_guest = (struct pvclock){
        .model = &model, .memory = &map, .clock = &timers.clock, .base = {123456789012, 2000000000}};
    hyperv = (struct hyperv){.clock = &clock_of_guest, .machine = &state, .index = 3, .tsc = counter};
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

static uint64_t get(uint32_t msr)
{
    uint64_t value = 0;
    assert_true(hyperv_has_msr(&model, msr));
    assert_true(hyperv_msr_read(&hyperv, msr, &value));
    return value;
}

static bool put(uint32_t msr, uint64_t value)
{
    return hyperv_msr_write(&hyperv, msr, value);
}

static uint64_t field(unsigned offset, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, backing->host + ADDRESS + offset, size);
    return value;
}

/* As a guest reads it, in units of 100 ns. */
static uint64_t guest_time(uint64_t tsc)
{
    return (uint64_t)(((unsigned __int128)tsc * field(8, 8)) >> 64) + field(16, 8);
}

static void test_a_processor_without_has_none(void **unused)
{
    struct error error = ERROR_INIT;
    (void)unused;
    assert_int_equal(x86_model_parse(&model, "max", &error), 0);
    for (uint32_t msr = GUEST_OS; msr <= APIC_HZ; msr++)
        assert_false(hyperv_has_msr(&model, msr));
    state.hv_time_page = ADDRESS | 1;
    hyperv_publish(&hyperv);
    assert_int_equal(field(0, 4), 0);
}

static void test_what_can_only_be_read(void **unused)
{
    (void)unused;
    assert_int_equal(get(INDEX), 3);
    tsc_now = clock_of_guest.base.tsc + 7000;
    assert_in_range(get(TIME), 20000069, 20000070);
    assert_int_equal(get(TSC_HZ), 1000000000);
    assert_int_equal(get(APIC_HZ), 1000000000);
    for (uint32_t msr = TIME; msr <= APIC_HZ; msr++)
        assert_true(msr == TIME_PAGE || !put(msr, 1));
    assert_false(put(INDEX, 0));
    for (uint32_t msr = INDEX + 1; msr < TIME; msr++)
        assert_false(hyperv_has_msr(&model, msr));
    assert_false(hyperv_has_msr(&model, APIC_HZ + 1));
}

/* The page is right to a unit, whatever the counter's frequency. */
static void test_time_page(void **unused)
{
    static const uint32_t frequencies[] = {1000000, 2596124, 800000, 4999999};
    (void)unused;
    for (unsigned i = 0; i < 4; i++) {
        model.tsc_khz = frequencies[i];
        assert_true(put(TIME_PAGE, ADDRESS | 1));
        assert_int_equal(get(TIME_PAGE), ADDRESS | 1);
        assert_int_equal(field(0, 4), i + 1);
        for (uint64_t passed = 0; passed < UINT64_C(1) << 50; passed = 3 * passed + 1) {
            const uint64_t tsc = clock_of_guest.base.tsc + passed;
            const uint64_t time = clock_of_guest.base.time / 100 +
                                  (uint64_t)((unsigned __int128)passed * 10000 / frequencies[i]);
            tsc_now = tsc;
            assert_in_range(guest_time(tsc), time - 1, time + 1);
            assert_int_equal(get(TIME), guest_time(tsc));
        }
    }
    hyperv.moved = true; /* one page cannot be right for all */
    hyperv_publish(&hyperv);
    assert_int_equal(field(0, 4), 0);
    hyperv.moved = false;
    memset(backing->host + ADDRESS, 0xff, 4);
    hyperv_publish(&hyperv);
    assert_int_equal(field(0, 4), 1);
    memset(backing->host + ADDRESS, 0xee, 24);
    assert_true(put(TIME_PAGE, ADDRESS)); /* no longer */
    hyperv_publish(&hyperv);
    assert_int_equal(field(0, 4), 0xeeeeeeee);
}

static void test_hypercalls(void **unused)
{
    (void)unused;
    assert_true(put(HYPERCALL, ADDRESS | 1)); /* of whom? */
    assert_int_equal(get(HYPERCALL), ADDRESS);
    assert_int_equal(field(0, 8), 0);
    assert_true(put(GUEST_OS, UINT64_C(0x8100) << 16));
    assert_int_equal(get(GUEST_OS), UINT64_C(0x8100) << 16);
    assert_true(put(HYPERCALL, ADDRESS | 1));
    assert_int_equal(get(HYPERCALL), ADDRESS | 1);
    assert_int_equal(field(0, 1), 0x55);
    assert_int_equal(field(34, 1), 0xc3);
    assert_int_equal(field(47, 1), 0xc3);     /* of 32-bit code */
    assert_false(put(HYPERCALL, 0x80000001)); /* no memory is there */
    assert_int_equal(get(HYPERCALL), ADDRESS | 1);
    assert_true(put(GUEST_OS, 0));
    assert_int_equal(get(HYPERCALL), ADDRESS);
    assert_true(put(HYPERCALL, 0x5002)); /* locked */
    assert_true(put(HYPERCALL, ADDRESS));
    assert_int_equal(get(HYPERCALL), 0x5002);
}

/* Whose registers they are is the vCPU's: see test_synic.c. */
static void test_synic_is_of_the_processor(void **unused)
{
    struct error error = ERROR_INIT;
    struct lapic lapic = {0};
    struct synic synic;
    (void)unused;
    assert_true(hyperv_has_msr(&model, COUNT));
    assert_false(put(COUNT, 1)); /* and there is none */
    synic_init(&synic, &lapic, &map, &timers);
    hyperv.synic = &synic;
    tsc_now = clock_of_guest.base.tsc;
    assert_true(put(COUNT, 20000010));
    assert_true(put(COUNT - 1, 0x1601)); /* direct, vector 60h, a microsecond from now */
    assert_int_equal(get(COUNT), 20000010);
    assert_int_equal(timers_next(&timers), now + 1000);
    assert_false(put(0x40000081, 0));
    assert_int_equal(x86_model_parse(&model, "max,hv=on,-hv-synic", &error), 0);
    assert_false(hyperv_has_msr(&model, COUNT));
    assert_true(hyperv_has_msr(&model, TIME));
}

#define CALL 0x400001ff
enum { SPIN = 8, POST = 0x5c, SIGNAL = 0x5d, FAST = 1 << 16 };

static struct synic_message posted;
static uint32_t last_connection;
static unsigned last_flag;
static int answer;

static int take_message(void *opaque, uint32_t connection, const struct synic_message *message)
{
    (void)opaque;
    last_connection = connection;
    posted = *message;
    return answer;
}

static int take_event(void *opaque, uint32_t connection, unsigned flag)
{
    (void)opaque;
    last_connection = connection;
    last_flag = flag;
    return answer;
}

/* As the page has the registers, in 64-bit code and elsewhere. */
static uint64_t call(uint64_t control, uint64_t input)
{
    struct x86_state wide = {.efer = X86_EFER_LMA}, narrow = {0};
    wide.segment[X86_CS].attributes = X86_SEGMENT_LONG;
    wide.gpr[X86_RBP] = control, wide.gpr[X86_RDX] = input;
    narrow.segment[X86_CS].attributes = X86_SEGMENT_BIG;
    narrow.gpr[X86_RDX] = control >> 32, narrow.gpr[X86_RAX] = (uint32_t)control;
    narrow.gpr[X86_RBX] = input >> 32, narrow.gpr[X86_RBP] = (uint32_t)input;
    hyperv.registers = &wide;
    const uint64_t status = get(CALL);
    hyperv.registers = &narrow;
    assert_int_equal(get(CALL), status);
    return status;
}

static void test_calls(void **unused)
{
    const struct synic_connections connections = {take_message, take_event, NULL};
    struct {
        uint32_t connection, reserved, type, size;
        uint8_t payload[240];
    } input = {.connection = 7, .type = 0x1234, .size = 240, .payload = {1, 2, 3}};
    uint64_t value;
    (void)unused;
    assert_false(hyperv_msr_read(&hyperv, CALL, &value)); /* there is no page */
    assert_true(put(GUEST_OS, 1) && put(HYPERCALL, ADDRESS | 1));
    assert_int_equal(call(0x1234, 0), 2);
    assert_int_equal(call(SPIN | FAST, 0), 0);
    assert_int_equal(call(SPIN | FAST | UINT64_C(1) << 32, 0), 3); /* again and again */
    assert_int_equal(call(SIGNAL | FAST, 7), 0x12);
    memcpy(backing->host + 0x5000, &input, sizeof input);
    assert_int_equal(call(POST, 0x5000), 0x12);

    hyperv.connections = &connections;
    answer = 0;
    assert_int_equal(call(SIGNAL | FAST, UINT64_C(2047) << 32 | 9), 0);
    assert_int_equal(last_connection, 9);
    assert_int_equal(last_flag, 2047);
    assert_int_equal(call(SIGNAL | FAST, UINT64_C(2048) << 32 | 9), 5);
    assert_int_equal(call(SIGNAL | FAST, UINT64_C(1) << 48 | 9), 5);
    assert_int_equal(call(SIGNAL | FAST, 0x1000009), 0x12);
    assert_int_equal(call(SIGNAL, 0x5000), 0);
    assert_int_equal(last_connection, 7);
    assert_int_equal(call(POST, 0x5000), 0);
    assert_int_equal(posted.type, 0x1234);
    assert_int_equal(posted.size, 240);
    assert_memory_equal(posted.payload, input.payload, 240);
    answer = -EAGAIN;
    assert_int_equal(call(POST, 0x5000), 0x13);
    answer = -ENOENT;
    assert_int_equal(call(POST, 0x5000), 0x12);

    assert_int_equal(call(POST | FAST, 0), 3);
    assert_int_equal(call(POST, 0x5004), 4);
    assert_int_equal(call(POST, 0x5f08), 3); /* on two pages */
    assert_int_equal(call(POST, UINT64_C(0x100000000)), 3);
    input.size = 241;
    memcpy(backing->host + 0x5000, &input, sizeof input);
    assert_int_equal(call(POST, 0x5000), 5);
    input.size = 0, input.type = 0x80000010; /* a message of the hypervisor's own */
    memcpy(backing->host + 0x5000, &input, sizeof input);
    assert_int_equal(call(POST, 0x5000), 5);
    assert_int_equal(x86_model_parse(&model, "max,hv=on,-hv-synic", &(struct error)ERROR_INIT), 0);
    assert_int_equal(call(SIGNAL | FAST, 7), 2);
}

static void test_no_page_is_there(void **unused)
{
    (void)unused;
    assert_true(put(TIME_PAGE, 0x80000001));
    assert_true(put(TIME_PAGE, UINT64_MAX));
    hyperv_publish(&hyperv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_processor_without_has_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_can_only_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_page, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hypercalls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_synic_is_of_the_processor, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_page_is_there, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
