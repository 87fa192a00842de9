/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/file_table.h"
#include "archive/tar_read.h"
#include "archive/tar_write.h"
#include "archive/tree.h"
#include "base/macros.h"

#define CHUNK (64 * 1024)

struct packing {
    const struct tree_options *options;
    struct file_table links; /* files with several names, by the first */
    char path[PATH_MAX];     /* of what is being packed */
    size_t length;
    struct tar_writer writer;
    uint8_t data[CHUNK];
};

struct names {
    char **names;
    size_t count, room;
};

int tree_open_self(struct error *error)
{
    int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? error_set(error, -errno, "cannot open /proc/self/fd: %s", strerror(errno)) : fd;
}

static int about(const struct packing *packing, const char *what, int code, struct error *error)
{
    return error_set(error, code, "cannot %s %s: %s", what, packing->path[0] ? packing->path : ".",
                     strerror(-code));
}

static void left_out(const struct packing *packing, const char *why)
{
    if (packing->options->left_out)
        packing->options->left_out(packing->options->opaque, packing->path, why);
}

/* -- names of a directory -------------------------------------------------------------------------------- */

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
}

static bool names_add(struct names *names, const char *name)
{
    if (names->count == names->room) {
        const size_t room = names->room ? 2 * names->room : 32;
        char **larger = reallocarray(names->names, room, sizeof *larger);
        if (!larger)
            return false;
        names->names = larger;
        names->room = room;
    }
    names->names[names->count] = strdup(name);
    return names->names[names->count++] != NULL;
}

/* `directory` is a path for openat(). */
static int names_read(struct names *names, int directory)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    int code = stream ? 0 : -errno;
    if (fd >= 0 && !stream)
        close(fd);
    for (struct dirent *entry; !code && stream;) {
        errno = 0;
        entry = readdir(stream);
        if (!entry) {
            code = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && !names_add(names, entry->d_name))
            code = -ENOMEM;
    }
    if (stream)
        closedir(stream);
    return code;
}

/* -- one file -------------------------------------------------------------------------------------------- */

