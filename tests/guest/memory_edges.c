/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The edges of the address space: what occupies it without being the guest's, each call over mapped and
 * unmapped pages, the ends of stacks and files, and what is left when memory or mappings are used up.
 */
#include "io_check.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PAGE 4096ul
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

static char *map(void *at, size_t size, int flags)
{
    return mmap(at, size, PROT_READ | PROT_WRITE, ANONYMOUS | flags, -1, 0);
}

/* Walks over the whole address space in steps of a gigabyte and smaller: whatever cannot be had is occupied,
 * and must stay as it is. The program goes on working all the while. */
static void test_foreign_occupants(void)
{
    unsigned occupied = 0;
    for (uint64_t at = 1ull << 32; at < 1ull << 47; at += 1ull << 36) {
        char *p = map((void *)at, PAGE, MAP_FIXED_NOREPLACE);
        if (p == MAP_FAILED) {
            CHECK(errno == EEXIST);
            continue;
        }
        CHECK(p == (char *)at && munmap(p, PAGE) == 0);
    }
    /* Length 0 asks for a second mapping of what is there. */
    CHECK_ERROR(mremap((void *)(0x7c0000000000 + PAGE), 0, PAGE, MREMAP_MAYMOVE), EFAULT);
    /* Everything above this stack, page by page: the guest's own pages aside, nothing may be replaced. */
    char *top = (char *)(((uintptr_t)&occupied + PAGE) & ~(PAGE - 1));
    unsigned char resident;
    for (uint64_t at = (uint64_t)top; at < 1ull << 47 && at - (uint64_t)top < 64ull << 20; at += PAGE) {
        if (mincore((void *)at, PAGE, &resident) == 0)
            continue; /* the guest's */
        char *p = map((void *)at, PAGE, MAP_FIXED);
        if (p == MAP_FAILED) {
            CHECK(errno == ENOMEM);
            occupied++;
            CHECK_ERROR(map((void *)at, PAGE, MAP_FIXED_NOREPLACE), EEXIST);
            CHECK_ERROR(mprotect((void *)at, PAGE, PROT_NONE), ENOMEM);
            CHECK_ERROR(madvise((void *)at, PAGE, MADV_DONTNEED), ENOMEM);
            CHECK_ERROR(msync((void *)at, PAGE, MS_SYNC), ENOMEM);
            CHECK_ERROR(mlock((void *)at, PAGE), ENOMEM);
            CHECK(munmap((void *)at, PAGE) == 0); /* a hole: nothing to do */
            CHECK_ERROR(mremap((void *)at, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
        } else {
            CHECK(munmap(p, PAGE) == 0);
        }
    }
}

/* All of it at once, as a program does that cleans up before it loads another one. */
static void test_unmap_all_above(void)
{
    pid_t child = fork();
    if (child == 0) {
        char *top = (char *)(((uintptr_t)&child + PAGE) & ~(PAGE - 1));
        struct rlimit limit;
        getrlimit(RLIMIT_STACK, &limit);
        uintptr_t from = (uintptr_t)top + (64ul << 20); /* beyond this stack */
        if (munmap((void *)from, (1ul << 47) - PAGE - from))
            _exit(1);
        if (map((void *)from, (1ul << 47) - PAGE - from, MAP_FIXED | MAP_NORESERVE) != MAP_FAILED)
            _exit(0); /* nothing is there */
        _exit(errno == ENOMEM ? 0 : 2);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void test_holes(void)
{
    char *p = map(NULL, 5 * PAGE, 0);
    CHECK(p != MAP_FAILED);
    memset(p, 1, 5 * PAGE);
    CHECK(munmap(p + 2 * PAGE, PAGE) == 0);
    CHECK_ERROR(mprotect(p, 5 * PAGE, PROT_READ), ENOMEM); /* up to the hole it was done */
    CHECK_ERROR(read(open("/dev/zero", O_RDONLY), p + PAGE, 1), EFAULT);
    CHECK(read(open("/dev/zero", O_RDONLY), p + 3 * PAGE, 1) == 1);
    CHECK(mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK_ERROR(madvise(p, 5 * PAGE, MADV_DONTNEED), ENOMEM); /* all that is there was done */
    CHECK(p[0] == 0 && p[4 * PAGE] == 0);
    CHECK_ERROR(madvise(p, PAGE, 12345), EINVAL);
    CHECK_ERROR(madvise(p + 2 * PAGE, PAGE, 12345), EINVAL);
    CHECK_ERROR(madvise(p + 1, PAGE, MADV_NORMAL), EINVAL);
    CHECK(madvise(p + 2 * PAGE, 0, MADV_NORMAL) == 0);
    CHECK_ERROR(mlock(p, 5 * PAGE), ENOMEM);
    CHECK(munlock(p, 2 * PAGE) == 0);
    CHECK_ERROR(mremap(p, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE), EFAULT);
    CHECK(mremap(p, 4 * PAGE, 4 * PAGE, 0) == p && p[4 * PAGE] == 0);
    CHECK(mremap(p, 4 * PAGE, PAGE, 0) == p);
    CHECK_ERROR(mlock(p + PAGE, PAGE), ENOMEM);
    CHECK(munmap(p, 5 * PAGE) == 0 && munmap(p, 5 * PAGE) == 0);
    CHECK_ERROR(munmap(p, 0), EINVAL);
    CHECK_ERROR(munmap(p + 1, PAGE), EINVAL);
}

/* Any advice for itself is taken from Linux 6.13 on. */
static void test_advice_by_descriptor(void)
{
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    char *p = map(NULL, 2 * PAGE, 0);
    const struct iovec pages[2] = {{p + PAGE, PAGE}, {p, PAGE}},
                       foreign = {(void *)(0x7c0000000000 + PAGE), PAGE};
    CHECK(self >= 0 && p != MAP_FAILED);
    CHECK(syscall(SYS_process_madvise, self, pages, 2, MADV_COLD, 0) == 2 * PAGE);
    CHECK_ERROR(syscall(SYS_process_madvise, self, pages, 2, MADV_COLD, 1), EINVAL);
    p[0] = p[PAGE] = 5;
    if (AVAILABLE(syscall(SYS_process_madvise, self, pages, 2, MADV_DONTNEED, 0))) {
        CHECK(p[0] == 0 && p[PAGE] == 0);
        CHECK_ERROR(syscall(SYS_process_madvise, self, &foreign, 1, MADV_DONTNEED, 0), ENOMEM);
        CHECK_ERROR(syscall(SYS_process_madvise, self, 8, 1, MADV_DONTNEED, 0), EFAULT);
        CHECK_ERROR(syscall(SYS_process_madvise, self, pages, 2000, MADV_DONTNEED, 0), EINVAL);
        CHECK(syscall(SYS_process_madvise, self, pages, 0, MADV_DONTNEED, 0) == 0);
    }
    CHECK_ERROR(syscall(SYS_process_madvise, 999, pages, 2, MADV_DONTNEED, 0), EBADF);
    CHECK(munmap(p, 2 * PAGE) == 0);
    close(self);
}

static void test_move(void)
{
    char *a = map(NULL, 4 * PAGE, 0), *b = map(NULL, 4 * PAGE, 0);
    memset(a, 3, 4 * PAGE);
    CHECK(mremap(a, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b + PAGE) == b + PAGE);
    CHECK(b[0] == 0 && b[PAGE] == 3 && b[3 * PAGE] == 0 && a[2 * PAGE] == 3);
    CHECK_ERROR(mremap(a, PAGE, PAGE, MREMAP_MAYMOVE), EFAULT);
    char *kept = mremap(b, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    if (kept != MAP_FAILED) /* several mappings by now, perhaps */
        CHECK(b[PAGE] == 0 && kept[PAGE] == 3 && munmap(kept, 4 * PAGE) == 0);
    else
        CHECK(errno == EFAULT || errno == EINVAL);
    CHECK_ERROR(mremap(b, PAGE, PAGE, MREMAP_FIXED, a), EINVAL);
    CHECK_ERROR(mremap(b, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b), EINVAL);
    CHECK_ERROR(mremap(b, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a + 1), EINVAL);
    CHECK_ERROR(mremap(b, PAGE, PAGE, 64), EINVAL);
    CHECK_ERROR(mremap(b, PAGE, 0, 0), EINVAL);
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared[5] = 9;
    char *twin = mremap(shared, 0, PAGE, MREMAP_MAYMOVE);
    CHECK(twin != MAP_FAILED && twin != shared && twin[5] == 9);
    twin[6] = 4;
    CHECK(shared[6] == 4);
    CHECK(munmap(shared, PAGE) == 0 && munmap(twin, PAGE) == 0 && munmap(a, 4 * PAGE) == 0 &&
          munmap(b, 4 * PAGE) == 0);
}

static void test_fixed_low(void)
{
    char *p = map((void *)0x10000, PAGE, MAP_FIXED_NOREPLACE);
    CHECK(p == (char *)0x10000);
    p[0] = 5;
    CHECK_ERROR(map(p, PAGE, MAP_FIXED_NOREPLACE), EEXIST);
    CHECK(map(p, PAGE, MAP_FIXED) == p && p[0] == 0 && munmap(p, PAGE) == 0);
    CHECK_ERROR(map((void *)0x10001, PAGE, MAP_FIXED), EINVAL);
}

static void test_flags(void)
{
    int fd = memfd_create("flags", 0);
    CHECK(ftruncate(fd, 2 * PAGE) == 0);
    CHECK_ERROR(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x800000, fd, 0), EOPNOTSUPP);
    CHECK_ERROR(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0), EOPNOTSUPP);
    char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0);
    CHECK(p != MAP_FAILED && munmap(p, PAGE) == 0);
    CHECK_ERROR(mmap(NULL, PAGE, PROT_READ, 0, fd, 0), EINVAL);
    CHECK_ERROR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1), EINVAL);
    CHECK_ERROR(syscall(SYS_mprotect, p, PAGE, 0x4000), EINVAL);
    close(fd);

    p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, ANONYMOUS | MAP_GROWSDOWN, -1, 0);
    CHECK(p != MAP_FAILED);
    p[0] = 1;
    CHECK(munmap(p, 4 * PAGE) == 0);
    p = mmap(NULL, 2ul << 20, PROT_READ, ANONYMOUS | MAP_HUGETLB, -1, 0);
    CHECK(p != MAP_FAILED || errno == ENOMEM);
}

