/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * loop: the event loop of a machine: descriptors, the machine's timers, and calls from other threads, all run
 * by one thread under one lock. libuv does the work.
 *
 * Everything but loop_post(), loop_run() and loop_stop() is for who holds the lock or has not yet begun
 * loop_run().
 */
#ifndef VISOR_BASE_LOOP_H
#define VISOR_BASE_LOOP_H

#include <pthread.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/timer.h"

/* URGENT: POLLPRI, as the kernel's files of pressure have it, and sockets for data out of band. */
enum loop_event { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4, LOOP_URGENT = 8 };

struct loop;
struct loop_watch;

/* `lock` is held in all callbacks; `timers`, may be NULL, are run when they are due: their hook `earlier` is
 * the loop's, and whoever stops their clock says so to them. */
int loop_new(struct loop **out, pthread_mutex_t *lock, struct timers *timers, struct error *error);
void loop_free(struct loop *loop);
/* Until loop_stop(). Called without the lock. */
void loop_run(struct loop *loop);
/* [any thread, signal handlers too] */
void loop_stop(struct loop *loop);

/* For a loop that mostly waits: calls `function`, by its thread and without the lock, a second after
 * something has happened, once for all that happens in that second. Before loop_run(). */
int loop_settle(struct loop *loop, void (*function)(void), struct error *error);

/* Calls back when the descriptor, which stays the caller's and becomes non-blocking, is ready for `events`.
 * NULL with error: -EPERM for what is always ready, such as a file. */
struct loop_watch *loop_watch_add(struct loop *loop, int fd, unsigned events,
                                  void (*callback)(void *opaque, unsigned events), void *opaque,
                                  struct error *error);
void loop_watch_change(struct loop_watch *watch, unsigned events); /* 0: none for now */
void loop_watch_remove(struct loop_watch *watch);                  /* before the descriptor is closed */

/* A call from any thread to the loop's; the struct is the caller's, and is free again when it is called.
 * Posting it twice before that is once. */
struct loop_call {
    void (*function)(void *opaque);
    void *opaque;
    bool posted;
    struct loop_call *next;
};
void loop_post(struct loop *loop, struct loop_call *call);
/* With the lock held: it will not be called, if it was to be. */
void loop_cancel(struct loop *loop, struct loop_call *call);

#endif
