/* SPDX-License-Identifier: GPL-2.0-or-later */
/* proc: files of /proc that are the guest's own truth. See proc.h. */
#include "personality/linux/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arm64/features.h"
#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/other.h"

/* -- which file a path names ------------------------------------------------------------ */

/* Reads a link: 0 or a negative errno. */
static int read_link(char *to, size_t size, const char *link)
{
    int64_t length =
        linux_plain_syscall(SYS_readlinkat, (uint64_t)AT_FDCWD, (uint64_t)link, (uint64_t)to, size - 1, 0, 0);
    if (length < 0)
        return (int)length;
    to[length] = '\0';
    return 0;
}

/* Is `id` this process or one of its threads? /proc shows directories for both, by the numbers of the
 * namespace that it was mounted in. */
static bool is_own_task(long id)
{
    char self[32];
    long pid = linux_plain_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
    return id == pid || (read_link(self, sizeof self, "/proc/self") == 0 && id == strtol(self, NULL, 10)) ||
           (id > 0 && !linux_plain_syscall(SYS_tgkill, (uint64_t)pid, (uint64_t)id, 0, 0, 0, 0));
}

/* The number of a task as directories of /proc are named, and what follows it in the path; 0 if it is none.
 */
static long parse_task(const char *name, const char **end)
{
    char *rest;
    if (*name < '1' || *name > '9')
        return 0;
    errno = 0;
    long id = strtol(name, &rest, 10);
    *end = rest;
    return (*rest && *rest != '/') || errno || id > INT_MAX ? 0 : id;
}

/* If the path begins with /proc/self or another name of that directory: what follows it. NULL if not. */
static const char *skip_own_directory(const char *path)
{
    const char *end;
    if (strncmp(path, "/proc/", 6) != 0)
        return NULL;
    path += 6;
    if (strncmp(path, "self", 4) == 0 && (path[4] == '/' || !path[4])) {
        path += 4;
    } else if (strncmp(path, "thread-self", 11) == 0 && (path[11] == '/' || !path[11])) {
        path += 11;
    } else {
        long id = parse_task(path, &end);
        if (!id || !is_own_task(id))
            return NULL;
        path = end;
    }
    if (strncmp(path, "/task/", 6) == 0) {
        long id = parse_task(path + 6, &end);
        if (id && is_own_task(id))
            path = end;
    }
    return path;
}

/* The same for the directory of any process or of one of its threads. */
static const char *skip_other_directory(const char *path)
{
    const char *end;
    if (strncmp(path, "/proc/", 6) != 0 || !parse_task(path + 6, &end))
        return NULL;
    path = end;
    if (strncmp(path, "/task/", 6) == 0 && parse_task(path + 6, &end))
        path = end;
    return path;
}

/* Is it where arm64 shows identification registers of a CPU that there is? */
static bool is_cpu_directory(const char *directory)
{
    unsigned cpu;
    int end = 0;
    return sscanf(directory, "/sys/devices/system/cpu/cpu%u/regs/identification%n", &cpu, &end) == 1 && end &&
           !directory[end] && cpu < (unsigned)MAX(sysconf(_SC_NPROCESSORS_CONF), 1);
}

/* What `name` in the directory with this canonical path is; `own` is its meaning in /proc/self. */
static enum linux_proc_file judge(const char *directory, enum linux_proc_file file)
{
    if (file == LINUX_PROC_CPUINFO)
        return strcmp(directory, "/proc") == 0 ? file : LINUX_PROC_NONE;
    if (file == LINUX_PROC_ARCH)
        return strcmp(directory, "/proc/sys/kernel") == 0 ? file : LINUX_PROC_NONE;

    if (file == LINUX_PROC_MIDR)
        return is_cpu_directory(directory) ? file : LINUX_PROC_NONE;

    const char *rest = skip_own_directory(directory);
    if (file == LINUX_PROC_FDINFO) {
        rest = rest ? rest : skip_other_directory(directory);
        return rest && strcmp(rest, "/fdinfo") == 0 ? file : LINUX_PROC_NONE;
    }
    if (!rest)
        return LINUX_PROC_NONE;
    if (file == LINUX_PROC_OWN_FD)
        return strcmp(rest, "/fd") == 0 || strcmp(rest, "/fdinfo") == 0 ? file : LINUX_PROC_NONE;
    return *rest ? LINUX_PROC_NONE : file;
}

