/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What limits cost when a container starts: the way that visor goes beside the plain one, in turns. Run as
 * root:
 *
 *     ninja -C build tests/bench_container_limits && build/tests/bench_container_limits [PROFILE.json]
 *
 * Cgroups: "plain" makes a directory for every controller and has the process moved from outside, as runtimes
 * do that know nothing of the container to come. Filters: "plain" is libseccomp each time; PROFILE is a
 * linux.seccomp, or else visor's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "personality/container/cgroup.h"
#include "personality/container/seccomp.h"

#define ROUNDS 21
#define REST                                                                                                 \
    60000 /* microseconds: containers do not start in a row, which would spare the second a grace period */

/* Milliseconds. Cgroups are waited for; filters are work, which other programs on the host would lengthen. */
static double now(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double values[ROUNDS])
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static void must(int result, const struct error *error)
{
    if (result < 0) {
        error_report(error);
        exit(1);
    }
}

static void report(const char *what, double plain[ROUNDS], double visor[ROUNDS])
{
    double a = median(plain), b = median(visor);
    printf("%-34s %9.3f ms %9.3f ms %8.3f\n", what, a, b, b / a);
}

/* From nothing to a process in the cgroups, and back. */
static double life(const struct resources *resources, bool plain)
{
    struct error error = ERROR_INIT;
    struct cgroup_request request = {.id = "bench", .path = "/visor-bench/x", .statistics = plain};
    struct cgroup *cgroup;
    usleep(REST);
    double start = now(CLOCK_MONOTONIC);
    must(cgroup_create(&cgroup, &request, resources, &error), &error);
    int directory = plain ? -1 : cgroup_directory(cgroup);
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    if (directory >= 0) {
        arguments.flags = CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)directory;
    }
    int hold[2];
    char byte;
    if (pipe2(hold, O_CLOEXEC) < 0)
        exit(1);
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) {
        close(hold[1]);
        if (!plain && cgroup_enter_self(cgroup, directory >= 0, NULL) < 0)
            _exit(1);
        _exit(read(hold[0], &byte, 1) != 0);
    }
    if (plain)
        must(cgroup_enter(cgroup, pid, &error), &error);
    close(hold[0]);
    close(hold[1]);
    waitpid(pid, NULL, 0);
    must(cgroup_delete(cgroup, 5000, &error), &error);
    cgroup_close(cgroup);
    return now(CLOCK_MONOTONIC) - start;
}

static void compare_lives(const char *what, const struct resources *resources)
{
    /* a limit of each controller has its directory made */
    struct resource_device_rule rule = {false, 'a', -1, -1, 7};
    struct resources all = *resources;
    all.cpu.shares = (struct resource_number){true, 1024};
    all.cpu.cpus = "0";
    all.devices = &rule;
    all.device_count = 1;
    double plain[ROUNDS], visor[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        plain[i] = life(&all, true);
        visor[i] = life(resources, false);
    }
    report(what, plain, visor);
}

static double make_filter(const struct seccomp_profile *profile, const char *cache)
{
    struct error error = ERROR_INIT;
    struct seccomp_filter filter;
    double start = now(CLOCK_PROCESS_CPUTIME_ID);
    must(seccomp_filter_compile(&filter, profile, cache, &error), &error);
    double time = now(CLOCK_PROCESS_CPUTIME_ID) - start;
    seccomp_filter_free(&filter);
    return time;
}

static void compare_filters(const char *file)
{
    struct error error = ERROR_INIT;
    struct seccomp_profile profile;
    char cache[] = "/tmp/visor-bench-XXXXXX", command[64];
    json_t *document = file ? json_load_file(file, 0, NULL) : NULL;
    double plain[ROUNDS], visor[ROUNDS];
    must(document ? seccomp_profile_parse(&profile, document, "linux.seccomp", &error)
                  : seccomp_profile_default(&profile, 0, &error),
         &error);
    if (!mkdtemp(cache))
        exit(1);
    make_filter(&profile, cache);
    for (unsigned i = 0; i < ROUNDS; i++) {
        plain[i] = make_filter(&profile, NULL);
        visor[i] = make_filter(&profile, cache);
    }
    report(file ? "filter of the profile" : "filter of visor's own profile", plain, visor);
    snprintf(command, sizeof command, "rm -r %s", cache);
    if (system(command) != 0)
        exit(1);
    seccomp_profile_free(&profile);
    json_decref(document);
}

int main(int argc, char **argv)
{
    struct resources nothing = {0},
                     usual = {.pids = {true, 2048}, .memory = {.limit = {true, INT64_C(1) << 28}}};
    printf("%-34s %12s %12s %8s\n", "", "plain", "visor", "ratio");
    compare_lives("cgroups without limits", &nothing);
    compare_lives("cgroups, memory and pids limited", &usual);
    compare_filters(argc > 1 ? argv[1] : NULL);
    return 0;
}
