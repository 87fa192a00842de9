/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Filters of system calls, in children that load them: actions, operators, notifications, the cache, visor's
 * own profile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/container/seccomp.h"

static void must(int result, const struct error *error)
{
    if (result < 0)
        fail_msg("%s (%d)", error->message, result);
}

static json_t *parse(struct seccomp_profile *profile, const char *text)
{
    struct error error = ERROR_INIT;
    json_t *document = json_loads(text, 0, NULL);
    assert_non_null(document);
    must(seccomp_profile_parse(profile, document, "linux.seccomp", &error), &error);
    return document;
}

static void load(const struct seccomp_filter *filter, int *listener)
{
    struct error error = ERROR_INIT;
    signal(SIGSYS, SIG_DFL); /* cmocka catches it */
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (seccomp_filter_load(filter, listener, &error) < 0) {
        error_report(&error);
        _exit(99);
    }
}

/* What a child's exit status is that has loaded the filter. */
static int status_under(const struct seccomp_filter *filter, int (*run)(uint64_t argument), uint64_t argument)
{
    int status, listener;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        load(filter, &listener);
        syscall(SYS_exit_group, run(argument)); /* a sanitizer's _exit() would do more */
        _exit(96);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int status_with(const char *text, int (*run)(uint64_t argument), uint64_t argument)
{
    struct seccomp_profile profile;
    struct seccomp_filter filter;
    struct error error = ERROR_INIT;
    json_t *document = parse(&profile, text);
    must(seccomp_filter_compile(&filter, &profile, NULL, &error), &error);
    int status = status_under(&filter, run, argument);
    seccomp_filter_free(&filter);
    seccomp_profile_free(&profile);
    json_decref(document);
    return status;
}

/* The error of a call with that second argument; 0: none. */
static int try_getpriority(uint64_t argument)
{
    errno = 0;
    return syscall(SYS_getpriority, 5, argument) < 0 ? errno : 0;
}

static int try_getppid(uint64_t argument)
{
    (void)argument;
    errno = 0;
    syscall(SYS_getppid);
    return errno;
}

static void operators_compare_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *operator;
        uint64_t value, value_two, matching[3], other[3];
    } cases[] = {
        {"SCMP_CMP_NE", 7, 0, {6, 8, UINT64_C(0x100000007)}, {7, 7, 7}},
        {"SCMP_CMP_EQ", 7, 0, {7, 7, 7}, {6, 8, UINT64_C(0x100000007)}},
        {"SCMP_CMP_LT", 7, 0, {0, 3, 6}, {7, 8, UINT64_C(0x100000001)}},
        {"SCMP_CMP_LE", 7, 0, {0, 6, 7}, {8, 9, UINT64_C(0x100000001)}},
        {"SCMP_CMP_GE", 7, 0, {7, 8, UINT64_C(0x100000001)}, {0, 5, 6}},
        {"SCMP_CMP_GT", 7, 0, {8, 9, UINT64_C(0x100000001)}, {0, 6, 7}},
        {"SCMP_CMP_GT",
         UINT64_C(0x500000000),
         0,
         {UINT64_C(0x500000001), UINT64_C(0x600000000), UINT64_MAX},
         {0, UINT64_C(0x500000000), UINT64_C(0x4ffffffff)}},
        {"SCMP_CMP_MASKED_EQ", 0xf0, 0x20, {0x20, 0x2f, 0x320}, {0x30, 0, 0x60}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getpriority\"],"
                 "\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77,"
                 "\"args\":[{\"index\":1,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"%s\"}]}]}",
                 (unsigned long long)cases[i].value, (unsigned long long)cases[i].value_two,
                 cases[i].operator);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(WEXITSTATUS(status_with(text, try_getpriority, cases[i].matching[k])), 77);
            assert_int_equal(WEXITSTATUS(status_with(text, try_getpriority, cases[i].other[k])), EINVAL);
        }
    }
}

#define RULE(action, more)                                                                                   \
    "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"getppid\"],\"action\":\"" action      \
    "\"" more "}]}"

