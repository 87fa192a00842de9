/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QMP server, whose loop runs on a thread of its own, and the client library. What bytes are sent and
 * what comes back is written here as the protocol's specification has it; the client library is tested after
 * that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "control/qmp_client.h"
#include "control/qmp_server.h"

#define WAIT                                                                                                 \
    20000 /* milliseconds that an answer may take on a busy machine; a test that fails takes so long */
#define HELLO "{\"execute\": \"qmp_capabilities\"}\n"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;
static struct loop *loop;
static struct qmp_server *server;
static struct qmp_call *waiting; /* of "later" */
static char directory[64], path[96];

/* -- what is served -------------------------------------------------------------------------------------- */

static int echo(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    assert_ptr_equal(qmp_call_opaque(call), &lock);
    assert_string_equal(qmp_call_command(call)->name, "echo");
    (void)error;
    *result = json_deep_copy(arguments);
    return 0;
}

static int refuse(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)result;
    const char *name = json_string_value(json_object_get(arguments, "class"));
    if (name)
        qmp_call_set_class(call, qmp_class_find(name));
    error_set(error, -ENODEV, "no \xff device");
    error_hint(error, "try another");
    return -ENODEV;
}

static int later(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)arguments, (void)result, (void)error;
    assert_null(waiting);
    waiting = call;
    return QMP_LATER;
}

static int early(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)arguments, (void)result, (void)error;
    qmp_call_return(call, json_pack("{s:s}", "value", "early"));
    return QMP_LATER;
}

static int shout(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)arguments, (void)result, (void)error;
    qmp_server_event(qmp_call_server(call), "SHOUT", json_pack("{s:i}", "number", 1));
    return 0;
}

/* Writes to the descriptor that came with it. */
static int scribble(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)arguments, (void)result;
    int fd = qmp_call_take_descriptor(call);
    if (fd < 0)
        return error_set(error, -EBADF, "no descriptor has come");
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(fd, "hello", 5), 5);
    return close(fd);
}

static unsigned departures; /* of whom "stay" was to tell */

static void count_leave(void *opaque)
{
    free(opaque);
    departures++;
}

static int stay(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)arguments, (void)result, (void)error;
    struct qmp_leave *leave = malloc(sizeof *leave);
    assert_non_null(leave);
    *leave = (struct qmp_leave){.gone = count_leave, .opaque = leave};
    qmp_call_await_leave(call, leave);
    return 0;
}

static int flood(struct qmp_call *call, const json_t *arguments, json_t **result, struct error *error)
{
    (void)call, (void)arguments, (void)error;
    char *text = malloc(100001);
    assert_non_null(text);
    memset(text, 'x', 100000);
    text[100000] = '\0';
    *result = json_pack("{s:s}", "value", text);
    free(text);
    return 0;
}

static const char *const colours[] = {"red", "green", NULL};
static const struct qmp_type colour = {.kind = QMP_ENUM, .values = colours};
static const struct qmp_field point_fields[] = {
    {"x", &qmp_integer, false}, {"y", &qmp_number, false}, {"colour", &colour, true}, {0}};
static const struct qmp_type point = {.kind = QMP_OBJECT, .fields = point_fields},
                             points = {.kind = QMP_ARRAY, .element = &point};
static const struct qmp_field echo_arguments[] = {{"text", &qmp_string, true},  {"size", &qmp_integer, true},
                                                  {"on", &qmp_boolean, true},   {"any", &qmp_any, true},
                                                  {"points", &points, true},    {"names", &qmp_strings, true},
                                                  {"ratio", &qmp_number, true}, {0}};
static const struct qmp_type echoed = {.kind = QMP_OBJECT, .fields = echo_arguments};
static const struct qmp_field need_arguments[] = {{"size", &qmp_integer, false}, {0}};
static const struct qmp_field refuse_arguments[] = {{"class", &qmp_string, true}, {0}};
static const struct qmp_field value_fields[] = {{"value", &qmp_string, false}, {0}};
static const struct qmp_type value = {.kind = QMP_OBJECT, .fields = value_fields};
static const struct qmp_field number_fields[] = {{"number", &qmp_integer, false}, {0}};

static const struct qmp_command commands[] = {
    {"echo", echo_arguments, &echoed, echo, false},
    {"need", need_arguments, &qmp_nothing, refuse, false},
    {"refuse", refuse_arguments, &qmp_nothing, refuse, false},
    {"later", NULL, &value, later, false},
    {"early", NULL, &value, early, false},
    {"stay", NULL, &qmp_nothing, stay, false},
    {"shout", NULL, &qmp_nothing, shout, false},
    {"flood", NULL, &value, flood, false},
    {"scribble", NULL, &qmp_nothing, scribble, false},
    {"free", NULL, &qmp_nothing, refuse, true},
    {0},
};
static const struct qmp_event events[] = {
    {"SHOUT", number_fields, 0},
    {"HOURLY", number_fields, 3600 * 1000},
    {"OFTEN", number_fields, 1},
    {"QUIET", NULL, 0},
    {0},
};
static const struct qmp_table table = {commands, events};

static void *run_loop(void *argument)
{
    loop_run(loop);
    return argument;
}

