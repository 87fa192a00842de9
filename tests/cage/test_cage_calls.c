/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The cage's filter alone: what a captured thread of each kind may call, number for number. */
#include "captive.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/vfio.h>
#include <linux/vhost.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/macros.h"

#define KILLED  (128 + SIGSYS)
#define NUMBERS 1024

/* What the table has of calls, whatever their arguments. */
#define LOOP      (1 << CAGE_LOOP)
#define VCPU      (1 << CAGE_VCPU)
#define BLOCK     (1 << CAGE_BLOCK)
#define ALL       (LOOP | VCPU | BLOCK)
#define KVM       CAGE_ENGINE_KVM
#define TRANSLATE CAGE_ENGINE_TRANSLATE
#define EITHER    (KVM | TRANSLATE)
#define VFIO      CAGE_VFIO
#define VHOST     CAGE_VHOST
#define GROUP(title)
#define CALL(threads, engines, name, rule, why) {SYS_##name, threads, engines, #name},
static const struct row {
    uint16_t call;
    uint8_t threads, engines;
    const char *name;
} rows[] = {
#include "cage/calls.def"
};

static struct cage_page *page;

static bool has_row(int call, unsigned kind, unsigned engines)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].call == call && rows[i].threads & 1u << kind && rows[i].engines & engines)
            return true;
    return false;
}

/* -- every number ---------------------------------------------------------------------------------------- */

/* Nothing that it could be given is right, should it be made. */
static int call_number(void *opaque)
{
    const int *number = opaque;
    syscall(*number, -1L, -1L, -1L, -1L, -1L, -1L);
    return 0;
}

/* uretprobe() and uprobe() pass by all filters (Linux 6.13), and end who calls them from his own code. */
static bool is_nobodys(int number)
{
#ifdef __x86_64__
    return number == 335 || number == 336;
#else
    (void)number;
    return false;
#endif
}

static void every_number(enum cage_kind kind, unsigned engines)
{
    unsigned refused = 0;
    for (int number = 0; number < NUMBERS; number++) {
        if (has_row(number, kind, engines) || is_nobodys(number))
            continue;
        assert_int_equal(captive_filtered(kind, engines, page, call_number, &number), KILLED);
        const struct cage cage = {.page = page};
        assert_int_equal(cage_forbidden(&cage), number);
        refused++;
    }
    assert_true(refused > NUMBERS / 2);
}

static void test_loop_has_no_call_but_the_tables(void **state)
{
    (void)state;
    every_number(CAGE_LOOP, CAGE_ENGINE_KVM);
}

static void test_vcpu_has_no_call_but_the_tables(void **state)
{
    (void)state;
    every_number(CAGE_VCPU, CAGE_ENGINE_KVM);
}

static void test_vcpu_of_translate_has_no_call_but_the_tables(void **state)
{
    (void)state;
    every_number(CAGE_VCPU, CAGE_ENGINE_TRANSLATE);
}

static void test_block_has_no_call_but_the_tables(void **state)
{
    (void)state;
    every_number(CAGE_BLOCK, CAGE_ENGINE_KVM);
}

/* Numbers of x32, and of nobody. */
static void test_other_numbers_end_the_process(void **state)
{
    static const int numbers[] = {NUMBERS, 0x40000000, 0x40000000 + 1, 0x40000000 + 257, 0x7fffffff, -1};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        int number = numbers[i];
        assert_int_equal(captive_filtered(CAGE_VCPU, CAGE_ENGINE_KVM, page, call_number, &number), KILLED);
    }
}

#ifdef __x86_64__
/* getpid() of i386. A kernel without those calls faults. */
static int call_i386(void *opaque)
{
    long result = 20;
    (void)opaque;
    __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
    return 0;
}

static void test_another_architectures_calls_end_the_process(void **state)
{
    (void)state;
    const int status = captive_filtered(CAGE_VCPU, CAGE_ENGINE_KVM, page, call_i386, NULL);
    assert_true(status == KILLED || status == 128 + SIGSEGV);
}
#endif

/* Every row says what the loop may, since its filter is everybody's. */
static void test_loops_rows_are_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        if (!(rows[i].threads & LOOP))
            fail_msg("the loop has no %s", rows[i].name);
}

/* -- arguments ------------------------------------------------------------------------------------------- */

