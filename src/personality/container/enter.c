/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/call_filter.h"
#include "base/macros.h"
#include "personality/container/held.h"
#include "personality/container/process.h"
#include "personality/container/spawn.h"

/* What copying files takes: none that executes, maps code, or reaches anything but files. */
static const struct call_allowed calls[] = {
    {SYS_read, CALL_ANY, 0, 0, 0},
    {SYS_write, CALL_ANY, 0, 0, 0},
    {SYS_pwrite64, CALL_ANY, 0, 0, 0},
    {SYS_close, CALL_ANY, 0, 0, 0},
    {SYS_fstat, CALL_ANY, 0, 0, 0},
    {SYS_newfstatat, CALL_ANY, 0, 0, 0},
    {SYS_openat, CALL_ANY, 0, 0, 0},
    {SYS_openat2, CALL_ANY, 0, 0, 0},
    {SYS_getdents64, CALL_ANY, 0, 0, 0},
    {SYS_readlinkat, CALL_ANY, 0, 0, 0},
    {SYS_lseek, CALL_ANY, 0, 0, 0},
    {SYS_fcntl, CALL_BETWEEN, 1, F_DUPFD, F_SETFL},
    {SYS_fcntl, CALL_EITHER, 1, F_DUPFD_CLOEXEC, F_DUPFD_CLOEXEC},
    {SYS_renameat, CALL_ANY, 0, 0, 0},
    {SYS_unlinkat, CALL_ANY, 0, 0, 0},
    {SYS_mkdirat, CALL_ANY, 0, 0, 0},
    {SYS_mknodat, CALL_ANY, 0, 0, 0}, /* of FIFOs: the right to others is gone */
    {SYS_symlinkat, CALL_ANY, 0, 0, 0},
    {SYS_linkat, CALL_ANY, 0, 0, 0},
    {SYS_ftruncate, CALL_ANY, 0, 0, 0},
    {SYS_fchmod, CALL_ANY, 0, 0, 0},
    {SYS_fchownat, CALL_ANY, 0, 0, 0},
    {SYS_utimensat, CALL_ANY, 0, 0, 0},
    {SYS_geteuid, CALL_ANY, 0, 0, 0},
    /* Memory, and what a C library does by the way. */
    {SYS_brk, CALL_ANY, 0, 0, 0},
    {SYS_mmap, CALL_WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mprotect, CALL_WITHOUT, 2, PROT_EXEC, 0},
    {SYS_mremap, CALL_ANY, 0, 0, 0},
    {SYS_munmap, CALL_ANY, 0, 0, 0},
    {SYS_madvise, CALL_ANY, 0, 0, 0},
    {SYS_getrandom, CALL_ANY, 0, 0, 0},
    {SYS_clock_gettime, CALL_ANY, 0, 0, 0},
    {SYS_futex, CALL_ANY, 0, 0, 0},
    {SYS_rt_sigprocmask, CALL_ANY, 0, 0, 0},
    {SYS_rt_sigreturn, CALL_ANY, 0, 0, 0},
    {SYS_restart_syscall, CALL_ANY, 0, 0, 0},
    {SYS_exit_group, CALL_ANY, 0, 0, 0},
};

/* The container's root, and *process, a descriptor of its first process. */
static int open_container(const char *state_root, const char *id, int *process, uint64_t *namespaces,
                          struct error *error)
{
    struct held held = {.directory = -1};
    char path[64];
    int root = -1, code = held_take(&held, state_root, id, false, error);
    if (code < 0)
        return code;
    const pid_t pid = held.entry->record.pid;
    *process = state_open_process(&held.entry->record);
    held_release(&held);
    if (*process >= 0) {
        snprintf(path, sizeof path, "/proc/%d/root", pid);
        root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        code = root < 0 ? error_set(error, -errno, "cannot open %s: %s", path, strerror(errno)) : 0;
        *namespaces = spawn_different_namespaces(pid) & (CLONE_NEWUSER | CLONE_NEWNS);
    }
    /* while it lives, its number is no other's */
    if (*process < 0 || pidfd_send_signal(*process, 0, NULL, 0) < 0) {
        code = error_set(error, -EINVAL, "the container %s does not run", id);
        if (root >= 0)
            close(root);
    }
    return code < 0 ? code : root;
}

static int keep_file_rights(struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const uint32_t rights = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_FOWNER | 1u << CAP_FSETID;
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    if (syscall(SYS_capget, &header, data) < 0)
        return error_set(error, -errno, "cannot read this process's rights: %s", strerror(errno));
    data[0].permitted &= rights;
    data[0].effective = data[0].permitted;
    data[0].inheritable = data[1].permitted = data[1].effective = data[1].inheritable = 0;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &header, data) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(error, -errno, "cannot drop this process's rights: %s", strerror(errno));
    return 0;
}

static int keep_calls(struct error *error)
{
    return call_filter_enter(calls, ARRAY_SIZE(calls))
               ? 0
               : error_set(error, -errno, "cannot load a filter of system calls: %s", strerror(errno));
}

/* Nothing else of visor's from here on. */
static int keep_only(int root, const int *kept, unsigned count, struct error *error)
{
    int all[16];
    if (count >= ARRAY_SIZE(all))
        return error_set(error, -EINVAL, "too many descriptors for a container");
    memcpy(all, kept, count * sizeof *kept);
    all[count] = root;
    process_close_others(0, all, count + 1);
    prctl(PR_SET_DUMPABLE, 0); /* other ids have undone it */
    int code = keep_file_rights(error);
    return code ? code : keep_calls(error);
}

int container_enter_tree(const char *path, const int *kept, unsigned count, struct error *error)
{
    int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    /* An ordinary user has no right to; what is done next is done by descriptors in any case. */
    if (geteuid() == 0 && (fchdir(root) < 0 || chroot(".") < 0))
        return error_set(error, -errno, "cannot enter %s: %s", path, strerror(errno));
    int code = keep_only(root, kept, count, error);
    return code ? code : root;
}

int container_enter(const char *state_root, const char *id, const int *kept, unsigned count,
                    struct error *error)
{
    uint64_t namespaces = 0;
    int process = -1, root = open_container(state_root, id, &process, &namespaces, error);
    int code = root < 0 ? root : 0;
    prctl(PR_SET_DUMPABLE, 0);
    if (!code && namespaces & CLONE_NEWUSER && setns(process, CLONE_NEWUSER) < 0)
        code = error_set(error, -errno, "cannot join the container's user namespace: %s", strerror(errno));
    if (!code && namespaces & CLONE_NEWUSER)
        code = spawn_become_root(error);
    if (!code && namespaces & CLONE_NEWNS && setns(process, CLONE_NEWNS) < 0)
        code = error_set(error, -errno, "cannot join the container's mount namespace: %s", strerror(errno));
    if (process >= 0)
        close(process);
    if (!code && (fchdir(root) < 0 || chroot(".") < 0))
        code = error_set(error, -errno, "cannot enter the container's root: %s", strerror(errno));
    if (!code)
        code = keep_only(root, kept, count, error);
    return code ? code : root;
}
