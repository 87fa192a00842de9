/* SPDX-License-Identifier: GPL-2.0-or-later */
/* keeper_message: what a domain's process takes from that of its guest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "domain/keeper_message.h"

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
}

static bool accepts(struct keeper_request *request)
{
    return keeper_request_check(request, keeper_request_size(request->ask));
}

static void test_requests_of_a_guest_are_taken(void **state)
{
    struct keeper_request news = {.ask = KEEPER_NEWS, .news = {.paused = 1}};
    struct keeper_request dial = {.ask = KEEPER_DIAL, .port = 1024};
    struct keeper_request end = {.ask = KEEPER_ENDED,
                                 .end = {.status = 3, .reason = "reset", .failed = true}};
    (void)state;
    assert_true(accepts(&news) && accepts(&dial) && accepts(&end));
    assert_string_equal(end.end.reason, "reset");
}

static void test_a_guest_that_runs_cannot_say_that_it_is_prepared(void **state)
{
    struct keeper_request prepared = {.ask = KEEPER_PREPARED}, caged = {.ask = KEEPER_CAGED};
    (void)state;
    assert_false(accepts(&prepared));
    assert_false(accepts(&caged));
}

static void test_requests_of_other_sizes_and_kinds_are_refused(void **state)
{
    struct keeper_request request = {.ask = KEEPER_NEWS};
    const size_t size = keeper_request_size(KEEPER_NEWS);
    (void)state;
    for (size_t other = 0; other <= sizeof request; other++)
        assert_int_equal(keeper_request_check(&request, other), other == size);
    for (uint32_t ask = KEEPER_ENDED + 1; ask < 300; ask++) {
        request.ask = ask;
        assert_false(keeper_request_check(&request, size));
    }
}

static void test_values_that_there_are_not_are_refused(void **state)
{
    struct keeper_request news = {.ask = KEEPER_NEWS, .news = {.paused = 2}};
    struct keeper_request end = {.ask = KEEPER_ENDED, .end = {.status = 256}};
    (void)state;
    assert_false(accepts(&news));
    news.news.paused = 0;
    news.news.asked = 7;
    assert_false(accepts(&news));
    assert_false(accepts(&end));
    end.end.status = -1;
    assert_false(accepts(&end));
    end.end.status = 0;
    memset(&end.end.failed, 2, 1); /* what no compiler writes there */
    assert_false(accepts(&end));
}

static void test_reasons_end_and_have_nothing_that_a_terminal_obeys(void **state)
{
    struct keeper_request end = {.ask = KEEPER_ENDED};
    (void)state;
    memset(end.end.reason, '\033', sizeof end.end.reason);
    assert_true(accepts(&end));
    assert_int_equal(strlen(end.end.reason), sizeof end.end.reason - 1);
    assert_null(strchr(end.end.reason, '\033'));
}

static void test_descriptors_come_along_or_are_closed(void **state)
{
    int pair[2], ends[2], came[2];
    unsigned count = 1;
    char byte = 'x';
    (void)state;
    make_pair(pair);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(descriptors_send(pair[1], &byte, 1, &ends[1], 1), 0);
    assert_int_equal(descriptors_send(pair[1], &byte, 1, &ends[1], 1), 0);
    close(ends[1]);
    assert_int_equal(descriptors_receive(pair[0], &byte, 1, came, &count), 1);
    assert_int_equal(count, 1);
    assert_int_equal(write(came[0], "y", 1), 1);
    close(came[0]);
    /* Nobody wants this one: it is closed, and the pipe has no other end any more. */
    assert_int_equal(descriptors_receive(pair[0], &byte, 1, NULL, NULL), 1);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    close(pair[0]);
    close(pair[1]);
}

static void test_messages_that_are_too_long_are_an_error(void **state)
{
    int pair[2];
    char text[64] = "";
    (void)state;
    make_pair(pair);
    assert_int_equal(descriptors_receive(pair[0], text, sizeof text, NULL, NULL), -EAGAIN);
    assert_int_equal(descriptors_send(pair[1], text, sizeof text, NULL, 0), 0);
    assert_int_equal(descriptors_receive(pair[0], text, 8, NULL, NULL), -EMSGSIZE);
    close(pair[1]);
    assert_int_equal(descriptors_receive(pair[0], text, sizeof text, NULL, NULL), 0);
    close(pair[0]);
}

static void test_who_ends_without_reading_is_heard_to_the_end(void **state)
{
    int pair[2];
    char byte = 'x';
    (void)state;
    make_pair(pair);
    assert_int_equal(descriptors_send(pair[0], &byte, 1, NULL, 0), 0);
    byte = 'y';
    assert_int_equal(descriptors_send(pair[1], &byte, 1, NULL, 0), 0);
    close(pair[1]);
    assert_int_equal(descriptors_receive(pair[0], &byte, 1, NULL, NULL), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(descriptors_receive(pair[0], &byte, 1, NULL, NULL), 0);
    close(pair[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_of_a_guest_are_taken),
        cmocka_unit_test(test_a_guest_that_runs_cannot_say_that_it_is_prepared),
        cmocka_unit_test(test_requests_of_other_sizes_and_kinds_are_refused),
        cmocka_unit_test(test_values_that_there_are_not_are_refused),
        cmocka_unit_test(test_reasons_end_and_have_nothing_that_a_terminal_obeys),
        cmocka_unit_test(test_descriptors_come_along_or_are_closed),
        cmocka_unit_test(test_messages_that_are_too_long_are_an_error),
        cmocka_unit_test(test_who_ends_without_reading_is_heard_to_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
