/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * io_uring by raw system calls: requests whose flags and structures differ between architectures, entries
 * that are submitted twice, a ring with a polling thread, registered rings and files.
 */
#include "io_check.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OP_EPOLL_WAIT 59
#define NO_MMAP       (1u << 14)
#define NO_SQARRAY    (1u << 16)

struct ring {
    int fd, enter_fd;
    unsigned enter_flags;
    struct io_uring_params p;
    char *ring;
    size_t ring_size;
    struct io_uring_sqe *sqes;
};

static uint32_t *field(const struct ring *r, uint32_t offset)
{
    return (uint32_t *)(r->ring + offset);
}

static int ring_open(struct ring *r, unsigned entries, unsigned flags)
{
    memset(r, 0, sizeof *r);
    r->p.flags = flags;
    r->p.sq_thread_idle = 1000;
    r->fd = r->enter_fd = (int)syscall(SYS_io_uring_setup, entries, &r->p);
    if (r->fd < 0)
        return -1;
    size_t sq = r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t);
    size_t cq = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
    r->ring_size = sq > cq ? sq : cq;
    CHECK(r->p.features & IORING_FEAT_SINGLE_MMAP);
    r->ring = mmap(NULL, r->ring_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
                   IORING_OFF_SQ_RING);
    r->sqes = mmap(NULL, r->p.sq_entries * sizeof *r->sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                   r->fd, IORING_OFF_SQES);
    CHECK(r->ring != MAP_FAILED && r->sqes != MAP_FAILED);
    CHECK((r->p.flags & flags) == flags);
    return r->fd;
}

static void ring_close(struct ring *r)
{
    munmap(r->sqes, r->p.sq_entries * sizeof *r->sqes);
    munmap(r->ring, r->ring_size);
    close(r->fd);
}

