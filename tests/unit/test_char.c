/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The host's ends of consoles: a terminal with its menu and its modes restored however the machine ends,
 * pipes, files, pseudo-terminals, sockets. The machine is a process with an echoing device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "backend/char/host.h"
#include "base/macros.h"

/* The machine: what it receives it sends back, in capitals, at most `room` characters at a time. */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct loop *loop;
static struct char_host *host;
static struct char_backend backend;
static uint8_t waiting[8192];
static size_t waiting_size;
static size_t device_size = 4;
static bool paused, exits, ends;

static void device_send(const void *data, size_t size)
{
    memcpy(waiting + waiting_size, data, size);
    waiting_size += size;
    size_t taken = backend.write(backend.opaque, waiting, waiting_size);
    memmove(waiting, waiting + taken, waiting_size - taken);
    waiting_size -= taken;
    if (ends && !waiting_size)
        loop_stop(loop);
}

static size_t device_room(void *opaque)
{
    (void)opaque;
    return waiting_size > sizeof waiting / 2 ? 0 : device_size;
}

static void device_receive(void *opaque, const uint8_t *data, size_t size)
{
    (void)opaque;
    for (size_t i = 0; i < size; i++) {
        char c = (char)data[i];
        ends |= c == '!'; /* when all has been said */
        if (c == '$')
            kill(getpid(), SIGSEGV);
        c = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        device_send(&c, 1);
    }
}

static void device_break(void *opaque)
{
    (void)opaque;
    device_send("<break>", 7);
}

static void device_writable(void *opaque)
{
    (void)opaque;
    device_send("", 0);
    backend.readable(backend.opaque);
}

static void device_connected(void *opaque, bool connected)
{
    (void)opaque;
    if (connected)
        device_send("<hello>", 7);
}

static void menu_end(void *opaque)
{
    (void)opaque;
    loop_stop(loop);
}

static void menu_set_paused(void *opaque, bool value)
{
    (void)opaque;
    paused = value;
    device_send(value ? "<paused>" : "<on>", value ? 8 : 4);
}

static bool menu_is_paused(void *opaque)
{
    (void)opaque;
    return paused;
}

static void menu_reset(void *opaque)
{
    (void)opaque;
    device_send("<reset>", 7);
}

/* The guest listens for it while the machine runs. */
static bool menu_power_button(void *opaque)
{
    (void)opaque;
    device_send("<button>", 8);
    return !paused;
}

static const struct char_menu menu = {menu_end,   menu_set_paused,   menu_is_paused,
                                      menu_reset, menu_power_button, NULL};

static int machine_main(const char *text)
{
    signal(SIGSEGV, SIG_DFL); /* cmocka catches it */
    struct error error = ERROR_INIT;
    struct char_options options;
    struct char_client client = {device_room,     device_receive,   device_break,
                                 device_writable, device_connected, NULL};
    if (char_options_parse(&options, text, &error) || loop_new(&loop, &lock, NULL, &error) ||
        char_host_open(&host, &options, loop, &menu, &error)) {
        error_report(&error);
        return 3;
    }
    backend = char_host_backend(host);
    char_host_attach(host, client);
    loop_run(loop);
    if (exits)
        exit(0); /* without closing */
    char_host_close(host);
    loop_free(loop);
    return 0;
}

static char got[1 << 20]; /* and not yet expected, from `got_fd` */
static size_t got_size;
static int got_fd;

/* Reads until the text has come. */
static void expect(int fd, const char *text)
{
    char *found;
    if (fd != got_fd)
        got_size = 0;
    got_fd = fd;
    while (!(found = memmem(got, got_size, text, strlen(text)))) {
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (poll(&poll_fd, 1, 20000) != 1)
            fail_msg("no \"%s\" in \"%.*s\"", text, (int)got_size, got);
        ssize_t more = read(fd, got + got_size, sizeof got - got_size);
        if (more <= 0)
            fail_msg("the end, and no \"%s\" in \"%.*s\"", text, (int)got_size, got);
        got_size += (size_t)more;
    }
    got_size -= (size_t)(found - got) + strlen(text);
    memmove(got, found + strlen(text), got_size);
}

