/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code that is made, changed and taken away while it runs, by one thread and by several. */
#include "io_check.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#define SIZE    65536
#define THREADS 4
#define ROUNDS  3000

typedef long (*function)(void);

/* A function that returns value + additions. */
static function make(uint32_t *at, unsigned value, unsigned additions)
{
    uint32_t *p = at;
    *p++ = 0xd2800000 | (value & 0xffff) << 5; /* mov x0, #value */
    for (unsigned i = 0; i < additions; i++)
        *p++ = 0x91000400; /* add x0, x0, #1 */
    *p++ = 0xd65f03c0;     /* ret */
    __builtin___clear_cache((char *)at, (char *)p);
    return (function)(uintptr_t)at;
}

static uint32_t *new_memory(void)
{
    void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* Each thread changes code of its own; all of them have the translator forget at once. */
static void *rewrite(void *argument)
{
    unsigned index = (unsigned)(uintptr_t)argument;
    uint32_t *memory = new_memory();
    long wrong = 0;

    for (unsigned i = 0; i < ROUNDS; i++) {
        wrong +=
            make(memory + i % 64 * 64, i + index, i % 30)() != (long)((i + index) & 0xffff) + (long)(i % 30);
        if (i % 16 == 0) { /* the same address, other memory */
            munmap(memory, SIZE);
            memory = mmap(memory, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            if (memory == MAP_FAILED && !(memory = new_memory()))
                return (void *)-1l;
        }
    }
    munmap(memory, SIZE);
    return (void *)wrong;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, rewrite, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong = (void *)1;
        CHECK(pthread_join(threads[i], &wrong) == 0 && wrong == NULL);
    }
}

/* The same memory at two addresses, one to write and one to execute. */
static void test_two_views(void)
{
    int fd = memfd_create("code", 0);
    CHECK(fd >= 0 && ftruncate(fd, SIZE) == 0);
    uint32_t *writable = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *executable = mmap(NULL, SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    CHECK(writable != MAP_FAILED && executable != MAP_FAILED);
    for (unsigned i = 0; i < 1000; i++) {
        make(writable, i, 3);
        __builtin___clear_cache(executable, executable + 64);
        CHECK(((function)(uintptr_t)executable)() == (long)i + 3);
    }
    close(fd);
    munmap(writable, SIZE);
    munmap(executable, SIZE);
}

/* Protection that goes to and fro, as compilers do it that never have both. */
static void test_protection(void)
{
    uint32_t *memory = new_memory();
    for (unsigned i = 0; i < 300; i++) {
        CHECK(mprotect(memory, SIZE, PROT_READ | PROT_WRITE) == 0);
        function f = make(memory, i, 1);
        CHECK(mprotect(memory, SIZE, PROT_READ | PROT_EXEC) == 0);
        CHECK(f() == (long)i + 1);
    }
    munmap(memory, SIZE);
}

static sigjmp_buf back;
static volatile int caught, caught_code;
static void *volatile caught_at;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    caught = signal;
    caught_code = info->si_code;
    caught_at = info->si_addr;
    siglongjmp(back, 1);
}

static bool faults(function f, int signal, int code, const void *at)
{
    caught = 0;
    if (sigsetjmp(back, 1) == 0) {
        f();
        return false;
    }
    return caught == signal && caught_code == code && caught_at == at;
}

static void test_code_that_is_not_there(void)
{
    uint32_t *memory = new_memory();
    char *bytes = (char *)memory;

    /* Runs into the next page, which is not there. */
    CHECK(munmap(bytes + SIZE / 2, SIZE / 2) == 0);
    uint32_t *last = (uint32_t *)(void *)(bytes + SIZE / 2 - 8);
    last[0] = last[1] = 0xd503201f; /* nop */
    __builtin___clear_cache((char *)last, (char *)(last + 2));
    CHECK(faults((function)(uintptr_t)last, SIGSEGV, SEGV_MAPERR, last + 2));
    CHECK(mprotect(memory, SIZE / 2, PROT_READ | PROT_WRITE) == 0);
    CHECK(faults((function)(uintptr_t)last, SIGSEGV, SEGV_ACCERR, last));
    munmap(memory, SIZE / 2);
    CHECK(faults((function)(uintptr_t)last, SIGSEGV, SEGV_MAPERR, last));

    /* Beyond the end of the file that is mapped, and then within, when the file has become shorter. */
    int fd = memfd_create("code", 0);
    CHECK(fd >= 0 && ftruncate(fd, 8) == 0);
    memory = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0);
    CHECK(memory != MAP_FAILED && make(memory, 5, 0)() == 5);
    bytes = (char *)memory + SIZE;
    CHECK(faults((function)(uintptr_t)bytes, SIGBUS, BUS_ADRERR, bytes));
    CHECK(ftruncate(fd, 0) == 0);
    __builtin___clear_cache((char *)memory, (char *)(memory + 2));
    CHECK(faults((function)(uintptr_t)memory, SIGBUS, BUS_ADRERR, memory));
    close(fd);
    munmap(memory, 2 * SIZE);
}

/* One thread takes code away and brings it back while others enter it. */
static uint32_t *volatile shared;
static volatile bool end;

static void *enter(void *argument)
{
    long runs = 0;
    while (!end) {
        for (unsigned i = 0; i < 16; i++) {
            long result = ((function)(uintptr_t)(shared + i * 64))();
            if (result != 7 + (long)i)
                return (void *)-1l;
        }
        runs++;
    }
    (void)argument;
    return (void *)runs;
}

/* A fault in code that was just taken away: wait until it is there again. */
static void try_again(int signal)
{
    (void)signal;
}

static void test_taken_away(void)
{
    pthread_t threads[THREADS];
    struct sigaction action = {.sa_handler = try_again}, before;

    sigaction(SIGSEGV, &action, &before);
    shared = new_memory();
    for (unsigned i = 0; i < 16; i++)
        make(shared + i * 64, 7, i);
    end = false;
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, enter, NULL) == 0);
    for (int i = 0; i < 500; i++) {
        CHECK(mprotect(shared, SIZE, PROT_NONE) == 0);
        CHECK(mprotect(shared, SIZE, PROT_READ | PROT_EXEC) == 0);
        if (i % 16 == 0)
            usleep(100);
    }
    end = true;
    for (int i = 0; i < THREADS; i++) {
        void *runs = NULL;
        CHECK(pthread_join(threads[i], &runs) == 0 && (long)runs >= 0);
    }
    munmap(shared, SIZE);
    sigaction(SIGSEGV, &before, NULL);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    alarm(100);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    test_threads();
    test_two_views();
    test_protection();
    test_code_that_is_not_there();
    test_taken_away();
    return check_done("stress_code");
}
