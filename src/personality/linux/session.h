/* SPDX-License-Identifier: GPL-2.0-or-later */
/* session: the processes that share translations. Private to this folder. */
#ifndef VISOR_PERSONALITY_LINUX_SESSION_H
#define VISOR_PERSONALITY_LINUX_SESSION_H

#include "personality/linux/process.h"

/* At the start: becomes a member of the session whose store was inherited as `fd`, if this process has the
 * rights of its members; else closes `fd`. -1: there is none. */
void linux_session_join(struct linux_process *process, int fd);

/* Gives up the session's store, at once and completely. */
void linux_session_leave(struct linux_process *process);

/* After a system call that may have changed the process's rights: leaves if it has. */
void linux_session_check(struct linux_process *process);

/* While this lock is held, nobody joins or leaves. It is taken before all others. */
void linux_session_lock(struct linux_process *process);
void linux_session_unlock(struct linux_process *process);

/*
 * Before a process is made with these flags of clone(), with the lock held: begins a session if there is
 * none. Or leaves: the members of one have separate tables of descriptors, which is what their locks on the
 * store go by, and the same namespaces.
 */
void linux_session_before_clone(struct linux_process *process, uint64_t flags);

#endif
