/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/process_id.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "base/macros.h"

static bool read_small(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[MAX(got, 0)] = '\0';
    return got > 0;
}

/* 0: there is no such process, or, unless `dead`, only what its parent has not yet looked at. */
static uint64_t start_of(pid_t pid, bool dead)
{
    char path[40], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_small(path, text, sizeof text))
        return 0;
    char *at = strrchr(text, ')'); /* its name may have anything in it */
    if (!at || at[1] != ' ' || (!dead && (at[2] == 'Z' || at[2] == 'X')))
        return 0;
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at ? strtoull(at + 1, NULL, 10) : 0;
}

static void boot_id(char boot[40])
{
    read_small("/proc/sys/kernel/random/boot_id", boot, 40);
    boot[strcspn(boot, "\n")] = '\0';
}

int process_id_find(struct process_id *id, pid_t pid, struct error *error)
{
    *id = (struct process_id){.pid = pid, .start = start_of(pid, false)};
    boot_id(id->boot);
    if (!id->start)
        return error_set(error, -ENOENT, "cannot read /proc/%d/stat: %s", (int)pid, strerror(errno));
    return 0;
}

int process_id_self(struct process_id *id, struct error *error)
{
    return process_id_find(id, getpid(), error);
}

bool process_id_lives(const struct process_id *id)
{
    char boot[40];
    if (id->pid <= 0 || start_of(id->pid, false) != id->start)
        return false;
    boot_id(boot);
    return strcmp(boot, id->boot) == 0;
}

int process_id_open(const struct process_id *id)
{
    int fd = id->pid > 0 ? pidfd_open(id->pid, 0) : -1;
    if (fd < 0)
        return id->pid > 0 ? -errno : -ESRCH;
    if (process_id_lives(id))
        return fd;
    close(fd);
    return -ESRCH;
}

/* Its first thread may be dead, and others not yet. */
bool process_id_wait(const struct process_id *id, int milliseconds)
{
    char boot[40];
    struct pollfd ended = {.fd = id->pid > 0 ? pidfd_open(id->pid, 0) : -1, .events = POLLIN};
    if (ended.fd < 0)
        return true;
    boot_id(boot);
    const bool same = start_of(id->pid, true) == id->start && strcmp(boot, id->boot) == 0;
    const bool over = !same || poll(&ended, 1, milliseconds) > 0;
    close(ended.fd);
    return over;
}
