/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec: execve() of the guest.
 *
 * A guest program is started by a real execve() of visor's own binary with the guest's arguments and
 * environment, so that all that the kernel does at execve() happens: close-on-exec, death of the other
 * threads, the command line that ps shows. One variable in front of the environment carries the rest:
 *
 *     VISOR_INTERNAL=VISOR_FD PROGRAM_FD STORE_FD LAYOUT TRACE_FD TRACE INTERPRET TRANSLATE_HOST
 *                    BY_BINFMT DEBUGGER LENGTH_OF_EXEC_NAME EXEC_NAME PATH
 *
 * Programs for the host's CPU are executed as they are, unless they are to be translated, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/session.h"
#include "personality/linux/signal.h"
#include "personality/linux/start.h"
#include "personality/linux/syscalls.h"

#define ARGUMENTS_MAX (1u << 20)
#define EXTRA_FDS     64 /* more than looking for a program opens at once */

/* -- the guest's vectors --------------------------------------------------------------------------------- */

/* Number of pointers before the NULL at a guest address, or a negative errno. */
static int64_t count_pointers(const struct linux_process *process, uint64_t address)
{
    uint64_t pointer;
    for (unsigned n = 0; address && n < ARGUMENTS_MAX; n++) {
        if (linux_read_word(process, address + n * (uint64_t)process->arch->word_size, &pointer) < 0)
            return -EFAULT;
        if (!pointer)
            return n;
    }
    return address ? -E2BIG : 0;
}

/* A vector of `prefix_count` own strings, then the guest's from index `skip` on. NULL with *code set if it
 * cannot be made. The strings themselves stay where they are: the kernel reads them. */
static char **make_vector(const struct linux_process *process, char *const *prefix, unsigned prefix_count,
                          uint64_t address, unsigned skip, int64_t *code)
{
    const uint64_t word = process->arch->word_size;
    int64_t count = *code = count_pointers(process, address);
    if (count < 0)
        return NULL;
    skip = (unsigned)MIN((int64_t)skip, count);
    count -= skip;
    char **vector = malloc((prefix_count + (size_t)count + 1) * sizeof *vector);
    if (!vector) {
        *code = -ENOMEM;
        return NULL;
    }
    memcpy(vector, prefix, prefix_count * sizeof *vector);
    for (int64_t i = 0; i < count; i++) {
        uint64_t pointer;
        if (linux_read_word(process, address + (skip + (uint64_t)i) * word, &pointer) < 0) {
            free(vector);
            *code = -EFAULT;
            return NULL;
        }
        vector[prefix_count + (uint64_t)i] = (char *)pointer;
    }
    vector[prefix_count + (size_t)count] = NULL;
    return vector;
}

/* -- execve ---------------------------------------------------------------------------------------------- */

/* The host's call, with the signal state that the new program is to find. Returns only on failure. */
static int64_t host_exec(struct linux_thread *thread, int directory, const char *path, uint64_t arguments,
                         uint64_t environment, int flags)
{
    linux_signals_before_exec(thread);
    int64_t result = linux_host_syscall(thread, SYS_execveat, (uint64_t)directory, (uintptr_t)path, arguments,
                                        environment, (uint64_t)flags, 0);
    linux_signals_after_exec(thread);
    return result;
}

/* What an execve() uses; on the stack, which remains when the task that did it is gone. */
struct linux_exec {
    struct linux_target *target;
    char *variable;
    char **arguments, **environment;
};

static void set_close_on_exec(int fd, bool on)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

static void show_own_fds(struct linux_process *process, bool on)
{
    set_close_on_exec(process->own_fds[OWN_VISOR], !on);
    set_close_on_exec(process->own_fds[OWN_TRACE], !on);
    set_close_on_exec(process->own_fds[OWN_STORE], !on);
    linux_debug_inherit(process, on);
}

static void release_exec(struct linux_exec *exec)
{
    free(exec->environment);
    free(exec->arguments);
    free(exec->variable);
    linux_target_release(exec->target);
    free(exec->target);
}

