/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Pipes and waiting for descriptors: poll, select, epoll, eventfd, signalfd, timerfd, inotify, splice. */
#include "io_check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
    handled = signal;
}

static void test_pipes(void)
{
    int p[2];
    char text[16];
    CHECK(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
    CHECK(fcntl(p[0], F_GETFL) & O_NONBLOCK && fcntl(p[1], F_GETFD) == FD_CLOEXEC);
    CHECK_ERROR(read(p[0], text, 1), EAGAIN);
    CHECK(fcntl(p[0], F_SETPIPE_SZ, 4096) == 4096 && fcntl(p[0], F_GETPIPE_SZ) == 4096);
    CHECK(write(p[1], "abc", 3) == 3 && read(p[0], text, sizeof text) == 3);
    close(p[0]);
    signal(SIGPIPE, on_signal);
    CHECK_ERROR(write(p[1], "x", 1), EPIPE);
    CHECK(handled == SIGPIPE);
    close(p[1]);

    CHECK(pipe2(p, O_DIRECT) == 0); /* packets */
    CHECK((fcntl(p[1], F_GETFL) & (O_DIRECT | O_DIRECTORY)) == O_DIRECT);
    CHECK(write(p[1], "one", 3) == 3 && write(p[1], "three", 5) == 5);
    CHECK(read(p[0], text, sizeof text) == 3 && read(p[0], text, sizeof text) == 5);
    close(p[0]);
    close(p[1]);
    CHECK_ERROR(pipe2(p, O_DIRECTORY), EINVAL);
    CHECK_ERROR(syscall(SYS_pipe2, bad_pointer, 0), EFAULT);
}

static void test_splice(void)
{
    int p[2], q[2];
    char text[16];
    struct iovec vector = {"spliced", 7};
    CHECK(pipe(p) == 0 && pipe(q) == 0);
    CHECK(vmsplice(p[1], &vector, 1, 0) == 7);
    CHECK(tee(p[0], q[1], 7, 0) == 7);
    CHECK(read(p[0], text, 7) == 7 && memcmp(text, "spliced", 7) == 0);
    CHECK(splice(q[0], NULL, p[1], NULL, 4, 0) == 4);
    CHECK(read(p[0], text, 7) == 4 && memcmp(text, "spli", 4) == 0);
    for (int i = 0; i < 2; i++) {
        close(p[i]);
        close(q[i]);
    }
}

static void test_poll(void)
{
    int p[2];
    CHECK(pipe(p) == 0);
    struct pollfd fds[3] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {999, POLLIN, 0}};
    CHECK(poll(fds, 3, 0) == 2);
    CHECK(fds[0].revents == 0 && fds[1].revents == POLLOUT && fds[2].revents == POLLNVAL);
    CHECK(write(p[1], "x", 1) == 1 && poll(fds, 1, -1) == 1 && fds[0].revents == POLLIN);
    struct timespec zero = {0, 0};
    CHECK(ppoll(fds, 2, &zero, NULL) == 2);

    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(p[0], &in);
    FD_SET(p[1], &out);
    struct timeval second = {1, 0};
    CHECK(select(p[1] + 1, &in, &out, NULL, &second) == 2 && FD_ISSET(p[0], &in) && FD_ISSET(p[1], &out));
    char c;
    CHECK(read(p[0], &c, 1) == 1);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    second = (struct timeval){0, 20000};
    CHECK(select(p[0] + 1, &in, NULL, NULL, &second) == 0 && !FD_ISSET(p[0], &in));
    close(p[1]);
    CHECK(poll(fds, 1, 0) == 1 && fds[0].revents == POLLHUP);
    close(p[0]);
}

/* A signal that is blocked, but not by the mask of the wait, interrupts it and is handled with the old mask
 * back. */
