/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps: /proc/self/maps as the guest sees it: without what was visor's when the program started, with the
 * permissions that the guest gave, and with its own heap and stack named. Best effort: memory that visor
 * has allocated since then shows as anonymous memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "personality/linux/memory.h"
#include "personality/linux/proc.h"

/* One line of the host's file. */
struct mapping {
    uint64_t start, end, offset, inode;
    char permissions[5];
    char device[16];
    const char *name; /* "" if it has none */
};

static bool parse_mapping(struct mapping *mapping, char *line)
{
    int name = 0;
    if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %15s %" SCNu64 " %n", &mapping->start,
               &mapping->end, mapping->permissions, &mapping->offset, mapping->device, &mapping->inode,
               &name) < 6)
        return false;
    line[strcspn(line, "\n")] = '\0';
    mapping->name = line + name;
    return true;
}

/* Where the guest's heap begins: its data may fill the page before only in part. */
static uint64_t heap_start(const struct linux_process *process)
{
    return ALIGN_UP(process->brk_start, GUEST_PAGE_SIZE);
}

/* The host's names for its heap, stack and vDSO mean nothing to the guest; other names are of files. */
static const char *guest_name(const struct linux_process *process, const struct mapping *mapping)
{
    if (mapping->start >= heap_start(process) && mapping->start < process->brk_end)
        return "[heap]";
    if (mapping->start >= process->stack_start && mapping->start < process->stack_end)
        return "[stack]";
    if (mapping->start == process->vdso)
        return "[vdso]";
    return strcmp(mapping->name, "[heap]") == 0 || strcmp(mapping->name, "[stack]") == 0 ? "" : mapping->name;
}

static void print_mapping(FILE *stream, const struct linux_process *process, const struct mapping *mapping)
{
    int length =
        fprintf(stream, "%08" PRIx64 "-%08" PRIx64 " %s %08" PRIx64 " %s %" PRIu64 " ", mapping->start,
                mapping->end, mapping->permissions, mapping->offset, mapping->device, mapping->inode);
    const char *name = guest_name(process, mapping);
    if (*name)
        fprintf(stream, "%*s%s", MAX(73 - length, 0), "", name); /* the kernel's column */
    fputc('\n', stream);
}

/* Prints a part of a mapping; the kernel may have joined the heap or the stack with what lies beside it. */
static void print_part(FILE *stream, const struct linux_process *process, struct mapping mapping,
                       uint64_t start, uint64_t end, bool executable)
{
    const uint64_t borders[] = {heap_start(process),  ALIGN_UP(process->brk_end, GUEST_PAGE_SIZE),
                                process->stack_start, process->stack_end,
                                process->vdso,        process->vdso + GUEST_PAGE_SIZE};
    mapping.permissions[2] = executable ? 'x' : '-';
    while (start < end) {
        uint64_t border = end;
        for (size_t i = 0; i < ARRAY_SIZE(borders); i++) {
            if (borders[i] > start && borders[i] < border)
                border = borders[i];
        }
        if (mapping.inode)
            mapping.offset += start - mapping.start;
        mapping.start = start;
        mapping.end = border;
        print_mapping(stream, process, &mapping);
        start = border;
    }
}

/* The host knows nothing of what the guest may execute: a mapping of its may be several of the guest's. */
static void split_mapping(FILE *stream, struct linux_process *process, const struct mapping *mapping,
                          uint64_t at, uint64_t end)
{
    while (at < end) {
        struct address_range code;
        if (!linux_memory_next_executable(process, at, &code) || code.start >= end)
            code.start = code.end = end;
        if (at < code.start)
            print_part(stream, process, *mapping, at, code.start, false);
        if (code.start < code.end)
            print_part(stream, process, *mapping, MAX(at, code.start), MIN(code.end, end), true);
        at = code.end;
    }
}

/* The kernel may have joined the guest's memory with visor's. */
static void write_guest_part(FILE *stream, struct linux_process *process, const struct mapping *mapping)
{
    struct address_range part;
    for (uint64_t at = mapping->start; linux_memory_next_guest(process, at, &part); at = part.end) {
        if (part.start >= mapping->end)
            return;
        split_mapping(stream, process, mapping, MAX(at, part.start), MIN(part.end, mapping->end));
    }
}

int linux_proc_write_maps(FILE *stream, struct linux_process *process)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        return -errno;

    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, maps) > 0) {
        struct mapping mapping;
        if (parse_mapping(&mapping, line))
            write_guest_part(stream, process, &mapping);
    }
    free(line);
    fclose(maps);
    return 0;
}
