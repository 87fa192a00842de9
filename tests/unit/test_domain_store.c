/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store of domains: what is made is found, and commands that die between any two of their steps leave a
 * store that the next one finds whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/macros.h"
#include "domain/store_private.h"

static char directory[64];

static int setup(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/visor-store-XXXXXX");
    assert_non_null(mkdtemp(directory));
    return setenv("VISOR_STORE", directory, 1);
}

static int teardown(void **state)
{
    char command[100];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void open_store(struct domain_store *store)
{
    struct error error = ERROR_INIT;
    if (domain_store_open(store, true, &error))
        fail_msg("%s", error.message);
}

enum creation { CREATE_FREE, CREATE_LOCKED, CREATE_SOON };

static int create_so(struct domain_store *store, const char *name, bool remove, enum creation creation,
                     struct domain *domain)
{
    static const char document[] = "{\"machine\": {\"kernel\": \"/k\"}}";
    struct domain_config config;
    struct error error = ERROR_INIT;
    assert_int_equal(domain_config_init(&config, &error), 0);
    assert_int_equal(domain_config_parse(&config, document, strlen(document), "x", &error), 0);
    config.remove = remove;
    int code = creation == CREATE_SOON
                   ? domain_create_soon(domain, store, &config, name, &error)
                   : domain_create(domain, store, &config, name, creation == CREATE_LOCKED, &error);
    domain_config_free(&config);
    return code;
}

static int create(struct domain_store *store, const char *name, bool remove, struct domain *domain)
{
    return create_so(store, name, remove, CREATE_FREE, domain);
}

static void make(struct domain_store *store, const char *name)
{
    struct domain domain;
    assert_int_equal(create(store, name, false, &domain), 0);
    domain_close(&domain);
}

static unsigned count_in(const char *of)
{
    char command[128], text[16] = "";
    snprintf(command, sizeof command, "ls -A %s/%s | wc -l", directory, of);
    FILE *pipe = popen(command, "r");
    assert_non_null(fgets(text, sizeof text, pipe));
    pclose(pipe);
    return (unsigned)atoi(text);
}

/* All domains can be read, have a name, and nothing else is there. Returns how many there are. */
static unsigned check_whole(void)
{
    struct domain_store store;
    struct error error = ERROR_INIT;
    struct domain_store_entry *entries;
    unsigned count;
    open_store(&store);
    assert_int_equal(domain_store_list(&store, &entries, &count, &error), 0);
    for (unsigned i = 0; i < count; i++) {
        struct domain domain;
        struct domain_state state;
        struct domain_config config;
        assert_int_not_equal(entries[i].name[0], 0);
        assert_int_equal(domain_find(&domain, &store, entries[i].name, &error), 0);
        assert_string_equal(domain.id, entries[i].id);
        assert_int_equal(domain_look(&domain, &state, &error), 0);
        assert_false(domain_state_lives(&state));
        assert_int_equal(domain_read_config(&domain, &config, &error), 0);
        domain_config_free(&config);
        domain_close(&domain);
    }
    free(entries);
    domain_store_close(&store);
    assert_int_equal(count_in("domains"), count);
    assert_int_equal(count_in("names"), count);
    assert_int_equal(count_in("run"), 0);
    return count;
}

/* -- single promises ------------------------------------------------------------------------------------- */

static void test_found_by_name_and_prefix(void **state)
{
    struct domain_store store;
    struct domain domain, found;
    struct error error = ERROR_INIT;
    char prefix[8];
    (void)state;
    open_store(&store);
    assert_int_equal(create(&store, "web", false, &domain), 0);
    assert_int_equal(domain_find(&found, &store, "web", &error), 0);
    assert_string_equal(found.id, domain.id);
    domain_close(&found);
    snprintf(prefix, sizeof prefix, "%.6s", domain.id);
    assert_int_equal(domain_find(&found, &store, prefix, &error), 0);
    assert_string_equal(found.name, "web");
    domain_close(&found);
    assert_int_equal(domain_find(&found, &store, "wbe", &error), -ENOENT);
    assert_string_equal(error.hint, "did you mean web?");
    assert_int_equal(domain_find(&found, &store, "", &error), -ENOENT);
    assert_int_equal(domain_find(&found, &store, "../web", &error), -ENOENT);
    domain_close(&domain);
    domain_store_close(&store);
}

static void test_ambiguous_prefix_lists_candidates(void **state)
{
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    char prefix[2] = "";
    unsigned first[16] = {0};
    (void)state;
    open_store(&store);
    for (unsigned i = 0; i < 17; i++) { /* two of them begin with the same digit */
        assert_int_equal(create(&store, NULL, false, &domain), 0);
        if (++first[strchr("0123456789abcdef", domain.id[0]) - "0123456789abcdef"] > 1)
            prefix[0] = domain.id[0];
        domain_close(&domain);
    }
    assert_int_equal(domain_find(&domain, &store, prefix, &error), -EEXIST);
    assert_non_null(strstr(error.message, "is ambiguous: "));
    domain_store_close(&store);
    assert_int_equal(check_whole(), 17);
}

static void test_names_are_unique(void **state)
{
    struct domain_store store;
    struct domain domain;
    struct error error = ERROR_INIT;
    (void)state;
    open_store(&store);
    make(&store, "a");
    make(&store, "b");
    assert_int_equal(create(&store, "a", false, &domain), -EEXIST);
    assert_int_equal(create(&store, "-a", false, &domain), -EINVAL);
    assert_int_equal(create(&store, "a/b", false, &domain), -EINVAL);
    assert_int_equal(domain_find(&domain, &store, "a", &error), 0);
    assert_int_equal(domain_lock(&domain, &error), 0);
    assert_int_equal(domain_rename(&domain, "b", &error), -EEXIST);
    assert_int_equal(domain_rename(&domain, "c", &error), 0);
    domain_close(&domain);
    make(&store, "a");
    domain_store_close(&store);
    assert_int_equal(check_whole(), 3);
}

static unsigned invented;

static void invent(char name[STORE_NAME_MAX + 1])
{
    snprintf(name, STORE_NAME_MAX + 1, "name-%u", invented++ / 2); /* each twice */
}

static void test_a_name_that_is_taken_is_invented_again(void **state)
{
    struct domain_store store;
    struct domain domain;
    (void)state;
    open_store(&store);
    store.invent = invent;
    for (unsigned i = 0; i < 3; i++) {
        char expected[16];
        assert_int_equal(create(&store, NULL, false, &domain), 0);
        snprintf(expected, sizeof expected, "name-%u", i);
        assert_string_equal(domain.name, expected);
        domain_close(&domain);
    }
    domain_store_close(&store);
}

static void test_removed_while_another_waits_for_the_lock(void **state)
{
    struct domain_store store;
    struct domain one, two;
    struct error error = ERROR_INIT;
    (void)state;
    open_store(&store);
    make(&store, "a");
    assert_int_equal(domain_find(&one, &store, "a", &error), 0);
    assert_int_equal(domain_find(&two, &store, "a", &error), 0);
    assert_int_equal(domain_lock(&one, &error), 0);
    assert_int_equal(domain_remove(&one, &error), 0);
    assert_int_equal(domain_lock(&two, &error), -ENOENT);
    domain_close(&two);
    domain_store_close(&store);
    assert_int_equal(check_whole(), 0);
}

/* A process number that another process has by now is not the domain. */
static void test_dead_processes_are_noticed(void **state)
{
    struct domain_store store;
    struct domain domain;
    struct domain_state now = {.status = DOMAIN_RUNNING, .created = 1, .started = 2};
    struct error error = ERROR_INIT;
    (void)state;
    open_store(&store);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(process_id_self(&now.process, &error), 0);
        assert_true(process_id_lives(&now.process));
        if (i == 0)
            now.process.start++;
        else if (i == 1)
            now.process.boot[0] ^= 1;
        else
            now.process.pid = 0x3ffffff;
        assert_int_equal(create(&store, NULL, i == 2, &domain), 0);
        assert_int_equal(domain_lock(&domain, &error), 0);
        assert_int_equal(domain_write_state(&domain, &now, DOMAIN_EVENT_START, &error), 0);
        close(domain_make_run(&domain, &error));
        domain_unlock(&domain);
        struct domain_state seen;
        assert_int_equal(domain_look(&domain, &seen, &error), i == 2 ? -ENOENT : 0);
        if (i < 2) {
            assert_int_equal(seen.status, DOMAIN_EXITED);
            assert_string_equal(seen.end.reason, "killed");
            assert_int_equal(seen.end.status, 137);
        }
        domain_close(&domain);
    }
    domain_store_close(&store);
    assert_int_equal(check_whole(), 2); /* the one that was to be removed is */
}

