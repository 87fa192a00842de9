/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What signals carry, where handlers run, and a flood of them into a program that does everything. */
#include "io_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

static siginfo_t got;
static volatile int count;
static sigjmp_buf back;

static void note(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    got = *info;
    count++;
}

static void note_and_jump(int signal, siginfo_t *info, void *context)
{
    note(signal, info, context);
    siglongjmp(back, 1);
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static bool died_by(pid_t child, int signal)
{
    int status;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

/* -- faults -------------------------------------------------------------------------------------------------
 */

static void expect_fault(int signal, int code, void *address)
{
    if (got.si_signo != signal || got.si_code != code || got.si_addr != address)
        fprintf(stderr, "signal %d code %d address %p, not %d %d %p\n", got.si_signo, got.si_code,
                got.si_addr, signal, code, address);
    CHECK(got.si_signo == signal && got.si_code == code && got.si_addr == address);
}

static void test_faults(void)
{
    int fd = open("short", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && unlink("short") == 0 && ftruncate(fd, 100) == 0);
    volatile char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    handle(SIGSEGV, note_and_jump, 0);
    handle(SIGBUS, note_and_jump, 0);
    if (!sigsetjmp(back, 1))
        map[4096] = 1;
    expect_fault(SIGBUS, BUS_ADRERR, (void *)(map + 4096));
    close(fd);
#ifdef __aarch64__
    static const uintptr_t high[] = {1ul << 52, 0xffff000000001000, 0x0000800000000000, 0xfffffffffffffff0};
    for (volatile unsigned i = 0; i < sizeof high / sizeof *high; i++) {
        if (!sigsetjmp(back, 1))
            *(volatile uint64_t *)high[i];
        expect_fault(SIGSEGV, SEGV_MAPERR, (void *)high[i]);
        if (!sigsetjmp(back, 1))
            *(volatile char *)high[i] = 1;
        expect_fault(SIGSEGV, SEGV_MAPERR, (void *)high[i]);
    }
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ldxr x0, [%0]" : : "r"(map + 1) : "x0", "memory");
    expect_fault(SIGBUS, BUS_ADRALN, (void *)(map + 1));
    if (!sigsetjmp(back, 1))
        ((void (*)(void))(map + 2))();
    expect_fault(SIGBUS, BUS_ADRALN, (void *)(map + 2));
#endif
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    munmap((void *)map, 8192);
}

/* -- what they carry ----------------------------------------------------------------------------------------
 */

static void test_information(void)
{
    const union sigval value = {.sival_ptr = (void *)0x123456789abc};
    const int signal = SIGRTMIN + 3;
    handle(signal, note, 0);

    CHECK(sigqueue(getpid(), signal, value) == 0);
    CHECK(got.si_code == SI_QUEUE && got.si_pid == getpid() && got.si_uid == getuid());
    CHECK(got.si_value.sival_ptr == value.sival_ptr);
    CHECK(kill(getpid(), signal) == 0 && got.si_code == SI_USER && got.si_pid == getpid());
    CHECK(raise(signal) == 0 && got.si_code == SI_TKILL && got.si_pid == getpid());
    CHECK(pthread_sigqueue(pthread_self(), signal, value) == 0 && got.si_code == SI_QUEUE);

    siginfo_t info = {.si_signo = signal, .si_code = -77};
    info.si_value.sival_int = 5;
    int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    CHECK(syscall(SYS_pidfd_send_signal, pidfd, signal, &info, 0) == 0);
    CHECK(got.si_code == -77 && got.si_value.sival_int == 5);
    CHECK_ERROR(syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, &info, 0), EINVAL);
    CHECK(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 && got.si_code == SI_USER);
    close(pidfd);

    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = signal, .sigev_value.sival_int = 99};
    const struct itimerspec soon = {.it_value = {0, 1000000}};
    timer_t timer;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    count = 0;
    CHECK(timer_settime(timer, 0, &soon, NULL) == 0);
    while (!count)
        continue;
    CHECK(got.si_code == SI_TIMER && got.si_value.sival_int == 99 && got.si_overrun == 0);
    timer_delete(timer);

    pid_t child = fork();
    if (child == 0)
        _exit(7);
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED) == 0);
    CHECK(info.si_signo == SIGCHLD && info.si_code == CLD_EXITED && info.si_status == 7 &&
          info.si_pid == child);
}

