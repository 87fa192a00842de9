/* SPDX-License-Identifier: GPL-2.0-or-later */
/* execve() of this program itself in several roles, of scripts, and of what cannot be run. */
#include "io_check.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef AT_EXECFN
#define AT_EXECFN 31
#endif

extern char **environ;
static char self[4096];

static int run(const char *path, char *const argv[], char *const envp[])
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        execve(path, argv, envp);
        _exit(100 + errno);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    CHECK(fchmod(fd, mode) == 0);
    close(fd);
}

/* -- roles of the executed program: exit status 0 is right --------------------------------------------------
 */

static int role_arguments(int argc, char **argv)
{
    if (argc != 5 || strcmp(argv[2], "") || strcmp(argv[3], "two words") || strcmp(argv[4], "\xff\x01"))
        return 1;
    if (!environ[0] || strcmp(environ[0], "A=1") || !environ[1] || strcmp(environ[1], "B=") || environ[2])
        return 2;
    return strcmp((const char *)getauxval(AT_EXECFN), self) ? 3 : 0;
}

static int role_signals(void)
{
    sigset_t mask;
    struct sigaction action;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (!sigismember(&mask, SIGUSR1) || !sigismember(&mask, SIGSEGV) || sigismember(&mask, SIGUSR2))
        return 1;
    sigaction(SIGUSR2, NULL, &action);
    if (action.sa_handler != SIG_DFL)
        return 2;
    sigaction(SIGHUP, NULL, &action);
    if (action.sa_handler != SIG_IGN)
        return 3;
    sigaction(SIGBUS, NULL, &action);
    if (action.sa_handler != SIG_IGN)
        return 4;
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGUSR1) ? 0 : 5;
}

/* Descriptors that a program which is executed now would have. */
static int count_inherited(void)
{
    int count = 0;
    for (int fd = 0; fd < 1200; fd++)
        count += fcntl(fd, F_GETFD) == 0;
    return count;
}

static int role_files(char **argv)
{
    int kept = atoi(argv[2]), closed = atoi(argv[3]);
    if (fcntl(kept, F_GETFD) < 0)
        return 1;
    if (fcntl(closed, F_GETFD) >= 0)
        return 2;
    return count_inherited() == atoi(argv[4]) ? 0 : 3;
}

static int role_script(int argc, char **argv)
{
    /* self, role, script, arguments */
    if (argc < 4 || strcmp(argv[argc - 1], "last"))
        return 1;
    return strstr(argv[2], "core_exec_script") ? 0 : 2;
}

/* -- tests ----------------------------------------------------------------------------------------------- */

static void test_vectors(void)
{
    char *argv[] = {"name of its own", "arguments", "", "two words", "\xff\x01", NULL};
    char *envp[] = {"A=1", "B=", NULL};
    CHECK(run(self, argv, envp) == 0);
    CHECK(run("/proc/self/exe", (char *[]){"x", "exit", "55", NULL}, NULL) == 55);
    CHECK(run(self, (char *[]){"x", "exit", "56", NULL}, (char *[]){"VISOR_INTERNAL=1 2 3", NULL}) == 56);
}

static void on_signal(int signal)
{
    (void)signal;
}

static void test_signal_state(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        sigset_t set;
        signal(SIGUSR2, on_signal);
        signal(SIGHUP, SIG_IGN);
        signal(SIGBUS, SIG_IGN);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGSEGV);
        sigprocmask(SIG_SETMASK, &set, NULL);
        raise(SIGUSR1);
        execve(self, (char *[]){"x", "signals", NULL}, environ);
        _exit(99);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void test_descriptors(void)
{
    char kept[16], closed[16], inherited[16];
    int a = open("/dev/null", O_RDONLY), b = open("/dev/null", O_RDONLY | O_CLOEXEC);
    snprintf(kept, sizeof kept, "%d", a);
    snprintf(closed, sizeof closed, "%d", b);
    snprintf(inherited, sizeof inherited, "%d", count_inherited());
    CHECK(run(self, (char *[]){"x", "files", kept, closed, inherited, NULL}, environ) == 0);
    close(a);
    close(b);
}

