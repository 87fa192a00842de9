/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store of translations that processes share: what is found again, by whom, and what damage does not do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "translator/code_store.h"

#define PC 0x7d1234567000ull

static const struct translator_key key = {{1, 2, 3}};

/* A translation of `size` bytes, all of which are `fill`. */
static void add(struct code_store *store, uint64_t pc, uint8_t fill, uint32_t size)
{
    static uint8_t bytes[65536], guest[8];
    static const struct host_exit exits[] = {{4, 8, PC + 64, 0, 0, false, false},
                                             {20, 24, PC + 128, 34, 40, false, false}};
    static const struct host_insn insns[] = {{0, 0, 0}, {3, 4, 1}, {9, 8, 2}};

    memset(bytes, fill, sizeof bytes);
    memset(guest, fill, sizeof guest);
    const struct stored_code made = {
        .mode = fill << 8,
        .start = pc,
        .end = pc + sizeof guest,
        .guest = guest,
        .code = {.size = size,
                 .exit_count = 2,
                 .insn_count = 3,
                 .exits = exits,
                 .insns = insns,
                 .bytes = bytes,
                 .flags_dead = true},
    };
    code_store_add(store, pc, &made);
}

/* The number of entries for pc; *found is the last. */
static unsigned count(const struct code_store *store, uint64_t pc, struct stored_code *found)
{
    unsigned cursor = 0, n = 0;
    while (code_store_find(store, pc, &cursor, found))
        n++;
    return n;
}

static struct code_store *use(int fd)
{
    struct code_store *store = code_store_new();
    assert_non_null(store);
    assert_false(code_store_in_use(store));
    assert_true(code_store_use(store, fd, &key));
    assert_true(code_store_in_use(store));
    return store;
}

static void test_found_by_others(void **state)
{
    (void)state;
    int fd = code_store_create(&key);
    struct code_store *one = use(fd), *other = use(fd);
    struct stored_code found;

    add(one, PC, 0x11, 101);
    assert_int_equal(count(other, PC, &found), 0); /* not written yet */
    code_store_flush(one);
    assert_int_equal(count(other, PC, &found), 1);
    assert_int_equal(found.start, PC);
    assert_int_equal(found.end, PC + 8);
    assert_int_equal(found.guest[7], 0x11);
    assert_int_equal(found.code.size, 101);
    assert_int_equal(found.code.bytes[100], 0x11);
    assert_int_equal(found.code.exit_count, 2);
    assert_int_equal(found.code.exits[1].target, PC + 128);
    assert_int_equal(found.code.exits[1].direct, 34);
    assert_true(found.code.flags_dead);
    assert_int_equal(found.mode, 0x1100);
    assert_int_equal(found.code.insns[2].start, 9);
    assert_int_equal(count(other, PC + 4, &found), 0);

    add(other, PC, 0x22, 50); /* another program's, at the same address */
    code_store_flush(other);
    assert_int_equal(count(one, PC, &found), 2);
    code_store_free(one);
    code_store_free(other);
    close(fd);
}

static void test_many(void **state)
{
    (void)state;
    int fd = code_store_create(&key);
    struct code_store *store = use(fd);
    struct stored_code found;
    unsigned missing = 0;

    for (unsigned i = 0; i < 5000; i++)
        add(store, PC + i * 4, (uint8_t)i, 300);
    code_store_flush(store);
    for (unsigned i = 0; i < 5000; i++) {
        if (count(store, PC + i * 4, &found) != 1 || found.code.bytes[299] != (uint8_t)i)
            missing++;
    }
    assert_int_equal(missing, 0);
    code_store_free(store);
    close(fd);
}

static void test_full(void **state)
{
    (void)state;
    int fd = code_store_create(&key);
    struct code_store *store = use(fd);
    struct stored_code found;

    for (unsigned i = 0; i < 2300; i++) /* 140 MiB */
        add(store, PC + i * 4, 1, 65000);
    code_store_flush(store);
    assert_int_equal(count(store, PC, &found), 1);
    assert_int_equal(count(store, PC + 2299 * 4, &found), 0);
    code_store_free(store);
    close(fd);
}

