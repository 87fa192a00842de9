/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/members.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static ino_t pid_namespace(const char *process)
{
    char path[NAME_MAX + 16];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%s/ns/pid", process);
    return stat(path, &status) < 0 ? 0 : status.st_ino;
}

static int add(pid_t **pids, size_t *count, size_t *room, pid_t pid)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 16;
        pid_t *grown = realloc(*pids, more * sizeof *grown);
        if (!grown)
            return -ENOMEM;
        *pids = grown;
        *room = more;
    }
    (*pids)[(*count)++] = pid;
    return 0;
}

static int list_namespace(const struct store_record *record, pid_t **pids, size_t *count, struct error *error)
{
    char first[16];
    snprintf(first, sizeof first, "%d", record->pid);
    ino_t own = pid_namespace("self"), its = pid_namespace(first);
    if (!its || its == own)
        return error_set(error, -ENOTSUP,
                         "container \"%s\" has neither a cgroup nor a PID namespace to know its processes by",
                         record->id);
    DIR *directory = opendir("/proc");
    const struct dirent *entry;
    size_t room = 0;
    int code = directory ? 0 : -errno;
    *pids = NULL;
    *count = 0;
    while (code == 0 && (entry = readdir(directory))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && pid_namespace(entry->d_name) == its)
            code = add(pids, count, &room, pid);
    }
    if (directory)
        closedir(directory);
    if (code == 0)
        return 0;
    free(*pids);
    return error_set(error, code, "cannot list the processes of container \"%s\": %s", record->id,
                     strerror(-code));
}

int members_list(const struct store_record *record, struct cgroup *cgroup, pid_t **pids, size_t *count,
                 struct error *error)
{
    return cgroup_present(cgroup) ? cgroup_processes(cgroup, pids, count, error)
                                  : list_namespace(record, pids, count, error);
}

int members_signal(const struct store_record *record, struct cgroup *cgroup, int signal, struct error *error)
{
    pid_t *pids;
    size_t count;
    if (cgroup_present(cgroup)) {
        if (!cgroup_exists(cgroup))
            return 0;
        return signal == SIGKILL ? cgroup_kill(cgroup, error) : cgroup_signal(cgroup, signal, error);
    }
    int code = list_namespace(record, &pids, &count, error);
    if (code < 0)
        return code;
    for (size_t i = 0; i < count; i++)
        kill(pids[i], signal);
    free(pids);
    return 0;
}
