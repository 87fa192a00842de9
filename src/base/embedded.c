/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/embedded.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif

int embedded_open(const char *name, const unsigned char *image, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
        fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < size;) {
        ssize_t part = write(fd, image + done, size - done);
        if (part <= 0) {
            int number = part ? errno : EIO;
            close(fd);
            return -number;
        }
        done += (size_t)part;
    }
    return fd;
}
