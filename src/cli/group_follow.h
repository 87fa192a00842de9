/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * group_follow: what a group's domains say, line by line with their names before it, until all have ended.
 *
 * SIGINT, SIGTERM and SIGHUP stop the group, a second one ends it at once; what is said meanwhile is printed,
 * too.
 */
#ifndef VISOR_CLI_GROUP_FOLLOW_H
#define VISOR_CLI_GROUP_FOLLOW_H

#include <signal.h>

#include "cli/log_reader.h"
#include "group/work.h"

struct group_follower {
    struct group_work *work;
    const bool *wanted;
    struct group_member *before; /* that there were, and how far their logs had come */
    struct log_place *places;
    unsigned before_count;
    sigset_t mask; /* as it was before */
};

/* Before anything is done: what is said from now on counts, and signals do. `work` is told of them. */
int group_follow_begin(struct group_follower *follower, struct group_work *work, const bool *wanted,
                       struct error *error);
/* After group_up(), which has returned `code`: follows, unless that is an error, of those that are `wanted`
 * (all of them: NULL) and what they need. 0: all have ended well, or were stopped. */
int group_follow_end(struct group_follower *follower, int code, int seconds);

#endif