static void type(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* At a terminal. */

struct terminal {
    int master, slave;
    pid_t shell, machine;
    struct termios before;
};

/* The session's leader lives on when the machine dies, as a script without job control does. */
static void terminal_start_in(struct terminal *terminal, bool controlling)
{
    got_size = 0;
    terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal->master >= 0 && !grantpt(terminal->master) && !unlockpt(terminal->master));
    terminal->slave = open(ptsname(terminal->master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal->slave >= 0);
    assert_int_equal(tcgetattr(terminal->slave, &terminal->before), 0);
    int report[2];
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    terminal->shell = fork();
    if (!terminal->shell) {
        setsid();
        if (controlling)
            ioctl(terminal->slave, TIOCSCTTY, 0);
        for (int fd = 0; fd < 3; fd++)
            dup2(terminal->slave, fd);
        terminal->machine = fork();
        if (!terminal->machine)
            _exit(machine_main("stdio"));
        if (write(report[1], &terminal->machine, sizeof terminal->machine) < 0)
            _exit(1);
        int status;
        waitpid(terminal->machine, &status, 0);
        if (write(report[1], &status, sizeof status) < 0)
            _exit(1);
        pause();
    }
    close(report[1]);
    assert_int_equal(read(report[0], &terminal->machine, sizeof terminal->machine), sizeof(pid_t));
    expect(terminal->master, "<hello>");
    struct termios now;
    assert_int_equal(tcgetattr(terminal->slave, &now), 0);
    assert_false(now.c_lflag & (ICANON | ECHO | ISIG));
    terminal->machine = report[0]; /* from here on the pipe with its status */
}

static void terminal_start(struct terminal *terminal)
{
    terminal_start_in(terminal, true);
}

static void terminal_end(struct terminal *terminal, int *status)
{
    struct termios now;
    assert_int_equal(read((int)terminal->machine, status, sizeof *status), sizeof *status);
    /* After a crash it is the keeper who restores, in a moment. */
    for (unsigned i = 0; i < 2000; i++) {
        assert_int_equal(tcgetattr(terminal->slave, &now), 0);
        if (now.c_lflag == terminal->before.c_lflag)
            break;
        usleep(10000);
    }
    assert_memory_equal(&now, &terminal->before, offsetof(struct termios, c_cc) + NCCS);
    kill(terminal->shell, SIGKILL);
    waitpid(terminal->shell, NULL, 0);
    close((int)terminal->machine);
    close(terminal->master);
    close(terminal->slave);
}

static void test_menu(void **state)
{
    (void)state;
    struct terminal terminal;
    int status;
    terminal_start(&terminal);
    type(terminal.master, "hello \003\r");
    expect(terminal.master, "HELLO \003\r"); /* Ctrl-C is the guest's */
    type(terminal.master, "\035");
    expect(terminal.master, "p pause, ");
    type(terminal.master, "p");
    expect(terminal.master, "<paused>");
    type(terminal.master, "\035");
    expect(terminal.master, "p go on, ");
    type(terminal.master, "p");
    expect(terminal.master, "<on>");
    type(terminal.master, "a\035bc");
    expect(terminal.master, "A");
    expect(terminal.master, "<break>C");
    type(terminal.master, "\035r");
    expect(terminal.master, "<reset>");
    type(terminal.master, "\035s");
    expect(terminal.master, "<button>");
    type(terminal.master, "\035p\035s");
    expect(terminal.master, "nobody in the guest listens");
    type(terminal.master, "\035p");
    type(terminal.master, "x\035\035y");
    expect(terminal.master, "X");
    expect(terminal.master, "\035Y");
    type(terminal.master, "\035?");
    expect(terminal.master, "this help");
    type(terminal.master, "zv"); /* z: back */
    expect(terminal.master, "V");
    type(terminal.master, "\035q");
    terminal_end(&terminal, &status);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* As under a program that gives it a terminal but no session of its own. */
static void test_terminal_of_no_session(void **state)
{
    (void)state;
    struct terminal terminal;
    int status;
    terminal_start_in(&terminal, false);
    type(terminal.master, "hello \003\r");
    expect(terminal.master, "HELLO \003\r");
    type(terminal.master, "$"); /* crashes */
    terminal_end(&terminal, &status);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* Even if the guest takes nothing the menu is there. */
static void test_menu_stuck(void **state)
{
    (void)state;
    struct terminal terminal;
    int status;
    device_size = 0;
    terminal_start(&terminal);
    for (unsigned i = 0; i < 100; i++)
        type(terminal.master, "0123456789012345678901234567890123456789012345678901234567890123456789");
    type(terminal.master, "\035");
    expect(terminal.master, "q end");
    type(terminal.master, "q");
    terminal_end(&terminal, &status);
    assert_true(WIFEXITED(status));
    device_size = 4;
}

static void test_terminal_restored(void **state)
{
    (void)state;
    struct terminal terminal;
    int status;

    terminal_start(&terminal);
    type(terminal.master, "$"); /* crashes */
    terminal_end(&terminal, &status);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);

    exits = true;
    terminal_start(&terminal);
    type(terminal.master, "!");
    terminal_end(&terminal, &status);
    assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
    exits = false;
}

/* Pipes and files. */

static pid_t machine_start(const char *text, int in, int out)
{
    got_size = 0;
    pid_t pid = fork();
    if (!pid) {
        dup2(in, 0);
        dup2(out, 1);
        close_range(3, ~0u, 0);
        _exit(machine_main(text));
    }
    return pid;
}

static int machine_status(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void test_pipes(void **state)
{
    (void)state;
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    pid_t pid = machine_start("stdio", in[0], out[1]);
    /* Nobody reads yet: the machine must take what it can and then wait, and lose nothing. */
    static char text[400001], expected[400001];
    for (unsigned i = 0; i < sizeof text - 1; i++) {
        text[i] = (char)('a' + i % 26);
        expected[i] = (char)('A' + i % 26);
    }
    pid_t writer = fork();
    if (!writer) {
        for (size_t done = 0; done < sizeof text - 1;) {
            ssize_t size = write(in[1], text + done, MIN(3000, sizeof text - 1 - done));
            if (size <= 0)
                _exit(1);
            done += (size_t)size;
        }
        _exit(write(in[1], "\035!", 2) != 2);
    }
    usleep(100000);
    expect(out[0], "<hello>");
    expect(out[0], expected);
    expect(out[0], "\035!"); /* not at a terminal: no escape key */
    assert_int_equal(machine_status(writer), 0);
    assert_int_equal(machine_status(pid), 0);
    assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(out[1], F_GETFL) & O_NONBLOCK);
    close(in[0]), close(in[1]), close(out[0]), close(out[1]);
}

/* Whoever begins to read only when the machine has come to its end still gets the last of it. */
static void test_slow_reader(void **state)
{
    (void)state;
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    static char text[66001], expected[66001]; /* more than a pipe holds */
    memset(text, 'x', sizeof text - 1);
    memset(expected, 'X', sizeof expected - 1);
    pid_t pid = machine_start("stdio", in[0], out[1]);
    for (size_t done = 0; done < sizeof text - 1; done += 3000)
        assert_int_equal(write(in[1], text + done, 3000), 3000);
    type(in[1], "!");
    usleep(300000);
    expect(out[0], expected);
    expect(out[0], "!");
    assert_int_equal(machine_status(pid), 0);
    close(in[0]), close(in[1]), close(out[0]), close(out[1]);
}

static void test_end_of_input(void **state)
{
    (void)state;
    int in[2], out[2];
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    pid_t pid = machine_start("stdio", in[0], out[1]);
    type(in[1], "ab");
    close(in[1]);
    close(in[0]);
    expect(out[0], "AB");
    usleep(50000);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it goes on */
    close(out[0]);
    kill(pid, SIGTERM);
    machine_status(pid);
    close(out[1]);

    /* A file as input, and what reads the output goes away. */
    FILE *file = tmpfile();
    fputs("from a file!", file);
    rewind(file);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid = machine_start("stdio", fileno(file), out[1]);
    expect(out[0], "FROM A FILE!");
    assert_int_equal(machine_status(pid), 0);
    rewind(file);
    close(out[0]);
    pid = machine_start("stdio", fileno(file), out[1]);
    assert_int_equal(machine_status(pid), 0);
    close(out[1]);
    fclose(file);
}

static void test_file(void **state)
{
    (void)state;
    char path[] = "/tmp/visor-char-XXXXXX", text[64], content[16] = "";
    int file = mkstemp(path), in[2];
    assert_int_equal(write(file, "what was there", 14), 14);
    snprintf(text, sizeof text, "file:%s", path);
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    /* It has no input: ended from outside, after it has written. */
    pid_t pid = machine_start(text, in[0], in[1]);
    for (unsigned i = 0; i < 2000 && pread(file, content, sizeof content, 0) != 7; i++)
        usleep(10000);
    assert_memory_equal(content, "<hello>", 7);
    kill(pid, SIGKILL);
    machine_status(pid);
    close(file), close(in[0]), close(in[1]);
    unlink(path);

    struct error error = ERROR_INIT;
    struct char_options options;
    assert_int_equal(char_options_parse(&options, "file:/nonexistent/x", &error), 0);
    assert_int_equal(loop_new(&loop, &lock, NULL, &error), 0);
    assert_int_equal(char_host_open(&host, &options, loop, NULL, &error), -ENOENT);
    assert_string_equal(error.message, "cannot write to /nonexistent/x: No such file or directory");
    loop_free(loop);
}

static void test_pty(void **state)
{
    (void)state;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), report[2];
    char line[200] = "";
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (!pid) {
        dup2(null, 0);
        dup2(report[1], 2);
        _exit(machine_main("pty"));
    }
    assert_true(read(report[0], line, sizeof line - 1) > 0);
    assert_memory_equal(line, "visor: the console is /dev/pts/", 31);
    *strchr(line, '\n') = '\0';
    for (unsigned round = 0; round < 3; round++) {
        int fd = open(line + 22, O_RDWR | O_NOCTTY | O_CLOEXEC);
        assert_true(fd >= 0);
        expect(fd, "<hello>");
        type(fd, "abc\n");
        expect(fd, "ABC\n");
        if (round == 2)
            type(fd, "!");
        close(fd);
        usleep(20000); /* else it may come before the hang-up of the last one was seen, without a hello */
    }
    assert_int_equal(machine_status(pid), 0);
    close(null), close(report[0]), close(report[1]);
}

static int unix_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (unsigned i = 0; i < 2000; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (!connect(fd, (struct sockaddr *)&address, sizeof address))
            return fd;
        close(fd);
        usleep(10000);
    }
    fail_msg("nobody listens");
    return -1;
}

