# SPDX-License-Identifier: GPL-2.0-or-later
"""32-bit x86 programs, translated: `visor run --arch i386`. What they do must be what the host's kernel has them do."""
import os
import platform
import re
import subprocess

import pytest

from conftest import TOP, VISOR, run_visor

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are the host's")

# Self-checking programs (tests/guest) that pass natively when they are built with 32 bits.
PROGRAMS = ["core_exec", "core_float", "core_storm", "core_threads", "io_kernel", "io_sockets", "io_terminal",
            "io_time", "io_wait", "process_exec", "process_vfork"]


@pytest.fixture(scope="module")
def compile_i386(tmp_path_factory):
    directory = tmp_path_factory.mktemp("i386")

    def compile_source(name, source, *flags):
        path = directory / name
        (directory / f"{name}.c").write_text(source)
        # The directory of <asm/...>, for which gcc -m32 has none of its own.
        subprocess.run(["gcc", "-m32", "-O1", "-D_GNU_SOURCE", "-pthread", "-o", path, directory / f"{name}.c",
                        "-idirafter", "/usr/include/x86_64-linux-gnu", f"-I{TOP}/tests/guest", *flags, "-lm"],
                       check=True)
        return path

    return compile_source


def run_both(*arguments, **options):
    native = subprocess.run(arguments, input="", capture_output=True, text=True, timeout=60, **options)
    return native, run_visor("run", "--arch", "i386", *arguments, **options)


def expect_same(*arguments, **options):
    native, translated = run_both(*arguments, **options)
    assert (translated.stdout, translated.stderr, translated.returncode) == (
        native.stdout, native.stderr, native.returncode)
    return native


@pytest.mark.parametrize("name", PROGRAMS)
def test_guest_program(name, compile_i386, tmp_path):
    source = (TOP / f"tests/guest/{name}.c").read_text()
    binary = compile_i386(name, source, "-O2", "-static", "-D_FILE_OFFSET_BITS=64")
    result = run_visor("run", "--arch", "i386", binary, cwd=tmp_path, timeout=300)
    assert result.returncode == 0, f"status {result.returncode}\n{result.stdout}\n{result.stderr}"


HELLO = r"""
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
__thread int local = 42;
int main(int argc, char **argv, char **environment)
{
    (void)environment;
    for (int i = 1; i < argc; i++)
        printf("[%s]", argv[i]);
    printf(" %d %s %lu %d\n", local, (char *)getauxval(AT_PLATFORM), getauxval(AT_PHENT), (unsigned)&argc >> 31);
    return argc;
}
"""


@pytest.mark.parametrize("flags", [["-static"], [], ["-no-pie", "-fno-pie"], ["-static-pie"]], ids=" ".join)
def test_kinds_of_programs(compile_i386, flags):
    binary = compile_i386("hello", HELLO, *flags)
    result = run_visor("run", "--arch", "i386", binary, "one", "", "three words here")
    assert (result.stdout, result.stderr, result.returncode) == (
        "[one][][three words here] 42 i686 32 1\n", "", 4)


def test_other_kinds_are_refused(compile_i386):
    binary = compile_i386("hello", HELLO)
    result = run_visor("run", "--arch", "amd64", binary)
    assert (result.returncode, "not a program for the CPU" in result.stderr) == (126, True)
    result = run_visor("run", "--arch", "i386", "/bin/true")
    assert (result.returncode, "not a program for the CPU" in result.stderr) == (126, True)


def test_native_by_default(compile_i386):
    """As other programs of the host's CPU."""
    binary = compile_i386("hello", HELLO)
    result = run_visor("run", "--trace", "syscall", binary)
    assert (result.returncode, result.stderr) == (1, "")


