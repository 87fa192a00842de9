/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control/agent/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/unix_socket.h"
#include "base/visible.h"
#include "base/vsock_socket.h"

struct session {
    int fd, timeout_ms;
    uint8_t input[AGENT_HEADER + AGENT_FRAME_MAX];
    size_t size, taken;   /* bytes of the input that are there, and that were looked at */
    struct buffer output; /* what is to be sent, from `sent` on */
    size_t sent;
};

/* -- the stream ------------------------------------------------------------------------------------------ */

static int gone(struct error *error)
{
    return error_set(error, -ECONNRESET, "the guest's agent has gone");
}

/* Sends what the socket takes now. */
static int session_send(struct session *session, struct error *error)
{
    while (session->sent < session->output.size) {
        ssize_t size = send(session->fd, session->output.data + session->sent,
                            session->output.size - session->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && errno == EAGAIN)
            return 0;
        if (size < 0 && errno != EINTR)
            return gone(error);
        session->sent += size > 0 ? (size_t)size : 0;
    }
    session->sent = session->output.size = 0;
    return session->output.failed ? error_set(error, -ENOMEM, "out of memory") : 0;
}

static int session_receive(struct session *session, struct error *error)
{
    memmove(session->input, session->input + session->taken, session->size - session->taken);
    session->size -= session->taken;
    session->taken = 0;
    ssize_t size = recv(session->fd, session->input + session->size, sizeof session->input - session->size,
                        MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size <= 0)
        return gone(error);
    session->size += (size_t)size;
    return 0;
}

/* A frame that is there: 1; none yet: 0. */
static int session_next(struct session *session, struct agent_frame *frame, struct error *error)
{
    int size = agent_frame_find(session->input + session->taken, session->size - session->taken, frame);
    if (size < 0)
        return error_set(error, size, "the guest's agent does not keep to the protocol");
    session->taken += (size_t)size;
    return size > 0;
}

/* Sends all, and waits for the next frame. */
static int session_wait(struct session *session, struct agent_frame *frame, struct error *error)
{
    for (;;) {
        int code = session_send(session, error);
        if (!code)
            code = session_next(session, frame, error);
        if (code)
            return code < 0 ? code : 0;
        struct pollfd look = {.fd = session->fd, .events = POLLIN | (session->output.size ? POLLOUT : 0)};
        int count = poll(&look, 1, session->timeout_ms);
        if (!count)
            return error_set(error, -ETIMEDOUT, "the guest's agent gave no answer in time");
        if (count > 0 && (look.revents & (POLLIN | POLLHUP | POLLERR)))
            code = session_receive(session, error);
        if (code)
            return code;
    }
}

/* What a frame that is not what was waited for means. */
static int refused(const struct agent_frame *frame, struct error *error)
{
    struct reader content = frame->content;
    reader_take_integer(&content, 4);
    char *reason = frame->type == AGENT_FAILED ? agent_take_string(&content) : NULL;
    if (!reason)
        return error_set(error, -EPROTO, "the guest's agent gave an answer to something else");
    visible_make(reason, strlen(reason));
    error_set(error, -EREMOTEIO, "%s", reason);
    free(reason);
    return -EREMOTEIO;
}

static int session_done(struct session *session, struct error *error)
{
    struct agent_frame frame;
    int code = session_wait(session, &frame, error);
    return code ? code : frame.type == AGENT_DONE ? 0 : refused(&frame, error);
}

/* -- connecting ------------------------------------------------------------------------------------------ */

static void session_free(struct session *session)
{
    if (!session)
        return;
    close(session->fd);
    buffer_free(&session->output);
    free(session);
}

static int no_agent(struct error *error)
{
    error_set(error, -ENOTCONN, "no agent answers in the guest");
    error_hint(error, "it may still be starting; visor-agent must run in it, and its kernel needs vsock");
    return -ENOTCONN;
}

