/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of memory accesses between threads: litmus tests, each of which fails if the threads see what the
 * Arm memory model (Arm ARM B2.3) forbids, and 128-bit accesses that must not tear. `memory_order ROUNDS` for
 * more rounds than the short form has. Store buffering without any order is allowed; how often it was seen is
 * printed, as a measure of what the test can see.
 */
#include "io_check.h"

#include <pthread.h>
#include <stdbool.h>

__asm__(".arch armv8.4-a");

#define BATCH       1500
#define THREADS_MAX 4

struct cell {
    _Alignas(64) long x;
    _Alignas(64) long y;
};
static struct cell cells[BATCH];
static struct outcome {
    long a, b;
} outcomes[THREADS_MAX][BATCH];

typedef void (*body)(long *x, long *y, struct outcome *r);

/* Code that may load into a and b, with 1 and 2 at hand. */
#define BODY(name, text)                                                                                     \
    static void name(long *x, long *y, struct outcome *r)                                                    \
    {                                                                                                        \
        long a = 0, b = 0, t = 0;                                                                            \
        __asm__ volatile(text                                                                                \
                         : [a] "+&r"(a), [b] "+&r"(b), [t] "+&r"(t)                                          \
                         : [x] "r"(x), [y] "r"(y), [one] "r"(1l), [two] "r"(2l)                              \
                         : "memory");                                                                        \
        r->a = a;                                                                                            \
        r->b = b;                                                                                            \
    }

#define STR(value, place)   "str %[" #value "], [%[" #place "]]\n"
#define STLR(value, place)  "stlr %[" #value "], [%[" #place "]]\n"
#define LOAD(how, to, from) #how " %[" #to "], [%[" #from "]]\n"
#define EXCLUSIVE(load, store, value, place)                                                                 \
    "1: " #load " %[t], [%[" #place "]]\n" #store " %w[t], %[" #value "], [%[" #place "]]\n cbnz %w[t], 1b\n"

/* -- x = 1; y = 1 -------------------------------------------------------------------------------------------
 */

BODY(write_dmb, STR(one, x) "dmb ish\n" STR(one, y))
BODY(write_dmb_st, STR(one, x) "dmb ishst\n" STR(one, y))
BODY(write_stlr, STR(one, x) STLR(one, y))
BODY(write_stllr, STR(one, x) "stllr %[one], [%[y]]\n")
BODY(write_stlur, STR(one, x) "stlur %[one], [%[y]]\n")
BODY(write_swpl, STR(one, x) "swpl %[one], %[t], [%[y]]\n")
BODY(write_stlxr, STR(one, x) EXCLUSIVE(ldxr, stlxr, one, y))
static const body writers[] = {write_dmb,   write_dmb_st, write_stlr, write_stllr,
                               write_stlur, write_swpl,   write_stlxr};

/* -- a = y; b = x -------------------------------------------------------------------------------------------
 */

BODY(read_dmb, LOAD(ldr, a, y) "dmb ish\n" LOAD(ldr, b, x))
BODY(read_dmb_ld, LOAD(ldr, a, y) "dmb ishld\n" LOAD(ldr, b, x))
BODY(read_ldar, LOAD(ldar, a, y) LOAD(ldr, b, x))
BODY(read_ldlar, LOAD(ldlar, a, y) LOAD(ldr, b, x))
BODY(read_ldapr, LOAD(ldapr, a, y) LOAD(ldr, b, x))
BODY(read_ldapur, LOAD(ldapur, a, y) LOAD(ldr, b, x))
BODY(read_ldaxr, LOAD(ldaxr, a, y) LOAD(ldr, b, x))
BODY(read_ldadda, "ldadda %[t], %[a], [%[y]]\n" LOAD(ldr, b, x))
BODY(read_casa, "casa %[a], %[t], [%[y]]\n" LOAD(ldr, b, x))
BODY(read_address, LOAD(ldr, a, y) "eor %[t], %[a], %[a]\n ldr %[b], [%[x], %[t]]\n")
static const body readers[] = {read_dmb,    read_dmb_ld, read_ldar,   read_ldlar, read_ldapr,
                               read_ldapur, read_ldaxr,  read_ldadda, read_casa,  read_address};

