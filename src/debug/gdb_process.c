/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gdb: what it asks of a program: the auxiliary vector, the program's file, and the files of its root, in
 * which it finds symbols (the GDB manual, appendices E.10 and E.7).
 *
 * A file that the debugger has open is known by its path: nothing is open while the program runs, which
 * would see the descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "debug/gdb.h"

#define ERROR_FAULT 14
#define FILE_PART   8192

/* -- what is a list of bytes ------------------------------------------------------------------------------
 */

bool gdb_process_query(struct gdb_session *s, const char *text)
{
    const struct gdb_process *process = s->target->process;
    uint8_t bytes[4096];
    ssize_t size;
    uint64_t number;

    if (gdb_skip(&text, "Xfer:auxv:read::")) {
        size = process->auxiliary(s->target->opaque, bytes, sizeof bytes);
    } else if (gdb_skip(&text, "Xfer:exec-file:read:")) {
        gdb_scan_number(&text, &number, 0); /* the process's number, or nothing */
        if (!gdb_skip(&text, ":"))
            return false;
        size = process->executable(s->target->opaque, (char *)bytes, sizeof bytes);
    } else if (gdb_skip(&text, "Xfer:siginfo:read::")) {
        size = process->signal(s->target->opaque, s->thread, bytes, sizeof bytes);
    } else {
        return false;
    }
    if (size < 0)
        gdb_send_error(s, ERROR_FAULT);
    else
        gdb_send_part(s, bytes, (size_t)size, text);
    return true;
}

/* -- files ------------------------------------------------------------------------------------------------
 */

/* "F-1,ERRNO": gdb's numbers of these are Linux's. */
static void send_failure(struct gdb_session *s, int number)
{
    char text[32];
    gdb_send(s, text, (size_t)snprintf(text, sizeof text, "F-1,%x", (unsigned)number));
}

static void send_result(struct gdb_session *s, unsigned result)
{
    char text[32];
    gdb_send(s, text, (size_t)snprintf(text, sizeof text, "F%x", result));
}

static void send_attachment(struct gdb_session *s, const uint8_t *bytes, size_t size)
{
    size_t used;
    const size_t done = gdb_escape(s->reply + 32, GDB_PACKET_MAX - 64, bytes, size, &used);
    const int head = snprintf(s->reply, 32, "F%zx;", done);
    memmove(s->reply + head, s->reply + 32, used);
    gdb_send(s, s->reply, (size_t)head + used);
}

/* A path in hexadecimal, up to `end`, which is skipped. */
static bool scan_path(const char **text, char path[PATH_MAX], char end)
{
    const size_t size = strcspn(*text, end ? (const char[]){end, 0} : "") / 2;
    if (size >= PATH_MAX || !gdb_scan_bytes(text, (uint8_t *)path, size) || **text != end)
        return false;
    path[size] = '\0';
    *text += end != '\0';
    return true;
}

static void open_file(struct gdb_session *s, const char *text)
{
    char path[PATH_MAX];
    uint64_t flags;
    unsigned at = 0;
    if (!scan_path(&text, path, ',') || !gdb_scan_number(&text, &flags, ',')) {
        send_failure(s, EINVAL);
        return;
    }
    while (at < GDB_FILES_MAX && s->files[at])
        at++;
    if (at == GDB_FILES_MAX || flags & O_ACCMODE) { /* its numbers of these are Linux's, too */
        send_failure(s, at == GDB_FILES_MAX ? EMFILE : EROFS);
        return;
    }
    const int fd = s->target->process->open(s->target->opaque, path);
    if (fd >= 0)
        close(fd);
    s->files[at] = fd >= 0 ? strdup(path) : NULL;
    if (!s->files[at])
        send_failure(s, fd < 0 ? -fd : ENOMEM);
    else
        send_result(s, at);
}

