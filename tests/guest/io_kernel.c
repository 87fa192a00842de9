/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that programs of the system use and few others: Landlock, performance events, keys, BPF, fanotify,
 * the new calls for mounts and attributes, memory policies. What the kernel does not have or does not permit
 * this user is skipped and told.
 */
#include "io_check.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/fanotify.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#ifdef __aarch64__
#define IS_GUEST 1
#else
#define IS_GUEST 0
#endif

static const char *self;

/* Runs a function in a child, whose result is its status. */
static int in_child(int (*function)(void))
{
    int status = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(function());
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* -- landlock ----------------------------------------------------------------------------- */

static int landlocked(void)
{
    struct landlock_ruleset_attr attributes = {.handled_access_fs =
                                                   LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    struct landlock_path_beneath_attr rule = {.allowed_access = attributes.handled_access_fs,
                                              .parent_fd = open(self, O_PATH)};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        return 1;
    close(rule.parent_fd);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0))
        return 2;
    close(ruleset);
    if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
        return 3;
    execl(self, self, "executed", NULL); /* is allowed by the rule */
    return 4;
}

/* Since 6.14 the kernel can be asked whether a file may be executed, without executing it. */
static int can_ask(void)
{
    static char *const arguments[] = {"", NULL};
    return !IS_GUEST || syscall(SYS_execveat, open(self, O_RDONLY | O_CLOEXEC), "", arguments, NULL,
                                AT_EMPTY_PATH | 0x10000 /* AT_EXECVE_CHECK */) == 0;
}

/* What may be read may not be executed therefore. */
static int not_executable(void)
{
    struct landlock_ruleset_attr attributes = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0))
        return 1;
    execl(self, self, "executed", NULL);
    return errno == EACCES ? 43 : 2;
}

/* Nor may what someone writes to. */
static void test_busy(void)
{
    char text[4096];
    size_t length;
    FILE *from = fopen(self, "r"), *to = fopen("kernel.e", "w");
    CHECK(from && to);
    while ((length = fread(text, 1, sizeof text, from)) > 0)
        CHECK(fwrite(text, 1, length, to) == length);
    fclose(from);
    fclose(to);
    CHECK(chmod("kernel.e", 0700) == 0);
    int fd = open("kernel.e", O_WRONLY | O_CLOEXEC);
    CHECK_ERROR(execl("./kernel.e", "kernel.e", "executed", NULL), ETXTBSY);
    close(fd);
    unlink("kernel.e");
}

static void test_landlock(void)
{
    if (!AVAILABLE(syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)))
        return;
    CHECK(in_child(landlocked) == 42);
    if (can_ask())
        CHECK(in_child(not_executable) == 43);
}

/* -- performance events ------------------------------------------------------------------- */

static void test_perf(void)
{
    struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE,
                                    .size = sizeof event,
                                    .config = PERF_COUNT_SW_PAGE_FAULTS,
                                    .exclude_kernel = 1,
                                    .exclude_hv = 1};
    int fd = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (!AVAILABLE(fd))
        return;
    uint64_t before = 0, after = 0;
    CHECK(read(fd, &before, sizeof before) == sizeof before);
    char *pages = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 64; i++)
        ((volatile char *)pages)[i * 4096] = 1;
    CHECK(read(fd, &after, sizeof after) == sizeof after && after > before);
    CHECK(ioctl(fd, PERF_EVENT_IOC_DISABLE, 0) == 0);
    munmap(pages, 64 * 4096);
    close(fd);
    CHECK_ERROR(syscall(SYS_perf_event_open, bad_pointer, 0, -1, -1, 0), EFAULT);
    if (!IS_GUEST)
        return;
    event.type = PERF_TYPE_HARDWARE;
    event.config = PERF_COUNT_HW_CPU_CYCLES;
    CHECK_ERROR(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), ENOENT);
    event.type = PERF_TYPE_SOFTWARE;
    event.config = PERF_COUNT_SW_CPU_CLOCK;
    event.sample_period = 100000;
    event.sample_type = PERF_SAMPLE_IP;
    CHECK_ERROR(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0), EOPNOTSUPP);
}

/* -- keys, BPF ---------------------------------------------------------------------------- */