/* The answer to CONNECT is a line, and what follows is the agent's. */
static int connect_port(const struct agent_host *host, int fd, struct error *error)
{
    char line[32];
    size_t size = (size_t)snprintf(line, sizeof line, "CONNECT %d\n", AGENT_PORT);
    if (send(fd, line, size, MSG_NOSIGNAL) != (ssize_t)size)
        return no_agent(error);
    for (size = 0; size < sizeof line - 1; size++) {
        struct pollfd look = {.fd = fd, .events = POLLIN};
        int count = poll(&look, 1, host->timeout_ms);
        if (!count)
            return error_set(error, -ETIMEDOUT, "the guest did not take a connection to its agent in time");
        if (recv(fd, line + size, 1, 0) != 1)
            return no_agent(error);
        if (line[size] == '\n')
            break;
    }
    return strncmp(line, "OK ", 3) ? error_set(error, -EPROTO, "%s is no vsock of visor's", host->path) : 0;
}

static int take_hello(struct session *session, struct error *error)
{
    struct agent_frame frame;
    int code = session_wait(session, &frame, error);
    if (code == -ECONNRESET)
        return no_agent(error);
    if (code)
        return code;
    const uint64_t version = reader_take_integer(&frame.content, 4);
    if (frame.type != AGENT_HELLO || frame.content.failed)
        return error_set(error, -EPROTO, "what answers in the guest is no agent of visor's");
    if (version != AGENT_VERSION)
        return error_set(error, -EPROTO, "the guest's agent speaks version %u of the protocol, visor %u",
                         (unsigned)version, AGENT_VERSION);
    return 0;
}

/* To the machine's vsock: by a path that is yet to be told the port, or at once to the agent's. */
static int vsock_connect(const struct agent_host *host, struct error *error)
{
    if (host->path)
        return unix_socket_connect(host->path, host->timeout_ms, error);
    if (!host->cid)
        return host->fd;
    const int fd = vsock_socket_connect(host->cid, AGENT_PORT, host->timeout_ms, error);
    return fd == -ECONNRESET ? no_agent(error) : fd;
}

static int session_open(struct session **out, const struct agent_host *host, struct error *error)
{
    const int fd = vsock_connect(host, error);
    if (fd < 0)
        return fd;
    struct session *session = calloc(1, sizeof *session);
    if (!session) {
        close(fd);
        return error_set(error, -ENOMEM, "out of memory");
    }
    session->fd = fd;
    session->timeout_ms = host->timeout_ms;
    int code = host->direct || !host->path ? 0 : connect_port(host, fd, error);
    if (!code)
        code = take_hello(session, error);
    if (code)
        session_free(session);
    else
        *out = session;
    return code;
}

/* -- short requests -------------------------------------------------------------------------------------- */

int agent_ping(const struct agent_host *host, struct error *error)
{
    struct session *session = NULL;
    int code = session_open(&session, host, error);
    if (code)
        return code;
    agent_put_bytes(&session->output, AGENT_PING, NULL, 0);
    code = session_done(session, error);
    session_free(session);
    return code;
}

int agent_shutdown(const struct agent_host *host, enum agent_shutdown how, struct error *error)
{
    struct session *session = NULL;
    const uint8_t byte = (uint8_t)how;
    int code = session_open(&session, host, error);
    if (code)
        return code;
    agent_put_bytes(&session->output, AGENT_SHUTDOWN, &byte, 1);
    code = session_done(session, error);
    session_free(session);
    return code;
}

int agent_identify(const struct agent_host *host, const struct agent_identity *identity, struct error *error)
{
    struct session *session = NULL;
    int code = session_open(&session, host, error);
    if (code)
        return code;
    agent_put_identity(&session->output, identity);
    code = session_done(session, error);
    session_free(session);
    return code;
}

int agent_facts(const struct agent_host *host,
                void (*fact)(void *opaque, const char *name, const char *value), void *opaque,
                struct error *error)
{
    enum { MOST = 1000 };
    struct session *session = NULL;
    struct agent_frame frame;
    int code = session_open(&session, host, error);
    if (code)
        return code;
    agent_put_bytes(&session->output, AGENT_FACTS, NULL, 0);
    for (unsigned i = 0; !(code = session_wait(session, &frame, error)) && frame.type == AGENT_FACT; i++) {
        char *name = agent_take_string(&frame.content), *value = agent_take_string(&frame.content);
        code = name && value && i < MOST ? 0 : error_set(error, -EPROTO, "the guest's agent tells no facts");
        if (!code)
            fact(opaque, name, value);
        free(name);
        free(value);
        if (code)
            break;
    }
    if (!code && frame.type != AGENT_DONE)
        code = refused(&frame, error);
    session_free(session);
    return code;
}

