/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file: system calls on paths and descriptors that need more than passing them on: flags with other values,
 * struct stat, files of /proc that are the guest's own, and descriptors that are visor's.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/macros.h"
#include "personality/linux/arch.h"
#include "personality/linux/convert.h"
#include "personality/linux/file.h"
#include "personality/linux/proc.h"
#include "personality/linux/syscalls.h"

/* Of the host's calls for 32-bit programs, and their O_LARGEFILE, which is the kernel's on x86. */
enum { COMPAT_OPENAT = 295, COMPAT_GETDENTS64 = 220, COMPAT_O_LARGEFILE = 0100000 };

static bool is_own(struct linux_thread *thread, uint64_t fd)
{
    return linux_is_own_fd(thread->process, (int)fd);
}

/* -- open ------------------------------------------------------------------------------- */

/* Opens a file that linux_proc_find() found, with `target`; `flags` are the host's. */
static int64_t open_proc(struct linux_thread *thread, enum linux_proc_file file, const char *target,
                         uint64_t flags)
{
    if (file == LINUX_PROC_OWN_FD)
        return -ENOENT;
    if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
        return -EEXIST;
    if (file != LINUX_PROC_EXE && file != LINUX_PROC_OTHER_EXE)
        return linux_proc_open(thread, file, target, flags);

    /* The file behind the link: a running program cannot be written. */
    if ((flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
        return -ETXTBSY;
    const char *path = file == LINUX_PROC_EXE ? thread->process->exe_path : target;
    return linux_host_syscall(thread, SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)path, flags, 0, 0, 0);
}

/* After a file has been opened: if that is visor, by a symbolic link to /proc/self/exe or the like, opens the
 * guest's program instead. */
static int64_t leave_visor(struct linux_thread *thread, int64_t fd, uint64_t dirfd, uint64_t path,
                           uint64_t flags)
{
    char name[PATH_MAX], target[PATH_MAX];
    struct stat status;
    if (fd < 0 || linux_plain_syscall(SYS_fstat, (uint64_t)fd, (uint64_t)&status, 0, 0, 0, 0) < 0 ||
        !linux_is_own_file(thread->process, status.st_dev, status.st_ino) ||
        guest_read_string(name, sizeof name, path) < 0)
        return fd;
    enum linux_proc_file file = linux_proc_follow(thread->process, (int)dirfd, name, target);
    if (file == LINUX_PROC_NONE)
        return fd;
    linux_plain_syscall(SYS_close, (uint64_t)fd, 0, 0, 0, 0, 0);
    const char *program = file == LINUX_PROC_EXE ? thread->process->exe_path : target;
    return linux_plain_syscall(SYS_openat, (uint64_t)AT_FDCWD, (uint64_t)program, flags, 0, 0, 0);
}

/* Without O_LARGEFILE a 32-bit program cannot open files whose size it could not tell: only its own call has
 * it otherwise than with that flag. */
static bool opens_small_only(const struct linux_thread *thread, uint64_t flags)
{
    return linux_is_32bit(thread->process) && !(flags & COMPAT_O_LARGEFILE);
}

static int64_t host_openat(struct linux_thread *thread, uint64_t dirfd, uint64_t path, uint64_t flags,
                           uint64_t mode)
{
    if (opens_small_only(thread, flags))
        return linux_compat_syscall(thread, COMPAT_OPENAT, (const uint64_t[6]){dirfd, path, flags, mode});
    return linux_host_syscall(thread, SYS_openat, dirfd, path, flags, mode, 0, 0);
}

/*
 * Opens a file that may be reached by a symbolic link to /proc/self/exe. Which file it is need not be looked
 * at where the kernel says that no such link is on the way. For writing it refuses visor, as it should the
 * guest's program.
 */
static int64_t open_host(struct linux_thread *thread, uint64_t dirfd, uint64_t path, uint64_t flags,
                         uint64_t mode)
{
    /* What openat() ignores, openat2() refuses. */
    const uint64_t known = O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC |
                           O_DIRECT | O_LARGEFILE | O_NOATIME | O_CLOEXEC;
    const struct open_how how = {.flags = flags & known, .resolve = RESOLVE_NO_MAGICLINKS};
    if ((flags & O_ACCMODE) != O_RDONLY || flags & (O_CREAT | O_DIRECTORY | O_NOFOLLOW))
        return host_openat(thread, dirfd, path, flags, mode);
    if (!(flags & O_PATH) && !opens_small_only(thread, flags)) {
        int64_t fd = linux_host_syscall(thread, SYS_openat2, dirfd, path, (uint64_t)&how, sizeof how, 0, 0);
        /* Old kernels do not have it, and a filter of system calls may not know it. */
        if (fd != -ELOOP && fd != -ENOSYS && fd != -EPERM)
            return fd;
    }
    int64_t fd = host_openat(thread, dirfd, path, flags, mode);
    return leave_visor(thread, fd, dirfd, path, flags);
}

/* O_NOFOLLOW on /proc/self/exe concerns the link itself, which is the host's as well as the guest's. */
static enum linux_proc_file find_proc_to_open(struct linux_thread *thread, int dirfd, uint64_t path,
                                              uint64_t flags, char target[PATH_MAX])
{
    enum linux_proc_file file = linux_proc_find(thread, dirfd, path, target);
    bool link = file == LINUX_PROC_EXE || file == LINUX_PROC_OTHER_EXE;
    return link && (flags & O_NOFOLLOW) ? LINUX_PROC_NONE : file;
}

int64_t linux_sys_openat(struct linux_thread *thread, const uint64_t a[6])
{
    char target[PATH_MAX];
    uint64_t flags = linux_guest_open_flags(thread->process, (uint32_t)a[2]);
    if (is_own(thread, a[0]))
        return -EBADF;
    enum linux_proc_file file = find_proc_to_open(thread, (int)a[0], a[1], flags, target);
    if (UNLIKELY(file != LINUX_PROC_NONE))
        return open_proc(thread, file, target, flags);
    return open_host(thread, a[0], a[1], flags, a[3]);
}

int64_t linux_sys_openat2(struct linux_thread *thread, const uint64_t a[6])
{
    /* The structure may be longer than visor knows: the kernel judges the rest. */
    union {
        struct open_how how;
        uint8_t bytes[GUEST_PAGE_SIZE];
    } buffer;
    char target[PATH_MAX];
    if (a[3] < sizeof buffer.how)
        return -EINVAL;
    if (a[3] > sizeof buffer)
        return -E2BIG;
    int result = guest_read(&buffer, a[2], a[3]);
    if (result < 0)
        return result;
    if (is_own(thread, a[0]))
        return -EBADF;

    buffer.how.flags = linux_guest_open_flags(thread->process, buffer.how.flags);
    enum linux_proc_file file = LINUX_PROC_NONE;
    if (!buffer.how.resolve)
        file = find_proc_to_open(thread, (int)a[0], a[1], buffer.how.flags, target);
    if (file != LINUX_PROC_NONE)
        return open_proc(thread, file, target, buffer.how.flags);
    int64_t fd = linux_host_syscall(thread, SYS_openat2, a[0], a[1], (uint64_t)&buffer, a[3], 0, 0);
    return buffer.how.resolve || buffer.how.flags & (O_DIRECTORY | O_NOFOLLOW)
               ? fd
               : leave_visor(thread, fd, a[0], a[1], buffer.how.flags);
}

int64_t linux_sys_open_by_handle_at(struct linux_thread *thread, const uint64_t a[6])
{
    if (is_own(thread, a[0]))
        return -EBADF;
    return linux_host_syscall(thread, SYS_open_by_handle_at, a[0], a[1],
                              linux_guest_open_flags(thread->process, (uint32_t)a[2]), 0, 0, 0);
}

int64_t linux_sys_fanotify_init(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_fanotify_init, a[0],
                              linux_guest_open_flags(thread->process, (uint32_t)a[1]), 0, 0, 0, 0);
}