static void test_waiting(void)
{
    const struct timespec none = {0, 0}, tick = {0, 1000000};
    sigset_t set;
    siginfo_t info;
    struct signalfd_siginfo read_info;
    int signal = SIGRTMIN + 4;

    sigemptyset(&set);
    sigaddset(&set, signal);
    sigaddset(&set, SIGSEGV);
    CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    CHECK_ERROR(sigtimedwait(&set, &info, &none), EAGAIN);
    CHECK_ERROR(sigtimedwait(&set, &info, &tick), EAGAIN);
    CHECK(kill(getpid(), SIGSEGV) == 0);
    CHECK(sigtimedwait(&set, &info, &none) == SIGSEGV && info.si_code == SI_USER && info.si_pid == getpid());
    CHECK_ERROR(sigtimedwait(&set, &info, &none), EAGAIN);
    for (int i = 0; i < 3; i++) /* queued, in order */
        CHECK(sigqueue(getpid(), signal, (union sigval){.sival_int = i}) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(sigwaitinfo(&set, &info) == signal && info.si_value.sival_int == i);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    CHECK(read(fd, &read_info, sizeof read_info) == sizeof read_info);
    CHECK(read_info.ssi_signo == (uint32_t)signal && read_info.ssi_int == 2 &&
          read_info.ssi_code == SI_QUEUE);
    CHECK_ERROR(read(fd, &read_info, sizeof read_info), EAGAIN);
    close(fd);

    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        nanosleep(&tick, NULL);
        kill(parent, SIGSEGV);
        _exit(0);
    }
    CHECK(sigwaitinfo(&set, &info) == SIGSEGV && info.si_pid == child && waitpid(child, NULL, 0) == child);
    CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
}

/* -- flags and stacks ------------------------------------------------------------------------------------ */

/* What is sent to a child in its first moments is not lost, SIGSEGV and SIGBUS neither. */
static void test_new_children(void)
{
    static const int numbers[] = {SIGBUS, SIGSEGV, SIGTERM};
    struct rlimit core;

    CHECK(getrlimit(RLIMIT_CORE, &core) == 0);
    core.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_CORE, &core) == 0);
    for (unsigned i = 0; i < 300; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            pause();
            _exit(1);
        }
        CHECK(child > 0 && kill(child, numbers[i % 3]) == 0);
        CHECK(died_by(child, numbers[i % 3]));
    }
}

static char *area;
static volatile bool inside;
static volatile unsigned nested_flags;

static void look(int signal, siginfo_t *info, void *context)
{
    char here;
    stack_t now;
    (void)signal;
    (void)info;
    inside = &here > area && &here < area + 65536;
    sigaltstack(NULL, &now);
    nested_flags = (unsigned)now.ss_flags;
    CHECK(((ucontext_t *)context)->uc_stack.ss_sp == area);
    count++;
}

static void recurse(int signal, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    if (count++ < 3)
        raise(signal);
    count += 100;
}

