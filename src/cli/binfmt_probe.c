/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/binfmt_probe.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"

#define PROBE_ADDRESS    0x10000000ul
#define PROBE_STATUS     42
#define PROBE_PATIENCE   10000 /* milliseconds */
#define STATUS_NOT_FOUND 127

/* -- the program: says a byte, waits for one or the end of its input, exits with PROBE_STATUS -------------
 */

static const struct program {
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    uint32_t code[13];
} program = {
    .header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
               .e_type = ET_EXEC,
               .e_machine = EM_AARCH64,
               .e_version = EV_CURRENT,
               .e_entry = PROBE_ADDRESS + offsetof(struct program, code),
               .e_phoff = offsetof(struct program, segment),
               .e_ehsize = sizeof(Elf64_Ehdr),
               .e_phentsize = sizeof(Elf64_Phdr),
               .e_phnum = 1},
    .segment = {.p_type = PT_LOAD,
                .p_flags = PF_R | PF_X,
                .p_vaddr = PROBE_ADDRESS,
                .p_paddr = PROBE_ADDRESS,
                .p_filesz = sizeof(struct program),
                .p_memsz = sizeof(struct program),
                .p_align = 4096},
    .code =
        {
            0xd2800020, /* mov x0, #1: write(1, here, 1) */
            0x10000001, /* adr x1, . */
            0xd2800022, /* mov x2, #1 */
            0xd2800808, /* mov x8, #64 */
            0xd4000001, /* svc #0 */
            0xd2800000, /* mov x0, #0: read(0, sp - 16, 1) */
            0xd10043e1, /* sub x1, sp, #16 */
            0xd2800022, /* mov x2, #1 */
            0xd28007e8, /* mov x8, #63 */
            0xd4000001, /* svc #0 */
            0xd2800540, /* mov x0, #42: exit(42) */
            0xd2800ba8, /* mov x8, #93 */
            0xd4000001, /* svc #0 */
        },
};

const uint8_t *binfmt_probe_program(size_t *size)
{
    *size = sizeof program;
    return (const uint8_t *)&program;
}

/* -- running it ------------------------------------------------------------------------------------------ */

/* A child that executes `path`, or `fd` if there is none, with its input and output at the two ends. */
static pid_t start(const char *path, int fd, int input, int output)
{
    char *probe_words[] = {"visor-probe", NULL}, *version_words[] = {"visor", "version", NULL};
    char *none[] = {NULL};
    pid_t child = fork();
    if (child != 0)
        return child;

    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(input >= 0 ? input : null, STDIN_FILENO);
    dup2(output, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (path)
        execve(path, version_words, none);
    else
        fexecve(fd, probe_words, none);
    _exit(STATUS_NOT_FOUND);
}

/* What `path version` prints: "visor VERSION …". Empty: it is no visor. */
static void ask_version(const char *path, char *version, size_t size)
{
    char text[128] = "";
    int pipes[2];
    version[0] = '\0';
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return;
    pid_t child = start(path, -1, -1, pipes[1]);
    close(pipes[1]);
    ssize_t length = child < 0 ? -1 : read(pipes[0], text, sizeof text - 1);
    close(pipes[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    if (length > 6 && strncmp(text, "visor ", 6) == 0)
        snprintf(version, size, "%.*s", (int)strcspn(text + 6, " \n"), text + 6);
}

/* Is one of the files that the process has mapped this program's own? */
static bool maps_own_file(pid_t pid)
{
    char path[64], line[PATH_MAX + 128];
    struct stat own;
    bool found = false;
    if (stat("/proc/self/exe", &own) < 0)
        return false;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long inode;
        found = sscanf(line, "%*s %*s %*s %*s %lu", &inode) == 1 && inode && inode == own.st_ino &&
                !strstr(line, "/memfd:");
    }
    if (maps)
        fclose(maps);
    return found;
}

/* The program waits: whose process is it? */
static void inspect(struct binfmt_probe *probe, pid_t pid)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/exe", (int)pid);
    ssize_t length = readlink(link, probe->path, sizeof probe->path - 1);
    probe->path[length < 0 ? 0 : length] = '\0';

    const char *name = strrchr(probe->path, '/');
    probe->current = maps_own_file(pid);
    if (probe->current)
        snprintf(probe->version, sizeof probe->version, "%s", VISOR_VERSION);
    else if (name && strncmp(name, "/visor", 6) == 0)
        ask_version(link, probe->version, sizeof probe->version);
    probe->visor = probe->version[0];
}

static int make_file(struct error *error)
{
    int fd = memfd_create("visor-probe", 0); /* an interpreter without the flag O opens it by its number */
    if (fd < 0 || write(fd, &program, sizeof program) != sizeof program || fchmod(fd, 0755) < 0)
        return error_set(error, -errno, "cannot make a program to try: %s", strerror(errno));
    /* A file that is open for writing cannot be executed. */
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY);
    if (again < 0)
        error_set(error, -errno, "cannot open a program to try: %s", strerror(errno));
    close(fd);
    return again < 0 ? error->code : again;
}

int binfmt_probe(struct binfmt_probe *probe, struct error *error)
{
    int to[2], from[2], status = 0;
    char byte;
    memset(probe, 0, sizeof *probe);
    int fd = make_file(error);
    if (fd < 0)
        return fd;
    if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
        return error_set(error, -errno, "cannot make a pipe: %s", strerror(errno));
    pid_t child = start(NULL, fd, to[0], from[1]);
    close(fd);
    close(to[0]);
    close(from[1]);
    if (child < 0)
        return error_set(error, -errno, "cannot start a process: %s", strerror(errno));

    struct pollfd ready = {.fd = from[0], .events = POLLIN};
    bool spoke = poll(&ready, 1, PROBE_PATIENCE) > 0 && read(from[0], &byte, 1) == 1;
    if (spoke)
        inspect(probe, child);
    else
        kill(child, SIGKILL);
    close(to[1]);
    close(from[0]);
    waitpid(child, &status, 0);
    probe->runs = spoke && WIFEXITED(status) && WEXITSTATUS(status) == PROBE_STATUS;
    return 0;
}
