/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "boot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"

static int read_host(struct boot_file *file, uint64_t offset, void *buffer, size_t length,
                     struct error *error)
{
    int fd = (int)(intptr_t)file->opaque;
    for (size_t done = 0; done < length;) {
        ssize_t got = pread(fd, (char *)buffer + done, length - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, -errno, "cannot read %s: %s", file->name, strerror(errno));
        if (got == 0)
            return error_set(error, -EIO, "cannot read %s: it became shorter meanwhile", file->name);
        done += (size_t)got;
    }
    return 0;
}

static void close_host(struct boot_file *file)
{
    close((int)(intptr_t)file->opaque);
}

static struct boot_file *file_new(const char *name, uint64_t size)
{
    struct boot_file *file = calloc(1, sizeof *file);
    if (!file)
        return NULL;
    file->name = strdup(name);
    file->size = size;
    if (!file->name) {
        free(file);
        return NULL;
    }
    return file;
}

int boot_file_open(struct boot_file **out, const char *path, struct error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    off_t size = -1;
    int result = 0;
    if (!fstat(fd, &status) && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)))
        size = lseek(fd, 0, SEEK_END); /* of a block device fstat() says nothing */
    else
        result = error_set(error, -EINVAL, "cannot open %s: neither a file nor a block device", path);
    if (!result && size < 0)
        result = error_set(error, -errno, "cannot open %s: %s", path, strerror(errno));
    struct boot_file *file = result ? NULL : file_new(path, (uint64_t)size);
    if (!result && !file)
        result = error_set(error, -ENOMEM, "cannot open %s: out of memory", path);
    if (result) {
        close(fd);
        return result;
    }
    file->read = read_host;
    file->close = close_host;
    file->opaque = (void *)(intptr_t)fd;
    *out = file;
    return 0;
}

static int read_memory(struct boot_file *file, uint64_t offset, void *buffer, size_t length,
                       struct error *error)
{
    (void)error;
    memcpy(buffer, (const char *)file->opaque + offset, length);
    return 0;
}

struct boot_file *boot_file_of_memory(const char *name, const void *data, size_t size)
{
    struct boot_file *file = file_new(name, size);
    if (!file)
        return NULL;
    file->read = read_memory;
    file->opaque = (void *)(uintptr_t)data;
    return file;
}

void boot_file_close(struct boot_file *file)
{
    if (!file)
        return;
    if (file->close)
        file->close(file);
    free(file->name);
    free(file);
}

int boot_file_read(struct boot_file *file, uint64_t offset, void *buffer, uint64_t length,
                   struct error *error)
{
    if (offset > file->size || length > file->size - offset)
        return error_set(error, -EINVAL, "%s is too short: %llu bytes, its headers speak of %llu", file->name,
                         (unsigned long long)file->size,
                         (unsigned long long)(length > UINT64_MAX - offset ? UINT64_MAX : offset + length));
    return length ? file->read(file, offset, buffer, length, error) : 0;
}
