/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads that send each other queued signals while they compute, lock, allocate and sleep: none may be lost,
 * none may change a result. */
#include "io_check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>

#define THREADS 4
#define ROUNDS  3000
#define STORM   (SIGRTMIN + 3)

static atomic_long received, sent, wrong;
static pid_t tids[THREADS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long counter;
static pthread_barrier_t barrier;

static void on_storm(int signal, siginfo_t *info, void *context)
{
    (void)context;
    atomic_fetch_add(&received, 1);
    if (signal != STORM || info->si_code != SI_QUEUE || info->si_value.sival_int != 4711)
        atomic_fetch_add(&wrong, 1);
}

static void send(pid_t tid)
{
    siginfo_t info = {.si_signo = STORM, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_value.sival_int = 4711;
    while (syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, STORM, &info) < 0) {
        if (errno != EAGAIN) {
            atomic_fetch_add(&wrong, 1);
            return;
        }
        sched_yield();
    }
    atomic_fetch_add(&sent, 1);
}

static void *work(void *argument)
{
    unsigned long index = (unsigned long)argument, result = 0;
    unsigned random = (unsigned)index + 1;

    tids[index] = (pid_t)syscall(SYS_gettid);
    pthread_barrier_wait(&barrier);
    for (unsigned long round = 0; round < ROUNDS; round++) {
        random = random * 1103515245 + 12345;
        send(tids[(random >> 16) % THREADS]);
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
        for (unsigned long i = 0; i < 500; i++)
            result = result * 31 + i;
        char *memory = malloc(100 + round % 1000);
        memset(memory, (int)round, 100);
        free(memory);
        if (round % 100 == 0)
            nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    pthread_barrier_wait(&barrier);
    return (void *)result;
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_storm, .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t threads[THREADS];
    void *results[THREADS];

    alarm(120);
    CHECK(sigaction(STORM, &action, NULL) == 0);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (unsigned long i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (unsigned long i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], &results[i]) == 0);
        CHECK(results[i] == results[0]);
    }
    CHECK(sent == THREADS * ROUNDS && received == sent && wrong == 0 && counter == THREADS * ROUNDS);
    return check_done("core_storm");
}
