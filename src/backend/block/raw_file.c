/* SPDX-License-Identifier: GPL-2.0-or-later */
/* raw_file: opens a disk's file, and refuses with one line what cannot be a disk. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend/block/raw.h"
#include "base/macros.h"

/* Formats that somebody could take for a raw disk, by their first bytes. */
static const struct {
    const char *name;
    uint8_t offset, size;
    const char *magic;
    const char *format; /* qemu-img's, if it reads it */
} formats[] = {
    {"qcow2", 0, 4, "QFI\xfb", "qcow2"},
    {"VMDK", 0, 4, "KDMV", "vmdk"},
    {"VMDK", 0, 21, "# Disk DescriptorFile", "vmdk"},
    {"VDI", 0x40, 4, "\x7f\x10\xda\xbe", "vdi"},
    {"VHDX", 0, 8, "vhdxfile", "vhdx"},
    {"VHD", 0, 8, "conectix", "vpc"},
    {"QED", 0, 4, "QED\0", "qed"},
    {"xz-compressed", 0, 6, "\xfd\x37zXZ\0", NULL},
    {"gzip-compressed", 0, 3, "\x1f\x8b\x08", NULL},
    {"zstd-compressed", 0, 4, "\x28\xb5\x2f\xfd", NULL},
    {"bzip2-compressed", 0, 3, "BZh", NULL},
};

static int check_format(int fd, const char *path, struct error *error)
{
    uint8_t begin[128];
    ssize_t size = pread(fd, begin, sizeof begin, 0);
    if (size < 0)
        return error_set(error, -errno, "cannot read the disk %s: %s", path, strerror(errno));
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        if (size < formats[i].offset + formats[i].size ||
            memcmp(begin + formats[i].offset, formats[i].magic, formats[i].size))
            continue;
        error_set(error, -EMEDIUMTYPE, "the disk %s is a %s image, which visor cannot read yet", path,
                  formats[i].name);
        if (formats[i].format)
            error_hint(error,
                       "make a raw one of it: qemu-img convert -f %s -O raw %.80s NEW; or, if it is one, say "
                       "format=raw",
                       formats[i].format, path);
        else
            error_hint(error, "unpack it first; or, if it is the disk itself, say format=raw");
        return -EMEDIUMTYPE;
    }
    return 0;
}

static int check_kind(struct raw_file *file, const char *path, struct error *error)
{
    struct stat status;
    if (fstat(file->fd, &status) < 0)
        return error_set(error, -errno, "cannot examine the disk %s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return error_set(error, -EISDIR, "the disk %s is a directory", path);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return error_set(error, -EINVAL, "the disk %s is neither a file nor a block device", path);
    file->block_device = S_ISBLK(status.st_mode);
    file->size = (uint64_t)status.st_size;
    if (file->block_device && ioctl(file->fd, BLKGETSIZE64, &file->size) < 0)
        return error_set(error, -errno, "cannot find the size of %s: %s", path, strerror(errno));
    if (!file->size)
        return error_set(error, -EINVAL, "the disk %s is empty", path);
    return 0;
}

static int set_lock(int fd, const char *path, bool read_only, struct error *error)
{
    struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    if (!fcntl(fd, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES))
        return 0; /* a file system without locks is no reason not to run */
    if (read_only) {
        error_set(error, -EBUSY, "the disk %s is being written by another machine", path);
        error_hint(
            error,
            "end that machine first; a disk is shared only if no machine writes it (readonly, snapshot)");
    } else {
        error_set(error, -EBUSY, "the disk %s is in use by another machine", path);
        error_hint(error, "end that machine first, or use --snapshot or readonly with all of them");
    }
    return -EBUSY;
}

static void find_alignment(struct raw_file *file, bool direct)
{
    int sector;
    file->alignment = file->memory_alignment = 1;
    if (!direct)
        return;
    file->alignment = file->memory_alignment = 4096;
#ifdef STATX_DIOALIGN
    struct statx status;
    if (!statx(file->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status) && status.stx_mask & STATX_DIOALIGN &&
        status.stx_dio_offset_align) {
        file->alignment = status.stx_dio_offset_align;
        file->memory_alignment = MAX(status.stx_dio_mem_align, 1);
        return;
    }
#endif
    if (file->block_device && !ioctl(file->fd, BLKSSZGET, &sector) && sector >= 512)
        file->alignment = file->memory_alignment = (uint32_t)sector;
}

static int open_error(const struct block_options *options, bool writable, int number, struct error *error)
{
    const char *path = options->path;
    if (number == ENOENT)
        return error_set(error, -ENOENT, "the disk %s does not exist", path);
    if (number == EISDIR)
        return error_set(error, -EISDIR, "the disk %s is a directory", path);
    if (number == EBUSY)
        return error_set(error, -EBUSY, "the disk %s is in use by the host, which may have mounted it", path);
    if (number == EINVAL && options->direct)
        return error_set(error, -EINVAL, "the disk %s is on a file system that has no cache=none", path);
    error_set(error, -number, "cannot %s the disk %s: %s", writable ? "write to" : "read", path,
              strerror(number));
    if (writable && (number == EACCES || number == EROFS || number == EPERM))
        error_hint(error, "use --snapshot, with which all that is written is thrown away, or readonly");
    return -number;
}

int raw_file_open(struct raw_file *file, const struct block_options *options, struct error *error)
{
    const bool writable = !options->read_only && !options->snapshot;
    int flags = (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    struct stat status;

    *file = (struct raw_file){.fd = -1};
    if (writable && !stat(options->path, &status) && S_ISBLK(status.st_mode))
        flags |= O_EXCL; /* not while it is mounted */
    file->fd = open(options->path, flags | (options->direct ? O_DIRECT : 0));
    if (file->fd < 0)
        return open_error(options, writable, errno, error);
    int code = check_kind(file, options->path, error);
    find_alignment(file, options->direct);
    if (!code)
        code = set_lock(file->fd, options->path, !writable, error);
    if (!code && !options->raw) {
        int plain =
            open(options->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* for unaligned reads */
        code = plain < 0 ? 0 : check_format(plain, options->path, error);
        if (plain >= 0)
            close(plain);
    }
    if (code)
        close(file->fd);
    return code;
}
