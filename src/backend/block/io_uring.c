/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/io.h"

#define ENTRIES 128

struct uring {
    struct io io;
    struct loop *loop;
    struct loop_watch *watch;
    struct io_uring ring;
    unsigned under_way; /* at most ENTRIES, so that completions have room */
    struct io_task *waiting, **waiting_end;
    struct loop_call again; /* when the kernel took nothing */
};

static void uring_prepare(struct io_uring_sqe *sqe, const struct io_task *task)
{
    switch (task->operation) {
    case IO_READ: io_uring_prep_readv(sqe, task->fd, task->iov, task->iov_count, task->offset); break;
    case IO_WRITE: io_uring_prep_writev(sqe, task->fd, task->iov, task->iov_count, task->offset); break;
    case IO_SYNC: io_uring_prep_fsync(sqe, task->fd, IORING_FSYNC_DATASYNC); break;
    case IO_ALLOCATE:
        io_uring_prep_fallocate(sqe, task->fd, task->mode, (off_t)task->offset, (off_t)task->length);
        break;
    }
}

static void uring_fill(struct uring *uring)
{
    while (uring->waiting && uring->under_way < ENTRIES) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);
        if (!sqe)
            break;
        struct io_task *task = uring->waiting;
        uring->waiting = task->next;
        if (!uring->waiting)
            uring->waiting_end = &uring->waiting;
        uring_prepare(sqe, task);
        io_uring_sqe_set_data(sqe, task);
        uring->under_way++;
    }
}

static void uring_submit(struct io *io, struct io_task *task)
{
    struct uring *uring = (struct uring *)io;
    task->next = NULL;
    *uring->waiting_end = task;
    uring->waiting_end = &task->next;
}

static void uring_kick(struct io *io)
{
    struct uring *uring = (struct uring *)io;
    uring_fill(uring);
    while (io_uring_sq_ready(&uring->ring)) {
        int code = io_uring_submit(&uring->ring);
        if (code < 0 && code != -EINTR) { /* no memory or the like: in a moment */
            loop_post(uring->loop, &uring->again);
            return;
        }
        uring_fill(uring);
    }
}

static void uring_completed(void *opaque, unsigned events)
{
    struct uring *uring = opaque;
    struct io_uring_cqe *cqe;
    (void)events;
    /* As many as there are now; what they start comes later. */
    for (unsigned left = io_uring_cq_ready(&uring->ring); left; left--) {
        if (io_uring_peek_cqe(&uring->ring, &cqe))
            break;
        struct io_task *task = io_uring_cqe_get_data(cqe);
        int64_t result = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
        uring->under_way--;
        task->done(task, result);
    }
    uring_kick(&uring->io);
}

static void uring_again(void *opaque)
{
    uring_kick(opaque);
}

static void uring_close(struct io *io)
{
    struct uring *uring = (struct uring *)io;
    loop_cancel(uring->loop, &uring->again);
    if (uring->watch)
        loop_watch_remove(uring->watch);
    io_uring_queue_exit(&uring->ring);
    free(uring);
}

static const struct io_ops uring_ops = {uring_submit, uring_kick, uring_close};

static int uring_check(struct uring *uring)
{
    static const int needed[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);
    int code = probe ? 0 : -ENOSYS;
    for (unsigned i = 0; probe && i < sizeof needed / sizeof needed[0]; i++)
        if (!io_uring_opcode_supported(probe, needed[i]))
            code = -ENOSYS;
    if (probe)
        io_uring_free_probe(probe);
    return code;
}

int io_uring_open(struct io **out, struct loop *loop, struct error *error)
{
    struct uring *uring = calloc(1, sizeof *uring);
    if (!uring)
        return error_set(error, -ENOMEM, "out of memory");
    int code = io_uring_queue_init(ENTRIES, &uring->ring, 0);
    if (code) {
        free(uring);
        return error_set(error, code, "the host has no io_uring: %s", strerror(-code));
    }
    uring->io.ops = &uring_ops;
    uring->loop = loop;
    uring->waiting_end = &uring->waiting;
    uring->again = (struct loop_call){.function = uring_again, .opaque = uring};
    code = uring_check(uring);
    if (code)
        error_set(error, code, "the host's io_uring is too old");
    else
        uring->watch = loop_watch_add(loop, uring->ring.ring_fd, LOOP_READ, uring_completed, uring, error);
    if (!uring->watch) {
        uring_close(&uring->io);
        return code ? code : -ENOMEM;
    }
    *out = &uring->io;
    return 0;
}
