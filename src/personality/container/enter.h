/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * enter: a process of visor's goes into a container for its files.
 *
 * Nothing of the container's is executed or loaded by it, nor can be: a filter forbids to execute programs
 * and to map code. Of root's rights it has those over files only, no process in the container can look into
 * it, and it has none of visor's descriptors but those it needs.
 */
#ifndef VISOR_PERSONALITY_CONTAINER_ENTER_H
#define VISOR_PERSONALITY_CONTAINER_ENTER_H

#include "base/error.h"

/*
 * The calling process, which must have one thread and be made for this, is in the container's user and mount
 * namespaces and has its root from here on: a descriptor (O_PATH) of that. Only the standard streams and the
 * descriptors `kept` stay open. -EINVAL: it does not run.
 */
int container_enter(const char *state_root, const char *id, const int *kept, unsigned count,
                    struct error *error);

/* The same of the root tree `path` of a container that does not run: without its namespaces, so that what is
 * made there belongs to who calls. */
int container_enter_tree(const char *path, const int *kept, unsigned count, struct error *error);

#endif
