/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much memory a machine is to have: what the policy says, alone and with neighbours on a host that is a
 * few numbers; and the files that tell of the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "domain/balance_policy.h"
#include "domain/host_memory.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const struct balance_bounds bounds = {256 * MIB, 1024 * MIB};

static struct balance_host host_of(uint64_t total, uint64_t available, unsigned stalled)
{
    struct balance_host host;
    balance_host_begin(&host);
    balance_host_add(&host, total, available);
    host.stalled = stalled;
    return host;
}

static struct balance_guest guest_of(uint64_t size, uint64_t available)
{
    return (struct balance_guest){
        .size = size, .target = size, .has_told = true, .total = size, .available = available};
}

static uint64_t decide(const struct balance_host *host, const struct balance_guest *guest,
                       enum balance_mood mood)
{
    struct balance_decision decision = balance_decide(&bounds, host, guest);
    assert_string_equal(balance_mood_name(decision.mood), balance_mood_name(mood));
    assert_in_range(decision.wait, 50, 1000);
    return decision.target;
}

static void test_moods(void **state)
{
    static const struct {
        uint64_t available;
        unsigned stalled;
        enum balance_mood mood;
    } rows[] = {
        {8 * GIB, 0, BALANCE_CALM},    {8 * GIB, 9, BALANCE_CALM},      {8 * GIB, 10, BALANCE_WARY},
        {8 * GIB, 99, BALANCE_WARY},   {8 * GIB, 100, BALANCE_PRESSED}, {8 * GIB, 400, BALANCE_GRAVE},
        {3 * GIB, 0, BALANCE_CALM},    {2 * GIB, 0, BALANCE_CALM},      {1500 * MIB, 0, BALANCE_PRESSED},
        {300 * MIB, 0, BALANCE_GRAVE}, {0, 1000, BALANCE_GRAVE},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct balance_host host = host_of(16 * GIB, rows[i].available, rows[i].stalled);
        const struct balance_guest guest = guest_of(512 * MIB, 256 * MIB);
        decide(&host, &guest, rows[i].mood);
    }
}

/* The scarcest place decides: a host with plenty, and a cgroup that is nearly full. */
static void test_places(void **state)
{
    struct balance_host host = host_of(16 * GIB, 12 * GIB, 0);
    (void)state;
    assert_int_equal(host.lack, 0);
    assert_int_equal(host.available, 12 * GIB);
    balance_host_add(&host, 1000 * MIB, 60 * MIB);
    assert_in_range(host.lack, 252 * MIB, 253 * MIB); /* a small place wants a quarter, and some more */
    assert_int_equal(host.available, 60 * MIB);
    assert_in_range(host.left, 58, 60);
    balance_host_add(&host, 0, 0);
    assert_int_equal(host.left, 0);
}

static void test_what_is_not_needed_goes_first(void **state)
{
    const struct balance_host host = host_of(16 * GIB, 1500 * MIB, 0);
    struct balance_guest guest = guest_of(1024 * MIB, 800 * MIB);
    (void)state;
    uint64_t target = decide(&host, &guest, BALANCE_PRESSED); /* more is lacking than that */
    assert_in_range(target, 470 * MIB, 480 * MIB);
    guest.available = 100 * MIB;
    assert_in_range(decide(&host, &guest, BALANCE_PRESSED), 980 * MIB, 992 * MIB);
    guest.available = 10 * MIB;
    assert_int_equal(decide(&host, &guest, BALANCE_PRESSED), 1024 * MIB);
    /* What is on its way is not asked for again. */
    guest = guest_of(1024 * MIB, 800 * MIB);
    guest.target = target;
    assert_int_equal(decide(&host, &guest, BALANCE_PRESSED), target);
}

static void test_the_least_is_kept(void **state)
{
    const struct balance_host host = host_of(16 * GIB, 100 * MIB, 900);
    struct balance_guest guest = guest_of(1024 * MIB, 0);
    (void)state;
    assert_int_equal(decide(&host, &guest, BALANCE_GRAVE), 256 * MIB);
    guest = guest_of(256 * MIB, 200 * MIB);
    assert_int_equal(decide(&host, &guest, BALANCE_GRAVE), 256 * MIB);
    guest = guest_of(128 * MIB, 100 * MIB); /* somebody has said so */
    assert_int_equal(decide(&host, &guest, BALANCE_GRAVE), 128 * MIB);
}

