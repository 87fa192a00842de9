/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: how one line of the system call trace is put together. Private to trace.c, trace_names.c and
 * trace_structs.c; the rest calls linux_trace_enter() and linux_trace_leave() of process.h.
 */
#ifndef VISOR_PERSONALITY_LINUX_TRACE_H
#define VISOR_PERSONALITY_LINUX_TRACE_H

#include "personality/linux/process.h"

struct trace_line {
    bool host_abi; /* numbers and structures are the host's */
    const struct linux_process *process;
    size_t length;
    char text[3072]; /* what does not fit is left out */
};

void trace_printf(struct trace_line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* NULL or 0x...  */
void trace_pointer(struct trace_line *line, uint64_t address);

/* These bytes in quotes, escaped. */
void trace_quoted(struct trace_line *line, const uint8_t *bytes, size_t length);

/* `length` bytes of guest memory, quoted and escaped, at most TRACE_STRING_MAX of them; the address if they
 * cannot be read. */
#define TRACE_STRING_MAX 32
void trace_bytes(struct trace_line *line, uint64_t address, uint64_t length);

/* trace_names.c: prints a value by the letter of a set of names; false if the letter is none. */
bool trace_name(struct trace_line *line, char letter, uint64_t value);

/* trace_structs.c: prints what an argument points to by its letter; `next` is the argument after it, `result`
 * the call's. False if the letter is none. */
bool trace_struct(struct trace_line *line, char letter, uint64_t value, uint64_t next, int64_t result);

#endif
