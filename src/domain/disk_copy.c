/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/disk_copy.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"

#define PIECE (1u << 20) /* bytes */

/* By the host's memory, where the kernel cannot do it by itself. */
static ssize_t copy_by_hand(int from, off_t at, int to, size_t size)
{
    static char bytes[PIECE];
    const ssize_t some = pread(from, bytes, MIN(size, sizeof bytes), at);
    return some <= 0 ? some : pwrite(to, bytes, (size_t)some, at);
}

static int copy_range(int from, int to, off_t at, off_t end)
{
    while (at < end) {
        off_t in = at, out = at;
        const size_t left = (size_t)(end - at);
        ssize_t some = copy_file_range(from, &in, to, &out, left, 0);
        if (some < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            some = copy_by_hand(from, at, to, left);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            return some ? -errno : -EIO;
        at += some;
    }
    return 0;
}

static int copy_data(int from, int to, off_t size)
{
    int code = ftruncate(to, 0) < 0 || ftruncate(to, size) < 0 ? -errno : 0;
    for (off_t at = 0, hole; !code && at < size; at = hole) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0 && errno == ENXIO) /* only a hole is left */
            break;
        at = data < 0 ? at : data;
        hole = lseek(from, at, SEEK_HOLE);
        hole = hole < 0 ? size : hole;
        code = copy_range(from, to, at, MIN(hole, size));
    }
    return code;
}

int disk_copy(int from, int to, struct error *error)
{
    struct stat status;
    int code = fstat(from, &status) < 0 ? -errno : 0;
    if (!code && ioctl(to, FICLONE, from) < 0)
        code = copy_data(from, to, status.st_size);
    else if (!code && ftruncate(to, status.st_size) < 0) /* it may have been longer */
        code = -errno;
    if (!code && fsync(to) < 0)
        code = -errno;
    return code ? error_set(error, code, "%s", strerror(-code)) : 0;
}