int64_t linux_sys_pipe2(struct linux_thread *thread, const uint64_t a[6])
{
    return linux_host_syscall(thread, SYS_pipe2, a[0],
                              linux_guest_open_flags(thread->process, (uint32_t)a[1]), 0, 0, 0, 0);
}

/* -- descriptors ------------------------------------------------------------------------ */

int64_t linux_sys_close(struct linux_thread *thread, const uint64_t a[6])
{
    if (is_own(thread, a[0]))
        return -EBADF;
    return linux_host_syscall(thread, SYS_close, a[0], 0, 0, 0, 0, 0);
}

static int compare_fds(const void *left, const void *right)
{
    return *(const int *)left - *(const int *)right;
}

/* Works on the ranges before, between and after visor's own descriptors. */
int64_t linux_sys_close_range(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t first = (uint32_t)a[0], last = (uint32_t)a[1];
    int own[OWN_FD_COUNT];
    memcpy(own, thread->process->own_fds, sizeof own);
    qsort(own, OWN_FD_COUNT, sizeof own[0], compare_fds);
    if (first > last)
        return -EINVAL;

    int64_t result = 0;
    for (size_t i = 0; i < ARRAY_SIZE(own) && result >= 0; i++) {
        if (own[i] < (int64_t)first || own[i] > (int64_t)last)
            continue;
        if (own[i] > (int64_t)first)
            result = linux_plain_syscall(SYS_close_range, first, (uint64_t)own[i] - 1, a[2], 0, 0, 0);
        first = (uint64_t)own[i] + 1;
    }
    if (result >= 0 && first <= last)
        result = linux_plain_syscall(SYS_close_range, first, last, a[2], 0, 0, 0);
    return result;
}

