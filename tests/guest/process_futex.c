/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Futexes: owners that die, priority inheritance, waiting for several, the newer calls; membarrier. */
#include "io_check.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#define FUTEX_32_SIZE 2 /* FUTEX2_SIZE_U32 */

struct waiter {
    uint64_t value, address;
    uint32_t flags, reserved;
};

static _Atomic uint32_t word, second, pi_word;

static long futex(_Atomic uint32_t *address, int operation, uint32_t value, const void *time, void *other,
                  uint32_t third)
{
    return syscall(SYS_futex, address, operation, value, time, other, third);
}

static void pause_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static struct timespec after_ms(clockid_t clock, long ms)
{
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += ms % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

/* -- owners that die ------------------------------------------------------------------------------------- */

static pthread_mutex_t *shared_mutex(int protocol)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setprotocol(&attributes, protocol);
    CHECK(pthread_mutex_init(mutex, &attributes) == 0);
    return mutex;
}

static void *die_with(void *mutex)
{
    CHECK(pthread_mutex_lock(mutex) == 0);
    return NULL;
}

static void test_robust(int protocol)
{
    pthread_mutex_t *mutex = shared_mutex(protocol);
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, die_with, mutex) == 0);
    pthread_join(thread, NULL);
    CHECK(pthread_mutex_lock(mutex) == EOWNERDEAD && pthread_mutex_consistent(mutex) == 0);
    CHECK(pthread_mutex_unlock(mutex) == 0);

    for (int way = 0; way < 3; way++) { /* the child ends, is killed, or executes something */
        int ready[2];
        char byte;
        CHECK(pipe2(ready, 0) == 0);
        pid_t child = fork();
        if (child == 0) {
            pthread_mutex_lock(mutex);
            if (write(ready[1], "", 1) != 1)
                _exit(1);
            if (way == 1)
                pause();
            pause_ms(50);
            if (way == 2)
                execl("/bin/sh", "sh", "-c", "sleep 1", NULL);
            _exit(0);
        }
        CHECK(read(ready[0], &byte, 1) == 1);
        if (way == 1)
            kill(child, SIGKILL);
        CHECK(pthread_mutex_lock(mutex) == EOWNERDEAD); /* waits for it, and is woken */
        CHECK(pthread_mutex_consistent(mutex) == 0 && pthread_mutex_unlock(mutex) == 0);
        CHECK(waitpid(child, NULL, 0) == child && close(ready[0]) == 0 && close(ready[1]) == 0);
    }
    munmap(mutex, 4096);
}

static void test_robust_list(void)
{
    void *head = NULL, *other = NULL;
    size_t size = 0;
    CHECK(syscall(SYS_get_robust_list, 0, &head, &size) == 0 && head && size == 24);
    CHECK(syscall(SYS_get_robust_list, getpid(), &other, &size) == 0 && other == head);
    CHECK_ERROR(syscall(SYS_set_robust_list, head, 23), EINVAL);
    CHECK_ERROR(syscall(SYS_get_robust_list, 1 << 29, &other, &size), ESRCH);
}

/* -- priority inheritance -----------------------------------------------------------------------------------
 */

static volatile bool locked;