static int set_up(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    strcpy(directory, "/tmp/visor-control-XXXXXX");
    if (!mkdtemp(directory) || loop_new(&loop, &lock, NULL, &error) ||
        qmp_server_new(&server, loop, &error) || qmp_server_add(server, &table, &lock, &error))
        return -1;
    snprintf(path, sizeof path, "%s/control", directory);
    if (qmp_server_listen(server, path, &error))
        return -1;
    return pthread_create(&thread, NULL, run_loop, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    loop_stop(loop);
    pthread_join(thread, NULL);
    qmp_server_free(server);
    loop_free(loop);
    waiting = NULL;
    return rmdir(directory); /* nothing is left in it */
}

static void event(const char *name, json_t *data)
{
    pthread_mutex_lock(&lock);
    qmp_server_event(server, name, data);
    pthread_mutex_unlock(&lock);
}

/* -- a client of our own --------------------------------------------------------------------------------- */

static int dial(void)
{
    struct error error = ERROR_INIT;
    int fd = unix_socket_connect(path, WAIT, &error);
    assert_true(fd >= 0);
    return fd;
}

static void say(int fd, const char *text)
{
    for (size_t left = strlen(text); left;) {
        ssize_t size = send(fd, text, left, MSG_NOSIGNAL);
        assert_true(size > 0);
        text += size;
        left -= (size_t)size;
    }
}

/* The next line, without its end; NULL: the server has hung up. The caller frees it. */
static char *line(int fd)
{
    size_t size = 0;
    char *text = NULL;
    for (;;) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        char some[65536];
        assert_int_equal(poll(&look, 1, WAIT), 1);
        ssize_t seen = recv(fd, some, sizeof some, MSG_PEEK); /* what comes after the line stays there */
        const char *end = seen > 0 ? memchr(some, '\n', (size_t)seen) : NULL;
        if (seen <= 0) {
            assert_int_equal(size, 0);
            return NULL;
        }
        const size_t part = end ? (size_t)(end - some) + 1 : (size_t)seen;
        text = realloc(text, size + part + 1);
        assert_non_null(text);
        assert_int_equal(recv(fd, text + size, part, 0), part);
        size += part;
        if (end) {
            assert_true(size >= 2 && text[size - 2] == '\r');
            text[size - 2] = '\0';
            return text;
        }
    }
}

static json_t *hear(int fd)
{
    char *text = line(fd);
    assert_non_null(text);
    for (const char *c = text; *c; c++)
        assert_true(*c > 0); /* ASCII */
    json_t *message = json_loads(text, 0, NULL);
    assert_non_null(message);
    free(text);
    return message;
}

static void expect(int fd, const char *wanted)
{
    json_t *message = hear(fd), *want = json_loads(wanted, 0, NULL);
    assert_non_null(want);
    if (!json_equal(message, want))
        print_error("%s, not %s\n", json_dumps(message, 0), wanted);
    assert_true(json_equal(message, want));
    json_decref(message);
    json_decref(want);
}

/* An error of a class, whose text has something in it, and whose id is that JSON ("": none). */
static void expect_error(int fd, const char *class, const char *part, const char *id)
{
    json_t *message = hear(fd), *error = json_object_get(message, "error");
    json_t *want = *id ? json_loads(id, JSON_DECODE_ANY, NULL) : NULL;
    const char *reason = json_string_value(json_object_get(error, "desc"));
    assert_non_null(reason);
    if (!strstr(reason, part))
        print_error("\"%s\" does not say \"%s\"\n", reason, part);
    assert_non_null(strstr(reason, part));
    assert_string_equal(json_string_value(json_object_get(error, "class")), class);
    assert_int_equal(json_object_size(error), 2);
    assert_int_equal(json_object_size(message), *id ? 2 : 1);
    if (*id)
        assert_true(json_equal(json_object_get(message, "id"), want));
    json_decref(want);
    json_decref(message);
}

static void expect_end(int fd)
{
    assert_null(line(fd));
}

/* With the greeting behind it and the capabilities negotiated. */
static int dial_in(void)
{
    int fd = dial();
    json_decref(hear(fd));
    say(fd, HELLO);
    expect(fd, "{\"return\": {}}");
    return fd;
}

/* -- the protocol ---------------------------------------------------------------------------------------- */

static void test_negotiation(void **state)
{
    (void)state;
    struct stat status;
    int fd = dial();
    json_t *greeting = hear(fd), *body = json_object_get(greeting, "QMP");
    const json_t *qemu = json_object_get(json_object_get(body, "version"), "qemu");
    assert_true(json_is_integer(json_object_get(qemu, "major")));
    assert_true(json_is_integer(json_object_get(qemu, "minor")));
    assert_true(json_is_integer(json_object_get(qemu, "micro")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(body, "version"), "package")),
                        "visor " VISOR_VERSION);
    assert_int_equal(json_array_size(json_object_get(body, "capabilities")), 0);
    assert_true(json_is_array(json_object_get(body, "capabilities")));
    json_decref(greeting);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);

    event("QUIET", NULL); /* not for him yet */
    say(fd, "{\"execute\": \"query-version\", \"id\": 1}");
    expect_error(fd, "CommandNotFound", "qmp_capabilities", "1");
    say(fd, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}");
    expect_error(fd, "GenericError", "oob", "");
    say(fd, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"speed\"]}}");
    expect_error(fd, "GenericError", "speed", "");
    say(fd, "{\"execute\": \"query-version\"}");
    expect_error(fd, "CommandNotFound", "qmp_capabilities", "");
    say(fd, "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": []}, \"id\": \"a\"}");
    expect(fd, "{\"return\": {}, \"id\": \"a\"}");
    say(fd, HELLO);
    expect_error(fd, "CommandNotFound", "already", "");
    say(fd, "{\"execute\": \"echo\"}");
    expect(fd, "{\"return\": {}}");
    close(fd);
}

