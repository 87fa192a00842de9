/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Control groups on this host: limits that hold, freezing, killing, statistics. Needs to be root on a host
 * that lets cgroups be made, and skips what it cannot have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/cgroup_private.h"

#define MIB INT64_C(1048576)

static char base[64]; /* all of this test's cgroups are below it */

static void must(int result, const struct error *error)
{
    if (result < 0)
        fail_msg("%s (%d)", error->message, result);
}

static bool usable(void)
{
    struct cgroup_host_facts facts;
    struct cgroup *cgroup;
    struct cgroup_request request = {.id = "probe"};
    char path[96];
    snprintf(path, sizeof path, "%s/probe", base);
    request.path = path;
    if (cgroup_host(&facts, NULL) < 0 || facts.mode == CGROUP_NONE ||
        cgroup_create(&cgroup, &request, NULL, NULL) < 0)
        return false;
    bool present = cgroup_present(cgroup);
    cgroup_delete(cgroup, 1000, NULL);
    cgroup_close(cgroup);
    return present;
}

#define NEEDS_CGROUPS()                                                                                      \
    do {                                                                                                     \
        if (!usable()) {                                                                                     \
            print_message("no cgroups can be made here: skipped\n");                                         \
            skip();                                                                                          \
        }                                                                                                    \
    } while (0)

static bool has(const char *v1, const char *v2)
{
    struct cgroup_host_facts facts;
    assert_int_equal(cgroup_host(&facts, NULL), 0);
    return strstr(facts.v1_controllers, v1) || strstr(facts.v2_controllers, v2);
}

#define NEEDS(v1, v2)                                                                                        \
    do {                                                                                                     \
        NEEDS_CGROUPS();                                                                                     \
        if (!has(v1, v2)) {                                                                                  \
            print_message("this host has no controller " v1 ": skipped\n");                                  \
            skip();                                                                                          \
        }                                                                                                    \
    } while (0)

static struct cgroup *make(const char *name, const struct resources *resources, bool statistics)
{
    struct error error = ERROR_INIT;
    struct cgroup *cgroup;
    char path[96];
    snprintf(path, sizeof path, "%s/%s", base, name);
    struct cgroup_request request = {.id = name, .path = path, .statistics = statistics};
    must(cgroup_create(&cgroup, &request, resources, &error), &error);
    assert_true(cgroup_exists(cgroup));
    assert_string_equal(cgroup_path(cgroup), path);
    return cgroup;
}

static void end(struct cgroup *cgroup)
{
    struct error error = ERROR_INIT;
    must(cgroup_kill(cgroup, &error), &error);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
    must(cgroup_delete(cgroup, 5000, &error), &error);
    assert_false(cgroup_exists(cgroup));
    cgroup_close(cgroup);
}

