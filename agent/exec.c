/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program of the guest: it is started, given input, heard, and its end is told. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent.h"

#define REST      64 /* reads, after the program has ended */
#define PATH_ROOT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define PATH_USER "/usr/local/bin:/usr/bin:/bin"

struct program {
    struct connection *connection;
    pid_t pid;
    int pidfd;
    bool tty;
    int input, output,
        errors;            /* our ends; -1: closed. Of a terminal, input and output are two of its master. */
    struct buffer waiting; /* input that the program has not taken; from `given` on */
    size_t given;
    bool input_ended;
};

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* -- starting -------------------------------------------------------------------------------------------- */

static void set_environment(const struct agent_exec *exec, const struct agent_user *user)
{
    clearenv();
    setenv("PATH", user->uid ? PATH_USER : PATH_ROOT, 1);
    setenv("HOME", *user->home ? user->home : "/", 1);
    setenv("SHELL", *user->shell ? user->shell : "/bin/sh", 1);
    if (*user->name) {
        setenv("USER", user->name, 1);
        setenv("LOGNAME", user->name, 1);
    }
    for (char *const *variable = exec->environment; *variable; variable++)
        putenv(*variable);
}

static int become(const struct agent_user *user)
{
    return setgroups((size_t)user->group_count, user->groups) || setresgid(user->gid, user->gid, user->gid) ||
                   setresuid(user->uid, user->uid, user->uid)
               ? -1
               : 0;
}

/* In the child: does not come back. What fails is told through `told` as an errno. */
static void run_program(const struct agent_exec *exec, const struct agent_user *user, const int fds[3],
                        int told)
{
    sigset_t none;
    setsid();
    if (exec->flags & AGENT_TTY)
        ioctl(fds[0], TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        dup2(fds[i], i);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    set_environment(exec, user);
    const char *directory = *exec->directory ? exec->directory : *user->home ? user->home : "/";
    int code = become(user);
    if (!code && chdir(directory) && (*exec->directory || chdir("/")))
        code = -1;
    if (!code)
        execvp(exec->arguments[0], exec->arguments);
    code = errno;
    while (write(told, &code, sizeof code) < 0 && errno == EINTR)
        ;
    _exit(127);
}

/* Both sides of the program's descriptors; fds are the program's. */
static int open_terminal(struct program *program, const struct agent_exec *exec, int fds[3])
{
    const struct winsize size = {.ws_row = exec->rows, .ws_col = exec->columns};
    char name[64];
    program->output = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (program->output < 0 || grantpt(program->output) || unlockpt(program->output) ||
        ptsname_r(program->output, name, sizeof name) || ioctl(program->output, TIOCSWINSZ, &size))
        return errno;
    fds[0] = fds[1] = fds[2] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    program->input = fcntl(program->output, F_DUPFD_CLOEXEC, 0);
    return fds[0] < 0 || program->input < 0 ? errno : 0;
}

static int open_pipes(struct program *program, const struct agent_exec *exec, int fds[3])
{
    int pair[2];
    if (!(exec->flags & AGENT_STDIN)) {
        fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } else if (!pipe2(pair, O_CLOEXEC)) {
        fds[0] = pair[0];
        program->input = pair[1];
    }
    if (fds[0] < 0 || pipe2(pair, O_CLOEXEC))
        return errno;
    program->output = pair[0];
    fds[1] = pair[1];
    if (pipe2(pair, O_CLOEXEC))
        return errno;
    program->errors = pair[0];
    fds[2] = pair[1];
    return 0;
}

/* 0, or a positive errno. */
static int start(struct program *program, const struct agent_exec *exec, const struct agent_user *user)
{
    int fds[3] = {-1, -1, -1}, told[2] = {-1, -1};
    program->tty = exec->flags & AGENT_TTY;
    int code = (program->tty ? open_terminal : open_pipes)(program, exec, fds);
    if (!code && pipe2(told, O_CLOEXEC))
        code = errno;
    if (!code) {
        program->pid = fork();
        if (!program->pid)
            run_program(exec, user, fds, told[1]);
        code = program->pid < 0 ? errno : 0;
    }
    close_end(&told[1]);
    if (!code && read(told[0], &code, sizeof code) != sizeof code)
        code = 0; /* it was closed by execve() */
    close_end(&told[0]);
    for (int i = 0; i < 3; i++) {
        if (fds[i] >= 0 && (!i || fds[i] != fds[0]))
            close(fds[i]);
    }
    if (!code && (program->pidfd = pidfd_open(program->pid, 0)) < 0)
        code = errno;
    return code;
}

/* -- running --------------------------------------------------------------------------------------------- */

static void end_input(struct program *program)
{
    static const char end_of_file = 4; /* a terminal has no other end */
    if (program->tty && program->input >= 0 && write(program->input, &end_of_file, 1) < 0)
        program->input_ended = true;
    close_end(&program->input);
}

/* The program takes what it can of what waits. */
static void give_input(struct program *program)
{
    struct buffer *waiting = &program->waiting;
    ssize_t size = write(program->input, waiting->data + program->given, waiting->size - program->given);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size < 0) { /* it has closed its end: what comes is thrown away */
        size = (ssize_t)(waiting->size - program->given);
        close_end(&program->input);
    }
    uint8_t bytes[4];
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)((size_t)size >> (8 * i));
    agent_put_bytes(&program->connection->output, AGENT_TAKEN, bytes, sizeof bytes);
    program->given += (size_t)size;
    if (program->given == waiting->size)
        program->given = waiting->size = 0;
}

