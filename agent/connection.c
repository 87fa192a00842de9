/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "agent.h"

#define PATIENCE_MS 10000

bool connection_flush(struct connection *connection)
{
    struct buffer *output = &connection->output;
    size_t sent = 0;
    while (!output->failed && sent < output->size) {
        ssize_t size = send(connection->fd, output->data + sent, output->size - sent, MSG_NOSIGNAL);
        if (size < 0 && errno != EINTR)
            return false;
        sent += size > 0 ? (size_t)size : 0;
    }
    output->size = 0;
    return !output->failed;
}

bool connection_read(struct connection *connection)
{
    memmove(connection->input, connection->input + connection->taken, connection->size - connection->taken);
    connection->size -= connection->taken;
    connection->taken = 0;
    ssize_t size = recv(connection->fd, connection->input + connection->size,
                        sizeof connection->input - connection->size, 0);
    if (size < 0 && errno == EINTR)
        return true;
    connection->size += size > 0 ? (size_t)size : 0;
    return size > 0;
}

int connection_next(struct connection *connection, struct agent_frame *frame)
{
    int size =
        agent_frame_find(connection->input + connection->taken, connection->size - connection->taken, frame);
    if (size > 0)
        connection->taken += (size_t)size;
    return size > 0 ? 1 : size;
}

bool connection_wait(struct connection *connection, struct agent_frame *frame)
{
    int found;
    while (!(found = connection_next(connection, frame))) {
        if (!connection_read(connection))
            return false;
    }
    return found > 0;
}

void connection_end(struct connection *connection)
{
    struct pollfd look = {.fd = connection->fd, .events = POLLIN};
    shutdown(connection->fd, SHUT_WR);
    do
        connection->taken = connection->size; /* whatever it is */
    while (poll(&look, 1, PATIENCE_MS) > 0 && connection_read(connection));
}

void connection_done(struct connection *connection)
{
    agent_put_bytes(&connection->output, AGENT_DONE, NULL, 0);
    connection_flush(connection);
}

void connection_fail(struct connection *connection, int error, const char *format, ...)
{
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    agent_put_failure(&connection->output, error, reason);
    connection_flush(connection);
}
