/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * doorbell: how other threads tell a vCPU's thread that there is something new for it, whichever the engine.
 *
 * They ring; the vCPU listens before it looks for what is new, and says where it is: outside of guest code it
 * will look anyway, asleep it is woken, and inside of guest code whoever rang interrupts it.
 */
#ifndef VISOR_ENGINE_DOORBELL_H
#define VISOR_ENGINE_DOORBELL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum doorbell_place {
    DOORBELL_OUTSIDE, /* it will look before it runs guest code */
    DOORBELL_INSIDE,  /* in guest code */
    DOORBELL_ASLEEP,
};

struct doorbell {
    _Atomic uint32_t rung; /* also the futex that the vCPU sleeps on */
    _Atomic uint32_t place;
    _Atomic int tid; /* of its thread; 0: it has not run yet */
};

/* From any thread. True: it is inside of guest code, and to be interrupted by whatever way the engine has. */
bool doorbell_ring(struct doorbell *bell);
/* Sends this thread's vCPU a signal. */
void doorbell_signal(const struct doorbell *bell, int signal);

/* On the vCPU's thread, which it takes as its own. */
void doorbell_attach(struct doorbell *bell);
/* Before it looks for what is new. */
static inline void doorbell_listen(struct doorbell *bell)
{
    if (atomic_load(&bell->rung))
        atomic_store(&bell->rung, 0);
}
/* Before guest code. False: somebody has rung meanwhile, and it is still outside. */
static inline bool doorbell_go_inside(struct doorbell *bell)
{
    atomic_store(&bell->place, DOORBELL_INSIDE);
    if (!atomic_load(&bell->rung))
        return true;
    atomic_store(&bell->place, DOORBELL_OUTSIDE);
    return false;
}
static inline void doorbell_go_outside(struct doorbell *bell)
{
    atomic_store_explicit(&bell->place, DOORBELL_OUTSIDE, memory_order_release);
}
/* Until somebody rings. */
void doorbell_sleep(struct doorbell *bell);

#endif