static void test_scripts(void)
{
    char text[5000];
    snprintf(text, sizeof text, "#!%s script\nrest\n", self);
    write_file("core_exec_script1", text, 0755);
    CHECK(run("./core_exec_script1", (char *[]){"zero", "last", NULL}, environ) == 0);
    /* A script whose interpreter is a script. */
    write_file("core_exec_script2", "#! ./core_exec_script1\n", 0755);
    CHECK(run("./core_exec_script2", (char *[]){"zero", "last", NULL}, environ) == 0);
    write_file("core_exec_script3", "#!./core_exec_script3\n", 0755);
    CHECK(run("./core_exec_script3", (char *[]){"zero", NULL}, environ) == 100 + ELOOP);
    write_file("core_exec_script4", "#!/nonexistent/shell\n", 0755);
    CHECK(run("./core_exec_script4", (char *[]){"zero", NULL}, environ) == 100 + ENOENT);
    write_file("core_exec_script5", "#!   \n", 0755);
    CHECK(run("./core_exec_script5", (char *[]){"zero", NULL}, environ) == 100 + ENOEXEC);
    for (int i = 1; i <= 5; i++) {
        snprintf(text, sizeof text, "core_exec_script%d", i);
        unlink(text);
    }
}

static void test_errors(void)
{
    char *argv[] = {"x", NULL};
    CHECK_ERROR(execve("/nonexistent", argv, environ), ENOENT);
    CHECK_ERROR(execve("", argv, environ), ENOENT);
    CHECK_ERROR(execve("/", argv, environ), EACCES);
    CHECK_ERROR(execve("/dev/null", argv, environ), EACCES);
    CHECK_ERROR(execve((char *)bad_pointer, argv, environ), EFAULT);
    CHECK_ERROR(execve(self, (char **)bad_pointer, environ), EFAULT);
    CHECK_ERROR(execve("/dev/null/x", argv, environ), ENOTDIR);
    write_file("core_exec_script1", "no program\n", 0755);
    CHECK_ERROR(execve("./core_exec_script1", argv, environ), ENOEXEC);
    CHECK(chmod("core_exec_script1", 0600) == 0);
    CHECK_ERROR(execve("./core_exec_script1", argv, environ), EACCES);
    CHECK(chmod("core_exec_script1", 0700) == 0 && truncate("core_exec_script1", 0) == 0);
    CHECK_ERROR(execve("./core_exec_script1", argv, environ), ENOEXEC);

    /* This program, cut off. */
    char head[200];
    int fd = open(self, O_RDONLY);
    CHECK(read(fd, head, sizeof head) == (ssize_t)sizeof head);
    close(fd);
    fd = open("core_exec_script1", O_WRONLY | O_TRUNC);
    CHECK(write(fd, head, sizeof head) == (ssize_t)sizeof head);
    close(fd);
    errno = 0;
    CHECK(execve("./core_exec_script1", argv, environ) == -1 &&
          (errno == ENOEXEC || errno == EINVAL || errno == EIO));
    unlink("core_exec_script1");
}

static void test_descriptor_exec(void)
{
    int status = -1, fd = open(self, O_RDONLY | O_CLOEXEC);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        syscall(SYS_execveat, fd, "", (char *[]){"x", "exit", "57", NULL}, environ, AT_EMPTY_PATH);
        _exit(99);
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 57);
    close(fd);

    /* From memory only. */
    char buffer[65536];
    ssize_t n;
    int memory = (int)syscall(SYS_memfd_create, "program", 1 /* MFD_CLOEXEC */);
    fd = open(self, O_RDONLY);
    while ((n = read(fd, buffer, sizeof buffer)) > 0)
        CHECK(write(memory, buffer, (size_t)n) == n);
    child = fork();
    if (child == 0) {
        fexecve(memory, (char *[]){"x", "exit", "58", NULL}, environ);
        _exit(99);
    }
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 58);
    close(fd);
    close(memory);
}

static void test_spawn(void)
{
    pid_t child;
    int status = -1;
    CHECK(posix_spawn(&child, self, NULL, NULL, (char *[]){"x", "exit", "59", NULL}, environ) == 0);
    CHECK(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 59);
    CHECK(WEXITSTATUS(system("exit 3")) == 3 || access("/bin/sh", X_OK) < 0);
}

int main(int argc, char **argv)
{
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    if (argc > 1) {
        if (!strcmp(argv[1], "exit"))
            return atoi(argv[2]);
        if (!strcmp(argv[1], "arguments"))
            return role_arguments(argc, argv);
        if (!strcmp(argv[1], "signals"))
            return role_signals();
        if (!strcmp(argv[1], "files"))
            return role_files(argv);
        if (!strcmp(argv[1], "script"))
            return role_script(argc, argv);
        return 98;
    }
    alarm(120);
    test_vectors();
    test_signal_state();
    test_descriptors();
    test_scripts();
    test_errors();
    test_descriptor_exec();
    test_spawn();
    return check_done("core_exec");
}