int64_t linux_sys_dup3(struct linux_thread *thread, const uint64_t a[6])
{
    if (is_own(thread, a[0]))
        return -EBADF;
    if (is_own(thread, a[1])) {
        int result = linux_vacate_fd(thread->process, (int)a[1]);
        if (result < 0)
            return result;
    }
    return linux_host_syscall(thread, SYS_dup3, a[0], a[1],
                              linux_guest_open_flags(thread->process, (uint32_t)a[2]), 0, 0, 0);
}

int64_t linux_sys_fcntl(struct linux_thread *thread, const uint64_t a[6])
{
    uint64_t argument = a[2];
    if (is_own(thread, a[0]))
        return -EBADF;
    if ((uint32_t)a[1] == F_SETFL)
        argument = linux_guest_open_flags(thread->process, (uint32_t)argument);
    int64_t result = linux_host_syscall(thread, SYS_fcntl, a[0], a[1], argument, 0, 0, 0);
    if ((uint32_t)a[1] == F_GETFL && result >= 0)
        result = (int64_t)linux_shown_open_flags(thread->process, (uint64_t)result);
    return result;
}

/* -- stat and friends ------------------------------------------------------------------- */

/* The file that a call looks at without opening it. */
struct place {
    uint64_t dirfd;
    uint64_t path;
    uint64_t flags; /* the call's, or AT_EMPTY_PATH in addition */
    char target[PATH_MAX];
};

static void use_target(struct linux_thread *thread, enum linux_proc_file file, struct place *place)
{
    if (file == LINUX_PROC_EXE) {
        place->dirfd = (uint64_t)thread->process->own_fds[OWN_EXE];
        place->path = (uint64_t) "";
        place->flags |= AT_EMPTY_PATH;
    } else if (file == LINUX_PROC_OTHER_EXE) {
        place->dirfd = (uint64_t)AT_FDCWD;
        place->path = (uint64_t)place->target;
    }
}

/*
 * Finds the place for the arguments that the guest gave: the same, except for /proc/self/exe. A call that
 * does not follow links sees the host's link, which is right. 0 or a negative errno.
 */
static int find_place(struct linux_thread *thread, uint64_t dirfd, uint64_t path, uint64_t flags,
                      struct place *place)
{
    place->dirfd = dirfd;
    place->path = path;
    place->flags = flags;
    if (is_own(thread, dirfd))
        return -EBADF;
    enum linux_proc_file file = linux_proc_find(thread, (int)dirfd, path, place->target);
    if (file == LINUX_PROC_OWN_FD)
        return -ENOENT;
    if (!(flags & AT_SYMLINK_NOFOLLOW))
        use_target(thread, file, place);
    return 0;
}

/* If the file that was found there is visor, by a symbolic link to such a file: true, with the right place.
 */
