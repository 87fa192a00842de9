/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A timer signal each 100 microseconds, for each of four threads at random, while these allocate, fork, start
 * threads and run code that another of them rewrites. The argument is the number of seconds (2).
 */
#include "io_check.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

#define SIZE 4096

typedef long (*function)(long);

static atomic_bool end;
static atomic_ulong ticks, work[4];
static volatile double kept = 1.5;

/* Uses what a handler must not disturb: vector registers, flags, memory of the thread. */
static void tick(int signal)
{
    double value = kept;
    for (int i = 0; i < 10; i++)
        value = value * 1.0000001 + signal;
    kept = value > 1e6 ? 1.5 : value;
    atomic_fetch_add(&ticks, 1);
}

static void *allocate(void *argument)
{
    unsigned char *blocks[64] = {0};
    uint32_t random = 1;
    (void)argument;
    while (!end) {
        random = random * 1664525 + 1013904223;
        unsigned i = random >> 26;
        size_t size = 16 + (random >> 12) % 40000;
        if (blocks[i])
            CHECK(blocks[i][0] == i && blocks[i][15] == i);
        free(blocks[i]);
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], (int)i, size);
        atomic_fetch_add(&work[0], 1);
    }
    for (unsigned i = 0; i < 64; i++)
        free(blocks[i]);
    return NULL;
}

static void *make_children(void *argument)
{
    (void)argument;
    while (!end) {
        int status = -1;
        pid_t child = fork(), ended;
        if (child == 0)
            _exit(malloc(100) ? 9 : 1);
        while ((ended = waitpid(child, &status, 0)) < 0 && errno == EINTR)
            continue;
        CHECK(ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 9);
        atomic_fetch_add(&work[1], 1);
    }
    return NULL;
}

static void *same(void *argument)
{
    return argument;
}

static void *make_threads(void *argument)
{
    (void)argument;
    while (!end) {
        pthread_t thread;
        void *result = NULL;
        CHECK(pthread_create(&thread, NULL, same, &thread) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == &thread);
        atomic_fetch_add(&work[2], 1);
    }
    return NULL;
}

/* What is not being rewritten runs; the function adds `value` in two halves. */
static void *rewrite(void *argument)
{
    uint32_t *memory =
        mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)argument;
    CHECK(memory != MAP_FAILED);
    for (unsigned i = 0; !end; i++) {
        uint32_t *at = memory + i % 100 * 8, value = i % 2000;
        at[0] = 0x91000000 | value << 10; /* add x0, x0, #value */
        at[1] = 0x91000000 | (i % 7) << 10;
        at[2] = 0xd65f03c0; /* ret */
        __builtin___clear_cache((char *)at, (char *)(at + 3));
        CHECK(((function)(uintptr_t)at)(5) == (long)(5 + value + i % 7));
        atomic_fetch_add(&work[3], 1);
    }
    munmap(memory, SIZE);
    return NULL;
}

int main(int argc, char **argv)
{
    static void *(*const kinds[])(void *) = {allocate, make_children, make_threads, rewrite};
    const struct itimerval each = {{0, 100}, {0, 100}}, off = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    pthread_t threads[4];
    int seconds = argc > 1 ? atoi(argv[1]) : 2;

    CHECK(sigaction(SIGALRM, &action, NULL) == 0 && sigaction(SIGPROF, &action, NULL) == 0);
    CHECK(setitimer(ITIMER_REAL, &each, NULL) == 0 && setitimer(ITIMER_PROF, &each, NULL) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, kinds[i], NULL) == 0);
    struct timespec now, until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    do {
        usleep(10000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < until.tv_sec);
    end = true;
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    setitimer(ITIMER_REAL, &off, NULL);
    setitimer(ITIMER_PROF, &off, NULL);
    CHECK(ticks > 100);
    for (int i = 0; i < 4; i++)
        CHECK(work[i] > 0);
    if (argc > 1)
        printf("%lu signals; %lu allocations, %lu children, %lu threads, %lu rewritten functions\n", ticks,
               work[0], work[1], work[2], work[3]);
    return check_done("stress_flood");
}
