/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visor's own profile. What is in no row here has error ENOSYS, as if the kernel were older: programs then do
 * without, which they would not at EPERM.
 *
 * What reaches beyond a container is given to who has the capability for it, since the kernel asks for that
 * anyway. Some calls nobody is given: keyrings have no namespace; io_uring's operations pass by any filter.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/macros.h"
#include "personality/container/seccomp.h"

static const char *const allowed[] = {
    "_llseek",
    "_newselect",
    "accept",
    "accept4",
    "access",
    "adjtimex",
    "alarm",
    "arch_prctl",
    "bind",
    "brk",
    "cachestat",
    "capget",
    "capset",
    "chdir",
    "chmod",
    "chown",
    "chown32",
    "clock_adjtime",
    "clock_adjtime64",
    "clock_getres",
    "clock_getres_time64",
    "clock_gettime",
    "clock_gettime64",
    "clock_nanosleep",
    "clock_nanosleep_time64",
    "close",
    "close_range",
    "connect",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fadvise64_64",
    "fallocate",
    "fanotify_mark",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "fcntl",
    "fcntl64",
    "fdatasync",
    "fgetxattr",
    "file_getattr",
    "file_setattr",
    "flistxattr",
    "flock",
    "fork",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstat64",
    "fstatat64",
    "fstatfs",
    "fstatfs64",
    "fsync",
    "ftruncate",
    "ftruncate64",
    "futex",
    "futex_requeue",
    "futex_time64",
    "futex_wait",
    "futex_waitv",
    "futex_wake",
    "futimesat",
    "get_mempolicy",
    "get_robust_list",
    "get_thread_area",
    "getcpu",
    "getcwd",
    "getdents",
    "getdents64",
    "getegid",
    "getegid32",
    "geteuid",
    "geteuid32",
    "getgid",
    "getgid32",
    "getgroups",
    "getgroups32",
    "getitimer",
    "getpeername",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresgid32",
    "getresuid",
    "getresuid32",
    "getrlimit",
    "getrusage",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "getuid32",
    "getxattr",
    "getxattrat",
    "inotify_add_watch",
    "inotify_init",
    "inotify_init1",
    "inotify_rm_watch",
    "io_cancel",
    "io_destroy",
    "io_getevents",
    "io_pgetevents",
    "io_pgetevents_time64",
    "io_setup",
    "io_submit",
    "ioctl",
    "ioprio_get",
    "ioprio_set",
    "ipc",
    "kill",
    "landlock_add_rule",
    "landlock_create_ruleset",
    "landlock_restrict_self",
    "lchown",
    "lchown32",
    "lgetxattr",
    "link",
    "linkat",
    "listen",
    "listxattr",
    "listxattrat",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lsm_get_self_attr",
    "lsm_list_modules",
    "lsm_set_self_attr",
    "lstat",
    "lstat64",
    "madvise",
    "map_shadow_stack",
    "mbind",
    "membarrier",
    "memfd_create",
    "memfd_secret",
    "migrate_pages",
    "mincore",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mmap2",
    "modify_ldt",
    "move_pages",
    "mprotect",
    "mq_getsetattr",
    "mq_notify",
    "mq_open",
    "mq_timedreceive",
    "mq_timedreceive_time64",
    "mq_timedsend",
    "mq_timedsend_time64",
    "mq_unlink",
    "mremap",
    "mseal",
    "msgctl",
    "msgget",
    "msgrcv",
    "msgsnd",
    "msync",
    "munlock",
    "munlockall",
    "munmap",
    "name_to_handle_at",
    "nanosleep",
    "newfstatat",
    "nice",
    "open",
    "openat",
    "openat2",
    "pause",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pipe",
    "pipe2",
    "pkey_alloc",
    "pkey_free",
    "pkey_mprotect",
    "poll",
    "ppoll",
    "ppoll_time64",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "prlimit64",
    "process_mrelease",
    "process_vm_readv",
    "process_vm_writev",
    "pselect6",
    "pselect6_time64",
    "ptrace",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readdir",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "remap_file_pages",
    "removexattr",
    "removexattrat",
    "rename",
    "renameat",
    "renameat2",
    "restart_syscall",
    "rmdir",
    "rseq",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_sigtimedwait_time64",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "sched_yield",
    "seccomp",
    "select",
    "semctl",
    "semget",
    "semop",
    "semtimedop",
    "semtimedop_time64",
    "sendfile",
    "sendfile64",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "set_mempolicy",
    "set_mempolicy_home_node",
    "set_robust_list",
    "set_thread_area",
    "set_tid_address",
    "setfsgid",
    "setfsgid32",
    "setfsuid",
    "setfsuid32",
    "setgid",
    "setgid32",
    "setgroups",
    "setgroups32",
    "setitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setregid32",
    "setresgid",
    "setresgid32",
    "setresuid",
    "setresuid32",
    "setreuid",
    "setreuid32",
    "setrlimit",
    "setsid",
    "setsockopt",
    "setuid",
    "setuid32",
    "setxattr",
    "setxattrat",
    "sgetmask",
    "shmat",
    "shmctl",
    "shmdt",
    "shmget",
    "shutdown",
    "sigaction",
    "sigaltstack",
    "signal",
    "signalfd",
    "signalfd4",
    "sigpending",
    "sigprocmask",
    "sigreturn",
    "sigsuspend",
    "socketcall",
    "socketpair",
    "splice",
    "ssetmask",
    "stat",
    "stat64",
    "statfs",
    "statfs64",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "sync_file_range2",
    "syncfs",
    "sysinfo",
    "tee",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_gettime64",
    "timer_settime",
    "timer_settime64",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_gettime64",
    "timerfd_settime",
    "timerfd_settime64",
    "times",
    "tkill",
    "truncate",
    "truncate64",
    "ugetrlimit",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
    "vfork",
    "vmsplice",
    "wait4",
    "waitid",
    "waitpid",
    "write",
    "writev",
};

