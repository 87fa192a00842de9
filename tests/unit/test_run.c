/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the translator's run time with a code cache so small that it is replaced all the time: while
 * several threads run in it, are interrupted, fault, forget translations, nest more calls than the return
 * stack holds, and fork. The guest code is made here, its results are known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/macros.h"
#include "translator/guest/arm64/arm64.h"
#include "translator/translator.h"

#define FUNCTIONS      3000
#define FUNCTION_WORDS 16
#define CODE_SIZE      (1u << 20)
#define CACHE_SIZE     (256u << 10)
#define THREADS        4
#define GUEST_STACK    (4u << 20)
#define SIGNAL_STACK   (64u << 10)
#define RECURSIONS     100000u

/* Where the other pieces of guest code are, in words from the start. */
#define DRIVER  (FUNCTIONS * FUNCTION_WORDS)
#define RECURSE (DRIVER + 16)
#define LOAD    (RECURSE + 16)
#define OWN     (LOAD + 16) /* one function per thread, which it writes itself */

enum { RET = 0xd65f03c0, SVC = 0xd4000001 };

static uint32_t *code; /* the guest's */
static struct translator *translator;
static _Thread_local struct arm64_cpu *current;
static _Atomic unsigned running; /* workers */

static size_t fetch(void *context, uint64_t pc, void *bytes, size_t size)
{
    uint64_t offset = pc - (uintptr_t)code;
    (void)context;
    if (offset >= CODE_SIZE)
        return 0;
    size = MIN(size, CODE_SIZE - offset);
    memcpy(bytes, (const char *)code + offset, size);
    return size;
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    if (!current || !translator_fault(&current->common, signal, info, context)) {
        static const char text[] = "fault outside guest code\n";
        if (write(STDERR_FILENO, text, sizeof text - 1) >= 0)
            _exit(1);
    }
}

static void on_interrupt(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    if (current)
        translator_interrupt(&current->common, context);
}

/* -- the guest's code ------------------------------------------------------------------------------------ */

static uint64_t entry(unsigned word)
{
    return (uintptr_t)&code[word];
}

/* True if function i ends in a jump to function i + 1. */
static bool falls_through(unsigned i)
{
    return i % 4 != 3 && i + 1 < FUNCTIONS;
}

static void make_function(unsigned i)
{
    uint32_t *p = &code[i * FUNCTION_WORDS];
    *p++ = 0xd2800000 | (i & 0xffff) << 5 | 9; /* mov x9, #i */
    *p++ = 0xca090000;                         /* eor x0, x0, x9 */
    *p++ = 0x8b000c00;                         /* add x0, x0, x0, lsl #3 */
    *p++ = 0x93c01c00;                         /* ror x0, x0, #7 */
    *p++ = 0x36000040 | (i % 32) << 19;        /* tbz w0, #(i % 32), the instruction after the next */
    *p++ = 0x91000000 | (i & 0xfff) << 10;     /* add x0, x0, #(i & 0xfff) */
    *p = falls_through(i) ? 0x14000000 | (FUNCTION_WORDS - 6) : RET;
}

static uint64_t model(uint64_t x, unsigned i)
{
    for (;; i++) {
        x ^= i & 0xffff;
        x += x << 3;
        x = x >> 7 | x << 57;
        if (x >> i % 32 & 1)
            x += i & 0xfff;
        if (!falls_through(i))
            return x;
    }
}

static void make_code(void)
{
    static const uint32_t driver[] = {
        0xf840842a, /* ldr x10, [x1], #8 */
        0xb400006a, /* cbz x10, to the svc */
        0xd63f0140, /* blr x10 */
        0x17fffffd, /* b back */
        SVC,
    };
    static const uint32_t recurse[] = {
        0x94000002,             /* bl the function */
        SVC,        0xa9bf7bfd, /* stp x29, x30, [sp, #-16]! */
        0xb4000080,             /* cbz x0, to the ldp */
        0xd1000400,             /* sub x0, x0, #1 */
        0x91000442,             /* add x2, x2, #1 */
        0x97fffffc,             /* bl the function */
        0xa8c17bfd,             /* ldp x29, x30, [sp], #16 */
        0x91000463,             /* add x3, x3, #1 */
        RET,
    };
    static const uint32_t load[] = {
        0x91000442, /* add x2, x2, #1 */
        0xf94000a4, /* ldr x4, [x5] */
        0x8b020084, /* add x4, x4, x2 */
        SVC,
    };

    for (unsigned i = 0; i < FUNCTIONS; i++)
        make_function(i);
    memcpy(&code[DRIVER], driver, sizeof driver);
    memcpy(&code[RECURSE], recurse, sizeof recurse);
    memcpy(&code[LOAD], load, sizeof load);
}