static void test_unix(void **state)
{
    (void)state;
    char directory[] = "/tmp/visor-char-XXXXXX", text[64];
    assert_non_null(mkdtemp(directory));
    snprintf(text, sizeof text, "unix:%s/socket", directory);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (unsigned kill_it = 2; kill_it--;) { /* one leaves its socket behind */
        pid_t pid = machine_start(text, null, null);
        int one = unix_connect(text + 5), two = unix_connect(text + 5);
        expect(one, "<hello>");
        type(one, "first");
        expect(one, "FIRST");
        /* Another machine cannot have it. */
        struct error error = ERROR_INIT;
        struct char_options options;
        assert_int_equal(char_options_parse(&options, text, &error), 0);
        assert_int_equal(loop_new(&loop, &lock, NULL, &error), 0);
        assert_int_equal(char_host_open(&host, &options, loop, NULL, &error), -EADDRINUSE);
        loop_free(loop);
        close(one);
        expect(two, "<hello>"); /* its turn */
        type(two, "second");
        expect(two, "SECOND");
        if (kill_it)
            kill(pid, SIGKILL);
        else
            type(two, "!");
        machine_status(pid);
        assert_int_equal(access(text + 5, F_OK), kill_it ? 0 : -1);
        close(two);
    }
    close(null);
    rmdir(directory);
}

