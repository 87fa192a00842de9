/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc status: files of /proc/PID in which only some values are the host's own: sizes of the address space,
 * of which much is reserved by visor, and flags of open files, whose bits differ.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/linux/convert.h"
#include "personality/linux/memory.h"
#include "personality/linux/proc.h"
#include "personality/linux/signal.h"

/* In bytes. */
struct sizes {
    uint64_t total; /* all that the guest has mapped */
    uint64_t data;  /* private memory that it may write to, without the stack */
};

/* The part of [start, end) that the guest has mapped. */
static uint64_t guest_part(struct linux_process *process, uint64_t start, uint64_t end)
{
    struct address_range range;
    uint64_t sum = 0;
    for (uint64_t at = start; linux_memory_next_guest(process, at, &range) && range.start < end;
         at = range.end)
        sum += MIN(range.end, end) - MAX(range.start, at);
    return sum;
}

static struct sizes measure(struct linux_process *process, FILE *maps)
{
    struct sizes sizes = {.total = guest_part(process, 0, UINT64_MAX)};
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, maps) > 0) {
        uint64_t start, end;
        char permissions[5];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, permissions) == 3 &&
            permissions[1] == 'w' && permissions[3] == 'p' &&
            !(start >= process->stack_start && start < process->stack_end))
            sizes.data += guest_part(process, start, end);
    }
    free(line);
    return sizes;
}

/* Which of the signals that visor always handles the guest handles, or ignores; the others' bits are right.
 */
static uint64_t correct_signals(const struct linux_process *process, uint64_t host, bool ignored)
{
    for (int signal = 1; signal <= SIGNAL_COUNT; signal++) {
        uint64_t handler = process->actions->actions[signal].handler;
        bool ignores = handler == (uintptr_t)SIG_IGN;
        if (!(ALWAYS_HANDLED & SIGNAL_BIT(signal)))
            continue;
        host &= ~SIGNAL_BIT(signal);
        if (ignored ? ignores : handler && !ignores)
            host |= SIGNAL_BIT(signal);
    }
    return host;
}

static void write_size(FILE *stream, const char *name, uint64_t bytes)
{
    fprintf(stream, "%s:\t%8" PRIu64 " kB\n", name, bytes / 1024);
}

static int write_status(FILE *stream, struct linux_process *process, const struct sizes *sizes, FILE *host)
{
    char *line = NULL;
    size_t size = 0;
    uint64_t peak = 0, value;
    while (getline(&line, &size, host) > 0) {
        if (sscanf(line, "VmPeak: %" SCNu64, &value) == 1) {
            peak = value * 1024; /* told with the size, which comes next */
        } else if (sscanf(line, "VmSize: %" SCNu64, &value) == 1) {
            uint64_t grown = peak > value * 1024 ? peak - value * 1024 : 0;
            write_size(stream, "VmPeak", sizes->total + grown);
            write_size(stream, "VmSize", sizes->total);
        } else if (strncmp(line, "VmData:", 7) == 0) {
            write_size(stream, "VmData", sizes->data);
        } else if (sscanf(line, "SigIgn: %" SCNx64, &value) == 1) {
            fprintf(stream, "SigIgn:\t%016" PRIx64 "\n", correct_signals(process, value, true));
        } else if (sscanf(line, "SigCgt: %" SCNx64, &value) == 1) {
            fprintf(stream, "SigCgt:\t%016" PRIx64 "\n", correct_signals(process, value, false));
        } else {
            fputs(line, stream);
        }
    }
    free(line);
    return 0;
}

static int write_statm(FILE *stream, struct linux_process *process, const struct sizes *sizes, FILE *host)
{
    uint64_t resident, shared, text;
    if (fscanf(host, "%*u %" SCNu64 " %" SCNu64 " %" SCNu64, &resident, &shared, &text) != 3)
        return -EIO;
    uint64_t data = sizes->data + guest_part(process, process->stack_start, process->stack_end);
    fprintf(stream, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 %" PRIu64 " 0\n",
            (uint64_t)(sizes->total / GUEST_PAGE_SIZE), resident, shared, text,
            (uint64_t)(data / GUEST_PAGE_SIZE));
    return 0;
}

/* The value of one of the fields of `stat`, which the host has as `value`. */
static uint64_t correct_field(const struct linux_process *process, const struct sizes *sizes, unsigned field,
                              uint64_t value)
{
    enum { VSIZE = 23, SIGNALS_IGNORED = 33, SIGNALS_CAUGHT };
    const uint64_t low = 0x7fffffff; /* all of a set of signals that is shown here */
    switch (field) {
    case VSIZE: return sizes->total;
    case SIGNALS_IGNORED: return correct_signals(process, value, true) & low;
    case SIGNALS_CAUGHT: return correct_signals(process, value, false) & low;
    default: return value;
    }
}

/* The second field is a name in parentheses, which may have any character; the third is a letter; some of the
 * others may be negative. */
static int write_stat(FILE *stream, struct linux_process *process, const struct sizes *sizes, FILE *host)
{
    char *text = NULL;
    size_t size = 0;
    char *name_end = getdelim(&text, &size, '\0', host) < 0 ? NULL : strrchr(text, ')'), *save;
    if (!name_end) {
        free(text);
        return -EIO;
    }
    fprintf(stream, "%.*s)", (int)(name_end - text), text);
    char *word = strtok_r(name_end + 1, " \n", &save);
    for (unsigned field = 3; word; field++, word = strtok_r(NULL, " \n", &save)) {
        if (*word >= '0' && *word <= '9')
            fprintf(stream, " %" PRIu64, correct_field(process, sizes, field, strtoull(word, NULL, 10)));
        else
            fprintf(stream, " %s", word);
    }
    fputc('\n', stream);
    free(text);
    return 0;
}

static int write_fdinfo(FILE *stream, const struct linux_process *process, FILE *host)
{
    char *line = NULL;
    size_t size = 0;
    uint64_t flags;
    while (getline(&line, &size, host) > 0) {
        if (sscanf(line, "flags: %" SCNo64, &flags) == 1)
            fprintf(stream, "flags:\t0%" PRIo64 "\n", linux_shown_open_flags(process, flags));
        else
            fputs(line, stream);
    }
    free(line);
    return 0;
}

int linux_proc_convert_status(FILE *stream, struct linux_process *process, enum linux_proc_file file,
                              FILE *host, FILE *maps)
{
    if (file == LINUX_PROC_FDINFO)
        return write_fdinfo(stream, process, host);
    const struct sizes sizes = measure(process, maps);
    return file == LINUX_PROC_STATUS  ? write_status(stream, process, &sizes, host)
           : file == LINUX_PROC_STATM ? write_statm(stream, process, &sizes, host)
                                      : write_stat(stream, process, &sizes, host);
}
