/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io: reads, writes and the like that do not block: by io_uring, or where the host has none of it (an old
 * kernel, a container that forbids it) by threads.
 *
 * All under the machine's lock; done() comes from the loop, or from within io_kick().
 */
#ifndef VISOR_BACKEND_BLOCK_IO_H
#define VISOR_BACKEND_BLOCK_IO_H

#include <stdint.h>
#include <sys/uio.h>

#include "backend/block/options.h"
#include "base/loop.h"

#define IO_IOV_MAX 1024 /* the kernel's */

enum io_operation { IO_READ, IO_WRITE, IO_SYNC, IO_ALLOCATE };

struct io_task {
    enum io_operation operation;
    int fd;
    int mode; /* ALLOCATE: of fallocate() */
    const struct iovec *iov;
    unsigned iov_count;
    uint64_t offset, length; /* length: of ALLOCATE */
    /* As the system call's result, or a negative errno. */
    void (*done)(struct io_task *task, int64_t result);
    struct io_task *next; /* io's */
    int64_t result;
};

struct io {
    const struct io_ops *ops;
};

struct io_ops {
    void (*submit)(struct io *io, struct io_task *task);
    void (*kick)(struct io *io);
    void (*close)(struct io *io);
};

int io_open(struct io **out, enum block_io_kind kind, struct loop *loop, struct error *error);
int io_uring_open(struct io **out, struct loop *loop, struct error *error);
int io_threads_open(struct io **out, struct loop *loop, struct error *error);

static inline void io_submit(struct io *io, struct io_task *task)
{
    io->ops->submit(io, task);
}

static inline void io_kick(struct io *io)
{
    io->ops->kick(io);
}

static inline void io_close(struct io *io)
{
    if (io)
        io->ops->close(io);
}

#endif
