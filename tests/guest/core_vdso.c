/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The vDSO: found as C libraries find it, its functions against the system calls, and unwinding from a signal
 * handler. */
#include "io_check.h"

#include <elf.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unwind.h>

static const char *base;
static const Elf64_Sym *symbols;
static const char *strings;
static const uint16_t *versions;
static const uint32_t *hash;
static const Elf64_Verdef *definitions;

static void find_tables(void)
{
    const Elf64_Ehdr *header = (const void *)base;
    const Elf64_Phdr *program = (const void *)(base + header->e_phoff);
    const Elf64_Dyn *dynamic = NULL;
    CHECK(memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_type == ET_DYN);
    for (int i = 0; i < header->e_phnum; i++) {
        if (program[i].p_type == PT_DYNAMIC)
            dynamic = (const void *)(base + program[i].p_vaddr);
    }
    for (; dynamic && dynamic->d_tag; dynamic++) {
        const void *at = base + dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SYMTAB)
            symbols = at;
        else if (dynamic->d_tag == DT_STRTAB)
            strings = at;
        else if (dynamic->d_tag == DT_VERSYM)
            versions = at;
        else if (dynamic->d_tag == DT_VERDEF)
            definitions = at;
        else if (dynamic->d_tag == DT_HASH)
            hash = at;
    }
    CHECK(symbols && strings && versions && hash && definitions);
}

static const void *find(const char *name)
{
    for (uint32_t i = hash[2]; i; i = hash[2 + hash[0] + i]) {
        CHECK(i < hash[1]);
        if (strcmp(strings + symbols[i].st_name, name) != 0)
            continue;
        for (const Elf64_Verdef *d = definitions;; d = (const void *)((const char *)d + d->vd_next)) {
            const Elf64_Verdaux *aux = (const void *)((const char *)d + d->vd_aux);
            if (d->vd_ndx == versions[i])
                CHECK(strcmp(strings + aux->vda_name, "LINUX_2.6.39") == 0 && d->vd_hash == 0x75fcb89);
            if (!d->vd_next)
                break;
        }
        return base + symbols[i].st_value;
    }
    return NULL;
}

static int64_t nanoseconds(struct timespec t)
{
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void test_clocks(void)
{
    static const clockid_t clocks[] = {
        CLOCK_REALTIME,         CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
        CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME,  CLOCK_TAI,           CLOCK_PROCESS_CPUTIME_ID,
        CLOCK_THREAD_CPUTIME_ID};
    int (*get)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))find("__kernel_clock_gettime");
    int (*resolution)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))find("__kernel_clock_getres");
    int (*day)(struct timeval *, void *) = (int (*)(struct timeval *, void *))find("__kernel_gettimeofday");
    CHECK(get && resolution && day);
    for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++) {
        struct timespec before, now, after, ours, theirs;
        CHECK(syscall(SYS_clock_gettime, clocks[i], &before) == 0 && get(clocks[i], &now) == 0 &&
              syscall(SYS_clock_gettime, clocks[i], &after) == 0);
        CHECK(nanoseconds(before) <= nanoseconds(now) && nanoseconds(now) <= nanoseconds(after));
        CHECK(now.tv_nsec >= 0 && now.tv_nsec < 1000000000);
        CHECK(resolution(clocks[i], &ours) == 0 && syscall(SYS_clock_getres, clocks[i], &theirs) == 0);
        CHECK(nanoseconds(ours) == nanoseconds(theirs) && resolution(clocks[i], NULL) == 0);
    }
    struct timespec now;
    CHECK(get(1234, &now) == -EINVAL && get((clockid_t)-1, &now) == -EINVAL && get(2 + 32, &now) == -EINVAL);
    struct timeval before, time, after;
    struct timezone zone = {1, 2};
    CHECK(syscall(SYS_gettimeofday, &before, NULL) == 0 && day(&time, NULL) == 0 &&
          syscall(SYS_gettimeofday, &after, NULL) == 0);
    CHECK(!timercmp(&time, &before, <) && !timercmp(&time, &after, >) && time.tv_usec < 1000000);
    CHECK(day(&time, &zone) == 0 && zone.tz_minuteswest != 1 && day(NULL, NULL) == 0);
}

static sigjmp_buf back;
static void *fault_address;
static unsigned frames;
static uintptr_t handler_returns_to;
static int unwound_to_main;

static void caught(int signal, siginfo_t *info, void *context)
{
    (void)context;
    fault_address = info->si_addr;
    siglongjmp(back, signal);
}

static void test_bad_pointer(void)
{
    int (*get)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))find("__kernel_clock_gettime");
    struct sigaction action = {.sa_sigaction = caught, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    int signal = sigsetjmp(back, 1);
    if (!signal)
        get(CLOCK_REALTIME, (void *)bad_pointer);
    CHECK(signal == SIGSEGV && fault_address == bad_pointer);
}

int main(void);

static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *unused)
{
    (void)unused;
    frames++;
    unwound_to_main |= _Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(context)) == (void *)main;
    return frames > 50 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static void unwinds(int signal)
{
    (void)signal;
    handler_returns_to = (uintptr_t)__builtin_return_address(0);
    _Unwind_Backtrace(look, NULL);
}

static __attribute__((noinline)) void raise_from_below(void)
{
    raise(SIGUSR1);
    __asm__ volatile("");
}

static void test_unwinding(void)
{
    const void *sigreturn = find("__kernel_rt_sigreturn");
    signal(SIGUSR1, unwinds);
    raise_from_below();
    CHECK(sigreturn && handler_returns_to == (uintptr_t)sigreturn);
    CHECK(frames >= 4 && unwound_to_main);
}

static void test_maps(void)
{
    char line[300], expected[40];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    snprintf(expected, sizeof expected, "%lx-", (unsigned long)base);
    while (maps && fgets(line, sizeof line, maps))
        found |=
            strncmp(line, expected, strlen(expected)) == 0 && strstr(line, "r-xp") && strstr(line, "[vdso]");
    CHECK(maps && found);
    fclose(maps);
}

int main(void)
{
    base = (const char *)getauxval(AT_SYSINFO_EHDR);
    CHECK(base != NULL);
    if (!base)
        return check_done("core_vdso");
    find_tables();
    test_clocks();
    test_bad_pointer();
    test_unwinding();
    test_maps();
    return check_done("core_vdso");
}
