/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of the system call trace (personality/linux/trace*.c): what its lines look like. What the trace needs
 * of the personality is replaced here: guest memory is the test's own, and lines end in a buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "personality/linux/arch.h"
#include "personality/linux/convert.h"
#include "personality/linux/process.h"

static char output[8192];
static unsigned writes;

int64_t linux_plain_syscall(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                            uint64_t f)
{
    (void)d, (void)e, (void)f;
    assert_int_equal(number, SYS_write);
    assert_int_equal(a, 2);
    assert_true(c < sizeof output);
    memcpy(output, (const void *)b, c);
    output[c] = '\0';
    writes++;
    return (int64_t)c;
}

int guest_read(void *to, uint64_t from, size_t length)
{
    if (from < 4096)
        return -EFAULT;
    memcpy(to, (const void *)from, length);
    return 0;
}

ssize_t guest_strlen(uint64_t address, size_t max)
{
    if (address < 4096)
        return -EFAULT;
    size_t length = strnlen((const char *)address, max);
    return length == max ? -ENAMETOOLONG : (ssize_t)length;
}

ssize_t guest_read_string(char *buffer, size_t size, uint64_t address)
{
    ssize_t length = guest_strlen(address, size);
    if (length >= 0)
        memcpy(buffer, (const char *)address, (size_t)length + 1);
    return length;
}

static uint64_t unknown_number(const struct translator_cpu *cpu, uint64_t *a)
{
    (void)cpu, (void)a;
    return 0x123;
}

static struct linux_arch arch = {.word_size = 8, .syscall_arguments = unknown_number};
static int own_fds[] = {-1, -1, -1, 2};
static struct linux_process process = {.arch = &arch, .own_fds = own_fds};
static struct linux_thread thread = {.process = &process, .tid = 7};

#define ADDRESS(pointer) ((uint64_t)(uintptr_t)(pointer))

/* One call from beginning to end gives exactly one line. */
#define CHECK_LINE(name_, format_, result, expected, ...)                                                    \
    do {                                                                                                     \
        const struct linux_syscall call = {.name = name_, .format = format_};                                \
        const uint64_t a[6] = {__VA_ARGS__};                                                                 \
        writes = 0;                                                                                          \
        linux_trace_enter(&thread, &call, a);                                                                \
        linux_trace_leave(&thread, &call, a, result);                                                        \
        assert_string_equal(output, expected);                                                               \
        assert_int_equal(writes, 1);                                                                         \
    } while (0)

static void test_paths_and_flags(void **state)
{
    (void)state;
    CHECK_LINE("openat", "Fsom", 3, "[7] openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3\n",
               (uint64_t)AT_FDCWD, ADDRESS("/etc/passwd"), 02000000, 0777);
    CHECK_LINE(
        "openat", "Fsom", -ENOENT,
        "[7] openat(5, \"a\\nb\", O_WRONLY|O_CREAT|O_DIRECTORY|O_NOFOLLOW, 0644) = -1 ENOENT (No such file "
        "or directory)\n",
        5, ADDRESS("a\nb"), 01 | 0100 | ARM64_O_DIRECTORY | ARM64_O_NOFOLLOW, 0644);
    CHECK_LINE("openat", "Fsom", -EFAULT,
               "[7] openat(AT_FDCWD, 0x10, O_RDWR|O_DIRECT) = -1 EFAULT (Bad address)\n", (uint64_t)AT_FDCWD,
               16, 2 | ARM64_O_DIRECT, 0);
    CHECK_LINE("openat", "Fsom", 4, "[7] openat(AT_FDCWD, \"/\", O_RDWR|O_TMPFILE, 0600) = 4\n",
               0xffffffff00000000u | (uint32_t)AT_FDCWD, ADDRESS("/"), 2 | 020000000 | ARM64_O_DIRECTORY,
               0600);
    CHECK_LINE("dup3", "ffn", -EINVAL, "[7] dup3(1, -1, O_CLOEXEC) = -1 EINVAL (Invalid argument)\n", 1,
               (uint64_t)-1, 02000000);
    CHECK_LINE("faccessat", "Fsa", 0, "[7] faccessat(AT_FDCWD, \"\", F_OK) = 0\n", (uint64_t)AT_FDCWD,
               ADDRESS(""), 0);
}

