/* SPDX-License-Identifier: GPL-2.0-or-later */
/* members: the processes of a container. For life.c. */
#ifndef VISOR_PERSONALITY_CONTAINER_MEMBERS_H
#define VISOR_PERSONALITY_CONTAINER_MEMBERS_H

#include "personality/container/cgroup.h"
#include "personality/container/store.h"

/* Those in its cgroup; where it has none, as ordinary users' often, those in its PID namespace. -ENOTSUP: it
 * has neither. Free `*pids`. */
int members_list(const struct store_record *record, struct cgroup *cgroup, pid_t **pids, size_t *count,
                 struct error *error);
/* A signal to all of them. */
int members_signal(const struct store_record *record, struct cgroup *cgroup, int signal, struct error *error);

#endif