static void actions_do_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(WEXITSTATUS(status_with(RULE("SCMP_ACT_ERRNO", ""), try_getppid, 0)), EPERM);
    assert_int_equal(WEXITSTATUS(status_with(RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":0"), try_getppid, 0)), 0);
    assert_int_equal(WEXITSTATUS(status_with(RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":11"), try_getppid, 0)),
                     11);
    assert_int_equal(WEXITSTATUS(status_with(RULE("SCMP_ACT_TRACE", ""), try_getppid, 0)), ENOSYS);
    assert_int_equal(WEXITSTATUS(status_with(RULE("SCMP_ACT_LOG", ""), try_getppid, 0)), 0);
    assert_int_equal(WEXITSTATUS(status_with(RULE("SCMP_ACT_ALLOW", ""), try_getppid, 0)), 0);
    assert_int_equal(WTERMSIG(status_with(RULE("SCMP_ACT_KILL", ""), try_getppid, 0)), SIGSYS);
    assert_int_equal(WTERMSIG(status_with(RULE("SCMP_ACT_KILL_THREAD", ""), try_getppid, 0)), SIGSYS);
    assert_int_equal(WTERMSIG(status_with(RULE("SCMP_ACT_KILL_PROCESS", ""), try_getppid, 0)), SIGSYS);
    assert_int_equal(WTERMSIG(status_with(RULE("SCMP_ACT_TRAP", ""), try_getppid, 0)), SIGSYS);
    /* the default, with its own error; names of no kernel are passed over; null is as good as absent */
    static const char only_exit[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"flags\":[\"SECCOMP_FILTER_FLAG_LOG\","
        "\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\",\"SECCOMP_FILTER_FLAG_TSYNC\","
        "\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"],"
        "\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],\"syscalls\":["
        "{\"names\":[\"nonsense\",\"exit_group\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":null}]}";
    assert_int_equal(WEXITSTATUS(status_with(only_exit, try_getppid, 0)), ENOSYS);
}

static void conditions_are_met_together(void **state)
{
    (void)state;
    static const char both[] =
        RULE("SCMP_ACT_ALLOW",
             "},{\"names\":[\"getpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77,\"args\":["
             "{\"index\":0,\"value\":5,\"op\":\"SCMP_CMP_EQ\"},"
             "{\"index\":1,\"value\":9,\"op\":\"SCMP_CMP_GE\"}]");
    assert_int_equal(WEXITSTATUS(status_with(both, try_getpriority, 9)), 77);
    assert_int_equal(WEXITSTATUS(status_with(both, try_getpriority, 8)), EINVAL);
    static const char either[] =
        RULE("SCMP_ACT_ALLOW",
             "},{\"names\":[\"getpriority\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":77,\"args\":["
             "{\"index\":1,\"value\":5,\"op\":\"SCMP_CMP_EQ\"},"
             "{\"index\":1,\"value\":9,\"op\":\"SCMP_CMP_GE\"}]");
    assert_int_equal(WEXITSTATUS(status_with(either, try_getpriority, 9)), 77);
    assert_int_equal(WEXITSTATUS(status_with(either, try_getpriority, 5)), 77);
    assert_int_equal(WEXITSTATUS(status_with(either, try_getpriority, 6)), EINVAL);
}

