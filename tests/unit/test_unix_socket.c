/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sockets with paths: modes, what dead processes have left, long paths, queues that are full. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/unix_socket.h"

static char directory[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/visor-socket-XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(directory);
}

static void expect_connection(int listener, const char *path)
{
    struct error error = ERROR_INIT;
    char byte = 0;
    int client = unix_socket_connect(path, 1000, &error);
    assert_true(client >= 0);
    int server = accept(listener, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(write(client, "x", 1), 1);
    assert_int_equal(read(server, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(client);
    close(server);
}

static void test_life(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct stat status;
    char path[128];
    snprintf(path, sizeof path, "%s/socket", directory);
    assert_int_equal(unix_socket_connect(path, 1000, &error), -ENOENT);
    assert_non_null(strstr(error.message, path));

    int listener = unix_socket_listen(path, 0600, 4, &error);
    assert_true(listener >= 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    expect_connection(listener, path);
    assert_int_equal(unix_socket_listen(path, 0600, 4, &error), -EADDRINUSE);
    assert_non_null(strstr(error.message, path));

    close(listener); /* as if its process had been killed */
    assert_int_equal(unix_socket_connect(path, 1000, &error), -ECONNREFUSED);
    listener = unix_socket_listen(path, 0600, 4, &error);
    assert_true(listener >= 0);
    expect_connection(listener, path);
    close(listener);
    unlink(path);
}

/* What is no socket stays. */
static void test_file(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    char path[128];
    snprintf(path, sizeof path, "%s/file", directory);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(unix_socket_listen(path, 0600, 4, &error), -EADDRINUSE);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(unix_socket_connect(path, 1000, &error), -ECONNREFUSED);
    unlink(path);
}

static void test_long_path(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    char parent[256], path[512], name[128];
    memset(name, 'n', 100);
    name[100] = '\0';
    snprintf(parent, sizeof parent, "%s/%s", directory, name);
    assert_int_equal(mkdir(parent, 0700), 0);
    snprintf(path, sizeof path, "%s/control", parent);
    for (unsigned again = 0; again < 2; again++) { /* the second time there is one that nobody listens at */
        int listener = unix_socket_listen(path, 0600, 4, &error);
        assert_true(listener >= 0);
        expect_connection(listener, path);
        assert_int_equal(unix_socket_listen(path, 0600, 4, &error), -EADDRINUSE);
        close(listener);
    }
    unlink(path);

    snprintf(path, sizeof path, "%s/%s", parent, name); /* the last part alone is too long */
    assert_int_equal(unix_socket_listen(path, 0600, 4, &error), -ENAMETOOLONG);
    assert_int_equal(unix_socket_connect(path, 1000, &error), -ENAMETOOLONG);
    assert_int_equal(rmdir(parent), 0);
    assert_int_equal(unix_socket_connect(path, 1000, &error), -ENOENT);
    assert_int_equal(unix_socket_connect("", 1000, &error), -EINVAL);
}

/* Who does not accept keeps nobody waiting for longer than he wants. */
static void test_full(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    char path[128];
    int clients[8], count = 0, last = 0;
    snprintf(path, sizeof path, "%s/full", directory);
    int listener = unix_socket_listen(path, 0600, 1, &error);
    assert_true(listener >= 0);
    while (count < 8 && (last = unix_socket_connect(path, 10, &error)) >= 0)
        clients[count++] = last;
    assert_int_equal(last, -EAGAIN);
    while (count)
        close(clients[--count]);
    close(listener);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_long_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