static void test_full_disk_leaves_nothing(void **state)
{
    struct domain_store store;
    struct domain domain;
    struct rlimit old, small;
    (void)state;
    open_store(&store);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){.rlim_cur = 16, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    assert_int_equal(create(&store, "a", false, &domain), -EFBIG);
    setrlimit(RLIMIT_FSIZE, &old);
    domain_store_close(&store);
    assert_int_equal(check_whole(), 0);
}

static void test_missing_store_has_no_domains(void **state)
{
    struct domain_store store;
    struct domain domain;
    struct domain_store_entry *entries;
    struct error error = ERROR_INIT;
    unsigned count;
    char path[80];
    (void)state;
    snprintf(path, sizeof path, "%s/none/at all", directory);
    setenv("VISOR_STORE", path, 1);
    assert_int_equal(domain_store_open(&store, false, &error), 0);
    assert_int_equal(domain_store_list(&store, &entries, &count, &error), 0);
    assert_int_equal(count, 0);
    assert_int_equal(domain_find(&domain, &store, "a", &error), -ENOENT);
    domain_store_close(&store);
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Who has made a domain to run it dies before that. */
static void test_killed_before_it_runs(void **state)
{
    (void)state;
    static const struct {
        enum creation creation;
        bool remove, gone;
    } cases[] = {{CREATE_LOCKED, false, false}, {CREATE_LOCKED, true, true}, {CREATE_SOON, false, true}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        pid_t child = fork();
        if (!child) {
            struct domain_store own;
            struct domain domain;
            open_store(&own);
            domain = (struct domain){0};
            if (create_so(&own, "a", cases[i].remove, cases[i].creation, &domain) == 0)
                kill(getpid(), SIGKILL);
            _exit(1);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        struct domain_store store;
        struct domain domain;
        struct domain_state seen;
        struct error error = ERROR_INIT;
        open_store(&store);
        assert_int_equal(domain_find(&domain, &store, "a", &error), 0);
        assert_int_equal(domain_look(&domain, &seen, &error), cases[i].gone ? -ENOENT : 0);
        if (!cases[i].gone) {
            assert_int_equal(seen.status, DOMAIN_CREATED);
            assert_int_equal(domain_lock(&domain, &error), 0);
            assert_int_equal(domain_remove(&domain, &error), 0);
        }
        domain_close(&domain);
        domain_store_close(&store);
        assert_int_equal(check_whole(), 0);
    }
}

/* -- crashes --------------------------------------------------------------------------------------------- */

static unsigned steps_left;

static void die_at_step(void)
{
    if (!steps_left--)
        kill(getpid(), SIGKILL);
}

static void do_create(struct domain_store *store)
{
    struct domain domain;
    _exit(create(store, "new", false, &domain) ? 1 : 0);
}

static void do_rename(struct domain_store *store)
{
    struct domain domain;
    if (domain_find(&domain, store, "old", NULL) || domain_lock(&domain, NULL))
        _exit(1);
    _exit(domain_rename(&domain, "new", NULL) ? 1 : 0);
}

static void do_remove(struct domain_store *store)
{
    struct domain domain;
    if (domain_find(&domain, store, "old", NULL) || domain_lock(&domain, NULL))
        _exit(1);
    _exit(domain_remove(&domain, NULL) ? 1 : 0);
}

/* The domain dies, and then whoever notices it. */
static void do_notice(struct domain_store *store)
{
    struct domain domain;
    struct domain_state now = {.status = DOMAIN_RUNNING, .process = {.pid = 0x3ffffff, .start = 1}};
    if (domain_find(&domain, store, "old", NULL) || domain_lock(&domain, NULL))
        _exit(1);
    close(domain_make_run(&domain, NULL));
    if (domain_write_state(&domain, &now, DOMAIN_EVENT_START, NULL))
        _exit(1);
    domain_unlock(&domain);
    _exit(domain_look(&domain, &now, NULL) ? 1 : 0);
}

/* Runs it in a child that dies at the n-th step, for all n until it gets through. */
static void crash_everywhere(void (*what)(struct domain_store *store), unsigned before, unsigned after)
{
    int status;
    unsigned step = 0;
    do {
        struct domain_store store;
        open_store(&store);
        make(&store, "old");
        make(&store, "other");
        pid_t child = fork();
        if (!child) {
            struct domain_store own;
            open_store(&own);
            own.step = die_at_step;
            steps_left = step;
            what(&own);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        unsigned count = check_whole();
        assert_true(count == before || count == after);
        struct domain_store_entry *entries;
        struct error error = ERROR_INIT;
        assert_int_equal(domain_store_list(&store, &entries, &count, &error), 0);
        for (unsigned i = 0; i < count; i++) {
            struct domain domain;
            assert_int_equal(domain_open(&domain, &store, entries[i].id, &error), 0);
            snprintf(domain.name, sizeof domain.name, "%s", entries[i].name);
            assert_int_equal(domain_lock(&domain, &error), 0);
            assert_int_equal(domain_remove(&domain, &error), 0);
        }
        free(entries);
        domain_store_close(&store);
        step++;
    } while (WIFSIGNALED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(step > 1);
}

static void test_crashes(void **state)
{
    (void)state;
    crash_everywhere(do_create, 2, 3);
    crash_everywhere(do_rename, 2, 2);
    crash_everywhere(do_remove, 2, 1);
    crash_everywhere(do_notice, 2, 2);
}

/* Who has looked at the store before a command dies takes the name that it has left. */
static void test_a_dead_command_s_name_can_be_taken(void **state)
{
    struct domain_store store;
    struct domain domain;
    (void)state;
    open_store(&store);
    pid_t child = fork();
    if (!child) {
        struct domain_store own;
        open_store(&own);
        own.step = die_at_step;
        steps_left = 3; /* files and name are there */
        do_create(&own);
    }
    waitpid(child, NULL, 0);
    assert_int_equal(count_in("names"), 1);
    assert_int_equal(count_in("domains"), 1);
    assert_int_equal(create(&store, "new", false, &domain), 0);
    domain_close(&domain);
    domain_store_close(&store);
    assert_int_equal(check_whole(), 1);
}

/* The repair dies in the middle of its work, too. */
static void test_crash_of_the_repair(void **state)
{
    (void)state;
    for (unsigned step = 0; step < 3; step++) {
        struct domain_store store;
        open_store(&store);
        pid_t child = fork();
        if (!child) {
            store.step = die_at_step;
            steps_left = 3; /* files and name are there */
            do_create(&store);
        }
        waitpid(child, NULL, 0);
        assert_int_equal(count_in("domains"), 1);
        child = fork();
        if (!child) {
            store.step = die_at_step;
            steps_left = step;
            domain_store_repair(&store, true);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        domain_store_close(&store);
        check_whole();
    }
}

/* Many at once, with the same names; some are killed at a random moment. */
static void test_concurrent_commands(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        pid_t children[8];
        for (unsigned i = 0; i < 8; i++) {
            children[i] = fork();
            if (children[i])
                continue;
            for (unsigned n = 0; n < 12; n++) {
                struct domain_store own;
                struct domain domain;
                char name[8];
                snprintf(name, sizeof name, "n%u", (n * 7 + i) % 5);
                if (domain_store_open(&own, true, NULL))
                    _exit(1);
                if (create(&own, name, false, &domain) == 0)
                    domain_close(&domain);
                snprintf(name, sizeof name, "n%u", (n + i) % 5);
                if (domain_find(&domain, &own, name, NULL) == 0) {
                    if (domain_lock(&domain, NULL) || domain_remove(&domain, NULL))
                        domain_close(&domain);
                }
                domain_store_close(&own);
            }
            _exit(0);
        }
        for (unsigned i = 0; i < 4; i++) {
            usleep(3000 * (i + round));
            kill(children[i], SIGKILL);
        }
        for (unsigned i = 0; i < 8; i++) {
            int status;
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_true(i < 4 || status == 0);
        }
        assert_true(check_whole() <= 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found_by_name_and_prefix, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ambiguous_prefix_lists_candidates, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_are_unique, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_name_that_is_taken_is_invented_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_while_another_waits_for_the_lock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_processes_are_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_before_it_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_store_has_no_domains, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crashes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_dead_command_s_name_can_be_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crash_of_the_repair, setup, teardown),
        cmocka_unit_test_setup_teardown(test_concurrent_commands, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
