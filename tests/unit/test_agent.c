/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's agent, which runs here at a Unix socket, and the host's way to ask it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "control/agent/client.h"

#define WAIT 20000 /* milliseconds */

static char directory[64], path[96];
static pid_t agent;
static struct agent_host host;

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/visor-agent-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/agent", directory);
    host = (struct agent_host){.path = path, .direct = true, .timeout_ms = WAIT};
    agent = fork();
    if (!agent) {
        execl(AGENT, AGENT, "--unix", path, NULL);
        _exit(127);
    }
    struct error error = ERROR_INIT;
    for (unsigned i = 0; i < 10000 && agent_ping(&host, &error); i++)
        usleep(2000);
    return agent_ping(&host, &error);
}

static int tear_down(void **state)
{
    (void)state;
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    unlink(path);
    return rmdir(directory);
}

/* -- programs -------------------------------------------------------------------------------------------- */

static char said[1 << 16], complained[1 << 16]; /* by the last program */

static int temporary(const char *text, size_t size)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void read_back(int fd, char *text, size_t size)
{
    ssize_t got = pread(fd, text, size - 1, 0);
    assert_true(got >= 0);
    text[got] = '\0';
    close(fd);
}

/* Runs a script of the shell's, with that input if it is not NULL; its status, or a negative errno. */
static int run_with(struct agent_exec exec, const char *script, const char *input, size_t size,
                    struct error *error)
{
    char *const arguments[] = {"sh", "-c", (char *)(uintptr_t)script, NULL};
    int status = -1;
    exec.arguments = arguments;
    exec.user = exec.user ? exec.user : "";
    exec.directory = exec.directory ? exec.directory : "";
    exec.flags |= input ? AGENT_STDIN : 0;
    struct agent_run run = {.exec = exec,
                            .input = input ? temporary(input, size) : -1,
                            .output = temporary("", 0),
                            .errors = temporary("", 0),
                            .signals = -1};
    int code = agent_run(&host, &run, &status, error);
    if (input)
        close(run.input);
    read_back(run.output, said, sizeof said);
    read_back(run.errors, complained, sizeof complained);
    return code ? code : status;
}

static int run(const char *script)
{
    struct error error = ERROR_INIT;
    int code = run_with((struct agent_exec){0}, script, NULL, 0, &error);
    if (code < 0)
        print_error("%s: %s\n", script, error.message);
    return code;
}

static void test_status(void **state)
{
    (void)state;
    assert_int_equal(run("echo out; echo err >&2; exit 7"), 7);
    assert_string_equal(said, "out\n");
    assert_string_equal(complained, "err\n");
    assert_int_equal(run("true"), 0);
    assert_string_equal(said, "");
    assert_int_equal(run("kill -9 $$"), 128 + 9);
    assert_int_equal(run("(sleep 20; echo late) & echo left behind"), 0); /* which has the pipes open */
    assert_string_equal(said, "left behind\n");
    assert_int_equal(run("read line; echo got=$line"), 0);
    assert_string_equal(said, "got=\n"); /* no input is its end */
}

static void test_refused(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    char *const nothing[] = {"/no/such/program", NULL};
    struct agent_run run_it = {.exec = {.user = "", .directory = "", .arguments = nothing},
                               .input = -1,
                               .output = 1,
                               .errors = 2,
                               .signals = -1};
    int status;
    assert_int_equal(agent_run(&host, &run_it, &status, &error), -EREMOTEIO);
    assert_string_equal(error.message, "cannot start /no/such/program: No such file or directory");
    assert_int_equal(status, 127);
    char *const no_program[] = {"/etc/passwd", NULL};
    run_it.exec.arguments = no_program;
    assert_int_equal(agent_run(&host, &run_it, &status, &error), -EREMOTEIO);
    assert_int_equal(status, 126);
    assert_int_equal(run_with((struct agent_exec){.directory = "/no/where"}, "true", NULL, 0, &error),
                     -EREMOTEIO);
    assert_int_equal(run_with((struct agent_exec){.user = "nobody-at-all"}, "true", NULL, 0, &error),
                     -EREMOTEIO);
    assert_non_null(strstr(error.message, "nobody-at-all"));
    assert_int_equal(run_with((struct agent_exec){.user = "0:no-group"}, "true", NULL, 0, &error),
                     -EREMOTEIO);
    char *long_word = malloc(AGENT_FRAME_MAX + 1);
    assert_non_null(long_word);
    memset(long_word, 'x', AGENT_FRAME_MAX);
    long_word[AGENT_FRAME_MAX] = '\0';
    assert_int_equal(run_with((struct agent_exec){0}, long_word, NULL, 0, &error), -E2BIG);
    free(long_word);
    assert_int_equal(agent_shutdown(&host, AGENT_OFF, &error), -EREMOTEIO); /* this is no guest */
}