static void test_buffers(void **state)
{
    (void)state;
    CHECK_LINE("write", "fwu", 8, "[7] write(1, \"a\\0001\\377\\\"\\\\\\t\\1\", 8) = 8\n", 1,
               ADDRESS("a\0001\377\"\\\t\001"), 8);
    CHECK_LINE("write", "fwu", 33, "[7] write(1, \"0123456789abcdef0123456789abcdef\"..., 33) = 33\n", 1,
               ADDRESS("0123456789abcdef0123456789abcdefX"), 33);
    CHECK_LINE("read", "fru", 2, "[7] read(0, \"hi\", 100) = 2\n", 0, ADDRESS("hi!"), 100);
    CHECK_LINE("read", "fru", 0, "[7] read(0, \"\", 100) = 0\n", 0, ADDRESS("hi!"), 100);
    char line[128];
    const char *buffer = "hi!";
    snprintf(line, sizeof line, "[7] read(0, %p, 100) = -1 EBADF (Bad file descriptor)\n",
             (const void *)buffer);
    CHECK_LINE("read", "fru", -EBADF, line, 0, ADDRESS(buffer), 100);
    struct iovec vectors[2] = {{"one", 3}, {"two!", 4}};
    CHECK_LINE("writev", "fvu", 7,
               "[7] writev(1, [{iov_base=\"one\", iov_len=3}, {iov_base=\"two!\", iov_len=4}], 2) = 7\n", 1,
               ADDRESS(vectors), 2);
    CHECK_LINE("readv", "fyu", 4,
               "[7] readv(1, [{iov_base=\"one\", iov_len=3}, {iov_base=\"t\", iov_len=4}], 2) = 4\n", 1,
               ADDRESS(vectors), 2);
}

static void test_structures(void **state)
{
    (void)state;
    struct timespec t = {3, 5};
    struct arm64_stat s = {.mode = 0100755, .size = 1234};
    int pair[2] = {3, 4}, status = 0x200;
    uint64_t set = 1 << 1 | 1 << 14, full = ~0ull & ~(1ull << 8);
    CHECK_LINE("nanosleep", "tp", 0, "[7] nanosleep({tv_sec=3, tv_nsec=5}, NULL) = 0\n", ADDRESS(&t), 0);
    CHECK_LINE("fstat", "fD", 0, "[7] fstat(1, {st_mode=S_IFREG|0755, st_size=1234, ...}) = 0\n", 1,
               ADDRESS(&s));
    CHECK_LINE("pipe2", "In", 0, "[7] pipe2([3, 4], 0) = 0\n", ADDRESS(pair), 0);
    CHECK_LINE("wait4", "dHWp", 9,
               "[7] wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 2}], WNOHANG, NULL) = 9\n", 0xffffffff,
               ADDRESS(&status), 1, 0);
    CHECK_LINE("rt_sigprocmask", "hGZu", 0, "[7] rt_sigprocmask(SIG_BLOCK, [INT TERM], NULL, 8) = 0\n", 0,
               ADDRESS(&set), 0, 8);
    CHECK_LINE("rt_sigprocmask", "hGZu", 0, "[7] rt_sigprocmask(SIG_SETMASK, ~[KILL], NULL, 8) = 0\n", 2,
               ADDRESS(&full), 0, 8);
}

static void test_memory(void **state)
{
    (void)state;
    CHECK_LINE(
        "mmap", "puPMFx>p", 0x7f0000001000,
        "[7] mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000\n", 0,
        4096, 3, 0x22, (uint64_t)-1, 0);
    CHECK_LINE("mmap", "puPMFx>p", -ENOMEM,
               "[7] mmap(NULL, 1, PROT_NONE, MAP_SHARED, 3, 0x1000) = -1 ENOMEM (Cannot allocate memory)\n",
               0, 1, 0, 1, 3, 0x1000);
    CHECK_LINE("clone", "Cpppp", 12,
               "[7] clone(CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, NULL, NULL, NULL, "
               "NULL) = 12\n",
               0x01200011);
    CHECK_LINE("kill", "dg", 0, "[7] kill(-5, SIGKILL) = 0\n", (uint64_t)-5, 9);
    CHECK_LINE("tgkill", "ddg", 0, "[7] tgkill(1, 2, SIGRT_2) = 0\n", 1, 2, 34);
    CHECK_LINE("futex", "pUupp", 0, "[7] futex(0x1000, FUTEX_WAKE_PRIVATE, 1, NULL, NULL) = 0\n", 0x1000, 129,
               1);
}

/* A name is the guest's text: it must not end the line or steer a terminal. */
static void test_socket_names(void **state)
{
    (void)state;
    CHECK_LINE("connect", "fKu", 0, "[7] connect(3, {sa_family=AF_UNIX, sun_path=\"/a\\n\\33[m\"}, 9) = 0\n",
               3, ADDRESS("\1\0/a\n\033[m"), 9);
    CHECK_LINE("connect", "fKu", 0, "[7] connect(3, {sa_family=AF_UNIX, sun_path=@\"a\\0b\"}, 6) = 0\n", 3,
               ADDRESS("\1\0\0a\0b"), 6);
    CHECK_LINE("bind", "fKu", 0, "[7] bind(3, {sa_family=AF_UNIX, sun_path=\"\"}, 2) = 0\n", 3,
               ADDRESS("\1\0"), 2);
}

