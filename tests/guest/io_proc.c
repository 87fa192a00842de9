/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's truth in /proc: what a program reads about itself and about its CPU. Takes its own path as
 * known. */
#include "io_check.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static char program[PATH_MAX];

/* The whole of a file of /proc, with a NUL after it. */
static size_t read_all(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t length = 0;
    ssize_t part;
    CHECK(fd >= 0);
    while (length < size - 1 && (part = read(fd, to + length, size - 1 - length)) > 0)
        length += (size_t)part;
    to[length] = '\0';
    close(fd);
    return length;
}

static void check_exe(int dirfd, const char *path)
{
    char text[PATH_MAX] = "";
    struct stat s, t, u;
    CHECK(readlinkat(dirfd, path, text, sizeof text) == (ssize_t)strlen(program) &&
          strcmp(text, program) == 0);
    CHECK(fstatat(dirfd, path, &s, 0) == 0 && stat(program, &t) == 0);
    CHECK(s.st_ino == t.st_ino && s.st_dev == t.st_dev && s.st_size == t.st_size && S_ISREG(s.st_mode));
    CHECK(fstatat(dirfd, path, &u, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(u.st_mode));
    CHECK(faccessat(dirfd, path, X_OK, 0) == 0);
    int fd = openat(dirfd, path, O_RDONLY);
    Elf64_Ehdr header;
    CHECK(fd >= 0 && fstat(fd, &u) == 0 && u.st_ino == t.st_ino);
    CHECK(read(fd, &header, sizeof header) == sizeof header && memcmp(header.e_ident, ELFMAG, 4) == 0);
#ifdef __aarch64__
    CHECK(header.e_machine == EM_AARCH64);
#endif
    CHECK(header.e_entry == getauxval(AT_ENTRY) || header.e_type == ET_DYN);
    close(fd);
    CHECK_ERROR(openat(dirfd, path, O_RDONLY | O_NOFOLLOW), ELOOP);
    CHECK_ERROR(openat(dirfd, path, O_RDWR), ETXTBSY);
}

static void test_exe(void)
{
    char path[64], text[3];
    check_exe(AT_FDCWD, "/proc/self/exe");
    check_exe(AT_FDCWD, "/proc/thread-self/exe");
    snprintf(path, sizeof path, "/proc/%d/exe", (int)getpid());
    check_exe(AT_FDCWD, path);
    snprintf(path, sizeof path, "/proc/self/task/%d/exe", (int)gettid());
    check_exe(AT_FDCWD, path);
    int fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
    check_exe(fd, "exe");
    check_exe(fd, "../self/exe");
    CHECK(readlinkat(fd, "exe", text, sizeof text) == 3 && memcmp(text, program, 3) == 0);
    close(fd);
    /* A file of that name elsewhere is just a file. */
    CHECK_ERROR(access("exe", F_OK), ENOENT);
    close(open("exe", O_CREAT | O_WRONLY, 0600));
    struct stat s;
    CHECK(stat("exe", &s) == 0 && s.st_size == 0 && unlink("exe") == 0);
}

static void test_arguments(char **arguments, char **environment)
{
    static char text[1 << 17];
    size_t length = read_all("/proc/self/cmdline", text, sizeof text), at = 0;
    for (int i = 0; arguments[i]; i++) {
        CHECK(strcmp(text + at, arguments[i]) == 0);
        at += strlen(text + at) + 1;
    }
    CHECK(at == length);

    length = read_all("/proc/self/environ", text, sizeof text);
    at = 0;
    for (int i = 0; environment[i] && at < length; i++) {
        CHECK(strcmp(text + at, environment[i]) == 0);
        at += strlen(text + at) + 1;
    }
    CHECK(at == length);

    char name[32];
    const char *base = strrchr(program, '/') + 1;
    CHECK(read_all("/proc/self/comm", text, sizeof text) > 0);
    snprintf(name, sizeof name, "%.15s\n", base);
    CHECK(strcmp(text, name) == 0);
}

static void test_auxv(void)
{
    uint64_t pairs[128] = {0};
    size_t length = read_all("/proc/self/auxv", (char *)pairs, sizeof pairs);
    CHECK(length >= 32 && length % 16 == 0);
    int found = 0;
    for (size_t i = 0; i + 1 < length / 8 && pairs[i] != AT_NULL; i += 2) {
        if (pairs[i] == AT_ENTRY || pairs[i] == AT_PHDR || pairs[i] == AT_PLATFORM || pairs[i] == AT_RANDOM) {
            CHECK(pairs[i + 1] == getauxval(pairs[i]));
            found++;
        }
    }
    CHECK(found == 4);
}

static int here(void)
{
    return 1;
}

/* What /proc/self/maps says of an address: its permissions and name. */
static int find_mapping(const void *address, char *permissions, char *name)
{
    char line[PATH_MAX + 128];
    FILE *maps = fopen("/proc/self/maps", "r");
    int found = 0;
    CHECK(maps);
    while (maps && !found && fgets(line, sizeof line, maps)) {
        uint64_t start, end;
        *name = '\0';
        int fields =
            sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %s", &start, &end, permissions, name);
        CHECK(fields >= 3 && start < end);
        found = (uint64_t)(uintptr_t)address >= start && (uint64_t)(uintptr_t)address < end;
    }
    if (maps)
        fclose(maps);
    return found;
}

static int data = 1;

static void test_maps(void)
{
    int fd = open("/proc/self/maps", O_RDONLY);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK_ERROR(write(fd, "x", 1), EBADF);
#ifdef __aarch64__
    char query[104] = {sizeof query};
    CHECK_ERROR(ioctl(fd, _IOWR('f', 17, query), query), ENOTTY); /* PROCMAP_QUERY: as before Linux 6.11 */
#endif
    close(fd);

    char permissions[5], name[PATH_MAX];
    int local = 0;
    CHECK(find_mapping(&local, permissions, name) && strcmp(name, "[stack]") == 0);
    CHECK(strncmp(permissions, "rw", 2) == 0);
    CHECK(find_mapping((void *)(uintptr_t)here, permissions, name));
    CHECK(strcmp(permissions, "r-xp") == 0 && strcmp(name, program) == 0);
    CHECK(find_mapping(&data, permissions, name) && strcmp(permissions, "rw-p") == 0);
    void *end = sbrk(4096);
    CHECK(find_mapping(end, permissions, name) && strcmp(name, "[heap]") == 0);
    CHECK(!find_mapping(bad_pointer, permissions, name));
    CHECK(here());
}

static void test_descriptors(void)
{
    /* What is listed is open, and is this program's. */
    DIR *dir = opendir("/proc/self/fd");
    char text[PATH_MAX], path[64];
    int fd = open("/dev/null", O_RDONLY), found = 0, count = 0;
    CHECK(dir);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        int number = atoi(entry->d_name);
        CHECK(fcntl(number, F_GETFD) >= 0);
        ssize_t length = readlinkat(dirfd(dir), entry->d_name, text, sizeof text - 1);
        CHECK(length > 0);
        text[length > 0 ? length : 0] = '\0';
        if (number == fd) {
            CHECK(strcmp(text, "/dev/null") == 0);
            found = 1;
        }
        count++;
    }
    CHECK(found && count >= 2);
    if (dir)
        closedir(dir);
    /* No number that is not listed is open. */
    for (int i = 3; i < 5000; i++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", i);
        int open_now = fcntl(i, F_GETFD) >= 0;
        CHECK((access(path, F_OK) == 0 || errno != ENOENT) == open_now || open_now);
    }
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    int again = open(path, O_RDONLY);
    CHECK(again >= 0);
    close(again);
    close(fd);
}

