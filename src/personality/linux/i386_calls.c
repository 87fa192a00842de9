/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * i386 calls: system calls in forms that only 32-bit x86 has: numbers of user ids with 16 bits, several calls
 * under one number, arguments in memory, structures of words. What they do is done by the functions of the
 * other tables.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/macros.h"
#include "personality/linux/file.h"
#include "personality/linux/i386.h"
#include "personality/linux/syscalls.h"

/* -- memory -------------------------------------------------------------------------------------------- */

int64_t linux_i386_mmap2(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_sys_mmap(thread, (const uint64_t[6]){a[0], a[1], a[2], a[3], a[4], a[5] * GUEST_PAGE_SIZE});
}

int64_t linux_i386_mmap(struct linux_thread *thread, const uint64_t a[6])
{
    uint32_t given[6];
    uint64_t arguments[6];
    if (guest_read(given, a[0], sizeof given) < 0)
        return -EFAULT;
    for (unsigned i = 0; i < 6; i++)
        arguments[i] = given[i];
    return arguments[5] % GUEST_PAGE_SIZE ? -EINVAL : linux_sys_mmap(thread, arguments);
}

/* -- several calls under one number -------------------------------------------------------------------- */

int64_t linux_i386_socketcall(struct linux_thread *thread, const uint64_t a[6])
{
    static const struct {
        uint16_t number;
        uint8_t arguments;
    } calls[] = {
        [1] = {359, 3} /* socket */,      [2] = {361, 3} /* bind */,        [3] = {362, 3} /* connect */,
        [4] = {363, 2} /* listen */,      [5] = {364, 3} /* accept */,      [6] = {367, 3} /* getsockname */,
        [7] = {368, 3} /* getpeername */, [8] = {360, 4} /* socketpair */,  [9] = {369, 4} /* send */,
        [10] = {371, 4} /* recv */,       [11] = {369, 6} /* sendto */,     [12] = {371, 6} /* recvfrom */,
        [13] = {373, 2} /* shutdown */,   [14] = {366, 5} /* setsockopt */, [15] = {365, 5} /* getsockopt */,
        [16] = {370, 3} /* sendmsg */,    [17] = {372, 3} /* recvmsg */,    [18] = {364, 4} /* accept4 */,
        [19] = {337, 5} /* recvmmsg */,   [20] = {345, 4} /* sendmmsg */,
    };
    uint32_t given[6] = {0};
    uint64_t arguments[6];

    if (!a[0] || a[0] >= ARRAY_SIZE(calls))
        return -EINVAL;
    if (guest_read(given, a[1], calls[a[0]].arguments * sizeof given[0]) < 0)
        return -EFAULT;
    for (unsigned i = 0; i < 6; i++)
        arguments[i] = given[i];
    return linux_syscall_by_number(&linux_i386_calls, calls[a[0]].number)->run(thread, arguments);
}

enum { IPC_NUMBER = 117, IPC_SHMAT = 21, IPC_SHMDT = 22 };

/* Shared memory is mapped memory; the rest goes to the host's kernel as it is. */
int64_t linux_i386_ipc(struct linux_thread *thread, const uint64_t a[6])
{
    const uint32_t call = a[0] & 0xffff, version = (uint32_t)a[0] >> 16;
    if (call == IPC_SHMDT)
        return linux_sys_shmdt(thread, (const uint64_t[6]){a[4]});
    if (call != IPC_SHMAT)
        return linux_compat_syscall(thread, IPC_NUMBER, a);
    if (version == 1)
        return -EINVAL;
    const int64_t result = linux_sys_shmat(thread, (const uint64_t[6]){a[1], a[4], a[2]});
    const uint32_t address = (uint32_t)result;
    return result < 0 ? result : guest_write(a[3], &address, sizeof address);
}

/* -- user ids of 16 bits ------------------------------------------------------------------------------- */

/* -1 means that it is to stay as it is. */
static uint64_t wide_id(uint64_t id)
{
    return (uint16_t)id == UINT16_MAX ? UINT32_MAX : (uint16_t)id;
}