/* Any JSON is an id, and comes back as it was; however the bytes are cut, and whatever is between objects. */
static void test_order(void **state)
{
    (void)state;
    static const char *const ids[] = {"1", "-7", "\"text \\u00e9\"", "null", "true", "[1, {\"a\": 2.5}]",
                                      "{}"};
    char text[256], want[256], all[4096] = "";
    int fd = dial_in();
    for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
        snprintf(text, sizeof text, "{\"execute\": \"echo\", \"arguments\": {\"size\": %u}, \"id\": %s}%s", i,
                 ids[i], i % 2 ? "" : "\r\n \t\n");
        strcat(all, text);
    }
    say(fd, all);
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < ARRAY_SIZE(ids); i++) {
            snprintf(want, sizeof want, "{\"return\": {\"size\": %u}, \"id\": %s}", i, ids[i]);
            expect(fd, want);
        }
        for (const char *c = all; !turn && *c; c++)
            assert_int_equal(send(fd, c, 1, MSG_NOSIGNAL), 1);
    }
    close(fd);
}

static const struct {
    const char *said, *class, *part, *id;
} wrong[] = {
    {"nonsense\n", "GenericError", "no object", ""},
    {"[1, 2]\n", "GenericError", "no object", ""},
    {"\"execute\"\n", "GenericError", "no object", ""},
    {"}{\"execute\": \"quit\"}\n", "GenericError", "no object", ""},
    {"\xff\n", "GenericError", "0xff", ""},
    {"{\"execute\" \"echo\"}", "GenericError", "invalid JSON", ""},
    {"{\"execute\": \"echo\"]", "GenericError", "invalid JSON", ""},
    {"{\"execute\": \"ec\n", "GenericError", "control character", ""},
    {"{\"execute\": \"echo\", \"execute\": \"echo\"}", "GenericError", "duplicate", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"text\": \"\xc3\x28\"}}", "GenericError", "invalid JSON", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"text\": \"\xed\xa0\x80\"}}", "GenericError", "invalid JSON",
     ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"text\": \"\\ud800\"}}", "GenericError", "invalid JSON", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"text\": \"\\u0000\"}}", "GenericError", "invalid JSON", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"size\": 9223372036854775808}}", "GenericError", "big", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"ratio\": 1e999}}", "GenericError", "invalid JSON", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"ratio\": \x01}}\n", "GenericError", "0x01", ""},
    {"{\"execute\": \"echo\"\xc3\xa9}\n", "GenericError", "0xc3", ""},
    {"{}", "GenericError", "execute", ""},
    {"{\"id\": 3}", "GenericError", "execute", "3"},
    {"{\"execute\": 1, \"id\": 3}", "GenericError", "string", "3"},
    {"{\"execute\": \"echo\", \"arguments\": [], \"id\": 3}", "GenericError", "object", "3"},
    {"{\"execute\": \"echo\", \"arguments\": null}", "GenericError", "object", ""},
    {"{\"execute\": \"echo\", \"control\": 1, \"id\": 3}", "GenericError", "control", "3"},
    {"{\"exec-oob\": \"echo\", \"id\": 3}", "GenericError", "out-of-band", "3"},
    {"{\"execute\": \"nothing\", \"id\": 3}", "CommandNotFound", "nothing", "3"},
    {"{\"execute\": \"need\"}", "GenericError", "'size' is missing", ""},
    {"{\"execute\": \"need\", \"arguments\": {}}", "GenericError", "'size' is missing", ""},
    {"{\"execute\": \"later\", \"arguments\": {\"a\": 1}}", "GenericError", "'a' is not known", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"b\": 1}}", "GenericError", "'b' is not known", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"text\": 1}}", "GenericError", "'text' must be a string", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"text\": null}}", "GenericError", "must be a string", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"size\": \"1\"}}", "GenericError", "must be an integer", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"size\": 1.0}}", "GenericError", "must be an integer", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"on\": 1}}", "GenericError", "'on' must be a boolean", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"ratio\": true}}", "GenericError", "must be a number", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"names\": \"a\"}}", "GenericError", "must be an array", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"names\": [\"a\", 1]}}", "GenericError", "'names[1]'", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"points\": [1]}}", "GenericError",
     "'points[0]' must be an object", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"points\": [{\"x\": 1}]}}", "GenericError",
     "'points[0].y' is missing", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"points\": [{\"x\": 1, \"y\": 2, \"z\": 3}]}}", "GenericError",
     "'points[0].z'", ""},
    {"{\"execute\": \"echo\", \"arguments\": {\"points\": [{\"x\": 1, \"y\": 2, \"colour\": \"blue\"}]}}",
     "GenericError", "red, green", ""},
    {"{\"execute\": \"refuse\", \"id\": 3}", "GenericError", "no ? device; try another", "3"},
    {"{\"execute\": \"refuse\", \"arguments\": {\"class\": \"DeviceNotFound\"}}", "DeviceNotFound", "device",
     ""},
    {"{\"execute\": \"refuse\", \"arguments\": {\"class\": \"DeviceNotActive\"}}", "DeviceNotActive",
     "device", ""},
    {"{\"execute\": \"refuse\", \"arguments\": {\"class\": \"KVMMissingCap\"}}", "KVMMissingCap", "device",
     ""},
    {"{\"execute\": \"free\", \"arguments\": {\"whatever\": {}}}", "GenericError", "device", ""},
};