static void *lock_pi(void *operation)
{
    CHECK(futex(&pi_word, (int)(long)operation, 0, NULL, NULL, 0) == 0);
    CHECK((pi_word & FUTEX_TID_MASK) == (uint32_t)gettid());
    locked = true;
    CHECK(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
    return NULL;
}

static void test_pi(void)
{
    static const int operations[] = {FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG};
    pthread_t thread;

    for (int i = 0; i < 2; i++) {
        locked = false;
        pi_word = (uint32_t)gettid();
        CHECK(pthread_create(&thread, NULL, lock_pi, (void *)(long)operations[i]) == 0);
        pause_ms(30);
        CHECK(!locked && pi_word == ((uint32_t)gettid() | FUTEX_WAITERS));
        CHECK(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
        pthread_join(thread, NULL);
        CHECK(locked && pi_word == 0);
    }
    CHECK(futex(&pi_word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0) == 0 && pi_word == (uint32_t)gettid());
    CHECK_ERROR(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
    struct timespec monotonic = after_ms(CLOCK_MONOTONIC, 20);
    pid_t child = fork();
    if (child == 0) /* the word is the child's own copy, whose owner is not among its threads */
        _exit(futex(&pi_word, FUTEX_LOCK_PI2, 0, &monotonic, NULL, 0) == -1 && errno == ETIMEDOUT ? 0 : 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
    CHECK_ERROR(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
    pi_word = 0x1ffffff;
    CHECK_ERROR(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
    pi_word = 0;
}

static void *wait_requeue(void *unused)
{
    CHECK(futex(&word, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &pi_word, 0) == 0);
    CHECK((pi_word & FUTEX_TID_MASK) == (uint32_t)gettid());
    CHECK(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
    return unused;
}

static void test_requeue_pi(void)
{
    pthread_t threads[3];
    word = pi_word = 0;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_requeue, NULL) == 0);
    pause_ms(100);
    CHECK(futex(&pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0);
    CHECK_ERROR(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)(uintptr_t)10, &pi_word, 5), EAGAIN);
    CHECK(futex(&word, FUTEX_CMP_REQUEUE_PI, 1, (void *)(uintptr_t)10, &pi_word, 0) == 3);
    CHECK(futex(&pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK(pi_word == 0);
}

/* -- several, and the newer calls ------------------------------------------------------------------------ */

static void *wake_second(void *unused)
{
    pause_ms(30);
    second = 1;
    CHECK(futex(&second, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0) == 1);
    return unused;
}

static void test_waitv(void)
{
    struct waiter waiters[2] = {{0, (uintptr_t)&word, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG, 0},
                                {0, (uintptr_t)&second, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG, 0}};
    struct timespec limit = after_ms(CLOCK_MONOTONIC, 20);
    pthread_t thread;

    word = second = 0;
    if (!AVAILABLE(syscall(SYS_futex_waitv, waiters, 2, 0, &limit, CLOCK_MONOTONIC) == -1 && errno == ENOSYS
                       ? -1
                       : 0))
        return;
    CHECK_ERROR(syscall(SYS_futex_waitv, waiters, 2, 0, &limit, CLOCK_MONOTONIC), ETIMEDOUT);
    CHECK_ERROR(syscall(SYS_futex_waitv, waiters, 129, 0, NULL, 0), EINVAL);
    limit = after_ms(CLOCK_REALTIME, 10000);
    CHECK(pthread_create(&thread, NULL, wake_second, NULL) == 0);
    CHECK(syscall(SYS_futex_waitv, waiters, 2, 0, &limit, CLOCK_REALTIME) == 1);
    pthread_join(thread, NULL);
    CHECK_ERROR(syscall(SYS_futex_waitv, waiters, 2, 0, NULL, 0), EAGAIN);
}

static void *wait_new(void *unused)
{
    CHECK(syscall(455, &word, 0l, 0xfffffffful, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG, NULL, CLOCK_MONOTONIC) ==
          0);
    return unused;
}

static void test_new_calls(void)
{
    pthread_t threads[2];
    struct timespec limit = after_ms(CLOCK_MONOTONIC, 20);
    struct waiter move[2] = {{0, (uintptr_t)&word, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG, 0},
                             {0, (uintptr_t)&second, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG, 0}};

    word = second = 0;
    if (!AVAILABLE(syscall(454, &word, 0xfffffffful, 1, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG)))
        return;
    CHECK_ERROR(
        syscall(455, &word, 0l, 0xfffffffful, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG, &limit, CLOCK_MONOTONIC),
        ETIMEDOUT);
    CHECK_ERROR(syscall(455, &word, 1l, 0xfffffffful, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG, NULL, 0), EAGAIN);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, wait_new, NULL) == 0);
    pause_ms(50);
    CHECK(syscall(456, move, 0, 1, 1) == 2);
    CHECK(syscall(454, &second, 0xfffffffful, 5, FUTEX_32_SIZE | FUTEX_PRIVATE_FLAG) == 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static void test_membarrier(void)
{
    long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (!AVAILABLE(known))
        return;
    if (known & MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
        CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
    }
    CHECK_ERROR(syscall(SYS_membarrier, 1 << 20, 0, 0), EINVAL);
}

int main(void)
{
    test_robust(PTHREAD_PRIO_NONE);
    test_robust(PTHREAD_PRIO_INHERIT);
    test_robust_list();
    test_pi();
    test_requeue_pi();
    test_waitv();
    test_new_calls();
    test_membarrier();
    return check_done("process_futex");
}
