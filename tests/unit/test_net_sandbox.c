/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user network's filter of system calls: what it lets through, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/net/user/sandbox.h"
#include "base/macros.h"

/* A system call that has EPERM, or anything else. */
struct attempt {
    long number, arguments[6];
    bool refused;
};

static char memory[2 * 4096] __attribute__((aligned(4096)));
static int pipe_ends[2];

/* In a process of its own: the number of the first that is not as it should be, plus 1; 0: there is none. */
static int run_tries(const struct attempt *tries, unsigned count)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !sandbox_enter())
            _exit(255);
        for (unsigned i = 0; i < count; i++) {
            const long *a = tries[i].arguments;
            errno = 0;
            const long result = syscall(tries[i].number, a[0], a[1], a[2], a[3], a[4], a[5]);
            if ((result < 0 && errno == EPERM) != tries[i].refused)
                _exit((int)i + 1);
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_allowed(void **state)
{
    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    const struct attempt tries[] = {
        {SYS_socket, {AF_INET, SOCK_STREAM, 0}, false},
        {SYS_socket, {AF_INET6, SOCK_DGRAM, 0}, false},
        {SYS_openat, {AT_FDCWD, (long)"/etc/passwd", O_RDONLY | O_CLOEXEC, 0}, false},
        {SYS_fcntl, {pipe_ends[0], F_GETFD, 0}, false},
        {SYS_fcntl, {pipe_ends[0], F_SETFL, O_NONBLOCK}, false},
        {SYS_ioctl, {pipe_ends[0], FIONREAD, (long)memory}, false},
        {SYS_write, {pipe_ends[1], (long)"x", 1}, false},
        {SYS_read, {pipe_ends[0], (long)memory, 1}, false},
        {SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, false},
        {SYS_mprotect, {(long)memory, 4096, PROT_READ}, false},
    };
    assert_int_equal(run_tries(tries, ARRAY_SIZE(tries)), 0);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const words[] = {"true", NULL};
    const struct attempt tries[] = {
        {SYS_execve, {(long)"/bin/true", (long)words, (long)(words + 1)}, true},
        {SYS_clone, {SIGCHLD, 0, 0, 0, 0}, true},
        {SYS_clone3, {(long)memory, sizeof(struct clone_args)}, true},
        {SYS_kill, {getpid(), 0}, true},
        {SYS_tgkill, {getpid(), getpid(), 0}, true},
        {SYS_ptrace, {0, 0, 0, 0}, true},
        {SYS_openat, {AT_FDCWD, (long)"/dev/null", O_WRONLY}, true},
        {SYS_openat, {AT_FDCWD, (long)"/dev/null", O_RDWR}, true},
        {SYS_openat, {AT_FDCWD, (long)"/dev/null", O_RDONLY | O_TRUNC}, true},
        {SYS_unlinkat, {AT_FDCWD, (long)"/nothing/there", 0}, true},
        {SYS_socket, {AF_UNIX, SOCK_STREAM, 0}, true},
        {SYS_socket, {AF_NETLINK, SOCK_RAW, 0}, true},
        {SYS_fcntl, {0, F_SETOWN, 1}, true},
        {SYS_fcntl, {0, F_DUPFD, 1}, true},
        {SYS_ioctl, {0, TIOCSTI, (long)memory}, true},
        {SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, true},
        {SYS_mprotect, {(long)memory, 4096, PROT_READ | PROT_EXEC}, true},
        {SYS_prctl, {PR_SET_DUMPABLE, 1, 0, 0, 0}, true},
    };
    assert_int_equal(run_tries(tries, ARRAY_SIZE(tries)), 0);
}

/* By the entry of another architecture the numbers mean other calls. */
static void test_other_architecture(void **state)
{
    (void)state;
#ifdef __x86_64__
    int status;
    pid_t child = fork();
    if (child == 0) {
        long result;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || !sandbox_enter())
            _exit(255);
        __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory"); /* getpid(), or writev() */
        _exit(result < 0 ? 1 : 2);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    /* A kernel without 32-bit programs raises SIGSEGV. */
    assert_true(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_other_architecture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
