/* SPDX-License-Identifier: GPL-2.0-or-later */
/* D-Bus as far as scopes of systemd need it: messages, and a talk with a manager that a child plays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"
#include "personality/container/dbus.h"

#define JOB "/org/freedesktop/systemd1/job/7"

/* A message as it is on the wire, by the specification's rules. */
static void messages_are_laid_out(void **state)
{
    (void)state;
    struct buffer message = {0};
    size_t array;
    dbus_begin_call(&message, 9, "Member", "sau");
    size_t body = message.size;
    dbus_put_text(&message, "abc");
    dbus_begin_array(&message, 4, &array);
    dbus_put_integer(&message, 5, 4);
    dbus_end_array(&message, 4, array);
    dbus_end_call(&message, body);
    assert_int_equal(body % 8, 0);
    static const uint8_t start[] = {'l', 1, 0, 1, 16, 0, 0, 0, 9, 0, 0, 0};
    assert_memory_equal(message.data, start, sizeof start);
    static const uint8_t path[] = {1, 1, 'o', 0, 25, 0, 0, 0, '/', 'o', 'r', 'g', '/'};
    assert_memory_equal(message.data + 16, path, sizeof path);
    static const uint8_t end[] = {3, 0, 0, 0, 'a', 'b', 'c', 0, 4, 0, 0, 0, 5, 0, 0, 0};
    assert_memory_equal(message.data + body, end, sizeof end);
    assert_int_equal(dbus_size(message.data), message.size);

    struct dbus_message parsed;
    size_t position = 0;
    uint32_t number;
    assert_int_equal(dbus_parse(&parsed, message.data, message.size), 0);
    assert_int_equal(parsed.type, DBUS_CALL);
    assert_string_equal(parsed.member, "Member");
    assert_string_equal(parsed.signature, "sau");
    assert_string_equal(dbus_take_text(&parsed, &position), "abc");
    assert_true(dbus_take_integer(&parsed, &position, &number));
    assert_int_equal(number, 4);
    assert_true(dbus_take_integer(&parsed, &position, &number));
    assert_int_equal(number, 5);
    assert_false(dbus_take_integer(&parsed, &position, &number));
    assert_null(dbus_take_text(&parsed, &position));
    for (size_t size = 0; size < message.size; size++) /* a part is no message */
        assert_int_equal(dbus_parse(&parsed, message.data, size), -EBADMSG);
    buffer_free(&message);
}

/* The manager's answers, for which visor itself has no writer. */
static void answer(int fd, unsigned type, const char *member, const char *error_name, const char *signature,
                   const char *const *texts, size_t count, bool numbered)
{
    struct buffer message = {0};
    size_t fields;
    const uint8_t start[] = {'l', (uint8_t)type, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0};
    const struct {
        unsigned field;
        const char *text;
    } names[] = {{3, member}, {4, error_name}};
    buffer_append(&message, start, sizeof start);
    dbus_begin_array(&message, 8, &fields);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].text) {
            dbus_align(&message, 8);
            buffer_append_integer(&message, names[i].field, 1);
            dbus_put_signature(&message, "s");
            dbus_put_text(&message, names[i].text);
        }
    dbus_align(&message, 8);
    buffer_append_integer(&message, 5, 1);
    dbus_put_signature(&message, "u");
    dbus_put_integer(&message, 1, 4);
    dbus_align(&message, 8);
    buffer_append_integer(&message, 8, 1);
    dbus_put_signature(&message, "g");
    dbus_put_signature(&message, signature);
    dbus_end_array(&message, 8, fields);
    dbus_align(&message, 8);
    size_t body = message.size;
    if (numbered)
        dbus_put_integer(&message, 7, 4);
    for (size_t i = 0; i < count; i++)
        dbus_put_text(&message, texts[i]);
    dbus_end_call(&message, body);
    if (dbus_send(fd, &message) < 0)
        _exit(90);
    buffer_free(&message);
}

enum play { PLAY_DONE, PLAY_SIGNAL_FIRST, PLAY_ERROR, PLAY_FAILED, PLAY_SILENCE, PLAY_REFUSE };