static void test_masks(int how)
{
    sigset_t blocked, empty, now;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}; /* has no effect here */
    struct epoll_event event;
    int p[2], e = epoll_create1(0), result = 0;
    sigaction(SIGUSR1, &action, NULL);
    sigemptyset(&empty);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    CHECK(pipe(p) == 0 && sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
    handled = 0;
    CHECK(raise(SIGUSR1) == 0 && !handled);

    struct pollfd fd = {p[0], POLLIN, 0};
    fd_set in;
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    struct timespec long_time = {20, 0};
    errno = 0;
    if (how == 0)
        result = ppoll(&fd, 1, &long_time, &empty);
    else if (how == 1)
        result = pselect(p[0] + 1, &in, NULL, NULL, &long_time, &empty);
    else if (how == 2)
        result = epoll_pwait(e, &event, 1, 20000, &empty);
    CHECK(result == -1 && errno == EINTR && handled == SIGUSR1);
    CHECK(sigprocmask(SIG_SETMASK, NULL, &now) == 0 && sigismember(&now, SIGUSR1) == 1);

    /* Masked for the wait only: it comes after it. */
    CHECK(sigprocmask(SIG_SETMASK, &empty, NULL) == 0);
    handled = 0;
    pid_t child = fork();
    if (child == 0) {
        usleep(50000);
        kill(getppid(), SIGUSR1);
        usleep(50000);
        _exit(write(p[1], "x", 1) == 1 ? 0 : 1);
    }
    event = (struct epoll_event){.events = EPOLLIN};
    CHECK(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event) == 0);
    if (how == 0)
        result = ppoll(&fd, 1, &long_time, &blocked);
    else if (how == 1)
        result = pselect(p[0] + 1, &in, NULL, NULL, &long_time, &blocked);
    else if (how == 2)
        result = epoll_pwait(e, &event, 1, 20000, &blocked);
    CHECK(result == 1 && handled == SIGUSR1);
    while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
        ;
    close(p[0]);
    close(p[1]);
    close(e);
}

static void test_epoll(void)
{
    enum { count = 100 };
    int fds[count], e = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[count + 1], event = {0};
    CHECK(e >= 0 && fcntl(e, F_GETFD) == FD_CLOEXEC);
    for (int i = 0; i < count; i++) {
        fds[i] = eventfd(1, EFD_NONBLOCK);
        event = (struct epoll_event){.events = EPOLLIN, .data.u64 = 0xfeed000000000000 | (unsigned)i << 4};
        CHECK(epoll_ctl(e, EPOLL_CTL_ADD, fds[i], &event) == 0);
    }
    CHECK_ERROR(epoll_ctl(e, EPOLL_CTL_ADD, fds[0], &event), EEXIST);
    CHECK_ERROR(epoll_ctl(e, EPOLL_CTL_MOD, e + 500, &event), EBADF);
    memset(events, 0x77, sizeof events);
    CHECK(epoll_wait(e, events, count + 1, -1) == count);
    unsigned char seen[count] = {0};
    for (int i = 0; i < count; i++) {
        uint64_t number = (events[i].data.u64 & 0xffffffffffff) >> 4;
        CHECK(events[i].events == EPOLLIN && events[i].data.u64 >> 48 == 0xfeed && number < count);
        CHECK(!seen[number % count]);
        seen[number % count] = 1;
    }
    CHECK(events[count].events == 0x77777777 && events[count].data.u64 == 0x7777777777777777);
    CHECK(epoll_wait(e, events, 3, 0) == 3);
    CHECK_ERROR(epoll_wait(e, events, 0, 0), EINVAL);
    CHECK_ERROR(epoll_wait(fds[0], events, 1, 0), EINVAL);
    CHECK_ERROR(syscall(SYS_epoll_pwait, e, bad_pointer, 10, 0, NULL, 8), EFAULT);
    for (int i = 1; i < count; i++)
        CHECK(epoll_ctl(e, EPOLL_CTL_DEL, fds[i], NULL) == 0);
    event = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &event};
    CHECK(epoll_ctl(e, EPOLL_CTL_MOD, fds[0], &event) == 0);
    CHECK(epoll_wait(e, events, 1, 0) == 1 && events[0].data.ptr == &event &&
          events[0].events == (EPOLLIN | EPOLLOUT));
    CHECK(epoll_wait(e, events, 1, 0) == 0); /* edge-triggered */
    struct timespec time = {0, 1000000};
    long result = syscall(SYS_epoll_pwait2, e, events, 1, &time, NULL, 8);
    if (AVAILABLE(result))
        CHECK(result == 0);
    for (int i = 0; i < count; i++)
        close(fds[i]);
    close(e);
}

