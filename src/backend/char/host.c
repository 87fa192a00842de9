/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/char/host_private.h"
#include "base/macros.h"

/* Descriptors. */

int char_end_open(struct char_host *host, struct char_end *end, int fd, bool owned,
                  void (*ready)(void *opaque, unsigned events), struct error *error)
{
    struct error why = ERROR_INIT;
    int flags = fcntl(fd, F_GETFL);

    *end = (struct char_end){.fd = fd, .owned = owned};
    end->was_blocking = flags >= 0 && !(flags & O_NONBLOCK);
    end->watch = loop_watch_add(host->loop, fd, 0, ready, host, &why);
    if (!end->watch && why.code != -EPERM) {
        end->fd = -1;
        return error_set(error, why.code, "%s", why.message);
    }
    end->always = !end->watch;
    if (!end->always)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    return 0;
}

void char_end_close(struct char_end *end)
{
    if (end->watch)
        loop_watch_remove(end->watch);
    if (end->fd >= 0 && end->owned)
        close(end->fd);
    else if (end->fd >= 0 && end->was_blocking)
        fcntl(end->fd, F_SETFL, fcntl(end->fd, F_GETFL) & ~O_NONBLOCK);
    *end = (struct char_end){.fd = -1};
}

/* Output. */

static void host_drop_output(struct char_host *host)
{
    host->output_size = 0;
    if (host->out.watch)
        loop_watch_change(host->out.watch, 0);
}

/* Writes what there is, as far as it goes at once. */
static void host_write_out(struct char_host *host)
{
    while (host->output_size && host->out.fd >= 0) {
        size_t size = MIN(host->output_size, CHAR_OUT_SIZE - host->output_head);
        ssize_t done = write(host->out.fd, host->output + host->output_head, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) {
            if (host->out.watch)
                loop_watch_change(host->out.watch, LOOP_WRITE);
            return;
        }
        if (done < 0) { /* nobody reads any more, or the disk is full: what cannot be written is lost */
            host_drop_output(host);
            return;
        }
        host->output_head = (host->output_head + (size_t)done) % CHAR_OUT_SIZE;
        host->output_size -= (size_t)done;
    }
    if (host->out.watch)
        loop_watch_change(host->out.watch, 0);
}

/* The last that the guest has said: whoever reads slowly gets it, whoever has stopped to read does not keep
 * the machine from its end. */
static void host_write_rest(struct char_host *host)
{
    enum { PATIENCE = 1000 }; /* ms in which nothing is read */
    struct pollfd end = {.fd = host->out.fd, .events = POLLOUT};
    do {
        host_write_out(host);
    } while (host->output_size && host->out.fd >= 0 && poll(&end, 1, PATIENCE) > 0);
}

static void host_flush(void *opaque)
{
    struct char_host *host = opaque;
    host_write_out(host);
    if (host->write_refused && host->output_size <= CHAR_OUT_SIZE / 2) {
        host->write_refused = false;
        if (host->client.writable)
            host->client.writable(host->client.opaque);
    }
}

void char_host_output_ready(void *opaque, unsigned events)
{
    (void)events;
    host_flush(opaque);
}

/* The device's: collects, so that a line that a guest sends byte by byte is one write. */
static size_t host_write(void *opaque, const uint8_t *data, size_t size)
{
    struct char_host *host = opaque;
    if (!host->connected || host->out.fd < 0)
        return size;
    size_t taken = MIN(size, CHAR_OUT_SIZE - host->output_size);
    for (size_t i = 0; i < taken; i++)
        host->output[(host->output_head + host->output_size + i) % CHAR_OUT_SIZE] = data[i];
    host->output_size += taken;
    if (taken < size)
        host->write_refused = true;
    if (!host->flush_call.posted)
        loop_post(host->loop, &host->flush_call);
    return taken;
}

/* Input. */

static void host_feed(struct char_host *host)
{
    if (host->feeding || !host->attached)
        return;
    host->feeding = true;
    size_t fed = 0;
    while (fed < host->input_size) {
        size_t size = MIN(host->client.room(host->client.opaque), host->input_size - fed);
        if (!size)
            break;
        host->client.receive(host->client.opaque, host->input + fed, size);
        fed += size;
    }
    memmove(host->input, host->input + fed, host->input_size - fed);
    host->input_size -= fed;
    host->feeding = false;
}

/* A terminal is always read, for the escape key; others only when there is room. */
static void host_want_input(struct char_host *host)
{
    bool want = host->attached && host->connected && host->in.fd >= 0 &&
                (host->terminal || host->input_size < CHAR_IN_SIZE);
    if (host->in.watch)
        loop_watch_change(host->in.watch, want ? LOOP_READ | LOOP_HANGUP : 0);
    else if (want && host->in.always && !host->input_size)
        loop_post(host->loop, &host->input_call);
}

void char_host_input(struct char_host *host, const uint8_t *data, size_t size)
{
    size = MIN(size, CHAR_IN_SIZE - host->input_size); /* what is typed ahead too far is lost */
    memcpy(host->input + host->input_size, data, size);
    host->input_size += size;
    host_feed(host);
}

