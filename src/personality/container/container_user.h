/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * container_user: who a name is in a container: by the files /etc/passwd and /etc/group of its own root,
 * which the host does not trust: they are found without leaving the root, and may have anything in them.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_CONTAINER_USER_H
#define VISOR_PERSONALITY_CONTAINER_CONTAINER_USER_H

#include <limits.h>
#include <sys/types.h>

#include "base/error.h"

#define CONTAINER_GROUPS_MAX 64

struct container_user {
    uid_t uid;
    gid_t gid;
    char home[256]; /* "/" if it has none */
    gid_t groups[CONTAINER_GROUPS_MAX];
    unsigned group_count; /* that it is a member of beside `gid`; none where a group was said */
};

/* USER, UID, USER:GROUP ...; `root`: a descriptor of the container's root directory. -ENOENT: there is no
 * user or group of this name; numbers need not be listed. */
int container_user_find(struct container_user *user, int root, const char *text, struct error *error);

#endif