static void greet(int fd, enum play play)
{
    static const char expected[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n",
                      rejected[] = "REJECTED EXTERNAL\r\nERROR\r\n",
                      welcome[] = "DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n";
    char hello[sizeof expected - 1];
    if (recv(fd, hello, sizeof hello, MSG_WAITALL) != (ssize_t)sizeof hello ||
        memcmp(hello, expected, sizeof hello) != 0)
        _exit(91);
    const char *text = play == PLAY_REFUSE ? rejected : welcome;
    if (send(fd, text, strlen(text), 0) < 0)
        _exit(92);
}

static void play_manager(int server, enum play play)
{
    static const char *const path[] = {JOB}, *const done[] = {JOB, "a.scope", "done"},
                             *const failed[] = {JOB, "a.scope", "failed"},
                             *const other[] = {"/other", "b.scope", "failed"},
                             *const taken[] = {"it is taken"};
    struct buffer storage = {0};
    struct dbus_message call;
    size_t position = 0;
    int fd = accept(server, NULL, NULL);
    greet(fd, play);
    if (play == PLAY_REFUSE)
        _exit(0);
    if (dbus_receive(fd, 10000, &storage, &call) < 0 || strcmp(call.member, "StartTransientUnit") != 0 ||
        strcmp(call.signature, "ssa(sv)a(sa(sv))") != 0)
        _exit(93);
    const char *scope = dbus_take_text(&call, &position),
               *mode = scope ? dbus_take_text(&call, &position) : NULL;
    if (!mode || strcmp(scope, "a.scope") != 0 || strcmp(mode, "fail") != 0)
        _exit(94);
    answer(fd, DBUS_SIGNAL, "JobRemoved", NULL, "uoss", other, 3, true);
    if (play == PLAY_SIGNAL_FIRST)
        answer(fd, DBUS_SIGNAL, "JobRemoved", NULL, "uoss", done, 3, true);
    if (play == PLAY_ERROR)
        answer(fd, DBUS_ERROR, NULL, "org.freedesktop.DBus.Error.AccessDenied", "s", taken, 1, false);
    else if (play != PLAY_SILENCE)
        answer(fd, DBUS_RETURN, NULL, NULL, "o", path, 1, false);
    if (play == PLAY_DONE)
        answer(fd, DBUS_SIGNAL, "JobRemoved", NULL, "uoss", done, 3, true);
    if (play == PLAY_FAILED)
        answer(fd, DBUS_SIGNAL, "JobRemoved", NULL, "uoss", failed, 3, true);
    _exit(0);
}

static void scopes_are_asked_for(void **state)
{
    (void)state;
    static const struct {
        enum play play;
        int code;
        const char *part;
    } plays[] = {
        {PLAY_DONE, 0, ""},
        {PLAY_SIGNAL_FIRST, 0, ""},
        {PLAY_ERROR, -EACCES, "systemd does not start the scope a.scope: it is taken"},
        {PLAY_FAILED, -EIO, "its job is failed"},
        {PLAY_SILENCE, -ECONNRESET, "no answer from systemd about the scope a.scope"},
        {PLAY_REFUSE, -EACCES, "cannot reach systemd at"},
    };
    char folder[] = "/tmp/visor-test-XXXXXX", below[64];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(folder));
    snprintf(below, sizeof below, "%s/systemd", folder);
    assert_int_equal(mkdir(below, 0700), 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/private", below);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server, 1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(plays); i++) {
        struct error error = ERROR_INIT;
        char *path;
        int status;
        pid_t pid = fork();
        if (pid == 0)
            play_manager(server, plays[i].play);
        int result = cgroup_systemd_start("user.slice", "a.scope", true, getpid(), &path, &error);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(result, plays[i].code);
        if (!strstr(error.message, plays[i].part))
            fail_msg("'%s' does not say '%s'", error.message, plays[i].part);
        if (result == 0)
            assert_non_null(strstr(path, "/container"));
        free(path);
    }
    close(server);
    unlink(address.sun_path);
    struct error error = ERROR_INIT;
    char *path;
    assert_int_equal(cgroup_systemd_start("user.slice", "a.scope", true, getpid(), &path, &error), -ENOENT);
    assert_non_null(strstr(error.hint, "--systemd-cgroup"));
    rmdir(below);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_laid_out),
        cmocka_unit_test(scopes_are_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