/* What a file of this name might be. */
static enum linux_proc_file judge_name(const struct linux_process *process, const char *name)
{
    static const struct {
        const char *name;
        enum linux_proc_file file;
    } names[] = {
        {"exe", LINUX_PROC_EXE},
        {"cpuinfo", LINUX_PROC_CPUINFO},
        {"maps", LINUX_PROC_MAPS},
        {"auxv", LINUX_PROC_AUXV},
        {"arch", LINUX_PROC_ARCH},
        {"cmdline", LINUX_PROC_CMDLINE},
        {"environ", LINUX_PROC_ENVIRON},
        {"smaps", LINUX_PROC_SMAPS},
        {"smaps_rollup", LINUX_PROC_SMAPS_ROLLUP},
        {"numa_maps", LINUX_PROC_NUMA_MAPS},
        {"status", LINUX_PROC_STATUS},
        {"statm", LINUX_PROC_STATM},
        {"stat", LINUX_PROC_STAT},
        {"midr_el1", LINUX_PROC_MIDR},
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i].name) == 0)
            return names[i].file;
    }
    if (*name >= '0' && *name <= '9') {
        char *end;
        unsigned long fd = strtoul(name, &end, 10);
        if (!*end && fd <= INT_MAX)
            return linux_is_own_fd(process, (int)fd) ? LINUX_PROC_OWN_FD : LINUX_PROC_FDINFO;
    }
    return LINUX_PROC_NONE;
}

/* Files that the host has right if it could be told. */
static bool is_published(enum linux_proc_file file)
{
    return file == LINUX_PROC_AUXV || file == LINUX_PROC_CMDLINE || file == LINUX_PROC_ENVIRON;
}

/* Files that are made of the host's. */
static bool has_host_path(enum linux_proc_file file)
{
    return file >= LINUX_PROC_MAPS && file <= LINUX_PROC_FDINFO;
}

static int descriptor_path(char *to, size_t size, int fd)
{
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return read_link(to, size, link);
}

/*
 * If the path leads into a /proc that is mounted elsewhere, makes it one in /proc; what it then says of this
 * process must be right there, too.
 */
static void use_own_proc(char *path, size_t size)
{
    enum { ROOT_INODE = 1 };
    char root[PATH_MAX], link[PATH_MAX], self[32], rest[PATH_MAX];
    struct statfs fs;
    struct stat own, other;

    if (strncmp(path, "/proc/", 6) == 0 ||
        linux_plain_syscall(SYS_statfs, (uint64_t)path, (uint64_t)&fs, 0, 0, 0, 0) < 0 ||
        fs.f_type != PROC_SUPER_MAGIC)
        return;
    snprintf(root, sizeof root, "%s", path);
    while (linux_plain_syscall(SYS_newfstatat, (uint64_t)AT_FDCWD, (uint64_t)root, (uint64_t)&other, 0, 0,
                               0) == 0 &&
           other.st_ino != ROOT_INODE) {
        char *slash = strrchr(root, '/');
        if (!slash || slash == root)
            return;
        *slash = '\0';
    }
    if (linux_plain_syscall(SYS_newfstatat, (uint64_t)AT_FDCWD, (uint64_t) "/proc", (uint64_t)&own, 0, 0, 0) <
        0)
        return;
    const char *name = path + strlen(root);
    if (snprintf(link, sizeof link, "%s/self", root) >= (int)sizeof link ||
        read_link(self, sizeof self, link) < 0)
        return;
    size_t length = strlen(self);
    bool ours = *name == '/' && strncmp(name + 1, self, length) == 0 &&
                (!name[length + 1] || name[length + 1] == '/');
    if (*name && !ours && own.st_dev != other.st_dev && name[1] >= '0' && name[1] <= '9')
        return; /* another process, by a number that means nothing here */
    snprintf(rest, sizeof rest, "%s", ours ? name + 1 + length : name);
    snprintf(path, size, "/proc%s%.4000s", ours ? "/self" : "", rest);
}

