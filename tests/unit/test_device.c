/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The saved form of devices: what is written, and every way in which it can be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "device/device.h"

struct part {
    uint8_t number;
    bool on;
};

struct sample {
    uint32_t word;
    _Atomic uint64_t wide;
    uint16_t halves[3];
    struct part parts[2];
    struct timer timer;
    unsigned resets;
    bool refuse;
};

static const struct device_field part_fields[] = {
    DEVICE_LIMITED(struct part, number, 7),
    DEVICE_FIELD(struct part, on),
};

static const struct device_field sample_fields[] = {
    DEVICE_FIELD(struct sample, word),        DEVICE_FIELD(struct sample, wide),
    DEVICE_ARRAY(struct sample, halves),      DEVICE_STRUCTS(struct sample, parts, part_fields),
    DEVICE_TIMER_FIELD(struct sample, timer),
};

static void sample_reset(void *opaque)
{
    struct sample *sample = opaque;
    sample->word = 0;
    sample->resets++;
}

static int sample_loaded(void *opaque, struct error *error)
{
    const struct sample *sample = opaque;
    return sample->refuse ? error_set(error, -EINVAL, "it does not fit") : 0;
}

static const struct device_type sample_type = {
    .name = "sample",
    .version = 3,
    .fields = sample_fields,
    .field_count = ARRAY_SIZE(sample_fields),
    .reset = sample_reset,
    .loaded = sample_loaded,
};

static const struct device_type older_type = {
    .name = "sample",
    .version = 2,
    .fields = sample_fields,
    .field_count = ARRAY_SIZE(sample_fields),
};

static const struct device_type smaller_type = {
    .name = "sample",
    .version = 3,
    .fields = sample_fields,
    .field_count = ARRAY_SIZE(sample_fields) - 1,
};

static uint64_t fake_now(void *opaque)
{
    (void)opaque;
    return 0;
}

static void ignore(void *opaque)
{
    (void)opaque;
}

static struct timers timers;
static struct sample sample;
static struct devices devices;
static struct error error;

static int set_up(void **state)
{
    (void)state;
    timers_init(&timers, (struct clock){fake_now, NULL});
    sample =
        (struct sample){.word = 0x12345678, .wide = 5, .halves = {1, 2, 3}, .parts = {{7, true}, {1, false}}};
    timer_init(&sample.timer, &timers, ignore, NULL);
    timer_set(&sample.timer, 1000);
    return devices_add(&devices, &sample_type, "one", &sample, &error);
}

static int tear_down(void **state)
{
    (void)state;
    devices_free(&devices);
    timers_destroy(&timers);
    return 0;
}

/* Loads into devices with these types, both named "one"; the answer's message has these words. */
static void refuse(const struct buffer *saved, const char *words)
{
    assert_int_equal(devices_load(&devices, saved->data, saved->size, &error), -EINVAL);
    if (!strstr(error.message, words))
        fail_msg("\"%s\" has not \"%s\"", error.message, words);
}

static void test_form(void **state)
{
    (void)state;
    struct buffer saved = {0};
    devices_save(&devices, &saved);
    static const uint8_t start[] = "VDEV\1\0\0\0"
                                   "\3one\6sample\3\0\0\0\0\0\0\0"
                                   "\4word\0\4\0\0\0\1\0\0\0\x78\x56\x34\x12";
    size_t head = sizeof start - 1;
    assert_true(saved.size > head);
    assert_memory_equal(saved.data, start, 23);
    assert_memory_equal(saved.data + 27, start + 27, head - 27);
    assert_int_equal(saved.data[23] | saved.data[24] << 8, (int)saved.size - 27);
    buffer_free(&saved);
}

