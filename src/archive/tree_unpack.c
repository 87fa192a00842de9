/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "archive/file_table.h"
#include "archive/tar_read.h"
#include "archive/tree.h"

#define BESIDE_SIZE 32

/* A directory that was made: it gets its mode and time when all is in it. */
struct made {
    struct made *next;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    struct timespec changed;
    dev_t device;
    ino_t inode;
    char path[];
};

struct unpacking {
    const struct tree_unpack *where;
    const struct tree_options *options;
    struct file_table files; /* that were made here: only these can get another name */
    struct made *directories;
    int parent; /* the last one, of `parent_path`; -1: none */
    char parent_path[PATH_MAX];
};

static int about(const char *path, const char *what, int code, struct error *error)
{
    path = path[0] ? path : ".";
    if (code == -ELOOP || code == -EXDEV)
        return error_set(error, code, "cannot %s %s: a symbolic link is in the way", what, path);
    return error_set(error, code, "cannot %s %s: %s", what, path, strerror(-code));
}

/* -- the way to it --------------------------------------------------------------------------------------- */

static int open_below(const struct unpacking *unpacking, const char *path, uint64_t flags)
{
    struct open_how how = {
        .flags = flags | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd;
    do {
        fd = syscall(SYS_openat2, unpacking->where->directory, path[0] ? path : ".", &how, sizeof how);
    } while (fd < 0 && (errno == EAGAIN || errno == EINTR));
    return fd < 0 ? -errno : (int)fd;
}

/* All directories of the path that are missing; archives may have no entries for them. */
static int make_parents(const struct unpacking *unpacking, char *path)
{
    int code = 0;
    for (char *slash = path; !code && slash;) {
        char *end = strchr(slash, '/');
        if (end)
            *end = '\0';
        char *last = strrchr(path, '/');
        if (last)
            *last = '\0';
        int parent = open_below(unpacking, last ? path : "", O_PATH);
        if (last)
            *last = '/';
        code = parent < 0 ? parent : 0;
        if (!code && mkdirat(parent, last ? last + 1 : path, 0755) < 0 && errno != EEXIST)
            code = -errno;
        if (parent >= 0)
            close(parent);
        if (end)
            *end = '/';
        slash = end ? end + 1 : NULL;
    }
    return code;
}

/* The directory that `path` is in, and its last part. The descriptor is the unpacking's. */
static int open_parent(struct unpacking *unpacking, const char *path, const char **name, struct error *error)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
    *name = slash ? slash + 1 : path;
    if (unpacking->parent >= 0 && strcmp(parent, unpacking->parent_path) == 0)
        return unpacking->parent;
    int fd = open_below(unpacking, parent, O_PATH);
    if (fd == -ENOENT) {
        fd = make_parents(unpacking, parent);
        if (!fd)
            fd = open_below(unpacking, parent, O_PATH);
    }
    if (fd < 0)
        return about(parent, "enter", fd, error);
    if (unpacking->parent >= 0)
        close(unpacking->parent);
    strcpy(unpacking->parent_path, parent);
    return unpacking->parent = fd;
}

/* The path that an archive's becomes. */
static int place(const struct unpacking *unpacking, const char *path, char to[PATH_MAX], struct error *error)
{
    const struct tree_unpack *where = unpacking->where;
    const char *rest = path, *slash = strchr(path, '/');
    if (where->as)
        rest = slash ? slash + 1 : "";
    int size =
        snprintf(to, PATH_MAX, "%s%s%s", where->as ? where->as : "", where->as && *rest ? "/" : "", rest);
    return size < PATH_MAX ? 0 : error_set(error, -ENAMETOOLONG, "%.80s...: the path is too long", path);
}

/* -- what is made ---------------------------------------------------------------------------------------- */

/* What was there of this name. A directory stays. */
static int make_room(int parent, const char *name, const char *path, struct error *error)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR)
        return error_set(error, -EISDIR, "%s is a directory, and is not replaced by a file", path);
    return about(path, "replace", -errno, error);
}

/* Who may not give files away keeps them, as with tar. */
static int set_owner(const struct unpacking *unpacking, int fd, const char *name,
                     const struct tar_entry *entry)
{
    if (!unpacking->options->owner)
        return 0;
    int flags = AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH);
    return fchownat(fd, name, entry->uid, entry->gid, flags) < 0 && geteuid() == 0 ? -errno : 0;
}

static mode_t mode_of(const struct unpacking *unpacking, mode_t mode)
{
    return mode & (unpacking->options->special ? 07777 : 0777);
}

static int write_at(int fd, const void *data, size_t size, uint64_t offset)
{
    const char *from = data;
    while (size) {
        ssize_t done = pwrite(fd, from, size, (off_t)offset);
        if (done < 0 && errno != EINTR)
            return -errno;
        from += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
        offset += done > 0 ? (uint64_t)done : 0;
    }
    return 0;
}

