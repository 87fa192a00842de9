/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"

struct subordinate {
    unsigned long first, count; /* count 0: none */
};

/* -- user namespaces --------------------------------------------------------------------------------------
 */

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

/* Maps the user to 0 and the subordinate ids behind. A helper outside the namespace must run the set-uid
 * tools. */
static int map_subordinates(uid_t uid, gid_t gid, int ready, int done)
{
    char name[256] = "", byte = 0;
    struct subordinate uids = {0}, gids = {0};
    if (find_user_name(uid, name, sizeof name)) {
        uids = find_subordinate("/etc/subuid", name);
        gids = find_subordinate("/etc/subgid", name);
    }
    if (read(ready, &byte, 1) != 1)
        return -EIO;

    int code = uids.count && gids.count ? 0 : -ENOENT;
    if (code == 0)
        code = run_mapper("newuidmap", getppid(), uid, uids);
    if (code == 0)
        code = run_mapper("newgidmap", getppid(), gid, gids);
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

/* Becomes root in a user and mount namespace of its own. */
static int enter_user_namespace(struct error *error)
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
        _exit(map_subordinates(uid, gid, ready[0], done[1]) < 0);
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

static int enter_namespaces(struct error *error)
{
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0) {
        int code = enter_user_namespace(error);
        if (code < 0)
            return code;
    }
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return error_set(error, -errno, "cannot make mounts private: %s", strerror(errno));
    return 0;
}

/* -- mounts
 * -------------------------------------------------------------------------------------------------- */

/* root + path, resolved inside root is the caller's business: only used for paths that are no symbolic links.
 */
static int join(char *out, const char *root, const char *path, struct error *error)
{
    int length = snprintf(out, PATH_MAX, "%s%s%s", root, path[0] == '/' ? "" : "/", path);
    if (length >= PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "path too long: %s%s", root, path);
    return 0;
}

/* Opens a path below root, with symbolic links resolved inside it, as O_PATH. */
static int open_inside(int root_fd, const char *path)
{
    struct stat status;
    int fd = openat(root_fd, path[0] == '/' ? path + 1 : path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &status) < 0 || S_ISLNK(status.st_mode))) {
        close(fd);
        errno = ELOOP;
        return -1;
    }
    return fd;
}

static int bind_at(const char *source, int destination_fd, bool read_only)
{
    char destination[32];
    snprintf(destination, sizeof destination, "/proc/self/fd/%d", destination_fd);
    if (mount(source, destination, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -errno;
    if (!read_only)
        return 0;
    char resolved[PATH_MAX];
    ssize_t length = readlink(destination, resolved, sizeof resolved - 1);
    if (length < 0)
        return -errno;
    resolved[length] = '\0';
    return mount(NULL, resolved, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_REC, NULL) < 0 ? -errno : 0;
}

/* What programs expect of any system; a root that lacks the directory does without. */
static int bind_system(const char *root, struct error *error)
{
    static const char *const paths[] = {"/proc", "/sys", "/dev", "/etc/resolv.conf"};
    int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root_fd < 0)
        return error_set(error, -errno, "root %s: %s", root, strerror(errno));

    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        int fd = open_inside(root_fd, paths[i]);
        int code = fd >= 0 && access(paths[i], F_OK) == 0 ? bind_at(paths[i], fd, false) : 0;
        if (fd >= 0)
            close(fd);
        if (code < 0) {
            close(root_fd);
            return error_set(error, code, "cannot mount %s into the root: %s", paths[i], strerror(-code));
        }
    }
    close(root_fd);
    return 0;
}

static int make_mount_point(const char *path, bool directory)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(part, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    if (directory)
        return mkdir(part, 0755) < 0 && errno != EEXIST ? -errno : 0;
    int fd = open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    close(fd);
    return 0;
}

static int bind_volume(const char *root, const struct root_volume *volume, struct error *error)
{
    char path[PATH_MAX];
    struct stat status;
    int code = join(path, root, volume->destination, error);
    if (code < 0)
        return code;
    if (stat(volume->source, &status) < 0)
        return error_set(error, -errno, "volume %s: %s", volume->source, strerror(errno));
    if (access(path, F_OK) < 0) {
        code = make_mount_point(path, S_ISDIR(status.st_mode));
        if (code < 0)
            return error_set(error, code, "volume %s: cannot make the mount point %s: %s", volume->source,
                             volume->destination, strerror(-code));
    }
    int fd = open(path, O_PATH | O_CLOEXEC);
    code = fd < 0 ? -errno : bind_at(volume->source, fd, volume->read_only);
    if (fd >= 0)
        close(fd);
    if (code < 0)
        return error_set(error, code, "volume %s: cannot mount it at %s: %s", volume->source,
                         volume->destination, strerror(-code));
    return 0;
}

/* The root's absolute path; empty for the host's own. */
static int resolve_root(const char *directory, char *resolved, struct error *error)
{
    struct stat status;
    resolved[0] = '\0';
    if (!directory)
        return 0;
    if (!realpath(directory, resolved) || stat(resolved, &status) < 0)
        return error_set(error, -errno, "root %s: %s", directory, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(error, -ENOTDIR, "root %s: not a directory", directory);
    if (strcmp(resolved, "/") == 0)
        resolved[0] = '\0';
    return 0;
}

int root_enter(const struct root *root, struct error *error)
{
    char resolved[PATH_MAX];
    int code = resolve_root(root->directory, resolved, error);
    if (code < 0 || (!resolved[0] && root->volume_count == 0))
        return code;

    code = enter_namespaces(error);
    if (code == 0 && resolved[0])
        code = bind_system(resolved, error);
    for (unsigned i = 0; code == 0 && i < root->volume_count; i++)
        code = bind_volume(resolved, &root->volumes[i], error);
    if (code == 0 && resolved[0] && (chroot(resolved) < 0 || chdir("/") < 0))
        code = error_set(error, -errno, "cannot change the root to %s: %s", resolved, strerror(errno));
    return code;
}