/* False: what the host says makes no sense. */
static bool take_frame(struct program *program, struct agent_frame *frame)
{
    struct reader *content = &frame->content;
    struct winsize size = {0};
    switch (frame->type) {
    case AGENT_INPUT:
        if (program->waiting.size - program->given + content->left > AGENT_WINDOW)
            return false;
        if (program->given) {
            memmove(program->waiting.data, program->waiting.data + program->given,
                    program->waiting.size - program->given);
            program->waiting.size -= program->given;
            program->given = 0;
        }
        buffer_append(&program->waiting, content->data, content->left);
        return !program->waiting.failed;
    case AGENT_INPUT_END: program->input_ended = true; return true;
    case AGENT_RESIZE:
        size.ws_row = (unsigned short)reader_take_integer(content, 2);
        size.ws_col = (unsigned short)reader_take_integer(content, 2);
        if (program->tty && !content->failed)
            ioctl(program->output, TIOCSWINSZ, &size);
        return !content->failed;
    case AGENT_SIGNAL: {
        const int number = (int)reader_take_integer(content, 4);
        if (!content->failed && number > 0 && number < NSIG)
            kill(-program->pid, number);
        return !content->failed;
    }
    default: return false;
    }
}

/* All frames that are there. False: the host speaks nonsense. */
static bool take_frames(struct program *program)
{
    struct agent_frame frame;
    int found;
    while ((found = connection_next(program->connection, &frame)) > 0) {
        if (!take_frame(program, &frame))
            return false;
    }
    return !found;
}

/* False: there is no more for now, or for good. */
static bool hear(struct program *program, int *fd, enum agent_type type)
{
    uint8_t data[AGENT_FRAME_MAX / 2];
    ssize_t size = read(*fd, data, sizeof data);
    if (size > 0)
        agent_put_bytes(&program->connection->output, type, data, (size_t)size);
    else if (!size || (errno != EAGAIN && errno != EINTR))
        close_end(fd);
    return size > 0;
}

/* One turn. 1: go on; 0: the program has ended; -1: the host has gone. */
static int turn(struct program *program)
{
    const bool gives = program->waiting.size > program->given;
    struct pollfd looks[] = {
        {.fd = program->connection->fd, .events = POLLIN},
        {.fd = program->pidfd, .events = POLLIN},
        {.fd = gives ? program->input : -1, .events = POLLOUT},
        {.fd = program->output, .events = POLLIN},
        {.fd = program->errors, .events = POLLIN},
    };
    if (poll(looks, 5, -1) < 0)
        return errno == EINTR ? 1 : -1;
    if (looks[3].revents)
        hear(program, &program->output, AGENT_OUTPUT);
    if (looks[4].revents)
        hear(program, &program->errors, AGENT_ERRORS);
    if (looks[0].revents && !(connection_read(program->connection) && take_frames(program)))
        return -1;
    if (program->waiting.size > program->given)
        give_input(program);
    if (program->waiting.size == program->given && program->input_ended)
        end_input(program);
    if (!connection_flush(program->connection))
        return -1;
    return looks[1].revents ? 0 : 1;
}

static void tell_end(struct program *program)
{
    int status = 0;
    /* What is in the pipes; others that have them open may write for ever. */
    for (unsigned i = 0; i < REST && program->output >= 0 && hear(program, &program->output, AGENT_OUTPUT);
         i++)
        connection_flush(program->connection);
    for (unsigned i = 0; i < REST && program->errors >= 0 && hear(program, &program->errors, AGENT_ERRORS);
         i++)
        connection_flush(program->connection);
    waitpid(program->pid, &status, 0);
    size_t begin = agent_frame_begin(&program->connection->output, AGENT_EXITED);
    buffer_append_integer(&program->connection->output, WIFSIGNALED(status), 1);
    buffer_append_integer(&program->connection->output,
                          (unsigned)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)), 4);
    agent_frame_end(&program->connection->output, begin);
    connection_flush(program->connection);
}

static void run(struct program *program)
{
    const int fds[] = {program->input, program->output, program->errors};
    for (unsigned i = 0; i < 3; i++) {
        if (fds[i] >= 0)
            fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
    }
    size_t begin = agent_frame_begin(&program->connection->output, AGENT_STARTED);
    buffer_append_integer(&program->connection->output, (uint32_t)program->pid, 4);
    agent_frame_end(&program->connection->output, begin);
    int code = connection_flush(program->connection) && take_frames(program) ? 1 : -1;
    while (code > 0)
        code = turn(program);
    if (!code)
        tell_end(program);
    else
        kill(-program->pid, SIGHUP); /* as when a terminal is hung up */
}

void serve_exec(struct connection *connection, struct reader *request)
{
    struct program program = {.connection = connection, .pidfd = -1, .input = -1, .output = -1, .errors = -1};
    struct agent_exec_words words;
    struct agent_user user;
    if (agent_take_exec(request, &words)) {
        connection_fail(connection, EPROTO, "cannot start a program: the request makes no sense");
        return;
    }
    int code = -user_find(words.user, &user);
    if (code) {
        connection_fail(connection, ESRCH, "the guest has no user %s", words.user);
    } else {
        code = start(&program, &words.exec, &user);
        if (code)
            connection_fail(connection, code, "cannot start %s: %s", words.arguments[0], strerror(code));
        else
            run(&program);
    }
    close_end(&program.input);
    close_end(&program.output);
    close_end(&program.errors);
    close_end(&program.pidfd);
    buffer_free(&program.waiting);
    agent_exec_free(&words);
}
