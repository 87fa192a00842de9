/* SPDX-License-Identifier: GPL-2.0-or-later */
/* execve: from any thread, of files without a name, of scripts; what it refuses; what survives it. */
#include "io_check.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static char *environment[] = {"MARK=here", NULL};

static bool exited(pid_t child, int code)
{
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fprintf(stderr, "status %#x\n", status);
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0 &&
          close(fd) == 0);
}

static void copy_self(int to)
{
    static char buffer[65536];
    int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ssize_t n;
    while ((n = read(from, buffer, sizeof buffer)) > 0)
        CHECK(write(to, buffer, (size_t)n) == n);
    close(from);
}

static unsigned thread_count(void)
{
    unsigned n = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; (entry = readdir(tasks));)
        n += entry->d_name[0] != '.';
    closedir(tasks);
    return n;
}

/* -- from threads -------------------------------------------------------------------------------------------
 */

static int blocked_pipe[2];

static void *block_in_read(void *unused)
{
    char byte;
    CHECK(read(blocked_pipe[0], &byte, 1) == 1);
    return unused;
}

static void *exec_here(void *unused)
{
    char pid[16];
    char *arguments[] = {"self", "alone", pid, NULL};
    snprintf(pid, sizeof pid, "%d", getpid());
    execve("/proc/self/exe", arguments, environment);
    return unused;
}

static int check_alone(char **argv)
{
    struct timespec time = {0, 1000000};
    bool good = atoi(argv[2]) == getpid() && gettid() == getpid() && thread_count() == 1;
    nanosleep(&time, NULL);
    return good ? 0 : 1;
}

static void test_threads(void)
{
    for (int i = 0; i < 10; i++) {
        pid_t child = fork();
        if (child == 0) {
            pthread_t threads[3];
            if (pipe(blocked_pipe) < 0)
                _exit(1);
            for (int k = 0; k < 2; k++)
                pthread_create(&threads[k], NULL, block_in_read, NULL);
            pthread_create(&threads[2], NULL, exec_here, NULL);
            for (;;)
                pause();
        }
        CHECK(child > 0 && exited(child, 0));
    }
}

/* -- without a name -----------------------------------------------------------------------------------------
 */

static void run_descriptor(int fd, int code, int error)
{
    char *arguments[] = {"name", "argument", NULL};
    pid_t child = fork();
    if (child == 0) {
        fexecve(fd, arguments, environment);
        _exit(errno);
    }
    CHECK(exited(child, error ? error : code));
}

static void test_descriptors(void)
{
    int fd = memfd_create("program", MFD_CLOEXEC);
    copy_self(fd);
    run_descriptor(fd, 33, 0); /* that it is open for writing is no hindrance */
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reading = open(path, O_RDONLY | O_CLOEXEC), only_path = open(path, O_PATH | O_CLOEXEC);
    close(fd);
    run_descriptor(reading, 33, 0);
    run_descriptor(only_path, 33, 0);
    close(reading);
    close(only_path);

    fd = memfd_create("script", 0);
    CHECK(write(fd, "#!/bin/sh\nexit 5\n", 17) == 17);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    reading = open(path, O_RDONLY);
    int closing = open(path, O_RDONLY | O_CLOEXEC);
    close(fd);
    run_descriptor(reading, 5, 0);
    run_descriptor(closing, 0, ENOENT); /* the interpreter would find nothing */
    close(reading);
    close(closing);
    CHECK_ERROR(syscall(SYS_execveat, AT_FDCWD, "", NULL, NULL, 0), ENOENT);
    CHECK_ERROR(syscall(SYS_execveat, 999, "", NULL, NULL, AT_EMPTY_PATH), EBADF);
    CHECK_ERROR(syscall(SYS_execveat, AT_FDCWD, "x", NULL, NULL, 0x80000), EINVAL);
}

/* -- refusals -------------------------------------------------------------------------------------------- */