struct call {
    long number, arguments[6];
};

static int make_call(void *opaque)
{
    const struct call *call = opaque;
    const long *a = call->arguments;
    syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return 0;
}

static char memory[4096] __attribute__((aligned(4096)));

#define SAME_THREAD                                                                                          \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |       \
     CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static void test_arguments_that_lead_out_are_refused(void **state)
{
    const long at = (long)memory, parent = getpid();
    const struct call calls[] = {
        /* what makes processes and namespaces */
        {SYS_clone, {SIGCHLD}},
        {SYS_clone, {CLONE_VM | CLONE_VFORK | SIGCHLD}},
        {SYS_clone, {CLONE_NEWUSER | SIGCHLD}},
        {SYS_clone, {SAME_THREAD | CLONE_NEWNS}},
        {SYS_clone, {SAME_THREAD | CLONE_UNTRACED}},
        {SYS_clone, {0}},
        {SYS_clone, {CLONE_VM}},
        {SYS_clone, {CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND}},
        /* other processes */
        {SYS_tgkill, {parent, parent, SIGKILL}},
        {SYS_tgkill, {1, 1, 0}},
        {SYS_tgkill, {0, 0, 0}},
        {SYS_sched_setaffinity, {parent, 8, at}},
        {SYS_prlimit64, {0, RLIMIT_NOFILE, at, 0}},
        {SYS_prlimit64, {parent, RLIMIT_CORE, at, 0}},
        {SYS_prlimit64, {0, RLIMIT_CORE, 1L << 32, 0}},
        /* the signal that ends who is refused */
        {SYS_rt_sigaction, {SIGSYS, 0, 0, 8}},
        {SYS_rt_sigaction, {0x100000000L | SIGSYS, at, 0, 8}},
        /* code */
        {SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
        {SYS_mmap, {0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}},
        {SYS_mprotect, {at, 4096, PROT_READ | PROT_EXEC}},
        {SYS_mprotect, {at, 4096, PROT_READ | PROT_WRITE | PROT_EXEC}},
        /* descriptors and paths */
        {SYS_fcntl, {0, F_DUPFD, 0}},
        {SYS_fcntl, {0, F_SETOWN, parent}},
        {SYS_fcntl, {0, F_SETLEASE, F_RDLCK}},
        {SYS_fcntl, {0, F_NOTIFY, 1}},
        {SYS_newfstatat, {AT_FDCWD, (long)"/etc/passwd", at, 0}},
        {SYS_newfstatat, {AT_FDCWD, (long)"/etc/passwd", at, AT_SYMLINK_NOFOLLOW}},
        {SYS_sendto, {1, at, 1, 0, at, 16}},
        {SYS_sendto, {1, at, 1, 0, 1L << 32, 16}},
        {SYS_setsockopt, {1, SOL_SOCKET, SO_BINDTODEVICE, at, 4}},
        {SYS_getsockopt, {1, SOL_SOCKET, 77, at, at}}, /* SO_PEERPIDFD */
        /* devices */
        {SYS_ioctl, {0, TIOCSTI, at}},
        {SYS_ioctl, {0, TIOCSCTTY, 0}},
        {SYS_ioctl, {0, KVM_CREATE_VM, 0}},
        {SYS_ioctl, {0, KVM_CREATE_VCPU, 1}},
        {SYS_ioctl, {0, KVM_CREATE_DEVICE, at}},
        {SYS_ioctl, {0, KVM_ENABLE_CAP, at}},
        {SYS_ioctl, {0, _IOW('T', 202, int), at}}, /* TUNSETIFF */
        {SYS_ioctl, {0, _IO(0x94, 9), 0}},         /* FICLONE */
        {SYS_ioctl, {0, VFIO_DEVICE_RESET, 0}},    /* of who has no devices of the host's */
        {SYS_ioctl, {0, VFIO_IOMMU_MAP_DMA, at}},
        {SYS_ioctl,
         {0, VHOST_SET_MEM_TABLE, at}}, /* of who has none of its queues served by the host's kernel */
        {SYS_ioctl, {0, VFIO_GROUP_GET_DEVICE_FD, at}},
        /* the process itself */
        {SYS_prctl, {PR_SET_DUMPABLE, 1}},
        {SYS_prctl, {PR_SET_PTRACER, parent}},
        {SYS_prctl, {PR_SET_PDEATHSIG, 0}},
        {SYS_prctl, {PR_SET_MM, 1, at}},
        {SYS_prctl, {PR_SET_SECUREBITS, 0}},
        {SYS_madvise, {at, 4096, MADV_HWPOISON}},
        {SYS_madvise, {at, 4096, MADV_WIPEONFORK}},
    };
    (void)state;
    for (unsigned kind = CAGE_LOOP; kind <= CAGE_BLOCK; kind++)
        for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
            struct call call = calls[i];
            const int status =
                captive_filtered((enum cage_kind)kind, CAGE_ENGINE_KVM, page, make_call, &call);
            if (status != KILLED)
                fail_msg("kind %u makes call %u of the list: %s", kind, i, cage_call_name((int)call.number));
        }
}

