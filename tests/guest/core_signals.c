/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals: handlers, masks, frames, restarts, faults and alternate stacks. */
#include "io_check.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

static volatile sig_atomic_t count, last, depth, deepest, order[8];
static siginfo_t last_info;

static void on_plain(int signal)
{
    count++;
    last = signal;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
    (void)context;
    last = signal;
    last_info = *info;
    count++;
}

static void set_handler(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static void set_info_handler(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    CHECK(sigaction(signal, &action, NULL) == 0);
}

static void test_simple(void)
{
    struct sigaction old;
    set_handler(SIGUSR1, on_plain, 0);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == on_plain);
    count = 0;
    for (int i = 0; i < 1000; i++)
        raise(SIGUSR1);
    CHECK(count == 1000 && last == SIGUSR1);

    set_info_handler(SIGUSR2, on_info, 0);
    union sigval value = {.sival_int = 77};
    CHECK(sigqueue(getpid(), SIGUSR2, value) == 0);
    CHECK(last == SIGUSR2 && last_info.si_code == SI_QUEUE && last_info.si_value.sival_int == 77);
    CHECK(last_info.si_pid == getpid());

    set_handler(SIGUSR1, on_plain, SA_RESETHAND);
    raise(SIGUSR1);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
    set_handler(SIGUSR1, SIG_IGN, 0);
    raise(SIGUSR1);
    CHECK_ERROR(sigaction(SIGKILL, &old, NULL), EINVAL);
    CHECK_ERROR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 16), EINVAL);
}

static void on_nested(int signal)
{
    (void)signal;
    if (++depth > deepest)
        deepest = depth;
    if (depth < 5)
        raise(SIGUSR1);
    depth--;
}

static void on_repeated(int signal)
{
    if (++depth > deepest)
        deepest = depth;
    if (++count < 5)
        raise(signal);
    depth--;
}

static void on_realtime(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    order[count++ % 8] = info->si_value.sival_int;
}

static void test_masks(void)
{
    sigset_t set, old, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    set_handler(SIGUSR1, on_plain, 0);
    CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
    count = 0;
    raise(SIGUSR1);
    raise(SIGUSR1);
    CHECK(count == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
    CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
    CHECK(count == 1);

    set_handler(SIGUSR1, on_nested, SA_NODEFER);
    raise(SIGUSR1);
    CHECK(deepest == 5 && depth == 0);
    /* Without SA_NODEFER its own raise() waits until the handler returns. */
    deepest = count = 0;
    set_handler(SIGUSR1, on_repeated, 0);
    raise(SIGUSR1);
    CHECK(deepest == 1 && count == 5);
    set_handler(SIGUSR1, SIG_IGN, 0);

    /* Queued real-time signals keep their order. */
    set_info_handler(SIGRTMIN + 1, on_realtime, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    count = 0;
    for (int i = 0; i < 5; i++)
        sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i * 10});
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    /* The last one's frame is on top: each signal interrupts the handler's first instruction only if its mask
     * allows, and it does not: so they run one after the other. */
    CHECK(count == 5 && order[0] == 0 && order[1] == 10 && order[4] == 40);
}

