/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the arenas of a code cache: copies of code at many addresses come and go, what stays is kept. */
#include "system_machine.h"
#include "translator/runtime.h"

#define CACHE  (4u << 20)
#define CHAIN  1    /* the physical page of a chain of short blocks, */
#define BLOCKS 1023 /* so many, behind which is a breakpoint */
#define STAYS  60   /* the page of a loop that stays where it is */
#define FIRST  2    /* the linear pages that the chain comes to, in turn */
#define LAST   58

static int begin(void **state)
{
    (void)state;
    machine_begin(&(struct translator_options){.system = true, .cache_size = CACHE}, CPUS);
    for (unsigned i = 0; i < BLOCKS; i++)
        PUT(CHAIN, 4 * i, 0xff, 0xc0, 0xeb, 0x00);           /* inc eax; jmp to the next */
    PUT(STAYS, 0, 0xff, 0xc3, 0xff, 0xc9, 0x75, 0xfa, 0xcc); /* inc ebx; dec ecx; jne to the first */
    return 0;
}

static int end(void **state)
{
    (void)state;
    machine_end();
    return 0;
}

static struct x86_state *guest(void)
{
    return &cpus[0]->x86.state;
}

static void run_to(uint64_t start, uint64_t stop)
{
    cpus[0]->x86.pc = start;
    assert_int_equal(run_through(0), TRANSLATOR_BREAKPOINT);
    assert_int_equal(cpus[0]->x86.pc, stop);
}

/* The chain at another address: most of an arena. */
static void run_chain_at(unsigned page, uint64_t expected)
{
    map[page] = CHAIN;
    flush(0);
    guest()->gpr[X86_RAX] = 0;
    run_to(AT(page, 0), AT(page, 4 * BLOCKS));
    assert_int_equal(guest()->gpr[X86_RAX], expected);
}

static void run_loop(void)
{
    guest()->gpr[X86_RBX] = 0;
    guest()->gpr[X86_RCX] = 1000;
    run_to(AT(STAYS, 0), AT(STAYS, 6));
    assert_int_equal(guest()->gpr[X86_RBX], 1000);
}

static uint32_t lasting_blocks(void)
{
    const struct code_part *blocks = &translator->cache->arenas[ARENA_LASTING].parts[TABLE_BLOCKS];
    return blocks->end - blocks->first;
}

/* Ten times the cache's size of copies are made in the same cache. */
static void test_copies_pass(void **state)
{
    (void)state;
    const struct code_cache *cache = translator->cache;
    const uint64_t epoch = cache->epoch;
    for (unsigned round = 0; round < 5; round++)
        for (unsigned page = FIRST; page < LAST; page++)
            run_chain_at(page, BLOCKS);
    assert_ptr_equal(translator->cache, cache);
    assert_in_range(cache->epoch - epoch, 20, 1000);
    assert_int_equal(lasting_blocks(), 0);
}

/* Code that is wanted again where it was comes to what lasts, and is made no more. */
static void test_what_stays_lasts(void **state)
{
    (void)state;
    const struct code_cache *cache = translator->cache;
    uint32_t found = 0;
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned page = FIRST; page < LAST; page++) {
            run_chain_at(page, BLOCKS);
            run_loop();
        }
        if (round == 1)
            found = lasting_blocks();
    }
    assert_ptr_equal(translator->cache, cache);
    assert_in_range(found, 1, 20);
    assert_int_equal(lasting_blocks(), found);
}

/* A change of the bytes is seen in all copies, whether they are in an arena that was dropped or not. */
static void test_changes_reach_copies(void **state)
{
    (void)state;
    uint64_t expected = BLOCKS;
    for (unsigned page = FIRST; page < LAST; page++) {
        run_chain_at(page, expected);
        run_chain_at(FIRST, expected);
        if (page % 4 == 0) {
            PUT(CHAIN, 4 * page, 0x89, 0xc0); /* mov eax, eax */
            expected--;
        }
    }
}

/* -- a CPU that does not leave --------------------------------------------------------------------------- */

