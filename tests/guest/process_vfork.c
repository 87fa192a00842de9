/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Processes that share memory: vfork, posix_spawn, clone(CLONE_VM), and what else clone() shares or not. */
#include "io_check.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define STACK (256 * 1024)

static char stack[STACK] __attribute__((aligned(64)));
static char second_stack[STACK] __attribute__((aligned(64)));
static volatile int seen, stop;
static _Atomic int ticks;

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

static void pause_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void nothing(int signal)
{
    (void)signal;
}

/* -- vfork -------------------------------------------------------------------------------------------------
 */

static void test_vfork(void)
{
    volatile int local = 1;
    pid_t child = vfork();
    if (child == 0) {
        local = 2;
        seen = 77;
        _exit(3);
    }
    CHECK(child > 0 && local == 2 && seen == 77);
    CHECK(exited(status_of(child), 3));
}

static void test_vfork_exec(void)
{
    for (int i = 0; i < 50; i++) {
        volatile int error = 0;
        pid_t child = vfork();
        if (child == 0) {
            execl("/nonexistent/program", "program", NULL);
            error = errno;
            _exit(127);
        }
        CHECK(error == ENOENT && exited(status_of(child), 127));
    }
}

static void test_vfork_killed(void)
{
    pid_t child = vfork();
    if (child == 0) {
        kill(getpid(), SIGKILL);
        _exit(0);
    }
    int status = status_of(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void test_own_state(void)
{
    struct sigaction action = {.sa_handler = nothing}, found;
    sigset_t usr1, mask;
    char before[4096], after[4096];

    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0 && getcwd(before, sizeof before));
    int fd = dup(0);
    pid_t child = vfork();
    if (child == 0) {
        signal(SIGUSR2, SIG_DFL);
        signal(SIGSEGV, SIG_IGN);
        sigprocmask(SIG_BLOCK, &usr1, NULL);
        int bad = chdir("/") || close(fd);
        _exit(bad);
    }
    CHECK(exited(status_of(child), 0));
    CHECK(sigaction(SIGUSR2, NULL, &found) == 0 && found.sa_handler == nothing);
    CHECK(sigaction(SIGSEGV, NULL, &found) == 0 && found.sa_handler == SIG_DFL);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &mask) == 0 && !sigismember(&mask, SIGUSR1));
    CHECK(getcwd(after, sizeof after) && !strcmp(before, after) && close(fd) == 0);
    signal(SIGUSR2, SIG_DFL);
}

static void *tick(void *unused)
{
    while (!stop)
        ticks++;
    return unused;
}

static void test_others_run(void)
{
    pthread_t thread;
    volatile int from = 0, to = 0;

    CHECK(pthread_create(&thread, NULL, tick, NULL) == 0);
    pid_t child = vfork();
    if (child == 0) {
        from = ticks;
        pause_ms(100);
        to = ticks;
        _exit(0);
    }
    CHECK(to > from && exited(status_of(child), 0));
    stop = 1;
    pthread_join(thread, NULL);
}

/* A signal to the suspended parent waits; the child's handler is its own. */
static void test_signals(void)
{
    struct sigaction action = {.sa_handler = nothing};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t parent = getpid();
    volatile int interrupted = 0;
    pid_t child = vfork();
    if (child == 0) {
        kill(parent, SIGUSR1);
        kill(getpid(), SIGUSR1);
        interrupted = 1;
        _exit(getppid() != parent);
    }
    int status = status_of(child);
    CHECK(interrupted && exited(status, 0));
}

/* -- libc's ways -------------------------------------------------------------------------------------------
 */

