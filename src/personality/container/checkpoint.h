/* SPDX-License-Identifier: GPL-2.0-or-later */
/* checkpoint: what checkpoint.c leaves for restore.c. */
#ifndef VISOR_PERSONALITY_CONTAINER_CHECKPOINT_H
#define VISOR_PERSONALITY_CONTAINER_CHECKPOINT_H

/* In the directory of the checkpoint: an array of the standard streams' names to CRIU, "" for those that are
 * the container's own. */
#define CHECKPOINT_STREAMS_FILE "descriptors.json"
#define CHECKPOINT_STREAM       256

#endif