/* The second CPU is in a loop of what passes while all of that is dropped so many times. Nobody takes the
 * code away from under it, and it sees that the code changes. */
static void drop_under_loop(unsigned drops)
{
    enum { LOOP = 61 };
    const uint64_t epoch = translator->cache->epoch;
    pthread_t thread;
    void *result;
    PUT(LOOP, 0, 0xff, 0xc3, 0xeb, 0x00, 0xeb, 0xfa, 0xcc); /* inc ebx; jmp to the next; jmp to the first */
    cpus[1]->x86.pc = AT(LOOP, 0);
    assert_int_equal(pthread_create(&thread, NULL, run_second, NULL), 0);
    while (!__atomic_load_n(&cpus[1]->x86.common.entries, __ATOMIC_RELAXED))
        sched_yield();
    for (unsigned page = FIRST; translator->cache->epoch < epoch + drops;
         page = page == LAST ? FIRST : page + 1)
        run_chain_at(page, BLOCKS);
    PUT(LOOP, 4, 0x90, 0x90);
    pthread_join(thread, &result);
    assert_int_equal((uintptr_t)result, TRANSLATOR_BREAKPOINT);
    assert_int_equal(cpus[1]->x86.pc, AT(LOOP, 6));
}

/* The first drop is of the other arena, which is empty; the second of that with the loop. */
static void test_dropped_code_ends(void **state)
{
    (void)state;
    drop_under_loop(2);
}

static void test_nobody_is_inside(void **state)
{
    (void)state;
    drop_under_loop(40);
}

/* -- lists of exits -------------------------------------------------------------------------------------- */

/* A block with one exit, whose last byte is on the page `second`. */
static uint32_t add_block(struct code_cache *cache, uint64_t second, bool passes)
{
    static const uint8_t bytes[64];
    static const struct host_exit exits[] = {{.slot = 8, .stub = 16, .target = AT(0, 0)}};
    const struct code_parts parts = {
        .size = sizeof bytes, .exit_count = 1, .exits = exits, .bytes = bytes, .passes = passes};
    const struct block_key key = {AT(0, 0xfff), 0xfff, second, 0, false};
    const struct code_range ranges[2] = {{0xfff, 1}, {second, 1}};
    const uint32_t block = code_cache_add(cache, &key, ranges, &parts);
    assert_int_not_equal(block, NO_BLOCK);
    return block;
}

/* An exit that leads to another block than before is only in the list of that one, whichever is dropped. */
static void test_an_exit_is_in_one_list(void **state)
{
    struct error error = ERROR_INIT;
    const _Atomic uint32_t interrupts = 0;
    struct code_cache *cache;
    (void)state;
    assert_int_equal(code_cache_new(&cache, &x86_system_guest, CACHE, true, &error), 0);
    const uint32_t from = add_block(cache, 0x3000, true), one = add_block(cache, 0x1000, false),
                   two = add_block(cache, 0x2000, false);
    const uint32_t exit = cache->blocks[from].exits;
    code_cache_link(cache, exit, one, &interrupts);
    code_cache_link(cache, exit, two, &interrupts);
    assert_int_equal(cache->blocks[one].incoming, NO_EXIT);
    assert_int_equal(cache->blocks[two].incoming, exit);
    code_cache_link(cache, exit, one, &interrupts);
    code_cache_link(cache, exit, one, &interrupts);
    assert_int_equal(cache->blocks[one].incoming, exit);
    assert_int_equal(cache->blocks[two].incoming, NO_EXIT);
    assert_int_equal(cache->exits[exit].next, NO_EXIT);
    code_cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_copies_pass, begin, end),
        cmocka_unit_test_setup_teardown(test_what_stays_lasts, begin, end),
        cmocka_unit_test_setup_teardown(test_changes_reach_copies, begin, end),
        cmocka_unit_test_setup_teardown(test_dropped_code_ends, begin, end),
        cmocka_unit_test_setup_teardown(test_nobody_is_inside, begin, end),
        cmocka_unit_test(test_an_exit_is_in_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