static void test_spawn(void)
{
    char *arguments[] = {"sh", "-c", "exit 5", NULL}, *environment[] = {NULL};
    pid_t child;

    CHECK(posix_spawn(&child, "/nonexistent/program", NULL, NULL, arguments, environment) == ENOENT);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);

    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    sigset_t set;
    sigfillset(&set);
    CHECK(posix_spawnattr_init(&attributes) == 0 && posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_RESETIDS) == 0);
    CHECK(posix_spawnattr_setsigdefault(&attributes, &set) == 0 &&
          posix_spawnattr_setpgroup(&attributes, 0) == 0);
    sigemptyset(&set);
    CHECK(posix_spawnattr_setsigmask(&attributes, &set) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 40, "/nonexistent", O_RDONLY, 0) == 0);
    CHECK(posix_spawn(&child, "/bin/sh", &actions, &attributes, arguments, environment) == ENOENT);
    posix_spawn_file_actions_destroy(&actions);
    CHECK(posix_spawn(&child, "/bin/sh", NULL, &attributes, arguments, environment) == 0);
    CHECK(exited(status_of(child), 5));
    posix_spawnattr_destroy(&attributes);

    CHECK(exited(system("exit 7"), 7));
    char line[32] = "";
    FILE *pipe = popen("echo text", "r");
    CHECK(pipe && fgets(line, sizeof line, pipe) && !strcmp(line, "text\n") && pclose(pipe) == 0);
}

/* -- clone -------------------------------------------------------------------------------------------------
 */

static int child_store(void *argument)
{
    *(volatile int *)argument = 42;
    return 0;
}

static int child_wait(void *argument)
{
    _Atomic int *word = argument;
    while (!*word)
        pause_ms(1);
    *word = 2;
    return 9;
}

static void test_vm(void)
{
    volatile int value = 0;
    _Atomic int word = 0;
    pid_t child = clone(child_store, stack + STACK, CLONE_VM | SIGCHLD, (void *)&value);
    CHECK(child > 0 && exited(status_of(child), 0) && value == 42);

    child = clone(child_wait, stack + STACK, CLONE_VM | SIGCHLD, &word); /* both run at once */
    CHECK(child > 0);
    word = 1;
    CHECK(exited(status_of(child), 9) && word == 2);
}

static int child_clear(void *argument)
{
    if (argument)
        pause();
    return 0;
}

static void await_zero(_Atomic pid_t *word, pid_t value)
{
    const struct timespec limit = {10, 0};
    while (*word)
        CHECK(syscall(SYS_futex, word, FUTEX_WAIT, value, &limit, NULL, 0) == 0 || errno == EAGAIN);
}

static void test_tids(void)
{
    static _Atomic pid_t parent_tid, child_tid;
    const int flags = CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;

    for (int i = 0; i < 2; i++) { /* by itself, then killed */
        child_tid = 1;
        pid_t child =
            clone(child_clear, stack + STACK, flags, i ? second_stack : NULL, &parent_tid, NULL, &child_tid);
        CHECK(child > 0 && parent_tid == child);
        if (i)
            kill(child, SIGKILL);
        await_zero(&child_tid, child);
        int status = status_of(child);
        CHECK(i ? WIFSIGNALED(status) : exited(status, 0));
    }
    pid_t child = clone(child_store, stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_CHILD_SETTID | SIGCHLD,
                        (void *)&seen, NULL, NULL, &child_tid);
    CHECK(child_tid == child && exited(status_of(child), 0));
}

static int child_files(void *argument)
{
    *(int *)argument = dup(0);
    return chdir("/proc") || signal(SIGUSR2, nothing) == SIG_ERR;
}

static void test_sharing(void)
{
    char path[4096], here[4096];
    int fd = -1;
    struct sigaction action;

    CHECK(getcwd(here, sizeof here));
    int flags = CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND;
    pid_t child = clone(child_files, stack + STACK, flags | SIGCHLD, &fd);
    CHECK(child > 0 && exited(status_of(child), 0));
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) >= 0 && close(fd) == 0);
    CHECK(getcwd(path, sizeof path) && !strcmp(path, "/proc") && chdir(here) == 0);
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == nothing);
    signal(SIGUSR2, SIG_DFL);

    child = clone(child_files, stack + STACK, CLONE_VM | SIGCHLD, &fd);
    CHECK(child > 0 && exited(status_of(child), 0));
    CHECK(fd >= 0 && fcntl(fd, F_GETFD) < 0 && getcwd(path, sizeof path) && !strcmp(path, here));
    CHECK(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL);

    /* Memory of its own, but the same descriptors. */
    int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child = clone(child_files, stack + STACK, CLONE_FILES | CLONE_FS | SIGCHLD, shared);
    CHECK(child > 0 && exited(status_of(child), 0));
    CHECK(fcntl(*shared, F_GETFD) >= 0 && close(*shared) == 0 && chdir(here) == 0);
    munmap(shared, 4096);
}

