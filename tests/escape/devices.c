/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * devices b:MAJOR:MINOR|c:MAJOR:MINOR…: device nodes of the host, made and opened in every place where there
 * may be some; and the filter of devices, which must not be changed from inside.
 */
#include <dirent.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>

#include "attack.h"

static void open_all_ways(const char *node, const char *what)
{
    static const struct {
        int flags;
        const char *name;
    } ways[] = {{O_RDONLY, "read"}, {O_WRONLY, "write"}, {O_RDWR, "both"}};
    char by_fd[64];
    int path = open(node, O_PATH | O_CLOEXEC);
    snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", path);
    for (unsigned i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        tried(try_open(node, ways[i].flags), "open %s %s", what, ways[i].name);
        if (path >= 0)
            tried(try_open(by_fd, ways[i].flags), "open %s %s by descriptor", what, ways[i].name);
    }
    if (path >= 0)
        close(path);
}

static void one(const char *what)
{
    static const char *const places[] = {"/dev", "/dev/shm", "/", "/tmp", "/volume"};
    unsigned high, low;
    char kind, node[64];
    if (sscanf(what, "%c:%u:%u", &kind, &high, &low) != 3)
        return;
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(node, sizeof node, "%s/node", places[i]);
        unlink(node);
        long made = mknod(node, (kind == 'b' ? S_IFBLK : S_IFCHR) | 0666, makedev(high, low));
        if (!tried(made, "mknod %s in %s", what, places[i]))
            continue;
        open_all_ways(node, what);
        if (kind == 'b')
            tried(mount(node, "/dev/mqueue", "ext4", MS_RDONLY, NULL), "open %s mounted", what);
        unlink(node);
    }
}

/* The filter of version 1 is a file. */
static void widen_filter(void)
{
    static const char *const files[] = {"/sys/fs/cgroup/devices/devices.allow",
                                        "/sys/fs/cgroup/devices.allow",
                                        "/sys/fs/cgroup/devices/../devices.allow"};
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++)
        tried(write_text(files[i], "a *:* rwm"), "widen %s", files[i]);
    tried(write_text("/sys/fs/cgroup/devices/cgroup.procs", "0"), "leave the filter");
    tried(write_text("/sys/fs/cgroup/cgroup.procs", "0"), "leave the cgroup");
}

int main(int count, char **words)
{
    widen_filter();
    for (int i = 1; i < count; i++)
        one(words[i]);
    int null = open("/dev/null", O_RDWR);
    printf("own null device: %s\n", null >= 0 && write(null, "x", 1) == 1 ? "works" : strerror(errno));
    return 0;
}
