/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mappings, the break, shared memory, and code that is written at run time. */
#include "io_check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#define PAGE 4096ul

static void test_mappings(void)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && p[4 * PAGE - 1] == 0);
    memset(p, 7, 4 * PAGE);
    CHECK(munmap(p + PAGE, PAGE) == 0);
    unsigned char resident[4];
    CHECK_ERROR(mincore(p, 4 * PAGE, resident), ENOMEM);
    CHECK(mincore(p, PAGE, resident) == 0 && resident[0] & 1);
    CHECK(mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + PAGE);
    CHECK(p[PAGE] == 0 && p[0] == 7 && p[2 * PAGE] == 7);
#ifdef MAP_FIXED_NOREPLACE
    CHECK_ERROR(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
#endif
    CHECK(madvise(p, PAGE, MADV_DONTNEED) == 0 && p[0] == 0);
    char *moved = mremap(p + 2 * PAGE, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved[0] == 7 && moved[2 * PAGE - 1] == 7 && moved[63 * PAGE] == 0);
    CHECK(munmap(moved, 64 * PAGE) == 0 && munmap(p, 2 * PAGE) == 0);
    CHECK_ERROR(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
    CHECK_ERROR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0), EBADF);
    CHECK_ERROR(munmap((char *)1, PAGE), EINVAL);
    CHECK_ERROR(mmap((void *)(1ul << 60), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
                ENOMEM);
    CHECK_ERROR(mprotect((void *)(1ul << 40), PAGE, PROT_READ), ENOMEM);
    /* Too high a hint is only a hint. */
    p = mmap((void *)(1ul << 60), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && munmap(p, PAGE) == 0);
}

static void test_break(void)
{
    char *start = sbrk(0);
    CHECK(sbrk(100000) == start);
    memset(start, 1, 100000);
    CHECK((char *)sbrk(0) == start + 100000);
    CHECK(sbrk(-100000) == start + 100000 && sbrk(0) == start);
    CHECK(sbrk(100000) == start && start[50000] == 0); /* what came back is clear */
    CHECK(sbrk(-100000) != (void *)-1);
    CHECK_ERROR(sbrk((intptr_t)1 << 46), ENOMEM);
}

static void test_shared(void)
{
    int id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
    if (!AVAILABLE(id))
        return;
    char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, SHM_RDONLY);
    CHECK(a != (void *)-1 && b != (void *)-1);
    a[5000] = 9;
    CHECK(b[5000] == 9);
    struct shmid_ds about;
    CHECK(shmctl(id, IPC_STAT, &about) == 0 && about.shm_segsz == 3 * PAGE && about.shm_nattch == 2);
    CHECK(shmdt(a) == 0 && shmdt(b) == 0 && shmctl(id, IPC_RMID, NULL) == 0);
    CHECK_ERROR(shmdt(a), EINVAL);
}

static void test_file(void)
{
    int fd = (int)syscall(SYS_memfd_create, "m", 0);
    CHECK(fd >= 0 && ftruncate(fd, 2 * PAGE) == 0);
    char *a = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *b = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
    CHECK(a != MAP_FAILED && b != MAP_FAILED);
    strcpy(a + PAGE, "seen");
    CHECK(!strcmp(b, "seen") && msync(a, 2 * PAGE, MS_SYNC) == 0);
    munmap(a, 2 * PAGE);
    munmap(b, PAGE);
    close(fd);
}

static sigjmp_buf after;
static volatile int signal_seen, code_seen;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    signal_seen = signal;
    code_seen = info->si_code;
    siglongjmp(after, 1);
}

/* A mapped file that became shorter. */
static void test_bus_error(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &action, NULL);
    int fd = (int)syscall(SYS_memfd_create, "m", 0);
    CHECK(ftruncate(fd, PAGE) == 0);
    volatile char *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    if (!sigsetjmp(after, 1))
        signal_seen = p[PAGE];
    CHECK(signal_seen == SIGBUS && code_seen == BUS_ADRERR);
    munmap((void *)p, 2 * PAGE);
    close(fd);
}

#ifdef __aarch64__
/* mov w0, #value; ret */
static void write_function(uint32_t *code, unsigned value)
{
    code[0] = 0x52800000u | value << 5;
    code[1] = 0xd65f03c0u;
    __builtin___clear_cache((char *)code, (char *)(code + 2));
}

static void test_code(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    uint32_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int (*function)(void) = (int (*)(void))(uintptr_t)code;
    for (volatile unsigned i = 1; i < 20; i++) {
        write_function(code, i);
        CHECK(function() == (int)i);
    }
    /* Written and executable in turn. */
    for (volatile unsigned i = 1; i < 20; i++) {
        CHECK(mprotect(code, PAGE, PROT_READ | PROT_WRITE) == 0);
        write_function(code, 100 + i);
        signal_seen = 0;
        if (!sigsetjmp(after, 1))
            function();
        CHECK(signal_seen == SIGSEGV && code_seen == SEGV_ACCERR);
        CHECK(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0);
        CHECK(function() == (int)(100 + i));
    }
    /* Gone and replaced by other code at the same address. */
    for (volatile unsigned i = 1; i < 20; i++) {
        munmap(code, PAGE);
        signal_seen = 0;
        if (!sigsetjmp(after, 1))
            function();
        CHECK(signal_seen == SIGSEGV && code_seen == SEGV_MAPERR);
        CHECK(mmap(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                   -1, 0) == code);
        write_function(code, 200 + i);
        CHECK(function() == (int)(200 + i));
    }
    /* Executable only is readable to nobody's loss. */
    CHECK(mprotect(code, PAGE, PROT_EXEC) == 0 && function() == 219);
    munmap(code, PAGE);
}
#endif

static void test_start(void)
{
    CHECK(getauxval(AT_PAGESZ) == PAGE && getauxval(AT_CLKTCK) == 100 && getauxval(AT_ENTRY) != 0);
    CHECK(getauxval(AT_RANDOM) != 0 && getauxval(AT_PHDR) != 0 && getauxval(AT_SECURE) == 0);
#ifdef __aarch64__
    CHECK(!strcmp((const char *)getauxval(AT_PLATFORM), "aarch64"));
    CHECK((getauxval(AT_HWCAP) & 3) == 3); /* fp, asimd */
#endif
    CHECK(((uintptr_t)__builtin_frame_address(0) & 15) == 0);
}

int main(void)
{
    alarm(120);
    test_start();
    test_mappings();
    test_break();
    test_shared();
    test_file();
    test_bus_error();
#ifdef __aarch64__
    test_code();
#endif
    return check_done("core_memory");
}