static int fill_file(struct unpacking *unpacking, struct tar_reader *reader, int fd, const char *path,
                     const struct tar_entry *entry, struct error *error)
{
    const void *data;
    size_t size;
    uint64_t offset;
    int code;
    while ((code = tar_reader_data(reader, &data, &size, &offset, error)) > 0) {
        if (offset > INT64_MAX - size)
            return error_set(error, -EPROTO, "the archive has a file of impossible size: %s", path);
        code = write_at(fd, data, size, offset);
        if (code)
            return about(path, "write", code, error);
        if (unpacking->options->copied)
            unpacking->options->copied(unpacking->options->opaque, size);
    }
    if (code)
        return code;
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->changed};
    if (ftruncate(fd, (off_t)entry->size) < 0)
        code = -errno;
    if (!code)
        code = set_owner(unpacking, fd, "", entry);
    if (!code && fchmod(fd, mode_of(unpacking, entry->mode)) < 0)
        code = -errno;
    if (!code && futimens(fd, times) < 0)
        code = -errno;
    return code ? about(path, "write", code, error) : 0;
}

static int invent_name(char name[BESIDE_SIZE])
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return -errno;
    snprintf(name, BESIDE_SIZE, ".visor-%016" PRIx64, number);
    return 0;
}

/* A file without a name: if this process is killed nothing of it is left. Where the file system has none, of
 * a name that nobody has, which is "" otherwise. */
static int make_incomplete(int parent, char name[BESIDE_SIZE])
{
    int fd = openat(parent, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600), code = 0;
    name[0] = '\0';
    while (fd < 0 && !code) {
        code = invent_name(name);
        if (!code)
            fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0 && !code && errno != EEXIST)
            code = -errno;
    }
    return code ? code : fd;
}

/* Gives it its name, if nothing has that; or another, in `beside`. */
static int give_name(const struct unpacking *unpacking, int fd, int parent, const char *name,
                     char beside[BESIDE_SIZE])
{
    char number[16];
    int code = 0;
    snprintf(number, sizeof number, "%d", fd);
    if (linkat(unpacking->options->self, number, parent, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    for (code = -errno; code == -EEXIST;) {
        code = invent_name(beside);
        if (!code && linkat(unpacking->options->self, number, parent, beside, AT_SYMLINK_FOLLOW) < 0)
            code = -errno;
    }
    if (code)
        beside[0] = '\0';
    return code;
}

/* It takes its place when it is complete: what was there before stays until then. */
static int make_file(struct unpacking *unpacking, struct tar_reader *reader, int parent, const char *name,
                     const char *path, const struct tar_entry *entry, struct error *error)
{
    struct stat status;
    char beside[BESIDE_SIZE];
    int fd = make_incomplete(parent, beside), code = 0;
    if (fd < 0)
        return about(path, "make", fd, error);
    code = fill_file(unpacking, reader, fd, path, entry, error);
    if (!code && (fstat(fd, &status) < 0 || (!file_table_find(&unpacking->files, &status) &&
                                             !file_table_add(&unpacking->files, &status, NULL))))
        code = error_set(error, -ENOMEM, "out of memory");
    int named = code || beside[0] ? 0 : give_name(unpacking, fd, parent, name, beside);
    close(fd);
    if (!code && !named && beside[0] && renameat(parent, beside, parent, name) < 0)
        named = -errno;
    if (named == -EISDIR)
        code = error_set(error, -EISDIR, "%s is a directory, and is not replaced by a file", path);
    else if (named)
        code = about(path, "replace", named, error);
    if (code && beside[0])
        unlinkat(parent, beside, 0);
    return code;
}

/* Another name for what is no file of this archive's would give that away, or change it later. */
static int make_hard_link(struct unpacking *unpacking, const char *path, const char *target,
                          struct error *error)
{
    const char *name, *target_name;
    struct stat status;
    int from = open_parent(unpacking, target, &target_name, error);
    int kept = from < 0 ? -1 : fcntl(from, F_DUPFD_CLOEXEC, 3);
    if (kept < 0)
        return from < 0 ? from : about(path, "link", -errno, error);
    int parent = open_parent(unpacking, path, &name, error), code = parent < 0 ? parent : 0;
    if (!code && strcmp(path, target) != 0) {
        code = make_room(parent, name, path, error);
        if (!code && linkat(kept, target_name, parent, name, 0) < 0)
            code = about(path, "link", -errno, error);
        if (!code && (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
                      !file_table_find(&unpacking->files, &status))) {
            unlinkat(parent, name, 0);
            code = error_set(error, -EPERM, "the archive makes %s a link to %s, which is not its own", path,
                             target);
        }
    }
    close(kept);
    return code;
}

static int make_directory(struct unpacking *unpacking, int parent, const char *name, const char *path,
                          const struct tar_entry *entry, struct error *error)
{
    struct stat status;
    if (mkdirat(parent, name, 0700) < 0) {
        if (errno != EEXIST || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            return about(path, "make the directory", -errno, error);
        return S_ISDIR(status.st_mode)
                   ? 0
                   : error_set(error, -ENOTDIR, "%s is no directory, and is not replaced by one", path);
    }
    struct made *made = malloc(sizeof *made + strlen(path) + 1);
    if (!made || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
        free(made);
        return error_set(error, -ENOMEM, "out of memory");
    }
    *made = (struct made){.next = unpacking->directories,
                          .mode = mode_of(unpacking, entry->mode),
                          .uid = entry->uid,
                          .gid = entry->gid,
                          .changed = entry->changed,
                          .device = status.st_dev,
                          .inode = status.st_ino};
    strcpy(made->path, path);
    unpacking->directories = made;
    return 0;
}

static int make_other(struct unpacking *unpacking, int parent, const char *name, const char *path,
                      const struct tar_entry *entry, struct error *error)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, entry->changed};
    int code = make_room(parent, name, path, error);
    if (code)
        return code;
    if (entry->type == TAR_SYMBOLIC_LINK ? symlinkat(entry->link, parent, name)
                                         : mkfifoat(parent, name, mode_of(unpacking, entry->mode)))
        return about(path, "make", -errno, error);
    code = set_owner(unpacking, parent, name, entry);
    utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW); /* not every file system has it for links */
    return code ? about(path, "make", code, error) : 0;
}

