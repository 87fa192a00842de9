/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * oom: tells, by the event "oom", that something in a container was killed since its memory has run out. It
 * is told a moment later and at most once a second, with how many have been killed so far: what is inside can
 * have it happen as often as it likes.
 */
#ifndef VISOR_DOMAIN_OOM_H
#define VISOR_DOMAIN_OOM_H

#include "base/loop.h"
#include "domain/store.h"

struct cgroup;
struct oom;

/* Takes over the cgroup. *out is NULL, and that is no error, where its memory is not counted. */
int oom_new(struct oom **out, const struct domain *domain, struct loop *loop, struct cgroup *cgroup,
            struct error *error);
/* How many processes have been killed. NULL: 0. */
uint64_t oom_kills(struct oom *oom);
/* Tells what has not been told; while the cgroup is still there, and before the loop is freed. NULL: nothing.
 */
void oom_free(struct oom *oom);

#endif