static bool leave_place(struct linux_thread *thread, struct place *place, uint64_t device, uint64_t inode)
{
    char name[PATH_MAX];
    if (!linux_is_own_file(thread->process, device, inode) || place->flags & AT_SYMLINK_NOFOLLOW ||
        guest_read_string(name, sizeof name, place->path) <= 0)
        return false;
    enum linux_proc_file file = linux_proc_follow(thread->process, (int)place->dirfd, name, place->target);
    use_target(thread, file, place);
    return file != LINUX_PROC_NONE;
}

static int write_stat(struct linux_thread *thread, uint64_t address, const struct stat *host)
{
    struct arm64_stat guest;
    if (thread->process->arch->host_abi)
        return guest_write(address, host, sizeof *host);
    linux_stat_from_host(&guest, host);
    return guest_write(address, &guest, sizeof guest);
}

int64_t linux_stat_at(struct linux_thread *thread, uint64_t dirfd, uint64_t path, uint64_t flags,
                      struct stat *found)
{
    struct place place;
    int result = find_place(thread, dirfd, path, flags, &place);
    if (result < 0)
        return result;
    int64_t status = linux_host_syscall(thread, SYS_newfstatat, place.dirfd, place.path, (uint64_t)found,
                                        place.flags, 0, 0);
    if (status == 0 && leave_place(thread, &place, found->st_dev, found->st_ino))
        status =
            linux_plain_syscall(SYS_newfstatat, place.dirfd, place.path, (uint64_t)found, place.flags, 0, 0);
    return status;
}

int64_t linux_sys_newfstatat(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    int64_t status = linux_stat_at(thread, a[0], a[1], a[3], &host);
    return status < 0 ? status : write_stat(thread, a[2], &host);
}

int64_t linux_stat_fd(struct linux_thread *thread, uint64_t fd, struct stat *found)
{
    if (is_own(thread, fd))
        return -EBADF;
    return linux_host_syscall(thread, SYS_fstat, fd, (uint64_t)found, 0, 0, 0, 0);
}

int64_t linux_sys_fstat(struct linux_thread *thread, const uint64_t a[6])
{
    struct stat host;
    int64_t status = linux_stat_fd(thread, a[0], &host);
    return status < 0 ? status : write_stat(thread, a[1], &host);
}

int64_t linux_sys_statx(struct linux_thread *thread, const uint64_t a[6])
{
    struct place place;
    int result = find_place(thread, a[0], a[1], a[2], &place);
    if (result < 0)
        return result;
    int64_t status =
        linux_host_syscall(thread, SYS_statx, place.dirfd, place.path, place.flags, a[3], a[4], 0);
    struct statx found;
    if (status == 0 && guest_read(&found, a[4], sizeof found) == 0 &&
        leave_place(thread, &place, makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino))
        status = linux_plain_syscall(SYS_statx, place.dirfd, place.path, place.flags, a[3], a[4], 0);
    return status;
}

int64_t linux_sys_faccessat(struct linux_thread *thread, const uint64_t a[6])
{
    struct place place;
    int result = find_place(thread, a[0], a[1], 0, &place); /* this call has no flags */
    if (result < 0)
        return result;
    if (place.flags)
        return linux_host_syscall(thread, SYS_faccessat2, place.dirfd, place.path, a[2], place.flags, 0, 0);
    return linux_host_syscall(thread, SYS_faccessat, place.dirfd, place.path, a[2], 0, 0, 0);
}

int64_t linux_sys_faccessat2(struct linux_thread *thread, const uint64_t a[6])
{
    struct place place;
    int result = find_place(thread, a[0], a[1], a[3], &place);
    if (result < 0)
        return result;
    return linux_host_syscall(thread, SYS_faccessat2, place.dirfd, place.path, a[2], place.flags, 0, 0);
}

