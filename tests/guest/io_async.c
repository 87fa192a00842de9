/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asynchronous input and output by the raw system calls: io_submit, io_uring; and calls that visor refuses.
 */
#include "io_check.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

static char name[32];

static void test_aio(void)
{
    aio_context_t context = 0;
    if (!AVAILABLE(syscall(SYS_io_setup, 8, &context)))
        return;
    int fd = open(name, O_RDWR | O_CREAT, 0600), event_fd = eventfd(0, EFD_NONBLOCK);
    char text[16] = "asynchronous", back[16] = "";
    struct iocb write_block = {.aio_data = 0x1111,
                               .aio_lio_opcode = IOCB_CMD_PWRITE,
                               .aio_fildes = (uint32_t)fd,
                               .aio_buf = (uintptr_t)text,
                               .aio_nbytes = 12,
                               .aio_offset = 4,
                               .aio_flags = IOCB_FLAG_RESFD,
                               .aio_resfd = (uint32_t)event_fd};
    struct iocb read_block = {.aio_data = 0x2222,
                              .aio_lio_opcode = IOCB_CMD_PREAD,
                              .aio_fildes = (uint32_t)fd,
                              .aio_buf = (uintptr_t)back,
                              .aio_nbytes = 5,
                              .aio_offset = 4};
    struct iocb *first = &write_block, *second = &read_block;
    struct io_event events[2];
    struct timespec limit = {10, 0};
    CHECK(syscall(SYS_io_submit, context, 1, &first) == 1);
    CHECK(syscall(SYS_io_getevents, context, 1, 2, events, &limit) == 1);
    CHECK(events[0].data == 0x1111 && events[0].res == 12 && events[0].obj == (uintptr_t)first);
    uint64_t count = 0;
    CHECK(read(event_fd, &count, 8) == 8 && count == 1);
    CHECK(syscall(SYS_io_submit, context, 1, &second) == 1);
    CHECK(syscall(SYS_io_getevents, context, 1, 1, events, &limit) == 1);
    CHECK(events[0].data == 0x2222 && events[0].res == 5 && memcmp(back, "async", 5) == 0);
    CHECK(syscall(SYS_io_destroy, context) == 0);
    CHECK_ERROR(syscall(SYS_io_destroy, context), EINVAL);
    close(fd);
    close(event_fd);
    unlink(name);
}

static void test_uring(void)
{
    struct io_uring_params p = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &p);
    if (!AVAILABLE(ring))
        return;
    size_t sq_size = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
    size_t cq_size = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    char *sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char *cq = mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe *sqes =
        mmap(NULL, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    CHECK(sq != MAP_FAILED && cq != MAP_FAILED && sqes != MAP_FAILED);
    int pipe_fds[2];
    char text[8] = "";
    CHECK(pipe(pipe_fds) == 0 && write(pipe_fds[1], "ring", 4) == 4);

    memset(&sqes[0], 0, sizeof sqes[0]);
    sqes[0].opcode = IORING_OP_READ;
    sqes[0].fd = pipe_fds[0];
    sqes[0].addr = (uintptr_t)text;
    sqes[0].len = sizeof text;
    sqes[0].user_data = 0xabcdef;
    uint32_t *tail = (uint32_t *)(sq + p.sq_off.tail);
    ((uint32_t *)(sq + p.sq_off.array))[*tail & *(uint32_t *)(sq + p.sq_off.ring_mask)] = 0;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    CHECK(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
    uint32_t *head = (uint32_t *)(cq + p.cq_off.head);
    CHECK(__atomic_load_n((uint32_t *)(cq + p.cq_off.tail), __ATOMIC_ACQUIRE) == *head + 1);
    struct io_uring_cqe *cqe =
        (struct io_uring_cqe *)(cq + p.cq_off.cqes) + (*head & *(uint32_t *)(cq + p.cq_off.ring_mask));
    CHECK(cqe->user_data == 0xabcdef && cqe->res == 4 && memcmp(text, "ring", 4) == 0);
    munmap(sqes, p.sq_entries * sizeof *sqes);
    munmap(cq, cq_size);
    munmap(sq, sq_size);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    close(ring);
}

/* What cannot be right says so, and does not do something else. */
static void test_refused(void)
{
#ifdef __aarch64__
    CHECK_ERROR(ptrace(PTRACE_TRACEME, 0, NULL, NULL), ENOSYS);
#endif
}

int main(void)
{
    snprintf(name, sizeof name, "io_async.%d", (int)getpid());
    test_aio();
    test_uring();
    test_refused();
    return check_done("io_async");
}
