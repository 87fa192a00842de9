/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The synthetic timers. */
#include <string.h>

#include "device/irq/synic.h"

#define CONFIG_ENABLED      UINT64_C(1)
#define CONFIG_PERIODIC     UINT64_C(2)         /* the count is a period, else the time at which it expires */
#define CONFIG_AUTO_ENABLED UINT64_C(8)         /* writing the count enables it */
#define CONFIG_DIRECT       (UINT64_C(1) << 12) /* it interrupts by a vector of its own, without a message */
#define CONFIG_VALID        UINT64_C(0xf1fff)
#define CONFIG_VECTOR(c)    ((uint8_t)((c) >> 4))
#define CONFIG_SOURCE(c)    ((unsigned)((c) >> 16 & 15))

#define MESSAGE_TIMER_EXPIRED 0x80000010
#define UNIT                  100 /* nanoseconds: what reference time is counted in */

struct payload {
    uint32_t index, reserved;
    uint64_t expired, delivered;
};

/* Since it was started. */
static uint64_t units_passed(const struct synic_timer *timer)
{
    return (clock_now(timer->synic->clock) - timer->clock) / UNIT;
}

static bool post(struct synic_timer *timer)
{
    const struct payload payload = {
        .index = (uint32_t)(timer - timer->synic->timers),
        .expired = timer->expired,
        .delivered = timer->started + units_passed(timer),
    };
    struct synic_message message = {.type = MESSAGE_TIMER_EXPIRED, .size = sizeof payload};
    memcpy(message.payload, &payload, sizeof payload);
    return synic_post(timer->synic, CONFIG_SOURCE(timer->config), &message);
}

void synic_timer_retry(struct synic_timer *timer)
{
    if (!timer->waits)
        return;
    if (timer->config & CONFIG_DIRECT)
        lapic_interrupt(timer->synic->lapic, CONFIG_VECTOR(timer->config), false);
    else if (!post(timer))
        return;
    timer->waits = false;
    if (!(timer->config & CONFIG_PERIODIC))
        timer->config &= ~CONFIG_ENABLED;
}

/* To expire so many units behind its start; beyond the end of time: never. */
static void arm(struct synic_timer *timer, uint64_t units)
{
    timer->next = timer->started + units;
    if (units <= (TIMER_NEVER - 1 - timer->clock) / UNIT)
        timer_set(&timer->timer, timer->clock + units * UNIT);
}

static void expire(void *opaque)
{
    struct synic_timer *timer = opaque;
    if (!timer->waits)
        timer->expired = timer->next;
    timer->waits = true;
    synic_timer_retry(timer);
    if (timer->config & CONFIG_PERIODIC && timer->count) /* the first tick behind now */
        arm(timer, (units_passed(timer) / timer->count + 1) * timer->count);
}

static void stop(struct synic_timer *timer)
{
    timer_cancel(&timer->timer);
    timer->waits = false;
}

static void start(struct synic_timer *timer, uint64_t now)
{
    if (!(timer->config & CONFIG_ENABLED) || !timer->count)
        return;
    timer->started = now;
    timer->clock = clock_now(timer->synic->clock);
    if (timer->config & CONFIG_PERIODIC) {
        arm(timer, timer->count);
    } else if (timer->count > now) {
        arm(timer, timer->count - now);
    } else {
        timer->next = timer->count;
        expire(timer);
    }
}

bool synic_timer_set_config(struct synic_timer *timer, uint64_t value, uint64_t now)
{
    if (value & ~CONFIG_VALID)
        return false;
    if (!(value & CONFIG_DIRECT) && !CONFIG_SOURCE(value))
        value &= ~CONFIG_ENABLED; /* messages of timers have no place at the first source */
    stop(timer);
    timer->config = value;
    start(timer, now);
    return true;
}

void synic_timer_set_count(struct synic_timer *timer, uint64_t value, uint64_t now)
{
    const bool has_way = timer->config & CONFIG_DIRECT || CONFIG_SOURCE(timer->config);
    stop(timer);
    timer->count = value;
    if (!value)
        timer->config &= ~CONFIG_ENABLED;
    else if (timer->config & CONFIG_AUTO_ENABLED && has_way)
        timer->config |= CONFIG_ENABLED;
    start(timer, now);
}

void synic_timer_reset(struct synic_timer *timer)
{
    stop(timer);
    timer->config = timer->count = 0;
    timer->started = timer->clock = timer->next = timer->expired = 0;
}

void synic_timer_init(struct synic_timer *timer, struct synic *synic, struct timers *timers)
{
    timer->synic = synic;
    timer_init(&timer->timer, timers, expire, timer);
}
