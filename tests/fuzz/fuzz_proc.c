/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_proc: any text as a file of /proc is converted to what names nothing but the guest's memory. Programs
 * choose names that are in these files. The first byte of the input says which file the rest is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory.h"
#include "personality/linux/proc.h"
#include "personality/linux/signal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct address_range guest[] = {
    {0x10000, 0x20000}, {0x400000, 0x500000}, {0x600000, 0x700000}, {0x7ff000, 0x810000}};
static const struct address_range executable[] = {{0x400000, 0x480000}, {0x600000, 0x604000}};
static const struct address_range unreadable[] = {{0x410000, 0x420000}};
static struct linux_actions actions;

static bool next(const struct address_range *ranges, size_t count, uint64_t address,
                 struct address_range *range)
{
    for (size_t i = 0; i < count; i++) {
        *range = ranges[i];
        if (range->end > address)
            return true;
    }
    return false;
}

bool linux_memory_next_guest(struct linux_process *process, uint64_t address, struct address_range *range)
{
    (void)process;
    return next(guest, ARRAY_SIZE(guest), address, range);
}

bool linux_memory_next_executable(struct linux_process *process, uint64_t address,
                                  struct address_range *range)
{
    (void)process;
    return next(executable, ARRAY_SIZE(executable), address, range);
}

bool linux_memory_next_unreadable(struct linux_process *process, uint64_t address,
                                  struct address_range *range)
{
    (void)process;
    return next(unreadable, ARRAY_SIZE(unreadable), address, range);
}

/* What proc_publish.c uses elsewhere. */
int guest_read(void *to, uint64_t from, size_t length)
{
    (void)to, (void)from, (void)length;
    return -EFAULT;
}

int64_t linux_plain_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                            uint64_t f)
{
    (void)number, (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return -ENOSYS;
}

static void check_line(const char *line)
{
    struct address_range range;
    uint64_t start, end, offset, inode;
    char permissions[5], device[16];
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %15s %" SCNu64, &start, &end, permissions,
               &offset, device, &inode) != 6)
        return;
    if (start >= end || !next(guest, ARRAY_SIZE(guest), start, &range) || start < range.start ||
        end > range.end)
        abort();
}

/* Each line that is a mapping lies within one of the guest's ranges. */
static void check_mappings(char *text)
{
    while (*text) {
        size_t length = strcspn(text, "\n");
        bool last = !text[length];
        text[length] = '\0';
        check_line(text);
        text += length + !last;
    }
}

/* The host's file as a stream, and what has been written of it. */
static void convert(unsigned kind, const uint8_t *data, size_t size)
{
    static const struct linux_arch arch = {.word_size = 8};
    struct linux_process process = {.arch = &arch,
                                    .brk_start = 0x600000,
                                    .brk_end = 0x60a800,
                                    .stack_start = 0x800000,
                                    .stack_end = 0x810000,
                                    .vdso = 0x11000,
                                    .actions = &actions};
    FILE *host = size ? fmemopen((void *)data, size, "r") : NULL;
    FILE *maps = size ? fmemopen((void *)data, size, "r") : NULL;
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    if (!host || !maps || !stream)
        abort();
    switch (kind) {
    case 0: linux_proc_convert_maps(stream, &process, host); break;
    case 1: linux_proc_convert_smaps(stream, &process, host); break;
    case 2: linux_proc_convert_smaps_rollup(stream, &process, host); break;
    case 3: linux_proc_convert_numa_maps(stream, &process, host); break;
    case 4: linux_proc_convert_status(stream, &process, LINUX_PROC_STATUS, host, maps); break;
    case 5: linux_proc_convert_status(stream, &process, LINUX_PROC_STATM, host, maps); break;
    case 9: linux_proc_convert_status(stream, &process, LINUX_PROC_STAT, host, maps); break;
    default: linux_proc_convert_status(stream, &process, LINUX_PROC_FDINFO, host, NULL); break;
    }
    fclose(maps);
    fclose(host);
    if (fclose(stream) != 0)
        abort();
    if (kind < 2 && !memchr(data, '\0', size)) /* the kernel writes none */
        check_mappings(text);
    free(text);
}

static void parse_stat(const uint8_t *data, size_t size)
{
    uint64_t fields[LINUX_STAT_FIELDS];
    char *text = strndup((const char *)data, size); /* of its exact size, for the sanitizer */
    if (text)
        linux_proc_parse_stat(text, fields);
    free(text);
}

static void find_mapped(const uint8_t *data, size_t size)
{
    static char target[PATH_MAX];
    FILE *maps = fmemopen((void *)data, size, "r");
    if (!maps)
        return;
    memset(target, 'x', sizeof target);
    if (linux_proc_find_mapped(maps, 0x412345, target) &&
        (target[0] != '/' || !memchr(target, '\0', sizeof target) || strchr(target, '\n')))
        abort();
    fclose(maps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const unsigned kind = data[0] % 10;
    if (kind == 7)
        parse_stat(data + 1, size - 1);
    else if (kind == 8)
        find_mapped(data + 1, size - 1);
    else
        convert(kind, data + 1, size - 1);
    return 0;
}
