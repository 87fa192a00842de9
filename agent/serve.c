/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a connection asks for. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent.h"

void serve(int fd, bool is_test)
{
    struct connection *connection = calloc(1, sizeof *connection);
    struct agent_frame frame;
    if (!connection)
        return;
    connection->fd = fd;
    connection->is_test = is_test;
    size_t begin = agent_frame_begin(&connection->output, AGENT_HELLO);
    buffer_append_integer(&connection->output, AGENT_VERSION, 4);
    agent_frame_end(&connection->output, begin);
    if (connection_flush(connection) && connection_wait(connection, &frame)) {
        switch (frame.type) {
        case AGENT_PING: connection_done(connection); break;
        case AGENT_FACTS: serve_facts(connection); break;
        case AGENT_SHUTDOWN: serve_shutdown(connection, &frame.content); break;
        case AGENT_EXEC: serve_exec(connection, &frame.content); break;
        case AGENT_PUT: serve_put(connection, &frame.content); break;
        case AGENT_IDENTITY: serve_identity(connection, &frame.content); break;
        case AGENT_GET: serve_get(connection, &frame.content); break;
        default: connection_fail(connection, EOPNOTSUPP, "the agent has no request %d", frame.type);
        }
    }
    connection_end(connection);
    buffer_free(&connection->output);
    free(connection);
}