/* As the runtime does: by clone into version 2, the rest by itself. */
static pid_t start(struct cgroup *cgroup, void (*run)(void *argument), void *argument)
{
    int directory = cgroup_directory(cgroup);
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    if (directory >= 0) {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)directory;
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    assert_true(pid >= 0);
    if (pid == 0) {
        struct error error = ERROR_INIT;
        if (cgroup_enter_self(cgroup, directory >= 0, &error) < 0) {
            error_report(&error);
            _exit(99);
        }
        run(argument);
        _exit(0);
    }
    cgroup_settle(cgroup);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void sleep_for_ever(void *argument)
{
    (void)argument;
    for (;;)
        pause();
}

/* Tells over the pipe that it is where it should be. */
static void tell_and_sleep(void *argument)
{
    if (write(*(int *)argument, "x", 1) != 1)
        _exit(98);
    sleep_for_ever(NULL);
}

static pid_t start_sleeper(struct cgroup *cgroup)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = start(cgroup, tell_and_sleep, &ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    return pid;
}

/* Writes down where it will be; `*opaque`: "" for one that must not get so far. */
static int note_path(void *opaque, const char *path, struct error *error)
{
    struct cgroup *cgroup;
    must(cgroup_open(&cgroup, path, NULL, error), error);
    assert_false(cgroup_exists(cgroup));
    cgroup_close(cgroup);
    snprintf(opaque, 96, "%s", path);
    return strstr(path, "refused") ? error_set(error, -ENOSPC, "no room to write it down") : 0;
}

static void test_located(void **state)
{
    (void)state;
    NEEDS_CGROUPS();
    struct error error = ERROR_INIT;
    struct cgroup *cgroup, *second;
    char path[96], noted[96] = "";
    snprintf(path, sizeof path, "%s/located", base);
    struct cgroup_request request = {.id = "x", .path = path, .located = note_path, .opaque = noted};
    must(cgroup_create(&cgroup, &request, NULL, &error), &error);
    assert_string_equal(noted, path);
    start_sleeper(cgroup);
    noted[0] = '\0';
    assert_int_equal(cgroup_create(&second, &request, NULL, &error), -EBUSY);
    assert_string_equal(noted, ""); /* it is another's: whoever wrote it down would remove that */
    end(cgroup);
    snprintf(path, sizeof path, "%s/refused", base);
    assert_int_equal(cgroup_create(&second, &request, NULL, &error), -ENOSPC);
    must(cgroup_open(&cgroup, path, NULL, &error), &error);
    assert_false(cgroup_exists(cgroup));
    cgroup_close(cgroup);
}

static void test_place(void **state)
{
    (void)state;
    NEEDS_CGROUPS();
    struct error error = ERROR_INIT;
    struct cgroup *cgroup = make("place", NULL, false), *again;
    pid_t pid = start_sleeper(cgroup), *pids;
    size_t count;
    must(cgroup_processes(cgroup, &pids, &count, &error), &error);
    assert_int_equal(count, 1);
    assert_int_equal(pids[0], pid);
    free(pids);

    const struct cgroup_hierarchy *hierarchies;
    struct cgroup_host_facts facts;
    must(cgroup_host(&facts, &error), &error);
    assert_int_equal(cgroup_mode(cgroup), facts.mode);
    assert_true(cgroup_hierarchies(cgroup, &hierarchies) >= 1);
    assert_string_equal(hierarchies[0].directory, cgroup_path(cgroup));

    /* a second container of that name is refused, and harms nothing */
    struct cgroup_request request = {.id = "x", .path = cgroup_path(cgroup)};
    assert_int_equal(cgroup_create(&again, &request, NULL, &error), -EBUSY);
    assert_non_null(strstr(error.message, "has processes in it"));
    must(cgroup_open(&again, cgroup_path(cgroup), NULL, &error), &error);
    assert_true(cgroup_exists(again));
    assert_int_equal(cgroup_delete(again, 0, &error), -EBUSY);
    cgroup_close(again);
    assert_int_equal(kill(pid, 0), 0);
    end(cgroup);
    must(cgroup_open(&again, request.path ? "/visor-test-gone/x" : "", NULL, &error), &error);
    assert_false(cgroup_exists(again));
    must(cgroup_delete(again, 0, &error), &error);
    cgroup_close(again);
}

static void test_pids(void **state)
{
    (void)state;
    NEEDS("pids", "pids");
    struct resources resources = {.pids = {true, 8}};
    struct cgroup *cgroup = make("bomb", &resources, false);
    pid_t pid = start_sleeper(cgroup);
    kill(pid, SIGKILL);
    wait_for(pid);

    /* every process makes as many as it gets */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        if (cgroup_enter_self(cgroup, false, NULL) < 0)
            _exit(97);
        for (unsigned i = 0; i < 200; i++)
            if (fork() < 0) {
                bool limited = errno == EAGAIN;
                if (write(ends[1], limited ? "y" : "n", 1) == 1)
                    sleep_for_ever(NULL);
            }
        sleep_for_ever(NULL);
    }
    char answers[8];
    size_t told = 0;
    while (told < sizeof answers) {
        ssize_t got = read(ends[0], answers + told, sizeof answers - told);
        assert_true(got > 0);
        told += (size_t)got;
    }
    for (size_t i = 0; i < sizeof answers; i++)
        assert_int_equal(answers[i], 'y');
    struct cgroup_statistics statistics;
    struct error error = ERROR_INIT;
    must(cgroup_statistics(cgroup, &statistics, &error), &error);
    assert_true(statistics.pids.current.known);
    assert_int_equal(statistics.pids.current.value, 8);
    assert_int_equal(statistics.pids.limit.value, 8);
    assert_true(statistics.pids.limit_hits.value > 0);
    close(ends[0]);
    close(ends[1]);
    end(cgroup);
}

