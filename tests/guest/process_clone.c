/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clone3 with all of its fields, and namespaces by clone, unshare and setns. Skips what the user may not do.
 */
#include "io_check.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static char stack[65536] __attribute__((aligned(64)));
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;

static long clone3(struct clone_args *arguments, size_t size)
{
    return syscall(SYS_clone3, arguments, size);
}

static int status_of(pid_t child)
{
    int status;
    CHECK(waitpid(child, &status, __WALL) == child);
    return status;
}

static bool exited(int status, int code)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

/* -- clone3 ------------------------------------------------------------------------------------------------
 */

static void test_refusals(void)
{
    struct {
        struct clone_args known;
        uint64_t more[32];
    } big = {.known = {.exit_signal = SIGCHLD}};
    struct clone_args *a = &big.known;

    CHECK_ERROR(clone3(a, 63), EINVAL);
    CHECK_ERROR(clone3(a, 4097), E2BIG);
    CHECK_ERROR(clone3((void *)bad_pointer, sizeof *a), EFAULT);
    big.more[31] = 1;
    CHECK_ERROR(clone3(a, sizeof big), E2BIG);
    *a = (struct clone_args){.flags = SIGCHLD};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.exit_signal = 65};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.stack = (uintptr_t)stack};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.stack_size = sizeof stack};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.flags = CLONE_DETACHED};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, .exit_signal = SIGCHLD};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.set_tid = (uintptr_t)stack, .set_tid_size = 0};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.set_tid = (uintptr_t)stack, .set_tid_size = 33};
    CHECK_ERROR(clone3(a, sizeof *a), EINVAL);
    *a = (struct clone_args){.flags = CLONE_INTO_CGROUP, .cgroup = 1 << 20};
    CHECK_ERROR(clone3(a, sizeof *a), EBADF);
}

static void handler(int signal)
{
    (void)signal;
}

static void test_fork(void)
{
    struct sigaction action;
    int *pidfd = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t *tids = (pid_t *)pidfd + 1;
    struct {
        struct clone_args known;
        uint64_t more[4]; /* zero: allowed */
    } a = {.known = {.flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CLEAR_SIGHAND,
                     .pidfd = (uintptr_t)pidfd,
                     .parent_tid = (uintptr_t)&tids[0],
                     .child_tid = (uintptr_t)&tids[1],
                     .exit_signal = SIGUSR1}};

    signal(SIGUSR1, handler);
    signal(SIGUSR2, handler);
    signal(SIGHUP, SIG_IGN);
    pid_t child = (pid_t)clone3(&a.known, sizeof a);
    if (child == 0) {
        bool cleared = sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL;
        bool kept = sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
        _exit(cleared && kept && tids[1] == getpid() ? 11 : 12);
    }
    siginfo_t info;
    CHECK(child > 0 && waitid(P_PIDFD, (id_t)*pidfd, &info, WEXITED | __WALL) == 0 && info.si_status == 11);
    CHECK(tids[0] == child && tids[1] == child && close(*pidfd) == 0);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == handler);
    signal(SIGHUP, SIG_DFL);
    munmap(pidfd, 4096);
}

static void test_ids(void)
{
    pid_t wanted = 300 + getpid() % 20000;
    struct clone_args a = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1};
    pid_t child = (pid_t)clone3(&a, sizeof a);
    if (child == 0)
        _exit(getpid() == wanted ? 0 : 1);
    if (child < 0)
        CHECK(errno == EPERM || errno == EEXIST);
    else
        CHECK(child == wanted && exited(status_of(child), 0));
}

/* The child calls run() on the stack given in the arguments. */
static long clone3_call(struct clone_args *arguments, void (*run)(void))
{
#ifdef __aarch64__
    register long x0 __asm__("x0") = (long)arguments;
    register long x1 __asm__("x1") = sizeof *arguments;
    register long x8 __asm__("x8") = SYS_clone3;
    register void (*x9)(void) __asm__("x9") = run;
    __asm__ volatile("svc 0\n cbnz x0, 1f\n mov x29, xzr\n blr x9\n 1:"
                     : "+r"(x0)
                     : "r"(x1), "r"(x8), "r"(x9)
                     : "memory");
    return x0;
#else
    long result = SYS_clone3;
    register void (*r9)(void) __asm__("r9") = run;
    __asm__ volatile("syscall\n test %0, %0\n jnz 1f\n xor %%ebp, %%ebp\n call *%%r9\n 1:"
                     : "+a"(result)
                     : "D"(arguments), "S"(sizeof *arguments), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#endif
}

static volatile int seen;

static void look_at_handlers(void)
{
    struct sigaction action;
    seen = sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL ? 2 : 1;
    _exit(0);
}

static void test_vfork(void)
{
    struct clone_args a = {.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND,
                           .exit_signal = SIGCHLD,
                           .stack = (uintptr_t)stack,
                           .stack_size = sizeof stack};
    pid_t child = (pid_t)clone3_call(&a, look_at_handlers);
    CHECK(child > 0 && seen == 2 && exited(status_of(child), 0));
    struct sigaction action;
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == handler);
}

/* -- forks of a program with threads: the child must find nothing locked --------------------------------- */

static volatile int stop;

static void *make_noise(void *unused)
{
    while (!stop) {
        pthread_mutex_lock(&busy);
        void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(p, 65536);
        pthread_mutex_unlock(&busy);
        char text[64];
        int fd = open("/proc/self/maps", O_RDONLY);
        while (read(fd, text, sizeof text) > 0)
            continue;
        close(fd);
    }
    return unused;
}

static void *nothing(void *unused)
{
    return unused;
}