/* One error each, and what comes after that is understood. */
static void test_wrong(void **state)
{
    (void)state;
    int fd = dial_in();
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        say(fd, wrong[i].said);
        expect_error(fd, wrong[i].class, wrong[i].part, wrong[i].id);
        say(fd, "{\"execute\": \"early\", \"id\": \"ok\"}");
        expect(fd, "{\"return\": {\"value\": \"early\"}, \"id\": \"ok\"}");
    }
    close(fd);
}

static void test_arguments(void **state)
{
    (void)state;
    static const char *const right[] = {
        "{}",
        "{\"text\": \"\\u00e9 \\ud83d\\ude00\", \"size\": -9223372036854775808, \"on\": false, \"ratio\": 1}",
        "{\"any\": [null, {\"deep\": [1.5]}], \"ratio\": 0.5, \"names\": [], \"points\": []}",
        "{\"points\": [{\"x\": 1, \"y\": 2.5, \"colour\": \"green\"}, {\"x\": 1, \"y\": 2}], \"names\": [\"\"]}",
    };
    char text[512];
    int fd = dial_in();
    for (unsigned i = 0; i < ARRAY_SIZE(right); i++) {
        snprintf(text, sizeof text, "{\"execute\": \"echo\", \"arguments\": %s}", right[i]);
        say(fd, text);
        snprintf(text, sizeof text, "{\"return\": %s}", right[i]);
        expect(fd, text);
    }
    /* Strings as people write them in a shell. */
    say(fd, "{'execute': 'echo', 'arguments': {'text': 'it\\'s \"so\" \\\\ {'}}");
    expect(fd, "{\"return\": {\"text\": \"it's \\\"so\\\" \\\\ {\"}}");
    close(fd);
}

/* -- limits ---------------------------------------------------------------------------------------------- */

static void say_times(int fd, const char *text, unsigned count)
{
    const size_t size = strlen(text);
    char *all = malloc(size * count + 1);
    assert_non_null(all);
    for (unsigned i = 0; i < count; i++)
        memcpy(all + i * size, text, size);
    all[size * count] = '\0';
    say(fd, all);
    free(all);
}

static void test_limits(void **state)
{
    (void)state;
    int fd = dial_in();
    /* Too long: it is not kept, and the rest of the line is passed over. */
    char *chunk = malloc(65537);
    assert_non_null(chunk);
    memset(chunk, 'a', 65536);
    chunk[65536] = '\0';
    say(fd, "{\"execute\": \"echo\", \"arguments\": {\"text\": \"");
    say_times(fd, chunk, 40);
    say(fd, "\"}}\n");
    expect_error(fd, "GenericError", "bytes", "");
    /* One that is just allowed. */
    say(fd, "{\"execute\": \"echo\", \"arguments\": {\"any\": {\"text\": \"");
    say_times(fd, chunk, 15);
    say(fd, "\"}}, \"id\": 5}\n");
    json_t *answer = hear(fd);
    assert_int_equal(json_integer_value(json_object_get(answer, "id")), 5);
    json_decref(answer);
    free(chunk);

    say(fd, "{\"execute\": \"echo\", \"arguments\": {\"any\": ");
    say_times(fd, "[", QMP_DEPTH_MAX - 2);
    say_times(fd, "]", QMP_DEPTH_MAX - 2);
    say(fd, "}, \"id\": 1}");
    answer = hear(fd);
    assert_non_null(json_object_get(answer, "return"));
    json_decref(answer);
    say(fd, "{\"execute\": \"echo\", \"arguments\": {\"any\": ");
    say_times(fd, "[", 100000);
    say(fd, "\n");
    expect_error(fd, "GenericError", "levels", "");
    say(fd, "{\"execute\": \"echo\", \"arguments\": {\"any\": [0");
    say_times(fd, ",0", QMP_VALUES_MAX);
    say(fd, "]}}\n");
    expect_error(fd, "GenericError", "values", "");
    say(fd, "{\"execute\": \"echo\"}");
    expect(fd, "{\"return\": {}}");
    close(fd);
}

static void test_many_clients(void **state)
{
    (void)state;
    int fds[QMP_CLIENTS_MAX];
    for (unsigned i = 0; i < QMP_CLIENTS_MAX; i++)
        fds[i] = dial_in();
    for (unsigned i = 0; i < 3; i++) {
        int fd = dial();
        expect_error(fd, "GenericError", "enough clients", "");
        expect_end(fd);
        close(fd);
    }
    for (unsigned i = 0; i < QMP_CLIENTS_MAX; i++) {
        say(fds[i], "{\"execute\": \"echo\"}");
        expect(fds[i], "{\"return\": {}}");
    }
    close(fds[0]);
    for (int left = -1; left != QMP_CLIENTS_MAX - 1; usleep(1000)) { /* until the server has seen it */
        pthread_mutex_lock(&lock);
        left = (int)qmp_server_clients(server);
        pthread_mutex_unlock(&lock);
    }
    fds[0] = dial_in();
    for (unsigned i = 0; i < QMP_CLIENTS_MAX; i++)
        close(fds[i]);
}

