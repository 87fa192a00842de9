/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"

static int write_all(int fd, const char *data, size_t size)
{
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        data += done;
        size -= (size_t)done;
    }
    return 0;
}

/* A file of that text, whole or not at all. */
static int write_new(int directory, const char *name, const char *text, bool sync)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int code = write_all(fd, text, strlen(text));
    if (!code && sync && fsync(fd) < 0)
        code = -errno;
    if (close(fd) < 0 && !code)
        code = -errno;
    if (code)
        unlinkat(directory, name, 0);
    return code;
}

int json_file_write(int directory, const char *name, const json_t *document, bool sync, struct error *error)
{
    char other[64];
    char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
    if (!text)
        return error_set(error, -ENOMEM, "cannot write %s: out of memory", name);
    snprintf(other, sizeof other, "%s.new", name);
    int code = write_new(directory, other, text, sync);
    if (!code && renameat(directory, other, directory, name) < 0) {
        code = -errno;
        unlinkat(directory, other, 0);
    }
    free(text);
    return code ? error_set(error, code, "cannot write %s: %s", name, strerror(-code)) : 0;
}

json_t *json_file_read(int directory, const char *name, size_t most, struct error *error)
{
    json_error_t why;
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        error_set(error, -errno, "cannot read %s: %s", name, strerror(errno));
        return NULL;
    }
    struct buffer text = {0};
    uint8_t piece[4096];
    ssize_t size;
    while ((size = read(fd, piece, sizeof piece)) > 0 && text.size <= most)
        buffer_append(&text, piece, (size_t)size);
    close(fd);
    json_t *document = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);
    buffer_free(&text);
    if (!document)
        error_set(error, -EINVAL, "%s is damaged: line %d: %s", name, why.line, why.text);
    return document;
}
