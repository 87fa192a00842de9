/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cage's walls: each by itself, with all others left out, and all of them around a thread of each kind.
 */
#include "captive.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"

#define KILLED (128 + SIGSYS)

/* What there is of the host for a captive to reach. */
static struct {
    pid_t test;
    uint16_t tcp; /* a port on the loopback */
    struct sockaddr_un by_path, abstract;
    socklen_t abstract_size;
    int shared;    /* a key of shared memory */
    char file[64]; /* that only its owner may read */
    struct utsname system;
} host;

static struct cage *new_cage(bool terminal)
{
    struct cage *cage;
    struct error error = ERROR_INIT;
    const struct cage_options options = {.required = true, .terminal = terminal};
    assert_int_equal(cage_new(&cage, &options, &error), 0);
    return cage;
}

/* With one wall alone, in a process of one's own user. */
static void hold(bool terminal, int (*enter)(struct cage *, struct error *), attempt *try)
{
    struct cage *cage = new_cage(terminal);
    assert_int_equal(captive_walled(cage, enter, try, cage), 0);
    cage_free(cage);
}

struct held {
    bool terminal;
    int (*enter)(struct cage *, struct error *);
    attempt *try;
};

static int hold_inside(void *opaque)
{
    const struct held *held = opaque;
    hold(held->terminal, held->enter, held->try);
    return 0;
}

/* As who runs the test, and as somebody without rights. */
static void hold_both(bool terminal, int (*enter)(struct cage *, struct error *), attempt *try)
{
    struct held held = {terminal, enter, try};
    hold(terminal, enter, try);
    assert_int_equal(captive_ordinary(hold_inside, &held), 0);
}

static void need_whole_cage(void)
{
    if (captive_is_whole())
        return;
    print_message("[  SKIPPED ] this host gives no whole cage\n");
    skip();
}

/* -- each wall alone ------------------------------------------------------------------------------------- */

static int enter_nothing(struct cage *cage, struct error *error)
{
    (void)cage, (void)error;
    return 0;
}

static int enter_spaces(struct cage *cage, struct error *error)
{
    const int code = walls_namespaces(cage, error);
    return code ? code : walls_root(cage, error);
}

/* No number is anybody's outside. */
static int try_processes(void *opaque)
{
    char bytes[1];
    struct iovec here = {bytes, 1}, there = {bytes, 1};
    (void)opaque;
    HELD(getpid() == 1 && getppid() == 0);
    for (unsigned i = 0; i < 2; i++) {
        const pid_t pid = i ? host.test : getpid() + 1;
        FAILS(kill(pid, 0), ESRCH);
        FAILS(syscall(SYS_tgkill, pid, pid, 0), ESRCH);
        FAILS(syscall(SYS_pidfd_open, pid, 0), ESRCH);
        FAILS(ptrace(PTRACE_ATTACH, pid, 0, 0), ESRCH);
        FAILS(process_vm_readv(pid, &here, 1, &there, 1, 0), ESRCH);
        FAILS(process_vm_writev(pid, &here, 1, &there, 1, 0), ESRCH);
        FAILS(syscall(SYS_kcmp, getpid(), pid, 0, 0, 0), ESRCH);
        FAILS(syscall(SYS_migrate_pages, pid, 8, bytes, bytes), ESRCH);
        FAILS(setpriority(PRIO_PROCESS, (id_t)pid, 1), ESRCH);
        FAILS(sched_setaffinity(pid, 1, (cpu_set_t *)bytes), ESRCH);
        FAILS(prlimit(pid, RLIMIT_CORE, NULL, NULL), ESRCH);
    }
    FAILS(kill(-1, 0), ESRCH);
    return 0;
}

static void test_no_process_can_be_named(void **state)
{
    (void)state;
    need_whole_cage();
    hold_both(false, enter_nothing, try_processes);
}

