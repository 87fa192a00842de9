/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec find: which ELF file a program path leads to, and all that can be wrong with it. The kernel cannot
 * tell the guest, since what it executes is visor; so what it would check is checked here first.
 */
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/proc.h"
#include "personality/linux/start.h"

#ifndef AT_EXECVE_CHECK
#define AT_EXECVE_CHECK 0x10000
#endif

#define SCRIPT_DEPTH_MAX 5
#define PREFIX_MAX       ((unsigned)ARRAY_SIZE(((struct linux_target *)0)->prefix))

/* To the kernel, /proc/self/exe is visor: the guest's program in place of `fd`, if the file was found so. */
static int leave_visor(struct linux_target *target, const struct linux_process *process,
                       const struct linux_program_file *file, int fd)
{
    char path[PATH_MAX];
    struct stat status;
    if (!process || fstat(fd, &status) < 0 || !linux_is_own_file(process, status.st_dev, status.st_ino))
        return fd;
    enum linux_proc_file found = linux_proc_follow(process, file->directory, file->path, path);
    if (found == LINUX_PROC_NONE)
        return fd;
    close(fd);
    target->own_exe = true;
    return found == LINUX_PROC_EXE ? fcntl(process->own_fds[OWN_EXE], F_DUPFD_CLOEXEC, 0)
                                   : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static int open_file(struct linux_target *target, const struct linux_process *process,
                     const struct linux_program_file *file, struct error *error)
{
    int fd;
    target->own_exe = false;
    if (file->flags & AT_EMPTY_PATH && !file->path[0]) {
        /* Opened anew: the descriptor may be O_PATH or for writing. */
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", file->directory);
        fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
            fd = fcntl(file->directory, F_DUPFD_CLOEXEC, 0);
    } else {
        int nofollow = file->flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
        fd = openat(file->directory, file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | nofollow);
        if (fd >= 0 && !nofollow)
            fd = leave_visor(target, process, file, fd);
    }
    if (fd < 0)
        return error_set(error, -errno, "cannot run %s: %s", file->path, strerror(errno));
    return fd;
}

/*
 * Asks the kernel whether it would execute the file. It knows who has it open for writing and what security
 * modules forbid. Kernels before 6.14 cannot be asked that; but they give leases only on files that nobody
 * writes to, and only to a file's owner.
 */
static int check_execution(int fd)
{
    char *const none[] = {(char *)"", NULL};
    int64_t code = linux_plain_syscall(SYS_execveat, (uint64_t)fd, (uintptr_t) "", (uintptr_t)none,
                                       (uintptr_t)(none + 1), AT_EMPTY_PATH | AT_EXECVE_CHECK, 0);
    if (code != -EINVAL)
        return code == -ETXTBSY || code == -EACCES || code == -EPERM ? (int)code : 0;
    if (fcntl(fd, F_SETLEASE, F_RDLCK) == 0)
        fcntl(fd, F_SETLEASE, F_UNLCK);
    else if (errno == EAGAIN)
        return -ETXTBSY;
    return 0;
}

static int check_permission(int fd, const char *path, struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return error_set(error, -errno, "cannot look at %s: %s", path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return error_set(error, -EACCES, "cannot run %s: it is a directory", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, -EACCES, "cannot run %s: it is not a regular file", path);

    int64_t code = linux_plain_syscall(SYS_faccessat2, (uint64_t)fd, (uintptr_t) "", X_OK,
                                       AT_EMPTY_PATH | AT_EACCESS, 0, 0);
    if (code == -EACCES || code == -EPERM) {
        error_set(error, -EACCES, "cannot run %s: permission denied", path);
        if (!(status.st_mode & 0111))
            error_hint(error, "the file is not marked as executable: chmod +x");
        return -EACCES;
    }
    code = check_execution(fd);
    if (code < 0)
        return error_set(error, (int)code, "cannot run %s: %s", path, strerror((int)-code));
    return 0;
}

/* The name by which the script is given to its interpreter. */
static char *script_name(const struct linux_program_file *file)
{
    char *name = NULL;
    if (file->directory == AT_FDCWD || file->path[0] == '/')
        return strdup(file->path);
    int length = file->path[0] ? asprintf(&name, "/dev/fd/%d/%s", file->directory, file->path)
                               : asprintf(&name, "/dev/fd/%d", file->directory);
    return length < 0 ? NULL : name;
}

/* The script takes the place of the argument list's first: interpreter, argument, script, then what followed.
 */
static int add_prefix(struct linux_target *target, const char *interpreter, const char *argument,
                      char *script)
{
    unsigned added = argument ? 2 : 1, kept = target->prefix_count;
    char *first = script ? strdup(interpreter) : NULL;
    char *second = argument ? strdup(argument) : NULL;

    if (!first || (argument && !second) || kept + added + 1 > PREFIX_MAX) {
        free(first);
        free(second);
        free(script);
        return first ? -ELOOP : -ENOMEM;
    }
    /* An inner interpreter's own first argument, its name, becomes the path it was found by. */
    if (kept) {
        free(target->prefix[0]);
        kept--;
        memmove(target->prefix + added + 1, target->prefix + 1, kept * sizeof *target->prefix);
    }
    target->prefix[0] = first;
    if (argument)
        target->prefix[1] = second;
    target->prefix[added] = script;
    target->prefix_count = kept + added + 1;
    return 0;
}

static int check_loader(const struct linux_target *target, const struct elf_image *image, uint16_t machine,
                        struct error *error)
{
    char path[PATH_MAX];
    struct elf_image loader;

    int code = elf_read_interpreter(target->fd, image, path, sizeof path, error);
    if (code < 0)
        return code;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        code = -errno;
        error_set(error, code, "cannot run %s: its loader %s cannot be opened: %s", target->path, path,
                  strerror(errno));
        if (code == -ENOENT)
            error_hint(error, "give the directory of a system for that CPU with --root DIRECTORY");
        return code;
    }
    code = check_permission(fd, path, error);
    if (code == 0 && elf_read(fd, machine, &loader, error) < 0) {
        error_prefix(error, "cannot run %s: its loader %s is not usable: ", target->path, path);
        code = -ELIBBAD;
    }
    close(fd);
    return code;
}

/* Decides about an open file: 0 with target->native or a checked guest program, or 1 for a script, whose
 * first line is then in `head`. */
static int judge(struct linux_target *target, bool translate_host, char head[LINUX_SCRIPT_HEAD + 1],
                 size_t *size, struct error *error)
{
    ssize_t n = pread(target->fd, head, LINUX_SCRIPT_HEAD, 0);
    if (n < 0)
        return error_set(error, -errno, "cannot read %s: %s", target->path, strerror(errno));
    head[n] = '\0';
    *size = (size_t)n;
    if (n >= 2 && head[0] == '#' && head[1] == '!')
        return 1;
    const int machine = elf_machine_of((const uint8_t *)head, (size_t)n);
    const struct linux_arch *arch = linux_arch_for(machine, translate_host);
    target->machine = MAX(machine, 0);
    if (!arch) {
        target->native = true;
        return 0;
    }

    struct elf_image image;
    int code = elf_read(target->fd, arch->elf_machine, &image, error);
    if (code < 0) {
        error_prefix(error, "cannot run %s: ", target->path);
        return code;
    }
    return image.interpreter_size ? check_loader(target, &image, arch->elf_machine, error) : 0;
}

int linux_target_find(struct linux_target *target, const struct linux_process *process,
                      const struct linux_program_file *file, bool translate_host, struct error *error)
{
    struct linux_program_file next = *file;
    char head[LINUX_SCRIPT_HEAD + 1], *interpreter, *argument;
    size_t size = 0;

    memset(target, 0, sizeof *target);
    target->fd = -1;
    char *name = script_name(file);
    snprintf(target->exec_name, sizeof target->exec_name, "%s", name ? name : file->path);
    free(name);

    for (unsigned depth = 0; depth <= SCRIPT_DEPTH_MAX; depth++) {
        snprintf(target->path, sizeof target->path, "%s", next.path[0] ? next.path : target->exec_name);
        if (target->fd >= 0)
            close(target->fd);
        target->fd = open_file(target, process, &next, error);
        if (target->fd == -EACCES && linux_plain_syscall(SYS_faccessat2, (uint64_t)next.directory,
                                                         (uintptr_t)next.path, X_OK, AT_EACCESS, 0, 0) == 0) {
            target->native = true; /* not readable, but the kernel may still run it */
            return 0;
        }
        if (target->fd < 0)
            return target->fd;
        int code = check_permission(target->fd, target->path, error);
        if (code == 0)
            code = judge(target, translate_host, head, &size, error);
        if (code <= 0)
            return code;
        if (linux_script_parse(head, size, &interpreter, &argument) < 0)
            return error_set(error, -ENOEXEC, "cannot run %s: its first line names no interpreter",
                             target->path);
        code = add_prefix(target, interpreter, argument, script_name(&next));
        if (code < 0)
            return error_set(error, code, "cannot run %s: %s", target->path, strerror(-code));
        next = (struct linux_program_file){AT_FDCWD, target->prefix[0], 0};
    }
    return error_set(error, -ELOOP, "cannot run %s: too many scripts that run scripts", file->path);
}

void linux_target_release(struct linux_target *target)
{
    if (target->fd >= 0)
        close(target->fd);
    for (unsigned i = 0; i < target->prefix_count; i++)
        free(target->prefix[i]);
    target->fd = -1;
    target->prefix_count = 0;
}
