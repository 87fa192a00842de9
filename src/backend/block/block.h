/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * block: where the blocks of a disk are: a file, a block device, later an image format or a server.
 *
 * All of it is asynchronous: block_submit() takes requests, block_kick() lets the host begin, done() comes
 * later from the machine's loop thread, in any order; or from within block_kick(), if it was done at once.
 * All under the machine's lock. A request that is done with 0 by a FLUSH after it is on stable storage;
 * nothing else promises that.
 */
#ifndef VISOR_BACKEND_BLOCK_BLOCK_H
#define VISOR_BACKEND_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

enum block_operation {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,
    BLOCK_DISCARD,      /* what is read there afterwards is anything */
    BLOCK_WRITE_ZEROES, /* `unmap`: may give the space back */
};
#define BLOCK_OPERATIONS (BLOCK_WRITE_ZEROES + 1)

struct block_request {
    enum block_operation operation;
    bool unmap;
    uint64_t offset, length; /* bytes, multiples of 512, within the disk: the caller has checked it */
    const struct iovec *iov; /* READ, WRITE: `length` bytes; valid until done */
    unsigned iov_count;
    /* 0 or a negative errno. Not called from within block_submit(). */
    void (*done)(struct block_request *request, int result);
    void *opaque;
    struct block_request *next; /* the backend's */
};

struct block_backend;

/* What a file has of a disk. All in bytes, multiples of 512. */
struct block_piece {
    uint64_t offset, length; /* on the disk */
    uint64_t at;             /* in the file */
};

struct block_ops {
    void (*submit)(struct block_backend *backend, struct block_request *request);
    void (*kick)(struct block_backend *backend);
    int (*read_now)(struct block_backend *backend, uint64_t offset, void *buffer, uint64_t length);
    /* Of a disk that keeps what is written to itself, NULL of others: see below. */
    bool (*next_kept)(struct block_backend *backend, uint64_t *offset, uint64_t *length);
    int (*keep)(struct block_backend *backend, uint64_t offset, const void *buffer, uint64_t length);
    int (*keep_file)(struct block_backend *backend, int fd, const struct block_piece *pieces, unsigned count,
                     struct error *error);
    void (*close)(struct block_backend *backend); /* nothing is under way; frees it */
};

struct block_backend {
    const struct block_ops *ops;
    char *name;          /* for messages: what the user called it */
    uint64_t size;       /* bytes */
    uint32_t block_size; /* that the host writes at once: 512 or more */
    bool read_only, can_discard;
    unsigned pending; /* requests under way */
};

static inline void block_submit(struct block_backend *backend, struct block_request *request)
{
    backend->ops->submit(backend, request);
}

static inline void block_kick(struct block_backend *backend)
{
    backend->ops->kick(backend);
}

/* Any bytes within the disk, which the host may have to wait for: for who looks at the disk before the
 * machine runs. What is under way may be seen or not. 0 or a negative errno. */
static inline int block_read_now(struct block_backend *backend, uint64_t offset, void *buffer,
                                 uint64_t length)
{
    return backend->ops->read_now(backend, offset, buffer, length);
}

/*
 * A disk with `snapshot` keeps what is written: it is lost with it, unless it is saved. While nothing is
 * under way: the next run of bytes, from *offset on, that are not what the disk had; false: there is none.
 * They are read by block_read_now(), and block_keep() writes them to another such disk, before its machine
 * runs: offset and length as they were. 0 or a negative errno.
 */
static inline bool block_keeps(const struct block_backend *backend)
{
    return backend->ops->keep != NULL;
}

static inline bool block_next_kept(struct block_backend *backend, uint64_t *offset, uint64_t *length)
{
    return backend->ops->next_kept(backend, offset, length);
}

static inline int block_keep(struct block_backend *backend, uint64_t offset, const void *buffer,
                             uint64_t length)
{
    return backend->ops->keep(backend, offset, buffer, length);
}

/* The same for pieces that stay in a file, of which the disk takes a descriptor of its own, until they are
 * written: they are read from there when they are needed. Once, before anything else is kept. In ascending
 * order. -EINVAL: they cannot be so. */
static inline int block_keep_file(struct block_backend *backend, int fd, const struct block_piece *pieces,
                                  unsigned count, struct error *error)
{
    return backend->ops->keep_file(backend, fd, pieces, count, error);
}

#endif
