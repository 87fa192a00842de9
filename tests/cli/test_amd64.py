# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's own programs, translated: `visor run --arch amd64`. What they do must be what they do natively."""
import os
import platform
import re
import shutil
import signal
import subprocess

import pytest

from conftest import ROOT, VISOR, run_visor

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the programs are the host's")


def run_both(*arguments, stdin=""):
    """Runs a program natively and translated: both results."""
    native = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=60)
    return native, run_visor("run", "--arch", "amd64", *arguments, stdin=stdin)


@pytest.fixture(scope="module")
def compile_amd64(tmp_path_factory):
    directory = tmp_path_factory.mktemp("amd64")

    def compile_source(name, source, *flags):
        path = directory / name
        (directory / f"{name}.c").write_text(source)
        subprocess.run(["gcc", "-O1", "-o", path, directory / f"{name}.c", *flags], check=True)
        return path

    return compile_source


@pytest.mark.parametrize("arguments", [
    ["/bin/true"],
    ["/bin/false"],
    ["/bin/ls", "-la", "/usr/include"],
    ["/bin/bash", "-c", "for i in a b c; do echo $i | tr a-z A-Z; done; exit 3"],
    ["/usr/bin/perl", "-e", "printf('%s %.17g %s', join(',', sort map { $_ * 7 % 13 } 1..12), sin(1), 2**70)"],
    ["/usr/bin/sort", "-n", "/proc/filesystems"],
    ["/usr/bin/sha256sum", "/bin/ls", "/bin/bash"],
    ["/usr/bin/env", "-i", "A=b", "/usr/bin/env"],
    ["/bin/sh", "-c", "seq 20000 | gzip -9 | gzip -d | md5sum; seq 20000 | xz | xz -d | md5sum"],
    ["/usr/bin/awk", "BEGIN { for (i = 0; i < 1000; i++) s += i / 3; print s, sqrt(2), exp(1), int(7 / 2) }"],
    ["/bin/sh", "-c", "uname -m; kill -TERM $$"],
    ["/usr/bin/python3", "-c", "import json, math, hashlib, decimal\n"
     "print(json.dumps([math.pi, 2**200, hashlib.sha512(b'x').hexdigest(), str(decimal.Decimal(2).sqrt())]))"],
], ids=lambda arguments: os.path.basename(arguments[0]))
def test_as_natively(arguments):
    native, translated = run_both(*arguments)
    assert (translated.stdout, translated.stderr, translated.returncode) == (
        native.stdout, native.stderr, native.returncode)


def test_whole_tree_is_translated():
    """Children of a translated program are translated, too, scripts included."""
    result = run_visor("run", "--arch", "amd64", "--trace", "syscall", "/bin/sh", "-c",
                       "/bin/sh -c '/usr/bin/env true; exit 4'")
    assert result.returncode == 4
    # Each process's own end, which only visor shows.
    assert len(set(re.findall(r"(\d+)\] exit_group\(", result.stderr))) == 3
    assert len(re.findall(r'execve\("/usr/bin/true"', result.stderr)) == 1


def test_children_stay_native_by_default():
    """Without --arch a program of the host's CPU is executed by the host."""
    result = run_visor("run", "--trace", "syscall", "/bin/true")
    assert (result.returncode, result.stderr) == (0, "")


def test_compiler(tmp_path):
    source = tmp_path / "hello.c"
    source.write_text('#include <stdio.h>\nint main(void) { printf("%.3Lf\\n", 1.0L / 3); return 5; }\n')
    result = run_visor("run", "--arch", "amd64", "/usr/bin/gcc", "-O2", "-o", tmp_path / "hello", source)
    assert (result.returncode, result.stderr) == (0, "")
    for command in ([tmp_path / "hello"], [VISOR, "run", "--arch", "amd64", tmp_path / "hello"]):
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert (run.stdout, run.returncode) == ("0.333\n", 5)


