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

#define OWN_FD_MIN 1000

bool linux_is_own_fd(const struct linux_process *process, int fd)
{
    for (unsigned i = 0; i < OWN_FD_COUNT; i++) {
        if (fd >= 0 && fd == process->own_fds[i])
            return true;
    }
    return false;
}

/* A number from 1000 on, or the highest that the limit allows. */
static int duplicate_high(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD_MIN);
    if (copy >= 0)
        return copy;

    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    for (int at = (int)MIN(limit.rlim_cur, (rlim_t)OWN_FD_MIN) - 1; at > fd; at--) {
        if (fcntl(at, F_GETFD) < 0 && errno == EBADF)
            return dup3(fd, at, O_CLOEXEC) < 0 ? -errno : at;
    }
    return -EMFILE;
}

int linux_hide_fd(int fd)
{
    if (fd < 0)
        return fd;
    int copy = duplicate_high(fd);
    if (copy < 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        return fd; /* better visible than lost */
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