static void eat(void *argument)
{
    (void)argument;
    for (;;) {
        char *bytes = mmap(NULL, (size_t)MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes == MAP_FAILED)
            _exit(96);
        memset(bytes, 1, (size_t)MIB);
    }
}

/* One death is told more than once, the last time some milliseconds later. */
static bool falls_silent(struct pollfd *poller)
{
    for (unsigned i = 0; i < 20; i++) {
        cgroup_oom_rearm(poller->fd);
        if (poll(poller, 1, 100) == 0)
            return true;
    }
    return false;
}

static void test_memory(void **state)
{
    (void)state;
    NEEDS("memory", "memory");
    struct resources resources = {.memory = {.limit = {true, 32 * MIB}}};
    struct cgroup *cgroup = make("hog", &resources, false);
    struct error error = ERROR_INIT;
    uint64_t kills;
    int watch = cgroup_oom_watch(cgroup, &error);
    must(watch, &error);
    must(cgroup_oom_kills(cgroup, &kills, &error), &error);
    assert_int_equal(kills, 0);
    struct pollfd poller = {.fd = watch, .events = POLLIN};
    assert_int_equal(poll(&poller, 1, 0), 0);

    pid_t bystander = start_sleeper(cgroup), pid = start(cgroup, eat, NULL);
    int status = wait_for(pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_equal(poll(&poller, 1, 10000), 1);
    must(cgroup_oom_kills(cgroup, &kills, &error), &error);
    assert_true(kills >= 1);
    assert_int_equal(kill(bystander, 0), 0);
    assert_true(falls_silent(&poller));
    close(watch);

    struct cgroup_statistics statistics;
    must(cgroup_statistics(cgroup, &statistics, &error), &error);
    assert_int_equal(statistics.memory.limit.value, 32 * MIB);
    assert_true(statistics.memory.peak.known);
    assert_true(statistics.memory.peak.value <= (uint64_t)(32 * MIB));
    assert_true(statistics.memory.peak.value > (uint64_t)(24 * MIB));
    assert_true(statistics.memory.oom_kills.value >= 1);
    end(cgroup);
}

/* What was limited by nothing can be while it runs, and limits move both ways. */
static void test_update(void **state)
{
    (void)state;
    NEEDS("memory", "memory");
    struct cgroup *cgroup = make("update", NULL, false);
    struct error error = ERROR_INIT;
    struct cgroup_statistics statistics;
    pid_t pid = start_sleeper(cgroup);
    static const int64_t limits[] = {64 * MIB, 256 * MIB, 32 * MIB, -1, 128 * MIB};
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        struct resources resources = {.memory = {.limit = {true, limits[i]}}};
        must(cgroup_update(cgroup, &resources, &error), &error);
        must(cgroup_statistics(cgroup, &statistics, &error), &error);
        assert_int_equal(statistics.memory.limit.value, limits[i] < 0 ? UINT64_MAX : (uint64_t)limits[i]);
    }
    must(cgroup_kill(cgroup, &error), &error);
    wait_for(pid);
    pid = start(cgroup, eat, NULL); /* and who comes later is limited too */
    assert_int_equal(WTERMSIG(wait_for(pid)), SIGKILL);
    end(cgroup);
}

/* A process that was there before its cgroup of the controller is limited as well. */
static void test_update_moves(void **state)
{
    (void)state;
    NEEDS("pids", "pids");
    struct cgroup *cgroup = make("moves", NULL, false);
    struct error error = ERROR_INIT;
    struct cgroup_statistics statistics;
    start_sleeper(cgroup);
    start_sleeper(cgroup);
    struct resources resources = {.pids = {true, 2}};
    must(cgroup_update(cgroup, &resources, &error), &error);
    must(cgroup_statistics(cgroup, &statistics, &error), &error);
    assert_int_equal(statistics.pids.current.value, 2);
    assert_int_equal(statistics.pids.limit.value, 2);
    resources.pids.value = -1;
    must(cgroup_update(cgroup, &resources, &error), &error);
    must(cgroup_statistics(cgroup, &statistics, &error), &error);
    assert_true(statistics.pids.limit.value == UINT64_MAX);
    end(cgroup);
}