static void test_no_descriptors(void **state)
{
    (void)state;
    struct rlimit old, now;
    int fd = dial(), next = dup(fd); /* what the next client would be, had the process room for more */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    json_decref(hear(fd));
    int late = socket(AF_UNIX, SOCK_STREAM, 0);
    now = (struct rlimit){(rlim_t)next, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    struct sockaddr_un {
        sa_family_t family;
        char path[108];
    } address = {.family = AF_UNIX};
    strcpy(address.path, path);
    assert_int_equal(connect(late, (const struct sockaddr *)&address, sizeof address), 0);
    expect_error(late, "GenericError", "descriptors", "");
    expect_end(late);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    close(dial_in());
    close(late);
    close(next);
    close(fd);
}

/* Who does not read is hung up by events, and has others wait for nothing. */
static void test_slow_events(void **state)
{
    (void)state;
    int slow = dial_in(), other = dial_in();
    char *text = malloc(QMP_OUTPUT_MAX / 4 + 1);
    assert_non_null(text);
    memset(text, 'x', QMP_OUTPUT_MAX / 4);
    text[QMP_OUTPUT_MAX / 4] = '\0';
    for (unsigned i = 0; i < 12; i++) {
        event("SHOUT", json_pack("{s:s}", "text", text));
        json_t *message = hear(other);
        assert_string_equal(json_string_value(json_object_get(message, "event")), "SHOUT");
        json_decref(message);
    }
    free(text);
    say(other, "{\"execute\": \"echo\"}");
    expect(other, "{\"return\": {}}");
    for (char rest[65536]; recv(slow, rest, sizeof rest, 0) > 0;)
        ; /* it has come to its end */
    close(slow);
    close(other);
}

/* Commands of who does not read wait, so that their answers do not pile up; all are answered in the end. */
static void test_slow_commands(void **state)
{
    (void)state;
    int fd = dial_in();
    static const char command[] =
        "{\"execute\": \"flood\"}                                                     ";
    const int small = 65536; /* so that not too much is on the way */
    unsigned said = 0;
    struct pollfd look = {.fd = fd, .events = POLLOUT};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    while (poll(&look, 1, 200) == 1) { /* until the server has not read for a while */
        ssize_t size = send(fd, command, strlen(command), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0)
            break;
        assert_int_equal(size, strlen(command));
        assert_true(++said < 1000000);
    }
    assert_true(said > 10);
    for (unsigned i = 0; i < said; i++) {
        struct pollfd answer = {.fd = fd, .events = POLLIN};
        char part[65536];
        for (size_t left = 100000 + strlen("{\"return\":{\"value\":\"\"}}\r\n"); left;) {
            assert_int_equal(poll(&answer, 1, WAIT), 1);
            ssize_t size = recv(fd, part, MIN(left, sizeof part), 0);
            assert_true(size > 0);
            left -= (size_t)size;
        }
    }
    say(fd, "{\"execute\": \"echo\"}");
    expect(fd, "{\"return\": {}}");
    close(fd);
}

/* -- calls that take longer ------------------------------------------------------------------------------ */

static struct qmp_call *wait_for_call(void)
{
    struct qmp_call *call = NULL;
    while (!call) {
        pthread_mutex_lock(&lock);
        call = waiting;
        pthread_mutex_unlock(&lock);
        usleep(100);
    }
    return call;
}

/* Answers stay in order; other clients do not wait. */
static void test_later(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    int fd = dial_in(), other = dial_in();
    say(fd, "{\"execute\": \"later\", \"id\": 1} {\"execute\": \"echo\", \"id\": 2}");
    struct qmp_call *call = wait_for_call();
    say(other, "{\"execute\": \"echo\", \"id\": 3}");
    expect(other, "{\"return\": {}, \"id\": 3}");
    event("QUIET", NULL);
    json_t *message = hear(fd); /* events do not wait */
    assert_string_equal(json_string_value(json_object_get(message, "event")), "QUIET");
    json_decref(message);
    pthread_mutex_lock(&lock);
    waiting = NULL;
    qmp_call_return(call, json_pack("{s:s}", "value", "late"));
    pthread_mutex_unlock(&lock);
    expect(fd, "{\"return\": {\"value\": \"late\"}, \"id\": 1}");
    expect(fd, "{\"return\": {}, \"id\": 2}");

    say(fd, "{\"execute\": \"later\"}");
    call = wait_for_call();
    error_set(&error, -EIO, "it broke");
    pthread_mutex_lock(&lock);
    waiting = NULL;
    qmp_call_fail(call, QMP_DEVICE_NOT_ACTIVE, &error);
    pthread_mutex_unlock(&lock);
    expect_error(fd, "DeviceNotActive", "it broke", "");
    close(fd);
    close(other);
}

static unsigned count_departures(void)
{
    pthread_mutex_lock(&lock);
    const unsigned count = departures;
    pthread_mutex_unlock(&lock);
    return count;
}

/* Whoever wants to know that a client has gone is told once for each time that he has asked. */
static void test_leaves(void **state)
{
    (void)state;
    int fd = dial_in(), other = dial_in();
    departures = 0;
    for (int i = 0; i < 2; i++) {
        say(fd, "{\"execute\": \"stay\"}");
        expect(fd, "{\"return\": {}}");
        say(other, "{\"execute\": \"stay\"}");
        expect(other, "{\"return\": {}}");
    }
    assert_int_equal(count_departures(), 0);
    close(fd);
    while (count_departures() < 2)
        usleep(100);
    loop_stop(loop);
    pthread_join(thread, NULL);
    assert_int_equal(departures, 2);
    qmp_server_free(server);
    assert_int_equal(departures, 4);
    expect_end(other);
    close(other);
    struct error error = ERROR_INIT;
    assert_int_equal(qmp_server_new(&server, loop, &error), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_loop, NULL), 0);
}

