/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An archive of somebody's is unpacked, and written anew and unpacked: nothing beside the directory changes,
 * and both ways make the same or fail. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/tree.h"
#include "base/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[32] = "/dev/shm/visor-fuzz-XXXXXX";
static int top_fd = -1, self = -1;

static void clean(void)
{
    tree_remove(AT_FDCWD, top);
}

static void begin(void)
{
    if (top_fd >= 0)
        return;
    self = tree_open_self(NULL);
    if (access("/dev/shm", W_OK) < 0)
        strcpy(top, "/tmp/visor-fuzz-XXXXXX");
    if (self < 0 || !mkdtemp(top) || (top_fd = open(top, O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        abort();
    atexit(clean);
    int fd = openat(top_fd, "beside", O_CREAT | O_WRONLY | O_CLOEXEC, 0640);
    if (fd < 0 || write(fd, "beside", 6) != 6)
        abort();
    close(fd);
}

static int unpack(int archive, const char *as)
{
    const struct tree_options options = {.special = true, .self = self};
    lseek(archive, 0, SEEK_SET);
    if (mkdirat(top_fd, "to", 0700) < 0)
        abort();
    const struct tree_unpack where = {.directory = openat(top_fd, "to", O_PATH | O_DIRECTORY | O_CLOEXEC),
                                      .as = as};
    struct error error = {0};
    int code = tree_unpack(&where, archive, &options, &error);
    if (code > 0 || (code && !error.message[0]))
        abort();
    close(where.directory);
    if (tree_remove(top_fd, "to"))
        abort();
    return code;
}

static void check_beside(void)
{
    struct stat status, directory;
    if (fstatat(top_fd, "beside", &status, AT_SYMLINK_NOFOLLOW) < 0 || status.st_size != 6 ||
        (status.st_mode & 07777) != 0640 || status.st_nlink != 1 || fstat(top_fd, &directory) < 0 ||
        directory.st_nlink != 2)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tree_options options = {.special = true, .self = -1};
    struct error error = {0};
    begin();
    int archive = memfd_create("archive", MFD_CLOEXEC), again = memfd_create("again", MFD_CLOEXEC);
    if (archive < 0 || again < 0 || write(archive, data, size) != (ssize_t)size)
        abort();
    unpack(archive, NULL);
    unpack(archive, "as");
    check_beside();
    lseek(archive, 0, SEEK_SET);
    struct stat status;
    /* what is sparse would be written out in full */
    if (!memmem(data, size, "GNU.sparse", 10) && !(size > 156 && data[156] == 'S') &&
        tree_repack(archive, again, &options, &error) == 0 && fstat(again, &status) == 0) {
        unpack(again, NULL);
        check_beside();
    }
    close(archive);
    close(again);
    return 0;
}
