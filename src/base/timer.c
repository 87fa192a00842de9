/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A pairing heap, linked through the timers themselves. */
#include "base/timer.h"

#include <stddef.h>

uint64_t clock_ticks(uint64_t nanoseconds, uint64_t frequency)
{
    return (uint64_t)((unsigned __int128)nanoseconds * frequency / TIMER_SECOND);
}

uint64_t clock_ticks_time(uint64_t ticks, uint64_t frequency)
{
    unsigned __int128 time = ((unsigned __int128)ticks * TIMER_SECOND + frequency - 1) / frequency;
    return time < TIMER_NEVER ? (uint64_t)time : TIMER_NEVER;
}

void timers_init(struct timers *timers, struct clock clock)
{
    *timers = (struct timers){.clock = clock};
    pthread_mutex_init(&timers->lock, NULL);
}

void timers_destroy(struct timers *timers)
{
    pthread_mutex_destroy(&timers->lock);
}

static bool timer_before(const struct timer *a, const struct timer *b)
{
    return a->deadline != b->deadline ? a->deadline < b->deadline : a->number < b->number;
}

/* One heap of two; neither root has siblings. */
static struct timer *heap_meld(struct timer *a, struct timer *b)
{
    if (!a || !b)
        return a ? a : b;
    if (timer_before(b, a)) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->next = a->child;
    if (a->child)
        a->child->previous = b;
    b->previous = a;
    a->child = b;
    return a;
}

/* One heap of a list of siblings: melded in pairs from the left, then from the right. */
static struct timer *heap_meld_list(struct timer *first)
{
    struct timer *pairs = NULL;
    while (first) {
        struct timer *a = first, *b = a->next;
        first = b ? b->next : NULL;
        a->next = a->previous = NULL;
        if (b)
            b->next = b->previous = NULL;
        struct timer *pair = heap_meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    struct timer *root = NULL;
    while (pairs) {
        struct timer *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        root = heap_meld(root, pair);
    }
    return root;
}

static void heap_remove(struct timers *timers, struct timer *timer)
{
    if (timer != timers->root) {
        if (timer->previous->child == timer)
            timer->previous->child = timer->next;
        else
            timer->previous->next = timer->next;
        if (timer->next)
            timer->next->previous = timer->previous;
    }
    struct timer *rest = heap_meld_list(timer->child);
    timers->root = timer == timers->root ? rest : heap_meld(timers->root, rest);
    timer->child = timer->next = timer->previous = NULL;
    timer->armed = false;
    timers->armed--;
}

uint64_t timers_next(struct timers *timers)
{
    pthread_mutex_lock(&timers->lock);
    uint64_t deadline = timers->root && !timers->still ? timers->root->deadline : TIMER_NEVER;
    pthread_mutex_unlock(&timers->lock);
    return deadline;
}

void timers_stand_still(struct timers *timers, bool still)
{
    pthread_mutex_lock(&timers->lock);
    timers->still = still;
    pthread_mutex_unlock(&timers->lock);
    if (!still && timers->earlier)
        timers->earlier(timers->opaque);
}

void timers_run(struct timers *timers)
{
    uint64_t now = clock_now(&timers->clock);
    pthread_mutex_lock(&timers->lock);
    uint32_t most = timers->armed;
    while (most-- && !timers->still && timers->root && timers->root->deadline <= now) {
        struct timer *timer = timers->root;
        heap_remove(timers, timer);
        pthread_mutex_unlock(&timers->lock);
        timer->callback(timer->opaque);
        pthread_mutex_lock(&timers->lock);
    }
    pthread_mutex_unlock(&timers->lock);
}

void timer_init(struct timer *timer, struct timers *timers, void (*callback)(void *), void *opaque)
{
    *timer =
        (struct timer){.callback = callback, .opaque = opaque, .timers = timers, .number = timers->made++};
}

void timer_set(struct timer *timer, uint64_t deadline)
{
    struct timers *timers = timer->timers;
    pthread_mutex_lock(&timers->lock);
    uint64_t before = timers->root ? timers->root->deadline : TIMER_NEVER;
    if (timer->armed)
        heap_remove(timers, timer);
    if (deadline != TIMER_NEVER) {
        timer->deadline = deadline;
        timer->armed = true;
        timers->armed++;
        timers->root = heap_meld(timers->root, timer);
    }
    bool earlier = deadline < before;
    pthread_mutex_unlock(&timers->lock);
    if (earlier && timers->earlier)
        timers->earlier(timers->opaque);
}

void timer_cancel(struct timer *timer)
{
    timer_set(timer, TIMER_NEVER);
}
