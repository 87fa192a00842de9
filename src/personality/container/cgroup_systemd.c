/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scopes of systemd. */
#include <errno.h>
#include <sys/stat.h>

#include "personality/container/cgroup_private.h"

bool cgroup_systemd_runs(void)
{
    struct stat status;
    return lstat("/run/systemd/system", &status) == 0 && S_ISDIR(status.st_mode); /* sd_booted(3) */
}

int cgroup_systemd_start(const char *slice, const char *scope, bool user, int pid, char **path,
                         struct error *error)
{
    (void)slice, (void)user, (void)pid, (void)path;
    error_set(error, -ENOTSUP, "cannot make the scope %s: this visor does not talk to systemd yet", scope);
    return -ENOTSUP;
}
