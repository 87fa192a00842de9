/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attack: what the attack programs of this folder say, a line for each thing they have tried:
 *
 *     NAME: refused ERROR      it did not work
 *     NAME: open DETAIL        it did
 *     NAME: absent ERROR       the host does not have what it takes
 *
 * They stop where the way is open and do no harm. Static, so that they run in an empty root.
 */
#ifndef VISOR_TESTS_ESCAPE_ATTACK_H
#define VISOR_TESTS_ESCAPE_ATTACK_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* `result`: as of a system call, with errno. */
static inline bool tried(long result, const char *format, ...)
{
    int code = errno;
    bool absent = result < 0 && (code == ENOSYS || code == ENODEV || code == ENXIO || code == EAFNOSUPPORT);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    if (result < 0)
        printf(": %s %s\n", absent ? "absent" : "refused", strerrorname_np(code));
    else
        printf(": open %ld\n", result);
    fflush(stdout);
    errno = code;
    return result >= 0;
}

/* Opens and closes again. */
static inline long try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        close(fd);
    return fd < 0 ? -1 : 0;
}

/* At least one byte can be read. */
static inline long try_read(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t size = fd < 0 ? -1 : read(fd, &byte, 1);
    int code = size == 0 ? ENODATA : errno;
    if (fd >= 0)
        close(fd);
    errno = code;
    return size == 1 ? 0 : -1;
}

static inline long write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    long result = fd < 0 ? -1 : write(fd, text, strlen(text));
    int code = errno;
    if (fd >= 0)
        close(fd);
    errno = code;
    return result < 0 ? -1 : 0;
}

/* Runs `work` in a process of its own, and waits. */
static inline void apart(void (*work)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        work();
        fflush(stdout);
        _exit(0);
    }
    if (child > 0)
        waitpid(child, NULL, 0);
}

#endif
