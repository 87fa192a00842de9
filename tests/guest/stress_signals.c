/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals that hit running code at any instruction: the result of what they interrupt must not change. */
#include "io_check.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <sys/wait.h>

static volatile sig_atomic_t ticks;

/* -- a profiling timer over all kinds of code --------------------------------------------------------------
 */

static uint64_t fibonacci(unsigned n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Calls, indirect calls, tables of jumps, floating point, vectors (memcpy and what the compiler makes of the
 * loop), carries, atomics. */
static uint64_t mixture(unsigned seed)
{
    static uint32_t numbers[3000];
    uint64_t sum = fibonacci(15) + seed;
    double real = seed;
    unsigned __int128 wide = seed + 1;
    atomic_ullong shared = 0;
    char text[64];

    for (unsigned i = 0; i < 3000; i++) {
        numbers[i] = seed = seed * 1103515245 + 12345;
        real = sqrt(real * real + i) * 1.000001;
        wide = wide * 6364136223846793005u + i;
        atomic_fetch_add(&shared, i);
        switch (seed >> 28) {
        case 0: sum += i; break;
        case 1: sum ^= seed; break;
        case 2: sum = sum << 3 | sum >> 61; break;
        case 3: sum -= numbers[i / 2]; break;
        case 4: sum *= 3; break;
        case 5: sum += (uint64_t)(wide >> 64); break;
        default: sum += sum >> 7; break;
        }
    }
    qsort(numbers, 3000, sizeof numbers[0], compare);
    for (unsigned i = 0; i < 3000; i++)
        sum = sum * 31 + numbers[i];
    snprintf(text, sizeof text, "%.9g %llu", real, (unsigned long long)shared);
    for (const char *p = text; *p; p++)
        sum = sum * 33 + (unsigned char)*p;
    return sum;
}

static void count(int signal)
{
    double changed = 1.0;
    ticks++;
    for (int i = 0; i < 20; i++)
        changed = changed * 1.5 + signal; /* the handler uses vector registers too */
    CHECK(changed > 1.0);
}

static uint64_t expected_mixture[8];

static void start_timer(int which, int microseconds)
{
    const struct itimerval interval = {{0, microseconds}, {0, microseconds}};
    CHECK(setitimer(which, &interval, NULL) == 0);
}

static void *check_mixtures(void *argument)
{
    for (int round = 0; round < (int)(intptr_t)argument; round++) {
        for (unsigned i = 0; i < 8; i++)
            CHECK(mixture(i) == expected_mixture[i]);
    }
    return NULL;
}

static void test_profiling(int rounds)
{
    signal(SIGPROF, count);
    ticks = 0;
    start_timer(ITIMER_PROF, 1000);
    check_mixtures((void *)(intptr_t)rounds);
    start_timer(ITIMER_PROF, 0);
    CHECK(ticks > 0);
}

/* -- leaving handlers by siglongjmp() -------------------------------------------------------------------- */

static sigjmp_buf back;
static volatile bool may_jump;

static void jump(int signal)
{
    (void)signal;
    ticks++;
    if (may_jump)
        siglongjmp(back, 1);
}

static uint64_t deep(unsigned depth)
{
    volatile char room[64];
    room[depth % 64] = (char)depth;
    return depth ? deep(depth - 1) + (uint64_t)room[depth % 64] : (uint64_t)fibonacci(18);
}

static void test_jumps(void)
{
    volatile int jumps = 0;
    uint64_t expected = deep(200);
    signal(SIGALRM, jump);
    start_timer(ITIMER_REAL, 700);
    while (jumps < 1000) {
        if (sigsetjmp(back, 1) != 0) {
            may_jump = false;
            jumps++;
        }
        may_jump = true;
        uint64_t result = deep(200);
        may_jump = false;
        CHECK(result == expected);
    }
    start_timer(ITIMER_REAL, 0);
}

/* -- faults that the handler repairs --------------------------------------------------------------------- */

#define PAGE 65536

static char *guarded;
static volatile int repaired;

static void repair(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    char *page = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));
    repaired++;
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) < 0)
        _exit(9);
}