static void test_machine(void)
{
    struct utsname u;
    static char text[1 << 16];
    CHECK(uname(&u) == 0 && strcmp(u.sysname, "Linux") == 0);
    CHECK(read_all("/proc/cpuinfo", text, sizeof text) > 0);
    char *processor = strstr(text, "processor\t: 0\n");
    CHECK(processor == text);
    int count = 0;
    for (; processor; processor = strstr(processor + 1, "processor\t: "))
        count++;
    CHECK(count == sysconf(_SC_NPROCESSORS_ONLN));
#ifdef __aarch64__
    CHECK(strcmp(u.machine, "aarch64") == 0);
    CHECK(strstr(text, "\nFeatures\t: fp asimd") && strstr(text, "CPU architecture: 8\n"));
    CHECK(strstr(text, "CPU implementer\t: 0x") && !strstr(text, "GenuineIntel") &&
          !strstr(text, "AuthenticAMD"));
    /* The CPU's features are the same in all places. */
    unsigned long capabilities = getauxval(AT_HWCAP);
    CHECK(!!strstr(text, " aes") == !!(capabilities & 1 << 3));
    CHECK(!!strstr(text, " atomics") == !!(capabilities & 1 << 8));
    CHECK(!!strstr(text, " sve") == !!(capabilities & 1 << 22));
#endif
}