/* What its header says is what there must be, though the file is another size by now. */
static int pack_content(struct packing *packing, int object, uint64_t left, struct error *error)
{
    char number[16];
    snprintf(number, sizeof number, "%d", object);
    int fd = openat(packing->options->self, number, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    int code = fd < 0 ? about(packing, "open", -errno, error) : 0;
    while (!code && left) {
        ssize_t size = read(fd, packing->data, (size_t)MIN(left, sizeof packing->data));
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            code = about(packing, "read", -errno, error);
        else
            code = size ? tar_write_data(&packing->writer, packing->data, (size_t)size, error)
                        : tar_write_hole(&packing->writer, left, error);
        left = size > 0 ? left - (uint64_t)size : 0;
        if (!code && size > 0 && packing->options->copied)
            packing->options->copied(packing->options->opaque, (uint64_t)size);
    }
    if (fd >= 0)
        close(fd);
    return code ? code : tar_write_file_end(&packing->writer, error);
}

static int pack_file(struct packing *packing, int object, const struct stat *status, struct tar_entry *entry,
                     struct error *error)
{
    const struct file_table_row *first =
        status->st_nlink > 1 ? file_table_find(&packing->links, status) : NULL;
    if (first) {
        entry->type = TAR_HARD_LINK;
        entry->link = file_table_path(first);
        return tar_write_entry(&packing->writer, entry, error);
    }
    if (status->st_nlink > 1 && !file_table_add(&packing->links, status, packing->path))
        return error_set(error, -ENOMEM, "out of memory");
    entry->type = TAR_FILE;
    entry->size = (uint64_t)status->st_size;
    int code = tar_write_entry(&packing->writer, entry, error);
    return code ? code : pack_content(packing, object, entry->size, error);
}

static int pack_link(struct packing *packing, int object, struct tar_entry *entry, struct error *error)
{
    char target[PATH_MAX];
    ssize_t size = readlinkat(object, "", target, sizeof target - 1);
    if (size < 0)
        return about(packing, "read the link", -errno, error);
    target[size] = '\0';
    entry->type = TAR_SYMBOLIC_LINK;
    entry->link = target;
    return tar_write_entry(&packing->writer, entry, error);
}

static int pack_object(struct packing *packing, int object, struct error *error);

static int pack_directory(struct packing *packing, int object, struct error *error)
{
    struct names names = {0};
    const size_t length = packing->length;
    int code = names_read(&names, object);
    if (code)
        about(packing, "read the directory", code, error);
    for (size_t i = 0; !code && i < names.count; i++) {
        const size_t size = strlen(names.names[i]);
        if (length + size + 2 > sizeof packing->path) {
            code = error_set(error, -ENAMETOOLONG, "%.80s...: the path is too long", packing->path);
            break;
        }
        if (length)
            packing->path[length] = '/';
        memcpy(packing->path + length + (length > 0), names.names[i], size + 1);
        packing->length = length + (length > 0) + size;
        int child = openat(object, names.names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0) {
            code = pack_object(packing, child, error);
            close(child);
        } else if (errno != ENOENT) { /* somebody has removed it meanwhile */
            code = about(packing, "open", -errno, error);
        }
        packing->length = length;
        packing->path[length] = '\0';
    }
    names_free(&names);
    return code;
}

static int pack_object(struct packing *packing, int object, struct error *error)
{
    struct stat status;
    if (fstat(object, &status) < 0)
        return about(packing, "look at", -errno, error);
    const struct tree_options *options = packing->options;
    struct tar_entry entry = {
        .path = packing->path,
        .mode = status.st_mode & (options->special ? 07777 : 0777),
        .uid = options->owner ? status.st_uid : 0,
        .gid = options->owner ? status.st_gid : 0,
        .changed = status.st_mtim,
    };
    switch (status.st_mode & S_IFMT) {
    case S_IFREG: return pack_file(packing, object, &status, &entry, error);
    case S_IFLNK: return pack_link(packing, object, &entry, error);
    case S_IFIFO: entry.type = TAR_FIFO; return tar_write_entry(&packing->writer, &entry, error);
    case S_IFDIR: {
        entry.type = TAR_DIRECTORY;
        int code = packing->length ? tar_write_entry(&packing->writer, &entry, error) : 0;
        return code ? code : pack_directory(packing, object, error);
    }
    case S_IFSOCK: left_out(packing, "a socket"); return 0;
    default: left_out(packing, "a device"); return 0;
    }
}

int tree_pack(int object, const char *as, int stream, const struct tree_options *options, struct error *error)
{
    struct packing *packing = calloc(1, sizeof *packing);
    if (!packing)
        return error_set(error, -ENOMEM, "out of memory");
    packing->options = options;
    packing->length = (size_t)snprintf(packing->path, sizeof packing->path, "%s", as);
    tar_write_begin(&packing->writer, stream);
    int code = packing->length < sizeof packing->path
                   ? pack_object(packing, object, error)
                   : error_set(error, -ENAMETOOLONG, "%.80s...: the path is too long", as);
    if (!code)
        code = tar_write_end(&packing->writer, error);
    file_table_free(&packing->links);
    free(packing);
    return code;
}

uint64_t tree_size(int object)
{
    struct names names = {0};
    struct stat status;
    uint64_t size = 0;
    if (fstat(object, &status) < 0)
        return 0;
    if (S_ISREG(status.st_mode))
        return (uint64_t)status.st_size;
    if (!S_ISDIR(status.st_mode))
        return 0;
    if (names_read(&names, object) == 0) {
        for (size_t i = 0; i < names.count; i++) {
            int child = openat(object, names.names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);
            if (child < 0)
                continue;
            size += tree_size(child);
            close(child);
        }
    }
    names_free(&names);
    return size;
}

/* -- from one archive to another ------------------------------------------------------------------------- */

static int repack_content(struct packing *packing, struct tar_reader *reader, uint64_t size,
                          struct error *error)
{
    const void *data;
    size_t length;
    uint64_t offset, done = 0;
    int code;
    while ((code = tar_reader_data(reader, &data, &length, &offset, error)) > 0) {
        if (offset < done || offset > size || length > size - offset)
            return error_set(error, -EPROTO, "the archive has more of %s than there is", packing->path);
        code = tar_write_hole(&packing->writer, offset - done, error);
        if (!code)
            code = tar_write_data(&packing->writer, data, length, error);
        if (code)
            return code;
        done = offset + length;
        if (packing->options->copied)
            packing->options->copied(packing->options->opaque, length);
    }
    if (!code)
        code = tar_write_hole(&packing->writer, size - done, error);
    return code ? code : tar_write_file_end(&packing->writer, error);
}

static int repack_entry(struct packing *packing, struct tar_reader *reader, struct tar_entry *entry,
                        struct error *error)
{
    const struct tree_options *options = packing->options;
    snprintf(packing->path, sizeof packing->path, "%s", entry->path);
    if (entry->type == TAR_OTHER) {
        left_out(packing, "a device, or none of the known kinds");
        return 0;
    }
    if (!entry->path[0]) /* the directory that is there */
        return 0;
    if (!options->owner)
        entry->uid = entry->gid = 0;
    entry->mode &= options->special ? 07777 : 0777;
    int code = tar_write_entry(&packing->writer, entry, error);
    return code || entry->type != TAR_FILE ? code : repack_content(packing, reader, entry->size, error);
}

int tree_repack(int from, int to, const struct tree_options *options, struct error *error)
{
    struct packing *packing = calloc(1, sizeof *packing);
    struct tar_reader *reader = NULL;
    struct tar_entry entry;
    if (!packing)
        return error_set(error, -ENOMEM, "out of memory");
    packing->options = options;
    tar_write_begin(&packing->writer, to);
    int code = tar_reader_new(&reader, from, error);
    while (!code && (code = tar_reader_next(reader, &entry, error)) > 0)
        code = repack_entry(packing, reader, &entry, error);
    if (!code)
        code = tar_write_end(&packing->writer, error);
    tar_reader_free(reader);
    free(packing);
    return code;
}
