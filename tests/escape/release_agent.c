/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * release_agent: a program of the host's that the kernel runs as root when a cgroup of version 1 is empty
 * (CVE-2022-0492): tried where the container sees cgroups, and with the hierarchies mounted once more, in the
 * container's namespaces and in new ones for users, cgroups and mounts.
 */
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>

#include "attack.h"

/* Writes back what is there. */
static void write_back(const char *path, const char *where)
{
    char text[4096] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (size < 0) {
        tried(-1, "agent %s", where);
        return;
    }
    text[size] = '\0';
    if (!size)
        strcpy(text, "\n");
    tried(write_text(path, text), "agent %s", where);
}

/* The container's own limits, in a hierarchy that is mounted once more. */
static void raise_limits(const char *mount, const char *where)
{
    static const char *const files[] = {"pids.max", "memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us",
                                        "cpu.max"};
    char path[256];
    for (unsigned i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", mount, files[i]);
        tried(try_open(path, O_WRONLY), "limit %s %s", where, files[i]);
    }
}

static void shown(void)
{
    char path[512];
    DIR *directory = opendir("/sys/fs/cgroup");
    const struct dirent *entry;
    write_back("/sys/fs/cgroup/release_agent", "in the only hierarchy");
    while (directory && (entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") == 0)
            continue; /* ".." is what the mount lies in */
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s/release_agent", entry->d_name);
        write_back(path, entry->d_name);
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s", entry->d_name);
        raise_limits(path, "shown");
        snprintf(path, sizeof path, "/sys/fs/cgroup/%s/../release_agent", entry->d_name);
        write_back(path, "above");
    }
    if (directory)
        closedir(directory);
}

static void mounted(const char *where)
{
    static const char *const options[] = {
        "memory", "pids", "devices", "freezer",           "rdma",
        "misc",   "cpu",  "cpuset",  "none,name=systemd", "none,name=escape"};
    const char *spot = "/dev/mqueue";
    for (unsigned i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (!tried(mount("cgroup", spot, "cgroup", 0, options[i]), "mount %s %s", where, options[i]))
            continue;
        write_back("/dev/mqueue/release_agent", options[i]);
        raise_limits(spot, where);
        umount2(spot, MNT_DETACH);
    }
    if (tried(mount("cgroup2", spot, "cgroup2", 0, NULL), "mount %s version 2", where)) {
        tried(try_open("/dev/mqueue/../cgroup.procs", O_WRONLY), "agent above version 2");
        raise_limits(spot, where);
        umount2(spot, MNT_DETACH);
    }
}

static void in_new(void)
{
    if (!tried(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP), "new namespaces"))
        return;
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", "0 0 1");
    write_text("/proc/self/gid_map", "0 0 1");
    mounted("new");
    shown();
}

static void in_own(void)
{
    mounted("own");
}

int main(void)
{
    shown();
    apart(in_own);
    apart(in_new);
    return 0;
}
