/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files in and out. One that comes in takes the place of the old one when it is complete. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent.h"

/* What INPUT brings goes into the file, up to INPUT_END. 0, or a positive errno; -1: the host has gone. */
static int receive_file(struct connection *connection, int fd)
{
    struct agent_frame frame;
    while (connection_wait(connection, &frame)) {
        if (frame.type == AGENT_INPUT_END)
            return 0;
        if (frame.type != AGENT_INPUT)
            return EPROTO;
        const uint8_t *data = frame.content.data;
        for (size_t left = frame.content.left; left;) {
            ssize_t size = write(fd, data, left);
            if (size < 0 && errno != EINTR)
                return errno;
            data += size > 0 ? size : 0;
            left -= size > 0 ? (size_t)size : 0;
        }
    }
    return -1;
}

static int put_file(struct connection *connection, const char *path, mode_t mode)
{
    char *temporary = NULL;
    struct stat status;
    if (!stat(path, &status) && S_ISDIR(status.st_mode))
        return EISDIR;
    if (asprintf(&temporary, "%s.visor-XXXXXX", path) < 0)
        return ENOMEM;
    int fd = mkostemp(temporary, O_CLOEXEC), code = fd < 0 ? errno : receive_file(connection, fd);
    if (!code && (fchmod(fd, mode & 07777) || fsync(fd)))
        code = errno;
    if (fd >= 0)
        close(fd);
    if (!code && rename(temporary, path))
        code = errno;
    if (code && fd >= 0)
        unlink(temporary);
    free(temporary);
    return code;
}

void serve_put(struct connection *connection, struct reader *request)
{
    const mode_t mode = (mode_t)reader_take_integer(request, 4);
    char *path = agent_take_string(request);
    int code = request->failed || request->left ? EPROTO : put_file(connection, path, mode);
    if (code > 0)
        connection_fail(connection, code, "cannot write %s: %s", path ? path : "a file", strerror(code));
    else if (!code)
        connection_done(connection);
    free(path);
}

static int send_file(struct connection *connection, int fd)
{
    uint8_t data[AGENT_FRAME_MAX / 2];
    for (;;) {
        ssize_t size = read(fd, data, sizeof data);
        if (size < 0 && errno != EINTR)
            return errno;
        if (!size)
            return 0;
        if (size > 0)
            agent_put_bytes(&connection->output, AGENT_OUTPUT, data, (size_t)size);
        if (!connection_flush(connection))
            return -1;
    }
}

static int get_file(struct connection *connection, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int code = fd < 0 || fstat(fd, &status) ? errno : S_ISDIR(status.st_mode) ? EISDIR : 0;
    if (!code && !S_ISREG(status.st_mode))
        code = EINVAL;
    if (!code) {
        size_t begin = agent_frame_begin(&connection->output, AGENT_FILE);
        buffer_append_integer(&connection->output, status.st_mode & 07777, 4);
        buffer_append_integer(&connection->output, (uint64_t)status.st_size, 8);
        buffer_append_integer(&connection->output, (uint64_t)status.st_mtime, 8);
        agent_frame_end(&connection->output, begin);
        code = send_file(connection, fd);
    }
    if (fd >= 0)
        close(fd);
    return code;
}

void serve_get(struct connection *connection, struct reader *request)
{
    char *path = agent_take_string(request);
    int code = request->failed || request->left ? EPROTO : get_file(connection, path);
    if (code > 0)
        connection_fail(connection, code, "cannot read %s: %s", path ? path : "a file", strerror(code));
    else if (!code)
        connection_done(connection);
    free(path);
}