/* Those of the loop that would be of use to others. */
static void test_threads_have_less_than_the_loop(void **state)
{
    const long at = (long)memory;
    const struct call calls[] = {
        {SYS_clone, {SAME_THREAD}},           {SYS_clone3, {at, 64}},
        {SYS_accept4, {0, 0, 0, 0}},          {SYS_wait4, {-1, 0, WNOHANG, 0}},
        {SYS_prctl, {PR_SET_SECCOMP, 2, 0}},  {SYS_ioctl, {0, TCSETS, at}},
        {SYS_ioctl, {0, KVM_SET_CPUID2, at}}, {SYS_set_robust_list, {at, 24}},
    };
    (void)state;
    for (unsigned kind = CAGE_VCPU; kind <= CAGE_BLOCK; kind++)
        for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
            struct call call = calls[i];
            assert_int_equal(captive_filtered((enum cage_kind)kind, CAGE_ENGINE_KVM, page, make_call, &call),
                             KILLED);
        }
    for (unsigned i = 3; i < ARRAY_SIZE(calls); i++) { /* the first would wait, or make a thread */
        struct call call = calls[i];
        assert_int_equal(captive_filtered(CAGE_LOOP, CAGE_ENGINE_KVM, page, make_call, &call), 0);
    }
}

/* Of who has devices of the host's: what he does with them, and no more of them. */
static void test_devices_of_the_hosts(void **state)
{
    const long at = (long)memory;
    const unsigned with = CAGE_ENGINE_TRANSLATE | CAGE_VFIO;
    struct call irqs = {SYS_ioctl, {0, VFIO_DEVICE_SET_IRQS, at}},
                reset = {SYS_ioctl, {0, VFIO_DEVICE_RESET, 0}},
                more = {SYS_ioctl, {0, VFIO_GROUP_GET_DEVICE_FD, at}};
    (void)state;
    assert_int_equal(captive_filtered(CAGE_VCPU, with, page, make_call, &irqs), 0);
    assert_int_equal(captive_filtered(CAGE_BLOCK, with, page, make_call, &irqs), KILLED);
    assert_int_equal(captive_filtered(CAGE_LOOP, with, page, make_call, &reset), 0);
    assert_int_equal(captive_filtered(CAGE_VCPU, with, page, make_call, &reset), KILLED);
    assert_int_equal(captive_filtered(CAGE_LOOP, with, page, make_call, &more), KILLED);
}

static void test_queues_that_the_kernel_serves(void **state)
{
    const long at = (long)memory;
    const unsigned with = CAGE_ENGINE_TRANSLATE | CAGE_VHOST;
    struct call memory_table = {SYS_ioctl, {0, VHOST_SET_MEM_TABLE, at}},
                log = {SYS_ioctl, {0, VHOST_SET_LOG_BASE, at}};
    (void)state;
    assert_int_equal(captive_filtered(CAGE_LOOP, with, page, make_call, &memory_table), 0);
    assert_int_equal(captive_filtered(CAGE_VCPU, with, page, make_call, &memory_table), 0);
    assert_int_equal(captive_filtered(CAGE_BLOCK, with, page, make_call, &memory_table), KILLED);
    assert_int_equal(captive_filtered(CAGE_LOOP, with, page, make_call, &log), KILLED);
}

/* -- what goes on ---------------------------------------------------------------------------------------- */