/* Puts the entry at `index` into the queue. */
static void push(struct ring *r, uint32_t index)
{
    uint32_t *tail = field(r, r->p.sq_off.tail);
    if (!(r->p.flags & NO_SQARRAY))
        field(r, r->p.sq_off.array)[*tail & *field(r, r->p.sq_off.ring_mask)] = index;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

static struct io_uring_sqe *prepare(struct ring *r, uint32_t index, int op, int fd, const void *addr,
                                    uint32_t len, uint64_t off)
{
    struct io_uring_sqe *sqe = &r->sqes[index];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = (uint8_t)op;
    sqe->fd = fd;
    sqe->addr = (uintptr_t)addr;
    sqe->len = len;
    sqe->off = off;
    sqe->user_data = 0x1234500u + index;
    return sqe;
}

static long enter(struct ring *r, unsigned submit, unsigned wait)
{
    return syscall(SYS_io_uring_enter, r->enter_fd, submit, wait,
                   r->enter_flags | (wait ? IORING_ENTER_GETEVENTS : 0), NULL, 0);
}

/* The next completion's result. */
static int pop(struct ring *r, uint32_t index)
{
    uint32_t *head = field(r, r->p.cq_off.head);
    if (__atomic_load_n(field(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE) == *head)
        CHECK(enter(r, 0, 1) == 0);
    struct io_uring_cqe *cqe =
        (struct io_uring_cqe *)(r->ring + r->p.cq_off.cqes) + (*head & *field(r, r->p.cq_off.ring_mask));
    int result = cqe->res;
    CHECK(cqe->user_data == 0x1234500u + index);
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
}

/* Submits the one entry and waits for it. */
static int run(struct ring *r, uint32_t index)
{
    push(r, index);
    CHECK(enter(r, 1, 1) == 1);
    return pop(r, index);
}

/* -- requests ----------------------------------------------------------------------------- */

static void test_open(struct ring *r)
{
    CHECK(mkdir("uring.d", 0700) == 0 && symlink("uring.d", "uring.l") == 0);

    struct io_uring_sqe *sqe = prepare(r, 0, IORING_OP_OPENAT, AT_FDCWD, "uring.l", 0, 0);
    sqe->open_flags = O_RDONLY | O_DIRECTORY;
    for (int again = 0; again < 3; again++) { /* the entry stays as it was */
        int fd = run(r, 0);
        CHECK(fd >= 0 && sqe->open_flags == (O_RDONLY | O_DIRECTORY));
        CHECK(fcntl(fd, F_GETFL) & O_DIRECTORY);
        close(fd);
    }
    if (!(r->p.flags & NO_SQARRAY)) { /* the same entry twice in the queue */
        push(r, 0);
        push(r, 0);
        CHECK(enter(r, 2, 2) == 2);
        int first = pop(r, 0), second = pop(r, 0);
        CHECK(fcntl(first, F_GETFL) & O_DIRECTORY && fcntl(second, F_GETFL) & O_DIRECTORY);
        CHECK(sqe->open_flags == (O_RDONLY | O_DIRECTORY));
        close(first);
        close(second);
    }
    sqe->open_flags = O_RDONLY | O_NOFOLLOW;
    CHECK(run(r, 0) == -ELOOP);
    prepare(r, 1, IORING_OP_OPENAT, AT_FDCWD, "uring.f", 0600, 0)->open_flags = O_CREAT | O_WRONLY | O_EXCL;
    int fd = run(r, 1);
    CHECK(fd >= 0 && !(fcntl(fd, F_GETFL) & (O_DIRECTORY | O_DIRECT)));
    close(fd);
    prepare(r, 1, IORING_OP_OPENAT, AT_FDCWD, "uring.f", 0, 0)->open_flags = O_DIRECTORY;
    CHECK(run(r, 1) == -ENOTDIR);

    struct open_how how = {.flags = O_RDONLY | O_NOFOLLOW};
    prepare(r, 2, IORING_OP_OPENAT2, AT_FDCWD, "uring.l", sizeof how, (uintptr_t)&how);
    CHECK(run(r, 2) == -ELOOP);
    how.flags = O_RDONLY | O_DIRECTORY;
    fd = run(r, 2);
    CHECK(fd >= 0 && how.flags == (O_RDONLY | O_DIRECTORY));
    close(fd);
    prepare(r, 2, IORING_OP_OPENAT2, AT_FDCWD, "uring.l", 8, (uintptr_t)&how);
    CHECK(run(r, 2) == -EINVAL);
    prepare(r, 2, IORING_OP_OPENAT2, AT_FDCWD, "uring.l", sizeof how, (uintptr_t)bad_pointer);
    CHECK(run(r, 2) == -EFAULT);
    unlink("uring.f");
    unlink("uring.l");
    rmdir("uring.d");
}

static void test_epoll(struct ring *r)
{
    int epoll_fd = epoll_create1(0), event_fd = eventfd(1, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, got = {0};
    prepare(r, 3, IORING_OP_EPOLL_CTL, epoll_fd, &event, EPOLL_CTL_ADD, (uint64_t)event_fd);
    CHECK(run(r, 3) == 0);
    CHECK(r->sqes[3].addr == (uintptr_t)&event);
    CHECK(epoll_wait(epoll_fd, &got, 1, 10000) == 1);
    CHECK(got.events == EPOLLIN && got.data.u64 == event.data.u64);
    CHECK(run(r, 3) == -EEXIST);
    prepare(r, 3, IORING_OP_EPOLL_CTL, epoll_fd, bad_pointer, EPOLL_CTL_MOD, (uint64_t)event_fd);
    CHECK(run(r, 3) == -EFAULT);
    prepare(r, 3, IORING_OP_EPOLL_CTL, epoll_fd, NULL, EPOLL_CTL_DEL, (uint64_t)event_fd);
    CHECK(run(r, 3) == 0);
    close(epoll_fd);
    close(event_fd);
}

/* Several entries in one call, in a chain, of which some are converted. */
static void test_chain(struct ring *r)
{
    char text[8] = "linked", back[8] = "";
    CHECK(close(open("uring.c", O_CREAT | O_WRONLY, 0600)) == 0);
    int fd = open("uring.c", O_RDWR);
    prepare(r, 0, IORING_OP_WRITE, fd, text, 6, 0)->flags = IOSQE_IO_LINK;
    prepare(r, 1, IORING_OP_OPENAT, AT_FDCWD, ".", 0, 0)->open_flags = O_DIRECTORY;
    r->sqes[1].flags = IOSQE_IO_LINK;
    prepare(r, 2, IORING_OP_READ, fd, back, 6, 0);
    for (uint32_t i = 0; i < 3; i++)
        push(r, i);
    CHECK(enter(r, 3, 3) == 3);
    CHECK(pop(r, 0) == 6);
    int directory = pop(r, 1);
    CHECK(directory >= 0 && fcntl(directory, F_GETFL) & O_DIRECTORY);
    CHECK(pop(r, 2) == 6 && memcmp(back, "linked", 6) == 0);
    close(directory);
    close(fd);
    unlink("uring.c");
}

static void test_message(struct ring *r)
{
    int sockets[2], file = open("/dev/null", O_RDONLY);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    memcpy(CMSG_DATA(&control.header), &file, sizeof file);
    struct iovec vector = {"x", 1};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    prepare(r, 0, IORING_OP_SENDMSG, sockets[0], &message, 1, 0);
    CHECK(run(r, 0) == 1);
    int none = -1;
    memcpy(CMSG_DATA(&control.header), &none, sizeof none);
    char byte;
    vector.iov_base = &byte;
    prepare(r, 1, IORING_OP_RECVMSG, sockets[1], &message, 1, 0);
    CHECK(run(r, 1) == 1 && byte == 'x');
    int received;
    memcpy(&received, CMSG_DATA(&control.header), sizeof received);
    CHECK(fcntl(received, F_GETFD) >= 0 && received != file);
    close(received);
    close(file);
    close(sockets[0]);
    close(sockets[1]);
}

/* What this program does not have open cannot be closed: an emulator may hide some of its own. */
static void test_hidden(struct ring *r)
{
    for (int fd = 64; fd < 1100; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        prepare(r, 0, IORING_OP_CLOSE, fd, NULL, 0, 0);
        int result = run(r, 0);
        if (result != -EBADF) {
            CHECK(result == -EBADF);
            break;
        }
    }
}

static void test_mask(struct ring *r)
{
    sigset_t blocked, none, old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigemptyset(&none);
    struct sigaction ignore = {.sa_handler = SIG_DFL};
    sigaction(SIGUSR1, &ignore, NULL);
    CHECK(sigprocmask(SIG_BLOCK, &blocked, &old) == 0);
    struct __kernel_timespec limit = {0, 1000000};
    uint64_t mask = 1ull << (SIGUSR1 - 1);
    struct io_uring_getevents_arg argument = {
        .sigmask = (uintptr_t)&mask, .sigmask_sz = 8, .ts = (uintptr_t)&limit};
    CHECK_ERROR(syscall(SYS_io_uring_enter, r->enter_fd, 0, 1,
                        r->enter_flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                        sizeof argument),
                ETIME);
    argument.sigmask_sz = 4;
    CHECK_ERROR(syscall(SYS_io_uring_enter, r->enter_fd, 0, 1,
                        r->enter_flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                        sizeof argument),
                EINVAL);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

static void test_requests(struct ring *r)
{
    test_open(r);
    test_epoll(r);
    test_chain(r);
    test_message(r);
}

/* -- rings -------------------------------------------------------------------------------- */

static void test_registered(struct ring *r)
{
    struct io_uring_rsrc_update update = {.offset = -1u, .data = (uint64_t)r->fd};
    if (!AVAILABLE(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_RING_FDS, &update, 1)))
        return;
    r->enter_fd = (int)update.offset;
    r->enter_flags = IORING_ENTER_REGISTERED_RING;
    test_requests(r);
    test_mask(r);
    update.data = 0;
    CHECK(syscall(SYS_io_uring_register, r->fd, IORING_UNREGISTER_RING_FDS, &update, 1) == 1);
    CHECK_ERROR(enter(r, 0, 0), EBADF);
    r->enter_fd = r->fd;
    r->enter_flags = 0;
}

static void test_files(struct ring *r)
{
    int fds[2] = {open("/dev/zero", O_RDONLY), -1};
    char text[4] = "abc";
    CHECK(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_FILES, fds, 2) == 0);
    prepare(r, 0, IORING_OP_READ, 0, text, 3, 0)->flags = IOSQE_FIXED_FILE;
    CHECK(run(r, 0) == 3 && memcmp(text, "\0\0\0", 3) == 0);
    int other = open("/dev/null", O_RDONLY);
    prepare(r, 1, IORING_OP_FILES_UPDATE, -1, &other, 1, 1);
    CHECK(run(r, 1) == 1);
    prepare(r, 0, IORING_OP_READ, 1, text, 3, 0)->flags = IOSQE_FIXED_FILE;
    CHECK(run(r, 0) == 0);
    CHECK(syscall(SYS_io_uring_register, r->fd, IORING_UNREGISTER_FILES, NULL, 0) == 0);
    close(fds[0]);
    close(other);
}

/* A request is either found by the probe and works, or neither. */
static void test_probe(struct ring *r)
{
    struct {
        struct io_uring_probe head;
        struct io_uring_probe_op ops[256];
    } probe;
    memset(&probe, 0, sizeof probe);
    CHECK(syscall(SYS_io_uring_register, r->fd, IORING_REGISTER_PROBE, &probe, 256) == 0);
    CHECK(probe.ops[IORING_OP_OPENAT].flags & IO_URING_OP_SUPPORTED);
    int epoll_fd = epoll_create1(0), event_fd = eventfd(1, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x1122334455667788}, got[2] = {{0}};
    CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, event_fd, &event) == 0);
    prepare(r, 0, OP_EPOLL_WAIT, epoll_fd, got, 2, 0);
    int result = run(r, 0);
    if (probe.ops[OP_EPOLL_WAIT].flags & IO_URING_OP_SUPPORTED)
        CHECK(result == 1 && got[0].data.u64 == event.data.u64);
    else
        CHECK(result == -EINVAL);
    close(epoll_fd);
    close(event_fd);
}