static const char *const modules[] = {"create_module",   "delete_module", "finit_module",
                                      "get_kernel_syms", "init_module",   "query_module"};
static const char *const clocks[] = {"clock_settime", "clock_settime64", "settimeofday", "stime"};
static const char *const boots[] = {"kexec_file_load", "kexec_load", "reboot"};
static const char *const administration[] = {
    "bpf",        "fanotify_init", "fsconfig",       "fsmount",         "fsopen",
    "fspick",     "listmount",     "lookup_dcookie", "mount",           "mount_setattr",
    "move_mount", "nfsservctl",    "open_tree",      "perf_event_open", "pivot_root",
    "quotactl",   "quotactl_fd",   "setdomainname",  "sethostname",     "setns",
    "statmount",  "swapoff",       "swapon",         "umount",          "umount2",
};
static const char *const ports[] = {"ioperm", "iopl"};
static const char *const accounting[] = {"acct"};
static const char *const others_memory[] = {"kcmp", "process_madvise", "userfaultfd"};
static const char *const hangup[] = {"vhangup"};
static const char *const roots[] = {"chroot"};
static const char *const handles[] = {"open_by_handle_at"};
static const char *const messages[] = {"syslog"};
static const char *const nobody[] = {
    "_sysctl",        "add_key", "bdflush",     "io_uring_enter", "io_uring_register",
    "io_uring_setup", "keyctl",  "request_key", "sysfs",          "uselib",
    "ustat",          "vm86",    "vm86old",
};

/* Error EPERM for who has not the capability. */
static const struct {
    const char *const *names;
    size_t count;
    int capability; /* -1: nobody */
} guarded[] = {
#define GUARD(names, capability)                                                                             \
    {                                                                                                        \
        names, ARRAY_SIZE(names), capability                                                                 \
    }
    GUARD(modules, CAP_SYS_MODULE),       GUARD(clocks, CAP_SYS_TIME),       GUARD(boots, CAP_SYS_BOOT),
    GUARD(administration, CAP_SYS_ADMIN), GUARD(ports, CAP_SYS_RAWIO),       GUARD(accounting, CAP_SYS_PACCT),
    GUARD(others_memory, CAP_SYS_PTRACE), GUARD(hangup, CAP_SYS_TTY_CONFIG), GUARD(roots, CAP_SYS_CHROOT),
    GUARD(handles, CAP_DAC_READ_SEARCH),  GUARD(messages, CAP_SYSLOG),       GUARD(nobody, -1),
#undef GUARD
};

/* personality(2): Linux, 32-bit addresses as uname() says them, no randomised addresses, and asking. */
static const uint64_t personalities[] = {0, 8, 0x20000, 0x20008, 0x40000, 0xffffffff};

/* New namespaces; of time only by unshare(), since clone() has the signal there. */
static const uint64_t namespaces[] = {CLONE_NEWNS,   CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
                                      CLONE_NEWUSER, CLONE_NEWPID,    CLONE_NEWNET, CLONE_NEWTIME};