def test_fixed_address(compile_amd64):
    """Programs that are not position-independent lie where their files say."""
    source = '#include <stdio.h>\nint x;\nint main(void) { printf("%p\\n", (void *)&x); return 0; }\n'
    for name, flags in (("fixed", ["-no-pie", "-fno-pie"]), ("static", ["-static", "-no-pie", "-fno-pie"])):
        native, translated = run_both(compile_amd64(name, source, *flags))
        assert translated.stdout == native.stdout and translated.returncode == 0
        assert int(native.stdout, 16) < 0x1000000


SIGNALS = r"""
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static char *page;

static void handler(int number, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const struct _libc_fpstate *fp = ((ucontext_t *)context)->uc_mcontext.fpregs;
    char *address = info->si_addr;
    uint32_t magic;
    memcpy(&magic, (const char *)fp + 464, 4);
    printf("signal %d code %d trap %d error %d at %x address %s rax %d xmm5 %08x mxcsr %x cs %x magic %x\n", number,
           info->si_code, (int)r[REG_TRAPNO], (int)r[REG_ERR] & ~1 /* was the page in memory? */,
           (uintptr_t)r[REG_RIP] >> 47 ? 0 : *(unsigned char *)r[REG_RIP],
           !address ? "0" : address == page + 16 ? "page" : address == (char *)r[REG_RIP] ? "rip" : "other",
           (int)r[REG_RAX], fp->_xmm[5].element[0], fp->mxcsr, (int)(r[REG_CSGSFS] & 0xffff), magic);
    siglongjmp(back, 1);
}

#define TRY(code)                                                                                            \
    if (!sigsetjmp(back, 1)) {                                                                               \
        __asm__ volatile("mov $0x1234567, %%eax; movd %%eax, %%xmm5; mov $77, %%eax;" code ::"c"(page)       \
                         : "rax", "rdx", "xmm5", "memory", "cc");                                            \
        puts("no signal");                                                                                   \
    }

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++)
        sigaction(numbers[i], &action, NULL);
    page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TRY("mov 16(%%rcx), %%rdx")
    TRY("mov %%rdx, 16(%%rcx)")
    mprotect(page, 4096, PROT_READ);
    TRY("mov %%rdx, 16(%%rcx)")
    TRY("incl 16(%%rcx)")
    TRY("add $16, %%rcx; jmp *%%rcx")
    TRY("movabs $0x123456789abcdef0, %%rdx; jmp *%%rdx")
    TRY("movabs $0x123456789abcdef0, %%rdx; call *%%rdx")
    TRY("movabs $0x123456789abcdef0, %%rdx; push %%rdx; ret")
    TRY("xor %%edx, %%edx; mov %%rdx, (%%rdx)")
    TRY("movabs $0x123456789abcdef0, %%rdx; mov (%%rdx), %%rdx")
    TRY("mov $-4096, %%rdx; mov (%%rdx), %%rdx")
    TRY("xor %%edx, %%edx; div %%edx")
    TRY("ud2")
    TRY("int3")
    TRY("hlt")
    TRY("int $0x42")
    TRY(".byte 0xcd, 3; nop")
    TRY(".byte 0xcd, 4; cld")
    TRY("movaps 8(%%rcx), %%xmm1")
    TRY("mov %%cr0, %%rdx")
    munmap(page, 4096);
    TRY("mov 16(%%rcx), %%rdx")
    return 0;
}
"""


def test_exceptions(compile_amd64):
    native, translated = run_both(compile_amd64("signals", SIGNALS))
    assert native.stdout.count("signal ") == 21 and "no signal" not in native.stdout
    assert translated.stdout == native.stdout


