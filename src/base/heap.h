/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heap: visor's own malloc(), in place of libc's where visor is linked statically (heap.c has no effect
 * elsewhere).
 *
 * Guest processes may share their memory and be killed in the middle of malloc(): the lock of this one names
 * its holder, so that another can take it over, and it keeps to memory of its own instead of the program
 * break, near which guests put things.
 */
#ifndef VISOR_BASE_HEAP_H
#define VISOR_BASE_HEAP_H

#include <stdint.h>

/* Gives the host the pages that are wholly in free blocks, for who will not need them soon. */
void heap_return(void);

/* Around fork(): nobody else is inside. */
void heap_lock(void);
void heap_unlock(void);

/* A thread has died that may have been inside: see lock_inherit(). At most the block it was about is lost. */
void heap_recover(uint32_t lock_number);

#endif
