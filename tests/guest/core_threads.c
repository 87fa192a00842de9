/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads, locks, processes and waiting. */
#include "io_check.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#define THREADS 8
#define ROUNDS  20000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long plain_counter, waiting;
static atomic_long atomic_counter;
static __thread long own = 5;

static void *work(void *argument)
{
    long index = (long)argument;
    own += index;
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&atomic_counter, 1);
        pthread_mutex_lock(&lock);
        plain_counter++;
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_lock(&lock);
    waiting++;
    pthread_cond_broadcast(&changed);
    while (waiting < THREADS)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return (void *)own;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    for (long i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
    for (long i = 0; i < THREADS; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0 && (long)result == 5 + i);
    }
    CHECK(plain_counter == THREADS * ROUNDS && atomic_counter == THREADS * ROUNDS && own == 5);
}

static void *short_life(void *argument)
{
    return argument;
}

static void test_many(void)
{
    for (int i = 0; i < 300; i++) {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, short_life, &plain_counter) == 0);
        CHECK(pthread_join(thread, &result) == 0 && result == &plain_counter);
    }
}

static pthread_mutex_t robust;

static void *die_with_lock(void *argument)
{
    pthread_mutex_lock(&robust);
    return argument;
}

static void test_robust(void)
{
    pthread_mutexattr_t attributes;
    pthread_t thread;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    CHECK(pthread_create(&thread, NULL, die_with_lock, NULL) == 0);
    pthread_join(thread, NULL);
    CHECK(pthread_mutex_trylock(&robust) == EOWNERDEAD);
    CHECK(pthread_mutex_consistent(&robust) == 0);
    pthread_mutex_unlock(&robust);
    CHECK(pthread_mutex_lock(&robust) == 0);
    pthread_mutex_unlock(&robust);

    /* The same with a killed process. */
    pthread_mutex_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(shared, &attributes);
    pid_t child = fork();
    if (child == 0) {
        pthread_mutex_lock(shared);
        kill(getpid(), SIGKILL);
    }
    CHECK(waitpid(child, NULL, 0) == child);
    CHECK(pthread_mutex_lock(shared) == EOWNERDEAD);
    munmap(shared, 4096);
}

static volatile sig_atomic_t caught;
static volatile pid_t caught_by;

static void on_signal(int signal)
{
    caught = signal;
    caught_by = (pid_t)syscall(SYS_gettid);
}

static sem_t started;
static volatile pid_t sleeper_tid;
static volatile int sleeper_errno;

static void *sleeper(void *argument)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    sleeper_tid = (pid_t)syscall(SYS_gettid);
    sem_post(&started);
    errno = 0;
    struct timespec long_time = {20, 0};
    nanosleep(&long_time, NULL);
    sleeper_errno = errno;
    return argument;
}

/* A process-directed signal goes to the thread that has it unblocked; pthread_kill to the one named. */
static void test_directed(void)
{
    pthread_t thread;
    sigset_t set;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR2, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sem_init(&started, 0, 0);
    for (int i = 0; i < 2; i++) {
        caught = 0;
        CHECK(pthread_create(&thread, NULL, sleeper, NULL) == 0);
        sem_wait(&started);
        usleep(20000);
        if (i)
            kill(getpid(), SIGUSR2);
        else
            pthread_kill(thread, SIGUSR2);
        pthread_join(thread, NULL);
        CHECK(caught == SIGUSR2 && caught_by == sleeper_tid && sleeper_errno == EINTR);
    }
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void *forker(void *argument)
{
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(getpid() == (pid_t)syscall(SYS_gettid) ? 7 : 8);
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    return argument;
}

static void *cancelled(void *argument)
{
    sem_post(&started);
    for (;;)
        pause();
    return argument;
}

static void test_fork(void)
{
    pthread_t threads[4], spinner;
    void *result;
    /* Others run while threads fork. */
    CHECK(pthread_create(&spinner, NULL, cancelled, NULL) == 0);
    sem_wait(&started);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, forker, NULL) == 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK(pthread_cancel(spinner) == 0);
    CHECK(pthread_join(spinner, &result) == 0 && result == PTHREAD_CANCELED);

    int ends[2];
    char byte = 0;
    CHECK(pipe(ends) == 0);
    pid_t child = vfork();
    if (child == 0)
        _exit(write(ends[1], "v", 1) == 1 ? 9 : 10);
    int status = 0;
    CHECK(child > 0);
    siginfo_t info;
    /* vfork's parent goes on only after the child's end. */
    CHECK(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'v');
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 9);
    close(ends[0]);
    close(ends[1]);
    CHECK_ERROR(waitpid(-1, &status, 0), ECHILD);
}

static void *last_one(void *argument)
{
    usleep(50000);
    exit(13);
    return argument;
}

static void test_exits(void)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) { /* the first thread ends before the process */
        pthread_t thread;
        pthread_create(&thread, NULL, last_one, NULL);
        pthread_exit(NULL);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 13);

    child = fork();
    if (child == 0) { /* all threads end by themselves */
        pthread_t thread;
        pthread_create(&thread, NULL, short_life, NULL);
        pthread_join(thread, NULL);
        usleep(50000);
        syscall(SYS_exit, 21);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 21);
}

static void test_identity(void)
{
    struct utsname name;
    char own_name[16] = "";
    CHECK(uname(&name) == 0);
#ifdef __aarch64__
    CHECK(!strcmp(name.machine, "aarch64"));
#endif
    CHECK(prctl(PR_SET_NAME, "renamed") == 0 && prctl(PR_GET_NAME, own_name) == 0 &&
          !strcmp(own_name, "renamed"));
    CHECK((pid_t)syscall(SYS_gettid) == getpid());
    cpu_set_t cpus;
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 0);
    CHECK(getpgid(0) == getpgrp() && getsid(0) == getsid(getpid()));
    CHECK_ERROR(prctl(9999, 0, 0, 0, 0), EINVAL);
    CHECK_ERROR(syscall(5000), ENOSYS);
}

/* A session made here, because that of the test's caller may lie outside its PID namespace (and then has the
 * number 0). */
static void test_session(void)
{
    int status = 0;
    pid_t child = fork();
    if (!child)
        _exit(setsid() == getpid() && getsid(0) == getpid() && getpgrp() == getpid() ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void *detached_loop(void *argument)
{
    for (volatile unsigned long i = 0;; i++)
        continue;
    return argument;
}

int main(void)
{
    alarm(120);
    test_identity();
    test_session();
    test_threads();
    test_many();
    test_robust();
    test_directed();
    test_fork();
    test_exits();
    /* The process ends with a thread in an endless loop. */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, detached_loop, NULL) == 0);
    return check_done("core_threads");
}