#define RULES_MOST                                                                                           \
    (1 + ARRAY_SIZE(guarded) + ARRAY_SIZE(personalities) + 2 * (ARRAY_SIZE(namespaces) + 1) + 3)

struct maker {
    struct seccomp_profile *profile;
    bool failed;
};

/* A rule; what it is about is put in by the caller. */
static struct seccomp_rule *add(struct maker *maker, uint32_t action, const char *const *names, size_t count,
                                size_t arguments)
{
    struct seccomp_rule *rule = &maker->profile->rules[maker->profile->rule_count++];
    rule->action = action;
    rule->names = calloc(count, sizeof *rule->names);
    rule->arguments = arguments ? calloc(arguments, sizeof *rule->arguments) : NULL;
    if (!rule->names || (arguments && !rule->arguments)) {
        maker->failed = true;
        return NULL;
    }
    memcpy(rule->names, names, count * sizeof *names);
    rule->name_count = count;
    rule->argument_count = arguments;
    return rule;
}

/* A rule for one call and its first argument. */
static void add_first(struct maker *maker, uint32_t action, const char *name, unsigned operation,
                      uint64_t value, uint64_t value_two)
{
    struct seccomp_rule *rule = add(maker, action, &name, 1, 1);
    if (rule)
        rule->arguments[0] =
            (struct seccomp_argument){.operation = operation, .value = value, .value_two = value_two};
}

/* Flags that make namespaces: EPERM; without any of them: go on. */
static void add_namespaces(struct maker *maker, const char *name, size_t count)
{
    uint64_t all = 0;
    for (size_t i = 0; i < count; i++) {
        add_first(maker, SCMP_ACT_ERRNO(EPERM), name, SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]);
        all |= namespaces[i];
    }
    add_first(maker, SCMP_ACT_ALLOW, name, SCMP_CMP_MASKED_EQ, all, 0);
}

static void add_processes(struct maker *maker, bool administrator)
{
    static const char *const names[] = {"clone", "clone3", "unshare"};
    if (administrator) {
        add(maker, SCMP_ACT_ALLOW, names, ARRAY_SIZE(names), 0);
        return;
    }
    /* clone3() keeps its flags in memory, where no filter looks: it is as if it were not there, and clone()
     * serves */
    add_namespaces(maker, "clone", ARRAY_SIZE(namespaces) - 1);
    add_namespaces(maker, "unshare", ARRAY_SIZE(namespaces));
}

static int add_architectures(struct maker *maker)
{
#ifdef __x86_64__
    static const uint32_t more[] = {SCMP_ARCH_X86, SCMP_ARCH_X32};
    maker->profile->architectures = calloc(ARRAY_SIZE(more), sizeof *more);
    if (!maker->profile->architectures)
        return -ENOMEM;
    memcpy(maker->profile->architectures, more, sizeof more);
    maker->profile->architecture_count = ARRAY_SIZE(more);
#else
    (void)maker;
#endif
    return 0;
}

int seccomp_profile_default(struct seccomp_profile *profile, uint64_t capabilities, struct error *error)
{
    struct maker maker = {.profile = profile};
    *profile = (struct seccomp_profile){.default_action = SCMP_ACT_ERRNO(ENOSYS), .guards_terminal = true};
    profile->rules = calloc(RULES_MOST, sizeof *profile->rules);
    if (!profile->rules || add_architectures(&maker) < 0) {
        seccomp_profile_free(profile);
        return error_set(error, -ENOMEM, "no memory for a filter of system calls");
    }
    add(&maker, SCMP_ACT_ALLOW, allowed, ARRAY_SIZE(allowed), 0);
    for (size_t i = 0; i < ARRAY_SIZE(guarded); i++) {
        bool given = guarded[i].capability >= 0 && capabilities >> guarded[i].capability & 1;
        add(&maker, given ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), guarded[i].names, guarded[i].count, 0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(personalities); i++)
        add_first(&maker, SCMP_ACT_ALLOW, "personality", SCMP_CMP_EQ, personalities[i], 0);
    /* AF_VSOCK is in no namespace: it would reach the hypervisor and other machines */
    add_first(&maker, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", SCMP_CMP_EQ, AF_VSOCK, 0);
    add_first(&maker, SCMP_ACT_ALLOW, "socket", SCMP_CMP_NE, AF_VSOCK, 0);
    add_processes(&maker, capabilities >> CAP_SYS_ADMIN & 1);
    if (maker.failed) {
        seccomp_profile_free(profile);
        return error_set(error, -ENOMEM, "no memory for a filter of system calls");
    }
    return 0;
}
