/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * limits: what a configuration asks of cgroups and seccomp, made ready by the creator and put on by the
 * process itself.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_LIMITS_H
#define VISOR_PERSONALITY_CONTAINER_LIMITS_H

#include <stdbool.h>

#include "personality/container/cgroup.h"
#include "personality/container/container.h"
#include "personality/container/process.h"
#include "personality/container/seccomp.h"
#include "personality/container/store.h"

struct limits {
    struct cgroup *cgroup; /* NULL: not made */
    struct seccomp_filter filter;
    bool has_filter;
    bool filter_forks;                             /* who has it may make processes by clone() */
    const char *listener_path, *listener_metadata; /* of who serves the filter's notifications */
};

/* `located` is called when it is known where the cgroups will be, and nothing has been made. */
int limits_prepare(struct limits *limits, const struct container_options *options,
                   const struct oci_config *config,
                   int (*located)(void *opaque, const char *path, struct error *error), void *opaque,
                   struct error *error);
/* Those of a container that there is, for one more process. */
int limits_open(struct limits *limits, const char *state_root, const struct store_record *record,
                const struct oci_config *config, struct error *error);
/* What later commands need to find it again; text is the limits' own. */
void limits_record(const struct limits *limits, struct store_record *record);
/* For clone3(): a directory of cgroup v2, or -1. */
int limits_directory(const struct limits *limits);
/* Removes what limits_prepare() has made on the host; nobody is in it any more. */
void limits_remove(struct limits *limits);
void limits_release(struct limits *limits);

/* Hands over what receives the filter's notifications. */
int limits_send_listener(const struct limits *limits, int listener, pid_t pid, const char *state,
                         struct error *error);

/* In the process itself, which has one thread. */
int limits_enter(struct limits *limits, struct error *error);
/* process_take() and process_become(), with the filter where it belongs: where privileges may not be gained
 * it is the last thing before execve(); else it takes rights which the program will not have, and comes
 * before they are dropped. */
int limits_become(struct limits *limits, const struct oci_process *process, const int descriptors[2],
                  int channel, struct process_program *program, struct error *error);
/* Returns only what went wrong. */
int limits_execute(struct limits *limits, const struct oci_process *process,
                   const struct process_program *program, struct error *error);

#endif
