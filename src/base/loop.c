/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libuv is for one thread, and the loop's interface for all: a change of a watch by another thread is put
 * into a queue for the loop's; and a watch has its own duplicate of the descriptor, because libuv calls
 * abort() when one that it is to wait for has been closed. The machine's timers need nanoseconds, which libuv
 * has not: they have a timerfd, which whoever arms an earlier timer sets himself, without waking the loop's
 * thread.
 *
 * Locks: the machine's, then `inner`, then that of the timers' heap.
 */
#include "base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#undef MIN /* libuv's headers bring libc's */
#undef MAX
#include "base/macros.h"

#define SETTLE_DELAY 1000 /* milliseconds */

struct loop_watch {
    struct loop *loop;
    uv_poll_t poll;
    int fd;                   /* the duplicate */
    unsigned wanted, current; /* enum loop_event */
    void (*callback)(void *opaque, unsigned events);
    void *opaque;
    bool initialised, removed, queued;
    struct loop_watch *next_queued;
    struct loop_watch *next, *previous; /* of all */
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    pthread_mutex_t *lock;
    struct timers *timers;
    int timer_fd;
    uv_poll_t timer_poll;
    bool running; /* by `thread`; both under the lock */
    pthread_t thread;
    struct loop_watch *watches, *queue, **queue_end;
    atomic_bool stop;
    uv_check_t events; /* after each wait, */
    uv_timer_t settle; /* and a second later */
    void (*settled)(void);

    pthread_mutex_t inner; /* what follows */
    struct loop_call *calls, **calls_end;
    bool in_timers; /* which will be armed after that */
};

/* [any thread] Sets timer_fd to the first deadline. */
static void loop_arm(struct loop *loop)
{
    if (!loop->timers)
        return;
    pthread_mutex_lock(&loop->inner);
    if (!loop->in_timers) {
        uint64_t next = timers_next(loop->timers), now = clock_now(&loop->timers->clock);
        uint64_t wait = next == TIMER_NEVER ? 0 : next > now ? next - now : 1;
        struct itimerspec setting = {.it_value = {.tv_sec = (time_t)MIN(wait / TIMER_SECOND, 1u << 30),
                                                  .tv_nsec = (long)(wait % TIMER_SECOND)}};
        timerfd_settime(loop->timer_fd, 0, &setting, NULL);
    }
    pthread_mutex_unlock(&loop->inner);
}

static void loop_arm_hook(void *opaque)
{
    loop_arm(opaque);
}

static void loop_timer_due(uv_poll_t *poll, int status, int events)
{
    struct loop *loop = poll->data;
    uint64_t expirations;
    (void)status, (void)events;

    pthread_mutex_lock(loop->lock);
    if (read(loop->timer_fd, &expirations, sizeof expirations) < 0)
        expirations = 0; /* it was set anew meanwhile, and the same goes for what is due now */
    pthread_mutex_lock(&loop->inner);
    loop->in_timers = true;
    pthread_mutex_unlock(&loop->inner);
    timers_run(loop->timers);
    pthread_mutex_lock(&loop->inner);
    loop->in_timers = false;
    pthread_mutex_unlock(&loop->inner);
    loop_arm(loop);
    pthread_mutex_unlock(loop->lock);
}

static bool loop_is_mine(const struct loop *loop)
{
    return !loop->running || pthread_equal(loop->thread, pthread_self());
}

/* Watches. */

static void watch_apply(struct loop_watch *watch);

static void watch_ready(uv_poll_t *poll, int status, int events)
{
    struct loop_watch *watch = poll->data;
    pthread_mutex_t *lock = watch->loop->lock;
    unsigned got = 0;

    pthread_mutex_lock(lock);
    if (events & UV_READABLE)
        got |= LOOP_READ;
    if (events & UV_WRITABLE)
        got |= LOOP_WRITE;
    if (events & UV_DISCONNECT)
        got |= LOOP_HANGUP;
    if (events & UV_PRIORITIZED)
        got |= LOOP_URGENT;
    if (status < 0) { /* POLLERR; libuv has stopped the watch */
        got = LOOP_READ | LOOP_WRITE | LOOP_HANGUP | LOOP_URGENT;
        watch->current = 0;
    }
    got &= watch->wanted;
    if (got && !watch->removed)
        watch->callback(watch->opaque, got);
    if (status < 0 && !watch->removed)
        watch_apply(watch);
    pthread_mutex_unlock(lock);
}