static void test_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "std", "stdio,", "unix", "unix:", "file:", "pty:1", "Stdio"};
    struct char_options options;
    struct error error;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(char_options_parse(&options, bad[i], &error), -EINVAL);
    char text[5000] = "unix:";
    memset(text + 5, 'a', 4000);
    assert_int_equal(char_options_parse(&options, text, &error), -ENAMETOOLONG);
    assert_int_equal(char_options_parse(&options, "none", &error), 0);
    assert_int_equal(options.kind, CHAR_NONE);
    assert_int_equal(char_options_parse(&options, "unix:/a,b:c", &error), 0);
    assert_true(options.kind == CHAR_UNIX && !strcmp(options.path, "/a,b:c"));
    static const struct {
        const char *text;
        int code;
        uint8_t key;
    } keys[] = {
        {"stdio", 0, 0x1d},
        {"stdio,escape=^]", 0, 0x1d},
        {"stdio,escape=^a", 0, 1},
        {"stdio,escape=none", 0, 0},
        {"stdio,escape=a", -EINVAL, 0},
        {"stdio,escape=^@", -EINVAL, 0},
        {"stdio,escape=^", -EINVAL, 0},
        {"stdio,escape=", -EINVAL, 0},
        {"stdio,escape=^]x", -EINVAL, 0},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        assert_int_equal(char_options_parse(&options, keys[i].text, &error), keys[i].code);
        assert_true(keys[i].code || options.escape == keys[i].key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_menu),
        cmocka_unit_test(test_menu_stuck),
        cmocka_unit_test(test_terminal_of_no_session),
        cmocka_unit_test(test_terminal_of_no_session),
        cmocka_unit_test(test_terminal_restored),
        cmocka_unit_test(test_pipes),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_end_of_input),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_pty),
        cmocka_unit_test(test_unix),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
