/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/sched/types.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/oci_names.h"
#include "personality/container/terminal.h"

static bool given(const char *text)
{
    return text && text[0];
}

int process_open_label(const struct oci_process *process, int *label, struct error *error)
{
    char enabled = 'N';
    *label = -1;
    if (given(process->apparmor_profile)) {
        int fd = open("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && read(fd, &enabled, 1) != 1)
            enabled = 'N';
        if (fd >= 0)
            close(fd);
        if (enabled != 'Y')
            return error_set(error, -ENOTSUP, "process.apparmorProfile: this host does not run AppArmor");
        *label = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
        if (*label < 0)
            *label = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
    } else if (given(process->selinux_label)) {
        if (access("/sys/fs/selinux/status", F_OK) < 0)
            return error_set(error, -ENOTSUP, "process.selinuxLabel: this host does not run SELinux");
        *label = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
    } else {
        return 0;
    }
    return *label < 0 ? error_set(error, -errno, "cannot open /proc/self/attr/exec: %s", strerror(errno)) : 0;
}

static int write_label(const struct oci_process *process, int label, struct error *error)
{
    char text[512];
    bool apparmor = given(process->apparmor_profile);
    int length = snprintf(text, sizeof text, "%s%s", apparmor ? "exec " : "",
                          apparmor ? process->apparmor_profile : process->selinux_label);
    if (length >= (int)sizeof text)
        return error_set(error, -EINVAL, "process.%s: too long",
                         apparmor ? "apparmorProfile" : "selinuxLabel");
    int code = write(label, text, (size_t)length) < 0 ? -errno : 0;
    close(label);
    if (code < 0)
        return error_set(error, code, "process.%s: the kernel refuses \"%s\": %s",
                         apparmor ? "apparmorProfile" : "selinuxLabel",
                         apparmor ? process->apparmor_profile : process->selinux_label, strerror(-code));
    return 0;
}

int process_set_oom_score(const struct oci_process *process, struct error *error)
{
    if (!process->has_oom_score_adj)
        return 0;
    char text[16];
    int length = snprintf(text, sizeof text, "%d", process->oom_score_adj);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    int code = fd < 0 || write(fd, text, (size_t)length) < 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    return code < 0
               ? error_set(error, code, "process.oomScoreAdj: cannot set it to %s: %s", text, strerror(-code))
               : 0;
}

int process_leave_keyring(struct error *error)
{
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0)
        return 0;
    if (errno == ENOSYS || errno == EPERM) /* no keyrings here, or a filter keeps all from them */
        return 0;
    error_set(error, -errno, "cannot make a session keyring: %s", strerror(errno));
    if (error->code == -EDQUOT)
        error_hint(error, "this user has as many keys as he may, see /proc/sys/kernel/keys");
    return error->code;
}

static int set_memory_policy(const struct oci_linux *platform, struct error *error)
{
    bool nodes = platform->memory_policy.nodes && platform->memory_policy.nodes[0];
    /* the kernel takes one less than it is told for the number of bits */
    if (!platform->has_memory_policy ||
        syscall(SYS_set_mempolicy, platform->memory_policy.number,
                nodes ? platform->memory_policy.list.bits : NULL, nodes ? NUMBER_LIST_MAX + 1 : 0) == 0)
        return 0;
    return error_set(error, -errno, "linux.memoryPolicy: the kernel refuses %s of the nodes \"%s\": %s",
                     platform->memory_policy.mode, nodes ? platform->memory_policy.nodes : "",
                     strerror(errno));
}

int process_take_platform(const struct oci_linux *platform, struct error *error)
{
    uint64_t value;
    if (platform->personality.domain &&
        oci_name_find(oci_personality_names, platform->personality.domain, &value))
        personality(value);
    return set_memory_policy(platform, error);
}

int process_set_affinity(const struct oci_process *process, bool inside, struct error *error)
{
    const char *text = inside ? process->exec_cpu_affinity.final : process->exec_cpu_affinity.initial;
    const struct number_list *list =
        inside ? &process->exec_cpu_affinity.final_list : &process->exec_cpu_affinity.initial_list;
    if (!given(text) || syscall(SYS_sched_setaffinity, 0, sizeof list->bits, list->bits) >= 0)
        return 0;
    return error_set(error, -errno, "process.execCPUAffinity.%s: the kernel refuses \"%s\": %s",
                     inside ? "final" : "initial", text, strerror(errno));
}

static int set_scheduler(const struct oci_scheduler *scheduler, struct error *error)
{
    struct sched_attr attributes = {
        .size = sizeof attributes,
        .sched_policy = scheduler->policy_number,
        .sched_flags = scheduler->flag_bits,
        .sched_nice = scheduler->nice,
        .sched_priority = (uint32_t)scheduler->priority,
        .sched_runtime = scheduler->runtime,
        .sched_deadline = scheduler->deadline,
        .sched_period = scheduler->period,
    };
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) < 0)
        return error_set(error, -errno, "process.scheduler: the kernel refuses %s: %s", scheduler->policy,
                         strerror(errno));
    return 0;
}

