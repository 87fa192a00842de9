/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lock: see lock.h. */
#include "base/lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAITED   0x80000000u /* somebody sleeps */
#define STALL_NS 200000000   /* nobody holds a lock for that long but for lack of a processor */

void (*lock_stalled)(void);

static _Atomic uint32_t last_number;
static _Thread_local uint32_t number;

uint32_t lock_self(void)
{
    while (!number)
        number = (atomic_fetch_add(&last_number, 1) + 1) & ~WAITED;
    return number;
}

void lock_set_self(uint32_t self)
{
    number = self;
}

/* The word is shared by processes, but all of them have it in the same memory. */
static void wait_while(struct lock *lock, uint32_t word)
{
    const struct timespec stall = {0, STALL_NS};
    long result = syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, word, &stall, NULL, 0);
    if (result < 0 && lock->word == word && lock_stalled)
        lock_stalled();
}

void lock_take(struct lock *lock)
{
    const uint32_t self = lock_self();
    uint32_t word = 0, mine = self;

    while (!atomic_compare_exchange_weak_explicit(&lock->word, &word, mine, memory_order_acquire,
                                                  memory_order_relaxed)) {
        if (word && (word & WAITED || atomic_compare_exchange_strong(&lock->word, &word, word | WAITED))) {
            wait_while(lock, word | WAITED);
            mine = self | WAITED; /* there may be others like this one */
        }
        word = 0;
    }
}

void lock_release(struct lock *lock)
{
    if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) & WAITED)
        syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

bool lock_inherit(struct lock *lock, uint32_t dead)
{
    uint32_t word = lock->word;
    while (dead && (word & ~WAITED) == dead) {
        if (atomic_compare_exchange_weak(&lock->word, &word, lock_self() | WAITED))
            return true;
    }
    return false;
}