/* -- x = 1; a = y -------------------------------------------------------------------------------------------
 */

BODY(store_load_plain, STR(one, x) LOAD(ldr, a, y))
BODY(store_load_dmb, STR(one, x) "dmb ish\n" LOAD(ldr, a, y))
BODY(store_load_dsb, STR(one, x) "dsb ish\n" LOAD(ldr, a, y))
BODY(store_load_rcsc, STLR(one, x) LOAD(ldar, a, y))
BODY(store_load_exclusive, EXCLUSIVE(ldaxr, stlxr, one, x) LOAD(ldar, a, y))
BODY(store_load_swap, "swpal %[one], %[t], [%[x]]\n" LOAD(ldr, a, y))
BODY(store_load_add, "ldaddal %[one], %[t], [%[x]]\n" LOAD(ldr, a, y))
BODY(store_load_cas, "casal %[t], %[one], [%[x]]\n" LOAD(ldr, a, y))
BODY(store_load_atomics, "swpl %[one], %[t], [%[x]]\n" LOAD(ldar, a, y))
static const body store_loads[] = {store_load_dmb,  store_load_dsb, store_load_rcsc, store_load_exclusive,
                                   store_load_swap, store_load_add, store_load_cas,  store_load_atomics};

/* -- a = x; y = 1 -------------------------------------------------------------------------------------------
 */

BODY(load_store_dmb, LOAD(ldr, a, x) "dmb ish\n" STR(one, y))
BODY(load_store_dmb_ld, LOAD(ldr, a, x) "dmb ishld\n" STR(one, y))
BODY(load_store_ldar, LOAD(ldar, a, x) STR(one, y))
BODY(load_store_ldapr, LOAD(ldapr, a, x) STR(one, y))
BODY(load_store_stlr, LOAD(ldr, a, x) STLR(one, y))
BODY(load_store_data, LOAD(ldr, a, x) "eor %[t], %[a], %[a]\n add %[t], %[t], #1\n" STR(t, y))
BODY(load_store_swap, LOAD(ldr, a, x) "swpal %[one], %[t], [%[y]]\n")
static const body load_stores[] = {load_store_dmb,  load_store_dmb_ld, load_store_ldar, load_store_ldapr,
                                   load_store_stlr, load_store_data,   load_store_swap};

/* -- x = 1; y = 2 -------------------------------------------------------------------------------------------
 */

BODY(two_writes_dmb, STR(one, x) "dmb ish\n" STR(two, y))
BODY(two_writes_dmb_st, STR(one, x) "dmb ishst\n" STR(two, y))
BODY(two_writes_stlr, STR(one, x) STLR(two, y))
BODY(two_writes_swap, "swpal %[one], %[t], [%[x]]\n" STR(two, y))
BODY(two_writes_exclusive, EXCLUSIVE(ldxr, stxr, one, x) STLR(two, y))
static const body two_writes[] = {two_writes_dmb, two_writes_dmb_st, two_writes_stlr, two_writes_swap,
                                  two_writes_exclusive};

BODY(write_x, STR(one, x))
BODY(write_x_release, STLR(one, x))
BODY(write_x_exclusive, EXCLUSIVE(ldxr, stxr, one, x))
static const body single_writes[] = {write_x, write_x_release, write_x_exclusive};

/* -- running ------------------------------------------------------------------------------------------------
 */

struct thread {
    body run;
    bool swapped; /* x and y change places */
    unsigned number;
    unsigned count; /* of threads */
};

static pthread_barrier_t barrier;
static int rounds = 4;
static struct {
    _Alignas(64) int value; /* the cell that the thread is at */
} progress[THREADS_MAX];

