/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc status: files of /proc/self in which only some values are the host's own: sizes of the address space,
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

static int measure(struct linux_process *process, struct sizes *sizes)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char *line = NULL;
    size_t size = 0;
    if (!maps)
        return -errno;
    *sizes = (struct sizes){.total = guest_part(process, 0, UINT64_MAX)};
    while (getline(&line, &size, maps) > 0) {
        uint64_t start, end;
        char permissions[5];
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &start, &end, permissions) == 3 &&
            permissions[1] == 'w' && permissions[3] == 'p' &&
            !(start >= process->stack_start && start < process->stack_end))
            sizes->data += guest_part(process, start, end);
    }
    free(line);
    fclose(maps);
    return 0;
}

static void write_size(FILE *stream, const char *name, uint64_t bytes)
{
    fprintf(stream, "%s:\t%8" PRIu64 " kB\n", name, bytes / 1024);
}

static int write_status(FILE *stream, struct linux_process *process, FILE *host)
{
    struct sizes sizes;
    char *line = NULL;
    size_t size = 0;
    uint64_t peak = 0, value;
    int code = measure(process, &sizes);
    while (code == 0 && getline(&line, &size, host) > 0) {
        if (sscanf(line, "VmPeak: %" SCNu64, &value) == 1) {
            peak = value * 1024; /* told with the size, which comes next */
        } else if (sscanf(line, "VmSize: %" SCNu64, &value) == 1) {
            uint64_t grown = peak > value * 1024 ? peak - value * 1024 : 0;
            write_size(stream, "VmPeak", sizes.total + grown);
            write_size(stream, "VmSize", sizes.total);
        } else if (strncmp(line, "VmData:", 7) == 0) {
            write_size(stream, "VmData", sizes.data);
        } else {
            fputs(line, stream);
        }
    }
    free(line);
    return code;
}

static int write_statm(FILE *stream, struct linux_process *process, FILE *host)
{
    struct sizes sizes;
    uint64_t resident, shared, text;
    int code = measure(process, &sizes);
    if (code < 0)
        return code;
    if (fscanf(host, "%*u %" SCNu64 " %" SCNu64 " %" SCNu64, &resident, &shared, &text) != 3)
        return -EIO;
    uint64_t data = sizes.data + guest_part(process, process->stack_start, process->stack_end);
    fprintf(stream, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0 %" PRIu64 " 0\n",
            (uint64_t)(sizes.total / GUEST_PAGE_SIZE), resident, shared, text,
            (uint64_t)(data / GUEST_PAGE_SIZE));
    return 0;
}

static int write_fdinfo(FILE *stream, FILE *host)
{
    char *line = NULL;
    size_t size = 0;
    uint64_t flags;
    while (getline(&line, &size, host) > 0) {
        if (sscanf(line, "flags: %" SCNo64, &flags) == 1)
            fprintf(stream, "flags:\t0%" PRIo64 "\n", linux_open_flags_from_host(flags));
        else
            fputs(line, stream);
    }
    free(line);
    return 0;
}

int linux_proc_write_status(FILE *stream, struct linux_process *process, enum linux_proc_file file,
                            const char *path)
{
    FILE *host = fopen(path, "re");
    if (!host)
        return -errno;
    int code = file == LINUX_PROC_STATUS  ? write_status(stream, process, host)
               : file == LINUX_PROC_STATM ? write_statm(stream, process, host)
                                          : write_fdinfo(stream, host);
    fclose(host);
    return code;
}