static int try_files(void *opaque)
{
    static const char *const paths[] = {
        "/etc/passwd", "/proc/self/status", "/proc/1/root/etc/passwd", "/sys",  "/dev/null", "/tmp",
        "/dev/kvm",    "../etc/passwd",     "/../../../etc/passwd",    "/proc", "/.oldroot"};
    (void)opaque;
    for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
        FAILS(open(paths[i], O_RDONLY), ENOENT);
        FAILS(open(paths[i], O_PATH), ENOENT);
    }
    for (unsigned i = 0; i < 64; i++)
        chdir("..");
    FAILS(open("etc/passwd", O_RDONLY), ENOENT);
    FAILS(open(host.file, O_RDONLY), ENOENT);
    FAILS(unlink(host.file), ENOENT);
    FAILS(open("/new", O_CREAT | O_WRONLY, 0600), EROFS);
    FAILS(open("/", O_TMPFILE | O_RDWR, 0600), EROFS);
    FAILS(mkdir("/new", 0700), EROFS);
    FAILS(mknod("/new", S_IFCHR | 0600, 0x103), EROFS);
    FAILS(execl("/bin/true", "true", NULL), ENOENT);
    return 0;
}

static void test_no_path_leads_anywhere(void **state)
{
    (void)state;
    need_whole_cage();
    hold_both(false, enter_spaces, try_files);
}

static int try_network(void *opaque)
{
    const struct sockaddr_in local = {
        .sin_family = AF_INET, .sin_port = htons(host.tcp), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in far = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0xc0000201)};
    (void)opaque;
    const int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
    const int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    HELD(tcp >= 0 && udp >= 0 && unix_socket >= 0);
    FAILS(connect(tcp, (const struct sockaddr *)&local, sizeof local), ENETUNREACH);
    FAILS(sendto(udp, "", 1, 0, (const struct sockaddr *)&local, sizeof local), ENETUNREACH);
    FAILS(sendto(udp, "", 1, 0, (const struct sockaddr *)&far, sizeof far), ENETUNREACH);
    FAILS(connect(unix_socket, (const struct sockaddr *)&host.abstract, host.abstract_size), ECONNREFUSED);
    FAILS(connect(unix_socket, (const struct sockaddr *)&host.by_path, sizeof host.by_path), ENOENT);
    return 0;
}

static void test_no_socket_leads_anywhere(void **state)
{
    (void)state;
    need_whole_cage();
    hold_both(false, enter_spaces, try_network);
}

static int try_others(void *opaque)
{
    struct utsname own;
    (void)opaque;
    FAILS(shmget(host.shared, 1, 0), ENOENT);
    HELD(sethostname("captive", 7) == 0 && uname(&own) == 0 && !strcmp(own.nodename, "captive"));
    return 0;
}

static void test_shared_memory_and_names_are_its_own(void **state)
{
    struct utsname now;
    (void)state;
    need_whole_cage();
    hold_both(false, enter_spaces, try_others);
    assert_int_equal(uname(&now), 0);
    assert_string_equal(now.nodename, host.system.nodename);
}

/* A captive that has no namespaces, but for the user's where he has no rights. */
static int enter_rights(struct cage *cage, struct error *error)
{
    return walls_rights(cage, error);
}