static void count_up(void *argument)
{
    volatile uint64_t *counter = argument;
    for (;;)
        ++*counter;
}

/* Of a process that is in a cgroup with a limit, with one below that: both count. Exit status 0: all is well.
 */
static void look_around(void *argument)
{
    struct cgroup_level levels[CGROUP_LEVELS_MAX];
    struct error error = ERROR_INIT;
    uint64_t limit, available, least = UINT64_MAX, left = UINT64_MAX;
    size_t count, limited = 0;
    (void)argument;
    if (cgroup_levels_open(levels, &count, &error) < 0)
        _exit(10);
    if (mmap(NULL, (size_t)(8 * MIB), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1,
             0) == MAP_FAILED)
        _exit(14);
    for (size_t i = 0; i < count; i++) {
        if (!cgroup_level_look(&levels[i], &limit, &available))
            continue;
        limited++;
        least = limit < least ? limit : least;
        left = available < left ? available : left;
    }
    cgroup_levels_close(levels, count);
    _exit(!limited ? 11 : least != 64 * MIB ? 12 : left > 57 * MIB || left < 30 * (size_t)MIB ? 13 : 0);
}

static void test_levels(void **state)
{
    (void)state;
    NEEDS_CGROUPS();
    struct resources resources = {.memory.limit = {true, 64 * MIB}};
    struct error error = ERROR_INIT;
    struct cgroup *cgroup;
    char path[96];
    snprintf(path, sizeof path, "%s/levels", base);
    struct cgroup_request request = {.id = "levels", .path = path};
    if (cgroup_create(&cgroup, &request, &resources, &error) == -ENOTSUP)
        skip();
    must(error.code, &error);
    int status;
    pid_t pid = start(cgroup, look_around, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    end(cgroup);
}

static void test_freeze(void **state)
{
    (void)state;
    NEEDS_CGROUPS();
    struct cgroup *cgroup = make("freeze", NULL, true); /* counts time in version 1 too */
    struct error error = ERROR_INIT;
    volatile uint64_t *counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal((void *)counter, MAP_FAILED);
    start(cgroup, count_up, (void *)counter);
    while (*counter == 0)
        usleep(1000);
    assert_int_equal(cgroup_frozen(cgroup, &error), 0);
    must(cgroup_freeze(cgroup, true, &error), &error);
    assert_int_equal(cgroup_frozen(cgroup, &error), 1);
    uint64_t before = *counter;
    usleep(20000);
    assert_int_equal(*counter, before);
    must(cgroup_freeze(cgroup, false, &error), &error);
    assert_int_equal(cgroup_frozen(cgroup, &error), 0);
    while (*counter == before)
        usleep(1000);

    struct cgroup_statistics statistics;
    must(cgroup_statistics(cgroup, &statistics, &error), &error);
    assert_true(statistics.cpu.usage.known && statistics.cpu.usage.value > 0);
    bool pressure = cgroup_directory(cgroup) >= 0 && access("/proc/pressure/cpu", R_OK) == 0;
    for (unsigned i = 0; i < CGROUP_PRESSURES; i++)
        assert_int_equal(statistics.pressure[i].some.known, pressure);

    must(cgroup_freeze(cgroup, true, &error), &error);
    end(cgroup); /* frozen ones are killed too */
    munmap((void *)counter, 4096);
}

static void make_below(void *argument)
{
    char path[128];
    int *tell = argument;
    snprintf(path, sizeof path, "/proc/self/fd/%d/inner", tell[0]);
    if (mkdir(path, 0755) < 0)
        _exit(95);
    strcat(path, "/cgroup.procs");
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, "0", 1) != 1)
        _exit(94);
    tell_and_sleep(&tell[1]);
}

