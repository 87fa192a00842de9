/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The heap that replaces libc's malloc, and locks whose holder dies. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/heap.h"
#include "base/lock.h"

#define BLOCKS 512

/* Blocks of all sizes come and go, keep their contents and do not overlap. */
static void test_blocks(void **state)
{
    static uint8_t *blocks[BLOCKS];
    static size_t sizes[BLOCKS];
    unsigned seed = 1;
    (void)state;

    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * 1103515245 + 12345;
        unsigned at = seed / 65536 % BLOCKS;
        size_t size = i % 64 ? seed % 3000 : seed % 300000;
        for (size_t k = 0; blocks[at] && k < sizes[at]; k += 97)
            assert_int_equal(blocks[at][k], (uint8_t)at);
        switch (i % 4) {
        case 0: blocks[at] = realloc(blocks[at], size); break;
        case 1:
            free(blocks[at]);
            blocks[at] = memalign(256, size);
            assert_int_equal((uintptr_t)blocks[at] % 256, 0);
            break;
        case 2:
            free(blocks[at]);
            blocks[at] = calloc(size + 1, 1);
            for (size_t k = 0; k < size; k++)
                assert_int_equal(blocks[at][k], 0);
            break;
        default: free(blocks[at]); blocks[at] = malloc(size);
        }
        assert_true(blocks[at] || !size);
        sizes[at] = blocks[at] ? size : 0;
        memset(blocks[at], (int)at, sizes[at]);
    }
    for (unsigned i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

/* What is free is given back, and what is not stays as it is; what was given back is used again. */
static void test_return(void **state)
{
    enum { SIZE = 40000 };
    uint8_t *kept = malloc(SIZE), *other = malloc(SIZE);
    (void)state;
    memset(kept, 1, SIZE);
    memset(other, 2, SIZE);
    free(other);
    heap_return();
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(kept[i], 1);
    uint8_t *again = calloc(1, SIZE), *more = malloc(SIZE);
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(again[i], 0);
    memset(again, 3, SIZE);
    memset(more, 4, SIZE);
    for (unsigned i = 0; i < SIZE; i++)
        assert_int_equal(kept[i] + again[i] + more[i], 8);
    free(kept);
    free(again);
    free(more);
    heap_return();
}

static struct lock lock;
static unsigned counter;

static void *count(void *unused)
{
    for (unsigned i = 0; i < 100000; i++) {
        lock_take(&lock);
        counter++;
        lock_release(&lock);
    }
    return unused;
}

static void test_lock(void **state)
{
    pthread_t threads[4];
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(counter, 400000);
}

static void *die_inside(void *number)
{
    *(uint32_t *)number = lock_self();
    lock_take(&lock);
    return NULL;
}

static uint32_t dead;

static void inherit(void)
{
    if (lock_inherit(&lock, dead))
        lock_release(&lock);
}

static void test_dead_holder(void **state)
{
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, die_inside, &dead), 0);
    pthread_join(thread, NULL);
    assert_false(lock_inherit(&lock, lock_self()));
    assert_true(lock_inherit(&lock, dead));
    lock_release(&lock);
    assert_false(lock_inherit(&lock, dead));

    assert_int_equal(pthread_create(&thread, NULL, die_inside, &dead), 0);
    pthread_join(thread, NULL);
    lock_stalled = inherit; /* found out by one that waits */
    lock_take(&lock);
    lock_release(&lock);
    lock_stalled = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_return),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_dead_holder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