static void *thread_main(void *opaque)
{
    const enum cage_kind *kind = opaque;
    cage_thread(*kind);
    return opaque;
}

static int make_threads(void *opaque)
{
    (void)opaque;
    for (enum cage_kind kind = CAGE_LOOP; kind <= CAGE_BLOCK; kind++) {
        pthread_t thread;
        void *result = NULL;
        HELD(!pthread_create(&thread, NULL, thread_main, &kind));
        HELD(!pthread_join(thread, &result) && result == &kind);
    }
    return 0;
}

static void test_the_loop_makes_threads_of_each_kind(void **state)
{
    (void)state;
    assert_int_equal(captive_filtered(CAGE_LOOP, CAGE_ENGINE_KVM, page, make_threads, NULL), 0);
    assert_int_equal(captive_filtered(CAGE_LOOP, CAGE_ENGINE_TRANSLATE, page, make_threads, NULL), 0);
}

/* As the code cache is made: what is executable is not writable at the same place. */
static int make_code(void *opaque)
{
    (void)opaque;
    const int fd = memfd_create("code", MFD_CLOEXEC);
    HELD(fd >= 0 && ftruncate(fd, 8192) == 0);
    void *writable = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    HELD(writable != MAP_FAILED);
    void *code = mremap(writable, 0, 8192, MREMAP_MAYMOVE);
    HELD(code != MAP_FAILED && mprotect(code, 8192, PROT_READ | PROT_EXEC) == 0);
    return 0;
}

static int make_writable_code(void *opaque)
{
    (void)opaque;
    mprotect(memory, sizeof memory, PROT_READ | PROT_WRITE | PROT_EXEC);
    return 0;
}

static void test_only_translations_are_executable(void **state)
{
    (void)state;
    assert_int_equal(captive_filtered(CAGE_VCPU, CAGE_ENGINE_TRANSLATE, page, make_code, NULL), 0);
    assert_int_equal(captive_filtered(CAGE_VCPU, CAGE_ENGINE_KVM, page, make_code, NULL), KILLED);
    assert_int_equal(captive_filtered(CAGE_BLOCK, CAGE_ENGINE_TRANSLATE, page, make_code, NULL), KILLED);
    assert_int_equal(captive_filtered(CAGE_VCPU, CAGE_ENGINE_TRANSLATE, page, make_writable_code, NULL),
                     KILLED);
}

/* A signal that is blocked ends the process as well. */
static int call_with_signals_blocked(void *opaque)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    return call_number(opaque);
}

static void test_who_blocks_the_signal_is_ended(void **state)
{
    int number = SYS_openat;
    (void)state;
    assert_int_equal(captive_filtered(CAGE_VCPU, CAGE_ENGINE_KVM, page, call_with_signals_blocked, &number),
                     KILLED);
}

static void test_calls_have_names(void **state)
{
    (void)state;
    assert_string_equal(cage_call_name(SYS_openat), "openat");
    assert_string_equal(cage_call_name(NUMBERS - 1), "1023");
}

static int setup(void **state)
{
    (void)state;
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops_rows_are_all),
        cmocka_unit_test(test_loop_has_no_call_but_the_tables),
        cmocka_unit_test(test_vcpu_has_no_call_but_the_tables),
        cmocka_unit_test(test_vcpu_of_translate_has_no_call_but_the_tables),
        cmocka_unit_test(test_block_has_no_call_but_the_tables),
        cmocka_unit_test(test_other_numbers_end_the_process),
#ifdef __x86_64__
        cmocka_unit_test(test_another_architectures_calls_end_the_process),
#endif
        cmocka_unit_test(test_arguments_that_lead_out_are_refused),
        cmocka_unit_test(test_threads_have_less_than_the_loop),
        cmocka_unit_test(test_devices_of_the_hosts),
        cmocka_unit_test(test_queues_that_the_kernel_serves),
        cmocka_unit_test(test_the_loop_makes_threads_of_each_kind),
        cmocka_unit_test(test_only_translations_are_executable),
        cmocka_unit_test(test_who_blocks_the_signal_is_ended),
        cmocka_unit_test(test_calls_have_names),
    };
    if (CAGE_SANITIZED)
        return 77; /* skipped: the run time of sanitizers makes other calls */
    return cmocka_run_group_tests(tests, setup, NULL);
}