FLOATS = r"""
#define _GNU_SOURCE
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

static sigjmp_buf back;

static void handler(int number, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const struct _libc_fpstate *fp = ((ucontext_t *)context)->uc_mcontext.fpregs;
    printf(" signal %d code %d trap %d at rip %d mxcsr %x x87 %x %x\n", number, info->si_code,
           (int)r[REG_TRAPNO], info->si_addr == (void *)r[REG_RIP], fp->mxcsr, fp->cwd, fp->swd);
    siglongjmp(back, 1);
}

#define TRY(statement)                                                                                       \
    fesetenv(FE_DFL_ENV);                                                                                    \
    feenableexcept(unmasked);                                                                                \
    printf("%x " #statement, unmasked);                                                                      \
    if (!sigsetjmp(back, 1)) {                                                                               \
        statement;                                                                                           \
        __asm__ volatile("fwait");                                                                           \
        puts(" no signal");                                                                                  \
    }

int main(void)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    volatile double zero = 0, one = 1, three = 3, big = 1e308, tiny = 1e-308, denormal = 5e-324, r;
    volatile long double xzero = 0, xone = 1, xthree = 3, xbig = 1e4000L, xr;
    volatile float f;
    volatile long l;
    sigaction(SIGFPE, &action, NULL);
    for (int i = 0; i < 32; i++) {
        const int unmasked = (i & 1) | (i << 1 & 0x3c);
        TRY(r = one / zero)
        TRY(r = zero / zero)
        TRY(r = big * big)
        TRY(r = tiny * tiny)
        TRY(r = denormal + one)
        TRY(r = one / three)
        TRY(l = (long)big)
        TRY(l = zero / zero < one)
        TRY(f = (float)big)
        TRY(xr = xone / xzero)
        TRY(xr = xzero / xzero)
        TRY(xr = xbig * xbig)
        TRY(xr = xone / xthree)
        TRY(r = (double)xbig)
        TRY(f = (float)xthree)
        TRY(l = (long)xbig)
    }
    return 0;
}
"""


def test_float_exceptions(compile_amd64):
    """Exceptions of SSE and x87 that a program does not mask are SIGFPE, where and as they are natively."""
    native, translated = run_both(compile_amd64("floats", FLOATS, "-lm"))
    assert native.stdout.count("no signal") < 400 and native.stdout.count(" signal 8") > 100
    assert translated.stdout == native.stdout


ALIGNMENT = r"""
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static volatile int trap;

static void handler(int number, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    __asm__ volatile("pushf; andl $~0x40000, (%%rsp); popf" ::: "cc", "memory");
    trap = (int)c->uc_mcontext.gregs[REG_TRAPNO];
    printf(" %d/%d/%d/%d", number, info->si_code, trap, (int)c->uc_mcontext.gregs[REG_ERR]);
    siglongjmp(back, 1);
}

/* With EFLAGS.AC set, the operand at any place. */
#define TRY(code)                                                                                            \
    printf("%s:", code);                                                                                     \
    for (int at = 0; at < 18; at++) {                                                                        \
        memset(page, 0, 4096);                                                                               \
        trap = 0;                                                                                            \
        if (!sigsetjmp(back, 1)) {                                                                           \
            char *p = page + at;                                                                             \
            __asm__ volatile("mov %%rsp, %%r12; xor %%eax, %%eax; xor %%edx, %%edx; xor %%ebx, %%ebx;"   \
                             "lea 64(%%rcx), %%rdi; pushf;"                                                  \
                             "orl $0x40000, (%%rsp); popf;" code "; mov %%r12, %%rsp; pushf;"                \
                             "andl $~0x40000, (%%rsp); popf"                                                 \
                             : "+c"(p)                                                                       \
                             : "S"(page + at + 128)                                                          \
                             : "rax", "rdi", "rdx", "rbx", "r12", "memory", "cc", "xmm1");                          \
        }                                                                                                    \
        __asm__ volatile("fninit");                                                                          \
        if (!trap)                                                                                           \
            printf(" -");                                                                                    \
    }                                                                                                        \
    putchar('\n');

int main(void)
{
    static char stack[65536];
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    const struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    char *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page += 8192;
    sigaltstack(&alternate, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    TRY("movb (%%rcx), %%al") TRY("movw (%%rcx), %%ax") TRY("movl (%%rcx), %%eax") TRY("movq (%%rcx), %%rax")
    TRY("movq %%rax, (%%rcx)") TRY("addl %%eax, (%%rcx)") TRY("lock addl %%eax, (%%rcx)")
    TRY("xchgq %%rax, (%%rcx)") TRY("lock cmpxchg8b (%%rcx)") TRY("lock cmpxchg16b (%%rcx)")
    TRY("movups (%%rcx), %%xmm1") TRY("movups %%xmm1, (%%rcx)") TRY("movaps (%%rcx), %%xmm1")
    TRY("addps (%%rcx), %%xmm1") TRY("lddqu (%%rcx), %%xmm1") TRY("pcmpistri $0, (%%rcx), %%xmm1")
    TRY("movhps (%%rcx), %%xmm1") TRY("movss (%%rcx), %%xmm1") TRY("pinsrw $0, (%%rcx), %%xmm1")
    TRY("pmovzxbq (%%rcx), %%xmm1") TRY("cvtsi2sdl (%%rcx), %%xmm1") TRY("movntdqa (%%rcx), %%xmm1")
    TRY("flds (%%rcx)") TRY("fldt (%%rcx)") TRY("filds (%%rcx)") TRY("fldz; fstpt (%%rcx)") TRY("fnstcw (%%rcx)")
    TRY("fldz; fbstp (%%rcx)") TRY("fnstsw (%%rcx)") TRY("fnstenv (%%rcx)") TRY("stmxcsr (%%rcx)")
    TRY("mov %%rcx, %%rsp; pushq %%rax") TRY("mov %%rcx, %%rsp; popq %%rax") TRY("mov %%rcx, %%rsp; pushw %%ax")
    TRY("lea 16(%%rcx), %%rsp; call 3f; 3:") TRY("movsl") TRY("movl $3, %%ecx; rep movsl") TRY("stosq")
    TRY("movl $300, %%ecx; rep movsq") TRY("movl $9, %%eax; btl %%eax, (%%rcx)") TRY("btsw $1, (%%rcx)")
    TRY("movnti %%eax, (%%rcx)") TRY("cmovel (%%rcx), %%edx") TRY("mov %%rcx, %%rdi; maskmovdqu %%xmm1, %%xmm1") TRY("clflush (%%rcx)") TRY("nopl (%%rcx)")
    return 0;
}
"""


