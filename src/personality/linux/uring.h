/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uring: requests of io_uring whose meaning differs between the guest's architecture and the host's. Private
 * to uring.c, which serves the calls, and uring_convert.c, which knows the requests.
 *
 * The kernel reads submission queue entries from memory that it shares with the guest, so they are converted
 * where they are, for as long as the kernel needs to take them, and put back then: a program may submit an
 * entry again that it has filled in once. A conversion is a struct uring_patch; what the kernel reads instead
 * of a structure of the guest's is kept in it.
 */
#ifndef VISOR_PERSONALITY_LINUX_URING_H
#define VISOR_PERSONALITY_LINUX_URING_H

#include <linux/io_uring.h>

#include "personality/linux/process.h"

/* Values that the host's headers may be too old for. */
#define URING_OP_EPOLL_WAIT    59
#define URING_OP_NOP128        63
#define URING_OP_URING_CMD128  64
#define URING_SETUP_NO_MMAP    (1u << 14)
#define URING_SETUP_FD_ONLY    (1u << 15) /* IORING_SETUP_REGISTERED_FD_ONLY */
#define URING_SETUP_NO_SQARRAY (1u << 16)
#define URING_SETUP_SQE_MIXED  (1u << 19)

/* A field of an entry in guest memory that has another value for now. */
struct uring_patch {
    struct uring_patch *next; /* the newer ones first */
    uint32_t position;        /* of the entry in the queue, as the queue's head and tail count */
    uint32_t size;            /* of the field: 1, 4 or 8 */
    uint64_t address;
    uint64_t before, after;
    uint8_t data[]; /* what the field points to meanwhile, if it is a pointer */
};

/*
 * Puts in front of *patches what has to change in the entry `sqe`, which the guest has at `address`. 0, or a
 * negative errno: then nothing was added. Does not change guest memory.
 */
int uring_convert(struct linux_thread *thread, const struct io_uring_sqe *sqe, uint64_t address,
                  struct uring_patch **patches);

/* True if one of the `count` descriptors in guest memory is visor's own. What cannot be read is not. */
bool uring_names_own_fd(struct linux_thread *thread, uint64_t address, uint64_t count);

#endif