/* What a container has made inside is listed, killed and removed with it. */
static void test_nested(void **state)
{
    (void)state;
    NEEDS_CGROUPS();
    struct cgroup *cgroup = make("nested", NULL, false);
    struct error error = ERROR_INIT;
    int ends[2], tell[2];
    char byte;
    if (cgroup_directory(cgroup) < 0) {
        end(cgroup);
        print_message("no cgroup version 2: skipped\n");
        skip();
    }
    assert_int_equal(pipe(ends), 0);
    tell[0] = cgroup_directory(cgroup);
    tell[1] = ends[1];
    pid_t pid = start(cgroup, make_below, tell), *pids;
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    size_t count;
    must(cgroup_processes(cgroup, &pids, &count, &error), &error);
    assert_int_equal(count, 1);
    assert_int_equal(pids[0], pid);
    free(pids);
    must(cgroup_follow(cgroup, pid, &error),
         &error); /* where it is, whatever it has made of its own cgroup */
    char link[64], target[256];
    snprintf(link, sizeof link, "/proc/self/fd/%d", cgroup_directory(cgroup));
    ssize_t length = readlink(link, target, sizeof target - 1);
    assert_true(length > 0);
    target[length] = '\0';
    assert_non_null(strstr(target, "/nested/inner"));
    pid_t joined = start_sleeper(cgroup);
    must(cgroup_follow(cgroup, getpid(), &error), &error); /* not of the domain */
    assert_int_not_equal(cgroup_directory(cgroup), -1);
    must(cgroup_signal(cgroup, SIGTERM, &error), &error);
    assert_int_equal(WTERMSIG(wait_for(joined)), SIGTERM);
    assert_int_equal(WTERMSIG(wait_for(pid)), SIGTERM);
    end(cgroup);
}

static void open_devices(void *argument)
{
    const char *folder = argument;
    char path[128];
    int code = 0;
    snprintf(path, sizeof path, "%s/zero", folder);
    code |= open(path, O_RDONLY | O_CLOEXEC) >= 0 ? 1 : 0;
    code |= open(path, O_WRONLY | O_CLOEXEC) >= 0 ? 2 : 0;
    snprintf(path, sizeof path, "%s/full", folder);
    code |= open(path, O_RDONLY | O_CLOEXEC) >= 0 ? 4 : 0;
    code |= open(path, O_RDWR | O_CLOEXEC) >= 0 ? 8 : 0;
    snprintf(path, sizeof path, "%s/new", folder);
    if (mknod(path, S_IFCHR | 0600, makedev(1, 5)) == 0) {
        code |= 16;
        unlink(path);
    }
    _exit(code);
}

/* As cgroup_update() does, or by the program of version 2 wherever there is version 2. */
static void set_rules(struct cgroup *cgroup, bool program, const struct resources *resources)
{
    struct error error = ERROR_INIT;
    if (program)
        must(cgroup_bpf_attach(cgroup_directory(cgroup), resources->devices, resources->device_count, &error),
             &error);
    else
        must(cgroup_update(cgroup, resources, &error), &error);
}

static void check_devices(bool program)
{
    NEEDS_CGROUPS();
    if (geteuid() != 0) {
        print_message("rules of devices take root: skipped\n");
        skip();
    }
    char folder[] = "/tmp/visor-test-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/zero", folder);
    bool made = mknod(path, S_IFCHR | 0600, makedev(1, 5)) == 0;
    snprintf(path, sizeof path, "%s/full", folder);
    made = made && mknod(path, S_IFCHR | 0600, makedev(1, 7)) == 0;
    if (made) {
        const unsigned read_ = RESOURCE_DEVICE_READ, all = 7;
        struct resource_device_rule rules[] = {
            {false, 'a', -1, -1, all}, {true, 'c', 1, 5, read_}, {true, 'c', 1, 7, all}};
        struct resources resources = {.devices = rules, .device_count = 3, .devices_set = true};
        struct cgroup *cgroup = make("devices", program ? NULL : &resources, false);
        if (program)
            set_rules(cgroup, true, &resources);
        assert_int_equal(WEXITSTATUS(wait_for(start(cgroup, open_devices, folder))), 1 | 4 | 8);
        rules[1].access = all;
        resources.device_count = 2;
        set_rules(cgroup, program, &resources);
        assert_int_equal(WEXITSTATUS(wait_for(start(cgroup, open_devices, folder))), 1 | 2 | 16);
        /* a part of what is allowed is denied, which version 1 alone cannot do */
        struct resource_device_rule part[] = {
            {false, 'a', -1, -1, all}, {true, 'c', 1, -1, all}, {false, 'c', 1, 5, read_}};
        struct resources parts = {.devices = part, .device_count = 3, .devices_set = true};
        if (cgroup_directory(cgroup) >= 0) {
            set_rules(cgroup, program, &parts);
            assert_int_equal(WEXITSTATUS(wait_for(start(cgroup, open_devices, folder))), 2 | 4 | 8 | 16);
        }
        rules[0].allow = true;
        rules[1] = (struct resource_device_rule){false, 'c', 1, 7, RESOURCE_DEVICE_WRITE};
        set_rules(cgroup, program, &resources);
        assert_int_equal(WEXITSTATUS(wait_for(start(cgroup, open_devices, folder))), 1 | 2 | 4 | 16);
        end(cgroup);
    }
    unlink(path);
    snprintf(path, sizeof path, "%s/zero", folder);
    unlink(path);
    rmdir(folder);
    if (!made)
        skip();
}

