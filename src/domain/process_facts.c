/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/process_facts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/visible.h"

/* A small file of a process, or as much of it as there is room for; its size, 0: it cannot be read. */
static size_t proc_read(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t got = 1;
    while (fd >= 0 && used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    if (fd >= 0)
        close(fd);
    text[used] = '\0';
    return used;
}

/* proc_pid_stat(5): from the third field on, since the second one is a name with anything in it. */
bool process_facts_parse(const char *text, struct process_facts *facts)
{
    const uint64_t tick = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const char *at = strrchr(text, ')');
    int parent, group, threads;
    unsigned long user, system;
    long child_user, child_system, resident;
    unsigned long long start;
    if (!at || sscanf(at + 1,
                      " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %d %*d %llu %*u %ld",
                      &facts->state, &parent, &group, &user, &system, &child_user, &child_system, &threads,
                      &start, &resident) != 10)
        return false;
    facts->parent = parent;
    facts->group = group;
    facts->cpu = (user + system) * tick;
    facts->children_cpu = (uint64_t)(child_user + child_system) * tick;
    facts->threads = (unsigned)threads;
    facts->start = start * tick;
    facts->memory = (uint64_t)MAX(resident, 0) * page;
    return true;
}

/* The number after "Name:" of a line. */
static bool line_number(const char *text, const char *name, uint64_t *number)
{
    size_t length = strlen(name);
    for (const char *at = text; at && *at; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, name, length) == 0 && at[length] == ':') {
            *number = strtoull(at + length + 1, NULL, 10);
            return true;
        }
    }
    return false;
}

/* Whether a process shares this namespace with the calling one. */
static bool is_own(pid_t pid, const char *name)
{
    char path[64], own[64];
    struct stat here, there;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    snprintf(own, sizeof own, "/proc/self/%s", name);
    return stat(own, &here) < 0 || stat(path, &there) < 0 || here.st_ino == there.st_ino;
}

/* What the user is in a user namespace of the process's own: lines of inner and outer first id and count. */
static void user_map(struct process_facts *facts)
{
    char text[4096];
    unsigned inner, outer, count;
    int used;
    proc_read(facts->pid, "uid_map", text, sizeof text);
    for (const char *at = text; sscanf(at, "%u %u %u%n", &inner, &outer, &count, &used) == 3; at += used) {
        if (facts->user >= outer && facts->user - outer < count)
            facts->inner_user = inner + (facts->user - outer);
    }
}

static void read_more(struct process_facts *facts)
{
    char text[8192];
    uint64_t number;
    proc_read(facts->pid, "status", text, sizeof text);
    if (line_number(text, "Uid", &number))
        facts->user = facts->inner_user = (uid_t)number;
    const char *inner = strstr(text, "\nNSpid:");
    facts->inner = facts->pid;
    if (inner) {
        const char *end = inner + 1 + strcspn(inner + 1, "\n"), *last = end;
        while (last > inner && isdigit((unsigned char)last[-1]))
            last--;
        facts->inner = (pid_t)strtol(last, NULL, 10);
    }
    if (!is_own(facts->pid, "ns/user"))
        user_map(facts);
    proc_read(facts->pid, "io", text, sizeof text);
    facts->has_io = line_number(text, "read_bytes", &facts->read_bytes) &&
                    line_number(text, "write_bytes", &facts->write_bytes);
}

bool process_facts_read(pid_t pid, bool more, struct process_facts *facts)
{
    char text[2048];
    *facts = (struct process_facts){.pid = pid};
    if (!proc_read(pid, "stat", text, sizeof text) || !process_facts_parse(text, facts))
        return false;
    if (more)
        read_more(facts);
    return true;
}

void process_facts_command(pid_t pid, char *text, size_t size)
{
    char name[64];
    size_t used = proc_read(pid, "cmdline", text, size);
    if (!used) {
        used = proc_read(pid, "comm", name, sizeof name);
        name[strcspn(name, "\n")] = '\0';
        used = (size_t)snprintf(text, size, "%s%s%s", used ? "[" : "", name, used ? "]" : "");
        used = MIN(used, size - 1);
    }
    while (used && !text[used - 1])
        used--;
    text[used] = '\0';
    for (size_t i = 0; i < used; i++)
        text[i] = text[i] ? text[i] : ' ';
    visible_make(text, used);
}

int process_facts_group(pid_t group, pid_t **pids, size_t *count, struct error *error)
{
    DIR *directory = opendir("/proc");
    int code = directory ? 0 : error_set(error, -errno, "cannot read /proc: %s", strerror(errno));
    *pids = NULL;
    *count = 0;
    for (struct dirent *entry; !code && (entry = readdir(directory));) {
        struct process_facts facts;
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (!pid || !process_facts_read(pid, false, &facts) || facts.group != group)
            continue;
        pid_t *more = realloc(*pids, (*count + 1) * sizeof **pids);
        if (more) {
            *pids = more;
            more[(*count)++] = pid;
        } else {
            code = error_set(error, -ENOMEM, "out of memory");
        }
    }
    if (directory)
        closedir(directory);
    if (code)
        free(*pids);
    return code;
}

pid_t process_facts_child(pid_t pid)
{
    char name[40], text[64];
    snprintf(name, sizeof name, "task/%d/children", (int)pid);
    proc_read(pid, name, text, sizeof text);
    return atoi(text);
}

/* -- the network ----------------------------------------------------------------------------------------- */

bool process_facts_network(pid_t pid, uint64_t *received, uint64_t *sent)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/net/dev", (int)pid);
    FILE *file = is_own(pid, "ns/net") ? NULL : fopen(path, "re");
    if (!file)
        return false;
    *received = *sent = 0;
    while (fgets(line, sizeof line, file)) {
        uint64_t in, out;
        char *name = line + strspn(line, " "), *colon = strchr(name, ':');
        if (!colon || (colon - name == 2 && memcmp(name, "lo", 2) == 0) ||
            sscanf(colon + 1, "%" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &in, &out) != 2)
            continue;
        *received += in;
        *sent += out;
    }
    fclose(file);
    return true;
}

/* -- numbers --------------------------------------------------------------------------------------------- */

/* The last number of a line of all that there are, from the outermost namespace on. */
static pid_t innermost(const char *status)
{
    const char *line = strstr(status, "\nNSpid:");
    long number = 0;
    char *end;
    for (const char *at = line ? line + 7 : ""; *at && *at != '\n'; at = end) {
        const long next = strtol(at, &end, 10);
        if (end == at)
            break;
        number = next;
    }
    return (pid_t)number;
}

pid_t process_thread_outside(pid_t pid, pid_t inner)
{
    char path[64], name[64], text[4096];
    const struct dirent *entry;
    pid_t found = -ESRCH;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    while (tasks && found < 0 && (entry = readdir(tasks))) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(name, sizeof name, "task/%.20s/status", entry->d_name);
        if (proc_read(pid, name, text, sizeof text) && innermost(text) == inner)
            found = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    if (tasks)
        closedir(tasks);
    return found;
}
