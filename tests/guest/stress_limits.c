/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that limit their own resources, or use them up: what the emulator needs for itself must not
 * count. */
#include "io_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *own_path;

static void *nothing(void *argument)
{
    return argument;
}

static int ended_with(pid_t child)
{
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

/* Forks, starts a thread, and executes this program again, which ends with 33. */
static void live_on(void)
{
    pthread_t thread;
    pid_t child = fork();
    if (child == 0)
        _exit(21);
    if (ended_with(child) != 21)
        _exit(1);
    if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
        _exit(2);
    execl(own_path, own_path, "again", (char *)NULL);
    _exit(3);
}

/* How a child ends that first limits itself. */
static int with_limit(int resource, rlim_t value)
{
    const struct rlimit limit = {value, value};
    struct rlimit got;

    pid_t child = fork();
    if (child == 0) {
        if (setrlimit(resource, &limit) < 0)
            _exit(4);
        if (getrlimit(resource, &got) < 0 || got.rlim_cur != value || got.rlim_max != value)
            _exit(5);
        live_on();
    }
    return ended_with(child);
}

static void test_limits(void)
{
    CHECK(with_limit(RLIMIT_FSIZE, 1000) == 33);
    CHECK(with_limit(RLIMIT_AS, 300u << 20) == 33);
    CHECK(with_limit(RLIMIT_DATA, 50u << 20) == 33);
    CHECK(with_limit(RLIMIT_STACK, 128u << 10) == 33);
    CHECK(with_limit(RLIMIT_NOFILE, 20) == 33);
    CHECK(with_limit(RLIMIT_MEMLOCK, 0) == 33);
}

/* A limit of address space is kept, if not to the byte. */
static void test_limit_is_kept(void)
{
    const struct rlimit limit = {300u << 20, 300u << 20};
    pid_t child = fork();
    if (child == 0) {
        if (setrlimit(RLIMIT_AS, &limit) < 0)
            _exit(4);
        void *memory = mmap(NULL, 8ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        _exit(memory == MAP_FAILED && errno == ENOMEM ? 33 : 6);
    }
    CHECK(ended_with(child) == 33);
}

static void test_no_descriptor_left(void)
{
    const struct rlimit limit = {40, 40};
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
            _exit(4);
        while (dup(0) >= 0)
            continue;
        if (errno != EMFILE)
            _exit(5);
        child = fork();
        if (child == 0)
            _exit(21);
        if (ended_with(child) != 21)
            _exit(6);
        if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
            _exit(7);
        _exit(33);
    }
    CHECK(ended_with(child) == 33);
}

static void test_no_address_left(void)
{
    pid_t child = fork();
    if (child == 0) {
        for (size_t size = 1ul << 46; size >= 65536; size /= 2) {
            while (mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) !=
                   MAP_FAILED)
                continue;
        }
        child = fork();
        if (child == 0)
            _exit(21);
        _exit(ended_with(child) == 21 ? 33 : 6);
    }
    CHECK(ended_with(child) == 33);
}

/* As a program that gives up its rights does it: glibc changes the ids in all threads, by a signal of its
 * own. */
static void *wait_for_end(void *argument)
{
    volatile bool *end = argument;
    while (!*end)
        usleep(1000);
    return NULL;
}

static void test_ids_in_threads(void)
{
    pid_t child = fork();
    if (child == 0) {
        pthread_t threads[3];
        volatile bool end = false;
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, wait_for_end, (void *)&end);
        for (int i = 0; i < 20; i++) {
            if (setresuid((uid_t)-1, geteuid(), (uid_t)-1) < 0 ||
                setresgid((gid_t)-1, getegid(), (gid_t)-1) < 0)
                _exit(1);
        }
        end = true;
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        _exit(33);
    }
    CHECK(ended_with(child) == 33);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return 33;
    own_path = argv[0];
    alarm(100);
    test_limits();
    test_limit_is_kept();
    test_no_descriptor_left();
    test_no_address_left();
    test_ids_in_threads();
    return check_done("stress_limits");
}
