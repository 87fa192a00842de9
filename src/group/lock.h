/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock: one command at a time changes a group.
 *
 * The lock is one byte of the empty file STORE/groups (fcntl(2), advisory record locking), at the hash of the
 * group's name: it ends with its process, is not its children's, and nothing is left of it. It is taken
 * before any lock of store.h.
 */
#ifndef VISOR_GROUP_LOCK_H
#define VISOR_GROUP_LOCK_H

#include "domain/store.h"

/* Waits for it, and calls `waits` (may be NULL) before, if another command has it, until `interrupted` (may
 * be NULL) says so. One at a time in a process. A descriptor, for group_unlock(); -EINTR, or another -errno.
 */
int group_lock(const struct domain_store *store, const char *name, void (*waits)(const char *name),
               bool (*interrupted)(void), struct error *error);
void group_unlock(int lock);

#endif