static void test_threaded_forks(void)
{
    const uint64_t flags[] = {0, CLONE_NEWUTS, CLONE_PARENT_SETTID, CLONE_VFORK, CLONE_FS, CLONE_FILES};
    pthread_t threads[3], inner;
    pid_t tid;

    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&threads[i], NULL, make_noise, NULL) == 0);
    for (int i = 0; i < 120; i++) {
        struct clone_args a = {.flags = flags[i % 6], .exit_signal = SIGCHLD, .parent_tid = (uintptr_t)&tid};
        pthread_mutex_lock(&busy);
        pid_t child = (pid_t)clone3(&a, sizeof a);
        pthread_mutex_unlock(&busy);
        if (child == 0) {
            void *p =
                mmap(NULL, 65536, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            bool good = p != MAP_FAILED && pthread_create(&inner, NULL, nothing, NULL) == 0;
            good = good && pthread_join(inner, NULL) == 0;
            _exit(good ? 0 : 1);
        }
        if (child < 0)
            CHECK(errno == EPERM);
        else
            CHECK(exited(status_of(child), 0));
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* -- namespaces --------------------------------------------------------------------------------------------
 */

static const struct {
    uint64_t flag;
    const char *file;
} namespaces[] = {
    {CLONE_NEWNS, "mnt"},        {CLONE_NEWUTS, "uts"}, {CLONE_NEWIPC, "ipc"},
    {CLONE_NEWUSER, "user"},     {CLONE_NEWNET, "net"}, {CLONE_NEWPID, "pid_for_children"},
    {CLONE_NEWCGROUP, "cgroup"},
};

static ino_t namespace_of(const char *file)
{
    char path[64];
    struct stat status;
    snprintf(path, sizeof path, "/proc/thread-self/ns/%s", file);
    return stat(path, &status) < 0 ? 0 : status.st_ino;
}

/* Each by clone, alone in a new user namespace, and by unshare. */
static void test_namespaces(void)
{
    for (unsigned i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
        for (int by_clone = 0; by_clone < 2; by_clone++) {
            uint64_t flags = namespaces[i].flag | CLONE_NEWUSER;
            ino_t before = namespace_of(namespaces[i].file);
            struct clone_args a = {.flags = by_clone ? flags : 0, .exit_signal = SIGCHLD};
            pid_t child = (pid_t)clone3(&a, sizeof a);
            if (child == 0) {
                if (!by_clone && unshare((int)flags) < 0)
                    _exit(errno == EPERM ? 77 : 1);
                if (by_clone && namespaces[i].flag == CLONE_NEWPID)
                    _exit(getpid() != 1);
                _exit(namespace_of(namespaces[i].file) == before ? 2 : 0);
            }
            if (child < 0) {
                CHECK(errno == EPERM || errno == ENOSPC);
                continue;
            }
            int status = status_of(child);
            CHECK(exited(status, 0) || exited(status, 77));
        }
    }
}

static void *thread_unshares(void *unused)
{
    CHECK_ERROR(unshare(CLONE_NEWUSER), EINVAL); /* not with more than one thread */
    return unused;
}

static void test_user_namespace_and_threads(void)
{
    pthread_t thread;
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 20; i++) {
            pthread_create(&thread, NULL, i ? nothing : thread_unshares, NULL);
            pthread_join(thread, NULL);
        }
        if (check_failures)
            _exit(1);
        /*
         * Now there is one. But the kernel clears the thread's id, which ends pthread_join(), some time
         * before the task leaves the process: if it is preempted in between, there are two yet, natively as
         * well.
         */
        int code = unshare(CLONE_NEWUSER);
        for (int i = 0; i < 5000 && code < 0 && errno == EINVAL; i++) {
            usleep(1000);
            code = unshare(CLONE_NEWUSER);
        }
        _exit(code == 0 || errno == EPERM || errno == ENOSPC ? 0 : 2);
    }
    CHECK(child > 0 && exited(status_of(child), 0));
}

/* Joins the UTS namespace of a child, by a pidfd and by a file. */
static void test_setns(void)
{
    int ready[2], done[2];
    char byte, name[64], path[64];
    struct utsname uts;

    CHECK(pipe(ready) == 0 && pipe(done) == 0);
    pid_t child = fork();
    if (child == 0) {
        byte = unshare(CLONE_NEWUTS) == 0 && sethostname("other", 5) == 0;
        if (write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) != 1)
            _exit(1);
        _exit(0);
    }
    CHECK(read(ready[0], &byte, 1) == 1);
    if (byte && gethostname(name, sizeof name) == 0) {
        snprintf(path, sizeof path, "/proc/%d/ns/uts", child);
        int own = open("/proc/self/ns/uts", O_RDONLY), other = open(path, O_RDONLY);
        CHECK(own >= 0 && other >= 0 && setns(other, CLONE_NEWUTS) == 0);
        CHECK(uname(&uts) == 0 && !strcmp(uts.nodename, "other"));
        CHECK(setns(own, CLONE_NEWUTS) == 0 && uname(&uts) == 0 && !strcmp(uts.nodename, name));
        int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
        CHECK(setns(pidfd, CLONE_NEWUTS) == 0 && uname(&uts) == 0 && !strcmp(uts.nodename, "other"));
        CHECK(setns(own, 0) == 0);
        CHECK_ERROR(setns(own, CLONE_NEWNET), EINVAL);
        close(own);
        close(other);
        close(pidfd);
    }
    CHECK(write(done[1], "", 1) == 1 && exited(status_of(child), 0));
}

int main(void)
{
    test_refusals();
    test_fork();
    test_ids();
    test_vfork();
    test_threaded_forks();
    test_namespaces();
    test_user_namespace_and_threads();
    test_setns();
    return check_done("process_clone");
}
