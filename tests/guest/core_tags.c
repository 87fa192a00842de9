/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The top byte of an address is ignored in loads, stores, atomics and branches, and after a prctl() in system
 * calls. */
#include "io_check.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>

#define TAG(pointer, tag) ((__typeof__((pointer) + 0))((uintptr_t)(pointer) | (uintptr_t)(tag) << 56))

#ifdef __aarch64__
static uint64_t data[64] __attribute__((aligned(64)));

static void test_accesses(void)
{
    volatile uint64_t *p = TAG(data, 0x5a);
    p[3] = 77;
    CHECK(data[3] == 77 && p[3] == 77);
    *(volatile uint8_t *)TAG(data, 0xff) = 1;
    CHECK((uint8_t)data[0] == 1);
    uint64_t a = 1, b = 2;
    __asm__ volatile("stp %2, %3, [%4, #32]\n ldp %0, %1, [%4, #32]"
                     : "=&r"(a), "=&r"(b)
                     : "r"(11ul), "r"(22ul), "r"(p)
                     : "memory");
    CHECK(a == 11 && b == 22 && data[4] == 11 && data[5] == 22);
    volatile uint64_t *walking = p;
    __asm__ volatile("ldr %0, [%1], #8\n ldr %0, [%1, #16]!" : "=&r"(a), "+r"(walking)::"memory");
    CHECK(a == 77 && walking == p + 3); /* the register keeps the tag */
    __asm__ volatile("ld1 {v0.2d}, [%1]\n umov %0, v0.d[1]" : "=r"(a) : "r"(p + 4) : "v0", "memory");
    CHECK(a == 22);
    memset((void *)TAG(data, 9), 3, sizeof data);
    CHECK(data[63] == 0x0303030303030303);
    __asm__ volatile("dc zva, %0" ::"r"(TAG(data, 1)) : "memory");
    CHECK(data[0] == 0 && data[7] == 0);
}

/* Flags that are known at translation are there for what comes after the access, too. */
static void test_constant_flags(void)
{
    uint64_t taken;
    __asm__ volatile("msr nzcv, xzr\n str xzr, [%1]\n cset %0, ne\n cmp %0, #9"
                     : "=&r"(taken)
                     : "r"(TAG(data, 3))
                     : "cc", "memory");
    CHECK(taken == 1);
}

static void test_atomics(void)
{
    static _Atomic uint64_t word = 5;
    _Atomic uint64_t *p = TAG(&word, 0x80);
    uint64_t expected = 5;
    CHECK(atomic_fetch_add(p, 3) == 5 && word == 8);
    CHECK(!atomic_compare_exchange_strong(p, &expected, 9) && expected == 8);
    CHECK(atomic_compare_exchange_strong(p, &expected, 9) && word == 9);
    uint64_t old;
    uint32_t failed;
    unsigned tries = 0;
    do
        __asm__ volatile("ldxr %0, [%2]\n stxr %w1, %3, [%2]"
                         : "=&r"(old), "=&r"(failed)
                         : "r"(p), "r"(13ul)
                         : "memory");
    while (failed && ++tries < 1000);
    CHECK(old == 9 && word == 13);
}

static int seven(void)
{
    return 7;
}

static void test_branches(void)
{
    int (*volatile call)(void) = TAG(seven, 0x11);
    CHECK(call() == 7);
}

static sigjmp_buf back;
static siginfo_t last;

static void caught(int signal, siginfo_t *info, void *context)
{
    (void)context;
    last = *info;
    siglongjmp(back, signal);
}

static int fault_at(volatile char *address)
{
    int signal = sigsetjmp(back, 1);
    if (!signal)
        *address = 1;
    return signal;
}

static void test_faults(void)
{
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    char *hole = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(fault_at(TAG(hole + 8, 0x22)) == SIGSEGV && last.si_code == SEGV_ACCERR &&
          last.si_addr == hole + 8);
    munmap(hole, 4096);
    CHECK(fault_at(TAG(hole + 8, 0x22)) == SIGSEGV && last.si_code == SEGV_MAPERR &&
          last.si_addr == hole + 8);
    char *beyond = (char *)(1ul << 50 | 0x1238);
    CHECK(fault_at(beyond) == SIGSEGV && last.si_code == SEGV_MAPERR && last.si_addr == beyond);
    int fd = memfd_create("short", 0);
    char *file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(fault_at(TAG(file, 1)) == SIGBUS && last.si_code == BUS_ADRERR && last.si_addr == file);
    CHECK(munmap(file, 4096) == 0 && close(fd) == 0);
}

/* Signals come while tagged accesses are under way. */
static volatile unsigned ticks;

static void tick(int signal)
{
    (void)signal;
    ticks++;
    *(volatile uint64_t *)TAG(&data[9], 2) += 1;
}

static void *count(void *counter)
{
    for (int i = 0; i < 20000; i++)
        atomic_fetch_add((_Atomic uint64_t *)TAG(counter, i % 255 + 1), 1);
    return NULL;
}

static void test_threads_and_signals(void)
{
    static _Atomic uint64_t counter;
    pthread_t threads[2];
    const struct itimerval interval = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    data[9] = 0;
    setitimer(ITIMER_REAL, &interval, NULL);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, count, &counter) == 0);
    for (int i = 0; i < 2; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    setitimer(ITIMER_REAL, &off, NULL);
    CHECK(counter == 40000);
}

static void test_system_calls(void)
{
    char buffer[8] = "";
    int fd = open("/dev/zero", O_RDONLY);
    CHECK(prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == 0);
    CHECK_ERROR(read(fd, TAG(&buffer[0], 3), 1), EFAULT);
    CHECK_ERROR(prctl(PR_SET_TAGGED_ADDR_CTRL, 1ul << 40, 0, 0, 0), EINVAL);
    CHECK_ERROR(prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 1, 0, 0), EINVAL);
    CHECK(prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0) == 0);
    CHECK(prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == PR_TAGGED_ADDR_ENABLE);
    CHECK(read(fd, TAG(&buffer[0], 3), 1) == 1);
    CHECK(access(TAG("/dev/zero", 3), R_OK) == 0);
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(madvise(TAG(p, 4), 4096, MADV_DONTNEED) == 0 && mprotect(TAG(p, 4), 4096, PROT_READ) == 0);
    CHECK(munmap(TAG(p, 4), 4096) == 0);
    CHECK(prctl(PR_SET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == 0);
    CHECK_ERROR(read(fd, TAG(&buffer[0], 3), 1), EFAULT);
    close(fd);
}
#endif

int main(void)
{
#ifdef __aarch64__
    test_accesses();
    test_constant_flags();
    test_atomics();
    test_branches();
    test_faults();
    test_threads_and_signals();
    test_system_calls();
#endif
    return check_done("core_tags");
}
