/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/oom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "domain/events.h"
#include "personality/container/cgroup.h"

#define FIRST_NS 50000000  /* the kernel tells before it counts */
#define EACH_NS  950000000 /* more, from one to the next */

struct oom {
    const struct domain *domain;
    struct cgroup *cgroup;
    uint64_t told;
    int event, timer;
    struct loop_watch *event_watch, *timer_watch;
    bool waits; /* for the timer */
};

uint64_t oom_kills(struct oom *oom)
{
    uint64_t kills;
    return oom && cgroup_oom_kills(oom->cgroup, &kills, NULL) == 0 ? kills : 0;
}

static void tell(struct oom *oom)
{
    uint64_t kills = oom_kills(oom);
    if (kills > oom->told)
        domain_event_put(oom->domain, DOMAIN_EVENT_OOM, json_pack("{s:I}", "kills", (json_int_t)kills));
    oom->told = kills > oom->told ? kills : oom->told;
}

static void happened(void *opaque, unsigned events)
{
    struct oom *oom = opaque;
    (void)events;
    cgroup_oom_rearm(oom->event);
    if (oom->waits)
        return;
    const struct itimerspec soon = {.it_value.tv_nsec = FIRST_NS + (oom->told ? EACH_NS - FIRST_NS : 0)};
    oom->waits = timerfd_settime(oom->timer, 0, &soon, NULL) == 0;
}

static void due(void *opaque, unsigned events)
{
    struct oom *oom = opaque;
    uint64_t count;
    (void)events;
    if (read(oom->timer, &count, sizeof count) != sizeof count)
        return;
    oom->waits = false;
    tell(oom);
}

static int watch(struct oom *oom, struct loop *loop, struct error *error)
{
    oom->event = cgroup_oom_watch(oom->cgroup, error);
    if (oom->event < 0)
        return oom->event == -ENOTSUP ? -ENOTSUP : 0; /* it is told in the end */
    oom->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (oom->timer < 0)
        return error_set(error, -errno, "cannot make a timer: %s", strerror(errno));
    oom->event_watch = loop_watch_add(loop, oom->event, LOOP_READ, happened, oom, error);
    oom->timer_watch = loop_watch_add(loop, oom->timer, LOOP_READ, due, oom, error);
    return oom->event_watch && oom->timer_watch ? 0 : -ENOMEM;
}

static void release(struct oom *oom)
{
    if (oom->event_watch)
        loop_watch_remove(oom->event_watch);
    if (oom->timer_watch)
        loop_watch_remove(oom->timer_watch);
    if (oom->event >= 0)
        close(oom->event);
    if (oom->timer >= 0)
        close(oom->timer);
    cgroup_close(oom->cgroup);
    free(oom);
}

int oom_new(struct oom **out, const struct domain *domain, struct loop *loop, struct cgroup *cgroup,
            struct error *error)
{
    struct oom *oom = calloc(1, sizeof *oom);
    *out = NULL;
    if (!oom) {
        cgroup_close(cgroup);
        return error_set(error, -ENOMEM, "out of memory");
    }
    *oom = (struct oom){.domain = domain, .cgroup = cgroup, .event = -1, .timer = -1};
    int code = watch(oom, loop, error);
    if (!code)
        *out = oom;
    else
        release(oom);
    return code == -ENOTSUP ? 0 : code;
}

void oom_free(struct oom *oom)
{
    if (!oom)
        return;
    tell(oom);
    release(oom);
}
