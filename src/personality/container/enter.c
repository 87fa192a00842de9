/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/held.h"
#include "personality/container/process.h"
#include "personality/container/spawn.h"

/* Who copies files needs none of these. */
static const int forbidden[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(clone3),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(bpf),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(socket),
    SCMP_SYS(connect),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(clone),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(kexec_load),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(pkey_mprotect),
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

static int forbid_execution(struct error *error)
{
    static const int mappers[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int code = filter ? 0 : -ENOMEM;
    for (unsigned i = 0; !code && i < ARRAY_SIZE(forbidden); i++) {
        if (forbidden[i] >= 0) /* others are of another processor */
            code = seccomp_rule_add(filter, refuse, forbidden[i], 0);
    }
    for (unsigned i = 0; !code && i < ARRAY_SIZE(mappers); i++)
        code = seccomp_rule_add(filter, refuse, mappers[i], 1,
                                SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    if (!code)
        code = seccomp_load(filter);
    seccomp_release(filter);
    return code ? error_set(error, code, "cannot load a filter of system calls: %s", strerror(-code)) : 0;
}

int container_enter(const char *state_root, const char *id, const int *kept, unsigned count,
                    struct error *error)
{
    uint64_t namespaces = 0;
    int all[16], process = -1, root = open_container(state_root, id, &process, &namespaces, error);
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
    if (!code && count >= ARRAY_SIZE(all))
        code = error_set(error, -EINVAL, "too many descriptors for a container");
    if (code)
        return code;
    memcpy(all, kept, count * sizeof *kept);
    all[count] = root;
    process_close_others(0, all, count + 1);
    prctl(PR_SET_DUMPABLE, 0); /* other ids have undone it */
    code = keep_file_rights(error);
    if (!code)
        code = forbid_execution(error);
    return code ? code : root;
}