int64_t linux_sys_readlinkat(struct linux_thread *thread, const uint64_t a[6])
{
    char target[PATH_MAX];
    if (is_own(thread, a[0]))
        return -EBADF;
    enum linux_proc_file file = linux_proc_find(thread, (int)a[0], a[1], target);
    if (file == LINUX_PROC_OWN_FD)
        return -ENOENT;
    if (file != LINUX_PROC_EXE && file != LINUX_PROC_OTHER_EXE)
        return linux_host_syscall(thread, SYS_readlinkat, a[0], a[1], a[2], a[3], 0, 0);

    if ((int)a[3] <= 0)
        return -EINVAL;
    const char *path = file == LINUX_PROC_EXE ? thread->process->exe_path : target;
    size_t length = MIN(strlen(path), (size_t)(int)a[3]);
    int result = guest_write(a[2], path, length);
    return result < 0 ? result : (int64_t)length;
}

/* -- directories ------------------------------------------------------------------------ */

struct directory_entry { /* struct linux_dirent64, the same on both */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[13]; /* as much as a descriptor's number needs */
} __attribute__((packed));

#define ENTRY_NAME_OFFSET offsetof(struct directory_entry, name)

/* getdents() has the type behind the name. */
#define OLD_ENTRY_NAME_OFFSET offsetof(struct directory_entry, type)

/* True if the entry's name is one of visor's descriptors. */
static bool is_own_entry(const int own_fds[OWN_FD_COUNT], const struct directory_entry *entry,
                         size_t name_offset)
{
    char *end;
    char name[sizeof entry->name];
    memcpy(name, (const char *)entry + name_offset, sizeof name);
    name[sizeof name - 1] = '\0';
    if (name[0] < '0' || name[0] > '9')
        return false;
    unsigned long fd = strtoul(name, &end, 10);
    for (unsigned i = 0; *end == '\0' && i < OWN_FD_COUNT; i++) {
        if (own_fds[i] >= 0 && (unsigned long)own_fds[i] == fd)
            return true;
    }
    return false;
}

/* Takes visor's descriptors out of `length` bytes of entries in guest memory; returns the new length. */
static int64_t hide_own_entries(const int own_fds[OWN_FD_COUNT], uint64_t buffer, uint64_t length,
                                size_t name_offset)
{
    uint64_t position = 0;
    while (position + ENTRY_NAME_OFFSET < length) {
        struct directory_entry entry = {0};
        size_t head = MIN(sizeof entry, (size_t)(length - position));
        if (guest_read(&entry, buffer + position, head) < 0)
            return -EFAULT;
        uint64_t next = position + entry.length;
        if (entry.length < ENTRY_NAME_OFFSET || next > length)
            break; /* the guest is changing it under our hands */
        if (!is_own_entry(own_fds, &entry, name_offset)) {
            position = next;
            continue;
        }
        for (uint64_t from = next, to = position; from < length;) {
            uint8_t chunk[1024];
            size_t size = MIN(sizeof chunk, (size_t)(length - from));
            if (guest_read(chunk, buffer + from, size) < 0 || guest_write(buffer + to, chunk, size) < 0)
                return -EFAULT;
            from += size;
            to += size;
        }
        length -= entry.length;
    }
    return (int64_t)length;
}

static int64_t read_directory(struct linux_thread *thread, const uint64_t a[6], long number,
                              size_t name_offset)
{
    int own_fds[OWN_FD_COUNT];
    if (is_own(thread, a[0]))
        return -EBADF;
    for (;;) {
        /* The offsets in 32-bit programs' entries have 32 bits. */
        int64_t result = linux_is_32bit(thread->process)
                             ? linux_compat_syscall(thread, COMPAT_GETDENTS64, a)
                             : linux_host_syscall(thread, number, a[0], a[1], a[2], 0, 0, 0);
        if (result <= 0 || !linux_proc_is_fd_directory(thread, (int)a[0], own_fds))
            return result;
        result = hide_own_entries(own_fds, a[1], (uint64_t)result, name_offset);
        if (result != 0)
            return result;
        /* Nothing but visor's entry was there: 0 would mean the directory's end. */
    }
}

int64_t linux_sys_getdents64(struct linux_thread *thread, const uint64_t a[6])
{
    return read_directory(thread, a, SYS_getdents64, ENTRY_NAME_OFFSET);
}

int64_t linux_sys_getdents(struct linux_thread *thread, const uint64_t a[6])
{
    return read_directory(thread, a, SYS_getdents, OLD_ENTRY_NAME_OFFSET);
}
