/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The events of a store: each change has a line, in order, whoever writes at once and whatever is torn. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "domain/events.h"

static char directory[64];
static struct domain_store store;

static int setup(void **state)
{
    struct error error = ERROR_INIT;
    (void)state;
    strcpy(directory, "/tmp/visor-events-XXXXXX");
    assert_non_null(mkdtemp(directory));
    setenv("VISOR_STORE", directory, 1);
    return domain_store_open(&store, true, &error);
}

static int teardown(void **state)
{
    char command[100];
    (void)state;
    domain_store_close(&store);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void make(struct domain *domain, const char *name)
{
    static const char document[] = "{\"machine\": {\"kernel\": \"/k\"}}";
    struct domain_config config;
    struct error error = ERROR_INIT;
    assert_int_equal(domain_config_init(&config, &error), 0);
    assert_int_equal(domain_config_parse(&config, document, strlen(document), "x", &error), 0);
    assert_int_equal(domain_create(domain, &store, &config, name, false, &error), 0);
    domain_config_free(&config);
}

static struct domain_events *reader_open(bool only_new)
{
    struct domain_events *events;
    struct error error = ERROR_INIT;
    assert_int_equal(domain_events_open(&events, &store, only_new, &error), 0);
    return events;
}

/* The next event and a member of it, as "create web"; "": there is none. */
static const char *next(struct domain_events *events, const char *member)
{
    static char text[128];
    struct error error = ERROR_INIT;
    json_t *event;
    int code = domain_events_next(events, &event, &error);
    assert_true(code >= 0);
    text[0] = '\0';
    if (!code)
        return text;
    const json_t *value = json_object_get(event, member);
    if (json_is_integer(value))
        snprintf(text, sizeof text, "%s %d", json_string_value(json_object_get(event, "event")),
                 (int)json_integer_value(value));
    else
        snprintf(text, sizeof text, "%s %s", json_string_value(json_object_get(event, "event")),
                 value ? json_string_value(value) : "-");
    json_decref(event);
    return text;
}

static void append(const char *text)
{
    int fd = openat(store.root, DOMAIN_EVENTS_FILE, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void test_each_change_has_a_line(void **state)
{
    struct domain domain;
    struct error error = ERROR_INIT;
    struct domain_state now = {.status = DOMAIN_EXITED, .end = {.status = 3, .reason = "reset"}};
    (void)state;
    struct domain_events *events = reader_open(false);
    assert_string_equal(next(events, "name"), "");
    make(&domain, "web");
    assert_string_equal(next(events, "name"), "create web");
    assert_string_equal(next(events, "name"), "");
    assert_int_equal(domain_lock(&domain, &error), 0);
    assert_int_equal(domain_write_state(&domain, &now, DOMAIN_EVENT_EXIT, &error), 0);
    now = (struct domain_state){.status = DOMAIN_RUNNING, .restarts = 2};
    assert_int_equal(domain_write_state(&domain, &now, DOMAIN_EVENT_START, &error), 0);
    assert_int_equal(domain_rename(&domain, "www", &error), 0);
    assert_int_equal(domain_rename(&domain, "www", &error), 0); /* which is no change */
    assert_int_equal(domain_remove(&domain, &error), 0);
    assert_string_equal(next(events, "exit_status"), "exit 3");
    assert_string_equal(next(events, "restarts"), "start 2");
    assert_string_equal(next(events, "old_name"), "rename web");
    assert_string_equal(next(events, "name"), "remove www");
    assert_string_equal(next(events, "name"), "");
    domain_events_close(events);

    events = reader_open(false); /* from the beginning */
    for (unsigned i = 0; i < 5; i++)
        assert_string_not_equal(next(events, "kind"), "");
    assert_string_equal(next(events, "kind"), "");
    domain_events_close(events);
    events = reader_open(true);
    assert_string_equal(next(events, "kind"), "");
    make(&domain, "later");
    assert_string_equal(next(events, "kind"), "create machine");
    domain_close(&domain);
    domain_events_close(events);
}

/* A domain's process does not hear of it when another one renames it. */
static void test_the_name_is_that_of_now(void **state)
{
    struct domain mine, other;
    struct error error = ERROR_INIT;
    (void)state;
    make(&mine, "before");
    assert_int_equal(domain_find(&other, &store, "before", &error), 0);
    assert_int_equal(domain_lock(&other, &error), 0);
    assert_int_equal(domain_rename(&other, "after", &error), 0);
    domain_close(&other);
    struct domain_events *events = reader_open(true);
    domain_event_put(&mine, DOMAIN_EVENT_PAUSE, NULL);
    assert_string_equal(next(events, "name"), "pause after");
    assert_int_equal(domain_lock(&mine, &error), 0);
    assert_int_equal(domain_remove(&mine, &error), 0);
    assert_string_equal(next(events, "name"), "remove after");
    assert_int_not_equal(faccessat(store.names, "after", F_OK, AT_SYMLINK_NOFOLLOW), 0);
    domain_events_close(events);
}

static void test_torn_and_foreign_lines_are_passed_over(void **state)
{
    struct domain domain;
    (void)state;
    append("{\"time\":\"2026-01-31T12:00:00Z\",\"event\":\"ex");
    make(&domain, "web");
    append("\n\nno json\n{}\n[1]\n{\"time\":\"x\",\"event\":\"a\",\"id\":\"b\",\"name\":\"c\"}\n"
           "{\"time\":\"2026-01-31T12:00:00Z\",\"event\":\"new-kind\",\"id\":\"b\",\"name\":\"c\"}\n");
    struct domain_events *events = reader_open(false);
    assert_string_equal(next(events, "name"), "create web");
    assert_string_equal(next(events, "name"), "new-kind c");
    append("{\"time\":\"2026-01-31T12:00:00Z\",\"event\":\"half\"");
    assert_string_equal(next(events, "name"), "");
    append(",\"id\":\"b\",\"name\":\"d\"}\n");
    assert_string_equal(next(events, "name"), "half d");
    domain_close(&domain);
    domain_events_close(events);
}

/* A reader that follows misses nothing when files are replaced, also twice between two looks. */
static void test_a_reader_survives_new_files(void **state)
{
    struct domain domain;
    char text[16];
    (void)state;
    make(&domain, "web");
    struct domain_events *events = reader_open(true);
    for (int i = 0; i < 6; i++) {
        domain_event_put(&domain, DOMAIN_EVENT_UPDATE, json_pack("{s:i}", "n", i));
        if (i == 1 || i == 2 || i == 4)
            assert_int_equal(renameat(store.root, DOMAIN_EVENTS_FILE, store.root, DOMAIN_EVENTS_OLD), 0);
        if (i == 0 || i == 3) {
            for (int j = i ? 1 : 0; j <= i; j++) {
                snprintf(text, sizeof text, "update %d", j);
                assert_string_equal(next(events, "n"), text);
            }
        }
    }
    assert_string_equal(next(events, "n"), "update 4");
    assert_string_equal(next(events, "n"), "update 5");
    assert_string_equal(next(events, "n"), "");
    domain_close(&domain);
    domain_events_close(events);
}

/* Several write at once, and more than fits into a file. */
static void test_writers_at_once(void **state)
{
    enum { WRITERS = 4, EACH = 3000 };
    struct domain domain;
    pid_t children[WRITERS];
    int counts[WRITERS] = {0}, got = 0;
    struct stat now, old;
    (void)state;
    make(&domain, "web");
    struct domain_events *events = reader_open(true);
    for (int i = 0; i < WRITERS; i++) {
        children[i] = fork();
        for (int n = 0; !children[i] && n < EACH; n++)
            domain_event_put(&domain, DOMAIN_EVENT_UPDATE, json_pack("{s:i}", "n", WRITERS * n + i));
        if (!children[i])
            _exit(0);
    }
    int running = WRITERS;
    for (bool ended = false; !ended;) {
        ended = !running;
        for (const char *text; *(text = next(events, "n")); got++) {
            int n = atoi(text + strlen("update "));
            assert_int_equal(counts[n % WRITERS], n / WRITERS); /* each one's in their order */
            counts[n % WRITERS]++;
        }
        if (running && waitpid(-1, NULL, WNOHANG) > 0)
            running--;
        usleep(1000);
    }
    assert_int_equal(got, WRITERS * EACH);
    assert_int_equal(fstatat(store.root, DOMAIN_EVENTS_FILE, &now, 0), 0);
    assert_int_equal(fstatat(store.root, DOMAIN_EVENTS_OLD, &old, 0), 0);
    assert_true(old.st_size > DOMAIN_EVENTS_MAX / 2 && old.st_size < 2 * DOMAIN_EVENTS_MAX);
    assert_true(now.st_size < 2 * DOMAIN_EVENTS_MAX);
    domain_close(&domain);
    domain_events_close(events);
}

/* -- crashes --------------------------------------------------------------------------------------------- */

static unsigned steps_left;

static void die_at_step(void)
{
    if (!steps_left--)
        kill(getpid(), SIGKILL);
}

static void do_create(struct domain *domain)
{
    (void)domain;
    make(&(struct domain){0}, "new");
}

static void do_rename(struct domain *domain)
{
    assert_int_equal(domain_rename(domain, "new", NULL), 0);
}

static void do_write(struct domain *domain)
{
    struct domain_state state = {.status = DOMAIN_EXITED, .finished = 1, .end = {.status = 7, .reason = "x"}};
    assert_int_equal(domain_write_state(domain, &state, DOMAIN_EVENT_EXIT, NULL), 0);
}

static void do_remove(struct domain *domain)
{
    assert_int_equal(domain_remove(domain, NULL), 0);
}

static bool is_there(const char *name)
{
    struct domain domain;
    bool found = domain_find(&domain, &store, name, NULL) == 0;
    if (found)
        domain_close(&domain);
    return found;
}

static bool new_is_there(void)
{
    return is_there("new");
}

static bool has_ended(void)
{
    struct domain domain;
    struct domain_state state;
    assert_int_equal(domain_find(&domain, &store, "old", NULL), 0);
    assert_int_equal(domain_read_state(&domain, &state, NULL), 0);
    domain_close(&domain);
    return state.end.status == 7;
}

static bool old_is_gone(void)
{
    return !is_there("old");
}

static void clear(void)
{
    static const char *const names[] = {"old", "new"};
    for (unsigned i = 0; i < 2; i++) {
        struct domain domain;
        if (domain_find(&domain, &store, names[i], NULL) == 0 && domain_lock(&domain, NULL) == 0)
            assert_int_equal(domain_remove(&domain, NULL), 0);
    }
}

/* What is told of has been done, whenever its writer dies; and what comes after that is told. */
static void test_nothing_is_told_that_was_not_done(void **state)
{
    static const struct {
        void (*what)(struct domain *domain);
        bool (*is_done)(void);
        const char *told;
    } rows[] = {{do_create, new_is_there, "create new"},
                {do_rename, new_is_there, "rename new"},
                {do_write, has_ended, "exit old"},
                {do_remove, old_is_gone, "remove old"}};
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int status = 1;
        unsigned without = 0, step = 0;
        for (; status; step++) {
            struct domain domain;
            make(&domain, "old");
            struct domain_events *events = reader_open(true);
            pid_t child = fork();
            if (!child) {
                struct domain own;
                assert_int_equal(domain_store_reopen(&store, NULL), 0);
                assert_int_equal(domain_find(&own, &store, "old", NULL), 0);
                assert_int_equal(domain_lock(&own, NULL), 0);
                store.step = die_at_step;
                steps_left = step;
                rows[i].what(&own);
                _exit(0);
            }
            assert_int_equal(waitpid(child, &status, 0), child);
            const char *told = next(events, "name");
            if (*told) {
                assert_string_equal(told, rows[i].told);
                assert_true(rows[i].is_done());
            }
            without += !*told;
            clear();
            while (*(told = next(events, "name")))
                assert_int_equal(strncmp(told, "remove", 6), 0);
            domain_close(&domain);
            domain_events_close(events);
        }
        assert_true(without > 0 && step > without); /* some died before, and some after that */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_change_has_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_name_is_that_of_now, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_and_foreign_lines_are_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_survives_new_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writers_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_told_that_was_not_done, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