/* The client has gone, or the server, before the call has come to its end. */
static void test_later_gone(void **state)
{
    (void)state;
    int fd = dial_in();
    say(fd, "{\"execute\": \"later\", \"id\": 1} {\"execute\": \"echo\"}");
    struct qmp_call *call = wait_for_call();
    close(fd);
    fd = dial_in();
    pthread_mutex_lock(&lock);
    waiting = NULL;
    qmp_call_return(call, NULL);
    pthread_mutex_unlock(&lock);
    say(fd, "{\"execute\": \"later\"}");
    call = wait_for_call();
    loop_stop(loop);
    pthread_join(thread, NULL);
    qmp_server_free(server);
    expect_end(fd);
    assert_null(qmp_call_server(call));
    qmp_call_return(call, json_pack("{s:s}", "value", "nobody"));
    close(fd);
    struct error error = ERROR_INIT;
    assert_int_equal(qmp_server_new(&server, loop, &error), 0);
    assert_int_equal(pthread_create(&thread, NULL, run_loop, NULL), 0);
}

/* Who has said all gets all answers. */
static void test_half_closed(void **state)
{
    (void)state;
    int fd = dial();
    say(fd, HELLO "{\"execute\": \"later\"} {\"execute\": \"echo\", \"id\": 9} {\"execute\": \"ec");
    shutdown(fd, SHUT_WR);
    struct qmp_call *call = wait_for_call();
    pthread_mutex_lock(&lock);
    qmp_call_return(call, NULL);
    pthread_mutex_unlock(&lock);
    json_decref(hear(fd));
    expect(fd, "{\"return\": {}}");
    expect(fd, "{\"return\": {}}");
    expect(fd, "{\"return\": {}, \"id\": 9}");
    expect_end(fd);
    close(fd);
}

/* -- events ---------------------------------------------------------------------------------------------- */

static json_int_t hear_number(int fd, const char *name)
{
    json_t *message = hear(fd), *time = json_object_get(message, "timestamp");
    assert_string_equal(json_string_value(json_object_get(message, "event")), name);
    assert_true(json_integer_value(json_object_get(time, "seconds")) > 1600000000);
    assert_true(json_integer_value(json_object_get(time, "microseconds")) < 1000000);
    assert_int_equal(json_object_size(message), 3);
    json_int_t number = json_integer_value(json_object_get(json_object_get(message, "data"), "number"));
    json_decref(message);
    return number;
}

static void test_events(void **state)
{
    (void)state;
    int one = dial_in(), two = dial_in(), shy = dial();
    json_decref(hear(shy));
    event("SHOUT", json_pack("{s:i}", "number", 42));
    event("UNKNOWN", json_pack("{s:i}", "number", 42)); /* in no table */
    assert_int_equal(hear_number(one, "SHOUT"), 42);
    assert_int_equal(hear_number(two, "SHOUT"), 42);
    say(one, "{\"execute\": \"shout\"}"); /* what a command tells comes before its answer */
    assert_int_equal(hear_number(one, "SHOUT"), 1);
    expect(one, "{\"return\": {}}");
    assert_int_equal(hear_number(two, "SHOUT"), 1);
    say(shy, HELLO);
    expect(shy, "{\"return\": {}}");
    close(one);
    close(two);
    close(shy);
}

static void test_rates(void **state)
{
    (void)state;
    int fd = dial_in();
    for (int i = 1; i <= 5; i++)
        event("HOURLY", json_pack("{s:i}", "number", i));
    event("SHOUT", json_pack("{s:i}", "number", 7));
    assert_int_equal(hear_number(fd, "HOURLY"), 1);
    assert_int_equal(hear_number(fd, "SHOUT"), 7); /* the others wait for an hour */
    /* Of many that come at once the first is told, and the last in any case. */
    for (int i = 1; i <= 1000; i++)
        event("OFTEN", json_pack("{s:i}", "number", i));
    json_int_t last = 0, number;
    for (unsigned count = 0; last != 1000; last = number) {
        number = hear_number(fd, "OFTEN");
        assert_true(number > last);
        assert_true(count++ || number == 1);
    }
    close(fd);
}

/* -- who may --------------------------------------------------------------------------------------------- */

static void test_other_user(void **state)
{
    (void)state;
    int status;
    if (geteuid())
        skip();
    assert_int_equal(chmod(path, 0777), 0); /* its mode alone would keep him out */
    assert_int_equal(chmod(directory, 0777), 0);
    pid_t pid = fork();
    if (!pid) {
        if (setgid(65534) || setuid(65534))
            _exit(2);
        struct error error = ERROR_INIT;
        char byte;
        int fd = unix_socket_connect(path, WAIT, &error);
        _exit(fd < 0 ? 3 : recv(fd, &byte, 1, 0) > 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(dial_in());
}

static void test_paths(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct qmp_server *second;
    pthread_mutex_lock(&lock);
    assert_int_equal(qmp_server_new(&second, loop, &error), 0);
    assert_int_equal(qmp_server_listen(second, path, &error), -EADDRINUSE);
    assert_non_null(strstr(error.message, path));
    assert_int_equal(qmp_server_listen(second, "/nowhere/at/all", &error), -ENOENT);
    assert_int_equal(qmp_server_add(second, &table, NULL, &error), 0);
    assert_int_equal(qmp_server_add(second, &table, NULL, &error), -EEXIST);
    assert_non_null(strstr(error.message, "echo"));
    qmp_server_free(second);
    qmp_server_free(NULL);
    pthread_mutex_unlock(&lock);
    close(dial_in()); /* the first one's socket is there */
}

/* -- what the server says of itself ---------------------------------------------------------------------- */

static json_t *ask(int fd, const char *command)
{
    char text[128];
    snprintf(text, sizeof text, "{\"execute\": \"%s\"}", command);
    say(fd, text);
    json_t *message = hear(fd), *result = json_incref(json_object_get(message, "return"));
    assert_non_null(result);
    json_decref(message);
    return result;
}

static const json_t *schema_find(const json_t *schema, const char *name, const char *meta)
{
    size_t index;
    const json_t *entry, *found = NULL;
    json_array_foreach(schema, index, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "name")), name) != 0)
            continue;
        if (meta && strcmp(json_string_value(json_object_get(entry, "meta-type")), meta) != 0)
            continue;
        assert_null(found); /* once only */
        found = entry;
    }
    return found;
}