static void test_fork(void **state)
{
    (void)state;
    int fd = code_store_create(&key), status;
    struct code_store *store = use(fd);
    struct stored_code found;

    add(store, PC, 1, 64);
    pid_t child = fork();
    if (child == 0) {
        code_store_forget(store);
        add(store, PC + 4, 2, 64);
        code_store_flush(store);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(count(store, PC + 4, &found), 1);
    assert_int_equal(count(store, PC, &found), 0);
    code_store_flush(store);
    assert_int_equal(count(store, PC, &found), 1);
    code_store_free(store);
    close(fd);
}

/* Whatever was in the set, somebody finds the last entry. */
static void test_crowded(void **state)
{
    (void)state;
    int fd = code_store_create(&key);
    struct code_store *store = use(fd);
    struct stored_code found;

    for (unsigned i = 0; i < 100; i++)
        add(store, PC, (uint8_t)i, 100);
    code_store_flush(store);
    assert_in_range(count(store, PC, &found), 1, 99);

    unsigned cursor = 0;
    bool last = false;
    while (code_store_find(store, PC, &cursor, &found))
        last |= found.code.bytes[99] == 99;
    assert_true(last);
    code_store_free(store);
    close(fd);
}

/* Each process that looks something up maps the pages of the index anew: of a small store they are few. */
static void test_small_index(void **state)
{
    (void)state;
    int fd = code_store_create(&key);
    struct code_store *store = use(fd);
    struct stored_code found;
    struct stat file;

    for (unsigned i = 0; i < 1000; i++)
        add(store, PC + i * 4, (uint8_t)i, 64);
    code_store_flush(store);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(count(store, PC + i * 4, &found), 1);
    assert_int_equal(fstat(fd, &file), 0);
    assert_in_range(file.st_blocks * 512, 64 << 10, 512 << 10);
    code_store_free(store);
    close(fd);
}

/* Processes that write at once lose entries at most. */
static void test_at_once(void **state)
{
    (void)state;
    int fd = code_store_create(&key), status;
    struct code_store *store = use(fd);
    struct stored_code found;
    unsigned there = 0;

    for (unsigned process = 0; process < 4; process++) {
        if (fork() == 0) {
            for (unsigned i = 0; i < 500; i++) {
                add(store, PC + (process * 500 + i) * 4, (uint8_t)process, 300);
                if (i % 20 == 0)
                    code_store_flush(store);
            }
            code_store_flush(store);
            _exit(0);
        }
    }
    for (unsigned process = 0; process < 4; process++)
        assert_true(wait(&status) > 0 && status == 0);
    for (unsigned i = 0; i < 2000; i++) {
        if (count(store, PC + i * 4, &found) == 0)
            continue;
        there++;
        assert_int_equal(found.code.size, 300);
        for (unsigned j = 0; j < 300; j++)
            assert_int_equal(found.code.bytes[j], i / 500);
        assert_int_equal(found.guest[0], i / 500);
    }
    assert_in_range(there, 500, 2000);
    code_store_free(store);
    close(fd);
}

static unsigned mappings_of_stores(void)
{
    char line[512];
    unsigned n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        n += strstr(line, "visor-translations") != NULL;
    fclose(maps);
    return n;
}

/* Who has left has neither the memory nor, once the descriptor is closed, a way back; and may use another. */
static void test_leave(void **state)
{
    (void)state;
    int fd = code_store_create(&key), other = code_store_create(&key);
    struct code_store *store = use(fd);
    struct stored_code found;

    add(store, PC, 1, 64);
    code_store_flush(store);
    assert_int_equal(count(store, PC, &found), 1);
    assert_int_equal(mappings_of_stores(), 1);
    code_store_leave(store);
    assert_int_equal(mappings_of_stores(), 0);
    assert_int_equal(found.code.bytes[0], 0); /* still readable */
    assert_false(code_store_in_use(store));
    assert_int_equal(count(store, PC, &found), 0);
    add(store, PC, 1, 64);

    assert_true(code_store_use(store, other, &key));
    code_store_flush(store);
    assert_int_equal(count(store, PC, &found), 0);
    code_store_free(store);
    close(fd);
    close(other);
}

/* No user can write to the mapping, nor shorten the file. */
static void test_protected(void **state)
{
    (void)state;
    int fd = code_store_create(&key), status;
    struct code_store *store = use(fd);
    struct stored_code found;

    add(store, PC, 1, 64);
    code_store_flush(store);
    assert_int_equal(count(store, PC, &found), 1);
    assert_int_equal(ftruncate(fd, 0), -1);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        *(volatile uint8_t *)found.code.bytes = 1;
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    code_store_free(store);
    close(fd);
}

/* A file that is no store, or that of others, is not used; and a limit of file sizes is not met with a
 * signal. */
static void test_unusable(void **state)
{
    (void)state;
    const struct translator_key others = {{1, 2, 4}};
    struct rlimit limit, small;
    int file = memfd_create("test", MFD_CLOEXEC), fd = code_store_create(&key);
    struct code_store *store = code_store_new();

    assert_false(code_store_use(store, file, &key));
    assert_false(code_store_use(store, 9999, &key));
    assert_false(code_store_use(store, fd, &others));
    assert_false(code_store_in_use(store));
    close(file);

    assert_true(code_store_use(store, fd, &key));
    getrlimit(RLIMIT_FSIZE, &limit);
    small = limit;
    small.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &small);
    add(store, PC, 1, 64);
    code_store_flush(store);
    assert_true(code_store_create(&key) < 0);
    setrlimit(RLIMIT_FSIZE, &limit);
    code_store_free(store);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_by_others),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_small_index),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_crowded),
        cmocka_unit_test(test_at_once),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_protected),
        cmocka_unit_test(test_unusable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