static void test_devices(void **state)
{
    (void)state;
    check_devices(false);
}

static void test_device_program(void **state)
{
    (void)state;
    struct cgroup_host_facts facts;
    if (cgroup_host(&facts, NULL) < 0 || !facts.v2_mount[0]) {
        print_message("no cgroup version 2: skipped\n");
        skip();
    }
    check_devices(true);
}

/* Containers come and go side by side, and the first of them make what is above. */
static void test_side_by_side(void **state)
{
    (void)state;
    NEEDS("pids", "pids");
    enum { CHILDREN = 24, ROUNDS = 5 };
    pid_t children[CHILDREN];
    for (unsigned i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        for (unsigned round = 0; children[i] == 0 && round < ROUNDS; round++) {
            struct error error = ERROR_INIT;
            struct resources resources = {.pids = {true, 5}};
            struct cgroup *cgroup;
            char path[96];
            snprintf(path, sizeof path, "%s/side/%u/%u", base, i % 3, i);
            struct cgroup_request request = {.id = "x", .path = path};
            if (cgroup_create(&cgroup, &request, &resources, &error) < 0) {
                error_report(&error);
                _exit(1);
            }
            pid_t pid = start_sleeper(cgroup);
            if (cgroup_kill(cgroup, &error) < 0 || waitpid(pid, NULL, 0) != pid ||
                cgroup_delete(cgroup, 10000, &error) < 0) {
                error_report(&error);
                _exit(2);
            }
            cgroup_close(cgroup);
        }
        if (children[i] == 0)
            _exit(0);
    }
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_int_equal(wait_for(children[i]), 0);
}

static void test_failure_leaves_nothing(void **state)
{
    (void)state;
    NEEDS("cpuset", "cpuset");
    struct error error = ERROR_INIT;
    struct cgroup *cgroup;
    char path[96];
    snprintf(path, sizeof path, "%s/failure/inner", base);
    struct cgroup_request request = {.id = "x", .path = path};
    struct resources resources = {.pids = {true, 4}, .cpu = {.cpus = "4000"}};
    assert_true(cgroup_create(&cgroup, &request, &resources, &error) < 0);
    assert_non_null(strstr(error.message, "linux.resources.cpu.cpus"));
    snprintf(path, sizeof path, "%s/failure", base);
    must(cgroup_open(&cgroup, path, NULL, &error), &error);
    assert_false(cgroup_exists(cgroup));
    cgroup_close(cgroup);
}

static void test_cpu(void **state)
{
    (void)state;
    NEEDS("cpuset", "cpuset");
    struct resources resources = {.cpu = {.shares = {true, 512},
                                          .period = {true, 50000},
                                          .quota = {true, 20000},
                                          .burst = {true, 10000},
                                          .cpus = "0"}};
    struct cgroup *cgroup = make("cpu", &resources, false);
    struct error error = ERROR_INIT;
    cpu_set_t processors;
    pid_t pid = start_sleeper(cgroup);
    assert_int_equal(sched_getaffinity(pid, sizeof processors, &processors), 0);
    assert_int_equal(CPU_COUNT(&processors), 1);
    /* lower than the burst that is set; then longer */
    struct resources lower = {.cpu = {.quota = {true, 5000}, .burst = {true, 0}}};
    must(cgroup_update(cgroup, &lower, &error), &error);
    struct resources none = {.cpu = {.quota = {true, -1}, .period = {true, 100000}}};
    must(cgroup_update(cgroup, &none, &error), &error);
    end(cgroup);
}

