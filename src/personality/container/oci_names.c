/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/oci_names.h"

#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include "base/macros.h"

const struct oci_name oci_namespace_names[] = {
    {"pid", CLONE_NEWPID},       {"network", CLONE_NEWNET}, {"mount", CLONE_NEWNS},
    {"ipc", CLONE_NEWIPC},       {"uts", CLONE_NEWUTS},     {"user", CLONE_NEWUSER},
    {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME},   {0},
};

const struct oci_name oci_rlimit_names[] = {
    {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_CORE", RLIMIT_CORE},
    {"RLIMIT_CPU", RLIMIT_CPU},
    {"RLIMIT_DATA", RLIMIT_DATA},
    {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_NPROC", RLIMIT_NPROC},
    {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    {"RLIMIT_RTTIME", RLIMIT_RTTIME},
    {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_STACK", RLIMIT_STACK},
    {0},
};

const struct oci_name oci_propagation_names[] = {
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE | MS_REC},
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE | MS_REC},
    {0},
};

const struct oci_name oci_scheduler_names[] = {
    {"SCHED_OTHER", SCHED_OTHER}, {"SCHED_FIFO", SCHED_FIFO},
    {"SCHED_RR", SCHED_RR},       {"SCHED_BATCH", SCHED_BATCH},
    {"SCHED_ISO", SCHED_ISO},     {"SCHED_IDLE", SCHED_IDLE},
    {"SCHED_DEADLINE", 6},        {0},
};

const struct oci_name oci_scheduler_flags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01},  {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},     {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},    {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}, {0},
};

