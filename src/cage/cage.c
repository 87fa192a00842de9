/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cage: see cage.h; the process that is to enter it, and what its keeper knows of it. */
#include "cage/cage.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cage/private.h"

#define ALONE_TRIES 10000
#define ALONE_WAIT  20000 /* ns */

int cage_missing(const struct cage *cage, int code, const char *what, struct error *error)
{
    if (!cage->options.required)
        return 0;
    error_set(error, code, "the host does not give the cage %s: %s", what, strerror(-code));
    error_hint(error, "with --no-cage the machine runs without it");
    return code;
}

int cage_new(struct cage **out, const struct cage_options *options, struct error *error)
{
    struct cage *cage = calloc(1, sizeof *cage);
    if (!cage)
        return error_set(error, -ENOMEM, "out of memory");
    cage->options = *options;
    cage->keeper_fd = cage->spaces = -1;
    for (unsigned i = 0; i < CAGE_SPACES; i++)
        cage->prepared[i] = -1;
    cage->page = mmap(NULL, sizeof *cage->page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (cage->page == MAP_FAILED) {
        free(cage);
        return error_set(error, -ENOMEM, "out of memory");
    }
    *out = cage;
    return 0;
}

void cage_free(struct cage *cage)
{
    if (!cage)
        return;
    cage_prepared(cage);
    munmap(cage->page, sizeof *cage->page);
    free(cage);
}

/* -- a process for it ------------------------------------------------------------------------------------ */

int cage_die_with_keeper(const struct cage *cage)
{
    struct pollfd keeper = {.fd = cage->keeper_fd, .events = POLLIN};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return poll(&keeper, 1, 0) > 0 ? -ESRCH : 0; /* it was too late to be told */
}

/*
 * The kernel's clone() as libc's fork() makes it, with more flags. What libc has of the thread in the kernel
 * goes on: where its id is kept, and the list of robust locks. fork() itself takes no flags, and its handlers
 * are for what other threads hold: there is one.
 */
static pid_t clone_process(unsigned flags)
{
    int *id = NULL;
    void *robust = NULL;
    size_t size = 0;
    if (prctl(PR_GET_TID_ADDRESS, &id) < 0)
        id = NULL;
    if (syscall(SYS_get_robust_list, 0, &robust, &size) < 0)
        robust = NULL;
    if (id)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
    /* Where the id is comes fourth or fifth, by the processor; the other is not looked at. */
    const long pid = syscall(SYS_clone, (unsigned long)(flags | SIGCHLD), NULL, NULL, id, id);
    if (!pid && robust)
        syscall(SYS_set_robust_list, robust, size);
    return pid < 0 ? -errno : (pid_t)pid;
}

static bool may_make_namespaces(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    return !syscall(SYS_capget, &header, data) && (data[0].effective & 1u << CAP_SYS_ADMIN);
}

static int write_file(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    const int code = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return code;
}

/* In a new user namespace: the ids that were, and no others. */
static int map_own_ids(uid_t user, gid_t group)
{
    char map[40];
    int code = write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1\n", user, user);
    if (!code)
        code = write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1\n", group, group);
    return code ? code : write_file("/proc/self/gid_map", map);
}

/* What fails ends the child at once, and its keeper hears of that. Some hosts give a user namespace and no
 * rights in it, not even to its ids: what the kernel knows the process by is the same in any case. */
static void child_begin(struct cage *cage, unsigned flags, uid_t user, gid_t group)
{
    int code = cage_die_with_keeper(cage);
    if (!code && flags & CLONE_NEWUSER) {
        code = map_own_ids(user, group);
        if (code && !cage->options.required) {
            flags &= ~(unsigned)CLONE_NEWUSER;
            code = 0;
        }
    }
    if (code) {
        fprintf(stderr, "visor: cannot make a process for the machine: %s\n", strerror(-code));
        _exit(1);
    }
    cage->parts = (flags & CLONE_NEWUSER ? PART_USER : 0) | (flags & CLONE_NEWPID ? PART_PID : 0);
}

pid_t cage_fork(struct cage *cage, struct error *error)
{
    const uid_t user = geteuid();
    const gid_t group = getegid();
    atomic_store(&cage->page->parts, 0);
    atomic_store(&cage->page->forbidden, 0);
    cage->keeper = getpid();
    unsigned flags = 0;
    if (!CAGE_SANITIZED)
        flags = (may_make_namespaces() ? 0 : CLONE_NEWUSER) | (cage->options.terminal ? 0 : CLONE_NEWPID);
    cage->keeper_fd = (int)syscall(SYS_pidfd_open, cage->keeper, 0);
    if (cage->keeper_fd < 0)
        return error_set(error, -errno, "cannot make a process: %s", strerror(errno));
    int spaces = -1;
    if (!CAGE_SANITIZED && !(flags & CLONE_NEWUSER))
        spaces_open(cage, &spaces);
    pid_t pid = CAGE_SANITIZED ? fork() : clone_process(flags);
    if (pid < 0 && flags) {
        int code = cage_missing(cage, pid, "namespaces", error);
        if (code) {
            if (spaces >= 0)
                close(spaces);
            close(cage->keeper_fd);
            return code;
        }
        flags = 0;
        pid = clone_process(flags);
    }
    if (!pid) {
        if (spaces >= 0)
            close(cage->spaces);
        cage->spaces = spaces;
        child_begin(cage, flags, user, group);
        return 0;
    }
    if (spaces >= 0)
        close(spaces);
    close(cage->keeper_fd);
    cage->keeper_fd = -1;
    return pid > 0 ? pid : error_set(error, pid, "cannot make a process: %s", strerror(-pid));
}

unsigned cage_descriptors(const struct cage *cage, int fds[CAGE_DESCRIPTORS])
{
    unsigned count = 0;
    fds[count++] = cage->keeper_fd;
    if (cage->spaces >= 0)
        fds[count++] = cage->spaces;
    return count;
}

/* -- entering -------------------------------------------------------------------------------------------- */

/* Who has waited for the end of a thread is told of it a moment before the kernel has forgotten it. */
static bool is_alone(void)
{
    for (unsigned left = ALONE_TRIES; left; left--) {
        if (unshare(CLONE_THREAD) == 0)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = ALONE_WAIT}, NULL);
    }
    return false;
}