static void bad_profiles_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *document, *part;
    } cases[] = {
        {"[]", "linux.seccomp must be an object"},
        {"{}", "linux.seccomp.defaultAction is missing"},
        {"{\"defaultAction\":\"ALLOW\"}", "linux.seccomp.defaultAction is 'ALLOW', which is no action"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}", "has no error number"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"x86\"]}",
         "linux.seccomp.architectures[0] is 'x86'"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[3]}", "linux.seccomp.flags[0]"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerMetadata\":\"x\"}", "without listenerPath"},
        {RULE("SCMP_ACT_KILL", ",\"errnoRet\":3"), "linux.seccomp.syscalls[0].errnoRet is set"},
        {RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":5000"),
         "linux.seccomp.syscalls[0].errnoRet: 5000 is not in the range 0 to 4095"},
        {RULE("SCMP_ACT_ERRNO", ",\"args\":[{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}]"),
         "linux.seccomp.syscalls[0].args[0].index: 6 is not in the range 0 to 5"},
        {RULE("SCMP_ACT_ERRNO", ",\"args\":[{\"index\":5,\"op\":\"SCMP_CMP_EQ\"}]"),
         "args[0].value is missing"},
        {RULE("SCMP_ACT_ERRNO", ",\"args\":[{\"index\":5,\"value\":1,\"op\":\"==\"}]"), "args[0].op is '=='"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[],\"action\":\"SCMP_ACT_KILL\"}]}",
         "linux.seccomp.syscalls[0].names has no name"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[1],\"action\":\"SCMP_ACT_KILL\"}]}",
         "linux.seccomp.syscalls[0].names[0] must be a string"},
        {"{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"read\"]}]}",
         "linux.seccomp.syscalls[0].action is missing"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct seccomp_profile profile;
        struct error error = ERROR_INIT;
        json_t *document = json_loads(cases[i].document, 0, NULL);
        assert_non_null(document);
        assert_int_equal(seccomp_profile_parse(&profile, document, "linux.seccomp", &error), -EINVAL);
        if (!strstr(error.message, cases[i].part))
            fail_msg("'%s' does not say '%s'", error.message, cases[i].part);
        json_decref(document);
    }
}

/* The agent's side: the message and the descriptor that comes with it. */
static json_t *receive(int server, int *descriptor)
{
    char text[4096];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = text, .iov_len = sizeof text};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    int connection = accept(server, NULL, NULL);
    assert_true(connection >= 0);
    ssize_t size = recvmsg(connection, &message, MSG_CMSG_CLOEXEC);
    assert_true(size > 0);
    assert_int_equal(control.header.cmsg_type, SCM_RIGHTS);
    assert_int_equal(control.header.cmsg_len, CMSG_LEN(sizeof(int)));
    memcpy(descriptor, CMSG_DATA(&control.header), sizeof *descriptor);
    assert_int_equal(recv(connection, text + size, 1, 0), 0); /* one state for a connection */
    close(connection);
    return json_loadb(text, (size_t)size, 0, NULL);
}

static void notifications_reach_an_agent(void **state)
{
    (void)state;
    struct seccomp_profile profile;
    struct seccomp_filter filter;
    struct error error = ERROR_INIT;
    char folder[] = "/tmp/visor-test-XXXXXX";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(folder));
    snprintf(address.sun_path, sizeof address.sun_path, "%s/agent", folder);
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server, 1), 0);

    json_t *document = parse(
        &profile, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/x\",\"listenerMetadata\":\"m\","
                  "\"flags\":[\"SECCOMP_FILTER_FLAG_TSYNC\"],\"syscalls\":["
                  "{\"names\":[\"getppid\"],\"action\":\"SCMP_ACT_NOTIFY\"}]}");
    assert_string_equal(profile.listener_path, "/x");
    must(seccomp_filter_compile(&filter, &profile, NULL, &error), &error);
    assert_true(filter.notifies);
    pid_t pid = fork();
    if (pid == 0) {
        int listener;
        load(&filter, &listener);
        json_t *container = json_pack("{s:s, s:s}", "id", "box", "status", "creating");
        if (listener < 0 ||
            seccomp_listener_send(address.sun_path, "m", listener, getpid(), container, &error) < 0)
            _exit(98);
        close(listener);
        errno = 0;
        _exit(syscall(SYS_getppid) == 4711 ? 0 : 97);
    }
    int listener;
    json_t *message = receive(server, &listener);
    assert_non_null(message);
    assert_string_equal(json_string_value(json_object_get(message, "ociVersion")), "1.1.0");
    assert_string_equal(json_string_value(json_object_get(message, "metadata")), "m");
    assert_int_equal(json_integer_value(json_object_get(message, "pid")), pid);
    assert_string_equal(json_string_value(json_array_get(json_object_get(message, "fds"), 0)), "seccompFd");
    assert_string_equal(json_string_value(json_object_get(json_object_get(message, "state"), "id")), "box");
    json_decref(message);

    struct seccomp_notif request = {0};
    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request), 0);
    assert_int_equal(request.data.nr, SYS_getppid);
    assert_int_equal(request.pid, pid);
    struct seccomp_notif_resp response = {.id = request.id, .val = 4711};
    assert_int_equal(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);

    close(listener);
    close(server);
    unlink(address.sun_path);
    json_t *nothing = json_object(); /* nobody listens any more */
    assert_int_equal(seccomp_listener_send(address.sun_path, NULL, 0, 1, nothing, &error), -ENOENT);
    assert_non_null(strstr(error.message, address.sun_path));
    json_decref(nothing);
    rmdir(folder);
    seccomp_filter_free(&filter);
    seccomp_profile_free(&profile);
    json_decref(document);
}

