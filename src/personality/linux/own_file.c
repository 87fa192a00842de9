/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * own_file: the way to visor's own program file where binfmt_misc started this process, perhaps in a root
 * that has neither visor nor /proc.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "personality/linux/session.h"
#include "personality/linux/syscalls.h"

/* `directory`/self/exe, if that is a /proc, and not a guest's directory of that name. */
static int open_in(int directory)
{
    struct statfs status;
    int self = openat(directory, "self", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (self < 0)
        return -1;
    int fd = fstatfs(self, &status) == 0 && status.f_type == PROC_SUPER_MAGIC
                 ? openat(self, "exe", O_RDONLY | O_CLOEXEC)
                 : -1;
    close(self);
    return fd;
}

/* A mount of /proc that nobody else sees, gone when closed. A filter of system calls might punish the
 * attempt. */
static int mount_proc(void)
{
    if (linux_plain_syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0, 0) != 0)
        return -1;
    int context = (int)syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC);
    if (context < 0)
        return -1;
    int fd = syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0
                 ? (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
                 : -1;
    close(context);
    return fd;
}

int linux_open_own_file(bool starting)
{
    int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = proc < 0 ? -1 : open_in(proc);
    if (proc >= 0)
        close(proc);
    if (fd < 0 && starting && (proc = mount_proc()) >= 0) {
        fd = open_in(proc);
        close(proc);
    }
    return fd < 0 ? -1 : linux_hide_fd(fd, starting);
}

void linux_note_own_file(struct linux_process *process)
{
    struct stat status;
    if (process->own_fds[OWN_VISOR] < 0 || fstat(process->own_fds[OWN_VISOR], &status) < 0)
        return;
    process->own_device = status.st_dev;
    process->own_inode = status.st_ino;
}

void linux_find_own_file(struct linux_process *process)
{
    if (process->own_fds[OWN_VISOR] >= 0)
        return;
    process->own_fds[OWN_VISOR] = linux_open_own_file(false);
    linux_note_own_file(process);
}
