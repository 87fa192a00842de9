/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * criu: the program CRIU, which makes and restores checkpoints of processes: its command line, and what it
 * says.
 *
 *     struct criu criu;
 *     criu_begin(&criu, "dump", &options, &error);
 *     criu_add(&criu, "--tree");  criu_add(&criu, "%d", pid);  …
 *     criu_run(&criu, NULL, NULL, &error);
 *     criu_end(&criu);
 */
#ifndef VISOR_PERSONALITY_CONTAINER_CRIU_H
#define VISOR_PERSONALITY_CONTAINER_CRIU_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "personality/container/cgroup.h"
#include "personality/container/container.h"

struct criu {
    char program[PATH_MAX], work[PATH_MAX], log[64]; /* log: its name in `work` */
    const char *action;
    char **words;
    size_t count;
    bool failed; /* memory ran out */
};

/* Finds the program and begins the command line with what all actions have. -ENOENT: this host has no CRIU.
 * Its end is criu_end() in any case. */
int criu_begin(struct criu *criu, const char *action, const struct container_checkpoint *checkpoint,
               struct error *error);
void criu_add(struct criu *criu, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Mounts that come from outside of the container, and namespaces that it has joined: by `root`, its root
 * directory, what they are called in the checkpoint; -1: where it is restored, what they are now. `bundle`:
 * what relative sources are relative to. */
int criu_add_externals(struct criu *criu, const struct oci_config *config, const char *bundle,
                       const struct cgroup *cgroup, int root, struct error *error);
/* Waits for its end. `before` is called in its process, before it is executed. The error is the log's. */
int criu_run(struct criu *criu, int (*before)(void *opaque, struct error *error), void *opaque,
             struct error *error);
void criu_end(struct criu *criu);

#endif
