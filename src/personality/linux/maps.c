/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * maps: /proc/self/maps and its relatives as the guest sees them: without what is visor's, with the
 * permissions that the guest gave, and with its own heap, stack and vDSO named.
 *
 * One mapping of the host's may be several of the guest's, and of visor's. What the kernel tells of its pages
 * is then told of the first of them.
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
    char *details;    /* in smaps, the lines that follow; NULL: none are wanted */
    bool details_told;
};

static bool parse_mapping(struct mapping *mapping, char *line)
{
    *mapping = (struct mapping){0};
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

/* The lines of smaps below a mapping's. Size is the part's own, pages the whole's. */
static void print_details(FILE *stream, struct mapping *mapping)
{
    char *details = mapping->details;
    if (!details || !*details)
        return;
    for (char *line = details; *line;) {
        char name[32];
        uint64_t value;
        size_t length = strcspn(line, "\n");
        bool amount = sscanf(line, "%31[A-Za-z_]: %" SCNu64, name, &value) == 2;
        bool pages = amount && !strstr(name, "PageSize") && strncmp(line, "THPeligible", 11) != 0;
        if (strncmp(line, "Size:", 5) == 0)
            fprintf(stream, "Size:           %8" PRIu64 " kB\n", (mapping->end - mapping->start) / 1024);
        else if (pages && mapping->details_told)
            fprintf(stream, "%s:%*s%8u kB\n", name, (int)MAX(15 - (int)strlen(name), 0), "", 0u);
        else if (strncmp(line, "ProtectionKey", 13) != 0) /* the host CPU's */
            fprintf(stream, "%.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    mapping->details_told = true;
}

static void print_mapping(FILE *stream, const struct linux_process *process, struct mapping *mapping)
{
    int length =
        fprintf(stream, "%08" PRIx64 "-%08" PRIx64 " %s %08" PRIx64 " %s %" PRIu64 " ", mapping->start,
                mapping->end, mapping->permissions, mapping->offset, mapping->device, mapping->inode);
    const char *name = guest_name(process, mapping);
    if (*name)
        fprintf(stream, "%*s%s", MAX(73 - length, 0), "", name); /* the kernel's column */
    fputc('\n', stream);
    print_details(stream, mapping);
}

/* Prints a part of a mapping; the kernel may have joined the heap or the stack with what lies beside it. */
static void print_part(FILE *stream, const struct linux_process *process, struct mapping *whole,
                       uint64_t start, uint64_t end, bool executable, bool unreadable)
{
    struct mapping mapping = *whole;
    const uint64_t borders[] = {heap_start(process),  ALIGN_UP(process->brk_end, GUEST_PAGE_SIZE),
                                process->stack_start, process->stack_end,
                                process->vdso,        process->vdso + GUEST_PAGE_SIZE};
    mapping.permissions[2] = executable ? 'x' : '-';
    if (unreadable)
        mapping.permissions[0] = '-';
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
    whole->details_told = mapping.details_told;
}

/* Code, of which parts may be executed only. */
static void split_code(FILE *stream, struct linux_process *process, struct mapping *mapping, uint64_t at,
                       uint64_t end)
{
    while (at < end) {
        struct address_range part;
        if (!linux_memory_next_unreadable(process, at, &part) || part.start >= end)
            part.start = part.end = end;
        if (at < part.start)
            print_part(stream, process, mapping, at, part.start, true, false);
        if (part.start < part.end)
            print_part(stream, process, mapping, MAX(at, part.start), MIN(part.end, end), true, true);
        at = part.end;
    }
}

/* The host knows nothing of what the guest may execute: a mapping of its may be several of the guest's. */
static void split_mapping(FILE *stream, struct linux_process *process, struct mapping *mapping, uint64_t at,
                          uint64_t end)
{
    while (at < end) {
        struct address_range code;
        if (!linux_memory_next_executable(process, at, &code) || code.start >= end)
            code.start = code.end = end;
        if (at < code.start)
            print_part(stream, process, mapping, at, code.start, false, false);
        if (code.start < code.end)
            split_code(stream, process, mapping, MAX(at, code.start), MIN(code.end, end));
        at = code.end;
    }
}

/* The kernel may have joined the guest's memory with visor's. */
static void write_guest_part(FILE *stream, struct linux_process *process, struct mapping *mapping)
{
    struct address_range part;
    for (uint64_t at = mapping->start; linux_memory_next_guest(process, at, &part); at = part.end) {
        if (part.start >= mapping->end)
            return;
        split_mapping(stream, process, mapping, MAX(at, part.start), MIN(part.end, mapping->end));
    }
}

int linux_proc_convert_maps(FILE *stream, struct linux_process *process, FILE *host)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, host) > 0) {
        struct mapping mapping;
        if (parse_mapping(&mapping, line))
            write_guest_part(stream, process, &mapping);
    }
    free(line);
    return 0;
}

