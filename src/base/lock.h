/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lock: a mutex whose holder can be told to be dead.
 *
 * Processes can share memory without being threads of one another (vfork, clone with CLONE_VM), and one of
 * them can be killed while it holds a lock that the others need. So the word says who holds it, by a number
 * that every thread draws for itself; who learns that a thread has ended takes over or releases what
 * was its own. The number is not a thread id, since those mean different threads in different PID namespaces.
 */
#ifndef VISOR_BASE_LOCK_H
#define VISOR_BASE_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
    _Atomic uint32_t word; /* 0: free; else the holder's number and perhaps a flag: others wait */
};
#define LOCK_INIT ((struct lock){0})

void lock_take(struct lock *lock);
void lock_release(struct lock *lock);

/* The calling thread's number. */
uint32_t lock_self(void);
/* Gives it another one, 0: a new one. For a child that uses its suspended parent's thread-local storage. */
void lock_set_self(uint32_t self);

/* If the thread of that number, which has ended, holds the lock: the caller does now, and true. */
bool lock_inherit(struct lock *lock, uint32_t dead);

/* Called now and then by a thread that has waited for long: may find out that the holder is dead. */
extern void (*lock_stalled)(void);

#endif