static void test_special(void)
{
    uint64_t value = 0;
    int fd = eventfd(5, EFD_SEMAPHORE | EFD_CLOEXEC);
    CHECK(read(fd, &value, 8) == 8 && value == 1);
    close(fd);

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    struct signalfd_siginfo info = {0};
    CHECK_ERROR(read(fd, &info, sizeof info), EAGAIN);
    union sigval data = {.sival_int = 77};
    CHECK(sigqueue(getpid(), SIGUSR2, data) == 0);
    CHECK(read(fd, &info, sizeof info) == sizeof info);
    CHECK(info.ssi_signo == SIGUSR2 && info.ssi_pid == (unsigned)getpid() && info.ssi_int == 77);
    close(fd);

    fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec spec = {{0, 1000000}, {0, 1000000}}, left;
    CHECK(timerfd_settime(fd, 0, &spec, NULL) == 0 && timerfd_gettime(fd, &left) == 0);
    CHECK(left.it_interval.tv_nsec == 1000000);
    CHECK(read(fd, &value, 8) == 8 && value >= 1);
    close(fd);

    fd = inotify_init1(IN_NONBLOCK);
    int watch = inotify_add_watch(fd, ".", IN_CREATE | IN_DELETE);
    if (AVAILABLE(watch)) {
        char buffer[512], name[32];
        snprintf(name, sizeof name, "io_wait.%d", (int)getpid());
        close(open(name, O_CREAT | O_WRONLY, 0600));
        CHECK(unlink(name) == 0);
        ssize_t length = read(fd, buffer, sizeof buffer);
        struct inotify_event *event = (struct inotify_event *)buffer;
        CHECK(length > 0 && event->wd == watch && event->mask == IN_CREATE && strcmp(event->name, name) == 0);
        CHECK(inotify_rm_watch(fd, watch) == 0);
    }
    close(fd);
}

/* A signal handler with SA_RESTART does not disturb a read; one without does. */
static void test_interruption(void)
{
    for (int restart = 0; restart < 2; restart++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0};
        sigaction(SIGUSR1, &action, NULL);
        int p[2];
        char c;
        CHECK(pipe(p) == 0);
        handled = 0;
        pid_t child = fork();
        if (child == 0) {
            usleep(50000);
            kill(getppid(), SIGUSR1);
            usleep(50000);
            _exit(write(p[1], "x", 1) == 1 ? 0 : 1);
        }
        errno = 0;
        ssize_t result = read(p[0], &c, 1);
        CHECK(restart ? result == 1 && c == 'x' : result == -1 && errno == EINTR);
        CHECK(handled == SIGUSR1);
        while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
            ;
        close(p[0]);
        close(p[1]);
    }
}

static void *write_later(void *fd)
{
    usleep(20000);
    return write(*(int *)fd, "t", 1) == 1 ? fd : NULL;
}

static void test_thread_wakes_epoll(void)
{
    int p[2], e = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = 42};
    pthread_t thread;
    void *result;
    CHECK(pipe(p) == 0 && epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event) == 0);
    CHECK(pthread_create(&thread, NULL, write_later, &p[1]) == 0);
    memset(&event, 0, sizeof event);
    CHECK(epoll_wait(e, &event, 1, 20000) == 1 && event.data.u64 == 42);
    CHECK(pthread_join(thread, &result) == 0 && result);
    close(p[0]);
    close(p[1]);
    close(e);
}

int main(void)
{
    test_pipes();
    test_splice();
    test_poll();
    for (int how = 0; how < 3; how++)
        test_masks(how);
    test_epoll();
    test_special();
    test_interruption();
    test_thread_wakes_epoll();
    return check_done("io_wait");
}