static void test_who_needs_gets_more(void **state)
{
    struct balance_host host = host_of(16 * GIB, 8 * GIB, 0);
    struct balance_guest guest = guest_of(512 * MIB, 20 * MIB);
    (void)state;
    assert_int_equal(decide(&host, &guest, BALANCE_CALM), 576 * MIB);
    guest.available = 256 * MIB;
    assert_int_equal(decide(&host, &guest, BALANCE_CALM), 512 * MIB);
    guest.strained = true;
    assert_int_equal(decide(&host, &guest, BALANCE_CALM), 576 * MIB);
    guest.has_told = false;
    assert_int_equal(decide(&host, &guest, BALANCE_CALM), 576 * MIB);
    guest = guest_of(1000 * MIB, 0);
    assert_int_equal(decide(&host, &guest, BALANCE_CALM), 1024 * MIB);
    guest = guest_of(1024 * MIB, 0);
    assert_int_equal(decide(&host, &guest, BALANCE_CALM), 1024 * MIB);
    host = host_of(1000 * MIB, 320 * MIB, 0); /* with little left, little at a time */
    guest = guest_of(512 * MIB, 0);
    assert_in_range(decide(&host, &guest, BALANCE_CALM), 532 * MIB, 532 * MIB);
    host = host_of(16 * GIB, 8 * GIB, 50);
    assert_int_equal(decide(&host, &guest, BALANCE_WARY), 512 * MIB);
}

/* What somebody has asked for stays, until the guest needs more. */
static void test_what_was_asked_for_stays(void **state)
{
    const struct balance_host host = host_of(16 * GIB, 8 * GIB, 0);
    struct balance_guest guest = guest_of(1024 * MIB, 600 * MIB);
    (void)state;
    guest.target = 300 * MIB;
    assert_int_equal(decide(&host, &guest, BALANCE_CALM), 300 * MIB);
}

/* Machines that want more than there is: each takes what it uses; all of it together stays within the host,
 * nobody is below its least, and when one ends the other gets what it needs. */
static void test_neighbours(void **state)
{
    enum { MACHINES = 3 };
    const uint64_t all = 2048 * MIB;
    uint64_t size[MACHINES], used[MACHINES], cache[MACHINES];
    (void)state;
    for (unsigned i = 0; i < MACHINES; i++) {
        size[i] = 1024 * MIB;
        used[i] = 200 * MIB;
        cache[i] = 0;
    }
    for (unsigned time = 0; time < 2000; time++) {
        uint64_t taken = 0;
        for (unsigned i = 0; i < MACHINES; i++) {
            const bool runs = i < 2 || time < 1000;
            /* One comes to need nearly all that it may have; another ends. */
            const uint64_t wanted = !runs ? 0 : time >= 1000 && i == 0 ? 950 * MIB : 200 * MIB;
            used[i] = MIN(wanted, MIN(used[i] + 20 * MIB, size[i]));
            /* It reads files all the time. */
            cache[i] = runs ? MIN(cache[i] + 8 * MIB, size[i] - used[i]) : 0;
            taken += used[i] + cache[i];
        }
        assert_true(taken <= all);
        for (unsigned i = 0; i < MACHINES; i++) {
            const struct balance_host host = host_of(all, all - taken, 0);
            const struct balance_guest guest = guest_of(size[i], size[i] - used[i]);
            size[i] = balance_decide(&bounds, &host, &guest).target;
            assert_in_range(size[i], bounds.least, bounds.most);
        }
    }
    assert_true(size[0] > 900 * MIB);
}

static void test_files(void **state)
{
    uint64_t number, other;
    (void)state;
    assert_true(host_memory_parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=5040873\n"
                                           "full avg10=0.00 avg60=0.00 avg300=0.00 total=2137730\n",
                                           &number));
    assert_int_equal(number, 5040873);
    assert_false(host_memory_parse_pressure("full avg10=0.00 total=2137730\n", &number));
    assert_false(host_memory_parse_pressure("some avg10=0.00\n", &number));
    assert_false(host_memory_parse_pressure("", &number));
    assert_true(host_memory_parse_info(
        "MemTotal:       24683696 kB\nMemFree:  21586364 kB\nMemAvailable:   23526 kB\n", &number, &other));
    assert_int_equal(number, UINT64_C(24683696) << 10);
    assert_int_equal(other, UINT64_C(23526) << 10);
    assert_false(host_memory_parse_info("MemTotal: 1 kB\nxMemAvailable: 1 kB\n", &number, &other));
    assert_false(
        host_memory_parse_info("MemTotal: 1 kB\nMemAvailable: 99999999999999999999 kB\n", &number, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moods),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_what_is_not_needed_goes_first),
        cmocka_unit_test(test_the_least_is_kept),
        cmocka_unit_test(test_who_needs_gets_more),
        cmocka_unit_test(test_what_was_asked_for_stays),
        cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