#define WITH_WIDE_IDS(name)                                                                                  \
    int64_t linux_i386_##name(struct linux_thread *thread, const uint64_t a[6])                              \
    {                                                                                                        \
        return linux_sys_##name(thread, (const uint64_t[6]){wide_id(a[0]), wide_id(a[1]), wide_id(a[2])});   \
    }
WITH_WIDE_IDS(setuid)
WITH_WIDE_IDS(setgid)
WITH_WIDE_IDS(setreuid)
WITH_WIDE_IDS(setregid)
WITH_WIDE_IDS(setresuid)
WITH_WIDE_IDS(setresgid)
WITH_WIDE_IDS(setfsuid)
WITH_WIDE_IDS(setfsgid)

#define GROUPS_MAX 65536u

int64_t linux_i386_setgroups(struct linux_thread *thread, const uint64_t a[6])
{
    const uint32_t count = (uint32_t)a[0];
    uint32_t *groups = count <= GROUPS_MAX ? malloc(MAX(count, 1u) * sizeof *groups) : NULL;
    int64_t result = 0;

    if (!groups)
        return count <= GROUPS_MAX ? -ENOMEM : -EINVAL;
    for (uint32_t i = 0; i < count && result == 0; i++) {
        uint16_t group;
        result = guest_read(&group, a[1] + i * sizeof group, sizeof group);
        groups[i] = (uint32_t)wide_id(group);
    }
    if (result == 0)
        result = linux_sys_setgroups(thread, (const uint64_t[6]){count, (uintptr_t)groups});
    free(groups);
    return result;
}

/* -- limits -------------------------------------------------------------------------------------------- */

struct limit {
    uint32_t current, most;
};

/* No limit, as 32 bits say it; what is more than they can say is none. */
#define NO_LIMIT     0xffffffffu
#define NO_OLD_LIMIT 0x7fffffffu

static int64_t get_limit(struct linux_thread *thread, const uint64_t a[6], uint32_t none)
{
    struct rlimit limit;
    const int64_t result = linux_sys_prlimit64(thread, (const uint64_t[6]){0, a[0], 0, (uintptr_t)&limit});
    if (result < 0)
        return result;
    const struct limit guest = {(uint32_t)MIN(limit.rlim_cur, (rlim_t)none),
                                (uint32_t)MIN(limit.rlim_max, (rlim_t)none)};
    return guest_write(a[1], &guest, sizeof guest);
}

int64_t linux_i386_ugetrlimit(struct linux_thread *thread, const uint64_t a[6])
{
    return get_limit(thread, a, NO_LIMIT);
}

int64_t linux_i386_getrlimit(struct linux_thread *thread, const uint64_t a[6])
{
    return get_limit(thread, a, NO_OLD_LIMIT);
}

int64_t linux_i386_setrlimit(struct linux_thread *thread, const uint64_t a[6])
{
    struct limit guest;
    if (guest_read(&guest, a[1], sizeof guest) < 0)
        return -EFAULT;
    const struct rlimit limit = {guest.current == NO_LIMIT ? RLIM_INFINITY : guest.current,
                                 guest.most == NO_LIMIT ? RLIM_INFINITY : guest.most};
    return linux_sys_prlimit64(thread, (const uint64_t[6]){0, a[0], (uintptr_t)&limit, 0});
}

/* -- files --------------------------------------------------------------------------------------------- */

struct large_stat {
    uint64_t dev;
    uint32_t pad, low_ino;
    uint32_t mode, nlink, uid, gid;
    uint64_t rdev;
    uint32_t pad2;
    int64_t size;
    uint32_t blksize;
    int64_t blocks;
    uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    uint64_t ino;
} __attribute__((packed));
_Static_assert(sizeof(struct large_stat) == 96, "struct stat64 of i386");