/* More than all windows and pipes hold goes through, and comes back as it was. */
static void test_input(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    const size_t size = 3 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(i * 2654435761u >> 13);
    struct agent_run cat = {
        .input = temporary(text, size), .output = temporary("", 0), .errors = 2, .signals = -1};
    char *const words[] = {"cat", NULL};
    cat.exec = (struct agent_exec){.flags = AGENT_STDIN, .user = "", .directory = "", .arguments = words};
    int status = -1;
    assert_int_equal(agent_run(&host, &cat, &status, &error), 0);
    assert_int_equal(status, 0);
    char *back = malloc(size + 1);
    assert_non_null(back);
    assert_int_equal(pread(cat.output, back, size + 1, 0), size);
    assert_memory_equal(back, text, size);
    close(cat.input);
    close(cat.output);
    /* One that says nothing until its input has ended. */
    assert_int_equal(run_with((struct agent_exec){0}, "cat >/dev/null; echo read it", text, 50000, &error),
                     0);
    assert_string_equal(said, "read it\n");
    /* One that does not take it all. */
    assert_int_equal(run_with((struct agent_exec){0}, "head -c 5", text, 1 << 20, &error), 0);
    assert_memory_equal(said, text, 5);
    free(back);
    free(text);
}

static void test_surroundings(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    char *variables[] = {(char[]){"COLOUR=dark blue"}, (char[]){"HOME=/elsewhere"}, NULL};
    struct agent_exec exec = {.directory = "/usr", .environment = variables};
    assert_int_equal(run_with(exec, "pwd; echo $COLOUR; echo $HOME; echo $USER", NULL, 0, &error), 0);
    assert_string_equal(said, geteuid() ? "/usr\ndark blue\n/elsewhere\n\n"
                                        : "/usr\ndark blue\n/elsewhere\nroot\n");
    if (geteuid())
        return; /* only root becomes others */
    assert_int_equal(run_with((struct agent_exec){.user = "nobody"}, "id -un; id -u; id -G", NULL, 0, &error),
                     0);
    assert_non_null(strstr(said, "nobody\n65534\n65534\n"));
    assert_int_equal(
        run_with((struct agent_exec){.user = "12345:54321"}, "id -u; id -g; id -G", NULL, 0, &error), 0);
    assert_string_equal(said, "12345\n54321\n54321\n");
    assert_int_equal(
        run_with((struct agent_exec){.user = "daemon:nogroup"}, "id -un; id -gn", NULL, 0, &error), 0);
    assert_string_equal(said, "daemon\nnogroup\n");
}

static void test_terminal(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    const struct agent_exec exec = {.flags = AGENT_TTY, .rows = 40, .columns = 100};
    assert_int_equal(
        run_with(exec, "test -t 0 && test -t 2 && stty size; tty; echo err >&2", NULL, 0, &error), 0);
    assert_memory_equal(said, "40 100\r\n/dev/pts/", 17);
    assert_non_null(strstr(said, "err\r\n"));
    assert_string_equal(complained, "");
    assert_int_equal(run_with(exec, "stty -echo; read line; echo got=$line", "typed\n", 6, &error), 0);
    assert_non_null(strstr(said, "got=typed\r\n"));
    assert_int_equal(run_with(exec, "cat; echo end of it", "x\n", 2, &error),
                     0); /* the end of input reaches it */
    assert_non_null(strstr(said, "end of it"));
}

/* The user makes his window another one, and ends the program then. */
static void change_window(int terminal, int said_there)
{
    const struct winsize size = {.ws_row = 30, .ws_col = 90};
    char text[64] = "";
    while (!strstr(text, "READY")) {
        size_t length = strlen(text);
        if (read(said_there, text + length, 1) != 1)
            _exit(1);
    }
    if (ioctl(terminal, TIOCSWINSZ, &size) || kill(getppid(), SIGWINCH))
        _exit(1);
    for (memset(text, 0, sizeof text); !strstr(text, "30 90");) {
        size_t length = strlen(text);
        if (length > 60 || read(said_there, text + length, 1) != 1)
            _exit(1);
    }
    _exit(kill(getppid(), SIGUSR1) != 0);
}

