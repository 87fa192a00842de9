/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_files: the kernel's files by which a host is taken over or read, in /proc and /sys, which are masked
 * or read-only; and the ways around: other names of the same place, unmounting, mounting again, a new proc,
 * in the container's namespaces and in new ones. "end" are the files themselves, "means" are steps on the
 * way.
 */
#include <sched.h>
#include <sys/mount.h>

#include "attack.h"

static const char *const secret[] = {"/proc/kcore", "/proc/timer_list", "/proc/sched_debug",
                                     "/proc/kmsg",  "/dev/mem",         "/dev/kmsg"};
static const char *const hidden[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list"};
static const char *const powerful[] = {
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hotplug",
    "/proc/sys/kernel/poweroff_cmd",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/ksm/run",
    "/sys/power/state",
    "/sys/block/loop0/queue/read_ahead_kb",
};

#define EACH(item, array) for (unsigned item = 0; item < sizeof(array) / sizeof(array)[0]; item++)

static void ends(const char *where)
{
    static const char *const prefixes[] = {
        "", "/proc/self/root", "/proc/1/root", "/proc/thread-self/root", "/proc/1/cwd", "/dev/../."};
    char path[256];
    EACH(p, prefixes)
    {
        EACH(i, secret)
        {
            snprintf(path, sizeof path, "%s%s", prefixes[p], secret[i]);
            tried(try_read(path), "end %s %s", where, path);
        }
        EACH(i, powerful)
        {
            snprintf(path, sizeof path, "%s%s", prefixes[p], powerful[i]);
            tried(try_open(path, O_WRONLY), "end %s %s", where, path);
        }
    }
}

/* The same below another mount of proc or sysfs. */
static void ends_below(const char *mount, const char *prefix, const char *where)
{
    char path[256];
    size_t length = strlen(prefix);
    EACH(i, secret)
    {
        if (strncmp(secret[i], prefix, length) != 0)
            continue;
        snprintf(path, sizeof path, "%s%s", mount, secret[i] + length);
        tried(try_read(path), "end %s %s", where, secret[i]);
    }
    EACH(i, powerful)
    {
        if (strncmp(powerful[i], prefix, length) != 0)
            continue;
        snprintf(path, sizeof path, "%s%s", mount, powerful[i] + length);
        tried(try_open(path, O_WRONLY), "end %s %s", where, powerful[i]);
    }
}

/* What a mount namespace's owner may try. `where` says whose. */
static void mounts(const char *where)
{
    static const char *const places[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/sys"};
    const char *spot = "/dev/mqueue"; /* a directory that is always there */
    EACH(i, hidden)
    tried(umount2(hidden[i], MNT_DETACH), "means %s umount %s", where, hidden[i]);
    EACH(i, places)
    {
        tried(mount(NULL, places[i], NULL, MS_REMOUNT | MS_BIND, NULL), "means %s remount %s", where,
              places[i]);
        struct mount_attr attributes = {.attr_clr = MOUNT_ATTR_RDONLY};
        tried(mount_setattr(AT_FDCWD, places[i], 0, &attributes, sizeof attributes), "means %s setattr %s",
              where, places[i]);
        tried(umount2(places[i], MNT_DETACH), "means %s umount %s", where, places[i]);
    }
    ends(where);
    static const struct {
        const char *type, *prefix;
    } kinds[] = {{"proc", "/proc"}, {"sysfs", "/sys"}};
    EACH(i, kinds)
    {
        if (tried(mount("none", spot, kinds[i].type, 0, NULL), "means %s mount %s", where, kinds[i].type)) {
            ends_below(spot, kinds[i].prefix, where);
            umount2(spot, MNT_DETACH);
        }
        if (tried(mount(kinds[i].prefix, spot, NULL, MS_BIND, NULL), "means %s bind %s", where,
                  kinds[i].prefix)) {
            ends_below(spot, kinds[i].prefix, where);
            umount2(spot, MNT_DETACH);
        }
        int tree = open_tree(AT_FDCWD, kinds[i].prefix, OPEN_TREE_CLONE);
        if (tried(tree, "means %s copy %s", where, kinds[i].prefix) && fchdir(tree) == 0)
            ends_below(".", kinds[i].prefix, where);
        int context = fsopen(kinds[i].type, 0);
        int made = context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0
                       ? -1
                       : fsmount(context, 0, 0);
        if (tried(made, "means %s fsmount %s", where, kinds[i].type) && fchdir(made) == 0)
            ends_below(".", kinds[i].prefix, where);
    }
}

static void own(void)
{
    mounts("own");
}

static void map_root(void)
{
    write_text("/proc/self/setgroups", "deny");
    write_text("/proc/self/uid_map", "0 0 1");
    write_text("/proc/self/gid_map", "0 0 1");
}

static void in_new(void)
{
    mounts("new");
}

static void new_namespaces(void)
{
    if (!tried(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID), "means new user namespace"))
        return;
    map_root();
    apart(in_new);
}

int main(void)
{
    ends("plain");
    EACH(i, hidden)
    tried(try_read(hidden[i]), "masked %s", hidden[i]);
    apart(own);
    apart(new_namespaces);
    return 0;
}