/* Under systemd, host's or (for a user) the user's: a scope with the limits below it, gone when the container
 * is. */
static void test_scope(void **state)
{
    (void)state;
    struct cgroup_host_facts facts;
    struct error error = ERROR_INIT;
    if (cgroup_host(&facts, NULL) < 0 || !facts.systemd) {
        print_message("systemd is not this host's init: skipped\n");
        skip();
    }
    struct cgroup *cgroup, *scope;
    char path[64], part[64];
    snprintf(path, sizeof path, ":visor-test:%d", getpid());
    snprintf(part, sizeof part, "/visor-test-%d.scope/container", getpid());
    struct cgroup_request request = {.id = "x", .path = path, .systemd = true};
    struct resources resources = {.pids = {true, 5}};
    bool limited = geteuid() == 0 || facts.mode == CGROUP_V2; /* version 1 is not delegated */
    if (!limited)
        resources.pids.set = false;
    must(cgroup_create(&cgroup, &request, &resources, &error), &error);
    if (facts.mode == CGROUP_V1 && !cgroup_present(cgroup)) { /* a user */
        assert_null(cgroup_scope(cgroup));
        cgroup_close(cgroup);
        return;
    }
    assert_non_null(strstr(cgroup_path(cgroup), part));
    assert_non_null(cgroup_scope(cgroup));
    pid_t pid = start_sleeper(cgroup), *pids;
    size_t count;
    must(cgroup_processes(cgroup, &pids, &count, &error), &error);
    assert_int_equal(count, 1); /* what held the place has gone */
    assert_int_equal(pids[0], pid);
    free(pids);
    struct cgroup_statistics statistics;
    must(cgroup_statistics(cgroup, &statistics, &error), &error);
    assert_int_equal(statistics.pids.limit.value, limited ? 5 : 0);

    /* its name is taken */
    struct cgroup *second;
    assert_true(cgroup_create(&second, &request, &resources, &error) < 0);
    assert_non_null(strstr(error.message, "systemd does not start the scope"));

    char *above = strdup(cgroup_path(cgroup));
    *strrchr(above, '/') = '\0';
    end(cgroup);
    for (bool exists = true; exists;) { /* systemd takes its time */
        must(cgroup_open(&scope, above, NULL, &error), &error);
        exists = cgroup_exists(scope);
        cgroup_close(scope);
        usleep(10000);
    }
    free(above);
}

#define NOBODY 65534

/* A user that has been given `cgroup`, whose directory is `*argument`, and lives below it. 0: as it should
 * be. */
static void live_below(void *argument)
{
    int directory = *(int *)argument;
    struct cgroup_request request = {.id = "mine"};
    struct resources limits = {.pids = {true, 5}}, nothing = {0};
    struct error error = ERROR_INIT;
    struct cgroup *cgroup;
    struct cgroup_host_facts facts;
    if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
        mkdirat(directory, "inner", 0755) < 0)
        _exit(80);
    int procs = openat(directory, "inner/cgroup.procs", O_WRONLY);
    if (procs < 0 || write(procs, "0", 1) != 1)
        _exit(81);
    if (cgroup_create(&cgroup, &request, &nothing, &error) < 0 || !cgroup_exists(cgroup))
        _exit(82);
    if (!strstr(cgroup_path(cgroup), "/delegated/mine") || cgroup_delete(cgroup, 1000, &error) < 0)
        _exit(83);
    cgroup_close(cgroup);
    if (cgroup_host(&facts, NULL) < 0)
        _exit(84);
    int result = cgroup_create(&cgroup, &request, &limits, &error);
    if (facts.mode == CGROUP_HYBRID) /* the controller is in version 1, which cannot be delegated */
        _exit(result == -EACCES && strstr(error.hint, "version 1 cannot be delegated") ? 0 : 85);
    if (result < 0) {
        error_report(&error);
        _exit(86);
    }
    pid_t pid = start_sleeper(cgroup);
    struct cgroup_statistics statistics;
    bool right = cgroup_statistics(cgroup, &statistics, &error) == 0 && statistics.pids.limit.value == 5 &&
                 statistics.pids.current.value == 1 && cgroup_freeze(cgroup, true, &error) == 0 &&
                 cgroup_kill(cgroup, &error) == 0 && waitpid(pid, NULL, 0) == pid &&
                 cgroup_delete(cgroup, 1000, &error) == 0;
    cgroup_close(cgroup);
    _exit(right ? 0 : 87);
}