static void test_refusals(void)
{
    char *arguments[] = {"x", NULL};
    write_file("empty", "", 0755);
    CHECK_ERROR(execve("empty", arguments, environment), ENOEXEC);
    write_file("text", "no program\n", 0755);
    CHECK_ERROR(execve("text", arguments, environment), ENOEXEC);
    CHECK(chmod("text", 0644) == 0);
    CHECK_ERROR(execve("text", arguments, environment), EACCES);
    CHECK_ERROR(execve("text/more", arguments, environment), ENOTDIR);
    CHECK_ERROR(execve(".", arguments, environment), EACCES);
    CHECK_ERROR(execve("/dev/null", arguments, environment), EACCES);
    CHECK_ERROR(execve("missing", arguments, environment), ENOENT);
    CHECK_ERROR(execve(bad_pointer, arguments, environment), EFAULT);
    CHECK_ERROR(execve("/proc/self/exe", (char **)bad_pointer, environment), EFAULT);
    write_file("script", "#!missing-interpreter\n", 0755);
    CHECK_ERROR(execve("script", arguments, environment), ENOENT);
    write_file("script", "#!./text\n", 0755);
    CHECK_ERROR(execve("script", arguments, environment), EACCES);
    CHECK(symlink("loop", "loop") == 0);
    CHECK_ERROR(execve("loop", arguments, environment), ELOOP);
    CHECK_ERROR(syscall(SYS_execveat, AT_FDCWD, "loop", arguments, environment, AT_SYMLINK_NOFOLLOW), ELOOP);

    int fd = open("busy", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    copy_self(fd);
    CHECK_ERROR(execve("busy", arguments, environment), ETXTBSY);
    close(fd);
    write_file("script", "#!./busy\n", 0755);
    fd = open("busy", O_WRONLY | O_CLOEXEC);
    CHECK_ERROR(execve("script", arguments, environment), ETXTBSY);
    close(fd);
    unlink("empty"), unlink("text"), unlink("script"), unlink("loop"), unlink("busy");
}

/* A script is run by the one before it; the first by this program. */
static void test_chain(unsigned length, int error)
{
    char name[16], text[64];
    char *arguments[] = {"chain", "last", NULL};
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    CHECK(symlink(self, "program") == 0);
    for (unsigned i = 0; i < length; i++) {
        snprintf(name, sizeof name, "chain%u", i);
        snprintf(text, sizeof text, i ? "#!./chain%u a%u\n" : "#!./program chained\n", i - 1, i);
        write_file(name, text, 0755);
    }
    pid_t child = fork();
    if (child == 0) {
        execve(name, arguments, environment);
        _exit(errno);
    }
    CHECK(exited(child, error ? error : 44));
    for (unsigned i = 0; i < length; i++) {
        snprintf(name, sizeof name, "chain%u", i);
        unlink(name);
    }
    unlink("program");
}

/* program chained ./chain0 a1 ./chain1 ... chainN last */
static int check_chained(int argc, char **argv)
{
    bool good = argc >= 4 && !strcmp(argv[0], "./program") && !strcmp(argv[argc - 1], "last");
    return good && !strncmp(argv[2], argc > 4 ? "./chain0" : "chain0", 8) && getenv("MARK") ? 44 : 1;
}

/* -- landlock ---- */

/* Only what is in the current directory may be executed. */
static void restricted(void)
{
    const uint64_t handled = 1; /* LANDLOCK_ACCESS_FS_EXECUTE */
    struct {
        uint64_t access;
        int32_t directory;
    } __attribute__((packed)) rule = {1, open(".", O_PATH | O_CLOEXEC)};
    char *arguments[] = {"name", "argument", NULL};

    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (ruleset < 0)
        _exit(errno == ENOSYS || errno == EOPNOTSUPP ? 77 : 1);
    if (syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0) < 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        _exit(2);
    if (execve("/bin/sh", arguments, environment) != -1 || errno != EACCES)
        _exit(3);
    if (fork() == 0) /* and a child of the child */
        execve("./allowed", arguments, environment);
    int status;
    if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 33)
        _exit(4);
    execve("./allowed", arguments, environment);
    _exit(5);
}

static void test_landlock(void)
{
    int fd = open("allowed", O_CREAT | O_WRONLY | O_CLOEXEC, 0755), status;
    copy_self(fd);
    close(fd);
    pid_t child = fork();
    if (child == 0)
        restricted();
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 33 || WEXITSTATUS(status) == 77);
    if (WEXITSTATUS(status) != 33)
        printf("landlock: status %d\n", WEXITSTATUS(status));
    unlink("allowed");
}

/* -- what survives --------------------------------------------------------------------------------------- */

static void nothing(int signal)
{
    (void)signal;
}

