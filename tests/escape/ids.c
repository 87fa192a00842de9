/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ids FOREIGN UNMAPPED: users that a container does not have. FOREIGN is a file of a user outside of the map,
 * in a volume; UNMAPPED the number of a user that the map does not have.
 */
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/xattr.h>

#include "attack.h"

static void take_file(const char *file)
{
    struct vfs_cap_data capabilities = {.magic_etc = VFS_CAP_REVISION_2, .data = {{.permitted = 1}}};
    char linked[4096];
    tried(try_open(file, O_RDONLY), "read a foreign file");
    tried(try_open(file, O_WRONLY), "write a foreign file");
    tried(chown(file, 0, 0), "own a foreign file");
    tried(chmod(file, 04777), "set the user bit of a foreign file");
    tried(setxattr(file, "security.capability", &capabilities, sizeof capabilities, 0),
          "give capabilities to a foreign file");
    tried(utimensat(AT_FDCWD, file, (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0),
          "date a foreign file");
    snprintf(linked, sizeof linked, "%s.linked", file);
    tried(truncate(file, 0), "truncate a foreign file");
}

static unsigned unmapped;

static void become(void)
{
    gid_t group = unmapped;
    tried(setgroups(1, &group), "take an unmapped group");
    tried(setresgid(unmapped, unmapped, unmapped), "become an unmapped group");
    tried(setresuid(unmapped, unmapped, unmapped), "become an unmapped user");
}

static void map_again(void)
{
    char line[64];
    tried(write_text("/proc/self/uid_map", "0 0 4294967295"), "widen the map");
    tried(write_text("/proc/1/uid_map", "0 0 4294967295"), "widen the map of 1");
    if (unshare(CLONE_NEWUSER) < 0)
        return;
    snprintf(line, sizeof line, "0 %u 1", unmapped);
    tried(write_text("/proc/self/uid_map", line), "map an unmapped user once more");
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    unmapped = (unsigned)strtoul(words[2], NULL, 10);
    take_file(words[1]);
    apart(become);
    apart(map_again);
    return 0;
}