const struct oci_name oci_io_class_names[] = {
    {"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
    {"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
    {"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
    {0},
};

const struct oci_name oci_personality_names[] = {{"LINUX", PER_LINUX}, {"LINUX32", PER_LINUX32}, {0}};

/* Numbers of <linux/mempolicy.h>, which older kernels' headers do not all have. */
const struct oci_name oci_memory_policy_names[] = {
    {"MPOL_DEFAULT", 0},
    {"MPOL_PREFERRED", 1},
    {"MPOL_BIND", 2},
    {"MPOL_INTERLEAVE", 3},
    {"MPOL_LOCAL", 4},
    {"MPOL_PREFERRED_MANY", 5},
    {"MPOL_WEIGHTED_INTERLEAVE", 6},
    {0},
};

const struct oci_name oci_memory_policy_flags[] = {
    {"MPOL_F_NUMA_BALANCING", 1 << 13},
    {"MPOL_F_RELATIVE_NODES", 1 << 14},
    {"MPOL_F_STATIC_NODES", 1 << 15},
    {0},
};

const struct oci_name oci_signal_names[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},
    {"QUIT", SIGQUIT},     {"ILL", SIGILL},
    {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},
    {"IOT", SIGIOT},       {"BUS", SIGBUS},
    {"FPE", SIGFPE},       {"KILL", SIGKILL},
    {"USR1", SIGUSR1},     {"SEGV", SIGSEGV},
    {"USR2", SIGUSR2},     {"PIPE", SIGPIPE},
    {"ALRM", SIGALRM},     {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},
    {"CONT", SIGCONT},     {"STOP", SIGSTOP},
    {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU},     {"URG", SIGURG},
    {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF},
    {"WINCH", SIGWINCH},   {"IO", SIGIO},
    {"POLL", SIGPOLL},     {"PWR", SIGPWR},
    {"SYS", SIGSYS},       {0},
};

const struct oci_name oci_capability_names[] = {{"CAP_CHOWN", CAP_CHOWN},
                                                {"CAP_DAC_OVERRIDE", CAP_DAC_OVERRIDE},
                                                {"CAP_DAC_READ_SEARCH", CAP_DAC_READ_SEARCH},
                                                {"CAP_FOWNER", CAP_FOWNER},
                                                {"CAP_FSETID", CAP_FSETID},
                                                {"CAP_KILL", CAP_KILL},
                                                {"CAP_SETGID", CAP_SETGID},
                                                {"CAP_SETUID", CAP_SETUID},
                                                {"CAP_SETPCAP", CAP_SETPCAP},
                                                {"CAP_LINUX_IMMUTABLE", CAP_LINUX_IMMUTABLE},
                                                {"CAP_NET_BIND_SERVICE", CAP_NET_BIND_SERVICE},
                                                {"CAP_NET_BROADCAST", CAP_NET_BROADCAST},
                                                {"CAP_NET_ADMIN", CAP_NET_ADMIN},
                                                {"CAP_NET_RAW", CAP_NET_RAW},
                                                {"CAP_IPC_LOCK", CAP_IPC_LOCK},
                                                {"CAP_IPC_OWNER", CAP_IPC_OWNER},
                                                {"CAP_SYS_MODULE", CAP_SYS_MODULE},
                                                {"CAP_SYS_RAWIO", CAP_SYS_RAWIO},
                                                {"CAP_SYS_CHROOT", CAP_SYS_CHROOT},
                                                {"CAP_SYS_PTRACE", CAP_SYS_PTRACE},
                                                {"CAP_SYS_PACCT", CAP_SYS_PACCT},
                                                {"CAP_SYS_ADMIN", CAP_SYS_ADMIN},
                                                {"CAP_SYS_BOOT", CAP_SYS_BOOT},
                                                {"CAP_SYS_NICE", CAP_SYS_NICE},
                                                {"CAP_SYS_RESOURCE", CAP_SYS_RESOURCE},
                                                {"CAP_SYS_TIME", CAP_SYS_TIME},
                                                {"CAP_SYS_TTY_CONFIG", CAP_SYS_TTY_CONFIG},
                                                {"CAP_MKNOD", CAP_MKNOD},
                                                {"CAP_LEASE", CAP_LEASE},
                                                {"CAP_AUDIT_WRITE", CAP_AUDIT_WRITE},
                                                {"CAP_AUDIT_CONTROL", CAP_AUDIT_CONTROL},
                                                {"CAP_SETFCAP", CAP_SETFCAP},
                                                {"CAP_MAC_OVERRIDE", CAP_MAC_OVERRIDE},
                                                {"CAP_MAC_ADMIN", CAP_MAC_ADMIN},
                                                {"CAP_SYSLOG", CAP_SYSLOG},
                                                {"CAP_WAKE_ALARM", CAP_WAKE_ALARM},
                                                {"CAP_BLOCK_SUSPEND", CAP_BLOCK_SUSPEND},
                                                {"CAP_AUDIT_READ", CAP_AUDIT_READ},
                                                {"CAP_PERFMON", CAP_PERFMON},
                                                {"CAP_BPF", CAP_BPF},
                                                {"CAP_CHECKPOINT_RESTORE", CAP_CHECKPOINT_RESTORE},
                                                {0}};

bool oci_name_find(const struct oci_name *table, const char *name, uint64_t *value)
{
    for (; table->name; table++) {
        if (strcmp(table->name, name) == 0) {
            *value = table->value;
            return true;
        }
    }
    return false;
}

const char *oci_namespace_file(uint64_t flag)
{
    switch (flag) {
    case CLONE_NEWNS: return "mnt";
    case CLONE_NEWNET: return "net";
    default:
        for (const struct oci_name *n = oci_namespace_names; n->name; n++) {
            if (n->value == flag)
                return n->name;
        }
        return NULL;
    }
}

int oci_signal_number(const char *name)
{
    char *end;
    long number = strtol(name, &end, 10);
    if (end != name)
        return *end == '\0' && number >= 0 && number < _NSIG ? (int)number : -1;
    if (strncasecmp(name, "SIG", 3) == 0)
        name += 3;
    int base = strncasecmp(name, "RTMIN", 5) == 0   ? SIGRTMIN
               : strncasecmp(name, "RTMAX", 5) == 0 ? SIGRTMAX
                                                    : 0;
    if (base) {
        number = name[5] ? strtol(name + 5, &end, 10) : 0;
        if (name[5] && (*end || end == name + 5))
            return -1;
        number += base;
        return number >= SIGRTMIN && number <= SIGRTMAX ? (int)number : -1;
    }
    for (const struct oci_name *s = oci_signal_names; s->name; s++) {
        if (strcasecmp(s->name, name) == 0)
            return (int)s->value;
    }
    return -1;
}
