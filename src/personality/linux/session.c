/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session: the processes that share translations, see translator/code_store.h. A session begins when a
 * process forks, and goes on through fork and exec.
 *
 * Its members trust each other: the code that one has written another runs. So they all have the same rights,
 * those that the key lists; and whoever changes them, or enters a sandbox that the key does not show, leaves
 * the session at once, to begin another with its next fork. A program that starts with more rights than who
 * executed it takes part in none that it did not begin itself.
 */
#include "personality/linux/session.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "personality/linux/arch.h"
#include "translator/translator.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

#define NAMESPACES                                                                                           \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |            \
     CLONE_NEWNET | CLONE_NEWTIME)

/* No holes: compared byte by byte. */
struct identity {
    uint64_t device, inode, size, changed[2]; /* visor's own file */
    uint32_t users[3], groups[3];             /* real, effective, saved */
    uint32_t capabilities[2][3];              /* as capget() gives them */
    uint64_t group_hash;                      /* of the supplementary groups */
    uint32_t group_count, no_new_privileges;
    uint64_t machine; /* of the programs */
};

static uint64_t hash_groups(uint32_t *count)
{
    gid_t few[32], *groups = few;
    uint64_t hash = 0;

    int n = getgroups(32, few);
    if (n < 0 && errno == EINVAL) {
        n = getgroups(0, NULL);
        groups = n > 0 ? calloc((size_t)n, sizeof *groups) : NULL;
        n = groups ? getgroups(n, groups) : -1;
    }
    for (int i = 0; i < n; i++)
        hash = (hash ^ groups[i]) * 0x9e3779b97f4a7c15u + 1;
    if (groups != few)
        free(groups);
    *count = (uint32_t)n;
    return hash;
}

/* False: it cannot be known, so nothing is shared. */
static bool make_key(const struct linux_process *process, struct translator_key *key)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct identity own = {0};
    struct stat file;
    _Static_assert(sizeof own <= sizeof key->bytes && sizeof own == 40 + 24 + 24 + 24, "fits, without holes");

    if (fstat(process->own_fds[OWN_VISOR], &file) < 0 ||
        getresuid(&own.users[0], &own.users[1], &own.users[2]) < 0 ||
        getresgid(&own.groups[0], &own.groups[1], &own.groups[2]) < 0 ||
        linux_plain_syscall(SYS_capget, (uintptr_t)&header, (uintptr_t)own.capabilities, 0, 0, 0, 0) < 0)
        return false;
    own.device = file.st_dev;
    own.inode = file.st_ino;
    own.size = (uint64_t)file.st_size;
    own.changed[0] = (uint64_t)file.st_ctim.tv_sec;
    own.changed[1] = (uint64_t)file.st_ctim.tv_nsec;
    own.group_hash = hash_groups(&own.group_count);
    own.no_new_privileges = (uint32_t)linux_plain_syscall(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0, 0);
    own.machine = process->arch->elf_machine;
    memset(key, 0, sizeof *key);
    memcpy(key, &own, sizeof own);
    return own.group_count != (uint32_t)-1;
}

void linux_session_lock(struct linux_process *process)
{
    lock_take(&process->session_lock);
}

void linux_session_unlock(struct linux_process *process)
{
    lock_release(&process->session_lock);
}

static void use(struct linux_process *process, int fd, const struct translator_key *key)
{
    if (translator_use_store(process->translator, fd, key))
        process->own_fds[OWN_STORE] = fd;
    else
        close(fd);
}

void linux_session_join(struct linux_process *process, int fd)
{
    struct translator_key key;

    process->own_fds[OWN_STORE] = -1;
    if (fd < 0)
        return;
    if (!getauxval(AT_SECURE) && make_key(process, &key))
        use(process, fd, &key);
    else
        close(fd);
}

/* With the lock held. */
static void begin(struct linux_process *process)
{
    struct translator_key key;

    if (process->own_fds[OWN_STORE] >= 0 || process->session_failed)
        return;
    linux_find_own_file(process);
    if (process->own_fds[OWN_VISOR] < 0)
        return; /* for now */
    int fd = make_key(process, &key) ? translator_new_store(&key) : -1;
    if (fd >= 0)
        use(process, linux_hide_fd(fd, process->thread_count == 1), &key);
    process->session_failed = process->own_fds[OWN_STORE] < 0;
}

/* With the lock held. */
static void leave(struct linux_process *process)
{
    int fd = process->own_fds[OWN_STORE];
    if (fd < 0)
        return;
    process->own_fds[OWN_STORE] = -1;
    translator_leave_store(process->translator);
    close(fd);
}

void linux_session_leave(struct linux_process *process)
{
    linux_session_lock(process);
    leave(process);
    linux_session_unlock(process);
}

void linux_session_check(struct linux_process *process)
{
    struct translator_key now, key;

    linux_session_lock(process);
    int fd = process->own_fds[OWN_STORE];
    if (fd >= 0 && !(make_key(process, &now) && pread(fd, &key, sizeof key, 0) == sizeof key &&
                     memcmp(&now, &key, sizeof key) == 0))
        leave(process);
    linux_session_unlock(process);
}

void linux_session_before_clone(struct linux_process *process, uint64_t flags)
{
    if (flags & (NAMESPACES | CLONE_FILES))
        leave(process);
    else
        begin(process);
}