static int64_t write_stat64(uint64_t address, int64_t status, const struct stat *host)
{
    if (status < 0)
        return status;
    const struct large_stat guest = {
        .dev = host->st_dev,
        .low_ino = (uint32_t)host->st_ino,
        .mode = host->st_mode,
        .nlink = (uint32_t)host->st_nlink,
        .uid = host->st_uid,
        .gid = host->st_gid,
        .rdev = host->st_rdev,
        .size = host->st_size,
        .blksize = (uint32_t)host->st_blksize,
        .blocks = host->st_blocks,
        .atime = (uint32_t)host->st_atim.tv_sec,
        .atime_nsec = (uint32_t)host->st_atim.tv_nsec,
        .mtime = (uint32_t)host->st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)host->st_mtim.tv_nsec,
        .ctime = (uint32_t)host->st_ctim.tv_sec,
        .ctime_nsec = (uint32_t)host->st_ctim.tv_nsec,
        .ino = host->st_ino,
    };
    return guest_write(address, &guest, sizeof guest);
}

#define HERE ((uint64_t)AT_FDCWD)

int64_t linux_i386_fstatat64(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    return write_stat64(a[2], linux_stat_at(thread, a[0], a[1], a[3], &host), &host);
}

int64_t linux_i386_stat64(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    return write_stat64(a[1], linux_stat_at(thread, HERE, a[0], 0, &host), &host);
}

int64_t linux_i386_lstat64(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    return write_stat64(a[1], linux_stat_at(thread, HERE, a[0], AT_SYMLINK_NOFOLLOW, &host), &host);
}

int64_t linux_i386_fstat64(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    return write_stat64(a[1], linux_stat_fd(thread, a[0], &host), &host);
}

struct small_stat {
    uint32_t dev, ino;
    uint16_t mode, nlink, uid, gid;
    uint32_t rdev, size, blksize, blocks;
    uint32_t atime, atime_nsec, mtime, mtime_nsec, ctime, ctime_nsec;
    uint32_t unused[2];
};
_Static_assert(sizeof(struct small_stat) == 64, "struct stat of i386");

static uint16_t small_id(uint32_t id)
{
    return id > UINT16_MAX ? 65534 : (uint16_t)id; /* fs.overflowuid */
}

static int64_t write_stat(uint64_t address, int64_t status, const struct stat *host)
{
    if (status < 0)
        return status;
    if (host->st_size > INT32_MAX || host->st_ino > UINT32_MAX || host->st_nlink > UINT16_MAX)
        return -EOVERFLOW;
    const struct small_stat guest = {
        .dev = (uint32_t)host->st_dev,
        .ino = (uint32_t)host->st_ino,
        .mode = (uint16_t)host->st_mode,
        .nlink = (uint16_t)host->st_nlink,
        .uid = small_id(host->st_uid),
        .gid = small_id(host->st_gid),
        .rdev = (uint32_t)host->st_rdev,
        .size = (uint32_t)host->st_size,
        .blksize = (uint32_t)host->st_blksize,
        .blocks = (uint32_t)host->st_blocks,
        .atime = (uint32_t)host->st_atim.tv_sec,
        .atime_nsec = (uint32_t)host->st_atim.tv_nsec,
        .mtime = (uint32_t)host->st_mtim.tv_sec,
        .mtime_nsec = (uint32_t)host->st_mtim.tv_nsec,
        .ctime = (uint32_t)host->st_ctim.tv_sec,
        .ctime_nsec = (uint32_t)host->st_ctim.tv_nsec,
    };
    return guest_write(address, &guest, sizeof guest);
}

int64_t linux_i386_stat(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    return write_stat(a[1], linux_stat_at(thread, HERE, a[0], 0, &host), &host);
}

int64_t linux_i386_lstat(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    return write_stat(a[1], linux_stat_at(thread, HERE, a[0], AT_SYMLINK_NOFOLLOW, &host), &host);
}

int64_t linux_i386_fstat(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    return write_stat(a[1], linux_stat_fd(thread, a[0], &host), &host);
}

