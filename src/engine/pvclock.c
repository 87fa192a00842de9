/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/pvclock.h"

#include <string.h>
#include <time.h>

#include "arch/x86/features.h"

#define ENABLED UINT64_C(1)

enum {
    MSR_WALL = 0x4b564d00,
    MSR_TIME = 0x4b564d01,
    MSR_WALL_OLD = 0x11,
    MSR_TIME_OLD = 0x12,
    FLAG_STABLE = 1, /* the same for all vCPUs */
    FLAG_STOPPED = 2,
};

/* What the guest reads. An odd version: it is being written. */
struct time_info {
    uint32_t version, reserved;
    uint64_t tsc, time;
    uint32_t multiplier; /* over 2^32, after the shift */
    int8_t shift;
    uint8_t flags, reserved2[2];
};
_Static_assert(sizeof(struct time_info) == 32, "");

struct wall_info {
    uint32_t version, seconds, nanoseconds;
};

/* Nanoseconds of a tick: multiplier * 2^(shift - 32), with as many digits as there are. */
static void scale(uint32_t khz, uint32_t *multiplier, int8_t *shift)
{
    const unsigned __int128 ratio = ((unsigned __int128)1000000 << 64) / khz;
    const uint64_t high = (uint64_t)(ratio >> 64), low = (uint64_t)ratio;
    const int length = high ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll(low);
    *shift = (int8_t)(length - 64);
    *multiplier = (uint32_t)(ratio >> (length - 32));
}

uint64_t pvclock_time(const struct pvclock *clock, uint64_t tsc)
{
    uint32_t multiplier;
    int8_t shift;
    uint64_t passed = tsc - clock->base.tsc;
    scale(clock->model->tsc_khz, &multiplier, &shift);
    passed = shift < 0 ? passed >> -shift : passed << shift;
    return clock->base.time + (uint64_t)(((unsigned __int128)passed * multiplier) >> 32);
}

static bool has_clock(const struct pvclock *clock)
{
    return x86_has(clock->model, X86_FEATURE_KVMCLOCK);
}

void pvclock_publish(const struct pvclock *clock, const struct x86_state *state, uint64_t own, bool stopped)
{
    const uint64_t address = state->pv_time & ~ENABLED;
    struct time_info info = {.tsc = clock->base.tsc + own, .time = clock->base.time};
    uint32_t version = 0;
    if (!(state->pv_time & ENABLED) || !has_clock(clock) ||
        !memory_pointer(clock->memory, address, sizeof info, true) ||
        memory_read(clock->memory, address, &version, sizeof version) < 0)
        return;
    scale(clock->model->tsc_khz, &info.multiplier, &info.shift);
    info.flags = (uint8_t)(FLAG_STABLE | (stopped ? FLAG_STOPPED : 0));
    info.version = version | 1;
    memory_write(clock->memory, address, &info.version, sizeof info.version);
    memory_write(clock->memory, address + sizeof version, (const char *)&info + sizeof version,
                 sizeof info - sizeof version);
    info.version++;
    memory_write(clock->memory, address, &info.version, sizeof info.version);
}

/* The time of day when the machine's clock was 0. */
static void publish_wall(const struct pvclock *clock, uint64_t address)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t begin =
        (uint64_t)now.tv_sec * TIMER_SECOND + (uint64_t)now.tv_nsec - clock_now(clock->clock);
    const struct wall_info info = {
        .version = 2, .seconds = (uint32_t)(begin / TIMER_SECOND), .nanoseconds = begin % TIMER_SECOND};
    if (memory_pointer(clock->memory, address, sizeof info, true))
        memory_write(clock->memory, address, &info, sizeof info);
}

bool pvclock_msr_read(const struct pvclock *clock, const struct x86_state *state, uint32_t msr,
                      uint64_t *value)
{
    if (!has_clock(clock))
        return false;
    switch (msr) {
    case MSR_WALL:
    case MSR_WALL_OLD: *value = state->pv_wall; return true;
    case MSR_TIME:
    case MSR_TIME_OLD: *value = state->pv_time; return true;
    }
    return false;
}

bool pvclock_msr_write(const struct pvclock *clock, struct x86_state *state, uint64_t own, uint32_t msr,
                       uint64_t value)
{
    if (!has_clock(clock))
        return false;
    switch (msr) {
    case MSR_WALL:
    case MSR_WALL_OLD:
        state->pv_wall = value;
        publish_wall(clock, value);
        return true;
    case MSR_TIME:
    case MSR_TIME_OLD:
        state->pv_time = value;
        pvclock_publish(clock, state, own, false);
        return true;
    }
    return false;
}