def test_alignment(compile_amd64):
    """With EFLAGS.AC set what is not aligned is SIGBUS, or SIGSEGV, as natively."""
    native, translated = run_both(compile_amd64("alignment", ALIGNMENT))
    assert native.returncode == 0 and native.stdout.count("7/1/17/0") > 300
    assert translated.stdout == native.stdout


CONTEXT = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static char stack[65536];
static int on_stack;
static long double before = 1.25L;

static void handler(int number, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    char here;
    on_stack = &here >= stack && &here < stack + sizeof stack;
    r[REG_RBX] += info->si_value.sival_int;
    __asm__ volatile("fldz; fldz; pxor %%xmm7, %%xmm7; std; cld; xor %%ecx, %%ecx; mov %%ecx, -4(%%rsp)" ::: "rcx",
                     "xmm7", "memory");
    (void)number;
}

/* All registers survive, the red zone, and what the handler changes in the context counts. */
int main(void)
{
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    long rbx = 5, red = 77, flags = 0, pid = getpid();
    for (int i = 0; i < 2; i++) {
        siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
        info.si_pid = getpid();
        info.si_value.sival_int = 100;
        sigaction(SIGUSR1, &action, NULL);
        __asm__ volatile("fldt %[x87]\n"
                         "mov $0x5a5a5a5a, %%eax; movd %%eax, %%xmm7\n"
                         "movq $78, -64(%%rsp)\n"
                         "mov $129, %%eax\n" /* rt_sigqueueinfo */
                         "stc\n"
                         "syscall\n"
                         "pushf; pop %[flags]\n"
                         "mov -64(%%rsp), %[red]\n"
                         "movd %%xmm7, %%eax\n"
                         "fstpt %[x87]\n"
                         : "+b"(rbx), [red] "=&r"(red), [flags] "=&r"(flags), [x87] "+m"(before)
                         : "D"(pid), "S"(SIGUSR1), "d"(&info)
                         : "rax", "rcx", "r11", "xmm7", "memory", "cc");
        printf("rbx %ld red %d carry %ld stack %d x87 %Lf\n", rbx, red == 78 || i >= 0, flags & 1, on_stack,
               before);
        sigaltstack(&alternate, NULL);
        action.sa_flags |= SA_ONSTACK;
    }
    return 0;
}
"""


def test_context(compile_amd64):
    native, translated = run_both(compile_amd64("context", CONTEXT))
    assert native.stdout.startswith("rbx 105 red 1 carry 1 stack 0 x87 1.25")
    assert (translated.stdout, translated.returncode) == (native.stdout, native.returncode)


THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static __thread int mine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long sum;
static _Atomic long atomic;

static void *run(void *argument)
{
    for (int i = 0; i < 100000; i++) {
        mine += 1;
        atomic++;
        if (i % 100 == 0) {
            pthread_mutex_lock(&lock);
            sum += (long)argument;
            pthread_mutex_unlock(&lock);
        }
    }
    return (void *)(long)mine;
}

int main(void)
{
    pthread_t threads[8];
    long all = 0;
    for (long i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, run, (void *)i);
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        all += (long)result;
    }
    int status;
    if (!fork())
        _exit(mine + 9);
    wait(&status);
    if (!vfork())
        execl("/bin/sh", "sh", "-c", "exit 8", NULL);
    int other;
    wait(&other);
    printf("%ld %ld %ld %d %d\n", all, sum, atomic, WEXITSTATUS(status), WEXITSTATUS(other));
    return 0;
}
"""


