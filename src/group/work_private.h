/* SPDX-License-Identifier: GPL-2.0-or-later */
/* work_private: what up.c and stop.c have in common. The group's lock is held. */
#ifndef VISOR_GROUP_WORK_PRIVATE_H
#define VISOR_GROUP_WORK_PRIVATE_H

#include <sys/types.h>

#include "group/work.h"

/* Stops these domains, the highest level first and those of one level at the same time. */
int group_stop_members(const struct group_work *work, const struct group_member *members, unsigned count,
                       int seconds);
/* Removes one that does not run. */
int group_remove_member(const struct group_work *work, const struct group_member *member);
/* The members that are not in the file come to the beginning; how many they are. */
unsigned group_sort_orphans(const struct group *group, struct group_member *members, unsigned count);
/* Until a process that this one has made has ended, for the caller to wait for; or a signal has come, and it
 * is killed. */
void group_await_child(const struct group_work *work, pid_t child);
/* Until the domain is ready, as its file says. -EINTR; -ECANCELED: it has ended, or it takes too long. */
int group_wait_ready(const struct group_work *work, const struct group_domain *domain, const char *id,
                     struct error *error);

#endif
