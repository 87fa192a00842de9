/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state: whether a container's process lives, and its state as a document. For the files of container.h. */
#ifndef VISOR_PERSONALITY_CONTAINER_STATE_H
#define VISOR_PERSONALITY_CONTAINER_STATE_H

#include <stdint.h>

#include "personality/container/container.h"
#include "personality/container/store.h"

/* When the process was started, in the kernel's ticks; 0: there is none, or it is dead and only not waited
 * for. */
uint64_t state_process_start(pid_t pid);
/* A descriptor of the record's process; -ESRCH: it has ended. */
int state_open_process(const struct store_record *record);
/* By the record and the directory. */
enum container_status state_status(const struct store_record *record, int directory);

/* What a hook reads, of malloc(); NULL: no memory. */
char *state_text(const struct oci_config *config, const char *id, const char *bundle,
                 enum container_status status, pid_t pid);

#endif