/* Drivers and sockets may have other structures for 32-bit programs, files and pipes have none. */
static int64_t transfer(struct linux_thread *thread, long number, long compat_number, const uint64_t a[6])
{
    struct stat found;
    const int64_t result = linux_stat_fd(thread, a[0], &found);
    if (result < 0)
        return result;
    if (S_ISREG(found.st_mode) || S_ISFIFO(found.st_mode))
        return linux_host_syscall(thread, number, a[0], a[1], a[2], 0, 0, 0);
    return linux_compat_syscall(thread, compat_number, a);
}

int64_t linux_i386_read(struct linux_thread *thread, const uint64_t a[6])
{
    return transfer(thread, SYS_read, 3, a);
}

int64_t linux_i386_write(struct linux_thread *thread, const uint64_t a[6])
{
    return transfer(thread, SYS_write, 4, a);
}

/* -- time: programs ask for it often ------------------------------------------------------------------- */

int64_t linux_i386_clock_gettime(struct linux_thread *thread, const uint64_t a[6])
{
    struct timespec now = {0};
    const int64_t result = linux_sys_clock_gettime(thread, (const uint64_t[6]){a[0], (uintptr_t)&now});
    const int32_t guest[2] = {(int32_t)now.tv_sec, (int32_t)now.tv_nsec};
    return result < 0 ? result : guest_write(a[1], guest, sizeof guest);
}

int64_t linux_i386_gettimeofday(struct linux_thread *thread, const uint64_t a[6])
{
    struct timeval now;
    if (!a[0] || a[1]) /* the obsolete time zone: rare */
        return linux_compat_syscall(thread, 78, a);
    linux_sys_gettimeofday(thread, (const uint64_t[6]){(uintptr_t)&now});
    const int32_t guest[2] = {(int32_t)now.tv_sec, (int32_t)now.tv_usec};
    return guest_write(a[0], guest, sizeof guest);
}

int64_t linux_i386_time(struct linux_thread *thread, const uint64_t a[6])
{
    const int32_t now = (int32_t)time(NULL);
    (void)thread;
    return a[0] && guest_write(a[0], &now, sizeof now) < 0 ? -EFAULT : now;
}

/* A time limit is a structure of 32 bits, where there is one. */
int64_t linux_i386_futex(struct linux_thread *thread, const uint64_t a[6])
{
    const unsigned operation = (unsigned)a[1] & (unsigned)FUTEX_CMD_MASK;
    const bool wakes = operation == FUTEX_WAKE || operation == FUTEX_WAKE_BITSET ||
                       operation == FUTEX_WAKE_OP || operation == FUTEX_REQUEUE ||
                       operation == FUTEX_CMP_REQUEUE || operation == FUTEX_UNLOCK_PI;
    return wakes || !a[3] ? linux_sys_futex(thread, a) : linux_compat_syscall(thread, 240, a);
}

/* -- names and features -------------------------------------------------------------------------------- */

/* uname() without the domain's name, with fields of `field` bytes. */
static int64_t write_names(struct linux_thread *thread, uint64_t address, size_t field)
{
    struct utsname names;
    char guest[5 * sizeof names.sysname] = {0};
    const char *const fields[] = {names.sysname, names.nodename, names.release, names.version, names.machine};
    const int64_t result = linux_sys_uname(thread, (const uint64_t[6]){(uintptr_t)&names});

    if (result < 0)
        return result;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        memcpy(guest + i * field, fields[i], strnlen(fields[i], field - 1));
    return guest_write(address, guest, ARRAY_SIZE(fields) * field);
}

int64_t linux_i386_olduname(struct linux_thread *thread, const uint64_t a[6])
{
    return write_names(thread, a[0], sizeof((struct utsname *)0)->sysname);
}

int64_t linux_i386_oldolduname(struct linux_thread *thread, const uint64_t a[6])
{
    return write_names(thread, a[0], 9);
}

/* The bases of FS and GS are 64-bit programs' matter. */
int64_t linux_i386_arch_prctl(struct linux_thread *thread, const uint64_t a[6])
{
    (void)thread;
    return a[0] == ARCH_GET_CPUID ? 1 : -EINVAL; /* CPUID does not fault */
}