/* Has the guest any part of it? */
static bool is_guest(struct linux_process *process, const struct mapping *mapping)
{
    struct address_range part;
    return linux_memory_next_guest(process, mapping->start, &part) && part.start < mapping->end;
}

/* The lines that follow a mapping's are its details. */
int linux_proc_convert_smaps(FILE *stream, struct linux_process *process, FILE *host)
{
    struct mapping mapping = {0}, next;
    char *line = NULL, *first = NULL, *details = NULL;
    size_t size = 0, details_size = 0;
    FILE *collected = NULL;
    bool more = true;
    while (more) {
        more = getline(&line, &size, host) > 0;
        bool begins = more && parse_mapping(&next, line);
        if (more && !begins) {
            if (collected)
                fputs(line, collected);
            continue;
        }
        if (collected && fclose(collected) == 0) {
            mapping.details = details;
            write_guest_part(stream, process, &mapping);
        }
        free(details);
        details = NULL;
        free(first);
        first = more ? strdup(next.name) : NULL;
        collected = first ? open_memstream(&details, &details_size) : NULL;
        mapping = next;
        mapping.name = first;
    }
    free(line);
    return 0;
}

/* The sums, in the order of the first mapping's lines. */
struct rollup {
    uint64_t start, end;
    unsigned count;
    struct {
        char name[32];
        uint64_t kilobytes;
    } lines[40];
};

static void add_line(struct rollup *rollup, const char *name, uint64_t kilobytes)
{
    unsigned i = 0;
    while (i < rollup->count && strcmp(rollup->lines[i].name, name) != 0)
        i++;
    if (i == ARRAY_SIZE(rollup->lines))
        return;
    if (i == rollup->count) {
        snprintf(rollup->lines[i].name, sizeof rollup->lines[i].name, "%s", name);
        rollup->lines[rollup->count++].kilobytes = 0;
    }
    rollup->lines[i].kilobytes += kilobytes;
}

int linux_proc_convert_smaps_rollup(FILE *stream, struct linux_process *process, FILE *host)
{
    char *text = NULL, name[32];
    size_t size = 0;
    struct rollup rollup = {.start = UINT64_MAX};
    FILE *smaps = open_memstream(&text, &size);
    if (!smaps)
        return -ENOMEM;
    int code = linux_proc_convert_smaps(smaps, process, host);
    if (fclose(smaps) != 0 && code == 0)
        code = -ENOMEM;
    for (char *line = text; code == 0 && *line; line += strcspn(line, "\n") + 1) {
        uint64_t first, second;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &first, &second) == 2) {
            rollup.start = MIN(rollup.start, first);
            rollup.end = MAX(rollup.end, second);
        } else if (sscanf(line, "%31[A-Za-z_]: %" SCNu64, name, &first) == 2 && !strstr(name, "Size") &&
                   strcmp(name, "THPeligible") != 0) {
            add_line(&rollup, name, first);
        }
    }
    free(text);
    if (code == 0)
        fprintf(stream, "%08" PRIx64 "-%08" PRIx64 " ---p 00000000 00:00 0%*s[rollup]\n", rollup.start,
                rollup.end, 26, "");
    for (unsigned i = 0; i < rollup.count; i++)
        fprintf(stream, "%s:%*s%8" PRIu64 " kB\n", rollup.lines[i].name,
                (int)MAX(15 - (int)strlen(rollup.lines[i].name), 0), "", rollup.lines[i].kilobytes);
    return code;
}

int linux_proc_convert_numa_maps(FILE *stream, struct linux_process *process, FILE *host)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, host) > 0) {
        struct mapping mapping = {0};
        if (sscanf(line, "%" SCNx64 " ", &mapping.start) != 1)
            continue;
        mapping.end = mapping.start + GUEST_PAGE_SIZE;
        if (is_guest(process, &mapping))
            fputs(line, stream);
    }
    free(line);
    return 0;
}
