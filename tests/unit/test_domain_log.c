/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log of a domain: lines and pieces of lines, the new file at a size, and what is no record. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "domain/log.h"

static char path[64];
static int directory;

static int setup(void **state)
{
    (void)state;
    strcpy(path, "/tmp/visor-log-XXXXXX");
    assert_non_null(mkdtemp(path));
    directory = open(path, O_RDONLY | O_DIRECTORY);
    return directory < 0;
}

static int teardown(void **state)
{
    char command[100];
    (void)state;
    close(directory);
    snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command);
}

static void say(struct domain_log *log, const char *stream, const char *text)
{
    domain_log_write(log, stream, (const uint8_t *)text, strlen(text));
}

/* All records as "STREAM:TEXT" with "|" for the end of a line, "+" for that of a piece. */
static void read_all(const char *name, char *to, size_t size)
{
    char line[2 * DOMAIN_LOG_LINE];
    size_t used = 0;
    int fd = openat(directory, name, O_RDONLY);
    FILE *file = fdopen(fd, "r");
    assert_non_null(file);
    to[0] = '\0';
    while (fgets(line, sizeof line, file)) {
        struct domain_log_line record;
        domain_log_parse(&record, line, strcspn(line, "\n"));
        used += (size_t)snprintf(to + used, size - used, "%s:%.*s%s", record.stream, (int)record.size,
                                 record.text, record.whole ? "|" : "+");
        assert_true(used < size);
    }
    fclose(file);
}

static void test_lines_and_pieces(void **state)
{
    struct domain_log *log;
    struct error error = ERROR_INIT;
    char text[1000];
    (void)state;
    assert_int_equal(domain_log_open(&log, directory, 1 << 20, &error), 0);
    say(log, "stdout", "one\ntw");
    say(log, "stdout", "o\n\nhalf");
    say(log, "stderr", "bad\n"); /* another stream: the half line goes first */
    say(log, "stdout", " F x P\nrest");
    domain_log_close(log);
    read_all("log", text, sizeof text);
    assert_string_equal(text,
                        "stdout:one|stdout:two|stdout:|stdout:half+stderr:bad|stdout: F x P|stdout:rest+");
}

static void test_long_lines_are_pieces(void **state)
{
    static char text[3 * DOMAIN_LOG_LINE + 100], got[4 * DOMAIN_LOG_LINE];
    struct domain_log *log;
    struct error error = ERROR_INIT;
    (void)state;
    assert_int_equal(domain_log_open(&log, directory, 1 << 20, &error), 0);
    memset(text, 'a', 2 * DOMAIN_LOG_LINE + 7);
    strcpy(text + 2 * DOMAIN_LOG_LINE + 7, "\n");
    say(log, "console", text);
    domain_log_close(log);
    read_all("log", got, sizeof got);
    assert_int_equal(strlen(got), 2 * DOMAIN_LOG_LINE + 7 + 3 * (strlen("console:") + 1));
    assert_memory_equal(got + strlen(got) - 16, "console:aaaaaaa|", 16);
}

static void test_new_file_at_the_size(void **state)
{
    struct domain_log *log;
    struct error error = ERROR_INIT;
    struct stat status;
    char text[4000];
    (void)state;
    assert_int_equal(domain_log_open(&log, directory, 500, &error), 0);
    for (unsigned i = 0; i < 20; i++)
        say(log, "console", "a line of some length\n");
    domain_log_close(log);
    assert_int_equal(fstatat(directory, "log", &status, 0), 0);
    assert_in_range(status.st_size, 1, 500);
    assert_int_equal(fstatat(directory, "log.1", &status, 0), 0);
    assert_in_range(status.st_size, 400, 500);
    read_all("log.1", text, sizeof text);
    assert_memory_equal(text, "console:a line of some length|", 30);
    /* What is there is counted when the log is opened again. */
    assert_int_equal(domain_log_open(&log, directory, 500, &error), 0);
    for (unsigned i = 0; i < 8; i++)
        say(log, "console", "a line of some length\n");
    domain_log_close(log);
    assert_int_equal(fstatat(directory, "log", &status, 0), 0);
    assert_in_range(status.st_size, 1, 500);
}

static void test_new_file_at_the_size_for_visors_own_lines(void **state)
{
    static const char line[] = "visor: what another process says\n";
    struct domain_log *log;
    struct error error = ERROR_INIT;
    struct stat status;
    char text[4000];
    (void)state;
    assert_int_equal(domain_log_open(&log, directory, 500, &error), 0);
    for (unsigned i = 0; i < 100; i++)
        domain_log_write_own(log, line, sizeof line - 1);
    say(log, "console", "half");
    domain_log_write_own(log, line, sizeof line - 1);
    domain_log_close(log);
    assert_int_equal(fstatat(directory, "log", &status, 0), 0);
    assert_in_range(status.st_size, 1, 500);
    assert_int_equal(fstatat(directory, "log.1", &status, 0), 0);
    assert_in_range(status.st_size, 400, 500);
    read_all("log", text, sizeof text);
    assert_memory_equal(text, "visor:visor: what another process says|", 39);
    assert_non_null(strstr(text, "says|console:half+"));
}

static void test_what_is_no_record_is_visors(void **state)
{
    static const char *const lines[] = {
        "",
        "visor: something is wrong",
        "2026-01-31T12:00:00.000000001Z",
        "2026-01-31T12:00:00.000000001Z console",
        "2026-01-31T12:00:00.000000001Z console F",
        "2026-01-31T12:00:00.000000001Z console X text",
        "2026-99-31T12:00:00.000000001Z console F text",
        "2026-01-31T12:00:00.000000001 console F text",
        "2026-01-31T12:00:00.000000001Z a-stream-with-a-very-long-name F text",
    };
    struct domain_log_line line;
    (void)state;
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        domain_log_parse(&line, lines[i], strlen(lines[i]));
        assert_string_equal(line.stream, "visor");
        assert_int_equal(line.time, 0);
        assert_ptr_equal(line.text, lines[i]);
        assert_int_equal(line.size, strlen(lines[i]));
    }
    const char *good = "2026-01-31T12:00:00.000000001Z stderr P  x";
    domain_log_parse(&line, good, strlen(good));
    assert_string_equal(line.stream, "stderr");
    assert_int_equal(line.time, INT64_C(1769860800000000001));
    assert_false(line.whole);
    assert_string_equal(line.text, " x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lines_and_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_lines_are_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_file_at_the_size, setup, teardown),
        cmocka_unit_test_setup_teardown(test_new_file_at_the_size_for_visors_own_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_no_record_is_visors, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
