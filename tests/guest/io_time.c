/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Clocks, sleeping, timers, limits, resources, random numbers and other small facts of the system. */
#include "io_check.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <time.h>

static volatile sig_atomic_t ticks, last_value;

static void on_tick(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    ticks++;
    last_value = info->si_value.sival_int;
}

static double seconds(clockid_t clock)
{
    struct timespec t = {0};
    CHECK(clock_gettime(clock, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void test_clocks(void)
{
    struct timeval day;
    struct timespec t;
    double before = seconds(CLOCK_MONOTONIC), real = seconds(CLOCK_REALTIME);
    CHECK(gettimeofday(&day, NULL) == 0 && (double)day.tv_sec - real < 5 && (double)day.tv_sec - real > -5);
    CHECK(time(NULL) - day.tv_sec <= 1);
    for (int i = 0; i < 1000; i++) {
        double now = seconds(CLOCK_MONOTONIC);
        CHECK(now >= before);
        before = now;
    }
    CHECK(seconds(CLOCK_PROCESS_CPUTIME_ID) > 0 && seconds(CLOCK_THREAD_CPUTIME_ID) > 0);
    CHECK(seconds(CLOCK_BOOTTIME) > 0 && seconds(CLOCK_REALTIME_COARSE) > 0);
    CHECK(clock_getres(CLOCK_MONOTONIC, &t) == 0 && t.tv_sec == 0 && t.tv_nsec >= 1);
    CHECK_ERROR(syscall(SYS_clock_gettime, 77, &t), EINVAL);
    CHECK_ERROR(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, bad_pointer), EFAULT);
    clockid_t clock;
    CHECK(clock_getcpuclockid(getpid(), &clock) == 0 && seconds(clock) > 0);
    struct timex x = {0};
    CHECK(adjtimex(&x) >= 0 && x.tick > 0);
}

static void test_sleep(void)
{
    double before = seconds(CLOCK_MONOTONIC);
    struct timespec t = {0, 20000000}, left;
    CHECK(nanosleep(&t, NULL) == 0 && seconds(CLOCK_MONOTONIC) - before >= 0.02);
    CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    t.tv_sec++;
    t.tv_nsec = 0;
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
    CHECK(seconds(CLOCK_MONOTONIC) >= (double)t.tv_sec);
    t = (struct timespec){0, -1};
    CHECK_ERROR(nanosleep(&t, NULL), EINVAL);

    /* A handler ends a sleep, which says what is left. */
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {{0, 0}, {0, 30000}}, old;
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0 && getitimer(ITIMER_REAL, &old) == 0 &&
          old.it_value.tv_usec > 0);
    t = (struct timespec){30, 0};
    ticks = 0;
    CHECK_ERROR(nanosleep(&t, &left), EINTR);
    CHECK(ticks == 1 && left.tv_sec == 29 && left.tv_nsec > 0);
}

static void test_timers(void)
{
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO};
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = 91};
    struct itimerspec spec = {{0, 2000000}, {0, 1000000}}, now;
    timer_t timer;
    sigaction(SIGRTMIN + 1, &action, NULL);
    ticks = 0;
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &spec, NULL) == 0);
    CHECK(timer_gettime(timer, &now) == 0 && now.it_interval.tv_nsec == 2000000);
    /* Computing, not waiting: the signal must come in between. */
    for (volatile unsigned long i = 0; ticks < 5 && i < 4000000000ul; i++)
        ;
    CHECK(ticks >= 5 && last_value == 91 && timer_getoverrun(timer) >= 0 && timer_delete(timer) == 0);

    struct itimerval profile = {{0, 2000}, {0, 2000}}, stop = {{0, 0}, {0, 0}};
    sigaction(SIGPROF, &action, NULL);
    ticks = 0;
    CHECK(setitimer(ITIMER_PROF, &profile, NULL) == 0);
    for (volatile unsigned long i = 0; ticks < 2 && i < 4000000000ul; i++)
        ;
    CHECK(ticks >= 2 && setitimer(ITIMER_PROF, &stop, NULL) == 0);
}

static void test_resources(void)
{
    struct rlimit limit, old;
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0 && old.rlim_cur > 0);
    limit = (struct rlimit){20, old.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0 && prlimit(0, RLIMIT_NOFILE, NULL, &limit) == 0);
    CHECK(limit.rlim_cur == 20 && limit.rlim_max == old.rlim_max);
    CHECK_ERROR(dup2(0, 30), EBADF);
    int fds[32], count = 0;
    while (count < 32 && (fds[count] = dup(0)) >= 0)
        count++;
    CHECK(count < 20 && errno == EMFILE);
    while (count)
        close(fds[--count]);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);

    struct rusage usage;
    struct tms t;
    CHECK(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss > 0);
    CHECK(usage.ru_utime.tv_sec + usage.ru_utime.tv_usec > 0);
    CHECK(times(&t) != -1);
    struct sysinfo info;
    CHECK(sysinfo(&info) == 0 && info.totalram > 0 && info.mem_unit > 0 && info.procs > 0 && info.uptime > 0);
    unsigned cpu = 9999;
    CHECK(syscall(SYS_getcpu, &cpu, NULL, NULL) == 0 && cpu < 9999);
    CHECK(sysconf(_SC_PAGESIZE) == 4096);
}

static void test_random(void)
{
    unsigned char a[32] = {0}, b[32] = {0};
    CHECK(getrandom(a, sizeof a, 0) == sizeof a && getrandom(b, sizeof b, GRND_NONBLOCK) == sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0);
    CHECK_ERROR(getrandom(a, 1, 0x1000), EINVAL);
    CHECK(getentropy(a, sizeof a) == 0);
}

static void test_names(void)
{
    char name[32] = "";
    CHECK(prctl(PR_SET_NAME, "a new name") == 0 && prctl(PR_GET_NAME, name) == 0);
    CHECK(strcmp(name, "a new name") == 0);
    char host[128] = "";
    CHECK(gethostname(host, sizeof host) == 0 && host[0]);
    CHECK_ERROR(syscall(9999), ENOSYS);
    CHECK_ERROR(syscall(245), ENOSYS);
}

int main(void)
{
    test_clocks();
    test_sleep();
    test_timers();
    test_resources();
    test_random();
#ifdef __aarch64__
    test_names();
#else
    (void)test_names;
#endif
    return check_done("io_time");
}