static void test_delegated(void **state)
{
    (void)state;
    NEEDS("pids", "pids");
    struct resources resources = {.pids = {true, 50}};
    struct cgroup *cgroup = make("delegated", &resources, false);
    struct error error = ERROR_INIT;
    int directory = cgroup_directory(cgroup);
    if (directory < 0) {
        end(cgroup);
        print_message("no cgroup version 2: skipped\n");
        skip();
    }
    must(cgroup_give(cgroup, NOBODY, &error), &error);
    assert_int_equal(wait_for(start(cgroup, live_below, &directory)), 0);
    end(cgroup);
}

/* Where nothing is delegated: without limits, or not at all. */
static void test_not_delegated(void **state)
{
    (void)state;
    NEEDS("pids", "pids");
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct cgroup_request request = {.id = "mine"},
                              absolute = {.id = "mine", .path = "/visor-test-absolute"};
        struct resources limits = {.pids = {true, 5}}, nothing = {0};
        struct error error = ERROR_INIT;
        struct cgroup *cgroup;
        pid_t *pids;
        size_t count;
        if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
            _exit(80);
        if (cgroup_create(&cgroup, &absolute, &nothing, &error) < 0 || cgroup_present(cgroup))
            _exit(81);
        cgroup_close(cgroup);
        if (cgroup_create(&cgroup, &request, &nothing, &error) < 0 || cgroup_present(cgroup))
            _exit(82);
        if (cgroup_path(cgroup) || cgroup_directory(cgroup) >= 0 ||
            cgroup_enter_self(cgroup, false, &error) < 0 || cgroup_enter(cgroup, getpid(), &error) < 0 ||
            cgroup_delete(cgroup, 0, &error) < 0)
            _exit(83);
        if (cgroup_kill(cgroup, &error) != -ENOTSUP || cgroup_freeze(cgroup, true, &error) != -ENOTSUP ||
            cgroup_processes(cgroup, &pids, &count, &error) != -ENOTSUP ||
            cgroup_update(cgroup, &limits, &error) != -ENOTSUP)
            _exit(84);
        cgroup_close(cgroup);
        if (cgroup_create(&cgroup, &request, &limits, &error) != -EPERM || !error.hint[0] ||
            !strstr(error.message, "linux.resources.pids.limit"))
            _exit(85);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* What a test that failed has left must not be waited for by the next one. */
static int tear_down(void **state)
{
    struct cgroup *cgroup;
    (void)state;
    if (cgroup_open(&cgroup, base, NULL, NULL) == 0) {
        cgroup_kill(cgroup, NULL);
        while (waitpid(-1, NULL, 0) > 0)
            continue;
        cgroup_delete(cgroup, 5000, NULL);
        cgroup_close(cgroup);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_place, tear_down),
        cmocka_unit_test_teardown(test_located, tear_down),
        cmocka_unit_test_teardown(test_pids, tear_down),
        cmocka_unit_test_teardown(test_memory, tear_down),
        cmocka_unit_test_teardown(test_update, tear_down),
        cmocka_unit_test_teardown(test_update_moves, tear_down),
        cmocka_unit_test_teardown(test_levels, tear_down),
        cmocka_unit_test_teardown(test_freeze, tear_down),
        cmocka_unit_test_teardown(test_nested, tear_down),
        cmocka_unit_test_teardown(test_devices, tear_down),
        cmocka_unit_test_teardown(test_device_program, tear_down),
        cmocka_unit_test_teardown(test_cpu, tear_down),
        cmocka_unit_test_teardown(test_side_by_side, tear_down),
        cmocka_unit_test_teardown(test_failure_leaves_nothing, tear_down),
        cmocka_unit_test_teardown(test_scope, tear_down),
        cmocka_unit_test_teardown(test_delegated, tear_down),
        cmocka_unit_test_teardown(test_not_delegated, tear_down),
    };
    snprintf(base, sizeof base, "/visor-test-%d", getpid());
    return cmocka_run_group_tests(tests, NULL, NULL);
}