/* -- programs -------------------------------------------------------------------------------------------- */

struct running {
    struct session *session;
    const struct agent_run *run;
    bool input_open;
    size_t under_way; /* bytes of input that the program has not been given */
    int status;
    bool ended;
};

/* All of it, though the descriptor may not block. */
static int write_all(int fd, struct reader *content, struct error *error)
{
    while (content->left) {
        ssize_t size = write(fd, content->data, content->left);
        struct pollfd look = {.fd = fd, .events = POLLOUT};
        if (size > 0)
            reader_take(content, (size_t)size);
        else if (size < 0 && errno == EAGAIN)
            poll(&look, 1, -1);
        else if (size < 0 && errno != EINTR)
            return error_set(error, -errno, "cannot write what the guest sends: %s", strerror(errno));
    }
    return 0;
}

static int take_answer(struct running *running, struct agent_frame *frame, struct error *error)
{
    struct reader *content = &frame->content;
    switch (frame->type) {
    case AGENT_STARTED: return 0;
    case AGENT_OUTPUT: return write_all(running->run->output, content, error);
    case AGENT_ERRORS: return write_all(running->run->errors, content, error);
    case AGENT_TAKEN: {
        const uint64_t taken = reader_take_integer(content, 4);
        if (taken > running->under_way)
            return error_set(error, -EPROTO, "the guest's agent took more input than there was");
        running->under_way -= taken;
        return 0;
    }
    case AGENT_EXITED: {
        const bool by_signal = reader_take_integer(content, 1);
        running->status = (int)(reader_take_integer(content, 4) & 0xff) + (by_signal ? 128 : 0);
        running->ended = true;
        return content->failed ? error_set(error, -EPROTO, "the guest's agent told no status") : 0;
    }
    default: return refused(frame, error);
    }
}

static void read_input(struct running *running)
{
    uint8_t data[AGENT_FRAME_MAX / 4];
    const size_t room = AGENT_WINDOW - running->under_way;
    ssize_t size = read(running->run->input, data, MIN(sizeof data, room));
    if (size > 0) {
        agent_put_bytes(&running->session->output, AGENT_INPUT, data, (size_t)size);
        running->under_way += (size_t)size;
    } else if (!size || (errno != EAGAIN && errno != EINTR)) {
        agent_put_bytes(&running->session->output, AGENT_INPUT_END, NULL, 0);
        running->input_open = false;
    }
}

static void send_size(struct running *running)
{
    struct winsize size;
    if (ioctl(running->run->input, TIOCGWINSZ, &size) < 0)
        return;
    size_t begin = agent_frame_begin(&running->session->output, AGENT_RESIZE);
    buffer_append_integer(&running->session->output, size.ws_row, 2);
    buffer_append_integer(&running->session->output, size.ws_col, 2);
    agent_frame_end(&running->session->output, begin);
}

