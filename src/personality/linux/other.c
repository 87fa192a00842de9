/* SPDX-License-Identifier: GPL-2.0-or-later */
/* other: see other.h. */
#include "personality/linux/other.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/memory.h"
#include "personality/linux/proc.h"
#include "personality/linux/signal.h"

#define BEACON_MAGIC 0x6e6f63616562f00dull

struct beacon {
    uint64_t magic;
    const struct linux_process *space;
};

/* Where it is relative to visor's first page is the same in all processes. */
static struct beacon own_beacon;
extern const char own_image[] __asm__("__ehdr_start") __attribute__((visibility("hidden")));

void linux_other_show(const struct linux_process *space)
{
    own_beacon = (struct beacon){BEACON_MAGIC, space};
}

/* Where the process behind `directory` has the first page of visor's file; 0 if nowhere. */
static uint64_t find_image(const char *directory, uint64_t inode)
{
    char path[PATH_MAX + 8], *line = NULL;
    size_t size = 0;
    uint64_t start = 0;
    snprintf(path, sizeof path, "%s/maps", directory);
    FILE *maps = fopen(path, "re");
    while (maps && !start && getline(&line, &size, maps) > 0) {
        uint64_t at, offset, number;
        if (sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64 " %*s %" SCNu64, &at, &offset, &number) == 3 &&
            number == inode && !offset)
            start = at;
    }
    free(line);
    if (maps)
        fclose(maps);
    return start;
}

static bool read_by_file(const struct linux_reader *reader, void *to, uint64_t from, size_t size)
{
    if (from > INT64_MAX)
        return false;
    while (size) {
        int64_t part =
            linux_plain_syscall(SYS_pread64, (uint64_t)reader->fd, (uintptr_t)to, size, from, 0, 0);
        if (part <= 0)
            return false;
        to = (char *)to + part;
        from += (uint64_t)part;
        size -= (size_t)part;
    }
    return true;
}

struct linux_process *linux_other_read(const struct linux_reader *reader, uint64_t beacon)
{
    struct beacon found;
    struct linux_process other;
    if (!reader->read(reader, &found, beacon, sizeof found) || found.magic != BEACON_MAGIC ||
        !reader->read(reader, &other, (uintptr_t)found.space, sizeof other))
        return NULL;

    struct linux_process *copy = calloc(1, sizeof *copy);
    if (!copy)
        return NULL;
    copy->space = copy;
    copy->brk_start = other.brk_start;
    copy->brk_end = other.brk_end;
    copy->stack_start = other.stack_start;
    copy->stack_end = other.stack_end;
    copy->vdso = other.vdso;
    copy->own_fds = copy->own_fd_numbers;
    copy->memory = linux_memory_copy(reader, (uintptr_t)other.memory);
    copy->actions = malloc(sizeof *copy->actions);
    if (!copy->memory || !copy->actions ||
        !reader->read(reader, copy->actions, (uintptr_t)other.actions, sizeof *copy->actions) ||
        !reader->read(reader, copy->own_fd_numbers, (uintptr_t)other.own_fds, sizeof copy->own_fd_numbers)) {
        linux_other_free(copy);
        return NULL;
    }
    return copy;
}

void linux_other_free(struct linux_process *copy)
{
    if (!copy)
        return;
    linux_memory_free(copy->memory);
    free(copy->actions);
    free(copy);
}

struct linux_process *linux_other_copy(const struct linux_process *process, const char *directory)
{
    char path[PATH_MAX + 8];
    struct stat own;
    if (!linux_proc_is_visor(process, directory) ||
        linux_plain_syscall(SYS_fstat, (uint64_t)process->own_fds[OWN_VISOR], (uintptr_t)&own, 0, 0, 0, 0) <
            0)
        return NULL;

    /* In this order: what is there if the process executes something else meanwhile is not the same memory.
     */
    snprintf(path, sizeof path, "%s/mem", directory);
    int64_t fd =
        linux_plain_syscall(SYS_openat, (uint64_t)AT_FDCWD, (uintptr_t)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return NULL;
    const struct linux_reader reader = {read_by_file, (int)fd};
    uint64_t image = find_image(directory, process->own_inode);
    struct linux_process *copy =
        image ? linux_other_read(&reader, image + ((uintptr_t)&own_beacon - (uintptr_t)own_image)) : NULL;
    linux_plain_syscall(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
    return copy;
}