/* What is reached by a symbolic link to such a file is the program as well. */
static void check_link(const char *target)
{
    char text[PATH_MAX] = "";
    struct stat s, t;
    struct statx x;
    int status;
    CHECK(mkdir("links", 0700) == 0 && symlink(target, "links/exe-link") == 0);
    CHECK(symlink("exe-link", "links/second") == 0 && symlink("links/second", "third") == 0);
    int directory = open("links", O_RDONLY | O_DIRECTORY);
    CHECK(readlink("links/exe-link", text, sizeof text) == (ssize_t)strlen(target) && !strcmp(text, target));
    for (int i = 0; i < 3; i++) {
        const char *path = i == 0 ? "third" : i == 1 ? "second" : "links/exe-link";
        int at = i == 1 ? directory : AT_FDCWD;
        CHECK(fstatat(at, path, &s, 0) == 0 && stat(program, &t) == 0);
        CHECK(s.st_ino == t.st_ino && s.st_dev == t.st_dev && s.st_size == t.st_size);
        CHECK(statx(at, path, 0, STATX_BASIC_STATS, &x) == 0 && x.stx_ino == t.st_ino);
        CHECK(fstatat(at, path, &s, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(s.st_mode));
        CHECK(faccessat(at, path, X_OK, 0) == 0);
        int fd = openat(at, path, O_RDONLY);
        CHECK(fd >= 0 && fstat(fd, &s) == 0 && s.st_ino == t.st_ino && s.st_dev == t.st_dev);
        close(fd);
        fd = openat(at, path, O_PATH);
        CHECK(fd >= 0 && fstat(fd, &s) == 0 && s.st_ino == t.st_ino);
        close(fd);
        CHECK_ERROR(openat(at, path, O_RDWR), ETXTBSY);
        CHECK_ERROR(openat(at, path, O_RDONLY | O_NOFOLLOW), ELOOP);
        pid_t child = fork();
        if (child == 0) {
            char *arguments[] = {"other name", "no more", NULL}, *environment[] = {NULL};
            execveat(at, path, arguments, environment, 0);
            _exit(99);
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    close(directory);
    CHECK(unlink("third") == 0 && unlink("links/second") == 0 && unlink("links/exe-link") == 0 &&
          rmdir("links") == 0);
}

static void test_links(void)
{
    char path[64];
    check_link("/proc/self/exe");
    snprintf(path, sizeof path, "/proc/%d/task/%d/exe", (int)getpid(), (int)gettid());
    check_link(path);
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    snprintf(path, sizeof path, "/proc/%d/exe", (int)child);
    check_link(path);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

static size_t read_file_of(pid_t pid, const char *name, char *to, size_t size)
{
    char path[64];
    if (pid)
        snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    else
        snprintf(path, sizeof path, "/proc/self/%s", name);
    return read_all(path, to, size);
}

/* The value of a line of `status` as text; "" if there is none. */
static const char *status_value(const char *status, const char *name, char value[64])
{
    const char *line = strstr(status, name);
    *value = '\0';
    if (line)
        sscanf(line + strlen(name), " %63[^\n]", value);
    return value;
}

static void handle(int signal)
{
    (void)signal;
}

/* Another process of the same program: of that, too, it is all the guest's, and what it says itself. */
static void test_other_process(void)
{
    static char own[1 << 16], other[1 << 16];
    static const char *const values[] = {"\nVmSize:", "\nVmData:", "\nSigCgt:", "\nSigIgn:"};
    char path[64], text[PATH_MAX] = "", first[64], second[64];
    struct stat s, t;
    int to_parent[2], from_parent[2];
    CHECK(pipe(to_parent) == 0 && pipe(from_parent) == 0);
    char *page = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    /* Whoever started this may have signals ignored: posix_spawn() does so with libc's own. */
    CHECK(read_file_of(0, "status", own, sizeof own) > 100);
    const uint64_t ignoring = strtoull(status_value(own, "\nSigIgn:", first), NULL, 16) | 0x40;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGUSR1, handle);
        signal(SIGSEGV, handle);
        signal(SIGBUS, SIG_IGN);
        munmap(page, 4096);
        static const char *const names[] = {"maps", "status"};
        for (int i = 0; i < 2; i++) {
            size_t length = read_file_of(0, names[i], own, sizeof own);
            if (write(to_parent[1], &length, sizeof length) < 0 || write(to_parent[1], own, length) < 0 ||
                read(from_parent[0], text, 1) < 0)
                _exit(1);
        }
        for (;;)
            pause();
    }
    for (int i = 0; i < 2; i++) {
        size_t length = 0;
        CHECK(read(to_parent[0], &length, sizeof length) == sizeof length && length < sizeof own);
        for (size_t at = 0; at < length;) {
            ssize_t part = read(to_parent[0], own + at, length - at);
            CHECK(part > 0);
            at += part > 0 ? (size_t)part : length;
        }
        own[length] = '\0';
        CHECK(read_file_of(child, i ? "status" : "maps", other, sizeof other) > 100);
        if (!i)
            CHECK(strcmp(own, other) == 0 && strstr(other, "r-xp") && !strstr(other, "visor"));
        for (size_t v = 0; i && v < sizeof values / sizeof *values; v++)
            CHECK(strcmp(status_value(own, values[v], first), status_value(other, values[v], second)) == 0 &&
                  *first);
        CHECK(write(from_parent[1], "x", 1) == 1);
    }
    CHECK(strtoull(status_value(other, "\nSigCgt:", first), NULL, 16) == 0x600);
    CHECK(strtoull(status_value(other, "\nSigIgn:", first), NULL, 16) == ignoring);
    uint64_t size = 0, pages = 0, ignored = 0, caught = 0;
    CHECK(read_file_of(child, "stat", own, sizeof own) > 0);
    CHECK(sscanf(strrchr(own, ')'),
                 ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %" SCNu64
                 " %*d %*u %*u %*u %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
                 &size, &ignored, &caught) == 3);
    CHECK(size / 1024 == strtoull(status_value(other, "\nVmSize:", first), NULL, 10));
    CHECK(ignored == (ignoring & 0x7fffffff) && caught == 0x600);
    CHECK(read_file_of(child, "statm", own, sizeof own) > 0 && sscanf(own, "%" SCNu64, &pages) == 1);
    CHECK(pages * 4096 == size);

    /* Its thread has a directory as well; a file that is not there is not there. */
    snprintf(path, sizeof path, "task/%d/maps", (int)child);
    CHECK(read_file_of(child, path, own, sizeof own) > 100 && strstr(own, program) && !strstr(own, "visor"));
    snprintf(path, sizeof path, "/proc/%d/maps/x", (int)child);
    CHECK_ERROR(open(path, O_RDONLY), ENOTDIR);
    CHECK(read_file_of(child, "smaps", own, sizeof own) > 100 && !strstr(own, "visor"));

    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)child);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        count += entry->d_name[0] != '.';
        CHECK(entry->d_name[0] == '.' || fcntl(atoi(entry->d_name), F_GETFD) >= 0); /* inherited */
    }
    CHECK(dir && count >= 4);
    if (dir)
        closedir(dir);

    snprintf(path, sizeof path, "/proc/%d/exe", (int)child);
    CHECK(readlink(path, text, sizeof text) == (ssize_t)strlen(program) && strcmp(text, program) == 0);
    CHECK(stat(path, &s) == 0 && stat(program, &t) == 0 && s.st_ino == t.st_ino && s.st_dev == t.st_dev);
    int fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &s) == 0 && s.st_ino == t.st_ino);
    close(fd);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    for (int i = 0; i < 2; i++) {
        close(to_parent[i]);
        close(from_parent[i]);
    }
}

/* Run by execve() with its own arguments. */
static void test_exec(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        char *arguments[] = {"other name", "again", "", NULL}, *environment[] = {"A=1", "B=", NULL};
        execve("/proc/self/exe", arguments, environment);
        _exit(99);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv, char **environment)
{
    int again = argc > 1 && strcmp(argv[1], "again") == 0;
    if (argc > 1 && !again)
        return 7; /* was executed by test_links() */
    if (!again) {
        CHECK(realpath(argv[0], program));
    } else {
        ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
        CHECK(length > 0 && strstr(program, "io_proc"));
        CHECK(strcmp(argv[0], "other name") == 0 && argc == 3 && getenv("A") && !environment[2]);
    }
    test_exe();
    if (!again)
        test_arguments(argv, environment);
    test_auxv();
    test_maps();
    test_descriptors();
    test_machine();
    if (!again) {
        test_links();
        test_other_process();
        test_exec();
    }
    return again ? check_failures != 0 : check_done("io_proc");
}
