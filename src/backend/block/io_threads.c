/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/io.h"
#include "cage/cage.h"

#define THREADS 8

struct pool {
    struct io io;
    struct loop *loop;
    struct loop_call completed, grow;

    pthread_mutex_t lock; /* below the machine's, of what follows */
    pthread_cond_t changed;
    struct io_task *queue, **queue_end;
    struct io_task *finished, **finished_end;
    unsigned threads, starting, idle, queued;
    bool ends;
    pthread_t thread[THREADS];
};

static int64_t task_execute(const struct io_task *task)
{
    int64_t result;
    do {
        switch (task->operation) {
        case IO_READ: result = preadv(task->fd, task->iov, (int)task->iov_count, (off_t)task->offset); break;
        case IO_WRITE:
            result = pwritev(task->fd, task->iov, (int)task->iov_count, (off_t)task->offset);
            break;
        case IO_SYNC: result = fdatasync(task->fd); break;
        default: result = fallocate(task->fd, task->mode, (off_t)task->offset, (off_t)task->length);
        }
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

/* The queue's first task, with the lock, which it gives up meanwhile. */
static void task_serve(struct pool *pool)
{
    struct io_task *task = pool->queue;
    pool->queue = task->next;
    if (!pool->queue)
        pool->queue_end = &pool->queue;
    pool->queued--;
    pthread_mutex_unlock(&pool->lock);
    task->result = task_execute(task);
    pthread_mutex_lock(&pool->lock);
    const bool first = !pool->finished;
    task->next = NULL;
    *pool->finished_end = task;
    pool->finished_end = &task->next;
    if (first)
        loop_post(pool->loop, &pool->completed);
}

static void *pool_thread(void *argument)
{
    struct pool *pool = argument;
    cage_thread(CAGE_BLOCK);
    pthread_mutex_lock(&pool->lock);
    pool->starting--;
    while (!pool->ends) {
        if (pool->queue) {
            task_serve(pool);
            continue;
        }
        pool->idle++;
        pthread_cond_wait(&pool->changed, &pool->lock);
        pool->idle--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* They take no signals. */
static bool thread_make(struct pool *pool)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const bool made = !pthread_create(&pool->thread[pool->threads], NULL, pool_thread, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pool->threads += made;
    pool->starting += made;
    return made;
}

/* On the loop's thread: vCPUs, which submit, may make no threads in a cage. */
static void pool_grow(void *opaque)
{
    struct pool *pool = opaque;
    pthread_mutex_lock(&pool->lock);
    while (pool->queued > pool->idle + pool->starting && pool->threads < THREADS && thread_make(pool)) {
    }
    while (!pool->threads && pool->queue) /* the host gives none: they wait for each other here */
        task_serve(pool);
    pthread_mutex_unlock(&pool->lock);
}

static void pool_submit(struct io *io, struct io_task *task)
{
    struct pool *pool = (struct pool *)io;
    pthread_mutex_lock(&pool->lock);
    task->next = NULL;
    *pool->queue_end = task;
    pool->queue_end = &task->next;
    pool->queued++;
    if (pool->queued > pool->idle && pool->threads < THREADS)
        loop_post(pool->loop, &pool->grow);
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

static void pool_kick(struct io *io)
{
    (void)io;
}

static void pool_completed(void *opaque)
{
    struct pool *pool = opaque;
    pthread_mutex_lock(&pool->lock);
    struct io_task *task = pool->finished;
    pool->finished = NULL;
    pool->finished_end = &pool->finished;
    pthread_mutex_unlock(&pool->lock);
    for (struct io_task *next; task; task = next) {
        next = task->next;
        task->done(task, task->result);
    }
}

static void pool_close(struct io *io)
{
    struct pool *pool = (struct pool *)io;
    pthread_mutex_lock(&pool->lock);
    pool->ends = true;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads; i++)
        pthread_join(pool->thread[i], NULL);
    loop_cancel(pool->loop, &pool->completed);
    loop_cancel(pool->loop, &pool->grow);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static const struct io_ops pool_ops = {pool_submit, pool_kick, pool_close};

int io_threads_open(struct io **out, struct loop *loop, struct error *error)
{
    struct pool *pool = calloc(1, sizeof *pool);
    if (!pool)
        return error_set(error, -ENOMEM, "out of memory");
    pool->io.ops = &pool_ops;
    pool->loop = loop;
    pool->completed = (struct loop_call){.function = pool_completed, .opaque = pool};
    pool->grow = (struct loop_call){.function = pool_grow, .opaque = pool};
    pool->queue_end = &pool->queue;
    pool->finished_end = &pool->finished;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    *out = &pool->io;
    return 0;
}

int io_open(struct io **out, enum block_io_kind kind, struct loop *loop, struct error *error)
{
    if (kind != BLOCK_IO_THREADS) {
        int code = io_uring_open(out, loop, error);
        if (!code || kind == BLOCK_IO_URING)
            return code;
    }
    return io_threads_open(out, loop, error);
}
