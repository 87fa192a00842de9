/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace: one line per system call, to standard error, in one write:
 *
 *     [1234] openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3
 *     [1234] read(4, 0xffff80001000, 100) = -1 EBADF (Bad file descriptor)
 *
 * Lines are written when the call is over, so that results behind pointers can be shown. Calls that may never
 * come back (the format begins with '!') have their line before, ending in "= ?" or, for execve, "...".
 *
 * Letters of a format, one per argument; "in" is read before or after the call, "out" shown only if it
 * succeeded:
 *
 * - numbers: d int, u unsigned, i 64-bit int, x hexadecimal, m octal (modes), p pointer
 * - descriptors: f descriptor, F directory's descriptor or AT_FDCWD
 * - text: s string in, S string out, w bytes in (the next argument counts them), r bytes out
 * - lists of strings: X, E its length only; of iovecs: v in, y out (the next argument counts them)
 * - flags: o open, n descriptor, a access mode, A AT_, P mmap protection, M mmap, C clone, W wait
 * - newer calls' flags: z io_uring_enter, 6 statx mask, 7 memfd_create, 8 open_tree
 * - what is to be done: k whence, h rt_sigprocmask, q fcntl, Q ioctl, U futex, N epoll_ctl
 * - newer ones: T io_uring_register, 1 bpf, 2 keyctl, 4 fsconfig, 5 kcmp, 9 landlock_add_rule
 * - names: g signal, c clock, R resource limit, j socket family, J socket type
 * - structures in: t timespec, B itimerspec, K socket address, Y limit, G signal set, e epoll_event
 * - more of them: l pollfds, b open_how, V io_uring_params, 3 perf_event_attr
 * - structures out: O timespec, H wait status, D struct stat, I two ints, L limit, Z signal set
 *
 * Letters of results, after '>': p pointer, x hexadecimal, m octal; else decimal.
 */
#include "personality/linux/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/macros.h"
#include "personality/linux/arch.h"

/* -- parts of a line -------------------------------------------------------------------- */

void trace_printf(struct trace_line *line, const char *format, ...)
{
    size_t room = sizeof line->text - line->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    if (length > 0)
        line->length += MIN((size_t)length, room - 1);
}

void trace_pointer(struct trace_line *line, uint64_t address)
{
    if (address)
        trace_printf(line, "0x%" PRIx64, address);
    else
        trace_printf(line, "NULL");
}

/* An octal escape is as short as the character after it allows. */
static void trace_character(struct trace_line *line, uint8_t c, uint8_t next)
{
    static const char escaped[] = "\"\\\n\t\r\v\f", letters[] = "\"\\ntrvf";
    const char *found = c ? strchr(escaped, c) : NULL;
    if (found)
        trace_printf(line, "\\%c", letters[found - escaped]);
    else if (c >= ' ' && c < 0x7f)
        trace_printf(line, "%c", c);
    else
        trace_printf(line, next >= '0' && next <= '7' ? "\\%03o" : "\\%o", c);
}

void trace_quoted(struct trace_line *line, const uint8_t *bytes, size_t length)
{
    trace_printf(line, "\"");
    for (size_t i = 0; i < length; i++)
        trace_character(line, bytes[i], i + 1 < length ? bytes[i + 1] : 0);
    trace_printf(line, "\"");
}

void trace_bytes(struct trace_line *line, uint64_t address, uint64_t length)
{
    uint8_t bytes[TRACE_STRING_MAX + 1] = {0};
    size_t shown = MIN(length, (uint64_t)TRACE_STRING_MAX);
    if (!address || guest_read(bytes, address, shown) < 0) {
        trace_pointer(line, address);
        return;
    }
    trace_quoted(line, bytes, shown);
    if (length > shown)
        trace_printf(line, "...");
}

static void trace_string(struct trace_line *line, uint64_t address, size_t max)
{
    ssize_t length = address ? guest_strlen(address, max) : -EFAULT;
    if (length == -ENAMETOOLONG)
        trace_bytes(line, address, max);
    else if (length < 0)
        trace_pointer(line, address);
    else
        trace_bytes(line, address, (uint64_t)length);
}

/* A path is shown whole, as far as the line goes: a cut one says nothing. */
static void trace_path(struct trace_line *line, uint64_t address)
{
    char path[1024];
    ssize_t length = address ? guest_read_string(path, sizeof path, address) : -EFAULT;
    if (length < 0) {
        trace_string(line, address, TRACE_STRING_MAX + 1);
        return;
    }
    trace_quoted(line, (const uint8_t *)path, (size_t)length);
}

static void trace_string_list(struct trace_line *line, uint64_t address, bool count_only)
{
    uint64_t string, count = 0;
    if (!address || linux_read_word(line->process, address, &string) < 0) {
        trace_pointer(line, address);
        return;
    }
    trace_printf(line, count_only ? "0x%" PRIx64 " /* " : "[", address);
    for (; string && count < 4096; count++) {
        if (!count_only && count < TRACE_STRING_MAX) {
            trace_printf(line, "%s", count ? ", " : "");
            trace_string(line, string, TRACE_STRING_MAX + 1);
        }
        if (linux_read_word(line->process, address + (count + 1) * line->process->arch->word_size, &string) <
            0)
            break;
    }
    if (count_only)
        trace_printf(line, "%" PRIu64 " vars */", count);
    else
        trace_printf(line, count > TRACE_STRING_MAX ? ", ...]" : "]");
}