/* The descriptor of a file that the debugger knows by this number. */
static int open_again(const struct gdb_session *s, uint64_t file)
{
    return file < GDB_FILES_MAX && s->files[file]
               ? s->target->process->open(s->target->opaque, s->files[file])
               : -EBADF;
}

static void read_file(struct gdb_session *s, const char *text)
{
    uint8_t bytes[FILE_PART];
    uint64_t file, count, offset;
    if (!gdb_scan_number(&text, &file, ',') || !gdb_scan_number(&text, &count, ',') ||
        !gdb_scan_number(&text, &offset, 0) || offset > INT64_MAX) {
        send_failure(s, EINVAL);
        return;
    }
    const int fd = open_again(s, file);
    ssize_t size = fd < 0 ? fd : pread(fd, bytes, MIN(count, sizeof bytes), (off_t)offset);
    const int code = fd < 0 ? -fd : errno;
    if (fd >= 0)
        close(fd);
    if (size < 0)
        send_failure(s, code);
    else
        send_attachment(s, bytes, (size_t)size);
}

static void put(uint8_t **out, unsigned bytes, uint64_t value)
{
    while (bytes)
        *(*out)++ = (uint8_t)(value >> 8 * --bytes);
}

/* As the protocol has it: big endian, see appendix E.7, "struct stat". */
static void stat_file(struct gdb_session *s, const char *text)
{
    uint8_t bytes[64], *out = bytes;
    struct stat status;
    uint64_t file;
    const int fd = gdb_scan_number(&text, &file, 0) ? open_again(s, file) : -EINVAL;
    if (fd < 0 || fstat(fd, &status) < 0) {
        send_failure(s, fd < 0 ? -fd : errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    close(fd);
    const uint64_t words[] = {status.st_dev, status.st_ino, status.st_mode, status.st_nlink,
                              status.st_uid, status.st_gid, status.st_rdev};
    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        put(&out, 4, words[i]);
    put(&out, 8, (uint64_t)status.st_size);
    put(&out, 8, (uint64_t)status.st_blksize);
    put(&out, 8, (uint64_t)status.st_blocks);
    put(&out, 4, (uint64_t)status.st_atime);
    put(&out, 4, (uint64_t)status.st_mtime);
    put(&out, 4, (uint64_t)status.st_ctime);
    send_attachment(s, bytes, (size_t)(out - bytes));
}

static void close_file(struct gdb_session *s, const char *text)
{
    uint64_t file;
    if (!gdb_scan_number(&text, &file, 0) || file >= GDB_FILES_MAX || !s->files[file]) {
        send_failure(s, EBADF);
        return;
    }
    free(s->files[file]);
    s->files[file] = NULL;
    send_result(s, 0);
}

static void read_link(struct gdb_session *s, const char *text)
{
    char path[PATH_MAX], target[PATH_MAX];
    ssize_t size = -1;
    errno = EINVAL;
    if (scan_path(&text, path, '\0'))
        size = readlink(path, target, sizeof target);
    if (size < 0)
        send_failure(s, errno);
    else
        send_attachment(s, (const uint8_t *)target, (size_t)size);
}

bool gdb_process_file(struct gdb_session *s, const char *text)
{
    static const struct {
        const char *name;
        void (*serve)(struct gdb_session *s, const char *text);
    } operations[] = {{"open:", open_file},
                      {"pread:", read_file},
                      {"fstat:", stat_file},
                      {"close:", close_file},
                      {"readlink:", read_link}};
    if (!gdb_skip(&text, "File:"))
        return false;
    if (gdb_skip(&text, "setfs:")) { /* there is one root only */
        send_result(s, 0);
        return true;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
        if (gdb_skip(&text, operations[i].name)) {
            operations[i].serve(s, text);
            return true;
        }
    }
    return false;
}

void gdb_process_free(struct gdb_session *s)
{
    for (unsigned i = 0; i < GDB_FILES_MAX; i++) {
        free(s->files[i]);
        s->files[i] = NULL;
    }
}
