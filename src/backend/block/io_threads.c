/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/block/io.h"

#define THREADS 8

struct pool {
    struct io io;
    struct loop *loop;
    struct loop_call completed;

    pthread_mutex_t lock; /* below the machine's, of what follows */
    pthread_cond_t changed;
    struct io_task *queue, **queue_end;
    struct io_task *finished, **finished_end;
    unsigned threads, idle, queued;
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

static void *pool_thread(void *argument)
{
    struct pool *pool = argument;
    pthread_mutex_lock(&pool->lock);
    while (!pool->ends) {
        struct io_task *task = pool->queue;
        if (!task) {
            pool->idle++;
            pthread_cond_wait(&pool->changed, &pool->lock);
            pool->idle--;
            continue;
        }
        pool->queue = task->next;
        if (!pool->queue)
            pool->queue_end = &pool->queue;
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        task->result = task_execute(task);
        pthread_mutex_lock(&pool->lock);
        bool first = !pool->finished;
        task->next = NULL;
        *pool->finished_end = task;
        pool->finished_end = &task->next;
        if (first)
            loop_post(pool->loop, &pool->completed);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Threads come when there is work for them; they take no signals. */
static void pool_grow(struct pool *pool)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (!pthread_create(&pool->thread[pool->threads], NULL, pool_thread, pool))
        pool->threads++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
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
        pool_grow(pool);
    else
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
    pool->queue_end = &pool->queue;
    pool->finished_end = &pool->finished;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->changed, NULL);
    pool_grow(pool); /* one at least is certain */
    if (!pool->threads) {
        pool_close(&pool->io);
        return error_set(error, -EAGAIN, "cannot start a thread for a disk: %s", strerror(EAGAIN));
    }
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