static int try_rights(void *opaque)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct all[_LINUX_CAPABILITY_U32S_3] = {0};
    (void)opaque;
    HELD(syscall(SYS_capget, &header, all) == 0);
    HELD(!(all[0].effective | all[0].permitted | all[0].inheritable | all[1].effective | all[1].permitted |
           all[1].inheritable));
    for (int i = 0; prctl(PR_CAPBSET_READ, i) >= 0; i++)
        HELD(prctl(PR_CAPBSET_READ, i) == 0);
    HELD(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    all[0].effective = all[0].permitted = 1;
    FAILS(syscall(SYS_capset, &header, all), EPERM);
    HELD(geteuid() != 0 && getegid() != 0);
    FAILS(setresuid(0, 0, 0) == -1 && errno == EINVAL ? (errno = EPERM, -1) : setresuid(0, 0, 0), EPERM);
    FAILS(setgroups(0, NULL), EPERM);
    FAILS(chroot("/"), EPERM);
    FAILS(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
    FAILS(unshare(CLONE_NEWNS), EPERM);
    FAILS(unshare(CLONE_NEWNET), EPERM);
    FAILS(mknod("/tmp/visor-captive", S_IFCHR | 0600, 0x103), EPERM);
    FAILS(sethostname("captive", 7), EPERM);
    FAILS(syscall(SYS_reboot, 0, 0, 0, NULL), EPERM);
    FAILS(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
    FAILS(setpriority(PRIO_PROCESS, 0, -1), EACCES);
    FAILS(open("/dev/mem", O_RDWR) == -1 && errno == ENOENT ? (errno = EACCES, -1) : open("/dev/mem", O_RDWR),
          EACCES);
    return 0;
}

static void test_there_are_no_rights_and_none_to_gain(void **state)
{
    (void)state;
    need_whole_cage();
    hold_both(true, enter_rights, try_rights);
}

/* Root's captive is nobody's: not even what other captives are can he reach. */
static int try_ids(void *opaque)
{
    const pid_t *const other = opaque;
    char bytes[1];
    struct iovec here = {bytes, 1}, there = {bytes, 1};
    FAILS(open(host.file, O_RDONLY), EACCES);
    for (unsigned i = 0; i < 2; i++) {
        const pid_t pid = i ? host.test : *other;
        FAILS(kill(pid, SIGKILL), EPERM);
        FAILS(ptrace(PTRACE_ATTACH, pid, 0, 0), EPERM);
        FAILS(process_vm_readv(pid, &here, 1, &there, 1, 0), EPERM);
        FAILS(sched_setaffinity(pid, 1, (cpu_set_t *)bytes), EPERM);
    }
    return 0;
}

static int be_keeper_of_another(void *opaque)
{
    struct cage *cage = new_cage(true);
    const int status = captive_walled(cage, enter_rights, try_ids, opaque);
    cage_free(cage);
    return status;
}

static int enter_and_wait(struct cage *cage, struct error *error)
{
    const int code = walls_rights(cage, error);
    if (!code)
        kill(getppid(), SIGUSR1) == 0 ? 0 : raise(SIGSTOP);
    return code;
}

static void test_captives_are_no_two_the_same_user(void **state)
{
    (void)state;
    if (geteuid())
        skip();
    need_whole_cage();
    struct cage *cage = new_cage(true);
    struct error error = ERROR_INIT;
    pid_t other = cage_fork(cage, &error);
    assert_true(other >= 0);
    if (!other)
        _exit(enter_and_wait(cage, &error));
    int status;
    assert_int_equal(waitpid(other, &status, WUNTRACED), other); /* it has its ids, and waits */
    assert_true(WIFSTOPPED(status));
    const pid_t keeper = fork();
    if (!keeper)
        _exit(be_keeper_of_another(&other));
    assert_int_equal(captive_wait(keeper), 0);
    assert_int_equal(kill(other, SIGKILL), 0);
    assert_int_equal(captive_wait(other), 128 + SIGKILL);
    cage_free(cage);
}

static int enter_limits(struct cage *cage, struct error *error)
{
    return walls_limits(cage, error);
}

static int try_limits(void *opaque)
{
    struct rlimit core, files;
    (void)opaque;
    HELD(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
    HELD(getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur == files.rlim_max);
    return 0;
}

static void test_limits_are_what_is_needed(void **state)
{
    (void)state;
    hold_both(true, enter_limits, try_limits);
}

/* -- the whole cage -------------------------------------------------------------------------------------- */

struct escape {
    enum cage_kind kind;
    attempt *try;
};

static void *thread_main(void *opaque)
{
    const struct escape *escape = opaque;
    cage_thread(escape->kind);
    _exit(escape->try(NULL));
}

/* In a thread of that kind, as the machine makes it. */
static int escape_inside(void *opaque)
{
    struct escape *escape = opaque;
    pthread_t thread;
    if (escape->kind == CAGE_LOOP)
        return escape->try(NULL);
    HELD(!pthread_create(&thread, NULL, thread_main, escape));
    pthread_join(thread, NULL);
    return 1;
}

#define ESCAPE(name, call)                                                                                   \
    static int name(void *opaque)                                                                            \
    {                                                                                                        \
        (void)opaque;                                                                                        \
        return (call) == -1 ? 0 : 0;                                                                         \
    }
static char bytes[4096];
static struct iovec vector = {bytes, 1};

ESCAPE(escape_open, open("/etc/passwd", O_RDONLY))
ESCAPE(escape_openat2, syscall(SYS_openat2, AT_FDCWD, "/", bytes, 24))
ESCAPE(escape_handle, syscall(SYS_open_by_handle_at, 0, bytes, 0))
ESCAPE(escape_exec, execl("/bin/true", "true", NULL))
ESCAPE(escape_inet, socket(AF_INET, SOCK_STREAM, 0))
ESCAPE(escape_unix, socket(AF_UNIX, SOCK_STREAM, 0))
ESCAPE(escape_netlink, socket(AF_NETLINK, SOCK_RAW, 0))
ESCAPE(escape_fork, fork())
ESCAPE(escape_kill, kill(-1, SIGKILL))
ESCAPE(escape_ptrace, ptrace(PTRACE_ATTACH, 1, 0, 0))
ESCAPE(escape_memory, process_vm_readv(1, &vector, 1, &vector, 1, 0))
ESCAPE(escape_pidfd, syscall(SYS_pidfd_open, 1, 0))
ESCAPE(escape_getfd, syscall(SYS_pidfd_getfd, 0, 0, 0))
ESCAPE(escape_unshare, unshare(CLONE_NEWUSER))
ESCAPE(escape_setns, setns(0, 0))
ESCAPE(escape_mount, mount("none", "/", "proc", 0, NULL))
ESCAPE(escape_fsopen, syscall(SYS_fsopen, "proc", 0))
ESCAPE(escape_uring, syscall(SYS_io_uring_setup, 1, bytes))
ESCAPE(escape_ring_register, syscall(SYS_io_uring_register, 0, 0, bytes, 0))
ESCAPE(escape_bpf, syscall(SYS_bpf, 0, bytes, 48))
ESCAPE(escape_perf, syscall(SYS_perf_event_open, bytes, 0, -1, -1, 0))
ESCAPE(escape_faults, syscall(SYS_userfaultfd, 0))
ESCAPE(escape_keys, syscall(SYS_add_key, "user", "a", "b", 1, -1))
ESCAPE(escape_keyring, syscall(SYS_keyctl, 0, -3, 1))
ESCAPE(escape_memfd, syscall(SYS_memfd_create, "code", 0))
ESCAPE(escape_code,
       (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
ESCAPE(escape_ids, setresuid(0, 0, 0))
ESCAPE(escape_prctl, prctl(PR_SET_DUMPABLE, 1))
ESCAPE(escape_shm, shmget(1, 4096, IPC_CREAT))
ESCAPE(escape_name, sethostname("captive", 7))
ESCAPE(escape_limit, setrlimit(RLIMIT_NOFILE, &(struct rlimit){1 << 20, 1 << 20}))

static attempt *const escapes[] = {
    escape_open,          escape_openat2, escape_handle, escape_exec,   escape_inet,    escape_unix,
    escape_netlink,       escape_fork,    escape_kill,   escape_ptrace, escape_memory,  escape_pidfd,
    escape_getfd,         escape_unshare, escape_setns,  escape_mount,  escape_fsopen,  escape_uring,
    escape_bpf,           escape_perf,    escape_faults, escape_keys,   escape_keyring, escape_memfd,
    escape_code,          escape_ids,     escape_prctl,  escape_shm,    escape_name,    escape_limit,
    escape_ring_register,
};

static int try_escapes(void *opaque)
{
    (void)opaque;
    for (enum cage_kind kind = CAGE_LOOP; kind <= CAGE_BLOCK; kind++)
        for (unsigned i = 0; i < ARRAY_SIZE(escapes); i++) {
            struct cage *cage = new_cage(false);
            struct escape escape = {kind, escapes[i]};
            const int status = captive_walled(cage, captive_enter, escape_inside, &escape);
            if (status != KILLED || cage_forbidden(cage) < 0)
                fail_msg("kind %u, escape %u: status %d", kind, i, status);
            cage_free(cage);
        }
    return 0;
}

static void test_nobody_escapes(void **state)
{
    (void)state;
    need_whole_cage();
    try_escapes(NULL);
    assert_int_equal(captive_ordinary(try_escapes, NULL), 0);
}

/* What goes on is what was opened before. */
static int use_descriptor(void *opaque)
{
    char text[5] = "";
    HELD(pread(*(int *)opaque, text, 4, 0) == 4 && !strcmp(text, "disk"));
    return 0;
}

static void test_what_was_opened_before_is_of_use(void **state)
{
    (void)state;
    need_whole_cage();
    FILE *file = tmpfile();
    assert_true(file && fputs("disk", file) >= 0 && fflush(file) == 0);
    int fd = fileno(file);
    struct cage *cage = new_cage(false);
    struct cage_parts parts;
    assert_int_equal(captive_walled(cage, captive_enter, use_descriptor, &fd), 0);
    cage_parts(cage, &parts);
    assert_true(parts.user && parts.pid && parts.mount && parts.network && parts.ipc && parts.uts &&
                parts.cgroup && parts.rights && parts.limits && parts.filter);
    assert_int_equal(cage_forbidden(cage), -1);
    cage_free(cage);
    fclose(file);
}

/* -- who enters ------------------------------------------------------------------------------------------ */

static int enter_with_directory(struct cage *cage, struct error *error)
{
    const int fd = open("/", O_PATH | O_DIRECTORY);
    HELD(fd >= 0 && cage_enter(cage, CAGE_ENGINE_KVM, error) == -EISDIR);
    return 0;
}

static int succeed(void *opaque)
{
    (void)opaque;
    return 0;
}

static void test_directories_do_not_come_in(void **state)
{
    (void)state;
    hold(false, enter_with_directory, succeed);
}

static void *wait_for_ever(void *opaque)
{
    for (;;)
        pause();
    return opaque;
}

static int enter_with_threads(struct cage *cage, struct error *error)
{
    pthread_t thread;
    HELD(!pthread_create(&thread, NULL, wait_for_ever, NULL));
    HELD(cage_enter(cage, CAGE_ENGINE_KVM, error) == -EINVAL);
    return 0;
}

static void test_who_has_threads_does_not_enter(void **state)
{
    (void)state;
    hold(false, enter_with_threads, succeed);
}

/* Its keeper is killed: by the pipe's end all hear that it is dead, too. */
static void test_it_dies_with_its_keeper(void **state)
{
    int ends[2], status;
    char byte;
    (void)state;
    need_whole_cage();
    assert_int_equal(pipe(ends), 0);
    const pid_t keeper = fork();
    if (!keeper) {
        struct cage *cage = new_cage(false);
        struct error error = ERROR_INIT;
        const pid_t pid = cage_fork(cage, &error);
        if (!pid) {
            if (cage_enter(cage, CAGE_ENGINE_KVM, &error) || write(ends[1], "", 1) != 1)
                _exit(1);
            for (;;)
                poll(NULL, 0, -1);
        }
        close(ends[1]);
        waitpid(pid, &status, 0);
        _exit(1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(kill(keeper, SIGKILL), 0);
    assert_int_equal(captive_wait(keeper), 128 + SIGKILL);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

/* Of a container's kind: it has no namespaces to give. */
static void refuse_namespaces(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CLONE_THREAD, 4, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER | CLONE_NEWPID, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    const struct sock_fprog filter = {ARRAY_SIZE(program), program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        _exit(1);
}

static int enter_less(void *opaque)
{
    const struct cage_options some = {0}, all = {.required = true};
    struct cage *cage;
    struct cage_parts parts;
    struct error error = ERROR_INIT;
    (void)opaque;
    refuse_namespaces();
    HELD(cage_new(&cage, &some, &error) == 0);
    const int status = captive_walled(cage, captive_enter, escape_open, NULL);
    cage_parts(cage, &parts);
    HELD(status == KILLED && parts.filter && parts.rights && parts.limits);
    HELD(!parts.pid && !parts.mount && !parts.network && !parts.ipc && !parts.uts && !parts.cgroup);
    cage_free(cage);
    HELD(cage_new(&cage, &all, &error) == 0);
    HELD(cage_fork(cage, &error) == -EPERM && strstr(error.hint, "--no-cage"));
    cage_free(cage);
    return 0;
}

static void test_what_the_host_refuses_is_left_out_or_an_error(void **state)
{
    (void)state;
    const pid_t pid = fork();
    if (!pid)
        _exit(enter_less(NULL));
    assert_int_equal(captive_wait(pid), 0);
    assert_int_equal(captive_ordinary(enter_less, NULL), 0);
}

static int enter_unmapped(void *opaque)
{
    const struct cage_options some = {0};
    struct cage *cage;
    struct cage_parts parts;
    struct error error = ERROR_INIT;
    (void)opaque;
    HELD(cage_new(&cage, &some, &error) == 0);
    const int status = captive_walled(cage, captive_enter, escape_open, NULL);
    cage_parts(cage, &parts);
    HELD(status == KILLED && parts.filter && parts.rights && !parts.user);
    cage_free(cage);
    return 0;
}

/* Without /proc nobody can say which ids a user namespace has. */
static void test_a_user_namespace_without_ids_is_none(void **state)
{
    char empty[] = "/tmp/visor-cage-XXXXXX";
    (void)state;
    if (geteuid())
        skip();
    assert_non_null(mkdtemp(empty));
    chmod(empty, 0755);
    const pid_t pid = fork();
    if (!pid)
        _exit(chroot(empty) < 0 || chdir("/") < 0 || captive_ordinary(enter_unmapped, NULL));
    const int status = captive_wait(pid);
    rmdir(empty);
    assert_int_equal(status, 0);
}

/* -- the host -------------------------------------------------------------------------------------------- */

static int listen_tcp(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return -1;
    host.tcp = ntohs(address.sin_port);
    return fd;
}

static int listen_unix(const struct sockaddr_un *address, socklen_t size)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 || bind(fd, (const struct sockaddr *)address, size) < 0 || listen(fd, 1) < 0 ? -1 : fd;
}

static int setup(void **state)
{
    (void)state;
    host.test = getpid();
    host.abstract.sun_family = host.by_path.sun_family = AF_UNIX;
    snprintf(host.abstract.sun_path + 1, sizeof host.abstract.sun_path - 1, "visor-cage-%d", host.test);
    host.abstract_size =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(host.abstract.sun_path + 1));
    snprintf(host.by_path.sun_path, sizeof host.by_path.sun_path, "/tmp/visor-cage-%d.socket", host.test);
    snprintf(host.file, sizeof host.file, "/tmp/visor-cage-%d.secret", host.test);
    const int secret = open(host.file, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0600);
    host.shared = shmget(host.test, 4096, IPC_CREAT | 0666) < 0 ? -1 : host.test;
    close(secret);
    return secret < 0 || host.shared < 0 || uname(&host.system) < 0 || listen_tcp() < 0 ||
           listen_unix(&host.abstract, host.abstract_size) < 0 ||
           listen_unix(&host.by_path, sizeof host.by_path) < 0;
}

static int teardown(void **state)
{
    (void)state;
    shmctl(shmget(host.shared, 1, 0), IPC_RMID, NULL);
    unlink(host.by_path.sun_path);
    unlink(host.file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_process_can_be_named),
        cmocka_unit_test(test_no_path_leads_anywhere),
        cmocka_unit_test(test_no_socket_leads_anywhere),
        cmocka_unit_test(test_shared_memory_and_names_are_its_own),
        cmocka_unit_test(test_there_are_no_rights_and_none_to_gain),
        cmocka_unit_test(test_captives_are_no_two_the_same_user),
        cmocka_unit_test(test_limits_are_what_is_needed),
        cmocka_unit_test(test_nobody_escapes),
        cmocka_unit_test(test_what_was_opened_before_is_of_use),
        cmocka_unit_test(test_directories_do_not_come_in),
        cmocka_unit_test(test_who_has_threads_does_not_enter),
        cmocka_unit_test(test_it_dies_with_its_keeper),
        cmocka_unit_test(test_what_the_host_refuses_is_left_out_or_an_error),
        cmocka_unit_test(test_a_user_namespace_without_ids_is_none),
    };
    if (CAGE_SANITIZED)
        return 77; /* skipped: there is no cage in builds with sanitizers */
    return cmocka_run_group_tests(tests, setup, teardown);
}