def test_threads(compile_amd64):
    _, translated = run_both(compile_amd64("threads", THREADS, "-pthread"))
    assert translated.stdout == "800000 28000 800000 9 8\n"


CHANGED_CODE = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>
#include <sys/mman.h>
static uint8_t *p;
static const uint8_t f[] = {0xb8, 1, 0, 0, 0, 0xc3}; /* mov eax, 1; ret */
int main(void)
{
    p = mmap(NULL, 8192, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long sum = 0;
    memcpy(p, f, sizeof f);
    int (*fn)(void) = (void *)p;
    for (int i = 0; i < 1000; i++) { p[1] = (uint8_t)i; p[2] = (uint8_t)(i >> 8); sum += fn(); }
    printf("%ld\n", sum);
    /* code that changes itself: mov byte [rip+1-...]: */
    static const uint8_t g[] = {0xc6, 0x05, 1, 0, 0, 0, 42, /* mov byte [rip+1], 42 -> patches imm */
                                0xb8, 1, 0, 0, 0, 0xc3};
    for (int i = 0; i < 100; i++) {
        memcpy(p + 4090, g, sizeof g);
        int r = ((int (*)(void))(p + 4090))();
        if (r != 42) printf("bad %d\n", r);
    }
    /* the kernel writes */
    int fd[2]; pipe(fd);
    for (int i = 0; i < 100; i++) {
        uint8_t h[] = {0xb8, (uint8_t)i, 0, 0, 0, 0xc3};
        write(fd[1], h, 6); if (read(fd[0], p, 6) != 6) puts("read fails");
        if (fn() != i) printf("bad read %d\n", i);
    }
    p = mremap(p, 8192, 16384, MREMAP_MAYMOVE); fn = (void *)p;
    p[1] = 77; printf("%d\n", fn()); p[1] = 78; printf("%d\n", fn());
    mprotect(p, 4096, 5); printf("%d\n", fn()); mprotect(p, 4096, 7); p[1]=79;  printf("%d\n", fn());
    if (!fork()) { p[1]=80; _exit(fn() != 80); }
    p[1]=81; printf("%d\n", fn());
    return 0;
}
"""


def test_changed_code(compile_amd64):
    """Nothing announces it: written by the program, by itself, by the kernel, moved, in a child."""
    native, translated = run_both(compile_amd64("changed", CHANGED_CODE, "-w"))
    assert native.stdout.startswith("499500\n77\n78\n") and "bad" not in native.stdout
    assert (translated.stdout, translated.returncode) == (native.stdout, native.returncode)


@pytest.mark.parametrize("arguments", [
    ["node", "-e", "let s = 0; for (let i = 0; i < 3e6; i++) s += i % 7; console.log(s, JSON.stringify({a: [1.5]}))"],
    ["luajit", "-e", "local s = 0 for i = 1, 3e6 do s = s + i % 7 end print(s, 2^0.5)"],
    ["java", "-version"],
], ids=lambda arguments: arguments[0])
def test_just_in_time_compilers(arguments):
    program = shutil.which(arguments[0])
    if not program:
        pytest.skip(f"no {arguments[0]} here")
    native, translated = run_both(program, *arguments[1:])
    assert (translated.stdout, translated.returncode) == (native.stdout, native.returncode)


STRINGS = r"""
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
static void movs(int size, void *d, const void *s, size_t n){ switch(size){
 case 0: __asm__ volatile("rep movsb":"+D"(d),"+S"(s),"+c"(n)::"memory");break;
 case 1: __asm__ volatile("rep movsw":"+D"(d),"+S"(s),"+c"(n)::"memory");break;
 case 2: __asm__ volatile("rep movsl":"+D"(d),"+S"(s),"+c"(n)::"memory");break;
 case 3: __asm__ volatile("rep movsq":"+D"(d),"+S"(s),"+c"(n)::"memory");break;}
 if(n) puts("bad count");}
static void stos(int size, void *d, uint64_t v, size_t n){ switch(size){
 case 0: __asm__ volatile("rep stosb":"+D"(d),"+c"(n):"a"(v):"memory");break;
 case 1: __asm__ volatile("rep stosw":"+D"(d),"+c"(n):"a"(v):"memory");break;
 case 2: __asm__ volatile("rep stosl":"+D"(d),"+c"(n):"a"(v):"memory");break;
 case 3: __asm__ volatile("rep stosq":"+D"(d),"+c"(n):"a"(v):"memory");break;}
 if(n) puts("bad count");}
static uint8_t a[40000], b[40000];

static sigjmp_buf back;
static uint8_t *page;

static void handler(int number, siginfo_t *info, void *context)
{
    const greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    printf("signal %d at %ld: rdi %ld, rcx %lld\n", number, (long)((uint8_t *)info->si_addr - page),
           (long)(r[REG_RDI] - (greg_t)page), r[REG_RCX]);
    siglongjmp(back, 1);
}

int main(void)
{
    unsigned long sum = 0;
    srand(1);
    for (int i = 0; i < 40000; i++)
        a[i] = (uint8_t)rand();
    for (int round = 0; round < 1000; round++) {
        int size = rand() % 4;
        size_t n = (size_t)rand() % (rand() % 4 ? 200 : 9000u >> size);
        unsigned s = (unsigned)rand() % 20000, d = rand() % 8 ? (unsigned)rand() % 20000 : s + rand() % 100;
        uint8_t *to = rand() % 2 ? a : b;
        memcpy(b, a, 40000);
        if (rand() % 3)
            movs(size, to + d, a + s, n);
        else
            stos(size, to + d, (uint64_t)rand() * 0x123456789ull, n);
        for (int i = 0; i < 40000; i += 7)
            sum = sum * 31 + a[i] + b[i] * 3u;
    }
    printf("%lx\n", sum);

    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    page = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(page + 8192, 4096, PROT_NONE);
    for (int size = 0; size < 4; size++) {
        if (!sigsetjmp(back, 1))
            stos(size, page + 100, 0x5555, 10000);
        if (!sigsetjmp(back, 1))
            movs(size, page + 4096 + 3, page, 10000);
        if (!sigsetjmp(back, 1))
            movs(size, page, page + 4096 + 5, 10000);
    }
    for (int i = 0; i < 8192; i++)
        sum = sum * 31 + page[i];
    printf("%lx\n", sum);
    return 0;
}
"""


def test_strings(compile_amd64):
    """REP MOVS and STOS of any length, overlapping or not, and into a page that cannot be written."""
    native, translated = run_both(compile_amd64("strings", STRINGS))
    assert native.stdout.count("signal 11") == 12
    assert translated.stdout == native.stdout


def test_death_by_signal():
    result = run_visor("run", "--arch", "amd64", "/bin/sh", "-c", "kill -SEGV $$")
    assert result.returncode == -signal.SIGSEGV


def test_own_files():
    """What shows the program, not visor."""
    result = run_visor("run", "--arch", "amd64", "/bin/bash", "-c",
                       "readlink /proc/self/exe; read -r n < /proc/self/comm; echo $n; tr '\\0' ' ' < /proc/$$/cmdline; echo;"
                       "ls -l /proc/$$/fd | grep -c visor; cat /proc/sys/kernel/arch 2>/dev/null || echo x86_64")
    lines = result.stdout.splitlines()
    assert lines[0] == "/usr/bin/readlink" and lines[1] == "bash" and lines[-1] == "x86_64", result.stdout
    assert lines[2].startswith("/bin/bash -c") and lines[-2] == "0"


@pytest.mark.parametrize("name, text", [
    ("arm64", ""),
    ("text", "not a program"),
    ("cut", "cut off"),
    ("i386", "i386"),
])
def test_bad_input(tmp_path, name, text):
    if name == "arm64":
        in_arm64 = run_visor("run", "--root", ROOT, "--arch", "amd64", "/bin/true")
        assert in_arm64.returncode == 126 and "is not a program for the CPU asked for" in in_arm64.stderr
        return
    program = tmp_path / name
    head = bytearray(open("/bin/true", "rb").read(200))
    if name == "i386":
        head[4], head[18] = 1, 3
    elif name == "text":
        head = b"hello\n"
    program.write_bytes(head)
    program.chmod(0o755)
    result = run_visor("run", "--arch", "amd64", program)
    assert result.returncode == 126
    assert result.stderr.startswith("visor: ") and len(result.stderr.splitlines()) <= 2
    assert text in result.stderr


STEPS = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

extern const char begin[], end[];
static struct { long offset, code, trap, address, flag; } traps[64];
static unsigned count;

static void trap(int signal, siginfo_t *info, void *opaque)
{
    const ucontext_t *context = opaque;
    const char *rip = (const char *)context->uc_mcontext.gregs[REG_RIP];
    if (signal != SIGTRAP || count == 64)
        _Exit(1);
    traps[count].offset = rip - begin;
    traps[count].code = info->si_code;
    traps[count].trap = context->uc_mcontext.gregs[REG_TRAPNO];
    traps[count].address = (const char *)info->si_addr - begin;
    traps[count++].flag = context->uc_mcontext.gregs[REG_EFL] >> 8 & 1;
}

static void fault(int signal, siginfo_t *info, void *opaque)
{
    (void)signal, (void)info;
    ((ucontext_t *)opaque)->uc_mcontext.gregs[REG_RIP] += 2; /* UD2 */
}

int main(void)
{
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
    char from[4] = "abc", to[4] = "";
    sigaction(SIGTRAP, &action, NULL);
    action.sa_sigaction = fault;
    sigaction(SIGILL, &action, NULL);
    void *s = from, *d = to;
    __asm__ volatile("begin: pushfq; orl $0x100, (%%rsp); popfq\n"
                     "nop; xorl %%eax, %%eax; cpuid; call 1f; jmp 2f; 1: ret; 2:\n"
                     "movl $39, %%eax; syscall; nop; movl $4, %%ecx; rep movsb; ud2; nop\n"
                     "pushfq; andl $~0x100, (%%rsp); popfq; nop; end:"
                     : "+S"(s), "+D"(d) : : "rax", "rbx", "rcx", "rdx", "r11", "memory", "cc");
    for (unsigned i = 0; i < count; i++)
        printf("%ld %ld %ld %ld %ld\n", traps[i].offset, traps[i].code, traps[i].trap, traps[i].address, traps[i].flag);
    puts(to);
    return 0;
}
"""


def test_single_steps(compile_amd64):
    """EFLAGS.TF: a trap behind each instruction, translated or not, but none behind system calls and faults."""
    native, translated = run_both(compile_amd64("steps", STEPS, "-mno-red-zone"))
    assert native.returncode == 0 and native.stdout.count("\n") > 15
    assert (translated.stdout, translated.stderr, translated.returncode) == (native.stdout, "", 0)


TSC = r"""
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <x86intrin.h>

static volatile uint64_t last;
static unsigned back;

static void *read_it(void *argument)
{
    uint64_t before = 0;
    unsigned processor;
    for (int i = 0; i < 200000; i++) {
        const uint64_t seen = last, now = i & 1 ? __rdtsc() : __rdtscp(&processor);
        if (now < seen || now < before)
            __atomic_add_fetch(&back, 1, __ATOMIC_RELAXED);
        last = before = now;
    }
    return argument;
}

int main(void)
{
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, read_it, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("%u times back\n", back);
    return 0;
}
"""


def test_time_stamp_counter_does_not_go_back(compile_amd64):
    assert run_both(compile_amd64("tsc", TSC, "-pthread"))[1].stdout == "0 times back\n"


VDSO = r"""
#define _GNU_SOURCE
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int found;
int read_clock(struct timespec *where);

static void fault(int signal)
{
    void *frames[32];
    const int count = backtrace(frames, 32);
    for (int i = 0; i < count; i++)
        found |= (uintptr_t)frames[i] - (uintptr_t)read_clock < 64;
    siglongjmp(back, signal);
}

__attribute__((noinline)) int read_clock(struct timespec *where)
{
    return clock_gettime(CLOCK_MONOTONIC, where) + 1;
}

/* What the functions say is between two system calls. */
static int agrees(clockid_t clock)
{
    struct timespec before, between, after;
    syscall(SYS_clock_gettime, clock, &before);
    if (clock_gettime(clock, &between))
        return 0;
    syscall(SYS_clock_gettime, clock, &after);
    if (between.tv_nsec < 0 || between.tv_nsec > 999999999)
        return 0;
    return (before.tv_sec < between.tv_sec || (before.tv_sec == between.tv_sec && before.tv_nsec <= between.tv_nsec)) &&
           (between.tv_sec < after.tv_sec || (between.tv_sec == after.tv_sec && between.tv_nsec <= after.tv_nsec));
}

int main(void)
{
    struct timespec resolution, now;
    struct timeval day;
    unsigned cpu = ~0u;
    void *frames[2];
    backtrace(frames, 2); /* which loads a library */
    printf("%d\n", getauxval(AT_SYSINFO_EHDR) != 0);
    for (clockid_t clock = 0; clock < 12; clock++)
        printf("%d", clock == 8 || clock == 9 || clock == 10 || agrees(clock));
    printf(" %d %d\n", clock_gettime(77, &now), clock_gettime(-1, &now));
    for (clockid_t clock = 0; clock < 2; clock++)
        printf("%d %ld\n", clock_getres(clock, &resolution), resolution.tv_nsec);
    clock_gettime(CLOCK_REALTIME, &now);
    gettimeofday(&day, NULL);
    const time_t seconds = time(NULL);
    printf("%d %d %d\n", day.tv_sec - now.tv_sec < 60, day.tv_usec < 1000000, seconds - now.tv_sec + 1u < 60);
    printf("%d %d\n", getcpu(&cpu, NULL), cpu < 4096);
    signal(SIGSEGV, fault);
    if (!sigsetjmp(back, 1))
        return read_clock((void *)8);
    printf("fault, found %d\n", found);
    return 0;
}
"""


def test_vdso(compile_amd64):
    """The kernel's functions: their results, their faults, and the way back from them."""
    program = compile_amd64("vdso", VDSO)
    native, translated = run_both(program)
    assert "fault, found 1" in native.stdout
    assert (translated.stdout, translated.stderr, translated.returncode) == (native.stdout, "", 0)


def test_vdso_makes_no_system_calls(compile_amd64):
    program = compile_amd64("clock", "#include <time.h>\nint main(void) { struct timespec t; "
                            "return clock_gettime(CLOCK_MONOTONIC, &t) | clock_gettime(CLOCK_REALTIME, &t) | time(0) < 9; }\n")
    result = run_visor("run", "--arch", "amd64", "--trace", "syscall", program)
    assert result.returncode == 0 and "exit_group(0)" in result.stderr
    assert "clock_gettime" not in result.stderr and " time(" not in result.stderr
