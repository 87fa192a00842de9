/* SPDX-License-Identifier: GPL-2.0-or-later */
/* walls: what the process gives up by itself, one thing after the other; that it gets none of it back is the
 * filter's part (filter.c). */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "cage/private.h"

/* Ids that neither users have nor systemd, containers and newuidmap give away, as systemd's documentation of
 * "Users, Groups, UIDs and GIDs" lists them: 0x70000000 to 0x7fffffff. The keeper's process id, which has 22
 * bits, makes them each domain's own: two cages can neither signal nor trace each other. */
#define FIRST_ID 0x70000000u
/* What a user namespace of 64 Ki ids has in any case: nobody. Others may have it, too. */
#define COMMON_ID 65534u

#define UNUSED_MOST  64 /* descriptors in a row */
#define THREADS_MOST 1024

/* -- descriptors ----------------------------------------------------------------------------------------- */

/* The kernel gives the lowest number that is free: behind many that are free there is none in use. */
int walls_descriptors(struct error *error)
{
    for (int fd = 0, unused = 0; unused < UNUSED_MOST; fd++) {
        struct stat status;
        if (fstat(fd, &status) < 0)
            unused++;
        else if (S_ISDIR(status.st_mode))
            return error_set(error, -EISDIR, "descriptor %d is a directory, which leads out of the cage", fd);
        else
            unused = 0;
    }
    return 0;
}

/* -- namespaces ------------------------------------------------------------------------------------------ */

static const struct {
    int flag;
    enum cage_part part;
    const char *what;
} spaces[] = {
    {CLONE_NEWNS, PART_MOUNT, "a mount namespace"},       {CLONE_NEWNET, PART_NETWORK, "a network namespace"},
    {CLONE_NEWIPC, PART_IPC, "an IPC namespace"},         {CLONE_NEWUTS, PART_UTS, "a UTS namespace"},
    {CLONE_NEWCGROUP, PART_CGROUP, "a cgroup namespace"},
};

int walls_namespaces(struct cage *cage, struct error *error)
{
    int all = 0, code = 0;
    spaces_enter(cage);
    cage->has_root = cage->parts & PART_MOUNT;
    for (unsigned i = 0; i < ARRAY_SIZE(spaces); i++)
        all |= cage->parts & spaces[i].part ? 0 : spaces[i].flag;
    const bool together = unshare(all) == 0;
    for (unsigned i = 0; !code && i < ARRAY_SIZE(spaces); i++) {
        if (together || cage->parts & spaces[i].part || unshare(spaces[i].flag) == 0)
            cage->parts |= spaces[i].part;
        else
            code = cage_missing(cage, -errno, spaces[i].what, error);
    }
    return code;
}

/*
 * An empty file system that cannot be written becomes the root, and all that was there is unmounted. Nothing
 * of that is told to other namespaces, nor do these tell anything. The directory that the new root is
 * mounted on does not matter: it is one that is there. With the same path twice pivot_root() puts the old
 * root on top of the new one, where umount2() finds it (pivot_root(2)).
 */
int walls_empty_root(void)
{
    static const char options[] = "size=4k,nr_inodes=1,mode=0";
    const char *place = "/proc";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    if (access(place, F_OK) < 0)
        place = "/tmp";
    if (mount("cage", place, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, options) < 0 ||
        chdir(place) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
        chdir("/") < 0)
        return -errno;
    return 0;
}

int walls_root(struct cage *cage, struct error *error)
{
    if (!(cage->parts & PART_MOUNT) || cage->has_root)
        return 0; /* it would be everybody's, or is there */
    const int code = walls_empty_root();
    if (!code)
        return 0;
    cage->parts &= ~(unsigned)PART_MOUNT;
    return cage_missing(cage, code, "an empty root", error);
}

/* -- limits ---------------------------------------------------------------------------------------------- */

/* Lowers it for good, to what it is at most now. */
static bool limit_lower(int what, rlim_t most)
{
    struct rlimit limit;
    if (getrlimit(what, &limit) < 0)
        return false;
    limit.rlim_cur = limit.rlim_max = MIN(limit.rlim_cur, most);
    return setrlimit(what, &limit) == 0;
}

/* Not of file sizes: disks are files. */
int walls_limits(struct cage *cage, struct error *error)
{
    if (limit_lower(RLIMIT_CORE, 0) && limit_lower(RLIMIT_MSGQUEUE, 0) &&
        limit_lower(RLIMIT_NOFILE, RLIM_INFINITY)) {
        cage->parts |= PART_LIMITS;
        return 0;
    }
    return cage_missing(cage, -errno, "its limits", error);
}

/* -- rights ---------------------------------------------------------------------------------------------- */

/* From here on no id, and no program, brings rights; those that are there outlive a change of ids, to be
 * dropped afterwards. Only who has rights has to do it. */
static void rights_bring_none(void)
{
    prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED);
    for (int i = 0; prctl(PR_CAPBSET_DROP, i) >= 0; i++)
        ;
}

static bool become(unsigned id)
{
    return setresgid(id, id, id) == 0 && setresuid(id, id, id) == 0;
}

/* For who has no user namespace of its own: the ids of nobody else. */
static int change_ids(struct cage *cage, struct error *error)
{
    const unsigned id = FIRST_ID + (unsigned)cage->keeper;
    if (setgroups(0, NULL) == 0 && become(id)) {
        cage->parts |= PART_USER;
        limit_lower(RLIMIT_NPROC, THREADS_MOST); /* which counts this id's */
        prctl(PR_SET_DUMPABLE, 0);               /* whatever the host's setting does */
        return 0;
    }
    const int code = -errno;
    if (code == -EINVAL && become(COMMON_ID)) /* an outer user namespace has not got the other */
        prctl(PR_SET_DUMPABLE, 0);
    return cage_missing(cage, code, "a user id of its own", error);
}

int walls_rights(struct cage *cage, struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    rights_bring_none();
    int code = cage->parts & PART_USER ? 0 : change_ids(cage, error);
    if (code)
        return code;
    if (syscall(SYS_capset, &header, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return error_set(error, -errno, "cannot drop rights: %s", strerror(errno));
    cage->parts |= PART_RIGHTS;
    return 0;
}