void linux_exec_recover(struct linux_thread *thread)
{
    struct linux_exec *exec = thread->exec;
    if (!exec)
        return;
    if (thread->shares_files)
        show_own_fds(thread->process, false);
    else
        exec->target->fd = -1; /* that was the other's */
    release_exec(exec);
    thread->exec = NULL;
}

static int64_t exec_guest(struct linux_thread *thread, struct linux_exec *exec, const uint64_t vectors[2])
{
    struct linux_process *process = thread->process;
    struct linux_target *target = exec->target;
    int64_t result = -ENOMEM;
    char debugger[LINUX_DEBUG_TEXT];

    target->fd = linux_hide_fd(target->fd, false);
    linux_debug_print(process, debugger);
    linux_session_lock(process);
    const struct linux_start start = {
        .visor_fd = process->own_fds[OWN_VISOR],
        .program_fd = target->fd,
        .store_fd = process->own_fds[OWN_STORE],
        .layout = process->own_fds[OWN_STORE] >= 0 ? process->layout : 0,
        .trace_fd = process->own_fds[OWN_TRACE],
        .trace = process->trace,
        .interpret = process->interpret,
        .translate_host = process->translate_host,
        .by_binfmt = process->by_binfmt,
        .exec_name = target->exec_name,
        .path = target->path,
    };
    exec->variable = linux_exec_print(&start, debugger);
    if (exec->variable)
        exec->arguments = make_vector(process, target->prefix, target->prefix_count, vectors[0],
                                      target->prefix_count ? 1 : 0, &result);
    if (exec->arguments)
        exec->environment = make_vector(process, &exec->variable, 1, vectors[1], 0, &result);
    if (exec->environment) {
        show_own_fds(process, true);
        translator_share(process->translator);
        set_close_on_exec(target->fd, false);
        result = host_exec(thread, process->own_fds[OWN_VISOR], "", (uintptr_t)exec->arguments,
                           (uintptr_t)exec->environment, AT_EMPTY_PATH);
        show_own_fds(process, false);
    }
    linux_session_unlock(process);
    return result;
}

/* Would the kernel give the program other rights than the process has? */
static bool changes_rights(int fd)
{
    struct stat status;
    uint8_t capabilities[64];
    if (fstat(fd, &status) < 0)
        return false;
    if ((status.st_mode & S_ISUID && status.st_uid != geteuid()) ||
        ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status.st_gid != getegid()))
        return true;
    return (geteuid() || getuid()) &&
           fgetxattr(fd, "security.capability", capabilities, sizeof capabilities) > 0;
}

/* Where the kernel knows visor by binfmt_misc, it starts what only it can: a program with other rights, or
 * any in a root without /proc. (/proc/self/exe would be visor to it.) */
static bool needs_binfmt(const struct linux_process *process, const struct linux_target *target)
{
    return process->by_binfmt && !target->own_exe &&
           (process->own_fds[OWN_VISOR] < 0 || changes_rights(target->fd));
}

/* The kernel looks at the guest's vectors itself, unless their pointers are too small for this process. */
static int64_t exec_by_host(struct linux_thread *thread, struct linux_exec *exec,
                            const struct linux_program_file *file, const uint64_t vectors[2])
{
    struct linux_process *process = thread->process;
    int64_t result = -ENOMEM;
    if (!linux_is_32bit(process))
        return host_exec(thread, file->directory, file->path, vectors[0], vectors[1], file->flags);
    exec->arguments = make_vector(process, NULL, 0, vectors[0], 0, &result);
    if (exec->arguments)
        exec->environment = make_vector(process, NULL, 0, vectors[1], 0, &result);
    if (exec->environment)
        result = host_exec(thread, file->directory, file->path, (uintptr_t)exec->arguments,
                           (uintptr_t)exec->environment, file->flags);
    return result;
}