static void test_repairs(void)
{
    enum { PAGES = 64 };
    struct sigaction action = {.sa_sigaction = repair, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    guarded = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(guarded != MAP_FAILED);
    signal(SIGPROF, count);
    start_timer(ITIMER_PROF, 1000);
    for (int round = 0; round < 40; round++) {
        uint64_t sum = 0;
        repaired = 0;
        CHECK(mprotect(guarded, PAGES * PAGE, PROT_NONE) == 0);
        for (int i = 0; i < PAGES; i++) {
            uint64_t before = sum * 3 + (uint64_t)i, after = before ^ 0x5555;
            uint64_t *p = (uint64_t *)(void *)(guarded + i * PAGE + 8 * i);
            *p += before;
            sum = (before ^ after) == 0x5555 ? sum + 1 : 0;
        }
        CHECK(sum == PAGES && repaired == PAGES);
    }
    start_timer(ITIMER_PROF, 0);
    munmap(guarded, PAGES * PAGE);
    signal(SIGSEGV, SIG_DFL);
}

/* -- nested handlers on another stack -------------------------------------------------------------------- */

static char *alternate;
static volatile int depth_now, depth_most, outside;

static void nest(int signal, siginfo_t *info, void *context)
{
    char here;
    ucontext_t *interrupted = context;
    (void)info;
    if (&here < alternate || &here >= alternate + 1024 * 1024)
        outside++;
    if (interrupted->uc_stack.ss_sp != alternate)
        outside++;
    if (++depth_now > depth_most)
        depth_most = depth_now;
    if (signal < SIGRTMIN + 20)
        raise(signal + 1);
    depth_now--;
}

static void test_nesting(void)
{
    alternate = malloc(1024 * 1024);
    const stack_t stack = {.ss_sp = alternate, .ss_size = 1024 * 1024};
    CHECK(sigaltstack(&stack, NULL) == 0);
    struct sigaction action = {.sa_sigaction = nest, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (int signal = SIGRTMIN + 5; signal <= SIGRTMIN + 20; signal++)
        sigaction(signal, &action, NULL);
    for (int i = 0; i < 100; i++)
        raise(SIGRTMIN + 5);
    CHECK(depth_most == 16 && depth_now == 0 && outside == 0);
    const stack_t none = {.ss_flags = SS_DISABLE};
    CHECK(sigaltstack(&none, NULL) == 0);
    free(alternate);
}

/* -- children -------------------------------------------------------------------------------------------- */

static volatile int reaped;

static void reap(int signal)
{
    int saved = errno;
    (void)signal;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        reaped++;
    errno = saved;
}

static void test_children(void)
{
    struct sigaction action = {.sa_handler = reap, .sa_flags = SA_RESTART};
    sigaction(SIGCHLD, &action, NULL);
    reaped = 0;
    for (int i = 0; i < 300; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        CHECK(child > 0);
        if (i % 16 == 0)
            CHECK(mixture(0) == expected_mixture[0]);
    }
    for (int i = 0; i < 5000 && reaped < 300; i++)
        usleep(1000);
    CHECK(reaped == 300);
    signal(SIGCHLD, SIG_DFL);
}

/* Stopped and continued from outside at odd moments. */
static void test_stops(void)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        check_mixtures((void *)20);
        _exit(check_failures ? 1 : 0);
    }
    for (int i = 0; i < 50; i++) {
        if (kill(child, SIGSTOP) < 0 || waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
            break;
        kill(child, SIGCONT);
        usleep(500);
    }
    if (!WIFEXITED(status))
        CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_threads(void)
{
    pthread_t threads[4];
    signal(SIGALRM, count);
    may_jump = false;
    start_timer(ITIMER_REAL, 500);
    /* mixture() has static data: each thread computes something of its own instead. */
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, (void *(*)(void *))(void (*)(void))deep,
                             (void *)(intptr_t)300) == 0);
    uint64_t expected = deep(300);
    for (int i = 0; i < 4; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0 && (uint64_t)result == expected);
    }
    start_timer(ITIMER_REAL, 0);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 60;
    for (unsigned i = 0; i < 8; i++)
        expected_mixture[i] = mixture(i);
    test_profiling(rounds);
    test_jumps();
    test_repairs();
    test_nesting();
    test_children();
    test_stops();
    test_threads();
    uint64_t all = 0;
    for (unsigned i = 0; i < 8; i++)
        all = all * 31 + expected_mixture[i];
    if (argc > 1)
        printf("%016llx\n", (unsigned long long)all);
    return check_done("stress_signals");
}