/* The canonical path of a directory, in /proc if it is of that file system: 0 or a negative errno.
 * `directory` "": dirfd itself. */
static int resolve_directory(char *to, size_t size, int dirfd, const char *directory)
{
    int result;
    if (!*directory) {
        result = dirfd == AT_FDCWD ? read_link(to, size, "/proc/self/cwd") : descriptor_path(to, size, dirfd);
    } else {
        int64_t fd = linux_plain_syscall(SYS_openat, (uint64_t)dirfd, (uint64_t)directory,
                                         O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
        if (fd < 0)
            return (int)fd;
        result = descriptor_path(to, size, (int)fd);
        linux_plain_syscall(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
    }
    if (result == 0)
        use_own_proc(to, size);
    return result;
}

/* A file in the directory of another process that runs a guest, perhaps. */
static enum linux_proc_file judge_other(const struct linux_process *process, const char *directory,
                                        enum linux_proc_file file, char *target)
{
    const char *rest = skip_other_directory(directory);
    if (!rest || *rest || (file != LINUX_PROC_EXE && !has_host_path(file)))
        return LINUX_PROC_NONE;
    if (file == LINUX_PROC_EXE)
        return linux_proc_other_exe(process, directory, target) ? LINUX_PROC_OTHER_EXE : LINUX_PROC_NONE;
    return linux_proc_is_visor(process, directory) ? file : LINUX_PROC_NONE;
}

static bool join(char to[PATH_MAX], const char *directory, const char *name)
{
    return snprintf(to, PATH_MAX, "%s/%s", directory, name) < PATH_MAX;
}

/* As linux_proc_find(), for a path that may be changed. */
static enum linux_proc_file find_file(const struct linux_process *process, int dirfd, char *path,
                                      char target[PATH_MAX])
{
    char resolved[PATH_MAX];

    char *slash = strrchr(path, '/');
    enum linux_proc_file file = judge_name(process, slash ? slash + 1 : path);
    if (LIKELY(file == LINUX_PROC_NONE) || (is_published(file) && process->published))
        return LINUX_PROC_NONE;

    /* The directory, first by its text, then, as there are links and relative paths, by what it is. */
    if (slash == path)
        return LINUX_PROC_NONE;
    if (slash)
        *slash = '\0';
    const char *directory = slash ? path : "", *name = slash ? slash + 1 : path;
    if (file == LINUX_PROC_FDINFO && slash && !strstr(directory, "fdinfo"))
        return LINUX_PROC_NONE; /* numbers are frequent names */
    enum linux_proc_file found = judge(directory, file);
    if (has_host_path(found) && !join(target, directory, name))
        return LINUX_PROC_NONE;
    if (found != LINUX_PROC_NONE || file == LINUX_PROC_ARCH || file == LINUX_PROC_MIDR)
        return found;
    if (resolve_directory(resolved, sizeof resolved, dirfd, directory) < 0)
        return LINUX_PROC_NONE;
    found = judge(resolved, file);
    if (found == LINUX_PROC_NONE)
        found = judge_other(process, resolved, file, target);
    return has_host_path(found) && !join(target, resolved, name) ? LINUX_PROC_NONE : found;
}

enum linux_proc_file linux_proc_find(struct linux_thread *thread, int dirfd, uint64_t address,
                                     char target[PATH_MAX])
{
    char path[PATH_MAX];
    if (guest_read_string(path, sizeof path, address) <= 0)
        return LINUX_PROC_NONE;
    return find_file(thread->process, dirfd, path, target);
}

/* Replaces a path by where the symbolic link of that name leads: false if it is none. */
static bool follow_link(char path[PATH_MAX], int *dirfd)
{
    char link[PATH_MAX], directory[PATH_MAX];
    int64_t length = linux_plain_syscall(SYS_readlinkat, (uint64_t)*dirfd, (uint64_t)path, (uint64_t)link,
                                         sizeof link - 1, 0, 0);
    if (length <= 0)
        return false;
    link[length] = '\0';
    const char *slash = strrchr(path, '/');
    if (*link == '/')
        *dirfd = AT_FDCWD;
    bool relative = *link != '/' && slash;
    snprintf(directory, sizeof directory, "%.*s", relative ? (int)(slash + 1 - path) : 0, path);
    return snprintf(path, PATH_MAX, "%s%s", directory, link) < PATH_MAX;
}

enum linux_proc_file linux_proc_follow(const struct linux_process *process, int dirfd, const char *path,
                                       char target[PATH_MAX])
{
    enum { LINKS_MAX = 40 };
    char at[PATH_MAX], tried[PATH_MAX];
    if (snprintf(at, sizeof at, "%s", path) >= PATH_MAX)
        return LINUX_PROC_NONE;
    for (unsigned i = 0; i <= LINKS_MAX; i++) {
        memcpy(tried, at, sizeof tried);
        enum linux_proc_file file = find_file(process, dirfd, tried, target);
        if (file == LINUX_PROC_EXE || file == LINUX_PROC_OTHER_EXE)
            return file;
        if (!follow_link(at, &dirfd))
            break;
    }
    return LINUX_PROC_NONE;
}

bool linux_proc_is_fd_directory(struct linux_thread *thread, int dirfd, int own_fds[OWN_FD_COUNT])
{
    const size_t size = OWN_FD_COUNT * sizeof *own_fds;
    char path[PATH_MAX];
    if (resolve_directory(path, sizeof path, dirfd, "") < 0)
        return false;
    if (judge(path, LINUX_PROC_OWN_FD) != LINUX_PROC_NONE) {
        memcpy(own_fds, thread->process->own_fds, size);
        return true;
    }
    char *rest = (char *)skip_other_directory(path);
    if (!rest || (strcmp(rest, "/fd") != 0 && strcmp(rest, "/fdinfo") != 0))
        return false;
    *rest = '\0';
    struct linux_process *other = linux_other_copy(thread->process, path);
    if (other)
        memcpy(own_fds, other->own_fds, size);
    linux_other_free(other);
    return other;
}

/* -- contents --------------------------------------------------------------------------- */

static int write_memory(FILE *stream, uint64_t start, uint64_t end)
{
    uint8_t buffer[1024];
    for (uint64_t at = start; at < end; at += sizeof buffer) {
        size_t size = MIN(sizeof buffer, (size_t)(end - at));
        if (guest_read(buffer, at, size) < 0)
            return -EFAULT;
        fwrite(buffer, 1, size, stream);
    }
    return 0;
}

static int write_own(FILE *stream, const struct linux_process *process, enum linux_proc_file file)
{
    switch (file) {
    case LINUX_PROC_CPUINFO: process->arch->write_cpuinfo(stream); return 0;
    case LINUX_PROC_AUXV:
        return write_memory(stream, process->auxv_address, process->auxv_address + process->auxv_size);
    case LINUX_PROC_CMDLINE: return write_memory(stream, process->arguments_start, process->arguments_end);
    case LINUX_PROC_ENVIRON:
        return write_memory(stream, process->environment_start, process->environment_end);
    case LINUX_PROC_MIDR: fprintf(stream, "0x%016x\n", ARM64_MIDR); return 0;
    case LINUX_PROC_ARCH: fprintf(stream, "%s\n", process->arch->machine); return 0;
    default: return -ENOENT; /* the others are not files with contents */
    }
}

/* The file `name` in the directory of another. */
static FILE *open_beside(const char *path, const char *name)
{
    char beside[PATH_MAX + 16];
    snprintf(beside, sizeof beside, "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path, name);
    return fopen(beside, "re");
}

/* What is made of the host's file, for the process that this is about. */
static int convert(FILE *stream, struct linux_process *process, enum linux_proc_file file, FILE *host,
                   const char *path)
{
    switch (file) {
    case LINUX_PROC_MAPS: return linux_proc_convert_maps(stream, process, host);
    case LINUX_PROC_SMAPS: return linux_proc_convert_smaps(stream, process, host);
    case LINUX_PROC_SMAPS_ROLLUP: return linux_proc_convert_smaps_rollup(stream, process, host);
    case LINUX_PROC_NUMA_MAPS: return linux_proc_convert_numa_maps(stream, process, host);
    case LINUX_PROC_FDINFO: return linux_proc_convert_status(stream, process, file, host, NULL);
    default: break;
    }
    FILE *maps = open_beside(path, "maps");
    if (!maps)
        return -errno;
    int code = linux_proc_convert_status(stream, process, file, host, maps);
    fclose(maps);
    return code;
}

static int write_from_host(FILE *stream, struct linux_process *process, enum linux_proc_file file,
                           const char *path)
{
    FILE *host = file == LINUX_PROC_SMAPS_ROLLUP ? open_beside(path, "smaps") : fopen(path, "re");
    if (!host)
        return -errno;
    int code = convert(stream, process, file, host, path);
    fclose(host);
    return code;
}

/* The same file, open for reading only, as far as /proc is there to open it by; `fd` is closed then. */
static int64_t make_read_only(int64_t fd, uint64_t flags)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", (int)fd);
    int64_t reader = linux_plain_syscall(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)path,
                                         O_RDONLY | (flags & (O_CLOEXEC | O_NONBLOCK)), 0, 0, 0);
    if (reader < 0)
        return fd;
    linux_plain_syscall(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
    return reader;
}

/* A file in memory that cannot be changed any more: its descriptor or a negative errno. */
static int64_t make_file(const char *name, const char *contents, size_t size, uint64_t flags)
{
    int64_t fd = linux_plain_syscall(SYS_memfd_create, (uint64_t)name,
                                     MFD_ALLOW_SEALING | (flags & O_CLOEXEC ? MFD_CLOEXEC : 0), 0, 0, 0, 0);
    if (fd < 0)
        return fd;
    int64_t result =
        size ? linux_plain_syscall(SYS_pwrite64, (uint64_t)fd, (uint64_t)contents, size, 0, 0, 0) : 0;
    if (result == (int64_t)size)
        result = linux_plain_syscall(SYS_fchmod, (uint64_t)fd, 0444, 0, 0, 0, 0);
    if (result == 0)
        result = linux_plain_syscall(SYS_fcntl, (uint64_t)fd, F_ADD_SEALS,
                                     F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL, 0, 0, 0);
    if (result == 0)
        return make_read_only(fd, flags);
    linux_plain_syscall(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
    return result < 0 ? result : -EIO;
}

/* If the file `path` is another process's: what is known of that, in `other`. False: nothing is. */
static bool find_process(struct linux_process *process, enum linux_proc_file file, const char *path,
                         struct linux_process **other)
{
    char directory[PATH_MAX];
    *other = NULL;
    if (file == LINUX_PROC_FDINFO || !has_host_path(file))
        return true;
    snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (skip_own_directory(directory))
        return true;
    *other = linux_other_copy(process, directory);
    return *other;
}

int64_t linux_proc_open(struct linux_thread *thread, enum linux_proc_file file, const char *path,
                        uint64_t flags)
{
    struct linux_process *process = thread->process->space, *other;
    char *contents = NULL;
    size_t size = 0;
    if (flags & O_DIRECTORY)
        return -ENOTDIR;
    if ((flags & O_ACCMODE) != O_RDONLY)
        return -EACCES;
    if (!find_process(thread->process, file, path, &other))
        return linux_plain_syscall(SYS_openat, (uint64_t)AT_FDCWD, (uintptr_t)path, flags, 0, 0, 0);

    FILE *stream = open_memstream(&contents, &size);
    int64_t result = -ENOMEM;
    if (stream) {
        result = has_host_path(file) ? write_from_host(stream, other ? other : process, file, path)
                                     : write_own(stream, thread->process, file);
        if (fclose(stream) != 0 && result == 0)
            result = -ENOMEM;
    }
    if (result == 0)
        result = make_file("proc", contents, size, flags);
    free(contents);
    linux_other_free(other);
    return result;
}