static void watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* On the loop's thread: makes libuv do what is wanted. */
static void watch_apply(struct loop_watch *watch)
{
    if (!watch->initialised && !watch->removed) {
        /* Cannot fail: what it does has been tried by loop_watch_add(). */
        watch->initialised = !uv_poll_init(&watch->loop->uv, &watch->poll, watch->fd);
        watch->poll.data = watch;
    }
    if (watch->removed) {
        int fd = watch->fd;
        if (watch->initialised)
            uv_close((uv_handle_t *)&watch->poll, watch_closed);
        else
            free(watch);
        close(fd); /* libuv no longer knows it */
        return;
    }
    if (!watch->initialised || watch->wanted == watch->current)
        return;
    int events = (watch->wanted & LOOP_READ ? UV_READABLE : 0) |
                 (watch->wanted & LOOP_WRITE ? UV_WRITABLE : 0) |
                 (watch->wanted & LOOP_HANGUP ? UV_DISCONNECT : 0) |
                 (watch->wanted & LOOP_URGENT ? UV_PRIORITIZED : 0);
    if (events)
        uv_poll_start(&watch->poll, events, watch_ready);
    else
        uv_poll_stop(&watch->poll);
    watch->current = watch->wanted;
}

static void watch_changed(struct loop_watch *watch)
{
    struct loop *loop = watch->loop;
    if (watch->queued)
        return;
    if (loop_is_mine(loop)) {
        watch_apply(watch);
        return;
    }
    watch->queued = true;
    watch->next_queued = NULL;
    *loop->queue_end = watch;
    loop->queue_end = &watch->next_queued;
    uv_async_send(&loop->wake);
}

struct loop_watch *loop_watch_add(struct loop *loop, int fd, unsigned events,
                                  void (*callback)(void *opaque, unsigned events), void *opaque,
                                  struct error *error)
{
    struct loop_watch *watch = calloc(1, sizeof *watch);
    struct epoll_event event = {0};
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (!watch || own < 0 || epoll_ctl(uv_backend_fd(&loop->uv), EPOLL_CTL_ADD, own, &event) < 0) {
        error_set(error, -errno, "cannot wait for descriptor %d: %s", fd, strerror(errno));
        if (own >= 0)
            close(own);
        free(watch);
        return NULL;
    }
    epoll_ctl(uv_backend_fd(&loop->uv), EPOLL_CTL_DEL, own, &event);
    watch->loop = loop;
    watch->fd = own;
    watch->wanted = events;
    watch->callback = callback;
    watch->opaque = opaque;
    watch->next = loop->watches;
    if (watch->next)
        watch->next->previous = watch;
    loop->watches = watch;
    watch_changed(watch);
    return watch;
}

void loop_watch_change(struct loop_watch *watch, unsigned events)
{
    if (watch->wanted == events)
        return;
    watch->wanted = events;
    watch_changed(watch);
}

void loop_watch_remove(struct loop_watch *watch)
{
    struct loop *loop = watch->loop;

    if (watch->next)
        watch->next->previous = watch->previous;
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        loop->watches = watch->next;
    watch->removed = true;
    watch->wanted = 0;
    watch_changed(watch);
}

static void loop_apply_queue(struct loop *loop)
{
    while (loop->queue) {
        struct loop_watch *watch = loop->queue;
        loop->queue = watch->next_queued;
        if (!loop->queue)
            loop->queue_end = &loop->queue;
        watch->queued = false;
        watch_apply(watch);
    }
}

/* Calls from other threads. */

void loop_post(struct loop *loop, struct loop_call *call)
{
    pthread_mutex_lock(&loop->inner);
    bool first = !loop->calls;
    if (!call->posted) {
        call->posted = true;
        call->next = NULL;
        *loop->calls_end = call;
        loop->calls_end = &call->next;
    }
    pthread_mutex_unlock(&loop->inner);
    if (first)
        uv_async_send(&loop->wake);
}

void loop_cancel(struct loop *loop, struct loop_call *call)
{
    pthread_mutex_lock(&loop->inner);
    for (struct loop_call **link = &loop->calls; call->posted && *link; link = &(*link)->next) {
        if (*link != call)
            continue;
        *link = call->next;
        if (loop->calls_end == &call->next)
            loop->calls_end = link;
        call->posted = false;
        break;
    }
    pthread_mutex_unlock(&loop->inner);
}

static struct loop_call *loop_take_call(struct loop *loop)
{
    pthread_mutex_lock(&loop->inner);
    struct loop_call *call = loop->calls;
    if (call) {
        loop->calls = call->next;
        if (!loop->calls)
            loop->calls_end = &loop->calls;
        call->posted = false;
    }
    pthread_mutex_unlock(&loop->inner);
    return call;
}

