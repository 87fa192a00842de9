/* SPDX-License-Identifier: GPL-2.0-or-later */
/* own fds: how visor keeps and hides its own descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/process.h"

#define OWN_FD_MIN       1000
#define OWN_FD_LIMIT_MAX 16384
#define OWN_FD_ROOM      64

bool linux_is_own_fd(const struct linux_process *process, int fd)
{
    for (unsigned i = 0; i < OWN_FD_COUNT; i++) {
        if (fd >= 0 && fd == process->own_fds[i])
            return true;
    }
    return false;
}

bool linux_raise_fd_limit(struct linux_fd_limit *limit, rlim_t soft, rlim_t hard)
{
    limit->raised = (struct rlimit){soft, hard};
    return prlimit(0, RLIMIT_NOFILE, &limit->raised, &limit->before) == 0;
}

void linux_restore_fd_limit(const struct linux_fd_limit *limit)
{
    struct rlimit seen;
    if (prlimit(0, RLIMIT_NOFILE, &limit->before, &seen) == 0 &&
        memcmp(&seen, &limit->raised, sizeof seen) != 0)
        prlimit(0, RLIMIT_NOFILE, &seen, NULL); /* somebody has set it meanwhile */
}

/*
 * A number above the guest's soft limit, which is raised for a moment. A table of descriptors is as large as
 * the highest number asks for, so limits that are large as they are stay what they are.
 */
static int duplicate_above(int fd, const struct rlimit *limit)
{
    struct linux_fd_limit raise;
    rlim_t first = MAX(limit->rlim_cur, (rlim_t)OWN_FD_MIN);
    rlim_t soft = MIN(limit->rlim_max, first + OWN_FD_ROOM);
    if (limit->rlim_cur > OWN_FD_LIMIT_MAX || first >= soft ||
        !linux_raise_fd_limit(&raise, soft, limit->rlim_max))
        return -1;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, (int)first);
    linux_restore_fd_limit(&raise);
    return copy;
}

/* One from 1000 on, or the highest that the limit allows. */
static int duplicate_high(int fd, const struct rlimit *limit)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD_MIN);
    for (int at = (int)MIN(limit->rlim_cur, (rlim_t)OWN_FD_MIN) - 1; copy < 0 && at > fd; at--) {
        if (fcntl(at, F_GETFD) < 0 && errno == EBADF)
            return dup3(fd, at, O_CLOEXEC);
    }
    return copy;
}

int linux_hide_fd(int fd, bool alone)
{
    struct rlimit limit;
    int copy = -1;
    if (fd < 0)
        return fd;
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
    bool above = known && (rlim_t)fd >= limit.rlim_cur;
    if (known && !above && alone)
        copy = duplicate_above(fd, &limit);
    if (known && !above && copy < 0 && fd < OWN_FD_MIN)
        copy = duplicate_high(fd, &limit);
    if (copy < 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        return fd; /* is where it should be; or better visible than lost */
    }
    close(fd);
    return copy;
}

int linux_vacate_fd(struct linux_process *process, int fd)
{
    if (!linux_is_own_fd(process, fd))
        return 0;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, MAX(fd + 1, OWN_FD_MIN));
    if (copy < 0)
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return -errno;
    for (unsigned i = 0; i < OWN_FD_COUNT; i++) {
        if (fd == process->own_fds[i])
            process->own_fds[i] = copy;
    }
    if (process->own_fds[OWN_STORE] == copy && process->space == process)
        translator_renumber_store(process->translator, copy);
    else if (process->own_fds[OWN_STORE] == copy)
        translator_leave_store(process->translator); /* whose other users have it under the old number */
    return 0;
}

int linux_share_own_fds(struct linux_process *process)
{
    if (process->own_fds != process->own_fd_numbers)
        return 0;
    int *shared =
        mmap(NULL, sizeof process->own_fd_numbers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -ENOMEM;
    memcpy(shared, process->own_fds, sizeof process->own_fd_numbers);
    process->own_fds = shared; /* never given back: other processes have it too */
    return 0;
}

void linux_unshare_own_fds(struct linux_process *process)
{
    if (process->own_fds != process->own_fd_numbers)
        memcpy(process->own_fd_numbers, process->own_fds, sizeof process->own_fd_numbers);
    process->own_fds = process->own_fd_numbers;
}
