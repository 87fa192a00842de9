/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backend/block/io.h"
#include "base/macros.h"

#define ENTRIES 128

struct uring {
    struct io io;
    struct loop *loop;
    struct loop_watch *watch;
    struct io_uring ring;
    unsigned under_way; /* at most ENTRIES, so that completions have room */
    struct io_task *waiting, **waiting_end;
    struct loop_call again; /* when the kernel took nothing */
    int event_fd;           /* written by the kernel when something is done */
    bool reaping;
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

/* Hands out what is done, but not for ever: what that starts may be done at once too. */
static void uring_reap(struct uring *uring)
{
    struct io_uring_cqe *cqe;
    uring->reaping = true;
    for (unsigned left = ENTRIES; left && !io_uring_peek_cqe(&uring->ring, &cqe); left--) {
        struct io_task *task = io_uring_cqe_get_data(cqe);
        int64_t result = cqe->res;
        io_uring_cqe_seen(&uring->ring, cqe);
        uring->under_way--;
        task->done(task, result);
    }
    uring->reaping = false;
}

/* False: the kernel takes nothing now, for want of memory or the like. */
static bool uring_enter(struct uring *uring)
{
    uring_fill(uring);
    while (io_uring_sq_ready(&uring->ring)) {
        int code = io_uring_submit(&uring->ring);
        if (code < 0 && code != -EINTR)
            return false;
        uring_fill(uring);
    }
    return true;
}

/* Much is done when the system call comes back: all that is in the host's cache. Nobody is woken for that. */
static void uring_kick(struct io *io)
{
    struct uring *uring = (struct uring *)io;
    if (uring->reaping) { /* who is at it goes on with what is done at once */
        if (!uring_enter(uring))
            loop_post(uring->loop, &uring->again);
        return;
    }
    io_uring_cq_eventfd_toggle(&uring->ring, false);
    bool taken = uring_enter(uring);
    uring_reap(uring);
    io_uring_cq_eventfd_toggle(&uring->ring, true);
    atomic_thread_fence(memory_order_seq_cst); /* the wish first, then the look at what is done */
    if (!taken || io_uring_cq_ready(&uring->ring) || (uring->waiting && uring->under_way < ENTRIES))
        loop_post(uring->loop, &uring->again);
}

static void uring_completed(void *opaque, unsigned events)
{
    struct uring *uring = opaque;
    eventfd_t count;
    (void)events;
    eventfd_read(uring->event_fd, &count);
    uring_reap(uring);
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
    if (uring->event_fd >= 0)
        close(uring->event_fd);
    free(uring);
}

static const struct io_ops uring_ops = {uring_submit, uring_kick, uring_close};

static const int needed[] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE};

static int uring_check(struct uring *uring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&uring->ring);
    int code = probe ? 0 : -ENOSYS;
    for (unsigned i = 0; probe && i < ARRAY_SIZE(needed); i++)
        if (!io_uring_opcode_supported(probe, needed[i]))
            code = -ENOSYS;
    if (probe)
        io_uring_free_probe(probe);
    return code;
}

/* By the kernel's own name: shared libraries of liburing 2.3 lack what they declare for it. */
static int ring_register(struct uring *uring, unsigned what, const void *argument, unsigned count)
{
    return syscall(SYS_io_uring_register, uring->ring.ring_fd, what, argument, count) < 0 ? -errno : 0;
}

/* A ring makes its calls past all filters of system calls: from here on it has only these. */
static int uring_restrict(struct uring *uring)
{
    struct io_uring_restriction only[ARRAY_SIZE(needed)] = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(needed); i++) {
        only[i].opcode = IORING_RESTRICTION_SQE_OP;
        only[i].sqe_op = (uint8_t)needed[i];
    }
    const int code = ring_register(uring, IORING_REGISTER_RESTRICTIONS, only, ARRAY_SIZE(only));
    return code ? code : ring_register(uring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int io_uring_open(struct io **out, struct loop *loop, struct error *error)
{
    struct uring *uring = calloc(1, sizeof *uring);
    if (!uring)
        return error_set(error, -ENOMEM, "out of memory");
    int code = io_uring_queue_init(ENTRIES, &uring->ring, IORING_SETUP_R_DISABLED);
    if (code) {
        free(uring);
        return error_set(error, code, "the host has no io_uring: %s", strerror(-code));
    }
    uring->io.ops = &uring_ops;
    uring->loop = loop;
    uring->waiting_end = &uring->waiting;
    uring->again = (struct loop_call){.function = uring_again, .opaque = uring};
    uring->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    code = uring->event_fd < 0 ? -errno : uring_check(uring);
    if (!code)
        code = io_uring_register_eventfd(&uring->ring, uring->event_fd);
    if (!code)
        code = uring_restrict(uring);
    if (code)
        error_set(error, code, "the host's io_uring is too old");
    else
        uring->watch = loop_watch_add(loop, uring->event_fd, LOOP_READ, uring_completed, uring, error);
    if (!uring->watch) {
        uring_close(&uring->io);
        return code ? code : -ENOMEM;
    }
    *out = &uring->io;
    return 0;
}