static unsigned count_files(const char *folder, char name[512])
{
    char command[600];
    unsigned count = 0;
    snprintf(command, sizeof command, "ls -d %s/*", folder);
    FILE *list = popen(command, "r");
    while (fgets(name, 512, list)) {
        name[strcspn(name, "\n")] = '\0';
        count++;
    }
    pclose(list);
    return count;
}

static void compile(struct seccomp_filter *filter, const char *text, const char *cache)
{
    struct seccomp_profile profile;
    struct error error = ERROR_INIT;
    json_t *document = parse(&profile, text);
    must(seccomp_filter_compile(filter, &profile, cache, &error), &error);
    seccomp_profile_free(&profile);
    json_decref(document);
}

static void programs_are_kept(void **state)
{
    (void)state;
    char folder[] = "/tmp/visor-test-XXXXXX", cache[64], name[512];
    struct seccomp_filter first, again;
    assert_non_null(mkdtemp(folder));
    snprintf(cache, sizeof cache, "%s/cache", folder);
    compile(&first, RULE("SCMP_ACT_ERRNO", ""), cache);
    assert_int_equal(count_files(cache, name), 1);
    struct stat status;
    assert_int_equal(stat(cache, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    ino_t inode = status.st_ino;

    /* it is the file's program that is used */
    compile(&again, RULE("SCMP_ACT_ERRNO", ""), cache);
    assert_int_equal(again.count, first.count);
    assert_memory_equal(again.program, first.program, first.count * 8);
    assert_int_equal(stat(name, &status), 0);
    assert_int_equal(status.st_ino, inode);
    seccomp_filter_free(&again);

    /* another profile is another file */
    char other[512];
    compile(&again, RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":5"), cache);
    assert_int_equal(count_files(cache, other), 2);
    assert_int_equal(WEXITSTATUS(status_under(&again, try_getppid, 0)), 5);
    seccomp_filter_free(&again);

    /* one that is damaged, or that others may write, is made anew */
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(stat(name, &status), 0);
        inode = status.st_ino;
        if (round == 0) {
            int fd = open(name, O_WRONLY);
            assert_int_equal(pwrite(fd, "x", 1, status.st_size - 4), 1);
            close(fd);
        } else if (round == 1) {
            assert_int_equal(truncate(name, status.st_size - 8), 0);
        } else {
            assert_int_equal(chmod(name, 0622), 0);
        }
        compile(&again, RULE("SCMP_ACT_ERRNO", ""), cache);
        assert_int_equal(again.count, first.count);
        assert_memory_equal(again.program, first.program, first.count * 8);
        assert_int_equal(stat(name, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
        assert_true(status.st_ino != inode);
        seccomp_filter_free(&again);
    }

    /* a folder that others may write in is not used at all; nor is one that cannot be made */
    assert_int_equal(chmod(cache, 0777), 0);
    compile(&again, RULE("SCMP_ACT_ERRNO", ",\"errnoRet\":6"), cache);
    seccomp_filter_free(&again);
    assert_int_equal(count_files(cache, other), 2);
    compile(&again, RULE("SCMP_ACT_ERRNO", ""), "/proc/no/cache");
    seccomp_filter_free(&again);
    seccomp_filter_free(&first);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static long call_error(long result)
{
    return result < 0 ? errno : 0;
}

/* What visor's own profile does to calls: the failing one's number, or 0. */
static int try_default(uint64_t capable)
{
    const struct {
        long error, expected, expected_capable;
    } results[] = {
        {call_error(syscall(SYS_getppid)), 0, 0},
        {call_error(syscall(SYS_init_module, NULL, 0, NULL)), EPERM, EPERM},
        {call_error(syscall(SYS_reboot, 0, 0, 0, NULL)), EPERM, EPERM},
        {call_error(syscall(SYS_keyctl, 6, 0, 0, 0, 0)), EPERM, EPERM},
        {call_error(syscall(SYS_io_uring_setup, 0, NULL)), EPERM, EPERM},
        {call_error(syscall(SYS_bpf, -1, NULL, 0)), EPERM, EINVAL},
        {call_error(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL)), EPERM, EFAULT},
        {call_error(syscall(SYS_unshare, CLONE_NEWUTS)), EPERM, 0},
        {call_error(syscall(SYS_unshare, CLONE_NEWNS | CLONE_NEWPID)), EPERM, 0},
        {call_error(syscall(SYS_unshare, CLONE_FS | CLONE_FILES)), 0, 0},
        {call_error(syscall(SYS_clone, CLONE_NEWUTS | CLONE_THREAD, 0, 0, 0, 0)), EPERM, EINVAL},
        {call_error(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0)), EINVAL, EINVAL},
        {call_error(syscall(SYS_clone3, NULL, 0)), ENOSYS, EINVAL},
        {call_error(syscall(SYS_socket, AF_VSOCK, SOCK_STREAM, 0)), EAFNOSUPPORT, EAFNOSUPPORT},
        {call_error(syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0)), 0, 0},
        {call_error(syscall(SYS_personality, 0xffffffff)), 0, 0},
        {call_error(syscall(SYS_personality, 0x4000000)), ENOSYS, ENOSYS},
        {call_error(syscall(SYS_ioctl, -1, TIOCSTI, "x")), EPERM, EPERM},
        {call_error(syscall(SYS_ioctl, -1, TIOCSTI | UINT64_C(0x700000000), "x")), EPERM, EPERM},
        {call_error(syscall(SYS_ioctl, -1, TIOCLINUX, "x")), EPERM, EPERM},
        {call_error(syscall(SYS_ioctl, -1, TIOCGWINSZ, "x")), EBADF, EBADF},
        {call_error(syscall(4000)), ENOSYS, ENOSYS},
    };
    for (size_t i = 0; i < ARRAY_SIZE(results); i++)
        if (results[i].error != (capable ? results[i].expected_capable : results[i].expected)) {
            fprintf(stderr, "call %zu: error %ld\n", i, results[i].error);
            return (int)i + 1;
        }
    return 0;
}