EXEC = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct utsname name;
    char path[4096] = {0};
    uname(&name);
    readlink("/proc/self/exe", path, sizeof path - 1);
    printf("%zu bits, exe %d, VISOR_INTERNAL %d, %s\n", sizeof(void *) * 8, strcmp(path, argv[0]) == 0,
           getenv("VISOR_INTERNAL") != NULL, argc > 1 ? argv[1] : "");
    fflush(stdout);
    if (argc > 2 && strcmp(argv[1], "of-a-script"))
        execv(argv[2], argv + 2);
    return sizeof(void *) == 4 && strcmp(name.machine, "i686") ? 9 : 7;
}
"""


def test_exec(compile_i386, tmp_path):
    """From 32 bits to 32, to 64 and back; all of them are translated."""
    small = compile_i386("small", EXEC)
    (tmp_path / "large.c").write_text(EXEC)
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-w", "-o", tmp_path / "large", tmp_path / "large.c"], check=True)
    script = tmp_path / "script"
    script.write_text(f"#!{small} of-a-script\n")
    script.chmod(0o755)
    result = run_visor("run", "--arch", "i386", "--trace", "syscall", small, "a", tmp_path / "large", "b", small, "c",
                       script)
    lines = re.findall(r"^\d+ bits.*$", result.stdout, re.M)
    assert lines == ["32 bits, exe 1, VISOR_INTERNAL 0, a", "64 bits, exe 1, VISOR_INTERNAL 0, b",
                     "32 bits, exe 1, VISOR_INTERNAL 0, c", "32 bits, exe 1, VISOR_INTERNAL 0, of-a-script"]
    assert result.returncode == 7
    assert len(re.findall(r"execve\(", result.stderr)) == 3


SEGMENTS = r"""
#include <asm/ldt.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static int words[4] = {11, 22, 33, 44};
static unsigned entry;
static int read_fs(unsigned offset)
{
    int value;
    __asm__ volatile("movl %%fs:(%1), %0" : "=r"(value) : "r"(offset));
    return value;
}
static void set(unsigned number, const void *base, int expected)
{
    struct user_desc d = {.entry_number = number, .base_addr = (unsigned)base, .limit = 0xfffff, .seg_32bit = 1,
                          .limit_in_pages = 1, .useable = 1};
    int result = syscall(SYS_set_thread_area, &d);
    printf("set %d %d\n", result == expected, result ? errno : 0);
    if (!result && number == -1u)
        entry = d.entry_number;
}
static void *thread(void *argument)
{
    struct user_desc d = {.entry_number = entry};
    printf("inherited: %d", syscall(SYS_get_thread_area, &d));
    printf(" base %d limit %x\n", d.base_addr == (unsigned)words, d.limit);
    set(entry, words + 2, 0);
    unsigned short selector;
    __asm__ volatile("movw %%fs, %0" : "=r"(selector));
    printf("%d %d\n", selector == (entry << 3 | 3), read_fs(0)); /* without a load: the kernel has made it */
    return argument;
}
int main(void)
{
    struct user_desc d;
    unsigned char table[16 * 8];
    pthread_t id;
    set(-1u, words, 0);
    __asm__ volatile("movw %w0, %%fs" : : "r"(entry << 3 | 3));
    printf("%d %d\n", read_fs(0), read_fs(4));
    set(entry, words + 1, 0);
    printf("%d\n", read_fs(0));
    set(3, words, -1);
    set(15, words, -1);
    set(entry, words, 0);
    pthread_create(&id, NULL, thread, NULL);
    pthread_join(id, NULL);
    printf("%d\n", read_fs(0));
    fflush(stdout);
    if (fork() == 0) {
        printf("child %d\n", read_fs(12));
        return 0;
    }
    wait(NULL);

    /* The local table: data, code, and what is refused. */
    printf("ldt %d\n", (int)syscall(SYS_modify_ldt, 0, table, sizeof table));
    d = (struct user_desc){.entry_number = 2, .base_addr = (unsigned)(words + 3), .limit = 3, .seg_32bit = 1,
                           .useable = 1};
    printf("ldt %d\n", (int)syscall(SYS_modify_ldt, 0x11, &d, sizeof d));
    __asm__ volatile("movw %w0, %%fs" : : "r"(2 << 3 | 7));
    printf("%d\n", read_fs(0));
    int value;
    __asm__ volatile("pushl %%es; movw %w1, %%es; movl %%es:0, %0; popl %%es" : "=r"(value) : "r"(2 << 3 | 7));
    printf("%d\n", value);
    d.contents = 3;
    printf("%d %d\n", (int)syscall(SYS_modify_ldt, 0x11, &d, sizeof d), errno);
    printf("%d %d\n", (int)syscall(SYS_modify_ldt, 0x11, &d, 3), errno);
    printf("%d\n", (int)syscall(SYS_modify_ldt, 0, table, 24) > 0);
    for (int i = 16; i < 24; i++)
        printf("%02x ", i >= 18 && i <= 20 ? 0 : table[i]); /* without the base */
    printf("\n");
    unsigned access = 0, limit = 0;
    __asm__ volatile("lar %2, %0; lsl %2, %1" : "+r"(access), "+r"(limit) : "r"(2 << 3 | 7));
    printf("%x %x\n", access & 0xffff00, limit);
    return 0;
}
"""


def test_segments(compile_i386):
    native = expect_same(compile_i386("segments", SEGMENTS, "-w"))
    assert native.returncode == 0 and "child 44" in native.stdout


SIGNALS = r"""
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static char *page, *stack;
static volatile int depth;

