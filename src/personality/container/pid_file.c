/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "personality/container/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int pid_file_write(const char *path, pid_t pid, struct error *error)
{
    char new[PATH_MAX], text[16];
    int length = snprintf(text, sizeof text, "%d", (int)pid);
    int code = snprintf(new, sizeof new, "%s.%d", path, (int)getpid()) < (int)sizeof new ? 0 : -ENAMETOOLONG;
    int fd = code < 0 ? -1 : open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (code == 0 && (fd < 0 || write(fd, text, (size_t)length) != length))
        code = -errno;
    if (fd >= 0)
        close(fd);
    if (code == 0 && rename(new, path) < 0)
        code = -errno;
    return code < 0 ? error_set(error, code, "--pid-file: cannot write %s: %s", path, strerror(-code)) : 0;
}
