/* SPDX-License-Identifier: GPL-2.0-or-later */
/* environment: lists of NAME=VALUE. */
#ifndef VISOR_PERSONALITY_CONTAINER_ENVIRONMENT_H
#define VISOR_PERSONALITY_CONTAINER_ENVIRONMENT_H

/* Both lists, that end with NULL and may be NULL; of one name only what `added` says of it last. Of malloc();
 * the texts stay those of the lists. NULL: out of memory. */
const char **environment_merge(const char *const *base, const char *const *added, unsigned *count);

#endif