static int make_entry(struct unpacking *unpacking, struct tar_reader *reader, const struct tar_entry *entry,
                      struct error *error)
{
    char path[PATH_MAX], target[PATH_MAX];
    const char *name;
    int code = place(unpacking, entry->path, path, error);
    if (code || !path[0]) /* the directory that is there */
        return code;
    if (entry->type == TAR_OTHER) {
        if (unpacking->options->left_out)
            unpacking->options->left_out(unpacking->options->opaque, path,
                                         "a device, or none of the known kinds");
        return 0;
    }
    if (entry->type == TAR_HARD_LINK) {
        code = place(unpacking, entry->link, target, error);
        return code ? code : make_hard_link(unpacking, path, target, error);
    }
    int parent = open_parent(unpacking, path, &name, error);
    if (parent < 0)
        return parent;
    switch (entry->type) {
    case TAR_FILE: return make_file(unpacking, reader, parent, name, path, entry, error);
    case TAR_DIRECTORY: return make_directory(unpacking, parent, name, path, entry, error);
    default: return make_other(unpacking, parent, name, path, entry, error);
    }
}

/* -- the end --------------------------------------------------------------------------------------------- */

/* The last made first: so a directory is done when all in it are. If it is another one by now it is nobody's
 * business. */
static int finish_directories(struct unpacking *unpacking, struct error *error)
{
    int code = 0;
    for (const struct made *made = unpacking->directories; made && !code; made = made->next) {
        const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, made->changed};
        const struct tar_entry owner = {.uid = made->uid, .gid = made->gid};
        struct stat status;
        int fd = open_below(unpacking, made->path, O_RDONLY);
        if (fd < 0)
            continue;
        if (fstat(fd, &status) == 0 && status.st_dev == made->device && status.st_ino == made->inode) {
            code = set_owner(unpacking, fd, "", &owner);
            if (!code && (fchmod(fd, made->mode) < 0 || futimens(fd, times) < 0))
                code = -errno;
            if (code)
                about(made->path, "finish", code, error);
        }
        close(fd);
    }
    return code;
}

/* What tar fills its last record with: who writes it does not find its reader gone. */
static void drain(int stream)
{
    char rest[4096];
    for (unsigned i = 0; i < 256 && read(stream, rest, sizeof rest) > 0; i++)
        ;
}

int tree_unpack(const struct tree_unpack *where, int stream, const struct tree_options *options,
                struct error *error)
{
    struct unpacking *unpacking = calloc(1, sizeof *unpacking);
    struct tar_reader *reader = NULL;
    struct tar_entry entry;
    if (!unpacking)
        return error_set(error, -ENOMEM, "out of memory");
    unpacking->where = where;
    unpacking->options = options;
    unpacking->parent = -1;
    int code = tar_reader_new(&reader, stream, error);
    while (!code && (code = tar_reader_next(reader, &entry, error)) > 0)
        code = make_entry(unpacking, reader, &entry, error);
    if (!code)
        drain(stream);
    int finished = finish_directories(unpacking, code ? NULL : error);
    while (unpacking->directories) {
        struct made *made = unpacking->directories;
        unpacking->directories = made->next;
        free(made);
    }
    file_table_free(&unpacking->files);
    if (unpacking->parent >= 0)
        close(unpacking->parent);
    tar_reader_free(reader);
    free(unpacking);
    return code ? code : finished;
}