static void test_fork_advice(void)
{
    char *p = map(NULL, 3 * PAGE, 0);
    memset(p, 6, 3 * PAGE);
    CHECK(madvise(p, PAGE, MADV_WIPEONFORK) == 0 && madvise(p + PAGE, PAGE, MADV_DONTFORK) == 0);
    pid_t child = fork();
    if (child == 0) {
        unsigned char resident;
        _exit(p[0] == 0 && p[2 * PAGE] == 6 && mincore(p + PAGE, PAGE, &resident) < 0 ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0 && p[0] == 6);
    CHECK(munmap(p, 3 * PAGE) == 0);
}

/* -- faults --------------------------------------------------------------------------------------------- */

static sigjmp_buf back;
static volatile siginfo_t last;

static void catch (int signal, siginfo_t *info, void *context)
{
    (void)context;
    last = *info;
    siglongjmp(back, signal);
}

static int fault_at(volatile char *address, bool write)
{
    int signal = sigsetjmp(back, 1);
    if (signal)
        return signal;
    if (write)
        *address = 1;
    else
        (void)*address;
    return 0;
}

static void test_beyond_file(void)
{
    int fd = memfd_create("short", 0);
    CHECK(ftruncate(fd, 100) == 0);
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(fault_at(p + 200, true) == 0);
    CHECK(fault_at(p + PAGE + 1, false) == SIGBUS && last.si_code == BUS_ADRERR &&
          last.si_addr == p + PAGE + 1);
    CHECK(ftruncate(fd, 2 * PAGE) == 0 && fault_at(p + PAGE + 1, false) == 0);
    CHECK(ftruncate(fd, 0) == 0 && fault_at(p, true) == SIGBUS);
    CHECK_ERROR(write(1, p, 1), EFAULT);
    CHECK(munmap(p, 3 * PAGE) == 0 && fault_at(p, false) == SIGSEGV && last.si_code == SEGV_MAPERR);
    close(fd);
}

static __attribute__((noinline)) int overflow(int depth)
{
    volatile char room[1000];
    room[0] = (char)depth;
    return overflow(depth + 1) + room[0];
}

static void test_stack_overflow(void)
{
    static char alternate[65536];
    const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    struct rlimit limit;
    CHECK(sigaltstack(&stack, NULL) == 0 && getrlimit(RLIMIT_STACK, &limit) == 0);
    char here;
    if (sigsetjmp(back, 1) == 0)
        overflow(0);
    uintptr_t used = (uintptr_t)&here - (uintptr_t)last.si_addr;
    CHECK(last.si_signo == SIGSEGV && last.si_code == SEGV_MAPERR);
    CHECK(used > limit.rlim_cur / 2 && used <= limit.rlim_cur + 16 * PAGE);
    const stack_t none = {.ss_flags = SS_DISABLE};
    CHECK(sigaltstack(&none, NULL) == 0);
}

static void test_no_way_to_deliver(void)
{
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        overflow(0); /* the handler has no stack */
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* -- userfaultfd -------------------------------------------------------------------------------------------
 */

static void *serve_faults(void *argument)
{
    int fd = *(int *)argument;
    static char page[PAGE];
    memset(page, 0x5a, sizeof page);
    for (int i = 0; i < 2; i++) {
        struct uffd_msg message;
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, 10000) != 1 || read(fd, &message, sizeof message) != sizeof message)
            return NULL;
        struct uffdio_copy copy = {
            .dst = message.arg.pagefault.address & ~(PAGE - 1), .src = (uintptr_t)page, .len = PAGE};
        ioctl(fd, UFFDIO_COPY, &copy);
    }
    return argument;
}