static void test_round(void **state)
{
    (void)state;
    struct buffer saved = {0};
    devices_save(&devices, &saved);
    sample.word = 0;
    sample.wide = 0;
    memset(sample.halves, 0, sizeof sample.halves);
    memset(sample.parts, 0, sizeof sample.parts);
    timer_cancel(&sample.timer);
    assert_int_equal(devices_load(&devices, saved.data, saved.size, &error), 0);
    assert_int_equal(sample.word, 0x12345678);
    assert_int_equal(sample.wide, 5);
    assert_int_equal(sample.halves[2], 3);
    assert_true(sample.parts[0].on && sample.parts[0].number == 7);
    assert_int_equal(timers_next(&timers), 1000);
    assert_int_equal(sample.resets, 0);
    buffer_free(&saved);
}

static void test_which_were_saved(void **state)
{
    (void)state;
    struct buffer saved = {0};
    struct sample other = sample;
    assert_int_equal(devices_add(&devices, &sample_type, "two", &other, &error), 0);
    devices_save(&devices, &saved);
    assert_true(devices_saved(saved.data, saved.size, "one"));
    assert_true(devices_saved(saved.data, saved.size, "two"));
    assert_false(devices_saved(saved.data, saved.size, "three"));
    assert_false(devices_saved(saved.data, saved.size, "sample"));
    assert_false(devices_saved(saved.data, saved.size - 1, "two")); /* cut off */
    for (size_t size = 0; size < 8; size++)
        assert_false(devices_saved(saved.data, size, "one"));
    buffer_free(&saved);
}

static void test_refused(void **state)
{
    (void)state;
    struct buffer saved = {0}, changed = {0};
    devices_save(&devices, &saved);
    sample.word = 9;

    refuse(&(struct buffer){.data = (uint8_t *)"ELF", .size = 3}, "not the saved state");
    buffer_append(&changed, saved.data, saved.size);
    changed.data[4] = 9;
    refuse(&changed, "format 9");
    changed.data[4] = 1;
    uint8_t *number = memmem(changed.data, changed.size, "\6number", 7);
    number[16] = 8;
    refuse(&changed, "field number has a value");
    number[16] = 7;
    number[1] = 'N';
    refuse(&changed, "a field \"Number\" that is not known");
    number[1] = 'n';
    number[7] = 1;
    refuse(&changed, "another form");
    number[7] = 0;
    changed.size--;
    refuse(&changed, "cut off");
    changed.size++;
    buffer_append(&changed, saved.data + 8, saved.size - 8);
    refuse(&changed, "twice");
    changed.size = 8;
    refuse(&changed, "no device \"one\"");
    assert_int_equal(sample.word, 9); /* all of that changed nothing */

    sample.refuse = true;
    refuse(&saved, "device one: it does not fit");
    assert_int_equal(sample.resets, 1);
    sample.refuse = false;

    struct {
        const struct device_type *type;
        const char *name, *words;
    } others[] = {
        {&older_type, "one", "version 3, here it is sample version 2"},
        {&smaller_type, "one", "\"timer\" that is not known"},
        {&sample_type, "two", "has a device \"one\", this one has not"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
        devices_free(&devices);
        assert_int_equal(devices_add(&devices, others[i].type, others[i].name, &sample, &error), 0);
        refuse(&saved, others[i].words);
    }
    /* The other way round, a field is missing. */
    devices_free(&devices);
    assert_int_equal(devices_add(&devices, &smaller_type, "one", &sample, &error), 0);
    changed.size = 0;
    devices_save(&devices, &changed);
    devices_free(&devices);
    assert_int_equal(devices_add(&devices, &sample_type, "one", &sample, &error), 0);
    refuse(&changed, "lacks field timer");
    buffer_free(&saved);
    buffer_free(&changed);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(devices_add(&devices, &sample_type, "one", &sample, &error), -EEXIST);
    assert_int_equal(
        devices_add(&devices, &sample_type, "a name that is longer than names can be", &sample, &error),
        -EINVAL);
    devices_reset(&devices);
    assert_int_equal(sample.resets, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_form), TEST(test_round), TEST(test_which_were_saved),
                                       TEST(test_refused), TEST(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
