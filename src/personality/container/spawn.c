/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/channel.h"
#include "personality/container/oci_names.h"
#include "personality/container/process.h"

/* User first, since it gives the rights to join the others; mount last, since paths mean something else then.
 */
static const uint64_t join_order[] = {CLONE_NEWUSER, CLONE_NEWIPC,  CLONE_NEWUTS,    CLONE_NEWNET,
                                      CLONE_NEWPID,  CLONE_NEWTIME, CLONE_NEWCGROUP, CLONE_NEWNS};

static const char *namespace_name(uint64_t flag)
{
    for (const struct oci_name *n = oci_namespace_names; n->name; n++) {
        if (n->value == flag)
            return n->name;
    }
    return "unknown";
}

static int open_joined(struct spawn *spawn, const struct oci_namespace *namespace, struct error *error)
{
    int fd = open(namespace->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "linux.namespaces: cannot open the %s namespace %s: %s",
                         namespace->type, namespace->path, strerror(errno));
    if ((uint64_t)ioctl(fd, NS_GET_NSTYPE) != namespace->flag) {
        close(fd);
        return error_set(error, -EINVAL, "linux.namespaces: %s is not a %s namespace", namespace->path,
                         namespace->type);
    }
    spawn->joined[spawn->joined_count].flag = namespace->flag;
    spawn->joined[spawn->joined_count].path = namespace->path;
    spawn->joined[spawn->joined_count++].fd = fd;
    return 0;
}

int spawn_prepare(struct spawn *spawn, const struct oci_config *config, int cgroup, struct error *error)
{
    const struct oci_linux *platform = &config->platform;
    uint64_t created = platform->new_namespaces, joined = platform->joined_namespaces;
    *spawn = (struct spawn){.platform = platform, .process = &config->process, .cgroup = cgroup};
    spawn->middle = (joined & (CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWTIME)) || (created & CLONE_NEWTIME) ||
                    (created & CLONE_NEWUSER && joined);
    /* a cgroup namespace begins where its maker is: the child makes it once it is in its cgroup; and who
     * makes a time namespace is not in it, but his children are */
    spawn->created = created & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWTIME);
    for (unsigned i = 0; i < ARRAY_SIZE(join_order); i++) {
        for (unsigned j = 0; j < platform->namespaces_count; j++) {
            const struct oci_namespace *namespace = &platform->namespaces[j];
            if (namespace->flag != join_order[i] || !namespace->path)
                continue;
            int code = open_joined(spawn, namespace, error);
            if (code < 0) {
                spawn_release(spawn);
                return code;
            }
        }
    }
    return 0;
}

void spawn_release(struct spawn *spawn)
{
    for (unsigned i = 0; i < spawn->joined_count; i++)
        close(spawn->joined[i].fd);
    spawn->joined_count = 0;
}

static int join_all(struct spawn *spawn, struct error *error)
{
    for (unsigned i = 0; i < spawn->joined_count; i++) {
        if (setns(spawn->joined[i].fd, (int)spawn->joined[i].flag) < 0)
            return error_set(error, -errno, "linux.namespaces: cannot join the %s namespace %s: %s",
                             namespace_name(spawn->joined[i].flag), spawn->joined[i].path, strerror(errno));
    }
    return 0;
}

int spawn_join(struct spawn *spawn, struct error *error)
{
    int code = spawn->middle ? 0 : join_all(spawn, error);
    spawn_release(spawn);
    if (code == 0 && spawn->platform->new_namespaces & CLONE_NEWCGROUP && unshare(CLONE_NEWCGROUP) < 0)
        code =
            error_set(error, -errno, "linux.namespaces: cannot make a cgroup namespace: %s", strerror(errno));
    return code;
}

/* As fork(), with namespaces; `parent`: as a child of the caller's parent. */
static pid_t make(uint64_t flags, int cgroup, bool parent, struct error *error)
{
    struct clone_args arguments = {
        .flags = flags | (parent ? CLONE_PARENT : 0) | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
        .exit_signal = parent ? 0 : SIGCHLD,
        .cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
    };
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid >= 0)
        return (pid_t)pid;
    error_set(error, -errno, "cannot make the container's namespaces: %s", strerror(errno));
    if (error->code == -EPERM)
        error_hint(error, flags & CLONE_NEWUSER
                              ? "this host forbids user namespaces to ordinary users"
                              : "it takes root's rights, or a user namespace among linux.namespaces");
    else if (error->code == -ENOSPC)
        error_hint(error, "a limit of namespaces is reached: see /proc/sys/user");
    return error->code;
}

