/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *error, int code, const char *format, ...)
{
    if (!error)
        return code;

    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->hint[0] = '\0';
    error->code = code;
    return code;
}

void error_prefix(struct error *error, const char *format, ...)
{
    if (!error)
        return;

    char old[sizeof error->message];
    memcpy(old, error->message, sizeof old);

    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length < sizeof error->message)
        snprintf(error->message + length, sizeof error->message - (size_t)length, "%s", old);
}

void error_hint(struct error *error, const char *format, ...)
{
    if (!error)
        return;

    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->hint, sizeof error->hint, format, arguments);
    va_end(arguments);
}

void error_report(const struct error *error)
{
    fprintf(stderr, "visor: %s\n", error->message);
    if (error->hint[0])
        fprintf(stderr, "  hint: %s\n", error->hint);
}