static int64_t exec_target(struct linux_thread *thread, struct linux_exec *exec,
                           const struct linux_program_file *file, const uint64_t vectors[2])
{
    struct linux_process *process = thread->process;
    const struct linux_target *target = exec->target;
    if (target->native || needs_binfmt(process, target)) {
        int64_t result = exec_by_host(thread, exec, file, vectors);
        if (result != -ENOEXEC || target->native || process->own_fds[OWN_VISOR] < 0)
            return result;
        free(exec->arguments);
        free(exec->environment);
        exec->arguments = exec->environment = NULL;
    }
    return exec_guest(thread, exec, vectors);
}

/*
 * The kernel executes a program without a descriptor, for which the guest may have left no number. Then there
 * are more for a moment, as far as the process has the right to that; what is open stays open.
 */
static int find_beyond_limit(struct linux_target *target, const struct linux_process *process,
                             const struct linux_program_file *file, struct error *error)
{
    struct rlimit limit;
    struct linux_fd_limit raise;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -EMFILE;
    const rlim_t more = limit.rlim_cur + EXTRA_FDS;
    if (!linux_raise_fd_limit(&raise, more, MAX(more, limit.rlim_max)))
        return -EMFILE;
    int code = linux_target_find(target, process, file, process->translate_host, error);
    linux_restore_fd_limit(&raise);
    return code;
}

static int64_t exec(struct linux_thread *thread, const struct linux_program_file *file,
                    const uint64_t vectors[2])
{
    struct linux_process *process = thread->process;
    struct linux_exec exec = {.target = malloc(sizeof *exec.target)};
    struct error error = ERROR_INIT;
    int64_t result = exec.target ? 0 : -ENOMEM;

    if (!result && !linux_signals_block(thread)) {
        free(exec.target);
        return LINUX_RESTART;
    }
    if (!result) {
        linux_session_lock(process);
        linux_find_own_file(process);
        linux_session_unlock(process);
        result = linux_target_find(exec.target, process, file, process->translate_host, &error);
        if (result == -EMFILE) {
            linux_target_release(exec.target);
            result = find_beyond_limit(exec.target, process, file, &error);
        }
        thread->exec = &exec;
        if (!result)
            result = exec_target(thread, &exec, file, vectors);
        thread->exec = NULL;
        release_exec(&exec);
    }
    if (!thread->signal_pending)
        linux_signals_unblock(thread);
    return result;
}

int64_t linux_sys_execve(struct linux_thread *thread, const uint64_t a[6])
{
    char path[PATH_MAX];
    ssize_t length = guest_read_string(path, sizeof path, a[0]);
    if (length < 0)
        return length;
    if (!length)
        return -ENOENT;
    const struct linux_program_file file = {AT_FDCWD, path, 0};
    return exec(thread, &file, a + 1);
}

int64_t linux_sys_execveat(struct linux_thread *thread, const uint64_t a[6])
{
    char path[PATH_MAX];
    ssize_t length = guest_read_string(path, sizeof path, a[1]);
    if (length < 0)
        return length;
    if (a[4] & ~(uint64_t)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    if (!length && !(a[4] & AT_EMPTY_PATH))
        return -ENOENT;
    if (linux_is_own_fd(thread->process, (int)a[0]))
        return -EBADF;
    const struct linux_program_file file = {(int)a[0], path, (int)a[4]};
    return exec(thread, &file, a + 2);
}

/* -- the other side -------------------------------------------------------------------------------------- */

/* A program that executes visor by its path can set the variable, too, perhaps without knowing; only visor
 * executes it by that descriptor. */
static bool is_executed_by(int visor_fd)
{
    char expected[32];
    const char *name = (const char *)getauxval(AT_EXECFN);
    snprintf(expected, sizeof expected, "/dev/fd/%d", visor_fd);
    return name && strcmp(name, expected) == 0;
}

void linux_continue_exec(char **arguments, char **environment)
{
    static char exec_name[PATH_MAX];
    struct linux_start start;
    struct error error = ERROR_INIT;

    if (!environment[0] || !linux_exec_parse(environment[0], &start, exec_name) ||
        !is_executed_by(start.visor_fd))
        return; /* somebody else's variable */

    start.arguments = arguments;
    start.environment = environment + 1;
    set_close_on_exec(start.visor_fd, true);
    set_close_on_exec(start.trace_fd, true);
    start.program_fd = linux_hide_fd(start.program_fd, true);
    start.store_fd = linux_hide_fd(start.store_fd, true);
    set_close_on_exec(start.debug.listen_fd, true);
    set_close_on_exec(start.debug.fd, true);
    linux_start(&start, &error);
    error_report(&error);
    _exit(EXIT_NOT_RUNNABLE);
}

static int open_visor(const struct linux_program *program, struct error *error)
{
    int fd = program->visor_fd > 0 ? program->visor_fd : open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, -errno, "cannot open visor's own program file /proc/self/exe: %s",
                         strerror(errno));
    return linux_hide_fd(fd, true);
}