static void test_newer_calls(void **state)
{
    (void)state;
    CHECK_LINE("io_uring_enter", "fuuzpu", 2,
               "[7] io_uring_enter(3, 2, 1, IORING_ENTER_GETEVENTS, NULL, 0) = 2\n", 3, 2, 1, 1, 0, 0);
    CHECK_LINE("io_uring_register", "fTpu", 0,
               "[7] io_uring_register(3, IORING_REGISTER_PROBE, 0x1000, 8) = 0\n", 3, 8, 0x1000, 8);
    const struct io_uring_params params = {.sq_entries = 8, .cq_entries = 16, .flags = 2, .features = 1};
    CHECK_LINE("io_uring_setup", "uV", 3,
               "[7] io_uring_setup(8, {flags=0x2, sq_entries=8, cq_entries=16, features=0x1, ...}) = 3\n", 8,
               ADDRESS(&params));
    const struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .config = 2};
    CHECK_LINE(
        "perf_event_open", "3ddFx", 3,
        "[7] perf_event_open({type=PERF_TYPE_SOFTWARE, config=0x2, sample_period=0, sample_type=0, ...}, "
        "0, -1, -1, 0) = 3\n",
        ADDRESS(&event), 0, (uint64_t)-1, (uint64_t)-1);
    CHECK_LINE("bpf", "1pu", 4, "[7] bpf(BPF_PROG_LOAD, NULL, 48) = 4\n", 5, 0, 48);
    CHECK_LINE("keyctl", "2xxxx", 0, "[7] keyctl(KEYCTL_READ, 0x1, 0, 0, 0) = 0\n", 11, 1);
    CHECK_LINE("fsconfig", "f4spF", 0, "[7] fsconfig(3, FSCONFIG_SET_STRING, \"size\", NULL, 0) = 0\n", 3, 1,
               ADDRESS("size"));
    CHECK_LINE("open_tree", "Fs8", 3, "[7] open_tree(AT_FDCWD, \"/\", OPEN_TREE_CLONE|AT_RECURSIVE) = 3\n",
               (uint64_t)AT_FDCWD, ADDRESS("/"), 0x8001);
    CHECK_LINE("statx", "FsA6p", 0, "[7] statx(3, \"\", AT_EMPTY_PATH, STATX_BASIC_STATS, NULL) = 0\n", 3,
               ADDRESS(""), 0x1000, 0x7ff);
}

/* Calls that may not come back are told before they are made. */
static void test_no_return(void **state)
{
    (void)state;
    CHECK_LINE("exit_group", "!d", 0, "[7] exit_group(3) = ?\n", 3);

    char *arguments[] = {"ls", "-l", NULL};
    const struct linux_syscall execve = {.name = "execve", .format = "!sXE"};
    const uint64_t a[6] = {ADDRESS("/bin/ls"), ADDRESS(arguments), ADDRESS(arguments)};
    char line[128];
    snprintf(line, sizeof line, "[7] execve(\"/bin/ls\", [\"ls\", \"-l\"], %p /* 2 vars */) ...\n",
             (void *)arguments);
    linux_trace_enter(&thread, &execve, a);
    assert_string_equal(output, line);
    linux_trace_leave(&thread, &execve, a, -EACCES);
    assert_string_equal(output, "[7] <... execve resumed>) = -1 EACCES (Permission denied)\n");
}

static void test_unknown(void **state)
{
    (void)state;
    const uint64_t a[6] = {1, 0xff};
    linux_trace_enter(&thread, NULL, a);
    linux_trace_leave(&thread, NULL, a, -ENOSYS);
    assert_string_equal(output,
                        "[7] syscall_0x123(0x1, 0xff, 0, 0, 0, 0) = -1 ENOSYS (Function not implemented)\n");
}

/* A line that is too long is cut, but still one line. */
static void test_long_line(void **state)
{
    (void)state;
    static char path[1024];
    memset(path, '\001', sizeof path - 1);
    const struct linux_syscall renameat = {.name = "renameat", .format = "FsFs"};
    const uint64_t a[6] = {0, ADDRESS(path), 0, ADDRESS(path)};
    linux_trace_leave(&thread, &renameat, a, 0);
    size_t length = strlen(output);
    assert_true(length > 2000 && length < 4096 && output[length - 1] == '\n');
    assert_ptr_equal(strchr(output, '\n'), output + length - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_and_flags), cmocka_unit_test(test_buffers),
        cmocka_unit_test(test_structures),      cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_return),       cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_long_line),       cmocka_unit_test(test_socket_names),
        cmocka_unit_test(test_newer_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