static void test_flags(void)
{
    handle(SIGUSR1, recurse, SA_NODEFER);
    count = 0;
    raise(SIGUSR1);
    CHECK(count == 404);
    handle(SIGUSR1, note, SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction now;
    CHECK(sigaction(SIGUSR1, NULL, &now) == 0 && now.sa_handler == SIG_DFL);

    area = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = area, .ss_size = 65536, .ss_flags = (int)SS_AUTODISARM}, old;
    CHECK(sigaltstack(&stack, NULL) == 0);
    handle(SIGUSR1, look, SA_ONSTACK);
    for (int i = 0; i < 3; i++) {
        inside = false;
        raise(SIGUSR1);
        CHECK(inside && nested_flags == SS_DISABLE);
        CHECK(sigaltstack(NULL, &old) == 0 && old.ss_sp == area && (unsigned)old.ss_flags == SS_AUTODISARM);
    }
    stack.ss_flags = 3;
    CHECK_ERROR(sigaltstack(&stack, NULL), EINVAL);
    stack.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&stack, NULL) == 0);
}

static void overflow(int signal, siginfo_t *info, void *context)
{
    volatile char room[2000];
    (void)info;
    (void)context;
    room[0] = 0;
    raise(signal);
    room[1] = room[0];
}

/* A handler that goes on and on, on an alternate stack with nothing below it. */
static void test_overflow(void)
{
    const struct rlimit no_core = {0, 0};
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        char *low = mmap(NULL, 4 * 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(low + 65536, 65536, PROT_READ | PROT_WRITE);
        const stack_t stack = {.ss_sp = low + 65536, .ss_size = 65536};
        sigaltstack(&stack, NULL);
        handle(SIGUSR1, overflow, SA_ONSTACK | SA_NODEFER);
        handle(SIGSEGV, note, SA_ONSTACK);
        raise(SIGUSR1);
        _exit(0);
    }
    CHECK(died_by(child, SIGSEGV));
}

#ifdef __aarch64__
static void test_bad_frame(void)
{
    char *low = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *const bad[] = {low + 64, low + 8};
    const stack_t stack = {.ss_sp = area, .ss_size = 65536};
    CHECK(sigaltstack(&stack, NULL) == 0);
    handle(SIGSEGV, note_and_jump, SA_ONSTACK);
    for (int i = 0; i < 2; i++) {
        if (!sigsetjmp(back, 1))
            __asm__ volatile("mov sp, %0\n mov x8, #139\n svc 0" : : "r"(bad[i]) : "x8", "memory");
        expect_fault(SIGSEGV, SEGV_ACCERR, bad[i]);
    }
    signal(SIGSEGV, SIG_DFL);
}
#endif

/* -- the flood ------------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile bool stop;
static long protected_sum;

static void *use_lock(void *unused)
{
    while (!stop) {
        pthread_mutex_lock(&lock);
        protected_sum++;
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static void flood(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    count++;
}

static void test_flood(int seconds)
{
    const struct itimerval often = {{0, 100}, {0, 100}}, never = {0};
    struct timespec start, now;
    pthread_t threads[2];
    char *arguments[] = {"x", NULL};

    handle(SIGALRM, flood, SA_RESTART);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, use_lock, NULL) == 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
    do {
        char *blocks[64];
        for (unsigned i = 0; i < 64; i++)
            memset(blocks[i] = malloc(i * 1000 + 1), (int)i, i * 1000 + 1);
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            _exit(blocks[5][3] == 5 ? 6 : 7);
        CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
              WEXITSTATUS(status) == 6);
        CHECK(posix_spawn(&child, "/nonexistent", NULL, NULL, arguments, arguments) == ENOENT);
        pthread_mutex_lock(&lock);
        protected_sum += 2;
        pthread_mutex_unlock(&lock);
        for (unsigned i = 0; i < 64; i++) {
            CHECK(blocks[i][i * 1000] == (char)i);
            free(blocks[i]);
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < start.tv_sec + seconds);
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0 && count > 100);
    stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    signal(SIGALRM, SIG_DFL);
}

int main(int argc, char **argv)
{
    test_faults();
    test_information();
    test_waiting();
    test_new_children();
    test_flags();
    test_overflow();
#ifdef __aarch64__
    test_bad_frame();
#endif
    test_flood(argc > 1 ? atoi(argv[1]) : 3);
    return check_done("process_signals");
}
