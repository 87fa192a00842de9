/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spawn: makes the process that becomes a container, in its namespaces.
 *
 * One clone3() makes all new namespaces at once. Where some are somebody else's and must be joined before the
 * process is made (that of pids, users and times), a process in the middle does so and makes it, as the
 * caller's child.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_SPAWN_H
#define VISOR_PERSONALITY_CONTAINER_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "personality/container/oci_config.h"

#define SPAWN_JOINED_MAX 8

struct spawn {
    const struct oci_linux *platform;
    const struct oci_process *process; /* whose score the process in the middle sets, if there is one */
    int cgroup;                        /* a directory of cgroup v2 to be made in, or -1 */
    uint64_t created;                  /* by clone3() */
    struct {
        uint64_t flag;
        const char *path;
        int fd;
    } joined[SPAWN_JOINED_MAX]; /* in the order of joining */
    unsigned joined_count;
    bool middle;
};

/* Opens what is to be joined. spawn_release() in the end. */
int spawn_prepare(struct spawn *spawn, const struct oci_config *config, int cgroup, struct error *error);
void spawn_release(struct spawn *spawn);

/* As fork(): 0 in the child, where spawn_join() is next; else its pid. */
pid_t spawn_process(struct spawn *spawn, struct error *error);
/* Joins what the child itself can. */
int spawn_join(struct spawn *spawn, struct error *error);

/* As fork(): a child in a cgroup (as above). And a child of the caller's parent, for `exec`: in the
 * namespaces of processes and times that the caller has joined. */
pid_t spawn_child(int cgroup, struct error *error);
pid_t spawn_sibling(struct error *error);

/* The namespaces (CLONE_NEW*) of a process that are not the caller's. */
uint64_t spawn_different_namespaces(pid_t pid);

/* Becomes root of a user namespace, if that has one. */
int spawn_become_root(struct error *error);

#endif
