/* SPDX-License-Identifier: GPL-2.0-or-later */
/* child: what kinds of domains that are a child process of the domain's have in common. */
#ifndef VISOR_DOMAIN_CHILD_H
#define VISOR_DOMAIN_CHILD_H

#include "domain/kind.h"

/* What has come to its end already, to be read. Not /dev/null: who has a descriptor of that can change the
 * host's own, if he has the right to, as root of some containers has. */
int child_no_input(int *end, struct error *error);

/* The child's standard streams in the background: nothing to read, and pipes as outputs of the run. The ends
 * that are to be the child's; after an error, too, they are for child_streams_close(). */
int child_streams_make(struct domain_run *run, int ends[3], struct error *error);
/* Closes those that are not -1. */
void child_streams_close(int ends[3]);

/* For `resize`: of a terminal's master, or -1. */
int child_resize(int master, unsigned rows, unsigned columns, struct error *error);

/* Waits for the child's end, and says it as a domain's. */
void child_wait(pid_t pid, const struct domain_run *run, struct domain_end *end);

#endif
