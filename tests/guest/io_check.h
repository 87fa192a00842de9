/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io_check: how the guest test programs io_*.c check. They are built as static arm64 programs, run by an
 * emulator, and say what failed; exit status 0 is success. They need a writable current directory, which
 * they leave as they found it.
 */
#ifndef IO_CHECK_H
#define IO_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check_failures;

/* Never mapped; the compiler does not know. */
static char *volatile bad_pointer __attribute__((unused)) = (char *)16;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        int check_errno = errno;                                                                             \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not true: %s (errno was %d, is %d)\n", __FILE__, __LINE__, #condition,   \
                    check_errno, errno);                                                                     \
            check_failures++;                                                                                \
        }                                                                                                    \
    } while (0)

/* The call fails with this errno. */
#define CHECK_ERROR(call, expected)                                                                          \
    do {                                                                                                     \
        errno = 0;                                                                                           \
        long check_result = (long)(call);                                                                    \
        if (check_result != -1 || errno != (expected)) {                                                     \
            fprintf(stderr, "%s:%d: %s gave %ld with errno %d, not -1 with %d\n", __FILE__, __LINE__, #call, \
                    check_result, errno, (expected));                                                        \
            check_failures++;                                                                                \
        }                                                                                                    \
    } while (0)

/* For calls that the host's kernel or file system may not have: true if the call worked. */
#define AVAILABLE(call) check_available((long)(call), #call)

__attribute__((unused)) static int check_available(long result, const char *what)
{
    if (result != -1)
        return 1;
    printf("skipped: %s: %s\n", what, strerror(errno));
    return 0;
}

static inline int check_done(const char *name)
{
    if (check_failures)
        fprintf(stderr, "%s: %d failures\n", name, check_failures);
    else
        printf("%s: ok\n", name);
    return check_failures ? 1 : 0;
}

#endif
