/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/user_namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "domain/program.h"

struct subordinate {
    unsigned long first, count; /* count 0: none */
};

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, strlen(text));
    int code = written < 0 ? -errno : 0;
    close(fd);
    return code;
}

/* The user's first range in /etc/subuid or /etc/subgid: lines "NAME:FIRST:COUNT". */
static struct subordinate find_subordinate(const char *path, const char *user)
{
    struct subordinate found = {0};
    FILE *file = fopen(path, "re");
    if (!file)
        return found;

    char line[256];
    size_t length = strlen(user);
    while (!found.count && fgets(line, sizeof line, file)) {
        if (strncmp(line, user, length) == 0 && line[length] == ':' &&
            sscanf(line + length + 1, "%lu:%lu", &found.first, &found.count) != 2)
            found.count = 0;
    }
    fclose(file);
    return found;
}

static int run_mapper(const char *tool, pid_t pid, unsigned id, struct subordinate range)
{
    char pid_text[16], id_text[16], first[24], count[24];
    snprintf(pid_text, sizeof pid_text, "%d", (int)pid);
    snprintf(id_text, sizeof id_text, "%u", id);
    snprintf(first, sizeof first, "%lu", range.first);
    snprintf(count, sizeof count, "%lu", range.count);

    pid_t child = fork();
    if (child < 0)
        return -errno;
    if (child == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDERR_FILENO);
        execlp(tool, tool, pid_text, "0", id_text, "1", "1", first, count, (char *)NULL);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

/* The user's name by /etc/passwd alone: a static program cannot ask the name service. False: not listed
 * there. */
static bool find_user_name(uid_t uid, char *name, size_t size)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *user = NULL;
    while (file && (user = fgetpwent(file)) && user->pw_uid != uid)
        ;
    if (user)
        snprintf(name, size, "%s", user->pw_name);
    if (file)
        fclose(file);
    return user != NULL;
}

bool user_namespace_ranges(struct user_ranges *ranges)
{
    char name[256], path[PATH_MAX];
    *ranges = (struct user_ranges){0};
    if (!find_user_name(geteuid(), name, sizeof name) || !domain_program_find("newuidmap", path) ||
        !domain_program_find("newgidmap", path))
        return false;
    const struct subordinate uids = find_subordinate("/etc/subuid", name);
    const struct subordinate gids = find_subordinate("/etc/subgid", name);
    if (!uids.count || !gids.count)
        return false;
    *ranges = (struct user_ranges){(unsigned)uids.first, (unsigned)uids.count, (unsigned)gids.first,
                                   (unsigned)gids.count};
    return true;
}

/* Writes a map in which every number that this namespace knows stays what it is. */
static int write_identity(pid_t pid, const char *name)
{
    char path[64], text[4096] = "";
    unsigned long first, outside, count;
    size_t length = 0;

    snprintf(path, sizeof path, "/proc/self/%s", name);
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    while (fscanf(file, "%lu %lu %lu", &first, &outside, &count) == 3 && length < sizeof text)
        length += (size_t)snprintf(text + length, sizeof text - length, "%lu %lu %lu\n", first, first, count);
    fclose(file);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return write_file(path, text);
}

static int map_identity(pid_t pid)
{
    int code = write_identity(pid, "uid_map");
    return code < 0 ? code : write_identity(pid, "gid_map");
}

/* Maps all users to themselves, or the user to 0 and the subordinate ids behind. A helper outside the
 * namespace must run the set-uid tools. */
static int map_users(uid_t uid, gid_t gid, int ready, int done)
{
    char name[256] = "", byte = 0;
    struct subordinate uids = {0}, gids = {0};
    if (find_user_name(uid, name, sizeof name)) {
        uids = find_subordinate("/etc/subuid", name);
        gids = find_subordinate("/etc/subgid", name);
    }
    if (read(ready, &byte, 1) != 1)
        return -EIO;

    int code = uid == 0 ? map_identity(getppid()) : -EPERM;
    if (code < 0 && uids.count && gids.count) {
        code = run_mapper("newuidmap", getppid(), uid, uids);
        if (code == 0)
            code = run_mapper("newgidmap", getppid(), gid, gids);
    }
    byte = code == 0;
    if (write(done, &byte, 1) != 1)
        return -EIO;
    return code;
}

static int map_self(uid_t uid, gid_t gid)
{
    char map[64];
    snprintf(map, sizeof map, "0 %u 1\n", (unsigned)uid);
    int code = write_file("/proc/self/uid_map", map);
    if (code == 0)
        code = write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1\n", (unsigned)gid);
    return code < 0 ? code : write_file("/proc/self/gid_map", map);
}

static int refuse_user_namespace(int code, struct error *error)
{
    error_set(error, code, "cannot make a user namespace: %s", strerror(-code));
    if (code == -ENOSPC)
        error_hint(error, "the limit is reached: see /proc/sys/user/max_user_namespaces");
    else
        error_hint(error,
                   "this host forbids them to ordinary users (sysctl kernel.unprivileged_userns_clone, "
                   "kernel.apparmor_restrict_unprivileged_userns, or a container's seccomp filter): "
                   "allow them there, or run visor as root");
    return code;
}

int user_namespace_enter(struct error *error)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int ready[2], done[2];
    if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(done, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));

    pid_t helper = fork();
    if (helper < 0)
        return error_set(error, -errno, "cannot start a process: %s", strerror(errno));
    if (helper == 0) {
        close(ready[1]); /* if the parent fails, the read ends */
        _exit(map_users(uid, gid, ready[0], done[1]) < 0);
    }
    close(done[1]);

    int code = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : 0;
    char mapped = 0;
    if (code == 0 && write(ready[1], "", 1) == 1 && read(done[0], &mapped, 1) != 1)
        mapped = 0;
    close(ready[0]);
    close(ready[1]);
    close(done[0]);
    waitpid(helper, NULL, 0);
    if (code < 0)
        return refuse_user_namespace(code, error);

    if (!mapped) {
        code = map_self(uid, gid);
        if (code < 0)
            return refuse_user_namespace(code, error);
    }
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return error_set(error, -errno, "cannot become root of a user namespace: %s", strerror(errno));
    return 0;
}