/* Waits until all threads are at cell i; not for long, as they may have no processor. */
static void meet(unsigned self, unsigned count, int i, int patience)
{
    __atomic_store_n(&progress[self].value, i, __ATOMIC_RELAXED);
    for (unsigned k = 0; k < count; k++)
        while (patience && __atomic_load_n(&progress[k].value, __ATOMIC_RELAXED) < i)
            patience--;
}

static void *run_thread(void *argument)
{
    const struct thread *t = argument;
    for (int round = 0; round < rounds; round++) {
        pthread_barrier_wait(&barrier);
        meet(t->number, t->count, 1, 300000);
        for (unsigned i = 0; i < BATCH; i++) {
            meet(t->number, t->count, (int)i + 2, 200);
            struct cell *c = &cells[i];
            t->run(t->swapped ? &c->y : &c->x, t->swapped ? &c->x : &c->y, &outcomes[t->number][i]);
        }
        pthread_barrier_wait(&barrier); /* the main thread counts */
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

typedef bool (*verdict)(const struct cell *c, unsigned i);

/* How often `forbidden` holds. */
static long run_litmus(struct thread *threads, unsigned count, verdict forbidden)
{
    pthread_t ids[THREADS_MAX];
    long seen = 0;

    pthread_barrier_init(&barrier, NULL, count + 1);
    for (unsigned i = 0; i < count; i++) {
        threads[i].number = i;
        threads[i].count = count;
        CHECK(pthread_create(&ids[i], NULL, run_thread, &threads[i]) == 0);
    }
    for (int round = 0; round < rounds; round++) {
        memset(cells, 0, sizeof cells);
        memset(progress, 0, sizeof progress);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        for (unsigned i = 0; i < BATCH; i++)
            seen += forbidden(&cells[i], i);
        pthread_barrier_wait(&barrier);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
    pthread_barrier_destroy(&barrier);
    return seen;
}

static void expect_none(const char *what, unsigned first, unsigned second, long seen)
{
    if (!seen)
        return;
    fprintf(stderr, "%s %u %u: forbidden outcome seen %ld times\n", what, first, second, seen);
    check_failures++;
}

static bool is_message_lost(const struct cell *c, unsigned i)
{
    (void)c;
    return outcomes[1][i].a == 1 && outcomes[1][i].b == 0;
}

static bool is_buffered(const struct cell *c, unsigned i)
{
    (void)c;
    return outcomes[0][i].a == 0 && outcomes[1][i].a == 0;
}

static bool is_from_nowhere(const struct cell *c, unsigned i)
{
    (void)c;
    return outcomes[0][i].a == 1 && outcomes[1][i].a == 1;
}

static bool is_write_cycle(const struct cell *c, unsigned i)
{
    (void)i;
    return c->x == 1 && c->y == 1;
}

static bool is_order_disputed(const struct cell *c, unsigned i)
{
    (void)c;
    return outcomes[2][i].a == 1 && outcomes[2][i].b == 0 && outcomes[3][i].a == 1 && outcomes[3][i].b == 0;
}

static bool is_causality_broken(const struct cell *c, unsigned i)
{
    (void)c;
    return outcomes[1][i].a == 1 && outcomes[2][i].a == 1 && outcomes[2][i].b == 0;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* MP */
static void test_message_passing(void)
{
    for (unsigned w = 0; w < COUNT(writers); w++)
        for (unsigned r = 0; r < COUNT(readers); r++) {
            struct thread threads[] = {{writers[w], false, 0, 0}, {readers[r], false, 0, 0}};
            expect_none("MP", w, r, run_litmus(threads, 2, is_message_lost));
        }
}

/* SB, LB, 2+2W: the same code in both threads, x and y exchanged. */
static void test_symmetric(const char *name, const body *bodies, unsigned count, verdict forbidden)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = i; k < count; k++) {
            struct thread threads[] = {{bodies[i], false, 0, 0}, {bodies[k], true, 0, 0}};
            expect_none(name, i, k, run_litmus(threads, 2, forbidden));
        }
}

/* IRIW: writes are seen in one order by all. */
static void test_independent_reads(void)
{
    for (unsigned w = 0; w < COUNT(single_writes); w++)
        for (unsigned r = 0; r < COUNT(readers); r++) {
            struct thread threads[] = {{single_writes[w], false, 0, 0},
                                       {single_writes[w], true, 0, 0},
                                       {readers[r], false, 0, 0},
                                       {readers[r], true, 0, 0}};
            expect_none("IRIW", w, r, run_litmus(threads, 4, is_order_disputed));
        }
}

/* WRC: x = 1 | a = x; y = 1 | a = y; b = x */
static void test_causality(void)
{
    for (unsigned m = 0; m < COUNT(load_stores); m++)
        for (unsigned r = 0; r < COUNT(readers); r += 2) {
            struct thread threads[] = {
                {write_x, false, 0, 0}, {load_stores[m], false, 0, 0}, {readers[r], false, 0, 0}};
            expect_none("WRC", m, r, run_litmus(threads, 3, is_causality_broken));
        }
}

/* -- 128 bits: both halves are always the same ----------------------------------------------------------- */

struct pair {
    _Alignas(16) unsigned long low;
    unsigned long high;
};
struct pair shared_pair; /* visible elsewhere, so that the compiler takes nothing for granted */
static long torn;

static void add_exclusive(unsigned long n)
{
    struct pair *place = &shared_pair;
    unsigned long low, high, status;
    __asm__ volatile(
        "1: ldaxp %0, %1, %3\n add %0, %0, %4\n add %1, %1, %4\n stlxp %w2, %0, %1, %3\n cbnz %w2, 1b\n"
        : "=&r"(low), "=&r"(high), "=&r"(status), "+Q"(*place)
        : "r"(n)
        : "memory");
    if (low != high)
        __atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
}

/* Returns what was there, which may be torn only if the compare failed on a torn pair: never. */
static void add_compare(unsigned long n)
{
    register unsigned long low __asm__("x0") = 0, high __asm__("x1") = 0;
    struct pair *place = &shared_pair;
    unsigned long expected;
    do {
        expected = low;
        register unsigned long new_low __asm__("x2") = low + n, new_high __asm__("x3") = low + n;
        __asm__ volatile("caspal %0, %1, %2, %3, %4"
                         : "+r"(low), "+r"(high)
                         : "r"(new_low), "r"(new_high), "Q"(*place)
                         : "memory");
        if (low != high)
            __atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
    } while (low != expected);
}

static void *add_pairs(void *argument)
{
    for (int i = 0; i < 2000 * rounds; i++)
        ((long)argument + i) & 1 ? add_exclusive(1) : add_compare(1);
    return NULL;
}

static void test_pairs(void)
{
    pthread_t ids[THREADS_MAX];
    for (long i = 0; i < THREADS_MAX; i++)
        CHECK(pthread_create(&ids[i], NULL, add_pairs, (void *)i) == 0);
    for (int i = 0; i < THREADS_MAX; i++)
        pthread_join(ids[i], NULL);
    CHECK(torn == 0);
    CHECK(shared_pair.low == 2000ul * (unsigned long)rounds * THREADS_MAX);
    CHECK(shared_pair.high == shared_pair.low);
}

int main(int argc, char **argv)
{
    alarm(argc > 1 ? 0 : 250);
    if (argc > 1)
        rounds = atoi(argv[1]);
    struct thread plain[] = {{store_load_plain, false, 0, 0}, {store_load_plain, true, 0, 0}};
    printf("store buffering, which is allowed: %ld of %d\n", run_litmus(plain, 2, is_buffered),
           rounds * BATCH);
    test_message_passing();
    test_symmetric("SB", store_loads, COUNT(store_loads), is_buffered);
    test_symmetric("LB", load_stores, COUNT(load_stores), is_from_nowhere);
    test_symmetric("2+2W", two_writes, COUNT(two_writes), is_write_cycle);
    test_independent_reads();
    test_causality();
    test_pairs();
    return check_done("memory_order");
}