static int make_time(const struct oci_linux *platform, struct error *error)
{
    char text[160];
    int length = 0;
    if (unshare(CLONE_NEWTIME) < 0)
        return error_set(error, -errno, "linux.namespaces: cannot make a time namespace: %s",
                         strerror(errno));
    if (platform->has_monotonic)
        length = snprintf(text, sizeof text, "monotonic %lld %u\n", (long long)platform->monotonic.seconds,
                          platform->monotonic.nanoseconds);
    if (platform->has_boottime)
        length += snprintf(text + length, sizeof text - (size_t)length, "boottime %lld %u\n",
                           (long long)platform->boottime.seconds, platform->boottime.nanoseconds);
    int fd = length ? open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC) : -1;
    int code = length && (fd < 0 || write(fd, text, (size_t)length) < 0) ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return code < 0 ? error_set(error, code, "linux.timeOffsets: %s", strerror(-code)) : 0;
}

/* Waits for what the process in the middle has to say. */
static pid_t hear(int channel, pid_t middle, struct error *error)
{
    struct channel_message message;
    channel_receive(channel, &message);
    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
        ;
    close(channel);
    if (message.kind == CHANNEL_SPAWNED)
        return message.pid;
    if (message.kind == CHANNEL_ERROR) {
        *error = message.error;
        return message.error.code;
    }
    return error_set(error, -EPIPE, "the process that joins namespaces has ended early");
}

/* In the middle: tells who was made, or why not. */
static void tell(int channel, pid_t pid, const struct error *error)
{
    if (pid < 0)
        channel_send_error(channel, error);
    else
        channel_send_pid(channel, CHANNEL_SPAWNED, pid);
    _exit(0);
}

static int enter_joined(struct spawn *spawn, struct error *error)
{
    int code = process_set_oom_score(spawn->process, error);
    if (code == 0)
        code = join_all(spawn, error);
    if (code == 0 && spawn->platform->new_namespaces & CLONE_NEWTIME)
        code = make_time(spawn->platform, error);
    /* Who is in the joined namespaces already may have all rights over them, and may not look into what comes
     * in with the host's root. A new user namespace is nobody else's, and its maps are written by way of
     * /proc. */
    if (code == 0 && !(spawn->created & CLONE_NEWUSER))
        prctl(PR_SET_DUMPABLE, 0);
    return code;
}

static pid_t through_middle(struct spawn *spawn, struct error *error)
{
    int ends[2];
    int code = channel_pair(ends, error);
    if (code < 0)
        return code;
    pid_t middle = fork();
    if (middle != 0) {
        close(ends[1]);
        if (middle > 0)
            return hear(ends[0], middle, error);
        close(ends[0]);
        return error_set(error, -errno, "cannot start a process: %s", strerror(errno));
    }
    close(ends[0]);
    code = enter_joined(spawn, error);
    pid_t pid = code < 0 ? code : make(spawn->created, spawn->cgroup, true, error);
    if (pid != 0)
        tell(ends[1], pid, error);
    close(ends[1]);
    return 0;
}

pid_t spawn_process(struct spawn *spawn, struct error *error)
{
    return spawn->middle ? through_middle(spawn, error) : make(spawn->created, spawn->cgroup, false, error);
}

pid_t spawn_child(int cgroup, struct error *error)
{
    return make(0, cgroup, false, error);
}

pid_t spawn_sibling(struct error *error)
{
    pid_t pid = make(0, -1, true, error);
    if (pid >= 0 || (pid != -ENOSYS && pid != -EPERM))
        return pid;
    /* a filter that is at work already may know this one only */
    long made = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    return made < 0 ? error_set(error, -errno, "cannot start a process: %s", strerror(errno)) : (pid_t)made;
}

int spawn_become_root(struct error *error)
{
    setgroups(0, NULL); /* may be forbidden there */
    if ((setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) && errno != EINVAL)
        return error_set(error, -errno, "cannot become root of the user namespace: %s", strerror(errno));
    return 0;
}

uint64_t spawn_different_namespaces(pid_t pid)
{
    uint64_t flags = 0;
    for (const struct oci_name *n = oci_namespace_names; n->name; n++) {
        char own[64], its[64];
        struct stat a, b;
        snprintf(own, sizeof own, "/proc/self/ns/%s", oci_namespace_file(n->value));
        snprintf(its, sizeof its, "/proc/%d/ns/%s", (int)pid, oci_namespace_file(n->value));
        if (stat(own, &a) == 0 && stat(its, &b) == 0 && a.st_ino != b.st_ino)
            flags |= n->value;
    }
    return flags;
}