/* -- a thread's work ------------------------------------------------------------------------------------- */

struct worker {
    pthread_t host;
    unsigned index;
    unsigned rounds;
    unsigned interrupts, faults, wrong;
    uint8_t *stack, *signal_stack;
    uint64_t order[FUNCTIONS + 1];
};

/* Runs until the guest's svc. A fault is repaired by letting x5 point to 41. */
static void run_guest(struct worker *worker, struct arm64_cpu *cpu, uint64_t pc)
{
    static uint64_t answer = 41;
    cpu->state.pc = pc;
    for (;;) {
        switch (translator_run(&cpu->common)) {
        case TRANSLATOR_SYSCALL: return;
        case TRANSLATOR_INTERRUPTED: worker->interrupts++; break;
        case TRANSLATOR_FAULT:
            worker->faults++;
            if (cpu->state.pc != entry(LOAD) + 4 || cpu->common.exit_payload != 64)
                worker->wrong++;
            cpu->state.x[5] = (uintptr_t)&answer;
            break;
        default: worker->wrong++; return;
        }
    }
}

static void check_functions(struct worker *worker, struct arm64_cpu *cpu, unsigned *seed)
{
    uint64_t expected = *seed;
    for (unsigned n = 0; n < FUNCTIONS; n++) {
        unsigned i = (unsigned)rand_r(seed) % FUNCTIONS;
        worker->order[n] = entry(i * FUNCTION_WORDS);
        if (n == 0)
            cpu->state.x[0] = expected = *seed;
        expected = model(expected, i);
    }
    worker->order[FUNCTIONS] = 0;
    cpu->state.x[1] = (uintptr_t)worker->order;
    run_guest(worker, cpu, entry(DRIVER));
    worker->wrong += cpu->state.x[0] != expected;
}

static void check_recursion(struct worker *worker, struct arm64_cpu *cpu)
{
    cpu->state.sp = (uintptr_t)worker->stack + GUEST_STACK;
    cpu->state.x[0] = RECURSIONS;
    cpu->state.x[2] = cpu->state.x[3] = 0;
    run_guest(worker, cpu, entry(RECURSE));
    worker->wrong += cpu->state.x[2] != RECURSIONS || cpu->state.x[3] != RECURSIONS + 1;
}

static void check_fault(struct worker *worker, struct arm64_cpu *cpu)
{
    unsigned before = worker->faults;
    cpu->state.x[2] = 0;
    cpu->state.x[5] = 64;
    run_guest(worker, cpu, entry(LOAD));
    worker->wrong += cpu->state.x[4] != 42 || worker->faults != before + 1;
}

/* Code that changes, as an interpreter with a compiler of its own does it. */
static void check_own_code(struct worker *worker, struct arm64_cpu *cpu, unsigned value)
{
    uint32_t *p = &code[OWN + worker->index * FUNCTION_WORDS];
    uint64_t order[2] = {(uintptr_t)p, 0};
    p[0] = 0xd2800000 | (value & 0xffff) << 5; /* mov x0, #value */
    p[1] = RET;
    translator_invalidate(translator, (uintptr_t)p, 8);
    cpu->state.x[1] = (uintptr_t)order;
    run_guest(worker, cpu, entry(DRIVER));
    worker->wrong += cpu->state.x[0] != (value & 0xffff);
}

