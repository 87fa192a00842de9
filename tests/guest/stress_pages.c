/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Code in pages with a life of their own: advised, not inherited, shared with another process, not to be
 * read; and jumps to where no code is. */
#include "io_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define PAGE 4096
#define ALL  (PROT_READ | PROT_WRITE | PROT_EXEC)

typedef long (*function)(void);

static sigjmp_buf back;
static siginfo_t last;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    last = *info;
    siglongjmp(back, 1);
}

static bool faults(uintptr_t at, int signal, int code)
{
    memset(&last, 0, sizeof last);
    if (sigsetjmp(back, 1) == 0) {
        ((function)at)();
        return false;
    }
    return last.si_signo == signal && last.si_code == code && (uintptr_t)last.si_addr == at;
}

/* mov x0, #value; ret */
static void put(void *at, unsigned value)
{
    const uint32_t code[2] = {0xd2800000 | value << 5, 0xd65f03c0};
    memcpy(at, code, sizeof code);
}

static void flush(void *at)
{
    __builtin___clear_cache(at, (char *)at + 8);
}

static long call(void *at)
{
    return ((function)(uintptr_t)at)();
}

static char *map(int protection, int flags, int fd)
{
    char *p = mmap(NULL, 2 * PAGE, protection, flags, fd, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static char *new_code(unsigned value)
{
    char *p = map(ALL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    put(p, value);
    put(p + PAGE, value + 1);
    flush(p);
    flush(p + PAGE);
    CHECK(call(p) == value && call(p + PAGE) == value + 1);
    return p;
}

static int status_of(pid_t child)
{
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static void test_jumps_into_garbage(void)
{
    char *data = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), *code = new_code(1);
    put(data, 1);
    CHECK(faults((uintptr_t)data, SIGSEGV, SEGV_ACCERR));
    CHECK(faults((uintptr_t)code + 1, SIGBUS, BUS_ADRALN) && faults((uintptr_t)code + 2, SIGBUS, BUS_ADRALN));
    memset(code, 0, PAGE); /* udf #0 */
    flush(code);
    CHECK(faults((uintptr_t)code, SIGILL, ILL_ILLOPC));
    munmap(data, 2 * PAGE);
    munmap(code, 2 * PAGE);
    CHECK(faults((uintptr_t)data, SIGSEGV, SEGV_MAPERR) && faults(8, SIGSEGV, SEGV_MAPERR));
    CHECK(faults(0x7c0000000000 + 0x1000, SIGSEGV, SEGV_MAPERR)); /* nothing of the program's is there */
}

static void test_not_inherited(void)
{
    char *wiped = new_code(10), *left_out = new_code(20), *kept = new_code(30);
    CHECK(madvise(wiped, 2 * PAGE, MADV_WIPEONFORK) == 0);
    CHECK(madvise(left_out + PAGE, PAGE, MADV_DONTFORK) == 0);
    CHECK(madvise(kept, PAGE, MADV_WIPEONFORK) == 0 && madvise(kept, PAGE, MADV_KEEPONFORK) == 0);
    CHECK(madvise(kept + PAGE, PAGE, MADV_DONTFORK) == 0 && madvise(kept + PAGE, PAGE, MADV_DOFORK) == 0);
    pid_t child = fork();
    if (child == 0) {
        check_failures = 0;
        CHECK(faults((uintptr_t)wiped, SIGILL, ILL_ILLOPC));
        CHECK(faults((uintptr_t)wiped + PAGE, SIGILL, ILL_ILLOPC));
        CHECK(call(left_out) == 20 && faults((uintptr_t)left_out + PAGE, SIGSEGV, SEGV_MAPERR));
        CHECK(call(kept) == 30 && call(kept + PAGE) == 31);
        _exit(check_failures);
    }
    CHECK(status_of(child) == 0);
    CHECK(call(wiped) == 10 && call(left_out + PAGE) == 21 && call(kept + PAGE) == 31);
    munmap(wiped, 2 * PAGE);
    munmap(left_out, 2 * PAGE);
    munmap(kept, 2 * PAGE);
}

/* The advice goes along with memory that is moved or that grows. */
static void test_not_inherited_after_a_move(void)
{
    char *code = new_code(40), *both = new_code(50), *place = map(ALL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    CHECK(madvise(code, 2 * PAGE, MADV_DONTFORK) == 0 && madvise(both, 2 * PAGE, MADV_DONTFORK) == 0);
    char *moved = mremap(code, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    CHECK(moved == place && call(moved) == 40 && call(moved + PAGE) == 41);
    char *grown = mremap(both, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    CHECK(grown != MAP_FAILED);
    put(grown + 3 * PAGE, 53);
    flush(grown + 3 * PAGE);
    CHECK(call(grown) == 50 && call(grown + 3 * PAGE) == 53);
    pid_t child = fork();
    if (child == 0) {
        check_failures = 0;
        for (int i = 0; i < 2; i++)
            CHECK(faults((uintptr_t)moved + (uintptr_t)i * PAGE, SIGSEGV, SEGV_MAPERR));
        for (int i = 0; i < 4; i++)
            CHECK(faults((uintptr_t)grown + (uintptr_t)i * PAGE, SIGSEGV, SEGV_MAPERR));
        _exit(check_failures);
    }
    CHECK(status_of(child) == 0);
    CHECK(call(moved + PAGE) == 41 && call(grown + 3 * PAGE) == 53);
    munmap(moved, 2 * PAGE);
    munmap(grown, 4 * PAGE);
}

static void test_advice(void)
{
    int fd = memfd_create("code", 0);
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    char *p = map(ALL, MAP_SHARED, fd);
    put(p, 3);
    flush(p);
    CHECK(call(p) == 3);
    CHECK(madvise(p, PAGE, MADV_REMOVE) == 0 && faults((uintptr_t)p, SIGILL, ILL_ILLOPC));
    CHECK(madvise(p, 2 * PAGE, 22 /* MADV_POPULATE_READ */) == 0 || errno == EINVAL);
    munmap(p, 2 * PAGE);
    close(fd);

    p = new_code(5);
    CHECK(madvise(p, 2 * PAGE, MADV_DONTNEED) == 0 && faults((uintptr_t)p, SIGILL, ILL_ILLOPC));
    munmap(p, 2 * PAGE);
}

/* Code in memory that another process writes; this one does the cache maintenance. */
static void test_written_by_another_process(void)
{
    int to[2], from[2], fd = memfd_create("code", 0);
    char byte;
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0 && pipe(to) == 0 && pipe(from) == 0);
    char *p = map(PROT_READ | PROT_EXEC, MAP_SHARED, fd), *w = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    pid_t child = fork();
    if (child == 0) {
        for (unsigned i = 0; i < 200 && read(to[0], &byte, 1) == 1; i++) {
            put(w, i);
            if (write(from[1], "", 1) != 1)
                break;
        }
        _exit(0);
    }
    for (unsigned i = 0; i < 200; i++) {
        CHECK(write(to[1], "", 1) == 1 && read(from[0], &byte, 1) == 1);
        flush(p);
        CHECK(call(p) == (long)i);
    }
    CHECK(status_of(child) == 0);
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
    close(fd);
    munmap(p, 2 * PAGE);
    munmap(w, 2 * PAGE);
}

static atomic_int turn;
static char *view;

static void *write_view(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2000; i++) {
        while (turn != 2 * i)
            sched_yield();
        put(view, (unsigned)i);
        turn = 2 * i + 1;
    }
    return NULL;
}

/* A thread writes through one view, another runs the other. */
static void test_written_by_another_thread(void)
{
    int fd = memfd_create("code", 0);
    pthread_t writer;
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    char *p = map(PROT_READ | PROT_EXEC, MAP_SHARED, fd);
    view = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    CHECK(pthread_create(&writer, NULL, write_view, NULL) == 0);
    for (int i = 0; i < 2000; i++) {
        while (turn != 2 * i + 1)
            sched_yield();
        flush(p);
        CHECK(call(p) == i);
        turn = 2 * i + 2;
    }
    CHECK(pthread_join(writer, NULL) == 0);
    close(fd);
    munmap(p, 2 * PAGE);
    munmap(view, 2 * PAGE);
}

static bool is_mapped_as(const void *at, const char *permissions)
{
    char line[512], start[32];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    snprintf(start, sizeof start, "%lx-", (unsigned long)at);
    while (maps && fgets(line, sizeof line, maps)) {
        char *after = strchr(line, ' ');
        if (strncmp(line, start, strlen(start)) == 0 && after)
            found = strncmp(after + 1, permissions, 4) == 0;
    }
    if (maps)
        fclose(maps);
    return found;
}

/* A CPU without FEAT_PAN3 has no memory that can be executed and not read. */
static void test_not_to_be_read(void)
{
    char *p = new_code(40);
    CHECK(mprotect(p, PAGE, PROT_WRITE | PROT_EXEC) == 0 && mprotect(p + PAGE, PAGE, PROT_EXEC) == 0);
    CHECK(is_mapped_as(p, "-wxp") && is_mapped_as(p + PAGE, "--xp"));
    CHECK(call(p) == 40 && call(p + PAGE) == 41 && p[3] && p[PAGE + 3]);
    CHECK(mprotect(p, 2 * PAGE, PROT_READ | PROT_EXEC) == 0 && is_mapped_as(p, "r-xp"));
    munmap(p, 2 * PAGE);
    p = map(PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    CHECK(is_mapped_as(p, "--xp"));
    munmap(p, 2 * PAGE);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    alarm(100);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    test_jumps_into_garbage();
    test_not_inherited();
    test_not_inherited_after_a_move();
    test_advice();
    test_written_by_another_process();
    test_written_by_another_thread();
    test_not_to_be_read();
    return check_done("stress_pages");
}