static int set_limits(const struct oci_process *process, struct error *error)
{
    for (unsigned i = 0; i < process->rlimits_count; i++) {
        const struct oci_rlimit *limit = &process->rlimits[i];
        struct rlimit value = {.rlim_cur = limit->soft, .rlim_max = limit->hard};
        if (setrlimit((__rlimit_resource_t)limit->resource, &value) < 0) {
            error_set(error, -errno, "process.rlimits[%u]: cannot set %s to %llu: %s", i, limit->type,
                      (unsigned long long)limit->hard, strerror(errno));
            if (error->code == -EPERM)
                error_hint(error, "it is above the limit that visor itself has, see \"ulimit -aH\"");
            return error->code;
        }
    }
    int code = process->has_scheduler ? set_scheduler(&process->scheduler, error) : 0;
    if (code == 0 && process->has_io_priority &&
        syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
                IOPRIO_PRIO_VALUE(process->io_priority.class_number, process->io_priority.priority)) < 0)
        code = error_set(error, -errno, "process.ioPriority: the kernel refuses %s: %s",
                         process->io_priority.class, strerror(errno));
    if (process->user.has_umask)
        umask(process->user.umask);
    return code;
}

static void drop_bounding(uint64_t keep)
{
    for (unsigned capability = 0; capability < 64; capability++) {
        if (!(keep >> capability & 1) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno == EINVAL)
            return; /* the kernel has no more */
    }
}

/* Those of the sets that the process can have; what it cannot is no error, says the specification. */
static int set_capabilities(const struct oci_capabilities *capabilities, struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return error_set(error, -errno, "cannot ask for capabilities: %s", strerror(errno));
    uint64_t had = data[0].permitted | (uint64_t)data[1].permitted << 32;
    uint64_t permitted = capabilities->sets[OCI_CAPABILITY_PERMITTED] & had;
    uint64_t effective = capabilities->sets[OCI_CAPABILITY_EFFECTIVE] & permitted;
    uint64_t inheritable = capabilities->sets[OCI_CAPABILITY_INHERITABLE] & had;
    for (unsigned i = 0; i < 2; i++)
        data[i] = (struct __user_cap_data_struct){
            .effective = (uint32_t)(effective >> 32 * i),
            .permitted = (uint32_t)(permitted >> 32 * i),
            .inheritable = (uint32_t)(inheritable >> 32 * i),
        };
    if (syscall(SYS_capset, &header, data) < 0)
        return error_set(error, -errno, "process.capabilities: cannot set them: %s", strerror(errno));
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    uint64_t ambient = capabilities->sets[OCI_CAPABILITY_AMBIENT] & permitted & inheritable;
    for (unsigned capability = 0; ambient; capability++, ambient >>= 1) {
        if (ambient & 1)
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
    }
    return 0;
}

/* An ordinary user's user namespace may forbid it: then the groups stay those of who made the container, and
 * that is as asked for if no others than the process's own were. */
static int set_groups(const struct oci_user *user, struct error *error)
{
    if (setgroups(user->additional_gids_count, user->additional_gids) == 0)
        return 0;
    int code = -errno;
    unsigned others = 0;
    for (unsigned i = 0; i < user->additional_gids_count; i++)
        others += user->additional_gids[i] != user->gid;
    if (code == -EPERM && !others)
        return 0;
    return error_set(error, code, "process.user.additionalGids: cannot set them: %s", strerror(-code));
}

