/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * process calls: processes, scheduling, identities and waiting. Guest threads and processes are the host's,
 * so nearly all goes to the kernel as it is; layouts and numbers are the same.
 */
#include <errno.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/memory.h"
#include "personality/linux/session.h"
#include "personality/linux/syscalls.h"

#define FORWARD(name)                                                                                        \
    int64_t linux_sys_##name(struct linux_thread *thread, const uint64_t a[6])                               \
    {                                                                                                        \
        return linux_host_syscall(thread, SYS_##name, a[0], a[1], a[2], a[3], a[4], a[5]);                   \
    }
/* They may change the process's rights. */
#define FORWARD_IDENTITY(name)                                                                               \
    int64_t linux_sys_##name(struct linux_thread *thread, const uint64_t a[6])                               \
    {                                                                                                        \
        int64_t result = linux_host_syscall(thread, SYS_##name, a[0], a[1], a[2], a[3], a[4], a[5]);         \
        if (result >= 0)                                                                                     \
            linux_session_check(thread->process);                                                            \
        return result;                                                                                       \
    }
/* They change rights that a session's key does not show. */
#define FORWARD_LEAVING(name)                                                                                \
    int64_t linux_sys_##name(struct linux_thread *thread, const uint64_t a[6])                               \
    {                                                                                                        \
        linux_session_leave(thread->process);                                                                \
        return linux_host_syscall(thread, SYS_##name, a[0], a[1], a[2], a[3], a[4], a[5]);                   \
    }
/* The first argument is a descriptor. */
#define FORWARD_FD(name)                                                                                     \
    int64_t linux_sys_##name(struct linux_thread *thread, const uint64_t a[6])                               \
    {                                                                                                        \
        if (linux_is_own_fd(thread->process, (int)a[0]))                                                     \
            return -EBADF;                                                                                   \
        return linux_host_syscall(thread, SYS_##name, a[0], a[1], a[2], a[3], a[4], a[5]);                   \
    }

/* Identities are per thread in the kernel: it is the guest's libc that changes them in all threads. */
FORWARD(getpid)
FORWARD(getppid)
FORWARD(gettid)
FORWARD(getuid)
FORWARD(geteuid)
FORWARD(getgid)
FORWARD(getegid)
FORWARD_IDENTITY(setuid)
FORWARD_IDENTITY(setgid)
FORWARD_IDENTITY(setreuid)
FORWARD_IDENTITY(setregid)
FORWARD_IDENTITY(setresuid)
FORWARD_IDENTITY(setresgid)
FORWARD(getresuid)
FORWARD(getresgid)
FORWARD_LEAVING(setfsuid)
FORWARD_LEAVING(setfsgid)
FORWARD(getgroups)
FORWARD_IDENTITY(setgroups)
FORWARD(setpgid)
FORWARD(getpgid)
FORWARD(getsid)
FORWARD(setsid)
FORWARD(capget)
FORWARD_IDENTITY(capset)
FORWARD_LEAVING(unshare)

FORWARD(sched_setparam)
FORWARD(sched_setscheduler)
FORWARD(sched_getscheduler)
FORWARD(sched_getparam)
FORWARD(sched_setaffinity)
FORWARD(sched_getaffinity)
FORWARD(sched_yield)
FORWARD(sched_get_priority_max)
FORWARD(sched_get_priority_min)
FORWARD(sched_rr_get_interval)
FORWARD(sched_setattr)
FORWARD(sched_getattr)
FORWARD(setpriority)
FORWARD(getpriority)
FORWARD(getcpu)
FORWARD(membarrier)
FORWARD(futex)
FORWARD(futex_waitv)

FORWARD(wait4)
FORWARD(waitid)
FORWARD(getrusage)
FORWARD(times)
FORWARD(pidfd_open)
FORWARD_FD(pidfd_getfd)

int64_t linux_sys_setns(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    linux_session_leave(thread->process);
    return linux_host_syscall(thread, SYS_setns, a[0], a[1], 0, 0, 0, 0);
}

/*
 * READ_IMPLIES_EXEC stays off the host: what the guest may execute is not the host's affair. The emulated CPU
 * runs no 32-bit programs, so there is no personality for them; lscpu asks in this way.
 */
int64_t linux_sys_personality(struct linux_thread *thread, const uint64_t a[6])
{
    const uint32_t read_implies_exec = 0x400000, wanted = (uint32_t)a[0];
    const uint32_t execution_domain = 0xff, domain_32_bits = 8;
    struct linux_process *process = thread->process;
    uint64_t persona = wanted == 0xffffffffu ? wanted : wanted & ~read_implies_exec;

    if ((wanted & execution_domain) == domain_32_bits && !process->arch->host_abi)
        return -EINVAL;
    int64_t old = linux_host_syscall(thread, SYS_personality, persona, 0, 0, 0, 0, 0);
    if (old < 0)
        return old;
    if (process->read_implies_exec)
        old |= read_implies_exec;
    if (wanted != 0xffffffffu)
        process->read_implies_exec = wanted & read_implies_exec;
    return old;
}

int64_t linux_sys_uname(struct linux_thread *thread, const uint64_t a[6])
{
    struct utsname name;
    int64_t result = linux_plain_syscall(SYS_uname, (uintptr_t)&name, 0, 0, 0, 0, 0);
    if (result < 0)
        return result;
    if (thread->process->arch->host_abi && !linux_is_32bit(thread->process)) /* PER_LINUX32 changes it */
        return guest_write(a[0], &name, sizeof name);
    memset(name.machine, 0, sizeof name.machine);
    strncpy(name.machine, thread->process->arch->machine, sizeof name.machine - 1);
    return guest_write(a[0], &name, sizeof name);
}

/* C libraries do without. The kernel would write to the guest's area at every preemption of visor's own code
 * too. */
int64_t linux_sys_rseq(struct linux_thread *thread, const uint64_t a[6])
{
    (void)thread;
    (void)a;
    return -ENOSYS;
}

/* -- prctl ----------------------------------------------------------------------------------------------- */

#define COMPAT_PRCTL 172 /* the host's for 32-bit programs */

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif
#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif

static int64_t get_auxv(const struct linux_process *process, const uint64_t a[6])
{
    uint8_t auxv[512];
    size_t size = MIN(process->auxv_size, (uint32_t)sizeof auxv);

    if (a[3] || a[4])
        return -EINVAL;
    if (guest_read(auxv, process->auxv_address, size) < 0 || guest_write(a[1], auxv, MIN(size, a[2])) < 0)
        return -EFAULT;
    return process->auxv_size;
}

/* Options that are about the process and mean the same on both architectures. */
static bool is_common(int option)
{
    static const int common[] = {
        PR_SET_PDEATHSIG,
        PR_GET_PDEATHSIG,
        PR_GET_DUMPABLE,
        PR_SET_DUMPABLE,
        PR_GET_KEEPCAPS,
        PR_SET_KEEPCAPS,
        PR_GET_TIMING,
        PR_SET_TIMING,
        PR_SET_NAME,
        PR_GET_NAME,
        PR_CAPBSET_READ,
        PR_CAPBSET_DROP,
        PR_GET_SECUREBITS,
        PR_SET_SECUREBITS,
        PR_SET_TIMERSLACK,
        PR_GET_TIMERSLACK,
        PR_MCE_KILL,
        PR_MCE_KILL_GET,
        PR_SET_PTRACER,
        PR_SET_CHILD_SUBREAPER,
        PR_GET_CHILD_SUBREAPER,
        PR_SET_NO_NEW_PRIVS,
        PR_GET_NO_NEW_PRIVS,
        PR_SET_THP_DISABLE,
        PR_GET_THP_DISABLE,
        PR_CAP_AMBIENT,
        PR_GET_SPECULATION_CTRL,
        PR_SET_SPECULATION_CTRL,
        PR_SET_IO_FLUSHER,
        PR_GET_IO_FLUSHER,
        PR_SCHED_CORE,
        PR_SET_VMA,
        PR_GET_TID_ADDRESS,
    };
    for (size_t i = 0; i < ARRAY_SIZE(common); i++) {
        if (common[i] == option)
            return true;
    }
    return false;
}

static int64_t common_prctl(struct linux_thread *thread, const uint64_t a[6])
{
    int64_t result = linux_is_32bit(thread->process)
                         ? linux_compat_syscall(thread, COMPAT_PRCTL, a)
                         : linux_host_syscall(thread, SYS_prctl, a[0], a[1], a[2], a[3], a[4], 0);
    if (a[0] == PR_SET_DUMPABLE &&
        result >= 0) /* who is not to be traced by its equals does not trust them */
        linux_session_leave(thread->process);
    else if (a[0] == PR_SET_NO_NEW_PRIVS && result >= 0)
        linux_session_check(thread->process);
    return result;
}

int64_t linux_sys_prctl(struct linux_thread *thread, const uint64_t a[6])
{
    switch ((int)a[0]) {
    case PR_GET_AUXV: return get_auxv(thread->process, a);
    case PR_GET_MDWE: return 0;
    case PR_SET_TAGGED_ADDR_CTRL:
        if (a[1] & ~(uint64_t)PR_TAGGED_ADDR_ENABLE || a[2] || a[3] || a[4])
            return -EINVAL;
        thread->tagged_addresses = a[1];
        return 0;
    case PR_GET_TAGGED_ADDR_CTRL:
        return a[1] || a[2] || a[3] || a[4] ? -EINVAL : (int64_t)thread->tagged_addresses;
    default:
        /* Others are about another CPU's features, or would lock visor out: PR_SET_MM, PR_SET_SECCOMP. */
        if (!is_common((int)a[0]))
            return -EINVAL;
        return common_prctl(thread, a);
    }
}

/* -- resource limits ------------------------------------------------------------------------------------- */

/*
 * Visor lives in the guest's address space: two caches of code with their tables at most, and for each thread
 * what it needs. The host's limits of address space and of data are higher than the guest's by this much, so
 * that visor does not meet them. What visor does not use of it the guest can have above its limit.
 */
#define OWN_SPACE (2ull << 30)

static bool counts_own_space(uint64_t resource)
{
    return resource == RLIMIT_AS || resource == RLIMIT_DATA;
}

static uint64_t limit_from_host(uint64_t limit)
{
    return limit == RLIM_INFINITY || limit < OWN_SPACE ? limit : limit - OWN_SPACE;
}

static uint64_t limit_to_host(uint64_t limit)
{
    return limit >= RLIM_INFINITY - OWN_SPACE ? RLIM_INFINITY : limit + OWN_SPACE;
}

static bool is_self(uint64_t pid)
{
    return !(pid_t)pid || (pid_t)pid == linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

uint64_t linux_address_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) < 0 ? RLIM_INFINITY : limit_from_host(limit.rlim_cur);
}

int64_t linux_sys_prlimit64(struct linux_thread *thread, const uint64_t a[6])
{
    struct rlimit old, new;

    if (!counts_own_space(a[1]))
        return linux_host_syscall(thread, SYS_prlimit64, a[0], a[1], a[2], a[3], 0, 0);
    if (a[2] && guest_read(&new, a[2], sizeof new) < 0)
        return -EFAULT;
    int64_t result = linux_plain_syscall(SYS_prlimit64, a[0], a[1], 0, (uintptr_t)&old, 0, 0);
    if (result < 0)
        return result;
    if (a[2]) {
        /* A limit from outside that left no such room is not to be exceeded. */
        const uint64_t wanted = new.rlim_cur;
        bool raised = new.rlim_max > limit_from_host(old.rlim_max);
        new.rlim_max = limit_to_host(new.rlim_max);
        new.rlim_cur = limit_to_host(new.rlim_cur);
        if (!raised && new.rlim_cur <= new.rlim_max) {
            new.rlim_max = MIN(new.rlim_max, old.rlim_max);
            new.rlim_cur = MIN(new.rlim_cur, new.rlim_max);
        }
        result = linux_plain_syscall(SYS_prlimit64, a[0], a[1], (uintptr_t) & new, 0, 0, 0);
        if (result == 0 && a[1] == RLIMIT_AS && is_self(a[0]))
            linux_memory_set_limit(thread->process, wanted);
    }
    old.rlim_cur = limit_from_host(old.rlim_cur);
    old.rlim_max = limit_from_host(old.rlim_max);
    if (result == 0 && a[3] && guest_write(a[3], &old, sizeof old) < 0)
        return -EFAULT;
    return result;
}

int64_t linux_sys_getrlimit(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_prlimit64(thread, (const uint64_t[6]){0, a[0], 0, a[1]});
}

int64_t linux_sys_setrlimit(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_prlimit64(thread, (const uint64_t[6]){0, a[0], a[1], 0});
}
