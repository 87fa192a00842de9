/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hook: programs that a bundle wants to be run on the way (config.md, "POSIX-platform Hooks"). */
#ifndef VISOR_PERSONALITY_CONTAINER_HOOK_H
#define VISOR_PERSONALITY_CONTAINER_HOOK_H

#include "personality/container/oci_config.h"

/* Runs all of a kind, in order, as children of the caller, in its namespaces. Each reads `state`, the
 * container's state as JSON, from its standard input. Stops at the first that fails or takes too long
 * (-ETIMEDOUT); only those of kind poststop are all run, and the last failure is told. */
int hooks_run(const struct oci_config *config, enum oci_hook_kind kind, const char *state,
              struct error *error);

#endif
