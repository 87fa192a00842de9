/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/id_map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"

static int write_file(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int code = write(fd, text, size) < 0 ? -errno : 0;
    close(fd);
    return code;
}

static int write_maps(pid_t pid, const char *file, const struct oci_id_map *maps, unsigned count)
{
    struct buffer text = {0};
    char path[64], line[64];
    for (unsigned i = 0; i < count; i++) {
        int length = snprintf(line, sizeof line, "%u %u %u\n", maps[i].container, maps[i].host, maps[i].size);
        buffer_append(&text, line, (size_t)length);
    }
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int code = text.failed ? -ENOMEM : write_file(path, (const char *)text.data, text.size);
    buffer_free(&text);
    return code;
}

/* The mapper's arguments: its name, the pid, and three numbers per map. Of malloc(), in one piece. */
static char **mapper_arguments(const char *tool, pid_t pid, const struct oci_id_map *maps, unsigned count)
{
    size_t words = 3 + 3 * (size_t)count;
    char **arguments = calloc(1, words * (sizeof *arguments + 16));
    if (!arguments)
        return NULL;
    char *text = (char *)(arguments + words);
    arguments[0] = (char *)tool;
    for (size_t word = 1; word < words - 1; word++, text += 16) {
        const struct oci_id_map *map = word > 1 ? &maps[(word - 2) / 3] : NULL;
        const uint32_t numbers[3] = {map ? map->container : (uint32_t)pid, map ? map->host : 0,
                                     map ? map->size : 0};
        snprintf(text, 16, "%u", numbers[map ? (word - 2) % 3 : 0]);
        arguments[word] = text;
    }
    return arguments;
}

/* Runs it; what it says on standard error, one line, goes to `said`. Its exit status, or a negative errno. */
static int run_command(char *const *arguments, char said[160])
{
    int ends[2], status;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(ends[1]);
    ssize_t size = child < 0 ? -1 : read(ends[0], said, 159);
    said[size > 0 ? size : 0] = '\0';
    said[strcspn(said, "\n")] = '\0';
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static int run_mapper(const char *tool, pid_t pid, const struct oci_id_map *maps, unsigned count,
                      struct error *error)
{
    char said[160] = "";
    char **arguments = mapper_arguments(tool, pid, maps, count);
    int status = arguments ? run_command(arguments, said) : -ENOMEM;
    free(arguments);
    if (status == 0)
        return 0;
    if (status < 0)
        return error_set(error, status, "cannot start %s: %s", tool, strerror(-status));
    if (status == 127)
        error_set(error, -ENOENT, "cannot map the container's ids: %s is not installed", tool);
    else
        error_set(error, -EPERM, "cannot map the container's ids: %s", said[0] ? said : tool);
    error_hint(error, "ranges of ids for ordinary users are given in /etc/subuid and /etc/subgid");
    return error->code;
}

static bool is_own(const struct oci_id_map *maps, unsigned count, uint32_t own)
{
    return count == 1 && maps[0].size == 1 && maps[0].host == own;
}

static int write_groups(pid_t pid, const struct oci_linux *platform, struct error *error)
{
    int code = write_maps(pid, "gid_map", platform->gid_maps, platform->gid_maps_count);
    if (code == -EPERM && is_own(platform->gid_maps, platform->gid_maps_count, getegid())) {
        char path[64]; /* what an ordinary user's own map takes: see user_namespaces(7) */
        snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
        write_file(path, "deny", 4);
        code = write_maps(pid, "gid_map", platform->gid_maps, platform->gid_maps_count);
    }
    if (code == -EPERM && geteuid() != 0)
        return run_mapper("newgidmap", pid, platform->gid_maps, platform->gid_maps_count, error);
    return code < 0 ? error_set(error, code, "linux.gidMappings: %s", strerror(-code)) : 0;
}

int id_map_write(pid_t pid, const struct oci_linux *platform, struct error *error)
{
    int code = write_maps(pid, "uid_map", platform->uid_maps, platform->uid_maps_count);
    if (code == -EPERM && geteuid() != 0)
        code = run_mapper("newuidmap", pid, platform->uid_maps, platform->uid_maps_count, error);
    else if (code < 0)
        error_set(error, code, "linux.uidMappings: %s", strerror(-code));
    return code < 0 ? code : write_groups(pid, platform, error);
}

int id_map_namespace(const struct oci_id_map *uids, unsigned uid_count, const struct oci_id_map *gids,
                     unsigned gid_count, struct error *error)
{
    struct oci_linux platform = {.uid_maps = (struct oci_id_map *)uids,
                                 .uid_maps_count = uid_count,
                                 .gid_maps = (struct oci_id_map *)gids,
                                 .gid_maps_count = gid_count};
    struct clone_args arguments = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
    long child = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    if (child < 0)
        return error_set(error, -errno, "cannot make a user namespace: %s", strerror(errno));
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/ns/user", child);
    int code = id_map_write((pid_t)child, &platform, error);
    int fd = code < 0 ? code : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && code == 0)
        fd = error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    kill((pid_t)child, SIGKILL);
    waitpid((pid_t)child, NULL, 0);
    return fd;
}