static void loop_woken(uv_async_t *async)
{
    struct loop *loop = async->data;
    pthread_mutex_lock(loop->lock);
    loop_apply_queue(loop);
    /* Those that are posted meanwhile come with the next turn, after other events. */
    pthread_mutex_lock(&loop->inner);
    struct loop_call end = {.posted = true};
    *loop->calls_end = &end;
    loop->calls_end = &end.next;
    pthread_mutex_unlock(&loop->inner);
    for (struct loop_call *call; (call = loop_take_call(loop)) != &end;)
        call->function(call->opaque);
    pthread_mutex_lock(&loop->inner);
    bool more = loop->calls;
    pthread_mutex_unlock(&loop->inner);
    if (more)
        uv_async_send(&loop->wake);
    pthread_mutex_unlock(loop->lock);
    if (atomic_load(&loop->stop))
        uv_stop(&loop->uv);
}

/* [any thread, signal handlers too] */
void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    uv_async_send(&loop->wake);
}

static void loop_settled(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    loop->settled();
}

/* The wait that ends for the timer itself comes here before the timer is called. */
static void loop_happened(uv_check_t *check)
{
    struct loop *loop = check->data;
    if (!uv_is_active((uv_handle_t *)&loop->settle))
        uv_timer_start(&loop->settle, loop_settled, SETTLE_DELAY, 0);
}

int loop_settle(struct loop *loop, void (*function)(void), struct error *error)
{
    int code = uv_check_init(&loop->uv, &loop->events);
    if (!code)
        code = uv_timer_init(&loop->uv, &loop->settle);
    if (code)
        return error_set(error, code, "cannot watch an event loop: %s", strerror(-code));
    loop->settled = function;
    loop->events.data = loop->settle.data = loop;
    uv_unref((uv_handle_t *)&loop->events);
    uv_unref((uv_handle_t *)&loop->settle);
    uv_check_start(&loop->events, loop_happened);
    return uv_timer_start(&loop->settle, loop_settled, SETTLE_DELAY, 0);
}

void loop_run(struct loop *loop)
{
    pthread_mutex_lock(loop->lock);
    loop->thread = pthread_self();
    loop->running = true;
    pthread_mutex_unlock(loop->lock);
    loop_arm(loop);

    uv_run(&loop->uv, UV_RUN_DEFAULT);

    pthread_mutex_lock(loop->lock);
    loop_apply_queue(loop);
    loop->running = false;
    atomic_store(&loop->stop, false);
    pthread_mutex_unlock(loop->lock);
}

/* libuv's only way into the C library's user database, which a static program has not got. */
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *text, size_t size, struct passwd **result);
int __wrap_getpwuid_r(uid_t uid, struct passwd *entry, char *text, size_t size, struct passwd **result)
{
    (void)uid, (void)entry, (void)text, (void)size;
    *result = NULL;
    return ENOENT;
}

/* The whole. */

static int loop_start(struct loop *loop)
{
    int code = uv_async_init(&loop->uv, &loop->wake, loop_woken);
    loop->wake.data = loop;
    if (code || !loop->timers)
        return code;
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer_fd < 0)
        return -errno;
    code = uv_poll_init(&loop->uv, &loop->timer_poll, loop->timer_fd);
    if (code)
        return code;
    loop->timer_poll.data = loop;
    return uv_poll_start(&loop->timer_poll, UV_READABLE, loop_timer_due);
}

int loop_new(struct loop **out, pthread_mutex_t *lock, struct timers *timers, struct error *error)
{
    struct loop *loop = calloc(1, sizeof *loop);
    if (!loop)
        return error_set(error, -ENOMEM, "out of memory");
    int code = uv_loop_init(&loop->uv);
    if (code) {
        free(loop);
        return error_set(error, code, "cannot make an event loop: %s", strerror(-code));
    }
    loop->lock = lock;
    loop->timers = timers;
    loop->timer_fd = -1;
    loop->queue_end = &loop->queue;
    loop->calls_end = &loop->calls;
    pthread_mutex_init(&loop->inner, NULL);
    code = loop_start(loop);
    if (code) {
        loop_free(loop);
        return error_set(error, code, "cannot make an event loop: %s", strerror(-code));
    }
    if (timers) {
        timers->earlier = loop_arm_hook;
        timers->opaque = loop;
    }
    *out = loop;
    return 0;
}

static void loop_close_rest(uv_handle_t *handle, void *argument)
{
    (void)argument;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    if (loop->timers && loop->timers->opaque == loop)
        loop->timers->earlier = NULL;
    while (loop->watches)
        loop_watch_remove(loop->watches);
    uv_walk(&loop->uv, loop_close_rest, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    uv_loop_close(&loop->uv);
    if (loop->timer_fd >= 0)
        close(loop->timer_fd);
    pthread_mutex_destroy(&loop->inner);
    free(loop);
}