static void test_waiting(void)
{
    sigset_t set, old;
    struct timespec second = {1, 0}, none = {0, 0};
    siginfo_t info;

    set_handler(SIGALRM, on_plain, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGALRM);
    CHECK(sigtimedwait(&set, &info, &second) == SIGALRM && info.si_signo == SIGALRM);
    CHECK_ERROR(sigtimedwait(&set, &info, &none), EAGAIN);

    count = 0;
    struct itimerval soon = {{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_ERROR(sigsuspend(&old), EINTR);
    CHECK(count == 1);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    CHECK(sigismember(&now, SIGALRM) == 1);

    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_ERROR(ppoll(NULL, 0, NULL, &old), EINTR);
    CHECK(count == 2);
    sigprocmask(SIG_SETMASK, &old, NULL);
}

/* A pipe's read is restarted or not, as the flag says; sleeping never is. */
static void test_restart(void)
{
    int ends[2];
    char byte;
    struct itimerval soon = {{0, 0}, {0, 30000}};
    CHECK(pipe(ends) == 0);

    set_handler(SIGALRM, on_plain, 0);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_ERROR(read(ends[0], &byte, 1), EINTR);

    set_handler(SIGALRM, on_plain, SA_RESTART);
    count = 0;
    pid_t child = fork();
    if (child == 0) {
        usleep(100000);
        _exit(write(ends[1], "x", 1) != 1);
    }
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
    CHECK(count == 1);
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0);

    setitimer(ITIMER_REAL, &soon, NULL);
    struct timespec second = {1, 0}, left = {0, 0};
    CHECK_ERROR(nanosleep(&second, &left), EINTR);
    CHECK(left.tv_sec == 0 && left.tv_nsec > 500000000);
    setitimer(ITIMER_REAL, &soon, NULL);
    CHECK_ERROR(poll(NULL, 0, 1000), EINTR);
    close(ends[0]);
    close(ends[1]);
}

/* Signals at any place of a computation change nothing. */
static void test_storm(void)
{
    struct itimerval often = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
    set_handler(SIGALRM, on_plain, SA_RESTART);
    count = 0;
    setitimer(ITIMER_REAL, &often, NULL);
    unsigned long a = 1, b = 1;
    double d = 1.0;
    int rounds = 0;
    while (count < 50 || rounds < 50) {
        for (int i = 0; i < 2000; i++) {
            a = a * 6364136223846793005ul + 1442695040888963407ul;
            b ^= a >> 33;
            d = d * 1.0000001 + 0.5;
        }
        getppid();
        rounds++;
    }
    setitimer(ITIMER_REAL, &off, NULL);
    unsigned long x = 1, y = 1;
    double e = 1.0;
    for (int i = 0; i < rounds * 2000; i++) {
        x = x * 6364136223846793005ul + 1442695040888963407ul;
        y ^= x >> 33;
        e = e * 1.0000001 + 0.5;
    }
    CHECK(a == x && b == y && d == e);
}

static sigjmp_buf after_fault;
static volatile uintptr_t fault_context_address, fault_pc;

static void on_fault(int signal, siginfo_t *info, void *context)
{
    last = signal;
    last_info = *info;
    const ucontext_t *uc = context;
#ifdef __aarch64__
    fault_context_address = uc->uc_mcontext.fault_address;
    fault_pc = uc->uc_mcontext.pc;
#else
    (void)uc;
#endif
    siglongjmp(after_fault, 1);
}

static void on_fix(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    count++;
    mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
    (void)context;
}

static void test_faults(void)
{
    char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    munmap(page + 4096, 4096);
    set_info_handler(SIGSEGV, on_fault, 0);
    set_info_handler(SIGILL, on_fault, 0);
    set_info_handler(SIGTRAP, on_fault, 0);
    for (int i = 0; i < 3; i++) { /* the mask is restored by siglongjmp() */
        if (!sigsetjmp(after_fault, 1)) {
            *(volatile char *)(page + 5) = 1;
            CHECK(!"a store to a read-only page went through");
        }
        CHECK(last == SIGSEGV && last_info.si_code == SEGV_ACCERR && last_info.si_addr == page + 5);
    }
    if (!sigsetjmp(after_fault, 1)) {
        last = *(volatile char *)(page + 4096 + 7);
        CHECK(!"a load from an unmapped page went through");
    }
    CHECK(last == SIGSEGV && last_info.si_code == SEGV_MAPERR && last_info.si_addr == page + 4096 + 7);
#ifdef __aarch64__
    CHECK(fault_context_address == (uintptr_t)page + 4096 + 7);
#endif

    /* Executing what is not executable. */
    if (!sigsetjmp(after_fault, 1)) {
        ((void (*)(void))page)();
        CHECK(!"a read-only page was executed");
    }
    CHECK(last == SIGSEGV && last_info.si_code == SEGV_ACCERR && last_info.si_addr == page);
#ifdef __aarch64__
    CHECK(fault_pc == (uintptr_t)page);
    if (!sigsetjmp(after_fault, 1))
        __asm__ volatile(".inst 0x00000000");
    CHECK(last == SIGILL && last_info.si_code == ILL_ILLOPC);
    if (!sigsetjmp(after_fault, 1))
        __asm__ volatile("brk #7");
    CHECK(last == SIGTRAP && last_info.si_code == TRAP_BRKPT && (uintptr_t)last_info.si_addr == fault_pc);
#endif

    /* The instruction is run again after a handler that repairs. */
    set_info_handler(SIGSEGV, on_fix, 0);
    count = 0;
    *(volatile char *)(page + 9) = 42;
    CHECK(count == 1 && page[9] == 42);
    /* The kernel's accesses fail instead. */
    int ends[2];
    CHECK(pipe(ends) == 0);
    CHECK_ERROR(write(ends[1], bad_pointer, 1), EFAULT);
    close(ends[0]);
    close(ends[1]);
    set_handler(SIGSEGV, SIG_DFL, 0);
    munmap(page, 4096);
}

static volatile uintptr_t handler_sp;

static void on_alternate(int signal)
{
    int here;
    handler_sp = (uintptr_t)&here;
    stack_t now;
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_ONSTACK);
    CHECK_ERROR(sigaltstack(&now, NULL), EPERM);
    last = signal;
}