static void test_keys(void)
{
    char text[16] = "";
    long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    if (!AVAILABLE(ring))
        return;
    long key = syscall(SYS_add_key, "user", "visor:test", "secret", 6, KEY_SPEC_SESSION_KEYRING);
    CHECK(key > 0);
    CHECK(syscall(SYS_request_key, "user", "visor:test", NULL, 0) == key);
    CHECK(syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text) == 6 && memcmp(text, "secret", 6) == 0);
    CHECK(syscall(SYS_keyctl, KEYCTL_INVALIDATE, key) == 0);
    CHECK_ERROR(syscall(SYS_keyctl, KEYCTL_READ, 0x7fffffff, text, sizeof text), ENOKEY);
}

static void test_bpf(void)
{
    union bpf_attr create, access;
    memset(&create, 0, sizeof create);
    create.map_type = BPF_MAP_TYPE_ARRAY;
    create.key_size = 4;
    create.value_size = 8;
    create.max_entries = 2;
    int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &create, sizeof create);
    if (!AVAILABLE(map))
        return;
    uint32_t key = 1;
    uint64_t value = 0x123456789abcdef, found = 0;
    memset(&access, 0, sizeof access);
    access.map_fd = (uint32_t)map;
    access.key = (uintptr_t)&key;
    access.value = (uintptr_t)&value;
    CHECK(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &access, sizeof access) == 0);
    access.value = (uintptr_t)&found;
    CHECK(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &access, sizeof access) == 0 && found == value);
    close(map);
}

/* -- files -------------------------------------------------------------------------------- */

static void test_fanotify(void)
{
    int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY | O_LARGEFILE | O_NOATIME);
    if (!AVAILABLE(fd))
        return;
    CHECK(mkdir("kernel.d", 0700) == 0);
    CHECK(fanotify_mark(fd, FAN_MARK_ADD, FAN_OPEN | FAN_EVENT_ON_CHILD, AT_FDCWD, "kernel.d") == 0);
    int file = open("kernel.d/f", O_CREAT | O_RDWR, 0600);
    struct fanotify_event_metadata event = {0};
    CHECK(read(fd, &event, sizeof event) == sizeof event);
    CHECK(event.metadata_len == sizeof event && event.mask & FAN_OPEN && event.pid == getpid());
    int flags = fcntl(event.fd, F_GETFL);
    CHECK((flags & O_ACCMODE) == O_RDONLY && flags & O_NOATIME && !(flags & (O_DIRECTORY | O_DIRECT)));
    close(event.fd);
    close(file);
    close(fd);
    unlink("kernel.d/f");
    rmdir("kernel.d");
}

static void test_handles(void)
{
    struct {
        struct file_handle head;
        unsigned char bytes[128];
    } handle = {.head.handle_bytes = 128};
    int mount_id;
    CHECK(mkdir("kernel.h", 0700) == 0);
    if (AVAILABLE(name_to_handle_at(AT_FDCWD, "kernel.h", &handle.head, &mount_id, 0))) {
        int directory = open(".", O_RDONLY);
        int fd = open_by_handle_at(directory, &handle.head, O_RDONLY | O_DIRECTORY);
        if (AVAILABLE(fd))
            CHECK(fcntl(fd, F_GETFL) & O_DIRECTORY);
        close(fd);
        close(directory);
    }
    rmdir("kernel.h");
}

