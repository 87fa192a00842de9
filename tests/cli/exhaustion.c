/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exhaustion: uses up what there is of something, says what the system says to that, goes on, and says
 * whether all is well again. test_exhaustion.py builds it for the host as well, where it has to say the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE      4096ul
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define FUNCTIONS 64u

static const char *own_path;
static char *code; /* a page per function */
static unsigned round_number;

/* -- that the program goes on ------------------------------------------------------------ */

static void say(const char *what, int worked)
{
    printf("%s: %s\n", what, worked ? "ok" : strerrorname_np(errno));
    fflush(stdout);
}

/* Functions that never ran before: returns how many gave the right number. */
static unsigned run_new_code(void)
{
    unsigned right = 0;
    round_number++;
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        const uint32_t value = round_number * 1000 + i;
        char *at = code + i * PAGE + round_number * 64;
#ifdef __aarch64__
        const uint32_t words[2] = {0x52800000 | value << 5, 0xd65f03c0}; /* mov w0, #value; ret */
        memcpy(at, words, sizeof words);
#else
        const uint8_t bytes[6] = {0xb8, (uint8_t)value, (uint8_t)(value >> 8), 0, 0, 0xc3};
        memcpy(at, bytes, sizeof bytes);
#endif
        __builtin___clear_cache(at, at + 8);
        right += ((unsigned (*)(void))(uintptr_t)at)() == value;
    }
    return right;
}

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
    handled += signal;
}

static void *nothing(void *argument)
{
    return argument;
}

static int start_thread(void)
{
    pthread_t thread;
    errno = pthread_create(&thread, NULL, nothing, NULL);
    return !errno && !pthread_join(thread, NULL);
}

/* As posix_spawn() and fork() do it; true if the child ended with 33. */
static int make_child(int vforked, int executes)
{
    int status = -1;
    pid_t child = vforked ? vfork() : fork();
    if (child == 0) {
        if (executes) {
            execl(own_path, own_path, "end", (char *)NULL);
            _exit(errno);
        }
        _exit(33);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 0;
    errno = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
    return errno == 33;
}

static void go_on(void)
{
    printf("new code: %u of %u\n", run_new_code(), FUNCTIONS);
    handled = 0;
    say("signal", raise(SIGUSR1) == 0 && handled == SIGUSR1);
    say("fork", make_child(0, 0));
    say("vfork", make_child(1, 0));
    say("fork and execve", make_child(0, 1));
    say("vfork and execve", make_child(1, 1));
}

/* -- what is used up --------------------------------------------------------------------- */

static void use_up_mappings(void)
{
    const size_t size = 400000 * PAGE;
    char *area = mmap(NULL, size, PROT_READ, ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd = memfd_create("file", 0);
    unsigned count = 0;
    if (ftruncate(fd, 4 * PAGE) < 0)
        exit(1);
    while (2 * count * PAGE < size && mprotect(area + 2 * count * PAGE, PAGE, PROT_NONE) == 0)
        count++;
    say("one more", 2 * count * PAGE >= size);
    while (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE) != MAP_FAILED)
        continue;
    say("mmap", 0);
    go_on();
    say("munmap in the middle", munmap(area + 9 * PAGE, PAGE) == 0);
    say("munmap", munmap(area, size) == 0);
    say("mmap", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE) != MAP_FAILED);
    say("thread", start_thread());
    go_on();
}

static void use_up_descriptors(rlim_t soft, rlim_t hard)
{
    const struct rlimit limit = {soft, hard};
    int fd;
    say("setrlimit", setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while ((fd = dup(0)) >= 0)
        continue;
    say("dup", 0);
    say("thread", start_thread());
    go_on();
    close(0);
    say("dup", dup(1) == 0);
    go_on();
}

static void use_up_processes(rlim_t value)
{
    const struct rlimit limit = {value, value};
    pid_t children[256];
    unsigned count = 0;
    if (value)
        say("setrlimit", setrlimit(RLIMIT_NPROC, &limit) == 0);
    while (count < 256 && (children[count] = fork()) >= 0) {
        if (children[count] == 0) {
            pause();
            _exit(1);
        }
        count++;
    }
    printf("%u children, then %s\n", count, strerrorname_np(errno));
    fflush(stdout);
    say("thread", start_thread());
    go_on();
    for (unsigned i = 0; i < count; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    say("thread", start_thread());
    go_on();
}

static void use_up_memory(void)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            memset(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0), 1, 1 << 20);
    }
    waitpid(child, &status, 0);
    printf("child: %s\n", WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "ended");
    say("thread", start_thread());
    go_on();
}

static void ask_for_too_much(void)
{
    say("64 TiB", mmap(NULL, 1ul << 46, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0) != MAP_FAILED);
    say("256 TiB", mmap(NULL, 1ul << 48, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED);
    say("malloc", malloc(1ul << 46) != NULL);
    go_on();
}

/* To the last page. */
static void use_up_addresses(int resource, rlim_t value)
{
    const struct rlimit limit = {value, value};
    say("setrlimit", setrlimit(resource, &limit) == 0);
    for (size_t size = 1ul << 40; size >= PAGE; size /= 2) {
        while (mmap(NULL, size, PROT_READ | PROT_WRITE, ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED)
            continue;
    }
    say("mmap", 0);
    say("thread", start_thread());
    go_on();
}

static void lock_memory(rlim_t value)
{
    const struct rlimit limit = {value, value};
    char *area = mmap(NULL, 256 * PAGE, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0);
    say("setrlimit", setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    say("mlock 64 KiB", mlock(area, 16 * PAGE) == 0);
    say("mlock 1 MiB", mlock(area, 256 * PAGE) == 0);
    say("munlock", munlock(area, 256 * PAGE) == 0);
    say("mlockall", mlockall(MCL_CURRENT) == 0);
    say("munlockall", munlockall() == 0);
    say("mlockall future", mlockall(MCL_FUTURE) == 0);
    say("mmap 64 KiB", mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0) != MAP_FAILED);
    say("mmap 64 MiB", mmap(NULL, 16384 * PAGE, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0) != MAP_FAILED);
    say("munlockall", munlockall() == 0);
    go_on();
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const rlim_t value = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (strcmp(what, "end") == 0)
        return 33;
    own_path = argv[0];
    signal(SIGUSR1, on_signal);
    code = mmap(NULL, FUNCTIONS * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, ANONYMOUS, -1, 0);
    if (strcmp(what, "mappings") == 0)
        use_up_mappings();
    else if (strcmp(what, "descriptors") == 0)
        use_up_descriptors(value, argc > 3 ? strtoul(argv[3], NULL, 10) : value);
    else if (strcmp(what, "processes") == 0)
        use_up_processes(value);
    else if (strcmp(what, "memory") == 0)
        use_up_memory();
    else if (strcmp(what, "addresses") == 0)
        ask_for_too_much();
    else if (strcmp(what, "address space") == 0)
        use_up_addresses(RLIMIT_AS, value);
    else if (strcmp(what, "data") == 0)
        use_up_addresses(RLIMIT_DATA, value);
    else if (strcmp(what, "locks") == 0)
        lock_memory(value);
    return 0;
}
