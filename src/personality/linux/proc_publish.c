/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc publish: what the kernel is told of the guest, so that others find it in /proc/PID: its arguments,
 * environment, auxiliary vector and stack, and where its code is. From the last, other processes of visor
 * find out which program this is; /proc/PID/exe itself cannot be changed.
 */
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory.h"
#include "personality/linux/proc.h"

/* Numbers of fields in /proc/PID/stat, see proc(5). */
enum { START_CODE = 26, END_CODE, START_DATA = 45, END_DATA, START_BRK };
_Static_assert(START_BRK < LINUX_STAT_FIELDS, "all of them are read");

bool linux_proc_parse_stat(const char *text, uint64_t fields[LINUX_STAT_FIELDS])
{
    const char *at = strrchr(text, ')'); /* a program's name may have blanks */
    if (!at || !at[1] || !at[2])
        return false;
    at += 3; /* the third field is a letter */
    for (unsigned i = 4; i < LINUX_STAT_FIELDS; i++) {
        char *end;
        fields[i] = strtoull(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    return true;
}

static bool read_stat_fields(const char *path, uint64_t fields[LINUX_STAT_FIELDS])
{
    char text[1024];
    int64_t fd =
        linux_plain_syscall(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return false;
    int64_t length = linux_plain_syscall(SYS_read, (uint64_t)fd, (uint64_t)text, sizeof text - 1, 0, 0, 0);
    linux_plain_syscall(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
    text[MAX(length, 0)] = '\0';
    return linux_proc_parse_stat(text, fields);
}

/* The guest's code around its entry; what was there before if that is not known. */
static void find_code(struct linux_process *process, struct prctl_mm_map *map)
{
    const uint32_t word = process->arch->word_size;
    struct address_range range;
    uint64_t type, entry;
    for (uint32_t at = 0; at < process->auxv_size; at += 2 * word) {
        if (linux_read_word(process, process->auxv_address + at, &type) == 0 && type == AT_ENTRY &&
            linux_read_word(process, process->auxv_address + at + word, &entry) == 0 &&
            linux_memory_next_executable(process, entry, &range) && range.start <= entry) {
            map->start_code = range.start;
            map->end_code = range.end;
        }
    }
}

void linux_proc_publish(struct linux_process *process, uint64_t sp)
{
    uint64_t fields[LINUX_STAT_FIELDS] = {0}, auxv[64];
    if (process->auxv_size > sizeof auxv || guest_read(auxv, process->auxv_address, process->auxv_size) < 0 ||
        !read_stat_fields("/proc/self/stat", fields))
        return;

    /* All is set at once; what is visor's stays as it is. */
    struct prctl_mm_map map = {
        .start_code = fields[START_CODE],
        .end_code = fields[END_CODE],
        .start_data = fields[START_DATA],
        .end_data = fields[END_DATA],
        .start_brk = fields[START_BRK],
        .brk = (uint64_t)linux_plain_syscall(SYS_brk, 0, 0, 0, 0, 0, 0),
        .start_stack = sp,
        .arg_start = process->arguments_start,
        .arg_end = process->arguments_end,
        .env_start = process->environment_start,
        .env_end = process->environment_end,
        .auxv = (void *)auxv,
        .auxv_size = process->auxv_size,
        .exe_fd = (uint32_t)-1,
    };
    find_code(process, &map);
    process->published =
        linux_plain_syscall(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (uint64_t)&map, sizeof map, 0, 0) == 0;
}

/* Is the file behind this path visor's own program? */
static bool is_visor(const struct linux_process *process, const char *path)
{
    struct stat other;
    return linux_plain_syscall(SYS_newfstatat, (uint64_t)AT_FDCWD, (uint64_t)path, (uint64_t)&other, 0, 0,
                               0) == 0 &&
           linux_is_own_file(process, other.st_dev, other.st_ino);
}

bool linux_proc_find_mapped(FILE *maps, uint64_t address, char target[PATH_MAX])
{
    char *line = NULL;
    size_t size = 0;
    bool found = false;
    while (!found && getline(&line, &size, maps) > 0) {
        uint64_t start, end;
        const char *name = strchr(line, '/');
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2 || address < start || address >= end ||
            !name)
            continue;
        snprintf(target, PATH_MAX, "%.*s", (int)strcspn(name, "\n"), name);
        found = true;
    }
    free(line);
    return found;
}

bool linux_proc_is_visor(const struct linux_process *process, const char *directory)
{
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/exe", directory);
    return is_visor(process, path);
}

bool linux_proc_other_exe(const struct linux_process *process, const char *directory, char target[PATH_MAX])
{
    uint64_t fields[LINUX_STAT_FIELDS] = {0};
    char path[PATH_MAX + 8];
    if (!linux_proc_is_visor(process, directory))
        return false;
    snprintf(path, sizeof path, "%s/stat", directory);
    if (!read_stat_fields(path, fields))
        return false;
    snprintf(path, sizeof path, "%s/maps", directory);
    FILE *maps = fopen(path, "re");
    bool found = maps && linux_proc_find_mapped(maps, fields[START_CODE], target);
    if (maps)
        fclose(maps);
    return found && !is_visor(process, target);
}
