/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_paths: any path is recognised as a file of /proc that visor serves only if it names such a file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_in_proc(const char *path)
{
    struct statfs fs;
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    bool in_proc = fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
    if (fd >= 0)
        close(fd);
    return in_proc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int own_fds[OWN_FD_COUNT];
    static char path[2 * PATH_MAX], target[PATH_MAX];
    struct linux_process process = {.own_fds = own_fds};
    struct linux_thread thread = {.process = &process};

    for (unsigned i = 0; i < OWN_FD_COUNT; i++)
        own_fds[i] = 1000 + (int)i;
    size = MIN(size, sizeof path - 1);
    memcpy(path, data, size);
    path[size] = '\0';
    switch (linux_proc_find(&thread, AT_FDCWD, (uintptr_t)path, target)) {
    case LINUX_PROC_NONE:
    case LINUX_PROC_OWN_FD: /* not open here */
    case LINUX_PROC_ARCH: /* not on all kernels */ break;
    case LINUX_PROC_FDINFO:
        if (access(path, F_OK) < 0) /* of a number that is not open */
            break;
        __attribute__((fallthrough));
    default:
        if (!is_in_proc(path))
            abort();
    }
    return 0;
}
