/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limits: what a configuration asks of cgroups, made ready by the creator and put on by the process itself.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_LIMITS_H
#define VISOR_PERSONALITY_CONTAINER_LIMITS_H

#include <stdbool.h>

#include "personality/container/cgroup.h"
#include "personality/container/container.h"
#include "personality/container/store.h"

struct limits {
    struct cgroup *cgroup; /* NULL: not made */
};

int limits_prepare(struct limits *limits, const struct container_options *options,
                   const struct oci_config *config, struct error *error);
/* Those of a container that there is, for one more process. */
int limits_open(struct limits *limits, const struct store_record *record, struct error *error);
/* What later commands need to find it again; text is the limits' own. */
void limits_record(const struct limits *limits, struct store_record *record);
/* For clone3(): a directory of cgroup v2, or -1. */
int limits_directory(const struct limits *limits);
/* Removes what limits_prepare() has made on the host; nobody is in it any more. */
void limits_remove(struct limits *limits);
void limits_release(struct limits *limits);

/* In the process itself. */
int limits_enter(struct limits *limits, struct error *error);

#endif