static void read_signal(struct running *running)
{
    struct signalfd_siginfo info;
    if (read(running->run->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGWINCH) {
        send_size(running);
        return;
    }
    size_t begin = agent_frame_begin(&running->session->output, AGENT_SIGNAL);
    buffer_append_integer(&running->session->output, info.ssi_signo, 4);
    agent_frame_end(&running->session->output, begin);
}

/* What has been received already comes first: nothing more may follow it. */
static int take_answers(struct running *running, struct error *error)
{
    struct agent_frame frame;
    int code = 0;
    while (!code && !running->ended && (code = session_next(running->session, &frame, error)) > 0)
        code = take_answer(running, &frame, error);
    return code;
}

static int run_turn(struct running *running, struct error *error)
{
    struct session *session = running->session;
    int code = session_send(session, error);
    const bool sending = session->output.size,
               reads = running->input_open && running->under_way < AGENT_WINDOW;
    struct pollfd looks[] = {
        {.fd = session->fd, .events = (short)(POLLIN | (sending ? POLLOUT : 0))},
        {.fd = reads && !sending ? running->run->input : -1, .events = POLLIN},
        {.fd = sending ? -1 : running->run->signals, .events = POLLIN},
    };
    if (code)
        return code;
    if (poll(looks, 3, -1) < 0)
        return errno == EINTR ? 0
                              : error_set(error, -errno, "cannot wait for the guest: %s", strerror(errno));
    if (looks[1].revents)
        read_input(running);
    if (looks[2].revents)
        read_signal(running);
    return looks[0].revents & ~POLLOUT ? session_receive(session, error) : 0;
}

int agent_run(const struct agent_host *host, const struct agent_run *run, int *status, struct error *error)
{
    struct running running = {.run = run, .input_open = run->exec.flags & AGENT_STDIN};
    struct agent_frame frame;
    int code = session_open(&running.session, host, error);
    if (code)
        return code;
    agent_put_exec(&running.session->output, &run->exec);
    if (running.session->output.size > AGENT_HEADER + AGENT_FRAME_MAX)
        code = error_set(error, -E2BIG, "the program's arguments and variables have more than %u bytes",
                         AGENT_FRAME_MAX);
    if (!code)
        code = session_wait(running.session, &frame, error);
    if (!code && frame.type != AGENT_STARTED) {
        struct reader why = frame.content;
        running.status = reader_take_integer(&why, 4) == ENOENT ? 127 : 126;
        code = refused(&frame, error);
    }
    while (!code && !(code = take_answers(&running, error)) && !running.ended)
        code = run_turn(&running, error);
    *status = running.status;
    session_free(running.session);
    return code;
}

/* -- files ----------------------------------------------------------------------------------------------- */

/* What the agent may have to say before all is sent is that it failed. */
static int send_file(struct session *session, int fd, struct error *error)
{
    uint8_t data[AGENT_FRAME_MAX / 2];
    struct agent_frame frame;
    for (;;) {
        ssize_t size = read(fd, data, sizeof data);
        if (size < 0 && errno != EINTR)
            return error_set(error, -errno, "cannot read what is to be sent: %s", strerror(errno));
        if (!size)
            agent_put_bytes(&session->output, AGENT_INPUT_END, NULL, 0);
        else if (size > 0)
            agent_put_bytes(&session->output, AGENT_INPUT, data, (size_t)size);
        int code = session_send(session, error);
        while (!code && session->output.size) {
            struct pollfd look = {.fd = session->fd, .events = POLLIN | POLLOUT};
            if (!poll(&look, 1, session->timeout_ms))
                return error_set(error, -ETIMEDOUT, "the guest's agent takes nothing more");
            code = look.revents & ~POLLOUT ? session_receive(session, error) : session_send(session, error);
            if (!code && session_next(session, &frame, error) > 0)
                return refused(&frame, error);
        }
        if (code || !size)
            return code;
    }
}

int agent_put(const struct agent_host *host, const char *path, mode_t mode, int fd, struct error *error)
{
    struct session *session = NULL;
    int code = session_open(&session, host, error);
    if (code)
        return code;
    size_t begin = agent_frame_begin(&session->output, AGENT_PUT);
    buffer_append_integer(&session->output, mode & 07777, 4);
    agent_put_string(&session->output, path);
    agent_frame_end(&session->output, begin);
    code = send_file(session, fd, error);
    if (!code)
        code = session_done(session, error);
    session_free(session);
    return code;
}

int agent_get(const struct agent_host *host, const char *path, int fd, mode_t *mode, struct error *error)
{
    struct session *session = NULL;
    struct agent_frame frame;
    int code = session_open(&session, host, error);
    if (code)
        return code;
    size_t begin = agent_frame_begin(&session->output, AGENT_GET);
    agent_put_string(&session->output, path);
    agent_frame_end(&session->output, begin);
    code = session_wait(session, &frame, error);
    if (!code && frame.type != AGENT_FILE)
        code = refused(&frame, error);
    if (!code)
        *mode = (mode_t)reader_take_integer(&frame.content, 4) & 07777;
    while (!code && !(code = session_wait(session, &frame, error)) && frame.type == AGENT_OUTPUT)
        code = write_all(fd, &frame.content, error);
    if (!code && frame.type != AGENT_DONE)
        code = refused(&frame, error);
    session_free(session);
    return code;
}