static void test_stack(void)
{
    static char area[65536] __attribute__((aligned(16)));
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area}, old;
    CHECK(sigaltstack(&stack, &old) == 0 && old.ss_flags == SS_DISABLE);
    set_handler(SIGUSR1, on_alternate, SA_ONSTACK);
    raise(SIGUSR1);
    CHECK(last == SIGUSR1 && handler_sp > (uintptr_t)area && handler_sp < (uintptr_t)area + sizeof area);
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == 0 && old.ss_sp == area);
    stack.ss_size = 100;
    CHECK_ERROR(sigaltstack(&stack, NULL), ENOMEM);
    stack.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&stack, NULL) == 0);
}

#ifdef __aarch64__
static void on_registers(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    ucontext_t *uc = context;
    uc->uc_mcontext.regs[0] = 1234;
    uc->uc_mcontext.pstate |= 1u << 30; /* Z */
    uc->uc_mcontext.pc += 4;
    struct fpsimd_context *fp = (struct fpsimd_context *)uc->uc_mcontext.__reserved;
    CHECK(fp->head.magic == FPSIMD_MAGIC && fp->head.size == sizeof *fp);
    fp->vregs[8] = ((__int128)0x1122334455667788 << 64) | 0x99aabbccddeeff00;
}

/* What a handler writes into the context is what the program goes on with. */
static void test_context(void)
{
    unsigned long x0, z, low, high;
    set_info_handler(SIGTRAP, on_registers, 0);
    __asm__ volatile("mov x0, #1\n cmp x0, #0\n movi v8.2d, #0\n brk #1\n cset %1, eq\n mov %0, x0\n"
                     "umov %2, v8.d[0]\n umov %3, v8.d[1]\n"
                     : "=&r"(x0), "=&r"(z), "=&r"(low), "=&r"(high)::"x0", "v8", "cc");
    CHECK(x0 == 1234 && z == 1 && low == 0x99aabbccddeeff00 && high == 0x1122334455667788);
}
#endif

static int status_of(void (*function)(void))
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        function();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void die_of_term(void)
{
    raise(SIGTERM);
}
static void die_of_abort(void)
{
    abort();
}
static void die_of_segv(void)
{
    *(volatile char *)bad_pointer = 1;
}
static void die_of_bad_frame(void)
{
    /* rt_sigreturn() with nothing like a frame on the stack */
    syscall(SYS_rt_sigreturn);
}
static void die_of_blocked_segv(void)
{
    sigset_t set;
    sigfillset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    set_handler(SIGSEGV, on_plain, 0);
    *(volatile char *)bad_pointer = 1;
}
static void hold_segv(void)
{
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    set_handler(SIGSEGV, on_plain, 0);
    sigprocmask(SIG_BLOCK, &set, NULL);
    count = 0;
    kill(getpid(), SIGSEGV);
    sigpending(&pending);
    if (count != 0 || !sigismember(&pending, SIGSEGV))
        _exit(1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    _exit(count == 1 ? 0 : 2);
}

static void test_deaths(void)
{
    int status = status_of(die_of_term);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    status = status_of(die_of_abort);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    status = status_of(die_of_segv);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = status_of(die_of_blocked_segv);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = status_of(die_of_bad_frame);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    CHECK(status_of(hold_segv) == 0);

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    kill(child, SIGSTOP);
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
    kill(child, SIGCONT);
    CHECK(waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    kill(child, SIGKILL);
    CHECK(waitpid(child, &status, 0) == child && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
    alarm(120);
    test_simple();
    test_masks();
    test_waiting();
    test_restart();
    test_storm();
    test_faults();
    test_stack();
#ifdef __aarch64__
    test_context();
#endif
    test_deaths();
    return check_done("core_signals");
}