static int set_identity(const struct oci_process *process, struct error *error)
{
    const struct oci_user *user = &process->user;
    drop_bounding(process->capabilities.sets[OCI_CAPABILITY_BOUNDING]);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return error_set(error, -errno, "cannot keep capabilities: %s", strerror(errno));
    int code = set_groups(user, error);
    if (code < 0)
        return code;
    if (setresgid(user->gid, user->gid, user->gid) < 0)
        return error_set(error, -errno, "process.user.gid: cannot become group %u: %s", user->gid,
                         errno == EINVAL ? "the user namespace has no such group" : strerror(errno));
    if (setresuid(user->uid, user->uid, user->uid) < 0)
        return error_set(error, -errno, "process.user.uid: cannot become user %u: %s", user->uid,
                         errno == EINVAL ? "the user namespace has no such user" : strerror(errno));
    prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    code = set_capabilities(&process->capabilities, error);
    if (code == 0 && process->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        code = error_set(error, -errno, "process.noNewPrivileges: %s", strerror(errno));
    return code;
}

/* A directory of the host that was left open somewhere is "(unreachable)", and must not be entered. */
static int enter_directory(const struct oci_process *process, struct error *error)
{
    char path[PATH_MAX];
    if (chdir(process->cwd) < 0)
        return error_set(error, -errno, "process.cwd: cannot change to %s: %s", process->cwd,
                         strerror(errno));
    if (syscall(SYS_getcwd, path, sizeof path) < 0 || path[0] != '/')
        return error_set(error, -EPERM, "process.cwd: %s is outside of the container's root", process->cwd);
    return 0;
}

/* With system calls that old filters know, since one may be at work already. All ids are one user's. */
static int check_program(const char *path)
{
    struct stat status;
    if (stat(path, &status) < 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    return access(path, X_OK) < 0 ? -errno : 0;
}

static int find_program(const struct oci_process *process, char **path, struct error *error)
{
    const char *name = process->args[0], *directories = NULL;
    int code = -ENOENT;
    for (unsigned i = 0; i < process->environment_count; i++) {
        if (strncmp(process->environment[i], "PATH=", 5) == 0)
            directories = process->environment[i] + 5;
    }
    if (strchr(name, '/')) {
        code = check_program(name);
        if (code == 0 && !(*path = strdup(name)))
            code = -ENOMEM;
        return code < 0 ? error_set(error, code, "exec: \"%s\": %s", name, strerror(-code)) : 0;
    }
    for (const char *d = directories ? directories : "/bin:/usr/bin"; name[0] && *d;) {
        int length = (int)strcspn(d, ":");
        char candidate[PATH_MAX];
        int size =
            snprintf(candidate, sizeof candidate, "%.*s/%s", length ? length : 1, length ? d : ".", name);
        int found = size < (int)sizeof candidate ? check_program(candidate) : -ENAMETOOLONG;
        if (found == 0)
            return (*path = strdup(candidate)) ? 0 : error_set(error, -ENOMEM, "out of memory");
        if (found == -EACCES)
            code = found;
        d += length + (d[length] == ':');
    }
    return error_set(error, code, "exec: \"%s\": %s", name,
                     code == -EACCES ? "permission denied" : "executable file not found in $PATH");
}

static bool is_null(const struct stat *status)
{
    return S_ISCHR(status->st_mode) && status->st_rdev == makedev(1, 3);
}

void process_take_null(void)
{
    struct stat status;
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
        if (fstat(stream, &status) < 0 || !is_null(&status) || stat("/dev/null", &status) < 0 ||
            !is_null(&status))
            continue;
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &status) == 0 && is_null(&status))
            dup2(fd, stream);
        if (fd >= 0)
            close(fd);
    }
}

void process_close_on_exec(unsigned first)
{
    if (syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
        return;
    for (unsigned fd = first; fd < 65536; fd++)
        fcntl((int)fd, F_SETFD, FD_CLOEXEC);
}

/* `kept` is short and not sorted. */
void process_close_others(unsigned preserved, const int *kept, unsigned count)
{
    for (unsigned next = STDERR_FILENO + 1 + preserved;;) {
        unsigned nearest = ~0U;
        for (unsigned i = 0; i < count; i++) {
            if (kept[i] >= (int)next && (unsigned)kept[i] < nearest)
                nearest = (unsigned)kept[i];
        }
        if (nearest > next)
            syscall(SYS_close_range, next, nearest == ~0U ? ~0U : nearest - 1, 0);
        if (nearest == ~0U)
            return;
        next = nearest + 1;
    }
}

void process_close_rest(unsigned preserved, const int *kept, unsigned count,
                        const struct process_program *program)
{
    int all[8];
    unsigned all_count = 0;
    for (unsigned i = 0; i < count && all_count < ARRAY_SIZE(all); i++)
        all[all_count++] = kept[i];
    const int *needed = program->execution ? linux_execution_descriptors(program->execution) : NULL;
    for (unsigned i = 0; needed && i < LINUX_EXECUTION_DESCRIPTORS && all_count < ARRAY_SIZE(all); i++)
        all[all_count++] = needed[i];
    process_close_others(preserved, all, all_count);
}

int process_take(const struct oci_process *process, int terminal, int label, bool *inside,
                 struct error *error)
{
    int code = process->terminal ? terminal_take(terminal, error) : 0;
    if (code == 0)
        code = set_limits(process, error);
    if (code == 0 && label >= 0)
        code = write_label(process, label, error);
    if (code < 0)
        return code;
    code = enter_directory(process, error);
    *inside = code == 0;
    return code == -EACCES ? 0 : code;
}

int process_become(const struct oci_process *process, bool inside, struct process_program *program,
                   struct error *error)
{
    int code = set_identity(process, error);
    if (code == 0 && !inside)
        code = enter_directory(process, error);
    return code < 0 ? code : find_program(process, &program->path, error);
}

int process_execute(const struct oci_process *process, const struct process_program *program,
                    struct error *error)
{
    static char *const nothing[] = {NULL};
    int code;
    if (program->execution) {
        code = linux_execution_run(program->execution);
    } else {
        execve(program->path, (char **)process->args,
               process->environment ? (char **)process->environment : nothing);
        code = -errno;
    }
    return error_set(error, code, "exec: \"%s\": %s", program->path, strerror(-code));
}