static void test_signals(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    char *const words[] = {
        "sh", "-c", "trap 'stty size' WINCH; trap 'exit 3' USR1; echo READY; while :; do sleep 0.02; done",
        NULL};
    int output[2], status = -1, master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(master >= 0 && !grantpt(master) && !unlockpt(master));
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_int_equal(pipe(output), 0);
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGWINCH);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, &before);
    pid_t pid = fork();
    if (!pid)
        change_window(master, output[0]);
    struct agent_run run_it = {
        .exec =
            {.flags = AGENT_TTY, .rows = 1, .columns = 1, .user = "", .directory = "", .arguments = words},
        .input = slave,
        .output = output[1],
        .errors = 2,
        .signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)};
    assert_int_equal(agent_run(&host, &run_it, &status, &error), 0);
    assert_int_equal(status, 3);
    int ended;
    waitpid(pid, &ended, 0);
    assert_int_equal(ended, 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    const int used[] = {master, slave, output[0], output[1], run_it.signals};
    for (unsigned i = 0; i < 5; i++)
        close(used[i]);
}

/* Nobody is left who would hear it: the program is hung up. */
static void test_host_goes(void **state)
{
    (void)state;
    char file[128], script[512];
    snprintf(file, sizeof file, "%s/pid", directory);
    snprintf(script, sizeof script, "echo $$ >%s.new; mv %s.new %s; exec sleep 1000", file, file, file);
    pid_t pid = fork();
    if (!pid)
        _exit(run(script) != 0);
    FILE *stream = NULL;
    while (!(stream = fopen(file, "r")))
        usleep(2000);
    int program = 0;
    assert_int_equal(fscanf(stream, "%d", &program), 1);
    fclose(stream);
    assert_int_equal(kill(program, 0), 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    char name[64], process_state = 'S';
    snprintf(name, sizeof name, "/proc/%d/stat", program);
    while (process_state != 'Z' && (stream = fopen(name, "r"))) { /* until it has gone */
        if (fscanf(stream, "%*d (sleep) %c", &process_state) != 1)
            process_state = 'Z';
        fclose(stream);
        usleep(2000);
    }
    unlink(file);
}

/* -- files ----------------------------------------------------------------------------------------------- */

static void test_files(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct stat status;
    mode_t mode = 0;
    const size_t size = 300000;
    char name[128], *text = malloc(size), *back = malloc(size + 1);
    assert_true(text && back);
    for (size_t i = 0; i < size; i++)
        text[i] = (char)(i * 2654435761u >> 11);
    snprintf(name, sizeof name, "%s/file", directory);
    for (unsigned again = 0; again < 2; again++) { /* the second one takes the first one's place */
        int fd = temporary(text + again, size - again);
        assert_int_equal(agent_put(&host, name, 0641, fd, &error), 0);
        close(fd);
        assert_int_equal(stat(name, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0641);
        fd = temporary("", 0);
        assert_int_equal(agent_get(&host, name, fd, &mode, &error), 0);
        assert_int_equal(mode, 0641);
        assert_int_equal(pread(fd, back, size + 1, 0), size - again);
        assert_memory_equal(back, text + again, size - again);
        close(fd);
    }
    unlink(name);
    free(text);
    free(back);
    assert_int_equal(agent_get(&host, name, 1, &mode, &error), -EREMOTEIO);
    assert_non_null(strstr(error.message, name));
    assert_int_equal(agent_get(&host, directory, 1, &mode, &error), -EREMOTEIO);
    assert_int_equal(agent_get(&host, "/dev/zero", 1, &mode, &error), -EREMOTEIO); /* which has no end */
    int fd = temporary("x", 1);
    assert_int_equal(agent_put(&host, directory, 0600, fd, &error), -EREMOTEIO);
    assert_int_equal(agent_put(&host, "/no/where/file", 0600, fd, &error), -EREMOTEIO);
    close(fd);
}

/* -- facts, and nonsense --------------------------------------------------------------------------------- */

static void take_fact(void *opaque, const char *name, const char *value)
{
    struct utsname names;
    uname(&names);
    if (!strcmp(name, "kernel"))
        *(unsigned *)opaque |= !strcmp(value, names.release);
    if (!strcmp(name, "hostname"))
        *(unsigned *)opaque |= !strcmp(value, names.nodename) << 1;
    if (!strcmp(name, "uptime"))
        *(unsigned *)opaque |= (atoi(value) > 0) << 2;
}

static void test_facts(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    unsigned right = 0;
    assert_int_equal(agent_facts(&host, take_fact, &right, &error), 0);
    assert_int_equal(right, 7);
}

/* What cannot be is refused, or hung up; the agent goes on. A file that does not come in full is not there.
 */
static void test_nonsense(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct buffer texts[7] = {0};
    char name[128], found[512];
    snprintf(name, sizeof name, "%s/file", directory);
    buffer_append(&texts[0], "GET / HTTP/1.1\r\n\r\n", 18);
    buffer_append(&texts[1], "\xff\xff\xff\x7f\x43\0\0\0", 8);
    agent_put_bytes(&texts[2], AGENT_EXEC, "\0\0\0\0\0\0\0\0\xff\xff\xff\xff", 12);
    agent_put_bytes(&texts[3], AGENT_EXITED, "", 0);
    agent_put_bytes(&texts[4], AGENT_GET, "\4\0\0\0/\0tc", 8);
    size_t begin = agent_frame_begin(&texts[5], AGENT_PUT);
    buffer_append_integer(&texts[5], 0600, 4);
    agent_put_string(&texts[5], name);
    agent_frame_end(&texts[5], begin);
    agent_put_bytes(&texts[5], AGENT_INPUT, "half", 4);
    agent_put_bytes(&texts[6], AGENT_IDENTITY, "\0\0\0\0\0\0\0\0\1\0\0\0/", 13);
    for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
        int fd = unix_socket_connect(path, WAIT, &error);
        assert_true(fd >= 0);
        assert_int_equal(send(fd, texts[i].data, texts[i].size, MSG_NOSIGNAL), texts[i].size);
        shutdown(fd, SHUT_WR);
        while (recv(fd, found, sizeof found, 0) > 0) /* to its end */
            ;
        close(fd);
        buffer_free(&texts[i]);
    }
    assert_int_equal(agent_ping(&host, &error), 0);
    assert_int_equal(access(name, F_OK), -1);
    snprintf(found, sizeof found, "ls -A %s", directory);
    assert_int_equal(run(found), 0);
    assert_string_equal(said, "agent\n");
}

/* -- identities ------------------------------------------------------------------------------------------ */

static int identity_read(const struct buffer *buffer, size_t size, struct agent_identity *identity)
{
    struct reader content = {.data = buffer->data + AGENT_HEADER, .left = size - AGENT_HEADER};
    return agent_take_identity(&content, identity);
}

static int identity_pass(const struct agent_identity *identity, struct agent_identity *back)
{
    struct buffer buffer = {0};
    agent_put_identity(&buffer, identity);
    int code = identity_read(&buffer, buffer.size, back);
    for (size_t size = AGENT_HEADER; !code && size < buffer.size; size++) {
        struct agent_identity part;
        assert_int_equal(identity_read(&buffer, size, &part), -EPROTO);
    }
    buffer_append(&buffer, "x", 1);
    struct agent_identity longer;
    assert_int_equal(identity_read(&buffer, buffer.size, &longer), -EPROTO);
    buffer_free(&buffer);
    return code;
}

/* All of it arrives, or nothing: what goes into files and to the kernel is what it has to be. */
static void test_identity(void **state)
{
    (void)state;
    struct agent_identity back, whole = {.time = UINT64_MAX,
                                         .host_name = "web-1.Example",
                                         .machine_id = "0123456789abcdef0123456789abcdef",
                                         .entropy_size = AGENT_ENTROPY_MAX,
                                         .card_count = AGENT_CARDS_MAX};
    memset(whole.entropy, 0xa5, sizeof whole.entropy);
    memset(whole.cards, 0x5a, sizeof whole.cards);
    assert_int_equal(identity_pass(&whole, &back), 0);
    assert_memory_equal(&back, &whole, sizeof whole);
    assert_int_equal(identity_pass(&(struct agent_identity){0}, &back), 0);
    static const struct agent_identity bad[] = {
        {.host_name = "two\nlines"},
        {.host_name = "../up"},
        {.machine_id = "0123456789abcdef0123456789abcde"},
        {.machine_id = "0123456789ABCDEF0123456789abcdef"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(identity_pass(&bad[i], &back), -EPROTO);
    struct error error = ERROR_INIT;
    assert_int_equal(agent_identify(&host, &whole, &error), -EREMOTEIO); /* this is no guest */
    assert_int_equal(agent_ping(&host, &error), 0);
}

/* All that there is to say is said at once, and nobody waits for more. */
static void test_at_once(void **state)
{
    (void)state;
    static const char answers[] = "\4\0\0\0\1\0\0\0\1\0\0\0"
                                  "\4\0\0\0\4\0\0\0\1\0\0\0"
                                  "\3\0\0\0\5\0\0\0out"
                                  "\5\0\0\0\x08\0\0\0\0\7\0\0\0";
    struct error error = ERROR_INIT;
    char *const words[] = {"cat", NULL};
    int pair[2], status = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(write(pair[1], answers, sizeof answers - 1), sizeof answers - 1);
    shutdown(pair[1], SHUT_WR);
    const struct agent_host other = {.fd = pair[0], .timeout_ms = WAIT};
    struct agent_run cat = {.exec = {.flags = AGENT_STDIN, .user = "", .directory = "", .arguments = words},
                            .input = -1,
                            .output = temporary("", 0),
                            .errors = 2,
                            .signals = -1};
    assert_int_equal(agent_run(&other, &cat, &status, &error), 0);
    assert_int_equal(status, 7);
    read_back(cat.output, said, sizeof said);
    assert_string_equal(said, "out");
    close(pair[1]);

    /* The same with the agent. */
    struct buffer request = {0};
    int fd = unix_socket_connect(path, WAIT, &error);
    assert_true(fd >= 0);
    agent_put_exec(&request, &cat.exec);
    agent_put_bytes(&request, AGENT_INPUT, "words", 5);
    agent_put_bytes(&request, AGENT_INPUT_END, NULL, 0);
    assert_int_equal(send(fd, request.data, request.size, MSG_NOSIGNAL), request.size);
    buffer_free(&request);
    size_t size = 0;
    for (ssize_t got = 1; got > 0; size += (size_t)got) /* to its end */
        got = recv(fd, said + size, sizeof said - size, 0);
    close(fd);
    assert_non_null(memmem(said, size, "words", 5));
    assert_memory_equal(said + size - 5, "\0\0\0\0\0", 5); /* it has ended, with status 0 */
}

/* What listens there is no agent. */
static void test_mistrust(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        int code;
    } answers[] = {
        {"", 0, -ENOTCONN},
        {"SSH-2.0-OpenSSH", 15, -EPROTO},
        {"\4\0\0\0\1\0\0\0\2\0\0\0", 12, -EPROTO},                 /* another version */
        {"\4\0\0\0\2\0\0\0\1\0\0\0", 12, -EPROTO},                 /* no HELLO */
        {"\4\0\0\0\1\0\0\0\1\0\0\0", 12, -ECONNRESET},             /* and no answer */
        {"\4\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\4\0\0\0", 20, -EPROTO}, /* to something else */
        {"\4\0\0\0\1\0\0\0\1\0\0\0\x0a\0\0\0\3\0\0\0\1\0\0\0\2\0\0\0no", 30, -EREMOTEIO},
        {"\4\0\0\0\1\0\0\0\1\0\0\0\x0a\0\0\0\3\0\0\0\1\0\0\0\xff\0\0\0no", 30, -EPROTO},
        {"\4\0\0\0\1\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0", 20, 0},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
        struct error error = ERROR_INIT;
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_int_equal(write(pair[1], answers[i].text, answers[i].size), answers[i].size);
        shutdown(pair[1], SHUT_WR);
        const struct agent_host other = {.fd = pair[0], .timeout_ms = WAIT};
        assert_int_equal(agent_ping(&other, &error), answers[i].code);
        close(pair[1]);
    }
    struct error error = ERROR_INIT;
    host.timeout_ms = 1;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    const struct agent_host silent = {.fd = pair[0], .timeout_ms = 1};
    assert_int_equal(agent_ping(&silent, &error), -ETIMEDOUT);
    close(pair[1]);
    const struct agent_host none = {.path = "/no/vsock", .timeout_ms = WAIT};
    assert_int_equal(agent_ping(&none, &error), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    signal(SIGHUP, SIG_DFL); /* who started this in the background may have had it ignored */
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_status),   TEST(test_refused),  TEST(test_input),     TEST(test_surroundings),
        TEST(test_terminal), TEST(test_signals),  TEST(test_host_goes), TEST(test_files),
        TEST(test_facts),    TEST(test_nonsense), TEST(test_at_once),   TEST(test_mistrust),
        TEST(test_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