static void show(int number, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const struct _libc_fpstate *fp = ((ucontext_t *)context)->uc_mcontext.fpregs;
    char *address = info->si_addr;
    unsigned magic, xmm5;
    memcpy(&magic, (const char *)fp + 112 + 464, 4);
    memcpy(&xmm5, (const char *)fp + 112 + 160 + 5 * 16, 4);
    printf("signal %d code %d trap %d error %d address %s eax %x xmm5 %08x cw %x sw %x tag %x cs %x ss %x magic %x st %x\n",
           number, info->si_code, r[REG_TRAPNO], r[REG_ERR] & ~1,
           !address ? "0" : address == page + 16 ? "page" : address == (char *)r[REG_EIP] ? "eip" : "other",
           r[REG_EAX], xmm5, (unsigned)fp->cw & 0xffff, (unsigned)fp->sw & 0xffff, (unsigned)fp->tag & 0xffff,
           r[REG_CS] & 0xffff, r[REG_SS] & 0xffff, magic, fp->_st[0].exponent);
    siglongjmp(back, 1);
}

#define TRY(code)                                                                                            \
    if (!sigsetjmp(back, 1)) {                                                                               \
        __asm__ volatile("mov $0x1234567, %%eax; movd %%eax, %%xmm5; fld1; mov $77, %%eax;" code             \
                         : : "c"(page) : "eax", "edx", "memory", "cc");                                      \
        puts("no signal");                                                                                   \
    }                                                                                                        \
    __asm__ volatile("fninit");

static void exceptions(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    struct sigaction action = {.sa_sigaction = show, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < 5; i++)
        sigaction(numbers[i], &action, NULL);
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY("mov 16(%%ecx), %%edx")
    TRY("mov %%edx, 16(%%ecx)")
    mprotect(page, 4096, PROT_READ);
    TRY("incl 16(%%ecx)")
    TRY("add $16, %%ecx; jmp *%%ecx")
    TRY("xor %%edx, %%edx; mov %%edx, (%%edx)")
    TRY("xor %%edx, %%edx; div %%edx")
    TRY("ud2")
    TRY("int3")
    TRY("hlt")
    TRY("int $0x42")
    TRY("mov $0xffff, %%edx; mov %%dx, %%fs")
    TRY("movaps 8(%%ecx), %%xmm1")
    for (int i = 0; i < 5; i++)
        signal(numbers[i], SIG_DFL);
}

/* Changes what it was given: sigreturn takes it from there. */
static void change(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct _libc_fpstate *fp = ((ucontext_t *)context)->uc_mcontext.fpregs;
    unsigned *xmm1 = (unsigned *)((char *)fp + 112 + 160 + 16);
    (void)number;
    printf("info %d from self %d value %x on stack %d\n", info->si_code, info->si_pid == getpid(),
           info->si_value.sival_int, (char *)&number > stack && (char *)&number < stack + 65536);
    r[REG_ESI] = 0xabcdef;
    *xmm1 = 0x77777777;
    fp->cw = (fp->cw & ~0xc00u) | 0x800;
    sigaddset(&((ucontext_t *)context)->uc_sigmask, SIGUSR2);
    sigaddset(&((ucontext_t *)context)->uc_sigmask, 40);
}

