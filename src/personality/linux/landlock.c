/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * landlock: a thread that restricts itself to some files still has to be able to execute programs of the
 * guest, and for that the host executes visor's own (exec.c). So its file is added to what the rules allow.
 */
#include <errno.h>
#include <linux/landlock.h>

#include "base/macros.h"
#include "personality/linux/session.h"
#include "personality/linux/syscalls.h"

/* Adds visor's file to a set of rules; one that does not restrict these accesses does not take a rule. */
static void allow_visor(const struct linux_process *process, uint64_t ruleset)
{
    static const uint64_t accesses[] = {
        LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE,
        LANDLOCK_ACCESS_FS_EXECUTE,
        LANDLOCK_ACCESS_FS_READ_FILE,
    };
    for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
        struct landlock_path_beneath_attr rule = {.allowed_access = accesses[i],
                                                  .parent_fd = process->own_fds[OWN_VISOR]};
        if (linux_plain_syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, (uint64_t)&rule,
                                0, 0, 0) == 0)
            return;
    }
}

int64_t linux_sys_landlock_restrict_self(struct linux_thread *thread, const uint64_t a[6])
{
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    if ((int)a[0] >= 0)
        allow_visor(thread->process, a[0]);
    linux_session_leave(thread->process);
    return linux_host_syscall(thread, SYS_landlock_restrict_self, a[0], a[1], 0, 0, 0, 0);
}
