/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/doorbell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static long futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
    return syscall(SYS_futex, word, operation | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* In this order: rung, then where it is. The vCPU does it the other way round. */
bool doorbell_ring(struct doorbell *bell)
{
    if (atomic_exchange(&bell->rung, 1))
        return false;
    const uint32_t place = atomic_load(&bell->place);
    if (place == DOORBELL_ASLEEP)
        futex(&bell->rung, FUTEX_WAKE, 1);
    return place == DOORBELL_INSIDE;
}

void doorbell_signal(const struct doorbell *bell, int signal)
{
    syscall(SYS_tgkill, getpid(), atomic_load(&bell->tid), signal);
}

void doorbell_attach(struct doorbell *bell)
{
    atomic_store(&bell->tid, (int)syscall(SYS_gettid));
}

void doorbell_sleep(struct doorbell *bell)
{
    atomic_store(&bell->place, DOORBELL_ASLEEP);
    while (!atomic_load(&bell->rung))
        futex(&bell->rung, FUTEX_WAIT, 0);
    atomic_store(&bell->place, DOORBELL_OUTSIDE);
}