int cage_enter(struct cage *cage, unsigned engines, struct error *error)
{
    if (CAGE_SANITIZED)
        return cage_missing(cage, -EOPNOTSUPP, "anything: visor was built with a sanitizer", error);
    if (!is_alone())
        return error_set(error, -EINVAL, "only a process with one thread can enter the cage");
    int code = walls_descriptors(error);
    if (!code)
        code = walls_namespaces(cage, error);
    if (!code)
        code = walls_root(cage, error);
    if (!code)
        code = walls_limits(cage, error);
    if (!code)
        code = walls_rights(cage, error);
    if (code)
        return code;
    code = cage_die_with_keeper(cage); /* which other ids have undone */
    if (code)
        return error_set(error, code, "the domain's process has ended");
    close(cage->keeper_fd);
    cage->keeper_fd = -1;
    cage->parts |= PART_FILTER;
    atomic_store(&cage->page->parts, cage->parts);
    code = cage_filter_enter(cage->page, engines, error);
    if (code)
        atomic_store(&cage->page->parts, cage->parts & ~(unsigned)PART_FILTER);
    return code && !cage->options.required ? 0 : code;
}

/* -- what the keeper knows ------------------------------------------------------------------------------- */

void cage_parts(const struct cage *cage, struct cage_parts *parts)
{
    const uint32_t told = atomic_load(&cage->page->parts);
    *parts = (struct cage_parts){
        .user = told & PART_USER,
        .pid = told & PART_PID,
        .mount = told & PART_MOUNT,
        .network = told & PART_NETWORK,
        .ipc = told & PART_IPC,
        .uts = told & PART_UTS,
        .cgroup = told & PART_CGROUP,
        .rights = told & PART_RIGHTS,
        .limits = told & PART_LIMITS,
        .filter = told & PART_FILTER,
    };
}

int cage_forbidden(const struct cage *cage)
{
    const uint32_t told = atomic_load(&cage->page->forbidden);
    return told && told <= INT32_MAX ? (int)told - 1 : -1;
}

int cage_try(struct cage_parts *parts, struct error *error)
{
    const struct cage_options options = {0};
    struct cage *cage;
    int code = cage_new(&cage, &options, error);
    if (code)
        return code;
    const pid_t pid = cage_fork(cage, error);
    if (!pid) {
        close_range(STDERR_FILENO + 1, ~0u, 0);
        cage->keeper_fd = -1;
        _exit(cage_enter(cage, CAGE_ENGINE_KVM, error) != 0);
    }
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    cage_parts(cage, parts);
    cage_free(cage);
    if (pid < 0)
        return pid;
    return status ? error_set(error, -EPERM, "a process could not enter the cage") : 0;
}
