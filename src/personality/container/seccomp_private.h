/* SPDX-License-Identifier: GPL-2.0-or-later */
/* seccomp_private: what the files of seccomp.h share: the cache of programs. */
#ifndef VISOR_PERSONALITY_CONTAINER_SECCOMP_PRIVATE_H
#define VISOR_PERSONALITY_CONTAINER_SECCOMP_PRIVATE_H

#include "base/buffer.h"
#include "personality/container/seccomp.h"

/* All that a program depends on, as bytes. */
void seccomp_cache_key(struct buffer *key, const struct seccomp_profile *profile);
/* True: the program has been found. */
bool seccomp_cache_get(const char *folder, const struct buffer *key, struct seccomp_filter *filter);
/* As far as it can be done. */
void seccomp_cache_put(const char *folder, const struct buffer *key, const struct seccomp_filter *filter);

#endif
