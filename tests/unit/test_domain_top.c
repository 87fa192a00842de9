/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a guest says of its processes: taken as far as it is that, and fit for a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "domain/top.h"

/* From the third field of /proc/PID/stat on: state, parent, CPU time in hundredths, start, resident pages. */
#define STAT(state, parent, user, start, pages)                                                              \
    " " state " " parent " 1 1 0 -1 4194560 1 1 1 1 " user " 0 0 0 20 0 1 0 " start " 1000000 " pages        \
    " 18446744073709551615 1 1 0\n"

static struct domain_process *list;
static unsigned count;

static char said[32768];
static size_t size;

static void say(const char *text, size_t length)
{
    assert_true(size + length <= sizeof said);
    memcpy(said + size, text, length);
    size += length;
}

static void begin(const char *text)
{
    size = 0;
    say(text, strlen(text));
}

/* One of /proc's files, "1/stat". */
static void file_bytes(const char *name, const char *content, size_t length)
{
    char line[64];
    say(line, (size_t)snprintf(line, sizeof line, "\n==> %s <==\n", name));
    say(content, length);
}

static void file(const char *name, const char *content)
{
    file_bytes(name, content, strlen(content));
}

static void parse(unsigned expected)
{
    struct error error = ERROR_INIT;
    free(list);
    assert_int_equal(domain_top_parse(said, size, &list, &count, &error), 0);
    assert_int_equal(count, expected);
}

static void test_processes(void **state)
{
    static const char words[] = "/sbin/init\0two words\0";
    (void)state;
    begin("300\n1000.50 900.00\n");
    file("1/stat", "1 (init (x) y)" STAT("S", "0", "150", "50", "10"));
    file("12/stat", "12 (kworker/0:1)" STAT("I", "2", "0", "100000", "0"));
    file("2/stat", "2 (kthreadd)" STAT("S", "0", "0", "200000", "0"));
    file("300/stat", "300 (sh)" STAT("S", "7", "0", "0", "1"));
    file("301/stat", "301 (head)" STAT("R", "300", "0", "0", "1"));
    file("1/status", "Name:\tinit\nUid:\t0\t0\t0\t0\n");
    file("12/status", "Name:\tkworker\nUid:\t1000\t0\t0\t0\n");
    file("99/status", "Name:\tgone\nUid:\t5\n");
    file_bytes("1/cmdline", words, sizeof words - 1);
    file("12/cmdline", "");
    file("300/cmdline", "sh");
    parse(3);
    assert_int_equal(list[0].pid, 1);
    assert_int_equal(list[0].host, 0);
    assert_int_equal(list[0].state, 'S');
    assert_string_equal(list[0].user, "root");
    assert_int_equal(list[0].cpu, UINT64_C(1500000000));
    assert_int_equal(list[0].elapsed, UINT64_C(1000000000000));
    assert_int_equal(list[0].memory, 40960);
    assert_string_equal(list[0].command, "/sbin/init two words");
    assert_int_equal(list[1].pid, 2);
    assert_string_equal(list[1].user, "?");
    assert_int_equal(list[1].elapsed, 0); /* it begins later than now */
    assert_int_equal(list[2].pid, 12);
    assert_int_equal(list[2].parent, 2);
    assert_string_equal(list[2].user, "1000");
    assert_string_equal(list[2].command, "[kworker/0:1]");
}

static void test_what_is_something_else(void **state)
{
    static const char good[] = "7 (a)" STAT("S", "0", "1", "1", "1");
    static char much[20000];
    (void)state;
    begin("");
    parse(0);
    begin("x");
    parse(0);
    begin("1\n2.00 1\n\nno such thing\n==> 5/stat\n");
    file("-5/stat", good);
    file("5/stat", "5 (a) S 1\n");
    file("6/stat", "");
    file("7/stat", "7 (a)" STAT("\033", "0", "1", "1", "1"));
    parse(0);
    begin("9\n2.00 1\n");
    file("7/stat", "7 (a\033[2J)" STAT("S", "0", "1", "1", "1"));
    file("7/stat", "7 (a\033[2J)" STAT("S", "0", "1", "1", "1")); /* twice */
    parse(1);
    assert_string_equal(list[0].command, "[a?[2J]");
    file("7/cmdline", "a\nb \302\233c\t\377\n");
    parse(1);
    assert_string_equal(list[0].command, "a?b ??c??");
    memset(much, 'x', sizeof much - 1);
    much[0] = 'y';
    begin("9\n2.00 1\n");
    file("7/stat", good);
    file("7/cmdline", much);
    parse(1);
    assert_int_equal(strlen(list[0].command), TOP_TEXT - 1);
    assert_memory_equal(list[0].command, "yxx", 3);
}

static int end(void **state)
{
    (void)state;
    free(list);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_processes),
        cmocka_unit_test(test_what_is_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