/* -- arguments and results -------------------------------------------------------------- */

static bool trace_number(struct trace_line *line, char letter, uint64_t value)
{
    switch (letter) {
    case 'd':
    case 'f': trace_printf(line, "%d", (int)value); return true;
    case 'u': trace_printf(line, "%" PRIu64, value); return true;
    case 'i': trace_printf(line, "%" PRId64, (int64_t)value); return true;
    case 'x': trace_printf(line, value ? "%#" PRIx64 : "%" PRIx64, value); return true;
    case 'm': trace_printf(line, "0%o", (unsigned)value & 0177777); return true;
    case 'p': trace_pointer(line, value); return true;
    case 'F':
        if ((int)value == AT_FDCWD)
            trace_printf(line, "AT_FDCWD");
        else
            trace_printf(line, "%d", (int)value);
        return true;
    default: return false;
    }
}

static bool trace_text(struct trace_line *line, char letter, uint64_t value, uint64_t next, int64_t result)
{
    switch (letter) {
    case 's': trace_path(line, value); return true;
    case 'w': trace_bytes(line, value, next); return true;
    case 'X':
    case 'E': trace_string_list(line, value, letter == 'E'); return true;
    case 'S':
    case 'r':
        if (result < 0)
            trace_pointer(line, value);
        else
            trace_bytes(line, value, letter == 'S' && result > 0 ? (uint64_t)result - 1 : (uint64_t)result);
        return true;
    default: return false;
    }
}

/* The mode of an open that creates nothing is not looked at by anyone. */
static bool is_unused_mode(const char *format, unsigned index, const uint64_t a[6])
{
    return format[index] == 'm' && index && format[index - 1] == 'o' &&
           !(a[index - 1] & (O_CREAT | 020000000));
}

static void trace_arguments(struct trace_line *line, const char *format, const uint64_t a[6], int64_t result)
{
    for (unsigned i = 0; i < 6 && format[i] && format[i] != '>'; i++) {
        if (is_unused_mode(format, i, a))
            continue;
        if (i)
            trace_printf(line, ", ");
        uint64_t next = i < 5 ? a[i + 1] : 0;
        if (!trace_number(line, format[i], a[i]) && !trace_text(line, format[i], a[i], next, result) &&
            !trace_name(line, format[i], a[i]) && !trace_struct(line, format[i], a[i], next, result))
            trace_printf(line, "%#" PRIx64, a[i]);
    }
}

static void trace_result(struct trace_line *line, const char *format, int64_t result)
{
    const char *kind = strchr(format, '>');
    if (result == LINUX_RESTART)
        trace_printf(line, "? (to be restarted after a signal)");
    else if (result < 0 && result >= -4095)
        trace_printf(line, "-1 %s (%s)", strerrorname_np((int)-result) ? strerrorname_np((int)-result) : "E?",
                     strerrordesc_np((int)-result) ? strerrordesc_np((int)-result) : "unknown error");
    else if (!kind || !trace_number(line, kind[1], (uint64_t)result))
        trace_printf(line, "%" PRId64, result);
}

/* -- lines ------------------------------------------------------------------------------ */

static void start_line(struct trace_line *line, const struct linux_thread *thread)
{
    line->length = 0;
    line->host_abi = thread->process->arch->host_abi;
    line->process = thread->process;
    trace_printf(line, "[%d] ", (int)thread->tid);
}

/* Always whole and with its newline. */
static void write_line(const struct linux_thread *thread, struct trace_line *line)
{
    line->length = MIN(line->length, sizeof line->text - 2);
    line->text[line->length++] = '\n';
    linux_plain_syscall(SYS_write, (uint64_t)thread->process->own_fds[OWN_TRACE], (uint64_t)line->text,
                        line->length, 0, 0, 0);
}

static void trace_call_name(struct trace_line *line, const struct linux_thread *thread,
                            const struct linux_syscall *syscall)
{
    uint64_t a[6];
    if (syscall)
        trace_printf(line, "%s", syscall->name);
    else
        trace_printf(line, "syscall_%#" PRIx64, thread->process->arch->syscall_arguments(thread->cpu, a));
}

void linux_trace_enter(struct linux_thread *thread, const struct linux_syscall *syscall, const uint64_t a[6])
{
    struct trace_line line;
    if (!syscall || syscall->format[0] != '!')
        return;
    start_line(&line, thread);
    trace_printf(&line, "%s(", syscall->name);
    trace_arguments(&line, syscall->format + 1, a, 0);
    trace_printf(&line, strncmp(syscall->name, "execve", 6) == 0 ? ") ..." : ") = ?");
    write_line(thread, &line);
}

void linux_trace_leave(struct linux_thread *thread, const struct linux_syscall *syscall, const uint64_t a[6],
                       int64_t result)
{
    struct trace_line line;
    const char *format = syscall ? syscall->format : "xxxxxx";
    if (syscall && format[0] == '!' && strncmp(syscall->name, "execve", 6) != 0)
        return;

    start_line(&line, thread);
    if (format[0] == '!') {
        trace_printf(&line, "<... %s resumed>) = ", syscall->name);
    } else {
        trace_call_name(&line, thread, syscall);
        trace_printf(&line, "(");
        trace_arguments(&line, format, a, result);
        trace_printf(&line, ") = ");
    }
    trace_result(&line, format, result);
    write_line(thread, &line);
}