/* The argument list as a script's interpreter gets it. NULL: out of memory. */
static char **script_arguments(const struct linux_target *target, char **arguments)
{
    size_t count = 0;
    while (arguments[count])
        count++;
    size_t rest = count ? count - 1 : 0;
    char **all = calloc(target->prefix_count + rest + 1, sizeof *all);
    if (!all)
        return NULL;
    memcpy(all, target->prefix, target->prefix_count * sizeof *all);
    if (rest)
        memcpy(all + target->prefix_count, arguments + 1, rest * sizeof *all);
    return all;
}

/* The host's kernel runs it, or knows why not. */
static int run_native(const struct linux_target *target, const struct linux_program *program,
                      struct error *error)
{
    uint8_t head[64];

    execve(program->path, program->arguments, program->environment);
    int code = -errno;
    if (code != -ENOEXEC)
        return error_set(error, code, "cannot run %s: %s", program->path, strerror(-code));
    ssize_t size = target->fd >= 0 ? pread(target->fd, head, sizeof head, 0) : 0;
    int machine = elf_machine_of(head, size > 0 ? (size_t)size : 0);
    if (machine < 0)
        return error_set(error, code, "cannot run %s: not a program", program->path);
    return error_set(error, code, "cannot run %s: it is %s, for which there is no translator", program->path,
                     elf_machine_name(machine));
}

int linux_run(const struct linux_program *program, struct error *error)
{
    struct linux_start start = {
        .environment = program->environment,
        .arguments = program->arguments,
        .trace = program->trace,
        .trace_fd = -1,
        .store_fd = -1,
        .debug = {.listen_fd = program->debug_fd > 0 ? program->debug_fd : -1, .fd = -1},
        .interpret = program->interpret,
        .translate_host = program->translate_host};
    const struct linux_program_file file = {AT_FDCWD, program->path, 0};
    struct linux_target *target = calloc(1, sizeof *target);
    if (!target)
        return error_set(error, -ENOMEM, "out of memory");

    int code = linux_target_find(target, NULL, &file, program->translate_host, error);
    if (code < 0)
        return code;
    if (program->machine && target->machine != program->machine)
        return error_set(error, -ENOEXEC, "cannot run %s: it is not a program for the CPU asked for",
                         program->path);
    if (target->native)
        return run_native(target, program, error);
    start.visor_fd = open_visor(program, error);
    if (start.visor_fd < 0)
        return start.visor_fd;
    if (target->prefix_count)
        start.arguments = script_arguments(target, program->arguments);
    if (!start.arguments)
        return error_set(error, -ENOMEM, "out of memory");
    start.program_fd = linux_hide_fd(target->fd, true);
    start.started_fd = program->started_fd;
    if (program->trace)
        start.trace_fd = linux_hide_fd(dup(STDERR_FILENO), true);
    start.path = target->path;
    start.exec_name = target->exec_name;
    return linux_start(&start, error);
}