static const char *schema_text(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    assert_non_null(text);
    return text;
}

/* Every type that is named is there, once. */
static void check_schema(const json_t *schema)
{
    static const char *const references[] = {"arg-type", "ret-type", "element-type"};
    size_t index, number;
    const json_t *entry, *member;
    json_array_foreach(schema, index, entry)
    {
        for (unsigned i = 0; i < ARRAY_SIZE(references); i++) {
            const char *name = json_string_value(json_object_get(entry, references[i]));
            assert_true(!name || schema_find(schema, name, NULL));
        }
        if (strcmp(schema_text(entry, "meta-type"), "object") != 0)
            continue;
        json_array_foreach(json_object_get(entry, "members"), number, member)
            assert_non_null(schema_find(schema, schema_text(member, "type"), NULL));
    }
}

static void test_introspection(void **state)
{
    (void)state;
    int fd = dial_in();
    json_t *schema = ask(fd, "query-qmp-schema"), *names = ask(fd, "query-commands"),
           *told = ask(fd, "query-events");
    check_schema(schema);
    assert_int_equal(json_array_size(names), 5 + ARRAY_SIZE(commands) - 1);
    assert_int_equal(json_array_size(told), ARRAY_SIZE(events) - 1);
    const json_t *command = schema_find(schema, "echo", "command");
    const json_t *object = schema_find(schema, schema_text(command, "arg-type"), "object");
    const json_t *members = json_object_get(object, "members");
    assert_int_equal(json_array_size(members), 7);
    assert_string_equal(schema_text(json_array_get(members, 0), "type"), "str");
    assert_true(json_is_null(json_object_get(json_array_get(members, 0), "default")));
    const json_t *array = schema_find(schema, schema_text(json_array_get(members, 4), "type"), "array");
    const json_t *element = schema_find(schema, schema_text(array, "element-type"), "object");
    const json_t *second = json_array_get(json_object_get(element, "members"), 2);
    const json_t *choice = schema_find(schema, schema_text(second, "type"), "enum");
    assert_int_equal(json_array_size(json_object_get(choice, "values")), 2);
    assert_string_equal(schema_text(schema_find(schema, "SHOUT", "event"), "arg-type"),
                        schema_text(schema_find(schema, "HOURLY", "event"), "arg-type"));
    assert_non_null(schema_find(schema, "qmp_capabilities", "command"));
    json_decref(schema);
    json_decref(names);
    json_decref(told);
    close(fd);
}

/* -- the client library ---------------------------------------------------------------------------------- */

static void test_client(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct qmp_client *client;
    json_t *result = NULL, *told;
    assert_int_equal(qmp_client_connect(&client, path, WAIT, &error), 0);
    assert_int_equal(
        qmp_client_execute(client, "echo", json_pack("{s:s}", "text", "\xc3\xa9"), &result, &error), 0);
    assert_string_equal(json_string_value(json_object_get(result, "text")), "\xc3\xa9");
    json_decref(result);
    assert_int_equal(
        qmp_client_execute(client, "refuse", json_pack("{s:s}", "class", "DeviceNotFound"), NULL, &error),
        -EREMOTEIO);
    assert_int_equal(qmp_client_class(client), QMP_DEVICE_NOT_FOUND);
    assert_string_equal(error.message, "no ? device; try another");
    assert_int_equal(qmp_client_execute(client, "nothing", NULL, NULL, &error), -EREMOTEIO);
    assert_int_equal(qmp_client_class(client), QMP_COMMAND_NOT_FOUND);

    /* Events that come between are kept for later, of too many the last. */
    assert_int_equal(qmp_client_event(client, 0, &told, &error), -ETIMEDOUT);
    for (int i = 0; i < QMP_CLIENT_EVENTS_MAX + 3; i++)
        assert_int_equal(qmp_client_execute(client, "shout", NULL, NULL, &error), 0);
    for (int i = 0; i < QMP_CLIENT_EVENTS_MAX; i++) {
        assert_int_equal(qmp_client_event(client, 0, &told, &error), 0);
        assert_string_equal(json_string_value(json_object_get(told, "event")), "SHOUT");
        json_decref(told);
    }
    assert_int_equal(qmp_client_event(client, 0, &told, &error), -ETIMEDOUT);
    event("QUIET", NULL);
    assert_int_equal(qmp_client_event(client, WAIT, &told, &error), 0);
    assert_string_equal(json_string_value(json_object_get(told, "event")), "QUIET");
    json_decref(told);

    qmp_client_set_timeout(client, 1);
    assert_int_equal(qmp_client_execute(client, "later", NULL, NULL, &error), -ETIMEDOUT);
    qmp_client_close(client);
    qmp_client_close(NULL);
    pthread_mutex_lock(&lock);
    qmp_call_return(waiting, NULL);
    pthread_mutex_unlock(&lock);
}

