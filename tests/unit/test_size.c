/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/macros.h"
#include "base/size.h"

static uint64_t parsed(const char *text)
{
    uint64_t bytes = 0;
    struct error error = ERROR_INIT;
    assert_int_equal(size_parse(text, "the size", 0, UINT64_MAX, &bytes, &error), 0);
    return bytes;
}

static void sizes_have_units_and_fractions(void **state)
{
    (void)state;
    assert_int_equal(parsed("0"), 0);
    assert_int_equal(parsed("4096"), 4096);
    assert_int_equal(parsed("64k"), 65536);
    assert_int_equal(parsed("1.5G"), 3ull << 29);
    assert_int_equal(parsed("512 MiB"), 512ull << 20);
    assert_int_equal(parsed("2TB"), 2ull << 40);
    assert_int_equal(parsed("15.999999E"), 18446742920788047009ull);
}

static void what_is_no_size_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "G", "-1", "1.2.3", "1X", "1GG", "1Gi", "0x10", "99999999999999999999"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t bytes = 77;
        struct error error = ERROR_INIT;
        assert_int_equal(size_parse(bad[i], "the size", 0, UINT64_MAX, &bytes, &error), -EINVAL);
        assert_int_equal(bytes, 77);
    }
}

static void limits_are_named(void **state)
{
    (void)state;
    uint64_t bytes;
    struct error error = ERROR_INIT;
    assert_int_equal(size_parse("100T", "the memory", 1 << 20, 1ull << 40, &bytes, &error), -ERANGE);
    assert_string_equal(error.message, "the memory 100T is not between 1 MiB and 1 TiB");
    assert_int_equal(size_parse("999999P", "the memory", 0, UINT64_MAX, &bytes, &error), -ERANGE);
    assert_int_equal(size_parse("1K", "the memory", 1024, 1024, &bytes, &error), 0);
}

static void sizes_are_printed_for_people(void **state)
{
    (void)state;
    char text[SIZE_TEXT];
    assert_string_equal(size_print(1023, text), "1023 bytes");
    assert_string_equal(size_print(1536, text), "1.5 KiB");
    assert_string_equal(size_print(8ull << 30, text), "8 GiB");
    assert_string_equal(size_print(UINT64_MAX, text), "15.9 EiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_units_and_fractions),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(limits_are_named),
        cmocka_unit_test(sizes_are_printed_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
