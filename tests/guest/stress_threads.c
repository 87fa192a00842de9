/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads under load: many short ones, cancelled ones, ones that fork, start programs or end the process
 * while others run code that was never run before. */
#include "io_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THREADS 50

extern char **environ;
static char *own_path;

static unsigned long checksum(unsigned long seed, int rounds)
{
    unsigned long result = seed;
    double real = (double)seed + 1.5;
    for (int i = 0; i < rounds; i++) {
        result = result * 6364136223846793005ul + 1442695040888963407ul;
        real = real * 1.0000001 + (double)(result >> 40);
    }
    return result ^ (unsigned long)(long)real;
}

static void *compute(void *argument)
{
    char *memory = malloc(5000);
    memset(memory, 1, 5000);
    unsigned long result = checksum((unsigned long)argument, 2000);
    free(memory);
    return (void *)result;
}

static void test_create_join(void)
{
    pthread_t threads[THREADS];
    unsigned long expected[THREADS];

    for (unsigned long i = 0; i < THREADS; i++)
        expected[i] = checksum(i, 2000);
    for (int round = 0; round < 20; round++) {
        for (unsigned long i = 0; i < THREADS; i++)
            CHECK(pthread_create(&threads[i], NULL, compute, (void *)i) == 0);
        for (unsigned long i = 0; i < THREADS; i++) {
            void *result = NULL;
            CHECK(pthread_join(threads[i], &result) == 0);
            CHECK((unsigned long)result == expected[i]);
        }
    }
}

static atomic_int cleaned;

static void clean(void *argument)
{
    (void)argument;
    atomic_fetch_add(&cleaned, 1);
}

static int silent[2]; /* a pipe that nobody writes to */

static void *wait_forever(void *argument)
{
    char byte;
    pthread_cleanup_push(clean, NULL);
    if ((long)argument & 1) {
        for (;;)
            usleep(1000);
    }
    for (;;)
        CHECK(read(silent[0], &byte, 1) == 1);
    pthread_cleanup_pop(1);
    return NULL;
}

static void *spin_until_cancelled(void *argument)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    for (volatile unsigned long i = 0;; i++)
        continue;
    return argument;
}

static void test_cancel(void)
{
    pthread_t threads[20];
    CHECK(pipe(silent) == 0);
    for (int round = 0; round < 10; round++) {
        cleaned = 0;
        for (long i = 0; i < 20; i++)
            CHECK(pthread_create(&threads[i], NULL, i < 16 ? wait_forever : spin_until_cancelled,
                                 (void *)i) == 0);
        usleep(2000);
        for (int i = 0; i < 20; i++)
            CHECK(pthread_cancel(threads[i]) == 0);
        for (int i = 0; i < 20; i++) {
            void *result = NULL;
            CHECK(pthread_join(threads[i], &result) == 0 && result == PTHREAD_CANCELED);
        }
        CHECK(cleaned <= 16);
    }
    close(silent[0]);
    close(silent[1]);
}

static void *detached_end(void *argument)
{
    sem_t *done = argument;
    sem_post(done);
    return NULL;
}

static void test_detached(void)
{
    pthread_attr_t attributes;
    sem_t done;
    sem_init(&done, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (int i = 0; i < 500; i++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &attributes, detached_end, &done) == 0);
        sem_wait(&done);
    }
}

static atomic_bool stop;

static void *churn(void *argument)
{
    unsigned long result = 0;
    while (!stop) {
        pthread_t thread;
        void *value;
        CHECK(pthread_create(&thread, NULL, compute, (void *)7ul) == 0);
        CHECK(pthread_join(thread, &value) == 0);
        result += (unsigned long)value;
        void *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED && munmap(memory, 65536) == 0);
    }
    (void)result;
    return argument;
}

static void *fork_and_spawn(void *argument)
{
    for (int i = 0; i < 25; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            /* The child of one thread makes threads of its own. */
            pthread_t thread;
            void *value;
            if (pthread_create(&thread, NULL, compute, (void *)3ul) || pthread_join(thread, &value))
                _exit(1);
            _exit((unsigned long)value == checksum(3, 2000) ? 0 : 2);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);

        char *arguments[] = {own_path, "echo", NULL};
        CHECK(posix_spawn(&child, own_path, NULL, NULL, arguments, environ) == 0);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 33);
    }
    return argument;
}

static void test_fork_while_others_run(void)
{
    pthread_t churners[3], forkers[3];
    stop = false;
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&churners[i], NULL, churn, NULL) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&forkers[i], NULL, fork_and_spawn, NULL) == 0);
    for (int i = 0; i < 3; i++)
        pthread_join(forkers[i], NULL);
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(churners[i], NULL);
}

static void *exec_self(void *argument)
{
    usleep(1000);
    execl(own_path, own_path, "echo", NULL);
    return argument;
}

static void *exit_soon(void *argument)
{
    usleep(1000);
    _exit(34);
    return argument;
}

/* A thread that is not the first replaces or ends the process while the others run. */
static void test_end_from_thread(void)
{
    for (int i = 0; i < 30; i++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            pthread_t thread;
            for (int k = 0; k < 3; k++)
                pthread_create(&thread, NULL, k ? churn : spin_until_cancelled, NULL);
            pthread_create(&thread, NULL, i & 1 ? exec_self : exit_soon, NULL);
            for (;;)
                pause();
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
        CHECK(WEXITSTATUS(status) == (i & 1 ? 33 : 34));
    }
}

static int count_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return 33;
    own_path = argv[0];
    alarm(300);
    int before = count_descriptors();
    test_create_join();
    test_cancel();
    test_detached();
    test_fork_while_others_run();
    test_end_from_thread();
    CHECK(count_descriptors() == before);
    return check_done("stress_threads");
}
