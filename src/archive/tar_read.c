/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "archive/tar_read.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK (128 * 512)

struct tar_reader {
    struct archive *archive;
    char path[PATH_MAX], link[PATH_MAX];
};

static int failed(struct tar_reader *reader, struct error *error)
{
    const char *why = archive_error_string(reader->archive);
    const int number = archive_errno(reader->archive);
    if (number == EIO || number == ENOSPC) /* of read() */
        return error_set(error, -number, "cannot read the archive: %s", strerror(number));
    return error_set(error, -EPROTO, "this is no tar archive, or not all of one: %s", why ? why : "?");
}

int tar_reader_new(struct tar_reader **out, int fd, struct error *error)
{
    struct tar_reader *reader = calloc(1, sizeof *reader);
    if (!reader || !(reader->archive = archive_read_new())) {
        free(reader);
        return error_set(error, -ENOMEM, "out of memory");
    }
    if (archive_read_support_format_tar(reader->archive) != ARCHIVE_OK ||
        archive_read_open_fd(reader->archive, fd, BLOCK) != ARCHIVE_OK) {
        int code = failed(reader, error);
        tar_reader_free(reader);
        return code;
    }
    *out = reader;
    return 0;
}

void tar_reader_free(struct tar_reader *reader)
{
    if (!reader)
        return;
    archive_read_free(reader->archive);
    free(reader);
}

int tar_path_clean(char *path)
{
    char *to = path;
    if (*path == '/')
        return -EPERM;
    for (const char *from = path; *from;) {
        size_t length = strcspn(from, "/");
        if (length == 2 && from[0] == '.' && from[1] == '.')
            return -EPERM;
        if (length && !(length == 1 && from[0] == '.')) {
            if (to != path)
                *to++ = '/';
            memmove(to, from, length);
            to += length;
        }
        from += length + (from[length] == '/');
    }
    *to = '\0';
    return 0;
}

static int take_path(char to[PATH_MAX], const char *from, bool clean, struct error *error)
{
    if (!from)
        return error_set(error, -EPROTO, "the archive has a file without a name");
    if (strlen(from) >= PATH_MAX)
        return error_set(error, -ENAMETOOLONG, "the archive has a name that is too long: %.80s...", from);
    strcpy(to, from);
    return clean && tar_path_clean(to)
               ? error_set(error, -EPERM, "the archive's name \"%s\" leads out of it", from)
               : 0;
}

static enum tar_type type_of(struct archive_entry *from)
{
    if (archive_entry_hardlink(from))
        return TAR_HARD_LINK;
    switch (archive_entry_filetype(from)) {
    case AE_IFREG: return TAR_FILE;
    case AE_IFLNK: return TAR_SYMBOLIC_LINK;
    case AE_IFDIR: return TAR_DIRECTORY;
    case AE_IFIFO: return TAR_FIFO;
    default: return TAR_OTHER;
    }
}

int tar_reader_next(struct tar_reader *reader, struct tar_entry *entry, struct error *error)
{
    struct archive_entry *from;
    int code = archive_read_next_header(reader->archive, &from);
    if (code == ARCHIVE_EOF)
        return 0;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) /* a warning is of characters that this host has not */
        return failed(reader, error);
    *entry = (struct tar_entry){
        .type = type_of(from),
        .path = reader->path,
        .mode = archive_entry_perm(from) & 07777,
        .uid = (uid_t)archive_entry_uid(from),
        .gid = (gid_t)archive_entry_gid(from),
        .size = archive_entry_size(from) > 0 ? (uint64_t)archive_entry_size(from) : 0,
        .changed = {.tv_sec = archive_entry_mtime(from), .tv_nsec = archive_entry_mtime_nsec(from)},
    };
    code = take_path(reader->path, archive_entry_pathname(from), true, error);
    if (!code && entry->type == TAR_HARD_LINK)
        code = take_path(reader->link, archive_entry_hardlink(from), true, error);
    if (!code && entry->type == TAR_SYMBOLIC_LINK)
        code = take_path(reader->link, archive_entry_symlink(from), false, error);
    if (entry->type == TAR_HARD_LINK || entry->type == TAR_SYMBOLIC_LINK)
        entry->link = reader->link;
    return code ? code : 1;
}

int tar_reader_data(struct tar_reader *reader, const void **data, size_t *size, uint64_t *offset,
                    struct error *error)
{
    la_int64_t at = 0;
    int code = archive_read_data_block(reader->archive, data, size, &at);
    *offset = (uint64_t)at;
    if (code == ARCHIVE_EOF)
        return 0;
    return code == ARCHIVE_OK || code == ARCHIVE_WARN ? 1 : failed(reader, error);
}