static int child_parent(void *argument)
{
    *(volatile pid_t *)argument = getppid();
    return 0;
}

static int child_sibling(void *argument)
{
    clone(child_parent, second_stack + STACK, CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, argument);
    return 0;
}

static int child_pause(void *argument)
{
    (void)argument;
    pause();
    return 0;
}

static void test_relations(void)
{
    volatile pid_t parent = 0;
    pid_t child = clone(child_sibling, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)&parent);
    CHECK(child > 0 && parent == getpid());
    CHECK(waitpid(-1, NULL, 0) > 0 && waitpid(-1, NULL, 0) > 0);

    int pidfd = -1;
    child = clone(child_pause, stack + STACK, CLONE_VM | CLONE_PIDFD | SIGCHLD, NULL, &pidfd);
    CHECK(child > 0 && pidfd >= 0 && fcntl(pidfd, F_GETFD) == FD_CLOEXEC);
    CHECK(syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) == 0);
    int status = status_of(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM && close(pidfd) == 0);
}

static void test_refusals(void)
{
    static const unsigned long bad[] = {
        CLONE_SIGHAND | SIGCHLD,
        CLONE_THREAD | CLONE_VM,
        CLONE_THREAD | CLONE_SIGHAND,
        CLONE_FS | CLONE_NEWNS | SIGCHLD,
        CLONE_FS | CLONE_NEWUSER | SIGCHLD,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWPID,
        CLONE_VM | CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD,
        CLONE_PIDFD | CLONE_DETACHED | SIGCHLD,
        CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD,
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        int word = 0;
        errno = 0;
        CHECK(clone(child_store, stack + STACK, (int)bad[i], (void *)&seen, &word) == -1 && errno == EINVAL);
    }
}

/* -- children that are killed anywhere ----------------------------------------------------------------------
 */

static int child_busy(void *argument)
{
    volatile unsigned sum = 0;
    (void)argument;
    for (unsigned i = 0;; i++) {
        void *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
        *(volatile unsigned *)page = i;
        __builtin___clear_cache(page, (char *)page + 64);
        munmap(page, 65536);
        sum += i;
    }
    return 0;
}

static void *kill_children(void *argument)
{
    _Atomic pid_t *child = argument;
    unsigned seed = 1;
    while (!stop) {
        if (*child > 0)
            kill(*child, SIGKILL);
        for (volatile unsigned i = 0; i < seed % 20000; i++)
            continue;
        seed = seed * 1103515245 + 12345;
    }
    return NULL;
}

static void test_killed_anywhere(void)
{
    static _Atomic pid_t current_child;
    pthread_t killer;
    const int flags[] = {CLONE_VM | CLONE_VFORK, CLONE_VM};

    stop = 0;
    CHECK(pthread_create(&killer, NULL, kill_children, &current_child) == 0);
    for (int i = 0; i < 400; i++) {
        pid_t child = clone(child_busy, stack + STACK, flags[i % 2] | CLONE_PARENT_SETTID | SIGCHLD, NULL,
                            &current_child);
        CHECK(child > 0);
        int status = status_of(child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        current_child = 0;
    }
    stop = 1;
    pthread_join(killer, NULL);
}

int main(void)
{
    test_vfork();
    test_vfork_exec();
    test_vfork_killed();
    test_own_state();
    test_others_run();
    test_signals();
    test_spawn();
    test_vm();
    test_tids();
    test_sharing();
    test_relations();
    test_refusals();
    test_killed_anywhere();
    return check_done("process_vfork");
}