void char_host_input_ready(void *opaque, unsigned events)
{
    struct char_host *host = opaque;
    uint8_t data[CHAR_IN_SIZE];
    (void)events;

    if (host->in.fd < 0)
        return;
    ssize_t size = read(host->in.fd, data, host->terminal ? sizeof data : CHAR_IN_SIZE - host->input_size);
    if (size > 0 && host->terminal)
        char_stdio_input(host, data, (size_t)size);
    else if (size > 0)
        char_host_input(host, data, (size_t)size);
    else if (size == 0 || (errno != EAGAIN && errno != EINTR))
        char_host_hang_up(host);
    host_want_input(host);
}

static void host_input_call(void *opaque)
{
    struct char_host *host = opaque;
    if (host->in.fd >= 0 && host->input_size < CHAR_IN_SIZE)
        char_host_input_ready(host, LOOP_READ);
}

static void host_readable(void *opaque)
{
    struct char_host *host = opaque;
    host_feed(host);
    host_want_input(host);
}

void char_host_connect(struct char_host *host, bool connected)
{
    if (host->connected == connected)
        return;
    host->connected = connected;
    if (!connected) {
        host_drop_output(host);
        host_flush(host); /* a device that waits goes on */
    }
    if (host->attached && host->client.set_connected)
        host->client.set_connected(host->client.opaque, connected);
    host_want_input(host);
}

void char_host_hang_up(struct char_host *host)
{
    switch (host->options.kind) {
    case CHAR_UNIX: char_unix_hang_up(host); break;
    case CHAR_PTY: char_pty_hang_up(host); break;
    default: char_end_close(&host->in); /* the end of standard input is not the machine's */
    }
}

/* The whole. */

static int file_open(struct char_host *host, struct error *error)
{
    const char *path = host->options.path;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd < 0)
        return error_set(error, -errno, "cannot write to %s: %s", path, strerror(errno));
    host->connected = true;
    int code = char_end_open(host, &host->out, fd, true, char_host_output_ready, error);
    if (code)
        close(fd);
    return code;
}

/* Each direction has its own watch, and so its own descriptor. */
static int socket_open(struct char_host *host, struct error *error)
{
    struct char_end *const ends[] = {&host->in, &host->out};
    host->connected = true;
    for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
        int fd = fcntl(host->options.socket, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return error_set(error, -errno, "cannot use the console's socket: %s", strerror(errno));
        int code =
            char_end_open(host, ends[i], fd, true, i ? char_host_output_ready : char_host_input_ready, error);
        if (code) {
            close(fd);
            return code;
        }
    }
    return 0;
}

static int host_open(struct char_host *host, struct error *error)
{
    switch (host->options.kind) {
    case CHAR_STDIO: return char_stdio_open(host, error);
    case CHAR_PTY: return char_pty_open(host, error);
    case CHAR_UNIX: return char_unix_open(host, error);
    case CHAR_FILE: return file_open(host, error);
    case CHAR_SOCKET: return socket_open(host, error);
    case CHAR_NONE: break;
    }
    return 0;
}

int char_host_open(struct char_host **out, const struct char_options *options, struct loop *loop,
                   const struct char_menu *menu, struct error *error)
{
    struct char_host *host = calloc(1, sizeof *host);
    if (!host)
        return error_set(error, -ENOMEM, "out of memory");
    host->loop = loop;
    host->options = *options;
    if (menu)
        host->menu = *menu;
    host->in.fd = host->out.fd = host->listen_fd = -1;
    host->flush_call = (struct loop_call){.function = host_flush, .opaque = host};
    host->input_call = (struct loop_call){.function = host_input_call, .opaque = host};
    int code = host_open(host, error);
    if (code) {
        char_host_close(host);
        return code;
    }
    *out = host;
    return 0;
}

void char_host_close(struct char_host *host)
{
    if (!host)
        return;
    loop_cancel(host->loop, &host->flush_call);
    loop_cancel(host->loop, &host->input_call);
    host_write_rest(host);
    char_end_close(&host->in);
    char_end_close(&host->out);
    if (host->terminal)
        char_terminal_give_back();
    if (host->listen_watch)
        loop_watch_remove(host->listen_watch);
    if (host->listen_fd >= 0)
        close(host->listen_fd);
    if (host->options.kind == CHAR_UNIX && host->path)
        unlink(host->path);
    free(host->path);
    free(host);
}

char *char_host_describe(const struct char_host *host, char *text, size_t size)
{
    static const char *const kinds[] = {
        [CHAR_NONE] = "none",  [CHAR_STDIO] = "stdio", [CHAR_PTY] = "pty:",
        [CHAR_UNIX] = "unix:", [CHAR_FILE] = "file:",  [CHAR_SOCKET] = "stdio"};
    const char *path = host->options.kind == CHAR_FILE ? host->options.path : host->path;
    snprintf(text, size, "%s%s", kinds[host->options.kind], path ? path : "");
    return text;
}

struct char_backend char_host_backend(struct char_host *host)
{
    return (struct char_backend){.write = host_write, .readable = host_readable, .opaque = host};
}

void char_host_attach(struct char_host *host, struct char_client client)
{
    host->client = client;
    host->attached = true;
    if (client.set_connected)
        client.set_connected(client.opaque, host->connected);
    host_want_input(host);
}