static void test_polling(void)
{
    struct ring r;
    if (!AVAILABLE(ring_open(&r, 4, IORING_SETUP_SQPOLL)))
        return;
    struct io_uring_sqe *sqe = prepare(&r, 0, IORING_OP_OPENAT, AT_FDCWD, ".", 0, 0);
    sqe->open_flags = O_DIRECTORY;
    for (int i = 0; i < 20; i++) {
        push(&r, 0);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (__atomic_load_n(field(&r, r.p.sq_off.flags), __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP)
            CHECK(syscall(SYS_io_uring_enter, r.fd, 1, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) == 1);
        int fd = pop(&r, 0);
        CHECK(fd >= 0 && fcntl(fd, F_GETFL) & O_DIRECTORY);
        close(fd);
    }
    ring_close(&r);
}

static void test_no_mmap(void)
{
    struct ring r = {0};
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    r.p.flags = NO_MMAP | NO_SQARRAY;
    r.p.cq_off.resv2 = (uintptr_t)memory;
    r.p.sq_off.resv2 = (uintptr_t)memory + 4096;
    r.fd = r.enter_fd = (int)syscall(SYS_io_uring_setup, 8, &r.p);
    if (AVAILABLE(r.fd)) {
        r.ring = memory;
        r.sqes = (struct io_uring_sqe *)(memory + 4096);
        for (uint32_t i = 0; i < 20; i++) { /* without the array, entries come in order */
            prepare(&r, i & 7, IORING_OP_OPENAT, AT_FDCWD, ".", 0, 0)->open_flags = O_DIRECTORY;
            int fd = run(&r, i & 7);
            CHECK(fd >= 0 && fcntl(fd, F_GETFL) & O_DIRECTORY);
            close(fd);
        }
        close(r.fd);
    }
    munmap(memory, 8192);
}

/* Another descriptor of the same ring. */
static void test_duplicate(struct ring *r)
{
    r->enter_fd = dup(r->fd);
    prepare(r, 0, IORING_OP_OPENAT, AT_FDCWD, ".", 0, 0)->open_flags = O_DIRECTORY;
    int fd = run(r, 0);
    CHECK(fd >= 0 && fcntl(fd, F_GETFL) & O_DIRECTORY);
    close(fd);
    close(r->enter_fd);
    r->enter_fd = r->fd;
}

/* A child submits to the ring that it got from its parent. */
static void test_child(struct ring *r)
{
    pid_t child = fork();
    if (child == 0) {
        check_failures = 0;
        prepare(r, 0, IORING_OP_OPENAT, AT_FDCWD, ".", 0, 0)->open_flags = O_DIRECTORY;
        int fd = run(r, 0);
        CHECK(fd >= 0 && fcntl(fd, F_GETFL) & O_DIRECTORY);
        _exit(check_failures ? 1 : 0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void test_errors(struct ring *r)
{
    CHECK_ERROR(syscall(SYS_io_uring_setup, 4, bad_pointer), EFAULT);
    struct io_uring_params p = {.flags = 0x80000000u};
    CHECK_ERROR(syscall(SYS_io_uring_setup, 4, &p), EINVAL);
    p = (struct io_uring_params){.flags = IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF, .sq_thread_cpu = 99999};
    CHECK_ERROR(syscall(SYS_io_uring_setup, 4, &p), EINVAL);
    CHECK_ERROR(syscall(SYS_io_uring_enter, -1, 1, 0, -1, NULL, 0), EINVAL);
    CHECK_ERROR(syscall(SYS_io_uring_enter, -1, 1, 0, 0, NULL, 0), EBADF);
    CHECK_ERROR(syscall(SYS_io_uring_enter, 0, 1, 0, 0, NULL, 0), EOPNOTSUPP);
    CHECK(enter(r, 1, 0) == 0); /* nothing is there */
    prepare(r, 0, 250, 0, NULL, 0, 0);
    CHECK(run(r, 0) == -EINVAL);
}

int main(void)
{
    struct ring r;
    if (!AVAILABLE(ring_open(&r, 8, 0)))
        return check_done("io_uring");
    test_errors(&r);
    test_requests(&r);
    test_hidden(&r);
    test_mask(&r);
    test_files(&r);
    test_probe(&r);
    test_child(&r);
    test_duplicate(&r);
    test_registered(&r);
    ring_close(&r);
    /* The same number, another ring. */
    CHECK(ring_open(&r, 128, 0) >= 0);
    test_requests(&r);
    ring_close(&r);
    test_polling();
    test_no_mmap();
    return check_done("io_uring");
}