static int mounts(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mkdir("kernel.m", 0700) < 0)
        return 1;
    int failures = check_failures;
    int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    CHECK(syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "64k", 0) == 0);
    CHECK(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0);
    int mount_fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
    CHECK(mount_fd >= 0);
    CHECK(syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, "kernel.m", MOVE_MOUNT_F_EMPTY_PATH) == 0);
    int file = open("kernel.m/f", O_CREAT | O_RDWR, 0600);
    CHECK(file >= 0);
    close(file);
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    CHECK(syscall(SYS_mount_setattr, mount_fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0);
    CHECK_ERROR(open("kernel.m/f", O_RDWR), EROFS);
    int tree = (int)syscall(SYS_open_tree, AT_FDCWD, "kernel.m", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    CHECK(tree >= 0 && fcntl(tree, F_GETFD) == FD_CLOEXEC);
    close(tree);
    close(context);
    close(mount_fd);
    return check_failures != failures;
}

static void test_mounts(void)
{
    if (geteuid() != 0) {
        printf("skipped: mounts: not root\n");
        return;
    }
    CHECK(in_child(mounts) == 0);
    rmdir("kernel.m");
}

static void test_attributes(void)
{
    struct { /* struct xattr_args */
        uint64_t value;
        uint32_t size, flags;
    } arguments = {(uintptr_t) "hello", 5, 0};
    char text[8] = "";
    CHECK(close(open("kernel.x", O_CREAT | O_WRONLY, 0600)) == 0);
    if (AVAILABLE(syscall(463 /* setxattrat */, AT_FDCWD, "kernel.x", 0, "user.visor", &arguments,
                          sizeof arguments))) {
        arguments.value = (uintptr_t)text;
        arguments.size = sizeof text;
        CHECK(syscall(464, AT_FDCWD, "kernel.x", 0, "user.visor", &arguments, sizeof arguments) == 5 &&
              memcmp(text, "hello", 5) == 0);
        CHECK(syscall(466, AT_FDCWD, "kernel.x", 0, "user.visor") == 0);
    }
    struct { /* struct file_attr */
        uint64_t flags;
        uint32_t extent_size, extents, project, cow_size;
    } attributes = {0};
    AVAILABLE(syscall(468 /* file_getattr */, AT_FDCWD, "kernel.x", &attributes, sizeof attributes, 0));
    CHECK_ERROR(syscall(468, AT_FDCWD, bad_pointer, &attributes, sizeof attributes, 0),
                errno == ENOSYS ? ENOSYS : EFAULT);
    unlink("kernel.x");
}

/* -- processes and memory ----------------------------------------------------------------- */

static void test_processes(void)
{
    char from[] = "remote", to[8] = "";
    struct iovec local = {to, 6}, remote = {from, 6};
    CHECK(syscall(SYS_process_vm_readv, getpid(), &local, 1, &remote, 1, 0) == 6 && !strcmp(to, "remote"));
    CHECK(syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, 1, 1) == 0);
    struct { /* struct sched_attr */
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
        uint32_t minimum, maximum;
    } attributes = {0};
    CHECK(syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 && attributes.size >= 48);
    CHECK(syscall(SYS_sched_setattr, 0, &attributes, 0) == 0);
    CHECK(syscall(SYS_ioprio_get, 1, 0) >= 0);
    uint64_t nodes = 0;
    int mode = -1;
    if (AVAILABLE(syscall(SYS_get_mempolicy, &mode, &nodes, 64, NULL, 0)))
        CHECK(mode == 0);
    CHECK_ERROR(syscall(SYS_restart_syscall), EINTR);
}

/* As on a kernel without them, so that programs do without. */
static void test_refused(void)
{
    if (!IS_GUEST)
        return;
    CHECK_ERROR(ptrace(PTRACE_TRACEME, 0, NULL, NULL), ENOSYS);
    CHECK_ERROR(syscall(SYS_seccomp, 1, 0, NULL), ENOSYS);
    CHECK_ERROR(prctl(PR_SET_SECCOMP, 2, NULL, 0, 0), EINVAL);
    CHECK_ERROR(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), EINVAL);
}

/* A CPU without AArch32 has no personality for it, and says so before it changes anything. */
static void test_personality(void)
{
    int old = personality(0xffffffff);
    CHECK(old >= 0);
    if (!IS_GUEST)
        return;
    CHECK_ERROR(personality(PER_LINUX32), EINVAL);
    CHECK_ERROR(personality(PER_LINUX32 | ADDR_NO_RANDOMIZE), EINVAL);
    CHECK(personality(0xffffffff) == old);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        return 42; /* test_landlock() */
    self = argv[0];
    test_landlock();
    if (can_ask())
        test_busy();
    test_perf();
    test_keys();
    test_bpf();
    test_fanotify();
    test_handles();
    test_mounts();
    test_attributes();
    test_processes();
    test_personality();
    test_refused();
    return check_done("io_kernel");
}