/* Programs run under it: a shell that starts others. */
static int try_shell(uint64_t argument)
{
    (void)argument;
    int code = system("ls / | sort >/dev/null && test \"$(echo a | tr a b)\" = b");
    return WEXITSTATUS(code);
}

static void own_profile_keeps_to_the_container(void **state)
{
    (void)state;
    struct seccomp_profile profile;
    struct seccomp_filter filter;
    struct error error = ERROR_INIT;
    for (unsigned capable = 0; capable < 2; capable++) {
        if (capable && geteuid() != 0) {
            print_message("what a capability adds takes root: skipped\n");
            break;
        }
        must(seccomp_profile_default(&profile, capable ? UINT64_C(1) << CAP_SYS_ADMIN : 0, &error), &error);
        must(seccomp_filter_compile(&filter, &profile, NULL, &error), &error);
        assert_int_equal(status_under(&filter, try_default, capable), 0);
        assert_int_equal(status_under(&filter, try_shell, 0), 0);
        seccomp_filter_free(&filter);
        seccomp_profile_free(&profile);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_compare_arguments),        cmocka_unit_test(actions_do_what_they_say),
        cmocka_unit_test(conditions_are_met_together),        cmocka_unit_test(bad_profiles_are_named),
        cmocka_unit_test(notifications_reach_an_agent),       cmocka_unit_test(programs_are_kept),
        cmocka_unit_test(own_profile_keeps_to_the_container),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