static bool start_thread(struct worker *worker)
{
    struct translator_cpu *cpu;
    worker->stack = mmap(NULL, GUEST_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    worker->signal_stack = malloc(SIGNAL_STACK);
    const stack_t stack = {.ss_sp = worker->signal_stack, .ss_size = SIGNAL_STACK};
    if (worker->stack == MAP_FAILED || !worker->signal_stack || sigaltstack(&stack, NULL) < 0 ||
        translator_cpu_new(translator, &cpu, NULL) < 0)
        return false;
    current = (struct arm64_cpu *)cpu;
    return true;
}

static void end_thread(struct worker *worker)
{
    struct translator_cpu *cpu = &current->common;
    const stack_t none = {.ss_flags = SS_DISABLE};
    current = NULL;
    translator_cpu_free(cpu);
    sigaltstack(&none, NULL);
    free(worker->signal_stack);
    munmap(worker->stack, GUEST_STACK);
}

/* The child has a copy of everything, the other threads' CPUs must not matter to it. */
static void check_fork(struct worker *worker, struct arm64_cpu *cpu)
{
    sigset_t all, before;
    int status;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    translator_fork_prepare(translator);
    pid_t child = fork();
    if (child == 0) {
        struct worker own = {.index = worker->index, .stack = worker->stack};
        unsigned seed = 77;
        if (translator_fork_child(translator, &cpu->common) < 0)
            _exit(3);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        for (unsigned i = 0; i < 3; i++)
            check_functions(&own, cpu, &seed);
        check_own_code(&own, cpu, 12345);
        check_fault(&own, cpu);
        _exit(own.wrong ? 4 : 0);
    }
    translator_fork_parent(translator);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    worker->wrong += child < 0 || status != 0;
}

static void do_rounds(struct worker *worker)
{
    unsigned seed = worker->index + 1;

    for (unsigned round = 0; round < worker->rounds; round++) {
        check_functions(worker, current, &seed);
        check_fault(worker, current);
        check_own_code(worker, current, round * THREADS + worker->index);
        if (round % 16 == 0)
            check_recursion(worker, current);
        if (round % 32 == worker->index)
            check_fork(worker, current);
        if (round % 32 == 31) { /* threads come and go */
            end_thread(worker);
            if (!start_thread(worker)) {
                worker->wrong++;
                return;
            }
        }
    }
    end_thread(worker);
}

static void *work(void *argument)
{
    struct worker *worker = argument;

    if (start_thread(worker))
        do_rounds(worker);
    else
        worker->wrong++;
    running--;
    return NULL;
}

/* -- what disturbs it ------------------------------------------------------------------------------------ */

static void *interrupt(void *argument)
{
    struct worker *workers = argument;
    const struct timespec pause = {0, 300000};
    for (unsigned i = 0; running; i++) {
        pthread_kill(workers[i % THREADS].host, SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void *invalidate(void *argument)
{
    unsigned seed = 99;
    const struct timespec pause = {0, 500000};
    while (running) {
        uint64_t start = entry((unsigned)rand_r(&seed) % (FUNCTIONS * FUNCTION_WORDS));
        translator_invalidate(translator, start, (unsigned)rand_r(&seed) % 20000);
        nanosleep(&pause, NULL);
    }
    return argument;
}

static void run_workers(struct worker *workers, unsigned rounds)
{
    pthread_t disturbers[2];
    running = THREADS;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.index = i, .rounds = rounds};
        assert_int_equal(pthread_create(&workers[i].host, NULL, work, &workers[i]), 0);
    }
    assert_int_equal(pthread_create(&disturbers[0], NULL, interrupt, workers), 0);
    assert_int_equal(pthread_create(&disturbers[1], NULL, invalidate, NULL), 0);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(disturbers[i], NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].host, NULL);
}

static void set_handler(int signal, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigfillset(&action.sa_mask);
    sigaction(signal, &action, NULL);
}

static struct translator *new_translator(size_t cache_size)
{
    const struct translator_options options = {.cache_size = cache_size};
    const struct translator_callbacks callbacks = {.fetch = fetch};
    struct error error = ERROR_INIT;
    struct translator *new = NULL;
    if (translator_new(&new, &arm64_guest, &options, &callbacks, &error) < 0)
        fail_msg("%s", error.message);
    return new;
}

static int setup(void **state)
{
    (void)state;
    code = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return -1;
    make_code();
    return 0;
}

static void run_with(size_t cache_size, unsigned rounds)
{
    static struct worker workers[THREADS];
    unsigned interrupts = 0;

    alarm(100);
    set_handler(SIGSEGV, on_fault); /* cmocka has one of its own outside */
    set_handler(SIGUSR1, on_interrupt);
    translator = new_translator(cache_size);
    run_workers(workers, rounds);
    translator_free(translator);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(workers[i].wrong, 0);
        assert_int_equal(workers[i].faults, rounds);
        interrupts += workers[i].interrupts;
    }
    assert_true(interrupts > 0);
    alarm(0);
}

static void test_small_cache(void **state)
{
    (void)state;
    run_with(CACHE_SIZE, 64);
}

static void test_large_cache(void **state)
{
    (void)state;
    run_with(0, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_cache),
        cmocka_unit_test(test_large_cache),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