static void queue(int number, int value)
{
    siginfo_t info = {.si_signo = number, .si_code = SI_QUEUE};
    info.si_pid = getpid();
    info.si_value.sival_int = value;
    register long esi __asm__("esi") = 0x11;
    (void)esi;
    syscall(SYS_rt_sigqueueinfo, getpid(), number, &info);
}

static void contexts(void)
{
    struct sigaction action = {.sa_sigaction = change, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t alternate = {.ss_sp = stack = malloc(65536), .ss_size = 65536}, old;
    unsigned short control;
    unsigned esi, xmm1, result = SYS_kill;
    sigset_t mask;
    printf("altstack %d\n", sigaltstack(&alternate, NULL));
    sigaction(SIGUSR1, &action, NULL);
    __asm__ volatile("mov $5, %%esi; pxor %%xmm1, %%xmm1; int $0x80; mov %%esi, %1; movd %%xmm1, %2; fnstcw %3"
                     : "+a"(result), "=&r"(esi), "=&r"(xmm1), "=m"(control)
                     : "b"(getpid()), "c"(SIGUSR1)
                     : "esi", "memory");
    sigprocmask(SIG_BLOCK, NULL, &mask);
    printf("kill %d esi %x xmm1 %x control %x blocked %d %d %d\n", result, esi, xmm1, control, sigismember(&mask, SIGUSR1),
           sigismember(&mask, SIGUSR2), sigismember(&mask, 40));
    queue(SIGUSR1, 0x1234);
    sigemptyset(&mask);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaltstack(NULL, &old);
    printf("old %d %d\n", old.ss_sp == stack, old.ss_flags);
    alternate.ss_size = 100;
    printf("small %d %d\n", sigaltstack(&alternate, NULL), errno);
}

/* Old frames, and the kernel's own code to return to: neither SA_SIGINFO nor SA_RESTORER. */
static void nested(int number)
{
    void **frame = __builtin_frame_address(0);
    unsigned char *code = frame[1]; /* where it returns to */
    printf("nested %d at %d: %02x %02x %02x\n", number, depth, code[0], code[1], code[2]);
    if (depth++ < 3)
        raise(number);
    depth += 10;
}

static void old_frames(void)
{
    struct {
        void (*handler)(int);
        unsigned long mask, flags;
        void *restorer;
    } old = {nested, 1u << (SIGUSR2 - 1), SA_NODEFER, NULL}, before;
    unsigned set = 1u << (SIGUSR2 - 1), was;
    printf("sigaction %d\n", (int)syscall(SYS_sigaction, SIGUSR1, &old, &before));
    raise(SIGUSR1);
    printf("depth %d\n", depth);
    printf("sigprocmask %d", (int)syscall(SYS_sigprocmask, SIG_BLOCK, &set, &was));
    raise(SIGUSR2);
    printf(" was %x pending %d", was, (int)syscall(SYS_sigpending, &was));
    printf(" %x\n", was);
    printf("signal %d\n", syscall(SYS_signal, SIGUSR2, nested) == (long)SIG_DFL);
    printf("sigsuspend %d %d\n", (int)syscall(SYS_sigsuspend, 0, 0, 0), errno);
    struct { void (*handler)(int); unsigned long flags; void *restorer; unsigned mask[2]; } new = {nested, SA_SIGINFO, 0, {0}};
    depth = 3;
    printf("rt_sigaction %d\n", (int)syscall(SYS_rt_sigaction, SIGUSR2, &new, NULL, 8));
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    raise(SIGUSR2);
    printf("depth %d\n", depth);
}

static void waits(void)
{
    struct timespec limit = {5, 0}, soon = {0, 1000000};
    siginfo_t info;
    sigset_t set, none;
    int status;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN + 3);
    sigaddset(&set, SIGSEGV);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(9);
    int number = sigtimedwait(&set, &info, &limit);
    printf("%d code %d pid %d status %d\n", number, info.si_code, info.si_pid == child, info.si_status);
    waitpid(child, &status, 0);
    queue(SIGRTMIN + 3, 0x5678);
    number = sigtimedwait(&set, &info, &limit);
    printf("%d code %d value %x\n", number - SIGRTMIN, info.si_code, info.si_value.sival_int);
    kill(getpid(), SIGSEGV);
    number = sigtimedwait(&set, &info, &limit);
    printf("%d code %d pid %d\n", number, info.si_code, info.si_pid == getpid());
    printf("%d %d\n", sigtimedwait(&set, &info, &soon), errno);
    signal(SIGCHLD, nested);
    if ((child = fork()) == 0)
        _exit(0);
    depth = 3;
    printf("ppoll %d %d\n", ppoll(NULL, 0, &limit, &none), errno);
    waitpid(child, &status, 0);
    if ((child = fork()) == 0)
        _exit(0);
    printf("pselect %d %d\n", pselect(0, NULL, NULL, NULL, &limit, &none), errno);
    waitpid(child, &status, 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    exceptions();
    contexts();
    old_frames();
    waits();
    return 0;
}
"""


def test_signals(compile_i386):
    native, translated = run_both(compile_i386("signals", SIGNALS, "-w", "-static"))
    assert native.returncode == 0
    # Natively the kernel knows more state, and has a vDSO where handlers return to.
    for result in (native, translated):
        assert "nested 10 at 0: 58 b8 77" in result.stdout and "nested 12 at 3: b8 ad 00" in result.stdout
    assert (translated.stdout, translated.stderr, translated.returncode) == (native.stdout, "", 0)


STEPS = r"""
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
static volatile int steps;
static sigjmp_buf back;
static void step(int number)
{
    (void)number;
    steps++;
}
static void divided(int number, siginfo_t *info, void *context)
{
    printf("signal %d code %d trap %d\n", number, info->si_code, ((ucontext_t *)context)->uc_mcontext.gregs[REG_TRAPNO]);
    siglongjmp(back, 1);
}
int main(void)
{
    struct sigaction action = {.sa_sigaction = divided, .sa_flags = SA_SIGINFO};
    const float one = 1;
    unsigned mxcsr = 0x1d80;
    unsigned short control = 0x37b;
    int result = SYS_getppid;
    signal(SIGTRAP, step);
    __asm__ volatile("pushfl; orl $0x100, (%%esp); popfl; nop; int $0x80; nop;"
                     "pushfl; andl $~0x100, (%%esp); popfl; nop" : "+a"(result) : : "memory", "cc");
    printf("steps %d %d\n", steps, result == getppid());
    sigaction(SIGFPE, &action, NULL);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ldmxcsr %0; xorps %%xmm0, %%xmm0; movss %1, %%xmm1; divss %%xmm0, %%xmm1"
                         : : "m"(mxcsr), "m"(one));
    if (!sigsetjmp(back, 1))
        __asm__ volatile("fldcw %0; fld1; fldz; fdivrp; fwait" : : "m"(control));
    return 0;
}
"""


def test_steps_and_traps(compile_i386):
    native = expect_same(compile_i386("steps", STEPS, "-w"))
    assert "trap 19" in native.stdout and "trap 16" in native.stdout


def test_no_debugger(compile_i386):
    result = run_visor("run", "--gdb", "23457", "--arch", "i386", compile_i386("hello", HELLO))
    assert (result.returncode, "i686 programs cannot be debugged" in result.stderr) == (126, True)


MEMORY = r"""
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LOW(p) ((p) != MAP_FAILED && (uintptr_t)(p) < 0xffffe000u)
int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    FILE *file = tmpfile64();
    int fd = fileno(file);
    const off64_t far = 5ll << 30;
    char *p;
    printf("%d", ftruncate64(fd, far + 8192));
    printf(" %d\n", (int)pwrite64(fd, "far away", 8, far));
    printf("%lld\n", (long long)lseek64(fd, 0, SEEK_END));
    printf("%ld %d\n", (long)lseek(fd, 0, SEEK_END), errno);
    p = mmap64(NULL, 4096, PROT_READ, MAP_SHARED, fd, far);
    printf("%d %.8s\n", LOW(p), p);
    /* The call itself counts pages, the old one bytes, of which it wants whole pages. */
    p = (char *)syscall(SYS_mmap2, 0, 4096, PROT_READ, MAP_SHARED, fd, (unsigned)(far >> 12));
    printf("%d %.8s\n", LOW(p), p);
    unsigned old[6] = {0, 4096, PROT_READ, MAP_SHARED, fd, 4095};
    printf("%d %d\n", (int)syscall(SYS_mmap, old), errno);
    old[5] = 4096;
    printf("%d\n", LOW((char *)syscall(SYS_mmap, old)));
    printf("%d %d\n", (int)mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), errno);
    printf("%d %d\n", (int)mmap((void *)0xfffff000, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
           errno);

    /* Free wishes are granted, others not; what is moved stays in reach. */
    char *wish = mmap((void *)0x30000000, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d\n", wish == (void *)0x30000000);
    p = mmap(wish, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%d %d\n", p != wish, LOW(p));
    printf("%d %d\n", mmap(wish, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED,
           errno);
    strcpy(wish, "moved");
    mmap(wish + 8192, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    p = mremap(wish, 8192, 1 << 20, MREMAP_MAYMOVE);
    printf("%d %s\n", LOW(p) && p != wish, p);
    p = mremap(p, 1 << 20, 2 << 20, 0);
    printf("%d\n", p == MAP_FAILED || LOW(p));

    int id = shmget(IPC_PRIVATE, 100000, IPC_CREAT | 0600);
    p = shmat(id, NULL, 0);
    printf("%d\n", LOW(p));
    strcpy(p, "shared");
    char *second = shmat(id, (void *)0x31000000, 0);
    printf("%d %s", second == (void *)0x31000000, second);
    printf(" %d %d\n", shmdt(p), shmdt(second));
    struct shmid_ds ds;
    printf("%d", shmctl(id, IPC_STAT, &ds));
    printf(" %d %d\n", (int)ds.shm_segsz, shmctl(id, IPC_RMID, NULL));

    /* Nearly all of three GiB can be had, in pieces or at once, and then no more. */
    size_t total = 0;
    while ((p = mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) != MAP_FAILED)
        total += LOW(p);
    printf("%d %d\n", total > 45 && total < 64, errno);
    printf("%d\n", malloc(3u << 30) == NULL);
    return 0;
}
"""


def test_memory(compile_i386):
    assert expect_same(compile_i386("memory", MEMORY, "-w")).returncode == 0


CALLS = r"""
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void files(void)
{
    struct stat small;
    struct stat64 large;
    struct flock lock = {.l_type = F_WRLCK, .l_len = 10};
    struct flock64 lock64 = {.l_type = F_WRLCK, .l_start = 6ll << 30, .l_len = 10};
    int fd = open("big", O_RDWR | O_CREAT | O_LARGEFILE, 0640);
    printf("flags %x\n", fcntl(fd, F_GETFL));
    ftruncate64(fd, 3ll << 30);
    errno = 0;
    printf("small open %d %d\n", open("big", O_RDONLY) >= 0, errno);
    printf("small stat %d %d\n", stat("big", &small), errno);
    printf("old stat %d %d\n", (int)syscall(SYS_stat, "big", &small), errno);
    printf("large stat %d", stat64("big", &large));
    printf(" %lld %o\n", (long long)large.st_size, large.st_mode);
    printf("stat64 %d", (int)syscall(SYS_stat64, "big", &large));
    printf(" %lld ino %d\n", (long long)large.st_size, large.st_ino > 0);
    printf("lock %d %d", fcntl(fd, F_SETLK, &lock), fcntl(fd, F_SETLK64, &lock64));
    lock64.l_type = F_RDLCK;
    printf(" %d", fcntl(fd, F_OFD_GETLK, &lock64));
    printf(" %d\n", lock64.l_type);
    printf("write at limit %d", (int)pwrite64(fd, "x", 1, 0x7fffffff));
    printf(" %d\n", ftruncate(fd, 100));
    stat("big", &small);
    printf("small %d %o\n", (int)small.st_size, small.st_mode);
    struct iovec parts[] = {{"one ", 4}, {"two", 3}};
    char text[8] = {0};
    printf("writev %d", (int)pwritev64(fd, parts, 2, 50));
    printf(" %d", (int)pread64(fd, text, 7, 50));
    printf(" %s\n", text);
    struct statfs fs;
    printf("statfs %d\n", fstatfs(fd, &fs));
    unlink("big");
    for (int i = 0; i < 300; i++) {
        char name[20];
        sprintf(name, "file%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0600));
    }
    DIR *directory = opendir(".");
    int count = 0;
    long middle = -1;
    while (readdir(directory)) {
        if (++count == 150)
            middle = telldir(directory);
    }
    seekdir(directory, middle);
    int rest = 0;
    while (readdir(directory))
        rest++;
    printf("directory %d %d\n", count, rest);
}

static void sockets(void)
{
    int pair[2], fds[2];
    unsigned long call[] = {AF_UNIX, SOCK_SEQPACKET, 0, (unsigned long)pair};
    char text[16] = {0}, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {"hello", 5};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    printf("socketcall %d\n", (int)syscall(SYS_socketcall, 8, call));
    unsigned long send_call[] = {pair[0], (unsigned long)"packet", 6, 0};
    unsigned long receive_call[] = {pair[1], (unsigned long)text, sizeof text, 0};
    printf("send %d receive", (int)syscall(SYS_socketcall, 9, send_call));
    printf(" %d", (int)syscall(SYS_socketcall, 10, receive_call));
    printf(" %s\n", text);
    printf("bad %d %d\n", (int)syscall(SYS_socketcall, 99, call), errno);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    *(int *)CMSG_DATA(header) = pair[0];
    printf("sendmsg %d", (int)sendmsg(pair[0], &message, 0));
    part = (struct iovec){text, sizeof text};
    printf(" recvmsg %d", (int)recvmsg(pair[1], &message, 0));
    header = CMSG_FIRSTHDR(&message);
    printf(" %d %d\n", header->cmsg_type, *(int *)CMSG_DATA(header) > pair[1]);
    struct timeval limit = {3, 250000}, got;
    socklen_t size = sizeof got;
    printf("timeout %d", setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    printf(" %d", getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &got, &size));
    printf(" %d.%d\n", (int)got.tv_sec, (int)got.tv_usec / 10000);
    struct epoll_event events[3], wanted = {.events = EPOLLOUT, .data.u64 = 0x1122334455667788};
    int epoll = epoll_create1(0);
    printf("epoll %d", epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &wanted));
    wanted.data.u64++;
    epoll_ctl(epoll, EPOLL_CTL_ADD, pair[1], &wanted);
    int count = epoll_wait(epoll, events, 3, 1000);
    printf(" %d %llx\n", count, (unsigned long long)(events[0].data.u64 ^ events[1].data.u64));
    (void)fds;
}

static void limits_and_ids(void)
{
    struct rlimit limit;
    struct rlimit64 limit64 = {100, 6ll << 30};
    struct utsname name;
    unsigned short ids[3];
    printf("limit %d", setrlimit64(RLIMIT_FSIZE, &limit64));
    printf(" %d", (int)syscall(SYS_ugetrlimit, RLIMIT_FSIZE, &limit));
    printf(" %lx", (unsigned long)limit.rlim_max);
    printf(" %d", (int)syscall(SYS_getrlimit, RLIMIT_FSIZE, &limit));
    printf(" %lx\n", (unsigned long)limit.rlim_max);
    printf("ids %d %d %d", (int)syscall(SYS_getuid), (int)syscall(SYS_getuid32),
           (int)syscall(SYS_getresuid, &ids[0], &ids[1], &ids[2]));
    printf(" %d\n", ids[1]);
    printf("set %d %d\n", (int)syscall(SYS_setreuid, 0xffff, 0xffff), (int)syscall(SYS_setfsuid, geteuid()));
    printf("olduname %d", (int)syscall(SYS_olduname, &name));
    printf(" %s\n", name.sysname);
    printf("sysctl %d %d\n", (int)syscall(SYS__sysctl, NULL), errno);
    printf("nice %d\n", (int)syscall(SYS_nice, 0));
}

static void times_and_semaphores(void)
{
    struct timespec t = {0, 2000000}, rest;
    struct timeval tv;
    struct itimerspec timer = {{0, 0}, {0, 5000000}};
    struct sigevent event = {.sigev_notify = SIGEV_NONE};
    timer_t id;
    struct tms ticks;
    struct rusage usage;
    printf("nanosleep %d %d\n", nanosleep(&t, &rest), clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL));
    time_t now = time(NULL);
    gettimeofday(&tv, NULL);
    clock_gettime(CLOCK_REALTIME, &t);
    long long wide[2];
    syscall(403, CLOCK_REALTIME, wide);
    printf("times %d %d %d\n", tv.tv_sec - now <= 1, t.tv_sec - now <= 1, wide[0] - now <= 1);
    printf("timer %d %d", timer_create(CLOCK_MONOTONIC, &event, &id), timer_settime(id, 0, &timer, NULL));
    timer_gettime(id, &timer);
    printf(" %d\n", (int)timer.it_value.tv_sec);
    printf("usage %d %d\n", getrusage(RUSAGE_SELF, &usage), times(&ticks) != (clock_t)-1);
    int set = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
    struct sembuf up = {1, 3, 0};
    struct semid_ds ds;
    printf("sem %d", semop(set, &up, 1));
    printf(" %d %d", semctl(set, 1, GETVAL), semctl(set, 0, IPC_STAT, &ds));
    printf(" %d", (int)ds.sem_nsems);
    printf(" %d\n", semctl(set, 0, IPC_RMID));
}

int main(void)
{
    files();
    sockets();
    limits_and_ids();
    times_and_semaphores();
    return 0;
}
"""


def test_calls(compile_i386, tmp_path):
    binary = compile_i386("calls", CALLS, "-w")
    results = []
    for prefix in ([], [VISOR, "run", "--arch", "i386"]):
        directory = tmp_path / f"run{len(prefix)}"
        directory.mkdir()
        results.append(subprocess.run([*prefix, binary], cwd=directory, capture_output=True, text=True, timeout=60))
    native, translated = results
    assert native.returncode == 0
    assert (translated.stdout, translated.stderr, translated.returncode) == (native.stdout, "", 0)


def host_calls():
    """Numbers and names of the host's calls for 32-bit programs, as its headers have them."""
    source = subprocess.run(["gcc", "-m32", "-E", "-dM", "-idirafter", "/usr/include/x86_64-linux-gnu", "-"],
                            input="#include <asm/unistd.h>", capture_output=True, text=True, check=True).stdout
    return {int(number): name for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", source, re.M)}


def test_table():
    """A row for each call that the kernel has, under its number."""
    text = (TOP / "src/personality/linux/syscalls_i386.def").read_text()
    rows = {int(number): name for number, name in re.findall(r"^(?:PASS|WIDE|CALL|SAME|OWN|NONE)\((\d+), (\w+),", text, re.M)}
    host = host_calls()
    never = {"afs_syscall", "break", "create_module", "ftime", "get_kernel_syms", "getpmsg", "gtty", "idle", "lock",
             "mpx", "prof", "profil", "putpmsg", "query_module", "stty", "ulimit", "vserver"}
    assert {host[number]: number for number in set(host) - set(rows)}.keys() == never
    assert {number: rows[number] for number in set(host) & set(rows)} == {
        number: host[number] for number in set(host) & set(rows)}
