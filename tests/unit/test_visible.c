/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/visible.h"

static void test_rows(void **state)
{
    static const struct {
        const char *text, *wanted;
        size_t size; /* 0: that of the text */
    } rows[] = {
        {"", "", 0},
        {"sleep 1000", "sleep 1000", 0},
        {"caf\303\251 \342\202\254 \360\237\220\242", "caf\303\251 \342\202\254 \360\237\220\242", 0},
        {"\033]0;X\a", "?]0;X?", 0},
        {"a\177b\tc\nd", "a?b?c?d", 0},
        {"a\0b", "a?b", 3},
        {"\302\2332J", "??2J", 0}, /* CSI in UTF-8 */
        {"\302\240", "\302\240", 0},
        {"\2332J", "?2J", 0},            /* CSI in Latin 1 */
        {"\303", "?", 0},                /* broken off */
        {"\342\202x", "??x", 0},         /* likewise in the middle */
        {"\300\233", "??", 0},           /* ESC, longer than need be */
        {"\365\200\200\200", "????", 0}, /* beyond Unicode */
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        size_t size = rows[i].size ? rows[i].size : strlen(rows[i].text);
        char *copy = malloc(size + 1); /* of just this size, for the sanitizer to see */
        memcpy(copy, rows[i].text, size);
        copy[size] = '\0';
        visible_make(copy, size);
        assert_string_equal(copy, rows[i].wanted);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