static void test_userfaultfd(void)
{
    int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        CHECK(errno == EPERM || errno == ENOSYS);
        return;
    }
    struct uffdio_api api = {.api = UFFD_API};
    CHECK(ioctl(fd, UFFDIO_API, &api) == 0);
    char *p = map(NULL, 2 * PAGE, 0);
    struct uffdio_register range = {.range = {(uintptr_t)p, 2 * PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    CHECK(ioctl(fd, UFFDIO_REGISTER, &range) == 0);
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, serve_faults, &fd) == 0);
    CHECK(p[10] == 0x5a);
    CHECK(access(p + PAGE, F_OK) < 0); /* here it is the system call that faults */
    CHECK(p[PAGE + 3] == 0x5a);
    CHECK(pthread_join(thread, &result) == 0 && result);
    CHECK(munmap(p, 2 * PAGE) == 0);
    close(fd);
}

/* -- used up ----------------------------------------------------------------------------------------------
 */

static void *nothing(void *argument)
{
    return argument;
}

/* Mappings that cannot be joined, until there is no more; then the program still works. */
static void test_no_mapping_left(void)
{
    pid_t child = fork();
    if (child == 0) {
        unsigned count = 0;
        char *area = mmap(NULL, 200000 * PAGE, PROT_READ, ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (area == MAP_FAILED)
            _exit(1);
        while (count < 100000 && mprotect(area + 2 * count * PAGE, PAGE, PROT_NONE) == 0)
            count++;
        if (count == 100000 || errno != ENOMEM || count < 1000)
            _exit(2);
        if (map(NULL, PAGE, 0) != MAP_FAILED && map(NULL, PAGE, MAP_GROWSDOWN) != MAP_FAILED &&
            mmap(NULL, PAGE, PROT_EXEC, ANONYMOUS, -1, 0) != MAP_FAILED &&
            mmap(NULL, PAGE, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
            _exit(3);
        pthread_t thread;
        int code = pthread_create(&thread, NULL, nothing, NULL);
        if (code == 0 ? pthread_join(thread, NULL) : code != EAGAIN && code != ENOMEM)
            _exit(4);
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(7);
        int status = -1;
        if (grandchild < 0 ? errno != ENOMEM
                           : waitpid(grandchild, &status, 0) != grandchild || WEXITSTATUS(status) != 7)
            _exit(5);
        if (munmap(area, 200000 * PAGE) || pthread_create(&thread, NULL, nothing, NULL) ||
            pthread_join(thread, NULL))
            _exit(6);
        _exit(33);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    if (status != 33 << 8)
        printf("status %x\n", status);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 33);
}

static void test_shared_segments(void)
{
    int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
    if (id < 0)
        return;
    char *area = map(NULL, 8 * PAGE, 0);
    CHECK(shmat(id, area + PAGE, SHM_REMAP) == area + PAGE);
    area[PAGE] = 7;
    CHECK_ERROR((long)shmat(id, area + PAGE, 0), EINVAL);
    char *other = shmat(id, NULL, 0);
    CHECK(other != (void *)-1 && other[0] == 7);
    unsigned char resident[3];
    CHECK(shmdt(other) == 0);
    CHECK_ERROR(mincore(other, 3 * PAGE, resident), ENOMEM);
    CHECK_ERROR(shmdt(other), EINVAL);
    CHECK(map(other, 3 * PAGE, MAP_FIXED) == other && munmap(other, 3 * PAGE) == 0);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0 && munmap(area, 8 * PAGE) == 0);
}

static void test_seal(void)
{
    char *p = map(NULL, 2 * PAGE, 0);
    long result = syscall(462, p, PAGE, 0);
    if (result < 0) {
        CHECK(errno == ENOSYS);
        return;
    }
    CHECK_ERROR(munmap(p, PAGE), EPERM);
    CHECK_ERROR(mprotect(p, PAGE, PROT_READ), EPERM);
    CHECK_ERROR(map(p, 2 * PAGE, MAP_FIXED), EPERM);
    p[0] = 1;
    CHECK(munmap(p + PAGE, PAGE) == 0);
    CHECK_ERROR(syscall(462, p, 2 * PAGE, 0), ENOMEM);
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = catch, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    test_foreign_occupants();
    test_unmap_all_above();
    test_holes();
    test_advice_by_descriptor();
    test_move();
    test_fixed_low();
    test_flags();
    test_fork_advice();
    test_beyond_file();
    test_stack_overflow();
    test_no_way_to_deliver();
    test_userfaultfd();
    test_no_mapping_left();
    test_shared_segments();
    test_seal();
    return check_done("memory_edges");
}
