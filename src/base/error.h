/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * error: how a function that fails says why.
 *
 * A function that can fail takes `struct error *error` last and returns 0 or a
 * negative errno. It fills the error at the place where the cause is known:
 *
 *     return error_set(error, -ENOENT, "cannot open %s: no such file", path);
 *
 * The error lives on the caller's stack and needs no allocation. A caller that
 * knows a name adds it with error_prefix(); a hint for the user is added with
 * error_hint(). It is reported once, at the top, by error_report().
 */
#ifndef VISOR_BASE_ERROR_H
#define VISOR_BASE_ERROR_H

struct error {
    int code;          /* negative errno of the failure, 0 if none */
    char message[512]; /* what was being done, to what, and why it failed */
    char hint[256];    /* what to try; empty if nothing is known to help */
};

#define ERROR_INIT                                                                                           \
    {                                                                                                        \
        0                                                                                                    \
    }

/* Fills *error (which may be NULL) and returns `code`, a negative errno. */
int error_set(struct error *error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts context before the message: "disk a.img: " + "bad magic". */
void error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says what the user may try. The last hint stands. */
void error_hint(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints "visor: MESSAGE" and, on a line of its own, the hint, to standard error. */
void error_report(const struct error *error);

#endif