/* A descriptor is of one command, or of nobody and closed; the client keeps its own. */
static void test_descriptor(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct qmp_client *client;
    char text[8];
    int pipe[2];
    assert_int_equal(pipe2(pipe, O_CLOEXEC), 0);
    assert_int_equal(qmp_client_connect(&client, path, WAIT, &error), 0);
    assert_int_equal(qmp_client_execute(client, "scribble", NULL, NULL, &error), -EREMOTEIO);
    qmp_client_pass(client, pipe[1]);
    assert_int_equal(qmp_client_execute(client, "scribble", NULL, NULL, &error), 0);
    assert_int_equal(read(pipe[0], text, sizeof text), 5);
    assert_int_equal(qmp_client_execute(client, "scribble", NULL, NULL, &error), -EREMOTEIO);
    for (unsigned i = 0; i < 2; i++) {
        qmp_client_pass(client, pipe[1]);
        assert_int_equal(qmp_client_execute(client, "echo", NULL, NULL, &error), 0);
    }
    close(pipe[1]);
    qmp_client_close(client);
    assert_int_equal(read(pipe[0], text, sizeof text), 0); /* nobody has it any more */
    close(pipe[0]);
}

static void count_idle(void *opaque)
{
    ++*(unsigned *)opaque;
}

/* Who waits for an answer is told of the time, and of its end. */
static void test_idle(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct qmp_client *client;
    unsigned idle = 0;
    assert_int_equal(qmp_client_connect(&client, path, WAIT, &error), 0);
    qmp_client_set_idle(client, 2, count_idle, &idle);
    qmp_client_set_timeout(client, 50);
    assert_int_equal(qmp_client_execute(client, "later", NULL, NULL, &error), -ETIMEDOUT);
    assert_in_range(idle, 2, 26);
    qmp_client_close(client);
    pthread_mutex_lock(&lock);
    qmp_call_return(waiting, NULL);
    waiting = NULL;
    pthread_mutex_unlock(&lock);
}

/* What a server that is none says, and what becomes of it. */
static void test_client_mistrusts(void **state)
{
    (void)state;
    static const char good[] = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";
    static const struct {
        const char *said;
        int code;
    } servers[] = {
        {"", -ECONNRESET},
        {"SSH-2.0-OpenSSH_9.2\r\n", -EPROTO},
        {"{\"hello\": 1}", -EPROTO},
        {"{\"error\": {\"class\": \"GenericError\", \"desc\": \"enough\"}}", -EUSERS},
        {"{\"QMP\": {\"version\"", -ECONNRESET},
        {"{\"QMP\": 5}", -EPROTO},
        {"{\"QMP\": {}} {\"return\": {}}", -EPROTO},            /* an answer without id */
        {"{\"QMP\": {}} {\"return\": {}, \"id\": 2}", -EPROTO}, /* to something else */
        {"{\"QMP\": {}} {\"error\": 7}", -EREMOTEIO},
        {"{\"QMP\": {}} {\"event\": 1} {\"return\": {}, \"id\": 1}", 0},
    };
    struct error error = ERROR_INIT;
    struct qmp_client *client;
    int pair[2];
    for (unsigned i = 0; i < ARRAY_SIZE(servers); i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        say(pair[1], servers[i].said);
        shutdown(pair[1], SHUT_WR);
        assert_int_equal(qmp_client_adopt(&client, pair[0], WAIT, &error), servers[i].code);
        assert_true(!client == (servers[i].code != 0));
        qmp_client_close(client);
        close(pair[1]);
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(qmp_client_adopt(&client, pair[0], 1, &error), -ETIMEDOUT); /* it says nothing */
    close(pair[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    say(pair[1], good);
    assert_int_equal(qmp_client_adopt(&client, pair[0], 1, &error), -ETIMEDOUT);
    close(pair[1]);

    char none[128];
    snprintf(none, sizeof none, "%s/none", directory);
    assert_int_equal(qmp_client_connect(&client, none, WAIT, &error), -ENOENT);
    assert_null(client);
    assert_non_null(strstr(error.message, none));
}

/* A server that was given the other end of a pair. */
static void test_adopt(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct qmp_client *client;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    pthread_mutex_lock(&lock);
    assert_int_equal(qmp_server_adopt(server, pair[1], &error), 0);
    pthread_mutex_unlock(&lock);
    assert_int_equal(qmp_client_adopt(&client, pair[0], WAIT, &error), 0);
    assert_int_equal(qmp_client_execute(client, "early", NULL, NULL, &error), 0);
    assert_true(qmp_client_fd(client) == pair[0]);
    qmp_client_close(client);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_negotiation),    TEST(test_order),
        TEST(test_wrong),          TEST(test_arguments),
        TEST(test_limits),         TEST(test_many_clients),
        TEST(test_no_descriptors), TEST(test_slow_events),
        TEST(test_slow_commands),  TEST(test_later),
        TEST(test_later_gone),     TEST(test_half_closed),
        TEST(test_leaves),         TEST(test_events),
        TEST(test_rates),          TEST(test_other_user),
        TEST(test_paths),          TEST(test_introspection),
        TEST(test_client),         TEST(test_descriptor),
        TEST(test_idle),           TEST(test_client_mistrusts),
        TEST(test_adopt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