static void test_survival(void)
{
    static char stack[65536];
    char *arguments[] = {"short-name", "survived", NULL};
    pid_t child = fork();
    if (child == 0) {
        const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
        const struct itimerval timer = {.it_value = {100, 0}};
        timer_t posix_timer;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGSEGV);
        bool good = sigprocmask(SIG_BLOCK, &set, NULL) == 0 && signal(SIGUSR2, nothing) != SIG_ERR &&
                    signal(SIGHUP, SIG_IGN) != SIG_ERR && signal(SIGSEGV, SIG_IGN) != SIG_ERR &&
                    sigaltstack(&other, NULL) == 0 && raise(SIGUSR1) == 0 && raise(SIGSEGV) == 0 &&
                    setitimer(ITIMER_REAL, &timer, NULL) == 0 &&
                    timer_create(CLOCK_MONOTONIC, NULL, &posix_timer) == 0 &&
                    prctl(PR_SET_NAME, "renamed") == 0 && prctl(PR_SET_DUMPABLE, 0) == 0 &&
                    prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 &&
                    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_KEEPCAPS, 1) == 0 &&
                    personality(PER_LINUX | ADDR_NO_RANDOMIZE | SHORT_INODE) >= 0;
        int hidden = fcntl(0, F_DUPFD_CLOEXEC, 50), kept = fcntl(0, F_DUPFD, 60);
        if (!good || hidden != 50 || kept != 60)
            _exit(1);
        execve("/proc/self/exe", arguments, environment);
        _exit(2);
    }
    CHECK(exited(child, 55));
}

#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "after exec: not true: %s\n", #condition);                                       \
            bad = true;                                                                                      \
        }                                                                                                    \
    } while (0)

static int check_survived(char **argv)
{
    bool bad = false;
    struct sigaction action;
    struct itimerval timer;
    stack_t stack;
    sigset_t set;
    char name[16];
    int value;

    EXPECT(sigprocmask(SIG_BLOCK, NULL, &set) == 0 && sigismember(&set, SIGUSR1) &&
           sigismember(&set, SIGSEGV));
    EXPECT(sigpending(&set) == 0 && sigismember(&set, SIGUSR1));
    EXPECT(sigismember(&set, SIGSEGV)); /* ignored, but blocked */
    EXPECT(sigaction(SIGUSR2, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
    EXPECT(sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    EXPECT(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == SIG_IGN);
    EXPECT(sigaltstack(NULL, &stack) == 0 && stack.ss_flags == SS_DISABLE);
    EXPECT(getitimer(ITIMER_REAL, &timer) == 0 && timer.it_value.tv_sec > 50);
    EXPECT(syscall(SYS_timer_getoverrun, 0) == -1 && errno == EINVAL);
    EXPECT(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed"));
    EXPECT(prctl(PR_GET_DUMPABLE) == 1);
    EXPECT(prctl(PR_GET_PDEATHSIG, &value) == 0 && value == SIGUSR2);
    EXPECT(prctl(PR_GET_CHILD_SUBREAPER, &value) == 0 && value == 1);
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    EXPECT(prctl(PR_GET_KEEPCAPS) == 0);
    EXPECT(personality(0xffffffff) == (PER_LINUX | ADDR_NO_RANDOMIZE | SHORT_INODE));
    EXPECT(fcntl(50, F_GETFD) == -1 && fcntl(60, F_GETFD) == 0);
    EXPECT(getauxval(AT_SECURE) == 0 && !strcmp(argv[0], "short-name"));
    EXPECT(!strcmp((const char *)getauxval(AT_EXECFN), "/proc/self/exe"));
    return bad ? 1 : 55;
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "alone"))
        return check_alone(argv);
    if (argc > 1 && !strcmp(argv[1], "argument"))
        return !strcmp(argv[0], "name") && getenv("MARK") ? 33 : 1;
    if (argc > 1 && !strcmp(argv[1], "chained"))
        return check_chained(argc, argv);
    if (argc > 1 && !strcmp(argv[1], "survived"))
        return check_survived(argv);

    if (!strcmp(argv[0], "x"))
        return 1; /* should not have been executed */
    test_threads();
    test_descriptors();
    test_refusals();
    for (unsigned length = 1; length <= 7; length++)
        test_chain(length, length > 5 ? ELOOP : 0);
    test_landlock();
    test_survival();
    return check_done("process_exec");
}
